//! What a file's row groups hold, by their statistics: for readers that fetch and keep row groups one by one.

use arrow::array::ArrayRef;
use catalog::schema::{self, sort_columns, time_column};
use catalog::{FileEntry, TimeRange, Timestamp};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;

use super::prune::Value;
use crate::cache::Footer;

/// One row group. Bounds hold for every row; `None` when nothing is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowGroup {
    /// Rows.
    pub rows: u64,
    /// Smallest and largest text of the first sort column. A bound of 64 bytes or more may be cut, the upper one upwards.
    pub keys: Option<(String, String)>,
    /// Smallest and largest id of the second sort column.
    pub ids: Option<(i64, i64)>,
    /// Times of the first and the last row.
    pub time: Option<TimeRange>,
}

pub(crate) fn outline(file: &FileEntry, footer: &Footer) -> Vec<RowGroup> {
    let metadata = footer.reader.metadata();
    let sorted_by = sort_columns(file.table);
    let keys = sorted_by.first().and_then(|column| bounds(footer, column));
    let ids = sorted_by.get(1).and_then(|column| bounds(footer, column));
    let times = bounds(footer, time_column(file.table));
    let unit = schema::rows(file.table).field_with_name(time_column(file.table)).ok().and_then(|f| unit_ns(f.data_type()));
    let at = |bounds: &Option<(ArrayRef, ArrayRef)>, group: usize| {
        let (low, high) = bounds.as_ref()?;
        Some((Value::at(low.as_ref(), group)?, Value::at(high.as_ref(), group)?))
    };
    let describe = |(group, meta): (usize, &parquet::file::metadata::RowGroupMetaData)| RowGroup {
        rows: u64::try_from(meta.num_rows()).unwrap_or(0),
        keys: match at(&keys, group) {
            Some((Value::Bytes(low), Value::Bytes(high))) => String::from_utf8(low).ok().zip(String::from_utf8(high).ok()),
            _ => None,
        },
        ids: match at(&ids, group) {
            Some((Value::Int(low), Value::Int(high))) => Some((low, high)),
            _ => None,
        },
        time: match (at(&times, group), unit) {
            (Some((Value::Int(low), Value::Int(high))), Some(unit)) => {
                let instant = |value: i64| Timestamp::from_nanos(value.saturating_mul(unit));
                Some(TimeRange::new(instant(low), instant(high)))
            }
            _ => None,
        },
    };
    metadata.row_groups().iter().enumerate().map(describe).collect()
}

fn bounds(footer: &Footer, column: &str) -> Option<(ArrayRef, ArrayRef)> {
    let converter = StatisticsConverter::try_new(column, footer.reader.schema(), footer.reader.parquet_schema()).ok()?;
    let groups = || footer.reader.metadata().row_groups().iter();
    Some((converter.row_group_mins(groups()).ok()?, converter.row_group_maxes(groups()).ok()?))
}

/// Nanoseconds per unit of a timestamp column.
fn unit_ns(data_type: &arrow::datatypes::DataType) -> Option<i64> {
    use arrow::datatypes::{DataType, TimeUnit};
    match data_type {
        DataType::Timestamp(TimeUnit::Millisecond, _) => Some(1_000_000),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => Some(1),
        _ => None,
    }
}
