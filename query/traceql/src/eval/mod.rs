//! What a query means over spans.
//!
//! ```text
//!            ┌─ [Filter]   one span at a time: does it match
//! ast ─new─► ┼─ [Search]   the spans of one trace ► spansets         slots: which fields storage has to hand over
//!            └─ [Metrics]  spans of many traces ► [LeafState], merged ► series
//! ```
//! A tree is compiled once per query: fields are slots, patterns are machines, `&&` and `||` are flat. Then nothing is allocated for a span
//! that does not match. Judge: Tempo at ad33aa8 (August 2026), its logical answer where its stored blocks differ.
//!
//! # Invariants
//! - Nothing fails at run time but for limits: what has no value matches nothing.
//! - Numbers are compared by value, whatever their types. `=`, `=~` and orderings of a list hold when they do for any of its elements, `!=`
//!   and `!~` when they do for all.
//! - The spans of a trace cost O(n log n), with chains as deep as the trace is long.
//! - No clock, no randomness: the same spans give the same answer in whatever parts they come.

pub(crate) mod arithmetic;
mod columns;
mod compare;
mod compile;
mod conditions;
mod error;
mod filter;
mod key;
mod leaves;
mod metrics;
mod names;
mod program;
mod returned;
mod roots;
mod scalar;
mod search;
mod spansets;
mod structural;

pub(crate) use compile::comparison;
pub use conditions::{Condition, Conditions, Test};
pub use error::{Error, Result};
pub use filter::Filter;
pub use leaves::Leaves;
pub use metrics::{Answer, Exemplar, Grid, Leaf, LeafState, Metrics, Options, Series};
pub use names::{field_label, field_name};
pub use program::value_of;
pub use returned::Returned;
pub use search::{Needs, Search, Spanset};
