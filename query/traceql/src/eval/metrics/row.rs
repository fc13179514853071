//! A series on its way to the answer.

use super::exemplar::Exemplar;
use super::grid::Grid;
use crate::value::Value;

/// A series.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Those of `by(...)` in their order, then what the function adds. A field without a value is [`Value::Nil`], which Tempo prints as `nil`.
    pub labels: Vec<(String, Value<'static>)>,
    /// Milliseconds at the right edge of a bucket, and the value; ascending.
    pub samples: Vec<(i64, f64)>,
    /// Spans behind it, by time.
    pub exemplars: Vec<Exemplar>,
}

/// A series with a value for every bucket; NaN: none.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) labels: Vec<(String, Value<'static>)>,
    pub(super) values: Vec<f64>,
    pub(super) exemplars: Vec<Exemplar>,
}

/// The label of a series that no field tells from others.
pub(super) const NAME: &str = "__name__";

impl Row {
    /// What the series is called when it has no other label.
    pub(super) fn name(&self) -> Option<&str> {
        match &self.labels[..] {
            [] => Some(""),
            [(label, Value::Str(name))] if label == NAME => Some(name),
            _ => None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.iter().all(|value| value.is_nan())
    }

    pub(super) fn into_series(self, grid: &Grid) -> Series {
        let samples = self.values.iter().enumerate().filter(|(_, value)| !value.is_nan());
        let samples = samples.map(|(bucket, value)| (grid.end_ms(bucket), *value)).collect();
        Series { labels: self.labels, samples, exemplars: self.exemplars }
    }
}
