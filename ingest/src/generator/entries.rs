//! What is counted: label sets, and under each the counters and histograms of its metrics.
//!
//! ```text
//! labels ─hash─► slot ─► Entry { counters, histograms, since when, when last, its series once they were written }
//!                └ no room for its series: the slot of metric_overflow="true"
//! ```

use std::borrow::Cow;
use std::sync::Arc;

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::config::HistogramKind;
use super::labels::LabelSet;
use super::latency::{Bounds, Histogram, Latency};
use crate::registry::Series;

/// The label of what there was no room for, as in Tempo.
const OVERFLOW_LABEL: (&str, &str) = ("metric_overflow", "true");

/// A metric: its name and what `/api/v1/metadata` says of it.
#[derive(Debug, Clone)]
pub(super) struct Metric {
    pub(super) name: Cow<'static, str>,
    pub(super) help: &'static str,
}

/// The metrics that one label set has.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) counters: Vec<Metric>,
    /// With their bounds and their unit.
    pub(super) histograms: Vec<(Metric, Bounds, &'static str)>,
    pub(super) kind: HistogramKind,
    /// The counters are gauges that say 1: they neither begin with 0 nor have a start.
    pub(super) is_info: bool,
    /// Whether latencies point to spans.
    pub(super) points: bool,
    /// Whether a span may stand for others, and so for a part of one: native histograms then have counts that are no integers.
    pub(super) weighted: bool,
}

impl Metric {
    /// A metric whose name is not configured.
    pub(super) const fn new(name: &'static str, help: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), help }
    }
}

impl Layout {
    /// Metrics of counters alone.
    pub(super) fn counting(counters: Vec<Metric>) -> Self {
        Self { counters, histograms: Vec::new(), kind: HistogramKind::Classic, is_info: false, points: false, weighted: false }
    }

    /// Series of one label set.
    pub(super) fn series(&self) -> usize {
        let of = |(_, bounds, _): &(Metric, Bounds, &'static str)| {
            let classic = if self.kind.is_classic() { bounds.names().len() + 2 } else { 0 };
            classic + usize::from(self.kind.is_native())
        };
        self.counters.len() + self.histograms.iter().map(of).sum::<usize>()
    }
}

/// Series of a tenant, of all its tables.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) used: usize,
    pub(super) max: usize,
}

/// One label set.
#[derive(Debug)]
pub(super) struct Entry {
    /// [`LabelSet::as_bytes`].
    pub(super) labels: Box<[u8]>,
    pub(super) counters: Box<[f64]>,
    pub(super) histograms: Box<[Histogram]>,
    /// When it was 0, in milliseconds.
    pub(super) created_ms: i64,
    /// When something was counted last, in milliseconds.
    pub(super) touched_ms: i64,
    /// Whether its beginning is written.
    pub(super) announced: bool,
    /// Its series, in the order of [`super::write`], once it was written.
    pub(super) series: Option<Box<[Arc<Series>]>>,
}

/// The label sets of one layout.
#[derive(Debug)]
pub(super) struct Entries {
    pub(super) layout: Arc<Layout>,
    seed: u64,
    table: HashTable<u32>,
    slots: Vec<Option<Entry>>,
    free: Vec<u32>,
    overflow: Option<u32>,
}

/// Now, as far as entries need to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// When a new entry was 0: right behind the last write.
    pub(super) since_ms: i64,
    pub(super) now_ms: i64,
}

impl Entries {
    pub(super) fn new(layout: Arc<Layout>, seed: u64) -> Self {
        Self { layout, seed, table: HashTable::new(), slots: Vec::new(), free: Vec::new(), overflow: None }
    }

    /// How many places there are, taken or free.
    pub(super) fn places(&self) -> usize {
        self.slots.len()
    }

    /// The entry at a place, if it is taken.
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Entry> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// The place of `labels`; it stays theirs at least until the next [`Entries::remove`].
    pub(super) fn slot(&mut self, labels: &LabelSet, budget: &mut Budget, moment: Moment) -> u32 {
        let hash = xxh3_64_with_seed(labels.as_bytes(), self.seed);
        if let Some(known) = self.table.find(hash, |at| is(&self.slots, *at, labels.as_bytes())) {
            return *known;
        }
        let series = self.layout.series();
        if budget.used + series > budget.max {
            return self.overflow(moment);
        }
        budget.used += series;
        self.add(labels.as_bytes(), moment)
    }

