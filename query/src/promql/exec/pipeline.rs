//! Selected series through a chain of operators that take one series at a time, and into an aggregation if that is where they go.
//!
//! ```text
//! sum by (job) (rate(x[5m]))            partition 0: series ─► rate ─► states of groups ┐
//!                                       partition 1: series ─► rate ─► states of groups ┴ merge ─► series of groups
//! ```
//! Between the operators of the chain nothing is encoded: a chunk of series goes through all of them while it is in the cache.
//!
//! Inputs: storage, or one plan; and the scalars that the operators take. Output: as many partitions as the input has, series in its
//! order; of an aggregation one. Errors: those of storage and of the operators. Memory: the series that were read, a chunk of results, the
//! states of groups.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};
use promql::ast::Span;
use promql::eval::operators::{Aggregate, Partial};
use promql::eval::{self, Data, Node, Select};
use promql::value::{Grid, RawSeries};
use tokio::sync::OnceCell;

use super::batch::{self, Shape};
use super::describe;
use super::state::{self, State};
use crate::promql::error::Error;
use crate::promql::samples::{Chunk, Selection};

/// Samples of series that go through the chain at a time: they stay in the processor's cache.
const CHUNK_SAMPLES: usize = 1 << 15;

/// Where series come from.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// Storage, for the selector that stands there in the text.
    Storage(Select, Span),
    /// The first input, whose batches are of this shape.
    Input(Shape),
}

/// A scalar that an operator takes.
#[derive(Debug)]
pub(super) struct Scalar {
    pub(super) plan: Arc<dyn ExecutionPlan>,
    /// Of its batches.
    pub(super) shape: Shape,
}

/// One operator of the chain.
#[derive(Debug)]
pub(super) struct Stage {
    /// Without its inputs.
    pub(super) node: Node,
    /// How many scalars it takes.
    pub(super) scalars: usize,
}

/// The aggregation at the end of the chain.
#[derive(Debug)]
pub(super) struct Last {
    pub(super) op: Aggregate,
    pub(super) grid: Grid,
    /// Whether it has a parameter.
    pub(super) param: bool,
}

