//! Decoded native histograms: the rows of one row group, or of one batch in memory, by series.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use promql::value::HistogramSample;

use super::native::{COLUMNS, Reader};

/// Rows by series; see [`super::block`] for its shape and invariants.
#[derive(Debug, Default)]
pub(super) struct HistogramBlock {
    sids: Box<[i64]>,
    /// The rows of series `at` are `samples[ends[at - 1]..ends[at]]`.
    ends: Box<[u32]>,
    samples: Box<[HistogramSample]>,
}

impl HistogramBlock {
    /// The columns that it is made of.
    pub(super) const COLUMNS: &[&str] = &COLUMNS;

    /// The rows of `batches`, in the order in which they were written or as files are sorted. `None` when a column is missing or holds
    /// what is no histogram.
    pub(super) fn new(batches: &[RecordBatch]) -> Option<Self> {
        let mut rows: Vec<(i64, HistogramSample)> = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
        for batch in batches {
            let sids = batch.column_by_name("sid")?.as_primitive_opt::<Int64Type>()?;
            let reader = Reader::new(batch)?;
            for (row, sid) in sids.values().iter().enumerate() {
                rows.push((*sid, reader.sample(row)?));
            }
        }
        // Stable: of equal times the one written last comes last, and stays.
        rows.sort_by_key(|(sid, sample)| (*sid, sample.time_ms));
        let mut block = (Vec::new(), Vec::<u32>::new(), Vec::<HistogramSample>::with_capacity(rows.len()));
        let (sids, ends, samples) = (&mut block.0, &mut block.1, &mut block.2);
        for (sid, sample) in rows {
            if sids.last() != Some(&sid) {
                sids.push(sid);
                ends.push(samples.len() as u32);
            } else if samples.last().is_some_and(|last| last.time_ms == sample.time_ms) {
                samples.pop();
            }
            samples.push(sample);
            if let Some(end) = ends.last_mut() {
                *end = samples.len() as u32;
            }
        }
        Some(Self { sids: block.0.into(), ends: block.1.into(), samples: block.2.into() })
    }

    /// The ids of its series, ascending, each once.
    pub(super) fn sids(&self) -> &[i64] {
        &self.sids
    }

    /// The rows of the series at `at`, ascending by time.
    pub(super) fn run(&self, at: usize) -> &[HistogramSample] {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.samples[start as usize..self.ends[at] as usize]
    }

    /// Bytes of memory.
    pub(super) fn memory_bytes(&self) -> usize {
        self.sids.len() * 12 + self.samples.iter().map(bytes_of).sum::<usize>() + size_of::<Self>()
    }
}

/// Bytes of one histogram with its time.
pub(super) fn bytes_of(sample: &HistogramSample) -> usize {
    let histogram = &*sample.histogram;
    let spans = histogram.positive_spans.len() + histogram.negative_spans.len();
    let counts = histogram.positive_counts.len() + histogram.negative_counts.len() + histogram.custom_bounds.len();
    size_of_val(sample) + size_of_val(histogram) + 16 + (spans + counts) * 8
}
