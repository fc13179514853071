//! OTLP/JSON becomes OTLP/protobuf in one pass, without a message in between.
//!
//! ```text
//! bytes ─depth─► serde_json events ─ field table ─► protobuf bytes ─► the converter of the signal
//! ```
//! As OTLP has it: lowerCamelCase names alone, trace and span ids in hex (any case), other bytes in base64, enums as integers, 64-bit
//! integers as strings or numbers, unknown fields ignored, `null` is "not set". A scalar that is given twice has its last value.

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use catalog::Signal;
use prost::encoding::{WireType, encode_key, encode_varint};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};
use serde_json::value::RawValue;

use super::fields::{self, Field, Kind, Message};

/// How deeply objects and lists may nest. OTLP itself needs 12 levels down to an attribute's value, and 4 more per nested list.
pub const JSON_DEPTH_MAX: usize = 64;

/// base64 as protobuf's JSON has it: padded or not.
const PADDING: GeneralPurposeConfig = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, PADDING);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, PADDING);

/// Why a body is no OTLP/JSON request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Not JSON, or not of the right types.
    #[error("malformed OTLP JSON: {reason}")]
    Malformed {
        /// What is wrong and where.
        reason: String,
    },
    /// Nested too deeply.
    #[error("JSON is nested more than {JSON_DEPTH_MAX} levels deep")]
    TooDeep,
}

/// The protobuf bytes of the export request of `signal` in the JSON `body`.
///
/// # Errors
/// [`JsonError`]; strings with lone surrogates and invalid UTF-8 are malformed.
pub fn to_protobuf(signal: Signal, body: &[u8]) -> Result<Vec<u8>, JsonError> {
    let message = match signal {
        Signal::Metrics => &fields::METRICS,
        Signal::Logs => &fields::LOGS,
        Signal::Traces => &fields::TRACES,
    };
    check_depth(body)?;
    let mut out = Vec::with_capacity(body.len() / 2);
    let malformed = |e: serde_json::Error| JsonError::Malformed { reason: e.to_string() };
    let mut json = serde_json::Deserializer::from_slice(body);
    json.deserialize_map(Fields { message, out: &mut out }).map_err(malformed)?;
    json.end().map_err(malformed)?;
    Ok(out)
}

/// Refuses what is nested too deeply, also where it would be ignored. Brackets within strings do not count.
fn check_depth(body: &[u8]) -> Result<(), JsonError> {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > JSON_DEPTH_MAX {
            return Err(JsonError::TooDeep);
        }
    }
    Ok(())
}

/// Writes the fields of an object.
struct Fields<'o> {
    message: &'static Message,
    out: &'o mut Vec<u8>,
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object ({})", self.message.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key_seed(Name(self.message))? {
            match field {
                Some(field) => map.next_value_seed(Value { field, element: false, out: self.out })?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Finds the field of a name.
struct Name(&'static Message);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<&'static Field>;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<&'static Field>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }
    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.fields.iter().find(|f| f.name == name))
    }
}

