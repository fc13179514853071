//! Traces that are unlike others: very long ones, circles, spans that were sent twice or share an id.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "support/spans.rs"]
mod spans;
mod support;

use std::sync::Arc;

use catalog::{Table, TenantId};
use query::traceql::{Error, MetricsRequest, SearchAnswer, SearchRequest, TraceqlConfig, TraceqlEngine, TracesRequest, Window};
use serde_json::json;
use spans::{resources, row};
use support::{World, ns, tenant};
use traceql::memory::Span;
use traceql::value::Kind;

const TRACE: &str = "0102030405060708090a0b0c0d0e0f10";

/// Span `id` of the trace, below `parent`, 0 for none.
fn span(id: u64, parent: u64, start_ns: i64) -> Span {
    Span {
        trace_id: TRACE.to_owned(),
        id: format!("{id:016x}"),
        parent_id: if parent == 0 { String::new() } else { format!("{parent:016x}") },
        name: format!("n{id}"),
        kind: Kind::Internal,
        start_ns,
        duration_ns: 1_000_000,
        ..Span::default()
    }
}

fn engine(world: &World, config: TraceqlConfig) -> Arc<TraceqlEngine> {
    TraceqlEngine::new(Arc::clone(&world.engine), config, tokio::runtime::Handle::current()).unwrap()
}

async fn commit(world: &World, tenant: &TenantId, spans: &[Span]) {
    world.commit(tenant, Table::Resources, resources(spans)).await;
    world.commit(tenant, Table::Spans, json!(spans.iter().map(row).collect::<Vec<_>>())).await;
}

fn request(text: &str) -> SearchRequest {
    SearchRequest { text: text.to_owned(), time: None, limit: 20, spans_per_spanset: 10, timeout: None }
}

/// The spans that a query finds in the only trace, by number.
async fn spans_of(engine: &TraceqlEngine, tenant: &TenantId, text: &str) -> Vec<u64> {
    let answer: SearchAnswer = engine.search(tenant, request(text), None).await.unwrap_or_else(|e| panic!("{text}: {e}"));
    let spansets = answer.traces.into_iter().flat_map(|found| found.spansets);
    spansets.flat_map(|spanset| spanset.spans).map(|span| u64::from_be_bytes(span.id)).collect()
}

