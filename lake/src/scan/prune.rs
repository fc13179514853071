//! Tests against bounds: of files (manifest), row groups and pages (Parquet statistics).

use std::cmp::Ordering;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Float64Type, Int8Type, Int32Type, Int64Type, TimeUnit, TimestampMillisecondType, TimestampNanosecondType,
};
use catalog::schema::{self, time_column};
use catalog::{FileEntry, Table, TimeRange};

use crate::predicate::{ColumnTest, Predicate, Scalar, Test};
use crate::write::trace_id_prefix;

/// A value that can be ordered against others of its column.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Int(i64),
    Float(f64),
    Bytes(Vec<u8>),
}

impl Value {
    fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(b),
            (Self::Bytes(a), Self::Bytes(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    /// The constant as a value of a column of that type, rounded down where the column is coarser.
    pub(super) fn of(scalar: &Scalar, data_type: &DataType) -> Option<Self> {
        match (scalar, data_type) {
            (Scalar::Int(v), DataType::Int8 | DataType::Int32 | DataType::Int64) => Some(Self::Int(*v)),
            (Scalar::TimeNs(ns), DataType::Timestamp(TimeUnit::Nanosecond, _)) => Some(Self::Int(*ns)),
            (Scalar::TimeNs(ns), DataType::Timestamp(TimeUnit::Millisecond, _)) => Some(Self::Int(ns.div_euclid(1_000_000))),
            (Scalar::Float(v), DataType::Float64) => Some(Self::Float(*v)),
            (Scalar::Text(text), DataType::Utf8) => Some(Self::Bytes(text.as_bytes().to_vec())),
            (Scalar::Bytes(bytes), DataType::FixedSizeBinary(_)) => Some(Self::Bytes(bytes.clone())),
            (scalar, DataType::Dictionary(_, values)) => Self::of(scalar, values),
            _ => None,
        }
    }

    /// The value of `array` at `row`, if there is one.
    pub(super) fn at(array: &dyn Array, row: usize) -> Option<Self> {
        if row >= array.len() || array.is_null(row) {
            return None;
        }
        Some(match array.data_type() {
            DataType::Int8 => Self::Int(array.as_primitive::<Int8Type>().value(row).into()),
            DataType::Int32 => Self::Int(array.as_primitive::<Int32Type>().value(row).into()),
            DataType::Int64 => Self::Int(array.as_primitive::<Int64Type>().value(row)),
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                Self::Int(array.as_primitive::<TimestampMillisecondType>().value(row))
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => Self::Int(array.as_primitive::<TimestampNanosecondType>().value(row)),
            DataType::Float64 => Self::Float(array.as_primitive::<Float64Type>().value(row)),
            DataType::Utf8 => Self::Bytes(array.as_string::<i32>().value(row).as_bytes().to_vec()),
            DataType::FixedSizeBinary(_) => Self::Bytes(array.as_fixed_size_binary().value(row).to_vec()),
            DataType::Dictionary(_, _) => {
                let dictionary = array.as_any_dictionary_opt()?;
                return Self::at(dictionary.values().as_ref(), *dictionary.normalized_keys().get(row)?);
            }
            _ => return None,
        })
    }
}

/// A test whose constants have the type of its column.
#[derive(Debug, Clone)]
pub(super) enum Bounds {
    /// One of these.
    In(Vec<Value>),
    /// Within these, both closed.
    Between(Option<Value>, Option<Value>),
}

impl Bounds {
    /// The test in terms of order; `None` when order says nothing about it.
    pub(super) fn of(test: &Test, data_type: &DataType) -> Option<Self> {
        let value = |scalar: &Scalar| Value::of(scalar, data_type);
        match test {
            Test::In(scalars) => scalars.iter().map(value).collect::<Option<Vec<_>>>().map(Self::In),
            Test::Between(low, high) => Some(Self::Between(low.as_ref().and_then(value), high.as_ref().and_then(value))),
            Test::Contains(_) | Test::KeyIs(..) | Test::HasAttributes | Test::AnyOf(_) => None,
        }
    }

    /// Whether a value between `low` and `high` may pass. What cannot be compared may.
    pub(super) fn may_match(&self, low: &Value, high: &Value) -> bool {
        let at_most = |a: &Value, b: &Value| a.compare(b).is_none_or(Ordering::is_le);
        match self {
            Self::In(values) => values.iter().any(|v| at_most(low, v) && at_most(v, high)),
            Self::Between(from, to) => {
                from.as_ref().is_none_or(|from| at_most(from, high)) && to.as_ref().is_none_or(|to| at_most(low, to))
            }
        }
    }
}

/// Whether `file` may hold rows in `time` that match `predicate`, by its manifest entry alone.
pub fn file_may_match(file: &FileEntry, predicate: &Predicate, time: TimeRange) -> bool {
    file.time.overlaps(time) && predicate.all.iter().all(|test| file_may_pass(file, test))
}

fn file_may_pass(file: &FileEntry, test: &ColumnTest) -> bool {
    if let Test::AnyOf(tests) = &test.test {
        return tests.iter().any(|test| file_may_pass(file, test));
    }
    let schema = schema::rows(file.table);
    let Some((position, field)) = schema.fields().find(&test.column) else { return true };
    let Some(bounds) = Bounds::of(&test.test, field.data_type()) else { return true };
    if test.column == time_column(file.table) {
        let bound = |at: catalog::Timestamp| Value::of(&Scalar::TimeNs(at.as_nanos()), field.data_type());
        return match (bound(file.time.start), bound(file.time.end)) {
            (Some(low), Some(high)) => bounds.may_match(&low, &high),
            _ => true,
        };
    }
    if let (0, Some((low, high))) = (position, &file.key_range) {
        return bounds.may_match(&Value::Bytes(low.clone().into_bytes()), &Value::Bytes(high.clone().into_bytes()));
    }
    match (file.id_range, id_column(file.table) == Some(test.column.as_str())) {
        (Some((low, high)), true) => id_bounds(bounds).may_match(&Value::Int(low), &Value::Int(high)),
        _ => true,
    }
}

/// The column that [`FileEntry::id_range`] bounds.
fn id_column(table: Table) -> Option<&'static str> {
    match table {
        Table::Samples | Table::Series | Table::Histograms | Table::Exemplars => Some("sid"),
        Table::Logs | Table::Streams => Some("stream_id"),
        Table::Spans => Some("trace_id"),
        Table::Resources => Some("resource_id"),
        Table::Metadata | Table::QueryLog | Table::User => None,
    }
}

/// Trace ids in terms of the prefix that the manifest has.
fn id_bounds(bounds: Bounds) -> Bounds {
    let prefix = |value| match value {
        Value::Bytes(id) => Value::Int(trace_id_prefix(&id)),
        other => other,
    };
    match bounds {
        Bounds::In(values) => Bounds::In(values.into_iter().map(prefix).collect()),
        Bounds::Between(low, high) => Bounds::Between(low.map(prefix), high.map(prefix)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_rule_out_only_what_cannot_match() {
        #[track_caller]
        fn check(test: Test, data_type: &DataType, low: Value, high: Value, expected: bool) {
            let bounds = Bounds::of(&test, data_type).expect("ordered");
            assert_eq!(bounds.may_match(&low, &high), expected, "{test:?} on {low:?}..{high:?}");
        }
        let text = |t: &str| Value::Bytes(t.as_bytes().to_vec());
        let ms = DataType::Timestamp(TimeUnit::Millisecond, None);
        check(Test::In(vec![Scalar::Int(3), Scalar::Int(9)]), &DataType::Int64, Value::Int(4), Value::Int(8), false);
        check(Test::In(vec![Scalar::Int(3), Scalar::Int(8)]), &DataType::Int64, Value::Int(4), Value::Int(8), true);
        check(Test::In(vec![Scalar::Text("m".into())]), &DataType::Utf8, text("a"), text("l"), false);
        check(Test::In(vec![Scalar::Text("m".into())]), &DataType::Utf8, text("a"), text("m"), true);
        check(Test::Between(Some(Scalar::TimeNs(5_999_999)), None), &ms, Value::Int(0), Value::Int(5), true);
        check(Test::Between(Some(Scalar::TimeNs(6_000_000)), None), &ms, Value::Int(0), Value::Int(5), false);
        check(Test::Between(None, Some(Scalar::TimeNs(999_999))), &ms, Value::Int(1), Value::Int(5), false);
        check(Test::Between(Some(Scalar::Float(f64::NAN)), None), &DataType::Float64, Value::Float(1.0), Value::Float(2.0), true);
    }
}
