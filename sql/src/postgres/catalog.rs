//! What a Postgres session sees beside the tenant's tables: `pg_catalog`, and the functions that clients call on it.
//!
//! ```text
//! engine ── once a process ──► [`Names`]: tables and columns, static rows, functions ─┐
//! start-up ── once a session ─► [`Database`]: the schema pg_catalog with its oids ────┼─► [`Extras`] of one statement
//! SET ── settings as they are ─────────────────────────────────────────────────────────┘
//! ```
//! Tables and columns are the same for every tenant, so nothing here is anybody's.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use catalog::TenantId;
use datafusion::catalog::SchemaProvider;
use datafusion::common::{DataFusionError, Result as DataFusionResult};
use datafusion::datasource::TableType;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::ScalarUDF;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::prelude::SessionContext;
use datafusion_pg_catalog::pg_catalog::catalog_info::CatalogInfo;
use datafusion_pg_catalog::pg_catalog::context::{PgCatalogContextProvider, Role};
use datafusion_pg_catalog::pg_catalog::generate_series_arg_coercion::CoerceIntArgsToBigInt;
use datafusion_pg_catalog::pg_catalog::oid_type_planner::PgOidTypePlanner;
use datafusion_pg_catalog::pg_catalog::{PG_CATALOG_TABLES, PgCatalogSchemaProvider, PgCatalogStaticTables, PgCatalogTable};
use futures::StreamExt;
use query::{Engine, SessionExtras};

use super::functions;
use super::rows::plain_type;
use super::settings::Settings;
use crate::edge::{Times, edge_type};
use crate::error::Result;

/// The schema of Postgres' own tables.
const PG_CATALOG: &str = "pg_catalog";
/// The schema that SQL itself describes; DataFusion makes it.
const INFORMATION_SCHEMA: &str = "information_schema";

/// What is the same for every session. One per process.
#[derive(Debug)]
pub(super) struct Names {
    tables: Vec<Listed>,
    rows: Arc<PgCatalogStaticTables>,
    functions: Vec<ScalarUDF>,
}

#[derive(Debug)]
struct Listed {
    schema: String,
    name: String,
    columns: SchemaRef,
}

impl Names {
    /// Reads the names that a session of `engine` has.
    ///
    /// # Errors
    /// No session can be made; the catalog's own rows are broken.
    pub(super) async fn read(engine: &Engine) -> Result<Self> {
        let broken = |e: DataFusionError| crate::Error::from(query::Error::from(e));
        let rows = Arc::new(PgCatalogStaticTables::try_new().map_err(broken)?);
        let session = engine.session(&TenantId::anonymous(), engine.config().limits.clone())?;
        let mut tables = Vec::new();
        let catalog = session.context().catalog(query::namespace::CATALOG);
        // What users made differs from tenant to tenant and comes and goes: information_schema has it, pg_catalog does not.
        let schemas = catalog.iter().flat_map(|catalog| catalog.schema_names());
        for schema in schemas.filter(|schema| schema != query::namespace::USER) {
            let Some(provider) = catalog.as_ref().and_then(|catalog| catalog.schema(&schema)) else { continue };
            for name in provider.table_names() {
                let Some(table) = provider.table(&name).await.map_err(broken)? else { continue };
                tables.push(Listed { schema: schema.clone(), columns: columns(&table.schema()), name });
            }
        }
        let mut names = Self { tables, rows, functions: functions::all() };
        // Postgres' tables are named among the tables, too: what they have is known without them.
        let nameless = Database { name: Arc::from(""), names: Arc::new(names.without_tables()) };
        let schema = nameless.provider("").map_err(broken)?;
        for name in PG_CATALOG_TABLES {
            if let Some(table) = schema.build_table_by_name(name).map_err(broken)? {
                names.tables.push(Listed { schema: PG_CATALOG.to_owned(), name: (*name).to_owned(), columns: table.schema() });
            }
        }
        Ok(names)
    }

    fn without_tables(&self) -> Self {
        Self { tables: Vec::new(), rows: Arc::clone(&self.rows), functions: self.functions.clone() }
    }
}

/// Columns with the types that rows have on their way out.
fn columns(schema: &Schema) -> SchemaRef {
    let plain = |field: &Arc<Field>| {
        let data_type = plain_type(&edge_type(field.data_type(), Times::AsStored));
        Field::new(field.name(), data_type, field.is_nullable())
    };
    Arc::new(Schema::new(schema.fields().iter().map(plain).collect::<Vec<_>>()))
}

