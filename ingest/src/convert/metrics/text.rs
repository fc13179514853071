//! Attribute values as label values: the text that the collector's `Value.AsString` gives.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::reject::{PointError, Reject};
use crate::wire::{AnyValue, VALUE_DEPTH_MAX};

/// `bytes` as text.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, Reject> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| Reject::Utf8)
}

/// The value as a label value. Arrays and maps become JSON (map keys ascending), bytes base64.
pub(crate) fn label_value(value: AnyValue<'_>) -> Result<String, PointError> {
    Ok(match value {
        AnyValue::Empty => String::new(),
        AnyValue::Text(text) => utf8(text)?.to_owned(),
        AnyValue::Bool(value) => value.to_string(),
        AnyValue::Int(value) => value.to_string(),
        AnyValue::Double(value) if value.is_finite() => json_float(value),
        // What Go's encoder says, which is what Prometheus stores.
        AnyValue::Double(value) => format!("json: unsupported value: {}", prometheus_float(value)),
        AnyValue::Bytes(bytes) => STANDARD.encode(bytes),
        AnyValue::Array(_) | AnyValue::Map(_) => {
            let mut text = String::new();
            write_json(value, 0, &mut text)?;
            text
        }
    })
}

/// A float as `le` and `quantile` values write it: shortest decimal that reads back the same, never an exponent.
pub(crate) fn prometheus_float(value: f64) -> String {
    if value == f64::INFINITY {
        "+Inf".to_owned()
    } else if value == f64::NEG_INFINITY {
        "-Inf".to_owned()
    } else {
        value.to_string()
    }
}

/// A finite float as JSON encoders of Go and JavaScript write it.
fn json_float(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{value:e}");
        return if size >= 1.0 { text.replacen('e', "e+", 1) } else { text };
    }
    value.to_string()
}

/// Appends the value as Go's `encoding/json` writes it.
fn write_json(value: AnyValue<'_>, depth: usize, out: &mut String) -> Result<(), PointError> {
    if depth > VALUE_DEPTH_MAX {
        return Err(Reject::ValueTooDeep.into());
    }
    match value {
        AnyValue::Empty => out.push_str("null"),
        AnyValue::Text(text) => out.push_str(&json_text(utf8(text)?)),
        AnyValue::Double(value) if !value.is_finite() => out.push_str("null"),
        AnyValue::Bool(_) | AnyValue::Int(_) | AnyValue::Double(_) => out.push_str(&label_value(value)?),
        AnyValue::Bytes(bytes) => out.push_str(&json_text(&STANDARD.encode(bytes))),
        AnyValue::Array(array) => {
            let mut separator = '[';
            AnyValue::elements(array, |item| {
                out.push(std::mem::replace(&mut separator, ','));
                write_json(item, depth + 1, out)
            })?;
            out.push_str(if separator == '[' { "[]" } else { "]" });
        }
        AnyValue::Map(map) => {
            let mut entries = std::collections::BTreeMap::new();
            AnyValue::entries(map, |entry| {
                entries.insert(utf8(entry.key)?, entry.value);
                Ok::<(), PointError>(())
            })?;
            out.push('{');
            for (at, (key, value)) in entries.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(&json_text(key));
                out.push(':');
                write_json(value, depth + 1, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn json_text(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::{AnyValue as Any, ArrayValue, KeyValue, KeyValueList, any_value::Value};
    use prost::Message;

    use super::*;

    #[track_caller]
    fn check(value: Value, expected: &str) {
        let bytes = Any { value: Some(value) }.encode_to_vec();
        assert_eq!(label_value(AnyValue::read(&bytes).unwrap()).unwrap(), expected);
    }

    #[test]
    fn values_as_the_collector_prints_them() {
        check(Value::StringValue("a\"b".into()), "a\"b");
        check(Value::BoolValue(true), "true");
        check(Value::IntValue(-9_223_372_036_854_775_808), "-9223372036854775808");
        check(Value::DoubleValue(1.5), "1.5");
        check(Value::DoubleValue(1.0), "1");
        check(Value::DoubleValue(1e21), "1e+21");
        check(Value::DoubleValue(1e20), "100000000000000000000");
        check(Value::DoubleValue(-2.5e-7), "-2.5e-7");
        check(Value::DoubleValue(f64::NAN), "json: unsupported value: NaN");
        check(Value::BytesValue(vec![1, 2, 255]), "AQL/");
        let text = |s: &str| Any { value: Some(Value::StringValue(s.into())) };
        let array = Value::ArrayValue(ArrayValue {
            values: vec![text("x"), Any { value: Some(Value::IntValue(1)) }, Any { value: None }],
        });
        check(array.clone(), r#"["x",1,null]"#);
        let entry = |key: &str, value: Any| KeyValue { key: key.into(), value: Some(value), ..Default::default() };
        let map = KeyValueList { values: vec![entry("b", Any { value: Some(array) }), entry("a", text("y"))] };
        check(Value::KvlistValue(map), r#"{"a":"y","b":["x",1,null]}"#);
    }

    #[test]
    fn nesting_is_bounded() {
        let mut value = Any { value: None };
        for _ in 0..40 {
            value = Any { value: Some(Value::ArrayValue(ArrayValue { values: vec![value] })) };
        }
        let bytes = value.encode_to_vec();
        assert_eq!(label_value(AnyValue::read(&bytes).unwrap()), Err(PointError::Reject(Reject::ValueTooDeep)));
    }

    #[test]
    fn floats_of_labels() {
        for (value, expected) in [(1.0, "1"), (0.005, "0.005"), (1e21, "1000000000000000000000"), (f64::INFINITY, "+Inf")] {
            assert_eq!(prometheus_float(value), expected);
        }
    }
}
