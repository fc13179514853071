//! The order of rows: by [`catalog::schema::sort_columns`], ascending, equal rows as they came.
//!
//! Buffered rows come as interleaved series, each of them in order already. So rows are first dealt out to their groups (one
//! hash look-up a row), then the few groups are ordered, and only a group whose times are out of order is sorted.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take};
use arrow::datatypes::{ArrowPrimitiveType, Int32Type, Int64Type};
use arrow::error::ArrowError;
use catalog::Table;
use catalog::schema::{self, time_column};

use super::time;
use crate::blank::is_blank;
use crate::compact::{Segment, gather};

/// What rows are grouped by before time decides: the rank of the text column and the id, or the halves of a trace id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct GroupKey(u64, u64);

/// Rows that follow each other as they came, on average, from which on they are copied together.
const RUN_ROWS_MIN: usize = 3;

/// Rows of a piece that is copied at once.
const PIECE_ROWS: usize = 32 << 10;

/// Rows in their order, for who takes them piece by piece.
///
/// Spans of a trace come together, and lines of a push by their streams, so that most rows are copied once, run by run, where taking them one by one out of
/// all batches put together copies twice. A piece is as large as what is encoded at once: the memory of one serves for the next, where all of them at once
/// would be as much memory again as is to be freed, and all of it cleared by the kernel.
#[derive(Debug)]
pub(super) enum Sorted {
    /// All rows, until they are taken.
    Whole(Option<RecordBatch>),
    /// Rows of `batches`, of which those before `runs[next]` are taken.
    Runs { batches: Vec<RecordBatch>, runs: Vec<Segment>, next: usize },
}

impl Sorted {
    /// The rows of `batches`, sorted.
    pub(super) fn of(table: Table, batches: Vec<RecordBatch>) -> Result<Self, ArrowError> {
        let schema = schema::rows(table);
        let whole = |batches: &[RecordBatch]| match batches {
            [one] => Ok(one.clone()),
            many => concat_batches(&schema, many),
        };
        let mut decisive = vec![0, 1, schema.index_of(time_column(table))?];
        decisive.dedup();
        let keys = batches.iter().map(|batch| batch.project(&decisive)).collect::<Result<Vec<_>, _>>()?;
        let Some(first) = keys.first() else { return Ok(Self::Whole(Some(whole(&batches)?))) };
        let Some(order) = order(table, &concat_batches(first.schema_ref(), &keys)?)? else {
            return Ok(Self::Whole(Some(whole(&batches)?)));
        };
        let runs = runs(&batches, order.values());
        // Spans come by resource, so that those of a trace lie apart; their maps are what costs, and is copied by gathering at once.
        if table == Table::Spans || runs.len().saturating_mul(RUN_ROWS_MIN) <= order.len() {
            return Ok(Self::Runs { batches, runs, next: 0 });
        }
        let whole = whole(&batches)?;
        let take = |column: &ArrayRef| if is_blank(column) { Ok(Arc::clone(column)) } else { take(column, &order, None) };
        let columns = whole.columns().iter().map(take).collect::<Result<_, _>>()?;
        Ok(Self::Whole(Some(RecordBatch::try_new(whole.schema(), columns)?)))
    }

    /// The rows that follow those that were taken; `None` when all are.
    pub(super) fn next_piece(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        let (batches, runs, next) = match self {
            Self::Whole(whole) => return Ok(whole.take()),
            Self::Runs { batches, runs, next } => (batches, runs, next),
        };
        let (mut piece, mut room) = (Vec::new(), PIECE_ROWS);
        while let Some(run) = runs.get_mut(*next).filter(|_| room > 0) {
            let end = run.end.min(run.start + room);
            room -= end - run.start;
            piece.push(Segment { end, ..*run });
            run.start = end;
            *next += usize::from(run.start == run.end);
        }
        if piece.is_empty() { Ok(None) } else { gather(batches, &piece).map(Some) }
    }
}

