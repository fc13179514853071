//! Above the leaves: series with a value per step, from the leaves' up to the answer.
//!
//! # Invariants
//! - Operators see series in the order of their labels, and whatever of equals comes first wins: answers are the same every time.

mod aggregate;
mod binary;
mod histogram;
mod label_replace;
#[cfg(test)]
mod tests;
mod top;

use std::borrow::Cow;

use super::grid::StepGrid;
use super::labels::Labels;
use super::plan::{Node, Plan};
use super::steps::{StepSeries, Steps};
use crate::ast::VectorOp;
use crate::labels::ERROR_LABEL;

/// The label that says that the query asked for lines with errors.
const PRESERVE_ERROR: &str = "__preserve_error__";

/// What a metric query answers.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The numbers.
    pub value: Value,
    /// What the asker should know besides, each once.
    pub warnings: Vec<String>,
}

/// Numbers.
#[derive(Debug, Clone)]
pub enum Value {
    /// Of an instant query that is a number.
    Scalar(f64),
    /// Of an instant query: ordered by labels, or by value if the query sorts.
    Vector(Vec<(Labels, f64)>),
    /// Of a range query: series with at least one value, ordered by labels.
    Matrix(Vec<StepSeries>),
}

/// Why there is no answer, in Loki's words. All are the query's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A line of a result has an error that the query did not ask to ignore.
    #[error(
        "pipeline error: '{error}' for series: '{series}'.\n\
         Use a label filter to intentionally skip this error. (e.g | __error__!=\"{error}\").\n\
         To skip all potential errors you can match empty errors.(e.g __error__=\"\")\n\
         The label filter can also be specified after unwrap. (e.g | unwrap latency | __error__=\"\" )"
    )]
    Pipeline {
        /// The value of `__error__`.
        error: String,
        /// All labels of the series.
        series: String,
    },
    /// The sides of an operator do not fit.
    #[error("{0}")]
    Matching(&'static str),
    /// Series have the same labels once `le` is gone, or a pattern is none after all.
    #[error("{0}")]
    Invalid(String),
    /// More series than a limit allows.
    #[error(
        "maximum number of series ({0}) reached for a single query; consider reducing query cardinality by adding more specific stream \
         selectors, reducing the time range, or aggregating results with functions like sum(), count() or topk()"
    )]
    TooManySeries(usize),
}

/// How a query was asked, and what its answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Whether it was asked for one moment: the answer is a vector or a scalar, not a matrix.
    pub instant: bool,
    /// Most series in the answer.
    pub series_max: usize,
}

/// Evaluates a plan over the results of its leaves, in their order, at the steps of `grid`.
///
/// # Errors
/// A series of a leaf that carries `__error__`; sides of an operator that do not match; more series than allowed.
///
/// # Panics
/// When there are fewer results than leaves.
pub fn evaluate(plan: &Plan, leaves: &[Vec<StepSeries>], grid: StepGrid, limits: Limits) -> Result<Answer, Error> {
    assert!(leaves.len() >= plan.leaves().len(), "a result for every leaf");
    for series in leaves.iter().flatten() {
        if let Some(error) = series.labels.get(ERROR_LABEL).filter(|_| series.labels.get(PRESERVE_ERROR) != Some("true")) {
            return Err(Error::Pipeline { error: error.to_owned(), series: series.labels.to_string() });
        }
    }
    let mut evaluation = Evaluation { leaves, len: grid.len(), warnings: Vec::new() };
    let value = match evaluation.node(&plan.root)? {
        Operand::Scalar(value) if limits.instant => Value::Scalar(value),
        Operand::Scalar(value) => Value::Matrix(vec![evaluation.constant(value)]),
        Operand::Series(series) => {
            let mut series = series.into_owned();
            series.retain(|s| !s.steps.is_empty());
            if series.len() > limits.series_max {
                return Err(Error::TooManySeries(limits.series_max));
            }
            if !(limits.instant && plan.is_sorted()) {
                series.sort_by(|a, b| a.labels.cmp(&b.labels));
            }
            if limits.instant {
                let first = |s: StepSeries| s.steps.get(0).map(|value| (s.labels, value));
                Value::Vector(series.into_iter().filter_map(first).collect())
            } else {
                Value::Matrix(series)
            }
        }
    };
    Ok(Answer { value, warnings: evaluation.warnings })
}

/// The value of a node.
enum Operand<'a> {
    /// The same number at every step.
    Scalar(f64),
    /// Series, no two with a value at the same step under the same labels.
    /// Those of a leaf are not copied until somebody changes them: there may be many.
    Series(Cow<'a, [StepSeries]>),
}

struct Evaluation<'a> {
    leaves: &'a [Vec<StepSeries>],
    /// Steps of the grid.
    len: usize,
    warnings: Vec<String>,
}

impl<'a> Evaluation<'a> {
    fn constant(&self, value: f64) -> StepSeries {
        StepSeries { labels: Labels::default(), steps: Steps::constant(self.len, value) }
    }

    fn node(&mut self, node: &Node) -> Result<Operand<'a>, Error> {
        let series = match node {
            Node::Literal(value) => return Ok(Operand::Scalar(*value)),
            Node::Vector(value) => vec![self.constant(*value)],
            Node::Leaf(at) => return Ok(Operand::Series(Cow::Borrowed(&self.leaves[*at]))),
            Node::Aggregation { op, k, grouping, of } => {
                let of = self.series(of)?;
                match op {
                    VectorOp::Topk | VectorOp::ApproxTopk => top::top(&of, *k, grouping, top::Order::Greatest, self.len),
                    VectorOp::Bottomk => top::top(&of, *k, grouping, top::Order::Least, self.len),
                    VectorOp::Sort => top::sort(of.into_owned(), top::Order::Least),
                    VectorOp::SortDesc => top::sort(of.into_owned(), top::Order::Greatest),
                    op => aggregate::aggregate(*op, &of, grouping, self.len),
                }
            }
            Node::Binary { op, returns_bool, matching, lhs, rhs } => {
                let (lhs, rhs) = (self.node(lhs)?, self.node(rhs)?);
                let operation =
                    binary::Operation { op: *op, returns_bool: *returns_bool, matching: matching.as_ref(), len: self.len };
                return operation.apply(lhs, rhs);
            }
            Node::LabelReplace { of, destination, replacement, source, pattern } => {
                let of = self.series(of)?;
                label_replace::label_replace(of.into_owned(), destination, replacement, source, pattern)?
            }
            Node::HistogramQuantile { quantile, of } => {
                self.warn("histogram_quantile is an extension of LogQL: Loki does not have it");
                let of = self.series(of)?;
                histogram::histogram_quantile(*quantile, &of, self.len, |warning| self.warn(warning))
            }
        };
        Ok(Operand::Series(Cow::Owned(series)))
    }

    /// The value of a node as series; a number is a series without labels.
    fn series(&mut self, node: &Node) -> Result<Cow<'a, [StepSeries]>, Error> {
        Ok(match self.node(node)? {
            Operand::Series(series) => series,
            Operand::Scalar(value) => Cow::Owned(vec![self.constant(value)]),
        })
    }

    fn warn(&mut self, warning: &str) {
        if !self.warnings.iter().any(|w| w == warning) {
            self.warnings.push(warning.to_owned());
        }
    }
}
