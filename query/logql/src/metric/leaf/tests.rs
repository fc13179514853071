//! Panes against windows that are looked at sample by sample; parts against the whole.

use proptest::prelude::*;

use super::LeafState;
use crate::ast::{Conversion, Expr, MetricExpr, RangeOp, Unwrap};
use crate::metric::{Labels, Leaf, Plan, StepGrid};

const OPS: [RangeOp; 15] = [
    RangeOp::CountOverTime,
    RangeOp::Rate,
    RangeOp::RateCounter,
    RangeOp::BytesOverTime,
    RangeOp::BytesRate,
    RangeOp::AvgOverTime,
    RangeOp::SumOverTime,
    RangeOp::MinOverTime,
    RangeOp::MaxOverTime,
    RangeOp::StddevOverTime,
    RangeOp::StdvarOverTime,
    RangeOp::QuantileOverTime,
    RangeOp::FirstOverTime,
    RangeOp::LastOverTime,
    RangeOp::AbsentOverTime,
];

fn leaf(op: RangeOp, range_ns: i64, offset_ns: i64) -> Leaf {
    let Ok(Expr::Metric(MetricExpr::RangeAggregation(r))) =
        crate::parse::parse("rate({a=\"b\", c!=\"d\", e=\"f\", e!=\"g\"}[1s])")
    else {
        panic!("a range aggregation")
    };
    let mut leaf = Plan::of(&MetricExpr::RangeAggregation(r)).leaves()[0].clone();
    (leaf.op, leaf.range.range_ns, leaf.range.offset_ns) = (op, range_ns, offset_ns);
    leaf.param = Some(0.3);
    leaf.range.unwrap = Some(Unwrap { conversion: Conversion::Float, label: "x".into(), post_filters: Vec::new() });
    leaf
}

/// The operation on the samples of one window.
fn naive(op: RangeOp, samples: &[(i64, f64)], end_ns: i64, range_ns: i64) -> f64 {
    let values = || samples.iter().map(|sample| sample.1);
    let count = samples.len() as f64;
    let seconds = range_ns as f64 / 1e9;
    let sum: f64 = values().sum();
    let variance = || values().map(|v| (v - sum / count).powi(2)).sum::<f64>() / count;
    let mut sorted = samples.to_vec();
    sorted.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    match op {
        RangeOp::CountOverTime | RangeOp::BytesOverTime | RangeOp::SumOverTime => sum,
        RangeOp::Rate | RangeOp::BytesRate => sum / seconds,
        RangeOp::RateCounter => super::counter::rate(&sorted, end_ns, range_ns),
        RangeOp::AvgOverTime => sum / count,
        RangeOp::MinOverTime => values().fold(f64::INFINITY, f64::min),
        RangeOp::MaxOverTime => values().fold(f64::NEG_INFINITY, f64::max),
        RangeOp::StddevOverTime => variance().sqrt(),
        RangeOp::StdvarOverTime => variance(),
        RangeOp::QuantileOverTime => super::quantile::quantile(0.3, &mut sorted),
        RangeOp::FirstOverTime => sorted[0].1,
        RangeOp::LastOverTime => sorted[sorted.len() - 1].1,
        RangeOp::AbsentOverTime => 1.0,
    }
}

fn group_labels(group: usize) -> Labels {
    [("group", group.to_string())].into_iter().collect()
}