/// The rows `order` of all batches, one after the other, as runs within one batch.
fn runs(batches: &[RecordBatch], order: &[u32]) -> Vec<Segment> {
    let mut starts = Vec::with_capacity(batches.len() + 1);
    starts.push(0);
    batches.iter().for_each(|batch| starts.push(starts[starts.len() - 1] + batch.num_rows()));
    let mut runs: Vec<Segment> = Vec::new();
    // The batch of the last row, and where the row behind it is.
    let (mut source, mut next) = (0, usize::MAX);
    for row in order.iter().map(|row| *row as usize) {
        match runs.last_mut() {
            Some(run) if row == next && row < starts[source + 1] => run.end += 1,
            _ => {
                source = starts.partition_point(|start| *start <= row) - 1;
                runs.push(Segment { source, start: row - starts[source], end: row + 1 - starts[source] });
            }
        }
        next = row + 1;
    }
    runs
}

/// The order in which to take the rows; `None` when they are in order.
fn order(table: Table, rows: &RecordBatch) -> Result<Option<UInt32Array>, ArrowError> {
    let keys = group_keys(table, rows)?;
    let times = time::of(table, rows)?;
    let in_order = keys.windows(2).zip(times.windows(2)).all(|(k, t)| (k[0], t[0]) <= (k[1], t[1]));
    if in_order {
        return Ok(None);
    }
    let mut numbers: HashMap<GroupKey, u32, BuildHasherDefault<Fold>> = HashMap::default();
    let mut groups: Vec<(GroupKey, u32)> = Vec::new(); // key, rows
    let mut group_of = Vec::with_capacity(keys.len());
    let mut last: Option<(GroupKey, u32)> = None;
    for key in keys {
        let number = match last {
            Some((seen, number)) if seen == key => number,
            _ => *numbers.entry(key).or_insert_with(|| {
                groups.push((key, 0));
                groups.len() as u32 - 1
            }),
        };
        last = Some((key, number));
        groups[number as usize].1 += 1;
        group_of.push(number);
    }
    Ok(Some(deal(&groups, &group_of, &times)))
}

/// Deals rows out to their groups, groups in order, and sorts inside a group by time where need be.
fn deal(groups: &[(GroupKey, u32)], group_of: &[u32], times: &[i64]) -> UInt32Array {
    let mut ascending: Vec<u32> = (0..groups.len() as u32).collect();
    ascending.sort_unstable_by_key(|g| groups[*g as usize].0);
    let mut next = vec![0_u32; groups.len()];
    let mut ends = Vec::with_capacity(groups.len());
    let mut start = 0;
    for group in ascending {
        next[group as usize] = start;
        start += groups[group as usize].1;
        ends.push(start);
    }
    let mut order = vec![0_u32; group_of.len()];
    for (row, group) in group_of.iter().enumerate() {
        let at = &mut next[*group as usize];
        order[*at as usize] = row as u32;
        *at += 1;
    }
    let mut start = 0;
    for end in ends {
        let group = &mut order[start..end as usize];
        if !group.is_sorted_by_key(|row| times[*row as usize]) {
            // Rows ascend inside a group, so the row number keeps equal times as they came.
            group.sort_unstable_by_key(|row| (times[*row as usize], *row));
        }
        start = end as usize;
    }
    UInt32Array::from(order)
}

fn group_keys(table: Table, rows: &RecordBatch) -> Result<Vec<GroupKey>, ArrowError> {
    let signed = |v: i64| (v as u64) ^ (1 << 63);
    let ids = |column: usize| typed::<Int64Type>(rows, column).map(|a| a.values().iter().map(move |v| signed(*v)));
    Ok(match table {
        Table::Samples | Table::Histograms | Table::Exemplars | Table::Series | Table::Logs | Table::Streams => {
            ranks(rows, 0)?.into_iter().zip(ids(1)?).map(|(rank, id)| GroupKey(rank, id)).collect()
        }
        Table::User => return Err(ArrowError::InvalidArgumentError("tables of users are not sorted".to_owned())),
        Table::Metadata | Table::QueryLog => ranks(rows, 0)?.into_iter().map(|rank| GroupKey(rank, 0)).collect(),
        Table::Resources => ids(0)?.map(|id| GroupKey(0, id)).collect(),
        Table::Spans => {
            let ids = rows.column(0).as_fixed_size_binary_opt().ok_or_else(|| wrong(rows, 0))?;
            let half = |bytes: &[u8]| bytes.iter().fold(0_u64, |half, byte| (half << 8) | u64::from(*byte));
            ids.iter().map(|id| id.map_or(GroupKey(0, 0), |id| GroupKey(half(&id[..8]), half(&id[8..])))).collect()
        }
    })
}

