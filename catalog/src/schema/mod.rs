//! The Arrow schemas of the stored tables.
//!
//! Each table has two shapes:
//!
//! ```text
//! rows(table)    what receivers build, the log and the buffers hold, and every reader gets
//! stored(table)  what lies in Parquet: the same, but for values coded for size (samples, histograms)
//! ```
//!
//! Every column, nested ones included, has a Parquet field id; ids are never reused and never change meaning, so that a table
//! format can be published over the same files. No unsigned integers; trace ids are fixed 16, span ids fixed 8 bytes.
//! Adding a column is a new id at the end, nullable, and a raised [`SCHEMA_VERSION`]; readers fill missing columns with null.

mod logs;
mod metrics;
mod sort;
mod traces;
mod usage;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::array::MapFieldNames;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};

pub use sort::{sort_columns, time_column};

use crate::table::Table;

/// Version of the column layout, written into every file. Raised when a column is added.
pub const SCHEMA_VERSION: u32 = 1;

/// The Arrow metadata key under which `parquet` reads and writes field ids.
pub const FIELD_ID_KEY: &str = "PARQUET:field_id";

/// The schema of the rows of `table`, as they travel through the process. No columns for tables of users, whose files have their own.
pub fn rows(table: Table) -> SchemaRef {
    static SCHEMAS: LazyLock<HashMap<Table, SchemaRef>> = LazyLock::new(|| schemas(row_fields));
    Arc::clone(&SCHEMAS[&table])
}

/// The schema of the Parquet files of `table`.
pub fn stored(table: Table) -> SchemaRef {
    static SCHEMAS: LazyLock<HashMap<Table, SchemaRef>> = LazyLock::new(|| schemas(stored_fields));
    Arc::clone(&SCHEMAS[&table])
}

fn schemas(fields: fn(Table) -> Vec<Field>) -> HashMap<Table, SchemaRef> {
    Table::ALL.into_iter().chain([Table::User]).map(|table| (table, Arc::new(Schema::new(fields(table))))).collect()
}

fn row_fields(table: Table) -> Vec<Field> {
    match table {
        Table::Samples => metrics::samples(),
        Table::Series => metrics::series(),
        Table::Histograms => metrics::histograms(),
        Table::Exemplars => metrics::exemplars(),
        Table::Metadata => metrics::metadata(),
        Table::Logs => logs::logs(),
        Table::Streams => logs::streams(),
        Table::Spans => traces::spans(),
        Table::Resources => traces::resources(),
        Table::QueryLog => usage::query_log(),
        // The columns are the file's own.
        Table::User => Vec::new(),
    }
}

fn stored_fields(table: Table) -> Vec<Field> {
    match table {
        Table::Samples => metrics::samples_stored(),
        Table::Histograms => metrics::histograms_stored(),
        other => row_fields(other),
    }
}

/// Names inside a map: those of the Parquet specification. Pass to every `MapBuilder`.
pub fn map_field_names() -> MapFieldNames {
    MapFieldNames { entry: "key_value".to_owned(), key: "key".to_owned(), value: "value".to_owned() }
}

/// The entries field's key field, for `MapBuilder::with_keys_field`, of the map column with field id `id`.
pub fn map_key_field(id: i32) -> FieldRef {
    Arc::new(with_id(Field::new("key", DataType::Utf8, false), id * 100 + 1))
}

/// The entries field's value field, for `MapBuilder::with_values_field`, of the map column with field id `id`.
pub fn map_value_field(id: i32, value: DataType) -> FieldRef {
    Arc::new(with_id(Field::new("value", value, true), id * 100 + 2))
}

/// The field id of a field of one of these schemas.
pub fn field_id(field: &Field) -> Option<i32> {
    field.metadata().get(FIELD_ID_KEY)?.parse().ok()
}

fn with_id(field: Field, id: i32) -> Field {
    field.with_metadata(HashMap::from([(FIELD_ID_KEY.to_owned(), id.to_string())]))
}

fn required(id: i32, name: &str, data_type: DataType) -> Field {
    with_id(Field::new(name, data_type, false), id)
}

fn optional(id: i32, name: &str, data_type: DataType) -> Field {
    with_id(Field::new(name, data_type, true), id)
}

/// A string with few distinct values.
fn dictionary() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

fn time_ms() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some(Arc::from("UTC")))
}

fn time_ns() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some(Arc::from("UTC")))
}

/// A required map from text to `value`; its key and value have the ids `100 * id + 1` and `+ 2`.
fn map(id: i32, name: &str, value: DataType) -> Field {
    let entries = Fields::from(vec![map_key_field(id), map_value_field(id, value)]);
    let entries = Field::new("key_value", DataType::Struct(entries), false);
    required(id, name, DataType::Map(Arc::new(entries), false))
}

/// An optional list of required `item`s; the item has the id `100 * id + 1`.
fn list(id: i32, name: &str, item: DataType) -> Field {
    optional(id, name, DataType::List(Arc::new(required(id * 100 + 1, "element", item))))
}

/// The typed attribute maps: one column per OTLP value kind, `attrs_json` for arrays, maps and bytes (canonical OTLP JSON).
fn attributes(first_id: i32) -> [Field; 5] {
    [
        map(first_id, "attrs_str", DataType::Utf8),
        map(first_id + 1, "attrs_int", DataType::Int64),
        map(first_id + 2, "attrs_f64", DataType::Float64),
        map(first_id + 3, "attrs_bool", DataType::Boolean),
        map(first_id + 4, "attrs_json", DataType::Utf8),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn check_ids(table: Table, fields: &Fields, seen: &mut HashSet<i32>) {
        for field in fields {
            let wrapper = field.name() == "key_value";
            let id = field_id(field);
            assert!(wrapper || id.is_some_and(|id| seen.insert(id)), "{table}.{}: id missing or used twice", field.name());
            match field.data_type() {
                DataType::Struct(children) => check_ids(table, children, seen),
                DataType::Map(child, _) | DataType::List(child) => check_ids(table, &Fields::from(vec![Arc::clone(child)]), seen),
                other => assert!(!format!("{other:?}").contains("UInt"), "{table}.{}: unsigned", field.name()),
            }
        }
    }

    #[test]
    fn every_column_has_an_id_of_its_own() {
        for table in Table::ALL {
            check_ids(table, rows(table).fields(), &mut HashSet::new());
            check_ids(table, stored(table).fields(), &mut HashSet::new());
        }
    }

    #[test]
    fn sort_and_time_columns_exist() {
        for table in Table::ALL {
            for column in sort_columns(table).iter().copied().chain([time_column(table)]) {
                assert!(rows(table).column_with_name(column).is_some(), "{table}.{column}");
                assert!(stored(table).column_with_name(column).is_some(), "{table}.{column}");
            }
        }
    }
}
