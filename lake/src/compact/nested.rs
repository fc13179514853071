//! Numbers the spans of each trace, so that "is an ancestor of" becomes a comparison of two numbers.
//!
//! ```text
//! root (1,8) ─┬─ a (2,5) ── b (3,4)          x is below y  <=>  y.left < x.left and x.right < y.right
//!             └─ c (6,7)
//! ```
//!
//! Spans whose parent is not here follow as trees of their own. The root's service and name go to every span of the trace; without a
//! root (a span without parent) they are null. Numbers hold within one file: a trace that lies in several partitions is numbered in
//! each for itself, and again when its day becomes one file.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, FixedSizeBinaryArray, Int32Builder, RecordBatch, StringDictionaryBuilder,
};
use arrow::datatypes::Int32Type;
use catalog::Table;
use futures::{Stream, StreamExt, stream};

use super::gather::{Segment, gather};
use crate::error::{Error, Result};

/// Spans of one trace that are numbered. In larger ones the columns stay null, as they are before compaction.
const TRACE_SPANS_MAX: usize = 100_000;

/// Fills the nested-set and root columns of spans that arrive in the order (trace id, time).
///
/// Memory: the spans of one trace, at most [`TRACE_SPANS_MAX`], and one batch.
pub(super) fn number_spans<S>(spans: S) -> impl Stream<Item = Result<RecordBatch>> + Send
where
    S: Stream<Item = Result<RecordBatch>> + Send,
{
    let state = (Box::pin(spans), Numberer::new(TRACE_SPANS_MAX), false);
    stream::try_unfold(state, |(mut spans, mut numberer, mut ended)| async move {
        while !ended {
            let ready = match spans.next().await {
                Some(batch) => numberer.push(batch?)?,
                None => {
                    ended = true;
                    numberer.finish()?
                }
            };
            if let Some(batch) = ready {
                return Ok(Some((batch, (spans, numberer, ended))));
            }
        }
        Ok(None)
    })
}

struct Numberer {
    spans_max: usize,
    /// The rows of the trace that is not complete yet.
    pending: Vec<RecordBatch>,
    pending_rows: usize,
    /// The trace that turned out too large; the rest of it is passed on as it is.
    oversized: Option<Vec<u8>>,
}

impl Numberer {
    fn new(spans_max: usize) -> Self {
        Self { spans_max, pending: Vec::new(), pending_rows: 0, oversized: None }
    }

