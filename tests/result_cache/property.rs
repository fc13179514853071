//! Expressions of chance over grids of chance, between whatever may happen to rows, with and without what is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use catalog::{Table, TenantId};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use promql::parse::parse_selector;
use query::promql::{DeleteRequest, PromqlConfig, RangeQuery, Reuse, TimeMs};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::node::{Node, time};
use super::rows::{HISTOGRAMS, NEW_YEAR_MS, SERIES, series};
use super::{alone, counted, counters, shown};

const DAY_S: i64 = 86_400;
/// Series of `wide_total`: more than are read by one, so that sums are put together from parts.
const WIDE: i64 = 600;
/// Where their ids begin.
const WIDE_SID: i64 = 1 << 40;
/// What somebody looks at again and again.
#[derive(Debug, Clone)]
struct Panel {
    text: String,
    step_s: i64,
    phase_ms: i64,
    steps: i64,
}

struct World {
    here: Node,
    there: Node,
    tenant: TenantId,
    rng: SmallRng,
    /// Seconds since the new year.
    now: i64,
    /// Days whose row of a series a node has sent: days, nodes and ids.
    introduced: BTreeSet<(bool, i64, i64)>,
    /// Series of `wide_total` there are so far.
    wide: i64,
    /// Whether rows are deleted.
    deletes: bool,
}

impl World {
    async fn new(seed: u64) -> Self {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let time = time(seed);
        let here = Node::open(Arc::clone(&store), &time, seed, PromqlConfig::default()).await;
        let there = Node::open(store, &time, seed + 1_000, PromqlConfig::default()).await;
        let mut rng = SmallRng::seed_from_u64(seed);
        // Some cross midnight.
        let now = if rng.random_range(0..3) == 0 { DAY_S - 500 } else { 40_000 };
        let wide = WIDE - rng.random_range(0..20);
        let tenant = TenantId::parse("a").unwrap();
        Self { here, there, tenant, rng, now, introduced: BTreeSet::new(), wide, deletes: seed % 2 == 1 }
    }

    fn below(&mut self, n: i64) -> i64 {
        self.rng.random_range(0..n)
    }

    /// The rows of series that are sent with their first sample of a day.
    fn introduce(&mut self, elsewhere: bool, sid: i64, second: i64, dictionary: &mut Vec<Value>) {
        if !self.introduced.insert((elsewhere, second.div_euclid(DAY_S), sid)) {
            return;
        }
        let mut row = match usize::try_from(sid).ok().and_then(|sid| SERIES.get(sid)) {
            Some((metric, labels)) => series(metric, sid, json!(BTreeMap::from(*labels))),
            None => {
                let n = sid - WIDE_SID;
                series("wide_total", sid, json!({"g": format!("{}", n % 7), "n": n.to_string()}))
            }
        };
        row["ts"] = json!(NEW_YEAR_MS + second * 1_000);
        dictionary.push(row);
    }

    /// Rows of some series around `second`.
    async fn write(&mut self, elsewhere: bool, second: i64) {
        let (mut samples, mut histograms, mut dictionary) = (Vec::new(), Vec::new(), Vec::new());
        let mut write = |world: &mut Self, sid: i64, at: i64| {
            let metric = usize::try_from(sid).ok().and_then(|sid| SERIES.get(sid)).map_or("wide_total", |(metric, _)| *metric);
            let ts = NEW_YEAR_MS + at * 1_000 + if world.below(4) == 0 { world.below(1_000) } else { 0 };
            world.introduce(elsewhere, sid, at, &mut dictionary);
            let mut rng = SmallRng::seed_from_u64(world.rng.random());
            if sid == HISTOGRAMS {
                let count = rng.random_range(0..1_000);
                histograms.push(json!({"metric": metric, "sid": sid, "ts": ts, "schema": 0, "reset_hint": 0,
                    "zero_threshold": 0.0, "zero_count": 0, "count": count, "sum": count as f64, "positive_offsets": [0],
                    "positive_lengths": [1], "positive_counts": [count]}));
                return;
            }
            let value = match rng.random_range(0..20) {
                0 => f64::from_bits(promql::value::STALE_BITS),
                1..=4 => f64::from(rng.random_range(0..10)),
                // Sums of these are not the same in another order.
                _ => rng.random_range(0.0..1e6) * 10f64.powi(rng.random_range(-8..8)),
            };
            if !value.is_nan() {
                let mut row = json!({"metric": metric, "sid": sid, "ts": ts, "value": value});
                if sid % 3 == 0 && rng.random_range(0..2) == 0 {
                    row["start_ts"] = json!(ts - rng.random_range(0..100_000));
                }
                samples.push(row);
            }
        };
        for sid in 0..SERIES.len() as i64 {
            if sid == HISTOGRAMS && self.below(3) > 0 {
                continue;
            }
            for _ in 0..self.below(4) {
                let at = second - self.below(40);
                write(self, sid, at);
            }
        }
        if self.below(3) == 0 {
            // A new one comes now and then.
            self.wide += i64::from(self.below(4) == 0);
            for n in 0..self.wide {
                if self.below(3) > 0 {
                    write(self, WIDE_SID + n, second - n % 10);
                }
            }
        }
        let tables =
            vec![(Table::Series, json!(dictionary)), (Table::Samples, json!(samples)), (Table::Histograms, json!(histograms))];
        let tables = tables.into_iter().filter(|(_, rows)| !rows.as_array().unwrap().is_empty()).collect::<Vec<_>>();
        if !tables.is_empty() {
            let node = if elsewhere { &self.there } else { &self.here };
            node.append(&self.tenant, tables).await;
        }
    }

