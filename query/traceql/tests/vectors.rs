//! Every vector whose answer depends on spans, over spans in memory.

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use support::memory;
use support::vectors::{self, GivenSeries, Trace, Vector, check_search, check_series, check_tag_values, check_tags};
use traceql::ast::Root;
use traceql::parse::{field, lenient, parse};

/// The folder of the vectors, when it is there.
fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance/traceql");
    if !folder.is_dir() {
        eprintln!("SKIPPED: {} is not there, no vector was run", folder.display());
        return None;
    }
    Some(folder)
}

#[track_caller]
fn run(file: &str, judge: impl Fn(&Vector, &[Trace]) -> Result<(), String>) {
    let Some(folder) = folder() else { return };
    let traces: BTreeMap<String, Vec<Trace>> = vectors::read_traces(&folder.join("traces.yaml")).expect("traces");
    let vectors = vectors::read(&folder.join(file)).expect("vectors");
    let mut failed = 0;
    for vector in &vectors {
        if let Err(wrong) = judge(vector, &traces[&vector.fixture]) {
            println!("FAIL {} {} {}\n     {wrong}", vector.id, vector.fixture, vector.query);
            failed += 1;
        }
    }
    println!("{file}: {} passed, {failed} failed", vectors.len() - failed);
    assert_eq!(failed, 0, "of {file}");
    assert!(!vectors.is_empty(), "{file} has vectors");
}

fn parsed(query: &str) -> Result<Root, String> {
    parse(query).map(|query| query.root).map_err(|e| e.to_string())
}

fn searched(vector: &Vector, traces: &[Trace]) -> Result<(), String> {
    let Root::Search(pipeline) = parsed(&vector.query)? else { return Err("is no search".to_owned()) };
    check_search(&vector.expect, &memory::search(&pipeline, traces)?)
}

fn measured(vector: &Vector, traces: &[Trace]) -> Result<Vec<GivenSeries>, String> {
    let Root::Metrics(metrics) = parsed(&vector.query)? else { return Err("is no metrics query".to_owned()) };
    memory::metrics(&metrics, vector, traces)
}

#[test]
fn filters() {
    run("filter.yaml", searched);
}

#[test]
fn structure() {
    run("structural.yaml", searched);
}

#[test]
fn pipelines() {
    run("pipeline.yaml", searched);
}

#[test]
fn metrics() {
    run("metrics.yaml", |vector, traces| check_series(vector, &measured(vector, traces)?));
}

/// The logical answer, never that of Tempo's blocks.
#[test]
fn quirks() {
    run("quirks.yaml", |vector, traces| match (vector.kind.as_str(), &vector.expect) {
        ("metrics", _) => {
            let vector = Vector {
                start: 1_700_000_300_000_000_000,
                end: 1_700_000_540_000_000_000,
                step: 60_000_000_000,
                ..vector.clone()
            };
            let series = measured(&vector, traces)?;
            if series.iter().flat_map(|s| &s.samples).any(|(_, v)| *v != 0.0) { Err(format!("{series:?}")) } else { Ok(()) }
        }
        (_, Json::Null) => {
            let Root::Search(pipeline) = parsed(&vector.query)? else { return Err("is no search".to_owned()) };
            memory::search(&pipeline, traces).map(|_| ())
        }
        _ => searched(vector, traces),
    });
}

/// What can be used of a filter chooses the spans whose tags are told.
#[test]
fn tags() {
    run("tags.yaml", |vector, traces| {
        let filter = lenient(&vector.q);
        if vector.kind == "values" {
            let field = field(&vector.tag).map_err(|e| e.to_string())?;
            check_tag_values(vector, &memory::tag_values(&field, filter.as_ref(), traces)?)
        } else {
            let mut names = memory::tags(filter.as_ref(), traces)?;
            names.retain(|scope, _| vector.scope == "none" || vector.scope == *scope);
            check_tags(vector, &names)
        }
    });
}

/// Every query that parses means something over every span there is, or is refused with a reason.
#[test]
fn every_query_is_evaluated() {
    let Some(folder) = folder() else { return };
    let fixtures = vectors::read_traces(&folder.join("traces.yaml")).expect("traces");
    let traces: Vec<Trace> = ["shop", "broken", "types", "scopes"].iter().flat_map(|name| fixtures[*name].clone()).collect();
    let grid =
        Vector { end: 1_700_000_100_000_000_000, step: 50_000_000_000_000_000, ..vectors_of(&folder, "metrics.yaml")[0].clone() };
    let mut evaluated = 0;
    for vector in vectors_of(&folder, "parse.yaml") {
        let Ok(root) = parsed(&vector.query) else { continue };
        let answer = match &root {
            Root::Search(pipeline) => memory::search(pipeline, &traces).map(|_| ()),
            Root::Metrics(metrics) => memory::metrics(metrics, &Vector { start: 0, ..grid.clone() }, &traces).map(|_| ()),
        };
        assert_eq!(answer, Ok(()), "{}", vector.query);
        evaluated += 1;
    }
    assert!(evaluated > 500, "{evaluated} queries parse");
}

fn vectors_of(folder: &Path, file: &str) -> Vec<Vector> {
    vectors::read(&folder.join(file)).expect("vectors")
}

/// The beginning of one query with the end of another: nonsense that is almost sense, of which some still parses.
#[test]
fn spliced_queries_do_not_panic() {
    let Some(folder) = folder() else { return };
    let traces = vectors::read_traces(&folder.join("traces.yaml")).expect("traces").remove("shop").expect("a fixture");
    let files = ["filter.yaml", "structural.yaml", "pipeline.yaml", "metrics.yaml"];
    let queries: Vec<Vec<char>> =
        files.iter().flat_map(|file| vectors_of(&folder, file)).map(|vector| vector.query.chars().collect()).collect();
    let range = Vector {
        start: 1_700_000_000_000_000_000,
        end: 1_700_000_020_000_000_000,
        step: 5_000_000_000,
        ..vectors_of(&folder, "metrics.yaml")[0].clone()
    };
    let (mut state, mut evaluated) = (1_u64, 0);
    let mut below = |limit: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit
    };
    for _ in 0..20_000 {
        let (left, right) = (&queries[below(queries.len())], &queries[below(queries.len())]);
        let text: String = left[..=below(left.len())].iter().chain(&right[below(right.len())..]).collect();
        let answer = match parsed(&text) {
            Ok(Root::Search(pipeline)) => memory::search(&pipeline, &traces).map(|_| ()),
            Ok(Root::Metrics(metrics)) => memory::metrics(&metrics, &range, &traces).map(|_| ()),
            Err(_) => continue,
        };
        assert_eq!(answer, Ok(()), "{text}");
        evaluated += 1;
    }
    assert!(evaluated > 200, "{evaluated} parse");
}
