//! The tables that SQL shows, and how each of their columns comes out of storage.
//!
//! ```text
//! stored rows (dictionary, ids as bytes, five attribute maps)  ──present──►  SQL rows (text, hex ids, one map, labels joined)
//! ```
//! A [`SqlTable`] is data; `scan` reads by it. Times keep their unit: milliseconds for metrics, nanoseconds for logs and traces,
//! all UTC.

mod logs;
mod metrics;
mod traces;
mod usage;

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use catalog::{Table, schema};

/// A table of the schema `public` or `usage`.
#[derive(Debug)]
pub(crate) struct SqlTable {
    /// Name in SQL.
    pub(crate) name: &'static str,
    /// Where its rows lie.
    pub(crate) table: Table,
    /// Its columns, in order.
    pub(crate) columns: Vec<SqlColumn>,
    /// Which stored rows are the same row.
    pub(crate) identity: Option<Identity>,
    /// What one stored row becomes.
    pub(crate) shape: Shape,
}

/// One column.
#[derive(Debug)]
pub(crate) struct SqlColumn {
    /// Name in SQL.
    pub(crate) name: &'static str,
    /// Where it comes from.
    pub(crate) source: Source,
}

/// Where a SQL column comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The stored column; dictionary text becomes plain text.
    Column(&'static str),
    /// Fixed-size bytes as lower-case hex.
    Hex(&'static str),
    /// A number with names: span kind, status code.
    Names(&'static str, &'static [&'static str]),
    /// The five attribute maps as one map of text.
    Attributes,
    /// A map out of a dictionary table, found by an id of the row. Unknown ids give the empty map.
    Lookup(Lookup),
    /// The list of links with hex ids.
    Links,
    /// A field of one element of the column `events`; only in the shape [`Shape::Events`].
    Event(&'static str),
}

/// The dictionary behind a [`Source::Lookup`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Lookup {
    /// The fact's column that holds the id.
    pub(crate) key: &'static str,
    /// The dictionary table.
    pub(crate) table: Table,
    /// The dictionary's own column with the id.
    pub(crate) id: &'static str,
    /// The stored map to take; `None` merges the five attribute maps.
    pub(crate) map: Option<&'static str>,
}

/// When two stored rows are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The column with the id: a number, or text for metadata.
    pub(crate) id: &'static str,
    /// Whether the day stands in for the exact time: dictionary rows are written once a day by each writer.
    pub(crate) per_day: bool,
    /// Which of the two stays.
    pub(crate) keep: Keep,
}

/// Which of two equal rows stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// The one that was written last.
    Newest,
    /// The one that was written first.
    Oldest,
}

/// What one stored row becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One row.
    Row,
    /// One row per element of the column `events`.
    Events,
}

impl SqlTable {
    /// Every table of `public`, by name.
    pub(crate) fn all() -> &'static [SqlTable] {
        static TABLES: LazyLock<Vec<SqlTable>> = LazyLock::new(|| {
            let mut tables = metrics::tables();
            tables.extend(logs::tables());
            tables.extend(traces::tables());
            tables.sort_by_key(|t| t.name);
            tables
        });
        &TABLES
    }

    /// Every table of `usage`, by name.
    pub(crate) fn usage() -> &'static [SqlTable] {
        static TABLES: LazyLock<Vec<SqlTable>> = LazyLock::new(usage::tables);
        &TABLES
    }

    /// The table of `public` of that name.
    pub(crate) fn by_name(name: &str) -> Option<&'static SqlTable> {
        Self::all().iter().find(|t| t.name == name)
    }

    /// Its schema in SQL.
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.columns.iter().map(|c| self.field(c)).collect::<Vec<_>>()))
    }

    /// The field of one of its columns.
    fn field(&self, column: &SqlColumn) -> FieldRef {
        let stored = |name: &str| {
            let rows = schema::rows(self.table);
            let field = rows.field_with_name(name).expect("table specifications name columns of the stored schema");
            (plain_type(field.data_type()), field.is_nullable())
        };
        let (data_type, nullable) = match column.source {
            Source::Column(name) => stored(name),
            Source::Hex(name) | Source::Names(name, _) => (DataType::Utf8View, stored(name).1),
            Source::Attributes | Source::Lookup(_) => (text_map(), false),
            Source::Links => (links_type(), true),
            Source::Event(name) => {
                let (data_type, _) = stored("events");
                let DataType::List(element) = &data_type else { unreachable!("events is a list") };
                let DataType::Struct(fields) = element.data_type() else { unreachable!("of structs") };
                let field = fields.iter().find(|f| f.name() == name).expect("table specifications name fields of events");
                (field.data_type().clone(), field.is_nullable())
            }
        };
        Arc::new(Field::new(column.name, data_type, nullable))
    }

    /// The stored columns that `column` is made of.
    pub(crate) fn stored_columns(column: &SqlColumn) -> Vec<&'static str> {
        match column.source {
            Source::Column(name) | Source::Hex(name) | Source::Names(name, _) => vec![name],
            Source::Attributes => ATTRIBUTES.to_vec(),
            Source::Lookup(lookup) => vec![lookup.key],
            Source::Links => vec!["links"],
            Source::Event(_) => vec!["events"],
        }
    }
}

