//! The sort columns of a batch, ready to be compared.
//!
//! The last sort column is always the time; those before it name the *group*: a series, a stream, a trace. Rows of a group
//! are adjacent, so that most comparisons are made once per group and not once per row.

use std::cmp::Ordering;

use arrow::array::{Array, AsArray, FixedSizeBinaryArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimeUnit, TimestampMillisecondType, TimestampNanosecondType};
use catalog::{Table, schema};

use crate::error::{Error, Result};

/// The sort columns of one batch.
#[derive(Debug)]
pub(crate) struct Keys {
    group: Vec<GroupColumn>,
    ts: ScalarBuffer<i64>,
}

#[derive(Debug)]
enum GroupColumn {
    Text { keys: Int32Array, values: StringArray },
    Int(Int64Array),
    Bytes(FixedSizeBinaryArray),
}

impl Keys {
    /// The keys of `batch`, whose columns are those of [`schema::rows`].
    pub(crate) fn of(table: Table, batch: &RecordBatch) -> Result<Self> {
        let mut group = Vec::new();
        let mut ts = None;
        for name in schema::sort_columns(table) {
            let wrong = |reason: &str| Error::Schema { table, reason: format!("sort column {name} {reason}") };
            let column = batch.column_by_name(name).ok_or_else(|| wrong("is missing"))?;
            if column.null_count() > 0 {
                return Err(wrong("has nulls"));
            }
            match column.data_type() {
                DataType::Timestamp(TimeUnit::Millisecond, _) => {
                    ts = Some(column.as_primitive::<TimestampMillisecondType>().values().clone());
                }
                DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                    ts = Some(column.as_primitive::<TimestampNanosecondType>().values().clone());
                }
                DataType::Int64 => group.push(GroupColumn::Int(column.as_primitive::<Int64Type>().clone())),
                DataType::FixedSizeBinary(_) => group.push(GroupColumn::Bytes(column.as_fixed_size_binary().clone())),
                _ => {
                    let dictionary = column.as_dictionary_opt::<Int32Type>().ok_or_else(|| wrong("has an unknown type"))?;
                    let values = dictionary.values().as_string_opt::<i32>().ok_or_else(|| wrong("is no text"))?;
                    group.push(GroupColumn::Text { keys: dictionary.keys().clone(), values: values.clone() });
                }
            }
        }
        let ts = ts.ok_or_else(|| Error::Schema { table, reason: "the sort order has no time".to_owned() })?;
        Ok(Self { group, ts })
    }

    pub(crate) fn rows(&self) -> usize {
        self.ts.len()
    }

    /// Times in the unit of the column.
    pub(super) fn ts(&self) -> &[i64] {
        &self.ts
    }

    /// Compares the group of row `i` here with that of row `j` there.
    pub(super) fn cmp_group(&self, i: usize, other: &Self, j: usize) -> Ordering {
        for (ours, theirs) in self.group.iter().zip(&other.group) {
            let ordering = match (ours, theirs) {
                (GroupColumn::Text { keys: a, values: va }, GroupColumn::Text { keys: b, values: vb }) => {
                    let (a, b) = (a.value(i) as usize, b.value(j) as usize);
                    let one_dictionary = va.value_offsets().as_ptr() == vb.value_offsets().as_ptr();
                    if a == b && one_dictionary { Ordering::Equal } else { va.value(a).cmp(vb.value(b)) }
                }
                (GroupColumn::Int(a), GroupColumn::Int(b)) => a.value(i).cmp(&b.value(j)),
                (GroupColumn::Bytes(a), GroupColumn::Bytes(b)) => a.value(i).cmp(b.value(j)),
                _ => unreachable!("both are of one table"),
            };
            if ordering.is_ne() {
                return ordering;
            }
        }
        Ordering::Equal
    }

    /// Compares whole sort keys.
    pub(super) fn cmp(&self, i: usize, other: &Self, j: usize) -> Ordering {
        self.cmp_group(i, other, j).then_with(|| self.ts[i].cmp(&other.ts[j]))
    }

    /// Whether two rows of this batch are of one group.
    pub(super) fn same_group(&self, i: usize, j: usize) -> bool {
        self.cmp_group(i, self, j).is_eq()
    }

    /// One past the last row of the group of row `start`: by doubling steps and bisection, for groups may be long.
    pub(super) fn group_end(&self, start: usize) -> usize {
        gallop(start, self.rows(), |row| self.same_group(start, row))
    }

    /// Whether the rows are in order, the first of them not before `previous`.
    pub(crate) fn is_sorted(&self, previous: Option<(&Self, usize)>) -> bool {
        let starts_well = previous.is_none_or(|(keys, row)| self.rows() == 0 || keys.cmp(row, self, 0).is_le());
        starts_well && (1..self.rows()).all(|row| self.cmp(row - 1, self, row).is_le())
    }
}

/// The first row in `start + 1 .. end` for which `holds` is false, or `end`. `holds` is true up to some row and false from there.
pub(super) fn gallop(start: usize, end: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut step) = (start, 1);
    // Invariant: `holds(low)`.
    while low + step < end && holds(low + step) {
        low += step;
        step *= 2;
    }
    let mut high = (low + step).min(end);
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::gallop;

    #[test]
    fn gallop_finds_the_border() {
        for end in 1..70usize {
            for start in 0..end {
                for border in start + 1..=end {
                    assert_eq!(gallop(start, end, |row| row < border), border, "{start}..{end}");
                }
            }
        }
    }
}
