//! What the operators of one query share.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use parking_lot::{Mutex, RwLock};
use promql::annotation::Annotations;
use promql::eval::{Budget, EvalContext, EvalError};
use promql::labels::Labels;

use super::super::error::Error;
use super::super::run::Ticket;
use super::super::samples::Samples;
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
    annotations: Mutex<Annotations>,
    samples: std::sync::atomic::AtomicU64,
}

impl State {
    pub(crate) fn new(
        view: Arc<View>,
        store: Arc<Samples>,
        budget: Budget,
        ticket: Ticket,
        partitions: usize,
        series_max: u64,
    ) -> Arc<Self> {
        let (arena, annotations, samples) = (Arena::default(), Mutex::default(), Default::default());
        Arc::new(Self { view, store, arena, budget, ticket, partitions: partitions.max(1), series_max, annotations, samples })
    }

    /// Runs `work` with a context of its own; what it annotates is kept.
    ///
    /// # Errors
    /// Those of `work`, as errors of DataFusion that [`Error::of_plan`] takes out again.
    pub(super) fn evaluate<T>(&self, work: impl FnOnce(&mut EvalContext<'_>) -> Result<T, EvalError>) -> Result<T> {
        let check = || self.ticket.check();
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
    pub(super) fn count_samples(&self, samples: u64) {
        self.samples.fetch_add(samples, std::sync::atomic::Ordering::Relaxed);
    }

    /// Samples that were read so far.
    pub(crate) fn samples(&self) -> u64 {
        self.samples.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// Bytes of batches, taken from the query's memory.
///
/// # Errors
/// When there is no more.
pub(super) fn hold(batches: &[RecordBatch], reservation: &MemoryReservation) -> Result<()> {
    reservation.try_grow(batches.iter().map(RecordBatch::get_array_memory_size).sum())
}
