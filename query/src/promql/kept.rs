//! A range query that may take steps of an earlier answer.
//!
//! ```text
//! version ─► view ─► what is kept ─┬─ all steps ─────────────────────────────────► answer
//!                                  ├─ some ─► head, tail over the same view ─ join ► answer, kept in its place
//!                                  └─ none, or a doubt ─► the whole query ─────────► answer, kept if it may be
//! ```
//! The rules are those of [`super::results`].

use std::sync::Arc;

use catalog::TenantId;
use promql::annotation::Annotations;
use promql::eval::{self, AnswerValue, Node, Operator, QueryOptions, Steady};
use promql::value::Grid;

use super::PromqlEngine;
use super::answer::{self, Value};
use super::error::{ErrorType, Result};
use super::evaluate::{Evaluated, Lowered, Question, Ran, Work};
use super::exec::{Scopes, time_of};
use super::request::{Reuse, StatsWanted};
use super::results::{Cost, Extent, Key, Piece, ResultCache, Run, Series, aligned, join, unchanged};
use crate::run::Ticket;
use crate::usage::{Cache, note};
use crate::version::DataVersion;
use crate::view::View;

/// See the module.
pub(super) struct Kept<'a> {
    engine: &'a PromqlEngine,
    question: &'a Question,
    lowered: &'a Lowered,
    steady: Steady,
    key: Key,
    version: DataVersion,
    view: Arc<View>,
}

/// The part of a query that was evaluated.
struct Part {
    grid: Grid,
    series: Series,
    cost: Cost,
}

/// How the series of all selectors of a query are shared out.
struct Layouts {
    shares: u64,
    has_metadata: bool,
}

impl PromqlEngine {
    /// The query as one that may take steps of an earlier answer; `None` when it may not.
    pub(super) fn kept<'a>(&'a self, tenant: &TenantId, question: &'a Question, lowered: &'a Lowered) -> Option<Kept<'a>> {
        if !self.results.is_on() || question.reuse == Reuse::Forbidden || question.stats != StatsWanted::None {
            return None;
        }
        let steady = Steady::of(&lowered.expr, &lowered.plan)?;
        // Before the view: see `version`.
        let version = self.engine.version(tenant)?;
        let view = self.engine.view(tenant, self.engine.config().limits.clone());
        let key = Key::new(tenant, lowered.expr.to_string(), lowered.plan.grid, lowered.options.lookback_ms);
        Some(Kept { engine: self, question, lowered, steady, key, version, view })
    }
}

