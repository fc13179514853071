//! Why a TraceQL request has no answer, in the few kinds that Tempo tells its clients.

use std::time::Duration;

use catalog::ErrorKind;
use datafusion::common::DataFusionError;

use crate::admission::Busy;
use crate::engine::Session;
use crate::run::Ended;

/// `Result` of this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a TraceQL request. The text is what the client reads.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is no query, or the request makes no sense.
    #[error("{message}")]
    Invalid {
        /// What is wrong.
        message: String,
    },
    /// A limit was hit.
    #[error("{message}")]
    Limit {
        /// The setting.
        name: &'static str,
        /// What the client reads.
        message: String,
    },
    /// A trace has more spans than may be returned.
    #[error("trace {id} has more than {limit} spans (traceql.trace_spans_max)")]
    TraceTooLarge {
        /// Its id in hex.
        id: String,
        /// The limit.
        limit: usize,
    },
    /// The deadline passed.
    #[error("the query took longer than {after:?}; ask for less time, or filter by resource.service.name")]
    Timeout {
        /// How long it had.
        after: Duration,
    },
    /// Nobody wants the answer any more.
    #[error("the request was cancelled by the client")]
    Canceled,
    /// Too many queries of this tenant.
    #[error(
        "{running} queries of this tenant are running and {waiting} are waiting, limits are traceql.queries_max and traceql.queue_max; try again"
    )]
    Busy {
        /// Running.
        running: usize,
        /// Waiting.
        waiting: usize,
    },
    /// A setting is out of bounds.
    #[error("setting traceql.{key} = {value} is not usable: {reason}")]
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
            Self::Invalid { .. } | Self::Limit { .. } | Self::Config { .. } | Self::TraceTooLarge { .. } => ErrorKind::Invalid,
            Self::Timeout { .. } => ErrorKind::Timeout,
            Self::Canceled => ErrorKind::Cancelled,
            Self::Busy { .. } => ErrorKind::Overloaded,
            Self::Query(error) => error.kind(),
        }
    }

    /// With the limit named that was hit in `session`'s memory.
    pub(crate) fn explained(self, session: &Session) -> Self {
        match self {
            Self::Query(error) => Self::Query(session.explain(error.into())),
            other => other,
        }
    }
}

impl From<Busy> for Error {
    fn from(Busy { running, waiting }: Busy) -> Self {
        metrics::counter!("telelake_traceql_refused_total").increment(1);
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
        Self::Query(error)
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
