//! Which fields lines have, whether a query parses them or not.
//!
//! ```text
//! the newest lines of a query ─► structured metadata                  ─┐
//!                              ─► labels that the query's stages made  ─┼─► label: type, values, parsers that find it
//!                              ─► the line as JSON, else as logfmt     ─┘
//! ```
//! Source: Loki `pkg/querier/queryrange/detected_fields.go`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use logql::ast::Stage;
use logql::labels::{Category, ERROR_DETAILS_LABEL, ERROR_LABEL, sanitize_label};
use logql::pipeline::detect::FieldType;
use logql::pipeline::{Hints, Pipeline, StreamPipeline};
use serde_json::Value as Json;

use super::answer::{DetectedField, Entry, Labels, Stream};
use super::error::{Error, Result};
use super::evaluate::{self, Order, Work};
use super::request::{Direction, FieldsRequest};

/// Deepest JSON value whose fields are named.
const DEPTH_MAX: usize = 32;

/// A field so far.
#[derive(Debug)]
struct Field {
    kind: FieldType,
    values: BTreeSet<Arc<str>>,
    parsers: Vec<&'static str>,
    json_path: Vec<String>,
}

/// The parsers that are tried on every line.
#[derive(Debug)]
struct Parsers {
    json: Pipeline,
    logfmt: Pipeline,
}

impl Parsers {
    fn new(now_ns: i64) -> Result<Self> {
        let pipeline = |stage| Pipeline::new(&[stage], Hints::all(), now_ns).map_err(|e| Error::invalid(e.to_string()));
        let logfmt = Stage::Logfmt { strict: false, keep_empty: false, extractions: Vec::new() };
        Ok(Self { json: pipeline(Stage::Json { extractions: Vec::new() })?, logfmt: pipeline(logfmt)? })
    }

    fn of(&self, stream: &Labels) -> Tries {
        let labels = || stream.iter().map(|(name, value)| (&**name, &**value));
        Tries { json: self.json.stream(labels()), logfmt: self.logfmt.stream(labels()) }
    }
}

/// The parsers for the lines of one stream.
#[derive(Debug)]
struct Tries {
    json: StreamPipeline,
    logfmt: StreamPipeline,
}

impl Tries {
    /// The fields of an entry's line and stages, and the parser that understood the line.
    fn parse(&mut self, entry: &Entry) -> (BTreeMap<String, Arc<str>>, Option<&'static str>) {
        let is_error = |name: &str| name == ERROR_LABEL || name == ERROR_DETAILS_LABEL;
        let own = entry.parsed.iter().filter(|(name, _)| !is_error(name));
        let mut fields: BTreeMap<String, Arc<str>> = own.map(|(name, value)| (name.to_string(), Arc::clone(value))).collect();
        for (name, pipeline) in [("json", &mut self.json), ("logfmt", &mut self.logfmt)] {
            let Some(line) = pipeline.process(entry.ts_ns, &entry.line, []) else { continue };
            if line.labels.error().is_some() {
                continue;
            }
            for (label, value, category) in line.labels.iter() {
                if category == Category::Parsed && !is_error(label) {
                    fields.insert(label.to_owned(), Arc::from(value));
                }
            }
            return (fields, Some(name));
        }
        (fields, None)
    }
}

/// The newest lines of a query, those with the same labels together, ascending by all labels as text: the order in which Loki looks at them.
async fn lines(work: &Work, request: &FieldsRequest) -> Result<Vec<Stream>> {
    let log = evaluate::parse_log(&request.text)?;
    let limit = request.line_limit.min(work.config.entries_max);
    let order = Order { direction: Direction::Backward, limit, interval_ns: 0 };
    let (streams, _) = evaluate::entries(work, &log, request.time, order).await?;
    let mut by_text: BTreeMap<String, Stream> = BTreeMap::new();
    for stream in streams {
        for entry in stream.entries {
            let same = || Stream { labels: Arc::clone(&stream.labels), entries: Vec::new() };
            by_text.entry(labels_text(&stream.labels, &entry)).or_insert_with(same).entries.push(entry);
        }
    }
    Ok(by_text.into_values().collect())
}

/// All labels of an entry, as Loki prints them.
fn labels_text(stream: &Labels, entry: &Entry) -> String {
    let mut all: Vec<_> = stream.iter().chain(entry.metadata.iter()).chain(entry.parsed.iter()).collect();
    all.sort_unstable();
    logql::labels::labels_text(all.into_iter().map(|(name, value)| (&**name, &**value)))
}