fn near(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

proptest! {
    #[test]
    fn panes_are_windows_and_parts_are_the_whole(
        op in prop::sample::select(&OPS[..]),
        samples in prop::collection::vec((0..3_usize, -100..300_i64, -50..50_i32), 0..60),
        parts in 1..4_usize,
        (start, steps, step, range, offset) in (0..50_i64, 0..30_i64, 1..30_i64, 1..80_i64, -20..40_i64),
    ) {
        let grid = StepGrid { start_ns: start, end_ns: start + steps * step, step_ns: step };
        let leaf = leaf(op, range, offset);
        let mut states: Vec<LeafState> = (0..parts).map(|_| LeafState::new(&leaf, grid)).collect();
        for (at, (group, time, value)) in samples.iter().enumerate() {
            let state = &mut states[at % parts];
            let id = state.group(&group_labels(*group));
            state.add(id, *time, f64::from(*value));
        }
        let mut whole = states.pop().unwrap();
        states.iter().for_each(|part| whole.merge(part));
        let series = whole.finish();
        prop_assert!(series.is_sorted_by(|a, b| a.labels < b.labels));
        let window = |at: usize, of: Option<usize>| -> Vec<(i64, f64)> {
            let end = grid.time_ns(at) - offset;
            let seen = samples.iter().filter(|(g, t, _)| of.is_none_or(|of| of == *g) && *t > end - range && *t <= end);
            seen.map(|(_, t, v)| (*t, f64::from(*v))).collect()
        };
        if op == RangeOp::AbsentOverTime {
            for at in 0..grid.len() {
                let absent = series.first().and_then(|s| s.steps.get(at));
                prop_assert_eq!(absent, window(at, None).is_empty().then_some(1.0));
            }
            prop_assert!(series.iter().all(|s| s.labels == [("a", "b")].into_iter().collect()));
            return Ok(());
        }
        for group in 0..3 {
            let found = series.iter().find(|s| s.labels == group_labels(group));
            for at in 0..grid.len() {
                let samples = window(at, Some(group));
                let expected = (!samples.is_empty()).then(|| naive(op, &samples, grid.time_ns(at) - offset, range));
                let value = found.and_then(|s| s.steps.get(at));
                let same = match (value, expected) {
                    (Some(a), Some(b)) => near(a, b),
                    (None, None) => true,
                    _ => false,
                };
                prop_assert!(same, "{:?} at {}: {:?} is not {:?}", op, at, value, expected);
            }
        }
    }
}

proptest! {
    #[test]
    fn a_run_is_its_samples(
        op in prop::sample::select(&[RangeOp::CountOverTime, RangeOp::Rate, RangeOp::BytesOverTime, RangeOp::AbsentOverTime][..]),
        mut times in prop::collection::vec(-100..300_i64, 0..80),
        lengths in prop::collection::vec(0..1_000_u32, 80),
        (start, steps, step, range, offset) in (0..50_i64, 0..30_i64, 1..30_i64, 0..80_i64, -20..40_i64),
    ) {
        times.sort_unstable();
        let grid = StepGrid { start_ns: start, end_ns: start + steps * step, step_ns: step };
        let mut leaf = leaf(op, range, offset);
        leaf.range.unwrap = None;
        let lengths = (op == RangeOp::BytesOverTime).then_some(&lengths[..times.len()]);
        let (mut by_run, mut one_by_one) = (LeafState::new(&leaf, grid), LeafState::new(&leaf, grid));
        let group = by_run.group(&group_labels(1));
        by_run.add_run(group, &times, lengths);
        let group = one_by_one.group(&group_labels(1));
        for (at, time) in times.iter().enumerate() {
            one_by_one.add(group, *time, lengths.map_or(1.0, |lengths| f64::from(lengths[at])));
        }
        let points = |state: &LeafState| -> Vec<_> {
            state.finish().iter().map(|series| (series.labels.clone(), series.steps.iter().collect::<Vec<_>>())).collect()
        };
        prop_assert_eq!(points(&by_run), points(&one_by_one));
    }
}

#[test]
fn sums_keep_what_floats_round_away() {
    let leaf = leaf(RangeOp::SumOverTime, 10, 0);
    let mut state = LeafState::new(&leaf, StepGrid::instant(10));
    let group = state.group(&Labels::default());
    for value in [1.0, 1e100, 1.0, -1e100] {
        state.add(group, 5, value);
    }
    assert_eq!(state.finish()[0].steps.get(0), Some(2.0));
    state.add(group, 6, f64::INFINITY);
    assert_eq!(state.finish()[0].steps.get(0), Some(f64::INFINITY));
    state.add(group, 6, f64::NEG_INFINITY);
    assert!(state.finish()[0].steps.get(0).is_some_and(f64::is_nan));
}

#[test]
fn numbers_that_are_none_count_least() {
    for (op, expected) in [(RangeOp::MinOverTime, 2.0), (RangeOp::MaxOverTime, 3.0)] {
        let mut state = LeafState::new(&leaf(op, 10, 0), StepGrid::instant(10));
        let group = state.group(&Labels::default());
        state.add(group, 1, f64::NAN);
        assert!(state.finish()[0].steps.get(0).is_some_and(f64::is_nan));
        [2.0, f64::NAN, 3.0].into_iter().for_each(|value| state.add(group, 2, value));
        assert_eq!(state.finish()[0].steps.get(0), Some(expected));
    }
}
