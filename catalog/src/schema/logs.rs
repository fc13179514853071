//! Log records and streams. Times are nanoseconds.

use arrow::datatypes::{DataType, Field};

use super::{attributes, dictionary, map, optional, required, time_ns};

/// One log record.
///
/// `body` is the text Loki shows: a string body as it is, any other value as JSON; `body_kind` says which it was (null: string,
/// else `int`, `double`, `bool`, `bytes`, `array`, `map`, `empty`). `level` is the detected level. `attrs_*` are
/// log attributes or structured metadata. `resource_id` points into `resources`; null for protocols without resources.
/// `seq` orders lines of one stream and timestamp as they arrived.
pub(super) fn logs() -> Vec<Field> {
    let mut fields = vec![
        required(1, "service", dictionary()),
        required(2, "stream_id", DataType::Int64),
        required(3, "ts", time_ns()),
        optional(4, "observed_ts", time_ns()),
        required(5, "seq", DataType::Int64),
        required(6, "level", dictionary()),
        optional(7, "severity_number", DataType::Int32),
        optional(8, "severity_text", dictionary()),
        required(9, "body", DataType::Utf8),
        optional(10, "body_kind", dictionary()),
        optional(11, "trace_id", DataType::FixedSizeBinary(16)),
        optional(12, "span_id", DataType::FixedSizeBinary(8)),
        optional(13, "flags", DataType::Int32),
        optional(14, "event_name", dictionary()),
        optional(15, "dropped_attributes", DataType::Int32),
        optional(16, "scope_name", dictionary()),
        optional(17, "scope_version", dictionary()),
        optional(18, "scope_attrs", dictionary()),
        optional(19, "resource_id", DataType::Int64),
    ];
    fields.extend(attributes(20));
    fields
}

/// One log stream on one day: Loki's label set.
pub(super) fn streams() -> Vec<Field> {
    vec![
        required(1, "service", dictionary()),
        required(2, "stream_id", DataType::Int64),
        required(3, "ts", time_ns()),
        map(4, "labels", DataType::Utf8),
    ]
}
