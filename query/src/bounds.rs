//! What an optimized plan may make of one batch, before it runs.
//!
//! ```text
//! optimized plan ─► calls of capped functions ─► [`Budget`]: they share what a batch may hold
//!               └► long constants ─► rows of a batch: a column repeats a constant in every row
//! ```
//! Nothing is refused here: a plan with a megabyte of text in every row runs in small batches.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::budget::Budget;
use crate::functions::caps;

/// Constants below this are of no account.
const LONG_BYTES: usize = 4 << 10;
/// Bytes that the constants of a batch may take in all its rows.
const BATCH_BYTES_MAX: usize = 64 << 20;
/// Rows of a batch whose texts may each be as long as a function makes them.
const MADE_ROWS: usize = 64;
/// What is made that often, or with so long a format, is of no account.
const MADE_OFTEN: i64 = 64;

/// Functions that make long values out of short ones, so that nobody knows how long a row is.
const MAKERS: [&str; 6] = ["repeat", "lpad", "rpad", "array_repeat", "array_resize", "to_char"];

/// Sets the rows of a batch in `state`, and what calls may make of one, for `plan`, which is optimized and is the whole statement.
///
/// # Errors
/// None of its own.
pub fn bound_batches(plan: &LogicalPlan, state: &mut SessionState) -> Result<()> {
    let (mut calls, mut constants, mut makes) = (0u64, 0usize, false);
    plan.apply_with_subqueries(|node| {
        // A filter compares a constant, it does not repeat it; a function may, wherever it is called.
        let repeats = !matches!(node, LogicalPlan::Filter(_) | LogicalPlan::TableScan(_) | LogicalPlan::Values(_));
        for expr in node.expressions() {
            expr.apply(|expr| {
                match expr {
                    Expr::Literal(value, _) if repeats => constants += long(value),
                    Expr::ScalarFunction(call) => {
                        if !repeats {
                            constants += call
                                .args
                                .iter()
                                .map(|arg| if let Expr::Literal(value, _) = arg { long(value) } else { 0 })
                                .sum::<usize>();
                        }
                        calls += u64::from(caps::is_capped(&call.func));
                        makes |= makes_long(call);
                    }
                    Expr::InList(_) => return Ok(TreeNodeRecursion::Jump),
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Budget::of(state.config_options()).divide(calls);
    let mut rows = state.config().batch_size();
    if makes {
        rows = rows.min(MADE_ROWS);
    }
    rows = rows.min(BATCH_BYTES_MAX / constants.max(1));
    let config = state.config().clone().with_batch_size(rows.max(1));
    *state.config_mut() = config;
    Ok(())
}

/// Whether `call` can make a long value out of a short one: not `lpad(id, 10)`.
fn makes_long(call: &ScalarFunction) -> bool {
    let modest = match call.args.get(1) {
        Some(Expr::Literal(ScalarValue::Int64(Some(n)), _)) => *n <= MADE_OFTEN,
        Some(Expr::Literal(value, _)) => value.try_as_str().flatten().is_some_and(|text| text.len() as i64 <= MADE_OFTEN),
        _ => false,
    };
    MAKERS.contains(&call.func.name()) && !modest
}

/// Bytes of a constant that is long; 0 of others.
fn long(value: &ScalarValue) -> usize {
    match value.size() {
        bytes if bytes >= LONG_BYTES => bytes,
        _ => 0,
    }
}
