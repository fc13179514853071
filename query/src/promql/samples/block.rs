//! Decoded samples: the rows of one row group, or of one batch in memory, by series.
//!
//! ```text
//! sids    [ 3        | 7           | 9     ]        ascending
//! values  [ v v v v  | v v v v v v | v v v ]        rows of a series, ascending by time
//! times   [ t t t t  | t t t t t t ]                series scraped together share their times: 9 has the first three of 3's
//! ```
//! A row costs 8 bytes, and 4 more when its series has times of its own.
//!
//! # Invariants
//! - Of equal times of one series inside a block the row written last is there, alone.
//! - A block never changes; whoever holds it may share it.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type, TimestampMillisecondType};
use catalog::labels::content_id;
use hashbrown::HashMap;

/// Columns that blocks are made of, without and with start timestamps.
pub(super) const COLUMNS: [&str; 4] = ["sid", "ts", "value", "start_ts"];

/// Rows of one series in a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    values_at: u32,
    times_at: u32,
    len: u32,
    first_ms: i64,
    last_ms: i64,
}

impl Run {
    /// Times of its first and last row.
    pub(super) fn times(&self) -> (i64, i64) {
        (self.first_ms, self.last_ms)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Block {
    sids: Box<[i64]>,
    runs: Box<[Run]>,
    times: Times,
    values: Box<[f64]>,
    /// Start timestamps by row, 0 for none; empty when they were not asked for or no row has one.
    starts: Box<[i64]>,
}

/// Times by position, relative to a base where they fit.
#[derive(Debug)]
enum Times {
    Narrow { base_ms: i64, after_ms: Box<[u32]> },
    Wide(Box<[i64]>),
}

impl Default for Times {
    fn default() -> Self {
        Self::Narrow { base_ms: 0, after_ms: Box::default() }
    }
}

/// Where the rows of one series go, ascending by time.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Columns {
    pub(super) times_ms: Vec<i64>,
    pub(super) floats: Vec<f64>,
    pub(super) starts_ms: Vec<i64>,
}

/// The columns of a batch.
struct Rows<'a> {
    sids: &'a [i64],
    times: &'a [i64],
    values: &'a [f64],
    starts: Option<&'a arrow::array::TimestampMillisecondArray>,
}

impl<'a> Rows<'a> {
    fn new(batch: &'a RecordBatch, starts: bool) -> Option<Self> {
        let column = |name: &str| batch.column_by_name(name);
        let time = |name: &str| column(name)?.as_primitive_opt::<TimestampMillisecondType>();
        Some(Self {
            sids: column(COLUMNS[0])?.as_primitive_opt::<Int64Type>()?.values(),
            times: time(COLUMNS[1])?.values(),
            values: column(COLUMNS[2])?.as_primitive_opt::<Float64Type>()?.values(),
            starts: if starts { Some(time(COLUMNS[3])?) } else { None },
        })
    }

    fn start(&self, row: usize) -> i64 {
        self.starts.filter(|starts| starts.is_valid(row)).map_or(0, |starts| starts.value(row))
    }
}

/// Puts a block together.
#[derive(Default)]
struct Builder {
    sids: Vec<i64>,
    runs: Vec<Run>,
    times: Vec<i64>,
    values: Vec<f64>,
    starts: Vec<i64>,
    with_starts: bool,
    /// Runs whose times lie in the pool, by the hash of these.
    known: HashMap<i64, Run>,
    bytes: Vec<u8>,
}

impl Builder {
    /// The row behind the last one of the open run `sid`, or the first of a new one.
    fn push(&mut self, sid: i64, time: i64, value: f64, start: i64) {
        match (self.sids.last(), self.runs.last_mut()) {
            (Some(last), Some(run)) if *last == sid => {
                if run.last_ms == time && run.len > 0 {
                    // Written last: it takes the place of the row before.
                    let at = self.values.len() - 1;
                    self.values[at] = value;
                    if self.with_starts {
                        self.starts[at] = start;
                    }
                    return;
                }
                run.len += 1;
                run.last_ms = time;
            }
            _ => {
                self.close();
                self.sids.push(sid);
                let (values_at, times_at) = (self.values.len() as u32, self.times.len() as u32);
                self.runs.push(Run { values_at, times_at, len: 1, first_ms: time, last_ms: time });
            }
        }
        self.times.push(time);
        self.values.push(value);
        if self.with_starts {
            self.starts.push(start);
        }
    }

    /// Lets the last run share the times of one that has the same.
    fn close(&mut self) {
        let Some(run) = self.runs.last_mut() else { return };
        let own = run.times_at as usize..run.times_at as usize + run.len as usize;
        self.bytes.clear();
        self.times[own.clone()].iter().for_each(|time| self.bytes.extend_from_slice(&time.to_le_bytes()));
        let hash = content_id(&self.bytes);
        match self.known.get(&hash) {
            Some(known) if known.len == run.len => {
                let theirs = known.times_at as usize..known.times_at as usize + known.len as usize;
                if self.times[theirs] == self.times[own.clone()] {
                    run.times_at = known.times_at;
                    self.times.truncate(own.start);
                }
            }
            Some(_) => {}
            None => drop(self.known.insert(hash, *run)),
        }
    }

