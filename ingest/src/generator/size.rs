//! How large a span is as an OTLP message, from its columns: a sum of lengths, nothing is encoded.
//!
//! What is stored decides: unknown fields and repeated attributes of the sender are not there any more, and composed attributes count
//! with the length of their JSON.

use arrow::array::{Array, FixedSizeBinaryArray, Int32Array, ListArray, MapArray, RecordBatch, StringArray, StructArray};

use super::attributes::{Attributes, Map};
use super::batch::{SpanBatch, column};

/// Columns that only the size needs.
#[derive(Debug)]
pub(super) struct Sizes<'a> {
    trace_state: Option<&'a dyn Array>,
    flags: &'a Int32Array,
    dropped: [&'a Int32Array; 3],
    events: Events<'a>,
    links: Links<'a>,
}

#[derive(Debug)]
struct Events<'a> {
    offsets: &'a [i32],
    names: &'a StringArray,
    dropped: &'a Int32Array,
    attributes: Map<'a, StringArray>,
}

#[derive(Debug)]
struct Links<'a> {
    offsets: &'a [i32],
    trace_ids: &'a FixedSizeBinaryArray,
    trace_states: &'a StringArray,
    flags: &'a Int32Array,
    dropped: &'a Int32Array,
    attributes: Map<'a, StringArray>,
}

fn child<'a, T: 'static>(items: &'a StructArray, name: &str) -> Option<&'a T> {
    items.column_by_name(name)?.as_any().downcast_ref()
}

impl<'a> Sizes<'a> {
    /// `None` if the batch is no batch of spans.
    pub(super) fn new(batch: &'a RecordBatch) -> Option<Self> {
        let (events, links): (&ListArray, &ListArray) = (column(batch, "events")?, column(batch, "links")?);
        let event: &StructArray = events.values().as_any().downcast_ref()?;
        let link: &StructArray = links.values().as_any().downcast_ref()?;
        let map = |items: &'a StructArray| Map::new(child::<MapArray>(items, "attrs")?);
        Some(Self {
            trace_state: batch.column_by_name("trace_state").map(AsRef::as_ref),
            flags: column(batch, "flags")?,
            dropped: [column(batch, "dropped_attributes")?, column(batch, "dropped_events")?, column(batch, "dropped_links")?],
            events: Events {
                offsets: events.value_offsets(),
                names: child(event, "name")?,
                dropped: child(event, "dropped_attributes")?,
                attributes: map(event)?,
            },
            links: Links {
                offsets: links.value_offsets(),
                trace_ids: child(link, "trace_id")?,
                trace_states: child(link, "trace_state")?,
                flags: child(link, "flags")?,
                dropped: child(link, "dropped_attributes")?,
                attributes: map(link)?,
            },
        })
    }
}

/// Bytes of a varint.
fn varint(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// A field of that many bytes behind a tag of one byte and its length.
fn delimited(bytes: usize) -> usize {
    1 + varint(bytes as u64) + bytes
}

/// Text; empty text is no field.
fn text(length: usize) -> usize {
    if length == 0 { 0 } else { delimited(length) }
}

/// A number that is no field when it is absent.
fn optional(column: &Int32Array, row: usize) -> usize {
    if column.is_null(row) || column.value(row) == 0 { 0 } else { 1 + varint(u64::from(column.value(row) as u32)) }
}

/// An enumeration; 0 is no field, and negative numbers have ten bytes.
fn enumeration(value: i32) -> usize {
    if value == 0 { 0 } else { 1 + varint(i64::from(value) as u64) }
}

/// A `KeyValue` whose `AnyValue` has that many bytes.
fn pair(key: usize, value: usize) -> usize {
    delimited(text(key) + delimited(value))
}

/// Bytes of the span in `row` as a `Span` message.
pub(super) fn span_bytes(batch: &SpanBatch<'_>, row: usize) -> usize {
    let sizes = &batch.sizes;
    let status = text(batch.messages.get(row).len()) + enumeration(batch.statuses.value(row));
    let mut bytes = 18 + 10 + 9 + 9; // ids and times
    bytes += if batch.parent_ids.is_valid(row) { 10 } else { 0 };
    bytes += text(batch.names.get(row).len()) + enumeration(batch.kinds.value(row));
    bytes += if status == 0 { 0 } else { delimited(status) };
    bytes += sizes.dropped.iter().map(|column| optional(column, row)).sum::<usize>();
    bytes += fixed32(sizes.flags, row, 2);
    bytes += text(batch.trace_state(row).len());
    bytes + attributes(&batch.attributes, row) + sizes.events.bytes(row) + sizes.links.bytes(row)
}

/// A fixed32 behind a tag of `tag` bytes.
fn fixed32(column: &Int32Array, row: usize, tag: usize) -> usize {
    if column.is_null(row) || column.value(row) == 0 { 0 } else { tag + 4 }
}

impl<'a> SpanBatch<'a> {
    /// The W3C trace state, empty when there is none.
    pub(super) fn trace_state(&self, row: usize) -> &'a str {
        self.sizes.trace_state.filter(|column| column.is_valid(row)).map_or("", |column| dictionary_text(column, row))
    }
}

fn dictionary_text(column: &dyn Array, row: usize) -> &str {
    let dictionary: Option<&arrow::array::DictionaryArray<arrow::datatypes::Int32Type>> = column.as_any().downcast_ref();
    let text = dictionary.and_then(|d| Some((d.key(row)?, d.values().as_any().downcast_ref::<StringArray>()?)));
    text.map_or("", |(key, values)| values.value(key))
}

fn attributes(attributes: &Attributes<'_>, row: usize) -> usize {
    let key = |keys: &StringArray, at: usize| keys.value_length(at) as usize;
    let strings = |map: &Map<'_, StringArray>| -> usize {
        map.entries(row).map(|at| pair(key(map.keys, at), delimited(map.values.value_length(at) as usize))).sum()
    };
    let ints: usize = attributes
        .int
        .entries(row)
        .map(|at| pair(key(attributes.int.keys, at), 1 + varint(attributes.int.values.value(at) as u64)))
        .sum();
    let doubles: usize = attributes.double.entries(row).map(|at| pair(key(attributes.double.keys, at), 9)).sum();
    let bools: usize = attributes.bool.entries(row).map(|at| pair(key(attributes.bool.keys, at), 2)).sum();
    strings(&attributes.text) + ints + doubles + bools + strings(&attributes.json)
}

