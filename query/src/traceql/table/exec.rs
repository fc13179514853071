//! The operator behind `traceql(...)`.
//!
//! Inputs: none. Output: one partition. Errors: TraceQL's, with the expression. Memory, taken from the statement's pool: the rows of the
//! answer. Nothing is read before the first poll; dropping the stream ends the work.

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
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};
use traceql::ast::{Pipeline, Root};
use traceql::eval::Search;
use traceql::spans::Spans;
use traceql::value::Value;

use super::super::error::Error;
use super::super::evaluate::{Work, of_language, range, widened};
use super::super::read::{Group, Reading, each};
use super::super::request::{MetricsRequest, Window};
use super::super::spans::TraceSpans;
use super::super::{conditions, metrics};
use super::rows::{Row, SpanRow, batch, labels, of_series};
use super::{Asked, schema};

/// See the module.
#[derive(Debug)]
pub(super) struct TraceqlExec {
    asked: Arc<Asked>,
    columns: Vec<usize>,
    fetch: Option<usize>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl TraceqlExec {
    pub(super) fn new(asked: Arc<Asked>, columns: Vec<usize>, fetch: Option<usize>) -> Result<Self> {
        let schema = Arc::new(schema().project(&columns)?);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Ok(Self { asked, columns, fetch, schema, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() })
    }
}

/// The rows of the answer, and their memory.
async fn rows(asked: &Asked, context: Arc<TaskContext>, limit: usize) -> Result<(Vec<Row>, MemoryReservation)> {
    let held = MemoryConsumer::new("TraceqlExec[answer]").register(context.memory_pool());
    let work = asked.work(context);
    let rows = match &asked.query.root {
        Root::Search(pipeline) => spans(asked, &work, pipeline, limit).await,
        Root::Metrics(_) => numbers(asked, &work).await,
    };
    let mut rows = rows.map_err(|error| asked.of_sql(error))?;
    rows.truncate(limit);
    held.try_grow(rows.iter().map(Row::bytes).sum())?;
    Ok((rows, held))
}

async fn numbers(asked: &Asked, work: &Work) -> Result<Vec<Row>, Error> {
    let arguments = &asked.arguments;
    let request = MetricsRequest {
        text: arguments.text.clone(),
        start_ns: arguments.start_ns,
        end_ns: arguments.end_ns,
        step_ns: arguments.step_ns.unwrap_or(0),
        instant: arguments.step_ns.is_none(),
        exemplars: 0,
        series_max: 0,
        timeout: None,
    };
    Ok(of_series(metrics::metrics(work, &request, None).await?.series))
}

/// The matching spans of traces with a moment in the window; each partition stops at `limit`.
async fn spans(asked: &Asked, work: &Work, pipeline: &Pipeline, limit: usize) -> Result<Vec<Row>, Error> {
    let search = Arc::new(Search::new(pipeline).map_err(of_language)?);
    let window = Window { start_ns: asked.arguments.start_ns, end_ns: asked.arguments.end_ns };
    let time = widened(range(window.start_ns, window.end_ns));
    let shape = work.shape(search.slots().fields(), false, time).await?;
    let predicate = match search.needs().whole_trace {
        true => Some(Default::default()),
        false => conditions::predicate(search.conditions(), &shape.resources),
    };
    let Some(predicate) = predicate else { return Ok(Vec::new()) };
    let more = ["span_id", "parent_span_id", "kind", "service", "name"];
    let reading = Arc::new(Reading::plan(work, shape, &more, time, predicate)?);
    let part = |work: Work, reading: Arc<Reading>, at, of| {
        let search = Arc::clone(&search);
        async move {
            let (mut rows, mut bytes, mut traces) = (Vec::new(), 0, reading.traces(&work, at, of)?);
            while rows.len() < limit
                && let Some(group) = traces.next().await?
            {
                work.check()?;
                let before = rows.len();
                let mut take = |spans: TraceSpans| matching(&search, &spans, window, &mut rows);
                match group {
                    Group::Trace(spans) => take(spans)?,
                    Group::Run(batch, rows) => each(&batch, rows, take)?,
                }
                bytes += rows[before..].iter().map(Row::bytes).sum::<usize>();
                traces.hold(bytes)?;
            }
            Ok(rows)
        }
    };
    Ok(work.each(&reading, part).await?.into_iter().flatten().collect())
}

/// Adds a row for every span of every spanset of one trace.
fn matching(search: &Search, spans: &TraceSpans, window: Window, rows: &mut Vec<Row>) -> Result<(), Error> {
    let facts = spans.facts();
    if facts.end_ns < window.start_ns || facts.start_ns > window.end_ns {
        return Ok(());
    }
    for (number, spanset) in search.evaluate(spans).map_err(of_language)?.into_iter().enumerate() {
        for row in spanset.rows {
            let (batch, at) = spans.place(row);
            let fields = search.returned().iter().map(|field| (field.name(), field.value(spans, row)));
            let of_spanset = spanset.attributes.iter().map(|(name, value)| (name.as_str(), value.borrowed()));
            let span = SpanRow {
                trace: batch.trace(at),
                id: batch.span(at),
                service: batch.service(at).to_owned(),
                name: batch.name(at).to_owned(),
                duration_ns: spans.duration_ns(row),
                spanset: i64::try_from(number).unwrap_or(i64::MAX),
            };
            let labels = labels(fields.chain(of_spanset).filter(|(_, value)| *value != Value::Nil));
            rows.push(Row { ts_ns: spans.start_ns(row), span: Some(span), labels, value: None });
        }
    }
    Ok(())
}

impl ExecutionPlan for TraceqlExec {
    fn name(&self) -> &str {
        "TraceqlExec"
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
        let batch_rows = context.session_config().batch_size().max(1);
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let answer = async move {
            let (rows, held) = rows(&asked, context, limit).await?;
            let starts: Vec<usize> = (0..rows.len()).step_by(batch_rows).collect();
            // The answer's memory is given back when its last row is out.
            let batches = starts.into_iter().map(move |start| {
                let _held = &held;
                batch(&rows[start..(start + batch_rows).min(rows.len())], &columns, &schema)
            });
            Ok::<_, DataFusionError>(stream::iter(batches))
        };
        let batches = stream::once(answer)
            .try_flatten()
            .map(move |batch: Result<RecordBatch, DataFusionError>| batch.record_output(&baseline));
        Ok(make_cooperative(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

impl DisplayAs for TraceqlExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arguments = &self.asked.arguments;
        write!(f, "TraceqlExec: query={:?}, snapshot={}", arguments.text, self.asked.view.snapshot().id())?;
        write!(f, ", time_ns=[{}, {}]", arguments.start_ns, arguments.end_ns)?;
        match self.fetch {
            Some(fetch) => write!(f, ", limit={fetch}"),
            None => Ok(()),
        }
    }
}
