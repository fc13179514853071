//! Attribute values as JSON text, in the two forms that columns hold.
//!
//! - *canonical OTLP JSON* ([`write_value`]): lossless, `{"intValue":"2"}`, `{"arrayValue":{"values":[...]}}`;
//!   in `attrs_json` and `scope_attrs`.
//! - *shown* ([`write_shown`]): what Loki shows of a body that is no string, and what the string form of an attribute is: plain JSON
//!   with keys sorted, the last of equal keys kept, bytes as base64.

use std::collections::BTreeMap;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::report::Rule;
use crate::wire::{AnyValue, KeyValue, VALUE_DEPTH_MAX, WireError};

/// Why a value cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueError {
    /// The record that holds it is refused.
    Rule(Rule),
    /// The request is malformed.
    Wire(WireError),
}

impl From<WireError> for ValueError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Utf8 { .. } => Self::Rule(Rule::Utf8),
            WireError::TooDeep { .. } => Self::Rule(Rule::ValueDepth),
            other => Self::Wire(other),
        }
    }
}

/// Checks that `bytes` are UTF-8.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, ValueError> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| ValueError::Rule(Rule::Utf8))
}

/// Appends `text` as a JSON string.
pub(crate) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut done = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[done..at]);
        done = at + 1;
        if escape.is_empty() {
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escape);
        }
    }
    out.push_str(&text[done..]);
    out.push('"');
}

/// Appends a number that reads back as the same double and is never mistaken for an integer; what JSON lacks becomes a string.
pub(crate) fn write_double(value: f64, out: &mut String) {
    let _ = match value {
        v if v.is_nan() => write!(out, "\"NaN\""),
        v if v.is_infinite() => write!(out, "\"{}Infinity\"", if v < 0.0 { "-" } else { "" }),
        v => write!(out, "{v:?}"),
    };
}

/// Appends `value` as canonical OTLP JSON. `depth` is how deeply it is nested already.
///
/// # Errors
/// Text that is not UTF-8, values nested beyond [`VALUE_DEPTH_MAX`], malformed bytes. `out` then ends with a part of the value.
pub(crate) fn write_value(value: AnyValue<'_>, depth: usize, out: &mut String) -> Result<(), ValueError> {
    check_depth(depth)?;
    match value {
        AnyValue::Empty => out.push_str("{}"),
        AnyValue::Text(bytes) => {
            out.push_str("{\"stringValue\":");
            write_string(text(bytes)?, out);
            out.push('}');
        }
        AnyValue::Bool(value) => {
            let _ = write!(out, "{{\"boolValue\":{value}}}");
        }
        AnyValue::Int(value) => {
            let _ = write!(out, "{{\"intValue\":\"{value}\"}}");
        }
        AnyValue::Double(value) => {
            out.push_str("{\"doubleValue\":");
            write_double(value, out);
            out.push('}');
        }
        AnyValue::Bytes(bytes) => {
            out.push_str("{\"bytesValue\":\"");
            BASE64.encode_string(bytes, out);
            out.push_str("\"}");
        }
        AnyValue::Array(array) => {
            out.push_str("{\"arrayValue\":{\"values\":[");
            let mut list = Separated::default();
            AnyValue::elements(array, |element| {
                list.next(out);
                write_value(element, depth + 1, out)
            })?;
            out.push_str("]}}");
        }
        AnyValue::Map(map) => {
            out.push_str("{\"kvlistValue\":{\"values\":[");
            let mut list = Separated::default();
            AnyValue::entries(map, |entry| {
                list.next(out);
                write_entry(entry, depth + 1, out)
            })?;
            out.push_str("]}}");
        }
    }
    Ok(())
}

/// Appends one `{"key":...,"value":...}`, as lists of attributes are made of.
pub(crate) fn write_entry(entry: KeyValue<'_>, depth: usize, out: &mut String) -> Result<(), ValueError> {
    out.push_str("{\"key\":");
    write_string(text(entry.key)?, out);
    out.push_str(",\"value\":");
    write_value(entry.value, depth, out)?;
    out.push('}');
    Ok(())
}

