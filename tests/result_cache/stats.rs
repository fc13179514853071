//! `stats=all`: samples that are looked at, step by step, as Prometheus counts them (`TestQueryStatistics` of `promql/engine_test.go`
//! has these cases: a sample every 10 s).

use catalog::{Table, TenantId};
use query::promql::{InstantQuery, PromqlConfig, RangeQuery, Stats, StatsWanted};
use serde_json::json;

use super::node::Node;
use super::rows::{NEW_YEAR_MS, sample, series};

const T: i64 = 200_000;

async fn node() -> (Node, TenantId) {
    let node = Node::alone(PromqlConfig::default()).await;
    let tenant = TenantId::parse("a").unwrap();
    let (mut dictionary, mut samples) = (Vec::new(), Vec::new());
    for (sid, metric, copies) in [(1, "metricWith1SampleEvery10Seconds", 1), (10, "metricWith3SampleEvery10Seconds", 3)] {
        for copy in 0..copies {
            let sid = sid + copy;
            dictionary.push(series(metric, sid, json!({"a": copy.to_string()})));
            samples.extend((0..=300).map(|n| sample(metric, sid, n * 10, n as f64)));
        }
    }
    node.append(&tenant, vec![(Table::Series, json!(dictionary)), (Table::Samples, json!(samples))]).await;
    (node, tenant)
}

async fn range(node: &Node, tenant: &TenantId, text: &str, start_ms: i64, end_ms: i64, step_ms: i64) -> Stats {
    let (start_ms, end_ms) = (NEW_YEAR_MS + start_ms, NEW_YEAR_MS + end_ms);
    let query = RangeQuery { text: text.into(), start_ms, end_ms, step_ms, stats: StatsWanted::PerStep, ..RangeQuery::default() };
    node.engine.range(tenant, query).await.unwrap().stats
}

#[tokio::test]
async fn samples_are_counted_at_each_step() {
    let (node, tenant) = node().await;
    let check = async |text: &str, per_step: &[u64]| {
        let (start, step) = (201_000, 5_000);
        let end = start + (per_step.len() as i64 - 1) * step;
        // Twice: what is kept does not count less.
        for _ in 0..2 {
            let stats = range(&node, &tenant, text, start, end, step).await;
            let expected: Vec<(i64, u64)> =
                (0..).map(|at| NEW_YEAR_MS + start + at * step).zip(per_step.iter().copied()).collect();
            assert_eq!(stats.samples_per_step, expected, "{text}");
            assert_eq!(stats.samples, per_step.iter().sum::<u64>(), "{text}");
        }
    };
    check("metricWith1SampleEvery10Seconds", &[1, 1, 1, 1]).await;
    check("timestamp(metricWith3SampleEvery10Seconds)", &[3, 3, 3, 3]).await;
    check(r#"metricWith3SampleEvery10Seconds{a="1"}"#, &[1, 1]).await;
    check("sum by (a) (metricWith3SampleEvery10Seconds)", &[3, 3]).await;
    // Windows are open on the left.
    check("sum_over_time(metricWith3SampleEvery10Seconds[60s])", &[18, 18, 18, 18]).await;
    check("rate(metricWith1SampleEvery10Seconds[60s]) + on (a) metricWith1SampleEvery10Seconds", &[7, 7]).await;
    // The steps of a subquery are looked at, what they look at is not counted.
    check("max_over_time(metricWith1SampleEvery10Seconds[60s:5s])", &[12, 12, 12, 12]).await;
    check("sum_over_time(sum_over_time(metricWith3SampleEvery10Seconds[60s])[60s:30s])", &[6, 6]).await;
    // What is the same at each step is evaluated once and counted each time.
    check("metricWith3SampleEvery10Seconds @ 1767225801", &[3, 3, 3]).await;
    check("sum_over_time(metricWith1SampleEvery10Seconds[100s] @ 1767225800)", &[10, 10]).await;
    check("nothing", &[0, 0]).await;
    check("time()", &[0, 0]).await;
}

#[tokio::test]
async fn an_instant_query_has_one_step() {
    let (node, tenant) = node().await;
    let check = async |text: &str, stats: StatsWanted, samples: u64, steps: usize| {
        let query = InstantQuery { text: text.into(), time_ms: NEW_YEAR_MS + T + 1_000, stats, ..InstantQuery::default() };
        let found = node.engine.instant(&tenant, query).await.unwrap().stats;
        assert_eq!((found.samples, found.samples_per_step.len()), (samples, steps), "{text}");
    };
    check("metricWith3SampleEvery10Seconds", StatsWanted::PerStep, 3, 1).await;
    check("metricWith1SampleEvery10Seconds[60s]", StatsWanted::PerStep, 6, 1).await;
    check("sum_over_time(metricWith3SampleEvery10Seconds[60s])", StatsWanted::Totals, 18, 0).await;
}
