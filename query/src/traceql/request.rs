//! What can be asked. Times are nanoseconds since the epoch.

use std::time::Duration;

/// The id of a trace.
pub type TraceId = [u8; 16];

/// The id of a span.
pub type SpanId = [u8; 8];

/// From `start_ns` until `end_ns`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First moment.
    pub start_ns: i64,
    /// Last moment.
    pub end_ns: i64,
}

/// A search for spansets.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchRequest {
    /// TraceQL without metrics.
    pub text: String,
    /// Traces with a moment in here; `None`: all.
    pub time: Option<Window>,
    /// Most traces; the newest when there are more.
    pub limit: usize,
    /// Most spans of a spanset that are returned; `matched` counts all.
    pub spans_per_spanset: usize,
    /// Less time than the configuration gives.
    pub timeout: Option<Duration>,
}

/// Spans of traces by id.
#[derive(Debug, Clone, PartialEq)]
pub struct TracesRequest {
    /// Which.
    pub ids: Vec<TraceId>,
    /// Where to look first, a hint that can only save work; `None`: everywhere.
    pub time: Option<Window>,
}

/// Names of attributes.
#[derive(Debug, Clone, PartialEq)]
pub struct TagsRequest {
    /// Only these; `None`: all but intrinsics.
    pub scope: Option<TagScope>,
    /// TraceQL that spans must match, as far as it can be understood; empty: every span.
    pub filter: String,
    /// When.
    pub time: Option<Window>,
    /// Most names of a scope.
    pub limit: usize,
}

/// Where an attribute is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TagScope {
    /// Of resources.
    Resource,
    /// Of spans.
    Span,
    /// Of events.
    Event,
    /// Of links.
    Link,
    /// Of instrumentation scopes.
    Instrumentation,
}

/// Values of an attribute or an intrinsic.
#[derive(Debug, Clone, PartialEq)]
pub struct TagValuesRequest {
    /// As TraceQL writes it: `resource.service.name`, `.x`, `span:name`, `name`.
    pub tag: String,
    /// As in [`TagsRequest`].
    pub filter: String,
    /// When.
    pub time: Option<Window>,
    /// Most values.
    pub limit: usize,
    /// Most bytes of text together.
    pub bytes_max: usize,
}

/// A query that gives series.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricsRequest {
    /// TraceQL with metrics.
    pub text: String,
    /// First moment; floored to the step.
    pub start_ns: i64,
    /// Last moment; ceiled to the step.
    pub end_ns: i64,
    /// 0: Tempo's default for the range. Not looked at when `instant`.
    pub step_ns: i64,
    /// One value per series.
    pub instant: bool,
    /// Most exemplars; 0: none.
    pub exemplars: usize,
    /// Most series; 0: as configured.
    pub series_max: usize,
    /// Less time than the configuration gives.
    pub timeout: Option<Duration>,
}
