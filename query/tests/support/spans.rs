//! Traces made from a seed: rows of the lake, and the same spans in memory.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::collections::BTreeMap;

use catalog::{Table, TenantId};
use query::traceql::{ServiceStats, SpanMatch, SpansetMatch, TraceMatch};
use serde_json::{Map, Value as Json, json};
use traceql::eval::Search;
use traceql::memory::{Attributes, Event, Link, Span, Trace};
use traceql::spans::Spans;
use traceql::value::{Kind, Status, Value};

use super::support::{World, ns};

const SECOND_NS: i64 = 1_000_000_000;

/// Numbers that look random and are always the same.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Less than `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    /// One in `of`.
    pub fn once_in(&mut self, of: u64) -> bool {
        self.roll(of) == 0
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len() as u64) as usize]
    }
}

fn text(value: impl Into<String>) -> Value<'static> {
    Value::Str(value.into().into())
}

fn named(name: &str, value: Value<'static>) -> (String, Value<'static>) {
    (name.to_owned(), value)
}

/// Resource `number`: two services have two resources, and one sender names no service.
fn resource(number: u64) -> Attributes {
    let mut attributes = vec![named("host", text(format!("h{}", number % 3))), named("k", text("of resource"))];
    if number != 5 {
        attributes.push(named("service.name", text(format!("s{}", number % 4))));
    }
    if number == 2 {
        attributes.push(named("n", Value::Int(2)));
    }
    attributes
}

/// Traces that begin in the first six hours of the year. Some spans begin before their parents, some lack them, some are their own
/// ancestors; a few traces go on for most of an hour, and one has many spans. No two spans begin at one time.
pub fn traces(seed: u64, count: usize) -> Vec<Vec<Span>> {
    let mut dice = Dice::new(seed);
    (0..count).map(|at| trace(&mut dice, at, count)).collect()
}

fn trace(dice: &mut Dice, at: usize, count: usize) -> Vec<Span> {
    let id = format!("{:016x}{:016x}", dice.roll(u64::MAX), dice.roll(u64::MAX));
    let begin_ns = ns(dice.roll(6 * 3_600) as i64);
    let spans = if at == count / 2 { 300 } else { 1 + dice.roll(10) };
    let length_ms = if dice.once_in(12) { 3_000_000 } else { 20_000 };
    let ids: Vec<String> = (0..spans).map(|_| format!("{:016x}", 1 + dice.roll(u64::MAX - 1))).collect();
    let mut all: Vec<Span> = (0..spans as usize)
        .map(|number| {
            let parent = match (number, dice.roll(20)) {
                (0, 1..) => String::new(),
                (_, 0) => "00000000000000aa".to_owned(),
                (_, 1) => ids[dice.roll(spans) as usize].clone(),
                _ => ids[dice.roll(number as u64) as usize].clone(),
            };
            // The last digits differ in each span.
            let late_ns = (dice.roll(length_ms) as i64 * 1_000 + number as i64) * 1_000 + at as i64 % 1_000;
            let start_ns = begin_ns + if number == 0 && !dice.once_in(5) { at as i64 % 1_000 } else { late_ns };
            span(dice, Span { trace_id: id.clone(), id: ids[number].clone(), parent_id: parent, start_ns, ..Span::default() }, at)
        })
        .collect();
    // Siblings are numbered in the order in which they are given.
    all.sort_by_key(|span| span.start_ns);
    all
}

