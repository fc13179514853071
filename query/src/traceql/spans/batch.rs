//! A batch of spans with the columns of a query's fields found once.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
    TimestampNanosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{Int32Type, Int64Type, TimestampNanosecondType};
use hashbrown::HashMap;
use traceql::ast::{FieldName, Intrinsic, Scope};
use traceql::spans::{Coded, Listed, Slot, Source};
use traceql::value::{Kind, Status, Value};

use super::super::answer::Attributes;
use super::super::error::{Error, Result};
use super::attributes::{Attribute, MapColumn, attributes_of_json, value, value_of_item};
use super::resources::{ResourceRow, Resources};

/// The maps of attributes of spans and of resources.
pub(in crate::traceql) const MAPS: [&str; 5] = ["attrs_str", "attrs_int", "attrs_f64", "attrs_bool", "attrs_json"];

/// What a query wants of every batch.
#[derive(Debug, Clone, Default)]
pub(in crate::traceql) struct Shape {
    /// The fields in the order of their slots.
    pub(in crate::traceql) fields: Vec<FieldName>,
    /// Whether every attribute is asked for.
    pub(in crate::traceql) wants_all: bool,
    /// What `resource_id` points to.
    pub(in crate::traceql) resources: Arc<Resources>,
}

impl Shape {
    /// The columns that its fields are in, and those by which spans are told apart and put together.
    pub(in crate::traceql) fn columns(&self) -> Vec<&'static str> {
        let mut columns = self.loose_columns();
        columns.extend(["trace_id", "duration_ns"]);
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// The keys of spans' attributes that its fields name; `None` when every attribute is asked for.
    pub(in crate::traceql) fn keys(&self) -> Option<Arc<[String]>> {
        let key = |field: &FieldName| match field {
            FieldName::Attribute(Scope::Any | Scope::Span, name) => Some(name.clone()),
            _ => None,
        };
        (!self.wants_all).then(|| self.fields.iter().filter_map(key).collect())
    }

    /// The columns that its fields are in, and the start.
    pub(in crate::traceql) fn loose_columns(&self) -> Vec<&'static str> {
        let mut columns: Vec<&'static str> = vec!["ts"];
        for field in &self.fields {
            match field {
                FieldName::Attribute(scope, _) => match scope {
                    Scope::Any => columns.extend(MAPS.into_iter().chain(["resource_id"])),
                    Scope::Span => columns.extend(MAPS),
                    Scope::Resource => columns.push("resource_id"),
                    Scope::Instrumentation => columns.push("scope_attrs"),
                    Scope::Event => columns.push("events"),
                    Scope::Link => columns.push("links"),
                },
                FieldName::Intrinsic(intrinsic, _) => columns.extend(columns_of(*intrinsic)),
            }
        }
        if self.wants_all {
            columns.extend(MAPS);
            columns.extend(["resource_id", "name", "kind", "status_code", "status_message", "scope_name", "scope_version"]);
            columns.extend(columns_of(Intrinsic::RootName));
        }
        columns.sort_unstable();
        columns.dedup();
        columns
    }
}

fn columns_of(intrinsic: Intrinsic) -> &'static [&'static str] {
    match intrinsic {
        Intrinsic::Name => &["name"],
        Intrinsic::Duration | Intrinsic::TraceDuration => &["duration_ns"],
        Intrinsic::TraceId => &["trace_id"],
        Intrinsic::Kind => &["kind"],
        Intrinsic::Status => &["status_code"],
        Intrinsic::StatusMessage => &["status_message"],
        Intrinsic::SpanId => &["span_id"],
        Intrinsic::ParentId | Intrinsic::Parent => &["parent_span_id"],
        Intrinsic::ChildCount | Intrinsic::NestedSetLeft | Intrinsic::NestedSetRight | Intrinsic::NestedSetParent => {
            &["span_id", "parent_span_id", "kind"]
        }
        Intrinsic::RootName | Intrinsic::RootService => &["span_id", "parent_span_id", "kind", "service", "name", "resource_id"],
        Intrinsic::EventName | Intrinsic::EventTimeSinceStart => &["events"],
        Intrinsic::LinkTraceId | Intrinsic::LinkSpanId => &["links"],
        Intrinsic::InstrumentationName => &["scope_name"],
        Intrinsic::InstrumentationVersion => &["scope_version"],
    }
}

/// A dictionary column of texts.
#[derive(Debug, Clone)]
pub(in crate::traceql) struct Texts {
    keys: Int32Array,
    values: StringArray,
}

