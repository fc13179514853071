//! Why a query has no answer. Texts are Prometheus'.

use std::fmt;

/// Why a query has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EvalError {
    /// The query is refused before anything is read: a range of no length, a matrix for a range query.
    Invalid(String),
    /// The data does not fit the query: many-to-many matching, equal label sets.
    Failed(String),
    /// More samples at once than the query may hold.
    TooManySamples,
    /// More series than the query may hold; the limit.
    TooManySeries(usize),
    /// More steps than a subquery may have.
    TooManySteps {
        /// How many it would have.
        steps: usize,
        /// The limit.
        max: usize,
    },
    /// It took too long.
    TimedOut,
    /// Nobody waits for the answer any more.
    Canceled,
    /// Storage failed, with its text.
    Storage(String),
}

impl EvalError {
    /// Of the data.
    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }

    /// Two series of one vector have the same labels at the same time.
    pub(crate) fn same_labels() -> Self {
        Self::failed("vector cannot contain metrics with the same labelset")
    }
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(text) | Self::Failed(text) => f.write_str(text),
            Self::TooManySamples => f.write_str("query processing would load too many samples into memory in query execution"),
            Self::TooManySeries(max) => write!(f, "query would hold more than {max} series"),
            Self::TooManySteps { steps, max } => write!(f, "subquery would have {steps} steps, limit is {max}"),
            Self::TimedOut => f.write_str("query timed out in expression evaluation"),
            Self::Canceled => f.write_str("query was canceled in expression evaluation"),
            Self::Storage(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for EvalError {}
