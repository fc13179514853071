//! Spans behind series: a few, the same ones in whatever parts and order spans come.
//!
//! Each span has a number that depends on nothing but the span. Of every series the span with the least is kept, and beside them the spans
//! with the least of all.

use std::collections::{BTreeSet, BinaryHeap};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::eval::key::Key;
use crate::spans::{Reference, Spans};
use crate::value::Value;

/// A span behind a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// `trace:id` and `span:id`.
    pub labels: Vec<(String, Value<'static>)>,
    /// What the span adds; NaN of functions that only count.
    pub value: f64,
    /// Its start, milliseconds since the epoch.
    pub time_ms: i64,
}

/// What identifies a span in exemplars.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ids {
    pub(super) trace: Reference,
    pub(super) span: Reference,
}

/// A span that may become an exemplar. Ordered by its number; the ids make the order total.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    number: u64,
    trace: Box<str>,
    span: Box<str>,
    time_ns: i64,
    value_bits: u64,
    /// Of the values of the series' labels: its number depends on which series came first.
    labels: u64,
    pub(super) series: u32,
}

impl Candidate {
    pub(super) fn value(&self) -> f64 {
        f64::from_bits(self.value_bits)
    }

    pub(super) fn time_ns(&self) -> i64 {
        self.time_ns
    }

    pub(super) fn exemplar(&self) -> Exemplar {
        let label = |name: &str, value: &str| (name.to_owned(), Value::Str(value.to_owned().into()));
        let labels = vec![label("trace:id", &self.trace), label("span:id", &self.span)];
        Exemplar { labels, value: self.value(), time_ms: self.time_ns.div_euclid(1_000_000) }
    }
}

/// The candidates of a leaf.
#[derive(Debug, Clone, Default)]
pub(super) struct Exemplars {
    max: usize,
    /// The least of each series, by series.
    firsts: Vec<Option<Candidate>>,
    /// The numbers of these; the greatest number there is for none.
    numbers: Vec<u64>,
    /// The least of all, the greatest of them on top.
    least: BinaryHeap<Candidate>,
}

impl Exemplars {
    pub(super) fn new(max: usize) -> Self {
        Self { max, ..Self::default() }
    }

    /// Whether a span with `number` that is in `series` may become one. Of most spans there is nothing more to ask.
    pub(super) fn wants(&self, number: u64, series: u32) -> bool {
        let greatest = || self.least.peek().map_or(u64::MAX, |greatest| greatest.number);
        self.max > 0
            && (self.numbers.get(series as usize).is_none_or(|first| number <= *first)
                || self.least.len() < self.max
                || number <= greatest())
    }

    /// Considers a span with a number that is wanted: it added `value` to a series whose labels have `labels` as values.
    pub(super) fn offer(
        &mut self,
        ids: Ids,
        (spans, row): (&dyn Spans, usize),
        (series, labels): (u32, &[Key]),
        (number, value): (u64, f64),
    ) {
        let text = |reference: Reference| match spans.value(reference.slot, row) {
            Value::Str(text) => text.into(),
            _ => Box::default(),
        };
        let (trace, span, time_ns) = (text(ids.trace), text(ids.span), spans.start_ns(row));
        let mut hasher = DefaultHasher::new();
        labels.hash(&mut hasher);
        self.take(Candidate { number, trace, span, time_ns, value_bits: value.to_bits(), labels: hasher.finish(), series });
    }

    fn take(&mut self, candidate: Candidate) {
        let series = candidate.series as usize;
        if self.firsts.len() <= series {
            self.firsts.resize(series + 1, None);
            self.numbers.resize(series + 1, u64::MAX);
        }
        if self.firsts[series].as_ref().is_none_or(|known| candidate < *known) {
            self.numbers[series] = candidate.number;
            self.firsts[series] = Some(candidate.clone());
        }
        let is_less = self.least.len() < self.max || self.least.peek().is_some_and(|greatest| candidate < *greatest);
        // A merge brings the first of a series twice, and a sender may send a span twice.
        if is_less && !self.least.iter().any(|known| *known == candidate) {
            if self.least.len() == self.max {
                self.least.pop();
            }
            self.least.push(candidate);
        }
    }

    pub(super) fn merge(&mut self, other: Self, series: &[u32]) {
        let here = |candidate: Candidate| Candidate { series: series[candidate.series as usize], ..candidate };
        other.firsts.into_iter().flatten().chain(other.least).map(here).for_each(|candidate| self.take(candidate));
    }

    /// The exemplars, at most as many as asked for: one per series first.
    pub(super) fn chosen(&self) -> Vec<&Candidate> {
        let firsts: BTreeSet<&Candidate> = self.firsts.iter().flatten().collect();
        let mut chosen: Vec<&Candidate> = firsts.iter().copied().take(self.max).collect();
        let others: BTreeSet<&Candidate> = self.least.iter().filter(|candidate| !firsts.contains(candidate)).collect();
        chosen.extend(others.into_iter().take(self.max - chosen.len()));
        chosen.sort_by_key(|candidate| (candidate.series, candidate.time_ns, candidate.number));
        chosen
    }

    pub(super) fn bytes(&self) -> usize {
        // A candidate has two ids in hex.
        (self.firsts.len() + self.least.len()) * (size_of::<Candidate>() + 48)
    }
}

/// The number of a span: as if drawn at random, the same for the same span (the finalizer of splitmix64).
pub(super) fn number(start_ns: i64, duration_ns: i64) -> u64 {
    let mut bits = (start_ns as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (duration_ns as u64).rotate_left(32);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}
