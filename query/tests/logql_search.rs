//! What indexes, pages and runs of streams spare a query changes no answer: the engine over files and memory against the language over all lines.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::{Table, TenantId};
use logql::ast::{Expr, MetricExpr};
use logql::interpret::{StoredLine, Stream, interpret, selects};
use logql::metric::{self, Limits, StepGrid};
use logql::pipeline::{Hints, Pipeline};
use proptest::prelude::*;
use query::logql::{Direction, InstantQuery, LogqlConfig, LogqlEngine, RangeQuery, Value};
use serde_json::json;
use support::{World, ns, tenant};

/// More than a block of the index has rows, and than a row group of a small file.
const LINES: usize = 20_000;
const SECONDS: i64 = 3_600;
/// Streams by id: app and labels beside it.
const STREAMS: [(&str, &[(&str, &str)]); 5] = [
    ("api", &[("env", "prod")]),
    ("api", &[("env", "dev"), ("level", "info")]),
    ("db", &[("env", "prod")]),
    ("web", &[("env", "prod"), ("pod", "p1")]),
    ("web", &[("detected_level", "own")]),
];
const WORDS: [&str; 8] = ["request", "timeout", "timed out", "refused", "Übung", "ERROR", "retry", "ok"];
const LEVELS: [&str; 4] = ["info", "error", "warn", ""];

/// Numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % sides.max(1) as u64) as usize
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.roll(of.len())]
    }
}

#[derive(Debug, Clone)]
struct Line {
    stream: usize,
    ts_ns: i64,
    text: String,
    level: &'static str,
    pod: Option<&'static str>,
}

