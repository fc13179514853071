//! The functions that every template of Go has. Source: Go `text/template/funcs.go`.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::functions::Call;
use super::print::{print_value, sprint, sprintf, sprintln};
use super::value::Value;

type Result<'a> = std::result::Result<Value<'a>, String>;

/// `and` and `or`: what decided earlier did not come here.
pub(super) fn last<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(call.arguments.pop().unwrap_or(Value::Nil))
}

pub(super) fn not<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::Bool(!call.arguments[0].is_true()))
}

/// Compares two of one kind.
fn compare(left: &Value<'_>, right: &Value<'_>) -> std::result::Result<Option<Ordering>, String> {
    Ok(match (left, right) {
        (Value::Int(a) | Value::Int64(a), Value::Int(b) | Value::Int64(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Nil, Value::Nil) => Some(Ordering::Equal),
        _ => return Err(BAD_COMPARISON.to_owned()),
    })
}

const BAD_COMPARISON: &str = "incompatible types for comparison";
const BAD_TYPE: &str = "invalid type for comparison";

fn equal(left: &Value<'_>, right: &Value<'_>) -> std::result::Result<bool, String> {
    match (left, right) {
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Nil, _) | (_, Value::Nil) => Ok(false),
        (Value::Time(a), Value::Time(b)) => Ok(a == b),
        (Value::List(_) | Value::Map(_) | Value::Labels(_), _) | (_, Value::List(_) | Value::Map(_) | Value::Labels(_)) => {
            Err(format!("non-comparable type {}: {}", left.type_name(), right.type_name()))
        }
        _ => Ok(compare(left, right)? == Some(Ordering::Equal)),
    }
}

/// `eq a b c`: whether a is b or c.
pub(super) fn eq<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    let (first, others) = call.arguments.split_first().ok_or("missing argument for comparison")?;
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        if equal(first, other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

pub(super) fn ne<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    equal(&call.arguments[0], &call.arguments[1]).map(|equal| Value::Bool(!equal))
}

fn ordered<'a>(call: &Call<'a, '_>, holds: impl Fn(Ordering) -> bool) -> Result<'a> {
    let (left, right) = (&call.arguments[0], &call.arguments[1]);
    let has_no_order = |value: &Value<'_>| {
        matches!(value, Value::Bool(_) | Value::Nil | Value::List(_) | Value::Map(_) | Value::Labels(_) | Value::Time(_))
    };
    if has_no_order(left) || has_no_order(right) {
        return Err(BAD_TYPE.to_owned());
    }
    compare(left, right).map(|ordering| Value::Bool(ordering.is_some_and(holds)))
}

pub(super) fn lt<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    ordered(call, Ordering::is_lt)
}

pub(super) fn le<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    ordered(call, Ordering::is_le)
}

pub(super) fn gt<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    ordered(call, Ordering::is_gt)
}

pub(super) fn ge<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    ordered(call, Ordering::is_ge)
}

pub(super) fn len<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    let length = match &call.arguments[0] {
        Value::Text(text) => text.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        Value::Labels(labels) => labels.iter().count(),
        Value::Nil => return Err("len of nil pointer".to_owned()),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Value::Int(length as i64))
}

fn place(value: &Value<'_>, length: usize) -> std::result::Result<usize, String> {
    match value {
        Value::Int(at) | Value::Int64(at) => match usize::try_from(*at) {
            Ok(at) if at <= length => Ok(at),
            _ => Err(format!("index out of range: {at}")),
        },
        Value::Nil => Err("cannot index slice/array with nil".to_owned()),
        other => Err(format!("cannot index slice/array with type {}", other.type_name())),
    }
}

/// `index x 1 "a"`: `x[1]["a"]`
pub(super) fn index<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    let mut value = call.take(0);
    for key in &call.arguments[1..] {
        value = match (&value, key) {
            (Value::Text(text), key) => {
                let byte = text.get(place(key, text.len())?).ok_or_else(|| format!("index out of range: {}", text.len()))?;
                Value::Int(i64::from(*byte))
            }
            (Value::List(list), key) => {
                list.get(place(key, list.len())?).cloned().ok_or_else(|| format!("index out of range: {}", list.len()))?
            }
            (Value::Map(map), Value::Text(key)) => {
                map.iter().find(|(name, _)| name.as_bytes() == &**key).map_or(Value::Nil, |(_, value)| value.clone())
            }
            (Value::Labels(labels), Value::Text(key)) => {
                let value = std::str::from_utf8(key).ok().and_then(|key| labels.get(key)).unwrap_or_default();
                Value::Text(Cow::Borrowed(value.as_bytes()))
            }
            (Value::Map(_) | Value::Labels(_), key) => {
                return Err(format!("value has type {}; should be string", key.type_name()));
            }
            (Value::Nil, _) => return Err("index of untyped nil".to_owned()),
            (other, _) => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(value)
}

/// `slice x 1 2`: `x[1:2]`
pub(super) fn slice<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    let value = call.take(0);
    let bounds = &call.arguments[1..];
    if bounds.len() > 2 {
        return Err(format!("cannot 3-index slice a {}", value.type_name()));
    }
    let length = match &value {
        Value::Text(text) => text.len(),
        Value::List(list) => list.len(),
        Value::Nil => return Err("slice of untyped nil".to_owned()),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    let from = bounds.first().map_or(Ok(0), |bound| place(bound, length))?;
    let to = bounds.get(1).map_or(Ok(length), |bound| place(bound, length))?;
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    Ok(match value {
        Value::Text(text) => Value::bytes(text[from..to].to_vec()),
        Value::List(list) => Value::List(list[from..to].to_vec().into()),
        other => other,
    })
}

pub(super) fn print<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::bytes(sprint(&call.arguments)))
}

pub(super) fn println<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::bytes(sprintln(&call.arguments)))
}

pub(super) fn printf<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    let format = call.take(0);
    let Value::Text(format) = &format else { return Err("expected string".to_owned()) };
    sprintf(format, &call.arguments[1..]).map(Value::bytes)
}

/// The text of the arguments of an escaping function.
fn joined(call: &Call<'_, '_>) -> Vec<u8> {
    match call.arguments.as_slice() {
        [one] => {
            let mut out = Vec::new();
            print_value(one, &mut out);
            out
        }
        all => sprint(all),
    }
}

pub(super) fn html<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    let mut out = Vec::new();
    for byte in joined(call) {
        match byte {
            0 => out.extend_from_slice("\u{fffd}".as_bytes()),
            b'"' => out.extend_from_slice(b"&#34;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            _ => out.push(byte),
        }
    }
    Ok(Value::bytes(out))
}

pub(super) fn js<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    let text = joined(call);
    let mut out = String::new();
    for c in String::from_utf8_lossy(&text).chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            _ if c < ' ' || (!c.is_ascii() && !gosyntax::quote::is_printable(c)) => {
                out.push_str(&format!("\\u{:04X}", u32::from(c)));
            }
            _ => out.push(c),
        }
    }
    Ok(Value::text(out))
}

pub(super) fn urlquery<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::bytes(super::functions::query_escape(&joined(call))))
}
