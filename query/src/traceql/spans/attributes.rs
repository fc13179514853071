//! Attributes in their columns: typed maps, and JSON for what no column type tells.
//!
//! Source of the JSON: the receivers write canonical OTLP JSON (`{"intValue":"1"}`), and plain scalars for events and links.

use std::borrow::Cow;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, MapArray, StringArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{Float64Type, Int64Type};
use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;
use traceql::value::Value;

use super::super::answer::{AnyValue, Attributes};

/// No entry.
const NONE: u32 = u32::MAX;

/// The values of a map column.
#[derive(Debug, Clone)]
pub(super) enum Typed {
    Text(StringArray),
    Int(Int64Array),
    Double(Float64Array),
    Bool(BooleanArray),
    /// Canonical OTLP JSON.
    Json(StringArray),
}

impl Typed {
    pub(super) fn value(&self, at: usize) -> Value<'_> {
        match self {
            Self::Text(values) if values.is_valid(at) => Value::text(values.value(at)),
            Self::Int(values) if values.is_valid(at) => Value::Int(values.value(at)),
            Self::Double(values) if values.is_valid(at) => Value::Float(values.value(at)),
            Self::Bool(values) if values.is_valid(at) => Value::Bool(values.value(at)),
            Self::Json(values) if values.is_valid(at) => value_of_json(values.value(at)),
            _ => Value::Nil,
        }
    }

    pub(super) fn any(&self, at: usize) -> AnyValue {
        match self {
            Self::Text(values) if values.is_valid(at) => AnyValue::Str(values.value(at).to_owned()),
            Self::Int(values) if values.is_valid(at) => AnyValue::Int(values.value(at)),
            Self::Double(values) if values.is_valid(at) => AnyValue::Double(values.value(at)),
            Self::Bool(values) if values.is_valid(at) => AnyValue::Bool(values.value(at)),
            Self::Json(values) if values.is_valid(at) => any_value_of_json(values.value(at)),
            _ => AnyValue::Empty,
        }
    }
}

/// A value as it lies in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Raw<'a> {
    Text(&'a str),
    Word(u64),
    None,
}

/// A map column.
#[derive(Debug, Clone)]
pub(super) struct MapColumn {
    offsets: OffsetBuffer<i32>,
    keys: StringArray,
    values: Typed,
}

impl MapColumn {
    /// `column` as a map from text; `None` when it is none. Text of a map named `attrs_json` is JSON.
    pub(super) fn of(column: &ArrayRef, is_json: bool) -> Option<Self> {
        Self::of_map(column.as_map_opt()?, is_json)
    }

    pub(super) fn of_map(map: &MapArray, is_json: bool) -> Option<Self> {
        let keys = map.keys().as_string_opt::<i32>()?.clone();
        let values = map.values();
        let values = if let Some(values) = values.as_string_opt::<i32>() {
            if is_json { Typed::Json(values.clone()) } else { Typed::Text(values.clone()) }
        } else if let Some(values) = values.as_primitive_opt::<Int64Type>() {
            Typed::Int(values.clone())
        } else if let Some(values) = values.as_primitive_opt::<Float64Type>() {
            Typed::Double(values.clone())
        } else {
            Typed::Bool(values.as_boolean_opt()?.clone())
        };
        Some(Self { offsets: map.offsets().clone(), keys, values })
    }

    /// The entries of a row.
    pub(super) fn entries(&self, row: usize) -> std::ops::Range<usize> {
        self.offsets[row] as usize..self.offsets[row + 1] as usize
    }

    /// The name and the value of an entry.
    pub(super) fn entry(&self, at: usize) -> (&str, Value<'_>) {
        (self.keys.value(at), self.values.value(at))
    }

    /// The name and the value of an entry as they lie in their columns: entries whose are the same are the same.
    pub(super) fn raw(&self, at: usize) -> (&str, Raw<'_>) {
        let raw = match &self.values {
            Typed::Text(values) | Typed::Json(values) if values.is_valid(at) => Raw::Text(values.value(at)),
            Typed::Int(values) if values.is_valid(at) => Raw::Word(values.value(at).cast_unsigned()),
            Typed::Double(values) if values.is_valid(at) => Raw::Word(values.value(at).to_bits()),
            Typed::Bool(values) if values.is_valid(at) => Raw::Word(values.value(at).into()),
            _ => Raw::None,
        };
        (self.keys.value(at), raw)
    }

    /// Whether two entries have the same name and value.
    pub(super) fn is_same(&self, one: usize, other: usize) -> bool {
        self.raw(one) == self.raw(other)
    }

