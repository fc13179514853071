//! What a scan by ids reads before its rows are known: all columns of the few pages that may have them, in one request.
//!
//! ```text
//! decoder:  trace_id: page 7 ──► row 412..431 ──► ts: page 7, name: page 7 ...      two rounds, the second waits for the first
//! ahead:    trace_id: page 7, ts: page 7, name: page 7 ...                          one; the decoder finds what it asks for
//! ```
//! A block of spans has 300 kB in all of its columns, which a bucket sends in less time than it takes to begin another answer.
//!
//! # Invariants
//! - Ranges are those that the decoder will ask for, or it asks the store: nothing depends on them but requests.

use std::ops::Range;

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::RowSelection;

use super::page::ReadPlan;
use crate::cache::Footer;
use crate::predicate::{ColumnTest, Test};

/// Bytes of pages that are worth reading though a test of the ids could still rule them out.
const BYTES_MAX: u64 = 4 << 20;

/// Whether a test says so well which rows there are that the pages which may have them do have them.
pub(super) fn is_telling(test: &ColumnTest) -> bool {
    matches!(test.test, Test::In(_)) && test.column == "trace_id"
}

/// The pages of the columns of `mask` that have rows of `plan`; none when nothing says where they are, or they are too many. Of the columns that
/// `tests` look at the decoder takes whole batches of `batch_rows`, which it keeps until they are delivered.
pub(super) fn ranges(
    footer: &Footer,
    plan: &ReadPlan,
    mask: &ProjectionMask,
    (tests, batch_rows): (&[ColumnTest], usize),
) -> Vec<Range<u64>> {
    let metadata = footer.reader.metadata();
    let (Some(selection), Some(offsets)) = (&plan.selection, metadata.offset_index()) else { return Vec::new() };
    let (mut rest, mut ranges, mut bytes): (RowSelection, Vec<Range<u64>>, u64) = (selection.clone(), Vec::new(), 0);
    for group in plan.row_groups.iter().copied() {
        let chunks = metadata.row_group(group);
        let count = usize::try_from(chunks.num_rows()).unwrap_or(usize::MAX);
        let rows = rest.split_off(count);
        let batches = whole_batches(&rows, batch_rows, count);
        for (leaf, chunk) in chunks.columns().iter().enumerate().filter(|(leaf, _)| mask.leaf_included(*leaf)) {
            let Some(pages) = offsets.get(group).and_then(|leaves| leaves.get(leaf)).map(|leaf| leaf.page_locations()) else {
                return Vec::new();
            };
            let (start, first) = (chunk.byte_range().0, pages.first().and_then(|page| u64::try_from(page.offset).ok()));
            let dictionary = first.filter(|first| start < *first).map(|first| start..first);
            let is_tested = |test: &ColumnTest| chunk.column_path().parts().first() == Some(&test.column);
            let rows = if tests.iter().any(is_tested) { &batches } else { &rows };
            let of_leaf = dictionary.into_iter().chain(rows.scan_ranges(pages));
            bytes += of_leaf.clone().map(|range| range.end.saturating_sub(range.start)).sum::<u64>();
            ranges.extend(of_leaf);
            if bytes > BYTES_MAX {
                return Vec::new();
            }
        }
    }
    ranges
}

/// The batches of a row group of `count` rows that have rows of `selection`.
fn whole_batches(selection: &RowSelection, batch_rows: usize, count: usize) -> RowSelection {
    let (mut ranges, mut at): (Vec<Range<usize>>, usize) = (Vec::new(), 0);
    for selector in selection.iter() {
        let rows = at..at + selector.row_count;
        at = rows.end;
        if selector.skip || rows.is_empty() {
            continue;
        }
        let (start, end) = (rows.start / batch_rows * batch_rows, (rows.end.div_ceil(batch_rows) * batch_rows).min(count));
        match ranges.last_mut() {
            Some(last) if start <= last.end => last.end = end.max(last.end),
            _ => ranges.push(start..end),
        }
    }
    RowSelection::from_consecutive_ranges(ranges.into_iter(), count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_of_which_a_row_is_selected_are_whole() {
        #[track_caller]
        fn check(selected: &[(usize, usize)], expected: &[(usize, usize)]) {
            let of = |ranges: &[(usize, usize)]| {
                RowSelection::from_consecutive_ranges(ranges.iter().map(|(start, end)| *start..*end), 25)
            };
            assert_eq!(whole_batches(&of(selected), 10, 25), of(expected), "{selected:?}");
        }
        check(&[], &[]);
        check(&[(3, 4)], &[(0, 10)]);
        check(&[(9, 11)], &[(0, 20)]);
        check(&[(0, 1), (5, 6), (21, 22)], &[(0, 10), (20, 25)]);
        check(&[(0, 25)], &[(0, 25)]);
    }
}
