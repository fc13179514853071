//! Traces of the vectors as spans in memory, and queries over them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};
use traceql::ast::{self, Field, FieldExpr, FieldName, Scope};
use traceql::eval::{Filter, Grid, Metrics, Options, Returned, Search};
use traceql::memory::{Attributes, Event, Link, Span, Trace};
use traceql::spans::{Slots, Source, Spans};
use traceql::value::{Kind, Status, Value};

use super::vectors::{self, GivenSeries, GivenSpanset, GivenTrace, Vector};

/// The spans of a trace.
pub(crate) fn spans(trace: &vectors::Trace) -> Vec<Span> {
    trace.spans.iter().map(|span| self::span(&trace.id, span)).collect()
}

fn span(trace_id: &str, span: &vectors::Span) -> Span {
    Span {
        trace_id: trace_id.to_owned(),
        id: span.id.clone(),
        parent_id: span.parent.clone(),
        name: span.name.clone(),
        kind: match span.kind.as_str() {
            "internal" => Kind::Internal,
            "server" => Kind::Server,
            "client" => Kind::Client,
            "producer" => Kind::Producer,
            "consumer" => Kind::Consumer,
            _ => Kind::Unspecified,
        },
        status: match span.status.as_str() {
            "ok" => Status::Ok,
            "error" => Status::Error,
            _ => Status::Unset,
        },
        status_message: span.status_message.clone(),
        start_ns: span.start,
        duration_ns: span.duration,
        resource: attributes(&span.resource),
        attributes: attributes(&span.attributes),
        scope_name: span.scope.name.clone(),
        scope_version: span.scope.version.clone(),
        scope_attributes: attributes(&span.scope.attributes),
        events: span.events.iter().map(event).collect(),
        links: span.links.iter().map(link).collect(),
    }
}

fn event(event: &vectors::Event) -> Event {
    Event { offset_ns: event.offset, name: event.name.clone(), attributes: attributes(&event.attributes) }
}

fn link(link: &vectors::Link) -> Link {
    let (trace_id, span_id) = (link.trace_id.clone(), link.span_id.clone());
    Link { trace_id, span_id, attributes: attributes(&link.attributes) }
}

fn attributes(json: &Map<String, Json>) -> Attributes {
    json.iter().map(|(name, value)| (name.clone(), value_of_json(value))).collect()
}

/// Lists have elements of one type; others, and objects, are nothing to TraceQL.
fn value_of_json(json: &Json) -> Value<'static> {
    match json {
        Json::String(text) => Value::Str(text.clone().into()),
        Json::Bool(bool) => Value::Bool(*bool),
        Json::Number(number) => number.as_i64().map_or_else(|| Value::Float(number.as_f64().unwrap_or_default()), Value::Int),
        Json::Array(elements) => {
            let elements: Vec<Value<'static>> = elements.iter().map(value_of_json).collect();
            let types: std::collections::HashSet<_> = elements.iter().map(std::mem::discriminant).collect();
            if types.len() == 1 && elements[0] != Value::Nil { Value::List(elements) } else { Value::Nil }
        }
        Json::Null | Json::Object(_) => Value::Nil,
    }
}

/// The spansets of every trace.
pub(crate) fn search(pipeline: &ast::Pipeline, traces: &[vectors::Trace]) -> Result<Vec<GivenTrace>, String> {
    let search = Search::new(pipeline).map_err(|e| e.to_string())?;
    let mut found = Vec::new();
    for trace in traces {
        let spans = spans(trace);
        let memory = Trace::new(&spans, search.slots());
        let spansets = search.evaluate(&memory).map_err(|e| e.to_string())?;
        let selected = |row: usize| {
            let value = |field: &Returned| (field.name().to_owned(), field.value(&memory, row).into_owned());
            search.returned().iter().map(value).filter(|(_, value)| *value != Value::Nil).collect()
        };
        let spansets: Vec<GivenSpanset> = spansets
            .into_iter()
            .map(|spanset| GivenSpanset {
                matched: spanset.rows.len(),
                spans: spanset.rows.iter().map(|row| (spans[*row].id.clone(), selected(*row))).collect(),
                attributes: spanset.attributes,
            })
            .collect();
        if !spansets.is_empty() {
            found.push(GivenTrace { id: trace.id.clone(), spansets });
        }
    }
    Ok(found)
}

