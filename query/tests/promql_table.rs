//! PromQL as a table of SQL: the same answers as the API's, in every form of the arguments, and errors that say where.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use catalog::{ErrorKind, Table, TenantId};
use query::promql::{PromqlConfig, PromqlEngine, RangeQuery, Value};
use serde_json::json;
use support::{NEW_YEAR_MS, World, cells, run, sample, series, tenant};

async fn world() -> (World, TenantId, Arc<PromqlEngine>) {
    let world = World::new().await;
    let a = tenant("a");
    let rows =
        json!([series("http_total", 1, json!({"job": "api", "code": "200"})), series("http_total", 2, json!({"job": "db"}))]);
    world.commit(&a, Table::Series, rows).await;
    let counted = |sid, factor: f64| (0..40).map(move |n| sample("http_total", sid, n * 15, n as f64 * factor));
    world.commit(&a, Table::Samples, json!(counted(1, 15.0).chain(counted(2, 30.0)).collect::<Vec<_>>())).await;
    world.buffer(&a, Table::Series, json!([series("latency", 3, json!({"job": "api"}))]));
    let histogram = json!({"metric": "latency", "sid": 3, "ts": NEW_YEAR_MS, "schema": 0, "reset_hint": 0, "zero_threshold": 0.0,
        "zero_count": 0, "count": 5, "sum": 7.5, "positive_offsets": [0], "positive_lengths": [1], "positive_counts": [5]});
    world.buffer(&a, Table::Histograms, json!([histogram]));
    let promql =
        PromqlEngine::new(Arc::clone(&world.engine), PromqlConfig::default(), tokio::runtime::Handle::current()).unwrap();
    (world, a, promql)
}