    /// Names and values of a row.
    pub(super) fn row(&self, row: usize) -> impl Iterator<Item = (&str, Value<'_>)> + '_ {
        self.entries(row).map(|at| (self.keys.value(at), self.values.value(at)))
    }

    /// Names of a row.
    pub(super) fn names(&self, row: usize) -> impl Iterator<Item = &str> + '_ {
        self.entries(row).map(|at| self.keys.value(at))
    }

    /// Names and whole values of a row.
    pub(super) fn any(&self, row: usize, out: &mut Attributes) {
        out.extend(self.entries(row).map(|at| (self.keys.value(at).to_owned(), self.values.any(at))));
    }

    /// The text under `name` in a row, of a map of texts.
    pub(super) fn text(&self, row: usize, name: &str) -> Option<&str> {
        let (Typed::Text(values) | Typed::Json(values)) = &self.values else { return None };
        self.entries(row).find(|at| self.keys.value(*at) == name && values.is_valid(*at)).map(|at| values.value(at))
    }

    /// Where `name` is in each row; `None` when it is in none.
    fn find(&self, name: &str) -> Option<KeyColumn> {
        let rows = self.offsets.len() - 1;
        let (first, last) = (self.offsets[0] as usize, self.offsets[rows] as usize);
        let mut places: Vec<u32> = Vec::new();
        let (mut row, key_offsets, bytes) = (0, self.keys.value_offsets(), self.keys.value_data());
        for at in first..last {
            let key = &bytes[key_offsets[at] as usize..key_offsets[at + 1] as usize];
            if key != name.as_bytes() {
                continue;
            }
            if places.is_empty() {
                places.resize(rows, NONE);
            }
            while self.offsets[row + 1] as usize <= at {
                row += 1;
            }
            places[row] = u32::try_from(at).unwrap_or(NONE);
        }
        (!places.is_empty()).then(|| KeyColumn { places, values: self.values.clone() })
    }
}

/// One key of a map column.
#[derive(Debug, Clone)]
struct KeyColumn {
    places: Vec<u32>,
    values: Typed,
}

/// One attribute over the rows of a batch, whatever its type is in each.
#[derive(Debug, Clone, Default)]
pub(super) struct Attribute(Vec<KeyColumn>);

impl Attribute {
    pub(super) fn of(maps: &[MapColumn], name: &str) -> Self {
        Self(maps.iter().filter_map(|map| map.find(name)).collect())
    }

    pub(super) fn value(&self, row: usize) -> Value<'_> {
        let found = self.0.iter().find(|column| column.places[row] != NONE);
        found.map_or(Value::Nil, |column| column.values.value(column.places[row] as usize))
    }
}

/// A value in canonical OTLP JSON; of lists only those of one scalar type are values to TraceQL, and of maps and bytes none.
pub(super) fn value_of_json(text: &str) -> Value<'static> {
    value(&any_value_of_json(text))
}

/// The value of an event's or a link's attribute: a plain scalar, or canonical OTLP JSON.
pub(super) fn value_of_item(text: &str) -> Value<'static> {
    value(&any_value_of_item(text))
}

/// As [`value_of_item`], whole.
pub(in crate::traceql) fn any_value_of_item(text: &str) -> AnyValue {
    match text.as_bytes().first() {
        Some(b'-' | b'0'..=b'9') => number(text),
        Some(b'{') => any_value_of_json(text),
        _ => match serde_json::from_str(text) {
            Ok(Json::String(text)) => AnyValue::Str(text),
            Ok(Json::Bool(value)) => AnyValue::Bool(value),
            _ => AnyValue::Empty,
        },
    }
}

/// As [`value_of_json`], whole.
pub(in crate::traceql) fn any_value_of_json(text: &str) -> AnyValue {
    serde_json::from_str::<Any<'_>>(text).map_or(AnyValue::Empty, Any::into_value)
}

/// A list of `{"key":...,"value":...}`.
pub(in crate::traceql) fn attributes_of_json(text: &str) -> Attributes {
    let entries: Vec<Entry<'_>> = serde_json::from_str(text).unwrap_or_default();
    entries.into_iter().map(Entry::into_pair).collect()
}

/// A number as it was written: with a point or an exponent it is a float.
fn number(text: &str) -> AnyValue {
    match text.parse::<i64>() {
        Ok(value) => AnyValue::Int(value),
        Err(_) => text.parse::<f64>().map_or(AnyValue::Empty, AnyValue::Double),
    }
}

/// An OTLP `AnyValue`. Numbers are kept as text: the JSON library's reading of a double can be off by its last bit.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Any<'a> {
    string_value: Option<Cow<'a, str>>,
    bool_value: Option<bool>,
    #[serde(borrow)]
    int_value: Option<&'a RawValue>,
    #[serde(borrow)]
    double_value: Option<&'a RawValue>,
    bytes_value: Option<Cow<'a, str>>,
    #[serde(borrow)]
    array_value: Option<List<'a>>,
    #[serde(borrow)]
    kvlist_value: Option<Map<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct List<'a> {
    #[serde(borrow)]
    values: Vec<Any<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Map<'a> {
    #[serde(borrow)]
    values: Vec<Entry<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry<'a> {
    key: String,
    #[serde(borrow)]
    value: Any<'a>,
}

