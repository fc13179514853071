//! Tables of `pg_catalog` that datafusion-pg-catalog has not, or not as clients want them: settings as they are, `pg_class` with privileges,
//! and views about things that there are none of.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::MemTable;

use super::catalog::{Described, Names};
use super::settings::Settings;
use super::users;

/// Names of tables that are ours, beside those that the library has, too.
pub(super) const NAMES: [&str; 6] =
    ["pg_indexes", "pg_stats", "pg_stat_activity", "pg_locks", "pg_timezone_names", "pg_user_mappings"];

/// Limits that clients ask for and nobody can set.
const LIMITS: [(&str, &str); 2] = [("max_index_keys", "32"), ("block_size", "8192")];

/// The library's schema with ours before it.
#[derive(Debug)]
pub(super) struct Overlay {
    pub(super) inner: Arc<dyn SchemaProvider>,
    pub(super) names: Arc<Names>,
    pub(super) described: Described,
    /// What users of the tenant made.
    pub(super) users: Arc<dyn SchemaProvider>,
    pub(super) settings: Settings,
}

impl Overlay {
    /// One of the tables with rows about tables, those of users among them.
    async fn about_tables(&self, name: &str, rows: &RecordBatch) -> Result<Arc<dyn TableProvider>> {
        let mut batches = vec![completed(name, rows)?];
        if !self.users.table_names().is_empty() {
            let listed = users::listed(self.users.as_ref()).await?;
            let theirs = users::rows(&self.names, listed, name, self.described.user_namespace).await?;
            batches.push(completed(name, &theirs)?);
        }
        Ok(Arc::new(MemTable::try_new(batches[0].schema(), vec![batches])?))
    }
}

#[async_trait]
impl SchemaProvider for Overlay {
    fn table_names(&self) -> Vec<String> {
        self.inner.table_names().into_iter().chain(NAMES.map(str::to_owned)).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if let Some(rows) = self.described.rows(name) {
            return self.about_tables(name, rows).await.map(Some);
        }
        match name {
            "pg_settings" => settings(&self.settings).map(Some),
            _ => match nothing(name) {
                Some(schema) => empty(schema).map(Some),
                None => self.inner.table(name).await,
            },
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        NAMES.contains(&name) || self.inner.table_exist(name)
    }
}

/// A table of columns of text, boolean and numbers.
pub(super) fn table(columns: Vec<(&str, ArrayRef)>) -> Result<Arc<dyn TableProvider>> {
    let fields = columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns.into_iter().map(|(_, column)| column).collect())?;
    Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))
}

/// A table without rows.
pub(super) fn empty(schema: SchemaRef) -> Result<Arc<dyn TableProvider>> {
    Ok(Arc::new(MemTable::try_new(schema, vec![vec![]])?))
}

/// A table as the library has it, with the columns that it leaves out. Nobody granted anything, so privileges are null.
fn completed(name: &str, rows: &RecordBatch) -> Result<RecordBatch> {
    let schema = rows.schema();
    let mut fields = schema.fields().to_vec();
    let mut columns = rows.columns().to_vec();
    let missing: &[&str] = if name == "pg_class" { &["relacl", "reloptions"] } else { &[] };
    for name in missing.iter().filter(|name| schema.column_with_name(name).is_none()) {
        let field = Field::new(*name, DataType::new_list(DataType::Utf8, true), true);
        columns.push(new_null_array(field.data_type(), rows.num_rows()));
        fields.push(Arc::new(field));
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// `pg_settings`: what SHOW ALL shows, and the limits that clients compute with.
fn settings(settings: &Settings) -> Result<Arc<dyn TableProvider>> {
    let mut all = settings.all();
    all.extend(LIMITS.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(all.iter().map(|(name, _)| name)));
    let values: ArrayRef = Arc::new(StringArray::from_iter_values(all.iter().map(|(_, value)| value)));
    let null = new_null_array(&DataType::Utf8, all.len());
    let same = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; all.len()])) };
    table(vec![
        ("name", names),
        ("setting", Arc::clone(&values)),
        ("unit", Arc::clone(&null)),
        ("category", same("Client Connection Defaults")),
        ("short_desc", Arc::clone(&null)),
        ("extra_desc", Arc::clone(&null)),
        ("context", same("user")),
        ("vartype", same("string")),
        ("source", same("session")),
        ("min_val", Arc::clone(&null)),
        ("max_val", Arc::clone(&null)),
        ("enumvals", Arc::clone(&null)),
        ("boot_val", Arc::clone(&values)),
        ("reset_val", values),
        ("sourcefile", null),
        ("sourceline", new_null_array(&DataType::Int32, all.len())),
        ("pending_restart", Arc::new(BooleanArray::from(vec![false; all.len()]))),
    ])
}

