//! Which attributes spans have, and which values.
//!
//! # Invariants
//! - A filter that cannot be understood asks for nothing; what can be understood of it counts.
//! - Answers are bounded while they are collected, by number and by bytes.

use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::sync::Arc;

use catalog::FileId;
use hashbrown::{DefaultHashBuilder, HashSet};
use lake::AttributeNames;
use traceql::ast::{Field, FieldExpr, FieldName, Intrinsic, Scope};
use traceql::eval::{Conditions, Filter, value_of};
use traceql::spans::{Reference, Slots, Source, Spans};
use traceql::value::Value;

use super::answer::{TagValues, Tags};
use super::conditions;
use super::error::{Error, Result};
use super::evaluate::{Work, of_language, range_of, widened};
use super::read::{Group, Order, Reading, each};
use super::request::{TagScope, TagValuesRequest, TagsRequest};
use super::spans::{MAPS, Shape, TraceSpans};

/// Most bytes of names in one answer.
const NAMES_BYTES_MAX: usize = 4 << 20;

/// What spans must match, as far as it is understood.
struct Asked {
    filter: Option<Filter>,
    conditions: Vec<Conditions>,
    slots: Slots,
    /// Whether traces must be whole to tell.
    whole: bool,
}

impl Asked {
    fn of(text: &str, fields: &[Field]) -> Result<(Self, Vec<Reference>)> {
        let expr: Option<FieldExpr> = traceql::parse::lenient(text);
        let mut slots = Slots::default();
        let references = fields.iter().map(|field| slots.reference(field)).collect();
        let filter = expr.as_ref().map(|expr| Filter::new(expr, &mut slots)).transpose().map_err(of_language)?;
        let conditions = expr.as_ref().map_or_else(|| vec![Conditions::default()], Conditions::of);
        let whole =
            fields.iter().any(|field| field.parent) || slots.fields().iter().any(|field| Source::of(field) == Source::Trace);
        Ok((Self { filter, conditions, slots, whole }, references))
    }

    fn matches(&self, spans: &TraceSpans, row: usize) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.matches(spans, row))
    }

    /// A reading of the spans that may match, in no order yet; `None` when there is none.
    async fn planned(&self, work: &Work, time: Option<super::Window>, more: &[&str], shape_all: bool) -> Result<Option<Reading>> {
        let asked = range_of(time);
        let rows = if self.whole { widened(asked) } else { asked };
        let mut shape: Shape = work.shape(self.slots.fields(), false, rows).await?;
        if shape_all {
            shape.resources = Arc::new(super::spans::Resources::load(&work.view, rows).await?);
        }
        let predicate = match self.whole {
            true => Some(Default::default()),
            false => conditions::predicate(&self.conditions, &shape.resources),
        };
        let mut more = more.to_vec();
        if self.whole {
            more.extend(["span_id", "parent_span_id", "kind"]);
        }
        predicate.map(|predicate| Reading::plan(work, shape, &more, rows, predicate)).transpose()
    }

    /// The reading in the order that its filter needs.
    async fn ordered(&self, reading: Reading) -> Result<Arc<Reading>> {
        Ok(Arc::new(if self.whole { reading.ordered(Order::ByTrace) } else { reading.loosely().await? }))
    }
}

