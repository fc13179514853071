//! The schema `information_schema` as Postgres 16 has it (chapter 37). DataFusion's own names the types of columns as Arrow does, and
//! counts columns from 0, by which clients would be misled.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, StringArray, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_pg::datatypes::into_pg_type;
use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::TableType;
use pgwire::api::Type;

use super::catalog::{Listed, Names};
use super::users;
use super::views::{empty, table};

/// Views about things that there are none of, and their columns, which are all text.
const NOTHING: [(&str, &[&str]); 12] = [
    ("character_sets", &["character_set_catalog", "character_set_schema", "character_set_name", "default_collate_name"]),
    ("check_constraints", &["constraint_catalog", "constraint_schema", "constraint_name", "check_clause"]),
    (
        "constraint_column_usage",
        &[
            "table_catalog",
            "table_schema",
            "table_name",
            "column_name",
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
        ],
    ),
    (
        "key_column_usage",
        &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "table_catalog",
            "table_schema",
            "table_name",
            "column_name",
            "ordinal_position",
            "position_in_unique_constraint",
        ],
    ),
    ("parameters", &["specific_catalog", "specific_schema", "specific_name", "parameter_mode", "parameter_name", "data_type"]),
    (
        "referential_constraints",
        &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "unique_constraint_catalog",
            "unique_constraint_schema",
            "unique_constraint_name",
            "match_option",
            "update_rule",
            "delete_rule",
        ],
    ),
    (
        "role_table_grants",
        &[
            "grantor",
            "grantee",
            "table_catalog",
            "table_schema",
            "table_name",
            "privilege_type",
            "is_grantable",
            "with_hierarchy",
        ],
    ),
    ("routines", &["specific_catalog", "specific_schema", "specific_name", "routine_schema", "routine_name", "routine_type"]),
    ("sequences", &["sequence_catalog", "sequence_schema", "sequence_name", "data_type"]),
    (
        "table_constraints",
        &[
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "table_catalog",
            "table_schema",
            "table_name",
            "constraint_type",
            "is_deferrable",
            "initially_deferred",
            "enforced",
        ],
    ),
    ("triggers", &["trigger_catalog", "trigger_schema", "trigger_name", "event_manipulation", "event_object_table"]),
    ("views", &["table_catalog", "table_schema", "table_name", "view_definition", "check_option", "is_updatable"]),
];

/// The schema of one database.
#[derive(Debug)]
pub(super) struct InformationSchema {
    tables: Vec<(String, Arc<dyn TableProvider>)>,
}

impl InformationSchema {
    /// Describes `listed` as tables of the database `catalog`, in `schemas`.
    ///
    /// # Errors
    /// A type that Postgres has none for.
    pub(super) fn new(catalog: &str, schemas: &[&str], listed: &[Listed]) -> Result<Self> {
        let mut tables = vec![
            ("columns".to_owned(), columns(catalog, &listed.iter().collect::<Vec<_>>())?),
            ("information_schema_catalog_name".to_owned(), table(vec![("catalog_name", texts([catalog]))])?),
            ("schemata".to_owned(), schemata(catalog, schemas)?),
            ("tables".to_owned(), all_tables(catalog, &listed.iter().collect::<Vec<_>>())?),
        ];
        for (name, columns) in NOTHING {
            let fields = columns.iter().map(|column| Field::new(*column, DataType::Utf8, true)).collect::<Vec<_>>();
            tables.push((name.to_owned(), empty(Arc::new(Schema::new(fields)))?));
        }
        Ok(Self { tables })
    }

    /// Names and columns of what is in it.
    pub(super) fn tables(&self) -> impl Iterator<Item = (&str, SchemaRef)> {
        self.tables.iter().map(|(name, table)| (name.as_str(), table.schema()))
    }
}