/// A database as a client calls it, with what there is in it.
#[derive(Debug, Clone)]
pub(super) struct Database {
    name: Arc<str>,
    names: Arc<Names>,
}

type PgCatalog = PgCatalogSchemaProvider<Database, Roles>;

impl Database {
    pub(super) fn new(name: &str, names: Arc<Names>) -> Self {
        Self { name: Arc::from(name), names }
    }

    fn provider(&self, user: &str) -> DataFusionResult<PgCatalog> {
        PgCatalogSchemaProvider::try_new(self.clone(), Arc::clone(&self.names.rows), Roles { user: Arc::from(user) })
    }

    /// The schema `pg_catalog` for a session of `user`. Every session gives every table the same oid: clients keep them.
    ///
    /// # Errors
    /// The catalog's own rows are broken.
    pub(super) async fn pg_catalog(&self, user: &str) -> DataFusionResult<Arc<dyn SchemaProvider>> {
        let provider = self.provider(user)?;
        // Oids are given as tables are met. Meeting all of them first, in their order, makes the numbers those of every session.
        if let Some(PgCatalogTable::Dynamic(classes)) = provider.build_table_by_name("pg_class")? {
            let mut rows = classes.execute(Arc::new(TaskContext::default()));
            while rows.next().await.transpose()?.is_some() {}
        }
        Ok(Arc::new(provider))
    }
}

#[async_trait]
impl CatalogInfo for Database {
    async fn catalog_names(&self) -> DataFusionResult<Vec<String>> {
        Ok(vec![self.name.to_string()])
    }

    async fn schema_names(&self, catalog: &str) -> DataFusionResult<Option<Vec<String>>> {
        let own = [query::namespace::SCHEMA, query::namespace::SYSTEM, query::namespace::USAGE, query::namespace::USER];
        let schemas = own.into_iter().chain([PG_CATALOG, INFORMATION_SCHEMA]);
        Ok((catalog == &*self.name).then(|| schemas.map(str::to_owned).collect()))
    }

    async fn table_names(&self, _: &str, schema: &str) -> DataFusionResult<Option<Vec<String>>> {
        Ok(Some(self.names.tables.iter().filter(|table| table.schema == schema).map(|table| table.name.clone()).collect()))
    }

    async fn table_schema(&self, _: &str, schema: &str, name: &str) -> DataFusionResult<Option<SchemaRef>> {
        let table = self.names.tables.iter().find(|table| table.schema == schema && table.name == name);
        Ok(table.map(|table| Arc::clone(&table.columns)))
    }

    async fn table_type(&self, _: &str, _: &str, _: &str) -> DataFusionResult<Option<TableType>> {
        Ok(Some(TableType::Base))
    }
}

/// The roles that there are: the one that asks.
#[derive(Debug, Clone)]
pub(super) struct Roles {
    user: Arc<str>,
}

#[async_trait]
impl PgCatalogContextProvider for Roles {
    async fn roles(&self) -> Vec<String> {
        vec![self.user.to_string()]
    }

    async fn role(&self, name: &str) -> Option<Role> {
        (name == &*self.user).then(|| Role {
            name: name.to_owned(),
            is_superuser: false,
            can_login: true,
            can_create_db: false,
            can_create_role: false,
            can_create_user: false,
            can_replication: false,
            grants: Vec::new(),
            inherited_roles: Vec::new(),
        })
    }
}

/// What one statement of a session has beside the tenant's tables.
#[derive(Debug)]
pub(super) struct Extras {
    pub(super) database: String,
    pub(super) user: String,
    pub(super) names: Arc<Names>,
    pub(super) pg_catalog: Arc<dyn SchemaProvider>,
    pub(super) settings: Settings,
}

impl SessionExtras for Extras {
    fn catalog(&self) -> &str {
        &self.database
    }

    fn schema_names(&self) -> Vec<String> {
        vec![PG_CATALOG.to_owned()]
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        (name == PG_CATALOG).then(|| Arc::clone(&self.pg_catalog))
    }

    fn type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(PgOidTypePlanner))
    }

    fn install(&self, context: &SessionContext) -> DataFusionResult<()> {
        for function in &self.names.functions {
            context.register_udf(function.clone());
        }
        for function in functions::of_session(&self.database, &self.user, &self.settings) {
            context.register_udf(function);
        }
        context.register_udtf("pg_get_keywords", Arc::clone(&self.names.rows.pg_get_keywords) as _);
        CoerceIntArgsToBigInt::widen(context);
        Ok(())
    }
}
