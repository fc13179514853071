//! Every table over a lake in memory: files, fresh rows, and both.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use catalog::{ErrorKind, Level, Table};
use query::{QueryConfig, QueryLimits};
use serde_json::{Value, json};
use support::{World, batch, cells, draw, ns, run, sample, series, tenant};

/// Two series in a file, a third row of the first one in memory.
async fn metrics() -> World {
    let world = World::new().await;
    let a = tenant("a");
    world.commit(&a, Table::Series, json!([series("up", 1, json!({"job": "api"})), series("up", 2, json!({"job": "db"}))])).await;
    world.commit(&a, Table::Samples, json!([sample("up", 1, 0, 1.0), sample("up", 2, 0, 0.0), sample("up", 1, 15, 2.0)])).await;
    world.buffer(&a, Table::Samples, json!([sample("up", 1, 30, 3.0), sample("up", 1, 15, 2.5)]));
    world
}

#[track_caller]
fn check(drawn: &str, expected: &[&[&str]]) {
    assert_eq!(cells(drawn), expected, "\n{drawn}");
}

#[tokio::test]
async fn an_empty_lake_has_empty_tables() {
    let world = World::new().await;
    let a = tenant("a");
    for table in
        ["metrics", "series", "histograms", "exemplars", "metadata", "logs", "streams", "spans", "span_events", "resources"]
    {
        assert_eq!(cells(&world.sql(&a, &format!("SELECT * FROM {table}")).await).len(), 0, "{table}");
        check(&world.sql(&a, &format!("SELECT count(*) FROM {table}")).await, &[&["0"]]);
    }
    check(&world.sql(&a, "SELECT count(*) FROM system.files").await, &[&["0"]]);
}

#[tokio::test]
async fn samples_come_with_labels_and_once() {
    let world = metrics().await;
    let a = tenant("a");
    // The row in memory was written last: 2.5, not 2.
    check(
        &world.sql(&a, "SELECT metric, labels['job'] job, value FROM metrics ORDER BY ts, job").await,
        &[&["up", "api", "1.0"], &["up", "db", "0.0"], &["up", "api", "2.5"], &["up", "api", "3.0"]],
    );
    check(&world.sql(&a, "SELECT count(*), sum(value) FROM metrics").await, &[&["4", "6.5"]]);
    check(&world.sql(&a, "SELECT value FROM metrics WHERE labels['job'] = 'db'").await, &[&["0.0"]]);
    check(&world.sql(&a, "SELECT count(*) FROM metrics WHERE labels['job'] LIKE 'a%' AND value > 1").await, &[&["2"]]);
    check(&world.sql(&a, "SELECT count(*) FROM metrics WHERE label(labels, 'none') = ''").await, &[&["4"]]);
    check(&world.sql(&a, "SELECT count(*) FROM metrics WHERE attr(labels, 'none') IS NULL").await, &[&["4"]]);
    check(&world.sql(&a, "SELECT count(*) FROM metrics WHERE ts >= '2026-01-01T00:00:15Z'").await, &[&["2"]]);
    check(&world.sql(&a, "SELECT ts FROM metrics ORDER BY ts DESC LIMIT 1").await, &[&["2026-01-01T00:00:30Z"]]);
}

#[tokio::test]
async fn dictionaries_have_one_row_a_day() {
    let world = metrics().await;
    let a = tenant("a");
    world.commit(&a, Table::Series, json!([series("up", 1, json!({"job": "api"}))])).await;
    world.buffer(&a, Table::Series, json!([series("up", 2, json!({"job": "db"})), series("up", 3, json!({}))]));
    check(
        &world.sql(&a, "SELECT sid, label(labels, 'job') FROM series ORDER BY sid").await,
        &[&["1", "api"], &["2", "db"], &["3", ""]],
    );
    let meta =
        |second: i64, help: &str| json!({"metric": "up", "ts": support::NEW_YEAR_MS + second, "type": "gauge", "help": help});
    world.commit(&a, Table::Metadata, json!([meta(0, "old")])).await;
    world.commit(&a, Table::Metadata, json!([meta(5, "new")])).await;
    check(&world.sql(&a, "SELECT metric, type, help FROM metadata").await, &[&["up", "gauge", "new"]]);
}

fn log(second: i64, service: &str, body: &str, more: Value) -> Value {
    let mut row = json!({"service": service, "stream_id": 5, "ts": ns(second), "seq": second, "level": "info", "body": body,
        "resource_id": 9, "trace_id": "0102030405060708090a0b0c0d0e0f10"});
    row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    row
}