impl Kept<'_> {
    /// The answer.
    pub(super) async fn answer(self, ticket: Ticket) -> Result<Evaluated> {
        if let Some(extent) = self.engine.results.get(&self.key)
            && let Some(answer) = self.take(&extent, &ticket).await?
        {
            ResultCache::count(true);
            return Ok(answer);
        }
        ResultCache::count(false);
        match self.engine.run(self.work(&self.lowered.plan, Scopes::default(), &ticket)).await? {
            Ran { value: AnswerValue::Matrix(series), annotations, has_histograms: false, cost, .. } => {
                let series: Series = series.into_iter().map(Arc::new).collect();
                if let Some(layouts) = self.layouts().await {
                    let grid = aligned(self.lowered.plan.grid);
                    self.store(grid, series.clone(), cost, layouts.shares, annotations.clone());
                }
                Ok(evaluated(self.lowered.plan.grid, series, annotations))
            }
            ran => Ok(ran.evaluated(&self.lowered.plan)),
        }
    }

    fn work<'p>(&self, plan: &'p eval::Plan, scopes: Scopes, ticket: &Ticket) -> Work<'p> {
        Work { view: self.view.again(), plan, scopes, stats: StatsWanted::None, ticket: ticket.clone() }
    }

    /// An answer that takes steps of `extent`; `None` when there are none to take.
    async fn take(&self, extent: &Extent, ticket: &Ticket) -> Result<Option<Evaluated>> {
        let grid = aligned(self.lowered.plan.grid);
        let Some(changes) = self.engine.engine.changes_since(extent.version, &self.view) else { return Ok(None) };
        let Some(run) = unchanged(extent.grid, grid, &changes, self.steady) else { return Ok(None) };
        let Some(common) = run.within(grid) else { return Ok(None) };
        let Some(layouts) = self.layouts().await else { return Ok(None) };
        let as_before = !self.steady.adds_up || layouts.shares == extent.shares;
        if !as_before || (self.steady.by_name && layouts.has_metadata) {
            return Ok(None);
        }
        let all = common == Run { first_ms: grid.start_ms, last_ms: grid.end_ms };
        if all && extent.grid == grid {
            let same_text = extent.text.as_ref().is_none_or(|text| *text == self.question.text);
            note(|row| row.cache = same_text.then_some(Cache::Hit));
            return Ok(same_text.then(|| evaluated(self.lowered.plan.grid, extent.series.clone(), extent.annotations.clone())));
        }
        if !extent.annotations.is_empty() {
            return Ok(None);
        }
        let missing = [
            Run { first_ms: grid.start_ms, last_ms: common.first_ms.saturating_sub(grid.step_ms) },
            Run { first_ms: common.last_ms.saturating_add(grid.step_ms), last_ms: grid.end_ms },
        ];
        let mut parts = Vec::with_capacity(missing.len());
        for run in missing.into_iter().filter(|run| run.first_ms <= run.last_ms) {
            let Some(part) = self.part(run, ticket).await? else { return Ok(None) };
            parts.push(part);
        }
        let answer = self.put_together(extent, run, &parts, layouts.shares);
        let cache = if parts.is_empty() { Cache::Hit } else { Cache::Partial };
        note(|row| row.cache = answer.is_some().then_some(cache));
        Ok(answer)
    }

    /// Evaluates some steps. `None` when the whole query has to be evaluated.
    async fn part(&self, run: Run, ticket: &Ticket) -> Result<Option<Part>> {
        let grid = Grid { start_ms: run.first_ms, end_ms: run.last_ms, ..self.lowered.plan.grid };
        let options = QueryOptions { grid, ..self.lowered.options.clone() };
        let Ok(plan) = eval::lower(&self.lowered.expr, &options) else { return Ok(None) };
        let scopes = Scopes::of(&self.lowered.plan.root);
        let Ran { value, annotations, has_histograms, cost, .. } = match self.engine.run(self.work(&plan, scopes, ticket)).await {
            Ok(ran) => ran,
            Err(error) if matches!(error.error_type(), ErrorType::Timeout | ErrorType::Canceled) => return Err(error),
            // What is wrong, and where, is for the whole query to say.
            Err(_) => return Ok(None),
        };
        let AnswerValue::Matrix(series) = value else { return Ok(None) };
        if has_histograms || !annotations.is_empty() {
            return Ok(None);
        }
        Ok(Some(Part { grid, series: series.into_iter().map(Arc::new).collect(), cost }))
    }

    /// The answer out of `run` of `extent` and of `parts`, which is kept in its place if it has steps that were missing there. `None` when
    /// the whole query could hold more than it may.
    fn put_together(&self, extent: &Extent, run: Run, parts: &[Part], shares: u64) -> Option<Evaluated> {
        let grid = aligned(self.lowered.plan.grid);
        let costs = || std::iter::once(extent.cost).chain(parts.iter().map(|part| part.cost));
        let cost = Cost::whole(grid.len(), costs());
        let plan = &self.lowered.plan;
        if cost.samples > plan.samples_max as u64 || cost.series > plan.series_max as u64 {
            return None;
        }
        let whole = |grid: Grid| Run { first_ms: grid.start_ms, last_ms: grid.end_ms };
        let mut pieces = vec![Piece { grid: extent.grid, series: &extent.series, run }];
        pieces.extend(parts.iter().map(|part| Piece { grid: part.grid, series: &part.series, run: whole(part.grid) }));
        let series = join(grid, &pieces);
        if !parts.is_empty() {
            // As many steps as the longer of both: who looks at an hour and who looks at a day take turns.
            let steps = extent.grid.len().max(grid.len()) as i64;
            let end_ms = run.last_ms.max(grid.end_ms);
            let start_ms = run.first_ms.min(grid.start_ms).max(end_ms.saturating_sub((steps - 1).saturating_mul(grid.step_ms)));
            let kept = Grid { start_ms, end_ms, ..grid };
            let series = if kept == grid { series.clone() } else { join(kept, &pieces) };
            self.store(kept, series, Cost::whole(kept.len(), costs()), shares, Annotations::default());
        }
        Some(evaluated(self.lowered.plan.grid, series, Annotations::default()))
    }

    fn store(&self, grid: Grid, series: Series, cost: Cost, shares: u64, annotations: Annotations) {
        let text = (!annotations.is_empty()).then(|| self.question.text.clone());
        let extent = Extent { grid, series, version: self.version, shares, cost, annotations, text };
        self.engine.results.keep(self.key.clone(), extent);
    }

    /// How the series of the whole query are shared out; `None` when they cannot be looked up, which the whole query will say.
    async fn layouts(&self) -> Option<Layouts> {
        let mut selects = Vec::new();
        selectors(&self.lowered.plan.root, &mut selects);
        let view = self.view.again();
        let mut all = Layouts { shares: 0, has_metadata: false };
        for select in selects {
            let series_max = self.engine.config.series_max;
            let layout = self.engine.samples.layout(&view, &select.matchers, time_of(select), series_max).await.ok()?;
            // The place of a selector counts as well.
            all.shares = all.shares.rotate_left(7).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ layout.shares;
            all.has_metadata |= layout.has_metadata;
        }
        Some(all)
    }
}

fn selectors<'a>(node: &'a Node, found: &mut Vec<&'a eval::Select>) {
    if let Operator::Select(select) = &node.op {
        found.push(select);
    }
    node.inputs.iter().for_each(|input| selectors(input, found));
}

fn evaluated(grid: Grid, series: Series, annotations: Annotations) -> Evaluated {
    let series = series.into_iter().map(|one| answer::Series::shared(grid, one)).collect();
    Evaluated::taken(Value::Matrix(series), annotations)
}
