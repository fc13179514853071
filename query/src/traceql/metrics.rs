//! Series: leaves in partial states per partition, merged, and what happens to them.

use std::sync::Arc;

use catalog::{Table, TimeRange};
use tokio::sync::mpsc;
use traceql::ast::Root;
use traceql::eval::{self, Grid, Leaf, LeafState, Metrics, Options};
use traceql::parse::hints::{Exemplars, Hints};
use traceql::spans::Spans;

use super::answer::{Exemplar, MetricSeries, MetricsAnswer, SearchStats};
use super::conditions;
use super::error::{Error, Result};
use super::evaluate::{Work, check_length, days, of_language, parse, range, widened};
use super::read::{Group, Order, Reading, each};
use super::request::{MetricsRequest, Window};
use super::spans::TraceSpans;

/// Answers a metrics query.
///
/// # Errors
/// All kinds.
pub(super) async fn metrics(
    work: &Work,
    request: &MetricsRequest,
    progress: Option<mpsc::Sender<MetricsAnswer>>,
) -> Result<MetricsAnswer> {
    let query = parse(&request.text)?;
    let Root::Metrics(expr) = &query.root else {
        return Err(Error::invalid("not a metrics query: it ends without rate(), count_over_time() or the like"));
    };
    let grid = grid(work, request)?;
    let exemplars_max = exemplars(work, request, &Hints::of(&query));
    let metrics = Metrics::new(expr, Options { exemplars_max }).map_err(of_language)?;
    let series_max = match request.series_max {
        0 => work.config.series_max,
        asked => asked.min(work.config.series_max),
    };
    let mut stats = SearchStats::default();
    let mut states: Vec<LeafState> = Vec::with_capacity(metrics.leaves().len());
    for leaf in metrics.leaves() {
        // What is known of one leaf of many is no answer.
        let progress = progress.as_ref().filter(|_| metrics.leaves().len() == 1);
        let tell = |state: &LeafState, stats: SearchStats| -> Result<()> {
            if let Some(progress) = progress.filter(|progress| progress.capacity() > 0) {
                let made = metrics.finish(vec![state.clone()], &grid, series_max).map_err(of_language)?;
                let _is_slow = progress.try_send(answer(made, stats));
            }
            Ok(())
        };
        states.push(run(work, leaf, &grid, &mut stats, tell).await?);
    }
    Ok(answer(metrics.finish(states, &grid, series_max).map_err(of_language)?, stats))
}

fn answer(made: eval::Answer, stats: SearchStats) -> MetricsAnswer {
    MetricsAnswer { truncated: made.truncated, series: made.series.into_iter().map(series).collect(), stats }
}

fn grid(work: &Work, request: &MetricsRequest) -> Result<Grid> {
    let (start_ns, end_ns) = (request.start_ns, request.end_ns);
    if end_ns < start_ns {
        return Err(Error::invalid("end is before start"));
    }
    check_length(Some(Window { start_ns, end_ns }), work.config.metrics_length_max, "traceql.metrics_length_max")?;
    let grid = match (request.instant, request.step_ns) {
        (true, _) => Grid::instant(start_ns, end_ns),
        (false, 0) => Grid::range(start_ns, end_ns, Grid::default_step_ns(start_ns, end_ns)),
        (false, step_ns) if step_ns < 0 => return Err(Error::invalid("step is not longer than nothing")),
        (false, step_ns) => Grid::range(start_ns, end_ns, step_ns),
    };
    let (steps, most) = (grid.len() as u64, work.config.steps_max);
    if steps > most {
        let message = format!("{steps} steps exceed the limit of {most} (traceql.steps_max); ask for a longer step");
        return Err(Error::Limit { name: "traceql.steps_max", message });
    }
    Ok(grid)
}

fn exemplars(work: &Work, request: &MetricsRequest, hints: &Hints) -> usize {
    let asked = match hints.exemplars {
        Some(Exemplars::Off) => 0,
        Some(Exemplars::Most(most)) => most.min(request.exemplars.max(most)),
        _ => request.exemplars,
    };
    if request.instant { 0 } else { asked.min(work.config.exemplars_max) }
}

