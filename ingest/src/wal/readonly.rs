//! The rows of a stopped node, for a reader that only looks.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use catalog::TenantId;
use catalog::manifest::WriterId;
use lake::{FreshCapture, FreshGeneration, FreshRows};

use super::folder;
use super::fs::{DiskFs, WalFs};
use super::recover::{Piece, Replay};
use crate::buffer::Tables;
use crate::config::Recover;
use crate::error::{Error, Result};

/// Acknowledged rows of a stopped node that are not in files.
#[derive(Debug)]
pub struct StoppedRows {
    writer: WriterId,
    first: u64,
    tenants: HashMap<TenantId, Tables>,
}

/// Reads what lies in the log at `dir` behind the mark that `committed` gives for its writer (0: nothing is committed). Changes nothing
/// and keeps nobody from starting. `None` when there is no log. Blocks; holds the rows in memory, which a node bounds by
/// `flush.buffered_bytes_max`.
///
/// # Errors
/// [`Error::Locked`] while the node runs: ask it instead. [`Error::Io`], [`Error::Corrupt`], [`Error::Unsupported`].
pub fn replay_readonly(dir: &Path, committed: impl Fn(WriterId) -> u64) -> Result<Option<StoppedRows>> {
    let fs = Arc::new(DiskFs);
    let lock = dir.join("lock");
    if !lock.exists() {
        return Ok(None);
    }
    // Taken for a moment only, to see whether anybody has it.
    match fs.lock(&lock).map_err(folder::io("lock", &lock))? {
        Ok(free) => drop(free),
        Err(pid) => return Err(Error::Locked { path: dir.to_owned(), pid }),
    }
    if !dir.join("writer").exists() {
        return Ok(None);
    }
    let writer = folder::read_identity(&*fs, dir)?;
    let contents = folder::contents(&*fs, dir, writer)?;
    let committed = committed(writer);
    let mut rows = StoppedRows { writer, first: committed + 1, tenants: HashMap::new() };
    let mut replay = Replay::new(fs, writer, contents.segments, committed, Recover::Refuse);
    while let Some(Piece { records, .. }) = replay.step()? {
        for (_, record) in records {
            let tables = rows.tenants.entry(record.tenant).or_default();
            for (table, batch) in record.rows {
                tables.entry(table).or_default().push(batch);
            }
        }
    }
    Ok(Some(rows))
}

impl StoppedRows {
    /// Whether nothing is waiting.
    pub fn is_empty(&self) -> bool {
        self.tenants.is_empty()
    }
}

impl FreshRows for StoppedRows {
    fn capture(&self, tenant: &TenantId) -> FreshCapture {
        let tables = self.tenants.get(tenant).cloned();
        let generation = tables.map(|tables| FreshGeneration { writer: self.writer, first: self.first, tables });
        FreshCapture { generations: generation.into_iter().collect() }
    }
}
