//! Extremes and sums of windows that overlap, by a queue of two stacks.
//!
//! ```text
//!        first                split        end
//!   . . ( .  .  .  .  .  .  .  |  .  .  .  . ]
//!         └ of each sample up ─┘  └ of all ┘        window = the first of these, and the other one
//!           to the split                             when first passes the split, end is the new split
//! ```
//! Nothing is ever taken away from an aggregate: what was rounded or overflowed does not stay behind. Each sample is looked at
//! three times at most, however many windows it lies in.

use std::ops::Range;

use super::Steps;
use super::edges::Edges;
use crate::functions::kahan;

/// A sum and what was lost of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    pub(super) fn total(self) -> f64 {
        self.sum + self.lost
    }

    pub(super) fn mean(self, count: usize) -> f64 {
        let count = count as f64;
        self.sum / count + self.lost / count
    }

    fn and(self, other: Self) -> Self {
        let (sum, lost) = kahan(other.sum, self.sum, self.lost);
        Self { sum, lost: lost + other.lost }
    }
}

/// Whether no sum of these, in whatever order, can be infinite or NaN.
pub(super) fn cannot_overflow(values: &[f64]) -> bool {
    let most = f64::MAX / (2.0 * values.len() as f64);
    values.iter().fold(true, |all, value| all & (value.abs() < most))
}

/// What `finish` makes of the sum of each window and the number of its samples.
pub(super) fn sum(
    values: &[f64],
    edges: &mut Edges<'_>,
    buffer: &mut Vec<Sum>,
    out: &mut Steps<'_>,
    finish: impl Fn(Sum, usize) -> f64,
) {
    let of = |at: usize| Sum { sum: values[at], lost: 0.0 };
    let mut queue = Queue::new(buffer);
    edges.for_each(|at, window| out.put(at, finish(queue.fold(window.clone(), of, Sum::and), window.len())));
}

/// The value of each window that `beats` all others, the first of equal ones; any number beats NaN.
pub(super) fn extreme(
    values: &[f64],
    edges: &mut Edges<'_>,
    buffer: &mut Vec<f64>,
    out: &mut Steps<'_>,
    beats: impl Fn(f64, f64) -> bool,
) {
    let better = |best: f64, now: f64| if beats(now, best) || best.is_nan() { now } else { best };
    let mut queue = Queue::new(buffer);
    edges.for_each(|at, window| out.put(at, queue.fold(window, |at| values[at], better)));
}

struct Queue<'a, T> {
    /// Aggregates of the samples from `from` up to the split, one for each sample from there on.
    front: &'a mut Vec<T>,
    from: usize,
    split: usize,
    /// Of what lies behind the split, and where it ends.
    back: Option<T>,
    end: usize,
}

impl<'a, T: Copy> Queue<'a, T> {
    fn new(front: &'a mut Vec<T>) -> Self {
        Self { front, from: 0, split: 0, back: None, end: 0 }
    }

    /// The aggregate of `window`, which is not empty and of which neither end is before that of the last one. `and` is associative.
    fn fold(&mut self, window: Range<usize>, of: impl Fn(usize) -> T, and: impl Fn(T, T) -> T) -> T {
        if window.start >= self.split {
            return self.split_at_end(window, of, and);
        }
        for at in self.end..window.end {
            self.back = Some(self.back.map_or_else(|| of(at), |back| and(back, of(at))));
        }
        self.end = window.end;
        let front = self.front[self.front.len() - 1 - (window.start - self.from)];
        self.back.map_or(front, |back| and(front, back))
    }

    fn split_at_end(&mut self, window: Range<usize>, of: impl Fn(usize) -> T, and: impl Fn(T, T) -> T) -> T {
        self.front.clear();
        let mut all = of(window.end - 1);
        self.front.push(all);
        for at in (window.start..window.end - 1).rev() {
            all = and(of(at), all);
            self.front.push(all);
        }
        (self.from, self.split, self.end, self.back) = (window.start, window.end, window.end, None);
        all
    }
}
