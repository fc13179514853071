//! PromQL as physical operators of DataFusion.
//!
//! ```text
//! Plan of `promql::eval` ─[plan]─► OperatorExec            what must see everything
//!                                    SeriesPipelineExec     what takes one series at a time, and aggregations over that
//!                                      storage
//! ```
//! The operators' work is in the crate `promql`; here is what makes physical operators of it: batches ([`batch`]), partitions, memory, and
//! an end when nobody waits. Plans are built directly: an optimizer for rows would find nothing in them.
//!
//! # Invariants
//! - Every batch has one row per series; labels travel as handles.
//! - Order of series is the order that evaluating in memory would give, whatever the number of partitions.

mod batch;
mod describe;
mod histogram;
mod pipeline;
mod state;
mod whole;

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, collect_partitioned};
use promql::eval::{Data, Node, Operator, Streaming};

use batch::Shape;
use pipeline::{Chain, Last, Origin, Scalar, SeriesPipelineExec, Stage};
pub(crate) use state::{Scopes, State, time_of};
use whole::OperatorExec;

/// The physical plan of a tree of operators.
pub(crate) fn plan(node: Node, state: &Arc<State>) -> Arc<dyn ExecutionPlan> {
    match node.streaming() {
        Streaming::PerSeries | Streaming::Partial if !node.inputs.is_empty() || matches!(node.op, Operator::Select(_)) => {
            chain(node, state)
        }
        _ => {
            let shape = shape(&node);
            let mut node = node;
            let inputs = std::mem::take(&mut node.inputs);
            let shapes = inputs.iter().map(self::shape).collect();
            let inputs = inputs.into_iter().map(|input| plan(input, state)).collect();
            Arc::new(OperatorExec::new(node, shape, inputs, shapes, Arc::clone(state)))
        }
    }
}

/// Runs a plan for `node` to its end.
///
/// # Errors
/// As its operators.
pub(crate) async fn run(
    plan: Arc<dyn ExecutionPlan>,
    shape: PlanShape,
    state: &State,
    context: Arc<TaskContext>,
) -> Result<Data> {
    let batches = read_whole(plan, &context).await?;
    batch::decode(&batches, shape.0, &state.arena)
}

/// Reads a plan whole, its partitions at the same time and put together in their order, in a task of its own: a query of many levels is
/// then many short stacks, and not one that overflows and takes the process with it.
///
/// # Errors
/// As its operators.
async fn read_whole(plan: Arc<dyn ExecutionPlan>, context: &Arc<TaskContext>) -> Result<Vec<RecordBatch>> {
    let partitions = SpawnedTask::spawn(collect_partitioned(plan, Arc::clone(context))).join_unwind().await;
    let partitions = partitions.map_err(|e| DataFusionError::Internal(format!("a task of a query died: {e}")))??;
    Ok(partitions.into_iter().flatten().collect())
}

/// What a plan's batches hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlanShape(Shape);

impl PlanShape {
    /// Of the plan of `node`.
    pub(crate) fn of(node: &Node) -> Self {
        Self(shape(node))
    }
}

fn shape(node: &Node) -> Shape {
    match &node.op {
        Operator::Select(_) | Operator::Subquery(_) | Operator::Window(_) => Shape::Raw,
        Operator::Text(_) => Shape::Text,
        Operator::DropNames => node.inputs.first().map_or(Shape::Steps(node.grid.len()), shape),
        _ => Shape::Steps(node.grid.len()),
    }
}

/// The chain of operators from `top` down to storage, or to the first one that must see everything.
fn chain(top: Node, state: &Arc<State>) -> Arc<dyn ExecutionPlan> {
    let shape_of_all = shape(&top);
    let mut scalars: Vec<Vec<Scalar>> = Vec::new();
    let (mut stages, mut last, mut param) = (Vec::new(), None, Vec::new());
    let scalar = |node: Node| Scalar { shape: shape(&node), plan: plan(node, state) };
    let mut node = top;
    if let Operator::Aggregate(op) = &node.op {
        let (op, grid) = (op.clone(), node.grid);
        let mut inputs = node.inputs.into_iter();
        let first = inputs.next();
        param = inputs.map(scalar).collect();
        last = Some(Last { op, grid, param: !param.is_empty() });
        node = match first {
            Some(first) => first,
            // An aggregation of nothing: the tree has none, but a plan must come out.
            None => return Arc::new(OperatorExec::new(nothing(grid), shape_of_all, Vec::new(), Vec::new(), Arc::clone(state))),
        };
    }
    let (origin, input) = loop {
        if let Operator::Select(select) = node.op {
            break (Origin::Storage(select, node.span), None);
        }
        if node.streaming() != Streaming::PerSeries || node.inputs.is_empty() {
            break (Origin::Input(shape(&node)), Some(plan(node, state)));
        }
        let first = node.inputs.remove(0);
        let taken: Vec<_> = node.inputs.drain(..).map(scalar).collect();
        stages.push(Stage { node, scalars: taken.len() });
        scalars.push(taken);
        node = first;
    };
    stages.reverse();
    scalars.reverse();
    let scalars = scalars.into_iter().flatten().chain(param).collect();
    let chain = Chain { origin, stages, last, shape: shape_of_all };
    Arc::new(SeriesPipelineExec::new(chain, input, scalars, Arc::clone(state)))
}

fn nothing(grid: promql::value::Grid) -> Node {
    Node { op: Operator::Nothing, inputs: Vec::new(), grid, span: promql::ast::Span::default() }
}
