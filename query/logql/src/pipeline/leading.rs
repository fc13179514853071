//! The line filters in front of all other stages, over many lines at once.
//!
//! ```text
//! buffer   line 0│line 1│line 2│line 3      offsets 0, 6, 12, 18, 24
//! texts    ─────── one search over the whole buffer; a hit that crosses an offset is none ───────►  rows 1, 3
//! regex    ─────── the same for texts that it must find, then itself, over the rows with a hit ───►  row 3
//! others   row by row, over the rows that are left ──────────────────────────────────────────────►  row 3
//! ```
//!
//! # Invariants
//! - The same rows pass as by [`LinePredicate::matches`] of each line.
//! - The buffer is looked at once per text, and not where no row is left.

use std::ops::Range;

use aho_corasick::AhoCorasick;
use memchr::memmem::Finder;

use super::line_filter::{LinePredicate, Needle};

/// Line filters that run before anything else.
#[derive(Debug, Clone, Default)]
pub struct LeadingFilters {
    filters: Vec<LinePredicate>,
}

impl LeadingFilters {
    pub(super) fn new(mut filters: Vec<LinePredicate>) -> Self {
        // texts first: they are searched for in the whole buffer
        let cost = |filter: &LinePredicate| match filter.alternatives() {
            [Needle::Text(_)] => usize::from(filter.is_negated()),
            [Needle::Texts(_)] => 2,
            [Needle::Regex(_, Some(_))] => 3,
            _ => 4,
        };
        filters.sort_by_key(cost);
        LeadingFilters { filters }
    }

    /// Whether every line passes.
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// The filters as text: those of one text pass the same lines.
    pub fn text(&self) -> String {
        self.filters.iter().map(LinePredicate::text).collect::<Vec<_>>().join(" ")
    }

    /// Whether one line passes.
    pub fn matches(&self, line: &[u8]) -> bool {
        self.filters.iter().all(|filter| filter.matches(line))
    }

    /// Clears in `rows` those that do not pass. Row i is `buffer[offsets[i]..offsets[i + 1]]`; offsets ascend, and there is one more of
    /// them than rows. Rows that are false stay so and are not looked at one by one.
    ///
    /// # Panics
    /// If an offset is beyond the buffer.
    pub fn filter_rows(&self, buffer: &[u8], offsets: &[i32], rows: &mut [bool]) {
        debug_assert_eq!(offsets.len(), rows.len() + 1, "one more offset than rows");
        for filter in &self.filters {
            match filter.alternatives() {
                [Needle::Text(text)] if !text.needle().is_empty() => {
                    keep_hits(Search::One(text), |_| true, filter.is_negated(), buffer, offsets, rows);
                }
                [Needle::Texts(texts)] => keep_hits(Search::Any(texts), |_| true, filter.is_negated(), buffer, offsets, rows),
                [Needle::Regex(regex, Some(texts))] => {
                    keep_hits(Search::Any(texts), |line| regex.is_match(line), filter.is_negated(), buffer, offsets, rows);
                }
                _ => {
                    for (row, passes) in rows.iter_mut().enumerate().filter(|(_, passes)| **passes) {
                        *passes = filter.matches(&buffer[offsets[row] as usize..offsets[row + 1] as usize]);
                    }
                }
            }
        }
    }
}

/// What is searched for.
#[derive(Debug, Clone, Copy)]
enum Search<'a> {
    One(&'a Finder<'static>),
    /// Any of several texts, none of them empty.
    Any(&'a AhoCorasick),
}

impl Search<'_> {
    fn find(self, buffer: &[u8]) -> Option<Range<usize>> {
        match self {
            Search::One(text) => text.find(buffer).map(|at| at..at + text.needle().len()),
            Search::Any(texts) => texts.find(buffer).map(|hit| hit.range()),
        }
    }
}

/// Clears the rows without a hit that is `confirmed` by their text, or with one if the filter is negated.
fn keep_hits(
    search: Search<'_>,
    confirmed: impl Fn(&[u8]) -> bool,
    negated: bool,
    buffer: &[u8],
    offsets: &[i32],
    rows: &mut [bool],
) {
    let end_of = |row: usize| offsets[row + 1] as usize;
    let (mut row, mut at) = (0, offsets.first().map_or(0, |first| *first as usize));
    let end = offsets.last().map_or(0, |last| *last as usize);
    while row < rows.len() {
        let Some(found) = search.find(&buffer[at..end]) else { break };
        let hit = at + found.start;
        let owner = row_of(hit, row, offsets);
        if !negated {
            rows[row..owner].fill(false);
        }
        if at + found.end <= end_of(owner) {
            let is_hit = rows[owner] && confirmed(&buffer[offsets[owner] as usize..end_of(owner)]);
            rows[owner] &= is_hit != negated;
            (row, at) = (owner + 1, end_of(owner));
        } else {
            // it crosses into the next row: search on behind its start, still for this row
            (row, at) = (owner, hit + 1);
        }
    }
    if !negated {
        rows[row..].fill(false);
    }
}

/// The row that holds position `hit`, from `row` on: steps that double, then a search between the last two, since hits are dense or rare.
fn row_of(hit: usize, row: usize, offsets: &[i32]) -> usize {
    let last = offsets.len() - 2;
    let (mut low, mut step) = (row, 1);
    while low + step <= last && offsets[low + step] as usize <= hit {
        low += step;
        step *= 2;
    }
    let high = (low + step).min(last);
    low + offsets[low + 1..=high].partition_point(|start| *start as usize <= hit)
}
