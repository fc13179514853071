//! Sums of windows that overlap: what neighbours share is added up once.
//!
//! ```text
//!   B-L            B             B+L          times, cut at the multiples of the length L of a window
//!    |    (........|.......]      |
//!         └ front ─┘└ back ┘                  a window has one cut in it: the sum of each sample up to the cut, and of all behind it
//! ```
//! Each sample is looked at twice at most, however many windows it lies in.
//!
//! # Invariants
//! - Where a window is cut follows from its own edges. So its sum is the same to the last bit whatever other windows there are.
//! - Nothing is ever taken away from a sum: what was rounded does not stay behind. A window with values that could overflow is added
//!   up by itself.

use super::edges::Edges;
use super::{Floats, Steps};
use crate::functions::kahan;

/// No sum of fewer than 2^32 values below this can be infinite, in whatever order.
const MOST: f64 = f64::MAX / (1_u64 << 33) as f64;

/// A sum and what was lost of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    fn of(value: f64) -> Self {
        Self { sum: value, lost: 0.0 }
    }

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

/// What is made of a window.
pub(super) struct Finish {
    /// Of its sum and the number of its samples.
    pub(super) of_sum: fn(Sum, usize) -> f64,
    /// Of its values, when they may not be shared.
    pub(super) of_values: fn(&[f64]) -> f64,
}

/// Puts what `finish` makes of each window into `out`. `buffer` is used again.
pub(super) fn sums(floats: Floats<'_>, edges: &mut Edges<'_>, buffer: &mut Vec<Sum>, out: &mut Steps<'_>, finish: &Finish) {
    let values = floats.values;
    // There is none, nearly always.
    let fits = |value: &f64| value.abs() < MOST;
    let unfit: Vec<usize> = match values.iter().fold(true, |all, value| all & fits(value)) {
        true => Vec::new(),
        false => (0..values.len()).filter(|at| !fits(&values[*at])).collect(),
    };
    let windows = edges.windows;
    let mut halves = Halves { floats, length_ms: windows.range_ms, front: buffer, cut_ms: None, split: 0, back: None, end: 0 };
    edges.for_each(|at, window| {
        let value = match unfit.get(unfit.partition_point(|unfit| *unfit < window.start)) {
            Some(unfit) if *unfit < window.end => (finish.of_values)(&values[window]),
            _ => (finish.of_sum)(halves.sum(window.clone(), windows.edges_ms(at).1), window.len()),
        };
        out.put(at, value);
    });
}

/// The sums before and behind a cut.
struct Halves<'a> {
    floats: Floats<'a>,
    length_ms: i64,
    /// Sums up to the cut, the one of the last sample before it first.
    front: &'a mut Vec<Sum>,
    cut_ms: Option<i64>,
    /// The first sample behind the cut.
    split: usize,
    /// Of what lies behind the cut, up to `end`.
    back: Option<Sum>,
    end: usize,
}

impl Halves<'_> {
    /// The sum of `window`, which is not empty, ends at `right_ms`, and of which neither end is before that of the last one.
    fn sum(&mut self, window: std::ops::Range<usize>, right_ms: i64) -> Sum {
        if self.cut_ms.is_none_or(|cut_ms| right_ms.saturating_sub(cut_ms) >= self.length_ms) {
            self.cut(window.clone(), right_ms);
        }
        for value in &self.floats.values[self.end..window.end] {
            self.back = Some(self.back.map_or_else(|| Sum::of(*value), |back| back.and(Sum::of(*value))));
        }
        self.end = window.end;
        let front = self.split.checked_sub(1 + window.start).map(|at| self.front[at]);
        match (front, self.back) {
            (Some(front), Some(back)) => front.and(back),
            (front, back) => front.or(back).unwrap_or(Sum::of(0.0)),
        }
    }

    fn cut(&mut self, window: std::ops::Range<usize>, right_ms: i64) {
        let cut_ms = right_ms.div_euclid(self.length_ms).saturating_mul(self.length_ms);
        let split = window.start + self.floats.times_ms[window.clone()].partition_point(|time| *time <= cut_ms);
        self.front.clear();
        let mut all: Option<Sum> = None;
        for value in self.floats.values[window.start..split].iter().rev() {
            let sum = all.map_or_else(|| Sum::of(*value), |all| Sum::of(*value).and(all));
            self.front.push(sum);
            all = Some(sum);
        }
        (self.cut_ms, self.split, self.end, self.back) = (Some(cut_ms), split, split, None);
    }
}
