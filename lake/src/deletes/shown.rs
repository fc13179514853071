//! Which rows of a batch are hidden: by id and time first, by what is in the row second.

use arrow::array::{BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use catalog::SnapshotId;

use super::{Delete, Deletes, RowTest, Times, ids_of};
use crate::error::{Error, Result};

impl Deletes {
    /// Which rows of `batch`, of a file that came with snapshot `added`, are not hidden; `None`: all of them. Needs [`Deletes::columns`].
    ///
    /// # Errors
    /// `Internal` when a column was not read.
    pub fn shown(&self, batch: &RecordBatch, added: SnapshotId) -> Result<Option<BooleanArray>> {
        let hiding: Vec<&Delete> = self.since(added).collect();
        if hiding.is_empty() || batch.num_rows() == 0 {
            return Ok(None);
        }
        let (ids, times) = (ids_of(batch)?, Times::of(batch)?);
        let mut shown = vec![true; batch.num_rows()];
        for delete in hiding {
            let mut asked: Vec<usize> = Vec::new();
            // Rows of one series stand side by side in files.
            let mut last: Option<(i64, bool)> = None;
            for (row, id) in ids.iter().enumerate() {
                let is_meant = match last {
                    Some((seen, answer)) if seen == *id => answer,
                    _ => delete.ids.contains(id),
                };
                last = Some((*id, is_meant));
                if is_meant && shown[row] && delete.time.contains(times.at(row)) {
                    asked.push(row);
                }
            }
            match &delete.rows {
                Some(test) if !asked.is_empty() => hide_meant(&**test, batch, &asked, &mut shown)?,
                _ => asked.iter().for_each(|row| shown[*row] = false),
            }
        }
        Ok((!shown.iter().all(|shown| *shown)).then(|| BooleanArray::from(shown)))
    }
}

/// Hides those of the rows `asked` that `test` means.
fn hide_meant(test: &dyn RowTest, batch: &RecordBatch, asked: &[usize], shown: &mut [bool]) -> Result<()> {
    let internal = |e: arrow::error::ArrowError| Error::Internal(e.to_string());
    let is_needed = |name: &str| matches!(name, "sid" | "stream_id" | "ts") || test.columns().contains(&name);
    let schema = batch.schema_ref();
    let columns: Vec<usize> = (0..batch.num_columns()).filter(|at| is_needed(schema.field(*at).name())).collect();
    let mut rows = batch.project(&columns).map_err(internal)?;
    if asked.len() < batch.num_rows() {
        let mut next = asked.iter().copied().peekable();
        let kept = BooleanBuffer::collect_bool(batch.num_rows(), |row| next.next_if_eq(&row).is_some());
        rows = filter_record_batch(&rows, &BooleanArray::new(kept, None)).map_err(internal)?;
    }
    let meant = test.meant(&rows)?;
    asked.iter().zip(&meant).filter(|(_, meant)| *meant).for_each(|(row, _)| shown[*row] = false);
    Ok(())
}
