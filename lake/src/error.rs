//! What can go wrong with the bytes on the store, and what the caller can do about it.

use catalog::{ErrorKind, FileId, Table};
use object_store::path::Path;

/// `Result` of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the lake.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The manifest refused or failed.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    /// The store failed.
    #[error("object store failed on {path}: {source}")]
    Store {
        /// The object.
        path: Path,
        /// Why.
        source: object_store::Error,
    },
    /// Stored bytes break the format.
    #[error("{path} is corrupt: {reason}")]
    Corrupt {
        /// The object.
        path: Path,
        /// What is wrong with it.
        reason: String,
    },
    /// The batch does not have the columns of its table.
    #[error("rows of {table} do not fit its schema: {reason}")]
    Schema {
        /// The table.
        table: Table,
        /// What does not fit.
        reason: String,
    },
    /// No such column in the table.
    #[error("table {table} has no column {column:?}")]
    NoColumn {
        /// The table.
        table: Table,
        /// The name asked for.
        column: String,
    },
    /// A label matcher's pattern is no regular expression or too big.
    #[error("regular expression {pattern:?} is not usable: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why.
        reason: String,
    },
    /// The selector of a delete predicate cannot be read: a newer version may have written it.
    #[error("delete predicate {delete} cannot be read: {reason}")]
    Selector {
        /// The predicate.
        delete: FileId,
        /// Why.
        reason: String,
    },
    /// A setting is out of bounds.
    #[error("setting {key} = {value} is not usable: {reason}")]
    Config {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// The bound it breaks.
        reason: &'static str,
    },
    /// A limit was hit.
    #[error("{what}: {found}, limit is {limit}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// Encoding columns failed.
    #[error("cannot encode a file of {table}: {reason}")]
    Encode {
        /// The table.
        table: Table,
        /// Why.
        reason: String,
    },
    /// Decoding a file that passed its checksums failed.
    #[error("cannot decode file {file} of {table}: {reason}")]
    Decode {
        /// The table.
        table: Table,
        /// The file.
        file: FileId,
        /// Why.
        reason: String,
    },
    /// A task died.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Catalog(source) => source.kind(),
            Self::Store { source, .. } => match source {
                object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => ErrorKind::Denied,
                object_store::Error::NotFound { .. } => ErrorKind::NotFound,
                _ => ErrorKind::Unavailable,
            },
            Self::Corrupt { .. } | Self::Decode { .. } => ErrorKind::Corrupt,
            Self::NoColumn { .. } | Self::Pattern { .. } | Self::Config { .. } => ErrorKind::Invalid,
            Self::Selector { .. } => ErrorKind::Unsupported,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Schema { .. } | Self::Encode { .. } | Self::Internal(_) => ErrorKind::Internal,
        }
    }
}
