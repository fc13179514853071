//! Rows of `exemplars`.

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryBuilder, Float64Array, MapBuilder, StringBuilder};
use arrow::error::ArrowError;

use super::rows::{Head, text_map};
use crate::registry::Series;

/// An exemplar that is about to become a row.
#[derive(Debug)]
pub(crate) struct Exemplar<'a> {
    pub(crate) ts: i64,
    pub(crate) value: f64,
    pub(crate) trace_id: Option<&'a [u8; 16]>,
    pub(crate) span_id: Option<&'a [u8; 8]>,
    /// Ascending by name.
    pub(crate) labels: &'a [(String, String)],
}

#[derive(Debug)]
pub(super) struct ExemplarRows {
    head: Head,
    values: Vec<f64>,
    trace_ids: FixedSizeBinaryBuilder,
    span_ids: FixedSizeBinaryBuilder,
    labels: MapBuilder<StringBuilder, StringBuilder>,
}

impl Default for ExemplarRows {
    fn default() -> Self {
        Self {
            head: Head::default(),
            values: Vec::new(),
            trace_ids: FixedSizeBinaryBuilder::new(16),
            span_ids: FixedSizeBinaryBuilder::new(8),
            labels: text_map(7),
        }
    }
}

impl ExemplarRows {
    pub(super) fn push(&mut self, series: &Series, exemplar: &Exemplar<'_>) {
        self.head.push(series, exemplar.ts);
        self.values.push(exemplar.value);
        match exemplar.trace_id {
            Some(id) => self.trace_ids.append_value(id).expect("16 bytes by type"),
            None => self.trace_ids.append_null(),
        }
        match exemplar.span_id {
            Some(id) => self.span_ids.append_value(id).expect("8 bytes by type"),
            None => self.span_ids.append_null(),
        }
        for (name, value) in exemplar.labels {
            self.labels.keys().append_value(name);
            self.labels.values().append_value(value);
        }
        self.labels.append(true).expect("as many names as values were added");
    }

    pub(super) fn finish(mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        let [metric, sid, ts] = self.head.finish()?;
        Ok(vec![
            metric,
            sid,
            ts,
            Arc::new(Float64Array::from(self.values)),
            Arc::new(self.trace_ids.finish()),
            Arc::new(self.span_ids.finish()),
            Arc::new(self.labels.finish()),
        ])
    }
}
