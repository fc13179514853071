//! The operator behind `logql(...)`.
//!
//! Inputs: none. Output: one partition; of a metric query rows by series and time, of a log query rows as they come. Errors: LogQL's, with
//! the expression. Memory, taken from the statement's pool: of a metric query the answer, of a log query the batches under way. Nothing is
//! read before the first poll; dropping the stream ends the work.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::coop::make_cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, RecordOutput};
use datafusion::physical_plan::stream::{RecordBatchReceiverStreamBuilder, RecordBatchStreamAdapter};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};
use logql::ast::{Expr, LogExpr};
use logql::pipeline::Hints;
use tokio::sync::mpsc::Sender;

use super::super::answer::Value;
use super::super::error::Error;
use super::super::evaluate::{self, Ready, Work};
use super::super::request::{InstantQuery, RangeQuery, TimeNs};
use super::rows::{Builder, Shape, batches};
use super::{Asked, schema};

/// See the module.
#[derive(Debug)]
pub(super) struct LogqlExec {
    asked: Arc<Asked>,
    columns: Vec<usize>,
    fetch: Option<usize>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl LogqlExec {
    pub(super) fn new(asked: Arc<Asked>, columns: Vec<usize>, fetch: Option<usize>) -> Result<Self> {
        let schema = Arc::new(schema().project(&columns)?);
        let emission = match asked.expr {
            Expr::Log(_) => EmissionType::Incremental,
            Expr::Metric(_) => EmissionType::Final,
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            emission,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Ok(Self { asked, columns, fetch, schema, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() })
    }
}

/// The rows of a metric query.
async fn numbers(asked: &Asked, context: Arc<TaskContext>, shape: Shape, limit: usize) -> Result<SendableRecordBatchStream> {
    let reservation = MemoryConsumer::new("LogqlExec[answer]").register(context.memory_pool());
    let schema = Arc::clone(&shape.schema);
    let work = asked.work(context);
    let arguments = &asked.arguments;
    let (text, timeout) = (arguments.text.clone(), None);
    let answer = match arguments.step_ns {
        None => evaluate::instant(&work, &InstantQuery { text, time_ns: arguments.end_ns, timeout }).await,
        Some(step_ns) => {
            let (start_ns, end_ns) = (arguments.start_ns, arguments.end_ns);
            // What it says of entries is not looked at.
            let (limit, direction) = (0, Default::default());
            evaluate::range(&work, &RangeQuery { text, start_ns, end_ns, step_ns, interval_ns: 0, limit, direction, timeout })
                .await
        }
    };
    let value = answer.map_err(|error| asked.of_sql(error))?.value;
    reservation.try_grow(bytes_of(&value))?;
    // The answer's memory is given back when its last row is out.
    let rows = batches(value, shape, limit).inspect(move |_| {
        let _held = &reservation;
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter(rows))))
}

/// Memory of an answer, about: labels are shared.
fn bytes_of(value: &Value) -> usize {
    const POINT: usize = 16;
    match value {
        Value::Scalar { .. } | Value::Streams(_) => 0,
        Value::Vector(elements) => elements.len() * 64,
        Value::Matrix(series) => series.iter().map(|one| 128 + one.points.len() * POINT).sum(),
    }
}

/// The rows of a log query: partitions side by side, each of which stops at `limit`.
async fn lines(
    asked: &Arc<Asked>,
    log: &LogExpr,
    context: Arc<TaskContext>,
    shape: Shape,
    limit: usize,
) -> Result<SendableRecordBatchStream> {
    let work = asked.work(context);
    let time = TimeNs { start_ns: asked.arguments.start_ns, end_ns: asked.arguments.end_ns };
    evaluate::check_length(time, &work.config).map_err(|error| asked.of_sql(error))?;
    let hints = if shape.has("labels") { Hints::all() } else { Hints::only([""; 0]) };
    let ready = evaluate::ready(&work, log, time.into(), hints, None, shape.has("line")).await;
    let (ready, work) = (Arc::new(ready.map_err(|error| asked.of_sql(error))?), Arc::new(work));
    // One batch of each partition may wait for its reader.
    let mut streams = RecordBatchReceiverStreamBuilder::new(Arc::clone(&shape.schema), ready.partitions());
    for partition in 0..ready.partitions() {
        let (asked, ready, work) = (Arc::clone(asked), Arc::clone(&ready), Arc::clone(&work));
        let part = Part { partition, rows: Rows::new(shape.clone(), &work, limit), batches: streams.tx() };
        streams.spawn(async move { part.run(&ready, &work).await.map_err(|error| asked.of_sql(error)) });
    }
    Ok(streams.build())
}

/// One partition at work.
struct Part {
    partition: usize,
    rows: Rows,
    batches: Sender<Result<RecordBatch>>,
}

impl Part {
    async fn run(self, ready: &Ready, work: &Work) -> std::result::Result<(), Error> {
        let Self { partition, mut rows, batches } = self;
        let (mut input, mut runner) = ready.partition(work, partition)?;
        while rows.left > 0
            && let Some(batch) = input.next().await
        {
            work.ticket.check()?;
            runner.run(&batch?, &mut rows, |rows, _| rows.left > 0, |rows, row, line| rows.take(row.ts_ns, &line))?;
            if rows.builder.is_full() {
                rows.end_batch()?;
            }
            if !rows.send(&batches).await {
                return Ok(());
            }
        }
        rows.end_batch()?;
        rows.send(&batches).await;
        Ok(())
    }
}

/// The rows of a partition that have not been handed on.
struct Rows {
    builder: Builder,
    done: Vec<RecordBatch>,
    left: usize,
    takes_labels: bool,
    reservation: MemoryReservation,
}

impl Rows {
    fn new(shape: Shape, work: &Work, limit: usize) -> Self {
        let reservation = MemoryConsumer::new("LogqlExec[rows]").register(work.context.memory_pool());
        let takes_labels = shape.has("labels");
        Self { builder: Builder::new(shape), done: Vec::new(), left: limit, takes_labels, reservation }
    }

