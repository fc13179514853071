//! Rows that were deleted, left out of what SQL and LogQL see.
//!
//! A delete predicate names series, or streams and what their lines are like; here they are looked up once per scan. It hides rows of files
//! that came before it, and nothing else. Of a dictionary (`series`, `streams`) it hides what has no row left at all in the days of the scan.

use std::collections::HashSet;

use arrow::array::RecordBatch;
use arrow::compute::filter_record_batch;
use catalog::manifest::DeletePredicate;
use catalog::{Signal, SnapshotId, Table, TimeRange};
use datafusion::common::Result;
use lake::deletes::{Dictionaries, Remaining, SelectorLanguage, dictionary_of, facts_of, remaining};
use lake::series::Scope;

use super::layout::whole_days;
use crate::deletes::DeleteSelectors;
use crate::error::Error;
use crate::view::View;

/// Most bytes of files that are looked at to tell whether series have rows left. Series that would need more are shown.
const REMAINING_BYTES_MAX: u64 = 2 << 30;

/// The deletes that a scan has to mind.
#[derive(Debug, Default)]
pub(crate) struct Deletes {
    hiding: lake::deletes::Deletes,
    columns: Vec<&'static str>,
}

impl Deletes {
    /// Those of `view` that can hide rows of `table` in `time`.
    ///
    /// # Errors
    /// The lake's.
    pub(crate) async fn load(view: &View, table: Table, time: TimeRange) -> crate::Result<Self> {
        let hiding = match dictionary_of(table) {
            None => return Ok(Self::default()),
            Some(dictionary) if dictionary == table => {
                let gone = gone(view, table, facts_of(table), whole_days(time), None).await?;
                lake::deletes::Deletes::of_series(gone, SnapshotId::MAX)
            }
            Some(dictionary) => of_facts(view, dictionary, time).await?,
        };
        Ok(Self { columns: hiding.columns(table), hiding })
    }

    /// The columns that are needed to tell.
    pub(super) fn columns(&self) -> &[&'static str] {
        &self.columns
    }

    /// The rows of `batch`, of a file that came with snapshot `added`, that are not deleted.
    pub(crate) fn apply(&self, batch: RecordBatch, added: SnapshotId) -> Result<RecordBatch> {
        shown(batch, &self.hiding, added)
    }
}

/// The rows of `batch`, of a file that came with snapshot `added`, that `hiding` does not hide.
///
/// # Errors
/// `Internal` when a column was not read.
pub(crate) fn shown(batch: RecordBatch, hiding: &lake::deletes::Deletes, added: SnapshotId) -> Result<RecordBatch> {
    match hiding.shown(&batch, added).map_err(Error::from)? {
        Some(shown) => Ok(filter_record_batch(&batch, &shown)?),
        None => Ok(batch),
    }
}

/// The entries of `dictionary` whose rows in `tables` are all deleted as far as they lie in `time`: of those that a predicate selects, the ones
/// that have none left. Only `among`, if given. Nothing is read without a predicate that touches `time`.
///
/// # Errors
/// The lake's.
pub(crate) async fn gone(
    view: &View,
    dictionary: Table,
    tables: &[Table],
    time: TimeRange,
    among: Option<&HashSet<i64>>,
) -> crate::Result<HashSet<i64>> {
    let deletes = of_facts(view, dictionary, time).await?;
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

/// What can hide rows in `time` that point into `dictionary`. Costs nothing without a predicate that touches `time`.
///
/// # Errors
/// The lake's.
pub(crate) async fn of_facts(view: &View, dictionary: Table, time: TimeRange) -> crate::Result<lake::deletes::Deletes> {
    let Some(signal) = dictionary.signal() else { return Ok(lake::deletes::Deletes::default()) };
    let touching = touching(view, signal, time);
    let (Some(start), Some(end)) =
        (touching.iter().map(|delete| delete.time.start).min(), touching.iter().map(|delete| delete.time.end).max())
    else {
        return Ok(lake::deletes::Deletes::default());
    };
    let days = whole_days(TimeRange::new(start, end).intersect(time));
    let scope = |table| Scope { table, files: view.files(table, days), fresh: view.fresh(table) };
    let known = Dictionaries { series: scope(dictionary), resources: scope(Table::Resources) };
    view.open(&known.series.files)?;
    Ok(lake::deletes::Deletes::resolve(view.lake(), &known, &touching, &DeleteSelectors).await?)
}

/// The predicates that can hide rows of `time`.
fn touching(view: &View, signal: Signal, time: TimeRange) -> Vec<DeletePredicate> {
    let touches = |delete: &&DeletePredicate| delete.signal == signal && !delete.time.intersect(time).is_empty();
    // A predicate that cannot be read was not written by us; rows are rather shown than hidden.
    let is_readable = |delete: &&DeletePredicate| DeleteSelectors.read(delete).is_ok();
    view.snapshot().delete_predicates(view.tenant()).filter(touches).filter(is_readable).cloned().collect()
}
