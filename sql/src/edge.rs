//! Plain types for clients: no views, no dictionaries, no 64-bit offsets of text, no field metadata.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;

/// The schema that a client sees for `schema`. All fields are nullable, so that a plan's guess about nulls is no promise.
pub fn edge_schema(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(
        schema.fields().iter().map(|field| Field::new(field.name(), edge_type(field.data_type()), true)).collect::<Vec<_>>(),
    ))
}

fn edge_type(data_type: &DataType) -> DataType {
    let inner = |field: &FieldRef| Arc::new(Field::new(field.name(), edge_type(field.data_type()), field.is_nullable()));
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Dictionary(_, values) => edge_type(values),
        DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) | DataType::LargeListView(item) => {
            DataType::List(inner(item))
        }
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        DataType::Map(entries, sorted) => DataType::Map(inner(entries), *sorted),
        other => other.clone(),
    }
}

/// `batch` with the types of `schema`, its edge schema.
///
/// # Errors
/// When a value does not fit, a text column of more than 2 GiB say.
pub fn edge_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns =
        batch.columns().iter().zip(schema.fields()).map(|(column, field)| match column.data_type() == field.data_type() {
            true => Ok(Arc::clone(column)),
            false => cast(column, field.data_type()),
        });
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns.collect::<Result<Vec<_>, _>>()?, &options)
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, AsArray, StringViewArray};

    use super::*;

    #[test]
    fn views_become_text() {
        let views: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), None]));
        let batch = RecordBatch::try_from_iter([("x", views)]).expect("one column");
        let schema = edge_schema(batch.schema_ref());
        let edge = edge_batch(&batch, &schema).expect("text fits");
        assert_eq!(edge.column(0).as_string::<i32>().value(0), "a");
        assert!(edge.schema_ref().field(0).is_nullable());
    }
}
