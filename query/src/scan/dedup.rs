//! One row where storage may hold it twice.
//!
//! A sender that repeats a request beyond the receiver's memory, two writers that serve one sender, a dictionary row written by
//! each writer and each day: such rows have the same identity (`sid` and time, say) and only one of them is an answer.
//!
//! ```text
//! units in order of precedence:   A ───────────      what A has inside an overlap is remembered ──┐
//!                                       B ─────────  rows of B that were remembered go            ▼
//!                                             C ──   ids of the overlap A∩B are forgotten after B
//! ```
//! Inside a file equal rows are neighbours, because identity follows from the sort order. Between units only the overlap in time
//! of units that may share ids is remembered, so a chain of flushes costs the memory of one sliver.
//!
//! # Invariants
//! - Of equal rows exactly one is let through: of the unit with precedence, and inside a unit the last (or first) one written.
//! - Memory is that of the remembered ids and is taken from the query's pool.

use std::collections::VecDeque;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use catalog::{TimeRange, Timestamp};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryReservation;
use hashbrown::HashSet;

use super::layout::{Unit, whole_days};
use crate::tables::{Identity, Keep, unit_ns};

const DAY_NS: i64 = 86_400_000_000_000;
/// Bytes that a remembered row takes in the set.
const REMEMBERED_BYTES: usize = 17;

/// Id, and time in nanoseconds or day.
type Key = (i64, i64);

/// What to do with one unit, decided before anything is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Duty {
    /// Rows of these times may have been seen in an earlier unit (or, for fresh rows, in this one).
    check: Option<TimeRange>,
    /// Rows of these times may come again in a later unit (or in this one).
    remember: Option<TimeRange>,
}

/// The duties of `units`, which are in order of precedence.
pub(super) fn duties(units: &[Unit], identity: Identity) -> VecDeque<Duty> {
    let range = |unit: &Unit| if identity.per_day { whole_days(unit.time()) } else { unit.time() };
    let mut duties = vec![Duty { check: None, remember: None }; units.len()];
    let mut by_start: Vec<usize> = (0..units.len()).collect();
    by_start.sort_by_key(|&i| range(&units[i]).start);
    for (at, &i) in by_start.iter().enumerate() {
        if matches!(units[i], Unit::Fresh(_)) {
            // Rows in memory are not sorted: equal ones are no neighbours.
            widen(&mut duties[i].check, range(&units[i]));
            widen(&mut duties[i].remember, range(&units[i]));
        }
        let end = range(&units[i]).end;
        for &j in by_start[at + 1..].iter().take_while(|&&j| range(&units[j]).start <= end) {
            if units[i].may_share_ids(&units[j]) {
                let both = range(&units[i]).intersect(range(&units[j]));
                widen(&mut duties[i.min(j)].remember, both);
                widen(&mut duties[i.max(j)].check, both);
            }
        }
    }
    duties.into()
}

/// The units of which no row is repeated, neither inside nor in another one, and the others.
pub(super) fn alone(units: Vec<Unit>, identity: Identity) -> (Vec<Unit>, Vec<Unit>) {
    if identity.per_day {
        return (Vec::new(), units); // rows of dictionaries: few
    }
    let none = Duty { check: None, remember: None };
    let duties = duties(&units, identity);
    let (alone, others): (Vec<_>, Vec<_>) =
        units.into_iter().zip(duties).partition(|(unit, duty)| unit.is_merged() && *duty == none);
    let plain = |units: Vec<(Unit, Duty)>| units.into_iter().map(|(unit, _)| unit).collect();
    (plain(alone), plain(others))
}

fn widen(range: &mut Option<TimeRange>, by: TimeRange) {
    *range = Some(range.map_or(by, |r| TimeRange::new(r.start.min(by.start), r.end.max(by.end))));
}

/// Lets one of equal rows through; fed unit by unit in order of precedence.
#[derive(Debug)]
pub(super) struct Dedup {
    identity: Identity,
    duties: VecDeque<Duty>,
    duty: Duty,
    unsorted: bool,
    seen: HashSet<Key>,
    reservation: MemoryReservation,
    /// The batch whose last row may be superseded by the next batch's first; the key of that row if it is still there.
    held: Option<(RecordBatch, Option<Key>)>,
    last: Option<Key>,
    /// Rows taken out.
    pub(super) dropped: u64,
}

