//! Merges sorted inputs into one sorted stream without duplicates.
//!
//! ```text
//! input 0 (oldest rows)  [a a a|b b b]      the cursor with the smallest key hands over all its rows up to the next
//! input 1                [a a|c c]     ──►  cursor's key at once (bisection), so that the cost follows the number of
//! input 2 (newest)       [b|c c c]          switches between inputs, not the number of rows
//! ```
//!
//! Memory: one batch per input and one output batch. Rows with equal sort keys come out oldest input first.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering as Atomic};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};
use arrow::error::ArrowError;
use catalog::Table;
use futures::{Stream, TryStreamExt, stream};

use super::gather::{Segment, gather};
use super::keys::{Keys, gallop};
use crate::error::{Error, Result};
use crate::lake::BatchStream;

/// Rows of an output batch, roughly.
const OUTPUT_ROWS: usize = 32_768;
/// Batches kept beyond two per input before those that are used up are let go: many, when nearly all rows are duplicates.
const SPARE_BATCHES: usize = 64;
/// Rows with equal sort keys that are compared with each other. Beyond it duplicates among them stay.
const TIES_MAX: usize = 65_536;

/// What two rows have to share to be one, and which of them stays. The inputs are [`Table`]s' rows in sort order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// The sort key; the newest stays.
    NewestOfKey,
    /// The sort key and the span id; the newest stays.
    NewestSpan,
    /// Every column.
    Identical,
    /// The group (the id); the earliest stays.
    FirstOfGroup,
    /// Every column but the time; the earliest stays.
    FirstOfContent,
}

impl Rule {
    fn of(table: Table) -> Self {
        match table {
            Table::Samples | Table::Histograms => Self::NewestOfKey,
            Table::Spans => Self::NewestSpan,
            Table::Logs | Table::Exemplars | Table::QueryLog | Table::User => Self::Identical,
            Table::Series | Table::Streams | Table::Resources => Self::FirstOfGroup,
            Table::Metadata => Self::FirstOfContent,
        }
    }
}

/// Counts of one merge, for the check that no row is lost.
#[derive(Debug, Default)]
pub(super) struct MergeTotals {
    /// Rows read.
    pub(super) rows_in: AtomicU64,
    /// Rows left out as duplicates.
    pub(super) duplicates: AtomicU64,
    /// Rows left out because they were deleted.
    pub(super) deleted: AtomicU64,
}

/// Merges `inputs`, oldest rows first, each sorted by [`catalog::schema::sort_columns`] with all columns of [`catalog::schema::rows`].
///
/// An error of an input ends the stream, and so does an input that is out of order.
pub(super) fn merge(
    table: Table,
    inputs: Vec<BatchStream>,
    totals: Arc<MergeTotals>,
) -> impl Stream<Item = Result<RecordBatch>> + Send {
    let merger = Merger {
        table,
        rule: Rule::of(table),
        cursors: inputs.into_iter().map(Cursor::new).collect(),
        order: Vec::new(),
        started: false,
        output: Output::default(),
        totals,
    };
    stream::try_unfold(merger, |mut merger| async move { Ok(merger.next_batch().await?.map(|batch| (batch, merger))) })
}

/// Where one input stands.
struct Cursor {
    input: BatchStream,
    /// Index of the current batch in the output's sources.
    source: usize,
    keys: Option<Arc<Keys>>,
    row: usize,
}

impl Cursor {
    fn new(input: BatchStream) -> Self {
        Self { input, source: 0, keys: None, row: 0 }
    }
}

struct Merger {
    table: Table,
    rule: Rule,
    cursors: Vec<Cursor>,
    /// Indexes of the cursors that have rows left, by their current key, then by age.
    order: Vec<usize>,
    started: bool,
    output: Output,
    totals: Arc<MergeTotals>,
}

