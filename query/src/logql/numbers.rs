//! Metric queries: samples of lines, and what is made of them.
//!
//! ```text
//! leaf ─┬─ counts lines that nobody looks at ─► runs   ─┐
//!       └─ else, and what runs leave ─► lines ─► stages ─┴► LeafState, of every partition ─► merged ─► evaluate
//! ```

use arrow::array::RecordBatch;
use catalog::{TimeRange, Timestamp};
use logql::ast::MetricExpr;
use logql::metric::{self, Leaf, LeafReader, LeafState, Plan, SampleExtractor, StepGrid};
use logql::pipeline::Line;

use super::answer::{Answer, Element, Labels, Series, Stats, Value};
use super::error::{Error, Result};
use super::evaluate::{self, Work};
use super::rows::{Runner, Tally};
use super::runs;
use super::streams::Interner;

/// Series of one range aggregation before anything sums them up.
pub(super) const SERIES_MAX: usize = 1_000_000;

/// The value of a metric query.
pub(super) async fn metrics(work: &Work, expr: &MetricExpr, grid: StepGrid, is_instant: bool) -> Result<Answer> {
    let plan = Plan::of(expr);
    let mut stats = Stats::default();
    let mut results = Vec::with_capacity(plan.leaves().len());
    for leaf in plan.leaves() {
        let (series, cost) = self::leaf(work, leaf, grid).await?;
        stats.bytes += cost.bytes;
        stats.metadata_bytes += cost.metadata_bytes;
        stats.lines += cost.lines;
        stats.lines_kept += cost.lines_kept;
        stats.files = cost.files;
        stats.bytes_read += cost.bytes_read;
        results.push(series);
    }
    work.ticket.check()?;
    let limits = metric::Limits { instant: is_instant, series_max: work.config.series_max };
    let answer = metric::evaluate(&plan, &results, grid, limits).map_err(|e| Error::invalid(e.to_string()))?;
    let mut interner = Interner::default();
    let mut labels = |labels: &metric::Labels| -> Labels { interner.labels(labels.iter()) };
    let time_ns = grid.start_ns;
    let value = match answer.value {
        metric::Value::Scalar(value) => Value::Scalar { time_ns, value },
        metric::Value::Vector(elements) => {
            Value::Vector(elements.iter().map(|(set, value)| Element { labels: labels(set), time_ns, value: *value }).collect())
        }
        metric::Value::Matrix(series) => Value::Matrix(
            series
                .iter()
                .map(|series| Series {
                    labels: labels(&series.labels),
                    points: series.steps.iter().map(|(at, value)| (grid.time_ns(at), value)).collect(),
                })
                .collect(),
        ),
    };
    stats.entries = match &value {
        Value::Vector(elements) => elements.len() as u64,
        Value::Matrix(series) => series.len() as u64,
        _ => 0,
    };
    Ok(Answer { value, warnings: answer.warnings, stats })
}

/// The series of a range aggregation.
async fn leaf(work: &Work, leaf: &Leaf, grid: StepGrid) -> Result<(Vec<metric::StepSeries>, Stats)> {
    let range = &leaf.range;
    let at = |ns: i64| Timestamp::from_nanos(ns);
    let first_ns = grid.start_ns.saturating_sub(range.offset_ns).saturating_sub(range.range_ns).saturating_add(1);
    let time = TimeRange::new(at(first_ns), at(grid.end_ns.saturating_sub(range.offset_ns)));
    let extractor = SampleExtractor::new(leaf).map_err(|e| Error::invalid(format!("parse error : {e}")))?;
    let mut ready = evaluate::ready(work, &range.log, time, extractor.hints().clone(), None, extractor.takes_text()).await?;
    let sink = || LeafReader::new(leaf, extractor.clone(), grid);
    let (counts, takes_text) = (extractor.is_count(), extractor.takes_text());
    let each = move |runner: &mut Runner, batch: &RecordBatch, reader: &mut LeafReader| {
        let read_run =
            |times: &[i64], lengths: &[u32], line: Line<'_>| reader.read_run(times, takes_text.then_some(lengths), line.labels);
        if !counts || !runner.run_alike(batch, read_run)? {
            runner.run(
                batch,
                reader,
                |_, _| true,
                |reader, row, line| {
                    reader.read(row.ts_ns, line.text, line.labels);
                    Ok(())
                },
            )?;
        }
        if reader.state().groups_len() > SERIES_MAX { Err(too_many_series()) } else { Ok(()) }
    };
    let (mut readers, mut tally) = (Vec::new(), Tally::default());
    // Lengths are told only of lines that pass, where they are read.
    if counts && ready.takes_every_line_that_passes() && (!takes_text || ready.lines().takes_every_line()) {
        (readers, tally) = runs::count(work, &ready, leaf, &extractor, grid).await?;
    }
    if !ready.lines().is_done() {
        ready.cut(work).await?;
        let (others, counted) = ready.run(work, sink, each).await?;
        readers.extend(others);
        tally += counted;
    }
    let mut parts = readers.into_iter().map(LeafReader::into_state);
    let mut state = parts.next().unwrap_or_else(|| LeafState::new(leaf, grid));
    parts.for_each(|part| state.merge(&part));
    Ok((state.finish(), ready.stats(work, tally)))
}

/// The error of more series than [`SERIES_MAX`].
pub(super) fn too_many_series() -> Error {
    Error::Limit {
        name: "series of a range aggregation",
        message: format!(
            "a range aggregation may have {SERIES_MAX} series; group by fewer labels, or drop labels that differ from line to line"
        ),
    }
}
