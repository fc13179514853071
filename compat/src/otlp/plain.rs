//! Values without their types, for who knows texts only: of a list or a map its JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use query::traceql::AnyValue;
use serde_json::{Value, json};

/// A value as text.
pub(crate) fn value_text(value: &AnyValue) -> String {
    match value {
        AnyValue::Str(text) => text.clone(),
        AnyValue::Empty => String::new(),
        other => match value_json(other) {
            Value::String(text) => text,
            json => json.to_string(),
        },
    }
}

/// A value as JSON. Bytes are base64; a float that JSON does not have is null.
pub(crate) fn value_json(value: &AnyValue) -> Value {
    match value {
        AnyValue::Str(text) => json!(text),
        AnyValue::Int(number) => json!(number),
        AnyValue::Double(number) => json!(number),
        AnyValue::Bool(flag) => json!(flag),
        AnyValue::Bytes(bytes) => json!(STANDARD.encode(bytes)),
        AnyValue::Empty => Value::Null,
        AnyValue::List(items) => Value::Array(items.iter().map(value_json).collect()),
        AnyValue::Map(pairs) => Value::Object(pairs.iter().map(|(key, value)| (key.clone(), value_json(value))).collect()),
    }
}
