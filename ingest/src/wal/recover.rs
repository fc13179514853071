//! Reading the log back after a stop: which records count, where it ends, and what is damage.
//!
//! ```text
//! segment 7: 40 41 42 | 43 44 (sync failed)     segment 8 (first = 43): 43 44 ✗ 46 47     44 and 45: see below
//!                       └ void: 8 begins at 43
//! ```
//! All records below a segment's first one were synced before that segment began, so one that is missing there is damage. In the last
//! segment a missing record is damage if a later frame calls it durable, else the log ends before it: its sync never returned.

use std::ops::Range;
use std::sync::Arc;

use catalog::Timestamp;
use catalog::manifest::WriterId;

use super::columns::{CodecError, Cursor};
use super::disk::Sealed;
use super::folder::{self, Segment, io};
use super::frame::{self, Kind, SEGMENT_HEAD_BYTES};
use super::fs::WalFs;
use super::record::{self, Record};
use crate::config::Recover;
use crate::error::{Error, Result};

/// Rows that one [`Replay::step`] unpacks at most, but for a single larger record.
const STEP_BYTES: usize = 16 << 20;

/// What one segment holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// Record numbers and where their bodies lie, ascending.
    pub(crate) records: Vec<(u64, Range<usize>)>,
    /// Where the checkpoint's body lies.
    pub(crate) checkpoint: Option<Range<usize>>,
    /// The record after the last one.
    pub(crate) end: u64,
    /// Durable records that cannot be read, half-open.
    pub(crate) missing: Vec<Range<u64>>,
    /// The newest record that a frame calls durable.
    pub(crate) durable: u64,
}

impl Scanned {
    /// The bytes of the records that no frame calls durable, with the segment's head if there is no durable one.
    fn unproven(&self) -> Option<Range<usize>> {
        let last = self.records.last()?.1.end;
        let first = self.records.iter().position(|(sequence, _)| *sequence > self.durable)?;
        let start = if first == 0 { 0 } else { self.records[first].1.start - frame::HEADER_BYTES };
        Some(start..last)
    }
}

/// Finds the records of a segment that begins with record `first` and whose successor begins with `limit`.
pub(crate) fn scan(writer: WriterId, segment: u64, bytes: &[u8], first: u64, limit: Option<u64>) -> Scanned {
    let mut found = Scanned { end: first, ..Scanned::default() };
    let mut at = SEGMENT_HEAD_BYTES;
    while limit.is_none_or(|limit| found.end < limit) {
        let good = frame::frame_at(writer, segment, bytes, at).map(|(header, _)| header);
        found.durable = found.durable.max(good.map_or(0, |header| header.durable));
        match good {
            Some(header) if header.kind == Kind::Checkpoint => {
                found.checkpoint = Some(body_range(at, header.length));
                at += header.frame_bytes();
            }
            Some(header) if header.sequence == found.end => {
                found.records.push((header.sequence, body_range(at, header.length)));
                found.end += 1;
                at += header.frame_bytes();
            }
            _ => match resume(writer, segment, bytes, at, found.end, limit) {
                Some((next, sequence)) => {
                    found.missing.push(found.end..sequence);
                    found.end = sequence;
                    at = next;
                }
                None => break,
            },
        }
    }
    if let Some(limit) = limit.filter(|&limit| found.end < limit) {
        found.missing.push(found.end..limit);
        found.end = limit;
    }
    found
}

/// Where to go on behind an unreadable frame, if records from `expected` on are known to have been durable.
fn resume(writer: WriterId, segment: u64, bytes: &[u8], at: usize, expected: u64, limit: Option<u64>) -> Option<(usize, u64)> {
    let mut next = None;
    let mut from = at + 8;
    while let Some((place, header)) = frame::next_frame(writer, segment, bytes, from) {
        let record = header.kind == Kind::Record && header.sequence > expected;
        if record && limit.is_none_or(|limit| header.sequence < limit) {
            let next = *next.get_or_insert((place, header.sequence));
            if limit.is_some() || header.durable >= expected {
                return Some(next);
            }
        }
        from = place + header.frame_bytes();
    }
    None
}

fn body_range(at: usize, length: u32) -> Range<usize> {
    let start = at + frame::HEADER_BYTES;
    start..start + length as usize
}

