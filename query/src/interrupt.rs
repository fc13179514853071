//! Ending a query that is busy inside one operator.
//!
//! A query ends when its stream is dropped, but only between two polls. A join may compare for hours within one poll, when its filter
//! lets nothing through. So every join is made to yield after some batches, and its filter looks at a flag before each evaluation. The
//! flag knows the deadline itself: where every thread of a runtime is inside such a join, no timer of that runtime fires. A request with such a
//! join is long before it begins.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, HashJoinExecBuilder, NestedLoopJoinExec, NestedLoopJoinExecBuilder, SortMergeJoinExec,
};
use tokio::time::Instant;

use crate::busy::Turns;
use crate::error::Error;
use crate::threads;

/// Raised when nobody wants the answer any more, or its time is up.
#[derive(Debug, Clone, Default)]
pub struct StopFlag(Arc<Raised>);

#[derive(Debug, Default)]
struct Raised {
    stopped: AtomicBool,
    deadline: OnceLock<Instant>,
}

impl StopFlag {
    /// Ends the query at its next look.
    pub fn stop(&self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }

    /// Counts as raised from `deadline` on. The first deadline is the one that counts.
    pub fn stop_at(&self, deadline: Instant) {
        let _ = self.0.deadline.set(deadline);
    }

    /// Whether it was raised.
    pub fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::Relaxed) || self.0.deadline.get().is_some_and(|deadline| Instant::now() >= *deadline)
    }
}

/// Makes the joins of a plan end when they should.
#[derive(Debug)]
pub(crate) struct Interruptible {
    pub(crate) stop: StopFlag,
    pub(crate) turns: Turns,
}

impl Interruptible {
    fn watch(&self, filter: &JoinFilter) -> Option<JoinFilter> {
        threads::will_be_long();
        let expression =
            Arc::new(WhileWanted { inner: Arc::clone(filter.expression()), stop: self.stop.clone(), turns: self.turns.clone() });
        Some(JoinFilter::new(expression, filter.column_indices().to_vec(), Arc::clone(filter.schema())))
    }
}

impl PhysicalOptimizerRule for Interruptible {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let join: Arc<dyn ExecutionPlan> = if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
                match join.filter() {
                    Some(filter) => Arc::new(NestedLoopJoinExecBuilder::from(join).with_filter(self.watch(filter)).build()?),
                    None => node,
                }
            } else if let Some(join) = node.downcast_ref::<HashJoinExec>() {
                match join.filter() {
                    Some(filter) => Arc::new(HashJoinExecBuilder::from(join).with_filter(self.watch(filter)).build()?),
                    None => node,
                }
            } else if node.is::<CrossJoinExec>() || node.is::<SortMergeJoinExec>() {
                node
            } else {
                return Ok(Transformed::no(node));
            };
            Ok(Transformed::yes(Arc::new(CooperativeExec::new(join)) as Arc<dyn ExecutionPlan>))
        })
        .data()
    }

    fn name(&self) -> &str {
        "interruptible_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// An expression that fails once the flag is raised, and takes turns when its thread is kept for long.
#[derive(Debug)]
struct WhileWanted {
    inner: Arc<dyn PhysicalExpr>,
    stop: StopFlag,
    turns: Turns,
}

impl PartialEq for WhileWanted {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner)
    }
}

impl Eq for WhileWanted {}

impl Hash for WhileWanted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl fmt::Display for WhileWanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PhysicalExpr for WhileWanted {
    fn data_type(&self, input_schema: &Schema) -> Result<DataType> {
        self.inner.data_type(input_schema)
    }

    fn nullable(&self, input_schema: &Schema) -> Result<bool> {
        self.inner.nullable(input_schema)
    }

    fn return_field(&self, input_schema: &Schema) -> Result<FieldRef> {
        self.inner.return_field(input_schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        if self.stop.is_stopped() {
            return Err(Error::Stopped.into());
        }
        self.turns.take(|| self.inner.evaluate(batch))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let inner = children.into_iter().next().unwrap_or_else(|| Arc::clone(&self.inner));
        Ok(Arc::new(Self { inner, stop: self.stop.clone(), turns: self.turns.clone() }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}