#[tokio::test]
async fn logs_show_one_attribute_map_and_their_resource() {
    let world = World::new().await;
    let a = tenant("a");
    world.commit(&a, Table::Streams, json!([{"service": "api", "stream_id": 5, "ts": ns(0), "labels": {"app": "shop"}}])).await;
    world
        .commit(
            &a,
            Table::Resources,
            json!([{"resource_id": 9, "ts": ns(0), "service": "api",
        "attrs_str": {"host": "h1"}, "attrs_int": {"pid": 7}}]),
        )
        .await;
    let first = log(
        0,
        "api",
        "connection timeout",
        json!({"attrs_str": {"k": "v"}, "attrs_int": {"code": 500}, "attrs_bool": {"ok": false}}),
    );
    world.commit(&a, Table::Logs, json!([first, log(1, "api", "fine", json!({"resource_id": null}))])).await;
    world.buffer(&a, Table::Logs, json!([log(2, "web", "timeout again", json!({"level": "error"}))]));
    check(
        &world
            .sql(&a, "SELECT service, body, attributes['code'] c, resource['pid'] p, labels['app'] l FROM logs ORDER BY ts")
            .await,
        &[
            &["api", "connection timeout", "500", "7", "shop"],
            &["api", "fine", "", "", "shop"],
            &["web", "timeout again", "", "7", "shop"],
        ],
    );
    let counts = [
        ("body LIKE '%timeout%'", "2"),
        ("strpos(body, 'timeout') > 0", "2"),
        ("body ~ 'time.ut'", "2"),
        ("trace_id = '0102030405060708090a0b0c0d0e0f10'", "3"),
        ("trace_id = '0102030405060708090A0B0C0D0E0F10'", "0"),
        ("trace_id = 'zz'", "0"),
        ("attributes['code'] = '500'", "1"),
        ("attributes['k'] = 'v'", "1"),
        ("attributes['ok'] = 'false'", "1"),
        ("resource['host'] = 'h1'", "2"),
        ("resource['host'] IS NULL", "1"),
        ("labels['app'] = 'shop' AND level = 'error'", "1"),
        ("labels['app'] = 'none'", "0"),
        ("service IN ('web', 'x') OR service = 'y'", "1"),
        ("ts BETWEEN '2026-01-01T00:00:01Z' AND '2026-01-01T00:00:02Z'", "2"),
        ("ts > now() - INTERVAL '2 hours'", "3"),
    ];
    for (filter, expected) in counts {
        check(&world.sql(&a, &format!("SELECT count(*) FROM logs WHERE {filter}")).await, &[&[expected]]);
    }
    assert_eq!(world.sql(&a, "SELECT * FROM logs").await.lines().count(), 7);
}

#[tokio::test]
async fn spans_and_their_events() {
    let world = World::new().await;
    let a = tenant("a");
    let event = |name: &str| json!({"ts": ns(1), "name": name, "attrs": {"exception.type": "\"E\""}});
    let link = json!({"trace_id": "ff".repeat(16), "span_id": "ee".repeat(8), "attrs": {}});
    let span = |id: u8, kind: i32, status: i32, events: Value| {
        json!({"trace_id": format!("{id:02x}").repeat(16), "span_id": format!("{id:02x}").repeat(8), "ts": ns(i64::from(id)),
            "duration_ns": i64::from(id) * 1_000, "service": "api", "name": "GET /", "kind": kind, "status_code": status,
            "resource_id": 1, "events": events, "links": [link], "attrs_str": {"http.method": "GET"}})
    };
    world.commit(&a, Table::Spans, json!([span(1, 2, 0, json!([event("one"), event("two")])), span(2, 3, 2, json!(null))])).await;
    world.buffer(&a, Table::Spans, json!([span(3, 9, 1, json!([]))]));
    check(
        &world.sql(&a, "SELECT kind, status, duration_ns, span_id, links[1]['span_id'] l, attributes['http.method'] m FROM spans ORDER BY ts").await,
        &[
            &["server", "unset", "1000", "0101010101010101", "eeeeeeeeeeeeeeee", "GET"],
            &["client", "error", "2000", "0202020202020202", "eeeeeeeeeeeeeeee", "GET"],
            &["9", "ok", "3000", "0303030303030303", "eeeeeeeeeeeeeeee", "GET"],
        ],
    );
    check(
        &world.sql(&a, "SELECT name, span_name, attributes['exception.type'] t FROM span_events ORDER BY name").await,
        &[&["one", "GET /", "\"E\""], &["two", "GET /", "\"E\""]],
    );
    check(&world.sql(&a, "SELECT count(*) FROM span_events WHERE service = 'api' AND name = 'one'").await, &[&["1"]]);
    check(&world.sql(&a, "SELECT count(*) FROM spans WHERE kind = 'client' AND status = 'error'").await, &[&["1"]]);
    check(&world.sql(&a, "SELECT count(*) FROM spans WHERE duration_ns >= 2000").await, &[&["2"]]);
}

