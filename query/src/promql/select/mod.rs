//! Samples and histograms of selected series, out of files and fresh rows.
//!
//! ```text
//! matchers ─► series (labels, ids) ─► files that may hold them, pruned ─┐
//!                                     fresh rows                        ┴─► rows by series, ascending by time, each time once
//! ```
//! Units are read in the order in which they were written: compacted files, newer files, fresh rows. Of two samples of a series at one
//! time the one written last counts.
//!
//! # Invariants
//! - Labels are resolved before a sample is read; samples find their series by number.
//! - Stale markers are kept: whoever evaluates needs them.

mod histograms;
mod samples;

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMillisecondType};
use catalog::{FileEntry, Table, TimeRange, Timestamp};
use futures::{StreamExt, TryStreamExt, stream};
use hashbrown::HashMap;
use lake::{ColumnTest, Predicate, Scalar, ScanSpec, Test};
use promql::ast::Matcher;
use promql::eval::Select;
use promql::value::RawSeries;

use super::error::{Error, Result};
use super::exec::State;
use super::series::{self, Interner};
use crate::view::View;

/// Files read at the same time.
const READS_AT_ONCE: usize = 4;
/// Most metrics, and most ids, that a scan is told one by one.
const TERMS_MAX: usize = 1_024;
/// Rows between two looks at the clock.
const ROWS_PER_CHECK: usize = 1 << 16;

/// Times of the first and the last row of a batch of fresh rows.
pub(crate) fn batch_times(batch: &RecordBatch) -> Option<TimeRange> {
    let times = batch.column_by_name("ts")?.as_primitive_opt::<TimestampMillisecondType>()?.values();
    let (first, last) = (times.iter().min()?, times.iter().max()?);
    Some(TimeRange::new(Timestamp::from_millis(*first), Timestamp::from_millis(*last)))
}

/// The series that `select` asks for, ascending by labels; those without a sample in its time are left out.
///
/// # Errors
/// Limits, storage, the query's end.
pub(crate) async fn read(state: &State, select: &Select) -> Result<Vec<RawSeries>> {
    let wanted = Wanted {
        matchers: &select.matchers,
        from_ms: select.from_ms,
        to_ms: select.to_ms,
        starts: select.starts,
        series_max: state.series_max,
        samples_max: u64::MAX,
    };
    read_view(&state.view, &wanted, &|| state.ticket.check().map_err(Error::from)).await
}

/// What is wanted of storage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) matchers: &'a [Matcher],
    /// First time, itself included.
    pub(crate) from_ms: i64,
    /// Last time, itself included.
    pub(crate) to_ms: i64,
    /// Whether start timestamps are.
    pub(crate) starts: bool,
    pub(crate) series_max: u64,
    /// More samples than these are an error.
    pub(crate) samples_max: u64,
}

/// As [`read`]; `check` says when to stop.
pub(crate) async fn read_view(
    view: &View,
    wanted: &Wanted<'_>,
    check: &(dyn Fn() -> Result<()> + Sync),
) -> Result<Vec<RawSeries>> {
    if wanted.to_ms < wanted.from_ms {
        return Ok(Vec::new());
    }
    let time = TimeRange::new(Timestamp::from_millis(wanted.from_ms), Timestamp::from_millis(wanted.to_ms));
    let found = series::resolve(view, &[wanted.matchers.to_vec()], time, wanted.series_max).await?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let places: HashMap<i64, usize> = found.iter().enumerate().map(|(at, series)| (series.id(), at)).collect();
    let scan = Scan { time, predicate: predicate(&found), places: &places, samples_max: wanted.samples_max };
    let mut samples = samples::Columns::new(found.len(), wanted.starts);
    scan.read(view, Table::Samples, samples.columns(), check, |rows| samples.take(rows)).await?;
    let mut histograms = histograms::Columns::new(found.len());
    scan.read(view, Table::Histograms, histograms.columns(), check, |rows| histograms.take(rows)).await?;

    let mut interner = Interner::default();
    let mut out = Vec::new();
    for (at, series) in found.iter().enumerate() {
        let (times_ms, floats, starts_ms) = samples.series(at);
        let histograms = histograms.series(at, &times_ms);
        if !times_ms.is_empty() || !histograms.is_empty() {
            let labels = interner.labels(series);
            out.push(RawSeries { labels, times_ms, floats, starts_ms, histograms, ..RawSeries::default() });
        }
    }
    out.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(out)
}

