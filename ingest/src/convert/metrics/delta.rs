//! Delta points added up to cumulative ones, as the collector's `deltatocumulative` processor does.
//!
//! ```text
//! last = 10, start = 0    point (start, time]
//!   (10, 20]  add, emit the total from start 0
//!   (15, 20]  add: overlaps are the sender's affair
//!   (12, 20]  with a gap before it: reset, the total starts over at this point, from its start
//!   (.., 10]  and earlier: refused, a duplicate or out of order
//! ```
//! Totals live in memory: after a restart, or when a series was idle, the total starts over, which readers see as a
//! counter reset with a start timestamp of its own.
//!
//! # Invariants
//! - A total changes only with a request that was appended: what is not confirmed is undone, so a retry finds the state before it.
//! - There are no more totals than active series allowed; idle ones are swept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use super::native::NativeHistogram;
use super::reject::Reject;

/// A point's time and start, in nanoseconds; start 0 is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start_ns: u64,
    pub(crate) ts_ns: u64,
}

/// An explicit-bounds histogram's counts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ClassicTotal {
    pub(crate) bounds: Box<[f64]>,
    pub(crate) counts: Vec<u64>,
    pub(crate) count: u64,
    pub(crate) sum: Option<f64>,
}

/// A number, exact as long as all deltas are integers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Int(i64),
    Double(f64),
}

impl Number {
    /// As a sample's value: integers beyond 2^53 are rounded, as in Prometheus.
    #[inline]
    pub(crate) fn as_f64(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Double(value) => value,
        }
    }

    fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Self::Int(a.saturating_add(b)),
            (a, b) => Self::Double(a.as_f64() + b.as_f64()),
        }
    }
}

/// What is added up.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Number(Number),
    Classic(ClassicTotal),
    Native(Box<NativeHistogram>),
}

impl Value {
    /// Both together. Histograms of different bounds cannot be added: the newer one starts over.
    fn plus(&self, delta: Self, buckets_max: usize) -> Result<Self, Reject> {
        Ok(match (self, delta) {
            (Self::Number(total), Self::Number(delta)) => Self::Number(total.plus(delta)),
            (Self::Classic(total), Self::Classic(delta)) if total.bounds == delta.bounds => {
                let counts = total.counts.iter().zip(&delta.counts);
                Self::Classic(ClassicTotal {
                    counts: counts.map(|(a, b)| a.checked_add(*b).ok_or(Reject::CountRange)).collect::<Result<_, _>>()?,
                    count: total.count.checked_add(delta.count).ok_or(Reject::CountRange)?,
                    sum: total.sum.zip(delta.sum).map(|(a, b)| a + b),
                    bounds: delta.bounds,
                })
            }
            (Self::Native(total), Self::Native(delta)) => Self::Native(Box::new(total.merged(&delta, buckets_max)?)),
            (_, delta) => delta,
        })
    }
}

/// A running total and the time it covers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Total {
    pub(crate) start_ns: u64,
    last_ns: u64,
    pub(crate) value: Value,
}

impl Total {
    /// The total after `delta`, which covers `span`; `before` is `None` for the first one.
    ///
    /// # Errors
    /// [`Reject::DeltaOrder`] for a point that is not newer than the total, or older than its start.
    fn after(before: Option<&Self>, span: Span, delta: Value, buckets_max: usize) -> Result<Self, Reject> {
        let first = |value| Self { start_ns: span.start_ns, last_ns: span.ts_ns, value };
        let Some(total) = before else {
            return Ok(first(delta));
        };
        let starts_before = span.start_ns != 0 && span.start_ns < total.start_ns;
        if starts_before || span.ts_ns <= total.last_ns {
            return Err(Reject::DeltaOrder);
        }
        if span.start_ns > total.last_ns {
            return Ok(first(delta));
        }
        let value = total.value.plus(delta, buckets_max)?;
        Ok(Self { start_ns: total.start_ns, last_ns: span.ts_ns, value })
    }
}

/// The total of one series, or one histogram's series together.
#[derive(Debug)]
pub(crate) struct DeltaState {
    cell: Mutex<Cell>,
    touched: AtomicU32,
}

#[derive(Debug, Default)]
struct Cell {
    /// Raised with every change, so that an undo knows whether somebody came after.
    version: u64,
    total: Option<Total>,
}

impl DeltaState {
    /// No total yet.
    pub(crate) fn new(minute: u32) -> Arc<Self> {
        Arc::new(Self { cell: Mutex::default(), touched: AtomicU32::new(minute) })
    }

