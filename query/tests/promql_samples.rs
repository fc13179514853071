//! Samples out of files of all levels and of memory: what was written last, and nothing twice.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::{Table, TenantId};
use promql::eval::{AnswerValue, EvalError, QueryOptions, Select, Source, interpret, lower};
use promql::parse::{ParseOptions, parse, parse_selector};
use promql::value::RawSeries;
use query::QueryConfig;
use query::promql::{DeleteRequest, InstantQuery, PromqlConfig, PromqlEngine, RangeQuery, RawRequest, TimeMs, Value};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use support::{HISTOGRAMS, NEW_YEAR_MS, SERIES, World, series, tenant};

/// Series, seconds since the new year ► value. Series 7 holds histograms: their count.
type Model = BTreeMap<(i64, i64), f64>;

struct Lake {
    world: World,
    tenant: TenantId,
    engine: Arc<PromqlEngine>,
    model: Model,
    rng: SmallRng,
}

impl Lake {
    async fn new(seed: u64) -> Self {
        let world = World::with(QueryConfig { partitions: 2, ..QueryConfig::default() }).await;
        let engine =
            PromqlEngine::new(Arc::clone(&world.engine), PromqlConfig::default(), tokio::runtime::Handle::current()).unwrap();
        let rng = SmallRng::seed_from_u64(seed);
        Self { world, tenant: tenant("a"), engine, model: Model::new(), rng }
    }

    fn below(&mut self, n: i64) -> i64 {
        self.rng.random_range(0..n)
    }

    /// Some rows of some series: in order, late, or again.
    fn write(&mut self) {
        let hour = self.below(5) * 3_600;
        let (mut samples, mut histograms, mut dictionary) = (Vec::new(), Vec::new(), Vec::new());
        for sid in 0..SERIES.len() as i64 {
            let (metric, labels) = SERIES[sid as usize];
            dictionary.push(series(metric, sid, json!(BTreeMap::from(labels))));
            let mut second = hour + self.below(600);
            for _ in 0..self.below(40) {
                let stale = self.below(20) == 0;
                let value = if stale { f64::from_bits(promql::value::STALE_BITS) } else { self.below(1_000) as f64 };
                let ts = NEW_YEAR_MS + second * 1_000;
                if sid == HISTOGRAMS {
                    let count = self.below(1_000);
                    histograms.push(
                        json!({"metric": metric, "sid": sid, "ts": ts, "schema": 0, "reset_hint": 0, "zero_threshold": 0.0,
                        "zero_count": 0, "count": count, "sum": count as f64, "positive_offsets": [0], "positive_lengths": [1],
                        "positive_counts": [count]}),
                    );
                    self.model.insert((sid, second), count as f64);
                } else if !stale {
                    samples.push(json!({"metric": metric, "sid": sid, "ts": ts, "value": value}));
                    self.model.insert((sid, second), value);
                }
                second += self.below(40);
            }
        }
        self.world.buffer(&self.tenant, Table::Series, json!(dictionary));
        self.world.buffer(&self.tenant, Table::Samples, json!(samples));
        self.world.buffer(&self.tenant, Table::Histograms, json!(histograms));
    }

    async fn change(&mut self) {
        match self.below(6) {
            0..=2 => self.write(),
            3..=4 => self.world.flush(&self.tenant).await,
            _ => self.world.compact().await,
        }
    }

    async fn raw(&self, selector: &str, from_s: i64, to_s: i64) -> Vec<RawSeries> {
        let time = TimeMs { start_ms: NEW_YEAR_MS + from_s * 1_000, end_ms: NEW_YEAR_MS + to_s * 1_000 };
        let matchers = parse_selector(selector).unwrap();
        self.engine.raw(&self.tenant, RawRequest { matchers, time }).await.unwrap()
    }
}

