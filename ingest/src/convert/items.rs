//! Events and links of spans.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, ListArray, StringBuilder, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use hashbrown::HashSet;

use super::DecodeError;
use super::attributes::AttributeLimits;
use super::columns::{IdColumn, MapColumn, non_zero, shape, valid_id};
use super::json::{ValueError, text, write_scalar_or_value};
use super::report::Rule;
use super::resources::{bounded_text, times};
use crate::wire::{KeyValue, Reader};

/// The events and links of one span, checked. Reused from span to span.
#[derive(Debug)]
pub(crate) struct Items<'a> {
    limits: AttributeLimits,
    items_max: usize,
    text_bytes_max: usize,
    events: Vec<Event<'a>>,
    links: Vec<Link<'a>>,
    links_left_out: usize,
    /// The attributes of all of them, one item's after the other's.
    attributes: Vec<(&'a str, Range<usize>)>,
    json: String,
}

#[derive(Debug)]
struct Event<'a> {
    ts: i64,
    name: &'a str,
    dropped: u32,
    attributes: Range<usize>,
}

#[derive(Debug)]
struct Link<'a> {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    trace_state: &'a str,
    flags: u32,
    dropped: u32,
    attributes: Range<usize>,
}

impl<'a> Items<'a> {
    /// None yet.
    pub(crate) fn new(limits: AttributeLimits, items_max: usize, text_bytes_max: usize) -> Self {
        Self {
            limits,
            items_max,
            text_bytes_max,
            events: Vec::new(),
            links: Vec::new(),
            links_left_out: 0,
            attributes: Vec::new(),
            json: String::new(),
        }
    }

    /// Forgets those of the last span.
    pub(crate) fn clear(&mut self) {
        self.events.clear();
        self.links.clear();
        self.links_left_out = 0;
        self.attributes.clear();
        self.json.clear();
    }

    /// How many links were left out because of a bad id.
    pub(crate) fn links_left_out(&self) -> usize {
        self.links_left_out
    }

    /// Adds an `Event` message.
    pub(crate) fn push_event(&mut self, message: &'a [u8]) -> Result<(), ValueError> {
        self.check_count(self.events.len())?;
        let start = self.attributes.len();
        let (mut time, mut name, mut dropped) = (0, "", 0);
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next()? {
            match field.number {
                1 => time = field.fixed64()?,
                2 => name = bounded_text(field.bytes()?, self.text_bytes_max)?,
                3 => self.push_attribute(field.bytes()?, start)?,
                4 => dropped = field.uint32()?,
                _ => {}
            }
        }
        let ts = i64::try_from(time).map_err(|_| ValueError::Rule(Rule::TimeRange))?;
        let attributes = self.dedup(start);
        self.events.push(Event { ts, name, dropped, attributes });
        Ok(())
    }

    /// Adds a `Link` message, unless its ids are bad.
    pub(crate) fn push_link(&mut self, message: &'a [u8]) -> Result<(), ValueError> {
        self.check_count(self.links.len() + self.links_left_out)?;
        let start = self.attributes.len();
        let (mut trace_id, mut span_id, mut trace_state, mut dropped, mut flags) = (&[][..], &[][..], "", 0, 0);
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next()? {
            match field.number {
                1 => trace_id = field.bytes()?,
                2 => span_id = field.bytes()?,
                3 => trace_state = bounded_text(field.bytes()?, self.text_bytes_max)?,
                4 => self.push_attribute(field.bytes()?, start)?,
                5 => dropped = field.uint32()?,
                6 => flags = field.fixed32()?,
                _ => {}
            }
        }
        match (valid_id(trace_id), valid_id(span_id)) {
            (Some(trace_id), Some(span_id)) => {
                let attributes = self.dedup(start);
                self.links.push(Link { trace_id, span_id, trace_state, flags, dropped, attributes });
            }
            _ => {
                self.attributes.truncate(start);
                self.links_left_out += 1;
            }
        }
        Ok(())
    }

    fn check_count(&self, count: usize) -> Result<(), ValueError> {
        if count >= self.items_max { Err(ValueError::Rule(Rule::SpanItems)) } else { Ok(()) }
    }

    fn push_attribute(&mut self, message: &'a [u8], start: usize) -> Result<(), ValueError> {
        if message.len() > self.limits.bytes {
            return Err(ValueError::Rule(Rule::AttributeBytes));
        }
        if self.attributes.len() - start >= self.limits.count {
            return Err(ValueError::Rule(Rule::Attributes));
        }
        let KeyValue { key, value } = KeyValue::read(message)?;
        let key = text(key)?;
        let json_start = self.json.len();
        write_scalar_or_value(value, &mut self.json)?;
        self.attributes.push((key, json_start..self.json.len()));
        Ok(())
    }

