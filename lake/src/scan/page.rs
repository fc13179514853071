//! Which rows of a file to read: what statistics, page index and index section leave over.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use catalog::schema::{self, time_column};
use catalog::{FileEntry, Table};
use object_store::ObjectStore;
use parquet::arrow::arrow_reader::RowSelection;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::file::metadata::ParquetMetaData;
use roaring::RoaringBitmap;

use super::metrics::ScanMetrics;
use super::prune::{Bounds, Value};
use super::{Part, ScanSpec};
use crate::cache::{Caches, Footer};
use crate::error::Result;
use crate::index::{BLOCK_ROWS, BlockSet, GramFilters, IndexReader, id_hash};
use crate::predicate::{ColumnTest, Scalar, Test};

/// What is left to read.
#[derive(Debug)]
pub(super) struct ReadPlan {
    /// Row groups, ascending.
    pub(super) row_groups: Vec<usize>,
    /// Rows of those row groups; `None` when it is all of them.
    pub(super) selection: Option<RowSelection>,
}

/// The tests of a scan, the time range among them.
pub(super) fn tests_of(file: &FileEntry, spec: &ScanSpec) -> Vec<ColumnTest> {
    let mut tests = spec.predicate.all.clone();
    if !(spec.time.start <= file.time.start && file.time.end <= spec.time.end) {
        let bound = |at: catalog::Timestamp| Some(Scalar::TimeNs(at.as_nanos()));
        let test = Test::Between(bound(spec.time.start), bound(spec.time.end));
        tests.push(ColumnTest { column: time_column(file.table).to_owned(), test });
    }
    tests
}

/// Whether the index section can say something about one of the tests.
fn wants_index(tests: &[ColumnTest]) -> bool {
    tests.iter().any(|test| match &test.test {
        Test::AnyOf(tests) => wants_index(tests),
        Test::Contains(needle) => test.column == "body" && needle.len() >= 4,
        Test::KeyIs(..) => true,
        Test::In(_) => matches!(test.column.as_str(), "trace_id" | "span_id"),
        Test::Between(..) | Test::HasAttributes => false,
    })
}

/// The footer of `file`, and its index section if that can say something about one of `tests`, or is `wanted` anyway; both are one read.
///
/// # Errors
/// `Store`, `Corrupt`.
pub(super) async fn opened(
    store: &dyn ObjectStore,
    caches: &Caches,
    file: &FileEntry,
    tests: &[ColumnTest],
    wanted: bool,
) -> Result<(Arc<Footer>, Option<Arc<IndexReader>>)> {
    match wanted || wants_index(tests) {
        true => caches.footer_and_index(store, file).await,
        false => Ok((caches.footer(store, file).await?, None)),
    }
}

/// Plans the read. `chained`: only whole row groups can be skipped.
pub(super) fn plan(
    file: &FileEntry,
    footer: &Footer,
    index: Option<&IndexReader>,
    tests: &[ColumnTest],
    chained: bool,
    spec: &ScanSpec,
) -> ReadPlan {
    let Left { row_groups, starts, rows } = left(file, footer, index, tests, chained, spec);
    selection(&row_groups, &starts, &rows)
}

/// Whether no row of the row groups of `plan` has a value in the column `name`, as far as statistics and `index` tell.
pub(super) fn is_blank(file: &FileEntry, footer: &Footer, index: Option<&IndexReader>, plan: &ReadPlan, name: &str) -> bool {
    let metadata = footer.reader.metadata();
    if file.table == Table::Logs && IndexReader::ATTRIBUTES.contains(&name) {
        let Some(index) = index else { return false };
        let starts = row_group_starts(metadata);
        return plan.row_groups.iter().all(|group| {
            let blocks = starts[*group] / BLOCK_ROWS..starts[group + 1].div_ceil(BLOCK_ROWS);
            blocks.into_iter().all(|block| index.lacks_attributes(block))
        });
    }
    let leaves = metadata.file_metadata().schema_descr();
    let is_null = |leaf: usize, group: usize| {
        let group = metadata.row_group(group);
        let nulls = group.column(leaf).statistics().and_then(|statistics| statistics.null_count_opt());
        nulls.is_some_and(|nulls| i64::try_from(nulls) == Ok(group.num_rows()))
    };
    match leaves.columns().iter().position(|leaf| leaf.path().parts() == [name]) {
        Some(leaf) => plan.row_groups.iter().all(|group| is_null(leaf, *group)),
        None => false,
    }
}

