//! The examples of FUNCTIONS.md, run one by one; `UPDATE_EXPECT=1` writes the answers into it.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../../query/tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::sync::Arc;

use catalog::Table;
use query::{logql, promql, traceql};
use serde_json::json;
use support::{World, draw, ns, run, sample, series, tenant};

async fn world() -> World {
    let (world, a) = (World::new().await, tenant("a"));
    let mut all =
        vec![series("requests_total", 1, json!({"job": "api", "zone": "eu"})), series("requests_total", 2, json!({"job": "db"}))];
    let mut samples = Vec::new();
    for step in 0..9 {
        samples.push(sample("requests_total", 1, step * 15, step as f64 * 30.0));
        samples.push(sample("requests_total", 2, step * 15, step as f64 * 3.0));
    }
    for (at, (le, count)) in [("0.1", 10.0), ("0.5", 30.0), ("+Inf", 40.0)].into_iter().enumerate() {
        all.push(series("seconds_bucket", 10 + at as i64, json!({"job": "web", "le": le})));
        samples.push(sample("seconds_bucket", 10 + at as i64, 60, count));
    }
    world.commit(&a, Table::Series, json!(all)).await;
    world.commit(&a, Table::Samples, json!(samples)).await;
    let resources = json!([{"resource_id": 9, "service": "shop", "ts": ns(0), "attrs_str": {"host.name": "h1"}}]);
    world.commit(&a, Table::Resources, resources).await;
    let streams = json!([{"stream_id": 5, "service": "shop", "ts": ns(0), "labels": {"service_name": "shop"}}]);
    world.commit(&a, Table::Streams, streams).await;
    let line = |second: i64, body: &str, attrs: serde_json::Value| json!({"ts": ns(second), "service": "shop", "body": body, "stream_id": 5, "resource_id": 9, "attrs_str": attrs});
    let lines = json!([line(1, "order placed", json!({"user": "ann"})), line(2, "order paid", json!({}))]);
    world.commit(&a, Table::Logs, lines).await;
    let spans = json!([{
        "ts": ns(0), "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7",
        "service": "shop", "name": "pay", "duration_ns": 1_000_000, "resource_id": 9,
    }]);
    world.commit(&a, Table::Spans, spans).await;
    let handle = tokio::runtime::Handle::current();
    promql::PromqlEngine::new(Arc::clone(&world.engine), promql::PromqlConfig::default(), handle.clone()).unwrap();
    logql::LogqlEngine::new(Arc::clone(&world.engine), logql::LogqlConfig::default(), handle.clone()).unwrap();
    traceql::TraceqlEngine::new(Arc::clone(&world.engine), traceql::TraceqlConfig::default(), handle).unwrap();
    world
}

#[tokio::test]
async fn every_example_answers_as_written() {
    let world = world().await;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("FUNCTIONS.md");
    let written = std::fs::read_to_string(&path).unwrap();
    let mut parts = written.split("```sql\n");
    let (mut actual, mut examples) = (parts.next().unwrap().to_owned(), 0);
    for part in parts {
        let (statement, rest) = part.split_once("```\n```text\n").expect("an example has an answer");
        let (_, rest) = rest.split_once("```\n").expect("an answer ends");
        let answer = match run(&world.session(&tenant("a")), statement).await {
            Ok(batches) => draw(&batches),
            Err(error) => panic!("{statement}: {error}"),
        };
        actual.push_str(&format!("```sql\n{statement}```\n```text\n{answer}\n```\n{rest}"));
        examples += 1;
    }
    assert!(examples > 10);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &actual).unwrap();
    } else {
        assert!(actual == written, "answers differ from FUNCTIONS.md:\n{actual}");
    }
}
