//! The functions of ranges that most queries are made of, for the floats of a series at all steps in one pass.
//!
//! ```text
//! samples    .  .  .  .  .  .  .  .  .  .
//! step k       (            ]
//! step k+1           (            ]            both edges only move on: O(samples + steps), nothing allocated per step
//! ```
//! Counter resets, which are rare, are looked for once per series (`rate`). Extremes and sums of windows that overlap much are put
//! together from what the windows share (`fold`, `sums`). What happens between neighbours is counted as it enters and leaves (`pairs`).
//!
//! # Invariants
//! - Bit for bit what [`super::range::evaluate`] makes of a window, but for sums and means of windows that overlap much. Those are added
//!   up in another order, compensated all the same: they differ by less than 1e-12 of the sum of the magnitudes. The order follows from the
//!   window alone, so what is made of a window does not depend on which other windows there are.
//! - No histograms, no start timestamps, no extension of ranges, no stale markers: those go the other way.

mod edges;
mod fold;
mod pairs;
mod rate;
mod sums;
#[cfg(test)]
mod tests;

use std::ops::Range;

use edges::Edges;
use sums::Finish;

use super::range::{average, sum};
use crate::ast::Function;
use crate::value::Grid;

/// Where the windows of a series lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// The steps.
    pub grid: Grid,
    /// Length of a window, milliseconds. Windows are open on the left.
    pub range_ms: i64,
    /// How long before its step a window ends, milliseconds.
    pub offset_ms: i64,
}

impl Windows {
    /// Left and right edge of the window of step `at`.
    const fn edges_ms(&self, at: usize) -> (i64, i64) {
        let right_ms = self.grid.time_ms(at).saturating_sub(self.offset_ms);
        (right_ms.saturating_sub(self.range_ms), right_ms)
    }

    /// Whether a sample lies in so many windows that it pays to share what they have in common.
    fn overlap_much(&self) -> bool {
        // Whatever the number of steps: they would not all have the same last bits else. A single instant has a step of 1 ms.
        self.grid.step_ms > 1 && self.range_ms > self.grid.step_ms.saturating_mul(4)
    }
}

/// The floats of a series, without stale markers.
#[derive(Debug, Clone, Copy)]
pub struct Floats<'a> {
    /// Times, milliseconds, ascending.
    pub times_ms: &'a [i64],
    /// As many values.
    pub values: &'a [f64],
}

/// A value at each step where there is one.
#[derive(Debug)]
pub struct Steps<'a> {
    /// As long as the grid, 0 before.
    pub values: &'a mut [f64],
    /// As long as the grid, false before.
    pub present: &'a mut [bool],
}

impl Steps<'_> {
    fn put(&mut self, at: usize, value: f64) {
        self.values[at] = value;
        self.present[at] = true;
    }
}

/// Evaluates one series after another; its buffers are used again.
#[derive(Debug, Clone, Default)]
pub struct Sweep {
    resets: Vec<usize>,
    extremes: Vec<f64>,
    sums: Vec<sums::Sum>,
}

/// Whether [`Sweep::evaluate`] knows `function`.
pub const fn covers(function: Function) -> bool {
    use Function::{
        AvgOverTime, Changes, CountOverTime, Delta, Idelta, Increase, Irate, LastOverTime, MaxOverTime, MinOverTime,
        PresentOverTime, Rate, Resets, SumOverTime,
    };
    matches!(
        function,
        Rate | Increase
            | Delta
            | Irate
            | Idelta
            | Resets
            | Changes
            | SumOverTime
            | AvgOverTime
            | MinOverTime
            | MaxOverTime
            | LastOverTime
            | CountOverTime
            | PresentOverTime
    )
}

impl Sweep {
    /// Puts what `function` makes of each window into `out`; returns how many samples the fullest window has. Nothing is put for a
    /// function that is not [covered](covers).
    pub fn evaluate(&mut self, function: Function, floats: Floats<'_>, windows: Windows, out: &mut Steps<'_>) -> usize {
        debug_assert!(floats.times_ms.is_sorted(), "sample times must ascend");
        debug_assert_eq!(floats.times_ms.len(), floats.values.len(), "one value per time");
        debug_assert_eq!(out.values.len(), windows.grid.len(), "one value per step");
        let Floats { times_ms, values } = floats;
        let mut edges = Edges::new(times_ms, windows);
        let each = |edges: &mut Edges<'_>, out: &mut Steps<'_>, of: &mut dyn FnMut(Range<usize>) -> f64| {
            edges.for_each(|at, window| out.put(at, of(window)));
        };
        match function {
            Function::Rate | Function::Increase | Function::Delta => {
                rate::rate(function, floats, &mut edges, &mut self.resets, out)
            }
            Function::Irate => pairs::last_two(floats, &mut edges, out, |before, now, gap_s| {
                (if now < before { now } else { now - before }) / gap_s
            }),
            Function::Idelta => pairs::last_two(floats, &mut edges, out, |before, now, _| now - before),
            Function::Resets => pairs::count(values, &mut edges, out, |before, now| now < before),
            Function::Changes => {
                pairs::count(values, &mut edges, out, |before, now| now != before && !(now.is_nan() && before.is_nan()));
            }
            Function::MinOverTime => fold::extreme(values, &mut edges, &mut self.extremes, out, |now, best| now < best),
            Function::MaxOverTime => fold::extreme(values, &mut edges, &mut self.extremes, out, |now, best| now > best),
            Function::SumOverTime if windows.overlap_much() => {
                let finish = Finish { of_sum: |sum, _| sum.total(), of_values: sum };
                sums::sums(floats, &mut edges, &mut self.sums, out, &finish);
            }
            Function::AvgOverTime if windows.overlap_much() => {
                let finish = Finish { of_sum: sums::Sum::mean, of_values: average };
                sums::sums(floats, &mut edges, &mut self.sums, out, &finish);
            }
            Function::SumOverTime => each(&mut edges, out, &mut |window| sum(&values[window])),
            Function::AvgOverTime => each(&mut edges, out, &mut |window| average(&values[window])),
            Function::LastOverTime => each(&mut edges, out, &mut |window| values[window.end - 1]),
            Function::CountOverTime => each(&mut edges, out, &mut |window| window.len() as f64),
            Function::PresentOverTime => each(&mut edges, out, &mut |_| 1.0),
            _ => {}
        }
        edges.widest
    }
}
