//! Which rows of a row group pass line filters, and what they hold where they are few.

use arrow::array::RecordBatch;
use roaring::RoaringBitmap;

/// What filters were asked, and what they said. Rows are those of the row group, or of a file that is read as one.
#[derive(Debug, Default)]
pub(in super::super) struct Hits {
    /// Rows of which it is known whether they pass.
    pub(in super::super) tested: RoaringBitmap,
    /// Those of them that pass.
    pub(in super::super) passing: RoaringBitmap,
}

impl Hits {
    pub(in super::super) fn new(mut tested: RoaringBitmap, mut passing: RoaringBitmap) -> Self {
        debug_assert!(passing.is_subset(&tested), "a row that passes was looked at");
        // Rows that were looked at are long ranges.
        tested.optimize();
        passing.optimize();
        Self { tested, passing }
    }

    /// Bytes held.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.tested.serialized_size() + self.passing.serialized_size()
    }
}

/// Rows of a row group, or of a file that is read as one, with some of their columns.
#[derive(Debug)]
pub(in super::super) struct FoundRows {
    /// Which rows they are.
    pub(super) rows: RoaringBitmap,
    /// What they hold, in file order.
    pub(in super::super) batches: Vec<RecordBatch>,
}

impl FoundRows {
    /// Bytes held.
    pub(super) fn memory_bytes(&self) -> usize {
        let columns = self.batches.iter().map(RecordBatch::get_array_memory_size).sum::<usize>();
        size_of::<Self>() + self.rows.serialized_size() + columns
    }
}
