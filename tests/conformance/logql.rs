//! LogQL's scenarios against a node: lines come in through Loki's push, queries run through the engine that the HTTP API uses.
//!
//! Files whose cases are single lines, texts or requests are run by the crates that know them (`query/logql/tests`, `compat`, `ingest`).

use std::path::Path;

use catalog::TenantId;
use query::logql::{Direction, InstantQuery, Labels, RangeQuery, Series, Value};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::Count;
use crate::node::{Node, Stage};
use crate::scenario::{Eval, Given, Scenario};

/// Where the scenarios' offsets begin: a whole hour of the recent past, as their README asks for.
const BASE_NS: i64 = 1_789_941_600_000_000_000;

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
            match eval.expect.check(ask(&runtime, &node, &tenant, eval)) {
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
        let line = |(at_ns, text): (i64, String)| json!([(BASE_NS + at_ns).to_string(), text, load.structured_metadata]);
        streams.push(json!({ "stream": load.stream, "values": load.lines().map(line).collect::<Vec<_>>() }));
    }
    if streams.is_empty() { Ok(()) } else { node.push(tenant, &json!({ "streams": streams }).to_string()).await }
}

/// What a query gives over the lines of `tenant`.
fn ask(runtime: &Runtime, node: &Node, tenant: &TenantId, eval: &Eval) -> Result<Given, String> {
    let (start_ns, end_ns, step_ns) = eval.steps();
    let (start_ns, end_ns, text) = (BASE_NS + start_ns, BASE_NS + end_ns, eval.query.clone());
    let answer = if eval.at_ns.is_some() {
        runtime.block_on(node.logql.instant(tenant, InstantQuery { text, time_ns: start_ns, timeout: None }))
    } else {
        let (interval_ns, limit, direction) = (0, 100, Direction::Backward);
        let query = RangeQuery { text, start_ns, end_ns, step_ns, interval_ns, limit, direction, timeout: None };
        runtime.block_on(node.logql.range(tenant, query))
    };
    let names = |labels: &Labels| labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    match answer.map_err(|error| error.to_string())?.value {
        Value::Scalar { value, .. } => Ok(Given::Scalar(value)),
        Value::Vector(elements) => Ok(Given::Series(elements.iter().map(|e| (names(&e.labels), vec![Some(e.value)])).collect())),
        Value::Matrix(series) => {
            let values = |series: &Series| {
                let mut values = vec![None; ((end_ns - start_ns) / step_ns + 1) as usize];
                series.points.iter().for_each(|(ns, value)| values[((ns - start_ns) / step_ns) as usize] = Some(*value));
                values
            };
            Ok(Given::Series(series.iter().map(|series| (names(&series.labels), values(series))).collect()))
        }
        streams @ Value::Streams(_) => Err(format!("should be numbers, is {streams:?}")),
    }
}
