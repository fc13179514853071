//! TraceQL in SQL: `traceql('expression', start, end [, step])` and `trace('id')`.
//!
//! ```text
//! constants ─[arguments]─► Arguments ─parse─► TraceqlExec, when the first row is asked for:
//!                            search    traces ─► spansets ─► a row per span and spanset
//!                            metrics   evaluated ─► rows by series and time
//! trace('id') ─► the spans with that id, as the table `spans` has them
//! ```
//! It reads the view of the statement that it stands in and is evaluated within it: the statement's tenant, memory, limits, deadline and
//! cancellation are its own, and it takes no turn beside the statement's.
//!
//! # Invariants
//! - A search gives every matching span of traces with a moment between `start` and `end`, both included, in no order: `ORDER BY` and `LIMIT`
//!   are SQL's. `traceql.traces_max` is for answers of the API.
//! - A query for series has the API's grid of steps; without a step it is evaluated once, at `end`.

mod arguments;
mod exec;
mod rows;
mod trace;

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use traceql::ast::Query;

use super::config::TraceqlConfig;
use super::error::Error;
use super::evaluate::{Work, parse};
use crate::interrupt::StopFlag;
use crate::run::Ticket;
use crate::tables::text_map;
use crate::view::View;
use arguments::Arguments;
use exec::TraceqlExec;

pub(crate) use trace::{NAME as TRACE, TraceFunction};

/// The function's name in SQL.
pub(crate) const NAME: &str = "traceql";

/// What evaluating takes besides a statement. One per process.
#[derive(Debug)]
pub(crate) struct Language {
    pub(crate) config: TraceqlConfig,
    pub(crate) partitions: usize,
}

/// The function, as one statement has it.
#[derive(Debug)]
pub(crate) struct TraceqlFunction {
    view: Arc<View>,
    language: Arc<Language>,
    /// Of the statement.
    stop: StopFlag,
}

impl TraceqlFunction {
    pub(crate) fn new(view: Arc<View>, language: Arc<Language>, stop: StopFlag) -> Self {
        Self { view, language, stop }
    }
}

impl TableFunctionImpl for TraceqlFunction {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let arguments = Arguments::read(args.exprs())?;
        let query = parse(&arguments.text).map_err(|error| of_sql(error, &arguments.text, &self.language.config))?;
        let (view, language, stop) = (Arc::clone(&self.view), Arc::clone(&self.language), self.stop.clone());
        Ok(Arc::new(TraceqlTable(Arc::new(Asked { view, language, stop, arguments, query }))))
    }
}

/// One call of the function.
#[derive(Debug)]
struct Asked {
    view: Arc<View>,
    language: Arc<Language>,
    stop: StopFlag,
    arguments: Arguments,
    query: Query,
}

impl Asked {
    /// What it is evaluated with, from now on.
    fn work(&self, context: Arc<TaskContext>) -> Work {
        let config = self.language.config.clone();
        let ticket = Ticket::stopped_by(self.stop.clone(), config.timeout);
        Work { view: Arc::clone(&self.view), context, config, partitions: self.language.partitions, ticket }
    }

    /// An error as the statement's.
    fn of_sql(&self, error: Error) -> DataFusionError {
        of_sql(error, &self.arguments.text, &self.language.config)
    }
}

#[derive(Debug)]
struct TraceqlTable(Arc<Asked>);

#[async_trait]
impl TableProvider for TraceqlTable {
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
        Ok(Arc::new(TraceqlExec::new(Arc::clone(&self.0), columns, limit)?))
    }
}

/// The columns, those of the table `spans` where it has them. Of a search `labels` are the fields that the query names and what groups and
/// aggregates say of the spanset, `spanset` numbers the spansets of a trace, and `value` is null. Of series only `ts`, `labels` and `value`
/// are there.
fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let time = DataType::Timestamp(TimeUnit::Nanosecond, Some(Arc::from("UTC")));
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        Arc::new(Schema::new(vec![
            Field::new("ts", time, false),
            text("trace_id"),
            text("span_id"),
            text("service"),
            text("name"),
            Field::new("duration_ns", DataType::Int64, true),
            Field::new("spanset", DataType::Int64, true),
            Field::new("labels", text_map(), false),
            Field::new("value", DataType::Float64, true),
        ]))
    });
    Arc::clone(&SCHEMA)
}

/// An error of TraceQL as the statement's: with the text it is about, and the names of its own limits.
fn of_sql(error: Error, text: &str, config: &TraceqlConfig) -> DataFusionError {
    let error = match error {
        Error::Query(error) => error,
        Error::Canceled => crate::Error::Stopped,
        Error::Timeout { .. } => {
            let limit = config.timeout.as_secs();
            crate::Error::Limit { name: "traceql.timeout", what: "seconds", found: limit.saturating_add(1), limit }
        }
        Error::Limit { name, message } => {
            crate::Error::Invalid { message: format!("traceql({text:?}): {message}, limit {name}") }
        }
        other => crate::Error::Invalid { message: format!("traceql({text:?}): {other}") },
    };
    DataFusionError::from(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::SqlTable;

    #[test]
    fn columns_are_those_of_spans() {
        let spans = SqlTable::by_name("spans").expect("there is one").schema();
        // Text is text, whether as an array or as views.
        let plain = |kind: &DataType| if *kind == DataType::Utf8View { DataType::Utf8 } else { kind.clone() };
        for name in ["ts", "trace_id", "span_id", "service", "name", "duration_ns"] {
            let (ours, theirs) = (schema(), spans.field_with_name(name).expect(name).clone());
            let theirs = match theirs.data_type() {
                DataType::Dictionary(_, values) => plain(values),
                other => plain(other),
            };
            assert_eq!(*ours.field_with_name(name).expect(name).data_type(), theirs, "{name}");
        }
    }
}
