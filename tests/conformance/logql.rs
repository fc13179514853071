//! LogQL's scenarios against a node: lines come in through Loki's push, queries run through the engine that the HTTP API uses.
//!
//! Files whose cases are single lines, texts or requests are run by the crates that know them (`query/logql/tests`, `compat`, `ingest`).

use std::collections::BTreeMap;
use std::path::Path;

use catalog::TenantId;
use query::logql::{Answer, Direction, InstantQuery, Labels, RangeQuery, Value};
use serde::Deserialize;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::Count;
use crate::node::{Node, Stage};

/// Where the scenarios' offsets begin: a whole hour of the recent past, as their README asks for.
const BASE_NS: i64 = 1_789_941_600_000_000_000;
/// How far values may be apart, relatively.
const TOLERANCE: f64 = 1e-9;

#[derive(Debug, Deserialize)]
struct Scenario {
    scenario: String,
    load: Vec<Load>,
    evals: Vec<Eval>,
}

#[derive(Debug, Deserialize)]
struct Load {
    stream: BTreeMap<String, String>,
    #[serde(default)]
    structured_metadata: BTreeMap<String, String>,
    line: String,
    at_ns: i64,
    #[serde(default)]
    repeat_every_ns: i64,
    #[serde(default)]
    repeat_count: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct Eval {
    src_line: u32,
    #[serde(rename = "type")]
    kind: String,
    query: String,
    #[serde(default)]
    at_ns: i64,
    #[serde(default)]
    start_ns: i64,
    #[serde(default)]
    end_ns: i64,
    #[serde(default)]
    step_ns: i64,
    expect: Expect,
}

#[derive(Debug, Deserialize)]
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

#[derive(Debug, Deserialize)]
struct ExpectedSeries {
    labels: BTreeMap<String, String>,
    values: Vec<Option<String>>,
}

/// Runs one file with rows at `stage`; prints what fails.
pub(crate) fn run_file(file: &Path, stage: Stage, verbose: bool) -> Result<Count, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let scenarios: Vec<Scenario> = serde_yaml_ng::from_str(&text).map_err(|e| format!("{}: {e}", file.display()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    let node = runtime.block_on(Node::open(u64::MAX)).map_err(|e| format!("{e:#}"))?;
    let mut count = Count::default();
    for (at, scenario) in scenarios.iter().enumerate() {
        let tenant = TenantId::parse(&format!("t{at}")).expect("a valid id");
        let loaded = runtime.block_on(load(&node, &tenant, scenario));
        loaded.map_err(|e| format!("{} {}: {e:#}", file.display(), scenario.scenario))?;
    }
    runtime.block_on(node.settle(stage)).map_err(|e| format!("{e:#}"))?;
    for (at, scenario) in scenarios.iter().enumerate() {
        let tenant = TenantId::parse(&format!("t{at}")).expect("a valid id");
        for eval in &scenario.evals {
            match check(&runtime, &node, &tenant, eval) {
                Ok(()) => {
                    count.passed += 1;
                    if verbose {
                        println!("ok   {} {} {}", scenario.scenario, eval.src_line, eval.query);
                    }
                }
                Err(wrong) => {
                    count.failed += 1;
                    println!("FAIL {} {} ({stage}) {}\n     {wrong}", scenario.scenario, eval.src_line, eval.query);
                }
            }
        }
    }
    Ok(count)
}

async fn load(node: &Node, tenant: &TenantId, scenario: &Scenario) -> anyhow::Result<()> {
    let mut streams = Vec::new();
    for load in &scenario.load {
        let lines = (0..load.repeat_count.unwrap_or(1)).map(|i| {
            let at_ns = BASE_NS + load.at_ns + i * load.repeat_every_ns;
            json!([at_ns.to_string(), load.line.replace("{{.i}}", &i.to_string()), load.structured_metadata])
        });
        streams.push(json!({ "stream": load.stream, "values": lines.collect::<Vec<_>>() }));
    }
    if streams.is_empty() { Ok(()) } else { node.push(tenant, &json!({ "streams": streams }).to_string()).await }
}

fn check(runtime: &Runtime, node: &Node, tenant: &TenantId, eval: &Eval) -> Result<(), String> {
    let is_instant = eval.kind == "instant";
    let answer = if is_instant {
        let query = InstantQuery { text: eval.query.clone(), time_ns: BASE_NS + eval.at_ns, timeout: None };
        runtime.block_on(node.logql.instant(tenant, query))
    } else {
        let query = RangeQuery {
            text: eval.query.clone(),
            start_ns: BASE_NS + eval.start_ns,
            end_ns: BASE_NS + eval.end_ns,
            step_ns: eval.step_ns,
            interval_ns: 0,
            limit: 100,
            direction: Direction::Backward,
            timeout: None,
        };
        runtime.block_on(node.logql.range(tenant, query))
    };
    let expect = &eval.expect;
    let answer = match answer {
        Err(error) if expect.fail => return check_failure(expect, &error.to_string()),
        Err(error) => return Err(format!("failed: {error}")),
        Ok(answer) if expect.fail => return Err(format!("should fail, gave {:?}", answer.value)),
        Ok(answer) => answer,
    };
    if let Some(scalar) = &expect.scalar {
        return match answer.value {
            Value::Scalar { value, .. } if near(value, scalar) => Ok(()),
            other => Err(format!("should be {scalar}, is {other:?}")),
        };
    }
    let steps = if is_instant { 1 } else { ((eval.end_ns - eval.start_ns) / eval.step_ns + 1) as usize };
    let (first_ns, step_ns) = if is_instant { (BASE_NS + eval.at_ns, 1) } else { (BASE_NS + eval.start_ns, eval.step_ns) };
    let found = series(answer, steps, first_ns, step_ns)?;
    if expect.empty {
        return if found.is_empty() { Ok(()) } else { Err(format!("should be empty, is {found:?}")) };
    }
    compare(expect.series.as_deref().unwrap_or_default(), &found, expect.ordered)
}

fn check_failure(expect: &Expect, text: &str) -> Result<(), String> {
    if let Some(part) = expect.fail_contains.as_ref().filter(|part| !text.contains(part.as_str())) {
        return Err(format!("failed with {text:?}, should mention {part:?}"));
    }
    if let Some(pattern) = &expect.fail_regex {
        let regex = gosyntax::re2::compile_search(pattern)?;
        if !regex.is_match(text.as_bytes()) {
            return Err(format!("failed with {text:?}, should match {pattern:?}"));
        }
    }
    Ok(())
}

/// Labels with a value per step.
type Found = Vec<(BTreeMap<String, String>, Vec<Option<f64>>)>;

fn series(answer: Answer, steps: usize, first_ns: i64, step_ns: i64) -> Result<Found, String> {
    let labels = |labels: &Labels| labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    match answer.value {
        Value::Vector(elements) => Ok(elements.iter().map(|e| (labels(&e.labels), vec![Some(e.value)])).collect()),
        Value::Matrix(series) => Ok(series
            .iter()
            .map(|one| {
                let mut values = vec![None; steps];
                for (time_ns, value) in &one.points {
                    values[((time_ns - first_ns) / step_ns) as usize] = Some(*value);
                }
                (labels(&one.labels), values)
            })
            .collect()),
        other => Err(format!("should be series, is {other:?}")),
    }
}

fn compare(expected: &[ExpectedSeries], found: &Found, ordered: bool) -> Result<(), String> {
    let same = |one: &ExpectedSeries, (labels, values): &(BTreeMap<String, String>, Vec<Option<f64>>)| {
        let values_agree = one.values.len() == values.len()
            && one.values.iter().zip(values).all(|(expected, value)| match (expected, value) {
                (None, None) => true,
                (Some(text), Some(value)) => near(*value, text),
                _ => false,
            });
        one.labels == *labels && values_agree
    };
    let all = if ordered {
        expected.iter().zip(found).all(|(one, other)| same(one, other))
    } else {
        expected.iter().all(|one| found.iter().any(|other| same(one, other)))
    };
    if all && expected.len() == found.len() { Ok(()) } else { Err(format!("should be {expected:?}\n     is {found:?}")) }
}

fn near(value: f64, expected: &str) -> bool {
    let expected: f64 = expected.trim_start_matches('+').parse().unwrap_or(f64::NAN);
    value == expected || value.is_nan() && expected.is_nan() || (value - expected).abs() <= TOLERANCE * expected.abs()
}
