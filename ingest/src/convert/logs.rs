//! `ExportLogsServiceRequest` becomes rows of `logs`, `streams` and `resources`.
//!
//! Rules, where OTLP leaves a choice:
//! - `ts` is the record's time, else the observed time, else now; a time beyond 2262 refuses the record.
//! - A trace or span id that is all zero or has the wrong length is stored as none and reported; an empty one is none.
//! - Of attributes with one key the first is kept. Zero numbers and empty text of optional fields are stored as null.
//! - A record that breaks a limit or holds text that is not UTF-8 is refused alone; a resource or scope that does refuses its records.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringBuilder, TimestampNanosecondArray};
use catalog::labels::label_name;
use catalog::{Env, Table, TenantId, schema};

use super::attributes::{AttributeColumns, AttributeLimits, Attributes};
use super::blocks::{self, Records};
use super::columns::{DictionaryColumn, IdColumn, non_zero, valid_id};
use super::day_rows::DayRows;
use super::json::{ValueError, write_shown};
use super::level::Levels;
use super::otlp_rules::Action;
use super::report::{Report, Rule};
use super::resources::{Resource, Resources, Scope, bounded_text, times};
use super::streams::Stream;
use super::{Convert, Converted, DecodeError, field_of, level};
use crate::receive::ReceiveConfig;
use crate::wire::{AnyValue, Reader, WireError};

/// Converts log requests.
#[derive(Debug)]
pub struct LogsConverter {
    config: Arc<ReceiveConfig>,
    env: Env,
    resources: Arc<Resources>,
    /// The number of the next line; starts at the clock, so that it ascends over restarts as well.
    next_seq: AtomicI64,
}

impl LogsConverter {
    /// A converter with the limits of `config`. `resources` is shared with the spans' converter.
    pub fn new(config: Arc<ReceiveConfig>, env: Env, resources: Arc<Resources>) -> Self {
        let next_seq = AtomicI64::new(env.now().as_nanos());
        Self { config, env, resources, next_seq }
    }
}

impl Convert for LogsConverter {
    fn convert(&self, tenant: &TenantId, body: &[u8]) -> Result<Converted, DecodeError> {
        let mut walk = Walk::new(self, tenant);
        blocks::walk(body, &self.resources, &self.config, &mut walk)
            .map_err(|e| DecodeError::wire("ExportLogsServiceRequest", e))?;
        let Walk { columns, resources, streams, report, undated, .. } = walk;
        let accepted = columns.len() as u64;
        let mut converted = Converted { accepted, rejected: report.refused(), undated, ..Converted::default() };
        converted.reason = report.finish("logs");
        if converted.accepted > 0 {
            let first_seq = self.next_seq.fetch_add(converted.accepted as i64, Ordering::Relaxed);
            converted.rows.push((Table::Logs, columns.finish(first_seq)?));
        }
        converted.dictionary(Table::Streams, streams.into_streams()?);
        converted.dictionary(Table::Resources, resources.into_resources(&self.resources)?);
        Ok(converted)
    }
}

/// One request on its way through.
struct Walk<'s, 'a> {
    converter: &'s LogsConverter,
    now_ns: i64,
    oldest_ns: i64,
    columns: LogColumns,
    resources: DayRows<'s, Resource>,
    streams: DayRows<'s, Stream>,
    labelled: Labelled,
    report: Report,
    undated: bool,
    attributes: Attributes<'a>,
    shown: String,
}

impl<'s, 'a> Walk<'s, 'a> {
    fn new(converter: &'s LogsConverter, tenant: &'s TenantId) -> Self {
        let now = converter.env.now();
        Self {
            converter,
            now_ns: now.as_nanos(),
            oldest_ns: converter.config.past_max.map_or(i64::MIN, |past| now.saturating_sub(past).as_nanos()),
            columns: LogColumns::default(),
            resources: DayRows::new(Table::Resources, tenant, &converter.resources.seen),
            streams: DayRows::new(Table::Streams, tenant, &converter.resources.seen),
            labelled: Labelled::default(),
            report: Report::default(),
            undated: false,
            attributes: Attributes::new(AttributeLimits::from(converter.config.as_ref())),
            shown: String::new(),
        }
    }