/// What the chain is made of.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) origin: Origin,
    /// In the order in which series go through them.
    pub(super) stages: Vec<Stage>,
    pub(super) last: Option<Last>,
    /// Of what comes out.
    pub(super) shape: Shape,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct SeriesPipelineExec {
    inner: Arc<Inner>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

#[derive(Debug)]
struct Inner {
    chain: Chain,
    /// The input, if it is not storage.
    input: Option<Arc<dyn ExecutionPlan>>,
    /// The scalars of the stages in their order, then the parameter of the aggregation.
    scalars: Vec<Scalar>,
    partitions: usize,
    state: Arc<State>,
    /// What is read, decided by whichever partition comes first.
    selection: OnceCell<Arc<Selection>>,
    values: OnceCell<Arc<Vec<Data>>>,
}

impl SeriesPipelineExec {
    /// `chain` over `input`, which is there unless series come from storage, with `scalars` as each stage and the aggregation takes them.
    pub(super) fn new(chain: Chain, input: Option<Arc<dyn ExecutionPlan>>, scalars: Vec<Scalar>, state: Arc<State>) -> Self {
        let partitions = match &input {
            Some(input) => input.properties().output_partitioning().partition_count(),
            None => state.partitions,
        };
        let (outputs, emission) = match &chain.last {
            Some(_) => (1, EmissionType::Final),
            None => (partitions, EmissionType::Incremental),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(chain.shape.schema()),
            Partitioning::UnknownPartitioning(outputs),
            emission,
            Boundedness::Bounded,
        );
        let (selection, values) = (OnceCell::new(), OnceCell::new());
        let inner = Arc::new(Inner { chain, input, scalars, partitions, state, selection, values });
        Self { inner, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl Inner {
    /// The scalars, evaluated once.
    async fn values(&self, context: &Arc<TaskContext>) -> Result<Arc<Vec<Data>>> {
        let read = async {
            let mut values = Vec::with_capacity(self.scalars.len());
            for scalar in &self.scalars {
                let batches = super::read_whole(Arc::clone(&scalar.plan), context).await?;
                values.push(batch::decode(&batches, scalar.shape, &self.state.arena)?);
            }
            Ok::<_, DataFusionError>(Arc::new(values))
        };
        self.values.get_or_try_init(|| read).await.map(Arc::clone)
    }

    /// What is read out of storage.
    async fn selection(&self, select: &Select, span: Span) -> Result<Arc<Selection>> {
        let state = &self.state;
        let scope = state.scope(select, span);
        let decide = async { state.store.select(&state.view, select, scope, state.series_max).await.map_err(Error::into_plan) };
        self.selection.get_or_try_init(|| decide).await.map(Arc::clone)
    }

    /// The part of `count` chunks that belongs to `partition`.
    fn share(&self, count: usize, partition: usize) -> Range<usize> {
        count * partition / self.partitions..count * (partition + 1) / self.partitions
    }

    async fn open(self: &Arc<Self>, partition: usize, context: &Arc<TaskContext>) -> Result<Reading> {
        match (&self.chain.origin, &self.input) {
            (Origin::Storage(select, span), _) => {
                let selection = self.selection(select, *span).await?;
                let pinned = MemoryConsumer::new("SeriesPipelineExec[samples]").register(context.memory_pool());
                let chunks = self.share(selection.chunks(), partition);
                Ok(Reading::Storage(Box::new(Stored { selection, chunks, chunk: None, pinned })))
            }
            (Origin::Input(shape), Some(input)) => Ok(Reading::Input(*shape, input.execute(partition, Arc::clone(context))?)),
            (Origin::Input(_), None) => Err(DataFusionError::Internal("a chain of operators lacks its input".to_owned())),
        }
    }

    /// The next chunk, through all stages.
    async fn next(&self, reading: &mut Reading, values: &[Data]) -> Result<Option<Data>> {
        let (mut data, mut next) = match reading {
            Reading::Storage(stored) => {
                let series = stored.next(&self.state).await?;
                if series.is_empty() {
                    return Ok(None);
                }
                tokio::task::consume_budget().await;
                match self.chain.stages.first() {
                    Some(stage) => {
                        let scalars = &values[..stage.scalars];
                        self.state.look_at_windows(&stage.node, &series);
                        let found = self.state.evaluate(|cx| eval::step_raw(&stage.node, &series, scalars, cx))?;
                        self.state.look_at_found(&stage.node, &found);
                        (found, 1)
                    }
                    None => (Data::Raw(series), 0),
                }
            }
            Reading::Input(shape, batches) => match batches.try_next().await? {
                Some(batch) => (batch::decode(&[batch], *shape, &self.state.arena)?, 0),
                None => return Ok(None),
            },
        };
        let mut taken: usize = self.chain.stages[..next].iter().map(|stage| stage.scalars).sum();
        while let Some(stage) = self.chain.stages.get(next) {
            let scalars = &values[taken..taken + stage.scalars];
            if let Data::Raw(series) = &data {
                self.state.look_at_windows(&stage.node, series);
            }
            data = self.state.evaluate(|cx| eval::step_series(&stage.node, data, scalars, cx))?;
            self.state.look_at_found(&stage.node, &data);
            taken += stage.scalars;
            next += 1;
        }
        Ok(Some(data))
    }

    /// The state of the aggregation after the series of one partition.
    async fn partial(self: Arc<Self>, partition: usize, context: Arc<TaskContext>) -> Result<Partial> {
        let Some(last) = &self.chain.last else {
            return Err(DataFusionError::Internal("a chain of operators lacks its aggregation".to_owned()));
        };
        let values = self.values(&context).await?;
        let param = if last.param { values.last() } else { None };
        let mut partial = self.state.evaluate(|cx| eval::begin(&last.op, last.grid, param, cx))?;
        let mut reading = self.open(partition, &context).await?;
        while let Some(data) = self.next(&mut reading, &values).await? {
            self.state.evaluate(|cx| eval::accumulate(&last.op, &mut partial, data, cx))?;
        }
        Ok(partial)
    }

    /// The whole aggregation: partitions at the same time, merged in their order.
    async fn aggregate(self: Arc<Self>, context: Arc<TaskContext>, metrics: BaselineMetrics) -> Result<Vec<RecordBatch>> {
        let Some(last) = &self.chain.last else {
            return Err(DataFusionError::Internal("a chain of operators lacks its aggregation".to_owned()));
        };
        let task = |partition| SpawnedTask::spawn(Arc::clone(&self).partial(partition, Arc::clone(&context)));
        let tasks: Vec<_> = (0..self.partitions).map(task).collect();
        let mut whole: Option<Partial> = None;
        for task in tasks {
            let part =
                task.join_unwind().await.map_err(|e| DataFusionError::Internal(format!("a task of a query died: {e}")))??;
            match &mut whole {
                None => whole = Some(part),
                Some(whole) => self.state.evaluate(|cx| {
                    whole.merge(&last.op, part, cx);
                    Ok(())
                })?,
            }
        }
        let timer = metrics.elapsed_compute().timer();
        let series = match whole {
            Some(whole) => self.state.evaluate(|cx| whole.finish(&last.op, cx))?,
            None => Vec::new(),
        };
        let batches = batch::encode(Data::Steps(series), self.chain.shape, &self.state.arena)?;
        timer.done();
        metrics.record_output(batches.iter().map(RecordBatch::num_rows).sum());
        Ok(batches)
    }
}

/// Where the next series of a partition come from.
enum Reading {
    Storage(Box<Stored>),
    Input(Shape, SendableRecordBatchStream),
}

/// A partition's part of a selection.
struct Stored {
    selection: Arc<Selection>,
    chunks: Range<usize>,
    chunk: Option<Chunk>,
    /// Memory of the blocks at hand.
    pinned: MemoryReservation,
}

impl Stored {
    /// The next series; none at the end.
    async fn next(&mut self, state: &State) -> Result<Vec<RawSeries>> {
        loop {
            if let Some(chunk) = &mut self.chunk {
                let series = chunk.next(CHUNK_SAMPLES);
                if !series.is_empty() {
                    state.count_samples(&series);
                    return Ok(series);
                }
                self.chunk = None;
                self.pinned.free();
            }
            let Some(at) = self.chunks.next() else { return Ok(Vec::new()) };
            let chunk = self.selection.chunk(at, &self.pinned, &state.ticket).await;
            self.chunk = Some(chunk.map_err(Error::into_plan)?);
        }
    }
}

/// One partition at work.
struct Part {
    inner: Arc<Inner>,
    partition: usize,
    context: Arc<TaskContext>,
    open: Option<(Reading, Arc<Vec<Data>>)>,
    ready: VecDeque<RecordBatch>,
    reservation: MemoryReservation,
    metrics: BaselineMetrics,
}

impl Part {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            self.reservation.free();
            if self.open.is_none() {
                let values = self.inner.values(&self.context).await?;
                self.open = Some((self.inner.open(self.partition, &self.context).await?, values));
            }
            let Some((reading, values)) = &mut self.open else { return Ok(None) };
            let Some(data) = self.inner.next(reading, values).await? else { return Ok(None) };
            let _timer = self.metrics.elapsed_compute().timer();
            let batches = batch::encode(data, self.inner.chain.shape, &self.inner.state.arena)?;
            state::hold(&batches, &self.reservation)?;
            self.metrics.record_output(batches.iter().map(RecordBatch::num_rows).sum());
            self.ready.extend(batches);
        }
    }
}

impl ExecutionPlan for SeriesPipelineExec {
    fn name(&self) -> &str {
        "SeriesPipelineExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inner.input.iter().chain(self.inner.scalars.iter().map(|scalar| &scalar.plan)).collect()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    /// The plan is built once and runs as it was built: no rule rewrites it.
    fn with_new_children(self: Arc<Self>, _children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let schema = self.inner.chain.shape.schema();
        if self.inner.chain.last.is_some() {
            let run = Arc::clone(&self.inner).aggregate(context, metrics);
            let batches = stream::once(run).map_ok(|batches| stream::iter(batches.into_iter().map(Ok))).try_flatten();
            return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches.boxed())));
        }
        let reservation = MemoryConsumer::new("SeriesPipelineExec").register(context.memory_pool());
        let inner = Arc::clone(&self.inner);
        let part = Part { inner, partition, context, open: None, ready: VecDeque::new(), reservation, metrics };
        let batches = stream::try_unfold(part, |mut part| async move { Ok(part.next().await?.map(|batch| (batch, part))) });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches.boxed())))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

impl DisplayAs for SeriesPipelineExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chain = &self.inner.chain;
        write!(f, "SeriesPipelineExec: partitions={}", self.inner.partitions)?;
        if let Some(last) = &chain.last {
            write!(f, ", {}", describe::aggregate(&last.op, last.grid))?;
        }
        for stage in chain.stages.iter().rev() {
            write!(f, " ◄ {}", describe::node(&stage.node))?;
        }
        match &chain.origin {
            Origin::Storage(select, _) => write!(f, " ◄ {}", describe::select(select)),
            Origin::Input(_) => Ok(()),
        }
    }
}
