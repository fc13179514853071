//! `promql('expression', start, end, step)` and `promql('expression', time)`: PromQL as a table of SQL.
//!
//! ```text
//! constants ─[arguments]─► Question ─lower─► operators ─[PromqlExec]─► evaluated when the first row is asked for ─[rows]─► batches
//! ```
//! It reads the view of the statement that it stands in and is evaluated within it: the statement's tenant, memory, limits, deadline and
//! cancellation are its own, and it takes no turn beside the statement's. What PromQL itself limits ([`PromqlConfig`]) holds as well.

mod arguments;
mod exec;
mod rows;

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use promql::eval::Plan;

use super::config::PromqlConfig;
use super::error::Error;
use super::evaluate::lower;
use super::samples::Samples;
use crate::interrupt::StopFlag;
use crate::tables::text_map;
use crate::view::View;
use arguments::Arguments;
use exec::PromqlExec;

/// The function's name in SQL.
pub(crate) const NAME: &str = "promql";

/// What evaluating takes besides a view. One per process.
#[derive(Debug)]
pub(crate) struct Language {
    pub(crate) config: PromqlConfig,
    pub(crate) samples: Arc<Samples>,
    pub(crate) partitions: usize,
}

/// The function, as one statement has it.
#[derive(Debug)]
pub(crate) struct PromqlFunction {
    view: Arc<View>,
    language: Arc<Language>,
    /// Of the statement.
    stop: StopFlag,
}

impl PromqlFunction {
    pub(crate) fn new(view: Arc<View>, language: Arc<Language>, stop: StopFlag) -> Self {
        Self { view, language, stop }
    }
}

impl TableFunctionImpl for PromqlFunction {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let Arguments { text, question } = Arguments::read(args.exprs())?;
        let lowered = lower(&question, &self.language.config).map_err(|error| of_sql(error, &text, &self.language.config))?;
        let plan = lowered.plan;
        let asked =
            Asked { view: Arc::clone(&self.view), language: Arc::clone(&self.language), stop: self.stop.clone(), text, plan };
        Ok(Arc::new(PromqlTable(Arc::new(asked))))
    }
}

/// One call of the function.
#[derive(Debug)]
struct Asked {
    view: Arc<View>,
    language: Arc<Language>,
    stop: StopFlag,
    text: String,
    plan: Plan,
}

#[derive(Debug)]
struct PromqlTable(Arc<Asked>);

#[async_trait]
impl TableProvider for PromqlTable {
    fn schema(&self) -> SchemaRef {
        schema()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = projection.cloned().unwrap_or_else(|| (0..schema().fields().len()).collect());
        Ok(Arc::new(PromqlExec::new(Arc::clone(&self.0), columns, limit)?))
    }
}

/// The columns, those of the table `metrics` where it has them.
fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let time = DataType::Timestamp(TimeUnit::Millisecond, Some(Arc::from("UTC")));
        Arc::new(Schema::new(vec![
            Field::new("ts", time, false),
            Field::new("metric", DataType::Utf8, true),
            Field::new("labels", text_map(), false),
            Field::new("value", DataType::Float64, true),
            Field::new("histogram", DataType::Utf8, true),
        ]))
    });
    Arc::clone(&SCHEMA)
}

/// An error of PromQL as the statement's: with the text it is about, and the names of its own limits.
fn of_sql(error: Error, text: &str, config: &PromqlConfig) -> DataFusionError {
    let limit = |name, what, limit: u64| crate::Error::Limit { name, what, found: limit.saturating_add(1), limit };
    let error = match error {
        Error::Query(error) => error,
        Error::Canceled => crate::Error::Stopped,
        Error::Limit { name, what, found, limit } => crate::Error::Limit { name, what, found, limit },
        Error::Samples { .. } => limit("promql.samples_max", "samples", config.samples_max),
        Error::Timeout { .. } => limit("promql.timeout", "seconds", config.timeout.as_secs()),
        other => crate::Error::Invalid { message: format!("promql({text:?}): {other}") },
    };
    DataFusionError::from(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::SqlTable;

    #[test]
    fn columns_are_those_of_metrics() {
        let metrics = SqlTable::by_name("metrics").expect("there is one").schema();
        for name in ["ts", "labels"] {
            let (ours, theirs) = (schema(), metrics.field_with_name(name).expect(name).clone());
            assert_eq!(ours.field_with_name(name).expect(name).data_type(), theirs.data_type());
        }
    }
}
