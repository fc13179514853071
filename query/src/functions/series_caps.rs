//! A cap on the table functions `range` and `generate_series`.

use std::sync::Arc;

use datafusion::catalog::{TableFunction, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Expr;

use crate::error::Error;

/// Rows that one series may have.
const ROWS_MAX: u64 = 10_000_000;

/// `function` behind the cap.
pub(super) fn capped(function: &TableFunction) -> Arc<TableFunction> {
    let inner = Arc::clone(function.function());
    let name = if function.name() == "range" { "range" } else { "generate_series" };
    Arc::new(TableFunction::new(function.name().to_owned(), Arc::new(Capped { name, inner })))
}

#[derive(Debug)]
struct Capped {
    name: &'static str,
    inner: Arc<dyn TableFunctionImpl>,
}

impl TableFunctionImpl for Capped {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let found = rows(args.exprs());
        if found > ROWS_MAX {
            return Err(Error::FunctionCap { function: self.name, what: "rows", found, limit: ROWS_MAX }.into());
        }
        self.inner.call_with_args(args)
    }
}

/// Rows of a series of whole numbers. A series of times is made lazily and bounded by the query's deadline.
fn rows(args: &[Expr]) -> u64 {
    let number = |i: usize| match args.get(i) {
        Some(Expr::Literal(ScalarValue::Int64(Some(value)), _)) => Some(*value),
        _ => None,
    };
    match (number(0), number(1), args.len()) {
        (Some(stop), _, 1) => stop.unsigned_abs(),
        (Some(start), Some(stop), _) => stop.abs_diff(start) / number(2).unwrap_or(1).unsigned_abs().max(1),
        _ => 0,
    }
}
