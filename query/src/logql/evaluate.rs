//! From the text of a query to its answer.
//!
//! ```text
//! log query      text ─parse─► stages ─► lines ─► Runner ─► Nearest, of every partition ─► streams
//! metric query   text ─parse─► plan ─► of each leaf: lines ─► Runner ─► samples; see [`super::numbers`]
//! ```

use std::sync::Arc;

use arrow::array::RecordBatch;
use catalog::TimeRange;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use futures::{StreamExt, TryStreamExt, stream};
use lake::ColumnTest;
use logql::ast::{Expr, LogExpr, Stage};
use logql::labels::Category;
use logql::metric::StepGrid;
use logql::pipeline::{Hints, Line, Pipeline, label_literals};

use super::answer::{Answer, Entry, Stats, Stream, Value};
use super::config::LogqlConfig;
use super::entries::{Found, Nearest};
use super::error::{Error, Result};
use super::lines::{self, LineFilters, Lines, LinesExec, Wanted};
use super::metadata::{self, Need};
use super::numbers;
use super::request::{Direction, InstantQuery, RangeQuery, TimeNs};
use super::resources::{ResourceCache, Resources};
use super::rows::{Row, Runner, Stages, Tally};
use super::runs::RunCache;
use super::streams::{self, Interner, Streams};
use crate::run::Ticket;
use crate::threads;
use crate::view::View;

/// Loki's words.
const INSTANT_LOG: &str =
    "log queries are not supported as an instant query type, please change your query to a range query type";

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
    pub(super) runs: Arc<RunCache>,
    pub(super) resources: Arc<ResourceCache>,
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
    check_length(TimeNs { start_ns: query.start_ns, end_ns: query.end_ns }, &work.config)?;
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
            numbers::metrics(work, &metric, grid, false).await
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
        Expr::Metric(metric) => numbers::metrics(work, &metric, StepGrid::instant(query.time_ns), true).await,
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

/// How long a range may be asked for.
///
/// # Errors
/// Loki's.
pub(super) fn check_length(time: TimeNs, config: &LogqlConfig) -> Result<()> {
    let length_ns = time.end_ns.saturating_sub(time.start_ns);
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
    need: Need,
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
    let resources = Resources::load(view, &work.resources, &need, time).await?;
    let leading = log.stages.iter().take_while(|stage| matches!(stage, Stage::LineFilter(_))).count();
    let filters = LineFilters::of(pipeline.leading_filters(), &Pipeline::required_literals(&log.stages[..leading]));
    let pipeline = pipeline.behind_filters();
    let mut columns: Vec<String> = vec!["stream_id".to_owned(), "ts".to_owned()];
    columns.extend((takes_text || !pipeline.is_empty()).then(|| "body".to_owned()));
    columns.extend(order.map(|_| "seq".to_owned()));
    columns.extend(need.columns().iter().map(|column| (*column).to_owned()));
    let mut texts: Vec<ColumnTest> =
        Pipeline::required_literals(&log.stages).iter().map(|literals| lines::has_one_of(literals)).collect();
    texts.extend(of_labels(&log.stages, &streams, &resources));
    let wanted = Wanted {
        streams: Arc::clone(&streams),
        time,
        columns,
        texts,
        filters,
        direction: order.unwrap_or_default(),
        may_end: order.is_some(),
    };
    let lines = Lines::plan(view, Arc::clone(&work.runs), wanted).await?;
    let partitions = lines.partitions(work.partitions);
    let exec = Arc::new(LinesExec::new(Arc::clone(&lines), partitions)?);
    Ok(Ready { lines, exec, stages: Arc::new(Stages { pipeline, streams, resources }), partitions, need })
}

/// What label filters want of lines, where their labels are none of the streams, nor metadata of rows that have no attributes.
fn of_labels(stages: &[Stage], streams: &Streams, resources: &Resources) -> impl Iterator<Item = ColumnTest> {
    let found = label_literals(stages).into_iter();
    let is_own = |name: &String| !metadata::is_column(name) && !streams.any_has(name) && !resources.any_has(name);
    let own = found.filter(move |condition| condition.labels.iter().all(is_own));
    own.map(|condition| ColumnTest::any_of(vec![lines::has_one_of(&condition.literals), ColumnTest::has_attributes()]))
}

impl Ready {
    /// The same read by one reader.
    pub(super) fn alone(self) -> Self {
        Self { partitions: 1, ..self }
    }

    /// Whether no stage looks at a line but line filters.
    pub(super) fn takes_every_line_that_passes(&self) -> bool {
        self.stages.pipeline.is_empty()
    }

    /// Shares what is left to read out among readers: see [`Lines::cut`].
    ///
    /// # Errors
    /// The lake's.
    pub(super) async fn cut(&mut self, work: &Work) -> Result<()> {
        self.partitions = self.lines.cut(work.partitions).await?;
        Ok(())
    }

    /// What is read.
    pub(super) fn lines(&self) -> &Arc<Lines> {
        &self.lines
    }

    /// The columns of metadata that are read.
    pub(super) fn metadata(&self) -> &[&'static str] {
        self.need.columns()
    }

    /// What takes lines through the stages.
    pub(super) fn runner(&self) -> Runner {
        Runner::new(Arc::clone(&self.stages))
    }

    /// How many readers there are.
    pub(super) fn partitions(&self) -> usize {
        self.partitions
    }

    /// The lines of one reader, and what takes them through the stages.
    pub(super) fn partition(&self, work: &Work, partition: usize) -> Result<(SendableRecordBatchStream, Runner)> {
        let lines = self.exec.execute(partition, Arc::clone(&work.context))?;
        Ok((lines, self.runner()))
    }

    /// Runs `each` over the batches of every partition, side by side, and gives what each partition made.
    pub(super) async fn run<S, F>(&self, work: &Work, sink: impl Fn() -> S, each: F) -> Result<(Vec<S>, Tally)>
    where
        S: Send + 'static,
        F: Fn(&mut Runner, &RecordBatch, &mut S) -> Result<()> + Clone + Send + 'static,
    {
        let mut tasks = Vec::with_capacity(self.partitions);
        for partition in 0..self.partitions {
            let (mut batches, mut runner) = self.partition(work, partition)?;
            let mut sink = sink();
            let (each, ticket) = (each.clone(), work.ticket.clone());
            tasks.push(threads::spawn_part(async move {
                while let Some(batch) = batches.next().await {
                    ticket.check()?;
                    each(&mut runner, &batch?, &mut sink)?;
                }
                Ok::<_, Error>((sink, runner.tally))
            }));
        }
        let (mut sinks, mut tally) = (Vec::with_capacity(tasks.len()), Tally::default());
        let mut done = stream::iter(tasks).buffered(self.partitions.max(1)).map_err(died);
        while let Some(made) = done.try_next().await? {
            let (sink, count) = made?;
            sinks.push(sink);
            tally += count;
        }
        Ok((sinks, tally))
    }

    /// What reading has cost so far.
    pub(super) fn stats(&self, work: &Work, tally: Tally) -> Stats {
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

/// The error of a task that ended without an answer.
pub(super) fn died(e: tokio::task::JoinError) -> Error {
    Error::Query(crate::Error::Internal { message: format!("a query's task died: {e}") })
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
