//! What can go wrong with the manifest, and what the caller can do about it.

use object_store::path::Path;

use crate::manifest::{FileId, SnapshotId};
use crate::time::Timestamp;

/// `Result` of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller does about an error; the same few kinds in every crate of the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is wrong; it will be wrong again.
    Invalid,
    /// The thing does not exist.
    NotFound,
    /// Somebody was faster; reload and decide again.
    Conflict,
    /// A newer incarnation took over; stop.
    Fenced,
    /// A limit was hit; the message names it. Retrying the same request cannot help.
    TooLarge,
    /// Overloaded right now; retry after a pause.
    Overloaded,
    /// A dependency did not answer; retry with backoff.
    Unavailable,
    /// Credentials or permissions are missing.
    Denied,
    /// Took longer than allowed.
    Timeout,
    /// The caller went away or asked to stop.
    Cancelled,
    /// Stored bytes break their format; an operator must look.
    Corrupt,
    /// Written by a newer version of this program.
    Unsupported,
    /// A bug.
    Internal,
}

impl ErrorKind {
    /// The word for it in the bodies of answers, in logs and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Fenced => "fenced",
            Self::TooLarge => "too_large",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::Denied => "denied",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Corrupt => "corrupt",
            Self::Unsupported => "unsupported",
            Self::Internal => "internal",
        }
    }
}

/// An error of the catalog.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The edit no longer fits the newest snapshot (an input file is gone, say). Plan again.
    #[error("edit conflicts with snapshot {snapshot}: {reason}")]
    Conflict {
        /// The snapshot it was checked against.
        snapshot: SnapshotId,
        /// What does not fit.
        reason: String,
    },
    /// A newer incarnation of this writer holds the epoch, or our slot was cleaned while we stalled. This process must stop writing.
    #[error("writer is fenced: {reason}")]
    Fenced {
        /// Who fenced us.
        reason: String,
    },
    /// The file is so old that gc may have deleted it already: write its rows again, to a new file.
    #[error("file {file} was minted before {} ns after the epoch, and what nothing named by then is deleted", floor.as_nanos())]
    Condemned {
        /// The file.
        file: FileId,
        /// Files minted before this are refused.
        floor: Timestamp,
    },
    /// The log range was committed before: the rows are safe already.
    #[error("log range up to {to} of this writer was committed before")]
    AlreadyCommitted {
        /// End of the range.
        to: u64,
    },
    /// The edit makes no sense on any snapshot.
    #[error("edit is invalid: {reason}")]
    InvalidEdit {
        /// What is wrong with it.
        reason: String,
    },
    /// The edit does not fit into one log entry. Split it.
    #[error("edit has {bytes} bytes, limit is {limit}")]
    EditTooLarge {
        /// Its encoded size.
        bytes: usize,
        /// The most that an entry may have.
        limit: usize,
    },
    /// More commits wait than the queue holds.
    #[error("{waiting} commits are waiting, limit is {limit}")]
    Busy {
        /// Commits in the queue.
        waiting: usize,
        /// The most that may wait.
        limit: usize,
    },
    /// The store did not say whether the entry was written: the edit may or may not take effect. Trying the same edit again is safe
    /// where it names a log range or inputs; it is then refused if it took effect.
    #[error("outcome of log entry {slot} is unknown: {reason}")]
    InDoubt {
        /// Its sequence number.
        slot: SnapshotId,
        /// The last answer of the store.
        reason: String,
    },
    /// Stored bytes break the format.
    #[error("{path} is corrupt: {reason}")]
    Corrupt {
        /// The object.
        path: Path,
        /// What is wrong with it.
        reason: String,
    },
    /// Written by a newer version.
    #[error("{path} has format version {found}, this build reads up to {supported}; upgrade telelake")]
    Unsupported {
        /// The object.
        path: Path,
        /// The version it claims.
        found: u32,
        /// The newest that we know.
        supported: u32,
    },
    /// The snapshot was cleaned, or never existed.
    #[error("snapshot {0} is not available")]
    NoSuchSnapshot(SnapshotId),
    /// The store cannot create an object only if absent; the manifest cannot live there.
    #[error("the store does not refuse to create an object twice (create-if-absent); use a store that supports If-None-Match")]
    NoCreateIfAbsent,
    /// The store failed.
    #[error("object store failed on {path}: {source}")]
    Store {
        /// The object.
        path: Path,
        /// Why.
        source: object_store::Error,
    },
}

impl Error {
    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Conflict { .. } | Self::Condemned { .. } => ErrorKind::Conflict,
            Self::Fenced { .. } => ErrorKind::Fenced,
            Self::AlreadyCommitted { .. } => ErrorKind::Conflict,
            Self::InvalidEdit { .. } => ErrorKind::Invalid,
            Self::EditTooLarge { .. } => ErrorKind::TooLarge,
            Self::Busy { .. } => ErrorKind::Overloaded,
            Self::InDoubt { .. } => ErrorKind::Unavailable,
            Self::Corrupt { .. } => ErrorKind::Corrupt,
            Self::Unsupported { .. } | Self::NoCreateIfAbsent => ErrorKind::Unsupported,
            Self::NoSuchSnapshot(_) => ErrorKind::NotFound,
            Self::Store { source, .. } => match source {
                object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => ErrorKind::Denied,
                object_store::Error::NotFound { .. } => ErrorKind::NotFound,
                _ => ErrorKind::Unavailable,
            },
        }
    }
}