/// Attributes of an event or link, whose values are JSON.
fn json_attributes(map: &Map<'_, StringArray>, item: usize) -> usize {
    map.entries(item)
        .map(|at| {
            let value = map.values.value(at);
            let bytes = match value.as_bytes() {
                [b'"', ..] => delimited(value.len() - 2),
                b"true" | b"false" => 2,
                _ => match value.parse::<i64>() {
                    Ok(number) => 1 + varint(number as u64),
                    Err(_) if value.parse::<f64>().is_ok() => 9,
                    Err(_) => delimited(value.len()),
                },
            };
            pair(map.keys.value_length(at) as usize, bytes)
        })
        .sum()
}

impl Events<'_> {
    fn bytes(&self, row: usize) -> usize {
        let items = self.offsets[row] as usize..self.offsets[row + 1] as usize;
        let event = |at: usize| {
            let name = text(self.names.value_length(at) as usize);
            delimited(9 + name + optional(self.dropped, at) + json_attributes(&self.attributes, at))
        };
        items.map(event).sum()
    }
}

impl Links<'_> {
    fn bytes(&self, row: usize) -> usize {
        let items = self.offsets[row] as usize..self.offsets[row + 1] as usize;
        let link = |at: usize| {
            let state = if self.trace_states.is_valid(at) { text(self.trace_states.value_length(at) as usize) } else { 0 };
            let ids = if self.trace_ids.is_valid(at) { 18 + 10 } else { 0 };
            delimited(
                ids + state + optional(self.dropped, at) + fixed32(self.flags, at, 1) + json_attributes(&self.attributes, at),
            )
        };
        items.map(link).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_as_long_as_they_are() {
        assert_eq!([0, 127, 128, 16_383, 16_384, u64::MAX].map(varint), [1, 1, 2, 2, 3, 10]);
        assert_eq!([enumeration(0), enumeration(3), enumeration(-1)], [0, 2, 11]);
        assert_eq!([text(0), text(1), text(127), text(128)], [0, 3, 129, 131]);
    }
}
