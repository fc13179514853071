//! Which of some series have rows left: manifest first, ids and times of the files that may tell second.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use catalog::{FileEntry, Snapshot, SnapshotId, Table, TenantId, TimeRange};
use futures::TryStreamExt;

use super::{Delete, Deletes, Times, ids_of};
use crate::Result;
use crate::lake::Lake;
use crate::predicate::{ColumnTest, Predicate, Scalar, Test};
use crate::scan::ScanSpec;
use crate::series::id_column;

/// Most ids that a file is asked for one by one; of more the smallest and the largest.
const IDS_MAX: usize = 512;

/// Where [`remaining`] looks.
#[derive(Debug, Clone)]
pub struct Remaining<'a> {
    /// Files.
    pub snapshot: &'a Snapshot,
    /// Whose.
    pub tenant: &'a TenantId,
    /// Tables whose rows count.
    pub tables: &'a [Table],
    /// Rows in memory, of these tables. No predicate hides them.
    pub fresh: Vec<RecordBatch>,
    /// Times of the rows that count.
    pub time: TimeRange,
    /// Most bytes of files to open. Series that would need more count as having rows.
    pub bytes_max: u64,
}

/// The series among `ids` that have rows which `deletes` do not hide.
///
/// Reads what tells of files that may hold such a row, until each series has shown one. A file in which a predicate hides all rows of the
/// series that are still looked for is not opened.
///
/// # Errors
/// `Store`, `Corrupt`, `Decode`.
pub async fn remaining(lake: &Lake, place: &Remaining<'_>, ids: HashSet<i64>, deletes: &Deletes) -> Result<HashSet<i64>> {
    let mut search = Search { found: HashSet::new(), left: ids, time: place.time };
    for batch in &place.fresh {
        search.look(batch, &Deletes::default(), SnapshotId::MAX)?;
    }
    let mut bytes = 0u64;
    for table in place.tables {
        for file in place.snapshot.files(place.tenant, *table, place.time) {
            let leaf = place.snapshot.leaf(place.tenant, *table, file.partition.day);
            let added = leaf.and_then(|leaf| leaf.added_of(file.id)).unwrap_or_default();
            let deletes = deletes.of_file(&file, added);
            let Some(predicate) = search.wanted(&file, &deletes, added) else { continue };
            if lake.prune(std::slice::from_ref(&file), &predicate, place.time).is_empty() {
                continue;
            }
            bytes = bytes.saturating_add(file.bytes);
            if bytes > place.bytes_max {
                search.found.extend(search.left.drain());
                return Ok(search.found);
            }
            search.read(lake, file, predicate, &deletes, added).await?;
        }
    }
    Ok(search.found)
}

/// Whether `file`, which came with snapshot `added`, has a row that `deletes` hide. Reads what tells, as far as statistics and index let it.
///
/// # Errors
/// `Store`, `Corrupt`, `Decode`.
pub(crate) async fn holds_hidden(lake: &Lake, file: &Arc<FileEntry>, added: SnapshotId, deletes: &Deletes) -> Result<bool> {
    // Those that prune differently are looked for one by one, the others at once.
    let (pruning, others): (Vec<Delete>, Vec<Delete>) = deletes
        .of_file(file, added)
        .0
        .into_iter()
        .partition(|delete| delete.rows.as_ref().is_some_and(|rows| !rows.prunes().is_empty()));
    for deletes in std::iter::once(others).chain(pruning.into_iter().map(|delete| vec![delete])) {
        let prunes = deletes.first().and_then(|delete| delete.rows.as_ref()).filter(|_| deletes.len() == 1);
        let prunes = prunes.map(|rows| rows.prunes().to_vec()).unwrap_or_default();
        let deletes = Deletes(deletes);
        let Some(mut predicate) = among(deletes.ids().into_iter().collect(), file) else { continue };
        predicate.all.extend(prunes);
        if lake.prune(std::slice::from_ref(file), &predicate, TimeRange::ALL).is_empty() {
            continue;
        }
        let mut spec = ScanSpec::all(deletes.columns(file.table));
        spec.predicate = predicate;
        let mut batches = lake.scan(Arc::clone(file), spec)?;
        while let Some(batch) = batches.try_next().await? {
            if deletes.shown(&batch, added)?.is_some() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Rows of `ids`, as far as `file` can have them; `None` when it has none.
fn among(mut ids: Vec<i64>, file: &FileEntry) -> Option<Predicate> {
    let (low, high) = file.id_range.unwrap_or((i64::MIN, i64::MAX));
    ids.retain(|id| (low..=high).contains(id));
    ids.sort_unstable();
    let (first, last) = (*ids.first()?, *ids.last()?);
    let test = if ids.len() <= IDS_MAX {
        Test::In(ids.into_iter().map(Scalar::Int).collect())
    } else {
        Test::Between(Some(Scalar::Int(first)), Some(Scalar::Int(last)))
    };
    Some(Predicate { all: vec![ColumnTest { column: id_column(file.table).to_owned(), test }] })
}

struct Search {
    found: HashSet<i64>,
    left: HashSet<i64>,
    time: TimeRange,
}

impl Search {
    /// What to look for in `file`; `None` when it cannot have a row that counts.
    fn wanted(&self, file: &FileEntry, deletes: &Deletes, added: SnapshotId) -> Option<Predicate> {
        let time = file.time.intersect(self.time);
        let may_show = |id: &i64| !deletes.hides_all(*id, time, added);
        among(self.left.iter().copied().filter(may_show).collect(), file)
    }

    async fn read(
        &mut self,
        lake: &Lake,
        file: Arc<FileEntry>,
        predicate: Predicate,
        deletes: &Deletes,
        added: SnapshotId,
    ) -> Result<()> {
        let columns = deletes.columns(file.table);
        let mut spec = ScanSpec::all(if columns.is_empty() { vec![id_column(file.table), "ts"] } else { columns });
        (spec.time, spec.predicate) = (self.time, predicate);
        let mut batches = lake.scan(file, spec)?;
        while let Some(batch) = batches.try_next().await? {
            self.look(&batch, deletes, added)?;
            if self.left.is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn look(&mut self, batch: &RecordBatch, deletes: &Deletes, added: SnapshotId) -> Result<()> {
        if self.left.is_empty() {
            return Ok(());
        }
        let shown = deletes.shown(batch, added)?;
        let (ids, times) = (ids_of(batch)?, Times::of(batch)?);
        for (row, id) in ids.iter().enumerate() {
            let counts = shown.as_ref().is_none_or(|shown| shown.value(row)) && self.time.contains(times.at(row));
            if counts && self.left.remove(id) {
                self.found.insert(*id);
            }
        }
        Ok(())
    }
}
