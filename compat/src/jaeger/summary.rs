//! Traces in a few words each, for a list of search results.
//! Source: `TraceSummary` of jaeger-idl's `query_service.proto`.

use std::collections::{BTreeMap, HashSet};

use query::traceql::{Span, Trace};

use super::message::v3::{ServiceSummary, TraceSummary};
use super::model::service;
use crate::jsonpb::Object;
use crate::otlp::{end_ns, unix_ns};

const ERROR: i32 = 2;

/// The summary of a trace.
pub(super) fn of(trace: &Trace) -> TraceSummary {
    let ids: HashSet<_> = trace.spans.iter().map(|span| span.id).collect();
    let root = trace.spans.iter().find(|span| span.parent.is_none());
    let mut services: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for span in &trace.spans {
        let (spans, errors) = services.entry(service(&span.resource)).or_default();
        *spans += 1;
        *errors += usize::from(span.status == ERROR);
    }
    let is_orphan = |span: &&Span| span.parent.is_some_and(|parent| !ids.contains(&parent));
    TraceSummary {
        trace_id: hex::encode(trace.id),
        root_service_name: root.map(|span| service(&span.resource).to_owned()).unwrap_or_default(),
        root_operation_name: root.map(|span| span.name.clone()).unwrap_or_default(),
        min_start_time_unix_nano: trace.spans.iter().map(|span| unix_ns(span.start_ns)).min().unwrap_or(0),
        max_end_time_unix_nano: trace.spans.iter().map(|span| unix_ns(end_ns(span))).max().unwrap_or(0),
        span_count: count(trace.spans.len()),
        error_span_count: count(services.values().map(|(_, errors)| errors).sum()),
        orphan_span_count: count(trace.spans.iter().filter(is_orphan).count()),
        services: services
            .into_iter()
            .map(|(name, (spans, errors))| ServiceSummary {
                name: name.to_owned(),
                span_count: count(spans),
                error_span_count: count(errors),
            })
            .collect(),
    }
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Appends the summary as JSON.
pub(super) fn write(out: &mut Vec<u8>, summary: &TraceSummary) {
    let mut object = Object::open(out);
    object.text("traceId", &summary.trace_id);
    object.text("rootServiceName", &summary.root_service_name);
    object.text("rootOperationName", &summary.root_operation_name);
    object.large("minStartTimeUnixNano", summary.min_start_time_unix_nano);
    object.large("maxEndTimeUnixNano", summary.max_end_time_unix_nano);
    object.small("spanCount", summary.span_count);
    object.small("errorSpanCount", summary.error_span_count);
    object.small("orphanSpanCount", summary.orphan_span_count);
    object.list("services", &summary.services, |out, service| {
        let mut object = Object::open(out);
        object.text("name", &service.name);
        object.small("spanCount", service.span_count);
        object.small("errorSpanCount", service.error_span_count);
        object.close();
    });
    object.close();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::sample::trace;

    #[test]
    fn a_trace_in_a_few_words() {
        let mut out = Vec::new();
        write(&mut out, &of(&trace()));
        let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "traceId": "00000000000000000b510c71d40eb13b", "rootServiceName": "shop", "rootOperationName": "GET /",
                "minStartTimeUnixNano": "1793491200000000001", "maxEndTimeUnixNano": "1793491200050000001",
                "spanCount": 3, "errorSpanCount": 1,
                "services": [{ "name": "shop", "spanCount": 2, "errorSpanCount": 1 }, { "name": "stock", "spanCount": 1 }],
            })
        );
        let orphan = Trace { spans: trace().spans.split_off(2), ..trace() };
        assert_eq!((of(&orphan).orphan_span_count, of(&orphan).root_service_name.as_str()), (1, ""));
    }
}
