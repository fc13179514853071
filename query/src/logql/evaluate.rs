//! From the text of a query to its answer.
//!
//! ```text
//! log query      text ─parse─► stages ─► lines ─► Runner ─► Nearest, of every partition ─► streams
//! metric query   text ─parse─► plan ─► of each leaf: lines ─► Runner ─► samples ─► LeafState, of every partition ─► evaluate
//! ```

use std::sync::Arc;

use arrow::array::RecordBatch;
use catalog::{TimeRange, Timestamp};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use futures::{StreamExt, TryStreamExt, stream};
use logql::ast::{Expr, LogExpr, MetricExpr};
use logql::labels::Category;
use logql::metric::{self, Leaf, LeafReader, LeafState, Plan, SampleExtractor, StepGrid};
use logql::pipeline::{Hints, Line, Pipeline};
use tokio_util::task::AbortOnDropHandle;

use super::answer::{Answer, Element, Entry, Labels, Series, Stats, Stream, Value};
use super::config::LogqlConfig;
use super::entries::{Found, Nearest};
use super::error::{Error, Result};
use super::lines::{Lines, LinesExec, Wanted};
use super::metadata::{Need, Resources};
use super::request::{Direction, InstantQuery, RangeQuery, TimeNs};
use super::rows::{Row, Runner, Stages, Tally};
use super::streams::{self, Interner};
use crate::run::Ticket;
use crate::view::View;

/// Loki's words.
const INSTANT_LOG: &str =
    "log queries are not supported as an instant query type, please change your query to a range query type";

/// Series of one range aggregation before anything sums them up.
const SERIES_MAX: usize = 1_000_000;

/// What an evaluation works with.
#[derive(Debug)]
pub(super) struct Work {
    /// What the query sees.
    pub(super) view: Arc<View>,
    /// Whose memory it takes.
    pub(super) context: Arc<TaskContext>,
    pub(super) config: LogqlConfig,
    pub(super) partitions: usize,
    pub(super) ticket: Ticket,
    pub(super) now_ns: i64,
}

/// What a log query asks for beside its lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    pub(super) direction: Direction,
    pub(super) limit: usize,
    pub(super) interval_ns: i64,
}

/// Reads a text.
///
/// # Errors
/// Loki's.
pub(super) fn parse(text: &str) -> Result<Expr> {
    logql::parse::parse(text).map_err(|e| Error::invalid(e.to_string()))
}

/// Reads a text that must be a log query.
///
/// # Errors
/// Loki's.
pub(super) fn parse_log(text: &str) -> Result<LogExpr> {
    match parse(text)? {
        Expr::Log(log) => Ok(log),
        Expr::Metric(_) => Err(Error::invalid("only log selector is supported")),
    }
}

/// Answers a range query.
///
/// # Errors
/// All kinds.
pub(super) async fn range(work: &Work, query: &RangeQuery) -> Result<Answer> {
    let expr = parse(&query.text)?;
    check_length(query, &work.config)?;
    match expr {
        Expr::Log(log) => {
            check_limit(query, &work.config)?;
            let order = Order { direction: query.direction, limit: query.limit, interval_ns: query.interval_ns };
            let time = TimeNs { start_ns: query.start_ns, end_ns: query.end_ns };
            let (streams, stats) = entries(work, &log, time, order).await?;
            Ok(Answer { value: Value::Streams(streams), warnings: Vec::new(), stats })
        }
        Expr::Metric(metric) => {
            let grid = StepGrid { start_ns: query.start_ns, end_ns: query.end_ns, step_ns: query.step_ns };
            let steps = grid.len() as u64;
            if query.step_ns < 1 || steps > work.config.steps_max {
                return Err(Error::Limit {
                    name: "logql.steps_max",
                    message: format!(
                        "exceeded maximum resolution of {} points per time series. Try increasing the value of the step parameter",
                        work.config.steps_max
                    ),
                });
            }
            metrics(work, &metric, grid, false).await
        }
    }
}

/// Answers an instant query.
///
/// # Errors
/// All kinds.
pub(super) async fn instant(work: &Work, query: &InstantQuery) -> Result<Answer> {
    match parse(&query.text)? {
        Expr::Log(_) => Err(Error::invalid(INSTANT_LOG)),
        Expr::Metric(metric) => metrics(work, &metric, StepGrid::instant(query.time_ns), true).await,
    }
}

