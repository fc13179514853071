//! Matchers to series, remembered: dashboards ask for the same selectors again and again, and series change rarely.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use catalog::{FileId, Signal, TenantId, TimeRange};
use hashbrown::{HashMap, HashSet};
use lake::series::Scope;
use moka::future::Cache;
use promql::ast::Matcher;
use promql::eval::Matchers;
use promql::labels::{Labels, TYPE, UNIT};

use super::super::error::{Error, Result};
use super::super::series::{self, Interner};
use super::selection::CHUNK_SERIES;
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

/// What is to be known of the series of a selector to tell whether values that were made of them are those that would be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Layout {
    /// Equal when series are shared out in the same way between those who add them up: so it is when they are the same ones, or so few
    /// that nothing is shared out.
    pub(crate) shares: u64,
    /// Whether a series has a label that goes with its name.
    pub(crate) has_metadata: bool,
}

impl Layout {
    fn of(series: &[Selected]) -> Self {
        let has_metadata = series.iter().any(|one| !one.labels.get(TYPE).is_empty() || !one.labels.get(UNIT).is_empty());
        if series.len() <= CHUNK_SERIES {
            return Self { shares: 0, has_metadata };
        }
        let mut hasher = DefaultHasher::new();
        series.iter().for_each(|one| one.sid.hash(&mut hasher));
        Self { shares: hasher.finish() | 1, has_metadata }
    }
}

/// The series of a selector, ordered by metric and id.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) series: Arc<Vec<Selected>>,
    pub(super) layout: Layout,
}

#[derive(Debug, Clone)]
struct Known {
    found: Found,
    _fresh: Arc<Vec<RecordBatch>>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct SelectionCache(Cache<Key, Known>);

impl SelectionCache {
    pub(super) fn new(bytes: u64) -> Self {
        let weigh = |key: &Key, known: &Known| {
            let series: usize = known.found.series.iter().map(bytes_of).sum();
            let fresh: usize = known._fresh.iter().map(RecordBatch::get_array_memory_size).sum();
            u32::try_from(series + fresh + key.files.len() * 16 + 256).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().name("promql_selections").max_capacity(bytes).weigher(weigh).build())
    }

    /// The series that pass `matchers` and are there in `time`.
    ///
    /// # Errors
    /// More than `series_max`; the lake's.
    pub(super) async fn resolve(&self, view: &View, matchers: &[Matcher], time: TimeRange, series_max: u64) -> Result<Found> {
        let scope = series::scope(view, time)?;
        let deletes = view.snapshot().delete_predicates(view.tenant()).filter(|delete| delete.signal == Signal::Metrics);
        let key = Key {
            tenant: view.tenant().clone(),
            matchers: matchers.to_vec(),
            files: scope.files.iter().map(|file| file.id).collect(),
            fresh: scope.fresh.iter().map(address_of).collect(),
            deletes: deletes.map(|delete| delete.id).collect(),
        };
        if let Some(known) = self.0.get(&key).await {
            if known.found.series.len() as u64 > series_max {
                let found = known.found.series.len() as u64;
                return Err(Error::Limit { name: "promql.series_max", what: "series", found, limit: series_max });
            }
            return Ok(known.found);
        }
        let series = Arc::new(find(view, &scope, matchers, series_max).await?);
        let found = Found { layout: Layout::of(&series), series };
        let known = Known { found: found.clone(), _fresh: Arc::new(scope.fresh) };
        self.0.insert(key, known).await;
        Ok(found)
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
