//! What the operators of one query share.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arrow::array::RecordBatch;
use catalog::{TimeRange, Timestamp};
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use parking_lot::{Mutex, RwLock};
use promql::annotation::Annotations;
use promql::ast::Span;
use promql::eval::{Budget, Data, EvalContext, EvalError, Looks, Node, Operator, Select};
use promql::labels::Labels;
use promql::value::RawSeries;

use super::super::error::Error;
use super::super::samples::Samples;
use crate::run::Ticket;
use crate::view::View;

/// Label sets by handle. Only grows; lives as long as the query.
#[derive(Debug, Default)]
pub(crate) struct Arena(RwLock<Interned>);

#[derive(Debug, Default)]
struct Interned {
    all: Vec<Labels>,
    known: HashMap<Labels, i32>,
}

impl Arena {
    /// The handles of label sets; equal sets have one.
    pub(super) fn handles(&self, labels: &[&Labels]) -> Vec<i32> {
        let mut interned = self.0.write();
        let interned = &mut *interned;
        let handle = |labels: &&Labels| {
            if let Some(handle) = interned.known.get(*labels) {
                return *handle;
            }
            let handle = i32::try_from(interned.all.len()).unwrap_or(i32::MAX);
            interned.all.push((*labels).clone());
            interned.known.insert((*labels).clone(), handle);
            handle
        };
        labels.iter().map(handle).collect()
    }

    /// The labels behind a handle.
    pub(super) fn labels(&self, handle: i32) -> Option<Labels> {
        self.0.read().all.get(usize::try_from(handle).ok()?).cloned()
    }
}

/// In which time series are looked for, by the place of their selector, when that is more than the selector reads.
///
/// Series are shared out by their number. Where only some steps of a query are evaluated, they are those of the whole query all the same,
/// so that floats are added up in the order in which the whole query would add them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scopes(HashMap<Span, TimeRange>);

impl Scopes {
    /// Those of all selectors below `root`.
    pub(crate) fn of(root: &Node) -> Self {
        let mut scopes = Self::default();
        scopes.add(root);
        scopes
    }

    fn add(&mut self, node: &Node) {
        if let Operator::Select(select) = &node.op {
            self.0.insert(node.span, time_of(select));
        }
        node.inputs.iter().for_each(|input| self.add(input));
    }
}

/// The time that a selector reads.
pub(crate) fn time_of(select: &Select) -> TimeRange {
    TimeRange::new(Timestamp::from_millis(select.from_ms), Timestamp::from_millis(select.to_ms))
}

/// One per query.
#[derive(Debug)]
pub(crate) struct State {
    /// What the query sees.
    pub(crate) view: Arc<View>,
    /// Where samples come from.
    pub(crate) store: Arc<Samples>,
    /// Label sets.
    pub(crate) arena: Arena,
    /// Samples it may hold.
    pub(crate) budget: Budget,
    /// Until when, and whether anybody waits.
    pub(crate) ticket: Ticket,
    /// Series that one selector may have.
    pub(crate) series_max: u64,
    /// How many partitions it works on at a time.
    pub(crate) partitions: usize,
    /// Where series are looked for.
    pub(crate) scopes: Scopes,
    /// What it looks at by step, if that is counted.
    pub(crate) looks: Option<Looks>,
    looked_at: Mutex<Vec<u64>>,
    annotations: Mutex<Annotations>,
    samples: AtomicU64,
    has_histograms: AtomicBool,
}

impl State {
    pub(crate) fn new(
        view: Arc<View>,
        store: Arc<Samples>,
        budget: Budget,
        ticket: Ticket,
        partitions: usize,
        series_max: u64,
    ) -> Self {
        Self {
            view,
            store,
            arena: Arena::default(),
            budget,
            ticket,
            series_max,
            partitions: partitions.max(1),
            scopes: Scopes::default(),
            looks: None,
            looked_at: Mutex::default(),
            annotations: Mutex::default(),
            samples: AtomicU64::new(0),
            has_histograms: AtomicBool::new(false),
        }
    }

    /// In which time the series of the selector at `span` are looked for.
    pub(super) fn scope(&self, select: &Select, span: Span) -> TimeRange {
        self.scopes.0.get(&span).copied().unwrap_or_else(|| time_of(select))
    }

    /// Counts what `node` is going to look at in `series`.
    pub(super) fn look_at_windows(&self, node: &Node, series: &[RawSeries]) {
        self.look(|looks, counts| looks.at_windows(node, series, counts));
    }

    /// Counts what `node` looked at to find `found`.
    pub(super) fn look_at_found(&self, node: &Node, found: &Data) {
        if let Data::Steps(series) = found {
            self.look(|looks, counts| looks.at_newest(node, series, counts));
        }
    }

    fn look(&self, count: impl FnOnce(&Looks, &mut [u64])) {
        let Some(looks) = &self.looks else { return };
        let mut more = looks.none();
        count(looks, &mut more);
        let mut counts = self.looked_at.lock();
        counts.resize(more.len(), 0);
        counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
    }

    /// Samples looked at by step, if they were counted.
    pub(crate) fn looked_at(&self) -> Option<Vec<u64>> {
        let looks = self.looks.as_ref()?;
        let mut counts = self.looked_at.lock().clone();
        counts.resize(looks.none().len(), 0);
        Some(counts)
    }

    /// Runs `work` with a context of its own; what it annotates is kept.
    ///
    /// # Errors
    /// Those of `work`, as errors of DataFusion that [`Error::of_plan`] takes out again.
    pub(super) fn evaluate<T>(&self, work: impl FnOnce(&mut EvalContext<'_>) -> Result<T, EvalError>) -> Result<T> {
        let check = || self.ticket.check().map_err(EvalError::from);
        let mut context = EvalContext::new(&self.budget, &check);
        let result = work(&mut context);
        if !context.annotations.is_empty() {
            self.annotations.lock().merge(std::mem::take(&mut context.annotations));
        }
        result.map_err(|error| Error::from(error).into_plan())
    }

    /// What was annotated so far.
    pub(crate) fn take_annotations(&self) -> Annotations {
        std::mem::take(&mut self.annotations.lock())
    }

    /// Counts samples that were read.
    pub(super) fn count_samples(&self, series: &[RawSeries]) {
        let samples: usize = series.iter().map(|one| one.floats.len() + one.histograms.len()).sum();
        self.samples.fetch_add(samples as u64, Ordering::Relaxed);
        if series.iter().any(|one| !one.histograms.is_empty()) {
            self.has_histograms.store(true, Ordering::Relaxed);
        }
    }

    /// Whether native histograms were read so far.
    pub(crate) fn has_histograms(&self) -> bool {
        self.has_histograms.load(Ordering::Relaxed)
    }

    /// Samples that were read so far.
    pub(crate) fn samples(&self) -> u64 {
        self.samples.load(Ordering::Relaxed)
    }
}

/// Bytes of batches, taken from the query's memory.
///
/// # Errors
/// When there is no more.
pub(super) fn hold(batches: &[RecordBatch], reservation: &MemoryReservation) -> Result<()> {
    reservation.try_grow(batches.iter().map(RecordBatch::get_array_memory_size).sum())
}
