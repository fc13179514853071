//! One value as JSON.
//!
//! Whole numbers and finite floats are JSON numbers; NaN and the infinities are the texts `"NaN"`, `"+Inf"`, `"-Inf"`; times are
//! RFC 3339 text; maps and structs are objects, lists arrays, bytes hex text.

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, FixedSizeBinaryArray, ListArray, MapArray, StringArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::broken;
use crate::error::Result;

/// A column, ready to be written value by value.
pub(super) struct Column<'a> {
    nulls: Option<NullBuffer>,
    values: Values<'a>,
}

enum Values<'a> {
    Null,
    Bool(&'a BooleanArray),
    Int(&'a [i64]),
    Float(&'a [f64]),
    Text(&'a StringArray),
    Bytes(&'a BinaryArray),
    FixedBytes(&'a FixedSizeBinaryArray),
    List(&'a ListArray, Box<Column<'a>>),
    Map(&'a MapArray, &'a StringArray, Box<Column<'a>>),
    Struct(Vec<(String, Column<'a>)>),
    /// Numbers that are printed as they are.
    Number(ArrayFormatter<'a>),
    /// Everything else, times above all.
    Quoted(ArrayFormatter<'a>),
}

const OPTIONS: FormatOptions<'static> = FormatOptions::new();

impl<'a> Column<'a> {
    pub(super) fn new(array: &'a ArrayRef) -> Result<Self> {
        let formatter = || ArrayFormatter::try_new(array.as_ref(), &OPTIONS).map_err(broken);
        let values = match array.data_type() {
            DataType::Null => Values::Null,
            DataType::Boolean => Values::Bool(array.as_boolean()),
            DataType::Int64 => Values::Int(array.as_primitive::<Int64Type>().values()),
            DataType::Float64 => Values::Float(array.as_primitive::<Float64Type>().values()),
            DataType::Utf8 => Values::Text(array.as_string()),
            DataType::Binary => Values::Bytes(array.as_binary()),
            DataType::FixedSizeBinary(_) => Values::FixedBytes(array.as_fixed_size_binary()),
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                Values::List(list, Box::new(Column::new(list.values())?))
            }
            DataType::Map(..) => {
                let map = array.as_map();
                match map.keys().as_string_opt::<i32>() {
                    Some(keys) => Values::Map(map, keys, Box::new(Column::new(map.values())?)),
                    None => Values::Quoted(formatter()?),
                }
            }
            DataType::Struct(fields) => {
                let parts = array.as_struct().columns().iter().zip(fields);
                Values::Struct(parts.map(|(part, field)| Ok((field.name().clone(), Column::new(part)?))).collect::<Result<_>>()?)
            }
            t if t.is_integer() => Values::Number(formatter()?),
            DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) => Values::Number(formatter()?),
            _ => Values::Quoted(formatter()?),
        };
        Ok(Self { nulls: array.logical_nulls(), values })
    }

    pub(super) fn is_null(&self, row: usize) -> bool {
        matches!(self.values, Values::Null) || self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// The value without JSON's quotes; nested values as JSON.
    pub(super) fn write_plain(&self, row: usize, out: &mut Vec<u8>) {
        match &self.values {
            _ if self.is_null(row) => {}
            Values::Text(texts) => out.extend_from_slice(texts.value(row).as_bytes()),
            Values::Bytes(_) | Values::FixedBytes(_) | Values::Float(_) | Values::Quoted(_) => {
                let start = out.len();
                self.write(row, out);
                if out.len() >= start + 2 && out[start] == b'"' {
                    out.pop();
                    out.remove(start);
                }
            }
            _ => self.write(row, out),
        }
    }

    /// The value as JSON.
    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return out.extend_from_slice(b"null");
        }
        match &self.values {
            Values::Null => out.extend_from_slice(b"null"),
            Values::Bool(v) => out.extend_from_slice(if v.value(row) { b"true" } else { b"false" }),
            Values::Int(v) => out.extend_from_slice(v[row].to_string().as_bytes()),
            Values::Float(v) => write_float(v[row], out),
            Values::Text(v) => write_text(v.value(row), out),
            Values::Bytes(v) => write_hex(v.value(row), out),
            Values::FixedBytes(v) => write_hex(v.value(row), out),
            Values::Number(v) => out.extend_from_slice(v.value(row).to_string().as_bytes()),
            Values::Quoted(v) => write_text(&v.value(row).to_string(), out),
            Values::List(list, items) => {
                let range = list.value_offsets()[row] as usize..list.value_offsets()[row + 1] as usize;
                out.push(b'[');
                for (i, at) in range.enumerate() {
                    separate(i, out);
                    items.write(at, out);
                }
                out.push(b']');
            }
            Values::Map(map, keys, values) => {
                let range = map.value_offsets()[row] as usize..map.value_offsets()[row + 1] as usize;
                out.push(b'{');
                for (i, at) in range.enumerate() {
                    separate(i, out);
                    write_text(keys.value(at), out);
                    out.push(b':');
                    values.write(at, out);
                }
                out.push(b'}');
            }
            Values::Struct(parts) => {
                out.push(b'{');
                for (i, (name, part)) in parts.iter().enumerate() {
                    separate(i, out);
                    write_text(name, out);
                    out.push(b':');
                    part.write(row, out);
                }
                out.push(b'}');
            }
        }
    }
}

/// The columns of a batch.
/// The values of `array` as JSON text; null stays null.
///
/// # Errors
/// `Encode`: a value cannot be written.
pub(crate) fn json_text(array: &ArrayRef) -> Result<StringArray> {
    let column = Column::new(array)?;
    let mut written = Vec::new();
    let texts = (0..array.len()).map(|row| {
        written.clear();
        column.write(row, &mut written);
        (!column.is_null(row)).then(|| String::from_utf8_lossy(&written).into_owned())
    });
    Ok(texts.collect())
}

pub(super) fn columns(batch: &arrow::array::RecordBatch) -> Result<Vec<Column<'_>>> {
    batch.columns().iter().map(Column::new).collect()
}

pub(super) fn separate(i: usize, out: &mut Vec<u8>) {
    if i > 0 {
        out.push(b',');
    }
}

/// A JSON text.
pub(super) fn write_text(text: &str, out: &mut Vec<u8>) {
    // Writing a text to memory cannot fail.
    drop(serde_json::to_writer(out, text));
}

fn write_float(value: f64, out: &mut Vec<u8>) {
    if value.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"\"+Inf\"" } else { b"\"-Inf\"" });
    } else {
        drop(serde_json::to_writer(out, &value));
    }
}

fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in bytes {
        out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
    out.push(b'"');
}
