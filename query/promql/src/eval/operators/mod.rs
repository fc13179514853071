//! The operators, one file or folder each. Every one is a struct that says what it does and has an `apply` that does it: a pure function
//! of its input and of the [`super::EvalContext`] it is handed.
//!
//! # Invariants
//! - Whoever is called per series ([`super::Streaming::PerSeries`]) gives for a part of the input the part of the output.
//! - Operators that make new samples take them from the budget; whoever drops the input gives that back.
//! - Series without any sample do not come out.

mod absent;
mod aggregate;
mod binary;
mod date;
mod histogram_vector;
mod info;
mod instant_select;
mod labeling;
mod map;
mod mark_resets;
mod range_function;
mod scalar;
mod select;
mod sort;
mod subquery;
mod unite;
mod window;

pub use absent::Absent;
pub use aggregate::{Aggregate, Partial};
pub use binary::{VectorBinary, VectorScalar};
pub use date::Date;
pub use histogram_vector::{HistogramFunction, HistogramVector};
pub use info::Info;
pub use instant_select::{Instant, InstantSelect};
pub use labeling::Labeling;
pub use map::{Map, MapFunction};
pub use mark_resets::mark_resets;
pub use range_function::RangeFunction;
pub use scalar::{ScalarOp, numbers};
pub use select::{Reference, Select, Window};
pub use sort::Sort;
pub use subquery::Subquery;
pub use unite::{Names, Unite, drop_names, drop_names_raw};
