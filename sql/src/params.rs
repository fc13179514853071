//! Query parameters: JSON values bound to `$1` or `$name`.

use std::collections::HashMap;

use datafusion::common::{ParamValues, ScalarValue};
use serde_json::Value;

use crate::error::{Error, Result};

/// Most parameters of one query.
const PARAMS_MAX: usize = 1_000;

/// The parameters of a request: a JSON array binds `$1`, `$2`, ..., an object binds `$name`.
///
/// A value is null, a boolean, a number (whole numbers bind as 64-bit integers, others as floats) or a text; or an object
/// `{"type": T, "value": V}` with T one of `text`, `int`, `float`, `bool`, `timestamp` (RFC 3339 text, or nanoseconds as a number).
///
/// # Errors
/// `Parameter` says which value is wrong.
pub fn parse(params: &Value) -> Result<Option<ParamValues>> {
    match params {
        Value::Null => Ok(None),
        Value::Array(values) if values.len() <= PARAMS_MAX => {
            let values = values.iter().enumerate().map(|(i, v)| scalar(&format!("${}", i + 1), v));
            Ok(Some(ParamValues::from(values.collect::<Result<Vec<_>>>()?)))
        }
        Value::Object(values) if values.len() <= PARAMS_MAX => {
            let values = values.iter().map(|(name, v)| Ok((name.trim_start_matches('$').to_owned(), scalar(name, v)?)));
            Ok(Some(ParamValues::from(values.collect::<Result<HashMap<_, _>>>()?)))
        }
        Value::Array(_) | Value::Object(_) => Err(wrong(format!("more than {PARAMS_MAX} values"))),
        _ => Err(wrong("must be a JSON array or object".to_owned())),
    }
}

fn wrong(reason: String) -> Error {
    Error::Parameter { name: "params", reason }
}

fn scalar(name: &str, value: &Value) -> Result<ScalarValue> {
    Ok(match value {
        Value::Null => ScalarValue::Null,
        Value::Bool(v) => ScalarValue::Boolean(Some(*v)),
        Value::Number(v) => match v.as_i64() {
            Some(v) => ScalarValue::Int64(Some(v)),
            None => ScalarValue::Float64(v.as_f64()),
        },
        Value::String(v) => ScalarValue::Utf8(Some(v.clone())),
        Value::Object(typed) => match (typed.get("type").and_then(Value::as_str), typed.get("value")) {
            (Some(kind), Some(value)) => typed_scalar(name, kind, value)?,
            _ => return Err(wrong(format!("{name} must have a type and a value"))),
        },
        Value::Array(_) => return Err(wrong(format!("{name} is a list; bind its elements one by one"))),
    })
}

fn typed_scalar(name: &str, kind: &str, value: &Value) -> Result<ScalarValue> {
    let misfit = || wrong(format!("{name} is no {kind}"));
    if value.is_null() {
        return Ok(ScalarValue::Null);
    }
    Ok(match kind {
        "text" => ScalarValue::Utf8(Some(value.as_str().ok_or_else(misfit)?.to_owned())),
        "int" => ScalarValue::Int64(Some(number(value).ok_or_else(misfit)?)),
        "float" => {
            ScalarValue::Float64(Some(value.as_f64().or_else(|| value.as_str().and_then(|v| v.parse().ok())).ok_or_else(misfit)?))
        }
        "bool" => ScalarValue::Boolean(Some(value.as_bool().ok_or_else(misfit)?)),
        "timestamp" => {
            let ns = match value.as_str() {
                Some(text) => arrow::compute::kernels::cast_utils::string_to_timestamp_nanos(text).map_err(|_| misfit())?,
                None => number(value).ok_or_else(misfit)?,
            };
            ScalarValue::TimestampNanosecond(Some(ns), Some("UTC".into()))
        }
        other => return Err(wrong(format!("{name} has the unknown type {other:?}"))),
    })
}

/// A whole number, or its text (JavaScript cannot write 64 bits as a number).
fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str().and_then(|v| v.parse().ok()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_bind_by_type() {
        #[track_caller]
        fn check(value: &Value, expected: ScalarValue) {
            assert_eq!(scalar("$1", value).expect("binds"), expected);
        }
        check(&json!(1), ScalarValue::Int64(Some(1)));
        check(&json!(1.5), ScalarValue::Float64(Some(1.5)));
        check(&json!("x"), ScalarValue::Utf8(Some("x".into())));
        check(&json!({"type": "int", "value": "9223372036854775807"}), ScalarValue::Int64(Some(i64::MAX)));
        let second = ScalarValue::TimestampNanosecond(Some(1_000_000_000), Some("UTC".into()));
        check(&json!({"type": "timestamp", "value": "1970-01-01T00:00:01Z"}), second);
        assert!(parse(&json!([[1]])).is_err());
        assert!(parse(&json!("x")).is_err());
        assert!(parse(&json!([{"type": "int", "value": "x"}])).is_err());
    }
}
