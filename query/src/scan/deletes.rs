//! Rows that a selector deleted, left out of what SQL sees.
//!
//! A delete predicate names series; here they are looked up once per scan. It hides rows of files that came before it, and nothing else.

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use catalog::{Signal, SnapshotId, Table, TimeRange};
use datafusion::common::{DataFusionError, Result};
use hashbrown::HashSet;

use super::dedup::times_ns;
use crate::error::Error;
use crate::view::View;

/// The deletes that a scan has to mind.
#[derive(Debug, Default)]
pub(crate) struct Deletes(Vec<Delete>);

#[derive(Debug)]
struct Delete {
    since: SnapshotId,
    time: TimeRange,
    sids: HashSet<i64>,
}

impl Deletes {
    /// Those of `view` that can hide rows of `table` in `time`. Series keep their row in the dictionary: only their samples go.
    ///
    /// # Errors
    /// The lake's.
    pub(crate) async fn load(view: &View, table: Table, time: TimeRange) -> Result<Self> {
        if !matches!(table, Table::Samples | Table::Histograms | Table::Exemplars) {
            return Ok(Self::default());
        }
        let mut found = Vec::new();
        for delete in view.snapshot().delete_predicates(view.tenant()) {
            let range = delete.time.intersect(time);
            if delete.signal != Signal::Metrics || range.is_empty() {
                continue;
            }
            let Ok(selector) = promql::parse::parse_selector(&delete.predicate) else { continue };
            let series = crate::promql::series_of(view, selector, range).await.map_err(Error::from)?;
            let sids = series.iter().map(lake::series::Series::id).collect();
            found.push(Delete { since: delete.since, time: delete.time, sids });
        }
        Ok(Self(found))
    }

    /// The columns that are needed to tell.
    pub(super) fn columns(&self) -> &'static [&'static str] {
        if self.0.is_empty() { &[] } else { &["sid", "ts"] }
    }

    /// The rows of `batch`, of a file that came with snapshot `added`, that are not deleted.
    pub(crate) fn apply(&self, batch: RecordBatch, added: SnapshotId) -> Result<RecordBatch> {
        let hiding: Vec<&Delete> = self.0.iter().filter(|delete| delete.since >= added).collect();
        if hiding.is_empty() {
            return Ok(batch);
        }
        let missing = |name: &str| DataFusionError::Internal(format!("column {name} was not read"));
        let sids = batch.column_by_name("sid").and_then(|c| c.as_primitive_opt::<Int64Type>()).ok_or_else(|| missing("sid"))?;
        let (times, unit) = times_ns(batch.column_by_name("ts").ok_or_else(|| missing("ts"))?.as_ref())?;
        let stays = |(sid, at): (&i64, &i64)| {
            let at = catalog::Timestamp::from_nanos(at.saturating_mul(unit));
            Some(!hiding.iter().any(|delete| delete.time.contains(at) && delete.sids.contains(sid)))
        };
        let stays: BooleanArray = sids.values().iter().zip(times).map(stays).collect();
        Ok(filter_record_batch(&batch, &stays)?)
    }
}
