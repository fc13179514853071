//! What a Postgres session sees beside the tenant's tables: `pg_catalog`, and the functions that clients call on it.
//!
//! ```text
//! engine ── once a process ──► [`Names`]: tables and columns, static rows, functions ─┐
//! start-up ── once a session ─► [`Database`]: the schema pg_catalog with its oids ────┼─► [`Extras`] of one statement
//! SET ── settings as they are ─────────────────────────────────────────────────────────┘
//! ```
//! Tables and columns are the same for every tenant, so nothing here is anybody's, but for what [`users`] adds to a statement.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Int32Type, Schema, SchemaRef};
use async_trait::async_trait;
use catalog::TenantId;
use datafusion::catalog::SchemaProvider;
use datafusion::common::{DataFusionError, Result as DataFusionResult, internal_err};
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
use futures::TryStreamExt;
use query::{Engine, SessionExtras};

use super::functions;
use super::information_schema::{Information, InformationSchema};
use super::rows::plain_type;
use super::settings::Settings;
use super::users;
use super::views::Overlay;
use crate::edge::{Times, edge_type};
use crate::error::Result;

/// The schema of Postgres' own tables.
const PG_CATALOG: &str = "pg_catalog";
/// The schema by which SQL describes itself.
const INFORMATION_SCHEMA: &str = "information_schema";
/// Every schema.
const SCHEMAS: [&str; 6] = [
    query::namespace::SCHEMA,
    query::namespace::SYSTEM,
    query::namespace::USAGE,
    query::namespace::USER,
    PG_CATALOG,
    INFORMATION_SCHEMA,
];

/// What is the same for every session. One per process.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) tables: Vec<Listed>,
    rows: Arc<PgCatalogStaticTables>,
    functions: Vec<ScalarUDF>,
}

/// A table that there is.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) columns: SchemaRef,
    pub(super) kind: TableType,
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
        // What users made differs from tenant to tenant and comes and goes: these names are the same for every session.
        let schemas = catalog.iter().flat_map(|catalog| catalog.schema_names());
        for schema in schemas.filter(|schema| schema != query::namespace::USER) {
            let Some(provider) = catalog.as_ref().and_then(|catalog| catalog.schema(&schema)) else { continue };
            for name in provider.table_names() {
                let Some(table) = provider.table(&name).await.map_err(broken)? else { continue };
                tables.push(Listed { schema: schema.clone(), columns: columns(&table.schema()), name, kind: table.table_type() });
            }
        }
        let mut names = Self { tables, rows, functions: functions::all() };
        // Postgres' tables are named among the tables, too: what they have is known without them.
        let nameless = Database { name: Arc::from(""), names: Arc::new(names.with_tables(Vec::new())) };
        let schema = nameless.provider("").map_err(broken)?;
        for name in PG_CATALOG_TABLES {
            if let Some(table) = schema.build_table_by_name(name).map_err(broken)? {
                let kind = TableType::Base;
                names.tables.push(Listed {
                    schema: PG_CATALOG.to_owned(),
                    name: (*name).to_owned(),
                    columns: table.schema(),
                    kind,
                });
            }
        }
        let described = InformationSchema::new("", &SCHEMAS, &[]).map_err(broken)?;
        names.tables.extend(described.tables().map(|(name, columns)| {
            let (schema, name) = (INFORMATION_SCHEMA.to_owned(), name.to_owned());
            Listed { schema, name, columns, kind: TableType::View }
        }));
        Ok(names)
    }

    /// The same, with other tables.
    pub(super) fn with_tables(&self, tables: Vec<Listed>) -> Self {
        Self { tables, rows: Arc::clone(&self.rows), functions: self.functions.clone() }
    }
}