    /// One thing happens. Says what.
    async fn happen(&mut self) -> &'static str {
        match self.below(20) {
            0..=8 => {
                self.now += 5 + self.below(60);
                self.write(false, self.now).await;
                "rows"
            }
            9 => {
                let late = self.now - self.below(4_000);
                self.write(false, late).await;
                "late rows"
            }
            10..=11 => {
                self.here.flush().await;
                "flush"
            }
            12 => {
                self.here.compact().await;
                "compaction"
            }
            13..=14 => {
                let late = self.now - self.below(1_000);
                self.write(true, late).await;
                "rows elsewhere"
            }
            15..=16 => {
                self.there.refresh().await;
                self.there.flush().await;
                "flush elsewhere"
            }
            17 => {
                self.here.refresh().await;
                "refresh"
            }
            18 if self.deletes => {
                let selector = [r#"up{job="api"}"#, "http_total", r#"wide_total{g="3"}"#][self.below(3) as usize];
                let start_ms = NEW_YEAR_MS + (self.now - self.below(3_000)) * 1_000;
                let time = TimeMs { start_ms, end_ms: start_ms + self.below(600_000) };
                let selectors = vec![parse_selector(selector).unwrap()];
                // What another node has not in files when the row of a series goes loses its labels; and senders' receivers know.
                self.there.refresh().await;
                self.there.flush().await;
                self.introduced.clear();
                self.here.engine.delete_series(&self.tenant, DeleteRequest { selectors, time }).await.unwrap();
                "delete"
            }
            18 => {
                let before = NEW_YEAR_MS + (self.now - 2_000 - self.below(9_000)) * 1_000;
                self.here.retain(&self.tenant, before).await;
                "retention"
            }
            _ => "nothing",
        }
    }

    fn panel(&mut self) -> Panel {
        let text = expression(&mut self.rng, 2);
        let step_s = [10, 15, 30, 60, 300][self.below(5) as usize];
        let phase_ms = if self.below(3) == 0 { self.below(step_s * 1_000) } else { 0 };
        Panel { text, step_s, phase_ms, steps: 1 + self.below(60) }
    }

    /// The panel as it would be asked for now.
    fn query(&mut self, panel: &Panel) -> RangeQuery {
        let step_ms = panel.step_s * 1_000;
        let ahead = if self.below(4) == 0 { self.below(5) } else { 0 };
        let back = if self.below(4) == 0 { self.below(60) } else { 0 };
        let last = (NEW_YEAR_MS + self.now * 1_000).div_euclid(step_ms) * step_ms + panel.phase_ms + (ahead - back) * step_ms;
        let steps = if self.below(5) == 0 { 1 + self.below(90) } else { panel.steps };
        let start_ms = last - (steps - 1) * step_ms;
        let end_ms = last + self.below(step_ms);
        RangeQuery { text: panel.text.clone(), start_ms, end_ms, step_ms, ..RangeQuery::default() }
    }
}

