//! Why a PromQL request has no answer, in the few kinds that Prometheus tells its clients.

use std::sync::Arc;
use std::time::Duration;

use arrow::error::ArrowError;
use catalog::ErrorKind;
use datafusion::common::DataFusionError;
use promql::eval::EvalError;
use promql::parse::ParseError;

use crate::admission::Busy;
use crate::engine::Session;
use crate::run::Ended;

/// `Result` of this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a PromQL request. The text is what the client reads.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is no query.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The request makes no sense, whatever is stored.
    #[error("{message}")]
    Invalid {
        /// What does not.
        message: String,
    },
    /// The query met data that it cannot be evaluated over.
    #[error("{message}")]
    Execution {
        /// What.
        message: String,
    },
    /// A limit was hit.
    #[error("query needs {found} {what}, limit {name} is {limit}")]
    Limit {
        /// The setting.
        name: &'static str,
        /// What there is too much of.
        what: &'static str,
        /// How much there is, at least.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// More samples at once than a query may hold. The text is Prometheus'.
    #[error("query processing would load too many samples into memory in query execution")]
    Samples {
        /// The limit, [`super::PromqlConfig::samples_max`].
        limit: u64,
    },
    /// The deadline passed.
    #[error("query timed out in expression evaluation")]
    Timeout {
        /// How long it had.
        after: Duration,
    },
    /// Nobody wants the answer any more.
    #[error("query was canceled in expression evaluation")]
    Canceled,
    /// Too many queries of this tenant.
    #[error(
        "{running} queries of this tenant are running and {waiting} are waiting, limits are promql.queries_max and promql.queue_max; try again"
    )]
    Busy {
        /// Running.
        running: usize,
        /// Waiting.
        waiting: usize,
    },
    /// A setting is out of bounds.
    #[error("setting promql.{key} = {value} is not usable: {reason}")]
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
    /// What failed was done for several who asked the same.
    #[error(transparent)]
    Shared(Arc<Error>),
}

/// Prometheus' `errorType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// `bad_data`, 400.
    BadData,
    /// `execution`, 422.
    Execution,
    /// `timeout`, 503.
    Timeout,
    /// `canceled`, 499.
    Canceled,
    /// `internal`, 500.
    Internal,
    /// `unavailable`, 500: storage did not answer.
    Unavailable,
    /// `not_found`, 404.
    NotFound,
    /// Too much at once, 429: Prometheus knows no such thing, its queries wait.
    Busy,
}

impl Error {
    /// One's own copy of an error that others get too.
    pub(crate) fn of_shared(error: Arc<Self>) -> Self {
        Arc::try_unwrap(error).unwrap_or_else(Self::Shared)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid { message: message.into() }
    }

    /// What Prometheus would call it.
    pub fn error_type(&self) -> ErrorType {
        match self {
            Self::Parse(_) | Self::Invalid { .. } | Self::Config { .. } => ErrorType::BadData,
            Self::Execution { .. } | Self::Limit { .. } | Self::Samples { .. } => ErrorType::Execution,
            Self::Timeout { .. } => ErrorType::Timeout,
            Self::Canceled => ErrorType::Canceled,
            Self::Busy { .. } => ErrorType::Busy,
            Self::Shared(error) => error.error_type(),
            Self::Query(error) => match error.kind() {
                ErrorKind::Invalid => ErrorType::BadData,
                ErrorKind::TooLarge => ErrorType::Execution,
                ErrorKind::NotFound => ErrorType::NotFound,
                ErrorKind::Overloaded => ErrorType::Busy,
                ErrorKind::Unavailable => ErrorType::Unavailable,
                ErrorKind::Timeout => ErrorType::Timeout,
                ErrorKind::Cancelled => ErrorType::Canceled,
                _ => ErrorType::Internal,
            },
        }
    }
}

impl Error {
    /// As an error of DataFusion, from which [`Error::of_plan`] takes it again.
    pub(crate) fn into_plan(self) -> DataFusionError {
        DataFusionError::External(Box::new(self))
    }

    /// With the limit named that was hit in `session`'s memory.
    pub(crate) fn explained(self, session: &Session) -> Self {
        match self {
            Self::Query(error) => Self::Query(session.explain(error.into())),
            other => other,
        }
    }

    /// What a plan of `session` failed with.
    pub(crate) fn of_plan(error: DataFusionError, session: &Session) -> Self {
        match error {
            DataFusionError::External(source) => match source.downcast::<Self>() {
                Ok(own) => own.explained(session),
                Err(other) => Self::Query(session.explain(DataFusionError::External(other))),
            },
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => Self::of_plan(*inner, session),
            DataFusionError::ArrowError(source, trace) => match *source {
                ArrowError::ExternalError(source) => match source.downcast::<DataFusionError>() {
                    Ok(inner) => Self::of_plan(*inner, session),
                    Err(other) => Self::Query(session.explain(DataFusionError::External(other))),
                },
                other => Self::Query(session.explain(DataFusionError::ArrowError(Box::new(other), trace))),
            },
            other => Self::from(session.explain(other)),
        }
    }
}

impl From<Busy> for Error {
    fn from(Busy { running, waiting }: Busy) -> Self {
        metrics::counter!("telelake_promql_refused_total").increment(1);
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

impl From<Ended> for EvalError {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Canceled => Self::Canceled,
            Ended::TimedOut { .. } => Self::TimedOut,
        }
    }
}

impl From<EvalError> for Error {
    fn from(error: EvalError) -> Self {
        match error {
            EvalError::Invalid(message) => Self::Invalid { message },
            EvalError::TooManySamples => Self::Samples { limit: 0 },
            EvalError::TooManySeries(limit) => {
                Self::Limit { name: "promql.series_max", what: "series", found: limit as u64 + 1, limit: limit as u64 }
            }
            EvalError::TimedOut => Self::Timeout { after: Duration::ZERO },
            EvalError::Canceled => Self::Canceled,
            other => Self::Execution { message: other.to_string() },
        }
    }
}

impl From<crate::Error> for Error {
    fn from(error: crate::Error) -> Self {
        match error {
            crate::Error::Lake(lake::Error::TooLarge { what: "series selected", found, limit }) => {
                Self::Limit { name: "promql.series_max", what: "series", found, limit }
            }
            crate::Error::Lake(lake::Error::Pattern { .. }) => Self::invalid(error.to_string()),
            other => Self::Query(other),
        }
    }
}

impl From<Error> for crate::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Query(error) => error,
            Error::Limit { name, what, found, limit } => Self::Limit { name, what, found, limit },
            other => Self::Invalid { message: other.to_string() },
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