/// The columns (PostgreSQL 16, chapter 54) of views that have no rows here: there are no indexes, no gathered statistics, no locks, and what
/// other sessions do is nobody's business.
fn nothing(name: &str) -> Option<SchemaRef> {
    use DataType::{Boolean, Float32, Int16, Int32, Int64, Utf8};
    let time = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()));
    let columns: Vec<(&str, DataType)> = match name {
        "pg_indexes" => {
            vec![("schemaname", Utf8), ("tablename", Utf8), ("indexname", Utf8), ("tablespace", Utf8), ("indexdef", Utf8)]
        }
        "pg_stats" => vec![
            ("schemaname", Utf8),
            ("tablename", Utf8),
            ("attname", Utf8),
            ("inherited", Boolean),
            ("null_frac", Float32),
            ("avg_width", Int32),
            ("n_distinct", Float32),
            ("most_common_vals", Utf8),
            ("most_common_freqs", Utf8),
            ("histogram_bounds", Utf8),
            ("correlation", Float32),
        ],
        "pg_stat_activity" => vec![
            ("datid", Int32),
            ("datname", Utf8),
            ("pid", Int32),
            ("leader_pid", Int32),
            ("usesysid", Int32),
            ("usename", Utf8),
            ("application_name", Utf8),
            ("client_addr", Utf8),
            ("client_hostname", Utf8),
            ("client_port", Int32),
            ("backend_start", time.clone()),
            ("xact_start", time.clone()),
            ("query_start", time.clone()),
            ("state_change", time),
            ("wait_event_type", Utf8),
            ("wait_event", Utf8),
            ("state", Utf8),
            ("backend_xid", Int32),
            ("backend_xmin", Int32),
            ("query_id", Int64),
            ("query", Utf8),
            ("backend_type", Utf8),
        ],
        "pg_locks" => vec![
            ("locktype", Utf8),
            ("database", Int32),
            ("relation", Int32),
            ("page", Int32),
            ("tuple", Int32),
            ("virtualxid", Utf8),
            ("transactionid", Int32),
            ("classid", Int32),
            ("objid", Int32),
            ("objsubid", Int32),
            ("virtualtransaction", Utf8),
            ("pid", Int32),
            ("mode", Utf8),
            ("granted", Boolean),
            ("fastpath", Boolean),
            ("waitstart", time),
        ],
        // The library has this one and the next, with texts for arrays.
        "pg_constraint" => {
            let list = |of| DataType::new_list(of, true);
            vec![
                ("oid", Int32),
                ("conname", Utf8),
                ("connamespace", Int32),
                ("contype", Utf8),
                ("condeferrable", Boolean),
                ("condeferred", Boolean),
                ("convalidated", Boolean),
                ("conrelid", Int32),
                ("contypid", Int32),
                ("conindid", Int32),
                ("conparentid", Int32),
                ("confrelid", Int32),
                ("confupdtype", Utf8),
                ("confdeltype", Utf8),
                ("confmatchtype", Utf8),
                ("conislocal", Boolean),
                ("coninhcount", Int16),
                ("connoinherit", Boolean),
                ("conkey", list(Int16)),
                ("confkey", list(Int16)),
                ("conpfeqop", list(Int32)),
                ("conppeqop", list(Int32)),
                ("conffeqop", list(Int32)),
                ("confdelsetcols", list(Int16)),
                ("conexclop", list(Int32)),
                ("conbin", Utf8),
            ]
        }
        "pg_index" => {
            let list = |of| DataType::new_list(of, true);
            let mut columns = vec![("indexrelid", Int32), ("indrelid", Int32), ("indnatts", Int16), ("indnkeyatts", Int16)];
            let marks = [
                "indisunique",
                "indnullsnotdistinct",
                "indisprimary",
                "indisexclusion",
                "indimmediate",
                "indisclustered",
                "indisvalid",
                "indcheckxmin",
                "indisready",
                "indislive",
                "indisreplident",
            ];
            columns.extend(marks.map(|mark| (mark, Boolean)));
            columns.extend([
                ("indkey", list(Int16)),
                ("indcollation", list(Int32)),
                ("indclass", list(Int32)),
                ("indoption", list(Int16)),
                ("indexprs", Utf8),
                ("indpred", Utf8),
            ]);
            columns
        }
        "pg_user_mappings" => {
            let options = DataType::new_list(Utf8, true);
            vec![
                ("umid", Int32),
                ("srvid", Int32),
                ("srvname", Utf8),
                ("umuser", Int32),
                ("usename", Utf8),
                ("umoptions", options),
            ]
        }
        "pg_timezone_names" => {
            let offset = DataType::Interval(arrow::datatypes::IntervalUnit::MonthDayNano);
            vec![("name", Utf8), ("abbrev", Utf8), ("utc_offset", offset), ("is_dst", Boolean)]
        }
        _ => return None,
    };
    Some(Arc::new(Schema::new(
        columns.into_iter().map(|(name, data_type)| Field::new(name, data_type, true)).collect::<Vec<_>>(),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_columns() {
        for name in NAMES {
            assert!(nothing(name).is_some_and(|schema| !schema.fields().is_empty()), "{name}");
        }
        assert!(nothing("pg_class").is_none());
    }
}
