//! Catalogs, schemas, tables and kinds of tables: what the tenant's session knows by name.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::GetCatalogsBuilder;
use arrow_flight::sql::{Command, CommandGetDbSchemas, CommandGetTableTypes, CommandGetTables};
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::logical_expr::TableType;
use query::Session;
use query::namespace::{CATALOG, SCHEMA, SYSTEM, USAGE, USER};

use super::caller::Caller;
use super::{Flight, keys, server_info, type_info};
use crate::Times;
use crate::edge::edge_schema;
use crate::error::{Error, Result};
use crate::plan::session;

/// The schema in which DataFusion describes the others.
pub(super) const INFORMATION_SCHEMA: &str = "information_schema";

/// In the order of their names, as answers are.
const SCHEMAS: [&str; 5] = [INFORMATION_SCHEMA, SCHEMA, SYSTEM, USAGE, USER];

/// Longest pattern of names.
const PATTERN_BYTES_MAX: usize = 1_024;

/// The kind of a table with rows, as information_schema has it.
const BASE_TABLE: &str = "BASE TABLE";
/// The kind of a table that is computed.
const VIEW: &str = "VIEW";

impl Flight {
    /// The one batch that answers a question about the server or its catalog.
    ///
    /// # Errors
    /// `Internal`.
    pub(super) async fn about(&self, caller: &Caller, command: &Command) -> Result<RecordBatch> {
        bound(command)?;
        let built = match command {
            Command::CommandGetCatalogs(_) => catalogs(),
            Command::CommandGetDbSchemas(asked) => schemas(asked.clone()),
            Command::CommandGetTables(asked) => self.tables(caller, asked.clone()).await?,
            Command::CommandGetTableTypes(_) => table_types(),
            Command::CommandGetSqlInfo(asked) => server_info::batch(&asked.info, self.engine.config()),
            Command::CommandGetXdbcTypeInfo(asked) => type_info::batch(asked.data_type),
            Command::CommandGetPrimaryKeys(_) => Ok(keys::primary()),
            _ => Ok(keys::foreign()),
        };
        built.map_err(|error| self.broken(&error))
    }

    /// The names of all tables with their schemas.
    ///
    /// # Errors
    /// `Internal`.
    pub(super) async fn every_table(&self, caller: &Caller) -> Result<Vec<Named>> {
        let session = session(self.engine.engine(), &caller.tenant, &caller.request(String::new())).await?;
        let mut tables = Vec::new();
        for schema in SCHEMAS {
            tables.extend(named(&session, schema).await.map_err(|e| Error::from(session.explain(e)))?);
        }
        Ok(tables)
    }

    async fn tables(&self, caller: &Caller, mut asked: CommandGetTables) -> Result<Result<RecordBatch, FlightError>> {
        asked.table_types = kinds(&asked.table_types);
        let tables = self.every_table(caller).await?;
        let mut builder = asked.into_builder();
        for Named { schema, name, provider } in &tables {
            let columns = edge_schema(&provider.schema(), Times::Nanoseconds);
            builder.append(CATALOG, schema, name, kind(&**provider), &columns).map_err(|e| self.broken(&e))?;
        }
        Ok(builder.build())
    }

    fn broken(&self, error: &FlightError) -> Error {
        Error::Internal { id: self.engine.engine().env().new_uuid(), message: error.to_string() }
    }
}

/// A table and where it is.
pub(super) struct Named {
    pub(super) schema: &'static str,
    pub(super) name: String,
    pub(super) provider: std::sync::Arc<dyn TableProvider>,
}

async fn named(session: &Session, schema: &'static str) -> datafusion::common::Result<Vec<Named>> {
    let provider = session.state().schema_for_ref(TableReference::full(CATALOG, schema, ""))?;
    let mut names = provider.table_names();
    names.sort();
    let mut tables = Vec::with_capacity(names.len());
    for name in names {
        if let Some(provider) = provider.table(&name).await? {
            tables.push(Named { schema, name, provider });
        }
    }
    Ok(tables)
}

/// The kinds that are meant, each once: JDBC says TABLE, and clients write them in any case. One that is not known matches nothing.
fn kinds(asked: &[String]) -> Vec<String> {
    let known = asked.iter().map(|kind| match kind.to_ascii_uppercase().as_str() {
        "TABLE" | BASE_TABLE => BASE_TABLE,
        VIEW => VIEW,
        _ => "",
    });
    known.collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect()
}

/// Patterns are compiled and tried on every name.
fn bound(command: &Command) -> Result<()> {
    let patterns = match command {
        Command::CommandGetDbSchemas(asked) => [&asked.db_schema_filter_pattern, &None],
        Command::CommandGetTables(asked) => [&asked.db_schema_filter_pattern, &asked.table_name_filter_pattern],
        _ => return Ok(()),
    };
    match patterns.into_iter().flatten().find(|pattern| pattern.len() > PATTERN_BYTES_MAX) {
        Some(pattern) => Err(Error::Parameter {
            name: "filter pattern",
            reason: format!("has {} bytes, limit is {PATTERN_BYTES_MAX}", pattern.len()),
        }),
        None => Ok(()),
    }
}

fn kind(provider: &dyn TableProvider) -> &'static str {
    match provider.table_type() {
        TableType::View => VIEW,
        _ => BASE_TABLE,
    }
}

fn catalogs() -> Result<RecordBatch, FlightError> {
    let mut builder = GetCatalogsBuilder::new();
    builder.append(CATALOG);
    builder.build()
}

fn schemas(asked: CommandGetDbSchemas) -> Result<RecordBatch, FlightError> {
    let mut builder = asked.into_builder();
    for schema in SCHEMAS {
        builder.append(CATALOG, schema);
    }
    builder.build()
}

fn table_types() -> Result<RecordBatch, FlightError> {
    let mut builder = CommandGetTableTypes {}.into_builder();
    builder.append(BASE_TABLE);
    builder.append(VIEW);
    builder.build()
}
