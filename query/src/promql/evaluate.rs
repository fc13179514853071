//! From the text of a query to its answer.
//!
//! ```text
//! text ─parse─► tree ─lower─► operators ─exec::plan─► physical plan ─run─► series on steps ─► Answer
//! ```

use std::sync::Arc;
use std::time::Duration;

use catalog::TenantId;
use datafusion::physical_plan::{ExecutionPlan, displayable};
use promql::annotation::Annotations;
use promql::ast::{AggregateOp, Expr};
use promql::eval::{self, AnswerValue, Budget, Looks, Node, Operator, Plan, QueryOptions};
use promql::parse::ParseOptions;
use promql::value::{Grid, StepSeries};
use tokio::time::Instant;

use super::PromqlEngine;
use super::answer::{Answer, Element, Sample, Series, Stats, Value};
use super::config::PromqlConfig;
use super::error::{Error, Result};
use super::exec::{self, PlanShape, Scopes, State};
use super::request::{InstantQuery, RangeQuery, Reuse, StatsWanted};
use super::results::Cost;
use crate::engine::Session;
use crate::run::Ticket;
use crate::view::View;

/// What an evaluation needs to know, whatever kind of request it is.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) text: String,
    pub(super) grid: Grid,
    pub(super) is_instant: bool,
    pub(super) lookback: Option<Duration>,
    /// Less time than the configuration gives.
    pub(super) timeout: Option<Duration>,
    pub(super) limit: usize,
    pub(super) stats: StatsWanted,
    pub(super) reuse: Reuse,
}

impl From<InstantQuery> for Question {
    fn from(query: InstantQuery) -> Self {
        let InstantQuery { text, time_ms, lookback, timeout, limit, stats } = query;
        let (grid, reuse) = (Grid::instant(time_ms), Reuse::Forbidden);
        Self { text, grid, is_instant: true, lookback, timeout, limit, stats, reuse }
    }
}

impl From<RangeQuery> for Question {
    fn from(query: RangeQuery) -> Self {
        let RangeQuery { text, start_ms, end_ms, step_ms, lookback, timeout, limit, stats, reuse } = query;
        let grid = Grid { start_ms, end_ms, step_ms };
        Self { text, grid, is_instant: false, lookback, timeout, limit, stats, reuse }
    }
}

/// A query in operators.
#[derive(Debug)]
pub(super) struct Lowered {
    pub(super) expr: Expr,
    pub(super) options: QueryOptions,
    pub(super) plan: Plan,
}

/// A plan that is ready to run.
struct Prepared {
    physical: Arc<dyn ExecutionPlan>,
    shape: PlanShape,
    state: Arc<State>,
    session: Session,
}

/// A plan to run, and over what.
pub(super) struct Work<'a> {
    pub(super) view: Arc<View>,
    pub(super) plan: &'a Plan,
    /// Where series are looked for, if not where they are read.
    pub(super) scopes: Scopes,
    pub(super) stats: StatsWanted,
    pub(super) ticket: Ticket,
}

/// What came of a plan.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) value: AnswerValue,
    pub(super) annotations: Annotations,
    /// Whether native histograms were read.
    pub(super) has_histograms: bool,
    /// What it held at most.
    pub(super) cost: Cost,
    /// Samples that were read, or looked at if that was counted.
    samples: u64,
    samples_per_step: Vec<(i64, u64)>,
    prepared: Duration,
    evaluated: Duration,
}

/// An answer before the limit of who asked.
#[derive(Debug, Clone)]
pub(super) struct Evaluated {
    pub(super) value: Value,
    pub(super) annotations: Annotations,
    /// But for the times of who asked.
    stats: Stats,
}

impl Evaluated {
    /// An answer that cost nothing to speak of.
    pub(super) fn taken(value: Value, annotations: Annotations) -> Self {
        Self { value, annotations, stats: Stats::default() }
    }

    /// As it is given to somebody who asked at `asked`, was admitted at `begun`, and wants no more than `limit` series.
    pub(super) fn answer(self, limit: usize, asked: Instant, begun: Instant) -> Answer {
        let (value, truncated) = limited(self.value, limit);
        let stats = Stats { queued: begun - asked, total: asked.elapsed(), ..self.stats };
        Answer { value, annotations: self.annotations, truncated, stats }
    }
}

