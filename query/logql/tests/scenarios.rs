//! Metric queries against the scenarios of Loki 65e30f84: lines in memory, through pipeline, windows and operators.

#[path = "support/scenario.rs"]
mod scenario;
mod support;

use std::collections::BTreeMap;

use logql::ast::MetricExpr;
use logql::interpret::{StoredLine, Stream, interpret};
use logql::metric::{Labels, LeafReader, Limits, Plan, SampleExtractor, StepGrid, StepSeries, Value};
use logql::parse::parse_sample;
use logql::pipeline::Pipeline;
use scenario::{Eval, Given, Scenario};
use serde::Deserialize;
use support::{Score, cases};

/// Whole hours, so that times of day are those of the scenario.
const BASE_NS: i64 = 1_780_000_000 / 3600 * 3600 * 1_000_000_000;

fn streams(scenario: &Scenario) -> Vec<Stream> {
    let mut streams: BTreeMap<Vec<(String, String)>, Stream> = BTreeMap::new();
    for load in &scenario.load {
        let labels: Vec<(String, String)> = load.stream.clone().into_iter().collect();
        let stream = streams.entry(labels.clone()).or_insert_with(|| Stream { labels, lines: Vec::new() });
        let metadata: Vec<(String, String)> = load.structured_metadata.clone().into_iter().collect();
        let line = |(at_ns, text)| StoredLine { time_ns: BASE_NS + at_ns, text, metadata: metadata.clone() };
        stream.lines.extend(load.lines().map(line));
    }
    streams.into_values().collect()
}

fn names(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// What a query gives over `streams`.
fn ask(eval: &Eval, streams: &[Stream]) -> Result<Given, String> {
    let (start_ns, end_ns, step_ns) = eval.steps();
    let grid = StepGrid { start_ns: BASE_NS + start_ns, end_ns: BASE_NS + end_ns, step_ns };
    let limits = Limits { instant: eval.at_ns.is_some(), series_max: usize::MAX };
    let expr = parse_sample(&eval.query).map_err(|e| e.to_string())?;
    let answer = interpret(&expr, streams, grid, limits, BASE_NS).map_err(|e| e.to_string())?;
    Ok(match answer.value {
        Value::Scalar(value) => Given::Scalar(value),
        Value::Vector(samples) => Given::Series(samples.iter().map(|(labels, v)| (names(labels), vec![Some(*v)])).collect()),
        Value::Matrix(series) => {
            let values = |s: &StepSeries| (0..grid.len()).map(|at| s.steps.get(at)).collect();
            Given::Series(series.iter().map(|s| (names(&s.labels), values(s))).collect())
        }
    })
}

#[track_caller]
fn check_file(file: &str, known: &[&str]) {
    let mut score = Score::new(file);
    for scenario in cases::<Scenario>(file) {
        let streams = streams(&scenario);
        for eval in &scenario.evals {
            let result = eval.expect.check(ask(eval, &streams)).map_err(|why| format!("{}\n    {why}", eval.query));
            score.count(format!("{}:{}", scenario.scenario, eval.src_line), result);
        }
    }
    score.finish(known);
}

#[test]
fn binary_operations() {
    check_file("metric_binary_operations.yaml", &[]);
}

#[test]
fn conversions() {
    check_file("metric_conversions.yaml", &[]);
}

#[test]
fn formatters() {
    check_file("metric_formatters.yaml", &[]);
}

#[test]
fn functions() {
    check_file("metric_functions.yaml", &[]);
}

#[test]
fn label_filters() {
    check_file("metric_label_filters.yaml", &[]);
}

#[test]
fn line_filters() {
    check_file("metric_line_filters.yaml", &[]);
}

#[test]
fn parsers() {
    check_file("metric_parsers.yaml", &[]);
}

#[test]
fn range_aggregations() {
    check_file("metric_range_aggregations.yaml", &[]);
}

#[test]
fn vector_aggregations() {
    check_file("metric_vector_aggregations.yaml", &[]);
}

#[derive(Deserialize)]
struct SampleCase {
    id: String,
    query: String,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    structured_metadata: BTreeMap<String, String>,
    line: String,
    expect: SampleExpected,
}

#[derive(Deserialize)]
struct SampleExpected {
    keep: bool,
    value: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    error: Option<String>,
}

fn pairs(labels: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

impl SampleCase {
    fn check(&self) -> Result<(), String> {
        let expr = parse_sample(&self.query).map_err(|e| e.to_string())?;
        // these cases say "no label at all" by a sum around an operation that it cannot be pushed into
        let outer = match &expr {
            MetricExpr::VectorAggregation(v) => Some(v.grouping.clone()),
            _ => None,
        };
        let leaf = Plan::of(&expr).leaves()[0].clone();
        let extractor = SampleExtractor::new(&leaf).map_err(|e| e.to_string())?;
        let pipeline = Pipeline::new(&leaf.range.log.stages, extractor.hints(), BASE_NS).map_err(|e| e.to_string())?;
        let mut reader = LeafReader::new(&leaf, extractor.clone(), StepGrid::instant(0));
        let mut stream = pipeline.stream(pairs(&self.labels));
        let Some(line) = stream.process(0, &self.line, pairs(&self.structured_metadata)) else {
            return if self.expect.keep { Err("no line".to_owned()) } else { Ok(()) };
        };
        let Some(value) = extractor.extract(line.text, line.labels) else {
            return if self.expect.keep { Err("no sample".to_owned()) } else { Ok(()) };
        };
        if !self.expect.keep {
            return Err(format!("has a sample: {value}"));
        }
        if let Some(expected) = &self.expect.value {
            let expected: f64 = expected.parse().expect("a number");
            if value != expected {
                return Err(format!("wants {expected}, has {value}"));
            }
        }
        if line.labels.error() != self.expect.error.as_deref() {
            return Err(format!("wants the error {:?}, has {:?}", self.expect.error, line.labels.error()));
        }
        reader.read(0, line.text, line.labels);
        let Some(expected) = self.expect.labels.as_ref().filter(|_| self.expect.error.is_none()) else { return Ok(()) };
        let labels = reader.state().finish().first().map(|s| s.labels.clone()).unwrap_or_default();
        let labels = match outer {
            Some(Some(grouping)) => labels.grouped(&grouping),
            Some(None) => Labels::default(),
            None => labels,
        };
        if names(&labels) == *expected { Ok(()) } else { Err(format!("wants {expected:?}, has {labels}")) }
    }
}

#[test]
fn samples_are_taken_from_lines() {
    let mut score = Score::new("sample.yaml");
    for case in cases::<SampleCase>("sample.yaml") {
        score.count(&case.id, case.check().map_err(|why| format!("{}\n    {why}", case.query)));
    }
    score.finish(&[]);
}
