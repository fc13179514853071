//! Lines and bytes by stream: statistics and volumes.
//!
//! ```text
//! file inside the time ─► its counts, of its index or made once, and kept (files never change)
//! file across an end, or with rows that may be deleted, rows in memory ─► counted row by row
//! ```
//! Lines that are there twice count twice here, as they do in Loki's index.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampNanosecondType};
use catalog::{FileEntry, FileId, Table, TenantId, TimeRange};
use futures::{StreamExt, TryStreamExt, stream};
use hashbrown::HashMap;
use lake::ScanSpec;
use lake::deletes::Deletes;
use moka::future::Cache;

use super::answer::{Element, IndexStats, Series, Value};
use super::error::{Error, Result};
use super::request::{StreamsRequest, VolumeBy, VolumeRequest};
use super::streams::{self, Interner, Streams};
use crate::scan::deletes;
use crate::view::View;

/// Counts of files that are kept, in streams.
const KEPT_STREAMS_MAX: u64 = 1 << 20;
/// Files that are counted at the same time.
const FILES_AT_ONCE: usize = 4;

/// Lines and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    lines: u64,
    bytes: u64,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.lines += other.lines;
        self.bytes += other.bytes;
    }
}

/// By stream id.
type Counts = HashMap<i64, Count>;

/// Counts of whole files.
#[derive(Debug)]
pub(super) struct FileCounts(Cache<(TenantId, FileId), Arc<Counts>>);

impl FileCounts {
    pub(super) fn new() -> Self {
        let weigh = |_: &(TenantId, FileId), counts: &Arc<Counts>| u32::try_from(counts.len() + 1).unwrap_or(u32::MAX);
        Self(Cache::builder().name("logql_counts").max_capacity(KEPT_STREAMS_MAX).weigher(weigh).build())
    }

    async fn of(&self, view: &View, file: &Arc<FileEntry>) -> Result<Arc<Counts>> {
        let load = async {
            let mut counts = Counts::new();
            if let Some(index) = view.lake().index(file).await?
                && let Some(streams) = index.streams()
            {
                for of in streams {
                    counts.entry(of.stream).or_default().add(Count { lines: of.lines.into(), bytes: of.bytes });
                }
                return Ok::<_, Error>(Arc::new(counts));
            }
            let whole = Deletes::default();
            scan(view, file, TimeRange::ALL, &whole, |id, _, bytes| counts.entry(id).or_default().add(Count { lines: 1, bytes }))
                .await?;
            Ok::<_, Error>(Arc::new(counts))
        };
        let kept = self.0.try_get_with((view.tenant().clone(), file.id), load).await;
        kept.map_err(|error| {
            Arc::try_unwrap(error).unwrap_or_else(|shared| Error::Query(crate::Error::Internal { message: shared.to_string() }))
        })
    }
}

/// Calls `each` with stream, time and bytes of every row of `file` in `time` that `deletes` do not hide.
async fn scan(
    view: &View,
    file: &Arc<FileEntry>,
    time: TimeRange,
    deletes: &Deletes,
    mut each: impl FnMut(i64, i64, u64),
) -> Result<()> {
    let added = view.added(file);
    let hiding = deletes.of_file(file, added);
    let mut columns = vec!["stream_id", "ts", "body"];
    columns.extend(hiding.columns(Table::Logs).into_iter().filter(|name| !matches!(*name, "stream_id" | "ts" | "body")));
    let mut spec = ScanSpec::all(columns);
    spec.time = time;
    let mut batches = view.lake().scan(Arc::clone(file), spec)?;
    while let Some(batch) = batches.try_next().await? {
        rows(&deletes::shown(batch, &hiding, added)?, TimeRange::ALL, &mut each)?;
    }
    Ok(())
}

/// What hides lines of `streams` in `time`.
async fn hiding(view: &View, streams: &Streams, time: TimeRange) -> Result<Deletes> {
    Ok(deletes::of_facts(view, Table::Streams, time).await?.of_wanted(|id| streams.place(id).is_some()))
}