fn span(dice: &mut Dice, known: Span, trace: usize) -> Span {
    let mut attributes = vec![];
    if dice.once_in(2) {
        attributes.push(named("k", text(format!("v{}", dice.roll(5)))));
    }
    if dice.once_in(2) {
        let n = dice.roll(10);
        attributes.push(named("n", if n.is_multiple_of(3) { Value::Float(n as f64 / 2.0) } else { Value::Int(n as i64) }));
    }
    if dice.once_in(3) {
        attributes.push(named("b", Value::Bool(dice.once_in(2))));
    }
    if dice.once_in(4) {
        let list = (0..1 + dice.roll(2)).map(|_| text(dice.one(&["a", "b", "c"])));
        attributes.push(named("list", Value::List(list.collect())));
    }
    if dice.once_in(20) {
        attributes.push(named("rare", text(format!("r{trace}"))));
    }
    let duration_ns = match dice.roll(3) {
        0 => dice.roll(100_000_000),
        _ => dice.roll(5_000_000_000),
    };
    let event = |dice: &mut Dice| Event {
        offset_ns: dice.roll(1_000) as i64,
        name: format!("e{}", dice.roll(3)),
        attributes: vec![named("level", Value::Int(dice.roll(3) as i64)), named("text", text(dice.one(&["x", "y \"z\""])))],
    };
    let link = |dice: &mut Dice| Link {
        trace_id: known.trace_id.clone(),
        span_id: known.id.clone(),
        attributes: vec![named("why", text(dice.one(&["retry", "batch"])))],
    };
    let scope = dice.roll(3);
    Span {
        name: format!("op{}", dice.roll(6)),
        kind: [Kind::Unspecified, Kind::Internal, Kind::Server, Kind::Client][dice.roll(4) as usize],
        status: [Status::Unset, Status::Unset, Status::Ok, Status::Error][dice.roll(4) as usize],
        status_message: dice.one(&["", "", "it broke"]).to_owned(),
        duration_ns: duration_ns as i64,
        resource: resource(dice.roll(6)),
        attributes,
        scope_name: if scope == 0 { String::new() } else { format!("lib{scope}") },
        scope_version: if scope == 0 { String::new() } else { "1.0".to_owned() },
        scope_attributes: if scope == 1 { vec![named("lang", text("go"))] } else { vec![] },
        events: (0..dice.roll(3)).map(|_| event(dice)).collect(),
        links: (0..dice.roll(2)).map(|_| link(dice)).collect(),
        ..known
    }
}

/// OTLP's numbers.
pub fn kind_number(kind: Kind) -> i32 {
    match kind {
        Kind::Unspecified => 0,
        Kind::Internal => 1,
        Kind::Server => 2,
        Kind::Client => 3,
        Kind::Producer => 4,
        Kind::Consumer => 5,
    }
}

/// OTLP's numbers.
pub fn status_number(status: Status) -> i32 {
    match status {
        Status::Unset => 0,
        Status::Ok => 1,
        Status::Error => 2,
    }
}

/// A value as canonical OTLP JSON.
fn otlp(value: &Value<'_>) -> Json {
    match value {
        Value::Str(text) => json!({"stringValue": text}),
        Value::Int(number) => json!({"intValue": number.to_string()}),
        Value::List(items) => json!({"arrayValue": {"values": items.iter().map(otlp).collect::<Vec<_>>()}}),
        other => panic!("no test has {other:?} here"),
    }
}

/// A value as an event's attribute is stored.
fn plain(value: &Value<'_>) -> String {
    match value {
        Value::Str(text) => json!(text).to_string(),
        Value::Int(number) => json!(number).to_string(),
        other => panic!("no test has {other:?} here"),
    }
}

fn maps(attributes: &Attributes) -> Map<String, Json> {
    let mut maps: BTreeMap<&str, Map<String, Json>> = BTreeMap::new();
    for (name, value) in attributes {
        let (column, value) = match value {
            Value::Str(text) => ("attrs_str", json!(text)),
            Value::Int(number) => ("attrs_int", json!(number)),
            Value::Float(number) => ("attrs_f64", json!(number)),
            Value::Bool(yes) => ("attrs_bool", json!(yes)),
            list => ("attrs_json", json!(otlp(list).to_string())),
        };
        maps.entry(column).or_default().insert(name.clone(), value);
    }
    maps.into_iter().map(|(column, map)| (column.to_owned(), Json::Object(map))).collect()
}

fn service(span: &Span) -> Option<&str> {
    let known = span.resource.iter().find(|(name, _)| name == "service.name")?;
    if let Value::Str(service) = &known.1 { Some(service) } else { None }
}

/// The number of a resource, by its content.
fn resource_id(attributes: &Attributes) -> i64 {
    let known = (0..6).find(|number| resource(*number) == *attributes);
    known.map_or_else(|| attributes.iter().map(|(name, _)| name.len() as i64).sum::<i64>() + 100, |number| number as i64)
}

