//! `ExportTraceServiceRequest` becomes rows of `spans` and `resources`.
//!
//! Rules, where OTLP leaves a choice:
//! - A span whose trace id is not 16 bytes or whose span id is not 8, or with one that is all zero, is refused.
//! - A parent id that is empty or all zero is none; one of another length is stored as none and reported.
//! - A link with a bad id is left out and reported. Duration is end minus start, 0 and reported when the end comes first.
//! - Of attributes with one key the first is kept. Zero numbers and empty text of optional fields are stored as null.
//! - A span that breaks a limit or holds text that is not UTF-8 is refused alone; a resource or scope that does refuses its spans.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch};
use catalog::{Env, Table, TenantId, schema};

use super::attributes::{AttributeColumns, AttributeLimits, Attributes};
use super::blocks::{self, Records};
use super::columns::{DictionaryColumn, IdColumn, non_zero, valid_id};
use super::day_rows::DayRows;
use super::items::{ItemColumns, Items};
use super::json::ValueError;
use super::report::{Report, Rule};
use super::resources::{Resource, Resources, Scope, bounded_text, times};
use super::{Convert, Converted, DecodeError, field_of};
use crate::receive::ReceiveConfig;
use crate::wire::{Reader, WireError};

/// Converts trace requests.
#[derive(Debug)]
pub struct SpansConverter {
    config: Arc<ReceiveConfig>,
    env: Env,
    resources: Arc<Resources>,
}

impl SpansConverter {
    /// A converter with the limits of `config`. `resources` is shared with the logs' converter.
    pub fn new(config: Arc<ReceiveConfig>, env: Env, resources: Arc<Resources>) -> Self {
        Self { config, env, resources }
    }
}

impl Convert for SpansConverter {
    fn convert(&self, tenant: &TenantId, body: &[u8]) -> Result<Converted, DecodeError> {
        let mut walk = Walk::new(self, tenant);
        blocks::walk(body, &self.resources, &self.config, &mut walk)
            .map_err(|e| DecodeError::wire("ExportTraceServiceRequest", e))?;
        let Walk { columns, resources, report, .. } = walk;
        let mut converted = Converted { accepted: columns.ts.len() as u64, rejected: report.refused(), ..Converted::default() };
        converted.reason = report.finish("traces");
        if converted.accepted > 0 {
            converted.rows.push((Table::Spans, columns.finish()?));
        }
        converted.dictionary(Table::Resources, resources.into_resources(&self.resources)?);
        Ok(converted)
    }
}

/// One request on its way through.
struct Walk<'s, 'a> {
    converter: &'s SpansConverter,
    oldest_ns: i64,
    columns: SpanColumns,
    resources: DayRows<'s, Resource>,
    report: Report,
    attributes: Attributes<'a>,
    items: Items<'a>,
}

impl<'s, 'a> Walk<'s, 'a> {
    fn new(converter: &'s SpansConverter, tenant: &'s TenantId) -> Self {
        let config = converter.config.as_ref();
        let limits = AttributeLimits::from(config);
        Self {
            converter,
            oldest_ns: config.past_max.map_or(i64::MIN, |past| converter.env.now().saturating_sub(past).as_nanos()),
            columns: SpanColumns::default(),
            resources: DayRows::new(Table::Resources, tenant, &converter.resources.seen),
            report: Report::default(),
            attributes: Attributes::new(limits),
            items: Items::new(limits, config.span_items_max, config.text_bytes_max),
        }
    }
}

impl<'a> Records<'a> for Walk<'_, 'a> {
    fn record(&mut self, message: &'a [u8], resource: &Arc<Resource>, scope: &Scope<'_>) -> Result<(), ValueError> {
        let raw = RawSpan::read(message, &mut self.attributes, &mut self.items)?;
        let text_max = self.converter.config.text_bytes_max;
        let trace_id = valid_id(raw.trace_id).ok_or(ValueError::Rule(Rule::TraceId))?;
        let span_id = valid_id(raw.span_id).ok_or(ValueError::Rule(Rule::SpanId))?;
        let start = i64::try_from(raw.start).map_err(|_| ValueError::Rule(Rule::TimeRange))?;
        if start < self.oldest_ns {
            return Err(ValueError::Rule(Rule::TooOld));
        }
        let name = bounded_text(raw.name, text_max)?;
        let trace_state = bounded_text(raw.trace_state, text_max)?;
        let status_message = bounded_text(raw.status_message, text_max)?;
        // From here on the span is taken.
        (0..self.attributes.dedup()).for_each(|_| self.report.change(Rule::DuplicateAttribute));
        (0..self.items.links_left_out()).for_each(|_| self.report.change(Rule::LinkId));
        let parent_id = valid_id(raw.parent_id);
        if !matches!(raw.parent_id.len(), 0 | 8) {
            self.report.change(Rule::ParentId);
        }
        if raw.end < raw.start {
            self.report.change(Rule::NegativeDuration);
        }
        let duration = i64::try_from(raw.end.saturating_sub(raw.start)).unwrap_or(i64::MAX);
        let row = Row { raw, trace_id, span_id, parent_id, start, duration, name, trace_state, status_message };
        self.columns.push(&row, resource, scope);
        self.columns.attributes.push(&self.attributes);
        self.columns.items.push(&self.items);
        self.resources.point(resource.id, resource, start);
        Ok(())
    }

    fn report(&mut self) -> &mut Report {
        &mut self.report
    }
}

/// A span's fields as they lie on the wire.
#[derive(Debug, Clone, Copy, Default)]
struct RawSpan<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    trace_state: &'a [u8],
    parent_id: &'a [u8],
    flags: u32,
    name: &'a [u8],
    kind: i32,
    start: u64,
    end: u64,
    dropped_attributes: u32,
    dropped_events: u32,
    dropped_links: u32,
    status_message: &'a [u8],
    status_code: i32,
}

