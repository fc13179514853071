//! What a query means: [`lower()`] makes operators of a tree, [`interpret()`] runs them in memory.
//!
//! ```text
//! Expr ─[lower]─► Plan ─┬─ [interpret] ─► Answer          one operator after the other, everything in memory
//!                       └─ physical operators in `query`  batches of series, partitions, limits on memory
//!                            both call `apply` of the same operators
//! ```
//! Source of all rules: Prometheus 3.14 `promql/engine.go`, `info.go`, `durations.go`.
//!
//! # Invariants
//! - A query on a grid gives at each step what an instant query at that time gives. (Sorting aside, which a range query has not, and what
//!   depends on the query's own times.)
//! - Texts of errors and annotations are Prometheus'.
//! - Nothing is unbounded: steps and samples have limits, and every series asks whether to go on.

mod context;
mod error;
mod interpret;
mod looks;
mod lower;
mod matchers;
pub mod operators;
mod plan;
mod steady;
mod step;

pub use context::{Budget, Check, EvalContext, weight_of_histogram, weight_of_raw, weight_of_steps};
pub use error::EvalError;
pub use interpret::{Answer, AnswerValue, Source, finish, interpret};
pub use looks::Looks;
pub use lower::{QueryOptions, lower};
pub use matchers::Matchers;
pub use operators::Select;
pub use plan::{Node, Operator, Plan, Streaming};
pub use steady::Steady;
pub use step::{Data, accumulate, begin, repeat, step, step_raw, step_series};
