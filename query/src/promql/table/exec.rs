//! The operator behind `promql(...)`.
//!
//! Inputs: none. Output: one partition, rows by series and time. Errors: PromQL's, with the expression. Memory: the answer, taken from the
//! statement's pool, and a batch. Nothing is read before the first poll; dropping the stream ends the evaluation.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
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
use futures::{TryStreamExt, stream};
use promql::eval::{self, Budget};

use super::super::answer::{Sample, Value};
use super::super::error::Error;
use super::super::evaluate::answered;
use super::super::exec::{self, PlanShape, State};
use super::rows::Rows;
use super::{Asked, of_sql, schema};
use crate::run::Ticket;

/// See the module.
#[derive(Debug)]
pub(super) struct PromqlExec {
    asked: Arc<Asked>,
    columns: Vec<usize>,
    fetch: Option<usize>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl PromqlExec {
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

/// Evaluates the expression; what the answer holds is taken from `reservation`.
async fn evaluate(asked: &Asked, context: Arc<TaskContext>, reservation: &MemoryReservation) -> Result<Value> {
    let (config, plan) = (&asked.language.config, &asked.plan);
    let ticket = Ticket::stopped_by(asked.stop.clone(), config.timeout);
    let budget = Budget::new(plan.samples_max, plan.series_max);
    let (view, samples) = (Arc::clone(&asked.view), Arc::clone(&asked.language.samples));
    let state = Arc::new(State::new(view, samples, budget, ticket, asked.language.partitions, config.series_max));
    let of_plan = |error| own(error).map_or_else(|error| error, |error| of_sql(error, &asked.text, config));
    let physical = exec::plan(plan.root.clone(), &state);
    let data = exec::run(physical, PlanShape::of(&plan.root), &state, context).await.map_err(of_plan)?;
    let value = eval::finish(plan, data).map_err(|error| of_sql(Error::from(error), &asked.text, config))?;
    let value = answered(plan, value);
    reservation.try_grow(bytes_of(&value))?;
    Ok(value)
}

/// PromQL's own error out of a plan's.
fn own(error: DataFusionError) -> std::result::Result<Error, DataFusionError> {
    match error {
        DataFusionError::External(source) => match source.downcast::<Error>() {
            Ok(own) => Ok(*own),
            Err(other) => Err(DataFusionError::External(other)),
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => own(*inner),
        DataFusionError::ArrowError(source, trace) => match *source {
            ArrowError::ExternalError(source) => match source.downcast::<DataFusionError>() {
                Ok(inner) => own(*inner),
                Err(other) => Err(DataFusionError::External(other)),
            },
            other => Err(DataFusionError::ArrowError(Box::new(other), trace)),
        },
        other => Err(other),
    }
}

/// Memory of an answer, about: labels are shared.
fn bytes_of(value: &Value) -> usize {
    const POINT: usize = 16;
    const HISTOGRAM: usize = 512;
    match value {
        Value::Scalar { .. } | Value::String { .. } => 0,
        Value::Vector(elements) => {
            let histograms = elements.iter().filter(|element| matches!(element.sample, Sample::Histogram(_))).count();
            elements.len() * 64 + histograms * HISTOGRAM
        }
        Value::Matrix(series) => {
            series.iter().map(|one| 128 + one.floats().count() * POINT + one.histograms().count() * HISTOGRAM).sum()
        }
    }
}

impl ExecutionPlan for PromqlExec {
    fn name(&self) -> &str {
        "PromqlExec"
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
        let (asked, columns, schema) = (Arc::clone(&self.asked), self.columns.clone(), Arc::clone(&self.schema));
        let limit = self.fetch.unwrap_or(usize::MAX);
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let batches = async move {
            let reservation = MemoryConsumer::new("PromqlExec[answer]").register(context.memory_pool());
            let batch_rows = context.session_config().batch_size();
            let value = evaluate(&asked, context, &reservation).await?;
            let config = &asked.language.config;
            let rows =
                Rows::new(value, columns, schema, batch_rows, limit).map_err(|error| of_sql(error, &asked.text, config))?;
            // The answer's memory is given back when its last row is out.
            let rows = rows.map(move |batch| {
                let _held = &reservation;
                batch.record_output(&baseline)
            });
            Ok::<_, DataFusionError>(stream::iter(rows))
        };
        let stream = stream::once(batches).try_flatten();
        Ok(make_cooperative(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

impl DisplayAs for PromqlExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grid = self.asked.plan.grid;
        write!(f, "PromqlExec: query={:?}, snapshot={}", self.asked.text, self.asked.view.snapshot().id())?;
        write!(f, ", time_ms=[{}, {}], step_ms={}", grid.start_ms, grid.end_ms, grid.step_ms)?;
        let schema = &self.schema;
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(f, ", columns=[{}]", names.join(", "))?;
        match self.fetch {
            Some(fetch) => write!(f, ", limit={fetch}"),
            None => Ok(()),
        }
    }
}
