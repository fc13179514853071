//! Series, labels, metadata and cardinality as the Prometheus API asks for them.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use catalog::{Table, TenantId};
use promql::parse::parse_selector;
use query::promql::{ErrorType, MetadataRequest, PromqlConfig, PromqlEngine, SeriesRequest, TimeMs};
use serde_json::json;
use support::{NEW_YEAR_MS, World, sample, series, tenant};

const DAY_MS: i64 = 86_400_000;

fn engine(world: &World, config: PromqlConfig) -> Arc<PromqlEngine> {
    PromqlEngine::new(Arc::clone(&world.engine), config, tokio::runtime::Handle::current()).unwrap()
}

/// Two metrics in a file, a third in memory; one of the second day in a file of its own.
async fn world() -> (World, TenantId) {
    let world = World::new().await;
    let a = tenant("a");
    let rows = json!([
        series("up", 1, json!({"job": "api", "instance": "h1"})),
        series("up", 2, json!({"job": "db", "instance": "h2"})),
        series("http_requests_total", 3, json!({"job": "api", "code": "200", "empty": ""})),
    ]);
    world.commit(&a, Table::Series, rows).await;
    world.buffer(
        &a,
        Table::Series,
        json!([series("down", 4, json!({"Zone": "x", "job": "api"})), series("up", 1, json!({"job": "api", "instance": "h1"}))]),
    );
    world.buffer(&a, Table::Samples, json!([sample("down", 4, 10, 1.0)]));
    let mut later = series("later", 5, json!({"job": "late"}));
    later["ts"] = json!(NEW_YEAR_MS + DAY_MS);
    world.commit(&a, Table::Series, json!([later])).await;
    (world, a)
}

fn request(selectors: &[&str], time: TimeMs, limit: usize) -> SeriesRequest {
    SeriesRequest { selectors: selectors.iter().map(|s| parse_selector(s).unwrap()).collect(), time, limit }
}

fn first_day() -> TimeMs {
    TimeMs { start_ms: NEW_YEAR_MS, end_ms: NEW_YEAR_MS + 1_000 }
}

#[tokio::test]
async fn series_come_as_label_sets() {
    let (world, a) = world().await;
    let engine = engine(&world, PromqlConfig::default());
    let check = async |selectors: &[&str], time: TimeMs, expected: &[&str]| {
        let found = engine.series(&a, request(selectors, time, 0)).await.unwrap();
        assert_eq!(found.items.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{selectors:?}");
        assert!(!found.truncated);
    };
    let api = r#"{__name__="up", instance="h1", job="api"}"#;
    let db = r#"{__name__="up", instance="h2", job="db"}"#;
    let http = r#"{__name__="http_requests_total", code="200", job="api"}"#;
    // Names sort by bytes: upper case comes before the underscore of the metric's name.
    let down = r#"{Zone="x", __name__="down", job="api"}"#;
    check(&["up"], first_day(), &[api, db]).await;
    check(&[r#"{job="api"}"#], first_day(), &[down, http, api]).await;
    check(&[r#"{__name__=~"up|down",instance!="h2"}"#, r#"up{instance="h2"}"#], first_day(), &[down, api, db]).await;
    check(&["nothing"], first_day(), &[]).await;
    check(&[r#"{job="late"}"#], first_day(), &[]).await;
    check(&[r#"{job="late"}"#], TimeMs::default(), &[r#"{__name__="later", job="late"}"#]).await;
    let cut = engine.series(&a, request(&["up"], first_day(), 1)).await.unwrap();
    assert_eq!((cut.items.len(), cut.truncated), (1, true));
    let others = engine.series(&tenant("b"), request(&["up"], first_day(), 0)).await.unwrap();
    assert!(others.items.is_empty(), "tenants do not see each other");
}

#[tokio::test]
async fn labels_come_by_name_and_value() {
    let (world, a) = world().await;
    let engine = engine(&world, PromqlConfig::default());
    let names = async |selectors: &[&str]| engine.label_names(&a, request(selectors, first_day(), 0)).await.unwrap().items;
    assert_eq!(names(&["up"]).await, ["__name__", "instance", "job"]);
    assert_eq!(names(&["down"]).await, ["Zone", "__name__", "job"]);
    assert!(names(&[]).await.contains(&"code".to_owned()));
    let values = async |name: &str, selectors: &[&str]| {
        engine.label_values(&a, name, request(selectors, first_day(), 0)).await.unwrap().items
    };
    assert_eq!(values("job", &[]).await, ["api", "db"]);
    assert_eq!(values("__name__", &[r#"{job="api"}"#]).await, ["down", "http_requests_total", "up"]);
    assert_eq!(values("instance", &[r#"up{job="db"}"#]).await, ["h2"]);
    assert!(values("empty", &[]).await.is_empty(), "an empty label is an absent one");
}

#[tokio::test]
async fn limits_are_named() {
    let (world, a) = world().await;
    let engine = engine(&world, PromqlConfig { series_max: 1, ..PromqlConfig::default() });
    let error = engine.series(&a, request(&["up"], first_day(), 0)).await.unwrap_err();
    assert_eq!(error.error_type(), ErrorType::Execution);
    assert_eq!(error.to_string(), "query needs 2 series, limit promql.series_max is 1");
}

#[tokio::test]
async fn metadata_is_the_newest_word() {
    let (world, a) = world().await;
    let engine = engine(&world, PromqlConfig::default());
    let said = |metric: &str, second: i64, help: &str| json!({"metric": metric, "ts": NEW_YEAR_MS + second * 1_000, "type": "gauge", "unit": "", "help": help});
    world.commit(&a, Table::Metadata, json!([said("up", 0, "old"), said("down", 0, "x")])).await;
    world.buffer(&a, Table::Metadata, json!([said("up", 9, "new"), said("up", 10, "new")]));
    let list = async |request: MetadataRequest| {
        let found = engine.metadata(&a, request).await.unwrap();
        found
            .iter()
            .map(|(m, said)| format!("{m}: {}", said.iter().map(|s| &*s.help).collect::<Vec<_>>().join(",")))
            .collect::<Vec<_>>()
    };
    assert_eq!(list(MetadataRequest::default()).await, ["down: x", "up: new,old"]);
    assert_eq!(list(MetadataRequest { metric: Some("up".into()), limit_per_metric: 1, ..Default::default() }).await, ["up: new"]);
    assert_eq!(list(MetadataRequest { limit: 1, ..Default::default() }).await, ["down: x"]);
}

#[tokio::test]
async fn cardinality_counts_each_series_once() {
    let (world, a) = world().await;
    let engine = engine(&world, PromqlConfig::default());
    let counted = engine.cardinality(&a, 1).await.unwrap();
    assert_eq!((counted.series, counted.fresh_samples), (4, 1));
    assert_eq!(counted.series_by_metric, [("up".to_owned(), 2)]);
    assert_eq!(counted.series_by_pair, [("job=api".to_owned(), 3)]);
    assert_eq!(counted.time_ms, Some((NEW_YEAR_MS + 10_000, NEW_YEAR_MS + 10_000)));
}
