//! `format(text, values...)` of Postgres (16, 9.4.1), with which clients put names and statements together: `%s`, `%I`, `%L`, `%%`. Widths and positions
//! are refused by name.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

/// Bytes of one answer.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Format {
    signature: Signature,
}

impl Format {
    pub(super) fn new() -> Self {
        Self { signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Format {
    fn name(&self) -> &'static str {
        "format"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let texts = |array: ArrayRef| cast(&array, &DataType::Utf8).map(|array| array.as_string::<i32>().clone());
        let columns =
            ColumnarValue::values_to_arrays(&args.args)?.into_iter().map(texts).collect::<Result<Vec<StringArray>, _>>()?;
        let Some((formats, values)) = columns.split_first() else { return exec_err!("format wants a text") };
        let mut texts = StringBuilder::new();
        for (row, format) in formats.iter().enumerate() {
            let value = |at: usize| values.get(at).map(|column| column.is_valid(row).then(|| column.value(row)));
            match format {
                Some(format) => texts.append_value(formatted(format, value)?),
                None => texts.append_null(),
            }
        }
        Ok(ColumnarValue::Array(Arc::new(texts.finish())))
    }
}

/// `format` with its places taken by `value(0)`, `value(1)`, ...: `None` if there is none, `Some(None)` if it is null.
///
/// # Errors
/// A place that is none, or that nothing is there for; a null where a name is wanted; a long text.
fn formatted<'a>(format: &str, value: impl Fn(usize) -> Option<Option<&'a str>>) -> Result<String> {
    let mut text = String::with_capacity(format.len());
    let (mut chars, mut taken) = (format.chars(), 0);
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let kind = match chars.next() {
            Some('%') => {
                text.push('%');
                continue;
            }
            Some(kind @ ('s' | 'I' | 'L')) => kind,
            Some(other) => return exec_err!("unrecognized format() type specifier \"{other}\"; there are %s, %I, %L and %%"),
            None => return exec_err!("unterminated format() type specifier"),
        };
        let Some(value) = value(taken) else { return exec_err!("too few arguments for format()") };
        taken += 1;
        match (kind, value) {
            ('s', value) => text.push_str(value.unwrap_or_default()),
            ('I', Some(name)) => text.push_str(&identifier(name)),
            ('I', None) => return exec_err!("null values cannot be formatted as an SQL identifier"),
            (_, Some(value)) => text.push_str(&format!("'{}'", value.replace('\'', "''"))),
            (_, None) => text.push_str("NULL"),
        }
        if text.len() > TEXT_BYTES_MAX {
            return exec_err!("format() makes more than {TEXT_BYTES_MAX} bytes, the limit");
        }
    }
    Ok(text)
}

/// A name, in quotes if it needs them.
fn identifier(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_taken_in_order() {
        #[track_caller]
        fn check(format: &str, values: &[Option<&'static str>], expected: Result<&str, &str>) {
            let got = formatted(format, |at| values.get(at).copied()).map_err(|e| e.strip_backtrace());
            match expected {
                Ok(text) => assert_eq!(got.as_deref(), Ok(text), "{format}"),
                Err(part) => assert!(got.as_ref().is_err_and(|e| e.contains(part)), "{got:?}"),
            }
        }
        check("%s FROM %s", &[Some("a"), Some("b")], Ok("a FROM b"));
        check("%I.%I", &[Some("public"), Some("My \"T\"")], Ok("public.\"My \"\"T\"\"\""));
        check("x = %L, %L, 100 %%", &[Some("it's"), None], Ok("x = 'it''s', NULL, 100 %"));
        check("[%s]", &[None], Ok("[]"));
        check("%s", &[], Err("too few arguments"));
        check("%I", &[None], Err("null values"));
        check("%5s", &[Some("a")], Err("type specifier"));
        check("%", &[], Err("unterminated"));
    }
}