    fn time(&mut self, raw: &RawRecord<'_>) -> Result<i64, ValueError> {
        let sent = if raw.time == 0 { raw.observed } else { raw.time };
        if sent == 0 {
            self.undated = true;
            return Ok(self.now_ns);
        }
        match (i64::try_from(sent), i64::try_from(raw.observed)) {
            (Ok(ts), Ok(_)) if ts < self.oldest_ns => Err(ValueError::Rule(Rule::TooOld)),
            (Ok(ts), Ok(_)) => Ok(ts),
            _ => Err(ValueError::Rule(Rule::TimeRange)),
        }
    }
}

impl<'a> Records<'a> for Walk<'_, 'a> {
    fn record(&mut self, message: &'a [u8], resource: &Arc<Resource>, scope: &Scope<'_>) -> Result<(), ValueError> {
        let raw = RawRecord::read(message, &mut self.attributes)?;
        let text_max = self.converter.config.text_bytes_max;
        let severity_text = bounded_text(raw.severity_text, text_max)?;
        let event_name = bounded_text(raw.event_name, text_max)?;
        let ts = self.time(&raw)?;
        self.shown.clear();
        let (body, body_kind) = match raw.body {
            AnyValue::Text(bytes) => (bounded_text(bytes, text_max)?, None),
            other => {
                write_shown(other, &mut self.shown)?;
                (self.shown.as_str(), Some(kind_of(other)))
            }
        };
        if body.len() > text_max {
            return Err(ValueError::Rule(Rule::TextBytes));
        }
        (0..self.attributes.dedup()).for_each(|_| self.report.change(Rule::DuplicateAttribute));
        let trace_id = self.report.checked_id::<16>(raw.trace_id);
        let span_id = self.report.checked_id::<8>(raw.span_id);
        let rules = &self.converter.resources.rules;
        let found = level_of(&rules.levels, resource, &self.attributes, severity_text, raw.severity_number, body);
        let stream = if rules.otlp.log.is_empty() {
            Arc::clone(&resource.stream)
        } else {
            let stream = self.labelled.stream(&self.converter.resources, resource, &self.attributes)?;
            self.attributes.retain(|name| rules.otlp.log.action(name) == Action::StructuredMetadata);
            stream
        };
        self.columns.push(
            &Row { raw, ts, body, body_kind, severity_text, event_name, trace_id, span_id, level: found },
            &stream,
            resource,
            scope,
        );
        self.columns.attributes.push(&self.attributes);
        self.resources.point(resource.id, resource, ts);
        self.streams.point(stream.id, &stream, ts);
        Ok(())
    }

    fn report(&mut self) -> &mut Report {
        &mut self.report
    }
}

impl Report {
    /// An id of a log record: none when it is empty, and, reported, when it is not valid.
    fn checked_id<const N: usize>(&mut self, bytes: &[u8]) -> Option<[u8; N]> {
        let id = valid_id(bytes);
        if id.is_none() && !bytes.is_empty() {
            self.change(Rule::LogContext);
        }
        id
    }
}

