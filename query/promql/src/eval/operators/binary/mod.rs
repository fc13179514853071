//! Binary operators of vectors.
//!
//! ```text
//! left  ─► signature of each series, once ─┐
//!                                          ├─► groups of series that may meet ─► step by step: the pair, the value, its labels
//! right ─► signature of each series, once ─┘
//! ```
//! [`VectorScalar`] works one series at a time; [`VectorBinary`] needs both sides. Source of the rules: `VectorBinop` and its neighbours in
//! Prometheus `promql/engine.go`.

mod element;
mod matching;
mod set;

use super::{Names, Unite};
use crate::ast::{BinaryOp, Span, VectorMatching};
use crate::eval::{EvalContext, EvalError, context};
use crate::value::{Grid, Sample, StepSeries};

pub(super) use element::arithmetic;
use element::{Value, element};

/// A vector and a scalar.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorScalar {
    /// Operator.
    pub op: BinaryOp,
    /// Whether the scalar stands on the left.
    pub scalar_left: bool,
    /// Whether a comparison gives 1 and 0.
    pub return_bool: bool,
    /// When names go.
    pub names: Names,
    /// The whole expression.
    pub span: Span,
}

/// Two vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorBinary {
    /// Operator.
    pub op: BinaryOp,
    /// How series find each other.
    pub matching: VectorMatching,
    /// Whether a comparison gives 1 and 0.
    pub return_bool: bool,
    /// When names go.
    pub names: Names,
    /// The whole expression.
    pub span: Span,
}

/// Whether the values that come out are no longer those of the metric.
fn changes_metric(op: BinaryOp) -> bool {
    use BinaryOp::{Add, Atan2, Div, Mod, Mul, Pow, Sub};
    matches!(op, Add | Sub | Div | Mul | Pow | Mod | Atan2)
}

fn is_comparison(op: BinaryOp) -> bool {
    use BinaryOp::{Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual};
    matches!(op, Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual)
}

impl VectorScalar {
    /// Whether what comes out is no longer the metric.
    pub(in crate::eval) fn drops_name(&self) -> bool {
        changes_metric(self.op) || self.return_bool
    }

    /// The values of `vector` with those of `scalar`, step by step.
    ///
    /// # Errors
    /// When time is up.
    pub fn apply(&self, vector: Vec<StepSeries>, scalar: &[f64], cx: &mut EvalContext<'_>) -> Result<Vec<StepSeries>, EvalError> {
        let mut out = Vec::with_capacity(vector.len());
        for series in vector {
            cx.tick()?;
            let mut result = if series.histograms.is_none() && !self.is_trim() {
                self.floats(series, scalar)?
            } else {
                self.any(&series, scalar, cx)
            };
            if self.drops_name() {
                self.names.drop(&mut result);
            }
            if !result.is_empty() {
                out.push(result);
            }
        }
        Ok(out)
    }

    fn is_trim(&self) -> bool {
        matches!(self.op, BinaryOp::TrimLower | BinaryOp::TrimUpper)
    }

    /// Floats alone, which is nearly always.
    fn floats(&self, mut series: StepSeries, scalar: &[f64]) -> Result<StepSeries, EvalError> {
        let apply =
            arithmetic(self.op).ok_or_else(|| EvalError::Invalid("operator not allowed between vector and scalar".into()))?;
        let pairs = series.floats.iter_mut().zip(&mut series.present).zip(scalar).filter(|((_, present), _)| **present);
        for ((value, present), scalar) in pairs {
            let result = if self.scalar_left { apply(*scalar, *value) } else { apply(*value, *scalar) };
            if !is_comparison(self.op) || self.return_bool {
                *value = result;
            } else if result == 0.0 {
                (*value, *present) = (0.0, false);
            }
        }
        Ok(series)
    }

    fn any(&self, series: &StepSeries, scalar: &[f64], cx: &mut EvalContext<'_>) -> StepSeries {
        let mut out = StepSeries { drop_name: series.drop_name, ..StepSeries::empty(series.labels.clone(), series.steps()) };
        for (at, scalar) in scalar.iter().enumerate() {
            let Some(sample) = series.sample(at) else { continue };
            let (left, right) =
                if self.scalar_left { (Sample::Float(*scalar), sample) } else { (sample, Sample::Float(*scalar)) };
            let mut result = element(self.op, left, right);
            if let Some(note) = result.refusal.take() {
                note.add(self.span, cx);
                continue;
            }
            // The vector's own value stays, on whichever side it stands.
            let value = if is_comparison(self.op) && self.scalar_left { Some(Value::from(sample)) } else { result.value };
            let value = if self.return_bool { Some(Value::Float(f64::from(u8::from(result.keep)))) } else { value };
            if let Some(value) = value.filter(|_| result.keep || self.return_bool) {
                value.put(&mut out, at);
            }
        }
        out
    }
}

impl VectorBinary {
    /// What comes of two vectors on the steps of `grid`.
    ///
    /// # Errors
    /// When more than one series on the side of one, or more than one result, has the same labels; when time or the budget is used up.
    pub fn apply(
        &self,
        grid: Grid,
        left: Vec<StepSeries>,
        right: Vec<StepSeries>,
        cx: &mut EvalContext<'_>,
    ) -> Result<Vec<StepSeries>, EvalError> {
        let out = match self.op {
            BinaryOp::And | BinaryOp::Or | BinaryOp::Unless => set::apply(self, grid, left, right, cx)?,
            _ => matching::Matching::new(self, grid, &left, &right).apply(cx)?,
        };
        let out = Unite::Merge.apply(out)?;
        cx.budget.series(out.len())?;
        cx.budget.take(out.iter().map(context::weight_of_steps).sum())?;
        Ok(out)
    }
}
