//! The order of rows inside a file.

use crate::table::Table;

/// The columns by which every file of `table` is sorted, ascending, nulls first. Tables of users are not sorted.
pub fn sort_columns(table: Table) -> &'static [&'static str] {
    match table {
        Table::Samples | Table::Histograms | Table::Exemplars => &["metric", "sid", "ts"],
        Table::Series => &["metric", "sid", "ts"],
        Table::Metadata => &["metric", "ts"],
        Table::Logs => &["service", "stream_id", "ts"],
        Table::Streams => &["service", "stream_id", "ts"],
        Table::Spans => &["trace_id", "ts"],
        Table::Resources => &["resource_id", "ts"],
        Table::QueryLog => &["language", "ts"],
        Table::User => &[],
    }
}

/// The event time column that decides the partition and the file's time range.
///
/// For dictionary tables it is the time at which the row was first needed on that day.
pub fn time_column(_table: Table) -> &'static str {
    "ts"
}