/// The position of each row's text among the column's distinct texts.
fn ranks(rows: &RecordBatch, column: usize) -> Result<Vec<u64>, ArrowError> {
    let dictionary = rows.column(column).as_dictionary_opt::<Int32Type>().ok_or_else(|| wrong(rows, column))?;
    let texts = dictionary.values().as_string_opt::<i32>().ok_or_else(|| wrong(rows, column))?;
    let mut ascending: Vec<usize> = (0..texts.len()).collect();
    ascending.sort_unstable_by_key(|i| texts.value(*i));
    let mut rank_of = vec![0_u64; texts.len()];
    let mut rank = 0;
    for (i, text) in ascending.iter().enumerate() {
        // A dictionary may hold a text twice.
        if i > 0 && texts.value(ascending[i - 1]) != texts.value(*text) {
            rank += 1;
        }
        rank_of[*text] = rank;
    }
    let key = |key: Option<i32>| key.map_or(0, |key| rank_of[key as usize]);
    Ok(dictionary.keys().iter().map(key).collect())
}

fn typed<T: ArrowPrimitiveType>(rows: &RecordBatch, column: usize) -> Result<&arrow::array::PrimitiveArray<T>, ArrowError> {
    rows.column(column).as_primitive_opt::<T>().ok_or_else(|| wrong(rows, column))
}

fn wrong(rows: &RecordBatch, column: usize) -> ArrowError {
    let schema = rows.schema();
    let field = schema.field(column);
    ArrowError::SchemaError(format!("column {} has type {}", field.name(), field.data_type()))
}

/// Folds two words by a wide multiplication. The keys are hashes and trace ids already; who crafts collisions only slows a flush
/// of their own rows.
#[derive(Default)]
struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }
    fn write_u64(&mut self, word: u64) {
        let wide = u128::from(self.0 ^ word ^ 0x9e37_79b9_7f4a_7c15) * u128::from(0xa076_1d64_78bd_642f_u64 | 1);
        self.0 = (wide as u64) ^ ((wide >> 64) as u64);
    }
}

/// Whether the last row of `a` may stand before the first of `b`.
pub(super) fn follows(table: Table, a: &RecordBatch, b: &RecordBatch) -> Result<bool, ArrowError> {
    if a.num_rows() == 0 || b.num_rows() == 0 {
        return Ok(true);
    }
    let seam = concat_batches(&a.schema(), [&a.slice(a.num_rows() - 1, 1), &b.slice(0, 1)])?;
    Ok(order(table, &seam)?.is_none())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    #[test]
    fn rows_that_follow_each_other_in_a_batch_are_a_run() {
        let batch = |rows: i64| {
            let schema = Schema::new(vec![Field::new("a", DataType::Int64, false)]);
            RecordBatch::try_new(Arc::new(schema), vec![Arc::new(Int64Array::from_iter_values(0..rows))]).expect("a column")
        };
        let batches = [batch(3), batch(0), batch(2)];
        let run = |source, start, end| Segment { source, start, end };
        assert_eq!(runs(&batches, &[0, 1, 2, 3, 4]), [run(0, 0, 3), run(2, 0, 2)]);
        assert_eq!(runs(&batches, &[3, 4, 1, 2, 0]), [run(2, 0, 2), run(0, 1, 3), run(0, 0, 1)]);
        assert_eq!(runs(&batches, &[]), []);
    }
}
