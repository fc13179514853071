//! Columns without any value: most of those of logs, where a sender has nothing to say beyond the line.
//!
//! What is the same in every row need not be sorted, merged or decoded row by row.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, MapArray, StructArray, new_empty_array, new_null_array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;

/// Whether every row of `column` is null, or none is and each is an empty map.
pub(crate) fn is_blank(column: &dyn Array) -> bool {
    match column.as_map_opt() {
        Some(map) => map.null_count() == 0 && map.value_offsets().first() == map.value_offsets().last(),
        None => column.logical_null_count() == column.len(),
    }
}

/// `rows` rows of the column `field` without a value: empty maps, or nulls.
pub(crate) fn blank(field: &Field, rows: usize) -> Result<ArrayRef, ArrowError> {
    match field.data_type() {
        DataType::Map(entries, is_sorted) => {
            let none = StructArray::from(new_empty_array(entries.data_type()).to_data());
            let offsets = OffsetBuffer::new_zeroed(rows);
            Ok(Arc::new(MapArray::try_new(Arc::clone(entries), offsets, none, None, *is_sorted)?))
        }
        data_type => Ok(new_null_array(data_type, rows)),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};
    use catalog::{Table, schema};

    use super::*;

    #[test]
    fn what_is_made_blank_is_blank() {
        let rows = schema::rows(Table::Logs);
        for field in rows.fields().iter().filter(|field| field.is_nullable() || matches!(field.data_type(), DataType::Map(..))) {
            let column = blank(field, 3).expect("a type of the schema");
            assert!(column.len() == 3 && column.data_type() == field.data_type() && is_blank(&column), "{field}");
        }
        assert!(!is_blank(&StringArray::from(vec![None, Some("")])));
        assert!(!is_blank(&Int64Array::from(vec![0])));
    }
}