fn rows(batch: &RecordBatch, time: TimeRange, each: &mut impl FnMut(i64, i64, u64)) -> Result<()> {
    let missing = || Error::Query(crate::Error::Internal { message: "lines lack a column".to_owned() });
    let column = |name: &str| batch.column_by_name(name).ok_or_else(missing);
    let ids = column("stream_id")?.as_primitive_opt::<Int64Type>().ok_or_else(missing)?.values();
    let times = column("ts")?.as_primitive_opt::<TimestampNanosecondType>().ok_or_else(missing)?.values();
    let bodies = column("body")?.as_string_opt::<i32>().ok_or_else(missing)?.value_offsets();
    let inside = time.start.as_nanos()..=time.end.as_nanos();
    for row in 0..batch.num_rows() {
        if inside.contains(&times[row]) {
            each(ids[row], times[row], u64::from((bodies[row + 1] - bodies[row]).unsigned_abs()));
        }
    }
    Ok(())
}

/// Counts of the streams' rows in `time`.
async fn count(view: &View, kept: &FileCounts, streams: &Streams, time: TimeRange) -> Result<Counts> {
    let mut total = Counts::new();
    let files = view.files(Table::Logs, time);
    view.open(&files)?;
    let deletes = hiding(view, streams, time).await?;
    let whole = |file: &FileEntry| {
        let is_touched = !deletes.of_file(file, view.added(file)).is_empty();
        time.start <= file.time.start && file.time.end <= time.end && !is_touched
    };
    let (inside, across): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| whole(file));
    let loads: Vec<_> = inside.iter().map(|file| kept.of(view, file)).collect();
    let mut loads = stream::iter(loads).buffer_unordered(FILES_AT_ONCE);
    while let Some(counts) = loads.try_next().await? {
        let wanted = counts.iter().filter(|(id, _)| streams.place(**id).is_some());
        wanted.for_each(|(id, count)| total.entry(*id).or_default().add(*count));
    }
    drop(loads);
    let mut each = |id: i64, _: i64, bytes: u64| {
        if streams.place(id).is_some() {
            total.entry(id).or_default().add(Count { lines: 1, bytes });
        }
    };
    for file in &across {
        scan(view, file, time, &deletes, &mut each).await?;
    }
    for batch in view.fresh(Table::Logs) {
        rows(&batch, time, &mut each)?;
    }
    Ok(total)
}

/// What the streams of a selector hold.
pub(super) async fn stats(view: &View, kept: &FileCounts, request: &StreamsRequest, streams_max: usize) -> Result<IndexStats> {
    let time = request.time.into();
    let mut stats = IndexStats::default();
    for selector in &request.selectors {
        let streams = streams::resolve(view, &streams::parse_selector(selector)?, time, streams_max).await?;
        let counts = count(view, kept, &streams, time).await?;
        stats.streams += counts.len() as u64;
        stats.chunks += counts.len() as u64;
        stats.entries += counts.values().map(|count| count.lines).sum::<u64>();
        stats.bytes += counts.values().map(|count| count.bytes).sum::<u64>();
    }
    Ok(stats)
}

