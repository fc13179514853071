//! Numbers over time: what a metric query makes of lines.
//!
//! ```text
//! expression ─[Plan]─┬─ leaves:  lines ─[pipeline]─► labels ─[SampleExtractor]─► samples ─[LeafState]─► series with a value per step
//!                    └─ above:   series ─[evaluate]─► the answer
//! ```
//! A leaf can be fed in parts, by many readers at once, and merged. What stands above leaves sees series only, which are few.
//!
//! # Invariants
//! - The window of step T is `(T - range - offset, T - offset]`.
//! - A step is a function of the samples in its windows, whatever other steps there are.
//! - Sources of the rules: Loki `pkg/logql/{evaluator.go, range_vector.go, engine.go}`, `pkg/logql/syntax/ast.go`.

pub(crate) mod arithmetic;
mod evaluate;
mod extract;
mod grid;
mod labels;
mod leaf;
mod plan;
mod steps;

pub use evaluate::{Answer, Error, Limits, Value, evaluate};
pub use extract::{LeafReader, SampleExtractor};
pub use grid::StepGrid;
pub use labels::Labels;
pub use leaf::{GroupId, LeafState};
pub use plan::{Leaf, Plan};
pub use steps::{StepSeries, Steps};
