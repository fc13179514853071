//! Which rows have a text that is wanted: pages of texts are searched as they lie there, and nothing becomes a column.
//!
//! ```text
//! rows ──► pages that have some ──fetch, prove, unpack──► texts ──[TextTest::retain]──► rows
//! ```
//! A scan with a [`TextTest`] tells the same, of rows that it delivers. This is for who wants to count rows, or to remember which they are.
//!
//! # Invariants
//! - The same rows pass as in a scan.
//! - Memory: the packed pages of a row group, and one that is unpacked.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use catalog::FileEntry;
use object_store::ObjectStore;
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageReader};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::serialized_reader::SerializedPageReader;
use roaring::RoaringBitmap;

use super::parts::Parts;
use super::{ScanSpec, page, texts};
use crate::cache::{Caches, Footer, Reuse};
use crate::error::{Error, Result};
use crate::predicate::TextTest;
use crate::scan::metrics::ScanMetrics;

/// Pages after which others get a turn: a page takes some 200 µs.
const PAGES_PER_TURN: usize = 4;

/// See [`crate::Lake::candidates`].
pub(crate) async fn candidates(
    store: &dyn ObjectStore,
    caches: &Caches,
    file: &FileEntry,
    spec: &ScanSpec,
) -> Result<RoaringBitmap> {
    let mut rows = RoaringBitmap::new();
    if !super::file_may_match(file, &spec.predicate, spec.time) {
        return Ok(rows);
    }
    let tests = page::tests_of(file, spec);
    let (footer, index) = page::opened(store, caches, file, &tests, false).await?;
    let left = page::left(file, &footer, index.as_deref(), &tests, false, spec);
    let first = first_row(spec, &left.starts);
    for range in left.rows {
        rows.insert_range(row(range.start - first)..row(range.end - first));
    }
    Ok(rows)
}

/// See [`crate::Lake::passing`].
pub(crate) async fn passing(
    store: &dyn ObjectStore,
    caches: &Caches,
    file: &FileEntry,
    spec: &ScanSpec,
) -> Result<Option<RoaringBitmap>> {
    let Some(test) = &spec.texts else { return Ok(None) };
    let mut found = RoaringBitmap::new();
    if spec.rows.as_ref().is_some_and(|rows| rows.is_empty()) {
        return Ok(Some(found));
    }
    let footer = caches.footer(store, file).await?;
    let starts = page::row_group_starts(footer.reader.metadata());
    let first = first_row(spec, &starts);
    let wanted_group = |group: &usize| spec.row_group.is_none_or(|only| only == *group);
    for group in (0..starts.len() - 1).filter(wanted_group) {
        let at = row(starts[group] - first)..row(starts[group + 1] - first);
        let Some(pages) = Pages::of(&footer, group, test.column(), at, spec.rows.as_deref()) else { return Ok(None) };
        let ranges: Vec<Range<u64>> = pages.wanted.iter().map(|page| page.bytes.clone()).collect();
        let bytes = caches.pages(store, file, &footer, ranges, Reuse::Likely).await?;
        ScanMetrics::add(&spec.metrics.bytes_read, bytes.iter().map(Bytes::len).sum());
        match pages.search(bytes, test.as_ref(), spec.rows.as_deref(), &mut found).await {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(e) => return Err(Error::Decode { table: file.table, file: file.id, reason: e.to_string() }),
        }
    }
    Ok(Some(found))
}

/// The row from which rows are counted.
fn first_row(spec: &ScanSpec, starts: &[usize]) -> usize {
    spec.row_group.and_then(|group| starts.get(group).copied()).unwrap_or(0)
}

/// Files are far smaller than that; more rows would be left out of no answer, but of bitmaps.
fn row(at: usize) -> u32 {
    u32::try_from(at).expect("a file has fewer than 2^32 rows")
}

/// The pages of the texts of one row group.
struct Pages<'a> {
    footer: &'a Footer,
    group: usize,
    column: usize,
    locations: &'a [PageLocation],
    /// Those that have rows to look at.
    wanted: Vec<WantedPage>,
}

struct WantedPage {
    number: usize,
    rows: Range<u32>,
    bytes: Range<u64>,
}

