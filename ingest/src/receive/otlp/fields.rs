//! The fields of OTLP's messages: JSON names, numbers and types, for [`super::json`].

/// A message type.
#[derive(Debug)]
pub(super) struct Message {
    /// Its name, for errors.
    pub(super) name: &'static str,
    /// Its fields. What is not listed is ignored.
    pub(super) fields: &'static [Field],
}

/// A field.
#[derive(Debug)]
pub(super) struct Field {
    /// lowerCamelCase.
    pub(super) name: &'static str,
    /// Its number on the wire.
    pub(super) number: u32,
    /// Its type.
    pub(super) kind: Kind,
    /// Whether it is a list.
    pub(super) repeated: bool,
}

/// The type of a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A nested message.
    Message(&'static Message),
    /// `string`.
    Text,
    /// `bytes`, base64 in JSON.
    Bytes,
    /// `bytes` of a trace or span id, hex in JSON.
    Id,
    /// `bool`.
    Bool,
    /// An enum, an integer in JSON.
    Enum,
    /// `sint32`.
    Sint32,
    /// `int64`.
    Int64,
    /// `uint32`.
    Uint32,
    /// `uint64`.
    Uint64,
    /// `fixed32`.
    Fixed32,
    /// `fixed64`.
    Fixed64,
    /// `sfixed64`.
    Sfixed64,
    /// `double`.
    Double,
}

const fn one(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { name, number, kind, repeated: false }
}

const fn many(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { name, number, kind, repeated: true }
}

const fn message(name: &'static str, fields: &'static [Field]) -> Message {
    Message { name, fields }
}

use Kind::{Bool, Bytes, Double, Enum, Fixed32, Fixed64, Id, Int64, Message as Nested, Sfixed64, Sint32, Text, Uint32, Uint64};

/// `ExportTraceServiceRequest`.
pub(super) static TRACES: Message = message("ExportTraceServiceRequest", &[many(1, "resourceSpans", Nested(&RESOURCE_SPANS))]);
/// `ExportMetricsServiceRequest`.
pub(super) static METRICS: Message =
    message("ExportMetricsServiceRequest", &[many(1, "resourceMetrics", Nested(&RESOURCE_METRICS))]);
/// `ExportLogsServiceRequest`.
pub(super) static LOGS: Message = message("ExportLogsServiceRequest", &[many(1, "resourceLogs", Nested(&RESOURCE_LOGS))]);

static ANY_VALUE: Message = message(
    "AnyValue",
    &[
        one(1, "stringValue", Text),
        one(2, "boolValue", Bool),
        one(3, "intValue", Int64),
        one(4, "doubleValue", Double),
        one(5, "arrayValue", Nested(&ARRAY_VALUE)),
        one(6, "kvlistValue", Nested(&KEY_VALUE_LIST)),
        one(7, "bytesValue", Bytes),
    ],
);
static ARRAY_VALUE: Message = message("ArrayValue", &[many(1, "values", Nested(&ANY_VALUE))]);
static KEY_VALUE_LIST: Message = message("KeyValueList", &[many(1, "values", Nested(&KEY_VALUE))]);
static KEY_VALUE: Message = message("KeyValue", &[one(1, "key", Text), one(2, "value", Nested(&ANY_VALUE))]);
static SCOPE: Message = message(
    "InstrumentationScope",
    &[
        one(1, "name", Text),
        one(2, "version", Text),
        many(3, "attributes", Nested(&KEY_VALUE)),
        one(4, "droppedAttributesCount", Uint32),
    ],
);
static RESOURCE: Message =
    message("Resource", &[many(1, "attributes", Nested(&KEY_VALUE)), one(2, "droppedAttributesCount", Uint32)]);

