//! The event times of rows, and the partitions that they fall into.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, TimeUnit, TimestampMillisecondType, TimestampNanosecondType};
use arrow::error::ArrowError;
use catalog::schema::{self, time_column};
use catalog::{Level, Partition, Table, Timestamp};

/// The values of the time column, in its own unit.
pub(crate) fn of(table: Table, rows: &RecordBatch) -> Result<Vec<i64>, ArrowError> {
    let wrong = || ArrowError::SchemaError(format!("{table} has no time column"));
    let column = rows.column_by_name(time_column(table)).ok_or_else(wrong)?;
    Ok(match column.data_type() {
        DataType::Timestamp(TimeUnit::Millisecond, _) => column.as_primitive::<TimestampMillisecondType>().values().to_vec(),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => column.as_primitive::<TimestampNanosecondType>().values().to_vec(),
        _ => return Err(wrong()),
    })
}

/// A time of `table` in its own unit as an instant.
pub(crate) fn instant(table: Table, value: i64) -> Timestamp {
    let schema = schema::rows(table);
    match schema.field_with_name(time_column(table)).map(|f| f.data_type().clone()) {
        Ok(DataType::Timestamp(TimeUnit::Millisecond, _)) => Timestamp::from_millis(value),
        _ => Timestamp::from_nanos(value),
    }
}

/// Splits rows by partition: each with its batches, in the order they came.
pub(super) fn split(
    table: Table,
    level: Level,
    batches: Vec<RecordBatch>,
) -> Result<BTreeMap<Partition, Vec<RecordBatch>>, ArrowError> {
    let partition = |value: i64| {
        let partition = Partition::of(table, instant(table, value));
        if level == Level::L2 { partition.whole_day() } else { partition }
    };
    let mut parts: BTreeMap<Partition, Vec<RecordBatch>> = BTreeMap::new();
    for batch in batches {
        let times = of(table, &batch)?;
        let (Some(first), Some(last)) = (times.iter().min(), times.iter().max()) else { continue };
        if partition(*first) == partition(*last) {
            parts.entry(partition(*first)).or_default().push(batch);
            continue;
        }
        let mut rows: BTreeMap<Partition, Vec<u32>> = BTreeMap::new();
        for (row, value) in times.iter().enumerate() {
            rows.entry(partition(*value)).or_default().push(row as u32);
        }
        for (partition, rows) in rows {
            parts.entry(partition).or_default().push(take_record_batch(&batch, &UInt32Array::from(rows))?);
        }
    }
    Ok(parts)
}
