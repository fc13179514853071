//! The writing half of the disk log: groups in, one write and one sync each; rotation, trimming, refusal when the disk is full.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::folder::{Contents, Folder, Free};
use super::frame::{self, HEADER_BYTES, Header, Kind, SEGMENT_HEAD_BYTES, SegmentHead};
use super::fs::WalFile;
use super::record::Encoded;
use crate::config::WalConfig;
use crate::dedup::Window;

/// Recycled files that are kept for later; more are removed.
const FREE_SEGMENTS_MAX: usize = 2;
/// With this much room a disk is not full, whatever share of it is used: it holds the log and the buffers of a node several times over.
const ROOMY_BYTES: u64 = 4 << 30;
/// Segments get no smaller than this on a small disk, unless the setting is smaller.
const SEGMENT_BYTES_MIN: u64 = 1 << 20;

/// Why a group was not written. None of its records may be acknowledged.
#[derive(Debug, Clone)]
pub(crate) enum GroupError {
    /// The disk is full, or nearly.
    Full(String),
    /// Writing or syncing failed.
    Failed(String),
}

/// The log, as its one writer has it.
#[derive(Debug)]
pub(crate) struct DiskLog {
    folder: Folder,
    config: WalConfig,
    window: Arc<Window>,
    active: Option<Active>,
    sealed: VecDeque<Sealed>,
    free: Vec<Free>,
    next_number: u64,
    next_sequence: u64,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Active {
    number: u64,
    path: PathBuf,
    file: Box<dyn WalFile>,
    bytes: u64,
    /// Where the next frame goes. 0: the segment has not begun.
    offset: u64,
}

/// A segment that gets no more frames.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    /// Its last record.
    pub(crate) last: u64,
    /// Whether its file may be written again.
    pub(crate) sound: bool,
}

impl DiskLog {
    /// Continues the log in `folder` with record `next_sequence`, in a new segment. `sealed` is what recovery read.
    pub(crate) fn new(
        folder: Folder,
        config: WalConfig,
        window: Arc<Window>,
        contents: Contents,
        sealed: Vec<Sealed>,
        next_sequence: u64,
    ) -> Self {
        Self {
            folder,
            config,
            window,
            active: None,
            sealed: sealed.into(),
            free: contents.free,
            next_number: contents.next_number,
            next_sequence,
            scratch: Vec::new(),
        }
    }

    /// Whether calls can take long.
    pub(crate) fn blocks(&self) -> bool {
        self.folder.fs.blocks()
    }

    /// Writes and syncs `records` as one group and returns the number of the first; they are numbered in order.
    ///
    /// # Errors
    /// [`GroupError`]; then none of the records has a number, and the next group goes to a new segment.
    pub(crate) fn write_group(&mut self, records: &mut [Encoded]) -> Result<u64, GroupError> {
        self.check_space()?;
        let bytes: usize = records.iter().map(|record| record.frame.len().next_multiple_of(8)).sum();
        self.make_room(bytes as u64)?;
        let Some(mut active) = self.active.take() else {
            return Err(GroupError::Failed("there is no segment".to_owned()));
        };
        let first = self.next_sequence;
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        if active.offset == 0 {
            self.put_head(active.number, &mut out);
        }
        for (at, record) in records.iter_mut().enumerate() {
            let header = Header {
                segment: active.number,
                sequence: first + at as u64,
                durable: first - 1,
                length: (record.frame.len() - HEADER_BYTES) as u32,
                body_crc: record.crc32,
                kind: Kind::Record,
            };
            header.write(self.folder.writer, &mut record.frame);
            out.extend_from_slice(&record.frame);
            out.resize(out.len().next_multiple_of(8), 0);
        }
        let written = write_and_sync(&*active.file, &out, active.offset);
        let bytes = out.len() as u64;
        out.shrink_to(1 << 20);
        self.scratch = out;
        match written {
            Ok(()) => {
                active.offset += bytes;
                self.active = Some(active);
                self.next_sequence += records.len() as u64;
                metrics::counter!("telelake_wal_bytes_total").increment(bytes);
                fail::fail_point!("wal::after_sync");
                Ok(first)
            }
            Err(error) => {
                metrics::counter!("telelake_wal_failures_total").increment(1);
                tracing::error!(path = %active.path.display(), %error, "write-ahead log segment abandoned");
                self.seal(active, false);
                Err(self.group_error("write", &error))
            }
        }
    }

    /// Gives back segments whose records are all in files, that is numbered up to `committed`.
    pub(crate) fn trim(&mut self, committed: u64) {
        // The next segment's checkpoint must be on disk before its predecessors' fingerprints go.
        if self.active.as_ref().is_none_or(|active| active.offset == 0) {
            return;
        }
        while self.sealed.front().is_some_and(|sealed| sealed.last <= committed) {
            let Some(sealed) = self.sealed.pop_front() else { return };
            fail::fail_point!("wal::before_trim");
            if let Err(error) = self.recycle(&sealed) {
                // It is tried again with the next start; its records are skipped until then.
                tracing::warn!(path = %sealed.path.display(), %error, "segment could not be trimmed");
            }
            fail::fail_point!("wal::after_trim");
        }
    }