impl<'a> RawSpan<'a> {
    /// Reads a `Span`; attributes, events and links go to `attributes` and `items`, which are cleared first.
    fn read(message: &'a [u8], attributes: &mut Attributes<'a>, items: &mut Items<'a>) -> Result<Self, ValueError> {
        attributes.clear();
        items.clear();
        let (mut this, mut has_status) = (Self::default(), false);
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next()? {
            match field.number {
                1 => this.trace_id = field.bytes()?,
                2 => this.span_id = field.bytes()?,
                3 => this.trace_state = field.bytes()?,
                4 => this.parent_id = field.bytes()?,
                5 => this.name = field.bytes()?,
                6 => this.kind = field.int32()?,
                7 => this.start = field.fixed64()?,
                8 => this.end = field.fixed64()?,
                9 => attributes.push(field.bytes()?)?,
                10 => this.dropped_attributes = field.uint32()?,
                11 => items.push_event(field.bytes()?)?,
                12 => this.dropped_events = field.uint32()?,
                13 => items.push_link(field.bytes()?)?,
                14 => this.dropped_links = field.uint32()?,
                15 if std::mem::replace(&mut has_status, true) => return Err(WireError::Repeated { field: 15 }.into()),
                15 => this.read_status(field.bytes()?)?,
                16 => this.flags = field.fixed32()?,
                _ => {}
            }
        }
        Ok(this)
    }

    fn read_status(&mut self, message: &'a [u8]) -> Result<(), WireError> {
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next()? {
            match field.number {
                2 => self.status_message = field.bytes()?,
                3 => self.status_code = field.int32()?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// A checked span.
struct Row<'a> {
    raw: RawSpan<'a>,
    trace_id: [u8; 16],
    span_id: [u8; 8],
    parent_id: Option<[u8; 8]>,
    start: i64,
    duration: i64,
    name: &'a str,
    trace_state: &'a str,
    status_message: &'a str,
}

/// The columns of `spans`.
#[derive(Debug, Default)]
struct SpanColumns {
    trace_id: IdColumn<16>,
    ts: Vec<i64>,
    span_id: IdColumn<8>,
    parent_id: IdColumn<8>,
    duration: Vec<i64>,
    service: DictionaryColumn,
    name: DictionaryColumn,
    kind: Vec<i32>,
    status_code: Vec<i32>,
    status_message: DictionaryColumn,
    trace_state: DictionaryColumn,
    flags: Vec<Option<i32>>,
    dropped_attributes: Vec<Option<i32>>,
    dropped_events: Vec<Option<i32>>,
    dropped_links: Vec<Option<i32>>,
    scope_name: DictionaryColumn,
    scope_version: DictionaryColumn,
    scope_attrs: DictionaryColumn,
    resource_id: Vec<i64>,
    attributes: AttributeColumns,
    items: ItemColumns,
}

impl SpanColumns {
    /// All but the attributes, events and links of a row.
    fn push(&mut self, row: &Row<'_>, resource: &Resource, scope: &Scope<'_>) {
        self.trace_id.push(Some(row.trace_id));
        self.ts.push(row.start);
        self.span_id.push(Some(row.span_id));
        self.parent_id.push(row.parent_id);
        self.duration.push(row.duration);
        self.service.push(&resource.service);
        self.name.push(row.name);
        self.kind.push(row.raw.kind);
        self.status_code.push(row.raw.status_code);
        self.status_message.push_some(Some(row.status_message));
        self.trace_state.push_some(Some(row.trace_state));
        self.flags.push(non_zero(row.raw.flags as i32));
        self.dropped_attributes.push(non_zero(row.raw.dropped_attributes as i32));
        self.dropped_events.push(non_zero(row.raw.dropped_events as i32));
        self.dropped_links.push(non_zero(row.raw.dropped_links as i32));
        self.scope_name.push_some(Some(scope.name));
        self.scope_version.push_some(Some(scope.version));
        self.scope_attrs.push_some(scope.attributes.as_deref());
        self.resource_id.push(resource.id);
    }

    fn finish(self) -> Result<RecordBatch, DecodeError> {
        let schema = schema::rows(Table::Spans);
        let rows = self.ts.len();
        let mut arrays: Vec<ArrayRef> = vec![
            self.trace_id.finish(),
            times(self.ts),
            self.span_id.finish(),
            self.parent_id.finish(),
            Arc::new(Int64Array::from(self.duration)),
            self.service.finish()?,
            self.name.finish()?,
            Arc::new(Int32Array::from(self.kind)),
            Arc::new(Int32Array::from(self.status_code)),
            self.status_message.finish()?,
            self.trace_state.finish()?,
            Arc::new(Int32Array::from(self.flags)),
            Arc::new(Int32Array::from(self.dropped_attributes)),
            Arc::new(Int32Array::from(self.dropped_events)),
            Arc::new(Int32Array::from(self.dropped_links)),
            self.scope_name.finish()?,
            self.scope_version.finish()?,
            self.scope_attrs.finish()?,
            Arc::new(Int64Array::from(self.resource_id)),
        ];
        arrays.extend(self.attributes.finish(|name| field_of(&schema, name))?);
        arrays.extend(self.items.finish(field_of(&schema, "events")?, field_of(&schema, "links")?)?);
        // What compaction sets later is null.
        for field in &schema.fields()[arrays.len()..] {
            arrays.push(arrow::array::new_null_array(field.data_type(), rows));
        }
        Ok(RecordBatch::try_new(schema, arrays)?)
    }
}