static RESOURCE_SPANS: Message = message(
    "ResourceSpans",
    &[one(1, "resource", Nested(&RESOURCE)), many(2, "scopeSpans", Nested(&SCOPE_SPANS)), one(3, "schemaUrl", Text)],
);
static SCOPE_SPANS: Message =
    message("ScopeSpans", &[one(1, "scope", Nested(&SCOPE)), many(2, "spans", Nested(&SPAN)), one(3, "schemaUrl", Text)]);
static SPAN: Message = message(
    "Span",
    &[
        one(1, "traceId", Id),
        one(2, "spanId", Id),
        one(3, "traceState", Text),
        one(4, "parentSpanId", Id),
        one(16, "flags", Fixed32),
        one(5, "name", Text),
        one(6, "kind", Enum),
        one(7, "startTimeUnixNano", Fixed64),
        one(8, "endTimeUnixNano", Fixed64),
        many(9, "attributes", Nested(&KEY_VALUE)),
        one(10, "droppedAttributesCount", Uint32),
        many(11, "events", Nested(&EVENT)),
        one(12, "droppedEventsCount", Uint32),
        many(13, "links", Nested(&LINK)),
        one(14, "droppedLinksCount", Uint32),
        one(15, "status", Nested(&STATUS)),
    ],
);
static EVENT: Message = message(
    "Event",
    &[
        one(1, "timeUnixNano", Fixed64),
        one(2, "name", Text),
        many(3, "attributes", Nested(&KEY_VALUE)),
        one(4, "droppedAttributesCount", Uint32),
    ],
);
static LINK: Message = message(
    "Link",
    &[
        one(1, "traceId", Id),
        one(2, "spanId", Id),
        one(3, "traceState", Text),
        many(4, "attributes", Nested(&KEY_VALUE)),
        one(5, "droppedAttributesCount", Uint32),
        one(6, "flags", Fixed32),
    ],
);
static STATUS: Message = message("Status", &[one(2, "message", Text), one(3, "code", Enum)]);

static RESOURCE_LOGS: Message = message(
    "ResourceLogs",
    &[one(1, "resource", Nested(&RESOURCE)), many(2, "scopeLogs", Nested(&SCOPE_LOGS)), one(3, "schemaUrl", Text)],
);
static SCOPE_LOGS: Message = message(
    "ScopeLogs",
    &[one(1, "scope", Nested(&SCOPE)), many(2, "logRecords", Nested(&LOG_RECORD)), one(3, "schemaUrl", Text)],
);
static LOG_RECORD: Message = message(
    "LogRecord",
    &[
        one(1, "timeUnixNano", Fixed64),
        one(11, "observedTimeUnixNano", Fixed64),
        one(2, "severityNumber", Enum),
        one(3, "severityText", Text),
        one(5, "body", Nested(&ANY_VALUE)),
        many(6, "attributes", Nested(&KEY_VALUE)),
        one(7, "droppedAttributesCount", Uint32),
        one(8, "flags", Fixed32),
        one(9, "traceId", Id),
        one(10, "spanId", Id),
        one(12, "eventName", Text),
    ],
);

static RESOURCE_METRICS: Message = message(
    "ResourceMetrics",
    &[one(1, "resource", Nested(&RESOURCE)), many(2, "scopeMetrics", Nested(&SCOPE_METRICS)), one(3, "schemaUrl", Text)],
);
static SCOPE_METRICS: Message =
    message("ScopeMetrics", &[one(1, "scope", Nested(&SCOPE)), many(2, "metrics", Nested(&METRIC)), one(3, "schemaUrl", Text)]);