fn by_id() -> TracesRequest {
    TracesRequest { ids: vec![hex::decode(TRACE).unwrap().try_into().unwrap()], time: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_of_fifty_thousand_spans() {
    const SPANS: u64 = 50_000;
    let (world, a) = (World::new().await, tenant("a"));
    // A chain as deep as the trace is long, and its parts in another order than time.
    let all: Vec<Span> = (1..=SPANS).map(|id| span(id, id - 1, ns(0) + (SPANS - id) as i64 * 1_000)).collect();
    commit(&world, &a, &all[..20_000]).await;
    commit(&world, &a, &all[20_000..]).await;
    for compacted in [false, true] {
        if compacted {
            world.compact().await;
        }
        let engine = engine(&world, TraceqlConfig::default());
        assert_eq!(spans_of(&engine, &a, r#"{ name = "n49999" } >> { name = "n50000" }"#).await, [50_000]);
        assert_eq!(spans_of(&engine, &a, r#"{ name = "n50000" } >> { name = "n49999" }"#).await, [0; 0]);
        assert_eq!(spans_of(&engine, &a, r#"{ nestedSetParent < 0 } >> { name = "n50000" }"#).await, [50_000]);
        let counted = engine.search(&a, request("{} | count() = 50000"), None).await.unwrap();
        assert_eq!(counted.traces[0].spansets[0].matched, SPANS as usize);
        let traces = engine.traces(&a, by_id()).await.unwrap();
        assert_eq!(traces[0].spans.len(), SPANS as usize);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_that_is_too_long_is_refused_by_name() {
    let (world, a) = (World::new().await, tenant("a"));
    let all: Vec<Span> = (1..=300).map(|id| span(id, id - 1, ns(0) + id as i64)).collect();
    commit(&world, &a, &all).await;
    let whole = self::engine(&world, TraceqlConfig::default()).trace_part(&a, by_id().ids[0], None).await.unwrap().unwrap();
    assert!(whole.is_whole && whole.trace.spans.len() == 300);
    let engine = engine(&world, TraceqlConfig { trace_spans_max: 299, ..TraceqlConfig::default() });
    let error = engine.traces(&a, by_id()).await.unwrap_err();
    assert!(matches!(&error, Error::TraceTooLarge { limit: 299, .. }), "{error}");
    assert_eq!(error.to_string(), format!("trace {TRACE} has more than 299 spans (traceql.trace_spans_max)"));
    let part = engine.trace_part(&a, by_id().ids[0], None).await.unwrap().unwrap();
    assert_eq!((part.is_whole, part.trace.spans), (false, whole.trace.spans[..299].to_vec()));
    // No answer is better than one that leaves it out.
    for text in ["{} >> {}", r#"{ name = "n7" }"#] {
        let error = engine.search(&a, request(text), None).await.unwrap_err();
        assert!(matches!(&error, Error::TraceTooLarge { .. }), "{text}: {error}");
    }
    assert_eq!(spans_of(&engine, &a, r#"{ name = "none" }"#).await, [0; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_that_begin_together_are_all_there() {
    const SPANS: u64 = 10_000;
    let (world, a) = (World::new().await, tenant("a"));
    let all: Vec<Span> = (1..=SPANS).map(|id| span(id, 0, ns(0))).collect();
    commit(&world, &a, &all).await;
    for compacted in [false, true] {
        if compacted {
            world.compact().await;
        }
        let engine = engine(&world, TraceqlConfig::default());
        for text in ["{ trace:duration >= 0s } | count_over_time()", "{} | count_over_time()"] {
            let request = MetricsRequest {
                text: text.to_owned(),
                start_ns: ns(-60),
                end_ns: ns(60),
                step_ns: 0,
                instant: true,
                exemplars: 0,
                series_max: 0,
                timeout: None,
            };
            let series = engine.metrics(&a, request, None).await.unwrap().series;
            assert_eq!(series[0].samples[0].1, SPANS as f64, "{text}");
        }
        let found = engine.search(&a, request("{} | count() = 10000"), None).await.unwrap();
        assert_eq!(found.traces.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn circles_have_no_root() {
    let (world, a) = (World::new().await, tenant("a"));
    // 1 and 2 are each other's parents, 3 is its own, 4 is below 3.
    let all = [span(1, 2, ns(0)), span(2, 1, ns(0) + 1), span(3, 3, ns(0) + 2), span(4, 3, ns(0) + 3)];
    commit(&world, &a, &all).await;
    let engine = engine(&world, TraceqlConfig::default());
    assert_eq!(spans_of(&engine, &a, "{ nestedSetParent < 0 }").await, [0; 0]);
    let answer = engine.search(&a, request("{ kind = internal }"), None).await.unwrap();
    let [found] = answer.traces.as_slice() else { panic!("one trace") };
    assert_eq!((&found.root_name, &found.root_service, found.spansets[0].matched), (&None, &None, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_span_that_comes_again_replaces_itself() {
    let (world, a) = (World::new().await, tenant("a"));
    let (first, mut again) = (span(1, 0, ns(0)), span(1, 0, ns(0)));
    again.name = "longer".to_owned();
    again.duration_ns = 9_000_000;
    commit(&world, &a, &[first.clone(), span(2, 1, ns(0) + 5)]).await;
    commit(&world, &a, &[again]).await;
    for compacted in [false, true] {
        if compacted {
            world.compact().await;
        }
        let engine = engine(&world, TraceqlConfig::default());
        assert_eq!(spans_of(&engine, &a, r#"{ name = "longer" }"#).await, [1]);
        // What it was before is gone, though a file may still have it.
        assert_eq!(spans_of(&engine, &a, r#"{ name = "n1" }"#).await, [0; 0], "{compacted}");
        let traces = engine.traces(&a, by_id()).await.unwrap();
        assert_eq!(traces[0].spans.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), ["longer", "n2"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn client_and_server_may_share_an_id() {
    let (world, a) = (World::new().await, tenant("a"));
    let client = Span { kind: Kind::Client, name: "client".to_owned(), ..span(1, 0, ns(0)) };
    let server = Span { kind: Kind::Server, name: "server".to_owned(), ..span(1, 0, ns(0) + 10) };
    let below = span(2, 1, ns(0) + 20);
    commit(&world, &a, &[client, server, below]).await;
    let engine = engine(&world, TraceqlConfig::default());
    assert_eq!(spans_of(&engine, &a, r#"{ name = "client" } > { name = "server" }"#).await, [1]);
    assert_eq!(spans_of(&engine, &a, r#"{ name = "server" } > { name = "n2" }"#).await, [2]);
    assert_eq!(engine.traces(&a, by_id()).await.unwrap()[0].spans.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_counts_when_any_of_its_spans_is_in_time() {
    let (world, a) = (World::new().await, tenant("a"));
    let mut root = span(1, 0, ns(0));
    root.duration_ns = 600 * 1_000_000_000;
    commit(&world, &a, &[root, span(2, 1, ns(10))]).await;
    world.buffer(&a, Table::Spans, json!([row(&span(3, 1, ns(590)))]));
    let engine = engine(&world, TraceqlConfig::default());
    let found = async |text: &str, from: i64, to: i64| {
        let time = Some(Window { start_ns: ns(from), end_ns: ns(to) });
        engine.search(&a, SearchRequest { time, ..request(text) }, None).await.unwrap().traces.len()
    };
    for text in [r#"{ name = "n2" }"#, r#"{ name = "n3" }"#, r#"{} >> { name = "n3" }"#] {
        assert_eq!(found(text, 100, 200).await, 1, "{text}: only the root is there then");
        assert_eq!(found(text, -200, -100).await, 0, "{text}");
        assert_eq!(found(text, 601, 700).await, 0, "{text}");
        assert_eq!(found(text, 600, 700).await, 1, "{text}: both ends are included");
    }
}