impl Texts {
    pub(super) fn of(column: &ArrayRef) -> Option<Self> {
        let dictionary = column.as_dictionary_opt::<Int32Type>()?;
        Some(Self { keys: dictionary.keys().clone(), values: dictionary.values().as_string_opt::<i32>()?.clone() })
    }

    /// By the keys of the dictionary, one more for none.
    pub(super) fn coded(&self, rows: Range<usize>) -> Coded<'static> {
        let none = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        let key = |row: usize| if self.keys.is_valid(row) { self.keys.value(row).cast_unsigned() } else { none };
        Coded { places: rows.map(key).collect(), len: self.values.len() + 1 }
    }

    /// Empty when there is none.
    pub(in crate::traceql) fn get(&self, row: usize) -> &str {
        if self.keys.is_valid(row) { self.values.value(self.keys.value(row) as usize) } else { "" }
    }
}

/// A list of structs, for events and links.
#[derive(Debug, Clone)]
struct Items {
    offsets: OffsetBuffer<i32>,
    nulls: Option<NullBuffer>,
    attributes: MapColumn,
    times: Option<TimestampNanosecondArray>,
    names: Option<StringArray>,
    trace_ids: Option<FixedSizeBinaryArray>,
    span_ids: Option<FixedSizeBinaryArray>,
}

impl Items {
    fn of(list: &ListArray) -> Option<Self> {
        let items = list.values().as_struct_opt()?;
        let id = |name: &str| items.column_by_name(name).and_then(|c| c.as_fixed_size_binary_opt()).cloned();
        Some(Self {
            offsets: list.offsets().clone(),
            nulls: list.nulls().cloned(),
            attributes: MapColumn::of(items.column_by_name("attrs")?, false)?,
            times: items.column_by_name("ts").and_then(|c| c.as_primitive_opt::<TimestampNanosecondType>()).cloned(),
            names: items.column_by_name("name").and_then(|c| c.as_string_opt::<i32>()).cloned(),
            trace_ids: id("trace_id"),
            span_ids: id("span_id"),
        })
    }

    /// Those of a row.
    fn range(&self, row: usize) -> Range<usize> {
        match &self.nulls {
            Some(nulls) if nulls.is_null(row) => 0..0,
            _ => self.offsets[row] as usize..self.offsets[row + 1] as usize,
        }
    }
}

/// How the value of one slot is found.
#[derive(Debug, Clone)]
enum Getter {
    Nil,
    Text(Texts),
    Duration(Int64Array),
    Kind(Int32Array),
    Status(Int32Array),
    /// In hexadecimal; text that is empty, or nothing, when there is none.
    Id(FixedSizeBinaryArray, Value<'static>),
    Span(Attribute),
    Resource(OfResource),
    /// The span's hides the resource's.
    Any(Attribute, OfResource),
    /// By key of the dictionary of scopes.
    Scope(Int32Array, Vec<Value<'static>>),
    EventAttribute(Arc<Items>, String),
    LinkAttribute(Arc<Items>, String),
    EventName(Arc<Items>),
    EventOffset(Arc<Items>),
    LinkTraceId(Arc<Items>),
    LinkSpanId(Arc<Items>),
    /// Only the trace knows.
    Trace(Intrinsic),
}

/// An attribute of resources.
#[derive(Debug, Clone)]
struct OfResource {
    /// Of each row, the place among the values.
    places: Arc<[u32]>,
    values: Vec<Value<'static>>,
}

impl OfResource {
    fn value(&self, row: usize) -> Value<'_> {
        self.values[self.places[row] as usize].borrowed()
    }
}

/// The resources of a batch's rows, numbered.
#[derive(Debug, Clone)]
struct Pointed {
    places: Arc<[u32]>,
    ids: Vec<i64>,
}

impl Pointed {
    fn of(ids: &Int64Array) -> Self {
        let (mut known, mut distinct) = (HashMap::new(), Vec::new());
        let mut last = None;
        let place = |id: i64| match last {
            Some((seen, place)) if seen == id => place,
            _ => {
                let place = *known.entry(id).or_insert_with(|| {
                    distinct.push(id);
                    distinct.len() as u32 - 1
                });
                last = Some((id, place));
                place
            }
        };
        let places = ids.values().iter().copied().map(place).collect();
        Self { places, ids: distinct }
    }