const RANGE: &str = "promql('sum by (job) (http_total)', '2026-01-01T00:02:00Z', '2026-01-01T00:03:00Z', '30s')";

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_the_answer_of_the_api() {
    let (world, a, promql) = world().await;
    let drawn = world.sql(&a, &format!("SELECT * FROM {RANGE}")).await;
    let expected = [("api", 15), ("db", 30)].map(|(job, factor)| {
        [8, 10, 12].map(|n| {
            let at = format!("2026-01-01T00:0{}:{:02}Z", n * 15 / 60, n * 15 % 60);
            [at, String::new(), format!("{{job: {job}}}"), format!("{}.0", n * factor), String::new()]
        })
    });
    assert_eq!(cells(&drawn), expected.concat(), "\n{drawn}");
    let query = RangeQuery {
        text: "rate(http_total[1m])".to_owned(),
        start_ms: NEW_YEAR_MS + 60_000,
        end_ms: NEW_YEAR_MS + 500_000,
        step_ms: 7_000,
        ..RangeQuery::default()
    };
    let Value::Matrix(matrix) = promql.range(&a, query).await.unwrap().value else { panic!("a matrix") };
    let expected: f64 = matrix.iter().flat_map(|series| series.floats().map(|(_, value)| value).collect::<Vec<_>>()).sum();
    let text = format!(
        "SELECT sum(value) FROM promql('rate(http_total[1m])', {}, {}, 7)",
        NEW_YEAR_MS / 1_000 + 60,
        NEW_YEAR_MS / 1_000 + 500
    );
    let found: f64 = cells(&world.sql(&a, &text).await)[0][0].parse().unwrap();
    assert!((found - expected).abs() < 1e-9, "{found} {expected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn times_and_steps_come_in_many_forms() {
    let (world, a, _promql) = world().await;
    let expected = world.sql(&a, &format!("SELECT * FROM {RANGE}")).await;
    let seconds = NEW_YEAR_MS / 1_000;
    for (start, end, step) in [
        ("TIMESTAMP '2026-01-01 00:02:00'".to_owned(), "TIMESTAMP '2026-01-01 00:03:00'".to_owned(), "INTERVAL '30 seconds'"),
        (
            "TIMESTAMP '2026-01-01T00:02:00Z'".to_owned(),
            "TIMESTAMP '2026-01-01T00:02:00Z' + INTERVAL '1 minute'".to_owned(),
            "30",
        ),
        ((seconds + 120).to_string(), format!("{}.0", seconds + 180), "'30'"),
        (format!("'{}'", seconds + 120), format!("to_timestamp({})", seconds + 180), "30.0"),
    ] {
        let text = format!("SELECT * FROM promql('sum by (job) (http_total)', {start}, {end}, {step})");
        assert_eq!(world.sql(&a, &text).await, expected, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_time_gives_a_vector_a_number_or_the_samples_of_a_range() {
    let (world, a, _promql) = world().await;
    let ask = async |text: &str| cells(&world.sql(&a, text).await);
    let at = "'2026-01-01T00:01:00Z'";
    assert_eq!(
        ask(&format!("SELECT metric, labels['job'], labels['code'], value FROM promql('http_total', {at}) ORDER BY 2")).await,
        [["http_total", "api", "200", "60.0"], ["http_total", "db", "", "120.0"]]
    );
    assert_eq!(
        ask(&format!("SELECT * FROM promql('1 + 1', {at})")).await,
        [["2026-01-01T00:01:00Z", "", "{}", "2.0", ""]],
        "a scalar has no labels"
    );
    assert_eq!(
        ask(&format!("SELECT ts, value FROM promql('http_total{{job=\"db\"}}[30s]', {at})")).await.len(),
        2,
        "samples as they are stored"
    );
    assert_eq!(
        ask(&format!("SELECT value, histogram FROM promql('latency', {at})")).await,
        [["", r#"{"count":"5","sum":"7.5","buckets":[[0,"0.5","1","5"]]}"#]]
    );
    assert_eq!(ask(&format!("SELECT count(*) FROM promql('nothing', {at})")).await, [["0"]]);
    let others = cells(&world.sql(&tenant("b"), &format!("SELECT * FROM promql('http_total', {at})")).await);
    assert!(others.is_empty(), "tenants do not see each other");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_a_table_like_others() {
    let (world, a, _promql) = world().await;
    let ask = async |text: &str| cells(&world.sql(&a, text).await);
    assert_eq!(ask(&format!("SELECT ts FROM {RANGE} LIMIT 4")).await.len(), 4);
    assert_eq!(ask(&format!("SELECT count(*) FROM {RANGE} WHERE value > 200")).await, [["3"]]);
    let joined = format!(
        "SELECT r.labels['job'], m.value FROM {RANGE} r JOIN metrics m ON m.ts = r.ts AND m.labels['job'] = r.labels['job'] \
         WHERE r.ts = TIMESTAMP '2026-01-01T00:03:00Z' ORDER BY 1"
    );
    assert_eq!(ask(&joined).await, [["api", "180.0"], ["db", "360.0"]]);
    let twice = format!("SELECT count(*) FROM {RANGE} a, {RANGE} b WHERE a.ts = b.ts");
    assert_eq!(ask(&twice).await, [["12"]]);
    assert_eq!(ask(&format!("WITH r AS (SELECT * FROM {RANGE}) SELECT max(value) FROM r")).await, [["360.0"]]);
    let plan = world.sql(&a, &format!("EXPLAIN SELECT value FROM {RANGE} LIMIT 1")).await;
    let expected = r#"PromqlExec: query="sum by (job) (http_total)", snapshot=2, time_ms=[1767225720000, 1767225780000], step_ms=30000, columns=[value], limit=1"#;
    assert!(plan.contains(expected), "{plan}");
    let session = world.session(&a);
    run(&session, &format!("EXPLAIN SELECT * FROM {RANGE}")).await.unwrap();
    assert_eq!(session.view().opened(), (0, 0), "nothing is read before a row is asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_name_the_expression_and_the_place() {
    let (world, a, _promql) = world().await;
    let check = async |call: &str, kind: ErrorKind, expected: &str| {
        let error = run(&world.session(&a), &format!("SELECT * FROM {call}")).await.expect_err(call);
        assert!(error.to_string().contains(expected), "{call}: {error}");
        assert_eq!(error.kind(), kind, "{call}: {error}");
    };
    let invalid = ErrorKind::Invalid;
    check("promql('sum(', 1)", invalid, r#"promql("sum("): 1:5: parse error: unclosed left parenthesis"#).await;
    check("promql('up', 1, 2)", invalid, "promql takes ('expression', time) or ('expression', start, end, step)").await;
    check("promql('up', 2, 1, 1)", invalid, r#"promql("up"): end timestamp must not be before start time"#).await;
    check("promql('up', 1, 2, 0)", invalid, "zero or negative query resolution step widths are not accepted").await;
    check("promql('up', 'noon')", invalid, "time is a timestamp, RFC 3339 text or seconds since 1970").await;
    check("promql('\"text\"', 1)", invalid, "the expression is a string, which has no rows").await;
    check("promql('up', 0, 100000, 1)", ErrorKind::TooLarge, "query needs 100001 steps, limit promql.steps_max is 11000").await;
    let many = "promql('http_total * on () group_left () http_total', 1767225660)";
    check(many, invalid, "many-to-many").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_cancellation_are_the_statements() {
    let (world, a, _promql) = world().await;
    let session = world.engine.session(&a, query::QueryLimits { files_max: 0, ..query::QueryLimits::default() }).unwrap();
    let error = run(&session, &format!("SELECT * FROM {RANGE}")).await.unwrap_err();
    assert!(error.to_string().contains("query.limits.files_max is 0"), "{error}");
    let session = world.session(&a);
    session.stop_flag().stop();
    let error = run(&session, &format!("SELECT * FROM {RANGE}")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
}