    /// Adds `delta` and gives the new total and the way back.
    pub(crate) fn add(
        self: &Arc<Self>,
        span: Span,
        delta: Value,
        buckets_max: usize,
        minute: u32,
    ) -> Result<(Total, Undo), Reject> {
        self.touched.store(minute, Ordering::Relaxed);
        let mut cell = self.cell.lock();
        let after = Total::after(cell.total.as_ref(), span, delta, buckets_max)?;
        let before = cell.total.replace(after.clone());
        let version = cell.version;
        cell.version += 1;
        drop(cell);
        Ok((after, Undo { state: Arc::clone(self), before, version }))
    }

    /// Whether no delta came in for `idle_minutes`.
    pub(crate) fn is_idle(&self, minute: u32, idle_minutes: u32) -> bool {
        minute.saturating_sub(self.touched.load(Ordering::Relaxed)) >= idle_minutes
    }
}

/// One change of a total.
#[derive(Debug)]
pub(crate) struct Undo {
    state: Arc<DeltaState>,
    before: Option<Total>,
    version: u64,
}

impl Undo {
    /// Takes the change back, unless another request has built on it: then its total stays right only with this one in it, and the
    /// retry of this one is refused as a duplicate.
    pub(crate) fn undo(self) {
        let mut cell = self.state.cell.lock();
        if cell.version == self.version + 1 {
            cell.version = self.version;
            cell.total = self.before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(value: i64) -> Value {
        Value::Number(Number::Int(value))
    }

    #[track_caller]
    fn check(state: &Arc<DeltaState>, (start_ns, ts_ns): (u64, u64), delta: i64, expected: Result<(u64, i64), Reject>) {
        let got = state.add(Span { start_ns, ts_ns }, int(delta), 160, 0).map(|(total, _)| (total.start_ns, total.value));
        assert_eq!(got, expected.map(|(start, value)| (start, int(value))));
    }

    #[test]
    fn deltas_add_up() {
        let state = DeltaState::new(0);
        check(&state, (5, 10), 3, Ok((5, 3)));
        check(&state, (10, 20), 4, Ok((5, 7)));
        check(&state, (10, 20), 4, Err(Reject::DeltaOrder)); // a duplicate
        check(&state, (5, 15), 1, Err(Reject::DeltaOrder)); // out of order
        check(&state, (15, 30), 1, Ok((5, 8))); // an overlap
        check(&state, (0, 31), 1, Ok((5, 9))); // no start: no gap to be seen
        check(&state, (40, 50), 2, Ok((40, 2))); // a gap: over again
        check(&state, (39, 60), 2, Err(Reject::DeltaOrder)); // begins before the total does
        check(&state, (50, 60), i64::MAX, Ok((40, i64::MAX))); // saturates
    }

    #[test]
    fn integers_and_floats_mix() {
        assert_eq!(Number::Int(1).plus(Number::Double(0.5)), Number::Double(1.5));
        assert_eq!(Number::Int((1 << 53) + 1).plus(Number::Int(0)).as_f64(), 9_007_199_254_740_992.0);
    }

    #[test]
    fn histograms_of_other_bounds_start_over() {
        let classic = |bounds: &[f64], counts: &[u64]| {
            let count = counts.iter().sum();
            Value::Classic(ClassicTotal { bounds: bounds.into(), counts: counts.to_vec(), count, sum: Some(1.0) })
        };
        let total = classic(&[1.0], &[1, 2]).plus(classic(&[1.0], &[3, 4]), 160).unwrap();
        let Value::Classic(total) = total else { panic!("classic") };
        assert_eq!((total.counts, total.count, total.sum), (vec![4, 6], 10, Some(2.0)));
        assert_eq!(classic(&[1.0], &[1, 2]).plus(classic(&[2.0], &[3, 4]), 160).unwrap(), classic(&[2.0], &[3, 4]));
    }

    #[test]
    fn what_is_not_confirmed_is_undone() {
        let state = DeltaState::new(0);
        let add = |ts_ns, value| state.add(Span { start_ns: 1, ts_ns }, int(value), 160, 0).unwrap();
        let (_, first) = add(10, 1);
        let (_, second) = add(20, 2);
        second.undo();
        first.undo();
        check(&state, (1, 10), 5, Ok((1, 5)));
        let (_, mine) = add(20, 1);
        add(30, 1);
        mine.undo(); // too late: another request has built on it
        check(&state, (30, 40), 1, Ok((1, 8)));
    }
}