impl Merger {
    async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        if !self.started {
            self.started = true;
            for cursor in 0..self.cursors.len() {
                self.load(cursor).await?;
            }
        }
        while !self.order.is_empty() && self.output.ready_rows() < OUTPUT_ROWS {
            if self.output.batches.len() > 2 * self.cursors.len() + SPARE_BATCHES {
                self.forget_sources();
            }
            let first = self.order.remove(0);
            self.hand_over(first)?;
            if self.has_rows(first) {
                self.insert(first);
            } else {
                self.load(first).await?;
            }
        }
        let duplicates = std::mem::take(&mut self.output.duplicates);
        self.totals.duplicates.fetch_add(duplicates, Atomic::Relaxed);
        let taken = self.output.take(self.order.is_empty());
        let batch = taken.map_err(|e| Error::Schema { table: self.table, reason: e.to_string() })?;
        self.forget_sources();
        Ok(batch)
    }

    fn has_rows(&self, cursor: usize) -> bool {
        let cursor = &self.cursors[cursor];
        cursor.keys.as_ref().is_some_and(|keys| cursor.row < keys.rows())
    }

    /// Lets go of the batches that nothing needs any longer.
    fn forget_sources(&mut self) {
        let in_use: Vec<usize> = self.order.iter().map(|cursor| self.cursors[*cursor].source).collect();
        let moved = self.output.forget_sources(&in_use);
        for cursor in &self.order {
            let source = &mut self.cursors[*cursor].source;
            *source = moved[source];
        }
    }

    /// Moves the cursor to its next batch and into the order, or lets it end.
    async fn load(&mut self, cursor: usize) -> Result<()> {
        loop {
            let Some(batch) = self.cursors[cursor].input.try_next().await? else {
                self.cursors[cursor].keys = None;
                return Ok(());
            };
            if batch.num_rows() == 0 {
                continue;
            }
            let keys = Arc::new(Keys::of(self.table, &batch)?);
            let previous = self.cursors[cursor].keys.as_ref().map(|keys| (&**keys, keys.rows() - 1));
            if previous.is_some_and(|(keys_before, row)| keys_before.cmp(row, &keys, 0).is_gt()) {
                let reason = format!("input {cursor} of a merge is not in sort order");
                return Err(Error::Schema { table: self.table, reason });
            }
            self.totals.rows_in.fetch_add(batch.num_rows() as u64, Atomic::Relaxed);
            let source = self.output.add_source(batch, Arc::clone(&keys));
            let at = &mut self.cursors[cursor];
            (at.source, at.keys, at.row) = (source, Some(keys), 0);
            self.insert(cursor);
            return Ok(());
        }
    }

    fn cmp(&self, a: usize, b: usize) -> Ordering {
        let (left, right) = (&self.cursors[a], &self.cursors[b]);
        match (&left.keys, &right.keys) {
            (Some(keys_a), Some(keys_b)) => keys_a.cmp(left.row, keys_b, right.row).then(a.cmp(&b)),
            _ => a.cmp(&b),
        }
    }

    fn insert(&mut self, cursor: usize) {
        let at = self.order.partition_point(|other| self.cmp(*other, cursor).is_lt());
        self.order.insert(at, cursor);
    }

    /// Takes the rows of `first`, the smallest cursor, that come before every other cursor's.
    fn hand_over(&mut self, first: usize) -> Result<()> {
        let cursor = &self.cursors[first];
        let Some(keys) = cursor.keys.clone() else { return Ok(()) };
        let start = cursor.row;
        let end = match self.order.first().map(|second| (&self.cursors[*second], *second)) {
            None => keys.rows(),
            Some((second, index)) => {
                let Some(bound) = &second.keys else { return Ok(()) };
                match keys.cmp_group(start, bound, second.row) {
                    Ordering::Less => gallop(start, keys.rows(), |row| keys.cmp_group(row, bound, second.row).is_lt()),
                    _ => {
                        let (ts, limit) = (keys.ts(), bound.ts()[second.row]);
                        let before = |row: usize| ts[row] < limit || (ts[row] == limit && first < index);
                        gallop(start, keys.group_end(start), before)
                    }
                }
            }
        };
        let segment = Segment { source: cursor.source, start, end };
        self.cursors[first].row = end;
        self.output.push(self.rule, segment);
        Ok(())
    }
}

/// Rows on their way out, without those that were found to be duplicates.
#[derive(Default)]
struct Output {
    batches: Vec<RecordBatch>,
    keys: Vec<Arc<Keys>>,
    segments: Vec<Segment>,
    rows: usize,
    /// The rows at the end of `segments` that share one sort key, or one group for [`Rule::FirstOfContent`]. They may still be
    /// replaced, or are needed to compare with, and so they are held back. Newest last.
    ties: Vec<(usize, usize)>,
    duplicates: u64,
}

impl Output {
    fn add_source(&mut self, batch: RecordBatch, keys: Arc<Keys>) -> usize {
        self.batches.push(batch);
        self.keys.push(keys);
        self.batches.len() - 1
    }