impl Dedup {
    pub(super) fn new(units: &[Unit], identity: Identity, reservation: MemoryReservation) -> Self {
        let none = Duty { check: None, remember: None };
        let duties = duties(units, identity);
        Self {
            identity,
            duties,
            duty: none,
            unsorted: false,
            seen: HashSet::new(),
            reservation,
            held: None,
            last: None,
            dropped: 0,
        }
    }

    /// Turns to the next unit.
    pub(super) fn start_unit(&mut self, unit: &Unit) -> Result<()> {
        debug_assert!(self.held.is_none(), "the unit before was finished");
        self.duty = self.duties.pop_front().unwrap_or(Duty { check: None, remember: None });
        self.unsorted = matches!(unit, Unit::Fresh(_));
        self.last = None;
        // What no later unit can repeat is forgotten.
        let mut ahead = self.duty.check;
        for later in self.duties.iter().filter_map(|d| d.check) {
            widen(&mut ahead, later);
        }
        match ahead {
            None => self.seen = HashSet::new(),
            Some(range) => {
                let (start, end) = self.bounds(range);
                self.seen.retain(|key| (start..=end).contains(&key.1));
                self.seen.shrink_to_fit();
            }
        }
        self.reservation.try_resize(self.seen.capacity() * REMEMBERED_BYTES)
    }

    /// The rows of `batch` that stay; with [`Keep::Newest`] they come one batch late.
    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>> {
        if batch.num_rows() == 0 {
            return Ok(None);
        }
        let keys = self.keys(&batch)?;
        let mut keep = vec![true; keys.len()];
        if !self.unsorted {
            self.mark_neighbours(&keys, &mut keep);
        }
        self.mark_seen(&keys, &mut keep)?;
        let last = keys.last().filter(|_| keep.last() == Some(&true)).copied();
        let batch = self.select(batch, keep)?;
        if self.unsorted || self.identity.keep == Keep::Oldest {
            return Ok(Some(batch));
        }
        let ready = self.take_held(keys.first().copied());
        self.held = Some((batch, last));
        Ok(ready)
    }

    /// The rows held back at the end of a unit.
    pub(super) fn finish_unit(&mut self) -> Option<RecordBatch> {
        self.take_held(None)
    }

    /// The held batch, without its last row if the next row is equal to it.
    fn take_held(&mut self, next: Option<Key>) -> Option<RecordBatch> {
        let (batch, last) = self.held.take()?;
        let superseded = last.is_some() && next == last;
        self.dropped += u64::from(superseded);
        Some(if superseded { batch.slice(0, batch.num_rows() - 1) } else { batch })
    }

    fn mark_neighbours(&mut self, keys: &[Key], keep: &mut [bool]) {
        match self.identity.keep {
            Keep::Newest => {
                for i in 1..keys.len() {
                    keep[i - 1] = keys[i - 1] != keys[i];
                }
            }
            Keep::Oldest => {
                let mut last = self.last;
                for (i, key) in keys.iter().enumerate() {
                    keep[i] = last != Some(*key);
                    last = Some(*key);
                }
                self.last = last;
            }
        }
    }

    fn mark_seen(&mut self, keys: &[Key], keep: &mut [bool]) -> Result<()> {
        if self.duty.check.is_none() && self.duty.remember.is_none() {
            return Ok(());
        }
        let bounds = |range: Option<TimeRange>| range.map_or((1, 0), |range| self.bounds(range));
        let (check, remember) = (bounds(self.duty.check), bounds(self.duty.remember));
        // A row that goes on with the last run of the batch before takes that row's place; it is not a repetition of it.
        let running = self.held.as_ref().and_then(|(_, last)| *last);
        let mut mark = |i: usize| {
            let key = keys[i];
            if !keep[i] || Some(key) == running {
                return;
            }
            let seen = check.0 <= key.1 && key.1 <= check.1 && self.seen.contains(&key);
            keep[i] = !seen;
            if !seen && remember.0 <= key.1 && key.1 <= remember.1 {
                self.seen.insert(key);
            }
        };
        match self.identity.keep {
            Keep::Newest if self.unsorted => (0..keys.len()).rev().for_each(&mut mark),
            _ => (0..keys.len()).for_each(&mut mark),
        }
        self.reservation.try_resize(self.seen.capacity() * REMEMBERED_BYTES)
    }

    fn select(&mut self, batch: RecordBatch, keep: Vec<bool>) -> Result<RecordBatch> {
        let dropped = keep.iter().filter(|keep| !**keep).count();
        if dropped == 0 {
            return Ok(batch);
        }
        self.dropped += dropped as u64;
        Ok(filter_record_batch(&batch, &BooleanArray::from(keep))?)
    }

