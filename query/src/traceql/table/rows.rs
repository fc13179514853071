//! Spans and numbers as batches of the table.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Builder, Int64Builder, MapBuilder, MapFieldNames, RecordBatch, RecordBatchOptions, StringBuilder,
    TimestampNanosecondBuilder,
};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use traceql::value::Value;

use super::super::answer::MetricSeries;

const MS_NS: i64 = 1_000_000;

/// One row.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) ts_ns: i64,
    pub(super) span: Option<SpanRow>,
    pub(super) labels: Vec<(String, String)>,
    pub(super) value: Option<f64>,
}

/// What only a span has.
#[derive(Debug)]
pub(super) struct SpanRow {
    pub(super) trace: u128,
    pub(super) id: u64,
    pub(super) service: String,
    pub(super) name: String,
    pub(super) duration_ns: i64,
    pub(super) spanset: i64,
}

impl Row {
    /// Bytes that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        const PLAIN: usize = 96;
        let labels: usize = self.labels.iter().map(|(name, value)| 48 + name.len() + value.len()).sum();
        PLAIN + labels + self.span.as_ref().map_or(0, |span| span.service.len() + span.name.len())
    }
}

/// Labels of fields and their values, by name.
pub(super) fn labels<'a>(fields: impl Iterator<Item = (&'a str, Value<'a>)>) -> Vec<(String, String)> {
    let mut labels: Vec<(String, String)> = fields.map(|(name, value)| (name.to_owned(), text(&value))).collect();
    labels.sort();
    labels.dedup_by(|b, a| a.0 == b.0);
    labels
}

/// A value as text: strings as they are, everything else as TraceQL writes it.
fn text(value: &Value<'_>) -> String {
    match value {
        Value::Str(text) => text.clone().into_owned(),
        Value::List(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        other => traceql::print::literal(other),
    }
}

/// The samples of series.
pub(super) fn of_series(series: Vec<MetricSeries>) -> Vec<Row> {
    let mut rows = Vec::new();
    for one in series {
        let labels = labels(one.labels.iter().map(|(name, value)| (name.as_str(), value.borrowed())));
        let row = |(time_ms, value): (i64, f64)| Row {
            ts_ns: time_ms.saturating_mul(MS_NS),
            span: None,
            labels: labels.clone(),
            value: Some(value),
        };
        rows.extend(one.samples.into_iter().map(row));
    }
    rows
}

/// `rows` with these columns of [`super::schema`].
pub(super) fn batch(rows: &[Row], columns: &[usize], schema: &SchemaRef) -> Result<RecordBatch> {
    let names = MapFieldNames { entry: "key_value".to_owned(), key: "key".to_owned(), value: "value".to_owned() };
    let mut ts = TimestampNanosecondBuilder::new().with_timezone("UTC");
    let mut texts: [StringBuilder; 4] = Default::default();
    let mut ints: [Int64Builder; 2] = Default::default();
    let mut labels = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    let mut values = Float64Builder::new();
    for row in rows {
        ts.append_value(row.ts_ns);
        let span = row.span.as_ref();
        texts[0].append_option(span.map(|span| format!("{:032x}", span.trace)));
        texts[1].append_option(span.map(|span| format!("{:016x}", span.id)));
        texts[2].append_option(span.map(|span| &span.service));
        texts[3].append_option(span.map(|span| &span.name));
        ints[0].append_option(span.map(|span| span.duration_ns));
        ints[1].append_option(span.map(|span| span.spanset));
        for (name, value) in &row.labels {
            labels.keys().append_value(name);
            labels.values().append_value(value);
        }
        labels.append(true)?;
        values.append_option(row.value);
    }
    let mut all: Vec<ArrayRef> = vec![Arc::new(ts.finish())];
    all.extend(texts.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
    all.extend(ints.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
    all.push(Arc::new(labels.finish()));
    all.push(Arc::new(values.finish()));
    let chosen = columns.iter().map(|at| Arc::clone(&all[*at])).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), chosen, &options)?)
}
