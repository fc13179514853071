//! Scalars: one number at each step, as one series without labels that has a float everywhere.

use super::binary::arithmetic;
use crate::ast::BinaryOp;
use crate::eval::{EvalContext, EvalError};
use crate::labels::Labels;
use crate::value::{Grid, StepSeries};

/// Where a scalar comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ScalarOp {
    /// A number.
    Constant(f64),
    /// `time()`: the time of the step in seconds.
    Time,
    /// `-a`
    Negate,
    /// `a + b` and the others; comparisons give 1 or 0.
    Binary(BinaryOp),
    /// `min_of(a, b)`
    Min,
    /// `max_of(a, b)`
    Max,
    /// `scalar(v)`: the float of a vector that has exactly one float at the step, else NaN.
    OfVector,
}

impl ScalarOp {
    /// The scalar of `inputs`: scalars, of [`ScalarOp::OfVector`] the vector.
    ///
    /// # Errors
    /// When time is up, or the operator is none for numbers.
    pub fn apply(&self, grid: Grid, inputs: &[Vec<StepSeries>], cx: &mut EvalContext<'_>) -> Result<StepSeries, EvalError> {
        cx.tick()?;
        let of = |at: usize| inputs.get(at).map_or(Ok(&[][..]), |series| numbers(series));
        let two = |f: &dyn Fn(f64, f64) -> f64| Ok(of(0)?.iter().zip(of(1)?).map(|(a, b)| f(*a, *b)).collect());
        let values: Vec<f64> = match self {
            Self::Constant(value) => vec![*value; grid.len()],
            Self::Time => grid.iter().map(|ms| ms as f64 / 1000.0).collect(),
            Self::Negate => of(0)?.iter().map(|v| -v).collect(),
            Self::Binary(op) => {
                let apply = arithmetic(*op).ok_or_else(|| EvalError::Invalid("operator not allowed for scalars".into()))?;
                two(&apply)?
            }
            Self::Min => two(&smaller)?,
            Self::Max => two(&|a, b| -smaller(-a, -b))?,
            Self::OfVector => only_float(grid, inputs.first().map_or(&[][..], |v| v)),
        };
        cx.budget.take(values.len())?;
        Ok(StepSeries::full(Labels::default(), values))
    }
}

/// The numbers of a scalar.
///
/// # Errors
/// When it is no scalar: not exactly one series.
pub fn numbers(series: &[StepSeries]) -> Result<&[f64], EvalError> {
    match series {
        [one] => Ok(&one.floats),
        _ => Err(EvalError::Invalid("a scalar is one series".into())),
    }
}

/// The smaller one; NaN when one is.
fn smaller(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

fn only_float(grid: Grid, vector: &[StepSeries]) -> Vec<f64> {
    let mut values = vec![f64::NAN; grid.len()];
    let mut counts = vec![0u32; grid.len()];
    for series in vector {
        for at in (0..grid.len()).filter(|at| series.present[*at]) {
            counts[at] += 1;
            values[at] = series.floats[at];
        }
    }
    for (value, _) in values.iter_mut().zip(&counts).filter(|(_, count)| **count != 1) {
        *value = f64::NAN;
    }
    values
}
