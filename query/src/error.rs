//! What can go wrong with a query, and what the caller can do about it.

use catalog::ErrorKind;
use datafusion::common::{DataFusionError, SchemaError};

/// `Result` of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a query.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The lake failed. The message of the source may name objects; [`Error::public_message`] does not.
    #[error(transparent)]
    Lake(#[from] lake::Error),
    /// The manifest failed.
    #[error(transparent)]
    Catalog(#[from] catalog::Error),
    /// The query text is wrong: syntax, types, unknown functions.
    #[error("{message}")]
    Invalid {
        /// What is wrong with it.
        message: String,
    },
    /// A table or column does not exist.
    #[error("{message}")]
    NotFound {
        /// What is missing.
        message: String,
    },
    /// A limit was hit.
    #[error("query needs {found} {what}, limit {name} is {limit}")]
    Limit {
        /// Which key of the configuration holds the limit.
        name: &'static str,
        /// What there is too much of.
        what: &'static str,
        /// How much the query needs, as far as it is known.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// The query's own memory limit was hit.
    #[error("query needs more than {} of memory, limit query.limits.memory_bytes_max", bytes_text(*limit))]
    Memory {
        /// The limit in bytes.
        limit: u64,
    },
    /// All queries together hold too much; try again later.
    #[error("running queries need more than {} of memory together, limit query.node_memory_bytes_max; try again", bytes_text(*limit))]
    NodeMemory {
        /// The limit in bytes.
        limit: u64,
    },
    /// Rows that queries spilled take all the room there is for them.
    #[error("spilled rows of running queries need more room than they have, limit query.spill_bytes_max; try again")]
    Spills,
    /// An argument of a function is beyond its cap.
    #[error("{function} would make {found} {what}, the cap is {limit}")]
    FunctionCap {
        /// The function.
        function: &'static str,
        /// What it makes.
        what: &'static str,
        /// How much.
        found: u64,
        /// The cap.
        limit: u64,
    },
    /// Nobody wants the answer any more.
    #[error("query was stopped")]
    Stopped,
    /// A setting is out of bounds.
    #[error("setting query.{key} = {value} is not usable: {reason}")]
    Config {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// The bound it breaks.
        reason: &'static str,
    },
    /// A bug, or a dependency's.
    #[error("internal error: {message}")]
    Internal {
        /// For the log, not for the client.
        message: String,
    },
}

impl Error {
    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Lake(source) => source.kind(),
            Self::Catalog(source) => source.kind(),
            Self::Invalid { .. } | Self::Config { .. } => ErrorKind::Invalid,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Limit { .. } | Self::Memory { .. } | Self::FunctionCap { .. } => ErrorKind::TooLarge,
            Self::NodeMemory { .. } | Self::Spills => ErrorKind::Overloaded,
            Self::Stopped => ErrorKind::Cancelled,
            Self::Internal { .. } => ErrorKind::Internal,
        }
    }

    /// The message for a client: without object paths and without the insides of a bug.
    pub fn public_message(&self) -> String {
        match (self, self.kind()) {
            (Self::Catalog(e @ catalog::Error::NoSuchSnapshot(_)), _) => e.to_string(),
            (Self::Lake(_) | Self::Catalog(_), ErrorKind::Unavailable) => "the object store did not answer; try again".to_owned(),
            (Self::Lake(_) | Self::Catalog(_), ErrorKind::NotFound) => {
                "a file of this snapshot is gone; query a newer snapshot".to_owned()
            }
            (Self::Lake(_) | Self::Catalog(_), ErrorKind::Corrupt) => {
                "a stored file is damaged; the operator's log names it".to_owned()
            }
            (Self::Lake(_) | Self::Catalog(_), ErrorKind::Denied) => "the object store denied access".to_owned(),
            (Self::Internal { .. }, _) => "internal error; the operator's log says more".to_owned(),
            _ => self.to_string(),
        }
    }

    /// Sorts an error of DataFusion: our own errors come back as they were put in, the rest by what the caller can do.
    pub fn from_datafusion(error: DataFusionError) -> Self {
        match error {
            DataFusionError::External(source) => match source.downcast::<Self>() {
                Ok(own) => *own,
                Err(other) => Self::Internal { message: other.to_string() },
            },
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => Self::from_datafusion(*inner),
            DataFusionError::Collection(errors) => match errors.into_iter().next() {
                Some(first) => Self::from_datafusion(first),
                None => Self::Internal { message: "empty error".to_owned() },
            },
            DataFusionError::Shared(shared) => match std::sync::Arc::try_unwrap(shared) {
                Ok(inner) => Self::from_datafusion(inner),
                Err(shared) => Self::from_shared(&shared),
            },
            DataFusionError::ArrowError(source, _) => match *source {
                arrow::error::ArrowError::ExternalError(source) => match source.downcast::<DataFusionError>() {
                    Ok(inner) => Self::from_datafusion(*inner),
                    Err(source) => match source.downcast::<Self>() {
                        Ok(own) => *own,
                        Err(other) => Self::Internal { message: other.to_string() },
                    },
                },
                other if is_spill_quota(&other.to_string()) => Self::Spills,
                other => Self::Invalid { message: clean(&other.to_string()) },
            },
            other => Self::from_parts(&other),
        }
    }

    /// An error that several partitions share cannot be taken apart; what it says decides.
    fn from_shared(error: &DataFusionError) -> Self {
        let root = error.find_root();
        if let DataFusionError::External(source) = root
            && let Some(own) = source.downcast_ref::<Self>()
        {
            return own.copy();
        }
        Self::from_parts(root)
    }

    fn from_parts(error: &DataFusionError) -> Self {
        let message = clean(&error.message());
        match error {
            _ if is_spill_quota(&message) => Self::Spills,
            DataFusionError::SQL(source, _) => Self::Invalid { message: clean(&source.to_string()) },
            DataFusionError::SchemaError(source, _) => match **source {
                SchemaError::FieldNotFound { .. } => Self::NotFound { message: lower_first(&clean(&source.to_string())) },
                _ => Self::Invalid { message: lower_first(&clean(&source.to_string())) },
            },
            DataFusionError::Plan(_) if message.starts_with("table '") && message.ends_with("not found") => {
                Self::NotFound { message }
            }
            DataFusionError::Plan(_)
            | DataFusionError::NotImplemented(_)
            | DataFusionError::Execution(_)
            | DataFusionError::ArrowError(..)
            | DataFusionError::Configuration(_) => Self::Invalid { message: lower_first(&message) },
            DataFusionError::Internal(_) if message.contains("Regular expression did not compile") => Self::Invalid { message },
            // The memory pools answer for themselves through `memory::QueryPool::explain`.
            DataFusionError::ResourcesExhausted(_) => Self::Memory { limit: 0 },
            _ => Self::Internal { message },
        }
    }

    /// A copy that keeps kind and message.
    pub(crate) fn copy(&self) -> Self {
        match self {
            Self::Invalid { message } => Self::Invalid { message: message.clone() },
            Self::NotFound { message } => Self::NotFound { message: message.clone() },
            &Self::Limit { name, what, found, limit } => Self::Limit { name, what, found, limit },
            &Self::Memory { limit } => Self::Memory { limit },
            Self::Stopped => Self::Stopped,
            Self::Spills => Self::Spills,
            &Self::NodeMemory { limit } => Self::NodeMemory { limit },
            &Self::FunctionCap { function, what, found, limit } => Self::FunctionCap { function, what, found, limit },
            other => Self::Internal { message: other.to_string() },
        }
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        Self::from_datafusion(error)
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        Self::External(Box::new(error))
    }
}