/// How many entries may be asked for. A limit means nothing to numbers, however high it is.
fn check_limit(query: &RangeQuery, config: &LogqlConfig) -> Result<()> {
    if query.limit > config.entries_max {
        return Err(Error::Limit {
            name: "logql.entries_max",
            message: format!(
                "max entries limit per query exceeded, limit > max_entries_limit_per_query ({} > {})",
                query.limit, config.entries_max
            ),
        });
    }
    Ok(())
}

fn check_length(query: &RangeQuery, config: &LogqlConfig) -> Result<()> {
    let length_ns = query.end_ns.saturating_sub(query.start_ns);
    let length_max_ns = i64::try_from(config.length_max.as_nanos()).unwrap_or(i64::MAX);
    if length_max_ns > 0 && length_ns > length_max_ns {
        let text = logql::units::duration_text;
        return Err(Error::Limit {
            name: "logql.length_max",
            message: format!(
                "the query time range exceeds the limit (query length: {}, limit: {})",
                text(length_ns),
                text(length_max_ns)
            ),
        });
    }
    Ok(())
}

/// A planned read and the stages behind it.
pub(super) struct Ready {
    lines: Arc<Lines>,
    exec: Arc<LinesExec>,
    stages: Arc<Stages>,
    partitions: usize,
}

/// Plans the read of a log query's lines. `time` includes both ends; `hints` says which labels somebody looks at, `order` the order that
/// matters, `takes_text` whether the text of a line counts that has passed the stages.
pub(super) async fn ready(
    work: &Work,
    log: &LogExpr,
    time: TimeRange,
    hints: Hints,
    order: Option<Direction>,
    takes_text: bool,
) -> Result<Ready> {
    let view = &work.view;
    let pipeline = logql::interpret::pipeline(&log.stages, hints, work.now_ns).map_err(|e| Error::invalid(e.to_string()))?;
    let streams = streams::resolve(view, &log.selector.matchers, time, work.config.streams_max).await?;
    let streams = Arc::new(streams);
    let need = match pipeline.required_labels() {
        None => Need::all(),
        // A label of the stream hides metadata of its name.
        Some(names) => Need::of(names.filter(|name| !streams.all_have(name))),
    };
    let resources = Resources::load(view, &need, time).await?;
    let mut columns: Vec<String> = vec!["stream_id".to_owned(), "ts".to_owned()];
    columns.extend((takes_text || !pipeline.is_empty()).then(|| "body".to_owned()));
    columns.extend(order.map(|_| "seq".to_owned()));
    columns.extend(need.columns().iter().map(|column| (*column).to_owned()));
    let literals = Pipeline::required_literals(&log.stages).into_iter().map(|literal| literal.text).collect();
    let filters = Some(pipeline.leading_filters()).filter(|filters| !filters.is_empty());
    let wanted = Wanted { streams: Arc::clone(&streams), time, columns, literals, filters, direction: order.unwrap_or_default() };
    let lines = Lines::plan(view, wanted).await?;
    let partitions = lines.partitions(work.partitions);
    let exec = Arc::new(LinesExec::new(Arc::clone(&lines), partitions)?);
    Ok(Ready { lines, exec, stages: Arc::new(Stages { pipeline, streams, resources }), partitions })
}

impl Ready {
    /// The same read by one reader.
    pub(super) fn alone(self) -> Self {
        Self { partitions: 1, ..self }
    }

    /// Runs `each` over the batches of every partition, side by side, and gives what each partition made.
    pub(super) async fn run<S, F>(&self, work: &Work, sink: impl Fn() -> S, each: F) -> Result<(Vec<S>, Tally)>
    where
        S: Send + 'static,
        F: Fn(&mut Runner, &RecordBatch, &mut S) -> Result<()> + Clone + Send + 'static,
    {
        let mut tasks = Vec::with_capacity(self.partitions);
        for partition in 0..self.partitions {
            let mut batches = self.exec.execute(partition, Arc::clone(&work.context))?;
            let (mut runner, mut sink) = (Runner::new(Arc::clone(&self.stages)), sink());
            let (each, ticket) = (each.clone(), work.ticket.clone());
            tasks.push(AbortOnDropHandle::new(tokio::spawn(async move {
                while let Some(batch) = batches.next().await {
                    ticket.check()?;
                    each(&mut runner, &batch?, &mut sink)?;
                }
                Ok::<_, Error>((sink, runner.tally))
            })));
        }
        let (mut sinks, mut tally) = (Vec::with_capacity(tasks.len()), Tally::default());
        let died =
            |e: tokio::task::JoinError| Error::Query(crate::Error::Internal { message: format!("a query's task died: {e}") });
        let mut done = stream::iter(tasks).buffered(self.partitions.max(1)).map_err(died);
        while let Some(made) = done.try_next().await? {
            let (sink, count) = made?;
            sinks.push(sink);
            tally += count;
        }
        Ok((sinks, tally))
    }