    /// The bounds of `range` as the second half of a key.
    fn bounds(&self, range: TimeRange) -> (i64, i64) {
        let part = |at: Timestamp| if self.identity.per_day { at.as_nanos().div_euclid(DAY_NS) } else { at.as_nanos() };
        (part(range.start), part(range.end))
    }

    fn keys(&self, batch: &RecordBatch) -> Result<Vec<Key>> {
        let column = |name: &str| {
            batch.column_by_name(name).ok_or_else(|| DataFusionError::Internal(format!("column {name} was not read")))
        };
        let (times, unit) = times_ns(column("ts")?.as_ref())?;
        let part = |at: i64| {
            let ns = at.saturating_mul(unit);
            if self.identity.per_day { ns.div_euclid(DAY_NS) } else { ns }
        };
        let ids = column(self.identity.id)?;
        if let Some(ids) = ids.as_primitive_opt::<Int64Type>() {
            return Ok(ids.values().iter().zip(times).map(|(id, at)| (*id, part(*at))).collect());
        }
        let Some(ids) = ids.as_dictionary_opt::<Int32Type>() else {
            return Err(DataFusionError::Internal(format!("column {} is no id", self.identity.id)));
        };
        let texts = ids.values().as_string::<i32>();
        let hashes: Vec<i64> = (0..texts.len()).map(|i| catalog::labels::content_id(texts.value(i).as_bytes())).collect();
        let id = |i: usize| ids.key(i).map_or(0, |key| hashes[key]);
        Ok(times.iter().enumerate().map(|(i, at)| (id(i), part(*at))).collect())
    }
}