    fn attribute(&self, resources: &Resources, name: &str) -> OfResource {
        let value = |id: &i64| resources.get(*id).map_or(Value::Nil, |row| row.value(name));
        OfResource { places: Arc::clone(&self.places), values: self.ids.iter().map(value).collect() }
    }
}

/// A batch of spans, in the order of trace id and start.
#[derive(Debug)]
pub(in crate::traceql) struct SpanBatch {
    trace_ids: Option<FixedSizeBinaryArray>,
    starts: TimestampNanosecondArray,
    durations: Option<Int64Array>,
    span_ids: Option<FixedSizeBinaryArray>,
    parents: Option<FixedSizeBinaryArray>,
    kinds: Option<Int32Array>,
    statuses: Option<Int32Array>,
    services: Option<Texts>,
    names: Option<Texts>,
    events: Option<Arc<Items>>,
    links: Option<Arc<Items>>,
    pointed: Option<Pointed>,
    resources: Arc<Resources>,
    getters: Vec<Getter>,
    maps: Vec<MapColumn>,
    listed: OnceLock<Arc<Listed>>,
    rows: RecordBatch,
}

impl SpanBatch {
    /// Finds what `shape` wants in `rows`, which have at least its columns, or the loose ones.
    ///
    /// # Errors
    /// `Internal` when a column is missing.
    pub(in crate::traceql) fn new(rows: RecordBatch, shape: &Shape) -> Result<Self> {
        let missing = |name: &str| {
            Error::Query(crate::Error::Internal { message: format!("spans have no column {name}, or one of another type") })
        };
        let column = |name: &str| rows.column_by_name(name);
        let id = |name: &str| column(name).and_then(|c| c.as_fixed_size_binary_opt()).cloned();
        let ints = |name: &str| column(name).and_then(|c| c.as_primitive_opt::<Int32Type>()).cloned();
        let texts = |name: &str| column(name).and_then(Texts::of);
        let items = |name: &str| column(name).and_then(|c| c.as_list_opt::<i32>()).and_then(Items::of).map(Arc::new);
        let starts = column("ts").and_then(|c| c.as_primitive_opt::<TimestampNanosecondType>()).cloned();
        let durations = column("duration_ns").and_then(|c| c.as_primitive_opt::<Int64Type>()).cloned();
        let pointed = column("resource_id").and_then(|c| c.as_primitive_opt::<Int64Type>()).map(Pointed::of);
        let maps = MAPS.iter().filter_map(|name| MapColumn::of(column(name)?, *name == "attrs_json")).collect();
        let mut this = Self {
            trace_ids: id("trace_id"),
            starts: starts.ok_or_else(|| missing("ts"))?,
            durations,
            span_ids: id("span_id"),
            parents: id("parent_span_id"),
            kinds: ints("kind"),
            statuses: ints("status_code"),
            services: texts("service"),
            names: texts("name"),
            events: items("events"),
            links: items("links"),
            pointed,
            resources: Arc::clone(&shape.resources),
            getters: Vec::new(),
            maps,
            listed: OnceLock::new(),
            rows: rows.clone(),
        };
        this.getters = shape.fields.iter().map(|field| this.getter(field)).collect();
        Ok(this)
    }

    fn getter(&self, field: &FieldName) -> Getter {
        let found = match field {
            FieldName::Attribute(scope, name) => self.attribute(*scope, name),
            FieldName::Intrinsic(intrinsic, _) if Source::of(field) == Source::Trace => Some(Getter::Trace(*intrinsic)),
            FieldName::Intrinsic(intrinsic, _) => self.intrinsic(*intrinsic),
        };
        found.unwrap_or(Getter::Nil)
    }

    fn attribute(&self, scope: Scope, name: &str) -> Option<Getter> {
        let resource = || Some(self.pointed.as_ref()?.attribute(&self.resources, name));
        Some(match scope {
            Scope::Span => Getter::Span(Attribute::of(&self.maps, name)),
            Scope::Resource => Getter::Resource(resource()?),
            Scope::Any => Getter::Any(Attribute::of(&self.maps, name), resource()?),
            Scope::Instrumentation => {
                let dictionary = self.rows.column_by_name("scope_attrs").and_then(Texts::of)?;
                let of = |text: &str| {
                    let attributes = attributes_of_json(text);
                    attributes.iter().find(|(known, _)| known == name).map_or(Value::Nil, |(_, any)| value(any))
                };
                let values = (0..dictionary.values.len()).map(|at| of(dictionary.values.value(at))).collect();
                Getter::Scope(dictionary.keys, values)
            }
            Scope::Event => Getter::EventAttribute(Arc::clone(self.events.as_ref()?), name.to_owned()),
            Scope::Link => Getter::LinkAttribute(Arc::clone(self.links.as_ref()?), name.to_owned()),
        })
    }

