//! `rate`, `increase`, `delta` at all steps.
//!
//! Windows are looked up one by one, but what they come to is computed many at a time: it is mostly divisions, of which a processor does
//! several at once when nothing stands between them.

use super::edges::Edges;
use super::{Floats, Steps};
use crate::ast::Function;
use crate::functions::range::{Extent, seconds};

/// How many windows are computed at a time.
const LANES: usize = 32;

/// Windows of one sample have no rate.
pub(super) fn rate(function: Function, floats: Floats<'_>, edges: &mut Edges<'_>, resets: &mut Vec<usize>, out: &mut Steps<'_>) {
    let Floats { times_ms, values } = floats;
    let windows = edges.windows;
    let counter = function != Function::Delta;
    let divisor = if function == Function::Rate { seconds(windows.range_ms) } else { 1.0 };
    resets.clear();
    if counter {
        find_resets(values, resets);
    }
    // Those in the window; like samples they enter and leave once.
    let mut lost = 0..0;
    let mut batch = Batch { counter, divisor, len: 0, steps: [0; LANES], extents: [NOWHERE; LANES], values: [(0.0, 0.0); LANES] };
    edges.for_each(|at, window| {
        let (first, last) = (window.start, window.end - 1);
        if first == last {
            return;
        }
        let mut change = values[last] - values[first];
        if !resets.is_empty() {
            while resets.get(lost.end).is_some_and(|reset| *reset <= last) {
                lost.end += 1;
            }
            while lost.start < lost.end && resets[lost.start] <= first {
                lost.start += 1;
            }
            for reset in &resets[lost.clone()] {
                change += values[reset - 1];
            }
        }
        let (left_ms, right_ms) = windows.edges_ms(at);
        let extent = Extent { first_ms: times_ms[first], last_ms: times_ms[last], left_ms, right_ms, gaps: last - first };
        batch.push(at, extent, (values[first], change), out);
    });
    batch.flush(out);
}

const NOWHERE: Extent = Extent { first_ms: 0, last_ms: 0, left_ms: 0, right_ms: 0, gaps: 1 };

struct Batch {
    counter: bool,
    divisor: f64,
    len: usize,
    steps: [usize; LANES],
    extents: [Extent; LANES],
    /// First value and change of each window.
    values: [(f64, f64); LANES],
}

impl Batch {
    #[inline]
    fn push(&mut self, step: usize, extent: Extent, values: (f64, f64), out: &mut Steps<'_>) {
        if self.len == LANES {
            self.flush(out);
        }
        (self.steps[self.len], self.extents[self.len], self.values[self.len]) = (step, extent, values);
        self.len += 1;
    }

    fn flush(&mut self, out: &mut Steps<'_>) {
        // All lanes, also those that are not filled: then their number is known.
        let mut results = [0.0; LANES];
        for ((result, extent), (first, change)) in results.iter_mut().zip(&self.extents).zip(self.values) {
            let since_zero = (self.counter && change > 0.0 && first >= 0.0).then_some(first / change);
            *result = change * (extent.factor(None, since_zero) / self.divisor);
        }
        for (step, result) in self.steps[..self.len].iter().zip(results) {
            out.put(*step, result);
        }
        self.len = 0;
    }
}

/// The samples that are less than the one before them. Most counters have none, which is found out many samples at a time.
fn find_resets(values: &[f64], resets: &mut Vec<usize>) {
    const BLOCK: usize = 64;
    let mut start = 1;
    while start < values.len() {
        let end = (start + BLOCK).min(values.len());
        let (before, now) = (&values[start - 1..end - 1], &values[start..end]);
        if before.iter().zip(now).fold(false, |any, (before, now)| any | (now < before)) {
            resets.extend((start..end).filter(|at| values[*at] < values[at - 1]));
        }
        start = end;
    }
}