/// A replay under way: segment by segment, a bounded piece at a time.
#[derive(Debug)]
pub(crate) struct Replay {
    fs: Arc<dyn WalFs>,
    writer: WriterId,
    segments: Vec<Segment>,
    next: usize,
    open: Option<Open>,
    /// Records up to this one are in files.
    committed: u64,
    recover: Recover,
    /// The record after the last one that was seen or given up.
    end: u64,
    sealed: Vec<Sealed>,
}

#[derive(Debug)]
struct Open {
    bytes: Vec<u8>,
    records: std::vec::IntoIter<(u64, Range<usize>)>,
}

/// A piece of the log.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    /// Records that are not in files, ascending.
    pub(crate) records: Vec<(u64, Record)>,
    /// Fingerprints of all records, in files or not, and of checkpoints.
    pub(crate) fingerprints: Vec<(u128, Timestamp)>,
}

impl Replay {
    /// Replays `segments` (ascending) behind record `committed`.
    pub(crate) fn new(fs: Arc<dyn WalFs>, writer: WriterId, segments: Vec<Segment>, committed: u64, recover: Recover) -> Self {
        Self { fs, writer, segments, next: 0, open: None, committed, recover, end: committed + 1, sealed: Vec::new() }
    }

    /// The next piece, or `None` at the end of the log. Blocks.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Corrupt`] when durable records are missing and the setting is [`Recover::Refuse`];
    /// [`Error::Unsupported`] for a record of a newer version.
    pub(crate) fn step(&mut self) -> Result<Option<Piece>> {
        let mut piece = Piece::default();
        if self.open.as_ref().is_none_or(|open| open.records.len() == 0) {
            if self.next == self.segments.len() {
                return Ok(None);
            }
            self.open_next(&mut piece)?;
        }
        let Some(mut open) = self.open.take() else { return Ok(Some(piece)) };
        let mut unpacked = 0;
        while unpacked < STEP_BYTES {
            let Some((sequence, range)) = open.records.next() else { break };
            match self.read_record(sequence, &open.bytes[range], &mut piece) {
                Ok(bytes) => unpacked += bytes,
                Err(CodecError::Newer { found, supported }) => {
                    return Err(Error::Unsupported { path: self.current().path.clone(), found, supported });
                }
                Err(error) => self.lost(sequence..sequence + 1, &error.to_string())?,
            }
        }
        self.open = Some(open);
        Ok(Some(piece))
    }

    /// What to seal, and the number of the next record.
    pub(crate) fn finish(self) -> (Vec<Sealed>, u64) {
        (self.sealed, self.end.max(self.committed + 1))
    }

    fn current(&self) -> &Segment {
        &self.segments[self.next - 1]
    }

    fn read_record(&self, sequence: u64, body: &[u8], piece: &mut Piece) -> Result<usize, CodecError> {
        let mut cursor = Cursor { rest: body };
        let head = record::head(&mut cursor)?;
        if let Some(fingerprint) = head.fingerprint {
            piece.fingerprints.push((fingerprint, head.at));
        }
        if sequence <= self.committed {
            return Ok(0);
        }
        let record = record::rows(head, &mut cursor)?;
        let bytes = record.rows.iter().map(|(_, batch)| batch.get_array_memory_size()).sum();
        piece.records.push((sequence, record));
        Ok(bytes)
    }

    fn open_next(&mut self, piece: &mut Piece) -> Result<()> {
        let segment = self.segments[self.next].clone();
        let limit = self.segments.get(self.next + 1).map(|next| next.first);
        self.next += 1;
        if segment.first > self.end {
            self.lost(self.end..segment.first, "they are neither in the log nor in the catalog; is this another store?")?;
        }
        let bytes = folder::read_all(&*self.fs, &segment.path)?;
        let found = scan(self.writer, segment.number, &bytes, segment.first, limit);
        for missing in &found.missing {
            self.lost(missing.clone(), "their frames cannot be read")?;
        }
        if limit.is_none() {
            self.vouch(&segment, &bytes, found.unproven())?;
        }
        if let Some(range) = found.checkpoint.clone() {
            piece.fingerprints.extend(frame::decode_checkpoint(&bytes[range]));
        }
        self.end = self.end.max(found.end);
        let Segment { number, path, bytes: length, .. } = segment;
        self.sealed.push(Sealed { number, path, bytes: length, last: found.end - 1, sound: true });
        self.open = Some(Open { bytes, records: found.records.into_iter() });
        Ok(())
    }

