//! Tempo's messages as JSON. Field for field what `jsonpb` writes: Grafana refuses a name that it does not know.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};

use super::message::{
    Exemplar, InstantSeries, MetadataMetrics, PartialStatus, QueryInstantResponse, QueryRangeResponse, Sample, SearchMetrics,
    SearchResponse, SearchTagValuesResponse, SearchTagValuesV2Response, SearchTagsResponse, SearchTagsV2Response, Span, SpanSet,
    TimeSeries, TraceSearchMetadata,
};
use crate::json::write_text;
use crate::jsonpb::Object;
use crate::otlp::json::write_key_value;
use crate::pieces::{Data, body};

/// A message that can be told in JSON, in one go or in steps.
pub(super) trait Json: Send + 'static {
    /// An item of the list that may be long.
    type Item: Send + 'static;

    /// The name of that list, and the list.
    fn take(&mut self) -> (&'static str, Vec<Self::Item>);

    /// Writes an item.
    fn write_item(out: &mut Vec<u8>, item: &Self::Item);

    /// Writes the fields behind the list.
    fn write_rest(&self, object: &mut Object<'_>);
}

/// The answer, written item by item. The list is there even when it is empty: Tempo's own answers of these messages have it.
pub(super) fn response<M: Json>(mut message: M) -> Response {
    let (name, items) = message.take();
    let steps = Steps { head: Some(name), items: items.into_iter(), begun: false, message: Some(message) };
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body(steps)).into_response()
}

struct Steps<M: Json> {
    head: Option<&'static str>,
    items: std::vec::IntoIter<M::Item>,
    begun: bool,
    message: Option<M>,
}

impl<M: Json> Data for Steps<M> {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        if let Some(name) = self.head.take() {
            out.push(b'{');
            write_text(out, name);
            out.extend_from_slice(b":[");
            return true;
        }
        if let Some(item) = self.items.next() {
            if std::mem::replace(&mut self.begun, true) {
                out.push(b',');
            }
            M::write_item(out, &item);
            return true;
        }
        let Some(message) = self.message.take() else { return false };
        out.push(b']');
        // The fields behind the list, without the brace that an object of its own would begin with.
        let mut rest = Vec::new();
        let mut object = Object::open(&mut rest);
        message.write_rest(&mut object);
        object.close();
        if rest.len() > 2 {
            out.push(b',');
        }
        out.extend_from_slice(&rest[1..]);
        true
    }
}

impl Json for SearchResponse {
    type Item = TraceSearchMetadata;

    fn take(&mut self) -> (&'static str, Vec<TraceSearchMetadata>) {
        ("traces", std::mem::take(&mut self.traces))
    }

    fn write_item(out: &mut Vec<u8>, trace: &TraceSearchMetadata) {
        let mut object = Object::open(out);
        object.text("traceID", &trace.trace_id);
        object.text("rootServiceName", &trace.root_service_name);
        object.text("rootTraceName", &trace.root_trace_name);
        object.large("startTimeUnixNano", trace.start_time_unix_nano);
        object.small("durationMs", trace.duration_ms);
        object.message("spanSet", trace.span_set.as_ref(), write_span_set);
        object.list("spanSets", &trace.span_sets, write_span_set);
        if !trace.service_stats.is_empty() {
            let mut services = Object::open(object.key("serviceStats"));
            for (name, stats) in &trace.service_stats {
                let mut of_service = Object::open(services.key(name));
                of_service.small("spanCount", stats.span_count);
                of_service.small("errorCount", stats.error_count);
                of_service.close();
            }
            services.close();
        }
        object.close();
    }

    fn write_rest(&self, object: &mut Object<'_>) {
        object.message("metrics", self.metrics.as_ref(), write_search_metrics);
    }
}

fn write_span_set(out: &mut Vec<u8>, set: &SpanSet) {
    let mut object = Object::open(out);
    object.list("spans", &set.spans, write_span);
    object.small("matched", set.matched);
    object.list("attributes", &set.attributes, write_key_value);
    object.close();
}

fn write_span(out: &mut Vec<u8>, span: &Span) {
    let mut object = Object::open(out);
    object.text("spanID", &span.span_id);
    object.text("name", &span.name);
    object.large("startTimeUnixNano", span.start_time_unix_nano);
    object.large("durationNanos", span.duration_nanos);
    object.list("attributes", &span.attributes, write_key_value);
    object.close();
}

fn write_search_metrics(out: &mut Vec<u8>, metrics: &SearchMetrics) {
    let mut object = Object::open(out);
    object.small("inspectedTraces", metrics.inspected_traces);
    object.large("inspectedBytes", metrics.inspected_bytes);
    object.small("totalBlocks", metrics.total_blocks);
    object.small("completedJobs", metrics.completed_jobs);
    object.small("totalJobs", metrics.total_jobs);
    object.large("totalBlockBytes", metrics.total_block_bytes);
    object.large("inspectedSpans", metrics.inspected_spans);
    object.close();
}

