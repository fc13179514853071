//! What neighbours in a window say.

use super::edges::Edges;
use super::{Floats, Steps};

/// What `of` makes of the last two samples of each window, and of the seconds between them.
pub(super) fn last_two(floats: Floats<'_>, edges: &mut Edges<'_>, out: &mut Steps<'_>, of: impl Fn(f64, f64, f64) -> f64) {
    let Floats { times_ms, values } = floats;
    edges.for_each(|at, window| {
        if window.len() < 2 {
            return;
        }
        let (before, now) = (window.end - 2, window.end - 1);
        out.put(at, of(values[before], values[now], (times_ms[now] - times_ms[before]) as f64 / 1000.0));
    });
}

/// For how many neighbours in each window `happens` holds.
pub(super) fn count(values: &[f64], edges: &mut Edges<'_>, out: &mut Steps<'_>, happens: impl Fn(f64, f64) -> bool) {
    let between = |from: usize, to: usize| values[from..=to].windows(2).filter(|pair| happens(pair[0], pair[1])).count();
    let (mut first, mut last, mut count) = (0, 0, 0);
    edges.for_each(|at, window| {
        let end = window.end - 1;
        if window.start > last {
            count = between(window.start, end);
        } else {
            count += between(last, end);
            count -= between(first, window.start);
        }
        (first, last) = (window.start, end);
        out.put(at, count as f64);
    });
}