/// A span as a row.
pub fn row(span: &Span) -> Json {
    let known = |text: &str| if text.is_empty() { Json::Null } else { json!(text) };
    let items = |attributes: &Attributes| -> Map<String, Json> {
        attributes.iter().map(|(name, value)| (name.clone(), json!(plain(value)))).collect()
    };
    let event =
        |event: &Event| json!({"ts": span.start_ns + event.offset_ns, "name": event.name, "attrs": items(&event.attributes)});
    let link = |link: &Link| json!({"trace_id": link.trace_id, "span_id": link.span_id, "attrs": items(&link.attributes)});
    let scope: Vec<Json> = span.scope_attributes.iter().map(|(name, value)| json!({"key": name, "value": otlp(value)})).collect();
    let mut row = json!({
        "trace_id": span.trace_id, "ts": span.start_ns, "span_id": span.id, "parent_span_id": known(&span.parent_id),
        "duration_ns": span.duration_ns, "service": service(span).unwrap_or("unknown_service"), "name": span.name,
        "kind": kind_number(span.kind), "status_code": status_number(span.status), "status_message": known(&span.status_message),
        "scope_name": known(&span.scope_name), "scope_version": known(&span.scope_version),
        "scope_attrs": if scope.is_empty() { Json::Null } else { json!(json!(scope).to_string()) },
        "resource_id": resource_id(&span.resource),
        "events": span.events.iter().map(event).collect::<Vec<_>>(), "links": span.links.iter().map(link).collect::<Vec<_>>(),
    });
    row.as_object_mut().unwrap().extend(maps(&span.attributes));
    row
}

/// The resources of `spans` as rows, each once.
pub fn resources<'a>(spans: impl IntoIterator<Item = &'a Span>) -> Json {
    let mut rows: BTreeMap<i64, Json> = BTreeMap::new();
    for span in spans {
        let id = resource_id(&span.resource);
        rows.entry(id).or_insert_with(|| {
            let mut row = json!({"resource_id": id, "ts": ns(0), "service": service(span).unwrap_or("unknown_service")});
            row.as_object_mut().unwrap().extend(maps(&span.resource));
            row
        });
    }
    Json::Array(rows.into_values().collect())
}

/// Where the rows of a world are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// All in memory.
    Fresh,
    /// In files that overlap, and in memory.
    Mixed,
    /// In few files.
    Compacted,
}

/// Puts `traces` into `world`, the spans of each in several units, and some twice.
pub async fn fill(world: &World, tenant: &TenantId, traces: &[Vec<Span>], stage: Stage, seed: u64) {
    let mut dice = Dice::new(seed);
    let mut units: Vec<Vec<Json>> = vec![Vec::new(); 4];
    for span in traces.iter().flatten() {
        units[dice.roll(4) as usize].push(row(span));
        if dice.once_in(20) {
            units[dice.roll(4) as usize].push(row(span));
        }
    }
    let all = resources(traces.iter().flatten());
    match stage {
        Stage::Fresh => world.buffer(tenant, Table::Resources, all),
        _ => world.commit(tenant, Table::Resources, all).await,
    }
    for (number, unit) in units.into_iter().enumerate() {
        match stage {
            Stage::Fresh => world.buffer(tenant, Table::Spans, Json::Array(unit)),
            Stage::Mixed if number > 2 => world.buffer(tenant, Table::Spans, Json::Array(unit)),
            _ => world.commit(tenant, Table::Spans, Json::Array(unit)).await,
        }
    }
    if stage == Stage::Compacted {
        world.compact().await;
    }
}

/// What a search should find in `spans`, the spans of one trace.
pub fn found(search: &Search, spans: &[Span], spans_per_spanset: usize) -> Option<TraceMatch> {
    let view = Trace::new(spans, search.slots());
    let spansets = search.evaluate(&view).unwrap();
    if spansets.is_empty() {
        return None;
    }
    let span = |row: &usize| {
        let returned = search.returned().iter().map(|field| (field.name().to_owned(), field.value(&view, *row).into_owned()));
        let name = search.name().map(|field| match field.value(&view, *row) {
            Value::Str(name) => name.into_owned(),
            _ => String::new(),
        });
        SpanMatch {
            id: hex::decode(&spans[*row].id).unwrap().try_into().unwrap(),
            name,
            start_ns: view.start_ns(*row),
            duration_ns: view.duration_ns(*row),
            attributes: returned.filter(|(_, value)| *value != Value::Nil).collect(),
        }
    };
    let spansets = spansets.iter().map(|spanset| SpansetMatch {
        matched: spanset.rows.len(),
        attributes: spanset.attributes.clone(),
        spans: spanset.rows.iter().take(spans_per_spanset).map(span).collect(),
    });
    let spansets = spansets.collect();
    let mut services: BTreeMap<String, ServiceStats> = BTreeMap::new();
    for span in spans {
        let stats = services.entry(service(span).unwrap_or_default().to_owned()).or_default();
        stats.spans += 1;
        stats.errors += u32::from(span.status == Status::Error);
    }
    let root = spans.iter().filter(|span| span.parent_id.is_empty()).min_by_key(|span| span.start_ns);
    let (start_ns, end_ns) = extent(spans);
    Some(TraceMatch {
        id: hex::decode(&spans[0].trace_id).unwrap().try_into().unwrap(),
        root_service: root.map(|root| service(root).unwrap_or_default().to_owned()),
        root_name: root.map(|root| root.name.clone()),
        start_ns,
        duration_ns: end_ns - start_ns,
        services,
        spansets,
    })
}

