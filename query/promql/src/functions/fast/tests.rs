//! The fast way and the way of windows give the same.

use proptest::prelude::*;

use super::*;
use crate::annotation::Annotations;
use crate::ast::Extension;
use crate::functions::range::{self, Frame, Output, Place};

const COVERED: [Function; 14] = [
    Function::Rate,
    Function::Increase,
    Function::Delta,
    Function::Irate,
    Function::Idelta,
    Function::Resets,
    Function::Changes,
    Function::SumOverTime,
    Function::AvgOverTime,
    Function::MinOverTime,
    Function::MaxOverTime,
    Function::LastOverTime,
    Function::CountOverTime,
    Function::PresentOverTime,
];

fn swept(function: Function, floats: Floats<'_>, windows: Windows) -> Vec<Option<f64>> {
    let (mut values, mut present) = (vec![0.0; windows.grid.len()], vec![false; windows.grid.len()]);
    let widest = Sweep::default().evaluate(function, floats, windows, &mut Steps { values: &mut values, present: &mut present });
    assert_eq!(widest, window_by_window(windows, floats).map(|(_, window)| window.len()).max().unwrap_or(0));
    values.into_iter().zip(present).map(|(value, present)| present.then_some(value)).collect()
}

fn window_by_window<'a>(windows: Windows, floats: Floats<'a>) -> impl Iterator<Item = (i64, Range<usize>)> + 'a {
    (0..windows.grid.len()).map(move |at| {
        let (left_ms, right_ms) = windows.edges_ms(at);
        let behind = |edge_ms: i64| floats.times_ms.iter().filter(|time| **time <= edge_ms).count();
        (windows.grid.time_ms(at), behind(left_ms)..behind(right_ms))
    })
}

/// The value of each window, and the sum of the magnitudes in it.
fn expected(function: Function, floats: Floats<'_>, windows: Windows) -> Vec<(Option<f64>, f64)> {
    let of = |(time_ms, window): (i64, Range<usize>)| {
        let values = &floats.values[window.clone()];
        let right_ms = time_ms - windows.offset_ms;
        let frame = Frame {
            times_ms: &floats.times_ms[window],
            floats: values,
            starts_ms: &[],
            histograms: &[],
            starts: false,
            time_ms,
            left_ms: right_ms - windows.range_ms,
            right_ms,
            extension: Extension::None,
            metric: "m",
        };
        let output = if values.is_empty() {
            None
        } else {
            range::evaluate(function, &frame, &[], Place::default(), &mut Annotations::default()).expect("takes no scalars")
        };
        let value = output.map(|output| match output {
            Output::Float(value) => value,
            Output::Histogram(_) => panic!("no histogram came in"),
        });
        (value, values.iter().map(|value| value.abs()).sum())
    };
    window_by_window(windows, floats).map(of).collect()
}

fn same(found: Option<f64>, expected: Option<f64>, error: f64) -> bool {
    match (found, expected) {
        (Some(a), Some(b)) => a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan() || (a - b).abs() <= error,
        (a, b) => a.is_none() && b.is_none(),
    }
}

fn samples() -> impl Strategy<Value = (Vec<i64>, Vec<f64>)> {
    let gap = prop_oneof![8 => Just(15_000_i64), 2 => 14_000..16_000_i64, 1 => 1..200_000_i64];
    let rise = prop_oneof![12 => 0.0..10.0_f64, 1 => Just(-1.0)]; // a fall begins anew
    let gauge = prop_oneof![
        20 => -100.0..100.0_f64,
        3 => Just(0.0),
        1 => Just(-0.0),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(f64::MAX),
    ];
    let counters = prop::collection::vec((gap.clone(), rise), 0..120).prop_map(|samples| {
        let mut value = 5.0;
        let values = samples.iter().map(|(_, rise)| {
            value = if *rise < 0.0 { 0.0 } else { value + rise };
            value
        });
        let values = values.collect();
        (samples.into_iter().map(|(gap, _)| gap).collect::<Vec<i64>>(), values)
    });
    let gauges = prop::collection::vec((gap, gauge), 0..120).prop_map(|samples| samples.into_iter().unzip());
    prop_oneof![counters, gauges].prop_map(|(gaps, values): (Vec<i64>, Vec<f64>)| {
        let times = gaps.iter().scan(0, |time, gap| {
            *time += gap;
            Some(*time)
        });
        (times.collect(), values)
    })
}

