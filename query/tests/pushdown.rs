//! Whatever a scan skips, the answer is that of a plain table with the same rows.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use arrow::array::RecordBatch;
use catalog::Table;
use datafusion::catalog::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use support::{NEW_YEAR_MS, World, cells, draw, ns, run, sample, series, tenant};

/// The rows of `table` in a context that knows nothing of lakes.
async fn oracle(world: &World, table: &str) -> SessionContext {
    let session = world.session(&tenant("a"));
    let rows: Vec<RecordBatch> = run(&session, &format!("SELECT * FROM {table}")).await.unwrap();
    let mut context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    datafusion_functions_json::register_all(&mut context).unwrap();
    context.register_udf((**session.state().scalar_functions().get("logfmt_get").unwrap()).clone());
    let schema = session.context().table(table).await.unwrap().schema().as_arrow().clone();
    context.register_table(table, Arc::new(MemTable::try_new(Arc::new(schema), vec![rows]).unwrap())).unwrap();
    context
}

async fn compare(world: &World, context: &SessionContext, text: &str) {
    let ours = run(&world.session(&tenant("a")), text).await.unwrap_or_else(|e| panic!("{text}: {e}"));
    let theirs = context.sql(text).await.unwrap().collect().await.unwrap();
    let (mut ours, mut theirs) = (cells(&draw(&ours)), cells(&draw(&theirs)));
    ours.sort();
    theirs.sort();
    assert_eq!(ours, theirs, "{text}");
}

/// A filter on samples.
fn sample_filter() -> impl Strategy<Value = String> {
    let time = |s: i64| format!("TIMESTAMP '2026-01-01T{:02}:{:02}:{:02}Z'", s / 3_600, s / 60 % 60, s % 60);
    let atom = prop_oneof![
        (0..4i64).prop_map(|m| format!("metric = 'm{m}'")),
        (0..4i64).prop_map(|m| format!("metric IN ('m{m}', 'none')")),
        (0..9i64).prop_map(|s| format!("sid = {s}")),
        (0..9i64).prop_map(|s| format!("sid < {s}")),
        (0..9i64).prop_map(|s| format!("{s} <= sid")),
        (0..9i64).prop_map(|v| format!("value > {v}")),
        (0..9i64).prop_map(|v| format!("value = {v}")),
        (0..20_000i64).prop_map(move |s| format!("ts >= {}", time(s))),
        (0..20_000i64).prop_map(move |s| format!("ts < {}", time(s))),
        (0..20_000i64).prop_map(move |s| format!("date_trunc('hour', ts) = date_trunc('hour', {})", time(s))),
        (0..3i64).prop_map(|k| format!("labels['k'] = 'v{k}'")),
        (0..3i64).prop_map(|k| format!("labels['k'] <> 'v{k}'")),
        Just("labels['k'] IS NULL".to_owned()),
        Just("labels['k'] LIKE '%1'".to_owned()),
    ];
    combined(atom)
}

