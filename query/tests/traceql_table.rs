//! TraceQL as a table of SQL: the same spans as the API's, series by step, a trace by its id, and joins of the three.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use catalog::{Table, TenantId};
use query::traceql::{SearchRequest, TraceqlConfig, TraceqlEngine, Window};
use serde_json::{Value as Json, json};
use support::{NEW_YEAR_MS, World, cells, ns, run, tenant};

const START_NS: i64 = NEW_YEAR_MS * 1_000_000;
const SECOND_NS: i64 = 1_000_000_000;
const SPAN: &str = "'2026-01-01T00:00:00Z', '2026-01-01T00:02:00Z'";

/// Span `n` of trace `trace`; the first has no parent.
fn span(trace: i64, n: i64) -> Json {
    let id = |n: i64| format!("{:016x}", 0x10 + n);
    json!({"trace_id": format!("{trace:032x}"), "span_id": id(n), "parent_span_id": if n == 0 { Json::Null } else { json!(id(0)) },
        "ts": ns(trace), "duration_ns": (n + 1) * SECOND_NS, "service": "shop", "name": format!("op {n}"), "kind": 2,
        "status_code": if trace % 5 == 0 { 2 } else { 0 }, "resource_id": 1, "attrs_int": {"n": n}})
}

async fn world() -> (World, TenantId, Arc<TraceqlEngine>) {
    let (world, a) = (World::new().await, tenant("a"));
    let resource = json!([{"resource_id": 1, "ts": ns(0), "service": "shop", "attrs_str": {"service.name": "shop"}}]);
    world.commit(&a, Table::Resources, resource).await;
    let spans = |traces: std::ops::Range<i64>| json!(traces.flat_map(|t| (0..3).map(move |n| span(t, n))).collect::<Vec<_>>());
    world.commit(&a, Table::Spans, spans(1..50)).await;
    world.buffer(&a, Table::Spans, spans(50..100));
    let engine =
        TraceqlEngine::new(Arc::clone(&world.engine), TraceqlConfig::default(), tokio::runtime::Handle::current()).unwrap();
    (world, a, engine)
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_are_those_of_the_api() {
    let (world, a, engine) = world().await;
    for text in ["{ .n > 0 }", "{ status = error } >> { .n = 2 }", "{ } | by(.n) | count() > 0", "{ name = \"nothing\" }"] {
        let request = SearchRequest {
            text: text.to_owned(),
            time: Some(Window { start_ns: START_NS, end_ns: START_NS + 120 * SECOND_NS }),
            limit: 1_000,
            spans_per_spanset: 1_000,
            timeout: None,
        };
        let answer = engine.search(&a, request, None).await.unwrap();
        let mut expected: Vec<Vec<String>> = Vec::new();
        for found in &answer.traces {
            let spans = found.spansets.iter().flat_map(|spanset| &spanset.spans);
            expected.extend(spans.map(|span| vec![hex(&found.id), hex(&span.id), span.duration_ns.to_string()]));
        }
        expected.sort();
        let sql = format!("SELECT trace_id, span_id, duration_ns FROM traceql('{text}', {SPAN}) ORDER BY trace_id, span_id");
        assert_eq!(cells(&world.sql(&a, &sql).await), expected, "{text}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn series_and_traces_are_rows() {
    let (world, a, _engine) = world().await;
    let sql = format!("SELECT sum(value) FROM traceql('{{ }} | count_over_time()', {SPAN}, '30s')");
    assert_eq!(cells(&world.sql(&a, &sql).await), [["297.0"]]);
    let sql = format!("SELECT value FROM traceql('{{ status = error }} | count_over_time()', {SPAN})");
    assert_eq!(cells(&world.sql(&a, &sql).await), [["57.0"]]);
    let sql = "SELECT span_id, name FROM trace('a') ORDER BY span_id";
    let expected = [["0000000000000010", "op 0"], ["0000000000000011", "op 1"], ["0000000000000012", "op 2"]];
    assert_eq!(cells(&world.sql(&a, sql).await), expected);
    assert_eq!(cells(&world.sql(&a, "SELECT count(*) FROM trace('abc')").await), [["0"]]);
    let sql = format!(
        "SELECT count(*) FROM traceql('{{ .n = 2 }}', {SPAN}) found JOIN spans ON spans.trace_id = found.trace_id AND spans.span_id = found.span_id"
    );
    assert_eq!(cells(&world.sql(&a, &sql).await), [["99"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said() {
    let (world, a, _engine) = world().await;
    for (sql, expected) in [
        (format!("SELECT * FROM traceql('{{ ', {SPAN})"), "parse error"),
        ("SELECT * FROM traceql('{ }')".to_owned(), "('expression', start, end)"),
        ("SELECT * FROM traceql('{ }', 2, 1)".to_owned(), "end is before start"),
        (format!("SELECT * FROM traceql('{{ }} | rate()', {SPAN}, 0)"), "step is not longer than nothing"),
        ("SELECT * FROM trace('xyz')".to_owned(), "no id of up to 32"),
    ] {
        let error = run(&world.session(&a), &sql).await.expect_err(&sql).to_string();
        assert!(error.contains(expected), "{sql}: {error}");
    }
}
