//! Rows given as JSON.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use catalog::{Table, schema};
use serde_json::{Value, json};

/// 2026-01-01 00:00 UTC in milliseconds.
pub const NEW_YEAR_MS: i64 = 1_767_225_600_000;

/// The series of [`SERIES`] that holds histograms.
pub const HISTOGRAMS: i64 = 7;
/// Series by id: the metric and its labels.
pub const SERIES: [(&str, [(&str, &str); 2]); 8] = [
    ("up", [("job", "api"), ("i", "1")]),
    ("up", [("job", "api"), ("i", "2")]),
    ("up", [("job", "db"), ("i", "1")]),
    ("http_total", [("job", "api"), ("i", "1")]),
    ("http_total", [("job", "api"), ("i", "2")]),
    ("http_total", [("job", "db"), ("i", "3")]),
    ("b_bucket", [("job", "api"), ("le", "+Inf")]),
    ("latency", [("job", "api"), ("i", "1")]),
];

/// Rows of `table` out of JSON objects; required columns that are missing get an empty value.
pub fn batch(table: Table, rows: Value) -> RecordBatch {
    let schema = schema::rows(table);
    let plain = |field: &Field| match field.data_type() {
        DataType::Dictionary(..) => Field::new(field.name(), DataType::Utf8, field.is_nullable()),
        _ => field.clone(),
    };
    let reading = Arc::new(Schema::new(schema.fields().iter().map(|f| plain(f)).collect::<Vec<_>>()));
    let mut decoder = arrow::json::ReaderBuilder::new(Arc::clone(&reading)).build_decoder().unwrap();
    let rows: Vec<Value> = rows.as_array().unwrap().iter().map(|row| fill(&schema, row)).collect();
    decoder.serialize(&rows).unwrap();
    let batch = decoder.flush().unwrap().unwrap_or_else(|| RecordBatch::new_empty(reading));
    let columns: Vec<ArrayRef> =
        batch.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()).unwrap()).collect();
    RecordBatch::try_new(schema, columns).unwrap()
}

fn fill(schema: &Schema, row: &Value) -> Value {
    let mut row = row.as_object().unwrap().clone();
    for field in schema.fields().iter().filter(|field| !field.is_nullable()) {
        row.entry(field.name().clone()).or_insert_with(|| match field.data_type() {
            DataType::Map(..) => json!({}),
            DataType::Dictionary(..) | DataType::Utf8 => json!(""),
            DataType::FixedSizeBinary(bytes) => json!("00".repeat(*bytes as usize)),
            _ => json!(0),
        });
    }
    Value::Object(row)
}

pub fn sample(metric: &str, sid: i64, second: i64, value: f64) -> Value {
    json!({"metric": metric, "sid": sid, "ts": NEW_YEAR_MS + second * 1_000, "value": value})
}

pub fn series(metric: &str, sid: i64, labels: Value) -> Value {
    json!({"metric": metric, "sid": sid, "ts": NEW_YEAR_MS, "labels": labels})
}

pub fn ns(second: i64) -> i64 {
    (NEW_YEAR_MS + second * 1_000) * 1_000_000
}