    fn stats(&self, work: &Work, tally: Tally) -> Stats {
        let (lines, bytes) = self.lines.looked_at();
        let read = self.lines.metrics().totals();
        Stats {
            bytes: bytes + tally.metadata_bytes,
            metadata_bytes: tally.metadata_bytes,
            lines,
            lines_kept: tally.kept,
            files: work.view.opened().0,
            bytes_read: read.bytes_read,
            ..Stats::default()
        }
    }
}

/// The entries of a log query, by stream.
///
/// # Errors
/// All kinds.
pub(super) async fn entries(work: &Work, log: &LogExpr, time: TimeNs, order: Order) -> Result<(Vec<Stream>, Stats)> {
    let ready = ready(work, log, time.into(), Hints::all(), Some(order.direction), true).await?;
    let lines = Arc::clone(&ready.lines);
    let sink = || (Nearest::new(order.direction, order.limit, order.interval_ns), Interner::default());
    let each = move |runner: &mut Runner, batch: &RecordBatch, sink: &mut (Nearest, Interner)| {
        let take =
            |(nearest, interner): &mut (Nearest, Interner), row: Row, line: Line<'_>| nearest.push(found(interner, row, &line));
        runner.run(batch, sink, |(nearest, _), ts_ns| nearest.may_take(ts_ns), take)?;
        if let Some(bound_ns) = sink.0.bound_ns() {
            lines.bound().tighten(bound_ns);
        }
        Ok(())
    };
    let (sinks, tally) = ready.run(work, sink, each).await?;
    let mut nearest = Nearest::new(order.direction, order.limit, order.interval_ns);
    sinks.into_iter().try_for_each(|(part, _)| nearest.merge(part))?;
    let streams = nearest.finish(order.limit, order.interval_ns);
    let entries = streams.iter().map(|stream| stream.entries.len() as u64).sum();
    Ok((streams, Stats { entries, ..ready.stats(work, tally) }))
}

/// A line as an entry.
pub(super) fn found(interner: &mut Interner, row: Row, line: &Line<'_>) -> Found {
    let mut by_category: [Vec<(&str, &str)>; 3] = Default::default();
    for (name, value, category) in line.labels.iter() {
        let at = match category {
            Category::Stream => 0,
            Category::Metadata => 1,
            Category::Parsed => 2,
        };
        by_category[at].push((name, value));
    }
    let [stream, metadata, parsed] = by_category.map(|mut pairs| {
        pairs.sort_unstable();
        interner.labels(pairs.into_iter())
    });
    Found { stream, seq: row.seq, entry: Entry { ts_ns: row.ts_ns, line: line.text.to_owned(), metadata, parsed } }
}

/// The value of a metric query.
async fn metrics(work: &Work, expr: &MetricExpr, grid: StepGrid, is_instant: bool) -> Result<Answer> {
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
    let ready = ready(work, &range.log, time, extractor.hints().clone(), None, extractor.takes_text()).await?;
    let sink = || LeafReader::new(leaf, extractor.clone(), grid);
    let each = |runner: &mut Runner, batch: &RecordBatch, reader: &mut LeafReader| {
        runner.run(
            batch,
            reader,
            |_, _| true,
            |reader, row, line| {
                reader.read(row.ts_ns, line.text, line.labels);
                Ok(())
            },
        )?;
        if reader.state().groups_len() > SERIES_MAX { Err(too_many_series()) } else { Ok(()) }
    };
    let (readers, tally) = ready.run(work, sink, each).await?;
    let mut parts = readers.into_iter().map(LeafReader::into_state);
    let mut state = parts.next().unwrap_or_else(|| LeafState::new(leaf, grid));
    parts.for_each(|part| state.merge(&part));
    Ok((state.finish(), ready.stats(work, tally)))
}

fn too_many_series() -> Error {
    Error::Limit {
        name: "series of a range aggregation",
        message: format!(
            "a range aggregation may have {SERIES_MAX} series; group by fewer labels, or drop labels that differ from line to line"
        ),
    }
}