/// Writes the value of a field, or one element of it.
struct Value<'o> {
    field: &'static Field,
    element: bool,
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        if !matches!(self.field.kind, Kind::Double) || !self.is_scalar() {
            return json.deserialize_any(self);
        }
        // As text first: the library's own reading of a double can be off by its last bit.
        let raw = Box::<RawValue>::deserialize(json)?;
        let text = raw.get();
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => {
                self.fixed64(number.to_bits());
                Ok(())
            }
            _ => serde_json::Deserializer::from_str(text).deserialize_any(self).map_err(Error::custom),
        }
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.field.kind {
            _ if self.field.repeated && !self.element => "a list",
            Kind::Message(_) => "an object",
            Kind::Text => "a string",
            Kind::Bytes => "a base64 string",
            Kind::Id => "a hex string",
            Kind::Bool => "a boolean",
            Kind::Enum => "an integer (enums are not given by name)",
            Kind::Double => "a number, \"NaN\", \"Infinity\" or \"-Infinity\"",
            Kind::Sint32 | Kind::Uint32 | Kind::Fixed32 => "a 32-bit integer",
            Kind::Int64 | Kind::Uint64 | Kind::Fixed64 | Kind::Sfixed64 => "a 64-bit integer, as a number or a string",
        };
        write!(f, "{what} for {}", self.field.name)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if !self.field.repeated || self.element {
            return Err(Error::invalid_type(Unexpected::Seq, &self));
        }
        while list.next_element_seed(Value { field: self.field, element: true, out: self.out })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        match self.field.kind {
            Kind::Message(message) if self.is_scalar() => {
                encode_key(self.field.number, WireType::LengthDelimited, self.out);
                let start = self.out.len();
                Fields { message, out: self.out }.visit_map(map)?;
                insert_length(self.out, start);
                Ok(())
            }
            _ => Err(Error::invalid_type(Unexpected::Map, &self)),
        }
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        match self.field.kind {
            Kind::Bool if self.is_scalar() => {
                self.varint(u64::from(value));
                Ok(())
            }
            _ => Err(Error::invalid_type(Unexpected::Bool(value), &self)),
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.integer(i128::from(value)).map_err(|v| Error::invalid_value(Unexpected::Signed(value), &v))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.integer(i128::from(value)).map_err(|v| Error::invalid_value(Unexpected::Unsigned(value), &v))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        let whole = value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0;
        match self.field.kind {
            Kind::Double if self.is_scalar() => {
                self.fixed64(value.to_bits());
                Ok(())
            }
            _ if whole => self.integer(value as i128).map_err(|v| Error::invalid_value(Unexpected::Float(value), &v)),
            _ => Err(Error::invalid_type(Unexpected::Float(value), &self)),
        }
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        let wrong = |this: Self| Err(Error::invalid_value(Unexpected::Str(value), &this));
        if !self.is_scalar() {
            return wrong(self);
        }
        match self.field.kind {
            Kind::Text => self.bytes(value.as_bytes()),
            Kind::Id => match hex::decode(value) {
                Ok(id) => self.bytes(&id),
                Err(_) => return wrong(self),
            },
            Kind::Bytes => match STANDARD.decode(value).or_else(|_| URL_SAFE.decode(value)) {
                Ok(bytes) => self.bytes(&bytes),
                Err(_) => return wrong(self),
            },
            Kind::Double => match value {
                "NaN" => self.fixed64(f64::NAN.to_bits()),
                "Infinity" => self.fixed64(f64::INFINITY.to_bits()),
                "-Infinity" => self.fixed64(f64::NEG_INFINITY.to_bits()),
                _ => match value.parse::<f64>() {
                    Ok(number) if number.is_finite() => self.fixed64(number.to_bits()),
                    _ => return wrong(self),
                },
            },
            Kind::Enum | Kind::Bool | Kind::Message(_) => return wrong(self),
            _ => match value.parse::<i128>() {
                Ok(number) => return self.integer(number).or_else(wrong),
                Err(_) => return wrong(self),
            },
        }
        Ok(())
    }
}

impl Value<'_> {
    /// Whether one value is expected here, not a list.
    fn is_scalar(&self) -> bool {
        !self.field.repeated || self.element
    }

    /// Writes an integer; gives `self` back when the field cannot hold it.
    fn integer(self, value: i128) -> Result<(), Self> {
        if !self.is_scalar() {
            return Err(self);
        }
        match self.field.kind {
            Kind::Double => self.fixed64((value as f64).to_bits()),
            Kind::Enum => match i32::try_from(value) {
                Ok(v) => self.varint(i64::from(v) as u64),
                Err(_) => return Err(self),
            },
            Kind::Sint32 => match i32::try_from(value) {
                Ok(v) => self.varint(u64::from(((v << 1) ^ (v >> 31)) as u32)),
                Err(_) => return Err(self),
            },
            Kind::Uint32 => match u32::try_from(value) {
                Ok(v) => self.varint(u64::from(v)),
                Err(_) => return Err(self),
            },
            Kind::Fixed32 => match u32::try_from(value) {
                Ok(v) => {
                    encode_key(self.field.number, WireType::ThirtyTwoBit, self.out);
                    self.out.extend_from_slice(&v.to_le_bytes());
                }
                Err(_) => return Err(self),
            },
            Kind::Int64 => match i64::try_from(value) {
                Ok(v) => self.varint(v as u64),
                Err(_) => return Err(self),
            },
            Kind::Sfixed64 => match i64::try_from(value) {
                Ok(v) => self.fixed64(v as u64),
                Err(_) => return Err(self),
            },
            Kind::Uint64 => match u64::try_from(value) {
                Ok(v) => self.varint(v),
                Err(_) => return Err(self),
            },
            Kind::Fixed64 => match u64::try_from(value) {
                Ok(v) => self.fixed64(v),
                Err(_) => return Err(self),
            },
            Kind::Message(_) | Kind::Text | Kind::Bytes | Kind::Id | Kind::Bool => return Err(self),
        }
        Ok(())
    }

    fn varint(self, value: u64) {
        encode_key(self.field.number, WireType::Varint, self.out);
        encode_varint(value, self.out);
    }

    fn fixed64(self, bits: u64) {
        encode_key(self.field.number, WireType::SixtyFourBit, self.out);
        self.out.extend_from_slice(&bits.to_le_bytes());
    }

    fn bytes(self, bytes: &[u8]) {
        encode_key(self.field.number, WireType::LengthDelimited, self.out);
        encode_varint(bytes.len() as u64, self.out);
        self.out.extend_from_slice(bytes);
    }
}

/// Puts the length of everything from `start` on in front of it. Moves those bytes, once per level of nesting.
pub(crate) fn insert_length(out: &mut Vec<u8>, start: usize) {
    let end = out.len();
    encode_varint((end - start) as u64, out);
    let prefix = out.len() - end;
    out[start..].rotate_right(prefix);
}