    #[cold]
    fn overflow(&mut self, moment: Moment) -> u32 {
        metrics::counter!("telelake_generator_overflow_total").increment(1);
        if let Some(overflow) = self.overflow {
            return overflow;
        }
        let mut labels = LabelSet::default();
        labels.push(OVERFLOW_LABEL.0, OVERFLOW_LABEL.1);
        let slot = self.add(labels.as_bytes(), moment);
        self.overflow = Some(slot);
        slot
    }

    fn add(&mut self, labels: &[u8], moment: Moment) -> u32 {
        let layout = &self.layout;
        let entry = Entry {
            labels: labels.into(),
            counters: vec![0.0; layout.counters.len()].into(),
            histograms: layout
                .histograms
                .iter()
                .map(|(_, bounds, _)| Histogram::new(bounds, layout.kind, layout.weighted))
                .collect(),
            created_ms: moment.since_ms + 1,
            touched_ms: moment.now_ms,
            announced: false,
            series: None,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(entry);
                slot
            }
            None => {
                self.slots.push(Some(entry));
                u32::try_from(self.slots.len() - 1).expect("series_max is below 2^24")
            }
        };
        let hash = xxh3_64_with_seed(labels, self.seed);
        let Self { table, slots, seed, .. } = self;
        table.insert_unique(hash, slot, |at| match &slots[*at as usize] {
            Some(entry) => xxh3_64_with_seed(&entry.labels, *seed),
            None => 0, // Only taken places are in the table.
        });
        slot
    }

    /// Frees a place.
    pub(super) fn remove(&mut self, slot: u32, budget: &mut Budget) {
        let Some(entry) = self.slots[slot as usize].take() else { return };
        let hash = xxh3_64_with_seed(&entry.labels, self.seed);
        if let Ok(found) = self.table.find_entry(hash, |at| *at == slot) {
            found.remove();
        }
        if self.overflow == Some(slot) {
            self.overflow = None;
        } else {
            budget.used -= self.layout.series();
        }
        self.free.push(slot);
    }

    /// Remembers that something is counted.
    #[inline]
    pub(super) fn touch(&mut self, slot: u32, now_ms: i64) {
        if let Some(entry) = self.slots[slot as usize].as_mut() {
            entry.touched_ms = now_ms;
        }
    }

    /// Adds `count` to the counter at `counter`. Whole numbers are exact up to 2^53.
    #[inline]
    pub(super) fn add_to(&mut self, slot: u32, counter: usize, count: f64) {
        if let Some(entry) = self.slots[slot as usize].as_mut() {
            entry.counters[counter] += count;
        }
    }

    /// Adds a latency to the histogram at `histogram`.
    #[inline]
    pub(super) fn observe(&mut self, slot: u32, histogram: usize, latency: &Latency) {
        if let Some(entry) = self.slots[slot as usize].as_mut() {
            entry.histograms[histogram].observe(&self.layout.histograms[histogram].1, latency, self.layout.points);
        }
    }

    /// Adds a latency of 0 that nobody measured, and that points to nothing.
    pub(super) fn observe_nothing(&mut self, slot: u32, histogram: usize, weight: f64, at: catalog::Timestamp) {
        if let Some(entry) = self.slots[slot as usize].as_mut() {
            let nothing = Latency { duration_ns: 0, weight, trace_id: [0; 16], span_id: [0; 8], at };
            entry.histograms[histogram].observe(&self.layout.histograms[histogram].1, &nothing, false);
        }
    }

    /// Sets a gauge that says 1.
    pub(super) fn set_info(&mut self, slot: u32, now_ms: i64) {
        if let Some(entry) = self.slots[slot as usize].as_mut() {
            entry.touched_ms = now_ms;
            entry.counters.fill(1.0);
        }
    }
}

fn is(slots: &[Option<Entry>], slot: u32, labels: &[u8]) -> bool {
    slots[slot as usize].as_ref().is_some_and(|entry| *entry.labels == *labels)
}
