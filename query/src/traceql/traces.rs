//! Traces by id: every span with all it was sent with.
//!
//! ```text
//! ids ─► files by the ids' prefixes in the manifest ─► by the filter of ids in each ─► pages ─► spans ─► resources of their days
//! ```

use std::sync::Arc;

use arrow::array::{Array, AsArray, FixedSizeBinaryArray, Int32Array, StructArray};
use arrow::datatypes::{Int32Type, Int64Type, TimestampNanosecondType};
use catalog::{Table, TimeRange, schema};
use hashbrown::HashMap;
use traceql::spans::Spans;

use super::answer::{Attributes, Event, Link, Resource, Scope, Span, Trace, TracePart};
use super::error::{Error, Result};
use super::evaluate::{Work, range, range_of, widened};
use super::read::{Beyond, Group, Reading, each};
use super::request::{TraceId, TracesRequest, Window};
use super::search::of_ids;
use super::spans::{Resources, Shape, SpanBatch, TraceSpans, any_value_of_item, attributes_of_json};

/// Traces that one request may ask for.
const IDS_MAX: usize = 1_000;

/// The traces that exist, in the order asked for.
///
/// # Errors
/// [`Error::TraceTooLarge`]; the lake's.
pub(super) async fn traces(work: &Work, request: &TracesRequest) -> Result<Vec<Trace>> {
    if request.ids.len() > IDS_MAX {
        return Err(Error::invalid(format!("{} traces in one request, limit is {IDS_MAX}", request.ids.len())));
    }
    let whole = Beyond::IsRefused;
    let (mut found, _) = read(work, &request.ids, widened(range_of(request.time)), whole).await?;
    if request.time.is_some() && found.len() < request.ids.len() {
        let missing: Vec<TraceId> = request.ids.iter().filter(|id| !found.contains_key(*id)).copied().collect();
        found.extend(read(work, &missing, TimeRange::ALL, whole).await?.0);
    }
    Ok(request.ids.iter().filter_map(|id| found.remove(id)).collect())
}

/// As much of one trace as may be returned; `time` is where to look first.
///
/// # Errors
/// The lake's.
pub(super) async fn part(work: &Work, id: TraceId, time: Option<Window>) -> Result<Option<TracePart>> {
    let (mut found, mut left_out) = read(work, &[id], widened(range_of(time)), Beyond::IsLeftOut).await?;
    if time.is_some() && found.is_empty() {
        (found, left_out) = read(work, &[id], TimeRange::ALL, Beyond::IsLeftOut).await?;
    }
    Ok(found.remove(&id).map(|trace| TracePart { trace, is_whole: left_out == 0 }))
}

/// The traces by id, and how many of their spans were left out.
async fn read(work: &Work, ids: &[TraceId], time: TimeRange, beyond: Beyond) -> Result<(HashMap<TraceId, Trace>, usize)> {
    let mut found: HashMap<TraceId, Trace> = HashMap::new();
    if ids.is_empty() {
        return Ok((found, 0));
    }
    let rows = schema::rows(Table::Spans);
    let columns: Vec<&str> = rows.fields().iter().map(|field| field.name().as_str()).collect();
    let reading = Reading::plan(work, Shape::default(), &columns, time, of_ids(ids.iter().copied()))?;
    let mut traces = reading.traces(work, 0, 1)?.beyond(beyond);
    let (mut parts, mut cut): (Vec<TraceSpans>, usize) = (Vec::new(), 0);
    while let Some(group) = traces.next().await? {
        work.check()?;
        let mut take = |spans: TraceSpans| {
            let (batch, at) = spans.place(0);
            if ids.contains(&batch.trace(at).to_be_bytes()) {
                let limit = work.config.trace_spans_max;
                match beyond {
                    _ if spans.len() <= limit => parts.push(spans),
                    Beyond::IsRefused => return Err(too_large(&spans, limit)),
                    Beyond::IsLeftOut => {
                        cut += spans.len() - limit;
                        parts.push(spans.first(limit));
                    }
                }
            }
            Ok(())
        };
        match group {
            Group::Trace(spans) => take(spans)?,
            Group::Run(batch, rows) => each(&batch, rows, take)?,
        }
    }
    let times = parts.iter().map(|spans| spans.facts()).map(|facts| (facts.start_ns, facts.end_ns));
    let Some((start_ns, end_ns)) = times.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))) else { return Ok((found, 0)) };
    let resources = Resources::load(&work.view, range(start_ns, end_ns)).await?;
    for spans in &parts {
        let trace = trace(spans, &resources)?;
        found.insert(trace.id, trace);
    }
    Ok((found, traces.left_out() + cut))
}