    /// Takes the next rows and gives back those whose traces are complete.
    fn push(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>> {
        if batch.num_rows() == 0 {
            return Ok(None);
        }
        let traces = fixed(&batch, "trace_id")?;
        let last = traces.value(batch.num_rows() - 1).to_vec();
        let cut = (0..batch.num_rows()).rev().take_while(|row| traces.value(*row) == last).last().unwrap_or(0);
        let continues =
            cut == 0 && self.pending.first().is_some_and(|first| fixed(first, "trace_id").is_ok_and(|ids| ids.value(0) == last));
        let mut ready = Vec::new();
        if !continues {
            ready.append(&mut self.pending);
            self.pending_rows = 0;
            if cut > 0 {
                ready.push(batch.slice(0, cut));
            }
        }
        let rest = batch.slice(cut, batch.num_rows() - cut);
        self.pending_rows += rest.num_rows();
        self.pending.push(rest);
        if self.pending_rows > self.spans_max {
            // What is complete goes out with it; the start of the large trace is recognised by its id.
            self.oversized = Some(last);
            ready.append(&mut self.pending);
            self.pending_rows = 0;
        }
        self.number(&ready)
    }

    fn finish(&mut self) -> Result<Option<RecordBatch>> {
        let ready = std::mem::take(&mut self.pending);
        self.number(&ready)
    }

    fn number(&self, pieces: &[RecordBatch]) -> Result<Option<RecordBatch>> {
        let failed = |e: arrow::error::ArrowError| Error::Schema { table: Table::Spans, reason: e.to_string() };
        let batch = match pieces {
            [] => return Ok(None),
            [one] => one.clone(),
            many => {
                let all = |(source, piece): (usize, &RecordBatch)| Segment { source, start: 0, end: piece.num_rows() };
                gather(many, &many.iter().enumerate().map(all).collect::<Vec<_>>()).map_err(failed)?
            }
        };
        let columns = self.columns(&batch)?;
        let schema = batch.schema();
        let mut all = batch.columns().to_vec();
        for (name, column) in columns {
            let at = schema.index_of(name).map_err(failed)?;
            all[at] = column;
        }
        RecordBatch::try_new(schema, all).map(Some).map_err(failed)
    }

    fn columns(&self, batch: &RecordBatch) -> Result<[(&'static str, ArrayRef); 4]> {
        let (traces, ids, parents) = (fixed(batch, "trace_id")?, fixed(batch, "span_id")?, fixed(batch, "parent_span_id")?);
        let (services, names) = (text(batch, "service")?, text(batch, "name")?);
        let rows = batch.num_rows();
        let (mut left, mut right) = (Int32Builder::with_capacity(rows), Int32Builder::with_capacity(rows));
        let mut root_service = StringDictionaryBuilder::<Int32Type>::new();
        let mut root_name = StringDictionaryBuilder::<Int32Type>::new();
        let mut start = 0;
        while start < rows {
            let end = (start..rows).find(|row| traces.value(*row) != traces.value(start)).unwrap_or(rows);
            let oversized = end - start > self.spans_max || self.oversized.as_deref() == Some(traces.value(start));
            let numbered = (!oversized).then(|| Tree::of(ids, parents, start, end));
            for row in start..end {
                let numbers = numbered.as_ref().and_then(|tree| tree.numbers[row - start]);
                left.append_option(numbers.map(|n| n.0));
                right.append_option(numbers.map(|n| n.1));
                let root = numbered.as_ref().and_then(|tree| tree.root);
                root_service.append_option(root.map(|root| text_at(services, root)));
                root_name.append_option(root.map(|root| text_at(names, root)));
            }
            start = end;
        }
        Ok([
            ("nested_left", Arc::new(left.finish())),
            ("nested_right", Arc::new(right.finish())),
            ("root_service", Arc::new(root_service.finish())),
            ("root_name", Arc::new(root_name.finish())),
        ])
    }
}

/// The spans of one trace as numbered trees.
struct Tree {
    /// Left and right number of each span; `None` for those in a circle of parents.
    numbers: Vec<Option<(i32, i32)>>,
    /// Row of the earliest span without a parent.
    root: Option<usize>,
}

impl Tree {
    /// Numbers rows `start..end`. O(spans).
    fn of(ids: &FixedSizeBinaryArray, parents: &FixedSizeBinaryArray, start: usize, end: usize) -> Self {
        const NONE: usize = usize::MAX;
        let spans = end - start;
        let mut by_id: HashMap<&[u8], usize> = HashMap::with_capacity(spans);
        for span in 0..spans {
            by_id.entry(ids.value(start + span)).or_insert(span);
        }
        let (mut first_child, mut next_sibling) = (vec![NONE; spans], vec![NONE; spans]);
        let (mut roots, mut orphans) = (Vec::new(), Vec::new());
        // Backwards, so that the lists of children come out in time order.
        for span in (0..spans).rev() {
            let row = start + span;
            if parents.is_null(row) || parents.value(row).iter().all(|byte| *byte == 0) {
                roots.push(span);
            } else if let Some(parent) = by_id.get(parents.value(row)) {
                next_sibling[span] = std::mem::replace(&mut first_child[*parent], span);
            } else {
                orphans.push(span);
            }
        }
        let root = roots.last().map(|span| start + span);
        let mut numbers = vec![None; spans];
        let mut next = 1i32;
        for top in roots.into_iter().rev().chain(orphans.into_iter().rev()) {
            let mut path = vec![top];
            numbers[top] = Some((next, 0));
            next += 1;
            while let Some(span) = path.last().copied() {
                let child = first_child[span];
                if child == NONE {
                    path.pop();
                    numbers[span] = numbers[span].map(|(left, _)| (left, next));
                } else {
                    first_child[span] = next_sibling[child];
                    path.push(child);
                    numbers[child] = Some((next, 0));
                }
                next += 1;
            }
        }
        Self { numbers, root }
    }
}

fn fixed<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a FixedSizeBinaryArray> {
    let column = batch.column_by_name(name).and_then(|column| column.as_fixed_size_binary_opt());
    column.ok_or_else(|| missing(name))
}

fn text<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a DictionaryArray<Int32Type>> {
    let column = batch.column_by_name(name).and_then(|column| column.as_dictionary_opt::<Int32Type>());
    column.ok_or_else(|| missing(name))
}

fn text_at(column: &DictionaryArray<Int32Type>, row: usize) -> &str {
    column.key(row).map_or("", |key| column.values().as_string::<i32>().value(key))
}

fn missing(name: &str) -> Error {
    Error::Schema { table: Table::Spans, reason: format!("column {name} is missing or of another type") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers one trace given as (span, parent); 0 is no parent.
    #[track_caller]
    fn check(spans: &[(u64, u64)], expected: &[Option<(i32, i32)>], root: Option<usize>) {
        let ids: Vec<[u8; 8]> = spans.iter().map(|(id, _)| id.to_be_bytes()).collect();
        let parents: Vec<[u8; 8]> = spans.iter().map(|(_, parent)| parent.to_be_bytes()).collect();
        let array = |ids: Vec<[u8; 8]>| FixedSizeBinaryArray::try_from_iter(ids.into_iter()).expect("fixed");
        let tree = Tree::of(&array(ids), &array(parents), 0, spans.len());
        assert_eq!((tree.numbers.as_slice(), tree.root), (expected, root));
    }

    #[test]
    fn spans_become_nested_sets() {
        check(&[(1, 0), (2, 1), (3, 2), (4, 1)], &[Some((1, 8)), Some((2, 5)), Some((3, 4)), Some((6, 7))], Some(0));
        check(&[(3, 2), (2, 1), (1, 0)], &[Some((3, 4)), Some((2, 5)), Some((1, 6))], Some(2)); // children may start first
        check(&[(5, 9), (1, 0)], &[Some((3, 4)), Some((1, 2))], Some(1)); // an orphan comes after the root
        check(&[(5, 9), (6, 5)], &[Some((1, 4)), Some((2, 3))], None); // no root at all
        check(&[(1, 0), (2, 3), (3, 2)], &[Some((1, 2)), None, None], Some(0)); // a circle hangs nowhere
        check(&[(1, 1)], &[None], None); // its own parent
        check(&[(1, 0), (1, 0)], &[Some((1, 2)), Some((3, 4))], Some(0)); // shared ids
    }
}