    /// Makes the last group durable: its sync may not have happened, or may have failed.
    ///
    /// After a failed sync the kernel may show bytes that are not on the disk and call them clean, so that another sync alone would do
    /// nothing. They are written again.
    fn vouch(&self, segment: &Segment, bytes: &[u8], unproven: Option<Range<usize>>) -> Result<()> {
        let Some(range) = unproven else { return Ok(()) };
        let file = self.fs.open(&segment.path).map_err(io("open", &segment.path))?;
        file.write_at(&bytes[range.clone()], range.start as u64).map_err(io("write", &segment.path))?;
        file.sync().map_err(io("sync", &segment.path))
    }

    /// Deals with durable records that cannot be read.
    fn lost(&self, missing: Range<u64>, why: &str) -> Result<()> {
        if missing.end <= self.committed + 1 {
            return Ok(()); // They are in files.
        }
        let start = missing.start.max(self.committed + 1);
        let reason = format!("records {start} to {} are missing: {why}", missing.end - 1);
        let path = self.current().path.clone();
        if self.recover == Recover::Refuse {
            return Err(Error::Corrupt { path, reason });
        }
        metrics::counter!("telelake_wal_records_lost_total").increment(missing.end - start);
        tracing::error!(path = %path.display(), "write-ahead log is damaged and wal.recover is skip: {reason}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::frame::{HEADER_BYTES, Header, frame_bytes};

    const SEGMENT: u64 = 5;

    /// A segment of records (sequence, durable); `bad` ones have a flipped bit.
    fn segment(records: &[(u64, u64)], bad: &[u64]) -> Vec<u8> {
        let mut bytes = vec![0; SEGMENT_HEAD_BYTES];
        for &(sequence, durable) in records {
            let body = sequence.to_string();
            let start = bytes.len();
            bytes.resize(start + HEADER_BYTES, 0);
            bytes.extend(body.as_bytes());
            bytes.resize(start + frame_bytes(body.len()), 0);
            let body_crc = crc32fast::hash(body.as_bytes());
            let header = Header { segment: SEGMENT, sequence, durable, length: body.len() as u32, body_crc, kind: Kind::Record };
            header.write(WriterId::nil(), &mut bytes[start..]);
            if bad.contains(&sequence) {
                bytes[start + HEADER_BYTES] ^= 4;
            }
        }
        bytes.extend([0; 100]);
        bytes
    }

    #[test]
    fn where_a_segment_ends_and_what_is_damage() {
        #[track_caller]
        fn check(records: &[(u64, u64)], bad: &[u64], limit: Option<u64>, numbers: &[u64], gap: Option<Range<u64>>, end: u64) {
            let bytes = segment(records, bad);
            let found = scan(WriterId::nil(), SEGMENT, &bytes, 40, limit);
            assert_eq!(found.records.iter().map(|r| r.0).collect::<Vec<_>>(), numbers);
            assert_eq!((found.missing, found.end), (Vec::from_iter(gap), end));
        }
        let groups = [(40, 39), (41, 40), (42, 40), (43, 42)];
        check(&groups, &[], None, &[40, 41, 42, 43], None, 44);
        check(&groups, &[43], None, &[40, 41, 42], None, 43); // a torn tail
        check(&groups[..3], &[41], None, &[40], None, 41); // the group of 41 and 42 was never synced
        check(&groups, &[41], None, &[40, 42, 43], Some(41..42), 44); // 43 says that 42 was
        check(&groups, &[], Some(42), &[40, 41], None, 42); // the next segment begins at 42: these failed to sync
        check(&groups, &[43], Some(44), &[40, 41, 42], Some(43..44), 44); // and here 43 was synced
        check(&groups, &[], Some(50), &[40, 41, 42, 43], Some(44..50), 50);
        check(&[], &[], None, &[], None, 40);
        check(&groups, &[40, 41, 42, 43], None, &[], None, 40);
    }

    #[test]
    fn another_segments_frames_do_not_count() {
        let bytes = segment(&[(40, 39), (41, 40)], &[]);
        assert_eq!(scan(WriterId::nil(), SEGMENT + 1, &bytes, 40, None).records, []);
    }
}
