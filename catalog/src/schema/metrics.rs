//! Samples, series, histograms, exemplars, metadata. Times are milliseconds, as in Prometheus.

use arrow::datatypes::{DataType, Field};

use super::{dictionary, list, map, optional, required, time_ms};

/// One float sample. `value` keeps its bits: NaN payloads, the stale marker `0x7ff0000000000002`, -0.0 and infinities survive.
pub(super) fn samples() -> Vec<Field> {
    vec![
        required(1, "metric", dictionary()),
        required(2, "sid", DataType::Int64),
        required(3, "ts", time_ms()),
        required(8, "value", DataType::Float64),
        optional(7, "start_ts", time_ms()),
    ]
}

/// In files `value = v_int * 10^v_exp` where that gives back the same bits, else `v_f64`; exactly one of the two is set.
pub(super) fn samples_stored() -> Vec<Field> {
    vec![
        required(1, "metric", dictionary()),
        required(2, "sid", DataType::Int64),
        required(3, "ts", time_ms()),
        optional(4, "v_int", DataType::Int64),
        optional(5, "v_exp", DataType::Int8),
        optional(6, "v_f64", DataType::Float64),
        optional(7, "start_ts", time_ms()),
    ]
}

/// One series on one day. `ts` is its first sample of the day that the writer saw; `labels` ascend by name, without `__name__`.
/// `salt` is 0 but for series whose id collided.
pub(super) fn series() -> Vec<Field> {
    vec![
        required(1, "metric", dictionary()),
        required(2, "sid", DataType::Int64),
        required(3, "ts", time_ms()),
        map(4, "labels", DataType::Utf8),
        optional(5, "salt", DataType::Int64),
    ]
}

/// One native histogram sample (Prometheus' model: integer, float, exponential and custom buckets).
///
/// Exactly one of the integer and the float columns of a side is set. Spans and absolute counts per bucket, as
/// `prompb.Histogram` has them but with the counts not differenced. `schema` -53 means custom bounds.
/// `reset_hint`: 0 unknown, 1 reset, 2 not reset, 3 gauge.
pub(super) fn histograms() -> Vec<Field> {
    let mut fields = histogram_head();
    fields.extend([
        list(20, "positive_counts", DataType::Int64),
        list(21, "negative_counts", DataType::Int64),
        list(22, "positive_float_counts", DataType::Float64),
        list(23, "negative_float_counts", DataType::Float64),
    ]);
    fields
}

/// In files integer counts are differenced against the previous row of the series when `delta` is true.
pub(super) fn histograms_stored() -> Vec<Field> {
    let mut fields = histogram_head();
    fields.extend([
        required(30, "delta", DataType::Boolean),
        list(31, "positive_deltas", DataType::Int64),
        list(32, "negative_deltas", DataType::Int64),
        list(22, "positive_float_counts", DataType::Float64),
        list(23, "negative_float_counts", DataType::Float64),
    ]);
    fields
}

fn histogram_head() -> Vec<Field> {
    vec![
        required(1, "metric", dictionary()),
        required(2, "sid", DataType::Int64),
        required(3, "ts", time_ms()),
        optional(4, "start_ts", time_ms()),
        required(5, "schema", DataType::Int32),
        required(6, "reset_hint", DataType::Int32),
        required(7, "zero_threshold", DataType::Float64),
        optional(8, "zero_count", DataType::Int64),
        optional(9, "zero_float_count", DataType::Float64),
        optional(10, "count", DataType::Int64),
        optional(11, "float_count", DataType::Float64),
        required(12, "sum", DataType::Float64),
        list(13, "custom_bounds", DataType::Float64),
        list(14, "positive_offsets", DataType::Int32),
        list(15, "positive_lengths", DataType::Int32),
        list(16, "negative_offsets", DataType::Int32),
        list(17, "negative_lengths", DataType::Int32),
    ]
}

/// One exemplar. `labels` without trace and span id, which have columns of their own.
pub(super) fn exemplars() -> Vec<Field> {
    vec![
        required(1, "metric", dictionary()),
        required(2, "sid", DataType::Int64),
        required(3, "ts", time_ms()),
        required(4, "value", DataType::Float64),
        optional(5, "trace_id", DataType::FixedSizeBinary(16)),
        optional(6, "span_id", DataType::FixedSizeBinary(8)),
        map(7, "labels", DataType::Utf8),
    ]
}

/// What a sender says of a metric family. `type` is Prometheus' word: counter, gauge, histogram, gaugehistogram, summary,
/// info, stateset, unknown. `metric` is the family's name as it is stored.
pub(super) fn metadata() -> Vec<Field> {
    vec![
        required(1, "metric", dictionary()),
        required(2, "ts", time_ms()),
        required(3, "type", dictionary()),
        required(4, "unit", dictionary()),
        required(5, "help", DataType::Utf8),
    ]
}
