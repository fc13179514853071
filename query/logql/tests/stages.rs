//! Pipelines against the vectors of Loki 65e30f84: one line through the stages of a query.

mod support;

use std::collections::BTreeMap;

use logql::labels::{ERROR_DETAILS_LABEL, ERROR_LABEL, sanitize_label};
use logql::parse;
use logql::pipeline::{Hints, PathStep, Pipeline, parse_json_path, parse_logfmt_path, required_literals};
use serde::Deserialize;
use serde_yaml_ng::Value;
use support::{Score, cases};

#[derive(Deserialize)]
struct Case {
    id: String,
    pipeline: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    structured_metadata: BTreeMap<String, String>,
    line: Value,
    #[serde(default)]
    ts_ns: i64,
    initial_error: Option<String>,
    initial_error_details: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    expect: Expect,
}

#[derive(Deserialize)]
struct Expect {
    keep: bool,
    line: Option<Value>,
    labels: Option<BTreeMap<String, String>>,
    error: Option<Option<String>>,
    error_details: Option<String>,
}

/// A text; `[]` is the empty one, and what is bytes is read as text with replacements.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Sequence(bytes) => {
            let bytes: Vec<u8> = bytes.iter().filter_map(|b| b.as_u64()).map(|b| b as u8).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Value::Mapping(map) => map.get("base64").and_then(Value::as_str).map(|_| "\u{fffd}".to_owned()).unwrap_or_default(),
        _ => String::new(),
    }
}

