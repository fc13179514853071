//! The seam between receivers and the durable part: a set of rows goes in, an acknowledgement comes out.

use std::fmt;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use catalog::{ErrorKind, Table, TenantId};

/// The rows of one request, to be made durable as a whole.
#[derive(Debug, Clone)]
pub struct Append {
    /// Owner.
    pub tenant: TenantId,
    /// xxh3-128 over tenant, signal and the whole decompressed request body. A request that was acknowledged within the
    /// window is acknowledged again without being stored again. `None`: never deduplicated.
    pub fingerprint: Option<u128>,
    /// Batches in the schema [`catalog::schema::rows`] of their table. A table may occur more than once.
    pub rows: Vec<(Table, RecordBatch)>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// Synced; visible to queries.
    Stored,
    /// The same request was stored before.
    Duplicate,
}

/// Why rows were not taken. Nothing of the request is stored.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// Buffers or log are full, or the disk is; try again after a pause.
    #[error("{reason}; retry after {retry_after_s} s")]
    Overloaded {
        /// What is full.
        reason: String,
        /// Suggested pause.
        retry_after_s: u64,
    },
    /// The log could not be written or synced; the rows may or may not be on disk, but were not acknowledged.
    #[error("write-ahead log failed: {reason}")]
    Log {
        /// What failed.
        reason: String,
    },
    /// The request's rows are larger than the log takes at once; smaller requests would pass.
    #[error("the request's rows have {bytes} bytes, limit is {bytes_max}")]
    TooLarge {
        /// Encoded size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// The node is stopping.
    #[error("the node is shutting down")]
    ShuttingDown,
}

impl SinkError {
    /// The pause that a retry should make, in seconds, if a pause can help.
    pub fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::Overloaded { retry_after_s, .. } => Some((*retry_after_s).max(1)),
            _ => None,
        }
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Overloaded { .. } => ErrorKind::Overloaded,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Log { .. } | Self::ShuttingDown => ErrorKind::Unavailable,
        }
    }
}

/// Takes rows and answers once they are durable and visible.
#[async_trait]
pub trait RowSink: Send + Sync + fmt::Debug {
    /// Makes all rows of `append` durable, or none.
    async fn append(&self, append: Append) -> Result<Appended, SinkError>;
}
