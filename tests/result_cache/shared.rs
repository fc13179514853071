//! Equal queries at the same time: one evaluation, as long as somebody waits for it, and never one that is too old.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use catalog::{Table, TenantId};
use query::promql::{ErrorType, InstantQuery, PromqlConfig, RangeQuery, Reuse, Value};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use super::node::Node;
use super::rows::{NEW_YEAR_MS, sample, series};
use super::{alone, counted, counters};

/// Each step looks at every step before it, and nothing of that is shared.
const LONG: &str = "stddev_over_time((stddev_over_time((stddev_over_time(up[1h]))[6h:1s]))[6h:1s])";

fn tenant() -> TenantId {
    TenantId::parse("a").unwrap()
}

async fn write(node: &Node, second: i64, value: f64) {
    let tables = vec![
        (Table::Series, json!([series("up", 1, json!({"job": "a"}))])),
        (Table::Samples, json!([sample("up", 1, second, value)])),
    ];
    node.append(&tenant(), tables).await;
}

/// Takes many seconds.
fn long(timeout: Option<Duration>) -> RangeQuery {
    let (start_ms, end_ms) = (NEW_YEAR_MS, NEW_YEAR_MS + 3_600_000);
    RangeQuery { text: [LONG; 64].join(" + "), start_ms, end_ms, step_ms: 1_000, timeout, ..RangeQuery::default() }
}

/// A node whose only turn can be taken, with a row a second for an hour.
async fn busy() -> Arc<Node> {
    let node = Node::alone(PromqlConfig { queries_max: 1, ..PromqlConfig::default() }).await;
    let samples: Vec<_> = (0..3_600).map(|second| sample("up", 1, second, (second * 7 % 13) as f64)).collect();
    let tables = vec![(Table::Series, json!([series("up", 1, json!({"job": "a"}))])), (Table::Samples, json!(samples))];
    node.append(&tenant(), tables).await;
    Arc::new(node)
}

/// Waits until a turn is free: until nothing is evaluated.
async fn idle_within(node: &Node, wait: Duration) -> bool {
    let query = InstantQuery { text: "1".into(), ..InstantQuery::default() };
    matches!(timeout(wait, node.engine.instant(&tenant(), query)).await, Ok(Ok(_)))
}

#[test]
fn equal_queries_are_evaluated_once() {
    let _alone = alone();
    counters();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
    runtime.block_on(async {
        let node = busy().await;
        let ask = |timeout| {
            let node = Arc::clone(&node);
            tokio::spawn(async move { node.engine.range(&tenant(), long(timeout)).await })
        };
        let before = counted("telelake_promql_coalesced_total");
        let first = ask(None);
        sleep(Duration::from_millis(100)).await;
        let (second, hasty) = (ask(None), ask(Some(Duration::from_millis(300))));
        // With one turn these would wait for each other; that they join is what is seen here.
        let asked = Instant::now();
        let error = hasty.await.unwrap().map(drop).unwrap_err();
        assert_eq!(error.error_type(), ErrorType::Timeout, "{error}");
        assert!(asked.elapsed() < Duration::from_secs(2), "its own time is over");
        assert_eq!(counted("telelake_promql_coalesced_total") - before, 2);
        // The first one leaves, the second still waits: the work goes on.
        first.abort();
        assert!(!idle_within(&node, Duration::from_millis(500)).await, "the work goes on");
        // Nobody waits any more.
        second.abort();
        assert!(idle_within(&node, Duration::from_secs(1)).await, "the work ends within a second");
    });
}

#[test]
fn who_goes_away_ends_the_query_within_a_second() {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
    runtime.block_on(async {
        let node = busy().await;
        for reuse in [Reuse::Allowed, Reuse::Forbidden] {
            let query = RangeQuery { reuse, ..long(None) };
            assert!(timeout(Duration::from_millis(200), node.engine.range(&tenant(), query)).await.is_err(), "it takes long");
            assert!(idle_within(&node, Duration::from_secs(1)).await, "the work ends within a second");
        }
    });
}

/// While one row after the other is acknowledged and many ask the same all the time, everybody sees what was acknowledged before.
#[test]
fn nobody_joins_what_began_too_early() {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(async {
        let node = Arc::new(Node::alone(PromqlConfig::default()).await);
        let ask = async |node: &Node| {
            let (start_ms, end_ms) = (NEW_YEAR_MS, NEW_YEAR_MS + 300_000);
            let query = RangeQuery {
                text: "sum(count_over_time(up[10m]))".into(),
                start_ms,
                end_ms,
                step_ms: 30_000,
                ..RangeQuery::default()
            };
            let Value::Matrix(found) = node.engine.range(&tenant(), query).await.unwrap().value else { panic!("a matrix") };
            found.first().and_then(|one| one.floats().last()).map_or(0, |(_, value)| value as i64)
        };
        let crowded = Arc::new(AtomicBool::new(true));
        let crowd: Vec<_> = (0..4)
            .map(|_| {
                let (node, crowded) = (Arc::clone(&node), Arc::clone(&crowded));
                tokio::spawn(async move {
                    while crowded.load(Ordering::Relaxed) {
                        ask(&node).await;
                    }
                })
            })
            .collect();
        for second in 0..200 {
            write(&node, second, 1.0).await;
            if second % 40 == 13 {
                node.flush().await;
            }
            assert_eq!(ask(&node).await, second + 1, "what was acknowledged is seen");
        }
        crowded.store(false, Ordering::Relaxed);
        for one in crowd {
            one.await.unwrap();
        }
    });
}