    fn intrinsic(&self, intrinsic: Intrinsic) -> Option<Getter> {
        let texts = |name: &str| self.rows.column_by_name(name).and_then(Texts::of).map(Getter::Text);
        Some(match intrinsic {
            Intrinsic::Name => Getter::Text(self.names.clone()?),
            Intrinsic::Duration => Getter::Duration(self.durations.clone()?),
            Intrinsic::Kind => Getter::Kind(self.kinds.clone()?),
            Intrinsic::Status => Getter::Status(self.statuses.clone()?),
            Intrinsic::StatusMessage => texts("status_message")?,
            Intrinsic::SpanId => Getter::Id(self.span_ids.clone()?, Value::text("")),
            Intrinsic::ParentId => Getter::Id(self.parents.clone()?, Value::text("")),
            Intrinsic::Parent => Getter::Id(self.parents.clone()?, Value::Nil),
            Intrinsic::TraceId => Getter::Id(self.trace_ids.clone()?, Value::text("")),
            Intrinsic::InstrumentationName => texts("scope_name")?,
            Intrinsic::InstrumentationVersion => texts("scope_version")?,
            Intrinsic::EventName => Getter::EventName(Arc::clone(self.events.as_ref()?)),
            Intrinsic::EventTimeSinceStart => Getter::EventOffset(Arc::clone(self.events.as_ref()?)),
            Intrinsic::LinkTraceId => Getter::LinkTraceId(Arc::clone(self.links.as_ref()?)),
            Intrinsic::LinkSpanId => Getter::LinkSpanId(Arc::clone(self.links.as_ref()?)),
            other => Getter::Trace(other),
        })
    }

    /// The values of a slot by number, where they are stored so, or are few; see [`traceql::spans::Spans::coded`].
    pub(in crate::traceql) fn coded(&self, slot: Slot, rows: Range<usize>) -> Option<Coded<'_>> {
        match &self.getters[usize::from(slot.0)] {
            Getter::Text(texts) => Some(texts.coded(rows)),
            Getter::Kind(kinds) => Some(few(&kinds.values()[rows], KINDS)),
            Getter::Status(statuses) => Some(few(&statuses.values()[rows], STATUSES)),
            Getter::Resource(resource) => {
                Some(Coded { places: Cow::Borrowed(&resource.places[rows]), len: resource.values.len() })
            }
            Getter::Nil => Some(Coded { places: vec![0; rows.len()].into(), len: 1 }),
            _ => None,
        }
    }

    /// The starts of all rows, nanoseconds since the epoch.
    pub(in crate::traceql) fn starts_ns(&self) -> &[i64] {
        self.starts.values()
    }

    /// The durations of all rows, nanoseconds; `None` when they were not read.
    pub(in crate::traceql) fn durations_ns(&self) -> Option<&[i64]> {
        self.durations.as_ref().map(|durations| &**durations.values())
    }

    /// How many spans.
    pub(in crate::traceql) fn len(&self) -> usize {
        self.starts.len()
    }

    /// All columns.
    pub(in crate::traceql) fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    /// The trace of a row, ordered as its bytes are; 0 when it was not read.
    pub(in crate::traceql) fn trace(&self, row: usize) -> u128 {
        self.trace_ids.as_ref().map_or(0, |ids| ids.value(row).try_into().map_or(0, u128::from_be_bytes))
    }

    /// Whether ids of traces were read.
    pub(in crate::traceql) fn has_trace_ids(&self) -> bool {
        self.trace_ids.is_some()
    }

    /// Whether ids of spans were read.
    pub(in crate::traceql) fn has_span_ids(&self) -> bool {
        self.span_ids.is_some()
    }

    /// The id of a span; 0 when ids were not read.
    pub(in crate::traceql) fn span(&self, row: usize) -> u64 {
        self.span_ids.as_ref().map_or(0, |ids| id(ids, row))
    }

    /// The id of its parent; 0 for none.
    pub(in crate::traceql) fn parent(&self, row: usize) -> u64 {
        self.parents.as_ref().filter(|ids| ids.is_valid(row)).map_or(0, |ids| id(ids, row))
    }

    pub(in crate::traceql) fn start_ns(&self, row: usize) -> i64 {
        self.starts.value(row)
    }