/// The columns that hold attributes, in the order in which a key is looked for.
pub(crate) const ATTRIBUTES: [&str; 5] = ["attrs_str", "attrs_int", "attrs_f64", "attrs_bool", "attrs_json"];

fn column(name: &'static str) -> SqlColumn {
    SqlColumn { name, source: Source::Column(name) }
}

fn from(name: &'static str, source: Source) -> SqlColumn {
    SqlColumn { name, source }
}

/// The resource of a log record or span.
const RESOURCE: Source = Source::Lookup(Lookup { key: "resource_id", table: Table::Resources, id: "resource_id", map: None });

/// The field of a map's entries: text to text, without field ids.
pub(crate) fn text_map_entries() -> FieldRef {
    let fields = Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, true)]);
    Arc::new(Field::new("key_value", DataType::Struct(fields), false))
}

/// A map from text to text.
pub(crate) fn text_map() -> DataType {
    DataType::Map(text_map_entries(), false)
}

/// The fields of a link.
pub(crate) fn link_fields() -> Fields {
    Fields::from(vec![
        Field::new("trace_id", DataType::Utf8, false),
        Field::new("span_id", DataType::Utf8, false),
        Field::new("trace_state", DataType::Utf8, true),
        Field::new("flags", DataType::Int32, true),
        Field::new("dropped_attributes", DataType::Int32, true),
        Field::new("attrs", text_map(), false),
    ])
}

fn links_type() -> DataType {
    DataType::List(Arc::new(Field::new("element", DataType::Struct(link_fields()), false)))
}

/// The type without field ids, and with plain text in place of dictionaries.
pub(crate) fn plain_type(data_type: &DataType) -> DataType {
    let plain = |field: &FieldRef| Arc::new(Field::new(field.name(), plain_type(field.data_type()), field.is_nullable()));
    match data_type {
        DataType::Dictionary(..) => DataType::Utf8View,
        DataType::List(element) => DataType::List(plain(element)),
        DataType::Map(entries, sorted) => DataType::Map(plain(entries), *sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain).collect()),
        other => other.clone(),
    }
}

/// Nanoseconds per unit of a timestamp column.
pub(crate) fn unit_ns(data_type: &DataType) -> Option<i64> {
    match data_type {
        DataType::Timestamp(TimeUnit::Second, _) => Some(1_000_000_000),
        DataType::Timestamp(TimeUnit::Millisecond, _) => Some(1_000_000),
        DataType::Timestamp(TimeUnit::Microsecond, _) => Some(1_000),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specifications_fit_the_stored_schemas() {
        for table in SqlTable::all().iter().chain(SqlTable::usage()) {
            let schema = table.schema();
            assert_eq!(schema.fields().len(), table.columns.len(), "{}", table.name);
            let rows = schema::rows(table.table);
            for column in &table.columns {
                for stored in SqlTable::stored_columns(column) {
                    assert!(rows.column_with_name(stored).is_some(), "{}.{} needs {stored}", table.name, column.name);
                }
            }
            assert!(table.identity.is_none_or(|i| rows.column_with_name(i.id).is_some()), "{}", table.name);
        }
    }
}