/// The operators of a query.
///
/// # Errors
/// Times and steps that make no sense or are too many; a text that is no query.
pub(super) fn lower(question: &Question, config: &PromqlConfig) -> Result<Lowered> {
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
    let plan = eval::lower(&expr, &options)?;
    Ok(Lowered { expr, options, plan })
}

impl PromqlEngine {
    fn prepare(&self, work: Work<'_>) -> Result<Prepared> {
        let plan = work.plan;
        let session = self.engine.session_over(work.view)?;
        let budget = Budget::new(plan.samples_max, plan.series_max);
        let partitions = self.engine.config().target_partitions();
        let (view, store) = (Arc::clone(session.view()), Arc::clone(&self.samples));
        let mut state = State::new(view, store, budget, work.ticket, partitions, self.config.series_max);
        state.scopes = work.scopes;
        state.looks = (work.stats != StatsWanted::None).then(|| Looks::new(plan));
        let state = Arc::new(state);
        let shape = PlanShape::of(&plan.root);
        let physical = exec::plan(plan.root.clone(), &state);
        Ok(Prepared { physical, shape, state, session })
    }

    /// Runs a plan.
    pub(super) async fn run(&self, work: Work<'_>) -> Result<Ran> {
        let begun = Instant::now();
        let (plan, stats) = (work.plan, work.stats);
        let Prepared { physical, shape, state, session } = self.prepare(work)?;
        let prepared = begun.elapsed();
        let context = session.context().task_ctx();
        let data = exec::run(physical, shape, &state, context).await.map_err(|error| Error::of_plan(error, &session))?;
        let value = eval::finish(plan, data)?;
        let counts = state.looked_at();
        let samples = counts.as_ref().map_or_else(|| state.samples(), |counts| counts.iter().sum());
        let per_step = counts.filter(|_| stats == StatsWanted::PerStep).unwrap_or_default();
        let (samples_peak, series_peak) = (state.budget.peak() as u64, state.budget.series_peak() as u64);
        Ok(Ran {
            value,
            annotations: state.take_annotations(),
            has_histograms: state.has_histograms(),
            cost: Cost { samples: samples_peak, series: series_peak, steps: plan.grid.len() as u64 },
            samples,
            samples_per_step: plan.grid.iter().zip(per_step).collect(),
            prepared,
            evaluated: begun.elapsed() - prepared,
        })
    }

    /// The answer to a query.
    pub(super) async fn evaluate(&self, tenant: &TenantId, question: &Question, ticket: Ticket) -> Result<Evaluated> {
        let begun = Instant::now();
        let lowered = lower(question, &self.config)?;
        let lowering = begun.elapsed();
        if let Some(kept) = self.kept(tenant, question, &lowered) {
            return kept.answer(ticket).await;
        }
        let view = self.engine.view(tenant, self.engine.config().limits.clone());
        let work = Work { view, plan: &lowered.plan, scopes: Scopes::default(), stats: question.stats, ticket };
        let mut ran = self.run(work).await?;
        ran.prepared += lowering;
        Ok(ran.evaluated(&lowered.plan))
    }

    /// The physical plan of a query in words.
    pub(super) fn describe(&self, tenant: &TenantId, question: &Question, ticket: Ticket) -> Result<String> {
        let Lowered { plan, .. } = lower(question, &self.config)?;
        let view = self.engine.view(tenant, self.engine.config().limits.clone());
        let work = Work { view, plan: &plan, scopes: Scopes::default(), stats: StatsWanted::None, ticket };
        Ok(displayable(self.prepare(work)?.physical.as_ref()).indent(false).to_string())
    }
}

impl Ran {
    /// As an answer; it came of `plan`.
    pub(super) fn evaluated(self, plan: &Plan) -> Evaluated {
        let stats = Stats {
            prepared: self.prepared,
            evaluated: self.evaluated,
            samples: self.samples,
            samples_peak: self.cost.samples,
            samples_per_step: self.samples_per_step,
            ..Stats::default()
        };
        Evaluated { value: answered(plan, self.value), annotations: self.annotations, stats }
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