/// What a body that is no string is.
fn kind_of(value: AnyValue<'_>) -> &'static str {
    match value {
        AnyValue::Empty => "empty",
        AnyValue::Text(_) => "string",
        AnyValue::Bool(_) => "bool",
        AnyValue::Int(_) => "int",
        AnyValue::Double(_) => "double",
        AnyValue::Array(_) => "array",
        AnyValue::Map(_) => "map",
        AnyValue::Bytes(_) => "bytes",
    }
}

/// The detected level; see [`level`]. The record's and the resource's attributes come first, in the order of the fields.
fn level_of<'r>(
    levels: &Levels,
    resource: &'r Resource,
    attributes: &Attributes<'r>,
    severity_text: &'r str,
    severity_number: i32,
    body: &str,
) -> std::borrow::Cow<'r, str> {
    if !levels.is_on() {
        return "".into();
    }
    let own = levels.strongest(attributes.texts());
    let text = levels.rank("severity_text").filter(|_| !severity_text.is_empty()).map(|rank| (rank, severity_text));
    let resource = resource.level.as_ref().map(|(rank, value)| (*rank, value.as_ref()));
    match [own, text, resource].into_iter().flatten().min_by_key(|(rank, _)| *rank) {
        Some((_, value)) => level::normalize(value).into(),
        None if severity_number != 0 => level::of_severity(severity_number).into(),
        None => levels.of_line(body).into(),
    }
}

/// Streams that attributes of records make beside those of their resource. Remembers the last one, since neighbours share it.
#[derive(Debug, Default)]
struct Labelled {
    last: Option<LastLabelled>,
}

#[derive(Debug)]
struct LastLabelled {
    resource: Arc<Resource>,
    /// The labels that the record's attributes made.
    labels: Vec<(String, String)>,
    stream: Arc<Stream>,
}

impl Labelled {
    fn stream(
        &mut self,
        resources: &Resources,
        resource: &Arc<Resource>,
        attributes: &Attributes<'_>,
    ) -> Result<Arc<Stream>, ValueError> {
        let mut labels = Vec::new();
        for (key, value) in attributes.iter().filter(|(key, _)| resources.rules.otlp.log.is_label(key)) {
            let mut shown = String::new();
            write_shown(value, &mut shown)?;
            labels.push((label_name(key).into_owned(), shown));
        }
        if labels.is_empty() {
            return Ok(Arc::clone(&resource.stream));
        }
        match &self.last {
            Some(last) if Arc::ptr_eq(&last.resource, resource) && last.labels == labels => Ok(Arc::clone(&last.stream)),
            _ => {
                // A service that was only stood in for may have a better name now: all labels are looked at again.
                let all = resource.labels.iter().chain(&labels).cloned().collect();
                let stream = Arc::new(resources.rules.stream(all));
                self.last = Some(LastLabelled { resource: Arc::clone(resource), labels, stream: Arc::clone(&stream) });
                Ok(stream)
            }
        }
    }
}

/// A record's fields as they lie on the wire.
#[derive(Debug, Clone, Copy)]
struct RawRecord<'a> {
    time: u64,
    observed: u64,
    severity_number: i32,
    severity_text: &'a [u8],
    body: AnyValue<'a>,
    dropped: u32,
    flags: u32,
    trace_id: &'a [u8],
    span_id: &'a [u8],
    event_name: &'a [u8],
}

impl<'a> RawRecord<'a> {
    /// Reads a `LogRecord`; its attributes go to `attributes`, which is cleared first.
    fn read(message: &'a [u8], attributes: &mut Attributes<'a>) -> Result<Self, ValueError> {
        attributes.clear();
        let mut this = Self {
            time: 0,
            observed: 0,
            severity_number: 0,
            severity_text: &[],
            body: AnyValue::Empty,
            dropped: 0,
            flags: 0,
            trace_id: &[],
            span_id: &[],
            event_name: &[],
        };
        let mut has_body = false;
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next()? {
            match field.number {
                1 => this.time = field.fixed64()?,
                2 => this.severity_number = field.int32()?,
                3 => this.severity_text = field.bytes()?,
                5 if std::mem::replace(&mut has_body, true) => return Err(WireError::Repeated { field: 5 }.into()),
                5 => this.body = AnyValue::read(field.bytes()?)?,
                6 => attributes.push(field.bytes()?)?,
                7 => this.dropped = field.uint32()?,
                8 => this.flags = field.fixed32()?,
                9 => this.trace_id = field.bytes()?,
                10 => this.span_id = field.bytes()?,
                11 => this.observed = field.fixed64()?,
                12 => this.event_name = field.bytes()?,
                _ => {}
            }
        }
        Ok(this)
    }
}

