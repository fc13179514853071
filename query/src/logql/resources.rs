//! The attributes of resources, as labels.
//!
//! Resources of files are turned into labels once for every set of files that queries ask for; those of memory, which are few, each time.

use std::sync::Arc;

use catalog::{FileId, Table, TenantId, TimeRange};
use hashbrown::HashMap;
use lake::dictionary::Lookup;
use lake::series::Scope;
use moka::future::Cache;

use super::error::{Error, Result};
use super::metadata::{Attributes, MAPS, Need, Pairs};
use crate::scan::layout::whole_days;
use crate::view::View;

/// Resources that are kept as labels, in bytes.
const RESOURCES_BYTES_MAX: u64 = 32 << 20;

/// The attributes of resources as labels, by id.
#[derive(Debug, Default)]
pub(super) struct Resources {
    /// Of files.
    stored: Arc<ById>,
    /// Of memory.
    fresh: ById,
}

/// Attributes as labels, by the id of their resource.
type ById = HashMap<i64, OwnLabels>;

/// Names and values.
type OwnLabels = Vec<(Box<str>, Box<str>)>;

/// Resources of sets of files, kept as labels: a query asks for those of its days, which are few and change seldom.
#[derive(Debug)]
pub(crate) struct ResourceCache(Cache<(TenantId, Vec<FileId>), Arc<ById>>);

impl ResourceCache {
    /// An empty cache.
    pub(super) fn new() -> Arc<Self> {
        let bytes = |(name, value): &(Box<str>, Box<str>)| name.len() + value.len() + 32;
        let weigh = move |_: &(TenantId, Vec<FileId>), resources: &Arc<ById>| {
            let held: usize = resources.values().map(|labels| 64 + labels.iter().map(bytes).sum::<usize>()).sum();
            u32::try_from(held).unwrap_or(u32::MAX)
        };
        Arc::new(Self(Cache::builder().name("logql_resources").max_capacity(RESOURCES_BYTES_MAX).weigher(weigh).build()))
    }
}

impl Resources {
    /// Those that lines in `time` can point to; none when nobody needs them.
    ///
    /// # Errors
    /// The lake's.
    pub(super) async fn load(view: &View, cache: &ResourceCache, need: &Need, time: TimeRange) -> Result<Self> {
        if !need.has("resource_id") {
            return Ok(Self::default());
        }
        let files = view.files(Table::Resources, whole_days(time));
        view.open(&files)?;
        let fresh = view.fresh(Table::Resources);
        let unlike = || Error::Query(crate::Error::Internal { message: "resources lack a column".to_owned() });
        let read = async |scope: Scope| {
            if scope.files.is_empty() && scope.fresh.is_empty() {
                return Ok(ById::new());
            }
            let lookup = view.lake().dictionaries().lookup(&scope).await?;
            labels_of(&lookup).ok_or_else(unlike)
        };
        let key = (view.tenant().clone(), files.iter().map(|file| file.id).collect());
        let stored = match cache.0.get(&key).await {
            Some(kept) => kept,
            None => {
                let stored = Arc::new(read(Scope { table: Table::Resources, files, fresh: Vec::new() }).await?);
                cache.0.insert(key, Arc::clone(&stored)).await;
                stored
            }
        };
        let fresh = read(Scope { table: Table::Resources, files: Vec::new(), fresh }).await?;
        Ok(Self { stored, fresh })
    }

    /// Whether a resource is known.
    pub(super) fn has(&self, id: i64) -> bool {
        self.get(id).is_some()
    }

    /// Whether one of them has the label `name`.
    pub(super) fn any_has(&self, name: &str) -> bool {
        let mut all = self.stored.values().chain(self.fresh.values());
        all.any(|labels| labels.iter().any(|(known, _)| **known == *name))
    }

    /// The attributes of a resource.
    pub(super) fn get(&self, id: i64) -> Option<&OwnLabels> {
        self.stored.get(&id).or_else(|| self.fresh.get(&id))
    }

    /// Those of `lookup`; `None` when its rows lack a column.
    pub(super) fn of(lookup: &Lookup) -> Option<Self> {
        Some(Self { stored: Arc::default(), fresh: labels_of(lookup)? })
    }
}

/// The resources of `lookup`; `None` when its rows lack a column.
fn labels_of(lookup: &Lookup) -> Option<ById> {
    let mut resources = ById::new();
    let mut pairs = Pairs::default();
    for (id, batch, row) in lookup.iter() {
        let maps = MAPS.iter().map(|name| batch.column_by_name(name).and_then(Attributes::of)).collect::<Option<Vec<_>>>()?;
        pairs.clear();
        maps.iter().for_each(|map| map.read(row, &mut pairs));
        resources.insert(id, pairs.iter().map(|(name, value)| (name.into(), value.into())).collect());
    }
    Some(resources)
}
