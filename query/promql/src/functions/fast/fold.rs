//! Extremes of windows that overlap, by a queue of two stacks.
//!
//! ```text
//!        first                split        end
//!   . . ( .  .  .  .  .  .  .  |  .  .  .  . ]
//!         └ of each sample up ─┘  └ of all ┘        window = the first of these, and the other one
//!           to the split                             when first passes the split, end is the new split
//! ```
//! Nothing is ever taken away from an aggregate. Each sample is looked at three times at most, however many windows it lies in.

use std::ops::Range;

use super::Steps;
use super::edges::Edges;

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
