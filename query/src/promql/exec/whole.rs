//! An operator that must see all of its inputs: binary operators, quantiles of classic histograms, sorts, the end of a query.
//!
//! Inputs: any number, each read whole, its partitions at the same time and put together in their order. Output: one partition, in the
//! operator's order. Errors: those of the operator. Memory: inputs and output, taken from the query's pool.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};
use promql::eval::{self, Data, Node};

use super::batch::{self, Shape};
use super::describe;
use super::state::{self, State};

/// See the module.
#[derive(Debug)]
pub(crate) struct OperatorExec {
    inner: Arc<Inner>,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

#[derive(Debug)]
struct Inner {
    /// Without its inputs.
    node: Node,
    shape: Shape,
    input_shapes: Vec<Shape>,
    state: Arc<State>,
}

impl OperatorExec {
    /// `node` over `inputs`, whose batches are of `input_shapes`.
    pub(super) fn new(
        node: Node,
        shape: Shape,
        inputs: Vec<Arc<dyn ExecutionPlan>>,
        input_shapes: Vec<Shape>,
        state: Arc<State>,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(shape.schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        let inner = Arc::new(Inner { node, shape, input_shapes, state });
        Self { inner, inputs, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl Inner {
    async fn run(
        self: Arc<Self>,
        inputs: Vec<Arc<dyn ExecutionPlan>>,
        context: Arc<TaskContext>,
        metrics: BaselineMetrics,
    ) -> Result<Vec<arrow::array::RecordBatch>> {
        let reservation = MemoryConsumer::new("OperatorExec").register(context.memory_pool());
        let mut data: Vec<Data> = Vec::with_capacity(inputs.len());
        for (input, shape) in inputs.into_iter().zip(&self.input_shapes) {
            let batches = super::read_whole(input, &context).await?;
            state::hold(&batches, &reservation)?;
            data.push(batch::decode(&batches, *shape, &self.state.arena)?);
        }
        let timer = metrics.elapsed_compute().timer();
        let out = self.state.evaluate(|cx| eval::step(&self.node, data, cx))?;
        let batches = batch::encode(out, self.shape, &self.state.arena)?;
        timer.done();
        metrics.record_output(batches.iter().map(|batch| batch.num_rows()).sum());
        Ok(batches)
    }
}

impl ExecutionPlan for OperatorExec {
    fn name(&self) -> &str {
        "OperatorExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self {
            inner: Arc::clone(&self.inner),
            inputs: children,
            properties: Arc::clone(&self.properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let run = Arc::clone(&self.inner).run(self.inputs.clone(), context, metrics);
        let batches = stream::once(run).map_ok(|batches| stream::iter(batches.into_iter().map(Ok))).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.inner.shape.schema(), batches.boxed())))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

impl DisplayAs for OperatorExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OperatorExec: {}", describe::node(&self.inner.node))
    }
}