/// DataFusion says it as an I/O error, through several hands.
fn is_spill_quota(message: &str) -> bool {
    message.contains("used disk space during the spilling process has exceeded")
}

/// First line only, without DataFusion's back traces and its own prefixes.
fn clean(message: &str) -> String {
    let message = message.split("\n\nbacktrace:").next().unwrap_or_default();
    let message = message.split("This issue was likely caused by a bug").next().unwrap_or_default();
    let mut message = message.trim();
    for prefix in
        ["Error during planning: ", "SQL error: ", "sql parser error: ", "Schema error: ", "Execution error: ", "Parser error: "]
    {
        message = message.strip_prefix(prefix).unwrap_or(message);
    }
    message.trim_end_matches('.').to_owned()
}

fn lower_first(message: &str) -> String {
    let mut chars = message.chars();
    match (chars.next(), chars.clone().next()) {
        // `SELECT ...` and `No such` differ in their second letter.
        (Some(first), Some(second)) if !second.is_uppercase() => first.to_lowercase().chain(chars).collect(),
        _ => message.to_owned(),
    }
}

/// `256 MiB`, `1.5 GiB`, `100 B`.
fn bytes_text(bytes: u64) -> String {
    for (unit, size) in [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= size {
            let whole = bytes as f64 / size as f64;
            return if bytes.is_multiple_of(size) { format!("{whole} {unit}") } else { format!("{whole:.1} {unit}") };
        }
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_errors_survive_datafusion() {
        let error: DataFusionError = Error::FunctionCap { function: "repeat", what: "bytes", found: 9, limit: 3 }.into();
        let error = Error::from(DataFusionError::Context("x".into(), Box::new(error)));
        assert_eq!(error.to_string(), "repeat would make 9 bytes, the cap is 3");
        let shared = std::sync::Arc::new(DataFusionError::from(Error::Memory { limit: 256 << 20 }));
        let second = std::sync::Arc::clone(&shared);
        let error = Error::from(DataFusionError::Shared(shared));
        assert_eq!(error.to_string(), "query needs more than 256 MiB of memory, limit query.limits.memory_bytes_max");
        drop(second);
    }

    #[test]
    fn messages_are_cleaned() {
        let error = Error::from(DataFusionError::Plan("Projection is wrong".into()));
        assert_eq!(error.to_string(), "projection is wrong");
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(Error::Internal { message: "path/x".into() }.public_message(), "internal error; the operator's log says more");
    }
}
