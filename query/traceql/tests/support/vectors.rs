//! The vectors of `shared/conformance/traceql`: what they say, and whether an answer is what they say. In memory and on a node alike.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value as Json};
use traceql::value::Value;

/// A trace of `traces.yaml`.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    /// 32 hex digits.
    pub(crate) id: String,
    /// In the order of the file.
    pub(crate) spans: Vec<Span>,
}

/// A span of `traces.yaml`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Span {
    #[serde(rename = "spanID")]
    pub(crate) id: String,
    #[serde(rename = "parentSpanID")]
    pub(crate) parent: String,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) status: String,
    #[serde(rename = "statusMessage", default)]
    pub(crate) status_message: String,
    #[serde(rename = "traceState", default)]
    #[allow(dead_code, reason = "nothing in memory asks for it")]
    pub(crate) trace_state: String,
    pub(crate) start: i64,
    pub(crate) duration: i64,
    #[serde(default)]
    pub(crate) resource: Map<String, Json>,
    #[serde(default)]
    pub(crate) attributes: Map<String, Json>,
    #[serde(default)]
    pub(crate) scope: Scope,
    #[serde(default)]
    pub(crate) events: Vec<Event>,
    #[serde(default)]
    pub(crate) links: Vec<Link>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(crate) struct Scope {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) attributes: Map<String, Json>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Event {
    pub(crate) offset: i64,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) attributes: Map<String, Json>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Link {
    #[serde(rename = "traceID")]
    pub(crate) trace_id: String,
    #[serde(rename = "spanID")]
    pub(crate) span_id: String,
    #[serde(default)]
    pub(crate) attributes: Map<String, Json>,
}

/// A vector of any file; which fields it has depends on the file.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Vector {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) fixture: String,
    #[serde(default)]
    pub(crate) query: String,
    /// `metrics` or nothing in quirks; `values` or `names` in tags.
    #[serde(default)]
    pub(crate) kind: String,
    /// Absent and `null` are one: nothing is defined.
    #[serde(default)]
    pub(crate) expect: Json,
    #[serde(default)]
    #[allow(dead_code, reason = "in memory only the logical answer will do")]
    pub(crate) tempo: Json,
    #[serde(default)]
    pub(crate) start: i64,
    #[serde(default)]
    pub(crate) end: i64,
    #[serde(default)]
    pub(crate) step: i64,
    #[serde(default)]
    pub(crate) instant: bool,
    #[serde(default)]
    pub(crate) series: Vec<ExpectedSeries>,
    #[serde(default)]
    pub(crate) approx: String,
    #[serde(default)]
    pub(crate) ties: String,
    #[serde(default)]
    pub(crate) tag: String,
    #[serde(default)]
    pub(crate) scope: String,
    #[serde(default)]
    pub(crate) q: String,
    /// `valid`, `parse_error` ...
    #[serde(default)]
    #[allow(dead_code, reason = "of the parser's vectors")]
    pub(crate) class: String,
    #[serde(default)]
    #[allow(dead_code, reason = "of the parser's vectors")]
    pub(crate) same_as: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ExpectedSeries {
    pub(crate) labels: BTreeMap<String, Json>,
    pub(crate) samples: Vec<(i64, Json)>,
}

#[derive(Debug, Clone, Deserialize)]
struct ExpectedTrace {
    #[serde(rename = "traceID")]
    id: String,
    #[serde(rename = "spanSets")]
    spansets: Vec<ExpectedSpanset>,
}

#[derive(Debug, Clone, Deserialize)]
struct ExpectedSpanset {
    spans: BTreeSet<String>,
    #[serde(default)]
    attributes: BTreeMap<String, Json>,
    #[serde(default)]
    selected: BTreeMap<String, BTreeMap<String, Json>>,
}

/// Spansets of a trace as an answer has them.
#[derive(Debug, Clone)]
pub(crate) struct GivenTrace {
    pub(crate) id: String,
    pub(crate) spansets: Vec<GivenSpanset>,
}