/// Names of attributes by scope.
///
/// # Errors
/// Limits, the lake's.
pub(super) async fn names(work: &Work, request: &TagsRequest) -> Result<Tags> {
    let (asked, _) = Asked::of(&request.filter, &[])?;
    let wants = |scope| request.scope.is_none_or(|only| only == scope);
    let (mut of_spans, mut others): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for (scope, columns) in [
        (TagScope::Span, &MAPS[..]),
        (TagScope::Resource, &[RESOURCE_COLUMN]),
        (TagScope::Event, &["events"]),
        (TagScope::Link, &["links"]),
        (TagScope::Instrumentation, &["scope_attrs"]),
    ] {
        let of_scope = if scope == TagScope::Span { &mut of_spans } else { &mut others };
        of_scope.extend(columns.iter().filter(|_| wants(scope)));
    }
    let all: Vec<&str> = of_spans.iter().chain(&others).copied().collect();
    let wanted: Vec<bool> = SCOPES.into_iter().map(wants).collect();
    let mut tags = Tags::default();
    let shape_all = wants(TagScope::Resource);
    let Some(reading) = asked.planned(work, request.time, &all, shape_all).await? else { return Ok(tags) };
    let mut found = Names { wanted: wanted.into(), ..Names::default() };
    // Merged files say themselves which names their spans have: of these the maps are not read, or nothing but resources.
    let (mut of_maps, mut of_all): (HashSet<FileId>, HashSet<FileId>) = Default::default();
    for file in reading.whole_entries().filter(|_| asked.filter.is_none()) {
        let AttributeNames { spans, events, links, scopes } = work.view.lake().attribute_names(file).await?;
        let Some(spans) = spans else { continue };
        spans.iter().for_each(|name| found.take(SPAN, name));
        let told = if let (Some(events), Some(links), Some(scopes)) = (events, links, scopes) {
            events.iter().for_each(|name| found.take(EVENT, name));
            links.iter().for_each(|name| found.take(LINK, name));
            scopes.iter().for_each(|text| found.take_scope(text));
            &mut of_all
        } else {
            &mut of_maps
        };
        told.insert(file.id);
    }
    let resources: Vec<&str> = others.iter().copied().filter(|column| *column == RESOURCE_COLUMN).collect();
    let mut readings = vec![reading.of(|file| !of_maps.contains(&file.id) && !of_all.contains(&file.id), true)];
    for (told, columns) in [(of_maps, &others), (of_all, &resources)] {
        if !told.is_empty() && !columns.is_empty() {
            let reading = asked.planned(work, request.time, columns, shape_all).await?;
            readings.extend(reading.map(|reading| reading.of(|file| told.contains(&file.id), false)));
        }
    }
    let asked = Arc::new(asked);
    for reading in readings {
        let reading = asked.ordered(reading).await?;
        let wanted = Arc::clone(&found.wanted);
        for part in work
            .each(&reading, |work, reading, at, of| part(work, reading, (at, of), Arc::clone(&asked), Arc::clone(&wanted)))
            .await?
        {
            part.into_iter().zip(&mut found.sets).for_each(|(names, all)| all.extend(names));
        }
        tags.stats.add(&reading);
    }
    for (scope, names) in SCOPES.into_iter().zip(found.sets) {
        if !names.is_empty() {
            let names: BTreeSet<String> = names.into_iter().collect();
            tags.scopes.push((scope, names.into_iter().take(request.limit).collect()));
        }
    }
    Ok(tags)
}

/// The names of one partition.
async fn part(
    work: Work,
    reading: Arc<Reading>,
    (at, of): (usize, usize),
    asked: Arc<Asked>,
    wanted: Arc<[bool]>,
) -> Result<[HashSet<String>; 5]> {
    let mut names = Names { wanted, ..Names::default() };
    let mut traces = reading.traces(&work, at, of)?;
    while let Some(group) = traces.next().await? {
        work.check()?;
        let mut take = |spans: TraceSpans| {
            (0..spans.len()).filter(|row| asked.matches(&spans, *row)).for_each(|row| names.add(&spans, row));
            Ok(())
        };
        match group {
            Group::Trace(spans) => take(spans)?,
            Group::Run(batch, rows) if !asked.whole => take(TraceSpans::of_rows(&batch, rows))?,
            Group::Run(batch, rows) => each(&batch, rows, take)?,
        }
    }
    Ok(names.sets)
}

const SCOPES: [TagScope; 5] = [TagScope::Resource, TagScope::Span, TagScope::Event, TagScope::Link, TagScope::Instrumentation];
/// Places among them.
const SPAN: usize = 1;
const EVENT: usize = 2;
const LINK: usize = 3;
const INSTRUMENTATION: usize = 4;

