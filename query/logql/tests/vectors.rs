//! The language against the vectors of Loki 65e30f84: what parses, with which error it does not, and how it is printed.

mod support;

use std::collections::BTreeMap;

use logql::ast::{Expr, Stage};
use logql::interpret::pipeline;
use logql::metric::Plan;
use logql::parse::{self, ParseError};
use logql::pipeline::Hints;
use logql::print::pretty;
use logql::units;
use serde::Deserialize;
use support::{Score, cases};

#[derive(Deserialize)]
struct ParseCase {
    id: String,
    query: String,
    entry: String,
    valid: bool,
    phase: Option<String>,
    error: Option<String>,
    error_contains: Option<String>,
    canonical: Option<String>,
}

impl ParseCase {
    /// What the query is printed as. One that the parser need not refuse is refused when its pipelines are built.
    fn run(&self) -> Result<String, ParseError> {
        let expr = match self.entry.as_str() {
            "expr" => parse::parse(&self.query)?,
            "sample" => Expr::Metric(parse::parse_sample(&self.query)?),
            "log_selector" => Expr::Log(parse::parse_log_selector(&self.query)?),
            _ => return parse::parse_matchers(&self.query).map(|_| String::new()),
        };
        let stages: Vec<Vec<Stage>> = match &expr {
            Expr::Log(log) => vec![log.stages.clone()],
            Expr::Metric(metric) => Plan::of(metric).leaves().iter().map(|leaf| leaf.range.log.stages.clone()).collect(),
        };
        if self.phase.as_deref() == Some("compile") {
            stages.iter().try_for_each(|stages| pipeline(stages, Hints::all(), 0).map(|_| ()))?;
        }
        Ok(expr.to_string())
    }

    fn check(&self) -> Result<(), String> {
        match (self.run().map_err(|e| e.to_string()), self.valid) {
            (Err(why), true) => Err(format!("{}: {why}", self.query)),
            (Ok(_), false) => Err(format!("{}: is not refused", self.query)),
            (Ok(printed), true) => match &self.canonical {
                Some(canonical) if *canonical != printed => Err(format!("{canonical}\n    is printed as {printed}")),
                _ => Ok(()),
            },
            (Err(why), false) => {
                let same = self.error.as_ref().is_none_or(|e| *e == why);
                let contained = self.error_contains.as_ref().is_none_or(|e| why.contains(e.as_str()));
                if same && contained {
                    Ok(())
                } else {
                    Err(format!("{}\n    wants {:?}\n    has   {why}", self.query, self.error))
                }
            }
        }
    }
}

#[test]
fn queries_parse() {
    let mut score = Score::new("parse.yaml");
    for case in cases::<ParseCase>("parse.yaml") {
        score.count(&case.id, case.check());
    }
    score.finish(&[]);
}

#[derive(Deserialize)]
struct FormatCase {
    id: String,
    query: String,
    max_chars_per_line: usize,
    expect: String,
}

#[test]
fn queries_are_formatted() {
    let mut score = Score::new("format.yaml");
    for case in cases::<FormatCase>("format.yaml") {
        let formatted = parse::parse(&case.query).map(|e| pretty(&e, case.max_chars_per_line)).map_err(|e| e.to_string());
        let result = match formatted {
            Ok(text) if text == case.expect => Ok(()),
            other => Err(format!("wants\n{}\nhas\n{}", case.expect, other.unwrap_or_else(|e| e))),
        };
        score.count(&case.id, result);
    }
    score.finish(&[]);
}

#[derive(Deserialize)]
struct UnitsCase {
    id: String,
    kind: String,
    input: String,
    expect: Option<serde_yaml_ng::Value>,
    expect_ns: Option<i64>,
    expect_bytes: Option<u64>,
}

#[test]
fn quantities_are_read() {
    let mut score = Score::new("units.yaml (duration, bytes, stream_labels)");
    for case in cases::<UnitsCase>("units.yaml") {
        let result = match case.kind.as_str() {
            "duration" => same(units::parse_duration(&case.input).ok(), case.expect_ns),
            "bytes" => same(units::parse_bytes(&case.input).ok(), case.expect_bytes),
            "stream_labels" => {
                let expected: BTreeMap<String, String> =
                    case.expect.map(|e| serde_yaml_ng::from_value(e).expect("names and values")).unwrap_or_default();
                same(parse::parse_labels(&case.input).ok(), Some(expected.into_iter().collect()))
            }
            // of the pipeline
            _ => continue,
        };
        score.count(&case.id, result.map_err(|why| format!("{}: {why}", case.input)));
    }
    score.finish(&[]);
}

fn same<T: PartialEq + std::fmt::Debug>(has: T, wants: T) -> Result<(), String> {
    if has == wants { Ok(()) } else { Err(format!("wants {wants:?}, has {has:?}")) }
}
