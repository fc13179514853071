//! Series, labels, metadata and cardinality as the Prometheus API asks for them.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use catalog::{Table, TenantId};
use promql::parse::parse_selector;
use query::promql::{DeleteRequest, ErrorType, MetadataRequest, PromqlConfig, PromqlEngine, SeriesRequest, TimeMs};
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

/// Seconds of the new year, both included.
fn seconds(from: i64, to: i64) -> TimeMs {
    TimeMs { start_ms: NEW_YEAR_MS + from * 1_000, end_ms: NEW_YEAR_MS + to * 1_000 }
}

#[tokio::test]
async fn series_without_a_sample_left_are_not_listed() {
    let (world, a) = (World::new().await, tenant("a"));
    let engine = engine(&world, PromqlConfig::default());
    let dictionary =
        [("up", 1, "api"), ("up", 2, "db"), ("down", 3, "db")].map(|(m, sid, job)| series(m, sid, json!({"job": job})));
    world.commit(&a, Table::Series, json!(dictionary)).await;
    let samples = [("up", 1, 10), ("up", 1, 100), ("up", 2, 10), ("down", 3, 10)].map(|(m, sid, at)| sample(m, sid, at, 1.0));
    world.commit(&a, Table::Samples, json!(samples)).await;
    let delete = async |selector: &str, time: TimeMs| {
        let selectors = vec![parse_selector(selector).unwrap()];
        engine.delete_series(&a, DeleteRequest { selectors, time }).await.unwrap();
    };
    let jobs = async |selectors: &[&str], time: TimeMs| {
        let listed = engine.series(&a, request(selectors, time, 0)).await.unwrap().items;
        let values = engine.label_values(&a, "job", request(selectors, time, 0)).await.unwrap().items;
        let distinct: std::collections::BTreeSet<String> = listed.iter().map(|labels| labels.get("job").to_owned()).collect();
        assert_eq!(values, distinct.into_iter().collect::<Vec<_>>());
        let names = engine.label_names(&a, request(selectors, time, 0)).await.unwrap().items;
        assert_eq!(names.is_empty(), listed.is_empty());
        listed.iter().map(|labels| format!("{}:{}", labels.metric(), labels.get("job"))).collect::<Vec<_>>()
    };
    let in_sql = async || support::cells(&world.sql(&a, "SELECT sid FROM series ORDER BY sid").await).concat();
    let all = seconds(0, 1_000);

    delete(r#"up{job="db"}"#, TimeMs::default()).await;
    assert_eq!(jobs(&["up"], all).await, ["up:api"], "at once");
    assert_eq!(jobs(&[], all).await, ["down:db", "up:api"]);
    assert_eq!((in_sql().await, engine.cardinality(&a, 0).await.unwrap().series), (vec!["1".to_owned(), "3".to_owned()], 2));
    delete("up", seconds(0, 50)).await;
    assert_eq!(jobs(&["up"], seconds(0, 50)).await, [""; 0], "nothing is left in the time asked for");
    assert_eq!(jobs(&["up"], all).await, ["up:api"], "one sample is left");
    assert_eq!(jobs(&[], seconds(0, 50)).await, ["down:db"]);
    assert_eq!(jobs(&[], seconds(60, 70)).await, ["down:db", "up:api"], "to the day where nothing was deleted");

    world.compact().await;
    assert_eq!((jobs(&[], all).await, in_sql().await.len()), (vec!["down:db".to_owned(), "up:api".to_owned()], 2));
    assert_eq!(world.lake.catalog().snapshot().delete_predicates(&a).count(), 0, "no file needs them");

    delete("down", TimeMs::default()).await;
    world.buffer(&a, Table::Series, json!([series("up", 2, json!({"job": "db"})), series("down", 3, json!({"job": "db"}))]));
    world.buffer(&a, Table::Samples, json!([sample("up", 2, 10, 2.0), sample("down", 3, 10, 2.0)]));
    assert_eq!(jobs(&[], all).await, ["down:db", "up:api", "up:db"], "what came later is there");
    world.flush(&a).await;
    world.compact().await;
    assert_eq!(jobs(&[], all).await, ["down:db", "up:api", "up:db"]);
    assert_eq!(support::cells(&world.sql(&a, "SELECT count(*) FROM metrics").await), [["3".to_owned()]]);
}