impl Case {
    fn check(&self) -> Result<(), String> {
        let log = parse::parse_log_selector(&format!("{{a=\"b\"}} {}", self.pipeline)).map_err(|e| e.to_string())?;
        let pipeline = Pipeline::new(&log.stages, Hints::all(), 1_700_000_000_000_000_000).map_err(|e| e.to_string())?;
        let mut stream = pipeline.stream(self.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        let line = text(&self.line);
        let error = self.initial_error.as_ref().map(|e| (ERROR_LABEL, e.as_str()));
        let details = self.initial_error_details.as_ref().map(|e| (ERROR_DETAILS_LABEL, e.as_str()));
        let metadata = self.structured_metadata.iter().map(|(n, v)| (n.as_str(), v.as_str())).chain(error).chain(details);
        let metadata: Vec<_> = metadata.collect();
        let leading = pipeline.leading_filters();
        let passes = leading.matches(line.as_bytes());
        let kept = stream.process(self.ts_ns, &line, metadata.iter().copied());
        if kept.is_some() != self.expect.keep {
            return Err(format!("{}: kept is {}", self.pipeline, kept.is_some()));
        }
        let Some(kept) = kept else { return Ok(()) };
        if !passes {
            return Err("the leading filters drop a line that is kept".to_owned());
        }
        for literals in required_literals(&log.stages) {
            let line = line.to_ascii_lowercase();
            if !literals.iter().any(|literal| line.contains(&literal.text.to_ascii_lowercase())) {
                return Err(format!("none of {literals:?} is in a line that is kept"));
            }
        }
        if let Some(expected) = self.expect.line.as_ref().map(text).filter(|expected| expected != kept.text) {
            return Err(format!("{}: line {:?}, not {expected:?}", self.pipeline, kept.text));
        }
        let special = [ERROR_LABEL, ERROR_DETAILS_LABEL, "__preserve_error__"];
        let labels = kept.labels.iter().filter(|(name, _, _)| !special.contains(name));
        let labels: BTreeMap<String, String> = labels.map(|(name, value, _)| (name.to_owned(), value.to_owned())).collect();
        if let Some(expected) = self.expect.labels.as_ref().filter(|expected| **expected != labels) {
            return Err(format!("{}: {labels:?}, not {expected:?}", self.pipeline));
        }
        if let Some(expected) = self.expect.error.as_ref().filter(|expected| expected.as_deref() != kept.labels.error()) {
            return Err(format!(
                "{}: {:?} {:?}, not {expected:?}",
                self.pipeline,
                kept.labels.error(),
                kept.labels.error_details()
            ));
        }
        if self.expect.error_details.is_some() && kept.labels.error_details().is_none() {
            return Err(format!("{}: no details", self.pipeline));
        }
        Ok(())
    }
}

#[track_caller]
fn check(file: &str) {
    let mut score = Score::new(file);
    let mut quirks = Score::new(&format!("{file} (quirks)"));
    for case in cases::<Case>(file) {
        let score = if case.tags.iter().any(|tag| tag == "quirk") { &mut quirks } else { &mut score };
        score.count(case.id.as_str(), case.check());
    }
    score.finish(&[]);
    quirks.finish(&[]);
}

#[test]
fn line_filters() {
    check("line_filter.yaml");
}

#[test]
fn addresses() {
    check("ip.yaml");
}

#[test]
fn label_filters() {
    check("label_filter.yaml");
}

#[test]
fn json() {
    check("json.yaml");
}

#[test]
fn logfmt() {
    check("logfmt.yaml");
}

#[test]
fn regexp() {
    check("regexp.yaml");
}

#[test]
fn pattern() {
    check("pattern.yaml");
}

#[test]
fn unpack() {
    check("unpack.yaml");
}

#[test]
fn template() {
    check("template.yaml");
}

#[test]
fn drop_keep() {
    check("drop_keep.yaml");
}

#[derive(Deserialize)]
struct UnitCase {
    id: String,
    kind: String,
    input: Value,
    expect: Option<Value>,
    valid: Option<bool>,
    expect_path: Option<Vec<Value>>,
}

impl UnitCase {
    fn check(&self) -> Option<Result<(), String>> {
        let input = text(&self.input);
        let path = match self.kind.as_str() {
            "sanitize_label" => {
                let name = sanitize_label(&input);
                let expected = self.expect.as_ref().map(text).unwrap_or_default();
                return Some(if name == expected { Ok(()) } else { Err(format!("{input:?} is {name:?}, not {expected:?}")) });
            }
            "json_expression" => parse_json_path(&input),
            "logfmt_expression" => parse_logfmt_path(&input).map(|key| vec![PathStep::Key(key)]),
            _ => return None,
        };
        let path = path.map(|steps| {
            let value = |step| match step {
                PathStep::Key(key) => Value::from(key),
                PathStep::Index(index) => Value::from(index as u64),
            };
            steps.into_iter().map(value).collect::<Vec<_>>()
        });
        Some(match (path, self.valid.unwrap_or(true)) {
            (Err(_), false) => Ok(()),
            (Ok(path), true) if Some(&path) == self.expect_path.as_ref() => Ok(()),
            (path, _) => Err(format!("{input:?} is {path:?}")),
        })
    }
}

#[test]
fn names_and_paths() {
    let mut score = Score::new("units.yaml (sanitize_label, json_expression, logfmt_expression)");
    for case in cases::<UnitCase>("units.yaml") {
        if let Some(result) = case.check() {
            score.count(case.id.as_str(), result);
        }
    }
    score.finish(&[]);
}

#[derive(Deserialize)]
struct ParseCase {
    id: String,
    query: String,
    entry: String,
    valid: bool,
    phase: Option<String>,
    error_contains: Option<String>,
}

/// What parses is built, but for the cases that are refused then.
#[test]
fn pipelines_are_built_or_refused() {
    let mut score = Score::new("parse.yaml (building)");
    for case in cases::<ParseCase>("parse.yaml") {
        let refused = case.phase.as_deref() == Some("compile");
        if !refused && !case.valid || case.entry == "matchers" {
            continue;
        }
        let Ok(logql::ast::Expr::Log(log)) = parse::parse(&case.query) else { continue };
        let result = match (Pipeline::new(&log.stages, Hints::all(), 0), refused) {
            (Ok(_), false) => Ok(()),
            (Err(why), true) if case.error_contains.as_ref().is_none_or(|text| why.to_string().contains(text)) => Ok(()),
            (Ok(_), true) => Err(format!("{} is built", case.query)),
            (Err(why), _) => Err(format!("{}: {why}", case.query)),
        };
        score.count(case.id.as_str(), result);
    }
    // Both are only ever parsed there: `response.code` is no key of logfmt's paths, and `!~` takes no `ip`, as parse-0350 says.
    score.finish(&["parse-0303", "parse-0346"]);
}