    /// 0 when it was not read.
    pub(in crate::traceql) fn duration_ns(&self, row: usize) -> i64 {
        self.durations.as_ref().map_or(0, |durations| durations.value(row))
    }

    /// Whether the value of a slot is empty text, without writing out ids.
    pub(in crate::traceql) fn is_blank(&self, slot: Slot, row: usize) -> bool {
        match &self.getters[usize::from(slot.0)] {
            Getter::Id(ids, none) => ids.is_null(row) && *none != Value::Nil,
            _ => matches!(self.value(slot, row), Ok(Value::Str(text)) if text.is_empty()),
        }
    }

    /// OTLP's number; 0 when it was not read.
    pub(in crate::traceql) fn kind(&self, row: usize) -> i32 {
        self.kinds.as_ref().map_or(0, |kinds| kinds.value(row))
    }

    /// OTLP's number; 0 when it was not read.
    pub(in crate::traceql) fn status(&self, row: usize) -> i32 {
        self.statuses.as_ref().map_or(0, |statuses| statuses.value(row))
    }

    /// OTLP's numbers of kinds and of statuses, of all rows; `None` when they were not read.
    pub(super) fn numbers(&self) -> [Option<&[i32]>; 2] {
        [&self.kinds, &self.statuses].map(|numbers| numbers.as_ref().map(|numbers| &**numbers.values()))
    }

    /// The name; empty when it was not read.
    pub(in crate::traceql) fn name(&self, row: usize) -> &str {
        self.names.as_ref().map_or("", |names| names.get(row))
    }

    /// The service as it was sent; empty when the sender named none.
    pub(in crate::traceql) fn service(&self, row: usize) -> &str {
        /// What the receivers write for a sender that named none.
        const UNKNOWN: &str = "unknown_service";
        let service = self.services.as_ref().map_or("", |services| services.get(row));
        match self.resource(row) {
            Some(resource) if service == UNKNOWN && resource.value("service.name") == Value::Nil => "",
            _ => service,
        }
    }

    /// The number of the resource, when it was read.
    pub(in crate::traceql) fn resource_id(&self, row: usize) -> Option<i64> {
        let pointed = self.pointed.as_ref()?;
        Some(pointed.ids[pointed.places[row] as usize])
    }

    /// The resource, when it was read.
    pub(in crate::traceql) fn resource(&self, row: usize) -> Option<&ResourceRow> {
        let pointed = self.pointed.as_ref()?;
        self.resources.get(pointed.ids[pointed.places[row] as usize])
    }

    /// The text of a dictionary column; empty when there is none.
    pub(in crate::traceql) fn text(&self, name: &str, row: usize) -> &str {
        let column = self.rows.column_by_name(name).and_then(|column| column.as_dictionary_opt::<Int32Type>());
        let text = column.filter(|column| column.is_valid(row)).and_then(|column| {
            let values = column.values().as_string_opt::<i32>()?;
            Some(values.value(column.key(row)?))
        });
        text.unwrap_or_default()
    }

    /// The names of a span's attributes.
    pub(in crate::traceql) fn names_of(&self, row: usize, mut take: impl FnMut(&str)) {
        self.maps.iter().for_each(|map| map.names(row).for_each(&mut take));
    }

    /// The attributes of a span as they were sent.
    pub(in crate::traceql) fn whole_attributes(&self, row: usize) -> Attributes {
        let mut all = Attributes::new();
        self.maps.iter().for_each(|map| map.any(row, &mut all));
        all
    }

    /// The attributes of a span as TraceQL sees them.
    pub(in crate::traceql) fn attributes(&self, row: usize, mut take: impl FnMut(&str, Value<'_>)) {
        for map in &self.maps {
            map.row(row).filter(|(_, value)| *value != Value::Nil).for_each(|(name, value)| take(name, value));
        }
    }

    /// The attributes of all rows, numbered when first asked for.
    pub(super) fn listed(&self) -> &Arc<Listed> {
        self.listed.get_or_init(|| Arc::new(super::listed::of(self)))
    }

    /// The maps of attributes.
    pub(super) fn maps(&self) -> &[MapColumn] {
        &self.maps
    }

    /// Of each row a number that tells resources apart, and how many there are; `None` when they were not read.
    pub(super) fn resource_places(&self) -> Option<(&[u32], usize)> {
        self.pointed.as_ref().map(|pointed| (&*pointed.places, pointed.ids.len()))
    }

    /// The value of a slot in a row; `Err` with the intrinsic when only the trace knows.
    pub(in crate::traceql) fn value(&self, slot: Slot, row: usize) -> std::result::Result<Value<'_>, Intrinsic> {
        Ok(match &self.getters[usize::from(slot.0)] {
            Getter::Text(texts) => Value::text(texts.get(row)),
            Getter::Duration(durations) => Value::Duration(durations.value(row)),
            Getter::Kind(kinds) => Value::Kind(kind_of(kinds.value(row))),
            Getter::Status(statuses) => Value::Status(status_of(statuses.value(row))),
            Getter::Id(ids, none) if ids.is_null(row) => none.borrowed(),
            Getter::Id(ids, _) => Value::Str(hex::encode(ids.value(row)).into()),
            Getter::Span(attribute) => attribute.value(row),
            Getter::Resource(resource) => resource.value(row),
            Getter::Any(attribute, resource) => match attribute.value(row) {
                Value::Nil => resource.value(row),
                value => value,
            },
            Getter::Scope(keys, values) if keys.is_valid(row) => values[keys.value(row) as usize].borrowed(),
            Getter::Trace(intrinsic) => return Err(*intrinsic),
            _ => Value::Nil,
        })
    }

