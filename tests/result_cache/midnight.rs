//! Series are looked for by the day, and shared out by their number between those who add them up. The steps that are missing after
//! midnight are added up as the whole query would add them.

use catalog::{Table, TenantId};
use query::promql::{PromqlConfig, RangeQuery, Reuse};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::node::Node;
use super::rows::{NEW_YEAR_MS, sample, series};
use super::{alone, counted, counters, shown};

const MIDNIGHT_S: i64 = 86_400;

#[test]
fn the_last_bits_of_sums_survive_midnight() {
    let _alone = alone();
    counters();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (node, tenant) = (Node::alone(PromqlConfig::default()).await, TenantId::parse("a").unwrap());
        let mut rng = SmallRng::seed_from_u64(7);
        let (mut dictionary, mut samples) = (Vec::new(), Vec::new());
        for sid in 0..600 {
            for day in 0..2 {
                // Of the second day there are half of them.
                if day == 1 && sid % 2 == 0 {
                    continue;
                }
                let mut row = series("wide_total", sid, json!({"g": (sid % 7).to_string(), "n": sid.to_string()}));
                row["ts"] = json!(NEW_YEAR_MS + day * MIDNIGHT_S * 1_000);
                dictionary.push(row);
                let seconds = if day == 0 { -300..0 } else { 0..300 };
                for second in seconds.step_by(15) {
                    let value = rng.random_range(0.0..1e6) * 10f64.powi(rng.random_range(-8..8));
                    samples.push(sample("wide_total", sid, MIDNIGHT_S + second, value));
                }
            }
        }
        node.append(&tenant, vec![(Table::Series, json!(dictionary)), (Table::Samples, json!(samples))]).await;
        // In memory the rows of series are not told apart by their day.
        node.flush().await;
        for text in ["stdvar by (g) (max_over_time(wide_total[1m]))", "stddev(max_over_time(wide_total[1m]))", "sum(wide_total)"]
        {
            let before = counted("telelake_promql_result_cache_hits_total");
            for after_s in [90, 150, 240] {
                let end_ms = NEW_YEAR_MS + (MIDNIGHT_S + after_s) * 1_000;
                let start_ms = NEW_YEAR_MS + (MIDNIGHT_S - 240) * 1_000;
                let query = RangeQuery { text: text.into(), start_ms, end_ms, step_ms: 15_000, ..RangeQuery::default() };
                let kept = node.engine.range(&tenant, query.clone()).await;
                let fresh = node.engine.range(&tenant, RangeQuery { reuse: Reuse::Forbidden, ..query }).await;
                assert_eq!(shown(&kept, text), shown(&fresh, text), "{text} until {after_s} s after midnight");
            }
            assert_eq!(counted("telelake_promql_result_cache_hits_total") - before, 2, "{text}");
        }
    });
}