/// The state of one leaf over all spans. Spans that count one by one are read day by day, the newest first, and `tell` is told after each
/// day but the last.
async fn run(
    work: &Work,
    leaf: &Leaf,
    grid: &Grid,
    stats: &mut SearchStats,
    tell: impl Fn(&LeafState, SearchStats) -> Result<()>,
) -> Result<LeafState> {
    let (after_ns, until_ns) = grid.window_ns();
    let counted = range(after_ns.saturating_add(1), until_ns);
    if leaf.needs().whole_trace {
        // Spans beyond the window count for nothing, but a trace may be told by them.
        return run_within(work, leaf, grid, widened(counted), stats).await;
    }
    let (mut all, mut stretches) = (leaf.state(grid), days(work.extent(counted)).into_iter().peekable());
    while let Some(day) = stretches.next() {
        all.merge(run_within(work, leaf, grid, day, stats).await?).map_err(of_language)?;
        if let Some(rest) = stretches.peek() {
            let files = work.view.files(Table::Spans, range(counted.start.as_nanos(), rest.end.as_nanos()));
            tell(&all, SearchStats { files: stats.files_done + files.len() as u64, ..*stats })?;
        }
    }
    Ok(all)
}

/// The state of one leaf over the spans that start in `time`.
async fn run_within(work: &Work, leaf: &Leaf, grid: &Grid, time: TimeRange, stats: &mut SearchStats) -> Result<LeafState> {
    let needs = leaf.needs();
    let shape = work.shape(leaf.slots().fields(), leaf.needs_all(), time).await?;
    let predicate = match needs.whole_trace {
        true => Some(Default::default()),
        false => conditions::predicate(leaf.conditions(), &shape.resources),
    };
    let Some(predicate) = predicate else { return Ok(leaf.state(grid)) };
    let more: &[&str] = if needs.structure {
        &["span_id", "parent_span_id", "kind"]
    } else if leaf.wants_exemplars() {
        // By which they are chosen.
        &["duration_ns"]
    } else {
        &[]
    };
    let reading = Reading::plan(work, shape, more, time, predicate)?;
    let reading = if needs.whole_trace { reading.ordered(Order::ByTrace) } else { reading.loosely().await? };
    let reading = Arc::new(reading);
    let part = |work: Work, reading: Arc<Reading>, at, of| {
        let mut state = leaf.state(grid);
        async move {
            let (mut traces, mut spans_seen, mut traces_seen) = (reading.traces(&work, at, of)?, 0, 0);
            while let Some(group) = traces.next().await? {
                work.check()?;
                let mut take = |spans: TraceSpans| {
                    spans_seen += spans.len() as u64;
                    traces_seen += spans.traces();
                    state.evaluate(&spans).map_err(of_language)
                };
                match group {
                    Group::Trace(spans) => take(spans)?,
                    // Spans that are judged one by one are judged at once.
                    Group::Run(batch, rows) if !needs.whole_trace => take(TraceSpans::of_rows(&batch, rows))?,
                    Group::Run(batch, rows) => each(&batch, rows, take)?,
                }
                traces.hold(state.memory())?;
            }
            Ok((state, traces_seen, spans_seen))
        }
    };
    let mut all = leaf.state(grid);
    for (state, traces, spans) in work.each(&reading, part).await? {
        all.merge(state).map_err(of_language)?;
        (stats.traces, stats.spans) = (stats.traces + traces, stats.spans + spans);
    }
    stats.add(&reading);
    Ok(all)
}

fn series(series: eval::Series) -> MetricSeries {
    let exemplar =
        |exemplar: eval::Exemplar| Exemplar { labels: exemplar.labels, value: exemplar.value, time_ms: exemplar.time_ms };
    MetricSeries {
        labels: series.labels,
        samples: series.samples,
        exemplars: series.exemplars.into_iter().map(exemplar).collect(),
    }
}
