//! The names that a session knows: `telelake.public` with the tenant's tables, `telelake.system`, `telelake.usage` and
//! `telelake.user`; and what [`SessionExtras`] adds.
//!
//! # Invariants
//! - Everything here belongs to one [`View`], so to one tenant. There is no way to register anything else, but for the schemas that
//!   whoever makes the session hands in, which hold no rows of a tenant.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::prelude::SessionContext;

use crate::scan::LakeTable;
use crate::system;
use crate::tables::SqlTable;
use crate::users::UserTables;
use crate::view::View;

/// The only catalog.
pub const CATALOG: &str = "telelake";
/// The schema of the tenant's tables.
pub const SCHEMA: &str = "public";
/// The schema of the lake's own tables.
pub const SYSTEM: &str = "system";
/// The schema of what the node notes about its use by the tenant.
pub const USAGE: &str = "usage";
/// The schema of the tables that users of the tenant made.
pub const USER: &str = "user";

/// What a session has beside the tenant's tables, for whoever speaks SQL as another system does.
pub trait SessionExtras: Debug + Send + Sync {
    /// The name of the catalog, in place of [`CATALOG`].
    fn catalog(&self) -> &str;

    /// Names of further schemas. With `information_schema` among them, DataFusion's own is not there.
    fn schema_names(&self) -> Vec<String>;

    /// A further schema, which may tell of the tables that `users` of the tenant made. It must hold nothing else that belongs to a tenant.
    fn schema(&self, name: &str, users: Arc<dyn SchemaProvider>) -> Option<Arc<dyn SchemaProvider>>;

    /// How SQL's type names are read that are not standard.
    fn type_planner(&self) -> Option<Arc<dyn TypePlanner>>;

    /// Adds functions, and may wrap those that are there.
    ///
    /// # Errors
    /// DataFusion refuses one of them.
    fn install(&self, context: &SessionContext) -> Result<()>;
}

/// The list with the one catalog.
#[derive(Debug)]
pub(crate) struct Namespace {
    view: Arc<View>,
    extras: Option<Arc<dyn SessionExtras>>,
}

#[derive(Debug)]
struct TenantCatalog {
    view: Arc<View>,
    extras: Option<Arc<dyn SessionExtras>>,
}

/// Tables with stored rows.
#[derive(Debug)]
struct Stored {
    tables: &'static [SqlTable],
    view: Arc<View>,
}

#[derive(Debug)]
struct System {
    view: Arc<View>,
}

impl Namespace {
    pub(crate) fn new(view: Arc<View>, extras: Option<Arc<dyn SessionExtras>>) -> Self {
        Self { view, extras }
    }

    /// What the one catalog is called.
    pub(crate) fn name(extras: Option<&dyn SessionExtras>) -> &str {
        extras.map_or(CATALOG, SessionExtras::catalog)
    }
}

impl CatalogProviderList for Namespace {
    fn register_catalog(&self, _name: String, _catalog: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![Self::name(self.extras.as_deref()).to_owned()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        let catalog = || TenantCatalog { view: Arc::clone(&self.view), extras: self.extras.clone() };
        (name == Self::name(self.extras.as_deref())).then(|| Arc::new(catalog()) as Arc<dyn CatalogProvider>)
    }
}

impl CatalogProvider for TenantCatalog {
    fn schema_names(&self) -> Vec<String> {
        let own = [SCHEMA, SYSTEM, USAGE, USER].map(str::to_owned);
        own.into_iter().chain(self.extras.iter().flat_map(|extras| extras.schema_names())).collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let view = Arc::clone(&self.view);
        match name {
            SCHEMA => Some(Arc::new(Stored { tables: SqlTable::all(), view })),
            USER => Some(Arc::new(UserTables(view))),
            USAGE => Some(Arc::new(Stored { tables: SqlTable::usage(), view })),
            SYSTEM => Some(Arc::new(System { view })),
            _ => self.extras.as_ref()?.schema(name, Arc::new(UserTables(view))),
        }
    }
}

#[async_trait]
impl SchemaProvider for Stored {
    fn table_names(&self) -> Vec<String> {
        self.tables.iter().map(|table| table.name.to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let table = self.tables.iter().find(|table| table.name == name);
        Ok(table.map(|table| Arc::new(LakeTable::new(table, Arc::clone(&self.view))) as Arc<dyn TableProvider>))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.iter().any(|table| table.name == name)
    }
}

#[async_trait]
impl SchemaProvider for System {
    fn table_names(&self) -> Vec<String> {
        system::SystemTable::ALL.iter().map(|table| table.name().to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let table = system::SystemTable::by_name(name);
        Ok(table.map(|table| Arc::new(system::SystemProvider::new(table, Arc::clone(&self.view))) as Arc<dyn TableProvider>))
    }

    fn table_exist(&self, name: &str) -> bool {
        system::SystemTable::by_name(name).is_some()
    }
}
