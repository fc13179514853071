//! Blocks of a Prometheus TSDB as remote write requests: for a move, not for serving.
//!
//! ```text
//! folder ─► blocks (meta.json) ─► [index] series in order ─► [chunks] by reference ─► [decode] samples ─► requests of 2.0
//!                                      └─ [tombstones] what was deleted is left out
//! ```
//! Formats: Prometheus `tsdb/docs/format/{index,chunks,tombstones}.md`. Everything that is read is checked by its CRC-32C. The
//! write-ahead log and the head (`wal/`, `chunks_head/`) are not blocks: a snapshot of a running Prometheus is.
//!
//! # Invariants
//! - Memory is that of one block's symbols, one series' entry and one chunk; no bytes make it panic.
//! - A damaged block is an error that names file and offset; what was read before it is not taken back.

mod bits;
mod bytes;
mod chunks;
mod decode;
mod error;
mod index;
mod tombstones;

use std::path::{Path, PathBuf};

pub use error::TsdbError;

use super::prometheus::batch::{Batch, Encoded};
use chunks::Chunks;
use index::{Entry, Index};
use tombstones::Tombstones;

#[cfg(test)]
mod tests;

/// The blocks in `folder`, oldest name first: the folder itself if it is one, else those right below it.
///
/// # Errors
/// The folder cannot be listed.
pub fn blocks(folder: &Path) -> Result<Vec<PathBuf>, TsdbError> {
    let is_block = |path: &Path| path.join("meta.json").is_file() && path.join("index").is_file();
    if is_block(folder) {
        return Ok(vec![folder.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| TsdbError::io(folder, e))? {
        let path = entry.map_err(|e| TsdbError::io(folder, e))?.path();
        if is_block(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// One block that is being read.
#[derive(Debug)]
pub struct BlockReader {
    index: Index,
    chunks: Chunks,
    tombstones: Tombstones,
    batch: Batch,
    /// The series that is being read, and which of its chunks is next.
    current: Option<(Entry, usize)>,
    series: u64,
}

impl BlockReader {
    /// Opens the block at `folder` and reads its symbols and tombstones.
    ///
    /// # Errors
    /// [`TsdbError`].
    pub fn open(folder: &Path) -> Result<Self, TsdbError> {
        Ok(Self {
            index: Index::open(&folder.join("index"))?,
            chunks: Chunks::open(&folder.join("chunks"))?,
            tombstones: Tombstones::read(&folder.join("tombstones"))?,
            batch: Batch::new(),
            current: None,
            series: 0,
        })
    }

    /// Bytes of series entries that were read, and that there are: a measure of progress.
    pub fn progress(&self) -> (u64, u64) {
        self.index.progress()
    }

    /// Series that were read.
    pub fn series(&self) -> u64 {
        self.series
    }

    /// The next request, or `None` at the end of the block.
    ///
    /// # Errors
    /// [`TsdbError`]; the reader is then of no use.
    pub fn next_batch(&mut self) -> Result<Option<Encoded>, TsdbError> {
        while !self.batch.is_full() {
            let (entry, at) = match self.current.take() {
                Some(current) => current,
                None => match self.index.next_series()? {
                    Some(entry) => {
                        self.series += 1;
                        (entry, 0)
                    }
                    None => return Ok(self.batch.take()),
                },
            };
            if let Some(reference) = entry.chunks.get(at) {
                self.chunk(&entry, *reference)?;
                self.current = Some((entry, at + 1));
            }
        }
        Ok(self.batch.take())
    }

    fn chunk(&mut self, entry: &Entry, reference: u64) -> Result<(), TsdbError> {
        let (encoding, data) = self.chunks.read(reference)?;
        let labels = || entry.labels.iter().map(|(name, value)| (self.index.symbol(*name), self.index.symbol(*value)));
        let (batch, deleted) = (&mut self.batch, self.tombstones.of(entry.reference));
        let is_deleted = |ts: i64| deleted.iter().any(|(first, last)| (*first..=*last).contains(&ts));
        let decoded = decode::chunk(encoding, data, |sample| {
            if is_deleted(sample.timestamp()) {
                return;
            }
            match sample {
                decode::Sample::Float(sample) => batch.sample(labels(), sample),
                decode::Sample::Histogram(histogram) => batch.histogram(labels(), *histogram),
            }
        });
        decoded.map_err(|reason| self.chunks.corrupt(reference, reason))
    }
}