    fn items_of(&self, source: Source) -> Option<&Items> {
        match source {
            Source::Event => self.events.as_deref(),
            Source::Link => self.links.as_deref(),
            Source::Row | Source::Trace => None,
        }
    }

    /// How many events or links a row has.
    pub(in crate::traceql) fn items(&self, source: Source, row: usize) -> usize {
        self.items_of(source).map_or(0, |items| items.range(row).len())
    }

    /// The value of a slot in one event or link.
    pub(in crate::traceql) fn item(&self, slot: Slot, row: usize, item: usize) -> Value<'_> {
        let hexed = |ids: &Option<FixedSizeBinaryArray>, at: usize| {
            ids.as_ref().map_or(Value::Nil, |ids| Value::Str(hex::encode(ids.value(at)).into()))
        };
        match &self.getters[usize::from(slot.0)] {
            Getter::EventAttribute(items, name) | Getter::LinkAttribute(items, name) => {
                let at = items.range(row).start + item;
                items.attributes.text(at, name).map_or(Value::Nil, value_of_item)
            }
            Getter::EventName(items) => {
                let at = items.range(row).start + item;
                items.names.as_ref().map_or(Value::Nil, |names| Value::text(names.value(at)))
            }
            Getter::EventOffset(items) => {
                let at = items.range(row).start + item;
                let offset = |times: &TimestampNanosecondArray| times.value(at).saturating_sub(self.starts.value(row));
                items.times.as_ref().map_or(Value::Nil, |times| Value::Duration(offset(times)))
            }
            Getter::LinkTraceId(items) => hexed(&items.trace_ids, items.range(row).start + item),
            Getter::LinkSpanId(items) => hexed(&items.span_ids, items.range(row).start + item),
            _ => Value::Nil,
        }
    }

    /// Names of the attributes of events, or of links, of a row.
    pub(in crate::traceql) fn item_names(&self, source: Source, row: usize, mut take: impl FnMut(&str)) {
        if let Some(items) = self.items_of(source) {
            items.range(row).for_each(|at| items.attributes.names(at).for_each(&mut take));
        }
    }
}

/// Kinds that OTLP knows.
pub(super) const KINDS: i32 = 6;
/// Statuses that OTLP knows.
pub(super) const STATUSES: i32 = 3;

/// Numbers below `known` as themselves; what is none of these is 0, as in [`kind_of`] and [`status_of`].
pub(super) fn few(numbers: &[i32], known: i32) -> Coded<'static> {
    let place = |number: &i32| if (0..known).contains(number) { number.cast_unsigned() } else { 0 };
    Coded { places: numbers.iter().map(place).collect(), len: known.unsigned_abs() as usize }
}

fn id(ids: &FixedSizeBinaryArray, row: usize) -> u64 {
    ids.value(row).try_into().map_or(0, u64::from_be_bytes)
}

/// The kind of that number; what OTLP does not know is unspecified.
pub(super) fn kind_of(number: i32) -> Kind {
    match number {
        1 => Kind::Internal,
        2 => Kind::Server,
        3 => Kind::Client,
        4 => Kind::Producer,
        5 => Kind::Consumer,
        _ => Kind::Unspecified,
    }
}

/// The status of that number; what OTLP does not know is unset.
pub(super) fn status_of(number: i32) -> Status {
    match number {
        1 => Status::Ok,
        2 => Status::Error,
        _ => Status::Unset,
    }
}
