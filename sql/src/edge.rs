//! Plain types for clients: no views, no dictionaries, no 64-bit offsets of text, no field metadata.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;

/// How timestamps leave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Times {
    /// In the unit of their column: milliseconds for metrics, nanoseconds for logs and traces.
    #[default]
    AsStored,
    /// In nanoseconds, the only unit that all clients of Flight read rightly.
    Nanoseconds,
}

/// The schema that a client sees for `schema`. All fields are nullable, those within lists and structs too, so that a plan's guess
/// about nulls is no promise; but for the entries of a map and their keys, which Arrow wants to be there.
pub fn edge_schema(schema: &Schema, times: Times) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| Field::new(field.name(), edge_type(field.data_type(), times), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The type that a client sees for `data_type`.
pub(crate) fn edge_type(data_type: &DataType, times: Times) -> DataType {
    let field = |field: &FieldRef, nullable| Arc::new(Field::new(field.name(), edge_type(field.data_type(), times), nullable));
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Timestamp(_, zone) if times == Times::Nanoseconds => DataType::Timestamp(TimeUnit::Nanosecond, zone.clone()),
        DataType::Dictionary(_, values) => edge_type(values, times),
        DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) | DataType::LargeListView(item) => {
            DataType::List(field(item, true))
        }
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(field(item, true), *length),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|f| field(f, true)).collect()),
        DataType::Map(entries, sorted) => match entries.data_type() {
            DataType::Struct(pair) => {
                let pair = pair.iter().enumerate().map(|(at, f)| field(f, at > 0)).collect();
                DataType::Map(Arc::new(Field::new(entries.name(), DataType::Struct(pair), false)), *sorted)
            }
            _ => data_type.clone(),
        },
        other => other.clone(),
    }
}

/// Bytes of text that one piece of an answer has, but for a single row that has more.
const PIECE_BYTES: usize = 16 << 20;

/// `batch` in pieces whose texts can be copied: views share their bytes, so a batch can stand for far more than it holds.
pub fn pieces(batch: RecordBatch) -> Vec<RecordBatch> {
    let row_bytes = |row: usize| -> usize {
        let view = |column: &ArrayRef| match column.data_type() {
            DataType::Utf8View => column.as_string_view().views()[row] as u32 as usize,
            DataType::BinaryView => column.as_binary_view().views()[row] as u32 as usize,
            _ => 0,
        };
        batch.columns().iter().map(view).sum()
    };
    if !batch.columns().iter().any(|column| matches!(column.data_type(), DataType::Utf8View | DataType::BinaryView)) {
        return vec![batch];
    }
    let (mut pieces, mut from, mut bytes) = (Vec::new(), 0, 0usize);
    for row in 0..batch.num_rows() {
        let more = row_bytes(row);
        if bytes.saturating_add(more) > PIECE_BYTES && row > from {
            pieces.push(batch.slice(from, row - from));
            (from, bytes) = (row, 0);
        }
        bytes = bytes.saturating_add(more);
    }
    pieces.push(batch.slice(from, batch.num_rows() - from));
    pieces
}

/// `batch` with the types of `schema`, its edge schema.
///
/// # Errors
/// When a value does not fit: a text column of more than 2 GiB, a time that nanoseconds cannot tell.
pub fn edge_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let exact = CastOptions { safe: false, ..CastOptions::default() };
    let columns =
        batch.columns().iter().zip(schema.fields()).map(|(column, field)| match column.data_type() == field.data_type() {
            true => Ok(Arc::clone(column)),
            false => cast_with_options(column, field.data_type(), &exact),
        });
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns.collect::<Result<Vec<_>, _>>()?, &options)
}

#[cfg(test)]
mod tests {
    use arrow::array::{StringViewArray, TimestampMillisecondArray};
    use arrow::datatypes::TimestampNanosecondType;

    use super::*;

    #[test]
    fn views_become_text() {
        let views: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), None]));
        let batch = RecordBatch::try_from_iter([("x", views)]).expect("one column");
        let schema = edge_schema(batch.schema_ref(), Times::AsStored);
        let edge = edge_batch(&batch, &schema).expect("text fits");
        assert_eq!(edge.column(0).as_string::<i32>().value(0), "a");
        assert!(edge.schema_ref().field(0).is_nullable());
    }

    #[test]
    fn long_texts_leave_in_pieces() {
        let long = "x".repeat(3 << 20);
        let views: ArrayRef = Arc::new(StringViewArray::from(vec![Some(long.as_str()); 12]));
        let batch = RecordBatch::try_from_iter([("x", views)]).expect("one column");
        let rows: Vec<usize> = pieces(batch.clone()).iter().map(RecordBatch::num_rows).collect();
        assert_eq!(rows, [5, 5, 2]);
        assert_eq!(pieces(batch.slice(0, 0)).len(), 1, "an empty batch is one piece");
    }

    #[test]
    fn times_become_nanoseconds_or_an_error() {
        let times =
            |ms: i64| -> ArrayRef { Arc::new(TimestampMillisecondArray::from(vec![Some(ms), None]).with_timezone("UTC")) };
        let batch = RecordBatch::try_from_iter([("ts", times(1_500))]).expect("one column");
        let schema = edge_schema(batch.schema_ref(), Times::Nanoseconds);
        assert_eq!(*schema.field(0).data_type(), DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())));
        let edge = edge_batch(&batch, &schema).expect("a time of our days");
        assert_eq!(edge.column(0).as_primitive::<TimestampNanosecondType>().value(0), 1_500_000_000);
        let late = RecordBatch::try_from_iter([("ts", times(i64::MAX / 2))]).expect("one column");
        assert!(edge_batch(&late, &schema).is_err(), "a time that does not fit is no null");
    }

    #[test]
    fn nothing_inside_promises_to_be_there() {
        let item = Arc::new(Field::new("item", DataType::Utf8View, false));
        let entries = Field::new("value", DataType::LargeUtf8, false);
        let pair = DataType::Struct(vec![Field::new("key", DataType::Utf8View, false), entries].into());
        let map = DataType::Map(Arc::new(Field::new("entries", pair, false)), false);
        let inside = vec![Field::new("l", DataType::LargeList(item), false), Field::new("m", map, false)];
        let schema = Schema::new(vec![Field::new("s", DataType::Struct(inside.into()), false)]);
        let edge = edge_type(&DataType::Struct(schema.fields().clone()), Times::AsStored).to_string();
        assert!(!edge.contains("View") && !edge.contains("Large"), "{edge}");
        assert_eq!(edge.matches("non-null").count(), 2, "{edge}"); // the entries of the map and their keys
        assert_eq!(
            edge_type(&edge_type(&DataType::Struct(schema.fields().clone()), Times::AsStored), Times::AsStored).to_string(),
            edge
        );
    }
}
