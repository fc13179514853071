//! TraceQL's vectors: those of the language through the parser, the others against a node. Spans come in through the OTLP receiver, queries
//! run through the engine that the APIs of Tempo use; each fixture is a tenant.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use catalog::TenantId;
use query::traceql::{MetricsRequest, SearchRequest, SpansetMatch, TagScope, TagValuesRequest, TagsRequest};
use serde_json::{Map, Value as Json, json};
use tokio::runtime::Runtime;
use traceql::parse::{ErrorKind, parse};

use crate::Count;
use crate::node::{Node, Stage};
use crate::vectors::{
    self, GivenSeries, GivenSpanset, GivenTrace, Span, Trace, Vector, check_search, check_series, check_tag_values, check_tags,
};

/// More than any vector has.
const MOST: usize = 1_000;

/// Where the quirk of metrics is looked at: the spans of its fixture.
const QUIRK_RANGE: (i64, i64, i64) = (1_700_000_300_000_000_000, 1_700_000_540_000_000_000, 60_000_000_000);

/// Runs one file with rows at `stage`; prints what fails.
pub(crate) fn run_file(file: &Path, stage: Stage, verbose: bool) -> Result<Count, String> {
    let vectors = vectors::read(file)?;
    let name = file.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut report = Report { stage, verbose, count: Count::default(), quirks: BTreeMap::new() };
    match name.as_str() {
        "parse" => vectors.iter().for_each(|vector| report.of(vector, accepted(vector))),
        "precedence" => vectors.iter().for_each(|vector| report.of(vector, same_tree(vector))),
        _ => {
            let stored = Stored::open(file, &vectors, stage)?;
            for vector in &vectors {
                match name.as_str() {
                    "metrics" => report.of(vector, stored.series(vector)),
                    "tags" if vector.kind == "values" => report.of(vector, stored.tag_values(vector)),
                    "tags" => report.of(vector, stored.tags(vector)),
                    "quirks" => report.quirk(vector, stored.quirk(vector)),
                    _ => report.of(vector, stored.spansets(vector).and_then(|given| check_search(&vector.expect, &given))),
                }
            }
        }
    }
    for (whose, ids) in &report.quirks {
        println!("{name} {stage}: {} as {whose}", ids.len());
    }
    Ok(report.count)
}

/// What passed and what did not.
struct Report {
    stage: Stage,
    verbose: bool,
    count: Count,
    /// Vectors by whose answer was given.
    quirks: BTreeMap<&'static str, Vec<String>>,
}

impl Report {
    fn of(&mut self, vector: &Vector, verdict: Result<(), String>) {
        let Vector { id, fixture, query, .. } = vector;
        match verdict {
            Ok(()) => {
                self.count.passed += 1;
                if self.verbose {
                    println!("ok   {id} {fixture} {query}");
                }
            }
            Err(wrong) => {
                self.count.failed += 1;
                println!("FAIL {id} {fixture} ({}) {query}\n     {wrong}", self.stage);
            }
        }
    }

    fn quirk(&mut self, vector: &Vector, verdict: Result<&'static str, String>) {
        if let Ok(whose) = &verdict {
            self.quirks.entry(whose).or_default().push(vector.id.clone());
        }
        self.of(vector, verdict.map(|_| ()));
    }
}

/// Whether the parser says of a text what it should.
fn accepted(vector: &Vector) -> Result<(), String> {
    let answer = parse(&vector.query);
    let class = match &answer {
        Ok(_) => "valid",
        Err(error) => match error.kind {
            ErrorKind::Parse => "parse_error",
            ErrorKind::Validate => "validate_error",
            ErrorKind::Unsupported => "unsupported",
        },
    };
    // What Tempo does not support may be supported, or make no sense here.
    if class == vector.class || (vector.class == "unsupported" && class != "parse_error") {
        Ok(())
    } else {
        Err(format!("should be {}, is {class}: {:?}", vector.class, answer.err().map(|e| e.to_string())))
    }
}

fn same_tree(vector: &Vector) -> Result<(), String> {
    let parsed = |text: &str| parse(text).map_err(|e| format!("{text}: {e}"));
    // How an intrinsic is spelled is no part of what is asked.
    let shape = |text: &str| parsed(text).map(|query| format!("{query:?}").replace(", Scoped)", ", Legacy)"));
    let (tree, other) = (shape(&vector.query)?, shape(&vector.same_as)?);
    if tree == other { Ok(()) } else { Err(format!("{tree} should be {}: {other}", vector.same_as)) }
}

