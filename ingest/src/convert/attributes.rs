//! Attributes: checked and borrowed first, then put into the typed map columns.

use arrow::array::{ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder};
use arrow::datatypes::Field;
use hashbrown::HashSet;

use super::DecodeError;
use super::columns::MapColumn;
use super::json::{ValueError, text, write_entry, write_value};
use super::report::Rule;
use crate::receive::ReceiveConfig;
use crate::wire::{AnyValue, KeyValue};

/// How many attributes are compared one with another before a hash set takes over.
const PAIRWISE_MAX: usize = 16;

/// Limits on one record's attributes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttributeLimits {
    /// How many.
    pub(crate) count: usize,
    /// Bytes of name and value together, of one.
    pub(crate) bytes: usize,
}

impl From<&ReceiveConfig> for AttributeLimits {
    fn from(config: &ReceiveConfig) -> Self {
        Self { count: config.attributes_max, bytes: config.attribute_bytes_max }
    }
}

/// The attributes of one record, checked, distinct by key, in the order in which they were sent. Reused from record to record.
#[derive(Debug)]
pub(crate) struct Attributes<'a> {
    limits: AttributeLimits,
    list: Vec<Attribute<'a>>,
    /// The JSON of those that need it, one after the other.
    json: String,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
struct Attribute<'a> {
    key: &'a str,
    value: Typed<'a>,
}

/// A value and the column for it.
#[derive(Debug, Clone, Copy)]
enum Typed<'a> {
    Text(&'a str),
    Int(i64),
    Double(f64),
    Bool(bool),
    /// Array, map, bytes or empty: a part of [`Attributes::json`], and the value itself.
    Json(usize, usize, AnyValue<'a>),
}

impl<'a> Attributes<'a> {
    /// None yet.
    pub(crate) fn new(limits: AttributeLimits) -> Self {
        Self { limits, list: Vec::new(), json: String::new() }
    }

    /// Forgets those of the last record.
    pub(crate) fn clear(&mut self) {
        self.list.clear();
        self.json.clear();
    }

    /// Adds a `KeyValue` message.
    ///
    /// # Errors
    /// The rule that the record breaks, or malformed bytes.
    pub(crate) fn push(&mut self, message: &'a [u8]) -> Result<(), ValueError> {
        // Its bytes on the wire are the attribute's own plus a few of framing.
        if message.len() > self.limits.bytes {
            return Err(ValueError::Rule(Rule::AttributeBytes));
        }
        if self.list.len() >= self.limits.count {
            return Err(ValueError::Rule(Rule::Attributes));
        }
        let KeyValue { key, value } = KeyValue::read(message)?;
        let key = text(key)?;
        let value = match value {
            AnyValue::Text(bytes) => Typed::Text(text(bytes)?),
            AnyValue::Int(value) => Typed::Int(value),
            AnyValue::Double(value) => Typed::Double(value),
            AnyValue::Bool(value) => Typed::Bool(value),
            other => {
                let start = self.json.len();
                write_value(other, 0, &mut self.json)?;
                Typed::Json(start, self.json.len(), other)
            }
        };
        self.list.push(Attribute { key, value });
        Ok(())
    }

    /// Drops all but the first of attributes with equal keys. Call once after the last [`Attributes::push`]; gives back how many went.
    pub(crate) fn dedup(&mut self) -> usize {
        let before = self.list.len();
        if before > PAIRWISE_MAX {
            let mut seen = HashSet::with_capacity(before);
            self.list.retain(|a| seen.insert(a.key));
        } else {
            let mut at = 1;
            while at < self.list.len() {
                if self.list[..at].iter().any(|a| a.key == self.list[at].key) {
                    self.list.remove(at);
                } else {
                    at += 1;
                }
            }
        }
        before - self.list.len()
    }

    /// Keeps those whose key `keep` says.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.list.retain(|a| keep(a.key));
    }

    /// Keys and values in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'a str, AnyValue<'a>)> + '_ {
        self.list.iter().map(|a| {
            let value = match a.value {
                Typed::Text(text) => AnyValue::Text(text.as_bytes()),
                Typed::Int(value) => AnyValue::Int(value),
                Typed::Double(value) => AnyValue::Double(value),
                Typed::Bool(value) => AnyValue::Bool(value),
                Typed::Json(_, _, value) => value,
            };
            (a.key, value)
        })
    }

    /// Keys and values that are text.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&'a str, &'a str)> + '_ {
        self.list.iter().filter_map(|a| match a.value {
            Typed::Text(text) => Some((a.key, text)),
            _ => None,
        })
    }

    /// All of them as canonical OTLP JSON, `[{"key":...,"value":...},...]`; `None` when there are none.
    pub(crate) fn to_json(&self) -> Result<Option<String>, ValueError> {
        if self.list.is_empty() {
            return Ok(None);
        }
        let mut out = String::from("[");
        for (at, (key, value)) in self.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            write_entry(KeyValue { key: key.as_bytes(), value }, 0, &mut out)?;
        }
        out.push(']');
        Ok(Some(out))
    }
}

/// The five typed map columns.
#[derive(Debug, Default)]
pub(crate) struct AttributeColumns {
    text: MapColumn<StringBuilder>,
    int: MapColumn<Int64Builder>,
    double: MapColumn<Float64Builder>,
    bool: MapColumn<BooleanBuilder>,
    json: MapColumn<StringBuilder>,
}

impl AttributeColumns {
    /// A row with `attributes`.
    pub(crate) fn push(&mut self, attributes: &Attributes<'_>) {
        for Attribute { key, value } in &attributes.list {
            match *value {
                Typed::Text(text) => self.text.push(key, text),
                Typed::Int(value) => self.int.push(key, value),
                Typed::Double(value) => self.double.push(key, value),
                Typed::Bool(value) => self.bool.push(key, value),
                Typed::Json(start, end, _) => self.json.push(key, &attributes.json[start..end]),
            }
        }
        self.text.end_row();
        self.int.end_row();
        self.double.end_row();
        self.bool.end_row();
        self.json.end_row();
    }

    /// The columns, in the order of the schema. `field` finds a column's field by name.
    pub(crate) fn finish<'s>(self, field: impl Fn(&str) -> Result<&'s Field, DecodeError>) -> Result<[ArrayRef; 5], DecodeError> {
        Ok([
            self.text.finish(field("attrs_str")?)?,
            self.int.finish(field("attrs_int")?)?,
            self.double.finish(field("attrs_f64")?)?,
            self.bool.finish(field("attrs_bool")?)?,
            self.json.finish(field("attrs_json")?)?,
        ])
    }
}
