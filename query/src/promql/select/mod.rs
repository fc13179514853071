//! Samples and histograms of selected series, out of files and fresh rows.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMillisecondType;
use catalog::{TimeRange, Timestamp};

/// Times of the first and the last row of a batch of fresh rows.
pub(crate) fn batch_times(batch: &RecordBatch) -> Option<TimeRange> {
    let times = batch.column_by_name("ts")?.as_primitive_opt::<TimestampMillisecondType>()?.values();
    let (first, last) = (times.iter().min()?, times.iter().max()?);
    Some(TimeRange::new(Timestamp::from_millis(*first), Timestamp::from_millis(*last)))
}