/// A checked record.
struct Row<'a> {
    raw: RawRecord<'a>,
    ts: i64,
    body: &'a str,
    body_kind: Option<&'static str>,
    severity_text: &'a str,
    event_name: &'a str,
    trace_id: Option<[u8; 16]>,
    span_id: Option<[u8; 8]>,
    level: std::borrow::Cow<'a, str>,
}

/// The columns of `logs`.
#[derive(Debug, Default)]
struct LogColumns {
    service: DictionaryColumn,
    stream_id: Vec<i64>,
    ts: Vec<i64>,
    observed: Vec<Option<i64>>,
    level: DictionaryColumn,
    severity_number: Vec<Option<i32>>,
    severity_text: DictionaryColumn,
    body: StringBuilder,
    body_kind: DictionaryColumn,
    trace_id: IdColumn<16>,
    span_id: IdColumn<8>,
    flags: Vec<Option<i32>>,
    event_name: DictionaryColumn,
    dropped: Vec<Option<i32>>,
    scope_name: DictionaryColumn,
    scope_version: DictionaryColumn,
    scope_attrs: DictionaryColumn,
    resource_id: Vec<i64>,
    attributes: AttributeColumns,
}

impl LogColumns {
    fn len(&self) -> usize {
        self.ts.len()
    }

    /// All but the attributes of a row.
    fn push(&mut self, row: &Row<'_>, stream: &Stream, resource: &Resource, scope: &Scope<'_>) {
        self.service.push(stream.service());
        self.stream_id.push(stream.id);
        self.ts.push(row.ts);
        self.observed.push(i64::try_from(row.raw.observed).ok().filter(|ns| *ns != 0));
        self.level.push(&row.level);
        self.severity_number.push(non_zero(row.raw.severity_number));
        self.severity_text.push_some(Some(row.severity_text));
        self.body.append_value(row.body);
        self.body_kind.push_some(row.body_kind);
        self.trace_id.push(row.trace_id);
        self.span_id.push(row.span_id);
        self.flags.push(non_zero(row.raw.flags as i32));
        self.event_name.push_some(Some(row.event_name));
        self.dropped.push(non_zero(row.raw.dropped as i32));
        self.scope_name.push_some(Some(scope.name));
        self.scope_version.push_some(Some(scope.version));
        self.scope_attrs.push_some(scope.attributes.as_deref());
        self.resource_id.push(resource.id);
    }

    /// The batch; its lines are numbered from `first_seq`.
    fn finish(mut self, first_seq: i64) -> Result<RecordBatch, DecodeError> {
        let schema = schema::rows(Table::Logs);
        let rows = self.len() as i64;
        let mut arrays: Vec<ArrayRef> = vec![
            self.service.finish()?,
            Arc::new(Int64Array::from(self.stream_id)),
            times(self.ts),
            Arc::new(TimestampNanosecondArray::from(self.observed).with_timezone("UTC")),
            Arc::new(Int64Array::from_iter_values((0..rows).map(|at| first_seq.saturating_add(at)))),
            self.level.finish()?,
            Arc::new(Int32Array::from(self.severity_number)),
            self.severity_text.finish()?,
            Arc::new(self.body.finish()),
            self.body_kind.finish()?,
            self.trace_id.finish(),
            self.span_id.finish(),
            Arc::new(Int32Array::from(self.flags)),
            self.event_name.finish()?,
            Arc::new(Int32Array::from(self.dropped)),
            self.scope_name.finish()?,
            self.scope_version.finish()?,
            self.scope_attrs.finish()?,
            Arc::new(Int64Array::from(self.resource_id)),
        ];
        arrays.extend(self.attributes.finish(|name| field_of(&schema, name))?);
        Ok(RecordBatch::try_new(schema, arrays)?)
    }
}