/// The fields of the newest lines of a log query, by label; at most `limit`.
///
/// # Errors
/// All kinds.
pub(super) async fn detected(work: &Work, request: &FieldsRequest) -> Result<Vec<DetectedField>> {
    let streams = lines(work, request).await?;
    let parsers = Parsers::new(work.now_ns)?;
    let mut fields: BTreeMap<String, Field> = BTreeMap::new();
    for stream in &streams {
        work.ticket.check()?;
        let mut tries = parsers.of(&stream.labels);
        // The type is that of the first value among lines with the same labels; the last labels have the last word.
        let mut typed: BTreeSet<String> = BTreeSet::new();
        let mut add = |name: &str, value: &Arc<str>, parser: Option<&'static str>, path: &dyn Fn() -> Vec<String>| {
            if !fields.contains_key(name) {
                if fields.len() >= request.limit {
                    return;
                }
                let field =
                    Field { kind: FieldType::String, values: BTreeSet::new(), parsers: Vec::new(), json_path: Vec::new() };
                fields.insert(name.to_owned(), field);
            }
            let Some(field) = fields.get_mut(name) else { return };
            if typed.insert(name.to_owned()) {
                field.kind = FieldType::of(value);
            }
            if let Some(parser) = parser.filter(|parser| !field.parsers.contains(parser)) {
                field.parsers.push(parser);
            }
            if parser == Some("json") && field.json_path.is_empty() {
                field.json_path = path();
            }
            field.values.insert(Arc::clone(value));
        };
        for entry in &stream.entries {
            for (name, value) in entry.metadata.iter() {
                add(name, value, None, &Vec::new);
            }
            let (found, parser) = tries.parse(entry);
            for (name, value) in &found {
                add(name, value, parser, &|| json_path(&entry.line, name));
            }
        }
    }
    let detected = fields.into_iter().map(|(label, field)| DetectedField {
        label,
        kind: field.kind.name(),
        cardinality: field.values.len() as u64,
        parsers: field.parsers,
        json_path: field.json_path,
    });
    Ok(detected.collect())
}

/// The values of the field `name` in the newest lines of a log query; at most `limit`.
///
/// # Errors
/// All kinds.
pub(super) async fn values(work: &Work, name: &str, request: &FieldsRequest) -> Result<Vec<String>> {
    let streams = lines(work, request).await?;
    let parsers = Parsers::new(work.now_ns)?;
    let mut values: BTreeSet<Arc<str>> = BTreeSet::new();
    for stream in &streams {
        work.ticket.check()?;
        let mut tries = parsers.of(&stream.labels);
        for entry in &stream.entries {
            if values.len() >= request.limit {
                break;
            }
            values.extend(entry.metadata.iter().filter(|(label, _)| **label == *name).map(|(_, value)| Arc::clone(value)));
            values.extend(tries.parse(entry).0.remove(name));
        }
    }
    Ok(values.into_iter().take(request.limit).map(|value| value.to_string()).collect())
}

/// The keys that lead to the value of the label `label` in a JSON line; none when it cannot be told.
fn json_path(line: &str, label: &str) -> Vec<String> {
    fn find(value: &Json, prefix: &str, label: &str, path: &mut Vec<String>) -> bool {
        let Some(object) = value.as_object() else { return prefix == label };
        if path.len() >= DEPTH_MAX {
            return false;
        }
        object.iter().any(|(key, value)| {
            let name = match prefix.is_empty() {
                true => sanitize_label(key),
                false => sanitize_label(&format!("{prefix}_{}", key.trim())),
            };
            if !label.starts_with(&name) {
                return false;
            }
            path.push(key.clone());
            let found = find(value, &name, label, path);
            if !found {
                path.pop();
            }
            found
        })
    }
    let label = label.strip_suffix(logql::labels::DUPLICATE_SUFFIX).unwrap_or(label);
    let mut path = Vec::new();
    match serde_json::from_str::<Json>(line) {
        Ok(value) if find(&value, "", label, &mut path) => path,
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_values() {
        let line = r#"{"a":{"b-c":1,"b":{"c":2}},"7":true,"user.id":"x"}"#;
        for (label, expected) in [
            ("a_b_c", vec!["a", "b", "c"]),
            ("_7", vec!["7"]),
            ("user_id", vec!["user.id"]),
            ("user_id_extracted", vec!["user.id"]),
            ("nothing", vec![]),
        ] {
            let path = json_path(line, label);
            // Two keys may make one label: whichever is found first.
            assert!(path == expected || label == "a_b_c" && path == ["a", "b-c"], "{label}: {path:?}");
        }
        assert!(json_path("no json", "a").is_empty());
    }
}
