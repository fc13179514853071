//! Why a query cannot be evaluated.

/// `Result` of this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of an evaluation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A pattern is none, or its machine is too large.
    #[error("{reason}")]
    Regex {
        /// In Go's words.
        reason: String,
    },
    /// The tree says what has no meaning; a validated one never does.
    #[error("{what} has no meaning here")]
    Meaningless {
        /// The part.
        what: &'static str,
    },
    /// The tree is deeper than is evaluated.
    #[error("the query is nested deeper than {limit} levels")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// The query names more fields than can be numbered.
    #[error("the query names more than {limit} fields")]
    TooManyFields {
        /// The limit.
        limit: usize,
    },
    /// A metrics query puts more pipelines together than are evaluated at once.
    #[error("the query puts more than {limit} pipelines together")]
    TooManyLeaves {
        /// The limit.
        limit: usize,
    },
    /// A metrics query makes more series than one evaluation holds.
    #[error("the query makes more than {limit} series; group by fields with fewer values, or filter")]
    TooManySeries {
        /// The limit.
        limit: usize,
    },
    /// A metrics query makes more samples than one evaluation holds.
    #[error("{series} series of {steps} steps are more than {limit} samples; ask for less time, a longer step or fewer groups")]
    TooManySamples {
        /// How many series.
        series: usize,
        /// How many steps.
        steps: usize,
        /// The limit of their product.
        limit: usize,
    },
}