/// From the first start to the last end.
pub fn extent(spans: &[Span]) -> (i64, i64) {
    let start = spans.iter().map(|span| span.start_ns).min().unwrap();
    (start, spans.iter().map(|span| span.start_ns + span.duration_ns).max().unwrap())
}

/// A window of at most some hours within those of [`traces`].
pub fn window(dice: &mut Dice) -> query::traceql::Window {
    let start_ns = ns(dice.roll(7 * 3_600) as i64);
    let length = if dice.once_in(2) { 600 } else { 4 * 3_600 };
    query::traceql::Window { start_ns, end_ns: start_ns + (1 + dice.roll(length) as i64) * SECOND_NS }
}

const ATOMS: [&str; 40] = [
    r#"span.k = "v1""#,
    r#".k != "v2""#,
    "span.n > 3",
    ".n = 2",
    ".n < 1.5",
    ".n = 4.5 || .n = 4",
    "span.b",
    "!span.b",
    r#"resource.host = "h1""#,
    r#"resource.service.name = "s1""#,
    r#"resource.service.name =~ "s[12]""#,
    r#"resource.service.name != "s1""#,
    r#"name = "op1""#,
    r#"name =~ "op[23]""#,
    "kind = server",
    "kind != client",
    "status = error",
    "status != ok",
    "duration > 2s",
    "duration < 50ms",
    "2s < duration",
    r#"statusMessage = "it broke""#,
    r#"span.list = "a""#,
    r#"span.list != "a""#,
    r#"span.rare = "r17""#,
    r#"span.rare =~ "r1.*""#,
    "span.k = nil",
    "span.k != nil",
    r#"event:name = "e1""#,
    "event.level = 1",
    r#"event:name = "e1" && event.level = 2"#,
    r#"link.why = "retry""#,
    r#"instrumentation:name = "lib1""#,
    r#"instrumentation.lang = "go""#,
    "nestedSetParent < 0",
    "trace:duration > 10s",
    r#"rootName = "op1""#,
    r#"rootServiceName = "s2""#,
    "span:childCount > 1",
    r#".k = "of resource" || resource.n = 2"#,
];

/// A filter without braces.
pub fn filter(dice: &mut Dice, depth: u32) -> String {
    match if depth == 0 { 9 } else { dice.roll(10) } {
        0 | 1 => format!("({} && {})", filter(dice, depth - 1), filter(dice, depth - 1)),
        2 => format!("({} || {})", filter(dice, depth - 1), filter(dice, depth - 1)),
        3 => format!("!({})", filter(dice, depth - 1)),
        _ => dice.one(&ATOMS).to_owned(),
    }
}

/// A query without metrics.
pub fn query(dice: &mut Dice) -> String {
    let mut text = format!("{{ {} }}", filter(dice, 2));
    if dice.once_in(2) {
        let op = dice.one(&["&&", "||", ">", ">>", "<", "<<", "~", "!>", "!>>", "&>>", "&~"]);
        text = format!("{text} {op} {{ {} }}", filter(dice, 1));
    }
    if dice.once_in(4) {
        text += dice.one(&[
            " | count() > 1",
            " | by(span.k)",
            " | by(resource.service.name) | count() > 1",
            " | avg(duration) > 1s",
            " | by(name) | coalesce()",
            r#" | { kind = server }"#,
        ]);
    }
    if dice.once_in(2) {
        text += dice.one(&[
            " | select(span.k, resource.host)",
            " | select(name, status, nestedSetLeft)",
            " | select(event:name, .n)",
        ]);
    }
    text
}