static METRIC: Message = message(
    "Metric",
    &[
        one(1, "name", Text),
        one(2, "description", Text),
        one(3, "unit", Text),
        one(5, "gauge", Nested(&GAUGE)),
        one(7, "sum", Nested(&SUM)),
        one(9, "histogram", Nested(&HISTOGRAM)),
        one(10, "exponentialHistogram", Nested(&EXPONENTIAL_HISTOGRAM)),
        one(11, "summary", Nested(&SUMMARY)),
        many(12, "metadata", Nested(&KEY_VALUE)),
    ],
);
static GAUGE: Message = message("Gauge", &[many(1, "dataPoints", Nested(&NUMBER_POINT))]);
static SUM: Message = message(
    "Sum",
    &[many(1, "dataPoints", Nested(&NUMBER_POINT)), one(2, "aggregationTemporality", Enum), one(3, "isMonotonic", Bool)],
);
static HISTOGRAM: Message =
    message("Histogram", &[many(1, "dataPoints", Nested(&HISTOGRAM_POINT)), one(2, "aggregationTemporality", Enum)]);
static EXPONENTIAL_HISTOGRAM: Message = message(
    "ExponentialHistogram",
    &[many(1, "dataPoints", Nested(&EXPONENTIAL_HISTOGRAM_POINT)), one(2, "aggregationTemporality", Enum)],
);
static SUMMARY: Message = message("Summary", &[many(1, "dataPoints", Nested(&SUMMARY_POINT))]);
static NUMBER_POINT: Message = message(
    "NumberDataPoint",
    &[
        many(7, "attributes", Nested(&KEY_VALUE)),
        one(2, "startTimeUnixNano", Fixed64),
        one(3, "timeUnixNano", Fixed64),
        one(4, "asDouble", Double),
        one(6, "asInt", Sfixed64),
        many(5, "exemplars", Nested(&EXEMPLAR)),
        one(8, "flags", Uint32),
    ],
);
static HISTOGRAM_POINT: Message = message(
    "HistogramDataPoint",
    &[
        many(9, "attributes", Nested(&KEY_VALUE)),
        one(2, "startTimeUnixNano", Fixed64),
        one(3, "timeUnixNano", Fixed64),
        one(4, "count", Fixed64),
        one(5, "sum", Double),
        many(6, "bucketCounts", Fixed64),
        many(7, "explicitBounds", Double),
        many(8, "exemplars", Nested(&EXEMPLAR)),
        one(10, "flags", Uint32),
        one(11, "min", Double),
        one(12, "max", Double),
    ],
);
static EXPONENTIAL_HISTOGRAM_POINT: Message = message(
    "ExponentialHistogramDataPoint",
    &[
        many(1, "attributes", Nested(&KEY_VALUE)),
        one(2, "startTimeUnixNano", Fixed64),
        one(3, "timeUnixNano", Fixed64),
        one(4, "count", Fixed64),
        one(5, "sum", Double),
        one(6, "scale", Sint32),
        one(7, "zeroCount", Fixed64),
        one(8, "positive", Nested(&BUCKETS)),
        one(9, "negative", Nested(&BUCKETS)),
        one(10, "flags", Uint32),
        many(11, "exemplars", Nested(&EXEMPLAR)),
        one(12, "min", Double),
        one(13, "max", Double),
        one(14, "zeroThreshold", Double),
    ],
);
static BUCKETS: Message = message("Buckets", &[one(1, "offset", Sint32), many(2, "bucketCounts", Uint64)]);
static SUMMARY_POINT: Message = message(
    "SummaryDataPoint",
    &[
        many(7, "attributes", Nested(&KEY_VALUE)),
        one(2, "startTimeUnixNano", Fixed64),
        one(3, "timeUnixNano", Fixed64),
        one(4, "count", Fixed64),
        one(5, "sum", Double),
        many(6, "quantileValues", Nested(&QUANTILE)),
        one(8, "flags", Uint32),
    ],
);
static QUANTILE: Message = message("ValueAtQuantile", &[one(1, "quantile", Double), one(2, "value", Double)]);
static EXEMPLAR: Message = message(
    "Exemplar",
    &[
        many(7, "filteredAttributes", Nested(&KEY_VALUE)),
        one(2, "timeUnixNano", Fixed64),
        one(3, "asDouble", Double),
        one(6, "asInt", Sfixed64),
        one(4, "spanId", Id),
        one(5, "traceId", Id),
    ],
);