/// By which a span's resource is found.
const RESOURCE_COLUMN: &str = "resource_id";

/// Names so far, by the places of [`SCOPES`].
#[derive(Default)]
struct Names {
    sets: [HashSet<String>; 5],
    bytes: usize,
    wanted: Arc<[bool]>,
    /// Resources whose names are there.
    resources: HashSet<i64>,
    /// The resource that was looked at last.
    resource: Option<i64>,
    /// The scope that was looked at last; spans of one come together.
    scope: String,
}

impl Names {
    fn take(&mut self, scope: usize, name: &str) {
        if self.wanted[scope] && self.bytes < NAMES_BYTES_MAX && !self.sets[scope].contains(name) {
            self.bytes += name.len();
            self.sets[scope].insert(name.to_owned());
        }
    }

    fn add(&mut self, spans: &TraceSpans, row: usize) {
        let (batch, at) = spans.place(row);
        let id = batch.resource_id(at);
        if id != self.resource
            && let Some(id) = id
        {
            self.resource = Some(id);
            let resource = batch.resource(at).filter(|_| self.resources.insert(id));
            for (name, _) in resource.iter().flat_map(|resource| &resource.resource.attributes) {
                self.take(0, name);
            }
        }
        batch.names_of(at, |name| self.take(SPAN, name));
        batch.item_names(Source::Event, at, |name| self.take(EVENT, name));
        batch.item_names(Source::Link, at, |name| self.take(LINK, name));
        let scope = batch.text("scope_attrs", at);
        if scope != self.scope {
            self.take_scope(scope);
            scope.clone_into(&mut self.scope);
        }
    }

    /// The names of a scope whose attributes are written in `text`.
    fn take_scope(&mut self, text: &str) {
        super::spans::attributes_of_json(text).iter().for_each(|(name, _)| self.take(INSTRUMENTATION, name));
    }
}

/// Values of an attribute or an intrinsic.
///
/// # Errors
/// A tag that is no field; limits; the lake's.
pub(super) async fn values(work: &Work, request: &TagValuesRequest) -> Result<TagValues> {
    let field = traceql::parse::field(&request.tag).map_err(|e| Error::invalid(e.to_string()))?;
    let mut found = TagValues::default();
    if !has_values(&field.name) {
        return Ok(found);
    }
    let (asked, references) = Asked::of(&request.filter, &fields_of(field))?;
    let references: Arc<[Reference]> = references.into();
    let Some(reading) = asked.planned(work, request.time, &[], false).await? else { return Ok(found) };
    let reading = asked.ordered(reading).await?;
    let asked = Arc::new(asked);
    let (limit, bytes_max) = (request.limit, request.bytes_max);
    let part = |work: Work, reading: Arc<Reading>, at, of| {
        let (asked, references) = (Arc::clone(&asked), Arc::clone(&references));
        async move {
            let mut values = Values::new(limit, bytes_max);
            let mut traces = reading.traces(&work, at, of)?;
            while let Some(group) = traces.next().await? {
                work.check()?;
                let mut take = |spans: TraceSpans| {
                    for row in 0..spans.len() {
                        if asked.matches(&spans, row) {
                            references.iter().for_each(|reference| values.of(&spans, *reference, row));
                        }
                    }
                    Ok(())
                };
                match group {
                    Group::Trace(spans) => take(spans)?,
                    Group::Run(batch, rows) if !asked.whole => take(TraceSpans::of_rows(&batch, rows))?,
                    Group::Run(batch, rows) => each(&batch, rows, take)?,
                }
                if values.is_full() {
                    break;
                }
            }
            Ok(values)
        }
    };
    let mut all = Values::new(limit, bytes_max);
    for part in work.each(&reading, part).await? {
        part.set.into_iter().for_each(|Key(value)| all.add(value));
    }
    found.stats.add(&reading);
    found.values = all.set.into_iter().map(|Key(value)| value).collect();
    Ok(found)
}