    /// Drops all but the first of an item's attributes with equal keys; gives back where its attributes are.
    fn dedup(&mut self, start: usize) -> Range<usize> {
        if self.attributes.len() - start > 1 {
            let mut seen = HashSet::with_capacity(self.attributes.len() - start);
            let mut at = 0;
            self.attributes.retain(|(key, _)| {
                at += 1;
                at <= start || seen.insert(*key)
            });
        }
        start..self.attributes.len()
    }
}

/// The columns `events` and `links`. Spans without any have an empty list.
#[derive(Debug, Default)]
pub(crate) struct ItemColumns {
    event_ends: Vec<i32>,
    event_ts: Vec<i64>,
    event_name: StringBuilder,
    event_dropped: Vec<Option<i32>>,
    event_attributes: MapColumn<StringBuilder>,
    link_ends: Vec<i32>,
    link_trace_id: IdColumn<16>,
    link_span_id: IdColumn<8>,
    link_trace_state: StringBuilder,
    link_flags: Vec<Option<i32>>,
    link_dropped: Vec<Option<i32>>,
    link_attributes: MapColumn<StringBuilder>,
}

impl ItemColumns {
    /// A row with `items`.
    pub(crate) fn push(&mut self, items: &Items<'_>) {
        let put = |column: &mut MapColumn<StringBuilder>, range: &Range<usize>| {
            for (key, json) in &items.attributes[range.clone()] {
                column.push(key, &items.json[json.clone()]);
            }
            column.end_row();
        };
        for event in &items.events {
            self.event_ts.push(event.ts);
            self.event_name.append_value(event.name);
            self.event_dropped.push(non_zero(event.dropped as i32));
            put(&mut self.event_attributes, &event.attributes);
        }
        for link in &items.links {
            self.link_trace_id.push(Some(link.trace_id));
            self.link_span_id.push(Some(link.span_id));
            self.link_trace_state.append_option(Some(link.trace_state).filter(|s| !s.is_empty()));
            self.link_flags.push(non_zero(link.flags as i32));
            self.link_dropped.push(non_zero(link.dropped as i32));
            put(&mut self.link_attributes, &link.attributes);
        }
        self.event_ends.push(self.event_ts.len() as i32);
        self.link_ends.push(self.link_flags.len() as i32);
    }

    /// The two columns, shaped as their fields say.
    pub(crate) fn finish(mut self, events: &Field, links: &Field) -> Result<[ArrayRef; 2], DecodeError> {
        let event_fields = element_fields(events)?;
        let event_columns: Vec<ArrayRef> = vec![
            times(self.event_ts),
            Arc::new(self.event_name.finish()),
            Arc::new(Int32Array::from(self.event_dropped)),
            self.event_attributes.finish(last(event_fields, events)?)?,
        ];
        let link_fields = element_fields(links)?;
        let link_columns: Vec<ArrayRef> = vec![
            self.link_trace_id.finish(),
            self.link_span_id.finish(),
            Arc::new(self.link_trace_state.finish()),
            Arc::new(Int32Array::from(self.link_flags)),
            Arc::new(Int32Array::from(self.link_dropped)),
            self.link_attributes.finish(last(link_fields, links)?)?,
        ];
        Ok([list(events, event_fields, event_columns, self.event_ends)?, list(links, link_fields, link_columns, self.link_ends)?])
    }
}

fn element_fields(field: &Field) -> Result<&Fields, DecodeError> {
    match field.data_type() {
        DataType::List(element) => match element.data_type() {
            DataType::Struct(fields) => Ok(fields),
            _ => Err(shape(field, "a list of structs")),
        },
        _ => Err(shape(field, "a list")),
    }
}

fn last<'f>(fields: &'f Fields, of: &Field) -> Result<&'f Field, DecodeError> {
    fields.last().map(AsRef::as_ref).ok_or_else(|| shape(of, "a list of structs with fields"))
}

fn list(field: &Field, fields: &Fields, columns: Vec<ArrayRef>, ends: Vec<i32>) -> Result<ArrayRef, DecodeError> {
    let DataType::List(element) = field.data_type() else { return Err(shape(field, "a list")) };
    let offsets: Vec<i32> = std::iter::once(0).chain(ends).collect();
    let structs = StructArray::try_new(fields.clone(), columns, None)?;
    Ok(Arc::new(ListArray::try_new(Arc::clone(element), OffsetBuffer::new(offsets.into()), Arc::new(structs), None)?))
}