#[derive(Debug, Clone)]
pub(crate) struct GivenSpanset {
    pub(crate) matched: usize,
    pub(crate) attributes: Vec<(String, Value<'static>)>,
    /// Ids, and what was selected.
    pub(crate) spans: BTreeMap<String, Vec<(String, Value<'static>)>>,
}

/// A series as an answer has it.
#[derive(Debug, Clone)]
pub(crate) struct GivenSeries {
    pub(crate) labels: Vec<(String, Value<'static>)>,
    pub(crate) samples: Vec<(i64, f64)>,
}

/// The vectors of a file.
pub(crate) fn read(file: &Path) -> Result<Vec<Vector>, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let lines = text.lines().filter_map(|line| line.strip_prefix("- "));
    lines.map(|line| serde_json::from_str(line).map_err(|e| format!("{}: {e}: {line}", file.display()))).collect()
}

/// The traces of `traces.yaml` by fixture: a mapping of names to lists, whose spans are one JSON object a line.
pub(crate) fn read_traces(file: &Path) -> Result<BTreeMap<String, Vec<Trace>>, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let (mut fixtures, mut name): (BTreeMap<String, Vec<Trace>>, _) = (BTreeMap::new(), String::new());
    for line in text.lines() {
        let wrong = |e: &dyn std::fmt::Display| format!("{}: {e}: {line}", file.display());
        let trimmed = line.trim_start();
        if let Some(id) = trimmed.strip_prefix("- traceID: ") {
            let id = serde_json::from_str(id).map_err(|e| wrong(&e))?;
            fixtures.entry(name.clone()).or_default().push(Trace { id, spans: Vec::new() });
        } else if let Some(span) = trimmed.strip_prefix("- {") {
            let span = serde_json::from_str(&format!("{{{span}")).map_err(|e| wrong(&e))?;
            let trace = fixtures.get_mut(&name).and_then(|traces| traces.last_mut());
            trace.ok_or_else(|| wrong(&"a span without a trace"))?.spans.push(span);
        } else if let Some(fixture) = line.strip_suffix(':').filter(|line| !line.starts_with([' ', '#'])) {
            name = fixture.to_owned();
        }
    }
    Ok(fixtures)
}

/// Whether spansets are the expected ones.
pub(crate) fn check_search(expect: &Json, given: &[GivenTrace]) -> Result<(), String> {
    let mut expected: Vec<ExpectedTrace> = serde_json::from_value(expect.clone()).map_err(|e| e.to_string())?;
    expected.sort_by(|a, b| a.id.cmp(&b.id));
    let mut given = given.to_vec();
    given.sort_by(|a, b| a.id.cmp(&b.id));
    let ids = (expected.iter().map(|t| &t.id).collect::<Vec<_>>(), given.iter().map(|t| &t.id).collect::<Vec<_>>());
    if ids.0 != ids.1 {
        return Err(format!("traces should be {:?}, are {:?}", ids.0, ids.1));
    }
    for (expected, given) in expected.iter_mut().zip(&mut given) {
        expected.spansets.sort_by(|a, b| a.spans.cmp(&b.spans));
        given.spansets.sort_by(|a, b| a.spans.keys().cmp(b.spans.keys()));
        let sets = (
            expected.spansets.iter().map(|s| s.spans.iter().collect()).collect::<Vec<Vec<_>>>(),
            given.spansets.iter().map(|s| s.spans.keys().collect()).collect::<Vec<Vec<_>>>(),
        );
        if sets.0 != sets.1 {
            return Err(format!("spans of {} should be {:?}, are {:?}", expected.id, sets.0, sets.1));
        }
        expected.spansets.iter().zip(&given.spansets).try_for_each(|(expected, given)| check_spanset(expected, given))?;
    }
    Ok(())
}

fn check_spanset(expected: &ExpectedSpanset, given: &GivenSpanset) -> Result<(), String> {
    if given.matched != expected.spans.len() {
        return Err(format!("matched should be {}, is {}", expected.spans.len(), given.matched));
    }
    for (name, value) in &expected.attributes {
        let found = given.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        if !found.is_some_and(|found| is(found, value)) {
            return Err(format!("{name} should be {value}, attributes are {:?}", given.attributes));
        }
    }
    for (span, selected) in &expected.selected {
        let known = given.spans.get(span).map(Vec::as_slice).unwrap_or_default();
        for (name, value) in selected {
            if !known.iter().any(|(known, found)| known == name && is(found, value)) {
                return Err(format!("{name} of {span} should be {value}, its attributes are {known:?}"));
            }
        }
    }
    Ok(())
}

/// Whether a value is what the vectors write: durations as Go prints them, enums and nil as words.
pub(crate) fn is(value: &Value<'_>, json: &Json) -> bool {
    match (value, json) {
        (Value::Nil, json) => json == "nil",
        (Value::Int(v), json) => json.as_i64() == Some(*v),
        (Value::Float(v), json) => json.as_f64().is_some_and(|expected| is_close(*v, expected)),
        (Value::Duration(v), Json::String(text)) => duration_ns(text) == Some(*v),
        (Value::Str(v), json) => json == v.as_ref(),
        (Value::Bool(v), json) => json.as_bool() == Some(*v),
        (Value::Status(v), json) => json == &format!("{v:?}").to_lowercase(),
        (Value::Kind(v), json) => json == &format!("{v:?}").to_lowercase(),
        (Value::List(v), Json::Array(json)) => v.len() == json.len() && v.iter().zip(json).all(|(v, json)| is(v, json)),
        _ => false,
    }
}

/// `1.5s`, `474ms`, `1m2s`.
fn duration_ns(text: &str) -> Option<i64> {
    let (mut ns, mut rest) = (0.0, text);
    while !rest.is_empty() {
        let unit = rest.find(|c: char| c.is_alphabetic())?;
        let number: f64 = rest[..unit].parse().ok()?;
        let end = rest[unit..].find(|c: char| !c.is_alphabetic()).map_or(rest.len(), |end| unit + end);
        ns += number
            * match &rest[unit..end] {
                "ns" => 1.0,
                "µs" | "us" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3_600e9,
                _ => return None,
            };
        rest = &rest[end..];
    }
    Some(ns.round() as i64)
}

fn is_close(given: f64, expected: f64) -> bool {
    given == expected || (given - expected).abs() <= 1e-9 * expected.abs()
}

fn sample(json: &Json) -> f64 {
    match json {
        Json::String(text) if text == "+Inf" => f64::INFINITY,
        Json::String(text) if text == "-Inf" => f64::NEG_INFINITY,
        json => json.as_f64().unwrap_or(f64::NAN),
    }
}

/// Whether series are the expected ones.
pub(crate) fn check_series(vector: &Vector, given: &[GivenSeries]) -> Result<(), String> {
    if vector.ties == "unspecified" {
        return check_tied(&vector.series, given);
    }
    let incomplete = if vector.approx == "compare-topn" { incomplete_keys(&vector.series) } else { BTreeSet::new() };
    let counts = |name: &str| !incomplete.contains(name);
    let expected: Vec<_> = vector.series.iter().filter(|s| is_total(&s.labels) || s.labels.keys().all(|n| counts(n))).collect();
    let is_total_given =
        |s: &GivenSeries| s.labels.iter().any(|(_, v)| matches!(v, Value::Str(text) if text.ends_with("_total")));
    let given: Vec<_> = given.iter().filter(|s| is_total_given(s) || s.labels.iter().all(|(n, _)| counts(n))).collect();
    for wanted in &expected {
        let found = given.iter().find(|series| has_labels(series, &wanted.labels));
        let Some(found) = found else { return Err(format!("there should be {:?}", wanted.labels)) };
        let times = |series: &[(i64, Json)]| series.iter().map(|(ms, _)| *ms).collect::<Vec<_>>();
        if times(&wanted.samples) != found.samples.iter().map(|(ms, _)| *ms).collect::<Vec<_>>() {
            return Err(format!("{:?} should have {:?}, has {:?}", wanted.labels, wanted.samples, found.samples));
        }
        let pairs = wanted.samples.iter().zip(&found.samples).map(|((_, wanted), (_, found))| (sample(wanted), *found));
        let is_right = |(wanted, found): (f64, f64)| match vector.approx.as_str() {
            "log2" => is_close(found, wanted) || (found <= wanted * 2.0 && wanted <= found * 2.0),
            _ => is_close(found, wanted),
        };
        if !pairs.into_iter().all(is_right) {
            return Err(format!("{:?} should be {:?}, is {:?}", wanted.labels, wanted.samples, found.samples));
        }
    }
    match given.iter().find(|series| !expected.iter().any(|wanted| has_labels(series, &wanted.labels))) {
        Some(other) => Err(format!("there should be no {:?}: {:?}", other.labels, other.samples)),
        None => Ok(()),
    }
}

fn has_labels(series: &GivenSeries, labels: &BTreeMap<String, Json>) -> bool {
    let has = |(name, value): (&String, &Json)| series.labels.iter().any(|(n, v)| n == name && is(v, value));
    series.labels.len() == labels.len() && labels.iter().all(has)
}

fn is_total(labels: &BTreeMap<String, Json>) -> bool {
    labels.get("__meta_type").and_then(Json::as_str).is_some_and(|meta| meta.ends_with("_total"))
}

/// Keys of a comparison whose values do not add up to their total: some were cut off, and which ones is not specified.
fn incomplete_keys(series: &[ExpectedSeries]) -> BTreeSet<String> {
    let mut sums: BTreeMap<(String, String), (f64, f64)> = BTreeMap::new();
    for one in series {
        let meta = one.labels.get("__meta_type").and_then(Json::as_str).unwrap_or_default();
        let Some(name) = one.labels.keys().find(|name| *name != "__meta_type") else { continue };
        let sum: f64 = one.samples.iter().map(|(_, value)| sample(value)).sum();
        let sums = sums.entry((meta.trim_end_matches("_total").to_owned(), name.clone())).or_default();
        if is_total(&one.labels) { sums.1 += sum } else { sums.0 += sum }
    }
    sums.into_iter().filter(|(_, (values, total))| values != total).map(|((_, name), _)| name).collect()
}

/// Of equal values any series may have been kept: the values of each step have to be the same.
fn check_tied(expected: &[ExpectedSeries], given: &[GivenSeries]) -> Result<(), String> {
    let mut wanted: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    expected.iter().flat_map(|s| &s.samples).for_each(|(ms, v)| wanted.entry(*ms).or_default().push(sample(v)));
    let mut found: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    given.iter().flat_map(|s| &s.samples).for_each(|(ms, v)| found.entry(*ms).or_default().push(*v));
    wanted.values_mut().chain(found.values_mut()).for_each(|values| values.sort_by(f64::total_cmp));
    let same = wanted.len() == found.len()
        && wanted.iter().zip(&found).all(|((at, wanted), (ms, found))| {
            at == ms && wanted.len() == found.len() && wanted.iter().zip(found).all(|(w, f)| is_close(*f, *w))
        });
    if same { Ok(()) } else { Err(format!("should be {wanted:?}, is {found:?}")) }
}

/// Whether the values of a tag are the expected ones.
pub(crate) fn check_tag_values(vector: &Vector, given: &[Value<'_>]) -> Result<(), String> {
    let expected = vector.expect.as_array().map(Vec::as_slice).unwrap_or_default();
    // That a span without a service has the empty one is a quirk of Tempo's blocks.
    let is_optional = |e: &Json| vector.tag == "resource.service.name" && e["value"] == "";
    let missing = expected.iter().find(|e| !is_optional(e) && !given.iter().any(|v| is_tag_value(v, e)));
    let other = given.iter().find(|v| !expected.iter().any(|e| is_tag_value(v, e)));
    match (missing, other) {
        (None, None) => Ok(()),
        _ => Err(format!("should be {}, is {given:?}", vector.expect)),
    }
}

/// Whether a value is `{"type": ..., "value": ...}`; of enums the vectors have the numbers that are stored.
fn is_tag_value(value: &Value<'_>, json: &Json) -> bool {
    let text = json["value"].as_str().unwrap_or_default();
    match (value, json["type"].as_str().unwrap_or_default()) {
        (Value::Str(v), "string") => v == text,
        (Value::Int(v), "int") => Ok(*v) == text.parse(),
        (Value::Float(v), "float") => Ok(*v) == text.parse(),
        (Value::Bool(v), "bool") => Ok(*v) == text.parse(),
        (Value::Duration(v), "duration" | "int") => Ok(*v) == text.parse(),
        (Value::Status(v), "int") => Ok(*v as i64) == text.parse(),
        (Value::Kind(v), "int") => Ok(*v as i64) == text.parse(),
        _ => false,
    }
}

/// Whether the names of tags by scope are the expected ones.
pub(crate) fn check_tags(vector: &Vector, given: &BTreeMap<String, BTreeSet<String>>) -> Result<(), String> {
    let expected: BTreeMap<String, BTreeSet<String>> =
        serde_json::from_value(vector.expect.clone()).map_err(|e| e.to_string())?;
    // Tempo names the service even when no span matches.
    let service = BTreeMap::from([("resource".to_owned(), BTreeSet::from(["service.name".to_owned()]))]);
    if expected == *given || (given.is_empty() && expected == service) {
        Ok(())
    } else {
        Err(format!("should be {expected:?}, is {given:?}"))
    }
}
