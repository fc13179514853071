//! Literals and names.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};

use gosyntax::duration::duration_text;
use gosyntax::quote::{holds_bytes, quote};

use crate::value::Value;
use crate::words;

/// A value as a query writes it.
pub(super) struct Literal<'a>(pub(super) &'a Value<'a>);

impl Display for Literal<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Nil => f.write_str("nil"),
            // whose digits alone are too large a number
            Value::Int(i64::MIN) => f.write_str("minInt"),
            Value::Int(value) => write!(f, "{value}"),
            // the shortest digits that give it back, and always a point or an exponent
            Value::Float(value) => write!(f, "{value:?}"),
            Value::Duration(ns) => f.write_str(&duration_text(*ns)),
            Value::Str(text) => f.write_str(&text_literal(text)),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Status(status) => f.write_str(words::text_of(&words::STATUSES, *status)),
            Value::Kind(kind) => f.write_str(words::text_of(&words::KINDS, *kind)),
            Value::List(values) => {
                f.write_str("[")?;
                for (at, value) in values.iter().enumerate() {
                    write!(f, "{}{}", if at == 0 { "" } else { ", " }, Literal(value))?;
                }
                f.write_str("]")
            }
        }
    }
}

/// In backquotes when that says it as it is.
fn text_literal(text: &str) -> String {
    if text.contains(['`', '\r']) || holds_bytes(text) { quote(text) } else { format!("`{text}`") }
}

/// Whether the literal begins with a sign.
pub(super) fn is_negative(value: &Value<'_>) -> bool {
    match value {
        Value::Int(i64::MIN) => false,
        Value::Int(value) | Value::Duration(value) => *value < 0,
        Value::Float(value) => value.is_sign_negative(),
        _ => false,
    }
}

/// The name of an attribute, in quotes when it cannot do without, or with `careful` when it reads as something else.
pub(super) fn attribute_name(name: &str, careful: bool) -> Cow<'_, str> {
    let ends = |c: char| c.is_whitespace() || "{}()=~!<>&|^,\"".contains(c);
    let number = name.starts_with(|c: char| c.is_ascii_digit());
    let other = careful && (words::intrinsic(name).is_some() || name.starts_with("span.") || name.starts_with("resource."));
    if name.is_empty() || name.contains(ends) || number || other {
        Cow::Owned(format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")))
    } else {
        Cow::Borrowed(name)
    }
}
