//! Metric queries against the scenarios of Loki 65e30f84: lines in memory, through pipeline, windows and operators.

mod support;

use std::collections::BTreeMap;

use logql::ast::MetricExpr;
use logql::interpret::{StoredLine, Stream, interpret};
use logql::metric::{Labels, LeafReader, Limits, Plan, SampleExtractor, StepGrid, Value};
use logql::parse::parse_sample;
use logql::pipeline::Pipeline;
use serde::Deserialize;
use support::{Score, cases};

/// Whole hours, so that times of day are those of the scenario.
const BASE_NS: i64 = 1_780_000_000 / 3600 * 3600 * 1_000_000_000;

#[derive(Deserialize)]
struct Scenario {
    scenario: String,
    load: Vec<Load>,
    evals: Vec<Eval>,
}

#[derive(Deserialize)]
struct Load {
    stream: BTreeMap<String, String>,
    line: String,
    at_ns: i64,
    #[serde(default)]
    repeat_every_ns: i64,
    repeat_count: Option<i64>,
    #[serde(default)]
    structured_metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Eval {
    src_line: u32,
    query: String,
    at_ns: Option<i64>,
    start_ns: Option<i64>,
    end_ns: Option<i64>,
    step_ns: Option<i64>,
    expect: Expect,
}

#[derive(Deserialize)]
struct Expect {
    series: Option<Vec<ExpectedSeries>>,
    scalar: Option<String>,
    #[serde(default)]
    empty: bool,
    #[serde(default)]
    fail: bool,
    fail_contains: Option<String>,
    fail_regex: Option<String>,
    #[serde(default)]
    ordered: bool,
}

#[derive(Deserialize)]
struct ExpectedSeries {
    labels: BTreeMap<String, String>,
    values: Vec<Option<String>>,
}

impl Scenario {
    fn streams(&self) -> Vec<Stream> {
        let mut streams: BTreeMap<Vec<(String, String)>, Stream> = BTreeMap::new();
        for load in &self.load {
            let labels: Vec<(String, String)> = load.stream.clone().into_iter().collect();
            let stream = streams.entry(labels.clone()).or_insert_with(|| Stream { labels, lines: Vec::new() });
            for at in 0..load.repeat_count.unwrap_or(1) {
                stream.lines.push(StoredLine {
                    time_ns: BASE_NS + load.at_ns + at * load.repeat_every_ns,
                    text: load.line.replace("{{.i}}", &at.to_string()),
                    metadata: load.structured_metadata.clone().into_iter().collect(),
                });
            }
        }
        streams.into_values().collect()
    }
}

type Rows = Vec<(BTreeMap<String, String>, Vec<Option<f64>>)>;

fn names(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

impl Eval {
    fn check(&self, streams: &[Stream]) -> Result<(), String> {
        let grid = match self.at_ns {
            Some(at_ns) => StepGrid::instant(BASE_NS + at_ns),
            None => StepGrid {
                start_ns: BASE_NS + self.start_ns.expect("a start"),
                end_ns: BASE_NS + self.end_ns.expect("an end"),
                step_ns: self.step_ns.expect("a step"),
            },
        };
        let limits = Limits { instant: self.at_ns.is_some(), series_max: usize::MAX };
        let answer = match parse_sample(&self.query) {
            Ok(expr) => interpret(&expr, streams, grid, limits, BASE_NS).map_err(|e| e.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let value = match answer {
            Ok(_) if self.expect.fail => return Err("does not fail".to_owned()),
            Ok(answer) => answer.value,
            Err(error) if self.expect.fail => return self.check_error(&error),
            Err(error) => return Err(error),
        };
        let rows: Rows = match value {
            Value::Scalar(value) => return same_scalar(value, self.expect.scalar.as_deref()),
            Value::Vector(samples) => samples.iter().map(|(labels, value)| (names(labels), vec![Some(*value)])).collect(),
            Value::Matrix(series) => {
                series.iter().map(|s| (names(&s.labels), (0..grid.len()).map(|at| s.steps.get(at)).collect())).collect()
            }
        };
        self.check_rows(rows)
    }

    fn check_error(&self, error: &str) -> Result<(), String> {
        let contained = self.expect.fail_contains.as_ref().is_none_or(|part| error.contains(part.as_str()));
        let found = self.expect.fail_regex.as_ref().is_none_or(|re| regex::Regex::new(re).expect("a pattern").is_match(error));
        if contained && found { Ok(()) } else { Err(format!("fails with {error}")) }
    }

    fn check_rows(&self, mut rows: Rows) -> Result<(), String> {
        let number = |text: &String| text.parse::<f64>().expect("a number");
        let series = self.expect.series.iter().flatten();
        let mut wanted: Rows =
            series.map(|s| (s.labels.clone(), s.values.iter().map(|v| v.as_ref().map(number)).collect())).collect();
        if self.expect.empty && !wanted.is_empty() {
            return Err("a case that contradicts itself".to_owned());
        }
        if !self.expect.ordered {
            rows.sort_by(|a, b| a.0.cmp(&b.0));
            wanted.sort_by(|a, b| a.0.cmp(&b.0));
        }
        let near = |a: &Option<f64>, b: &Option<f64>| match (a, b) {
            (Some(a), Some(b)) => a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-9 * b.abs(),
            (None, None) => true,
            _ => false,
        };
        let same = rows.len() == wanted.len()
            && rows
                .iter()
                .zip(&wanted)
                .all(|(a, b)| a.0 == b.0 && a.1.len() == b.1.len() && a.1.iter().zip(&b.1).all(|(a, b)| near(a, b)));
        if same { Ok(()) } else { Err(format!("wants {wanted:?}\n    has   {rows:?}")) }
    }
}

fn same_scalar(value: f64, expected: Option<&str>) -> Result<(), String> {
    let expected: f64 = expected.ok_or("is a scalar")?.parse().expect("a number");
    let same = value == expected || value.is_nan() && expected.is_nan() || (value - expected).abs() <= 1e-9 * expected.abs();
    if same { Ok(()) } else { Err(format!("wants {expected}, has {value}")) }
}

#[track_caller]
fn check_file(file: &str, known: &[&str]) {
    let mut score = Score::new(file);
    for scenario in cases::<Scenario>(file) {
        let streams = scenario.streams();
        for eval in &scenario.evals {
            let result = eval.check(&streams).map_err(|why| format!("{}\n    {why}", eval.query));
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