    /// Rows that can go out now.
    fn ready_rows(&self) -> usize {
        self.rows - self.ties.len().min(self.rows)
    }

    fn push(&mut self, rule: Rule, segment: Segment) {
        match rule {
            Rule::NewestOfKey => self.push_newest(segment),
            Rule::FirstOfGroup => self.push_first_of_group(segment),
            Rule::NewestSpan | Rule::Identical | Rule::FirstOfContent => self.push_compared(rule, segment),
        }
    }

    fn append(&mut self, segment: Segment) {
        if segment.start == segment.end {
            return;
        }
        self.rows += segment.end - segment.start;
        match self.segments.last_mut() {
            Some(last) if last.source == segment.source && last.end == segment.start => last.end = segment.end,
            _ => self.segments.push(segment),
        }
    }

    fn pop_row(&mut self) {
        if let Some(last) = self.segments.last_mut() {
            last.end -= 1;
            self.rows -= 1;
            self.duplicates += 1;
            if last.start == last.end {
                self.segments.pop();
            }
        }
    }

    fn push_newest(&mut self, segment: Segment) {
        let Segment { source, mut start, end } = segment;
        let keys = Arc::clone(&self.keys[source]);
        if let Some((last, row)) = self.ties.pop()
            && self.keys[last].ts()[row] == keys.ts()[start]
            && self.keys[last].cmp_group(row, &keys, start).is_eq()
        {
            self.pop_row();
        }
        let ts = keys.ts();
        for row in start + 1..end {
            if ts[row] == ts[row - 1] && keys.same_group(row, row - 1) {
                self.append(Segment { source, start, end: row - 1 });
                self.duplicates += 1;
                start = row;
            }
        }
        self.append(Segment { source, start, end });
        self.ties.push((source, end - 1));
    }

    fn push_first_of_group(&mut self, segment: Segment) {
        let Segment { source, mut start, end } = segment;
        let keys = Arc::clone(&self.keys[source]);
        while start < end {
            let group_end = keys.group_end(start).min(end);
            let known = self.ties.first().is_some_and(|(last, row)| self.keys[*last].cmp_group(*row, &keys, start).is_eq());
            let taken = usize::from(!known);
            self.append(Segment { source, start, end: start + taken });
            self.duplicates += (group_end - start - taken) as u64;
            if !known {
                self.ties = vec![(source, start)];
            }
            start = group_end;
        }
    }

    fn push_compared(&mut self, rule: Rule, segment: Segment) {
        let keys = Arc::clone(&self.keys[segment.source]);
        let tied = |keys_a: &Keys, a: usize, b: usize| match rule {
            Rule::FirstOfContent => keys_a.cmp_group(a, &keys, b).is_eq(),
            _ => keys_a.cmp(a, &keys, b).is_eq(),
        };
        let mut index = TieIndex::default();
        for row in segment.start..segment.end {
            let new = (segment.source, row);
            let joins =
                self.ties.last().is_some_and(|(last, at)| tied(&self.keys[*last], *at, row)) && self.ties.len() < TIES_MAX;
            if !joins {
                self.ties.clear();
                index.clear();
            }
            let twin = if joins { index.find(rule, &self.batches, &self.ties, new) } else { None };
            match twin {
                Some(at) if rule == Rule::NewestSpan => {
                    self.remove_tie(at);
                    index.clear();
                }
                Some(_) => {
                    self.duplicates += 1;
                    continue;
                }
                None => {}
            }
            self.append(Segment { source: segment.source, start: row, end: row + 1 });
            self.ties.push(new);
            if joins && twin.is_none() {
                index.note(rule, &self.batches, &self.ties);
            }
        }
    }

    /// Takes the tie at `at` out of the rows, which end with the ties in order.
    fn remove_tie(&mut self, at: usize) {
        let behind = self.ties.split_off(at + 1);
        for _ in 0..behind.len() {
            self.pop_row();
        }
        self.duplicates -= behind.len() as u64;
        self.ties.pop();
        self.pop_row();
        for (source, row) in behind {
            self.append(Segment { source, start: row, end: row + 1 });
            self.ties.push((source, row));
        }
    }

    /// The rows that can go out: all of them at the `end`, else all but the ties. `None` when there are none.
    fn take(&mut self, end: bool) -> Result<Option<RecordBatch>, ArrowError> {
        if end {
            self.ties.clear();
        }
        let held = self.held_back();
        let batch = if self.segments.is_empty() { None } else { Some(self.gather_ready()?) };
        self.segments = held;
        self.rows = self.segments.len();
        Ok(batch)
    }

