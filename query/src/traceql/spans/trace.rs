//! The spans of one trace, from as many batches as they are in.

use std::cell::OnceCell;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;
use traceql::ast::Intrinsic;
use traceql::spans::{Coded, Listed, Slot, Source, Spans};
use traceql::tree::Tree;
use traceql::value::Value;

use super::batch::SpanBatch;

/// Rows of one batch.
#[derive(Debug, Clone)]
pub(in crate::traceql) struct Piece {
    pub(in crate::traceql) batch: Arc<SpanBatch>,
    pub(in crate::traceql) rows: Range<usize>,
}

/// What a trace is as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::traceql) struct Facts {
    pub(in crate::traceql) start_ns: i64,
    pub(in crate::traceql) end_ns: i64,
    /// Row of the earliest span without a parent.
    pub(in crate::traceql) root: Option<usize>,
}

/// Spans by row, as an evaluation asks for them. Of spans that were sent twice the newest is there.
#[derive(Debug)]
pub(in crate::traceql) struct TraceSpans {
    pieces: Vec<Piece>,
    /// Piece and row in its batch; empty when there is one piece, whose rows follow each other.
    places: Vec<(u32, u32)>,
    facts: OnceCell<Facts>,
    tree: OnceCell<Tree>,
    /// How many children each span has.
    children: OnceCell<Vec<u32>>,
}

impl TraceSpans {
    fn new(pieces: Vec<Piece>, places: Vec<(u32, u32)>) -> Self {
        Self { pieces, places, facts: OnceCell::new(), tree: OnceCell::new(), children: OnceCell::new() }
    }

    /// Rows of one batch, each of which is there once.
    pub(in crate::traceql) fn of_rows(batch: &Arc<SpanBatch>, rows: Range<usize>) -> Self {
        let pieces = vec![Piece { batch: Arc::clone(batch), rows }];
        Self::new(pieces, Vec::new())
    }

    /// The spans of one trace, by start; of those with one id and start the last counts. Where ids were not read, no span is there twice.
    pub(in crate::traceql) fn of_pieces(pieces: Vec<Piece>) -> Self {
        if let [one] = pieces.as_slice() {
            return Self::of_rows(&one.batch, one.rows.clone());
        }
        let all = pieces.iter().enumerate().flat_map(|(at, piece)| piece.rows.clone().map(move |row| (at as u32, row as u32)));
        let mut places: Vec<(u32, u32)> = all.collect();
        let key = |(piece, row): &(u32, u32)| {
            let (batch, row) = (&pieces[*piece as usize].batch, *row as usize);
            (batch.start_ns(row), batch.span(row))
        };
        // Equal ones stay in the order of their sources.
        places.sort_by_key(key);
        if pieces.iter().all(|piece| piece.batch.has_span_ids()) {
            let keys: Vec<(i64, u64)> = places.iter().map(key).collect();
            let mut at = 0;
            places.retain(|_| {
                at += 1;
                keys.get(at) != Some(&keys[at - 1])
            });
        }
        Self::new(pieces, places)
    }

    /// The first `count` of them.
    pub(in crate::traceql) fn first(mut self, count: usize) -> Self {
        match self.pieces.as_mut_slice() {
            [one] if self.places.is_empty() => one.rows.end = one.rows.end.min(one.rows.start + count),
            _ => self.places.truncate(count),
        }
        Self::new(self.pieces, self.places)
    }

    /// The batch that a row is in, and its row there.
    pub(in crate::traceql) fn place(&self, row: usize) -> (&SpanBatch, usize) {
        match self.places.get(row) {
            Some((piece, at)) => (&self.pieces[*piece as usize].batch, *at as usize),
            None => (&self.pieces[0].batch, self.pieces[0].rows.start + row),
        }
    }

    /// The trace of the first row.
    pub(in crate::traceql) fn first_trace(&self) -> u128 {
        let (batch, at) = self.place(0);
        batch.trace(at)
    }

    /// How many traces the rows belong to, as far as those of one follow each other; 0 when ids were not read.
    pub(in crate::traceql) fn traces(&self) -> u64 {
        let Some(Piece { batch, rows }) = self.pieces.first().filter(|_| self.places.is_empty()) else { return 1 };
        if !batch.has_trace_ids() {
            return 0;
        }
        rows.clone().zip(rows.clone().skip(1)).filter(|(a, b)| batch.trace(*a) != batch.trace(*b)).count() as u64 + 1
    }

    /// What the trace is as a whole, of the spans that are here.
    pub(in crate::traceql) fn facts(&self) -> Facts {
        *self.facts.get_or_init(|| {
            let (mut start_ns, mut end_ns, mut root): (i64, i64, Option<(i64, usize)>) = (i64::MAX, i64::MIN, None);
            for row in 0..self.len() {
                let (batch, at) = self.place(row);
                let start = batch.start_ns(at);
                start_ns = start_ns.min(start);
                end_ns = end_ns.max(start.saturating_add(batch.duration_ns(at)));
                if batch.parent(at) == 0 && root.is_none_or(|(earliest, _)| start < earliest) {
                    root = Some((start, row));
                }
            }
            Facts { start_ns, end_ns, root: root.map(|(_, row)| row) }
        })
    }

    fn tree(&self) -> &Tree {
        self.tree.get_or_init(|| Tree::new(&self.parents(), |row| self.is_root(row)))
    }

    fn is_root(&self, row: usize) -> bool {
        let (batch, at) = self.place(row);
        batch.parent(at) == 0
    }