    fn finish(mut self) -> Block {
        self.close();
        let times = match (self.times.iter().min(), self.times.iter().max()) {
            (Some(&low), Some(&high)) if high.abs_diff(low) <= u64::from(u32::MAX) => {
                Times::Narrow { base_ms: low, after_ms: self.times.iter().map(|time| time.abs_diff(low) as u32).collect() }
            }
            (Some(_), Some(_)) => Times::Wide(self.times.into()),
            _ => Times::default(),
        };
        let starts = if self.starts.iter().all(|start| *start == 0) { Box::default() } else { self.starts.into() };
        let mut block = Block { sids: self.sids.into(), runs: self.runs.into(), times, values: self.values.into(), starts };
        block.sort();
        block
    }
}

impl Block {
    /// The rows of `batches`, sorted by metric, series and time as files are. `None` when a column is missing.
    pub(super) fn of_sorted(batches: &[RecordBatch], starts: bool) -> Option<Self> {
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        let mut builder = Builder { with_starts: starts, ..Builder::default() };
        builder.times.reserve(rows / 4);
        builder.values.reserve(rows);
        for batch in batches {
            let rows = Rows::new(batch, starts)?;
            for (row, ((sid, time), value)) in rows.sids.iter().zip(rows.times).zip(rows.values).enumerate() {
                builder.push(*sid, *time, *value, rows.start(row));
            }
        }
        Some(builder.finish())
    }

    /// The rows of `batch` in the order in which they were written. `None` when a column is missing.
    pub(super) fn of_unsorted(batch: &RecordBatch, starts: bool) -> Option<Self> {
        let rows = Rows::new(batch, starts)?;
        let mut order: Vec<u32> = (0..rows.sids.len() as u32).collect();
        // Stable: of equal times the one written last comes last.
        order.sort_by_key(|row| (rows.sids[*row as usize], rows.times[*row as usize]));
        let mut builder = Builder { with_starts: starts, ..Builder::default() };
        for row in order.into_iter().map(|row| row as usize) {
            builder.push(rows.sids[row], rows.times[row], rows.values[row], rows.start(row));
        }
        Some(builder.finish())
    }

    /// Orders runs by series: those of a file are ordered by metric first.
    fn sort(&mut self) {
        if self.sids.is_sorted() {
            return;
        }
        let mut order: Vec<u32> = (0..self.sids.len() as u32).collect();
        order.sort_by_key(|at| self.sids[*at as usize]);
        self.runs = order.iter().map(|at| self.runs[*at as usize]).collect();
        self.sids = order.iter().map(|at| self.sids[*at as usize]).collect();
    }

    /// The ids of its series, ascending, one per run.
    pub(super) fn sids(&self) -> &[i64] {
        &self.sids
    }

    /// The rows of the series at `at`.
    pub(super) fn run(&self, at: usize) -> Run {
        self.runs[at]
    }

    /// Adds the rows of `run` from `from_ms` to `to_ms`, both included, behind those of `columns`.
    pub(super) fn append(&self, run: Run, from_ms: i64, to_ms: i64, columns: &mut Columns) {
        let all = run.times_at as usize..run.times_at as usize + run.len as usize;
        let (start, end) = if from_ms <= run.first_ms && run.last_ms <= to_ms {
            (0, all.len())
        } else {
            self.within(all.clone(), from_ms, to_ms)
        };
        if start >= end {
            return;
        }
        let times = all.start + start..all.start + end;
        match &self.times {
            Times::Narrow { base_ms, after_ms } => {
                columns.times_ms.extend(after_ms[times].iter().map(|after| base_ms + i64::from(*after)));
            }
            Times::Wide(all) => columns.times_ms.extend_from_slice(&all[times]),
        }
        let rows = run.values_at as usize + start..run.values_at as usize + end;
        columns.floats.extend_from_slice(&self.values[rows.clone()]);
        if let Some(starts) = self.starts.get(rows) {
            // Rows before had none.
            columns.starts_ms.resize(columns.floats.len() - starts.len(), 0);
            columns.starts_ms.extend_from_slice(starts);
        } else if !columns.starts_ms.is_empty() {
            columns.starts_ms.resize(columns.floats.len(), 0);
        }
    }