/// Bytes by labels, the largest first. Source: Loki `pkg/storage/stores/index/seriesvolume/volume.go`.
pub(super) async fn volume(view: &View, kept: &FileCounts, request: &VolumeRequest, streams_max: usize) -> Result<Value> {
    let time: TimeRange = request.time.into();
    let matchers = streams::parse_selector(&request.selector)?;
    let streams = streams::resolve(view, &matchers, time, streams_max).await?;
    let mut names: Vec<&str> = match request.target_labels.is_empty() {
        true => matchers.iter().map(|matcher| matcher.name.as_str()).collect(),
        false => request.target_labels.iter().map(String::as_str).collect(),
    };
    names.sort_unstable();
    names.dedup();
    let Some(step_ns) = request.step_ns else {
        let counts = count(view, kept, &streams, time).await?;
        let bytes = counts.iter().map(|(id, count)| (*id, request.time.end_ns, count.bytes));
        let sums = add_up(&streams, request.by, &names, &request.target_labels, bytes);
        let elements = largest(sums, request.limit).map(|(labels, points)| Element {
            labels,
            time_ns: request.time.end_ns,
            value: points.values().sum::<u64>() as f64,
        });
        return Ok(Value::Vector(elements.collect()));
    };
    // Steps end at multiples of the step, as in Loki.
    let step_of = |ts: i64| ts.div_euclid(step_ns).saturating_mul(step_ns);
    let mut steps: HashMap<(i64, i64), u64> = HashMap::new();
    let mut each = |id: i64, ts: i64, bytes: u64| {
        if streams.place(id).is_some() {
            *steps.entry((id, step_of(ts))).or_default() += bytes;
        }
    };
    let files = view.files(Table::Logs, time);
    view.open(&files)?;
    let deletes = hiding(view, &streams, time).await?;
    for file in &files {
        scan(view, file, time, &deletes, &mut each).await?;
    }
    for batch in view.fresh(Table::Logs) {
        rows(&batch, time, &mut each)?;
    }
    let bytes = steps.into_iter().map(|((id, step), bytes)| (id, step, bytes));
    let sums = add_up(&streams, request.by, &names, &request.target_labels, bytes);
    let series = largest(sums, request.limit).map(|(labels, points)| Series {
        labels,
        points: points.into_iter().map(|(time_ns, bytes)| (time_ns, bytes as f64)).collect(),
    });
    Ok(Value::Matrix(series.collect()))
}

/// Bytes by labels and time.
type Sums = BTreeMap<Vec<(String, String)>, BTreeMap<i64, u64>>;

fn add_up(
    streams: &Streams,
    by: VolumeBy,
    names: &[&str],
    targets: &[String],
    counted: impl Iterator<Item = (i64, i64, u64)>,
) -> Sums {
    let mut sums = Sums::new();
    let mut add =
        |key: Vec<(String, String)>, time_ns: i64, bytes: u64| *sums.entry(key).or_default().entry(time_ns).or_default() += bytes;
    for (id, time_ns, bytes) in counted {
        let Some(stream) = streams.place(id).map(|place| &streams.list[place]) else { continue };
        match by {
            VolumeBy::Series if names.is_empty() => {
                let labels = stream.labels().map(|(name, value)| (name.to_owned(), value.to_owned()));
                add(labels.collect(), time_ns, bytes);
            }
            // Whoever names labels wants streams that have them all.
            VolumeBy::Series if targets.iter().any(|target| stream.label(target).is_none()) => {}
            VolumeBy::Series => {
                let labels = names.iter().filter_map(|name| Some(((*name).to_owned(), stream.label(name)?.to_owned())));
                add(labels.collect(), time_ns, bytes);
            }
            VolumeBy::Labels => {
                let wanted = |name: &str| targets.is_empty() || targets.iter().any(|target| target == name);
                for (name, _) in stream.labels().filter(|(name, _)| wanted(name)) {
                    add(vec![(name.to_owned(), String::new())], time_ns, bytes);
                }
            }
        }
    }
    sums
}

/// The `limit` sums with most bytes, descending; of equal ones the smaller labels first.
fn largest(sums: Sums, limit: usize) -> impl Iterator<Item = (super::answer::Labels, BTreeMap<i64, u64>)> {
    let mut interner = Interner::default();
    let mut all: Vec<_> = sums.into_iter().map(|(labels, points)| (points.values().sum::<u64>(), labels, points)).collect();
    all.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    all.truncate(limit);
    all.into_iter().map(move |(_, labels, points)| {
        (interner.labels(labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))), points)
    })
}
