//! Leaves out of an input what deletes hide of it; a file that is picked for its deletes alone is looked at first.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::compute::filter_record_batch;
use catalog::{Partition, SnapshotId, Table};
use futures::{StreamExt, TryStreamExt};

use super::merge::MergeTotals;
use super::pick::Plan;
use crate::deletes::{Deletes, Dictionaries, Remaining, SelectorLanguage, dictionary_of, facts_of, holds_hidden, remaining};
use crate::error::{Error, Result};
use crate::lake::{BatchStream, Lake};
use crate::series::Scope;

/// What the deletes of `plan` hide of its inputs. A row of a dictionary is hidden if its series, or stream, has no other row left that day.
///
/// # Errors
/// A predicate that cannot be read; the lake's.
pub(super) async fn hidden(lake: &Lake, plan: &Plan, language: &dyn SelectorLanguage) -> Result<Deletes> {
    let Some(dictionary) = dictionary_of(plan.table).filter(|_| !plan.deletes.is_empty()) else { return Ok(Deletes::default()) };
    // As long as an input lives, the series that its hidden rows belong to are in the dictionary: see `hiding`.
    let snapshot = lake.catalog().pin();
    let time = Partition { day: plan.partition.day, slice: None }.range();
    let scope = |table| Scope { table, files: snapshot.files(&plan.tenant, table, time), fresh: Vec::new() };
    let known = Dictionaries { series: scope(dictionary), resources: scope(Table::Resources) };
    let deletes = Deletes::resolve(lake, &known, &plan.deletes, language).await?;
    if plan.table != dictionary || deletes.is_empty() {
        return Ok(deletes);
    }
    let (tenant, tables, bytes_max) = (&plan.tenant, facts_of(dictionary), u64::MAX);
    let place = Remaining { snapshot: &snapshot, tenant, tables, fresh: Vec::new(), time, bytes_max };
    let ids = deletes.ids();
    // Rows that younger deletes hide count: their files need the labels.
    let present = remaining(lake, &place, ids.clone(), &Deletes::default()).await?;
    let gone: HashSet<i64> = ids.difference(&present).copied().collect();
    Ok(deletes.only(&gone))
}

/// Whether `plan` would only write its one file again, row by row: it was picked because the manifest cannot tell that nothing is hidden.
///
/// # Errors
/// The lake's.
pub(super) async fn changes_nothing(lake: &Lake, plan: &Plan, hidden: &Deletes) -> Result<bool> {
    match (plan.inputs.as_slice(), plan.added.as_slice()) {
        ([file], [added]) if file.level == plan.level && !plan.deletes.is_empty() => {
            Ok(!holds_hidden(lake, file, *added, hidden).await?)
        }
        _ => Ok(false),
    }
}

/// The rows of `input`, a file that came with snapshot `added`, that `deletes` do not hide. The others are counted.
pub(super) fn without_hidden(
    input: BatchStream,
    deletes: &Arc<Deletes>,
    added: SnapshotId,
    totals: &Arc<MergeTotals>,
) -> BatchStream {
    if deletes.is_empty() {
        return input;
    }
    let (deletes, totals) = (Arc::clone(deletes), Arc::clone(totals));
    let leave_out = move |batch| {
        let Some(shown) = deletes.shown(&batch, added)? else { return Ok(batch) };
        let left = filter_record_batch(&batch, &shown).map_err(|e| Error::Internal(e.to_string()))?;
        let out = (batch.num_rows() - left.num_rows()) as u64;
        totals.rows_in.fetch_add(out, Ordering::Relaxed);
        totals.deleted.fetch_add(out, Ordering::Relaxed);
        Ok(left)
    };
    input.and_then(move |batch| std::future::ready(leave_out(batch))).boxed()
}