/// A node with the fixtures of a file.
struct Stored {
    runtime: Runtime,
    node: Node,
}

impl Stored {
    fn open(file: &Path, vectors: &[Vector], stage: Stage) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
        let node = runtime.block_on(Node::open(u64::MAX)).map_err(|e| format!("{e:#}"))?;
        let fixtures = vectors::read_traces(&file.with_file_name("traces.yaml"))?;
        let wanted: BTreeSet<&str> = vectors.iter().map(|vector| vector.fixture.as_str()).collect();
        for name in wanted {
            let traces = fixtures.get(name).ok_or_else(|| format!("{}: no fixture {name}", file.display()))?;
            let sent = runtime.block_on(node.send_traces(&tenant(name), &otlp(traces).to_string()));
            sent.map_err(|e| format!("{name}: {e:#}"))?;
        }
        runtime.block_on(node.settle(stage)).map_err(|e| format!("{e:#}"))?;
        Ok(Self { runtime, node })
    }

    fn spansets(&self, vector: &Vector) -> Result<Vec<GivenTrace>, String> {
        let text = vector.query.clone();
        let request = SearchRequest { text, time: None, limit: MOST, spans_per_spanset: MOST, timeout: None };
        let answer = self.runtime.block_on(self.node.traceql.search(&tenant(&vector.fixture), request, None));
        let given = |spanset: SpansetMatch| GivenSpanset {
            matched: spanset.matched,
            attributes: spanset.attributes,
            spans: spanset.spans.into_iter().map(|span| (hex::encode(span.id), span.attributes)).collect(),
        };
        let traces = answer.map_err(|e| e.to_string())?.traces.into_iter();
        let given = traces.map(|t| GivenTrace { id: hex::encode(t.id), spansets: t.spansets.into_iter().map(given).collect() });
        Ok(given.collect())
    }

    fn measured(&self, vector: &Vector, (start_ns, end_ns, step_ns): (i64, i64, i64)) -> Result<Vec<GivenSeries>, String> {
        let (text, instant) = (vector.query.clone(), vector.instant);
        let (exemplars, series_max, timeout) = (0, 0, None);
        let request = MetricsRequest { text, start_ns, end_ns, step_ns, instant, exemplars, series_max, timeout };
        let answer = self.runtime.block_on(self.node.traceql.metrics(&tenant(&vector.fixture), request, None));
        let series = answer.map_err(|e| e.to_string())?.series.into_iter();
        Ok(series.map(|series| GivenSeries { labels: series.labels, samples: series.samples }).collect())
    }

    fn series(&self, vector: &Vector) -> Result<(), String> {
        check_series(vector, &self.measured(vector, (vector.start, vector.end, vector.step))?)
    }

    /// Whose answer is given where Tempo's blocks differ from its language.
    fn quirk(&self, vector: &Vector) -> Result<&'static str, String> {
        if vector.kind == "metrics" {
            let series = self.measured(vector, QUIRK_RANGE)?;
            let is_zero = series.iter().flat_map(|series| &series.samples).all(|(_, value)| *value == 0.0);
            return if is_zero { Ok("the language has it") } else { Err(format!("should be nothing or zero, is {series:?}")) };
        }
        let given = self.spansets(vector);
        match (&vector.expect, &vector.tempo, given) {
            (_, Json::String(_), Err(_)) => Ok("Tempo's blocks have it"),
            (Json::Null, _, _) => Ok("is not defined"),
            (_, _, Err(wrong)) => Err(wrong),
            (expect, tempo, Ok(given)) => match check_search(expect, &given) {
                Ok(()) => Ok("the language has it"),
                Err(_) if check_search(tempo, &given).is_ok() => Ok("Tempo's blocks have it"),
                Err(wrong) => Err(wrong),
            },
        }
    }

    fn tag_values(&self, vector: &Vector) -> Result<(), String> {
        let (tag, filter) = (vector.tag.clone(), vector.q.clone());
        let request = TagValuesRequest { tag, filter, time: None, limit: MOST, bytes_max: 1 << 20 };
        let answer = self.runtime.block_on(self.node.traceql.tag_values(&tenant(&vector.fixture), request));
        let given = answer.map_err(|e| e.to_string())?.values;
        check_tag_values(vector, &given)
    }

    fn tags(&self, vector: &Vector) -> Result<(), String> {
        let scope = TAG_SCOPES.into_iter().find(|(name, _)| *name == vector.scope).map(|(_, scope)| scope);
        let request = TagsRequest { scope, filter: vector.q.clone(), time: None, limit: MOST };
        let answer = self.runtime.block_on(self.node.traceql.tags(&tenant(&vector.fixture), request));
        let name = |scope| TAG_SCOPES.into_iter().find(|(_, known)| *known == scope).map_or("?", |(name, _)| name);
        let scopes = answer.map_err(|e| e.to_string())?.scopes.into_iter().filter(|(_, names)| !names.is_empty());
        check_tags(vector, &scopes.map(|(scope, names)| (name(scope).to_owned(), names.into_iter().collect())).collect())
    }
}

