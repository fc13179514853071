//! Answers built by hand, in the JSON that Tempo recorded.

use std::borrow::Cow;

use query::traceql::{
    Exemplar, MetricSeries, MetricsAnswer, SearchAnswer, SearchStats, ServiceStats, SpanMatch, SpansetMatch, TagValues,
    TraceMatch,
};
use serde_json::{Value as Json, json};
use traceql::value::{Kind, Status, Value};

use super::*;
use crate::tempo::answer::{self, Detail};

fn json_of<M: super::Json>(mut message: M) -> Json {
    let (name, items) = message.take();
    let mut steps = Steps { head: Some(name), items: items.into_iter(), begun: false, message: Some(message) };
    let mut out = Vec::new();
    while steps.write_next(&mut out) {}
    serde_json::from_slice(&out).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out)))
}

fn text(value: &str) -> Value<'static> {
    Value::Str(Cow::Owned(value.to_owned()))
}

fn found() -> TraceMatch {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&0x0748_9671_21ba_de03u64.to_be_bytes());
    TraceMatch {
        id,
        root_service: Some("frontend".to_owned()),
        root_name: Some("page cart".to_owned()),
        start_ns: 1_793_491_200_926_049_509,
        duration_ns: 408_455_711,
        services: [
            ("auth".to_owned(), ServiceStats { spans: 5, errors: 1 }),
            ("cart".to_owned(), ServiceStats { spans: 1, errors: 0 }),
        ]
        .into(),
        spansets: vec![SpansetMatch {
            matched: 2,
            attributes: vec![("by(resource.service.name)".to_owned(), text("cart")), ("count()".to_owned(), Value::Int(2))],
            spans: vec![SpanMatch {
                id: 0x05f1_5609_85ce_cafe_u64.to_be_bytes(),
                name: None,
                start_ns: 1_793_491_200_928_049_509,
                duration_ns: 403_455_711,
                attributes: vec![
                    ("status".to_owned(), Value::Status(Status::Error)),
                    ("kind".to_owned(), Value::Kind(Kind::Server)),
                    ("bulk".to_owned(), Value::Bool(false)),
                    ("nestedSetParent".to_owned(), Value::Int(-1)),
                    ("ratio".to_owned(), Value::Float(0.25)),
                    ("trace:duration".to_owned(), Value::Duration(1_500_000_000)),
                    ("owners".to_owned(), Value::List(vec![text("a"), text("b")])),
                ],
            }],
        }],
    }
}

#[test]
fn a_search() {
    let stats = SearchStats { traces: 2, spans: 10, bytes: 1000, files: 3, files_done: 2, files_bytes: 5000 };
    let answer = SearchAnswer { traces: vec![found()], stats };
    let set = json!({
        "spans": [{
            "spanID": "05f1560985cecafe", "startTimeUnixNano": "1793491200928049509", "durationNanos": "403455711",
            "attributes": [
                { "key": "status", "value": { "stringValue": "error" } },
                { "key": "kind", "value": { "stringValue": "server" } },
                { "key": "bulk", "value": { "boolValue": false } },
                { "key": "nestedSetParent", "value": { "intValue": "-1" } },
                { "key": "ratio", "value": { "doubleValue": 0.25 } },
                { "key": "trace:duration", "value": { "stringValue": "1.5s" } },
                { "key": "owners", "value": { "arrayValue": { "values": [{ "stringValue": "a" }, { "stringValue": "b" }] } } },
            ],
        }],
        "matched": 2,
        "attributes": [
            { "key": "by(resource.service.name)", "value": { "stringValue": "cart" } },
            { "key": "count()", "value": { "intValue": "2" } },
        ],
    });
    assert_eq!(
        json_of(answer::search(answer, Detail::Spans)),
        json!({
            "traces": [{
                "traceID": "748967121bade03", "rootServiceName": "frontend", "rootTraceName": "page cart",
                "startTimeUnixNano": "1793491200926049509", "durationMs": 408, "spanSet": set, "spanSets": [set],
                "serviceStats": { "auth": { "spanCount": 5, "errorCount": 1 }, "cart": { "spanCount": 1 } },
            }],
            "metrics": {
                "inspectedTraces": 2, "inspectedBytes": "1000", "totalBlocks": 3, "completedJobs": 2, "totalJobs": 3,
                "totalBlockBytes": "5000", "inspectedSpans": "10",
            },
        })
    );
}

#[test]
fn a_search_by_tags_knows_no_spans() {
    let rootless = TraceMatch { root_service: None, root_name: None, ..found() };
    let answer = SearchAnswer { traces: vec![rootless], stats: SearchStats::default() };
    assert_eq!(
        json_of(answer::search(answer, Detail::TracesOnly)),
        json!({
            "traces": [{
                "traceID": "748967121bade03", "rootServiceName": "<root span not yet received>",
                "startTimeUnixNano": "1793491200926049509", "durationMs": 408,
            }],
            "metrics": {},
        })
    );
}

#[test]
fn series() {
    let series = || MetricSeries {
        labels: vec![("resource.service.name".to_owned(), text("auth")), ("p".to_owned(), Value::Float(0.9))],
        samples: vec![(1_793_491_200_000, 0.0), (1_793_493_000_000, 1.5)],
        exemplars: vec![Exemplar {
            labels: vec![("trace:id".to_owned(), text("7489"))],
            value: f64::NAN,
            time_ms: 1_793_491_200_001,
        }],
    };
    let answer = || MetricsAnswer { series: vec![series()], truncated: false, stats: SearchStats::default() };
    let labels = json!([
        { "key": "resource.service.name", "value": { "stringValue": "auth" } },
        { "key": "p", "value": { "doubleValue": 0.9 } },
    ]);
    assert_eq!(
        json_of(answer::range(answer(), 10)),
        json!({
            "series": [{
                "labels": labels,
                // A sample that is zero has no value.
                "samples": [{ "timestampMs": "1793491200000" }, { "timestampMs": "1793493000000", "value": 1.5 }],
                "exemplars": [{
                    "labels": [{ "key": "trace:id", "value": { "stringValue": "7489" } }],
                    "value": "NaN", "timestampMs": "1793491200001",
                }],
            }],
            "metrics": {},
        })
    );
    assert_eq!(json_of(answer::instant(answer(), 10)), json!({ "series": [{ "labels": labels }], "metrics": {} }));
    let cut = json_of(answer::range(MetricsAnswer { truncated: true, ..MetricsAnswer::default() }, 10));
    assert_eq!((&cut["series"], &cut["status"]), (&json!([]), &json!("PARTIAL")));
    assert!(cut["message"].as_str().is_some_and(|text| text.contains("maximum series limit of 10")));
}

#[test]
fn values_have_types() {
    let values = || TagValues {
        values: vec![text("seven"), Value::Int(7), Value::Float(7.5), Value::Bool(true), text(""), Value::Kind(Kind::Client)],
        stats: SearchStats::default(),
    };
    assert_eq!(
        json_of(answer::typed_tag_values(values())),
        json!({
            "tagValues": [
                { "type": "bool", "value": "true" }, { "type": "float", "value": "7.5" }, { "type": "int", "value": "3" },
                { "type": "int", "value": "7" }, { "type": "string" }, { "type": "string", "value": "seven" },
            ],
            "metrics": {},
        })
    );
    assert_eq!(json_of(answer::tag_values(values()))["tagValues"], json!(["", "3", "7", "7.5", "seven", "true"]));
}
