//! Fetch and decode, batch by batch.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use catalog::{FileEntry, Table};
use futures::StreamExt;
use object_store::ObjectStore;
use parquet::DecodeResult;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::RowSelection;
use parquet::arrow::push_decoder::{ParquetPushDecoder, ParquetPushDecoderBuilder};

use super::decode::Projection;
use super::metrics::ScanMetrics;
use super::{ScanSpec, ahead, filter, keys, page};
use crate::cache::{Caches, Footer, Requests, Reuse};
use crate::error::{Error, Result};
use crate::index::IndexReader;
use crate::lake::BatchStream;

/// Decoded columns of a row group that are kept between a test of its rows and their delivery; beyond it they are decoded again.
const TESTED_BYTES_MAX: usize = 32 << 20;
/// Least rows of a batch of rows that are tested.
const TESTED_ROWS_MIN: usize = 256;

/// A scan between two batches.
struct Scan {
    store: Arc<dyn ObjectStore>,
    caches: Arc<Caches>,
    file: Arc<FileEntry>,
    spec: ScanSpec,
    projection: Projection,
    reuse: Reuse,
    /// `None` before the first poll and when there is nothing to read.
    decoder: Option<(Arc<Footer>, ParquetPushDecoder)>,
    /// Pages that were read before the decoder asked for them.
    ahead: HashMap<Range<u64>, Bytes>,
    opened: bool,
}

pub(super) fn stream(
    store: Arc<dyn ObjectStore>,
    caches: Arc<Caches>,
    file: Arc<FileEntry>,
    spec: ScanSpec,
    projection: Projection,
    reuse: Reuse,
) -> BatchStream {
    let scan = Scan { store, caches, file, spec, projection, reuse, decoder: None, ahead: HashMap::new(), opened: false };
    futures::stream::try_unfold(scan, |mut scan| async move { Ok(scan.next().await?.map(|batch| (batch, scan))) }).boxed()
}