fn too_large(spans: &TraceSpans, limit: usize) -> Error {
    let (batch, at) = spans.place(0);
    Error::TraceTooLarge { id: format!("{:032x}", batch.trace(at)), limit }
}

fn trace(spans: &TraceSpans, resources: &Resources) -> Result<Trace> {
    let mut memo = Memo { resources, unknown: HashMap::new(), scopes: HashMap::new() };
    let mut all = Vec::with_capacity(spans.len());
    for row in 0..spans.len() {
        let (batch, at) = spans.place(row);
        all.push(memo.span(batch, at)?);
    }
    all.sort_by_key(|span: &Span| (span.start_ns, span.id));
    let (batch, at) = spans.place(0);
    Ok(Trace { id: batch.trace(at).to_be_bytes(), spans: all })
}

/// Resources and scopes that many spans share.
struct Memo<'a> {
    resources: &'a Resources,
    unknown: HashMap<i64, Arc<Resource>>,
    scopes: HashMap<(String, String, String), Arc<Scope>>,
}

impl Memo<'_> {
    fn span(&mut self, batch: &SpanBatch, row: usize) -> Result<Span> {
        let ints = |name| number(batch, name, row);
        Ok(Span {
            id: batch.span(row).to_be_bytes(),
            parent: Some(batch.parent(row)).filter(|id| *id != 0).map(u64::to_be_bytes),
            trace_state: batch.text("trace_state", row).to_owned(),
            flags: ints("flags").cast_unsigned(),
            name: batch.name(row).to_owned(),
            kind: batch.kind(row),
            start_ns: batch.start_ns(row),
            duration_ns: batch.duration_ns(row),
            status: batch.status(row),
            status_message: batch.text("status_message", row).to_owned(),
            attributes: batch.whole_attributes(row),
            dropped_attributes: ints("dropped_attributes").cast_unsigned(),
            events: items(batch, "events", row).map_or_else(|| Ok(Vec::new()), |(list, at)| events(&list, at))?,
            dropped_events: ints("dropped_events").cast_unsigned(),
            links: items(batch, "links", row).map_or_else(|| Ok(Vec::new()), |(list, at)| links(&list, at))?,
            dropped_links: ints("dropped_links").cast_unsigned(),
            resource: self.resource(batch, row),
            scope: self.scope(batch, row),
        })
    }

    fn resource(&mut self, batch: &SpanBatch, row: usize) -> Arc<Resource> {
        let ids = batch.rows().column_by_name("resource_id").and_then(|column| column.as_primitive_opt::<Int64Type>());
        let id = ids.map_or(0, |ids| ids.value(row));
        match self.resources.get(id) {
            Some(known) => Arc::clone(&known.resource),
            None => {
                let bare = || Arc::new(Resource { id, service: batch.service(row).to_owned(), ..Resource::default() });
                Arc::clone(self.unknown.entry(id).or_insert_with(bare))
            }
        }
    }

    fn scope(&mut self, batch: &SpanBatch, row: usize) -> Arc<Scope> {
        let text = |name| batch.text(name, row).to_owned();
        let key = (text("scope_name"), text("scope_version"), text("scope_attrs"));
        let made = || {
            let attributes = attributes_of_json(batch.text("scope_attrs", row));
            Arc::new(Scope { name: text("scope_name"), version: text("scope_version"), attributes })
        };
        Arc::clone(self.scopes.entry(key).or_insert_with(made))
    }
}