/// A filter on log records.
fn log_filter() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        (0..3i64).prop_map(|s| format!("service = 's{s}'")),
        (0..9i64).prop_map(|n| format!("body LIKE '%{n}%'")),
        (0..9i64).prop_map(|n| format!("body LIKE 'line {n}_'")),
        (0..9i64).prop_map(|n| format!("body = 'line {n}'")),
        (0..9i64).prop_map(|n| format!("strpos(body, '{n}') > 0")),
        (0..9i64).prop_map(|n| format!("body ~ '{n}$'")),
        (0..9i64).prop_map(|n| format!("body ~ '^(line 1{n}|line {n}.)$'")),
        (0..9i64).prop_map(|n| format!("regexp_like(body, '(?i)LINE {n}')")),
        (0..9i64).prop_map(|n| format!("regexp_like(body, 'word{n}{n}+ (alpha|omega)')")),
        (0..9i64).prop_map(|n| format!("body IN ('line {n}', 'line 1{n}', 'none')")),
        (0..9i64).prop_map(|n| format!("body LIKE '%word{n}{n}%omega'")),
        (0..9i64).prop_map(|n| format!("json_get_str(body, 'word') = 'text{n}'")),
        (0..9i64).prop_map(|n| format!("(body ->> 'word') = 'text{n}'")),
        (0..9i64).prop_map(|n| format!("json_get_int(body, 'number') = {n}")),
        Just("json_contains(body, 'word')".to_owned()),
        Just("json_contains(body, 'number')".to_owned()),
        (0..9i64).prop_map(|n| format!("logfmt_get(body, 'key') = 'v{n}'")),
        (0..3i64).prop_map(|n| format!("severity_number >= {n}")),
        (0..3i64).prop_map(|n| format!("severity_number IN ({n}, 7)")),
        (0..4i64).prop_map(|n| format!("attributes['n'] = '{n}'")),
        (0..4i64).prop_map(|n| format!("attributes['t'] = 'v{n}'")),
        Just("attributes['t'] IS NULL".to_owned()),
        (0..3i64).prop_map(|n| format!("resource['host'] = 'h{n}'")),
        Just("resource['host'] IS NULL".to_owned()),
        (0..3i64).prop_map(|n| format!("labels['app'] = 'a{n}'")),
        (0..4i64).prop_map(|n| format!("trace_id = '{}'", format!("{n:02x}").repeat(16))),
        (0..9_000i64).prop_map(|s| format!("ts <= TIMESTAMP '2026-01-01T{:02}:{:02}:00.5Z'", s / 3_600, s / 60 % 60)),
    ];
    combined(atom)
}

fn combined(atom: impl Strategy<Value = String> + 'static) -> impl Strategy<Value = String> {
    atom.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} AND {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} OR {b})")),
            inner.prop_map(|a| format!("NOT ({a})")),
        ]
    })
}

fn samples(seed: i64, rows: i64) -> Value {
    // Times of different batches overlap and repeat.
    let row = |i: i64| {
        let n = (seed * 7_919 + i * 104_729).rem_euclid(10_007);
        sample(&format!("m{}", n % 9 % 3), n % 9, n % 400 * 50, (n % 11) as f64)
    };
    Value::from((0..rows).map(row).collect::<Vec<_>>())
}

#[test]
fn metrics_answer_as_a_plain_table() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (world, context) = runtime.block_on(async {
        let world = World::new().await;
        let a = tenant("a");
        // Series 8 has no row, series 7 no label.
        let labels = |s: i64| if s == 7 { json!({}) } else { json!({"k": format!("v{}", s / 3)}) };
        let rows = (0..8).map(|s| series(&format!("m{}", s % 3), s, labels(s)));
        world.commit(&a, Table::Series, Value::from(rows.collect::<Vec<_>>())).await;
        for seed in 0..4 {
            world.commit(&a, Table::Samples, samples(seed, 120)).await;
        }
        world.buffer(&a, Table::Samples, samples(4, 60));
        world.buffer(&a, Table::Samples, samples(5, 60));
        let context = oracle(&world, "metrics").await;
        (world, context)
    });
    let mut runner = TestRunner::new(Config { cases: 96, ..Config::default() });
    let check = |filter: String| {
        runtime.block_on(async {
            compare(&world, &context, &format!("SELECT ts, metric, sid, value FROM metrics WHERE {filter}")).await;
            compare(&world, &context, &format!("SELECT count(*), sum(value) FROM metrics WHERE {filter}")).await;
        });
        Ok(())
    };
    runner.run(&sample_filter(), check).unwrap();
}