/// What is not ruled out.
#[derive(Debug)]
pub(super) struct Left {
    /// Row groups, ascending.
    pub(super) row_groups: Vec<usize>,
    /// The first row of each row group of the file, and where the last one ends.
    pub(super) starts: Vec<usize>,
    /// Rows of the file, ascending and disjoint.
    pub(super) rows: Vec<Range<usize>>,
}

/// Rules out what statistics, page index and index section can.
pub(super) fn left(
    file: &FileEntry,
    footer: &Footer,
    index: Option<&IndexReader>,
    tests: &[ColumnTest],
    chained: bool,
    spec: &ScanSpec,
) -> Left {
    let metrics = &*spec.metrics;
    let metadata = footer.reader.metadata();
    let ordered: Vec<(&ColumnTest, Bounds)> = tests.iter().filter_map(|t| Some((t, bounds(file, t)?))).collect();
    let wanted = |rg: &usize| spec.row_group.is_none_or(|only| only == *rg);
    let mut kept: Vec<usize> = (0..metadata.num_row_groups()).filter(wanted).collect();
    let asked = kept.len();
    // Who names rows was told before what is left.
    let counts = |counter: &AtomicU64, n: usize| {
        if spec.rows.is_none() {
            ScanMetrics::add(counter, n);
        }
    };
    for (test, bounds) in &ordered {
        prune_row_groups(footer, test, bounds, &mut kept);
    }
    let (left, part) = (kept.len(), spec.part);
    if part != Part::WHOLE {
        let mut turn = 0;
        kept.retain(|_| {
            turn += 1;
            (turn - 1) % part.of == part.at
        });
    }
    // Of those ruled out each part counts its share, so that the parts of a file together count every row group once.
    let ruled_out = asked - left;
    let ruled_out = ruled_out / part.of + usize::from(part.at < ruled_out % part.of);
    counts(&metrics.row_groups, kept.len() + ruled_out);
    counts(&metrics.row_groups_pruned, ruled_out);
    let starts = row_group_starts(metadata);
    let mut rows: Vec<Range<usize>> = kept.iter().map(|rg| starts[*rg]..starts[*rg + 1]).collect();
    if !chained {
        if let Some(only) = &spec.rows {
            rows = intersect(&rows, &ranges_of(only, spec.row_group.and_then(|rg| starts.get(rg).copied()).unwrap_or(0)));
        }
        let before = count(&rows);
        for (test, bounds) in &ordered {
            if let Some(pages) = matching_pages(footer, test, bounds, &kept, &starts) {
                rows = intersect(&rows, &pages);
            }
        }
        counts(&metrics.rows_pruned_by_page, before - count(&rows));
        if let Some(index) = index {
            let total = starts.last().copied().unwrap_or(0);
            let asks_for_scopes = tests.iter().any(|test| asks_for(test, &|test| matches!(test, Test::HasAttributes)));
            let index = Index::new(index, tests, asks_for_scopes && has_scopes(footer), &rows);
            let (blocks, ruled_out);
            (rows, blocks, ruled_out) = matching_blocks(&index, tests, &rows, total);
            counts(&metrics.blocks, blocks);
            counts(&metrics.blocks_pruned, ruled_out);
        }
    }
    Left { row_groups: kept, starts, rows }
}

/// Rows that are counted from row `first` on, as ranges.
fn ranges_of(rows: &RoaringBitmap, first: usize) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    rows.iter().for_each(|row| push(&mut ranges, first + row as usize..first + row as usize + 1));
    ranges
}

fn bounds(file: &FileEntry, test: &ColumnTest) -> Option<Bounds> {
    let schema = schema::stored(file.table);
    let (_, field) = schema.fields().find(&test.column)?;
    match field.data_type() {
        // No statistics are written for these.
        DataType::Float64 | DataType::Utf8 => None,
        data_type => Bounds::of(&test.test, data_type),
    }
}

fn converter<'a>(footer: &'a Footer, column: &'a str) -> Option<StatisticsConverter<'a>> {
    StatisticsConverter::try_new(column, footer.reader.schema(), footer.reader.parquet_schema()).ok()
}

fn prune_row_groups(footer: &Footer, test: &ColumnTest, bounds: &Bounds, kept: &mut Vec<usize>) {
    let Some(converter) = converter(footer, &test.column) else { return };
    let groups = || kept.iter().map(|rg| footer.reader.metadata().row_group(*rg));
    let (Ok(lows), Ok(highs)) = (converter.row_group_mins(groups()), converter.row_group_maxes(groups())) else { return };
    let mut position = 0;
    kept.retain(|_| {
        let keep = may_match(bounds, &lows, &highs, position);
        position += 1;
        keep
    });
}