fn number(batch: &SpanBatch, name: &str, row: usize) -> i32 {
    let column = batch.rows().column_by_name(name).and_then(|column| column.as_primitive_opt::<Int32Type>());
    column.filter(|column| column.is_valid(row)).map_or(0, |column| column.value(row))
}

/// The structs of a list, and which of them are the row's.
fn items(batch: &SpanBatch, name: &str, row: usize) -> Option<(StructArray, std::ops::Range<usize>)> {
    let list = batch.rows().column_by_name(name)?.as_list_opt::<i32>()?;
    let offsets = list.value_offsets();
    let items = list.values().as_struct_opt()?.clone();
    list.is_valid(row).then(|| (items, offsets[row] as usize..offsets[row + 1] as usize))
}

fn events(items: &StructArray, at: std::ops::Range<usize>) -> Result<Vec<Event>> {
    let times = items.column_by_name("ts").and_then(|column| column.as_primitive_opt::<TimestampNanosecondType>());
    let names = items.column_by_name("name").and_then(|column| column.as_string_opt::<i32>());
    let (Some(times), Some(names)) = (times, names) else { return Err(lacking("events")) };
    at.map(|item| {
        Ok(Event {
            time_ns: times.value(item),
            name: names.value(item).to_owned(),
            attributes: attributes(items, item)?,
            dropped_attributes: counted(items, "dropped_attributes", item).cast_unsigned(),
        })
    })
    .collect()
}

fn links(items: &StructArray, at: std::ops::Range<usize>) -> Result<Vec<Link>> {
    let ids = |name| items.column_by_name(name).and_then(|column| column.as_fixed_size_binary_opt());
    let (Some(traces), Some(spans)) = (ids("trace_id"), ids("span_id")) else { return Err(lacking("links")) };
    let states = items.column_by_name("trace_state").and_then(|column| column.as_string_opt::<i32>());
    at.map(|item| {
        Ok(Link {
            trace_id: bytes(traces, item),
            span_id: bytes(spans, item),
            trace_state: states.filter(|s| s.is_valid(item)).map_or_else(String::new, |s| s.value(item).to_owned()),
            flags: counted(items, "flags", item).cast_unsigned(),
            attributes: attributes(items, item)?,
            dropped_attributes: counted(items, "dropped_attributes", item).cast_unsigned(),
        })
    })
    .collect()
}

fn bytes<const N: usize>(ids: &FixedSizeBinaryArray, at: usize) -> [u8; N] {
    ids.value(at).try_into().unwrap_or([0; N])
}

fn counted(items: &StructArray, name: &str, at: usize) -> i32 {
    let column: Option<&Int32Array> = items.column_by_name(name).and_then(|column| column.as_primitive_opt::<Int32Type>());
    column.filter(|column| column.is_valid(at)).map_or(0, |column| column.value(at))
}

/// The attributes of an event or a link.
fn attributes(items: &StructArray, at: usize) -> Result<Attributes> {
    let map = items.column_by_name("attrs").and_then(|column| column.as_map_opt());
    let map = map.ok_or_else(|| lacking("attributes of items"))?;
    let (keys, values) = (map.keys().as_string_opt::<i32>(), map.values().as_string_opt::<i32>());
    let (Some(keys), Some(values)) = (keys, values) else { return Err(lacking("attributes of items")) };
    let offsets = map.value_offsets();
    let entries = offsets[at] as usize..offsets[at + 1] as usize;
    Ok(entries.map(|entry| (keys.value(entry).to_owned(), any_value_of_item(values.value(entry)))).collect())
}

fn lacking(what: &str) -> Error {
    Error::Query(crate::Error::Internal { message: format!("spans have no {what}, or of another type") })
}