fn write_metadata_metrics(out: &mut Vec<u8>, metrics: &MetadataMetrics) {
    let mut object = Object::open(out);
    object.large("inspectedBytes", metrics.inspected_bytes);
    object.small("totalJobs", metrics.total_jobs);
    object.small("completedJobs", metrics.completed_jobs);
    object.small("totalBlocks", metrics.total_blocks);
    object.large("totalBlockBytes", metrics.total_block_bytes);
    object.close();
}

impl Json for SearchTagsResponse {
    type Item = String;

    fn take(&mut self) -> (&'static str, Vec<String>) {
        ("tagNames", std::mem::take(&mut self.tag_names))
    }

    fn write_item(out: &mut Vec<u8>, name: &String) {
        write_text(out, name);
    }

    fn write_rest(&self, object: &mut Object<'_>) {
        object.message("metrics", self.metrics.as_ref(), write_metadata_metrics);
    }
}

impl Json for SearchTagsV2Response {
    type Item = super::message::SearchTagsV2Scope;

    fn take(&mut self) -> (&'static str, Vec<Self::Item>) {
        ("scopes", std::mem::take(&mut self.scopes))
    }

    fn write_item(out: &mut Vec<u8>, scope: &Self::Item) {
        let mut object = Object::open(out);
        object.text("name", &scope.name);
        object.list("tags", &scope.tags, |out, name| write_text(out, name));
        object.close();
    }

    fn write_rest(&self, object: &mut Object<'_>) {
        object.message("metrics", self.metrics.as_ref(), write_metadata_metrics);
    }
}

impl Json for SearchTagValuesResponse {
    type Item = String;

    fn take(&mut self) -> (&'static str, Vec<String>) {
        ("tagValues", std::mem::take(&mut self.tag_values))
    }

    fn write_item(out: &mut Vec<u8>, value: &String) {
        write_text(out, value);
    }

    fn write_rest(&self, object: &mut Object<'_>) {
        object.message("metrics", self.metrics.as_ref(), write_metadata_metrics);
    }
}

impl Json for SearchTagValuesV2Response {
    type Item = super::message::TagValue;

    fn take(&mut self) -> (&'static str, Vec<Self::Item>) {
        ("tagValues", std::mem::take(&mut self.tag_values))
    }

    fn write_item(out: &mut Vec<u8>, value: &Self::Item) {
        let mut object = Object::open(out);
        object.text("type", &value.r#type);
        object.text("value", &value.value);
        object.close();
    }

    fn write_rest(&self, object: &mut Object<'_>) {
        object.message("metrics", self.metrics.as_ref(), write_metadata_metrics);
    }
}

impl Json for QueryRangeResponse {
    type Item = TimeSeries;

    fn take(&mut self) -> (&'static str, Vec<TimeSeries>) {
        ("series", std::mem::take(&mut self.series))
    }

    fn write_item(out: &mut Vec<u8>, series: &TimeSeries) {
        let mut object = Object::open(out);
        object.list("labels", &series.labels, write_key_value);
        object.list("samples", &series.samples, write_sample);
        object.list("exemplars", &series.exemplars, write_exemplar);
        object.close();
    }

    fn write_rest(&self, object: &mut Object<'_>) {
        object.message("metrics", self.metrics.as_ref(), write_search_metrics);
        write_status(object, self.status, &self.message);
    }
}

impl Json for QueryInstantResponse {
    type Item = InstantSeries;

    fn take(&mut self) -> (&'static str, Vec<InstantSeries>) {
        ("series", std::mem::take(&mut self.series))
    }

    fn write_item(out: &mut Vec<u8>, series: &InstantSeries) {
        let mut object = Object::open(out);
        object.list("labels", &series.labels, write_key_value);
        object.double("value", series.value);
        object.close();
    }

    fn write_rest(&self, object: &mut Object<'_>) {
        object.message("metrics", self.metrics.as_ref(), write_search_metrics);
        write_status(object, self.status, &self.message);
    }
}

fn write_sample(out: &mut Vec<u8>, sample: &Sample) {
    let mut object = Object::open(out);
    object.large("timestampMs", sample.timestamp_ms);
    object.double("value", sample.value);
    object.close();
}

fn write_exemplar(out: &mut Vec<u8>, exemplar: &Exemplar) {
    let mut object = Object::open(out);
    object.list("labels", &exemplar.labels, write_key_value);
    object.double("value", exemplar.value);
    object.large("timestampMs", exemplar.timestamp_ms);
    object.close();
}

/// `status` and `message`, when there is something to say.
pub(super) fn write_status(object: &mut Object<'_>, status: i32, message: &str) {
    if status == PartialStatus::Partial as i32 {
        object.text("status", "PARTIAL");
    }
    object.text("message", message);
}

#[cfg(test)]
mod tests;