    /// The row of each span's parent. Where client and server share an id, as Zipkin's do, the server's span is the client's child, and
    /// what names the id as its parent is the server's.
    fn parents(&self) -> Vec<Option<usize>> {
        const SERVER: i32 = 2;
        const CLIENT: i32 = 3;
        let mut rows: HashMap<u64, (usize, Option<usize>)> = HashMap::with_capacity(self.len());
        for row in 0..self.len() {
            let (batch, at) = self.place(row);
            match rows.entry(batch.span(at)) {
                hashbrown::hash_map::Entry::Vacant(new) => {
                    new.insert((row, None));
                }
                hashbrown::hash_map::Entry::Occupied(mut known) => {
                    let (first, second) = known.get_mut();
                    let kind_of_first = {
                        let (batch, at) = self.place(*first);
                        batch.kind(at)
                    };
                    match (kind_of_first, batch.kind(at)) {
                        (CLIENT, SERVER) if second.is_none() => *second = Some(row),
                        (SERVER, CLIENT) if second.is_none() => (*first, *second) = (row, Some(*first)),
                        _ => {}
                    }
                }
            }
        }
        let parent = |row: usize| {
            let (batch, at) = self.place(row);
            if let Some((client, Some(server))) = rows.get(&batch.span(at))
                && *server == row
            {
                return Some(*client);
            }
            let (first, second) = rows.get(&batch.parent(at)).filter(|_| batch.parent(at) != 0)?;
            Some(second.unwrap_or(*first))
        };
        (0..self.len()).map(parent).collect()
    }

    fn of_trace(&self, intrinsic: Intrinsic, row: usize) -> Value<'_> {
        let root = || self.facts().root.map(|root| self.place(root));
        match intrinsic {
            Intrinsic::NestedSetLeft => Value::Int(self.tree().left(row).into()),
            Intrinsic::NestedSetRight => Value::Int(self.tree().right(row).into()),
            Intrinsic::NestedSetParent => Value::Int(self.tree().parent_left(row)),
            Intrinsic::ChildCount => Value::Int(self.children(row)),
            Intrinsic::TraceDuration => {
                let facts = self.facts();
                Value::Duration(facts.end_ns.saturating_sub(facts.start_ns))
            }
            Intrinsic::RootName => root().map_or(Value::text(""), |(batch, at)| Value::text(batch.name(at))),
            Intrinsic::RootService => root().map_or(Value::text(""), |(batch, at)| Value::text(batch.service(at))),
            _ => Value::Nil,
        }
    }

    fn children(&self, row: usize) -> i64 {
        let counts = self.children.get_or_init(|| {
            let (tree, mut counts) = (self.tree(), vec![0; self.len()]);
            (0..self.len()).filter_map(|child| tree.parent(child)).for_each(|parent| counts[parent] += 1);
            counts
        });
        i64::from(counts[row])
    }
}

impl Spans for TraceSpans {
    fn len(&self) -> usize {
        if self.places.is_empty() { self.pieces[0].rows.len() } else { self.places.len() }
    }

    fn value(&self, slot: Slot, row: usize) -> Value<'_> {
        let (batch, at) = self.place(row);
        batch.value(slot, at).unwrap_or_else(|intrinsic| self.of_trace(intrinsic, row))
    }

    fn is_blank(&self, slot: Slot, row: usize) -> bool {
        let (batch, at) = self.place(row);
        batch.is_blank(slot, at)
    }

    fn coded(&self, slot: Slot) -> Option<Coded<'_>> {
        let Piece { batch, rows } = self.pieces.first().filter(|_| self.places.is_empty())?;
        batch.coded(slot, rows.clone())
    }

    fn starts_ns(&self) -> Option<&[i64]> {
        let Piece { batch, rows } = self.pieces.first().filter(|_| self.places.is_empty())?;
        Some(&batch.starts_ns()[rows.clone()])
    }

    fn durations_ns(&self) -> Option<&[i64]> {
        let Piece { batch, rows } = self.pieces.first().filter(|_| self.places.is_empty())?;
        Some(&batch.durations_ns()?[rows.clone()])
    }

    fn items(&self, source: Source, row: usize) -> usize {
        let (batch, at) = self.place(row);
        batch.items(source, at)
    }

    fn item(&self, slot: Slot, row: usize, item: usize) -> Value<'_> {
        let (batch, at) = self.place(row);
        batch.item(slot, at, item)
    }

    fn start_ns(&self, row: usize) -> i64 {
        let (batch, at) = self.place(row);
        batch.start_ns(at)
    }

    fn duration_ns(&self, row: usize) -> i64 {
        let (batch, at) = self.place(row);
        batch.duration_ns(at)
    }

    fn parent(&self, row: usize) -> Option<usize> {
        self.tree().parent(row)
    }

    fn all(&self, row: usize, take: &mut dyn FnMut(&str, Value<'_>)) {
        let (batch, at) = self.place(row);
        batch.all(at, take);
        self.all_of_trace(row, &mut |name, value| take(name, value));
    }

    fn listed(&self) -> Option<(&Arc<Listed>, usize)> {
        let Piece { batch, rows } = self.pieces.first().filter(|_| self.places.is_empty())?;
        Some((batch.listed(), rows.start))
    }

    fn all_of_trace(&self, row: usize, take: &mut dyn FnMut(&'static str, Value<'_>)) {
        take("rootName", self.of_trace(Intrinsic::RootName, row));
        take("rootServiceName", self.of_trace(Intrinsic::RootService, row));
        take("span:childCount", self.of_trace(Intrinsic::ChildCount, row));
    }
}
