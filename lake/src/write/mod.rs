//! Writing files.

use std::sync::Arc;

use arrow::array::RecordBatch;
use catalog::{Env, FileEntry, Level, Partition, Table, TenantId};
use futures::Stream;
use object_store::ObjectStore;

use crate::error::{Error, Result};

/// Whose file, and where it falls.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) tenant: TenantId,
    pub(crate) table: Table,
    pub(crate) level: Level,
    pub(crate) partition: Partition,
}

pub(crate) async fn write_rows(
    _store: &Arc<dyn ObjectStore>,
    _env: &Env,
    _tenant: &TenantId,
    _table: Table,
    _level: Level,
    _batches: Vec<RecordBatch>,
) -> Result<Vec<FileEntry>> {
    Err(Error::Internal("not ready".to_owned()))
}

pub(crate) async fn write_stream<S>(
    _store: &Arc<dyn ObjectStore>,
    _env: &Env,
    _target: &Target,
    _batches: S,
    _target_bytes: u64,
) -> Result<Vec<FileEntry>>
where
    S: Stream<Item = Result<RecordBatch>> + Send,
{
    Err(Error::Internal("not ready".to_owned()))
}