/// The series of a query; a trace at a time goes to one of three states, which are merged.
pub(crate) fn metrics(query: &ast::Metrics, vector: &Vector, traces: &[vectors::Trace]) -> Result<Vec<GivenSeries>, String> {
    let metrics = Metrics::new(query, Options::default()).map_err(|e| e.to_string())?;
    let grid =
        if vector.instant { Grid::instant(vector.start, vector.end) } else { Grid::range(vector.start, vector.end, vector.step) };
    let mut states = Vec::new();
    for leaf in metrics.leaves() {
        let mut parts = [leaf.state(&grid), leaf.state(&grid), leaf.state(&grid)];
        for (at, trace) in traces.iter().enumerate() {
            let spans = spans(trace);
            parts[at % 3].evaluate(&Trace::new(&spans, leaf.slots())).map_err(|e| e.to_string())?;
        }
        let [mut whole, second, third] = parts;
        whole.merge(third).and_then(|()| whole.merge(second)).map_err(|e| e.to_string())?;
        states.push(whole);
    }
    let answer = metrics.finish(states, &grid, 1_000).map_err(|e| e.to_string())?;
    Ok(answer.series.into_iter().map(|s| GivenSeries { labels: s.labels, samples: s.samples }).collect())
}

/// The values of a tag of the spans that match a filter. An unscoped one is looked for on its span, resource and instrumentation scope.
pub(crate) fn tag_values(
    field: &Field,
    filter: Option<&FieldExpr>,
    traces: &[vectors::Trace],
) -> Result<Vec<Value<'static>>, String> {
    let names = match &field.name {
        FieldName::Attribute(Scope::Any, name) => {
            [Scope::Span, Scope::Resource, Scope::Instrumentation].map(|scope| FieldName::Attribute(scope, name.clone())).to_vec()
        }
        name => vec![name.clone()],
    };
    let mut slots = Slots::default();
    let references: Vec<_> = names.into_iter().map(|name| slots.reference(&Field { parent: false, name })).collect();
    let filter = filter.map(|expr| Filter::new(expr, &mut slots)).transpose().map_err(|e| e.to_string())?;
    let mut found = Vec::new();
    for trace in traces {
        let spans = spans(trace);
        let memory = Trace::new(&spans, &slots);
        for row in (0..spans.len()).filter(|row| filter.as_ref().is_none_or(|filter| filter.matches(&memory, *row))) {
            for reference in &references {
                let values = match reference.source {
                    Source::Row | Source::Trace => vec![memory.value(reference.slot, row)],
                    source => (0..memory.items(source, row)).map(|item| memory.item(reference.slot, row, item)).collect(),
                };
                found.extend(values.into_iter().flat_map(|value| match value.into_owned() {
                    Value::List(elements) => elements,
                    one => vec![one],
                }));
            }
        }
    }
    found.retain(|value| *value != Value::Nil);
    Ok(found)
}

/// The names of tags of the spans that match a filter, by scope.
pub(crate) fn tags(filter: Option<&FieldExpr>, traces: &[vectors::Trace]) -> Result<BTreeMap<String, BTreeSet<String>>, String> {
    let mut slots = Slots::default();
    let filter = filter.map(|expr| Filter::new(expr, &mut slots)).transpose().map_err(|e| e.to_string())?;
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for trace in traces {
        let spans = spans(trace);
        let memory = Trace::new(&spans, &slots);
        for (row, span) in spans.iter().enumerate() {
            if !filter.as_ref().is_none_or(|filter| filter.matches(&memory, row)) {
                continue;
            }
            let items =
                span.events.iter().map(|e| ("event", &e.attributes)).chain(span.links.iter().map(|l| ("link", &l.attributes)));
            let own = [("resource", &span.resource), ("span", &span.attributes), ("instrumentation", &span.scope_attributes)];
            for (scope, attributes) in own.into_iter().chain(items) {
                let names = attributes.iter().map(|(name, _)| name.clone());
                if !attributes.is_empty() {
                    found.entry(scope.to_owned()).or_default().extend(names);
                }
            }
        }
    }
    Ok(found)
}