/// Where values of a field are looked for: without a scope at spans, resources and instrumentation scopes, as Tempo does.
fn fields_of(field: Field) -> Vec<Field> {
    match &field.name {
        FieldName::Attribute(Scope::Any, name) => {
            let of = |scope| Field { parent: field.parent, name: FieldName::Attribute(scope, name.clone()) };
            [Scope::Span, Scope::Resource, Scope::Instrumentation].map(of).to_vec()
        }
        _ => vec![field],
    }
}

/// Whether values of a field are worth a list: numbers of nested sets and ids of spans are not.
fn has_values(name: &FieldName) -> bool {
    !matches!(
        name,
        FieldName::Intrinsic(
            Intrinsic::NestedSetLeft | Intrinsic::NestedSetRight | Intrinsic::NestedSetParent | Intrinsic::Parent,
            _
        )
    )
}

/// Values in an order of their own: by type, then value.
#[derive(Debug, PartialEq)]
struct Key(Value<'static>);

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let kind = |value: &Value<'_>| match value {
            Value::Nil => 0,
            Value::Str(_) => 1,
            Value::Int(_) => 2,
            Value::Float(_) => 3,
            Value::Duration(_) => 4,
            Value::Bool(_) => 5,
            Value::Status(_) => 6,
            Value::Kind(_) => 7,
            Value::List(_) => 8,
        };
        match (&self.0, &other.0) {
            (Value::Str(a), Value::Str(b)) => a.cmp(b),
            (Value::Int(a), Value::Int(b)) | (Value::Duration(a), Value::Duration(b)) => a.cmp(b),
            (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Status(a), Value::Status(b)) => a.cmp(b),
            (Value::Kind(a), Value::Kind(b)) => a.cmp(b),
            (a, b) => kind(a).cmp(&kind(b)),
        }
    }
}

/// Texts that are remembered as known, by their hash.
const RECENT: usize = 1_024;

/// Distinct values, bounded.
struct Values {
    set: BTreeSet<Key>,
    /// Texts that are in the set, for most spans say what others said before.
    recent: Vec<String>,
    hasher: DefaultHashBuilder,
    bytes: usize,
    limit: usize,
    bytes_max: usize,
}

impl Values {
    fn new(limit: usize, bytes_max: usize) -> Self {
        let recent = vec![String::new(); RECENT];
        Self { set: BTreeSet::new(), recent, hasher: DefaultHashBuilder::default(), bytes: 0, limit, bytes_max }
    }

    fn is_full(&self) -> bool {
        self.set.len() >= self.limit || self.bytes >= self.bytes_max
    }

    fn of(&mut self, spans: &TraceSpans, reference: Reference, row: usize) {
        match reference.source {
            Source::Row | Source::Trace => self.look(value_of(spans, reference, row)),
            Source::Event | Source::Link => {
                for item in 0..spans.items(reference.source, row) {
                    self.look(spans.item(reference.slot, row, item));
                }
            }
        }
    }

    fn look(&mut self, value: Value<'_>) {
        let Value::Str(text) = &value else { return self.add(value.into_owned()) };
        let place = (self.hasher.hash_one(&**text) % RECENT as u64) as usize;
        if text.is_empty() || self.recent[place] != **text {
            (**text).clone_into(&mut self.recent[place]);
            self.add(value.into_owned());
        }
    }

    fn add(&mut self, value: Value<'static>) {
        match value {
            Value::Nil => {}
            Value::List(items) => items.into_iter().for_each(|item| self.add(item)),
            value if self.is_full() => drop(value),
            value => {
                let bytes = if let Value::Str(text) = &value { text.len() } else { 8 };
                if self.set.insert(Key(value)) {
                    self.bytes += bytes;
                }
            }
        }
    }
}
