//! `and`, `or`, `unless`: series of one side, where the other side has or has not a series of the same signature.

use std::collections::HashMap;

use super::VectorBinary;
use super::matching::signature;
use crate::ast::BinaryOp;
use crate::eval::{EvalContext, EvalError};
use crate::labels::Labels;
use crate::value::{Grid, StepSeries};

/// Left series first, then, of `or`, the right ones that the left side lacks.
pub(super) fn apply(
    op: &VectorBinary,
    grid: Grid,
    left: Vec<StepSeries>,
    right: Vec<StepSeries>,
    cx: &mut EvalContext<'_>,
) -> Result<Vec<StepSeries>, EvalError> {
    let (mut out, masked, other) = match op.op {
        BinaryOp::Or => {
            let there = presence(op, grid, &left);
            (left, right, there)
        }
        _ => {
            let there = presence(op, grid, &right);
            (Vec::new(), left, there)
        }
    };
    let keep_where = op.op == BinaryOp::And;
    let nowhere = vec![false; grid.len()];
    for mut series in masked {
        cx.tick()?;
        let there = other.get(&signature(&op.matching, &series.labels)).unwrap_or(&nowhere);
        for at in (0..grid.len()).filter(|at| there[*at] != keep_where) {
            series.present[at] = false;
            series.floats[at] = 0.0;
            if let Some(histograms) = &mut series.histograms {
                histograms[at] = None;
            }
        }
        if !series.is_empty() {
            out.push(series);
        }
    }
    Ok(out)
}

/// At which steps each signature is there.
fn presence(op: &VectorBinary, grid: Grid, series: &[StepSeries]) -> HashMap<Labels, Vec<bool>> {
    let mut presence: HashMap<Labels, Vec<bool>> = HashMap::new();
    for one in series {
        let there = presence.entry(signature(&op.matching, &one.labels)).or_insert_with(|| vec![false; grid.len()]);
        for (at, there) in there.iter_mut().enumerate() {
            *there |= one.sample(at).is_some();
        }
    }
    presence
}