const TAG_SCOPES: [(&str, TagScope); 5] = [
    ("resource", TagScope::Resource),
    ("span", TagScope::Span),
    ("event", TagScope::Event),
    ("link", TagScope::Link),
    ("instrumentation", TagScope::Instrumentation),
];

fn tenant(fixture: &str) -> TenantId {
    TenantId::parse(&fixture.replace('_', "-")).expect("a valid id")
}

/// Traces as a body of OTLP's JSON; each span with its resource and scope.
fn otlp(traces: &[Trace]) -> Json {
    let spans = traces.iter().flat_map(|trace| trace.spans.iter().map(|span| (trace.id.as_str(), span)));
    let resource_spans: Vec<Json> = spans
        .map(|(trace_id, span)| {
            let scope = json!({
                "name": span.scope.name,
                "version": span.scope.version,
                "attributes": attributes(&span.scope.attributes),
            });
            json!({
                "resource": { "attributes": attributes(&span.resource) },
                "scopeSpans": [{ "scope": scope, "spans": [otlp_span(trace_id, span)] }],
            })
        })
        .collect();
    json!({ "resourceSpans": resource_spans })
}

fn otlp_span(trace_id: &str, span: &Span) -> Json {
    const KINDS: [&str; 6] = ["unspecified", "internal", "server", "client", "producer", "consumer"];
    const STATUSES: [&str; 3] = ["unset", "ok", "error"];
    let number = |words: &[&str], word: &str| words.iter().position(|known| *known == word).unwrap_or_default();
    let events = span.events.iter().map(|event| {
        json!({
            "timeUnixNano": (span.start + event.offset).to_string(),
            "name": event.name,
            "attributes": attributes(&event.attributes),
        })
    });
    let links = span
        .links
        .iter()
        .map(|link| json!({ "traceId": link.trace_id, "spanId": link.span_id, "attributes": attributes(&link.attributes) }));
    json!({
        "traceId": trace_id,
        "spanId": span.id,
        "parentSpanId": span.parent,
        "traceState": span.trace_state,
        "name": span.name,
        "kind": number(&KINDS, &span.kind),
        "status": { "code": number(&STATUSES, &span.status), "message": span.status_message },
        "startTimeUnixNano": span.start.to_string(),
        "endTimeUnixNano": (span.start + span.duration).to_string(),
        "attributes": attributes(&span.attributes),
        "events": events.collect::<Vec<_>>(),
        "links": links.collect::<Vec<_>>(),
    })
}

fn attributes(json: &Map<String, Json>) -> Json {
    json.iter().map(|(key, value)| json!({ "key": key, "value": any_value(value) })).collect()
}

fn any_value(json: &Json) -> Json {
    match json {
        Json::Null => json!({}),
        Json::Bool(bool) => json!({ "boolValue": bool }),
        Json::Number(number) if number.is_f64() => json!({ "doubleValue": number }),
        Json::Number(number) => json!({ "intValue": number.to_string() }),
        Json::String(text) => json!({ "stringValue": text }),
        Json::Array(values) => json!({ "arrayValue": { "values": values.iter().map(any_value).collect::<Vec<_>>() } }),
        Json::Object(values) => json!({ "kvlistValue": { "values": attributes(values) } }),
    }
}