#[tokio::test]
async fn histograms_and_exemplars() {
    let world = metrics().await;
    let a = tenant("a");
    let histogram = json!({"metric": "lat", "sid": 1, "ts": support::NEW_YEAR_MS, "schema": 3, "sum": 1.5, "count": 4,
        "zero_threshold": 0.0, "positive_offsets": [0], "positive_lengths": [2], "positive_counts": [1, 3]});
    world.commit(&a, Table::Histograms, json!([histogram])).await;
    check(&world.sql(&a, "SELECT labels['job'] j, count, positive_counts c FROM histograms").await, &[&["api", "4", "[1, 3]"]]);
    let exemplar = json!({"metric": "lat", "sid": 2, "ts": support::NEW_YEAR_MS, "value": 0.5, "labels": {"x": "y"}, "span_id": "ab".repeat(8)});
    world.commit(&a, Table::Exemplars, json!([exemplar])).await;
    check(
        &world.sql(&a, "SELECT labels['job'] j, exemplar_labels['x'] x, span_id, trace_id FROM exemplars").await,
        &[&["db", "y", "abababababababab", ""]],
    );
}

#[tokio::test]
async fn a_session_sees_one_state() {
    let world = metrics().await;
    let a = tenant("a");
    let before = world.lake.catalog().snapshot().id();
    let session = world.session(&a);
    world.commit(&a, Table::Samples, json!([sample("up", 1, 60, 9.0)])).await;
    let count = "SELECT count(*) FROM metrics";
    check(&draw(&run(&session, count).await.unwrap()), &[&["4"]]);
    check(&world.sql(&a, count).await, &[&["5"]]);
    // Back in time there are only files.
    let past = world.engine.session_at(&a, QueryLimits::default(), before).await.unwrap();
    check(&draw(&run(&past, count).await.unwrap()), &[&["3"]]);
    let error = world.engine.session_at(&a, QueryLimits::default(), 10_000).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn tenants_see_only_their_own() {
    let world = metrics().await;
    let b = tenant("b");
    world.commit(&b, Table::Logs, json!([log(0, "b-service", "b", json!({}))])).await;
    check(&world.sql(&b, "SELECT count(*) FROM metrics").await, &[&["0"]]);
    check(&world.sql(&b, "SELECT count(*) FROM series").await, &[&["0"]]);
    check(&world.sql(&b, "SELECT DISTINCT \"table\" FROM system.files").await, &[&["logs"]]);
    check(&world.sql(&b, "SELECT rows FROM system.tables WHERE \"table\" = 'samples'").await, &[&["0"]]);
    let catalogs = world.sql(&b, "SELECT DISTINCT table_catalog, table_schema FROM information_schema.tables ORDER BY 2").await;
    check(
        &catalogs,
        &[&["telelake", "information_schema"], &["telelake", "public"], &["telelake", "system"], &["telelake", "usage"]],
    );
}

#[tokio::test]
async fn plans_say_what_is_read() {
    let world = metrics().await;
    let a = tenant("a");
    let plan = world.sql(&a, "EXPLAIN SELECT value FROM metrics WHERE metric = 'up' AND labels['job'] = 'api'").await;
    for part in
        ["LakeScanExec: table=metrics, snapshot=2, files=1/1", "fresh_rows=2", "metric in (\"up\")", "sid in 1 ids", "sid in (1)"]
    {
        assert!(plan.contains(part), "{part} in {plan}");
    }
    let plan = world.sql(&a, "EXPLAIN SELECT value FROM metrics WHERE ts > '2027-01-01T00:00:00Z'").await;
    assert!(plan.contains("files=0/1") && plan.contains("pruned_by_time=1") && plan.contains("fresh_rows=0"), "{plan}");
    let plan = world.sql(&a, "EXPLAIN ANALYZE SELECT value FROM metrics").await;
    assert!(plan.contains("bytes_read=") && plan.contains("duplicates=1"), "{plan}");
    world.commit(&a, Table::Logs, json!([log(0, "s", "b", json!({}))])).await;
    let plan = world.sql(&a, "EXPLAIN SELECT count(*) FROM logs").await;
    assert!(!plan.contains("LakeScanExec"), "the manifest knows the count: {plan}");
}

#[tokio::test]
async fn duplicates_between_files_and_inside_one() {
    let world = World::new().await;
    let a = tenant("a");
    let rows = |value: f64| Value::from((0..200).map(|i| sample("m", i % 7, i / 7, value)).collect::<Vec<_>>());
    for value in 1..=4 {
        world.commit(&a, Table::Samples, rows(f64::from(value))).await;
    }
    check(&world.sql(&a, "SELECT count(*), min(value), max(value) FROM metrics").await, &[&["200", "4.0", "4.0"]]);
    world.buffer(&a, Table::Samples, rows(5.0));
    check(&world.sql(&a, "SELECT count(*), min(value), max(value) FROM metrics").await, &[&["200", "5.0", "5.0"]]);
    let b = tenant("b");
    world.commit(&b, Table::Samples, json!([sample("m", 1, 0, 1.0), sample("m", 1, 0, 2.0), sample("m", 1, 1, 3.0)])).await;
    check(&world.sql(&b, "SELECT value FROM metrics ORDER BY ts").await, &[&["2.0"], &["3.0"]]);
}

#[tokio::test]
async fn limits_are_named() {
    let config = QueryConfig {
        partitions: 1,
        limits: QueryLimits { memory_bytes_max: 1 << 20, ..QueryLimits::default() },
        ..QueryConfig::default()
    };
    let world = World::with(config.clone()).await;
    let a = tenant("a");
    for hour in 0..3 {
        world.commit(&a, Table::Logs, json!([log(hour * 7_200, "s", "b", json!({}))])).await;
    }
    let error = async |limits: QueryLimits, text: &str| {
        let session = world.engine.session(&a, limits).unwrap();
        run(&session, text).await.unwrap_err()
    };
    let two = QueryLimits { files_max: 2, ..QueryLimits::default() };
    let files = error(two, "SELECT body FROM logs").await;
    assert_eq!(files.to_string(), "query needs 3 files, limit query.limits.files_max is 2");
    let bytes = error(QueryLimits { scan_bytes_max: 10, ..QueryLimits::default() }, "SELECT body FROM logs").await;
    assert_eq!(bytes.kind(), ErrorKind::TooLarge);
    let sort = "SELECT value FROM generate_series(1, 1000000) ORDER BY value DESC";
    let memory = error(config.limits.clone(), sort).await;
    assert_eq!(memory.to_string(), "query needs more than 1 MiB of memory, limit query.limits.memory_bytes_max");
    for (text, function) in [
        ("SELECT repeat('x', 2000000000)", "repeat"),
        ("SELECT lpad('x', 2000000000, 'y')", "lpad"),
        ("SELECT range(1, 1000000000000)", "range"),
        ("SELECT * FROM generate_series(1, 1000000000000)", "generate_series"),
        ("SELECT array_repeat(1, 1000000000)", "array_repeat"),
        ("SELECT replace(repeat('x', 100000), 'x', repeat('y', 100000))", "replace"),
    ] {
        let error = error(QueryLimits::default(), text).await;
        assert!(error.to_string().starts_with(&format!("{function} would make")), "{text}: {error}");
        assert_eq!(error.kind(), ErrorKind::TooLarge);
    }
}

#[tokio::test]
async fn nothing_else_can_be_named() {
    let world = World::new().await;
    let session = world.session(&tenant("a"));
    for text in [
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM 'file:///etc/passwd'",
        "SELECT * FROM other.public.metrics",
        "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '/etc'",
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT * FROM t",
        "SELECT no_such_column FROM metrics",
        "SELECT input_file_name()",
    ] {
        assert!(run(&session, text).await.is_err(), "{text}");
    }
}

#[tokio::test]
async fn levels_do_not_change_an_answer() {
    let world = metrics().await;
    let a = tenant("a");
    let answer = "SELECT ts, metric, labels['job'] j, value FROM metrics ORDER BY ts, j";
    let before = world.sql(&a, answer).await;
    let rows = batch(Table::Samples, json!([sample("up", 1, 0, 1.0), sample("up", 2, 0, 0.0), sample("up", 1, 15, 2.0)]));
    let files = world.lake.write(&a, Table::Samples, Level::L1, vec![rows]).await.unwrap();
    let operations = files.into_iter().map(|f| catalog::manifest::Operation::AddFile { file: Box::new(f) }).collect();
    world.lake.catalog().commit(operations).await.unwrap();
    assert_eq!(world.sql(&a, answer).await, before);
}
