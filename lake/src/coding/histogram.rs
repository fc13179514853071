//! Native histograms: bucket counts are stored as differences to the row before, when that is a row of the same series with the
//! same buckets.
//!
//! Counts grow slowly along time, so differences are small; 13.8 against 20.9 bytes for a histogram of 60 buckets. Every
//! [`FULL_EVERY`] rows a full row bounds the damage of a lost one.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, RecordBatch};
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use arrow::error::ArrowError;
use catalog::{Table, schema};

/// Longest chain of differences.
const FULL_EVERY: usize = 128;
/// Columns that the rows and the stored schema share.
const HEAD: usize = 17;
/// What makes up the layout of a histogram's buckets: schema, bounds, offsets and lengths.
const LAYOUT: [usize; 6] = [4, 12, 13, 14, 15, 16];

/// Row to stored. Remembers the last row of the batch before.
#[derive(Debug, Default)]
pub(super) struct HistogramEncoder {
    previous: Option<RecordBatch>,
    chain: usize,
}

impl HistogramEncoder {
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }

    pub(super) fn encode(&mut self, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let mut delta = Vec::with_capacity(rows.num_rows());
        for row in 0..rows.num_rows() {
            let follows = match (row, &self.previous) {
                (0, None) => false,
                (0, Some(previous)) => same_layout(previous, 0, rows, 0),
                _ => same_layout(rows, row - 1, rows, row),
            };
            let follows = follows && self.chain + 1 < FULL_EVERY;
            self.chain = if follows { self.chain + 1 } else { 0 };
            delta.push(follows);
        }
        let positive = self.differences(rows, HEAD, &delta);
        let negative = self.differences(rows, HEAD + 1, &delta);
        let mut columns = rows.columns()[..HEAD].to_vec();
        columns.extend([Arc::new(BooleanArray::from(delta)) as ArrayRef, positive?, negative?]);
        columns.extend_from_slice(&rows.columns()[HEAD + 2..]);
        if rows.num_rows() > 0 {
            self.previous = Some(rows.slice(rows.num_rows() - 1, 1));
        }
        RecordBatch::try_new(schema::stored(Table::Histograms), columns)
    }

    fn differences(&self, rows: &RecordBatch, column: usize, delta: &[bool]) -> Result<ArrayRef, ArrowError> {
        let lists = rows.column(column).as_list::<i32>();
        let carried = self.previous.as_ref().map(|p| counts(p.column(column).as_list::<i32>(), 0)).unwrap_or_default();
        let mut out = Vec::with_capacity(lists.values().len());
        for (row, is_delta) in delta.iter().enumerate() {
            let now = counts(lists, row);
            match (is_delta, row) {
                (false, _) => out.extend_from_slice(now),
                (true, 0) => out.extend(now.iter().zip(carried).map(|(n, b)| n.wrapping_sub(*b))),
                (true, _) => out.extend(now.iter().zip(counts(lists, row - 1)).map(|(n, b)| n.wrapping_sub(*b))),
            }
        }
        let field = element(schema::stored(Table::Histograms).field(column + 1).data_type());
        rebuilt(field, lists, out)
    }
}

/// Stored to row. Must see every row of a row group from its first on.
#[derive(Debug, Default)]
pub(crate) struct HistogramDecoder {
    positive: Vec<i64>,
    negative: Vec<i64>,
}

impl HistogramDecoder {
    /// The absolute counts, positive and negative, of rows that follow those of the call before.
    ///
    /// # Errors
    /// When a row has another number of buckets than the one that it is a difference to, or a column has another type.
    pub(crate) fn decode(
        &mut self,
        delta: &dyn Array,
        positive: &dyn Array,
        negative: &dyn Array,
    ) -> Result<[ArrayRef; 2], ArrowError> {
        let delta = delta.as_boolean_opt().ok_or_else(|| ArrowError::InvalidArgumentError("delta is no boolean".to_owned()))?;
        let rows = schema::rows(Table::Histograms);
        Ok([
            sums(delta, positive, &mut self.positive, element(rows.field(HEAD).data_type()))?,
            sums(delta, negative, &mut self.negative, element(rows.field(HEAD + 1).data_type()))?,
        ])
    }
}

fn sums(delta: &BooleanArray, lists: &dyn Array, last: &mut Vec<i64>, field: FieldRef) -> Result<ArrayRef, ArrowError> {
    let wrong = |reason: &str| ArrowError::InvalidArgumentError(reason.to_owned());
    let lists = lists.as_list_opt::<i32>().ok_or_else(|| wrong("bucket counts are no list"))?;
    lists.values().as_primitive_opt::<Int64Type>().ok_or_else(|| wrong("bucket counts are no integers"))?;
    let mut out = Vec::with_capacity(lists.values().len());
    for row in 0..lists.len() {
        let now = counts(lists, row);
        if delta.is_valid(row) && delta.value(row) {
            if now.len() != last.len() {
                return Err(wrong("a histogram is a difference to one with other buckets"));
            }
            last.iter_mut().zip(now).for_each(|(sum, d)| *sum = sum.wrapping_add(*d));
        } else {
            last.clear();
            last.extend_from_slice(now);
        }
        out.extend_from_slice(last);
    }
    rebuilt(field, lists, out)
}

/// `lists` with other values, of the same lengths and nulls. A null list must have no length of its own.
fn rebuilt(field: FieldRef, lists: &ListArray, values: Vec<i64>) -> Result<ArrayRef, ArrowError> {
    let lengths = (0..lists.len()).map(|row| counts(lists, row).len());
    let offsets = arrow::buffer::OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(field, offsets, Arc::new(Int64Array::from(values)), lists.nulls().cloned())?))
}

/// The counts of one row; none for null.
fn counts(lists: &ListArray, row: usize) -> &[i64] {
    if lists.is_null(row) {
        return &[];
    }
    let (from, to) = (lists.value_offsets()[row] as usize, lists.value_offsets()[row + 1] as usize);
    &lists.values().as_primitive::<Int64Type>().values()[from..to]
}

fn element(list: &DataType) -> FieldRef {
    match list {
        DataType::List(field) => Arc::clone(field),
        other => unreachable!("the schema has a list here, not {other}"),
    }
}

fn same_layout(a: &RecordBatch, i: usize, b: &RecordBatch, j: usize) -> bool {
    let sid = |batch: &RecordBatch, row| batch.column(1).as_primitive::<Int64Type>().value(row);
    let same_counts = |column| {
        let (x, y) = (a.column(column).as_list::<i32>(), b.column(column).as_list::<i32>());
        x.is_null(i) == y.is_null(j) && counts(x, i).len() == counts(y, j).len()
    };
    sid(a, i) == sid(b, j)
        && LAYOUT.iter().all(|&c| a.column(c).slice(i, 1).to_data() == b.column(c).slice(j, 1).to_data())
        && same_counts(HEAD)
        && same_counts(HEAD + 1)
}
