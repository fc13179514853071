//! `query_log`.

use catalog::{Table, schema};

use super::{Shape, Source, SqlColumn, SqlTable};

pub(super) fn tables() -> Vec<SqlTable> {
    vec![query_log()]
}

/// The stored columns as they are, the time first.
fn query_log() -> SqlTable {
    let rows: &'static arrow::datatypes::Schema = stored();
    let column = |name: &'static str| SqlColumn { name, source: Source::Column(name) };
    let others = rows.fields().iter().map(|field| field.name().as_str()).filter(|name| *name != "ts");
    let columns = std::iter::once("ts").chain(others).map(column).collect();
    SqlTable { name: "query_log", table: Table::QueryLog, columns, identity: None, shape: Shape::Row }
}

/// The schema of the stored rows, for as long as the process lives.
fn stored() -> &'static arrow::datatypes::Schema {
    static ROWS: std::sync::LazyLock<arrow::datatypes::SchemaRef> = std::sync::LazyLock::new(|| schema::rows(Table::QueryLog));
    &ROWS
}