/// The values of a timestamp column and the nanoseconds in one of its units.
pub(super) fn times_ns(column: &dyn Array) -> Result<(&[i64], i64)> {
    let unit = unit_ns(column.data_type()).ok_or_else(|| DataFusionError::Internal("event time is no timestamp".to_owned()))?;
    let values = match column.data_type() {
        DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, _) => {
            column.as_primitive::<arrow::datatypes::TimestampMillisecondType>().values()
        }
        DataType::Timestamp(arrow::datatypes::TimeUnit::Nanosecond, _) => {
            column.as_primitive::<arrow::datatypes::TimestampNanosecondType>().values()
        }
        _ => return Err(DataFusionError::Internal("event time has an unknown unit".to_owned())),
    };
    Ok((values, unit))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use arrow::array::{Int64Array, TimestampMillisecondArray};
    use arrow::datatypes::{Float64Type, Int64Type, TimestampMillisecondType};
    use catalog::{FileEntry, FileId, Level, Partition, Table, TenantId};
    use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, UnboundedMemoryPool};
    use proptest::prelude::*;

    use super::super::layout::{Fresh, lay_out};
    use super::*;

    /// Id, milliseconds, value.
    type Row = (i64, i64, f64);

    fn batch(rows: &[Row]) -> RecordBatch {
        let ids = Int64Array::from_iter_values(rows.iter().map(|r| r.0));
        let times = TimestampMillisecondArray::from_iter_values(rows.iter().map(|r| r.1)).with_timezone("UTC");
        let values = arrow::array::Float64Array::from_iter_values(rows.iter().map(|r| r.2));
        RecordBatch::try_from_iter([("sid", Arc::new(ids) as _), ("ts", Arc::new(times) as _), ("value", Arc::new(values) as _)])
            .expect("equal lengths")
    }

    fn rows(batch: &RecordBatch) -> Vec<Row> {
        let (ids, times) =
            (batch.column(0).as_primitive::<Int64Type>(), batch.column(1).as_primitive::<TimestampMillisecondType>());
        let values = batch.column(2).as_primitive::<Float64Type>();
        (0..batch.num_rows()).map(|i| (ids.value(i), times.value(i), values.value(i))).collect()
    }

    fn time(rows: &[Row]) -> TimeRange {
        let at = |ms: Option<i64>| Timestamp::from_millis(ms.unwrap_or(0));
        TimeRange::new(at(rows.iter().map(|r| r.1).min()), at(rows.iter().map(|r| r.1).max()))
    }

    /// Rows of a row group.
    const GROUP: usize = 4;

    fn file(id: usize, rows: &[Row], level: Level) -> Arc<FileEntry> {
        let id_range = rows.iter().map(|r| r.0).min().zip(rows.iter().map(|r| r.0).max());
        Arc::new(FileEntry {
            id: FileId::from_u128(id as u128),
            tenant: TenantId::anonymous(),
            table: Table::Samples,
            partition: Partition::of(Table::Samples, time(rows).start),
            level,
            bytes: 3 << 20,
            rows: rows.len() as u64,
            time: time(rows),
            key_range: None,
            id_range,
            index: None,
            footer_bytes: 0,
            crc32: 0,
            raw_bytes: 0,
            schema_version: 1,
        })
    }

    /// What compaction leaves of the rows of one file.
    fn merged(rows: &mut Vec<Row>, keep: Keep) {
        rows.sort_by_key(|r| (r.0, r.1));
        if keep == Keep::Newest {
            rows.reverse();
        }
        rows.dedup_by_key(|r| (r.0, r.1));
        rows.sort_by_key(|r| (r.0, r.1));
    }

    /// Feeds files (oldest first, so many of them compacted) and fresh rows through the layout and a filter per partition.
    fn dedup(files: &[Vec<Row>], compacted: usize, fresh: &[Row], keep: Keep, batch_rows: usize) -> Vec<Row> {
        let identity = Identity { id: "sid", per_day: false, keep };
        let level = |i: usize| if i < compacted { Level::L1 } else { Level::L0 };
        let entries = files.iter().enumerate().map(|(i, rows)| file(i, rows, level(i))).collect();
        let memory =
            (!fresh.is_empty()).then(|| Fresh { batches: vec![batch(fresh)], time: time(fresh), rows: fresh.len() as u64 });
        let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
        let mut out = Vec::new();
        for share in lay_out(entries, memory, Some(identity), 3) {
            let mut dedup = Dedup::new(&share.units, identity, MemoryConsumer::new("test").register(&pool));
            for unit in &share.units {
                dedup.start_unit(unit).expect("unbounded");
                let mut stored: Vec<Row> = match unit {
                    Unit::File(file, part) => {
                        let mut rows = files[file.id.as_u128() as usize].clone();
                        rows.sort_by_key(|r| (r.0, r.1));
                        let groups = rows.chunks(GROUP).skip(part.at).step_by(part.of);
                        groups.flatten().copied().collect()
                    }
                    Unit::Fresh(fresh) => rows(&fresh.batches[0]),
                };
                stored.retain(|r| share.window.is_none_or(|w| w.contains(Timestamp::from_millis(r.1))));
                let chunks: Vec<&[Row]> = stored.chunks(batch_rows).collect();
                let newest_first = matches!(unit, Unit::Fresh(_)) && keep == Keep::Newest;
                let order: Vec<usize> =
                    if newest_first { (0..chunks.len()).rev().collect() } else { (0..chunks.len()).collect() };
                for i in order {
                    if !share.repeats {
                        out.extend(chunks[i]);
                        continue;
                    }
                    out.extend(dedup.push(batch(chunks[i])).expect("unbounded").iter().flat_map(rows));
                }
                out.extend(dedup.finish_unit().iter().flat_map(rows));
            }
        }
        out
    }

    fn any_rows(max: usize) -> impl Strategy<Value = Vec<Row>> {
        prop::collection::vec((0..4i64, 0..12i64), 1..max)
            .prop_map(|keys| keys.into_iter().map(|(id, at)| (id, at, 0.0)).collect())
    }

    proptest! {
        #[test]
        fn one_of_equal_rows_stays_and_it_is_the_right_one(
            mut files in prop::collection::vec(any_rows(30), 0..6),
            mut fresh in any_rows(30),
            offsets in prop::collection::vec(0..40i64, 6),
            compacted in 0..4usize,
            batch_rows in 1..9usize,
            newest: bool,
        ) {
            // Values count writes; files lie at different times.
            let mut written = 0.0;
            for (rows, offset) in files.iter_mut().zip(&offsets) {
                for row in rows {
                    row.1 += offset;
                    row.2 = written;
                    written += 1.0;
                }
            }
            for row in &mut fresh {
                row.2 = written;
                written += 1.0;
            }
            let keep = if newest { Keep::Newest } else { Keep::Oldest };
            let mut expected = BTreeMap::new();
            for row in files.iter().flatten().chain(&fresh) {
                if newest || !expected.contains_key(&(row.0, row.1)) {
                    expected.insert((row.0, row.1), row.2);
                }
            }
            files.iter_mut().take(compacted).for_each(|rows| merged(rows, keep));
            let mut got = dedup(&files, compacted, &fresh, keep, batch_rows);
            got.sort_by_key(|r| (r.0, r.1));
            let expected: Vec<Row> = expected.into_iter().map(|((id, at), value)| (id, at, value)).collect();
            prop_assert_eq!(got, expected);
        }
    }
}
