//! Labels to ids and back: which series (or log streams) a set of matchers selects, and what labels an id has.
//!
//! ```text
//! files of `series` ─decode once─► [LabelTable] interned labels + postings ─┐ matchers ─► rows ─► ids, ascending
//! fresh batches     ─decode once─► [LabelTable]                            ─┘
//! ```
//!
//! A decoded table is shared by all queries and byte-bounded in the cache. A result is a list of [`Series`]: handles into tables, 16
//! bytes each, so that a million of them are cheap.

mod matcher;
mod resolve;
mod table;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use catalog::{FileEntry, Snapshot, Table, TenantId, TimeRange};
use moka::future::Cache;
use object_store::ObjectStore;

pub use matcher::{MatchOp, Matcher};
pub(crate) use table::id_column;
pub use table::{LabelTable, Series, by_labels};

use crate::cache::Caches;
use crate::config::LakeConfig;
use crate::dictionary;
use crate::error::Result;
use crate::fresh::FreshCapture;

/// Where to look: the dictionary files and fresh rows of one tenant that a time range touches.
#[derive(Debug, Clone)]
pub struct Scope {
    /// [`Table::Series`], [`Table::Streams`] or [`Table::Resources`].
    pub table: Table,
    /// Its files.
    pub files: Vec<Arc<FileEntry>>,
    /// Its rows that are not in files yet.
    pub fresh: Vec<RecordBatch>,
}

impl Scope {
    /// The rows of the dictionary `table` that facts in `time` can point to. Dictionary rows count for their whole day.
    pub fn new(snapshot: &Snapshot, fresh: &FreshCapture, tenant: &TenantId, table: Table, time: TimeRange) -> Self {
        let days = dictionary::whole_days(time);
        Self { table, files: snapshot.files(tenant, table, days), fresh: fresh.batches(snapshot, table).cloned().collect() }
    }
}

/// Resolves matchers to series or streams.
#[derive(Debug)]
pub struct SeriesIndex {
    store: Arc<dyn ObjectStore>,
    caches: Arc<Caches>,
    tables: Cache<table::TableKey, Arc<LabelTable>>,
}

impl SeriesIndex {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, caches: Arc<Caches>, config: &LakeConfig) -> Self {
        let tables = Cache::builder()
            .name("label tables")
            .max_capacity(config.dictionary_cache_bytes / 2)
            .weigher(|_, table: &Arc<LabelTable>| u32::try_from(table.memory_bytes()).unwrap_or(u32::MAX))
            .build();
        Self { store, caches, tables }
    }

    /// The series that pass all `matchers`, ascending by id, each once. The name `__name__` matches the metric of series; streams
    /// have no such label.
    ///
    /// # Errors
    /// `Store`, `Corrupt`; `TooLarge` when more than `limit` pass.
    pub async fn resolve(&self, scope: &Scope, matchers: &[Matcher], limit: usize) -> Result<Vec<Series>> {
        let tables = self.tables(scope).await?;
        resolve::resolve(&tables, matchers, limit)
    }

    /// The labels of those `ids` that are known.
    ///
    /// # Errors
    /// `Store`, `Corrupt`.
    pub async fn labels_of(&self, scope: &Scope, ids: &[i64]) -> Result<HashMap<i64, Series>> {
        let tables = self.tables(scope).await?;
        let mut found = HashMap::with_capacity(ids.len());
        for id in ids {
            if let Some(series) = tables.iter().find_map(|table| table.find(*id)) {
                found.insert(*id, series);
            }
        }
        Ok(found)
    }

    /// The names of all labels, ascending, each once; `__name__` among them for series.
    ///
    /// # Errors
    /// `Store`, `Corrupt`.
    pub async fn label_names(&self, scope: &Scope) -> Result<Vec<String>> {
        let tables = self.tables(scope).await?;
        Ok(resolve::label_names(&tables))
    }

    /// The values that the label `name` has, ascending, each once.
    ///
    /// # Errors
    /// `Store`, `Corrupt`.
    pub async fn label_values(&self, scope: &Scope, name: &str) -> Result<Vec<String>> {
        let tables = self.tables(scope).await?;
        Ok(resolve::label_values(&tables, name))
    }

    /// The decoded tables of `scope`: one per file and one per fresh batch.
    ///
    /// # Errors
    /// `Store`, `Corrupt`.
    pub async fn tables(&self, scope: &Scope) -> Result<Vec<Arc<LabelTable>>> {
        table::load(&self.store, &self.caches, &self.tables, scope).await
    }
}