impl Entry<'_> {
    fn into_pair(self) -> (String, AnyValue) {
        (self.key, self.value.into_value())
    }
}

impl Any<'_> {
    fn into_value(self) -> AnyValue {
        if let Some(text) = self.string_value {
            return AnyValue::Str(text.into_owned());
        }
        if let Some(value) = self.bool_value {
            return AnyValue::Bool(value);
        }
        if let Some(raw) = self.int_value {
            return number(raw.get().trim_matches('"'));
        }
        if let Some(raw) = self.double_value {
            return match raw.get().trim_matches('"') {
                "Infinity" => AnyValue::Double(f64::INFINITY),
                "-Infinity" => AnyValue::Double(f64::NEG_INFINITY),
                text => AnyValue::Double(text.parse().unwrap_or(f64::NAN)),
            };
        }
        if let Some(text) = self.bytes_value {
            return AnyValue::Bytes(base64_decoded(&text));
        }
        if let Some(list) = self.array_value {
            return AnyValue::List(list.values.into_iter().map(Any::into_value).collect());
        }
        self.kvlist_value.map_or(AnyValue::Empty, |map| AnyValue::Map(map.values.into_iter().map(Entry::into_pair).collect()))
    }
}

/// A value that TraceQL knows.
pub(super) fn value(any: &AnyValue) -> Value<'static> {
    match any {
        AnyValue::Str(text) => Value::Str(Cow::Owned(text.clone())),
        AnyValue::Int(value) => Value::Int(*value),
        AnyValue::Double(value) => Value::Float(*value),
        AnyValue::Bool(value) => Value::Bool(*value),
        AnyValue::List(items) => {
            let values: Vec<Value<'static>> = items.iter().map(value).collect();
            let kind = values.first().map(std::mem::discriminant);
            let is_scalar = |v: &Value<'_>| matches!(v, Value::Str(_) | Value::Int(_) | Value::Float(_) | Value::Bool(_));
            match values.iter().all(|v| is_scalar(v) && Some(std::mem::discriminant(v)) == kind) {
                true => Value::List(values),
                false => Value::Nil,
            }
        }
        AnyValue::Bytes(_) | AnyValue::Map(_) | AnyValue::Empty => Value::Nil,
    }
}

/// What the receivers encoded is decoded again; other text gives nothing.
fn base64_decoded(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_as_it_was_written() {
        let list = r#"{"arrayValue":{"values":[{"intValue":"1"},{"intValue":"2"}]}}"#;
        assert_eq!(value_of_json(list), Value::List(vec![Value::Int(1), Value::Int(2)]));
        let mixed = r#"{"arrayValue":{"values":[{"intValue":"1"},{"stringValue":"x"}]}}"#;
        assert_eq!(value_of_json(mixed), Value::Nil);
        assert_eq!(any_value_of_json(mixed), AnyValue::List(vec![AnyValue::Int(1), AnyValue::Str("x".to_owned())]));
        assert_eq!(any_value_of_json(r#"{"bytesValue":"AAH+"}"#), AnyValue::Bytes(vec![0, 1, 0xfe]));
        assert_eq!(any_value_of_item("1.0"), AnyValue::Double(1.0));
        assert_eq!(any_value_of_item("1"), AnyValue::Int(1));
        assert_eq!(any_value_of_item("0.48542102093001027"), AnyValue::Double(0.485_421_020_930_010_27));
        assert_eq!(any_value_of_json(r#"{"doubleValue":0.48542102093001027}"#), AnyValue::Double(0.485_421_020_930_010_27));
        let map = r#"{"kvlistValue":{"values":[{"key":"k","value":{"stringValue":"v"}},{"key":"e","value":{}}]}}"#;
        let pairs = vec![("k".to_owned(), AnyValue::Str("v".to_owned())), ("e".to_owned(), AnyValue::Empty)];
        assert_eq!(any_value_of_json(map), AnyValue::Map(pairs));
        assert_eq!(any_value_of_item(r#""a\"b""#), AnyValue::Str("a\"b".to_owned()));
        assert_eq!(any_value_of_item(r#"{"doubleValue":"-Infinity"}"#), AnyValue::Double(f64::NEG_INFINITY));
        let scope = r#"[{"key":"lib.lang","value":{"stringValue":"go"}}]"#;
        assert_eq!(attributes_of_json(scope), [("lib.lang".to_owned(), AnyValue::Str("go".to_owned()))]);
    }
}
