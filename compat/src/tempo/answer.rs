//! From what the engine answers to Tempo's messages.
//! Source: `AsAnyValue`, `asTraceSearchMetadata`, `addRootSpanNotReceivedText` of Tempo; its recorded answers.

use logql::units::duration_text;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Wire;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use query::traceql::{MetricSeries, MetricsAnswer, SearchAnswer, SearchStats, SpansetMatch, TagValues, TraceMatch};
use traceql::value::{Kind, Status, Value};

use super::message::{
    Exemplar, InstantSeries, MetadataMetrics, PartialStatus, QueryInstantResponse, QueryRangeResponse, Sample, SearchMetrics,
    SearchResponse, SearchTagValuesResponse, SearchTagValuesV2Response, ServiceStats, Span, SpanSet, TagValue, TimeSeries,
    TraceSearchMetadata,
};
use crate::otlp::message::key_value;
use crate::otlp::unix_ns;

/// What stands for the service of a root that is not there, or that names none.
const NO_ROOT: &str = "<root span not yet received>";
const NS_PER_MS: i64 = 1_000_000;

/// Whether traces come with the spans that matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// They do.
    Spans,
    /// A search by tags never knew of spans.
    TracesOnly,
}

/// Of a search.
pub(super) fn search(answer: SearchAnswer, detail: Detail) -> SearchResponse {
    SearchResponse {
        metrics: Some(search_metrics(answer.stats)),
        traces: answer.traces.into_iter().map(|found| trace(found, detail)).collect(),
    }
}

/// A trace that was found.
pub(super) fn trace(found: TraceMatch, detail: Detail) -> TraceSearchMetadata {
    let services = found.services.into_iter().filter(|_| detail == Detail::Spans);
    let span_sets: Vec<SpanSet> = match detail {
        Detail::Spans => found.spansets.into_iter().map(span_set).collect(),
        Detail::TracesOnly => Vec::new(),
    };
    TraceSearchMetadata {
        trace_id: short_hex(&found.id),
        root_service_name: found.root_service.filter(|name| !name.is_empty()).unwrap_or_else(|| NO_ROOT.to_owned()),
        root_trace_name: found.root_name.unwrap_or_default(),
        start_time_unix_nano: unix_ns(found.start_ns),
        duration_ms: u32::try_from(found.duration_ns.max(0) / NS_PER_MS).unwrap_or(u32::MAX),
        span_set: span_sets.first().cloned(),
        span_sets,
        service_stats: services
            .map(|(name, stats)| (name, ServiceStats { span_count: stats.spans, error_count: stats.errors }))
            .collect(),
    }
}

fn span_set(found: SpansetMatch) -> SpanSet {
    let span = |span: query::traceql::SpanMatch| Span {
        span_id: hex::encode(span.id),
        name: span.name.unwrap_or_default(),
        start_time_unix_nano: unix_ns(span.start_ns),
        duration_nanos: unix_ns(span.duration_ns),
        attributes: key_values(span.attributes),
    };
    SpanSet {
        matched: u32::try_from(found.matched).unwrap_or(u32::MAX),
        attributes: key_values(found.attributes),
        spans: found.spans.into_iter().map(span).collect(),
    }
}

/// An id as Tempo's search writes it: without the zeros in front.
pub(super) fn short_hex(id: &[u8]) -> String {
    let text = hex::encode(id);
    let short = text.trim_start_matches('0');
    if short.is_empty() { "0".to_owned() } else { short.to_owned() }
}

/// What a search cost.
pub(super) fn search_metrics(stats: SearchStats) -> SearchMetrics {
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    SearchMetrics {
        inspected_traces: small(stats.traces),
        inspected_bytes: stats.bytes,
        total_blocks: small(stats.files),
        completed_jobs: small(stats.files_done),
        total_jobs: small(stats.files),
        total_block_bytes: stats.files_bytes,
        inspected_spans: stats.spans,
    }
}

/// What looking for names and values cost.
pub(super) fn metadata_metrics(stats: SearchStats) -> MetadataMetrics {
    let all = search_metrics(stats);
    MetadataMetrics {
        inspected_bytes: all.inspected_bytes,
        total_jobs: all.total_jobs,
        completed_jobs: all.completed_jobs,
        total_blocks: all.total_blocks,
        total_block_bytes: all.total_block_bytes,
    }
}

/// Values as texts, each once, ascending.
pub(super) fn tag_values(values: TagValues) -> SearchTagValuesResponse {
    let mut texts: Vec<String> = values.values.iter().map(|value| typed(value).1).collect();
    texts.sort();
    texts.dedup();
    SearchTagValuesResponse { tag_values: texts, metrics: Some(metadata_metrics(values.stats)) }
}