fn line(dice: &mut Dice) -> Line {
    let stream = dice.roll(STREAMS.len());
    // Few of the times are there twice, and then often.
    let second = if dice.roll(4) == 0 { dice.roll(20) as i64 * 60 } else { dice.roll(SECONDS as usize) as i64 };
    let ts_ns = ns(second) + if dice.roll(8) == 0 { 0 } else { dice.roll(1_000_000_000) as i64 };
    let (word, status) = (dice.pick(&WORDS), [200, 404, 500, 1234][dice.roll(4)]);
    let id = format!("{:08x}", dice.roll(1 << 31));
    let text = match dice.roll(4) {
        0 => format!(r#"{{"msg": "{word}", "status": {status}, "id": "{id}"}}"#),
        1 => format!(r#"msg="{word}" status={status} id={id}"#),
        2 => format!("{word} {word}"),
        _ => format!("{id} [{word}] {status}"),
    };
    // What a receiver does: the level is a function of the text.
    let level = if text.len().is_multiple_of(3) { LEVELS[text.len() % LEVELS.len()] } else { "info" };
    let pod = (stream == 2 && dice.roll(2) == 0).then(|| dice.pick(&["p1", "p2"]));
    Line { stream, ts_ns, text, level, pod }
}

struct Model {
    world: World,
    engine: Arc<LogqlEngine>,
    tenant: TenantId,
    lines: Vec<Line>,
}

impl Model {
    /// `apart`: no two files have lines of one time, and no line is there twice, so that much is known of lines without looking at them.
    async fn new(dice: &mut Dice, apart: bool) -> Self {
        let world = World::new().await;
        let engine =
            LogqlEngine::new(Arc::clone(&world.engine), LogqlConfig::default(), tokio::runtime::Handle::current()).unwrap();
        let tenant = tenant("a");
        let streams = STREAMS.iter().zip(0..).map(|((app, labels), id)| {
            let labels: BTreeMap<&str, &str> = labels.iter().copied().chain([("app", *app)]).collect();
            json!({"service": app, "stream_id": id, "ts": ns(0), "labels": labels})
        });
        world.commit(&tenant, Table::Streams, json!(streams.collect::<Vec<_>>())).await;
        let mut lines: Vec<Line> = (0..LINES).map(|_| line(dice)).collect();
        for _ in 0..300 {
            // A sender that repeats itself.
            let again = lines[dice.roll(lines.len())].clone();
            lines.push(again);
        }
        if apart {
            lines.sort_by_key(|line| line.ts_ns);
            lines.dedup_by_key(|line| line.ts_ns);
        }
        let row = |(seq, line): (usize, &Line)| {
            let attributes: BTreeMap<&str, &str> = line.pod.iter().map(|pod| ("pod", *pod)).collect();
            let mut row = json!({"service": STREAMS[line.stream].0, "stream_id": line.stream, "ts": line.ts_ns, "seq": seq,
                "level": line.level, "body": line.text});
            if !attributes.is_empty() {
                row["attrs_str"] = json!(attributes);
            }
            row
        };
        let rows: Vec<_> = lines.iter().enumerate().map(row).collect();
        let all = lines.len();
        let (first, second, third) = (all * 3 / 5, all * 4 / 5, all - 500);
        world.commit(&tenant, Table::Logs, json!(rows[..first])).await;
        world.commit(&tenant, Table::Logs, json!(rows[first..second])).await;
        world.buffer(&tenant, Table::Logs, json!(rows[second..third]));
        world.buffer(&tenant, Table::Logs, json!(rows[third..]));
        Self { world, engine, tenant, lines }
    }

    /// The lines as the language wants them, each once.
    fn streams(&self) -> Vec<Stream> {
        #[allow(clippy::type_complexity, reason = "the literal says it")]
        let of = |(id, (app, labels)): (usize, &(&str, &[(&str, &str)]))| {
            let mut lines: Vec<StoredLine> = self.lines.iter().filter(|line| line.stream == id).map(stored).collect();
            lines.sort_by(|a, b| (a.time_ns, &a.text, &a.metadata).cmp(&(b.time_ns, &b.text, &b.metadata)));
            lines.dedup();
            let labels = labels.iter().copied().chain([("app", *app)]).map(|(name, value)| (name.to_owned(), value.to_owned()));
            Stream { labels: labels.collect(), lines }
        };
        STREAMS.iter().enumerate().map(of).collect()
    }

    async fn check_lines(&self, log: &str, from_s: i64, to_s: i64) {
        let Ok(Expr::Log(parsed)) = logql::parse::parse(log) else { panic!("{log}") };
        let pipeline = Pipeline::new(&parsed.stages, Hints::all(), 0).unwrap();
        let mut expected = Vec::new();
        for stream in self.streams().iter().filter(|stream| selects(&parsed.selector, &stream.labels)) {
            let mut stages = pipeline.stream(pairs(&stream.labels));
            for line in stream.lines.iter().filter(|line| (ns(from_s)..ns(to_s)).contains(&line.time_ns)) {
                if let Some(line_left) = stages.process(line.time_ns, &line.text, pairs(&line.metadata)) {
                    expected.push((line.time_ns, line_left.text.to_owned()));
                }
            }
        }
        expected.sort();
        let limit = 5_000;
        let (start_ns, end_ns) = (ns(from_s), ns(to_s));
        let query = RangeQuery {
            text: log.to_owned(),
            start_ns,
            end_ns,
            step_ns: 1,
            interval_ns: 0,
            limit,
            direction: Direction::Forward,
            timeout: None,
        };
        let Value::Streams(streams) = self.engine.range(&self.tenant, query).await.unwrap().value else { panic!("{log}") };
        let mut found: Vec<_> =
            streams.into_iter().flat_map(|stream| stream.entries).map(|entry| (entry.ts_ns, entry.line)).collect();
        found.sort();
        if expected.len() > limit {
            // Of lines of the last time any may be there.
            let last = found.last().map_or(i64::MIN, |(ts_ns, _)| *ts_ns);
            expected.retain(|(ts_ns, _)| *ts_ns < last);
            found.retain(|(ts_ns, _)| *ts_ns < last);
        }
        assert_eq!(found, expected, "{log} from {from_s} to {to_s}");
    }

    async fn check_numbers(&self, text: &str, grid: StepGrid) {
        let Ok(Expr::Metric(metric)) = logql::parse::parse(text) else { panic!("{text}") };
        let expected = points(&metric, &self.streams(), grid);
        let mut found = BTreeMap::new();
        let text = text.to_owned();
        let value = if grid.len() == 1 {
            let query = InstantQuery { text: text.clone(), time_ns: grid.start_ns, timeout: None };
            self.engine.instant(&self.tenant, query).await.unwrap().value
        } else {
            let StepGrid { start_ns, end_ns, step_ns } = grid;
            let (limit, direction) = (0, Direction::Forward);
            let query =
                RangeQuery { text: text.clone(), start_ns, end_ns, step_ns, interval_ns: 0, limit, direction, timeout: None };
            self.engine.range(&self.tenant, query).await.unwrap().value
        };
        match value {
            Value::Vector(elements) => {
                found.extend(elements.into_iter().map(|e| ((shown(pairs_of(&e.labels)), e.time_ns), e.value.to_bits())))
            }
            Value::Matrix(series) => {
                for series in series {
                    let labels = shown(pairs_of(&series.labels));
                    found.extend(series.points.iter().map(|(at, value)| ((labels.clone(), *at), value.to_bits())));
                }
            }
            other => panic!("{text}: {other:?}"),
        }
        assert_eq!(found, expected, "{text} {grid:?}");
    }

    async fn check(&self, dice: &mut Dice) {
        let selector = dice.pick(&[r#"{app=~".+"}"#, r#"{app="api"}"#, r#"{env="prod"}"#, r#"{app="web",pod="p1"}"#]);
        let stages = self.stages(dice);
        let from = dice.roll(SECONDS as usize) as i64;
        let log = format!("{selector} {stages}");
        self.check_lines(&log, from, from + 1 + dice.roll(2_000) as i64).await;
        let stages = if dice.roll(2) == 0 { String::new() } else { stages };
        let range = dice.pick(&["90s", "7m", "2h", "1s"]);
        let leaf = format!("{selector} {stages} [{range}]");
        let text = match dice.roll(8) {
            0 => format!("sum(count_over_time({leaf}))"),
            1 => format!("sum by (app) (rate({leaf}))"),
            2 => format!("sum by (level, detected_level) (count_over_time({leaf}))"),
            3 => format!("sum without (env) (bytes_over_time({leaf}))"),
            4 => format!("count_over_time({leaf})"),
            5 => format!("absent_over_time({leaf})"),
            6 => format!("sum by (pod) (bytes_rate({leaf}))"),
            _ => format!("sum by (env, detected_level) (rate({leaf} offset 10s))"),
        };
        // What was learned of some lines is used for others.
        for _ in 0..2 {
            let grid = match dice.roll(3) {
                0 => StepGrid::instant(ns(SECONDS)),
                1 => StepGrid::instant(ns(dice.roll(SECONDS as usize) as i64)),
                _ => StepGrid {
                    start_ns: ns(300),
                    end_ns: ns(SECONDS + 300),
                    step_ns: [60, 97, 1_000][dice.roll(3)] * 1_000_000_000,
                },
            };
            self.check_numbers(&text, grid).await;
        }
        self.check_lines(&log, 0, SECONDS).await;
    }

    /// Stages, often about a text that is there.
    fn stages(&self, dice: &mut Dice) -> String {
        let line = &self.lines[dice.roll(self.lines.len())].text;
        let chars: Vec<char> = line.chars().collect();
        let at = dice.roll(chars.len());
        let len = 3 + dice.roll(12);
        let text: String = chars[at..(at + len).min(chars.len())].iter().collect();
        let absent = dice.pick(&["zq-never", "ffffffffffff", "x"]);
        let word = dice.pick(&WORDS);
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        let (here, gone) = (quoted(&text), quoted(absent));
        let escaped = quoted(&regex_of(&text));
        match dice.roll(14) {
            0 => format!("|= {here}"),
            1 => format!("|= {gone}"),
            2 => format!("!= {here}"),
            3 => format!("|= {here} or {gone}"),
            4 => format!("|~ {escaped}"),
            5 => format!("|~ {}", quoted(&format!("(?i)({}|{absent})", regex_of(&text)))),
            6 => format!("!~ {escaped}"),
            7 => format!("|~ {}", quoted(&format!("time(out|d out).*{}", dice.pick(&["50[03]", "status.?200", "$"])))),
            8 => format!("| json | status=\"{}\"", dice.pick(&["500", "1234"])),
            9 => format!("| logfmt | msg={} |= {here}", quoted(word)),
            10 => format!("|= {} | json | __error__=\"\" | status>=404", quoted(word)),
            11 => format!("|> {} or {}", quoted(&format!("<_>{word}<_>")), quoted(&format!("{text}<_>"))),
            12 => format!("| detected_level=\"{}\"", dice.pick(&["error", "own", "info"])),
            _ => format!("!= {gone} | pattern `<id> [<word>] <status>` | status=`500`"),
        }
    }
}

/// A pattern that finds `text`.
fn regex_of(text: &str) -> String {
    text.chars().map(|c| if c.is_alphanumeric() || c == ' ' { c.to_string() } else { ".".to_owned() }).collect()
}

fn stored(line: &Line) -> StoredLine {
    let level = Some(("detected_level".to_owned(), line.level.to_owned())).filter(|(_, level)| !level.is_empty());
    let pod = line.pod.map(|pod| ("pod".to_owned(), pod.to_owned()));
    StoredLine { time_ns: line.ts_ns, text: line.text.clone(), metadata: level.into_iter().chain(pod).collect() }
}

fn pairs(labels: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

fn pairs_of(labels: &query::logql::Labels) -> impl Iterator<Item = (&str, &str)> {
    labels.iter().map(|(name, value)| (&**name, &**value))
}

fn shown<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    labels.map(|(name, value)| format!("{name}={value:?},")).collect()
}

/// What the language says, by labels and time.
fn points(metric: &MetricExpr, streams: &[Stream], grid: StepGrid) -> BTreeMap<(String, i64), u64> {
    let limits = Limits { instant: grid.len() == 1, series_max: 10_000 };
    match interpret(metric, streams, grid, limits, 0).unwrap().value {
        metric::Value::Vector(elements) => {
            elements.iter().map(|(labels, value)| ((shown(labels.iter()), grid.start_ns), value.to_bits())).collect()
        }
        metric::Value::Matrix(series) => series
            .iter()
            .flat_map(|series| {
                let labels = shown(series.labels.iter());
                series.steps.iter().map(|(at, value)| ((labels.clone(), grid.time_ns(at)), value.to_bits())).collect::<Vec<_>>()
            })
            .collect(),
        metric::Value::Scalar(value) => panic!("{value}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn a_search_that_is_spared_work_finds_the_same(seed: u64, apart: bool) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut dice = Dice(seed);
            let model = Model::new(&mut dice, apart).await;
            for _ in 0..8 {
                model.check(&mut dice).await;
            }
            model.world.flush(&model.tenant).await;
            for _ in 0..8 {
                model.check(&mut dice).await;
            }
            model.world.compact().await;
            for _ in 0..16 {
                model.check(&mut dice).await;
            }
        });
    }
}
