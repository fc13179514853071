//! Deletes of logs: against a naive filter of the rows, fresh, flushed and compacted; and how requests are listed and taken back.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use catalog::{ErrorKind, Table, TenantId, TimeRange};
use lake::compact::{CompactConfig, Compactor};
use proptest::prelude::*;
use query::DeleteSelectors;
use query::logql::{
    DeleteRequest, Direction, InstantQuery, LogqlConfig, LogqlEngine, RangeQuery, StreamsRequest, TimeNs, Value, VolumeBy,
    VolumeRequest,
};
use serde_json::json;
use support::{World, cells, ns, tenant};

/// Streams by id: app and env.
const STREAMS: [(&str, &str); 4] = [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")];
const TEXTS: [&str; 6] = ["ok", "a secret", "level=error msg=secret", "level=info", r#"{"code":"500"}"#, r#"{"code":"200"}"#];
const HALF_DAY_S: i64 = 43_200;

/// A line as it was written.
#[derive(Debug, Clone)]
struct Line {
    stream: usize,
    second: i64,
    text: usize,
    /// Its resource: `h0` or `h1`; no host and no resource.
    host: Option<i64>,
    is_hidden: bool,
}

impl Line {
    /// The receiver takes it from the text.
    fn level(&self) -> &'static str {
        if self.text.is_multiple_of(2) { "warn" } else { "" }
    }
}

/// Stages and what they say of a line.
type Stage = (&'static str, fn(&Line) -> bool);

const STAGES: [Stage; 11] = [
    ("", |_| true),
    (r#"|= "secret""#, |line| TEXTS[line.text].contains("secret")),
    (r#"!= "secret""#, |line| !TEXTS[line.text].contains("secret")),
    (r#"|~ "err.r|^ok$""#, |line| TEXTS[line.text].contains("error") || TEXTS[line.text] == "ok"),
    (r#"|= "level" != "info""#, |line| TEXTS[line.text].contains("error")),
    (r#"| logfmt | level="error""#, |line| TEXTS[line.text].contains("level=error")),
    (r#"| json | code > 400 | __error__="""#, |line| TEXTS[line.text].contains("500")),
    (r#"| json | __error__!="""#, |line| !TEXTS[line.text].starts_with('{')),
    (r#"| detected_level="warn""#, |line| line.level() == "warn"),
    (r#"| host="h1""#, |line| line.host == Some(1)),
    (r#"|= "ok" | env="x""#, |line| TEXTS[line.text] == "ok" && STREAMS[line.stream].1 == "x"),
];

/// Whether a selector takes a line.
type Takes = fn(&Line) -> bool;

const SELECTORS: [(&str, Takes); 4] = [
    (r#"{app="a"}"#, |line| STREAMS[line.stream].0 == "a"),
    (r#"{app=~".+"}"#, |_| true),
    (r#"{app="b",env!="x"}"#, |line| STREAMS[line.stream] == ("b", "y")),
    (r#"{app="nothing"}"#, |_| false),
];

#[derive(Debug, Clone)]
struct Delete {
    selector: usize,
    stage: usize,
    from: i64,
    to: i64,
}

#[derive(Debug, Clone)]
enum Step {
    /// Lines that come together and stay in memory until the next flush.
    Write(Vec<Line>),
    Flush,
    Delete(Delete),
    /// A delete that is taken back at once.
    Regret(Delete),
    Compact,
    Clean,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let second = || (0..8_i64).prop_map(|slice| slice * HALF_DAY_S / 2);
    let line = (0..4_usize, second(), 0..TEXTS.len(), prop::option::of(0..2_i64));
    let line = line.prop_map(|(stream, second, text, host)| Line { stream, second, text, host, is_hidden: false });
    let delete = || {
        (0..SELECTORS.len(), 0..STAGES.len(), second(), second(), prop::bool::weighted(0.4)).prop_map(
            |(selector, stage, a, b, is_all)| {
                let (from, to) = if is_all { (0, 10 * HALF_DAY_S) } else { (a.min(b), a.max(b)) };
                Delete { selector, stage, from, to }
            },
        )
    };
    let step = prop_oneof![
        5 => prop::collection::vec(line, 1..12).prop_map(Step::Write),
        2 => Just(Step::Flush),
        4 => delete().prop_map(Step::Delete),
        1 => delete().prop_map(Step::Regret),
        2 => Just(Step::Compact),
        1 => Just(Step::Clean),
    ];
    prop::collection::vec(step, 1..14)
}

struct Model {
    world: World,
    engine: Arc<LogqlEngine>,
    tenant: TenantId,
    lines: Vec<Line>,
    /// Streams (and resources, as negative ones) whose rows the receiver knows stored, by day.
    known: BTreeSet<(i64, i64)>,
    compactor: Compactor,
}

impl Model {
    async fn new() -> Self {
        let world = World::new().await;
        let engine =
            LogqlEngine::new(Arc::clone(&world.engine), LogqlConfig::default(), tokio::runtime::Handle::current()).unwrap();
        let compactor = Compactor::new(Arc::clone(&world.lake), CompactConfig::default(), Arc::new(DeleteSelectors));
        Self { world, engine, tenant: tenant("a"), lines: Vec::new(), known: BTreeSet::new(), compactor }
    }

    /// Puts lines into memory, with the rows of streams and resources that are not known stored.
    fn write(&mut self, lines: &[Line]) {
        let (mut rows, mut streams, mut resources) = (Vec::new(), Vec::new(), Vec::new());
        for line in lines {
            let (app, env) = STREAMS[line.stream];
            let day = line.second.div_euclid(2 * HALF_DAY_S);
            let mut row = json!({"service": app, "stream_id": line.stream, "ts": ns(line.second), "seq": self.lines.len(),
                "level": line.level(), "body": TEXTS[line.text]});
            if self.known.insert((line.stream as i64, day)) {
                let labels = json!({"app": app, "env": env});
                streams.push(json!({"service": app, "stream_id": line.stream, "ts": ns(line.second), "labels": labels}));
            }
            if let Some(host) = line.host {
                row["resource_id"] = json!(host + 70);
                if self.known.insert((-1 - host, day)) {
                    let attributes = json!({"host": format!("h{host}")});
                    resources.push(json!({"resource_id": host + 70, "ts": ns(line.second), "attrs_str": attributes}));
                }
            }
            rows.push(row);
            self.lines.push(line.clone());
        }
        rows.sort_by_key(|row| (row["service"].to_string(), row["stream_id"].as_i64(), row["ts"].as_i64()));
        streams.sort_by_key(|row| (row["service"].to_string(), row["stream_id"].as_i64(), row["ts"].as_i64()));
        resources.sort_by_key(|row| (row["resource_id"].as_i64(), row["ts"].as_i64()));
        for (table, rows) in [(Table::Logs, rows), (Table::Streams, streams), (Table::Resources, resources)] {
            if !rows.is_empty() {
                self.world.buffer(&self.tenant, table, json!(rows));
            }
        }
    }

    async fn delete(&mut self, delete: &Delete) -> String {
        // As the receiver does it: what is acknowledged becomes files, and nobody relies on rows of streams that are stored.
        self.world.flush(&self.tenant).await;
        self.known.retain(|(id, _)| *id < 0);
        let text = format!("{}{}", SELECTORS[delete.selector].0, STAGES[delete.stage].0);
        let request = DeleteRequest { text, start_ns: ns(delete.from), end_ns: ns(delete.to) };
        self.engine.delete(&self.tenant, request).await.unwrap()
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Write(lines) => self.write(lines),
            Step::Flush => self.world.flush(&self.tenant).await,
            Step::Delete(delete) => {
                self.delete(delete).await;
                let (selects, means) = (SELECTORS[delete.selector].1, STAGES[delete.stage].1);
                let meant = self.lines.iter_mut().filter(|line| (delete.from..=delete.to).contains(&line.second));
                meant.filter(|line| selects(line) && means(line)).for_each(|line| line.is_hidden = true);
            }
            Step::Regret(delete) => {
                let id = self.delete(delete).await;
                self.engine.cancel_delete(&self.tenant, &id, true).await.unwrap();
            }
            Step::Compact => assert_eq!(self.compactor.force().await.unwrap().failures, [""; 0]),
            Step::Clean => assert_eq!(self.compactor.clean().await.unwrap().failures, [""; 0]),
        }
    }

    fn time() -> TimeNs {
        TimeNs { start_ns: ns(-1), end_ns: ns(20 * HALF_DAY_S) }
    }

    fn shown(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| !line.is_hidden)
    }

    /// What every reader says is what a naive filter of the lines says.
    async fn check(&self, when: &str) {
        let (tenant, time) = (&self.tenant, Self::time());
        let query = RangeQuery {
            text: r#"{app=~".+"}"#.to_owned(),
            start_ns: time.start_ns,
            end_ns: time.end_ns,
            step_ns: 1_000_000_000,
            interval_ns: 0,
            limit: 5_000,
            direction: Direction::Forward,
            timeout: None,
        };
        let Value::Streams(streams) = self.engine.range(tenant, query).await.unwrap().value else { panic!("no log query") };
        let mut lines: Vec<(String, i64, String, String)> = Vec::new();
        for stream in &streams {
            let labels: Vec<&str> = stream.labels.iter().map(|(_, value)| &**value).collect();
            for entry in &stream.entries {
                let metadata: Vec<&str> = entry.metadata.iter().map(|(_, value)| &**value).collect();
                lines.push((labels.join("/"), entry.ts_ns, entry.line.clone(), metadata.join("/")));
            }
        }
        lines.sort();
        let name = |line: &Line| format!("{}/{}", STREAMS[line.stream].0, STREAMS[line.stream].1);
        let metadata = |line: &Line| {
            let (level, host) = (Some(line.level().to_owned()), line.host.map(|host| format!("h{host}")));
            level.into_iter().filter(|level| !level.is_empty()).chain(host).collect::<Vec<_>>().join("/")
        };
        // Equal lines of one stream and time are one.
        let expected: BTreeSet<(String, i64, String, String)> =
            self.shown().map(|line| (name(line), ns(line.second), TEXTS[line.text].to_owned(), metadata(line))).collect();
        assert_eq!(lines, expected.iter().cloned().collect::<Vec<_>>(), "{when}");

        // Counts read no texts.
        let query = InstantQuery {
            text: r#"sum(count_over_time({app=~".+"}[10d]))"#.to_owned(),
            time_ns: ns(10 * HALF_DAY_S),
            timeout: None,
        };
        let Value::Vector(elements) = self.engine.instant(tenant, query).await.unwrap().value else { panic!("no vector") };
        assert_eq!(elements.iter().map(|element| element.value).sum::<f64>(), expected.len() as f64, "{when}: counted");

        let all = StreamsRequest { selectors: vec![r#"{app=~".+"}"#.to_owned()], time };
        let (rows, bytes) = self.shown().fold((0, 0), |(rows, bytes), line| (rows + 1, bytes + TEXTS[line.text].len() as u64));
        let stats = self.engine.index_stats(tenant, all.clone()).await.unwrap();
        assert_eq!((stats.entries, stats.bytes), (rows, bytes), "{when}: statistics");
        let volume = VolumeRequest {
            selector: all.selectors[0].clone(),
            time,
            step_ns: Some(HALF_DAY_S * 1_000_000_000),
            limit: 100,
            target_labels: Vec::new(),
            by: VolumeBy::Series,
        };
        let Value::Matrix(series) = self.engine.volume(tenant, volume).await.unwrap() else { panic!("no matrix") };
        let volume: f64 = series.iter().flat_map(|series| &series.points).map(|point| point.1).sum();
        assert_eq!(volume, bytes as f64, "{when}: volume");

        let names: BTreeSet<String> = self.shown().map(name).collect();
        for request in [all, StreamsRequest { selectors: Vec::new(), time }] {
            let listed = self.engine.streams(tenant, request.clone()).await.unwrap();
            let listed: Vec<String> =
                listed.iter().map(|labels| labels.iter().map(|(_, value)| &**value).collect::<Vec<_>>().join("/")).collect();
            assert_eq!(listed, names.iter().cloned().collect::<Vec<_>>(), "{when}: streams");
            let apps: BTreeSet<&str> = self.shown().map(|line| STREAMS[line.stream].0).collect();
            let values = self.engine.label_values(tenant, "app", request).await.unwrap();
            assert_eq!(values, apps.into_iter().collect::<Vec<_>>(), "{when}: values");
        }
        let sql = self.world.sql(tenant, "SELECT count(*), count(DISTINCT labels['app'] || labels['env']) FROM logs").await;
        assert_eq!(cells(&sql), [[rows.to_string(), names.len().to_string()]], "{when}: SQL");
        let sql = self.world.sql(tenant, "SELECT count(DISTINCT stream_id) FROM streams").await;
        assert_eq!(cells(&sql), [[names.len().to_string()]], "{when}: SQL of streams");
    }

    fn stored(&self, table: Table) -> u64 {
        let snapshot = self.world.lake.catalog().snapshot();
        snapshot.files(&self.tenant, table, TimeRange::ALL).iter().map(|file| file.rows).sum()
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_answer_after_deletes_is_a_filter_of_the_lines(steps in steps()) {
        block_on(async {
            let mut model = Model::new().await;
            for step in &steps {
                model.step(step).await;
                model.check(&format!("after {step:?}")).await;
            }
            model.world.flush(&model.tenant).await;
            model.step(&Step::Clean).await;
            model.step(&Step::Compact).await;
            model.step(&Step::Clean).await;
            model.check("at the end").await;
            assert!(model.engine.deletes(&model.tenant).await.unwrap().is_empty(), "nothing is left to hide");
            assert_eq!(model.stored(Table::Logs), model.shown().count() as u64, "rows in files");
            let days: BTreeSet<(usize, i64)> =
                model.shown().map(|line| (line.stream, line.second.div_euclid(2 * HALF_DAY_S))).collect();
            assert_eq!(model.stored(Table::Streams), days.len() as u64, "streams without lines are gone");
        });
    }
}

fn line(stream: usize, second: i64, text: usize) -> Line {
    Line { stream, second, text, host: None, is_hidden: false }
}

#[tokio::test]
async fn requests_are_listed_and_taken_back() {
    let mut model = Model::new().await;
    model.write(&[line(0, 0, 1), line(0, 1, 0), line(2, 0, 1)]);
    model.world.flush(&model.tenant).await;
    let secret = DeleteRequest { text: r#"{app="a"} |= "secret""#.to_owned(), start_ns: ns(0), end_ns: ns(10) };
    let engine = Arc::clone(&model.engine);
    let delete = async |request: &DeleteRequest| engine.delete(&tenant("a"), request.clone()).await;
    let id = delete(&secret).await.unwrap();
    model.lines[0].is_hidden = true;
    model.check("deleted").await;
    let listed = model.engine.deletes(&model.tenant).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (listed[0].id.as_str(), listed[0].text.as_str(), listed[0].is_processed),
        (id.as_str(), secret.text.as_str(), false)
    );
    assert_eq!((listed[0].start_s, listed[0].end_s), (ns(0) / 1_000_000_000, ns(10) / 1_000_000_000));
    assert_eq!(listed[0].created_s, model.world.env.now().as_secs());
    assert!(model.engine.deletes(&tenant("b")).await.unwrap().is_empty());
    let others = model.engine.cancel_delete(&tenant("b"), &id, true).await.unwrap_err();
    assert_eq!(others.kind(), ErrorKind::NotFound, "tenants do not see each other");
    assert_eq!(model.engine.cancel_delete(&model.tenant, "x", false).await.unwrap_err().kind(), ErrorKind::NotFound);
    model.engine.cancel_delete(&model.tenant, &id, false).await.unwrap();
    model.lines[0].is_hidden = false;
    model.check("taken back").await;
    assert_eq!(model.engine.cancel_delete(&model.tenant, &id, false).await.unwrap_err().kind(), ErrorKind::NotFound, "once");

    let nothing = DeleteRequest { start_ns: ns(1_000_000), end_ns: ns(1_000_001), ..secret.clone() };
    let id = delete(&nothing).await.unwrap();
    assert!(model.engine.deletes(&model.tenant).await.unwrap()[0].is_processed, "no file has such a time");
    let error = model.engine.cancel_delete(&model.tenant, &id, false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    model.engine.cancel_delete(&model.tenant, &id, true).await.unwrap();

    for text in ["", "{", "{}", r#"{app=~".*"}"#, r#"rate({app="a"}[1m])"#, r#"{app="a"} | pattern "x""#, r#"{app=~"("}"#] {
        let request = DeleteRequest { text: text.to_owned(), ..secret.clone() };
        assert_eq!(delete(&request).await.unwrap_err().kind(), ErrorKind::Invalid, "{text}");
    }
    let backwards = DeleteRequest { start_ns: ns(10), end_ns: ns(9), ..secret.clone() };
    assert_eq!(delete(&backwards).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert!(model.engine.deletes(&model.tenant).await.unwrap().is_empty());
    model.check("at the end").await;
}

#[tokio::test]
async fn a_tenant_has_so_many_deletes_at_most() {
    let model = Model::new().await;
    let request = |second| DeleteRequest { text: r#"{app="a"}"#.to_owned(), start_ns: ns(second), end_ns: ns(second) };
    for second in 0..1_000 {
        model.engine.delete(&model.tenant, request(second)).await.unwrap();
    }
    let error = model.engine.delete(&model.tenant, request(0)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("limit is 1000"), "{error}");
    model.engine.delete(&tenant("b"), request(0)).await.unwrap();
}

/// A line that was deleted and comes again is seen, though an equal one is hidden in an older file.
#[tokio::test]
async fn the_same_line_written_again_is_not_meant() {
    let mut model = Model::new().await;
    model.step(&Step::Write(vec![line(0, 5, 1)])).await;
    model.step(&Step::Delete(Delete { selector: 0, stage: 1, from: 0, to: 10 })).await;
    model.check("deleted").await;
    model.step(&Step::Write(vec![line(0, 5, 1)])).await;
    model.check("written again").await;
    model.step(&Step::Flush).await;
    model.check("flushed").await;
    model.step(&Step::Compact).await;
    model.check("compacted").await;
    assert_eq!(model.stored(Table::Logs), 1);
}

/// While a delete needs the rows of streams, the files with and without it are not merged; once it is done, whoever asks for few files gets them.
#[tokio::test]
async fn files_that_a_delete_kept_apart_are_merged() {
    let mut model = Model::new().await;
    for step in [
        Step::Write(vec![line(3, 0, 0)]),
        Step::Flush,
        Step::Compact,
        Step::Delete(Delete { selector: 0, stage: 0, from: 0, to: 0 }),
        Step::Write(vec![line(3, 0, 0)]),
        Step::Flush,
        Step::Compact,
        Step::Clean,
        Step::Compact,
    ] {
        model.step(&step).await;
        model.check(&format!("after {step:?}")).await;
    }
    assert_eq!(model.stored(Table::Streams), 1);
}

/// A merged file is only written again if a line of it is meant; that is told by its lines, not by its streams and times.
#[tokio::test]
async fn a_file_without_such_a_line_is_not_written_again() {
    let mut model = Model::new().await;
    model.step(&Step::Write((0..50).map(|second| line(0, second, if second == 7 { 1 } else { 0 })).collect())).await;
    model.step(&Step::Flush).await;
    model.step(&Step::Compact).await;
    for (text, spared, deleted) in [("|= \"no such text\"", 1, 0), ("|~ \"no.such\"", 1, 0), ("|= \"secret\"", 0, 1)] {
        let text = format!(r#"{{app="a"}} {text}"#);
        let request = DeleteRequest { text: text.clone(), start_ns: ns(0), end_ns: ns(100) };
        model.engine.delete(&model.tenant, request).await.unwrap();
        let report = model.compactor.clean().await.unwrap();
        assert_eq!(report.failures, [""; 0], "{text}");
        // The file of streams is looked at as well: its stream has lines left.
        assert_eq!((report.spared, report.deleted), (spared + 1, deleted), "{text}");
        assert!(model.engine.deletes(&model.tenant).await.unwrap().is_empty(), "{text}");
    }
    model.lines[7].is_hidden = true;
    model.check("at the end").await;
}