/// Values with their types.
pub(super) fn typed_tag_values(values: TagValues) -> SearchTagValuesV2Response {
    let mut found: Vec<TagValue> = values
        .values
        .iter()
        .map(|value| {
            let (kind, value) = typed(value);
            TagValue { r#type: kind.to_owned(), value }
        })
        .collect();
    found.sort();
    found.dedup();
    SearchTagValuesV2Response { tag_values: found, metrics: Some(metadata_metrics(values.stats)) }
}

/// A value's type and text. A kind and a status are numbers here, as Tempo gives what is in its columns.
fn typed(value: &Value<'_>) -> (&'static str, String) {
    match value {
        Value::Nil => ("nil", "nil".to_owned()),
        Value::Int(number) => ("int", number.to_string()),
        Value::Float(number) => ("float", float_text(*number)),
        Value::Duration(ns) => ("duration", duration_text(*ns)),
        Value::Str(text) => ("string", text.clone().into_owned()),
        Value::Bool(flag) => ("bool", flag.to_string()),
        Value::Status(status) => ("int", (*status as i32).to_string()),
        Value::Kind(kind) => ("int", (*kind as i32).to_string()),
        Value::List(items) => items.first().map_or_else(|| ("nil", String::new()), typed),
    }
}

/// A float as Go prints it.
fn float_text(number: f64) -> String {
    let mut out = Vec::new();
    gosyntax::number::write_float(&mut out, number);
    String::from_utf8(out).unwrap_or_default()
}

/// Series over time.
pub(super) fn range(answer: MetricsAnswer, series_max: usize) -> QueryRangeResponse {
    let (status, message) = completeness(answer.truncated, series_max);
    QueryRangeResponse {
        metrics: Some(search_metrics(answer.stats)),
        series: answer.series.into_iter().map(series).collect(),
        status,
        message,
    }
}

/// One value of each series. A series without any is left out.
pub(super) fn instant(answer: MetricsAnswer, series_max: usize) -> QueryInstantResponse {
    let (status, message) = completeness(answer.truncated, series_max);
    let one = |series: MetricSeries| {
        let &(_, value) = series.samples.first()?;
        Some(InstantSeries { labels: key_values(series.labels), value })
    };
    QueryInstantResponse {
        metrics: Some(search_metrics(answer.stats)),
        series: answer.series.into_iter().filter_map(one).collect(),
        status,
        message,
    }
}

fn completeness(truncated: bool, series_max: usize) -> (i32, String) {
    if !truncated {
        return (PartialStatus::Complete as i32, String::new());
    }
    let message = format!(
        "Response exceeds maximum series limit of {series_max}, a partial response is returned. Warning: the accuracy of each \
         individual value is not guaranteed."
    );
    (PartialStatus::Partial as i32, message)
}

fn series(series: MetricSeries) -> TimeSeries {
    let exemplar = |exemplar: query::traceql::Exemplar| Exemplar {
        labels: key_values(exemplar.labels),
        value: exemplar.value,
        timestamp_ms: exemplar.time_ms,
    };
    TimeSeries {
        labels: key_values(series.labels),
        samples: series.samples.into_iter().map(|(timestamp_ms, value)| Sample { value, timestamp_ms }).collect(),
        exemplars: series.exemplars.into_iter().map(exemplar).collect(),
    }
}

fn key_values(pairs: Vec<(String, Value<'static>)>) -> Vec<KeyValue> {
    pairs.into_iter().map(|(key, value)| key_value(key, any_value(value))).collect()
}

/// A value of a query. What OTLP has no type for is text: durations, kinds, statuses, nothing.
fn any_value(value: Value<'_>) -> AnyValue {
    let wire = match value {
        Value::Nil => Wire::StringValue("nil".to_owned()),
        Value::Int(number) => Wire::IntValue(number),
        Value::Float(number) => Wire::DoubleValue(number),
        Value::Duration(ns) => Wire::StringValue(duration_text(ns)),
        Value::Str(text) => Wire::StringValue(text.into_owned()),
        Value::Bool(flag) => Wire::BoolValue(flag),
        Value::Status(status) => Wire::StringValue(status_name(status).to_owned()),
        Value::Kind(kind) => Wire::StringValue(kind_name(kind).to_owned()),
        Value::List(items) => Wire::ArrayValue(ArrayValue { values: items.into_iter().map(any_value).collect() }),
    };
    AnyValue { value: Some(wire) }
}

fn status_name(status: Status) -> &'static str {
    match status {
        Status::Unset => "unset",
        Status::Ok => "ok",
        Status::Error => "error",
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Unspecified => "unspecified",
        Kind::Internal => "internal",
        Kind::Server => "server",
        Kind::Client => "client",
        Kind::Producer => "producer",
        Kind::Consumer => "consumer",
    }
}