fn may_match(bounds: &Bounds, lows: &ArrayRef, highs: &ArrayRef, at: usize) -> bool {
    match (Value::at(lows.as_ref(), at), Value::at(highs.as_ref(), at)) {
        (Some(low), Some(high)) => bounds.may_match(&low, &high),
        _ => true,
    }
}

/// The rows of the pages of one column that may match; `None` when there is no page index.
fn matching_pages(
    footer: &Footer,
    test: &ColumnTest,
    bounds: &Bounds,
    row_groups: &[usize],
    starts: &[usize],
) -> Option<Vec<Range<usize>>> {
    let metadata = footer.reader.metadata();
    let (columns, offsets) = (metadata.column_index()?, metadata.offset_index()?);
    let converter = converter(footer, &test.column)?;
    let column = converter.parquet_column_index()?;
    let lows = converter.data_page_mins(columns, offsets, row_groups).ok()?;
    let highs = converter.data_page_maxes(columns, offsets, row_groups).ok()?;
    let mut rows = Vec::new();
    let mut page = 0;
    for rg in row_groups {
        let pages = offsets.get(*rg)?.get(column)?.page_locations();
        for (i, location) in pages.iter().enumerate() {
            let start = starts[*rg] + usize::try_from(location.first_row_index).ok()?;
            let end = match pages.get(i + 1) {
                Some(next) => starts[*rg] + usize::try_from(next.first_row_index).ok()?,
                None => starts[*rg + 1],
            };
            if may_match(bounds, &lows, &highs, page) {
                push(&mut rows, start..end);
            }
            page += 1;
        }
    }
    // As many bounds as pages, or the two are not of one file.
    (page == lows.len()).then_some(rows)
}

/// What is known of the blocks of a file.
struct Index<'a> {
    sections: &'a IndexReader,
    /// Whether a row may have attributes of its scope.
    has_scopes: bool,
    /// Blocks of grams in which lines may have the texts that are asked for.
    texts: Vec<(&'a str, BlockSet)>,
}

impl<'a> Index<'a> {
    /// For `tests` of `rows` of the file, which ascend.
    fn new(sections: &'a IndexReader, tests: &'a [ColumnTest], has_scopes: bool, rows: &[Range<usize>]) -> Self {
        let mut this = Self { sections, has_scopes, texts: Vec::new() };
        if let (Some(first), Some(last)) = (rows.first(), rows.last()) {
            tests.iter().for_each(|test| this.look_up(test, first.start..last.end));
        }
        this
    }

    /// Looks up the texts that `test` asks `rows` for.
    fn look_up(&mut self, test: &'a ColumnTest, rows: Range<usize>) {
        match &test.test {
            Test::AnyOf(tests) => tests.iter().for_each(|test| self.look_up(test, rows.clone())),
            Test::Contains(needle) if test.column == "body" && self.texts.iter().all(|(known, _)| known != needle) => {
                if let Some(grams) = self.sections.grams() {
                    let within = rows.start / grams.block_rows()..rows.end.div_ceil(grams.block_rows());
                    self.texts.push((needle, grams.blocks_with(needle.as_bytes(), within)));
                }
            }
            _ => {}
        }
    }
}

/// Whether a row of logs may have attributes of its scope, by the statistics.
fn has_scopes(footer: &Footer) -> bool {
    let Some(converter) = converter(footer, "scope_attrs") else { return true };
    let groups = footer.reader.metadata().row_groups();
    let Ok(nulls) = converter.row_group_null_counts(groups) else { return true };
    let rows = groups.iter().map(|group| u64::try_from(group.num_rows()).ok());
    !nulls.iter().zip(rows).all(|(nulls, rows)| nulls.is_some() && nulls == rows)
}

/// Those of `rows` whose blocks the index section does not rule out; how many blocks they are in, and how many of these it rules out.
fn matching_blocks(
    index: &Index<'_>,
    tests: &[ColumnTest],
    rows: &[Range<usize>],
    total: usize,
) -> (Vec<Range<usize>>, usize, usize) {
    // The smallest blocks that any test knows.
    let needs_grams = tests.iter().any(|test| asks_for(test, &|test| matches!(test, Test::Contains(_))));
    let block_rows = index.sections.grams().filter(|_| needs_grams).map_or(BLOCK_ROWS, GramFilters::block_rows);
    let whole_file = tests.iter().all(|test| file_may_have(index.sections, test));
    let (mut blocks, mut ruled_out) = (0, 0);
    let mut kept = Vec::new();
    let mut next = 0;
    for range in rows {
        for block in next.max(range.start / block_rows)..range.end.div_ceil(block_rows) {
            let at = block * block_rows;
            blocks += 1;
            if whole_file && tests.iter().all(|test| block_may_have(index, at, test)) {
                push(&mut kept, at..(at + block_rows).min(total));
            } else {
                ruled_out += 1;
            }
            next = block + 1;
        }
    }
    (intersect(rows, &kept), blocks, ruled_out)
}

