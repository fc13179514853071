//! Late materialisation: ids and times are decoded first, then texts that are tested, and the other columns only for rows that pass.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, BooleanBufferBuilder, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMillisecondType, TimestampNanosecondType};
use arrow::error::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowPredicate, ArrowPredicateFn, RowFilter};
use parquet::schema::types::SchemaDescriptor;

use super::prune::{Bounds, Value};
use crate::cache::Footer;
use crate::predicate::{ColumnTest, Test, TextTest};

/// The tests that are worth checking row by row: ids in a set, a time range that cuts the file, and `texts`.
///
/// # Errors
/// The column of `texts` is none of texts without nulls.
pub(super) fn row_filter(
    footer: &Footer,
    tests: &[ColumnTest],
    texts: Option<&Arc<dyn TextTest>>,
) -> Result<Option<RowFilter>, ArrowError> {
    let parquet = footer.reader.parquet_schema();
    let mut predicates: Vec<(u8, Box<dyn ArrowPredicate>)> = Vec::new();
    for test in tests {
        let Some((position, field)) = footer.reader.schema().fields().find(&test.column) else { continue };
        let Some(bounds) = Bounds::of(&test.test, field.data_type()) else { continue };
        match (&test.test, bounds, field.data_type()) {
            (Test::In(_), Bounds::In(values), DataType::Int64) => {
                let ids: HashSet<i64> =
                    values.into_iter().filter_map(|v| if let Value::Int(v) = v { Some(v) } else { None }).collect();
                predicates.push((0, predicate(parquet, position, move |column| Ok(int_in(column, &ids)))));
            }
            (Test::In(_), Bounds::In(values), DataType::FixedSizeBinary(_)) => {
                let ids: HashSet<Vec<u8>> =
                    values.into_iter().filter_map(|v| if let Value::Bytes(v) = v { Some(v) } else { None }).collect();
                predicates.push((0, predicate(parquet, position, move |column| Ok(id_in(column, &ids)))));
            }
            (Test::Between(..), Bounds::Between(low, high), DataType::Timestamp(unit, _)) => {
                let unit = *unit;
                predicates.push((1, predicate(parquet, position, move |column| within(column, unit, &low, &high))));
            }
            _ => {}
        }
    }
    if let Some(texts) = texts {
        let unlike = || ArrowError::SchemaError(format!("column {} has no texts to test", texts.column()));
        let (position, field) = footer.reader.schema().fields().find(texts.column()).ok_or_else(unlike)?;
        if *field.data_type() != DataType::Utf8 || field.is_nullable() {
            return Err(unlike());
        }
        let texts = Arc::clone(texts);
        let passes = move |column: &dyn Array| {
            let column = column.as_string::<i32>();
            let mut rows = vec![true; column.len()];
            texts.retain(column.value_data(), column.value_offsets(), &mut rows);
            Ok(BooleanArray::new(BooleanBuffer::collect_bool(rows.len(), |row| rows[row]), None))
        };
        predicates.push((2, predicate(parquet, position, passes)));
    }
    if predicates.is_empty() {
        return Ok(None);
    }
    predicates.sort_by_key(|(order, _)| *order);
    Ok(Some(RowFilter::new(predicates.into_iter().map(|(_, p)| p).collect())))
}

fn predicate(
    parquet: &SchemaDescriptor,
    position: usize,
    mut test: impl FnMut(&dyn Array) -> Result<BooleanArray, ArrowError> + Send + 'static,
) -> Box<dyn ArrowPredicate> {
    let mask = ProjectionMask::roots(parquet, [position]);
    Box::new(ArrowPredicateFn::new(mask, move |batch: RecordBatch| test(batch.column(0))))
}

/// Runs of one id, as sorted files have them, cost one look-up each.
fn int_in(column: &dyn Array, ids: &HashSet<i64>) -> BooleanArray {
    let column = column.as_primitive::<Int64Type>();
    let values = column.values();
    let mut passing = BooleanBufferBuilder::new(values.len());
    let mut at = 0;
    while let Some(first) = values.get(at) {
        let run = values[at..].iter().take_while(|value| *value == first).count();
        passing.append_n(run, ids.contains(first));
        at += run;
    }
    let passing = passing.finish();
    // A null passes nothing, whatever number stands in its place.
    let passing = match column.nulls() {
        Some(nulls) => &passing & nulls.inner(),
        None => passing,
    };
    BooleanArray::new(passing, None)
}

fn id_in(column: &dyn Array, ids: &HashSet<Vec<u8>>) -> BooleanArray {
    column.as_fixed_size_binary().iter().map(|id| Some(id.is_some_and(|id| ids.contains(id)))).collect()
}

fn within(column: &dyn Array, unit: TimeUnit, low: &Option<Value>, high: &Option<Value>) -> Result<BooleanArray, ArrowError> {
    let bound = |value: &Option<Value>, open: i64| if let Some(Value::Int(v)) = value { *v } else { open };
    let (low, high) = (bound(low, i64::MIN), bound(high, i64::MAX));
    let inside = |values: &[i64]| BooleanArray::from_iter(values.iter().map(|v| Some((low..=high).contains(v))));
    Ok(match unit {
        TimeUnit::Millisecond => inside(column.as_primitive::<TimestampMillisecondType>().values()),
        TimeUnit::Nanosecond => inside(column.as_primitive::<TimestampNanosecondType>().values()),
        other => return Err(ArrowError::SchemaError(format!("times are never stored in {other:?}"))),
    })
}
