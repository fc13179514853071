//! Spans and resources. Times are nanoseconds.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields};

use super::{attributes, dictionary, map, optional, required, time_ns};

/// One span.
///
/// `ts` is the start. `kind` and `status_code` are OTLP's numbers. `scope_attrs` is the canonical OTLP JSON of the scope's attributes
/// (null when there are none); values in `events.attrs` and `links.attrs` are JSON too, so that a string is quoted and a
/// number is not. `nested_left`, `nested_right`, `root_service` and `root_name` are set by compaction, null before.
pub(super) fn spans() -> Vec<Field> {
    let mut fields = vec![
        required(1, "trace_id", DataType::FixedSizeBinary(16)),
        required(2, "ts", time_ns()),
        required(3, "span_id", DataType::FixedSizeBinary(8)),
        optional(4, "parent_span_id", DataType::FixedSizeBinary(8)),
        required(5, "duration_ns", DataType::Int64),
        required(6, "service", dictionary()),
        required(7, "name", dictionary()),
        required(8, "kind", DataType::Int32),
        required(9, "status_code", DataType::Int32),
        optional(10, "status_message", dictionary()),
        optional(11, "trace_state", dictionary()),
        optional(12, "flags", DataType::Int32),
        optional(13, "dropped_attributes", DataType::Int32),
        optional(14, "dropped_events", DataType::Int32),
        optional(15, "dropped_links", DataType::Int32),
        optional(16, "scope_name", dictionary()),
        optional(17, "scope_version", dictionary()),
        optional(18, "scope_attrs", dictionary()),
        required(19, "resource_id", DataType::Int64),
    ];
    fields.extend(attributes(20));
    fields.extend([
        structs(
            25,
            "events",
            vec![
                required(2511, "ts", time_ns()),
                required(2512, "name", DataType::Utf8),
                optional(2513, "dropped_attributes", DataType::Int32),
                map(2514, "attrs", DataType::Utf8),
            ],
        ),
        structs(
            26,
            "links",
            vec![
                required(2611, "trace_id", DataType::FixedSizeBinary(16)),
                required(2612, "span_id", DataType::FixedSizeBinary(8)),
                optional(2613, "trace_state", DataType::Utf8),
                optional(2614, "flags", DataType::Int32),
                optional(2615, "dropped_attributes", DataType::Int32),
                map(2616, "attrs", DataType::Utf8),
            ],
        ),
        optional(30, "nested_left", DataType::Int32),
        optional(31, "nested_right", DataType::Int32),
        optional(32, "root_service", dictionary()),
        optional(33, "root_name", dictionary()),
    ]);
    fields
}

/// One resource on one day. `resource_id` is [`crate::labels::content_id`] of its canonical form; `ts` the first event of
/// the day that pointed here.
pub(super) fn resources() -> Vec<Field> {
    let mut fields = vec![
        required(1, "resource_id", DataType::Int64),
        required(2, "ts", time_ns()),
        required(3, "service", dictionary()),
        optional(4, "dropped_attributes", DataType::Int32),
        optional(5, "schema_url", dictionary()),
    ];
    fields.extend(attributes(20));
    fields
}

/// An optional list of structs.
fn structs(id: i32, name: &str, fields: Vec<Field>) -> Field {
    let element = required(id * 100 + 1, "element", DataType::Struct(Fields::from(fields)));
    optional(id, name, DataType::List(Arc::new(element)))
}