/// Columns with the types that rows have on their way out.
pub(super) fn columns(schema: &Schema) -> SchemaRef {
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

/// What describes a database to a session.
#[derive(Debug, Clone)]
pub(super) struct Described {
    pg_catalog: Arc<dyn SchemaProvider>,
    /// The rows of [`users::TABLES`].
    rows: [RecordBatch; users::TABLES.len()],
    /// The oid of the schema `user`.
    pub(super) user_namespace: i32,
    information: Arc<InformationSchema>,
}

impl Described {
    /// The rows of `table`, one of [`users::TABLES`].
    pub(super) fn rows(&self, table: &str) -> Option<&RecordBatch> {
        users::TABLES.iter().zip(&self.rows).find(|(name, _)| **name == table).map(|(_, rows)| rows)
    }
}

impl Database {
    pub(super) fn new(name: &str, names: Arc<Names>) -> Self {
        Self { name: Arc::from(name), names }
    }

    fn provider(&self, user: &str) -> DataFusionResult<PgCatalog> {
        PgCatalogSchemaProvider::try_new(self.clone(), Arc::clone(&self.names.rows), Roles { user: Arc::from(user) })
    }

    /// The schemas that describe the database to a session of `user`. Every session gives every table the same oid: clients keep them.
    ///
    /// # Errors
    /// The catalog's own rows are broken.
    pub(super) async fn described(&self, user: &str) -> DataFusionResult<Described> {
        let provider = self.provider(user)?;
        // Oids are given as tables are met. Meeting all of them first, in their order, makes the numbers those of every session.
        let mut rows = Vec::new();
        for table in users::TABLES {
            rows.push(rows_of(&provider, table).await?);
        }
        let Ok(rows) = rows.try_into() else { return internal_err!("there are more tables than there should be") };
        let namespaces = rows_of(&provider, "pg_namespace").await?;
        let information = InformationSchema::new(&self.name, &SCHEMAS, &self.names.tables)?;
        let user_namespace = oid_of_user(&namespaces).unwrap_or_default();
        Ok(Described { pg_catalog: Arc::new(provider), rows, user_namespace, information: Arc::new(information) })
    }

    /// The rows of `pg_class`, and those of `table`, in which a table of ours has the same oid: the library makes both of the same names.
    ///
    /// # Errors
    /// The catalog's own rows are broken, or it has no such table.
    pub(super) async fn classes_and(&self, table: &str) -> DataFusionResult<(RecordBatch, RecordBatch)> {
        let provider = self.provider("")?;
        let classes = rows_of(&provider, "pg_class").await?;
        let rows = match table {
            "pg_class" => classes.clone(),
            table => rows_of(&provider, table).await?,
        };
        Ok((classes, rows))
    }
}

/// The rows of a table that the library makes of ours.
async fn rows_of(provider: &PgCatalog, table: &str) -> DataFusionResult<RecordBatch> {
    let Some(PgCatalogTable::Dynamic(table)) = provider.build_table_by_name(table)? else {
        return internal_err!("there is no {table}");
    };
    let rows = table.execute(Arc::new(TaskContext::default())).try_collect::<Vec<_>>().await?;
    Ok(concat_batches(table.schema(), &rows)?)
}

/// The oid of the schema `user` in `pg_namespace`.
fn oid_of_user(namespaces: &RecordBatch) -> Option<i32> {
    let names = namespaces.column_by_name("nspname")?.as_string::<i32>();
    let at = names.iter().position(|name| name == Some(query::namespace::USER))?;
    Some(namespaces.column_by_name("oid")?.as_primitive::<Int32Type>().value(at))
}

#[async_trait]
impl CatalogInfo for Database {
    async fn catalog_names(&self) -> DataFusionResult<Vec<String>> {
        Ok(vec![self.name.to_string()])
    }

    async fn schema_names(&self, catalog: &str) -> DataFusionResult<Option<Vec<String>>> {
        Ok((catalog == &*self.name).then(|| SCHEMAS.map(str::to_owned).to_vec()))
    }

    async fn table_names(&self, _: &str, schema: &str) -> DataFusionResult<Option<Vec<String>>> {
        Ok(Some(self.names.tables.iter().filter(|table| table.schema == schema).map(|table| table.name.clone()).collect()))
    }

    async fn table_schema(&self, _: &str, schema: &str, name: &str) -> DataFusionResult<Option<SchemaRef>> {
        let table = self.names.tables.iter().find(|table| table.schema == schema && table.name == name);
        Ok(table.map(|table| Arc::clone(&table.columns)))
    }

    async fn table_type(&self, _: &str, schema: &str, name: &str) -> DataFusionResult<Option<TableType>> {
        let table = self.names.tables.iter().find(|table| table.schema == schema && table.name == name);
        Ok(table.map(|table| table.kind))
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
    pub(super) described: Described,
    pub(super) settings: Settings,
}

impl SessionExtras for Extras {
    fn catalog(&self) -> &str {
        &self.database
    }

    fn schema_names(&self) -> Vec<String> {
        vec![PG_CATALOG.to_owned(), INFORMATION_SCHEMA.to_owned()]
    }

    fn schema(&self, name: &str, users: Arc<dyn SchemaProvider>) -> Option<Arc<dyn SchemaProvider>> {
        let (names, described) = (Arc::clone(&self.names), self.described.clone());
        match name {
            PG_CATALOG => {
                let (settings, inner) = (self.settings.clone(), Arc::clone(&described.pg_catalog));
                Some(Arc::new(Overlay { inner, names, described, users, settings }))
            }
            INFORMATION_SCHEMA => {
                let (catalog, inner) = (self.database.clone(), Arc::clone(&described.information));
                Some(Arc::new(Information { inner, catalog, names, users }))
            }
            _ => None,
        }
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