/// Whether a test, or one of its alternatives, is one that `is_it`.
fn asks_for(test: &ColumnTest, is_it: &impl Fn(&Test) -> bool) -> bool {
    match &test.test {
        Test::AnyOf(tests) => tests.iter().any(|test| asks_for(test, is_it)),
        test => is_it(test),
    }
}

/// Whether the block that row `at` is in may have a row that passes.
fn block_may_have(index: &Index<'_>, at: usize, test: &ColumnTest) -> bool {
    let block = at / BLOCK_ROWS;
    let Index { sections, has_scopes, texts } = index;
    match (&test.test, test.column.as_str()) {
        (Test::Contains(needle), "body") => {
            let of_text = texts.iter().find(|(known, _)| known == needle);
            of_text.zip(sections.grams()).is_none_or(|((_, blocks), grams)| blocks.contains(at / grams.block_rows()))
        }
        (Test::In(ids), "trace_id") => any_id(sections.trace_ids(), block, ids),
        (Test::In(ids), "span_id") => any_id(sections.span_ids(), block, ids),
        (Test::HasAttributes, _) => *has_scopes || !sections.lacks_attributes(block),
        (Test::KeyIs(key, value), column) => !sections.lacks_attribute(block, column, key, value),
        (Test::AnyOf(tests), _) => tests.iter().any(|test| block_may_have(index, at, test)),
        _ => true,
    }
}

fn file_may_have(index: &IndexReader, test: &ColumnTest) -> bool {
    match (&test.test, test.column.as_str()) {
        (Test::In(ids), "trace_id") => any_id(index.file_trace_ids(), 0, ids),
        (Test::AnyOf(tests), _) => tests.iter().any(|test| file_may_have(index, test)),
        _ => true,
    }
}

fn any_id(filters: Option<&crate::index::BlockFilters>, block: usize, ids: &[Scalar]) -> bool {
    let Some(filters) = filters else { return true };
    ids.iter().any(|id| match id {
        Scalar::Bytes(id) => filters.may_contain(block, id_hash(id)),
        _ => true,
    })
}

pub(super) fn row_group_starts(metadata: &Arc<ParquetMetaData>) -> Vec<usize> {
    let mut starts = vec![0];
    for rg in metadata.row_groups() {
        starts.push(starts[starts.len() - 1] + usize::try_from(rg.num_rows()).unwrap_or(0));
    }
    starts
}

/// The row groups that still have rows, and which of their rows.
fn selection(kept: &[usize], starts: &[usize], rows: &[Range<usize>]) -> ReadPlan {
    let mut row_groups = Vec::new();
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut shift = 0;
    for rg in kept {
        let group = starts[*rg]..starts[*rg + 1];
        let inside = intersect(rows, std::slice::from_ref(&group));
        if inside.is_empty() {
            continue;
        }
        row_groups.push(*rg);
        inside.into_iter().for_each(|r| push(&mut ranges, r.start - group.start + shift..r.end - group.start + shift));
        shift += group.len();
    }
    let all = count(&ranges) == shift;
    let selection = (!all).then(|| RowSelection::from_consecutive_ranges(ranges.into_iter(), shift));
    ReadPlan { row_groups, selection }
}

fn count(rows: &[Range<usize>]) -> usize {
    rows.iter().map(ExactSizeIterator::len).sum()
}

/// Adds a range that does not begin before the end of the last one.
fn push(rows: &mut Vec<Range<usize>>, range: Range<usize>) {
    match rows.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ if range.is_empty() => {}
        _ => rows.push(range),
    }
}

/// What two ascending lists of ranges share.
fn intersect(a: &[Range<usize>], b: &[Range<usize>]) -> Vec<Range<usize>> {
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        let both = x.start.max(y.start)..x.end.min(y.end);
        if !both.is_empty() {
            push(&mut out, both);
        }
        if x.end <= y.end { i += 1 } else { j += 1 }
    }
    out
}