/// The schema as one statement sees it: with the tables that users of the tenant made.
#[derive(Debug)]
pub(super) struct Information {
    pub(super) inner: Arc<InformationSchema>,
    pub(super) catalog: String,
    pub(super) names: Arc<Names>,
    pub(super) users: Arc<dyn SchemaProvider>,
}

#[async_trait]
impl SchemaProvider for Information {
    fn table_names(&self) -> Vec<String> {
        self.inner.table_names()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if !matches!(name, "columns" | "tables") || self.users.table_names().is_empty() {
            return self.inner.table(name).await;
        }
        let theirs = users::listed(self.users.as_ref()).await?;
        let listed: Vec<&Listed> = self.names.tables.iter().chain(&theirs).collect();
        match name {
            "columns" => columns(&self.catalog, &listed).map(Some),
            _ => all_tables(&self.catalog, &listed).map(Some),
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        self.inner.table_exist(name)
    }
}

#[async_trait]
impl SchemaProvider for InformationSchema {
    fn table_names(&self) -> Vec<String> {
        self.tables.iter().map(|(name, _)| name.clone()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(self.tables.iter().find(|(known, _)| known == name).map(|(_, table)| Arc::clone(table)))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.iter().any(|(known, _)| known == name)
    }
}

fn texts<'a>(values: impl IntoIterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn nulls(rows: usize) -> ArrayRef {
    new_null_array(&DataType::Utf8, rows)
}

fn same(value: &str, rows: usize) -> ArrayRef {
    texts(std::iter::repeat_n(value, rows))
}

fn schemata(catalog: &str, schemas: &[&str]) -> Result<Arc<dyn TableProvider>> {
    let rows = schemas.len();
    table(vec![
        ("catalog_name", same(catalog, rows)),
        ("schema_name", texts(schemas.iter().copied())),
        ("schema_owner", same("postgres", rows)),
        ("default_character_set_catalog", nulls(rows)),
        ("default_character_set_schema", nulls(rows)),
        ("default_character_set_name", nulls(rows)),
        ("sql_path", nulls(rows)),
    ])
}

fn all_tables(catalog: &str, listed: &[&Listed]) -> Result<Arc<dyn TableProvider>> {
    let rows = listed.len();
    table(vec![
        ("table_catalog", same(catalog, rows)),
        ("table_schema", texts(listed.iter().map(|table| table.schema.as_str()))),
        ("table_name", texts(listed.iter().map(|table| table.name.as_str()))),
        ("table_type", texts(listed.iter().map(|table| if table.kind == TableType::View { "VIEW" } else { "BASE TABLE" }))),
        ("self_referencing_column_name", nulls(rows)),
        ("reference_generation", nulls(rows)),
        ("user_defined_type_catalog", nulls(rows)),
        ("user_defined_type_schema", nulls(rows)),
        ("user_defined_type_name", nulls(rows)),
        ("is_insertable_into", same("NO", rows)),
        ("is_typed", same("NO", rows)),
        ("commit_action", nulls(rows)),
    ])
}

/// One row for every column, in order within its table.
fn columns(catalog: &str, listed: &[&Listed]) -> Result<Arc<dyn TableProvider>> {
    struct Row<'a> {
        table: &'a Listed,
        field: &'a Field,
        position: i32,
        pg_type: Type,
    }
    let mut all = Vec::new();
    for table in listed {
        for (at, field) in table.columns.fields().iter().enumerate() {
            let pg_type = into_pg_type(field.data_type())
                .map_err(|error| datafusion::common::DataFusionError::External(Box::new(error)))?;
            all.push(Row { table, field, position: i32::try_from(at + 1).unwrap_or(i32::MAX), pg_type });
        }
    }
    let rows = all.len();
    let text = |value: fn(&Row<'_>) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values(all.iter().map(value))) };
    let number = |value: fn(&Type) -> Option<i32>| -> ArrayRef {
        Arc::new(Int32Array::from_iter(all.iter().map(|row| value(&row.pg_type))))
    };
    let none = || -> ArrayRef { new_null_array(&DataType::Int32, rows) };
    let mut columns = vec![
        ("table_catalog", same(catalog, rows)),
        ("table_schema", text(|row| row.table.schema.clone())),
        ("table_name", text(|row| row.table.name.clone())),
        ("column_name", text(|row| row.field.name().clone())),
        ("ordinal_position", Arc::new(Int32Array::from_iter_values(all.iter().map(|row| row.position))) as ArrayRef),
        ("column_default", nulls(rows)),
        ("is_nullable", text(|row| if row.field.is_nullable() { "YES" } else { "NO" }.to_owned())),
        ("data_type", text(|row| standard_name(&row.pg_type))),
        ("character_maximum_length", none()),
        ("character_octet_length", none()),
        ("numeric_precision", number(|pg_type| precision(pg_type).map(|(bits, _)| bits))),
        ("numeric_precision_radix", number(|pg_type| precision(pg_type).map(|_| 2))),
        ("numeric_scale", number(|pg_type| precision(pg_type).and_then(|(_, scale)| scale))),
        (
            "datetime_precision",
            number(|pg_type| matches!(*pg_type, Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::TIME).then_some(6)),
        ),
    ];
    let unknown = [
        "interval_type",
        "character_set_catalog",
        "character_set_schema",
        "character_set_name",
        "collation_catalog",
        "collation_schema",
        "collation_name",
        "domain_catalog",
        "domain_schema",
        "domain_name",
    ];
    columns.extend(unknown.map(|name| (name, nulls(rows))));
    columns.extend([
        ("udt_catalog", same(catalog, rows)),
        ("udt_schema", same("pg_catalog", rows)),
        ("udt_name", text(|row| row.pg_type.name().to_owned())),
        ("dtd_identifier", text(|row| row.position.to_string())),
        ("is_self_referencing", same("NO", rows)),
        ("is_identity", same("NO", rows)),
        ("identity_generation", nulls(rows)),
        ("is_generated", same("NEVER", rows)),
        ("generation_expression", nulls(rows)),
        ("is_updatable", same("NO", rows)),
    ]);
    table(columns)
}

/// The name that the SQL standard has for a type.
fn standard_name(pg_type: &Type) -> String {
    let name = match *pg_type {
        Type::BOOL => "boolean",
        Type::INT2 => "smallint",
        Type::INT4 => "integer",
        Type::INT8 => "bigint",
        Type::FLOAT4 => "real",
        Type::FLOAT8 => "double precision",
        Type::VARCHAR => "character varying",
        Type::TIMESTAMP => "timestamp without time zone",
        Type::TIMESTAMPTZ => "timestamp with time zone",
        Type::TIME => "time without time zone",
        ref array if array.name().starts_with('_') => "ARRAY",
        ref other => other.name(),
    };
    name.to_owned()
}

/// Bits and scale of a number.
fn precision(pg_type: &Type) -> Option<(i32, Option<i32>)> {
    match *pg_type {
        Type::INT2 => Some((16, Some(0))),
        Type::INT4 => Some((32, Some(0))),
        Type::INT8 => Some((64, Some(0))),
        Type::FLOAT4 => Some((24, None)),
        Type::FLOAT8 => Some((53, None)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_the_names_of_the_standard() {
        let name = |data_type: DataType| standard_name(&into_pg_type(&data_type).expect("a type"));
        let millis = |zone: Option<&str>| DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, zone.map(Into::into));
        assert_eq!(name(millis(Some("UTC"))), "timestamp with time zone");
        assert_eq!(name(millis(None)), "timestamp without time zone");
        assert_eq!(name(DataType::Float64), "double precision");
        assert_eq!(name(DataType::Int64), "bigint");
        assert_eq!(name(DataType::Binary), "bytea");
        assert_eq!(name(DataType::new_list(DataType::Int64, true)), "ARRAY");
    }
}
