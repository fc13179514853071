//! `rate`, `increase`, `delta` at all steps.

use super::edges::Edges;
use super::{Floats, Steps};
use crate::ast::Function;
use crate::functions::range::{Extent, seconds};

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
        let since_zero = (counter && change > 0.0 && values[first] >= 0.0).then(|| values[first] / change);
        out.put(at, change * (extent.factor(None, since_zero) / divisor));
    });
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
