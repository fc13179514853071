//! Matchers to series, remembered: dashboards ask for the same selectors again and again, and series change rarely.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use catalog::{FileId, Signal, TenantId, TimeRange, Timestamp};
use hashbrown::{HashMap, HashSet};
use lake::series::Scope;
use moka::future::Cache;
use promql::ast::Matcher;
use promql::eval::{Matchers, Select};
use promql::labels::Labels;

use super::super::error::{Error, Result};
use super::super::series::{self, Interner};
use super::{Deleted, Selected};
use crate::view::View;

/// Everything that the list of series depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    tenant: TenantId,
    matchers: Vec<Matcher>,
    /// The files of series.
    files: Vec<FileId>,
    /// The batches of series in memory, by the address and length of their first column. The value keeps them, so that no address is
    /// used again meanwhile.
    fresh: Vec<(usize, usize)>,
    /// The ids of the delete predicates.
    deletes: Vec<FileId>,
}

#[derive(Debug, Clone)]
struct Known {
    series: Arc<Vec<Selected>>,
    _fresh: Arc<Vec<RecordBatch>>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct SelectionCache(Cache<Key, Known>);

impl SelectionCache {
    pub(super) fn new(bytes: u64) -> Self {
        let weigh = |key: &Key, known: &Known| {
            let series: usize = known.series.iter().map(bytes_of).sum();
            let fresh: usize = known._fresh.iter().map(RecordBatch::get_array_memory_size).sum();
            u32::try_from(series + fresh + key.files.len() * 16 + 256).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().name("promql_selections").max_capacity(bytes).weigher(weigh).build())
    }

    /// The series that `select` selects, ordered by metric and id.
    ///
    /// # Errors
    /// More than `series_max`; the lake's.
    pub(super) async fn resolve(&self, view: &View, select: &Select, series_max: u64) -> Result<Arc<Vec<Selected>>> {
        let time = TimeRange::new(Timestamp::from_millis(select.from_ms), Timestamp::from_millis(select.to_ms));
        let scope = series::scope(view, time)?;
        let deletes = view.snapshot().delete_predicates(view.tenant()).filter(|delete| delete.signal == Signal::Metrics);
        let key = Key {
            tenant: view.tenant().clone(),
            matchers: select.matchers.clone(),
            files: scope.files.iter().map(|file| file.id).collect(),
            fresh: scope.fresh.iter().map(address_of).collect(),
            deletes: deletes.map(|delete| delete.id).collect(),
        };
        if let Some(known) = self.0.get(&key).await {
            if known.series.len() as u64 > series_max {
                let found = known.series.len() as u64;
                return Err(Error::Limit { name: "promql.series_max", what: "series", found, limit: series_max });
            }
            return Ok(known.series);
        }
        let series = Arc::new(find(view, &scope, &select.matchers, series_max).await?);
        let known = Known { series: Arc::clone(&series), _fresh: Arc::new(scope.fresh) };
        self.0.insert(key, known).await;
        Ok(series)
    }
}

async fn find(view: &View, scope: &Scope, matchers: &[Matcher], series_max: u64) -> Result<Vec<Selected>> {
    let limit = usize::try_from(series_max).unwrap_or(usize::MAX);
    let found = view.lake().series().resolve(scope, &series::matchers(matchers)?, limit).await?;
    let mut deletes = Vec::new();
    for delete in view.snapshot().delete_predicates(view.tenant()).filter(|delete| delete.signal == Signal::Metrics) {
        // A predicate that does not parse was not written by us; rows are rather shown than hidden.
        let Ok(selector) = promql::parse::parse_selector(&delete.predicate) else { continue };
        let time = (delete.time.start.as_millis(), delete.time.end.as_millis());
        let selector = Matchers::new(&selector).map_err(|error| Error::invalid(error.to_string()))?;
        deletes.push((selector, Deleted { since: delete.since, from_ms: time.0, to_ms: time.1 }));
    }
    deletes.sort_by_key(|(_, deleted)| deleted.since);
    let mut interner = Interner::default();
    let mut series: Vec<Selected> = found
        .iter()
        .map(|one| {
            let labels = interner.labels(one);
            let deleted = deletes.iter().filter(|(selector, _)| selector.match_series(&labels)).map(|(_, deleted)| *deleted);
            Selected { sid: one.id(), deleted: deleted.collect(), labels }
        })
        .collect();
    order_as_files(&mut series);
    Ok(series)
}

/// By metric and id. Metrics are few and compared once each, not once per comparison of series.
fn order_as_files(series: &mut [Selected]) {
    let distinct: HashSet<&str> = series.iter().map(|one| one.labels.metric()).collect();
    let mut metrics: Vec<String> = distinct.into_iter().map(str::to_owned).collect();
    metrics.sort_unstable();
    let ranks: HashMap<&str, u32> = metrics.iter().map(String::as_str).zip(0..).collect();
    series.sort_by_cached_key(|one| (ranks.get(one.labels.metric()).copied(), one.sid));
}

fn address_of(batch: &RecordBatch) -> (usize, usize) {
    let column = batch.column(1).to_data();
    (column.buffers().first().map_or(0, |buffer| buffer.as_ptr().addr()), batch.num_rows())
}

/// Bytes of a series: texts are shared, their handles are not.
fn bytes_of(one: &Selected) -> usize {
    let labels: &Labels = &one.labels;
    size_of::<Selected>() + 16 + labels.len() * 40 + one.deleted.len() * size_of::<Deleted>()
}