/// Appends a value of an event's or link's attribute: plain scalars, and canonical OTLP JSON for everything else (an object, always).
pub(crate) fn write_scalar_or_value(value: AnyValue<'_>, out: &mut String) -> Result<(), ValueError> {
    match value {
        AnyValue::Text(bytes) => write_string(text(bytes)?, out),
        AnyValue::Bool(value) => {
            let _ = write!(out, "{value}");
        }
        AnyValue::Int(value) => {
            let _ = write!(out, "{value}");
        }
        AnyValue::Double(value) if value.is_finite() => write_double(value, out),
        other => return write_value(other, 0, out),
    }
    Ok(())
}

/// Appends `value` as Loki shows it: strings and bytes (base64) bare, everything else as plain JSON.
///
/// # Errors
/// As [`write_value`].
pub(crate) fn write_shown(value: AnyValue<'_>, out: &mut String) -> Result<(), ValueError> {
    match value {
        AnyValue::Empty => Ok(()),
        AnyValue::Text(bytes) => {
            out.push_str(text(bytes)?);
            Ok(())
        }
        AnyValue::Bytes(bytes) => {
            BASE64.encode_string(bytes, out);
            Ok(())
        }
        AnyValue::Double(value) if value.is_nan() => {
            out.push_str("NaN");
            Ok(())
        }
        AnyValue::Double(value) if value.is_infinite() => {
            out.push_str(if value < 0.0 { "-Inf" } else { "+Inf" });
            Ok(())
        }
        other => write_plain(other, 0, out),
    }
}

fn write_plain(value: AnyValue<'_>, depth: usize, out: &mut String) -> Result<(), ValueError> {
    check_depth(depth)?;
    match value {
        AnyValue::Empty => out.push_str("null"),
        AnyValue::Text(bytes) => write_string(text(bytes)?, out),
        AnyValue::Bool(value) => {
            let _ = write!(out, "{value}");
        }
        AnyValue::Int(value) => {
            let _ = write!(out, "{value}");
        }
        AnyValue::Double(value) => write_go_double(value, out),
        AnyValue::Bytes(bytes) => {
            out.push('"');
            BASE64.encode_string(bytes, out);
            out.push('"');
        }
        AnyValue::Array(array) => {
            out.push('[');
            let mut list = Separated::default();
            AnyValue::elements(array, |element| {
                list.next(out);
                write_plain(element, depth + 1, out)
            })?;
            out.push(']');
        }
        AnyValue::Map(map) => {
            let mut sorted = BTreeMap::new();
            AnyValue::entries(map, |entry| {
                sorted.insert(text(entry.key)?, entry.value);
                Ok::<_, ValueError>(())
            })?;
            out.push('{');
            let mut list = Separated::default();
            for (key, value) in sorted {
                list.next(out);
                write_string(key, out);
                out.push(':');
                write_plain(value, depth + 1, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

/// A double as Go's `encoding/json` writes it: no exponent from 1e-6 to 1e21.
fn write_go_double(value: f64, out: &mut String) {
    let magnitude = value.abs();
    let _ = match value {
        v if !v.is_finite() => {
            write_double(v, out);
            Ok(())
        }
        v if magnitude >= 1e21 => {
            let text = format!("{v:e}");
            write!(out, "{}", text.replacen('e', "e+", 1))
        }
        v if magnitude != 0.0 && magnitude < 1e-6 => write!(out, "{v:e}"),
        v => write!(out, "{v}"),
    };
}

fn check_depth(depth: usize) -> Result<(), ValueError> {
    if depth > VALUE_DEPTH_MAX { Err(ValueError::Rule(Rule::ValueDepth)) } else { Ok(()) }
}

/// Puts commas between, not after.
#[derive(Default)]
struct Separated {
    begun: bool,
}

impl Separated {
    fn next(&mut self, out: &mut String) {
        if std::mem::replace(&mut self.begun, true) {
            out.push(',');
        }
    }
}