impl<'a> Pages<'a> {
    /// The pages with rows of `only`, of a row group that has the rows `at`; `None` if nothing says where pages are, or rows may have no text.
    fn of(footer: &'a Footer, group: usize, name: &str, at: Range<u32>, only: Option<&RoaringBitmap>) -> Option<Self> {
        let metadata = footer.reader.metadata();
        let leaves = metadata.file_metadata().schema_descr();
        let column = leaves.columns().iter().position(|leaf| leaf.path().parts() == [name])?;
        if leaves.column(column).max_def_level() > 0 {
            return None;
        }
        let locations: &[PageLocation] = metadata.offset_index()?.get(group)?.get(column)?.page_locations();
        let row = |location: &PageLocation| Some(at.start + u32::try_from(location.first_row_index).ok()?);
        let mut wanted = Vec::new();
        for (number, location) in locations.iter().enumerate() {
            let end = match locations.get(number + 1) {
                Some(next) => row(next)?,
                None => at.end,
            };
            let rows = row(location)?..end;
            let (start, bytes) = (u64::try_from(location.offset).ok()?, u64::try_from(location.compressed_page_size).ok()?);
            if only.is_none_or(|only| only.range_cardinality(rows.clone()) > 0) {
                wanted.push(WantedPage { number, rows, bytes: start..start + bytes });
            }
        }
        Some(Self { footer, group, column, locations, wanted })
    }

    /// Adds to `found` the rows of `only` that pass; `false` if a page has another encoding than texts are written in.
    async fn search(
        &self,
        bytes: Vec<Bytes>,
        test: &dyn TextTest,
        only: Option<&RoaringBitmap>,
        found: &mut RoaringBitmap,
    ) -> ParquetResult<bool> {
        let group = self.footer.reader.metadata().row_group(self.group);
        let packed = Parts::new(self.wanted.iter().map(|page| page.bytes.start).zip(bytes).collect());
        let locations = self.wanted.iter().map(|page| self.locations[page.number].clone());
        // The reader takes what lies before its first page for a dictionary, which texts have not.
        let lead = (self.wanted.first().is_some_and(|page| page.number > 0)).then(|| self.locations[0].clone());
        let skips = lead.is_some();
        let locations: Vec<PageLocation> = lead.into_iter().chain(locations).collect();
        let rows = usize::try_from(group.num_rows()).unwrap_or(0);
        let mut reader = SerializedPageReader::new(Arc::new(packed), group.column(self.column), rows, Some(locations))?;
        if skips {
            reader.skip_next_page()?;
        }
        let (mut offsets, mut kept) = (Vec::new(), Vec::new());
        for (turn, wanted) in self.wanted.iter().enumerate() {
            if turn % PAGES_PER_TURN == PAGES_PER_TURN - 1 {
                tokio::task::yield_now().await;
            }
            let page = reader.get_next_page()?.ok_or_else(|| ParquetError::General("a page of texts is not there".to_owned()))?;
            let Page::DataPage { buf, num_values, encoding: Encoding::DELTA_LENGTH_BYTE_ARRAY, .. } = page else {
                return Ok(false);
            };
            if num_values as usize != wanted.rows.len() {
                return Err(ParquetError::General(format!("a page of {} texts has {num_values}", wanted.rows.len())));
            }
            let buffer =
                texts::of_page(&buf, num_values as usize, &mut offsets).map_err(|e| ParquetError::General(e.to_owned()))?;
            kept.clear();
            match only {
                Some(only) if only.range_cardinality(wanted.rows.clone()) < wanted.rows.len() as u64 => {
                    kept.resize(wanted.rows.len(), false);
                    only.range(wanted.rows.clone()).for_each(|row| kept[(row - wanted.rows.start) as usize] = true);
                }
                _ => kept.resize(wanted.rows.len(), true),
            }
            test.retain(buffer, &offsets, &mut kept);
            let hits = kept.iter().zip(wanted.rows.clone()).filter(|(kept, _)| **kept).map(|(_, row)| row);
            found.extend(hits);
        }
        Ok(true)
    }
}
