//! Rows that a selector deleted, left out of what SQL sees.
//!
//! A delete predicate names series; here they are looked up once per scan. It hides rows of files that came before it, and nothing else. Of
//! the series table it hides the series that have no row left at all in the days of the scan.

use std::collections::HashSet;

use arrow::array::RecordBatch;
use arrow::compute::filter_record_batch;
use catalog::manifest::DeletePredicate;
use catalog::{Signal, SnapshotId, Table, TimeRange};
use datafusion::common::Result;
use lake::deletes::{FACTS, Remaining, SelectorLanguage, remaining};

use super::layout::whole_days;
use crate::error::Error;
use crate::promql::{DeleteSelectors, series_scope};
use crate::view::View;

/// Most bytes of files that are looked at to tell whether series have rows left. Series that would need more are shown.
const REMAINING_BYTES_MAX: u64 = 2 << 30;

/// The deletes that a scan has to mind.
#[derive(Debug, Default)]
pub(crate) struct Deletes(lake::deletes::Deletes);

impl Deletes {
    /// Those of `view` that can hide rows of `table` in `time`.
    ///
    /// # Errors
    /// The lake's.
    pub(crate) async fn load(view: &View, table: Table, time: TimeRange) -> crate::Result<Self> {
        match table {
            Table::Samples | Table::Histograms | Table::Exemplars => Ok(Self(of_facts(view, time).await?)),
            Table::Series => {
                let gone = gone(view, &FACTS, whole_days(time), None).await?;
                Ok(Self(lake::deletes::Deletes::of_series(gone, SnapshotId::MAX)))
            }
            _ => Ok(Self::default()),
        }
    }

    /// The columns that are needed to tell.
    pub(super) fn columns(&self) -> &'static [&'static str] {
        if self.0.is_empty() { &[] } else { &["sid", "ts"] }
    }

    /// The rows of `batch`, of a file that came with snapshot `added`, that are not deleted.
    pub(crate) fn apply(&self, batch: RecordBatch, added: SnapshotId) -> Result<RecordBatch> {
        match self.0.shown(&batch, added).map_err(Error::from)? {
            Some(shown) => Ok(filter_record_batch(&batch, &shown)?),
            None => Ok(batch),
        }
    }
}

/// The series whose rows in `tables` are all deleted as far as they lie in `time`: of those that a predicate selects, the ones that have none
/// left. Only `among`, if given. Nothing is read without a predicate that touches `time`.
///
/// # Errors
/// The lake's.
pub(crate) async fn gone(
    view: &View,
    tables: &[Table],
    time: TimeRange,
    among: Option<&HashSet<i64>>,
) -> crate::Result<HashSet<i64>> {
    let deletes = of_facts(view, time).await?;
    let mut ids = deletes.ids();
    ids.retain(|id| among.is_none_or(|among| among.contains(id)));
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let place = Remaining {
        snapshot: view.snapshot(),
        tenant: view.tenant(),
        tables,
        fresh: tables.iter().flat_map(|table| view.fresh(*table)).collect(),
        time,
        bytes_max: REMAINING_BYTES_MAX,
    };
    let present = remaining(view.lake(), &place, ids.clone(), &deletes).await?;
    Ok(ids.into_iter().filter(|id| !present.contains(id)).collect())
}

async fn of_facts(view: &View, time: TimeRange) -> crate::Result<lake::deletes::Deletes> {
    let touching = touching(view, time);
    let (Some(start), Some(end)) =
        (touching.iter().map(|delete| delete.time.start).min(), touching.iter().map(|delete| delete.time.end).max())
    else {
        return Ok(lake::deletes::Deletes::default());
    };
    let scope = series_scope(view, TimeRange::new(start, end).intersect(time))?;
    Ok(lake::deletes::Deletes::resolve(view.lake(), &scope, &touching, &DeleteSelectors).await?)
}

/// The predicates that can hide rows of `time`.
fn touching(view: &View, time: TimeRange) -> Vec<DeletePredicate> {
    let touches = |delete: &&DeletePredicate| delete.signal == Signal::Metrics && !delete.time.intersect(time).is_empty();
    // A predicate that cannot be read was not written by us; rows are rather shown than hidden.
    let is_readable = |delete: &&DeletePredicate| DeleteSelectors.matchers(delete).is_ok();
    view.snapshot().delete_predicates(view.tenant()).filter(touches).filter(is_readable).cloned().collect()
}
