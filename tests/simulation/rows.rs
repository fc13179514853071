//! Numbered rows: small batches in the real schemas, from which the numbers can be read back.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, DictionaryArray, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array, MapArray, RecordBatch,
    StringArray, TimestampMillisecondArray, TimestampNanosecondArray, new_empty_array, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Float64Type, TimeUnit};
use catalog::{Table, schema};

/// 2026-11-01T00:00:00Z.
pub(crate) const START_S: i64 = 1_793_491_200;
/// Event times are spread over 30 hours: 15 slices, two days.
const SPREAD_S: i64 = 108_000;

/// The tables that the simulation feeds.
pub(crate) const TABLES: [Table; 3] = [Table::Logs, Table::Spans, Table::Samples];

/// A second of its own for every number below [`SPREAD_S`], jumping over the slices.
fn second(n: i64) -> i64 {
    START_S + (n * 7919) % SPREAD_S
}

/// Rows number `first..first + count` of `table`.
pub(crate) fn numbered(table: Table, first: i64, count: i64) -> RecordBatch {
    let numbers: Vec<i64> = (first..first + count).collect();
    let schema = schema::rows(table);
    let columns = schema.fields().iter().map(|field| column(table, field, &numbers)).collect();
    RecordBatch::try_new(schema, columns).expect("columns follow the schema")
}

/// The numbers in a batch of at least the column that [`number_column`] names.
pub(crate) fn numbers(table: Table, batch: &RecordBatch) -> Vec<i64> {
    let column = batch.column_by_name(number_column(table)).expect("the scan asked for it");
    match table {
        Table::Logs => column.as_string::<i32>().iter().map(|s| s.expect("required").parse().expect("a number")).collect(),
        Table::Spans => column.as_fixed_size_binary().iter().map(|id| be(id.expect("required"))).collect(),
        _ => column.as_primitive::<Float64Type>().values().iter().map(|&v| v as i64).collect(),
    }
}

/// The column that carries the number.
pub(crate) fn number_column(table: Table) -> &'static str {
    match table {
        Table::Logs => "body",
        Table::Spans => "span_id",
        _ => "value",
    }
}

fn be(id: &[u8]) -> i64 {
    i64::from_be_bytes(id.try_into().expect("8 bytes"))
}

fn column(table: Table, field: &Field, numbers: &[i64]) -> ArrayRef {
    let len = numbers.len();
    match (table, field.name().as_str()) {
        (Table::Logs, "body") => Arc::new(StringArray::from_iter_values(numbers.iter().map(i64::to_string))),
        (Table::Logs, "seq") => Arc::new(Int64Array::from(numbers.to_vec())),
        (Table::Logs, "stream_id") | (Table::Samples, "sid") => {
            Arc::new(Int64Array::from_iter_values(numbers.iter().map(|n| n % 7)))
        }
        (Table::Spans, "span_id") => fixed(numbers.iter().map(|n| n.to_be_bytes().to_vec())),
        (Table::Spans, "trace_id") => fixed(numbers.iter().map(|n| i128::from(n / 4 + 1).to_be_bytes().to_vec())),
        (Table::Samples, "value") => Arc::new(Float64Array::from_iter_values(numbers.iter().map(|&n| n as f64))),
        (_, "ts") => times(field, numbers),
        _ if field.is_nullable() => new_null_array(field.data_type(), len),
        _ => filler(field, len),
    }
}

fn fixed(ids: impl Iterator<Item = Vec<u8>>) -> ArrayRef {
    Arc::new(FixedSizeBinaryArray::try_from_iter(ids).expect("equal lengths"))
}

fn times(field: &Field, numbers: &[i64]) -> ArrayRef {
    let seconds = numbers.iter().map(|&n| second(n));
    match field.data_type() {
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            Arc::new(TimestampMillisecondArray::from_iter_values(seconds.map(|s| s * 1_000)).with_timezone("UTC"))
        }
        _ => Arc::new(TimestampNanosecondArray::from_iter_values(seconds.map(|s| s * 1_000_000_000)).with_timezone("UTC")),
    }
}

/// Something valid for a required column that the simulation does not look at.
fn filler(field: &Field, len: usize) -> ArrayRef {
    match field.data_type() {
        DataType::Dictionary(..) => {
            let keys = Int32Array::from(vec![0; len]);
            Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from(vec!["probe"]))))
        }
        DataType::Int32 => Arc::new(Int32Array::from(vec![0; len])),
        DataType::Int64 => Arc::new(Int64Array::from(vec![1; len])),
        DataType::Map(entries, sorted) => {
            let empty = new_empty_array(entries.data_type()).as_struct().clone();
            let offsets = OffsetBuffer::new_zeroed(len);
            Arc::new(MapArray::new(Arc::clone(entries), offsets, empty, None, *sorted))
        }
        other => unreachable!("no required column is a {other}"),
    }
}