    /// Takes a line. One batch of input may make many: a parser can make more text than a line has.
    fn take(&mut self, ts_ns: i64, line: &logql::pipeline::Line<'_>) -> std::result::Result<(), Error> {
        const ROW_BYTES: usize = 32;
        let mut labels: Vec<(&str, &str)> = Vec::new();
        if self.takes_labels {
            labels.extend(line.labels.iter().map(|(name, value, _)| (name, value)));
            labels.sort_unstable();
        }
        let bytes = self.builder.push(ts_ns, labels.into_iter(), Some(line.text), None)?;
        self.reservation.try_grow(ROW_BYTES + bytes)?;
        self.left -= 1;
        if self.builder.is_full() { self.end_batch() } else { Ok(()) }
    }

    fn end_batch(&mut self) -> std::result::Result<(), Error> {
        self.done.extend(self.builder.batch()?);
        Ok(())
    }

    /// Hands on what is done; `false` when nobody takes it any more.
    async fn send(&mut self, batches: &Sender<Result<RecordBatch>>) -> bool {
        if self.done.is_empty() {
            return true;
        }
        for batch in self.done.drain(..) {
            if batches.send(Ok(batch)).await.is_err() {
                return false;
            }
        }
        self.reservation.free();
        true
    }
}

impl ExecutionPlan for LogqlExec {
    fn name(&self) -> &str {
        "LogqlExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (asked, limit) = (Arc::clone(&self.asked), self.fetch.unwrap_or(usize::MAX));
        let (columns, schema) = (self.columns.clone(), Arc::clone(&self.schema));
        let shape = Shape { columns, schema, batch_rows: context.session_config().batch_size().max(1) };
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let rows = async move {
            match &asked.expr {
                Expr::Log(log) => lines(&asked, log, context, shape, limit).await,
                Expr::Metric(_) => numbers(&asked, context, shape, limit).await,
            }
        };
        let rows = stream::once(rows)
            .try_flatten()
            .map(move |batch: Result<RecordBatch, DataFusionError>| batch.record_output(&baseline));
        Ok(make_cooperative(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

impl DisplayAs for LogqlExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arguments = &self.asked.arguments;
        write!(f, "LogqlExec: query={:?}, snapshot={}", arguments.text, self.asked.view.snapshot().id())?;
        write!(f, ", time_ns=[{}, {}]", arguments.start_ns, arguments.end_ns)?;
        if let Some(step_ns) = arguments.step_ns {
            write!(f, ", step_ns={step_ns}")?;
        }
        let names: Vec<&str> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(f, ", columns=[{}]", names.join(", "))?;
        match self.fetch {
            Some(fetch) => write!(f, ", limit={fetch}"),
            None => Ok(()),
        }
    }
}
