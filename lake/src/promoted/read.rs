//! Columns of attributes as entries of a map again.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, MapArray, StringArray, StructArray, UInt32Array, new_empty_array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{interleave, take};
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;

/// A map of the type of `field` with an entry for every value of `columns`, which all have `rows` rows, under the name of its column.
pub(crate) fn map_of(field: &Field, columns: &[(&str, &ArrayRef)], rows: usize) -> Result<ArrayRef, ArrowError> {
    let unlike = || ArrowError::SchemaError(format!("column {} is no map", field.name()));
    let DataType::Map(entries, is_sorted) = field.data_type() else { return Err(unlike()) };
    let DataType::Struct(fields) = entries.data_type() else { return Err(unlike()) };
    let mut offsets: Vec<i32> = Vec::with_capacity(rows + 1);
    let (mut names, mut places): (Vec<u32>, Vec<(usize, usize)>) = (Vec::new(), Vec::new());
    offsets.push(0);
    for row in 0..rows {
        for (at, (_, column)) in columns.iter().enumerate() {
            if column.is_valid(row) {
                names.push(at as u32);
                places.push((at, row));
            }
        }
        offsets.push(i32::try_from(places.len()).map_err(|_| ArrowError::OffsetOverflowError(places.len()))?);
    }
    let values = match columns {
        [] => new_empty_array(fields[1].data_type()),
        // Of one column that every row has the values are the map's.
        [(_, column)] if places.len() == rows => Arc::clone(column),
        columns => {
            let columns: Vec<&dyn Array> = columns.iter().map(|(_, column)| column.as_ref()).collect();
            interleave(&columns, &places)?
        }
    };
    let known: StringArray = columns.iter().map(|(name, _)| Some(*name)).collect();
    let names = take(&known, &UInt32Array::from(names), None)?;
    let pairs = StructArray::try_new(fields.clone(), vec![names, values], None)?;
    let map = MapArray::try_new(Arc::clone(entries), OffsetBuffer::new(offsets.into()), pairs, None, *is_sorted)?;
    Ok(Arc::new(map))
}