    fn recycle(&mut self, sealed: &Sealed) -> io::Result<()> {
        metrics::counter!("telelake_wal_segments_trimmed_total").increment(1);
        let reusable = sealed.sound && sealed.bytes >= self.config.segment_bytes && self.free.len() < FREE_SEGMENTS_MAX;
        if !reusable {
            return self.folder.fs.remove(&sealed.path);
        }
        let path = self.folder.free_path(sealed.number);
        self.folder.fs.rename(&sealed.path, &path)?;
        self.free.push(Free { path, bytes: sealed.bytes });
        Ok(())
    }

    fn check_space(&self) -> Result<(), GroupError> {
        let space = self.folder.fs.space(&self.folder.dir).map_err(|error| self.group_error("look at", &error))?;
        let total = space.used.saturating_add(space.free).max(1);
        let percent = u64::try_from(u128::from(space.used) * 100 / u128::from(total)).unwrap_or(100);
        let crowded = percent >= u64::from(self.config.disk_used_percent_max) && space.free < ROOMY_BYTES;
        if space.free >= self.config.disk_free_min && !crowded {
            return Ok(());
        }
        Err(GroupError::Full(format!(
            "the disk of {} is nearly full ({percent} % used, {} MiB free)",
            self.folder.dir.display(),
            space.free >> 20
        )))
    }

    /// Sees to it that the active segment has room for a group of `bytes`.
    fn make_room(&mut self, bytes: u64) -> Result<(), GroupError> {
        if self.active.as_ref().is_some_and(|active| active.offset > 0 && active.offset + bytes <= active.bytes) {
            return Ok(());
        }
        let head = SEGMENT_HEAD_BYTES + frame::frame_bytes(24 * self.window.len());
        let needed = bytes + head as u64;
        if self.active.as_ref().is_some_and(|active| active.offset == 0 && needed <= active.bytes) {
            return Ok(());
        }
        if let Some(active) = self.active.take() {
            self.seal(active, true);
        }
        self.active = Some(self.begin_segment(needed).map_err(|error| self.group_error("create a segment in", &error))?);
        Ok(())
    }

    fn begin_segment(&mut self, needed: u64) -> io::Result<Active> {
        let number = self.next_number;
        self.next_number += 1;
        let path = self.folder.segment_path(number);
        let fs = &self.folder.fs;
        let (file, bytes) = match self.free.iter().position(|free| free.bytes >= needed) {
            Some(at) => {
                let free = self.free.swap_remove(at);
                fs.rename(&free.path, &path)?;
                (fs.open(&path)?, free.bytes)
            }
            None => {
                let small_disk = (fs.space(&self.folder.dir)?.free / 8).max(SEGMENT_BYTES_MIN);
                let bytes = self.config.segment_bytes.min(small_disk).max(needed).next_multiple_of(4096);
                let created = fs.create(&path, bytes);
                if created.is_err() {
                    let _ = fs.remove(&path);
                }
                (created?, bytes)
            }
        };
        // The name first: a head in a file that a crash renames back would be a lie.
        fs.sync_dir(&self.folder.dir)?;
        Ok(Active { number, path, file, bytes, offset: 0 })
    }

    fn put_head(&self, number: u64, out: &mut Vec<u8>) {
        let head = SegmentHead { writer: self.folder.writer, number, first: self.next_sequence };
        out.extend_from_slice(&head.to_bytes());
        let body = frame::encode_checkpoint(&self.window.checkpoint());
        let start = out.len();
        out.resize(start + HEADER_BYTES, 0);
        out.extend_from_slice(&body);
        out.resize(out.len().next_multiple_of(8), 0);
        let header = Header {
            segment: number,
            sequence: self.next_sequence,
            durable: self.next_sequence - 1,
            length: body.len() as u32,
            body_crc: crc32fast::hash(&body),
            kind: Kind::Checkpoint,
        };
        header.write(self.folder.writer, &mut out[start..]);
    }

    fn seal(&mut self, active: Active, sound: bool) {
        let Active { number, path, bytes, .. } = active;
        self.sealed.push_back(Sealed { number, path, bytes, last: self.next_sequence - 1, sound });
    }

    fn group_error(&self, action: &str, error: &io::Error) -> GroupError {
        let reason = format!("cannot {action} {}: {error}", self.folder.dir.display());
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => GroupError::Full(reason),
            _ => GroupError::Failed(reason),
        }
    }
}

fn write_and_sync(file: &dyn WalFile, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_at(bytes, offset)?;
    fail::fail_point!("wal::after_append");
    let start = tokio::time::Instant::now();
    file.sync()?;
    metrics::counter!("telelake_wal_syncs_total").increment(1);
    metrics::histogram!("telelake_wal_sync_seconds").record(start.elapsed().as_secs_f64());
    Ok(())
}
