//! LogQL as a table of SQL: the same answers as the API's, and errors that say where; JSON and logfmt in bodies.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use catalog::{ErrorKind, Table, TenantId};
use query::logql::{Direction, InstantQuery, LogqlConfig, LogqlEngine, RangeQuery, Value};
use query::{QueryConfig, QueryLimits};
use serde_json::json;
use support::{NEW_YEAR_MS, World, cells, ns, run, tenant};

const START_NS: i64 = NEW_YEAR_MS * 1_000_000;
const SECOND_NS: i64 = 1_000_000_000;
const SPAN: &str = "'2026-01-01T00:00:00Z', '2026-01-01T00:02:00Z'";

fn body(i: i64) -> String {
    match i % 4 {
        0 => format!("level=info n={i} msg=\"it is fine\""),
        1 => format!("level=error n={i} msg=\"timeout at \\\"db\\\"\""),
        2 => format!(r#"{{"level": "error", "n": {i}, "tags": ["a", "b"]}}"#),
        _ => "neither".to_owned(),
    }
}

async fn world() -> (World, TenantId, Arc<LogqlEngine>) {
    let world = World::new().await;
    let a = tenant("a");
    let streams = ["api", "db"]
        .iter()
        .zip(0..)
        .map(|(app, id)| json!({"service": app, "stream_id": id, "ts": ns(0), "labels": {"app": app}}));
    world.commit(&a, Table::Streams, json!(streams.collect::<Vec<_>>())).await;
    let log = |i: i64| {
        json!({"service": if i % 2 == 0 { "api" } else { "db" }, "stream_id": i % 2, "ts": ns(i), "seq": i, "level": "info", "body": body(i),
            "attrs_str": {"pod": format!("p{}", i % 3)}})
    };
    world.commit(&a, Table::Logs, json!((0..60).map(log).collect::<Vec<_>>())).await;
    world.commit(&a, Table::Logs, json!((60..90).map(log).collect::<Vec<_>>())).await;
    world.buffer(&a, Table::Logs, json!((90..120).map(log).collect::<Vec<_>>()));
    let engine = LogqlEngine::new(Arc::clone(&world.engine), LogqlConfig::default(), tokio::runtime::Handle::current()).unwrap();
    (world, a, engine)
}

fn query(text: &str) -> RangeQuery {
    RangeQuery {
        text: text.to_owned(),
        start_ns: START_NS,
        end_ns: START_NS + 120 * SECOND_NS,
        step_ns: 30 * SECOND_NS,
        interval_ns: 0,
        limit: 5_000,
        direction: Direction::Forward,
        timeout: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_those_of_the_api() {
    let (world, a, engine) = world().await;
    for text in [
        r#"{app="api"}"#,
        r#"{app=~".+"} |= "error""#,
        r#"{app=~".+"} | logfmt | level="error" | line_format "{{.n}}""#,
        r#"{app="api"} | json | drop __error__, __error_details__"#,
        r#"{app="none"}"#,
    ] {
        let Value::Streams(streams) = engine.range(&a, query(text)).await.unwrap().value else { panic!("streams") };
        let mut expected: Vec<Vec<String>> = Vec::new();
        for stream in &streams {
            for entry in &stream.entries {
                let mut labels: Vec<_> =
                    [&stream.labels, &entry.metadata, &entry.parsed].into_iter().flat_map(|l| l.iter()).collect();
                labels.sort();
                let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}: {value}")).collect();
                let ts = (entry.ts_ns - START_NS) / SECOND_NS;
                expected.push(vec![ts.to_string(), format!("{{{}}}", labels.join(", ")), entry.line.clone(), String::new()]);
            }
        }
        let asked =
            format!("SELECT (CAST(ts AS BIGINT) - {START_NS}) / {SECOND_NS}, labels, line, value FROM logql('{text}', {SPAN})");
        let mut found = cells(&world.sql(&a, &asked).await);
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{text}");
        let count = cells(&world.sql(&a, &format!("SELECT count(*) FROM logql('{text}', {SPAN})")).await);
        assert_eq!(count, [[expected.len().to_string()]], "{text}: nobody looks at a column");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_those_of_the_api() {
    let (world, a, engine) = world().await;
    let text = r#"sum by (app) (count_over_time({app=~".+"} [30s]))"#;
    let Value::Matrix(matrix) = engine.range(&a, query(text)).await.unwrap().value else { panic!("a matrix") };
    let expected: Vec<Vec<String>> = matrix
        .iter()
        .flat_map(|series| series.points.iter().map(|(at, value)| (series.labels[0].1.to_string(), *at, *value)))
        .map(|(app, at, value)| vec![app, ((at - START_NS) / SECOND_NS).to_string(), format!("{value:?}"), String::new()])
        .collect();
    assert!(expected.len() >= 8);
    let columns = format!("labels['app'], (CAST(ts AS BIGINT) - {START_NS}) / {SECOND_NS}, value, line");
    for step in ["'30s'", "30", "INTERVAL '30 seconds'"] {
        let found = cells(&world.sql(&a, &format!("SELECT {columns} FROM logql('{text}', {SPAN}, {step})")).await);
        assert_eq!(found, expected, "{step}");
    }
    let query = InstantQuery { text: text.to_owned(), time_ns: START_NS + 120 * SECOND_NS, timeout: None };
    let Value::Vector(elements) = engine.instant(&a, query).await.unwrap().value else { panic!("a vector") };
    let found = cells(&world.sql(&a, &format!("SELECT {columns} FROM logql('{text}', {SPAN})")).await);
    let expected: Vec<Vec<String>> = elements
        .iter()
        .map(|one| vec![one.labels[0].1.to_string(), "120".into(), format!("{:?}", one.value), String::new()])
        .collect();
    assert_eq!(found, expected, "without a step, at the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_a_table_like_others() {
    let (world, a, _engine) = world().await;
    let ask = async |text: &str| cells(&world.sql(&a, text).await);
    let all = format!(r#"logql('{{app=~".+"}}', {SPAN})"#);
    assert_eq!(ask(&format!("SELECT line FROM {all} LIMIT 7")).await.len(), 7);
    assert_eq!(ask(&format!("SELECT line FROM {all} ORDER BY ts DESC LIMIT 1")).await, [["neither"]]);
    assert_eq!(ask(&format!("SELECT count(*) FROM {all} WHERE labels['pod'] = 'p1'")).await, [["40"]]);
    let joined = format!("SELECT count(*) FROM {all} q JOIN logs l ON q.ts = l.ts AND q.line = l.body");
    assert_eq!(ask(&joined).await, [["120"]]);
    let others = cells(&world.sql(&tenant("b"), &format!("SELECT * FROM {all}")).await);
    assert!(others.is_empty(), "tenants do not see each other");
    let session = world.session(&a);
    let plan = support::draw(&run(&session, &format!("EXPLAIN SELECT line FROM {all} LIMIT 1")).await.unwrap());
    assert!(plan.contains(r#"LogqlExec: query="{app=~\".+\"}""#) && plan.contains("columns=[line], limit=1"), "{plan}");
    assert_eq!(session.view().opened(), (0, 0), "nothing is read before a row is asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_name_the_expression_and_the_place() {
    let (world, a, _engine) = world().await;
    let check = async |call: &str, expected: &str| {
        let error = run(&world.session(&a), &format!("SELECT * FROM {call}")).await.expect_err(call);
        assert!(error.to_string().contains(expected), "{call}: {error}");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{call}: {error}");
    };
    check("logql('{app=', 1, 2)", r#"logql("{app="): parse error at line 1, col "#).await;
    check("logql('{}', 1)", "logql takes ('expression', start, end) or ('expression', start, end, step)").await;
    check("logql('{app=\"api\"}', 2, 1)", "logql: end is before start").await;
    check("logql('{app=\"api\"}', 'noon', 1)", "logql: start is a timestamp, RFC 3339 text or seconds since 1970").await;
    check("logql('rate({app=\"api\"}[1m])', 0, 100000, 1)", "limit logql.steps_max").await;
    check("logql('{app=\"api\"} | line_format \"{{\"', 1, 2)", "invalid line template").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_cancellation_are_the_statements() {
    let (world, a, _engine) = world().await;
    for call in [format!(r#"logql('{{app="api"}}', {SPAN})"#), format!(r#"logql('rate({{app="api"}}[1m])', {SPAN})"#)] {
        let session = world.engine.session(&a, QueryLimits { files_max: 0, ..QueryLimits::default() }).unwrap();
        let error = run(&session, &format!("SELECT * FROM {call}")).await.unwrap_err();
        assert!(error.to_string().contains("query.limits.files_max is 0"), "{error}");
        let session = world.session(&a);
        session.stop_flag().stop();
        let error = run(&session, &format!("SELECT * FROM {call}")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    }
    let limits = QueryLimits { memory_bytes_max: 4 << 10, ..QueryConfig::default().limits };
    let session = world.engine.session(&a, limits).unwrap();
    let error = run(&session, &format!(r#"SELECT * FROM logql('{{app=~".+"}}', {SPAN})"#)).await.unwrap_err();
    assert!(error.to_string().contains("query.limits.memory_bytes_max"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_read_as_json_and_logfmt() {
    let (world, a, _engine) = world().await;
    let ask = async |text: &str| cells(&world.sql(&a, text).await);
    let of = |columns: &str, n: i64| format!("SELECT {columns} FROM logs WHERE seq = {n}");
    assert_eq!(
        ask(&of("json_get_str(body, 'level'), json_get_int(body, 'n'), body ->> 'n', json_contains(body, 'n'), json_contains(body, 'x'), json_length(body, 'tags')", 2)).await,
        [["error", "2", "2", "true", "false", "2"]]
    );
    assert_eq!(
        ask(&of("json_get_json(body, 'tags'), body -> 'tags' ->> 1, json_get_float(body, 'n'), json_get_bool(body, 'n')", 2))
            .await,
        [[r#"["a", "b"]"#, "b", "2.0", ""]]
    );
    assert_eq!(
        ask(&of("json_get_str(body, 'level'), json_contains(body, 'n')", 3)).await,
        [["", "false"]],
        "no JSON has no keys"
    );
    assert_eq!(
        ask(&of("logfmt_get(body, 'level'), logfmt_get(body, 'msg'), logfmt_get(body, 'x'), logfmt_get(body, NULL)", 1)).await,
        [["error", r#"timeout at "db""#, "", ""]]
    );
    assert_eq!(
        ask("SELECT logfmt_get('a b= c=1 c=2', 'c'), logfmt_get('a b=', 'a') = '', logfmt_get('=x a\"', 'x') IS NULL").await,
        [["1", "true", "true"]]
    );
    assert_eq!(
        ask("SELECT count(*) FROM logs WHERE json_get_str(body, 'level') = 'error' AND json_get_int(body, 'n') < 60").await,
        [["15"]]
    );
    assert_eq!(
        ask("SELECT count(*) FROM logs WHERE attributes['pod'] = 'p0' AND logfmt_get(body, 'level') = 'error'").await,
        [["10"]]
    );
}
