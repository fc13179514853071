//! The names that a session knows: `telelake.public` with the tenant's tables and `telelake.system`.
//!
//! # Invariants
//! - Everything here belongs to one [`View`], so to one tenant. There is no way to register anything else.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::common::Result;

use crate::scan::LakeTable;
use crate::system;
use crate::tables::SqlTable;
use crate::view::View;

/// The only catalog.
pub const CATALOG: &str = "telelake";
/// The schema of the tenant's tables.
pub const SCHEMA: &str = "public";
/// The schema of the lake's own tables.
pub const SYSTEM: &str = "system";

/// The list with the one catalog.
#[derive(Debug)]
pub(crate) struct Namespace {
    view: Arc<View>,
}

#[derive(Debug)]
struct TenantCatalog {
    view: Arc<View>,
}

#[derive(Debug)]
struct Public {
    view: Arc<View>,
}

#[derive(Debug)]
struct System {
    view: Arc<View>,
}

impl Namespace {
    pub(crate) fn new(view: Arc<View>) -> Self {
        Self { view }
    }
}

impl CatalogProviderList for Namespace {
    fn register_catalog(&self, _name: String, _catalog: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![CATALOG.to_owned()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        (name == CATALOG).then(|| Arc::new(TenantCatalog { view: Arc::clone(&self.view) }) as Arc<dyn CatalogProvider>)
    }
}

impl CatalogProvider for TenantCatalog {
    fn schema_names(&self) -> Vec<String> {
        vec![SCHEMA.to_owned(), SYSTEM.to_owned()]
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let view = Arc::clone(&self.view);
        match name {
            SCHEMA => Some(Arc::new(Public { view })),
            SYSTEM => Some(Arc::new(System { view })),
            _ => None,
        }
    }
}

#[async_trait]
impl SchemaProvider for Public {
    fn table_names(&self) -> Vec<String> {
        SqlTable::all().iter().map(|table| table.name.to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let table = SqlTable::by_name(name);
        Ok(table.map(|table| Arc::new(LakeTable::new(table, Arc::clone(&self.view))) as Arc<dyn TableProvider>))
    }

    fn table_exist(&self, name: &str) -> bool {
        SqlTable::by_name(name).is_some()
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
