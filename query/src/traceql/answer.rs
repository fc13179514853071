//! What comes back.

use std::collections::BTreeMap;
use std::sync::Arc;

use traceql::value::Value;

use super::request::{SpanId, TagScope, TraceId};

/// A value of an attribute, with everything that OTLP can say.
#[derive(Debug, Clone, PartialEq)]
pub enum AnyValue {
    /// Text.
    Str(String),
    /// A whole number.
    Int(i64),
    /// A float.
    Double(f64),
    /// A bool.
    Bool(bool),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<AnyValue>),
    /// Keys and values.
    Map(Vec<(String, AnyValue)>),
    /// A value that is none.
    Empty,
}

/// Attributes in the order of their keys within each type.
pub type Attributes = Vec<(String, AnyValue)>;

/// All spans of a trace that are known.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Its id.
    pub id: TraceId,
    /// By start, then id.
    pub spans: Vec<Span>,
}

/// A trace, as much of it as may be returned.
#[derive(Debug, Clone, PartialEq)]
pub struct TracePart {
    /// Its spans, the first ones by start within each file when there are too many.
    pub trace: Trace,
    /// Whether these are all.
    pub is_whole: bool,
}

/// A span as it was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Its id.
    pub id: SpanId,
    /// The parent's.
    pub parent: Option<SpanId>,
    /// Empty when there was none.
    pub trace_state: String,
    /// W3C flags.
    pub flags: u32,
    /// Its name.
    pub name: String,
    /// OTLP's number.
    pub kind: i32,
    /// Nanoseconds since the epoch.
    pub start_ns: i64,
    /// Nanoseconds.
    pub duration_ns: i64,
    /// OTLP's number.
    pub status: i32,
    /// Empty when there was none.
    pub status_message: String,
    /// Its attributes.
    pub attributes: Attributes,
    /// How many were dropped by the sender.
    pub dropped_attributes: u32,
    /// Its events.
    pub events: Vec<Event>,
    /// How many were dropped by the sender.
    pub dropped_events: u32,
    /// Its links.
    pub links: Vec<Link>,
    /// How many were dropped by the sender.
    pub dropped_links: u32,
    /// Who sent it; shared by the spans of one resource.
    pub resource: Arc<Resource>,
    /// Which library made it; shared likewise.
    pub scope: Arc<Scope>,
}

/// Something that happened within a span.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Nanoseconds since the epoch.
    pub time_ns: i64,
    /// Its name.
    pub name: String,
    /// Its attributes.
    pub attributes: Attributes,
    /// How many were dropped by the sender.
    pub dropped_attributes: u32,
}

/// A pointer to another span.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// Empty when there was none.
    pub trace_state: String,
    /// W3C flags.
    pub flags: u32,
    /// The link's attributes.
    pub attributes: Attributes,
    /// How many were dropped by the sender.
    pub dropped_attributes: u32,
}

/// What sent spans. `service.name` is among the attributes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resource {
    /// Number in storage; equal for equal resources.
    pub id: i64,
    /// The service; empty when the sender named none.
    pub service: String,
    /// Its attributes.
    pub attributes: Attributes,
    /// How many were dropped by the sender.
    pub dropped_attributes: u32,
    /// Empty when there was none.
    pub schema_url: String,
}

/// The library that made spans.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scope {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its attributes.
    pub attributes: Attributes,
}

/// The answer of a search, or a part of it that is known already.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SearchAnswer {
    /// By start, the newest first.
    pub traces: Vec<TraceMatch>,
    /// What it cost.
    pub stats: SearchStats,
}

/// A trace with matching spansets.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceMatch {
    /// Its id.
    pub id: TraceId,
    /// The root's service, `None` while the root has not been received.
    pub root_service: Option<String>,
    /// The root's name.
    pub root_name: Option<String>,
    /// The earliest start of all of its spans.
    pub start_ns: i64,
    /// Up to the latest end.
    pub duration_ns: i64,
    /// Spans and errors by service, of all of its spans.
    pub services: BTreeMap<String, ServiceStats>,
    /// The spansets.
    pub spansets: Vec<SpansetMatch>,
}

/// How much of a trace is one service's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServiceStats {
    /// Spans.
    pub spans: u32,
    /// Spans whose status is an error.
    pub errors: u32,
}

/// Spans that matched together.
#[derive(Debug, Clone, PartialEq)]
pub struct SpansetMatch {
    /// How many spans it has.
    pub matched: usize,
    /// What groups and aggregates say of it, as `by(name)` or `count()`.
    pub attributes: Vec<(String, Value<'static>)>,
    /// The first of them by start.
    pub spans: Vec<SpanMatch>,
}

/// A span that matched.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanMatch {
    /// Its id.
    pub id: SpanId,
    /// Its name, when it was asked for; Tempo leaves it out else.
    pub name: Option<String>,
    /// Nanoseconds since the epoch.
    pub start_ns: i64,
    /// Nanoseconds.
    pub duration_ns: i64,
    /// The fields that the query names or selects, names without their scope as Tempo writes them.
    pub attributes: Vec<(String, Value<'static>)>,
}

/// What a search or a metrics query cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SearchStats {
    /// Traces that were looked at.
    pub traces: u64,
    /// Spans that were looked at.
    pub spans: u64,
    /// Bytes read of files.
    pub bytes: u64,
    /// Files that could matter.
    pub files: u64,
    /// Files that are done with.
    pub files_done: u64,
    /// Bytes of those files.
    pub files_bytes: u64,
}

/// Names of attributes by scope, each ascending.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tags {
    /// Scopes that have any.
    pub scopes: Vec<(TagScope, Vec<String>)>,
    /// What it cost.
    pub stats: SearchStats,
}

/// Values of a tag.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TagValues {
    /// Each once, ascending by type and value. Never [`Value::Nil`] or [`Value::List`]: of lists the elements.
    pub values: Vec<Value<'static>>,
    /// What it cost.
    pub stats: SearchStats,
}

/// Series.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MetricsAnswer {
    /// In no promised order.
    pub series: Vec<MetricSeries>,
    /// Whether there are more series than were asked for.
    pub truncated: bool,
    /// What it cost.
    pub stats: SearchStats,
}

/// One series.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricSeries {
    /// In Tempo's order.
    pub labels: Vec<(String, Value<'static>)>,
    /// Milliseconds at the right edge of a bucket, and the value; ascending.
    pub samples: Vec<(i64, f64)>,
    /// Spans behind it.
    pub exemplars: Vec<Exemplar>,
}

/// A span behind a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// `trace:id`, `span:id` and what else labels it.
    pub labels: Vec<(String, Value<'static>)>,
    /// What the span adds; a rate's has none and says NaN.
    pub value: f64,
    /// Milliseconds.
    pub time_ms: i64,
}

/// Calls between two services.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dependency {
    /// Who calls.
    pub parent: String,
    /// Whom.
    pub child: String,
    /// Spans of the child whose parent span is the caller's.
    pub calls: u64,
    /// Those that failed.
    pub errors: u64,
}
