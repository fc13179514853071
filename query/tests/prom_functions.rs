//! PromQL's functions as SQL aggregates: the answers are those of PromQL over the same samples.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use catalog::{ErrorKind, Table, TenantId};
use query::promql::{PromqlConfig, PromqlEngine};
use serde_json::json;
use support::{World, cells, run, sample, series, tenant};

/// Counters of two jobs that reset now and then, and buckets of a histogram.
async fn world() -> (World, TenantId) {
    let world = World::new().await;
    let a = tenant("a");
    let mut dictionary = vec![series("total", 1, json!({"job": "api"})), series("total", 2, json!({"job": "db"}))];
    let mut samples: Vec<_> =
        (0..60).flat_map(|n| [(1, n % 17 * 3), (2, n * n % 23)].map(|(sid, v)| sample("total", sid, n * 15, v as f64))).collect();
    for (sid, (le, count)) in (10..).zip([("0.1", 3.0), ("0.5", 9.0), ("+Inf", 10.0)]) {
        dictionary.push(series("seconds_bucket", sid, json!({"le": le})));
        samples.push(sample("seconds_bucket", sid, 60, count));
    }
    world.commit(&a, Table::Series, json!(dictionary)).await;
    world.commit(&a, Table::Samples, json!(samples)).await;
    PromqlEngine::new(Arc::clone(&world.engine), PromqlConfig::default(), tokio::runtime::Handle::current()).unwrap();
    (world, a)
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_are_those_of_promql() {
    let (world, a) = world().await;
    let (start, end) = ("TIMESTAMP '2026-01-01T00:05:07Z'", "TIMESTAMP '2026-01-01T00:10:07Z'");
    for function in ["rate", "increase", "delta", "irate", "idelta", "resets", "changes", "deriv"] {
        let window = if matches!(function, "rate" | "increase" | "delta") { format!(", {start}, {end}") } else { String::new() };
        let ours = format!(
            "SELECT labels['job'] job, prom_{function}(ts, value{window}) v FROM metrics \
             WHERE metric = 'total' AND ts > {start} AND ts <= {end} GROUP BY 1 ORDER BY 1"
        );
        let theirs = format!("SELECT labels['job'] job, value v FROM promql('{function}(total[5m])', {end}) ORDER BY 1");
        let found = world.sql(&a, &ours).await;
        assert_eq!(cells(&found).len(), 2, "{function}");
        assert_eq!(found, world.sql(&a, &theirs).await, "{function}");
    }
    let by_minute = "SELECT count(*) FROM (SELECT date_bin(INTERVAL '1 minute', ts) AS bin, prom_increase(ts, value, date_bin(INTERVAL '1 minute', ts), \
                     date_bin(INTERVAL '1 minute', ts) + INTERVAL '1 minute') FROM metrics WHERE metric = 'total' GROUP BY 1, sid)";
    assert_eq!(cells(&world.sql(&a, by_minute).await), [["30"]], "windows may follow the group");
}

#[tokio::test(flavor = "multi_thread")]
async fn quantiles_are_those_of_promql() {
    let (world, a) = world().await;
    let ours = "SELECT prom_histogram_quantile(0.9, labels['le'], value) v FROM metrics WHERE metric = 'seconds_bucket'";
    let theirs = "SELECT value v FROM promql('histogram_quantile(0.9, seconds_bucket)', '2026-01-01T00:01:00Z')";
    assert_eq!(world.sql(&a, ours).await, world.sql(&a, theirs).await);
    let of_numbers =
        "SELECT prom_histogram_quantile(0.5, le, n) FROM (VALUES (1.0, 4), (2.0, 8), ('Infinity'::double, 8)) t(le, n)";
    assert_eq!(cells(&world.sql(&a, of_numbers).await), [["1.0"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn few_rows_and_wrong_ones() {
    let (world, a) = world().await;
    let ask = async |text: &str| cells(&world.sql(&a, text).await);
    assert_eq!(ask("SELECT prom_irate(ts, value) FROM metrics WHERE metric = 'none'").await, [[""]]);
    assert_eq!(
        ask("SELECT prom_irate(ts, value) FROM metrics WHERE metric = 'total' AND sid = 1 AND ts = '2026-01-01T00:00:00Z'").await,
        [[""]]
    );
    assert_eq!(ask("SELECT prom_changes(ts, NULLIF(value, 0)) >= 0 FROM metrics").await, [["true"]]);
    let check = async |text: &str, expected: &str| {
        let error = run(&world.session(&a), text).await.expect_err(text);
        assert!(error.to_string().contains(expected), "{text}: {error}");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text}: {error}");
    };
    check("SELECT prom_rate(ts, value, ts, ts + INTERVAL '1 minute') FROM metrics", "must be the same for all rows of a group")
        .await;
    check("SELECT prom_rate(ts, value, '2026-01-02', '2026-01-01') FROM metrics", "window_start must be before window_end").await;
    check("SELECT prom_rate(ts, value) FROM metrics", "prom_rate(ts, value, window_start, window_end) does not take").await;
    check("SELECT prom_deriv(value, value) FROM metrics", "prom_deriv(ts, value) does not take").await;
    check(
        "SELECT prom_histogram_quantile(0.5, labels['job'], value) FROM metrics WHERE metric = 'total'",
        "is no bound of a bucket",
    )
    .await;
}