proptest! {
    #[test]
    fn both_ways_agree(
        (times_ms, values) in samples(),
        range_ms in prop_oneof![Just(60_000_i64), Just(300_000), 1..1_000_000_i64],
        step_ms in prop_oneof![Just(15_000_i64), Just(60_000), 1000..500_000_i64],
        start_ms in -100_000..1_000_000_i64,
        steps in 1..60_i64,
        offset_ms in prop_oneof![Just(0_i64), -100_000..100_000_i64],
    ) {
        let floats = Floats { times_ms: &times_ms, values: &values };
        let windows = Windows { grid: Grid { start_ms, end_ms: start_ms + (steps - 1) * step_ms, step_ms }, range_ms, offset_ms };
        for function in COVERED {
            prop_assert!(covers(function));
            let is_sum = matches!(function, Function::SumOverTime | Function::AvgOverTime);
            let all = swept(function, floats, windows).into_iter().zip(expected(function, floats, windows));
            for (at, (found, (expected, magnitude))) in all.enumerate() {
                let error = if is_sum { 1e-12 * magnitude } else { 0.0 };
                prop_assert!(same(found, expected, error), "{function:?} at {at}: {found:?}, not {expected:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn no_window_depends_on_others(
        (times_ms, values) in samples(),
        range_ms in prop_oneof![Just(60_000_i64), Just(300_000), 1..1_000_000_i64],
        step_ms in prop_oneof![Just(15_000_i64), Just(60_000), 2..500_000_i64],
        start_ms in -100_000..1_000_000_i64,
        steps in 1..60_i64,
        (first, last) in (0..60_i64, 0..60_i64),
    ) {
        let floats = Floats { times_ms: &times_ms, values: &values };
        let of = |first: i64, last: i64| {
            let grid = Grid { start_ms: start_ms + first * step_ms, end_ms: start_ms + last * step_ms, step_ms };
            Windows { grid, range_ms, offset_ms: 0 }
        };
        let (first, last) = (first.min(last) % steps, (first.max(last) % steps).max(first.min(last) % steps));
        // The samples of other windows need not be there.
        let (from_ms, _) = of(first, last).edges_ms(0);
        let there = times_ms.partition_point(|time| *time <= from_ms);
        let some = Floats { times_ms: &times_ms[there..], values: &values[there..] };
        for function in COVERED {
            let all = swept(function, floats, of(0, steps - 1));
            let some = swept(function, some, of(first, last));
            let all = all[first as usize..=last as usize].iter();
            for (all, some) in all.zip(&some) {
                prop_assert!(same(*some, *all, 0.0), "{function:?}: {some:?}, not {all:?}");
            }
        }
    }
}

#[test]
fn everything_that_is_covered_is_tested() {
    let covered: Vec<Function> = Function::ALL.iter().copied().filter(|function| covers(*function)).collect();
    let mut tested = COVERED.to_vec();
    tested.sort();
    assert_eq!(tested, covered);
}

#[test]
fn edges_are_open_on_the_left() {
    let floats = Floats { times_ms: &[10, 20, 30, 40], values: &[1.0, 2.0, 3.0, 4.0] };
    let windows = Windows { grid: Grid { start_ms: 10, end_ms: 70, step_ms: 10 }, range_ms: 20, offset_ms: 0 };
    let counts = swept(Function::CountOverTime, floats, windows);
    assert_eq!(counts, [Some(1.0), Some(2.0), Some(2.0), Some(2.0), Some(1.0), None, None]);
}
