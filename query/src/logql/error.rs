//! Why a LogQL request has no answer, in the few kinds that Loki tells its clients.

use std::time::Duration;

use catalog::ErrorKind;
use datafusion::common::DataFusionError;

use crate::admission::Busy;
use crate::engine::Workspace;
use crate::run::Ended;

/// `Result` of this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a LogQL request. The text is what the client reads.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is no query, the request makes no sense, or the query met lines that it cannot be evaluated over.
    #[error("{message}")]
    Invalid {
        /// What is wrong.
        message: String,
    },
    /// A limit of Loki's was hit. The text is Loki's.
    #[error("{message}")]
    Limit {
        /// The setting.
        name: &'static str,
        /// What the client reads.
        message: String,
    },
    /// The deadline passed. The text is Loki's.
    #[error(
        "request timed out, decrease the duration of the request or add more label matchers (prefer exact match over regex match) to reduce the amount of data processed"
    )]
    Timeout {
        /// How long it had.
        after: Duration,
    },
    /// Nobody wants the answer any more.
    #[error("the request was cancelled by the client")]
    Canceled,
    /// Too many queries of this tenant.
    #[error(
        "{running} queries of this tenant are running and {waiting} are waiting, limits are logql.queries_max and logql.queue_max; try again"
    )]
    Busy {
        /// Running.
        running: usize,
        /// Waiting.
        waiting: usize,
    },
    /// What was asked for is not there.
    #[error("{message}")]
    NotFound {
        /// What is not.
        message: String,
    },
    /// A setting is out of bounds.
    #[error("setting logql.{key} = {value} is not usable: {reason}")]
    Config {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// The bound it breaks.
        reason: &'static str,
    },
    /// Storage or the engine failed.
    #[error("{}", .0.public_message())]
    Query(#[source] crate::Error),
}

impl Error {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid { message: message.into() }
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid { .. } | Self::Limit { .. } | Self::Config { .. } => ErrorKind::Invalid,
            Self::Timeout { .. } => ErrorKind::Timeout,
            Self::Canceled => ErrorKind::Cancelled,
            Self::Busy { .. } => ErrorKind::Overloaded,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Query(error) => error.kind(),
        }
    }

    /// With the limit named that was hit in the memory of `workspace`.
    pub(crate) fn explained(self, workspace: &Workspace) -> Self {
        match self {
            Self::Query(error) => Self::Query(workspace.explain(error.into())),
            other => other,
        }
    }
}

impl From<Busy> for Error {
    fn from(Busy { running, waiting }: Busy) -> Self {
        metrics::counter!("telelake_logql_refused_total").increment(1);
        Self::Busy { running, waiting }
    }
}

impl From<Ended> for Error {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Canceled => Self::Canceled,
            Ended::TimedOut { after } => Self::Timeout { after },
        }
    }
}

impl From<crate::Error> for Error {
    fn from(error: crate::Error) -> Self {
        match error {
            crate::Error::Lake(lake::Error::Pattern { .. }) => Self::invalid(error.to_string()),
            other => Self::Query(other),
        }
    }
}

impl From<lake::Error> for Error {
    fn from(error: lake::Error) -> Self {
        Self::from(crate::Error::from(error))
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        Self::from(crate::Error::from(error))
    }
}
