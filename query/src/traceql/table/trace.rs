//! `trace('id')`: the spans of one trace.

use std::sync::Arc;

use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::prelude::{col, lit};

use crate::arguments::Caller;
use crate::scan::LakeTable;
use crate::tables::SqlTable;
use crate::view::View;

/// The function's name in SQL.
pub(crate) const NAME: &str = "trace";
/// The table that it reads.
const SPANS: &str = "spans";
/// Digits of an id.
const DIGITS: usize = 32;

const CALLER: Caller =
    Caller { name: NAME, usage: "trace takes ('id'), an id of up to 32 hexadecimal digits", number_unit_ns: 1_000 };

/// The function, as one statement has it.
#[derive(Debug)]
pub(crate) struct TraceFunction(pub(crate) Arc<View>);

impl TableFunctionImpl for TraceFunction {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let constants = CALLER.constants(args.exprs())?;
        let [id] = constants.as_slice() else { return Err(CALLER.misused()) };
        let id = CALLER.expression(id)?;
        if id.is_empty() || id.len() > DIGITS || !id.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(CALLER.refuses(&format!("{id:?} is no id of up to 32 hexadecimal digits")));
        }
        let spans = SqlTable::by_name(SPANS).ok_or_else(|| DataFusionError::Internal("there is no table of spans".to_owned()))?;
        let spans: Arc<dyn TableProvider> = Arc::new(LakeTable::new(spans, Arc::clone(&self.0)));
        // Tools leave leading zeros away.
        let id = format!("{:0>32}", id.to_ascii_lowercase());
        let plan =
            LogicalPlanBuilder::scan(SPANS, provider_as_source(spans), None)?.filter(col("trace_id").eq(lit(id)))?.build()?;
        Ok(Arc::new(ViewTable::new(plan, None)))
    }
}
