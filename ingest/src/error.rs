//! What can go wrong with the log, the buffer and the flush outside of a request. A request's errors are [`crate::sink::SinkError`].

use std::io;
use std::path::PathBuf;

use catalog::ErrorKind;

/// `Result` of the durable half of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the log could not be opened, or rows could not be flushed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is out of bounds.
    #[error("{key} is {value}, allowed are {min} to {max}")]
    Config {
        /// The key.
        key: &'static str,
        /// Its value.
        value: u64,
        /// Smallest allowed.
        min: u64,
        /// Largest allowed.
        max: u64,
    },
    /// The disk log has no folder.
    #[error("wal.dir is not set")]
    NoFolder,
    /// Another process has the log open.
    #[error("folder {path} is in use by another telelake process (pid {pid}); stop it or choose another --data")]
    Locked {
        /// The folder.
        path: PathBuf,
        /// Who has it, if it told.
        pid: String,
    },
    /// The operating system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What we tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Records that were acknowledged cannot be read from the log any more.
    #[error("write-ahead log {path} is damaged: {reason}; set wal.recover = \"skip\" to start without these records")]
    Corrupt {
        /// The segment.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// Written by a newer version.
    #[error("{path} has format version {found}, this build reads up to {supported}; upgrade telelake")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The version it claims.
        found: u32,
        /// The newest that we know.
        supported: u32,
    },
    /// A newer incarnation of this writer took over, so this one must stop.
    #[error("this node was replaced: {reason}")]
    Fenced {
        /// By whom.
        reason: String,
    },
    /// The manifest could not be read or written.
    #[error("catalog failed: {0}")]
    Catalog(#[from] catalog::Error),
    /// Rows could not be written to the store.
    #[error("flush failed: {reason}")]
    Flush {
        /// What the caller can do about it.
        kind: ErrorKind,
        /// Why.
        reason: String,
    },
    /// The ingester is stopping, or has stopped.
    #[error("the ingester has stopped")]
    Stopped,
}

impl Error {
    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Config { .. } | Self::NoFolder => ErrorKind::Invalid,
            Self::Locked { .. } => ErrorKind::Conflict,
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
                io::ErrorKind::NotFound => ErrorKind::NotFound,
                _ => ErrorKind::Unavailable,
            },
            Self::Corrupt { .. } => ErrorKind::Corrupt,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::Fenced { .. } => ErrorKind::Fenced,
            Self::Catalog(error) => error.kind(),
            Self::Flush { kind, .. } => *kind,
            Self::Stopped => ErrorKind::Cancelled,
        }
    }
}
