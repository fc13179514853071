//! `logql('expression', start, end [, step])`: LogQL as a table of SQL.
//!
//! ```text
//! constants ─[arguments]─► Arguments ─parse─► LogqlExec, when the first row is asked for:
//!                            log query     lines ─► stages ─► rows, of every partition side by side, as they come
//!                            metric query  evaluated ─► rows by series and time
//! ```
//! It reads the view of the statement that it stands in and is evaluated within it: the statement's tenant, memory, limits, deadline and
//! cancellation are its own, and it takes no turn beside the statement's.
//!
//! # Invariants
//! - A log query gives every line that passes, once, in no order: `ORDER BY` and `LIMIT` are SQL's. `logql.entries_max` is for answers that
//!   are held as a whole; here rows go by, and no more than a batch of every partition is in memory, taken from the statement's pool.
//! - `start` is included and `end` is not, as in Loki; a metric query without a step is evaluated at `end`.
//! - What nobody looks at is not made: without the column `labels` no parser runs that no stage needs, without `line` no text is read that
//!   no stage needs.

mod arguments;
mod exec;
mod rows;

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use logql::ast;

use super::config::LogqlConfig;
use super::error::Error;
use super::evaluate::{Work, parse};
use super::resources::ResourceCache;
use super::runs::RunCache;
use crate::interrupt::StopFlag;
use crate::run::Ticket;
use crate::tables::text_map;
use crate::view::View;
use arguments::Arguments;
use exec::LogqlExec;

/// The function's name in SQL.
pub(crate) const NAME: &str = "logql";

/// What evaluating takes besides a statement. One per process.
#[derive(Debug)]
pub(crate) struct Language {
    pub(crate) config: LogqlConfig,
    pub(crate) partitions: usize,
    pub(super) runs: Arc<RunCache>,
    pub(super) resources: Arc<ResourceCache>,
}

/// The function, as one statement has it.
#[derive(Debug)]
pub(crate) struct LogqlFunction {
    view: Arc<View>,
    language: Arc<Language>,
    /// Of the statement.
    stop: StopFlag,
    /// When the statement began.
    now_ns: i64,
}

impl LogqlFunction {
    pub(crate) fn new(view: Arc<View>, language: Arc<Language>, stop: StopFlag, now_ns: i64) -> Self {
        Self { view, language, stop, now_ns }
    }
}

impl TableFunctionImpl for LogqlFunction {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let arguments = Arguments::read(args.exprs())?;
        let expr = parse(&arguments.text).map_err(|error| of_sql(error, &arguments.text, &self.language.config))?;
        let (view, language, stop) = (Arc::clone(&self.view), Arc::clone(&self.language), self.stop.clone());
        Ok(Arc::new(LogqlTable(Arc::new(Asked { view, language, stop, now_ns: self.now_ns, arguments, expr }))))
    }
}

/// One call of the function.
#[derive(Debug)]
struct Asked {
    view: Arc<View>,
    language: Arc<Language>,
    stop: StopFlag,
    now_ns: i64,
    arguments: Arguments,
    expr: ast::Expr,
}

impl Asked {
    /// What it is evaluated with, from now on.
    fn work(&self, context: Arc<TaskContext>) -> Work {
        let config = self.language.config.clone();
        let ticket = Ticket::stopped_by(self.stop.clone(), config.timeout);
        let Language { partitions, runs, resources, .. } = &*self.language;
        let (view, runs, resources) = (Arc::clone(&self.view), Arc::clone(runs), Arc::clone(resources));
        Work { view, context, config, partitions: *partitions, ticket, now_ns: self.now_ns, runs, resources }
    }

    /// An error as the statement's.
    fn of_sql(&self, error: Error) -> DataFusionError {
        of_sql(error, &self.arguments.text, &self.language.config)
    }
}

#[derive(Debug)]
struct LogqlTable(Arc<Asked>);

#[async_trait]
impl TableProvider for LogqlTable {
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
        Ok(Arc::new(LogqlExec::new(Arc::clone(&self.0), columns, limit)?))
    }
}

/// The columns, those of the table `logs` where it has them. `labels` are those of the stream, of the structured metadata and of the
/// stages; `line` is null for metric queries and `value` for log queries.
fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let time = DataType::Timestamp(TimeUnit::Nanosecond, Some(Arc::from("UTC")));
        Arc::new(Schema::new(vec![
            Field::new("ts", time, false),
            Field::new("labels", text_map(), false),
            Field::new("line", DataType::Utf8, true),
            Field::new("value", DataType::Float64, true),
        ]))
    });
    Arc::clone(&SCHEMA)
}

/// An error of LogQL as the statement's: with the text it is about, and the names of its own limits.
fn of_sql(error: Error, text: &str, config: &LogqlConfig) -> DataFusionError {
    let error = match error {
        Error::Query(error) => error,
        Error::Canceled => crate::Error::Stopped,
        Error::Timeout { .. } => {
            let limit = config.timeout.as_secs();
            crate::Error::Limit { name: "logql.timeout", what: "seconds", found: limit.saturating_add(1), limit }
        }
        Error::Limit { name, message } => crate::Error::Invalid { message: format!("logql({text:?}): {message}, limit {name}") },
        other => crate::Error::Invalid { message: format!("logql({text:?}): {other}") },
    };
    DataFusionError::from(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::SqlTable;

    #[test]
    fn columns_are_those_of_logs() {
        let logs = SqlTable::by_name("logs").expect("there is one").schema();
        for name in ["ts", "labels"] {
            let (ours, theirs) = (schema(), logs.field_with_name(name).expect(name).clone());
            assert_eq!(ours.field_with_name(name).expect(name).data_type(), theirs.data_type());
        }
    }
}
