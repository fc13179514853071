//! Rows of `histograms`: native histograms in Prometheus' model, integer and float, exponential and custom buckets.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Float64Builder, Int32Array, Int32Builder, Int64Array, Int64Builder, ListBuilder};
use arrow::datatypes::{DataType, FieldRef};
use arrow::error::ArrowError;
use catalog::{Table, schema};

use super::rows::{Head, StartTimes, Times};
use crate::registry::Series;

/// The schema of custom bounds.
pub(crate) const CUSTOM_SCHEMA: i32 = -53;

/// A run of buckets: the gap to the run before, or for the first one the index of its first bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BucketSpan {
    pub(crate) offset: i32,
    pub(crate) length: i32,
}

/// Counts of one kind, absolute, bucket by bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CountsOf<'a, T> {
    pub(crate) total: T,
    /// Of the zero bucket.
    pub(crate) zero: T,
    pub(crate) positive: &'a [T],
    pub(crate) negative: &'a [T],
}

/// The counts of a histogram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Counts<'a> {
    Integer(CountsOf<'a, i64>),
    Float(CountsOf<'a, f64>),
}

/// A histogram that is about to become a row: checked, borrowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct HistogramSample<'a> {
    /// -4 to 8, or [`CUSTOM_SCHEMA`].
    pub(crate) schema: i32,
    /// 0 unknown, 1 reset, 2 not reset, 3 gauge.
    pub(crate) reset_hint: i32,
    pub(crate) zero_threshold: f64,
    pub(crate) sum: f64,
    pub(crate) counts: Counts<'a>,
    /// Ascending; of the custom schema only.
    pub(crate) custom_bounds: &'a [f64],
    /// Their lengths add up to the number of counts on the side.
    pub(crate) positive: &'a [BucketSpan],
    pub(crate) negative: &'a [BucketSpan],
}

/// The columns of one side: offsets, lengths, and the counts of either kind.
#[derive(Debug)]
struct Side {
    offsets: ListBuilder<Int32Builder>,
    lengths: ListBuilder<Int32Builder>,
    integers: ListBuilder<Int64Builder>,
    floats: ListBuilder<Float64Builder>,
}

impl Side {
    /// `names` are those of the four columns.
    fn new(names: [&str; 4]) -> Self {
        Self {
            offsets: ListBuilder::new(Int32Builder::new()).with_field(element(names[0])),
            lengths: ListBuilder::new(Int32Builder::new()).with_field(element(names[1])),
            integers: ListBuilder::new(Int64Builder::new()).with_field(element(names[2])),
            floats: ListBuilder::new(Float64Builder::new()).with_field(element(names[3])),
        }
    }

    fn spans(&mut self, spans: &[BucketSpan]) {
        for span in spans {
            self.offsets.values().append_value(span.offset);
            self.lengths.values().append_value(span.length);
        }
        self.offsets.append(true);
        self.lengths.append(true);
    }

    fn integer(&mut self, counts: &[i64]) {
        self.integers.values().append_slice(counts);
        self.integers.append(true);
        self.floats.append(false);
    }

    fn float(&mut self, counts: &[f64]) {
        self.floats.values().append_slice(counts);
        self.floats.append(true);
        self.integers.append(false);
    }
}

/// The field of the elements of a list column of `histograms`.
fn element(column: &str) -> FieldRef {
    match schema::rows(Table::Histograms).field_with_name(column).map(|f| f.data_type().clone()) {
        Ok(DataType::List(element)) => element,
        other => unreachable!("histograms.{column} is a list, not {other:?}"),
    }
}

/// Collects rows.
#[derive(Debug)]
pub(super) struct HistogramRows {
    head: Head,
    starts: StartTimes,
    schemas: Vec<i32>,
    reset_hints: Vec<i32>,
    zero_thresholds: Vec<f64>,
    /// zero, total
    integers: [Vec<Option<i64>>; 2],
    floats: [Vec<Option<f64>>; 2],
    sums: Vec<f64>,
    custom_bounds: ListBuilder<Float64Builder>,
    positive: Side,
    negative: Side,
}

impl Default for HistogramRows {
    fn default() -> Self {
        Self {
            head: Head::default(),
            starts: StartTimes::with_capacity(0),
            schemas: Vec::new(),
            reset_hints: Vec::new(),
            zero_thresholds: Vec::new(),
            integers: Default::default(),
            floats: Default::default(),
            sums: Vec::new(),
            custom_bounds: ListBuilder::new(Float64Builder::new()).with_field(element("custom_bounds")),
            positive: Side::new(["positive_offsets", "positive_lengths", "positive_counts", "positive_float_counts"]),
            negative: Side::new(["negative_offsets", "negative_lengths", "negative_counts", "negative_float_counts"]),
        }
    }
}

impl HistogramRows {
    pub(super) fn push(&mut self, series: &Series, times: Times, histogram: &HistogramSample<'_>) {
        self.head.push(series, times.ts);
        self.starts.push(times.start);
        self.schemas.push(histogram.schema);
        self.reset_hints.push(histogram.reset_hint);
        self.zero_thresholds.push(histogram.zero_threshold);
        self.sums.push(histogram.sum);
        self.custom_bounds.values().append_slice(histogram.custom_bounds);
        self.custom_bounds.append(histogram.schema == CUSTOM_SCHEMA);
        self.positive.spans(histogram.positive);
        self.negative.spans(histogram.negative);
        let (integer, float) = match histogram.counts {
            Counts::Integer(counts) => {
                self.positive.integer(counts.positive);
                self.negative.integer(counts.negative);
                ([Some(counts.zero), Some(counts.total)], [None; 2])
            }
            Counts::Float(counts) => {
                self.positive.float(counts.positive);
                self.negative.float(counts.negative);
                ([None; 2], [Some(counts.zero), Some(counts.total)])
            }
        };
        for at in 0..2 {
            self.integers[at].push(integer[at]);
            self.floats[at].push(float[at]);
        }
    }

    pub(super) fn finish(mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        let [metric, sid, ts] = self.head.finish()?;
        let [zero_counts, counts] = self.integers.map(|column| Arc::new(Int64Array::from(column)) as ArrayRef);
        let [zero_float_counts, float_counts] = self.floats.map(|column| Arc::new(Float64Array::from(column)) as ArrayRef);
        Ok(vec![
            metric,
            sid,
            ts,
            self.starts.finish(),
            Arc::new(Int32Array::from(self.schemas)),
            Arc::new(Int32Array::from(self.reset_hints)),
            Arc::new(Float64Array::from(self.zero_thresholds)),
            zero_counts,
            zero_float_counts,
            counts,
            float_counts,
            Arc::new(Float64Array::from(self.sums)),
            Arc::new(self.custom_bounds.finish()),
            Arc::new(self.positive.offsets.finish()),
            Arc::new(self.positive.lengths.finish()),
            Arc::new(self.negative.offsets.finish()),
            Arc::new(self.negative.lengths.finish()),
            Arc::new(self.positive.integers.finish()),
            Arc::new(self.negative.integers.finish()),
            Arc::new(self.positive.floats.finish()),
            Arc::new(self.negative.floats.finish()),
        ])
    }
}