#[test]
fn logs_answer_as_a_plain_table() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (world, context) = runtime.block_on(async {
        let world = World::new().await;
        let a = tenant("a");
        let streams = (0..3).map(|s| json!({"service": format!("s{s}"), "stream_id": s, "ts": ns(0), "labels": {"app": format!("a{s}")}}));
        world.commit(&a, Table::Streams, Value::from(streams.collect::<Vec<_>>())).await;
        let resources = (0..2).map(|r| json!({"resource_id": r, "ts": ns(0), "service": "s", "attrs_str": {"host": format!("h{r}")}}));
        world.commit(&a, Table::Resources, Value::from(resources.collect::<Vec<_>>())).await;
        // Escapes write what no other text has in it.
        let body = |i: i64| match i % 7 {
            0 => format!(r#"{{"word": "text{}", "number": {}}}"#, i % 9, i % 5),
            1 => format!(r#"{{"wor\u0064": "te\u0078t{}"}}"#, i % 9),
            2 => format!("word{0}{0}{0} {1} key=v{0}", i / 7 % 9, if i % 2 == 0 { "alpha" } else { "omega" }),
            _ => format!("line {i}"),
        };
        let log = |i: i64| {
            let mut row = json!({"service": format!("s{}", i % 4), "stream_id": i % 4, "ts": ns(i * 37), "seq": i, "level": "info",
                "body": body(i), "severity_number": i % 3, "resource_id": if i % 5 == 0 { Value::Null } else { json!(i % 3) },
                "trace_id": if i % 2 == 0 { json!(format!("{:02x}", i % 4).repeat(16)) } else { Value::Null }});
            match i % 4 {
                0 => row["attrs_str"] = json!({"n": (i % 3).to_string()}),
                1 => row["attrs_int"] = json!({"n": i % 3}),
                2 => row["attrs_str"] = json!({"t": format!("v{}", i % 3)}),
                _ => row["attrs_f64"] = json!({"n": 1.0}),
            }
            row
        };
        for file in 0..3 {
            let rows = (file * 80..(file + 1) * 80).map(log);
            world.commit(&a, Table::Logs, Value::from(rows.collect::<Vec<_>>())).await;
        }
        world.buffer(&a, Table::Logs, Value::from((240..300).map(log).collect::<Vec<_>>()));
        let context = oracle(&world, "logs").await;
        (world, context)
    });
    let mut runner = TestRunner::new(Config { cases: 96, ..Config::default() });
    let check = |filter: String| {
        runtime.block_on(compare(&world, &context, &format!("SELECT ts, service, body FROM logs WHERE {filter}")));
        Ok(())
    };
    runner.run(&log_filter(), check).unwrap();
    assert_eq!(NEW_YEAR_MS % 7_200_000, 0, "rows fall into known slices");
}

#[tokio::test]
async fn texts_of_bodies_reach_the_scan() {
    let world = World::new().await;
    let a = tenant("a");
    let row = json!({"service": "s", "stream_id": 1, "ts": ns(0), "seq": 0, "level": "info", "body": "x"});
    world.commit(&a, Table::Logs, json!([row])).await;
    let check = async |filter: &str, expected: &str| {
        let plan = world.sql(&a, &format!("EXPLAIN SELECT ts FROM logs WHERE {filter}")).await;
        assert!(plan.contains(&format!("predicate=[{expected}]")), "{filter} {expected}\n{plan}");
    };
    check("body LIKE '%refused%by peer'", r#"body contains "refused" and body contains "by peer""#).await;
    check(
        "body ~ '(timeout|refused) by peer.*x'",
        r#" any of (body contains "timeout", body contains "refused") and body contains " by peer""#,
    )
    .await;
    check("regexp_like(body, 'code=[0-9]+')", r#"body contains "code=""#).await;
    check("body = 'refused'", r#"body in ("refused") and body contains "refused""#).await;
    check(
        "body IN ('refused', 'timeout')",
        r#"body in ("refused", "timeout") and  any of (body contains "refused", body contains "timeout")"#,
    )
    .await;
    check("(body LIKE '%timeout%' OR service = 'db')", r#" any of (body contains "timeout", service in ("db"))"#).await;
    let json = r#" any of (body contains "status", body contains "\\u00")"#;
    check("json_contains(body, 'status')", json).await;
    check("json_get_int(body, 'status') = 5", json).await;
    let value = r#" any of (body contains "broken", body contains "\\u00")"#;
    check("json_get_str(body, 'status') = 'broken'", &format!("{json} and {value}")).await;
    check("(body ->> 'status') = 'broken'", &format!("{json} and {value}")).await;
    check("trace_id = '000102030405060708090a0b0c0d0e0f'", "trace_id in (000102030405060708090a0b0c0d0e0f)").await;
}
