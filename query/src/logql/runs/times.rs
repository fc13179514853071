//! The times of the lines of a row group, by stream, and the lengths of their texts.

use std::ops::Range;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampNanosecondType};
use catalog::TimeRange;

/// Lines of one stream that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) stream: i64,
    /// Places among the lines of the row group that are there once.
    pub(super) rows: Range<usize>,
}

/// Times of lines, ascending within a run.
#[derive(Debug, Default)]
pub(super) struct Times {
    runs: Vec<Run>,
    times_ns: Vec<i64>,
    /// Rows of the row group whose line is there already, ascending: they have no time here.
    repeated: Box<[u32]>,
    /// Whether the times of every run ascend, as they do in files that this program wrote.
    is_sorted: bool,
}

impl Times {
    /// The times of the rows of `batches`, which follow each other, but those of `repeated`; `None` if the batches lack a column.
    pub(super) fn of_rows(batches: &[RecordBatch], repeated: Vec<u32>) -> Option<Self> {
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        let mut this = Self { times_ns: Vec::with_capacity(rows), ..Self::default() };
        let mut first = 0;
        for batch in batches {
            let ids = batch.column_by_name("stream_id")?.as_primitive_opt::<Int64Type>()?.values();
            let times = batch.column_by_name("ts")?.as_primitive_opt::<TimestampNanosecondType>()?.values();
            for rows in kept(first, batch.num_rows(), &repeated) {
                this.push(&ids[rows.clone()], &times[rows]);
            }
            first += batch.num_rows();
        }
        this.is_sorted = this.runs.iter().all(|run| this.of(run).is_sorted());
        this.repeated = repeated.into();
        this.runs.shrink_to_fit();
        Some(this)
    }

    fn push(&mut self, ids: &[i64], times: &[i64]) {
        let mut at = 0;
        while at < ids.len() {
            let len = ids[at..].iter().take_while(|id| **id == ids[at]).count();
            let start = self.times_ns.len() + at;
            match self.runs.last_mut() {
                // A run goes on in the next batch, but for the order of time, which bisection relies on.
                Some(run) if run.stream == ids[at] && run.rows.end == start => run.rows.end += len,
                _ => self.runs.push(Run { stream: ids[at], rows: start..start + len }),
            }
            at += len;
        }
        self.times_ns.extend_from_slice(times);
    }

    /// All runs.
    pub(super) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Rows that have no place here.
    pub(super) fn repeated(&self) -> &[u32] {
        &self.repeated
    }

    /// The times of `run`.
    pub(super) fn of(&self, run: &Run) -> &[i64] {
        &self.times_ns[run.rows.clone()]
    }

    /// The places of the lines of `run` in `time`.
    pub(super) fn within(&self, run: &Run, time: TimeRange) -> Range<usize> {
        let times = self.of(run);
        let start = match times.first() {
            Some(first) if *first < time.start.as_nanos() => times.partition_point(|ns| *ns < time.start.as_nanos()),
            _ => 0,
        };
        let end = match times.last() {
            Some(last) if *last > time.end.as_nanos() => times.partition_point(|ns| *ns <= time.end.as_nanos()),
            _ => times.len(),
        };
        run.rows.start + start..run.rows.start + end.max(start)
    }

    /// Whether the times of every run ascend. If they do not, nothing can be found here.
    pub(super) fn is_sorted(&self) -> bool {
        self.is_sorted
    }

    /// Bytes held.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.times_ns.capacity() * 8 + self.runs.len() * size_of::<Run>() + self.repeated.len() * 4
    }
}

/// Lengths of lines, as [`Times`] places them.
#[derive(Debug)]
pub(super) struct Lengths(Box<[u32]>);

impl Lengths {
    /// Of the column `body` of `batches`, without the rows of `repeated`; `None` if the batches lack it.
    pub(super) fn of_rows(batches: &[RecordBatch], repeated: &[u32]) -> Option<Self> {
        let mut lengths = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
        let mut first = 0;
        for batch in batches {
            let offsets = batch.column_by_name("body")?.as_string_opt::<i32>()?.value_offsets();
            for rows in kept(first, batch.num_rows(), repeated) {
                lengths.extend(offsets[rows.start..=rows.end].windows(2).map(|pair| (pair[1] - pair[0]).unsigned_abs()));
            }
            first += batch.num_rows();
        }
        Some(Self(lengths.into()))
    }

    /// Of the lines of `run`.
    pub(super) fn of(&self, run: &Run) -> &[u32] {
        &self.0[run.rows.clone()]
    }

    /// Bytes held.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.0.len() * 4
    }
}

/// The rows of a batch that begins with row `first` which are not among `repeated`, as ranges within the batch.
pub(super) fn kept(first: usize, rows: usize, repeated: &[u32]) -> impl Iterator<Item = Range<usize>> + '_ {
    let inside = |row: usize| repeated.partition_point(|gone| (*gone as usize) < row);
    let gone = &repeated[inside(first)..inside(first + rows)];
    let starts = std::iter::once(0).chain(gone.iter().map(move |row| *row as usize - first + 1));
    let ends = gone.iter().map(move |row| *row as usize - first).chain(std::iter::once(rows));
    starts.zip(ends).map(|(start, end)| start..end).filter(|range| !range.is_empty())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampNanosecondArray};
    use catalog::Timestamp;

    use super::*;

    fn batch(rows: &[(i64, i64, &str)]) -> RecordBatch {
        let columns: [(&str, ArrayRef); 3] = [
            ("stream_id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0)))),
            ("ts", Arc::new(TimestampNanosecondArray::from_iter_values(rows.iter().map(|row| row.1)))),
            ("body", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.2)))),
        ];
        RecordBatch::try_from_iter(columns).expect("one length")
    }

    #[test]
    fn runs_go_on_over_batches_and_leave_repeated_rows_out() {
        let batches = [batch(&[(1, 5, "a"), (1, 6, "bb"), (1, 6, "bb")]), batch(&[(1, 7, "ccc"), (2, 1, ""), (2, 9, "dd")])];
        let times = Times::of_rows(&batches, vec![2]).expect("columns");
        assert_eq!(times.runs(), [Run { stream: 1, rows: 0..3 }, Run { stream: 2, rows: 3..5 }]);
        assert_eq!((times.of(&times.runs()[0]), times.of(&times.runs()[1])), (&[5, 6, 7][..], &[1, 9][..]));
        let lengths = Lengths::of_rows(&batches, times.repeated()).expect("column");
        assert_eq!((lengths.of(&times.runs()[0]), lengths.of(&times.runs()[1])), (&[1, 2, 3][..], &[0, 2][..]));
        let within = |start, end| {
            let time = TimeRange::new(Timestamp::from_nanos(start), Timestamp::from_nanos(end));
            times.within(&times.runs()[0], time)
        };
        assert_eq!([within(0, 4), within(0, 5), within(6, 9), within(8, 9)], [0..0, 0..1, 1..3, 3..3]);
        assert!(times.is_sorted());
    }

    #[test]
    fn kept_rows_are_ranges() {
        let ranges = |first, rows, repeated: &[u32]| kept(first, rows, repeated).collect::<Vec<_>>();
        assert_eq!(ranges(10, 5, &[]).first(), Some(&(0..5)));
        assert_eq!(ranges(10, 5, &[3, 10, 12, 14, 15]), [1..2, 3..4]);
        assert!(ranges(0, 0, &[]).is_empty());
    }
}