impl Scan {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        if !std::mem::replace(&mut self.opened, true) {
            self.open().await?;
        }
        let Some((footer, decoder)) = &mut self.decoder else { return Ok(None) };
        loop {
            let failed =
                |e: &dyn std::fmt::Display| Error::Decode { table: self.file.table, file: self.file.id, reason: e.to_string() };
            match decoder.try_decode().map_err(|e| failed(&e))? {
                DecodeResult::NeedsData(ranges) => {
                    let (known, ranges): (Vec<_>, Vec<_>) = ranges.into_iter().partition(|range| self.ahead.contains_key(range));
                    let bytes = known.iter().filter_map(|range| self.ahead.get(range).cloned()).collect();
                    decoder.push_ranges(known, bytes).map_err(|e| failed(&e))?;
                    let bytes = self.caches.pages(self.store.as_ref(), &self.file, footer, ranges.clone(), self.reuse).await?;
                    ScanMetrics::add(&self.spec.metrics.bytes_read, bytes.iter().map(Bytes::len).sum());
                    decoder.push_ranges(ranges, bytes).map_err(|e| failed(&e))?;
                }
                DecodeResult::Data(stored) => {
                    ScanMetrics::add(&self.spec.metrics.rows, stored.num_rows());
                    return self.projection.decode(&stored).map(Some).map_err(|e| failed(&e));
                }
                DecodeResult::Finished => {
                    self.decoder = None;
                    return Ok(None);
                }
            }
        }
    }

    async fn open(&mut self) -> Result<()> {
        let (store, file, metrics) = (self.store.as_ref(), self.file.as_ref(), &self.spec.metrics);
        // The first part is the last one to have nothing to read.
        let counted = usize::from(self.spec.part.at == 0);
        ScanMetrics::add(&metrics.files, counted);
        if !super::file_may_match(file, &self.spec.predicate, self.spec.time) {
            ScanMetrics::add(&metrics.files_pruned, counted);
            return Ok(());
        }
        let tests = page::tests_of(file, &self.spec);
        // It says that rows have no attributes, which is less to read than maps that are empty.
        let has_maps = self.projection.stored().iter().any(|name| IndexReader::ATTRIBUTES.contains(&name.as_str()));
        let wants_index = has_maps && file.table == Table::Logs && self.reuse == Reuse::Likely;
        let (footer, mut index) = page::opened(store, &self.caches, file, &tests, wants_index).await?;
        if index.is_none() {
            index = self.caches.known_index(file).await;
        }
        if let Some(keys) = &self.spec.keys {
            self.projection.narrow(&footer, keys);
        }
        let chained = self.projection.is_chained();
        let plan = page::plan(file, &footer, index.as_deref(), &tests, chained, &self.spec);
        if plan.row_groups.is_empty() {
            ScanMetrics::add(&metrics.files_pruned, counted);
            return Ok(());
        }
        let is_blank = |name: &str| page::is_blank(file, &footer, index.as_deref(), &plan, name);
        self.projection.leave_out(is_blank);
        let undecodable = |e: &dyn std::fmt::Display| Error::Decode { table: file.table, file: file.id, reason: e.to_string() };
        let texts = self.spec.texts.as_ref();
        debug_assert!(!chained || texts.is_none(), "tables whose rows are chained have no texts to test");
        let filter = if chained { None } else { filter::row_filter(&footer, &tests, texts).map_err(|e| undecodable(&e))? };
        if let Some(keys) = &self.spec.keys {
            let reads = (store, &*self.caches, self.reuse);
            let lacking = keys::lacking(reads, (file, &footer), self.projection.stored(), keys, &plan.row_groups).await?;
            self.projection.leave_out(|name| lacking.iter().any(|map| map == name));
        }
        let mask = mask(&footer, self.projection.stored());
        let batch_rows = match (&plan.selection, &filter) {
            (Some(selection), Some(_)) => tested_rows(selection, self.spec.batch_rows.max(1)),
            _ => self.spec.batch_rows.max(1),
        };
        if filter.is_some() && tests.iter().any(ahead::is_telling) {
            let ranges = ahead::ranges(&footer, &plan, &mask, (&tests, batch_rows));
            let how = (self.reuse, Requests::One);
            let bytes = self.caches.pages_by(store, file, &footer, ranges.clone(), how).await?;
            ScanMetrics::add(&metrics.bytes_read, bytes.iter().map(Bytes::len).sum());
            self.ahead = ranges.into_iter().zip(bytes).collect();
        }
        let mut builder = ParquetPushDecoderBuilder::new_with_metadata(footer.reader.clone())
            .with_projection(mask)
            .with_batch_size(batch_rows)
            .with_max_predicate_cache_size(TESTED_BYTES_MAX)
            .with_row_groups(plan.row_groups);
        if let Some(selection) = plan.selection {
            builder = builder.with_row_selection(selection);
        }
        if let Some(filter) = filter {
            builder = builder.with_row_filter(filter);
        }
        let decoder = builder.build().map_err(|e| undecodable(&e))?;
        self.decoder = Some((footer, decoder));
        Ok(())
    }
}

/// Rows of a batch where rows of `selection` are tested: a column that is tested and delivered is decoded batch by batch, whole ones, however few of their
/// rows are selected. Of rows that are a short run in each of many streams, that would be nearly all of the file.
fn tested_rows(selection: &RowSelection, most: usize) -> usize {
    let runs = selection.iter().filter(|part| !part.skip).count();
    (selection.row_count() / runs.max(1)).next_power_of_two().clamp(TESTED_ROWS_MIN.min(most), most)
}

/// The columns of `names` that the file has.
fn mask(footer: &Footer, names: &[String]) -> ProjectionMask {
    let fields = footer.reader.schema().fields();
    let positions: Vec<usize> = names.iter().filter_map(|name| fields.find(name).map(|(i, _)| i)).collect();
    ProjectionMask::roots(footer.reader.parquet_schema(), positions)
}
