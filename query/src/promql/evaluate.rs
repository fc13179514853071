//! From the text of a query to its answer.
//!
//! ```text
//! text ─parse─► tree ─lower─► operators ─exec::plan─► physical plan ─run─► series on steps ─► Answer
//! ```

use std::sync::Arc;
use std::time::Duration;

use catalog::TenantId;
use datafusion::physical_plan::{ExecutionPlan, displayable};
use promql::ast::AggregateOp;
use promql::eval::{self, AnswerValue, Budget, Node, Operator, Plan, QueryOptions};
use promql::parse::ParseOptions;
use promql::value::{Grid, StepSeries};
use tokio::time::Instant;

use super::PromqlEngine;
use super::answer::{Answer, Element, Sample, Series, Stats, Value};
use super::config::PromqlConfig;
use super::error::{Error, Result};
use super::exec::{self, PlanShape, State};
use super::request::{InstantQuery, RangeQuery};
use super::run::Ticket;
use crate::engine::Session;

/// What an evaluation needs to know, whatever kind of request it is.
#[derive(Debug, Clone)]
pub(super) struct Question {
    text: String,
    grid: Grid,
    is_instant: bool,
    lookback: Option<Duration>,
    /// Less time than the configuration gives.
    pub(super) timeout: Option<Duration>,
    limit: usize,
}

impl From<InstantQuery> for Question {
    fn from(query: InstantQuery) -> Self {
        let InstantQuery { text, time_ms, lookback, timeout, limit, .. } = query;
        Self { text, grid: Grid::instant(time_ms), is_instant: true, lookback, timeout, limit }
    }
}

impl From<RangeQuery> for Question {
    fn from(query: RangeQuery) -> Self {
        let RangeQuery { text, start_ms, end_ms, step_ms, lookback, timeout, limit, .. } = query;
        Self { text, grid: Grid { start_ms, end_ms, step_ms }, is_instant: false, lookback, timeout, limit }
    }
}

/// A query that is ready to run.
struct Prepared {
    plan: Plan,
    physical: Arc<dyn ExecutionPlan>,
    shape: PlanShape,
    state: Arc<State>,
    session: Session,
}

/// The operators of a query.
///
/// # Errors
/// Times and steps that make no sense or are too many; a text that is no query.
pub(super) fn lower(question: &Question, config: &PromqlConfig) -> Result<Plan> {
    let grid = question.grid;
    if grid.step_ms < 1 {
        return Err(Error::invalid("zero or negative query resolution step widths are not accepted. Try a positive integer"));
    }
    if grid.end_ms < grid.start_ms {
        return Err(Error::invalid("end timestamp must not be before start time"));
    }
    if grid.len() as u64 > config.steps_max {
        let steps_max = config.steps_max;
        return Err(Error::Limit { name: "promql.steps_max", what: "steps", found: grid.len() as u64, limit: steps_max });
    }
    let experimental = config.experimental;
    let expr = promql::parse::parse(&question.text, &ParseOptions { experimental })?;
    let lookback = question.lookback.unwrap_or(config.lookback);
    let of = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
    let options = QueryOptions {
        lookback_ms: i64::try_from(lookback.as_millis()).unwrap_or(i64::MAX).max(1),
        delayed_name_removal: experimental,
        start_timestamps: experimental,
        samples_max: of(config.samples_max),
        series_max: of(config.series_max),
        subquery_steps_max: of(config.samples_max),
        is_instant: question.is_instant,
        ..QueryOptions::range(grid.start_ms, grid.end_ms, grid.step_ms)
    };
    Ok(eval::lower(&expr, &options)?)
}

