//! The value of a key in a map of text, row by row.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, MapArray, StringArray, StringBuilder};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::ColumnarValue;

/// What an absent key gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absent {
    /// Null.
    Null,
    /// The empty text.
    Empty,
}

/// The value under `args[1]` in each map of `args[0]`; the first one if the key occurs twice.
pub(super) fn map_value(function: &str, args: &[ColumnarValue], rows: usize, absent: Absent) -> Result<ColumnarValue> {
    let [maps, keys] = args else {
        return Err(DataFusionError::Plan(format!("{function} takes a map and a key")));
    };
    let maps = maps.to_array(rows)?;
    let maps = maps.as_map_opt().ok_or_else(|| DataFusionError::Plan(format!("{function} takes a map and a key")))?;
    let keys = arrow::compute::cast(&keys.to_array(rows)?, &arrow::datatypes::DataType::Utf8)?;
    let keys = keys.as_string::<i32>();
    let (names, values) = match (maps.keys().as_string_opt::<i32>(), maps.values().as_string_opt::<i32>()) {
        (Some(names), Some(values)) => (names, values),
        _ => return Err(DataFusionError::Plan(format!("{function} takes a map from text to text"))),
    };
    let mut out = StringBuilder::with_capacity(rows, rows * 8);
    for row in 0..rows {
        let at = if keys.is_valid(row) && maps.is_valid(row) { position(maps, names, row, keys.value(row)) } else { None };
        match (at.filter(|at| values.is_valid(*at)), absent) {
            (Some(at), _) => out.append_value(values.value(at)),
            (None, Absent::Empty) => out.append_value(""),
            (None, Absent::Null) => out.append_null(),
        }
    }
    Ok(ColumnarValue::Array(Arc::new(out.finish()) as ArrayRef))
}

fn position(maps: &MapArray, names: &StringArray, row: usize, key: &str) -> Option<usize> {
    let (start, end) = (maps.value_offsets()[row] as usize, maps.value_offsets()[row + 1] as usize);
    (start..end).find(|&at| names.value(at) == key)
}
