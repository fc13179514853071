//! Where frozen generations go: files on the store and one commit that names them together with their log range.

use std::fmt;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use catalog::manifest::{LogMark, Operation, WriterId};
use catalog::{FileEntry, SnapshotId, Table, TenantId};

use crate::error::Result;

/// What a flush needs of the lake: write files, commit them, know how far the log is committed. `lake::Lake` is one.
#[async_trait]
pub trait Destination: Send + Sync + fmt::Debug {
    /// Writes `batches` (schema [`catalog::schema::rows`], any order) as level 0 files, which nobody sees before they are committed.
    ///
    /// # Errors
    /// [`crate::Error::Flush`]; every kind is worth a retry, since the rows are safe in the log.
    async fn write(&self, tenant: &TenantId, table: Table, batches: Vec<RecordBatch>) -> Result<Vec<FileEntry>>;

    /// Commits `operations` as a whole.
    ///
    /// # Errors
    /// As `catalog::manifest`: `AlreadyCommitted` and `Fenced` matter here, the rest is retried.
    async fn commit(&self, operations: Vec<Operation>) -> catalog::Result<SnapshotId>;

    /// Loads what others committed.
    ///
    /// # Errors
    /// As `catalog::manifest`.
    async fn refresh(&self) -> catalog::Result<()>;

    /// How far the log of `writer` is committed in the snapshot that readers pin now.
    fn mark(&self, writer: WriterId) -> Option<LogMark>;
}