const SELECTORS: [&str; 7] =
    ["up", "http_total", r#"up{job="api"}"#, r#"{job="db"}"#, "wide_total", "wide_total", r#"{__name__=~"up|http_total"}"#];
const OVER_TIME: [&str; 12] = [
    "rate",
    "increase",
    "delta",
    "avg_over_time",
    "sum_over_time",
    "max_over_time",
    "count_over_time",
    "last_over_time",
    "irate",
    "changes",
    "resets",
    "stddev_over_time",
];

/// An expression of chance; many of them may be kept.
fn expression(rng: &mut SmallRng, depth: u32) -> String {
    let selector = if rng.random_range(0..25) == 0 { "latency" } else { SELECTORS[rng.random_range(0..SELECTORS.len())] };
    let modifier = ["", "", "", "", " offset 2m", " offset -1m", " @ end()"][rng.random_range(0..7)];
    if depth == 0 || rng.random_range(0..5) == 0 {
        return format!("{selector}{modifier}");
    }
    let range = ["30s", "1m", "5m", "20m"][rng.random_range(0..4)];
    let inner = expression(rng, depth - 1);
    match rng.random_range(0..18) {
        0..=3 => format!("{}({selector}[{range}]{modifier})", OVER_TIME[rng.random_range(0..OVER_TIME.len())]),
        4..=8 => {
            let op = ["sum", "sum", "avg", "count", "min", "max", "group", "stddev", "stdvar"][rng.random_range(0..9)];
            let by = ["", "by (job, g)", "by (__name__)", "without (i, n)"][rng.random_range(0..4)];
            format!("{op} {by} ({inner})")
        }
        9 => format!("quantile by (job) (0.4, {inner})"),
        10 => format!("topk(2, {inner})"),
        11 => format!("abs({inner})"),
        12 => format!("({inner}) * 2 - 1"),
        13 => format!("({inner}) > bool 500 or ({})", expression(rng, depth - 1)),
        14 => format!("({inner}) unless on (job) ({})", expression(rng, depth - 1)),
        15 => format!("({inner}) + on (job, i, n, g) group_left () ({})", expression(rng, depth - 1)),
        16 => ["time() - scalar(sum(up))", "absent(nothing)", "sort(up)", "limitk(2, up)", "up * step()", "vector(7)"]
            [rng.random_range(0..6)]
        .to_owned(),
        _ => format!("{}(({inner})[10m:1m])", ["max_over_time", "sum_over_time", "rate"][rng.random_range(0..3)]),
    }
}

async fn check(seed: u64, rounds: usize) -> usize {
    let mut world = World::new(seed).await;
    for _ in 0..8 {
        world.happen().await;
    }
    let mut panels: Vec<Panel> = (0..6).map(|_| world.panel()).collect();
    panels.push(Panel { text: "sum by (g) (rate(wide_total[1m]))".into(), step_s: 15, phase_ms: 0, steps: 40 });
    panels.push(Panel { text: "sum(up) or vector(0)".into(), step_s: 10, phase_ms: 0, steps: 60 });
    let mut history = Vec::new();
    let mut asked = 0;
    for round in 0..rounds {
        history.push(world.happen().await);
        if world.below(12) == 0 {
            let at = world.below(panels.len() as i64) as usize;
            panels[at] = world.panel();
        }
        for panel in panels.clone() {
            if world.below(2) == 0 {
                continue;
            }
            let query = world.query(&panel);
            let kept = world.here.engine.range(&world.tenant, query.clone()).await;
            let fresh = RangeQuery { reuse: Reuse::Forbidden, ..query.clone() };
            let fresh = world.here.engine.range(&world.tenant, fresh).await;
            let (kept, fresh) = (shown(&kept, &query.text), shown(&fresh, &query.text));
            assert!(kept == fresh, "seed {seed}, round {round}, {query:?}\n{history:?}\nkept {kept}\nfresh {fresh}");
            asked += 1;
        }
    }
    asked
}

#[test]
fn no_answer_depends_on_what_is_kept() {
    let _alone = alone();
    counters();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (first, seeds) = match std::env::var("RESULT_CACHE_SEED") {
        Ok(seed) => (seed.parse().unwrap(), 1),
        Err(_) => (0, 12),
    };
    let before = counted("telelake_promql_result_cache_hits_total");
    let mut asked = 0;
    for seed in first..first + seeds {
        println!("seed {seed}");
        asked += runtime.block_on(check(seed, 50));
    }
    let taken = counted("telelake_promql_result_cache_hits_total") - before;
    println!("{asked} asked, {taken} took steps of earlier answers");
    assert!(seeds == 1 || taken * 5 > asked as u64, "{asked} asked, {taken} took steps");
}