    /// Positions inside `all` of the first time not before `from_ms` and of the first behind `to_ms`.
    fn within(&self, all: std::ops::Range<usize>, from_ms: i64, to_ms: i64) -> (usize, usize) {
        match &self.times {
            Times::Narrow { base_ms, after_ms } => {
                let times = &after_ms[all];
                let at = |after: &u32| base_ms + i64::from(*after);
                (times.partition_point(|t| at(t) < from_ms), times.partition_point(|t| at(t) <= to_ms))
            }
            Times::Wide(times) => {
                let times = &times[all];
                (times.partition_point(|t| *t < from_ms), times.partition_point(|t| *t <= to_ms))
            }
        }
    }

    /// Bytes of memory.
    pub(super) fn memory_bytes(&self) -> usize {
        let times = match &self.times {
            Times::Narrow { after_ms, .. } => after_ms.len() * 4,
            Times::Wide(times) => times.len() * 8,
        };
        self.sids.len() * (8 + size_of::<Run>()) + times + self.values.len() * 8 + self.starts.len() * 8 + size_of::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array, TimestampMillisecondArray};
    use proptest::prelude::*;

    use super::*;

    /// Series, time, value, start.
    type Row = (i64, i64, f64, i64);

    fn batch(rows: &[Row]) -> RecordBatch {
        let sids = Int64Array::from_iter_values(rows.iter().map(|r| r.0));
        let times = TimestampMillisecondArray::from_iter_values(rows.iter().map(|r| r.1));
        let values = Float64Array::from_iter_values(rows.iter().map(|r| r.2));
        let starts: TimestampMillisecondArray = rows.iter().map(|r| (r.3 != 0).then_some(r.3)).collect();
        let columns = [Arc::new(sids) as _, Arc::new(times) as _, Arc::new(values) as _, Arc::new(starts) as _];
        RecordBatch::try_from_iter(COLUMNS.into_iter().zip(columns)).expect("equal lengths")
    }

    fn read(block: &Block, from: i64, to: i64) -> BTreeMap<i64, Columns> {
        let mut all: BTreeMap<i64, Columns> = BTreeMap::new();
        for (at, sid) in block.sids().iter().enumerate() {
            block.append(block.run(at), from, to, all.entry(*sid).or_default());
        }
        all.retain(|_, columns| !columns.times_ms.is_empty());
        all
    }

    fn expected(rows: &[Row], from: i64, to: i64) -> BTreeMap<i64, Columns> {
        let written: BTreeMap<(i64, i64), (f64, i64)> = rows.iter().map(|r| ((r.0, r.1), (r.2, r.3))).collect();
        let any_start = rows.iter().any(|r| r.3 != 0) && written.values().any(|v| v.1 != 0);
        let mut all: BTreeMap<i64, Columns> = BTreeMap::new();
        for ((sid, time), (value, start)) in written {
            if from <= time && time <= to {
                let columns = all.entry(sid).or_default();
                columns.times_ms.push(time);
                columns.floats.push(value);
                if any_start {
                    columns.starts_ms.push(start);
                }
            }
        }
        all
    }

    #[test]
    fn series_scraped_together_share_their_times() {
        let rows: Vec<Row> = (0..3).flat_map(|sid| (0..100).map(move |t| (sid, t * 15_000, t as f64, 0))).collect();
        let block = Block::of_sorted(&[batch(&rows)], false).expect("columns");
        let Times::Narrow { after_ms, .. } = &block.times else { panic!("a day fits") };
        assert_eq!((after_ms.len(), block.values.len()), (100, 300));
        assert_eq!(read(&block, i64::MIN, i64::MAX), expected(&rows, i64::MIN, i64::MAX));
        let far = Block::of_unsorted(&batch(&[(1, i64::MIN / 2, 1.0, 0), (1, i64::MAX / 2, 2.0, 0)]), false).expect("columns");
        assert_eq!(read(&far, i64::MIN, i64::MAX)[&1].times_ms, [i64::MIN / 2, i64::MAX / 2]);
    }

    proptest! {
        #[test]
        fn blocks_hold_what_was_written_last(
            rows in prop::collection::vec((0_i64..5, 0_i64..12, 0_u8..9, 0_i64..3), 0..120),
            range in (-1_i64..14, -1_i64..14),
            cut in 0_usize..120,
        ) {
            let rows: Vec<Row> = rows.into_iter().map(|(sid, time, value, start)| (sid, time, f64::from(value), start)).collect();
            let (from, to) = range;
            let block = Block::of_unsorted(&batch(&rows), true).expect("columns");
            prop_assert_eq!(read(&block, from, to), expected(&rows, from, to));
            let mut sorted = rows.clone();
            sorted.sort_by_key(|r| (r.0 % 2, r.0, r.1)); // two metrics
            let (head, tail) = sorted.split_at(cut.min(sorted.len()));
            let block = Block::of_sorted(&[batch(head), batch(tail)], true).expect("columns");
            prop_assert!(block.sids().is_sorted());
            prop_assert_eq!(read(&block, i64::MIN, i64::MAX), expected(&rows, i64::MIN, i64::MAX));
        }
    }
}