impl PromqlEngine {
    /// A query of `tenant`, planned over the newest state.
    fn prepare(&self, tenant: &TenantId, question: &Question, ticket: Ticket) -> Result<Prepared> {
        let plan = lower(question, &self.config)?;
        let engine = &self.engine;
        let session = engine.session(tenant, engine.config().limits.clone())?;
        let budget = Budget::new(plan.samples_max, plan.series_max);
        let partitions = engine.config().target_partitions();
        let state =
            State::new(Arc::clone(session.view()), Arc::clone(&self.samples), budget, ticket, partitions, self.config.series_max);
        let shape = PlanShape::of(&plan.root);
        let physical = exec::plan(plan.root.clone(), &state);
        Ok(Prepared { plan, physical, shape, state, session })
    }

    /// The answer to a query.
    pub(super) async fn evaluate(
        &self,
        tenant: &TenantId,
        question: &Question,
        ticket: Ticket,
        asked: Instant,
    ) -> Result<Answer> {
        let begun = Instant::now();
        let Prepared { plan, physical, shape, state, session } = self.prepare(tenant, question, ticket)?;
        let prepared = Instant::now();
        let context = session.context().task_ctx();
        let data = exec::run(physical, shape, &state, context).await.map_err(|error| Error::of_plan(error, &session))?;
        let value = eval::finish(&plan, data)?;
        let (value, truncated) = limited(answered(&plan, value), question.limit);
        let ended = Instant::now();
        let stats = Stats {
            queued: begun - asked,
            prepared: prepared - begun,
            evaluated: ended - prepared,
            total: ended - asked,
            samples: state.samples(),
            samples_peak: state.budget.peak() as u64,
            samples_per_step: Vec::new(),
        };
        Ok(Answer { value, annotations: state.take_annotations(), truncated, stats })
    }

    /// The physical plan of a query in words.
    pub(super) fn describe(&self, tenant: &TenantId, question: &Question, ticket: Ticket) -> Result<String> {
        let prepared = self.prepare(tenant, question, ticket)?;
        Ok(displayable(prepared.physical.as_ref()).indent(false).to_string())
    }
}

/// Whether an operator below says in which order series come; else they come as storage has them, which says nothing to anybody.
fn orders(node: &Node) -> bool {
    match &node.op {
        Operator::Sort(_) => true,
        Operator::Aggregate(aggregate) if matches!(aggregate.op, AggregateOp::TopK | AggregateOp::BottomK) => true,
        _ => node.inputs.iter().any(orders),
    }
}

/// What `plan` came to, in the order in which it is told.
pub(super) fn answered(plan: &Plan, mut value: AnswerValue) -> Value {
    if let AnswerValue::Vector(series) = &mut value
        && !orders(&plan.root)
    {
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
    }
    value_of(plan.grid, value)
}

fn value_of(grid: Grid, value: AnswerValue) -> Value {
    let time_ms = grid.start_ms;
    match value {
        AnswerValue::Scalar(value) => Value::Scalar { time_ms, value },
        AnswerValue::String(value) => Value::String { time_ms, value },
        AnswerValue::Vector(series) => Value::Vector(series.into_iter().filter_map(|one| element(time_ms, one)).collect()),
        AnswerValue::Matrix(series) => Value::Matrix(series.into_iter().map(|one| Series::of_steps(grid, one)).collect()),
        AnswerValue::Range(series) => Value::Matrix(series.into_iter().map(Series::of_raw).collect()),
    }
}

fn element(time_ms: i64, series: StepSeries) -> Option<Element> {
    let sample = match series.sample(0)? {
        promql::value::Sample::Float(value) => Sample::Float(value),
        promql::value::Sample::Histogram(histogram) => Sample::Histogram(Arc::clone(histogram)),
    };
    Some(Element { labels: series.labels, time_ms, sample })
}

/// The first `limit` series; 0: all.
fn limited(mut value: Value, limit: usize) -> (Value, bool) {
    let cut = match &mut value {
        _ if limit == 0 => false,
        Value::Vector(elements) if elements.len() > limit => {
            elements.truncate(limit);
            true
        }
        Value::Matrix(series) if series.len() > limit => {
            series.truncate(limit);
            true
        }
        _ => false,
    };
    (value, cut)
}