/// What can be skipped: other metrics, other ids.
fn predicate(found: &[lake::series::Series]) -> Predicate {
    let mut metrics: Vec<&str> = found.iter().map(lake::series::Series::metric).collect();
    metrics.sort_unstable();
    metrics.dedup();
    let mut all = Vec::with_capacity(2);
    if metrics.len() <= TERMS_MAX {
        let metrics = metrics.into_iter().map(|metric| Scalar::Text(metric.to_owned())).collect();
        all.push(ColumnTest { column: "metric".to_owned(), test: Test::In(metrics) });
    }
    // Series come ascending by id.
    let test = match (found.first(), found.last()) {
        _ if found.len() <= TERMS_MAX => Some(Test::In(found.iter().map(|series| Scalar::Int(series.id())).collect())),
        (Some(first), Some(last)) => Some(Test::Between(Some(Scalar::Int(first.id())), Some(Scalar::Int(last.id())))),
        _ => None,
    };
    all.extend(test.map(|test| ColumnTest { column: "sid".to_owned(), test }));
    Predicate { all }
}

/// Rows of a batch that belong to one wanted series and lie in the time.
struct Rows<'a> {
    batch: &'a RecordBatch,
    /// The series' place, and the rows.
    place: usize,
    rows: std::ops::Range<usize>,
}

struct Scan<'a> {
    time: TimeRange,
    predicate: Predicate,
    places: &'a HashMap<i64, usize>,
    samples_max: u64,
}

impl Scan<'_> {
    /// Hands the rows of `table` to `take`, units in the order in which they were written.
    async fn read(
        &self,
        view: &View,
        table: Table,
        columns: &[&str],
        check: &(dyn Fn() -> Result<()> + Sync),
        mut take: impl FnMut(&Rows<'_>) -> Option<()>,
    ) -> Result<()> {
        let mut files = view.files(table, self.time);
        files = view.lake().prune(&files, &self.predicate, self.time);
        view.open(&files)?;
        files.sort_by_key(|file| (std::cmp::Reverse(file.level), file.id));
        let reads = stream::iter(files.into_iter().map(|file| self.file(view, file, columns)));
        let mut reads = reads.buffered(READS_AT_ONCE);
        let mut taken = 0;
        while let Some(batches) = reads.try_next().await? {
            for batch in &batches {
                taken = self.batch(batch, taken, check, &mut take)?;
            }
        }
        for batch in view.fresh(table) {
            taken = self.batch(&batch, taken, check, &mut take)?;
        }
        Ok(())
    }

    async fn file(&self, view: &View, file: Arc<FileEntry>, columns: &[&str]) -> Result<Vec<RecordBatch>> {
        let mut spec = ScanSpec::all(columns.iter().copied());
        spec.time = self.time;
        spec.predicate = self.predicate.clone();
        spec.batch_rows = 1 << 16;
        Ok(view.lake().scan(file, spec)?.try_collect().await?)
    }

    /// Hands runs of rows of one series each to `take`. Answers how many rows were taken in all.
    fn batch(
        &self,
        batch: &RecordBatch,
        mut taken: u64,
        check: &(dyn Fn() -> Result<()> + Sync),
        take: &mut impl FnMut(&Rows<'_>) -> Option<()>,
    ) -> Result<u64> {
        let wrong = || Error::Query(crate::Error::Internal { message: "samples lack a column".to_owned() });
        let ids = batch.column_by_name("sid").and_then(|c| c.as_primitive_opt::<Int64Type>()).ok_or_else(wrong)?.values();
        let times = batch.column_by_name("ts").and_then(|c| c.as_primitive_opt::<TimestampMillisecondType>());
        let times = times.ok_or_else(wrong)?.values();
        let (from, to) = (self.time.start.as_millis(), self.time.end.as_millis());
        let (mut row, mut next_check) = (0, ROWS_PER_CHECK);
        while row < ids.len() {
            let id = ids[row];
            let end = row + ids[row..].iter().take_while(|other| **other == id).count();
            if let Some(place) = self.places.get(&id) {
                let mut start = row;
                while start < end {
                    let inside = |time: &i64| from <= *time && *time <= to;
                    start += times[start..end].iter().take_while(|time| !inside(time)).count();
                    let length = times[start..end].iter().take_while(|time| inside(time)).count();
                    if length > 0 {
                        taken += length as u64;
                        take(&Rows { batch, place: *place, rows: start..start + length }).ok_or_else(wrong)?;
                    }
                    start += length;
                }
            }
            row = end;
            if row >= next_check {
                check()?;
                next_check = row + ROWS_PER_CHECK;
            }
        }
        if taken > self.samples_max {
            return Err(Error::Samples { limit: self.samples_max });
        }
        Ok(taken)
    }
}

/// Sorts by time, of equal times the last one stays. `items` are in the order in which they were written.
fn ascending<T>(items: &mut Vec<T>, time: impl Fn(&T) -> i64) {
    if items.windows(2).all(|pair| time(&pair[0]) < time(&pair[1])) {
        return;
    }
    items.sort_by_key(&time);
    // The last of equal times: reverse, keep the first, reverse back.
    items.reverse();
    items.dedup_by_key(|item| time(item));
    items.reverse();
}
