//! Between the rows of the process and the columns of the files.
//!
//! ```text
//! rows(samples)     value                         ◄─ decimal ─►  v_int * 10^v_exp | v_f64      stored(samples)
//! rows(histograms)  counts per bucket             ◄─ delta   ─►  counts minus the row before   stored(histograms)
//! any other table   the same columns both ways
//! ```
//!
//! Chains of differences start anew at every row group, so that a reader can begin at any of them.

pub(crate) mod decimal;
mod histogram;
mod samples;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use catalog::Table;

pub(crate) use histogram::HistogramDecoder;
pub(crate) use samples::values_of;

/// Turns sorted rows into stored columns. Keeps what the next batch of the same row group needs.
#[derive(Debug)]
pub(crate) struct RowEncoder {
    table: Table,
    histograms: histogram::HistogramEncoder,
}

impl RowEncoder {
    pub(crate) fn new(table: Table) -> Self {
        Self { table, histograms: histogram::HistogramEncoder::default() }
    }

    /// The stored columns of `rows`, which follow the rows of the call before.
    pub(crate) fn encode(&mut self, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        match self.table {
            Table::Samples => samples::encode(rows),
            Table::Histograms => self.histograms.encode(rows),
            _ => Ok(rows.clone()),
        }
    }

    /// The next rows begin a row group.
    pub(crate) fn start_row_group(&mut self) {
        self.histograms.restart();
    }
}