/// What was read, in the shape of the model.
fn seen(found: &[RawSeries]) -> Model {
    let mut model = Model::new();
    for one in found {
        let is = |(metric, labels): &(&str, [(&str, &str); 2])| {
            one.labels.metric() == *metric && labels.iter().all(|(name, value)| one.labels.get(name) == *value)
        };
        let sid = SERIES.iter().position(is).unwrap() as i64;
        let second = |ms: i64| (ms - NEW_YEAR_MS) / 1_000;
        assert!(one.times_ms.is_sorted() && one.times_ms.len() == one.floats.len());
        model.extend(one.times_ms.iter().zip(&one.floats).map(|(ms, value)| ((sid, second(*ms)), *value)));
        model.extend(one.histograms.iter().map(|h| ((sid, second(h.time_ms)), h.histogram.count)));
    }
    model
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_last_is_read_wherever_it_lies() {
    for seed in 0..12 {
        let mut lake = Lake::new(seed).await;
        for round in 0..25 {
            lake.change().await;
            let from = lake.below(5 * 3_600);
            let to = from + lake.below(3 * 3_600);
            for (selector, wanted) in [
                ("up", &[0, 1, 2][..]),
                (r#"{job="api"}"#, &[0, 1, 3, 4, 6, 7]),
                (r#"{__name__=~".+"}"#, &[0, 1, 2, 3, 4, 5, 6, 7]),
            ] {
                for (from, to) in [(from, to), (-1_000_000, 1_000_000)] {
                    let inside = |key: &(i64, i64)| wanted.contains(&key.0) && from <= key.1 && key.1 <= to;
                    let expected: Model = lake.model.iter().filter(|(key, _)| inside(key)).map(|(k, v)| (*k, *v)).collect();
                    let found = seen(&lake.raw(selector, from, to).await);
                    assert_eq!(found, expected, "seed {seed}, round {round}, {selector} [{from}, {to}]");
                }
            }
        }
        assert!(!lake.model.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_rows_are_gone_and_later_ones_are_not() {
    let mut lake = Lake::new(77).await;
    for _ in 0..6 {
        lake.write();
        lake.world.flush(&lake.tenant).await;
    }
    let check = async |lake: &Lake, when: &str| {
        assert_eq!(seen(&lake.raw(r#"{__name__=~".+"}"#, -1_000_000, 1_000_000).await), lake.model, "{when}");
        let count = lake.model.keys().filter(|(sid, _)| *sid != HISTOGRAMS).count();
        let drawn = lake.world.sql(&lake.tenant, "SELECT count(*) FROM metrics").await;
        assert_eq!(support::cells(&drawn), [[count.to_string()]], "{when}");
    };
    check(&lake, "before").await;
    let (from, to) = (3_600, 2 * 3_600 + 100);
    let time = TimeMs { start_ms: NEW_YEAR_MS + from * 1_000, end_ms: NEW_YEAR_MS + to * 1_000 };
    let selectors = vec![parse_selector(r#"up{job="api"}"#).unwrap(), parse_selector("latency").unwrap()];
    lake.engine.delete_series(&lake.tenant, DeleteRequest { selectors, time }).await.unwrap();
    lake.model.retain(|(sid, second), _| ![0, 1, HISTOGRAMS].contains(sid) || *second < from || *second > to);
    check(&lake, "deleted").await;
    lake.world.compact().await;
    check(&lake, "compacted").await;
    for _ in 0..6 {
        lake.write();
    }
    check(&lake, "written again").await;
    lake.world.flush(&lake.tenant).await;
    lake.world.compact().await;
    check(&lake, "flushed and compacted").await;
    assert!(lake.engine.delete_series(&lake.tenant, DeleteRequest::default()).await.is_err(), "a selector is needed");
}

/// Every level of a query is read in a task of its own: as deep as the parser lets through it answers or is refused.
#[tokio::test(flavor = "multi_thread")]
async fn deep_queries_do_not_overflow_a_stack() {
    let mut lake = Lake::new(5).await;
    lake.write();
    for (open, close, levels) in [
        ("abs(", " or up)", 100),
        ("label_replace(", r#", "a", "$1", "job", "(.*)")"#, 200),
        ("vector(scalar(", "))", 100),
        ("histogram_quantile(0.9, ", ")", 200),
        ("sum by (job) (", ")", 200),
        ("max_over_time(", "[1m:30s])", 50),
        ("-", "", 200),
    ] {
        let text = open.repeat(levels) + "up" + &close.repeat(levels);
        let query = InstantQuery { text, time_ms: NEW_YEAR_MS + 3_600_000, ..InstantQuery::default() };
        if let Err(error) = lake.engine.instant(&lake.tenant, query).await {
            assert_ne!(error.error_type(), query::promql::ErrorType::Internal, "{levels} times {open}: {error}");
        }
    }
}

/// The lake's samples, for evaluation in memory.
struct InMemory(Vec<(Select, Vec<RawSeries>)>);

impl Source for InMemory {
    fn select(&self, select: &Select) -> Result<Vec<RawSeries>, EvalError> {
        let known = self.0.iter().find(|(known, _)| known == select);
        known.map(|(_, series)| series.clone()).ok_or_else(|| EvalError::Storage("it was not read".into()))
    }
}

fn selects(node: &promql::eval::Node, found: &mut Vec<Select>) {
    if let promql::eval::Operator::Select(select) = &node.op {
        found.push(select.clone());
    }
    node.inputs.iter().for_each(|input| selects(input, found));
}

const SELECTORS: [&str; 6] = ["up", "http_total", r#"up{job="api"}"#, r#"{job="db"}"#, "latency", r#"{__name__=~"up|latency"}"#];

/// An expression of chance.
fn expression(rng: &mut SmallRng, depth: u32) -> String {
    let selector = SELECTORS[rng.random_range(0..SELECTORS.len())];
    let modifier = ["", "", " offset 7m", " @ 1767229200", " @ end()"][rng.random_range(0..5)];
    if depth == 0 || rng.random_range(0..4) == 0 {
        return format!("{selector}{modifier}");
    }
    let range = ["1m", "5m", "30m", "2h"][rng.random_range(0..4)];
    let inner = expression(rng, depth - 1);
    match rng.random_range(0..13) {
        0 | 1 => {
            let function = [
                "rate",
                "increase",
                "delta",
                "avg_over_time",
                "max_over_time",
                "count_over_time",
                "last_over_time",
                "irate",
                "changes",
                "resets",
                "stddev_over_time",
            ][rng.random_range(0..11)];
            format!("{function}({selector}[{range}]{modifier})")
        }
        2..=4 => {
            let op = ["sum", "avg", "count", "min", "max", "group", "stddev"][rng.random_range(0..7)];
            let by = ["", "by (job)", "by (__name__)", "without (i)"][rng.random_range(0..4)];
            format!("{op} {by} ({inner})")
        }
        5 => format!("quantile by (job) (0.4, {inner})"),
        6 => format!("topk(2, {inner})"),
        7 => format!("abs({inner})"),
        8 => format!("({inner}) * 2 - 1"),
        9 => format!("({inner}) > 500"),
        10 => format!("({inner}) and on (job) ({})", expression(rng, depth - 1)),
        11 => format!("({inner}) + on (job, i) group_left () ({})", expression(rng, depth - 1)),
        _ => format!("max_over_time(({inner})[20m:3m])"),
    }
}

/// Floats that may differ in their last bits: sums over partitions are put together in another order.
fn near(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_answer_what_evaluation_in_memory_does() {
    let mut answered = 0;
    for seed in 0..6 {
        let mut lake = Lake::new(100 + seed).await;
        for _ in 0..60 {
            if lake.below(3) == 0 {
                lake.change().await;
            }
            let text = expression(&mut lake.rng, 3);
            let step_ms = 1_000 * (1 + lake.below(600));
            let start_ms = NEW_YEAR_MS + lake.below(5 * 3_600_000);
            let end_ms = start_ms + step_ms * lake.below(40);
            let options = QueryOptions {
                lookback_ms: 300_000,
                delayed_name_removal: true,
                start_timestamps: true,
                ..QueryOptions::range(start_ms, end_ms, step_ms)
            };
            let expr = parse(&text, &ParseOptions { experimental: true }).unwrap();
            let plan = lower(&expr, &options).unwrap();
            let mut reads = Vec::new();
            selects(&plan.root, &mut reads);
            let mut source = InMemory(Vec::new());
            for select in reads {
                let time = TimeMs { start_ms: select.from_ms, end_ms: select.to_ms };
                let request = RawRequest { matchers: select.matchers.clone(), time };
                let mut series = lake.engine.raw(&lake.tenant, request).await.unwrap();
                if !select.starts {
                    series.iter_mut().for_each(|one| one.starts_ms.clear());
                }
                source.0.push((select, series));
            }
            let expected = interpret(&plan, &source, &|| Ok(()));
            let query = RangeQuery { text: text.clone(), start_ms, end_ms, step_ms, ..RangeQuery::default() };
            let found = lake.engine.range(&lake.tenant, query).await;
            match (expected, found) {
                (Ok(expected), Ok(found)) => {
                    answered += 1;
                    let AnswerValue::Matrix(expected_series) = expected.value else { panic!("{text}: a matrix") };
                    let Value::Matrix(found_series) = found.value else { panic!("{text}: a matrix") };
                    let show = |labels: &promql::labels::Labels| labels.to_string();
                    assert_eq!(
                        found_series.iter().map(|s| show(s.labels())).collect::<Vec<_>>(),
                        expected_series.iter().map(|s| show(&s.labels)).collect::<Vec<_>>(),
                        "seed {seed}: {text}"
                    );
                    for (found, expected) in found_series.iter().zip(expected_series) {
                        let expected = query::promql::Series::of_steps(plan.grid, expected);
                        let (floats, wanted): (Vec<_>, Vec<_>) = (found.floats().collect(), expected.floats().collect());
                        assert_eq!(floats.len(), wanted.len(), "seed {seed}: {text}");
                        let equal = floats.iter().zip(&wanted).all(|(a, b)| a.0 == b.0 && near(a.1, b.1));
                        assert!(equal, "seed {seed}: {text}\n{floats:?}\n{wanted:?}");
                        let (histograms, wanted): (Vec<_>, Vec<_>) =
                            (found.histograms().collect(), expected.histograms().collect());
                        assert_eq!(format!("{histograms:?}"), format!("{wanted:?}"), "seed {seed}: {text}");
                    }
                    let mut texts = [&expected.annotations, &found.annotations].map(|annotations| {
                        let mut texts: Vec<String> = annotations.iter().map(|a| a.message.clone()).collect();
                        texts.sort();
                        texts
                    });
                    let (expected, found) = texts.split_at_mut(1);
                    assert_eq!(found, expected, "seed {seed}: {text}");
                }
                (Err(expected), Err(found)) => assert_eq!(found.to_string(), expected.to_string(), "seed {seed}: {text}"),
                (expected, found) => panic!("seed {seed}: {text}: {expected:?} but {found:?}"),
            }
        }
    }
    assert!(answered > 200, "{answered} of 360 queries had an answer");
}