    /// Forgets the batches that neither the rows here nor a cursor (`in_use`) needs. Tells the new index of those that stay.
    fn forget_sources(&mut self, in_use: &[usize]) -> HashMap<usize, usize> {
        let used = self.segments.iter().map(|s| s.source).chain(in_use.iter().copied()).chain(self.ties.iter().map(|tie| tie.0));
        let mut used: Vec<usize> = used.collect();
        used.sort_unstable();
        used.dedup();
        let moved: HashMap<usize, usize> = used.iter().enumerate().map(|(new, old)| (*old, new)).collect();
        self.batches = used.iter().map(|old| self.batches[*old].clone()).collect();
        self.keys = used.iter().map(|old| Arc::clone(&self.keys[*old])).collect();
        self.segments.iter_mut().for_each(|segment| segment.source = moved[&segment.source]);
        self.ties.iter_mut().for_each(|tie| tie.0 = moved[&tie.0]);
        moved
    }

    /// Cuts the ties off the end of the segments.
    fn held_back(&mut self) -> Vec<Segment> {
        let mut held = Vec::new();
        for (source, row) in &self.ties {
            held.push(Segment { source: *source, start: *row, end: row + 1 });
        }
        for _ in 0..held.len() {
            let Some(last) = self.segments.last_mut() else { break };
            last.end -= 1;
            if last.start == last.end {
                self.segments.pop();
            }
        }
        held
    }

    fn gather_ready(&self) -> Result<RecordBatch, ArrowError> {
        let mut places: HashMap<usize, usize> = HashMap::new();
        let mut batches = Vec::new();
        let mut place = |source: usize| {
            *places.entry(source).or_insert_with(|| {
                batches.push(self.batches[source].clone());
                batches.len() - 1
            })
        };
        let segments: Vec<Segment> = self.segments.iter().map(|s| Segment { source: place(s.source), ..*s }).collect();
        gather(&batches, &segments)
    }
}

/// Finds the twin of a row among its ties: by a number first, by all columns second.
#[derive(Default)]
struct TieIndex {
    by_number: HashMap<u64, Vec<usize>>,
    noted: usize,
}

impl TieIndex {
    fn clear(&mut self) {
        self.by_number.clear();
        self.noted = 0;
    }

    fn note(&mut self, rule: Rule, batches: &[RecordBatch], ties: &[(usize, usize)]) {
        for (at, (source, row)) in ties.iter().enumerate().skip(self.noted) {
            self.by_number.entry(number(rule, &batches[*source], *row)).or_default().push(at);
        }
        self.noted = ties.len();
    }

    fn find(&mut self, rule: Rule, batches: &[RecordBatch], ties: &[(usize, usize)], new: (usize, usize)) -> Option<usize> {
        self.note(rule, batches, ties);
        let candidates = self.by_number.get(&number(rule, &batches[new.0], new.1))?;
        candidates.iter().copied().find(|at| {
            let (old, new) = ((&batches[ties[*at].0], ties[*at].1), (&batches[new.0], new.1));
            rule == Rule::NewestSpan || same_row(rule, old, new)
        })
    }
}

/// A number that equal rows share: span id, sequence number, value.
fn number(rule: Rule, batch: &RecordBatch, row: usize) -> u64 {
    if rule == Rule::NewestSpan {
        let id = batch.column_by_name("span_id").and_then(|column| column.as_fixed_size_binary_opt());
        return id.and_then(|id| id.value(row).try_into().ok()).map_or(0, u64::from_be_bytes);
    }
    let int = batch.column_by_name("seq").and_then(|column| column.as_primitive_opt::<Int64Type>());
    let float = batch.column_by_name("value").and_then(|column| column.as_primitive_opt::<Float64Type>());
    int.map(|c| c.value(row).cast_unsigned()).or_else(|| float.map(|c| c.value(row).to_bits())).unwrap_or(0)
}

fn same_row(rule: Rule, (batch_a, a): (&RecordBatch, usize), (batch_b, b): (&RecordBatch, usize)) -> bool {
    let schema = batch_a.schema();
    (0..batch_a.num_columns())
        .filter(|column| rule != Rule::FirstOfContent || schema.field(*column).name() != "ts")
        .all(|column| batch_a.column(column).slice(a, 1).to_data() == batch_b.column(column).slice(b, 1).to_data())
}
