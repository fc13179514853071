//! Rows of native histograms as the language has them.

use std::sync::Arc;

use arrow::array::{Array, AsArray, ListArray, PrimitiveArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type, TimestampMillisecondType};
use promql::histogram::{BucketSpan, Histogram, ResetHint};
use promql::value::HistogramSample;

/// The columns of [`catalog::schema`] but for the metric.
pub(super) const COLUMNS: [&str; 20] = [
    "sid",
    "ts",
    "start_ts",
    "schema",
    "reset_hint",
    "zero_threshold",
    "zero_count",
    "zero_float_count",
    "count",
    "float_count",
    "sum",
    "custom_bounds",
    "positive_offsets",
    "positive_lengths",
    "negative_offsets",
    "negative_lengths",
    "positive_counts",
    "negative_counts",
    "positive_float_counts",
    "negative_float_counts",
];

type Numbers<'a, T> = &'a PrimitiveArray<T>;

/// The columns of one batch.
pub(super) struct Reader<'a> {
    times: Numbers<'a, TimestampMillisecondType>,
    starts: Numbers<'a, TimestampMillisecondType>,
    schema: Numbers<'a, Int32Type>,
    hint: Numbers<'a, Int32Type>,
    zero_threshold: Numbers<'a, Float64Type>,
    zero_count: (Numbers<'a, Int64Type>, Numbers<'a, Float64Type>),
    count: (Numbers<'a, Int64Type>, Numbers<'a, Float64Type>),
    sum: Numbers<'a, Float64Type>,
    bounds: &'a ListArray,
    positive: Side<'a>,
    negative: Side<'a>,
}

struct Side<'a> {
    offsets: &'a ListArray,
    lengths: &'a ListArray,
    ints: &'a ListArray,
    floats: &'a ListArray,
}

impl<'a> Reader<'a> {
    /// Of the columns [`COLUMNS`]; `None` when one is missing.
    pub(super) fn new(batch: &'a RecordBatch) -> Option<Self> {
        let column = |name: &str| batch.column_by_name(name);
        let list = |name: &str| column(name)?.as_list_opt::<i32>();
        let int = |name: &str| column(name)?.as_primitive_opt::<Int64Type>();
        let float = |name: &str| column(name)?.as_primitive_opt::<Float64Type>();
        let time = |name: &str| column(name)?.as_primitive_opt::<TimestampMillisecondType>();
        let small = |name: &str| column(name)?.as_primitive_opt::<Int32Type>();
        Some(Self {
            times: time("ts")?,
            starts: time("start_ts")?,
            schema: small("schema")?,
            hint: small("reset_hint")?,
            zero_threshold: float("zero_threshold")?,
            zero_count: (int("zero_count")?, float("zero_float_count")?),
            count: (int("count")?, float("float_count")?),
            sum: float("sum")?,
            bounds: list("custom_bounds")?,
            positive: Side {
                offsets: list("positive_offsets")?,
                lengths: list("positive_lengths")?,
                ints: list("positive_counts")?,
                floats: list("positive_float_counts")?,
            },
            negative: Side {
                offsets: list("negative_offsets")?,
                lengths: list("negative_lengths")?,
                ints: list("negative_counts")?,
                floats: list("negative_float_counts")?,
            },
        })
    }

    /// The histogram of a row; `None` when it is none.
    pub(super) fn sample(&self, row: usize) -> Option<HistogramSample> {
        let number = |(ints, floats): &(Numbers<'_, Int64Type>, Numbers<'_, Float64Type>)| match floats.is_valid(row) {
            true => floats.value(row),
            false if ints.is_valid(row) => ints.value(row) as f64,
            false => 0.0,
        };
        let (positive_spans, positive_counts) = self.positive.read(row)?;
        let (negative_spans, negative_counts) = self.negative.read(row)?;
        let histogram = Histogram {
            schema: self.schema.value(row),
            reset_hint: match self.hint.value(row) {
                1 => ResetHint::Reset,
                2 => ResetHint::NotReset,
                3 => ResetHint::Gauge,
                _ => ResetHint::Unknown,
            },
            zero_threshold: self.zero_threshold.value(row),
            zero_count: number(&self.zero_count),
            count: number(&self.count),
            sum: self.sum.value(row),
            positive_spans,
            positive_counts,
            negative_spans,
            negative_counts,
            custom_bounds: floats(self.bounds, row)?,
        };
        let start_ms = if self.starts.is_valid(row) { self.starts.value(row) } else { 0 };
        Some(HistogramSample { time_ms: self.times.value(row), start_ms, histogram: Arc::new(histogram) })
    }
}

impl Side<'_> {
    fn read(&self, row: usize) -> Option<(Vec<BucketSpan>, Vec<f64>)> {
        let small = |list: &ListArray| -> Option<Vec<i32>> {
            if list.is_null(row) {
                return Some(Vec::new());
            }
            Some(list.value(row).as_primitive_opt::<Int32Type>()?.values().to_vec())
        };
        let spans = small(self.offsets)?.into_iter().zip(small(self.lengths)?);
        let spans = spans.map(|(offset, length)| Some(BucketSpan { offset, length: u32::try_from(length).ok()? }));
        let counts = if self.floats.is_valid(row) {
            floats(self.floats, row)?
        } else if self.ints.is_valid(row) {
            self.ints.value(row).as_primitive_opt::<Int64Type>()?.values().iter().map(|count| *count as f64).collect()
        } else {
            Vec::new()
        };
        Some((spans.collect::<Option<Vec<_>>>()?, counts))
    }
}

fn floats(list: &ListArray, row: usize) -> Option<Vec<f64>> {
    if list.is_null(row) {
        return Some(Vec::new());
    }
    Some(list.value(row).as_primitive_opt::<Float64Type>()?.values().to_vec())
}
