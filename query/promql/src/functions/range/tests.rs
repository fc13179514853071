//! Each function on windows that can be checked by hand.

use std::sync::Arc;

use super::*;
use crate::annotation::Severity;
use crate::histogram::{CUSTOM_BUCKETS, ResetHint, Side};

/// The samples of a window, times in seconds.
#[derive(Clone, Default)]
struct Samples {
    floats: Vec<(i64, f64)>,
    /// Start of each float, seconds; -1 for none.
    starts_s: Vec<i64>,
    histograms: Vec<(i64, Histogram)>,
    extension: Extension,
}

fn floats(floats: &[(i64, f64)]) -> Samples {
    Samples { floats: floats.to_vec(), ..Samples::default() }
}

fn counter(count: f64, hint: ResetHint) -> Histogram {
    let mut h = Histogram { count, sum: 2.0 * count, reset_hint: hint, ..Histogram::default() };
    h.set_sides(&Side(vec![(1, count)]), &Side::default());
    h
}

fn custom(count: f64) -> Histogram {
    Histogram { schema: CUSTOM_BUCKETS, custom_bounds: vec![1.0, 2.0], ..counter(count, ResetHint::Unknown) }
}

/// The function of the window `(left, right]` in seconds, and all that was told.
fn window(function: Function, samples: &Samples, (left, right): (i64, i64), scalars: &[f64]) -> (Option<Output>, String) {
    let times_ms: Vec<i64> = samples.floats.iter().map(|sample| sample.0 * 1000).collect();
    let values: Vec<f64> = samples.floats.iter().map(|sample| sample.1).collect();
    let starts_ms: Vec<i64> = samples.starts_s.iter().map(|start| (*start).max(0) * 1000).collect();
    let sample = |(time, histogram): &(i64, Histogram)| HistogramSample {
        time_ms: time * 1000,
        start_ms: 0,
        histogram: Arc::new(histogram.clone()),
    };
    let histograms: Vec<HistogramSample> = samples.histograms.iter().map(sample).collect();
    let frame = Frame {
        times_ms: &times_ms,
        floats: &values,
        starts_ms: &starts_ms,
        histograms: &histograms,
        starts: true,
        time_ms: right * 1000,
        left_ms: left * 1000,
        right_ms: right * 1000,
        extension: samples.extension,
        metric: "m",
    };
    let place = Place { range: Span::default(), first: Span::default() };
    let mut annotations = Annotations::default();
    let output = if values.is_empty() && histograms.is_empty() {
        None
    } else {
        evaluate(function, &frame, scalars, place, &mut annotations).expect("scalars that make sense")
    };
    let mut told = annotations.texts(Severity::Warning, "", 0);
    told.extend(annotations.texts(Severity::Info, "", 0));
    (output, told.join("; "))
}

#[track_caller]
fn check(function: Function, samples: &Samples, edges: (i64, i64), expected: Option<f64>) {
    check_with(function, samples, edges, &[], expected, "");
}

#[track_caller]
fn check_with(function: Function, samples: &Samples, edges: (i64, i64), scalars: &[f64], expected: Option<f64>, told: &str) {
    let (output, found) = window(function, samples, edges, scalars);
    let value = match output {
        Some(Output::Float(value)) => Some(value),
        Some(Output::Histogram(histogram)) => Some(histogram.count),
        None => None,
    };
    let same = match (value, expected) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-12 * b.abs() || a == b || a.is_nan() && b.is_nan(),
        (a, b) => a == b,
    };
    assert!(same, "{function:?}: {value:?}, not {expected:?}");
    assert!(found.contains(told) && found.is_empty() == told.is_empty(), "{function:?} told {found:?}");
}

#[test]
fn rates_are_extended_to_the_edges() {
    use Function::{Delta, Increase, Rate};
    let steady = floats(&[(10, 10.0), (20, 20.0), (30, 30.0), (40, 40.0)]);
    check(Increase, &steady, (0, 50), Some(50.0)); // both edges are near
    check(Rate, &steady, (0, 50), Some(1.0));
    check(Delta, &steady, (0, 50), Some(50.0));
    check(Increase, &steady, (5, 100), Some(40.0)); // half a gap behind the last, all of the way to the first
    check(Increase, &floats(&[(10, 2.0), (20, 12.0)]), (0, 20), Some(12.0)); // not to before it was zero
    check(Delta, &floats(&[(10, 2.0), (20, 12.0)]), (0, 20), Some(20.0));
    check(Increase, &floats(&[(10, 5.0), (20, 9.0), (30, 2.0), (40, 4.0)]), (10, 40), Some(8.0)); // 4 + 2 + 2
    check(Delta, &floats(&[(10, 5.0), (20, 9.0), (30, 2.0), (40, 4.0)]), (10, 40), Some(-1.0));
    check(Rate, &floats(&[(10, 5.0)]), (0, 40), None);
    check(Rate, &floats(&[]), (0, 40), None);
}

#[test]
fn a_start_in_the_window_is_a_zero() {
    use Function::{Increase, Irate, Resets};
    let started = |starts: &[i64]| Samples { starts_s: starts.to_vec(), ..floats(&[(20, 5.0), (40, 7.0)]) };
    check(Increase, &started(&[10, 10]), (0, 40), Some(7.0));
    check(Increase, &started(&[10, 30]), (0, 40), Some(12.0)); // and one more reset
    check(Resets, &started(&[10, 30]), (0, 40), Some(1.0));
    check(Irate, &started(&[10, 30]), (0, 40), Some(7.0 / 20.0));
    let one = Samples { starts_s: vec![10], ..floats(&[(20, 5.0)]) };
    check(Increase, &one, (0, 40), Some(5.0));
    check(Increase, &one, (10, 40), None); // the left edge is outside
    let overlap = "sample has start time that overlaps with previous sample timestamp for metric \"m\" (1:1)";
    check_with(Increase, &started(&[10, 15]), (0, 40), &[], Some(7.0), overlap);
}

#[test]
fn extensions_take_what_lies_around() {
    use Function::{Changes, Delta, Increase, Rate, Resets};
    let samples = floats(&[(0, 1.0), (20, 3.0), (40, 1.0), (60, 4.0)]);
    let with = |extension| Samples { extension, ..samples.clone() };
    check(Increase, &with(Extension::Anchored), (10, 60), Some(6.0)); // 1 3 | 1 4
    check(Delta, &with(Extension::Anchored), (10, 60), Some(3.0));
    check(Resets, &with(Extension::Anchored), (10, 60), Some(1.0));
    check(Changes, &with(Extension::Anchored), (30, 60), Some(2.0)); // from the sample at 20
    check(Resets, &with(Extension::Anchored), (60, 70), None);
    check(Increase, &with(Extension::Smoothed), (10, 50), Some(1.0 + 1.0 + 1.5)); // 2 3 | 1 2.5
    check(Rate, &with(Extension::Smoothed), (10, 50), Some(3.5 / 40.0));
    check(Delta, &with(Extension::Smoothed), (10, 50), Some(0.5));
    check(Delta, &with(Extension::Smoothed), (70, 80), None);
}

#[test]
fn rates_of_histograms() {
    use Function::{Changes, Delta, Idelta, Increase, Irate, Resets};
    use ResetHint::{Gauge, Unknown};
    let of = |counts: &[f64], hint| Samples {
        histograms: counts.iter().enumerate().map(|(at, count)| (10 * (at as i64 + 1), counter(*count, hint))).collect(),
        ..Samples::default()
    };
    check(Increase, &of(&[10.0, 20.0, 30.0, 40.0], Unknown), (0, 50), Some(50.0));
    check(Increase, &of(&[5.0, 9.0, 2.0, 4.0], Unknown), (10, 40), Some(8.0));
    check(Resets, &of(&[5.0, 9.0, 2.0, 4.0], Unknown), (10, 40), Some(1.0));
    check(Changes, &of(&[5.0, 5.0, 2.0, 4.0], Unknown), (10, 40), Some(2.0));
    check(Irate, &of(&[5.0, 9.0], Unknown), (0, 40), Some(0.4));
    check(Delta, &of(&[5.0, 9.0], Gauge), (10, 20), Some(4.0));
    check_with(Delta, &of(&[5.0, 9.0], Unknown), (10, 20), &[], Some(4.0), "is not a gauge");
    check_with(Idelta, &of(&[5.0, 9.0], Unknown), (10, 20), &[], Some(4.0), "is not a gauge");
    check_with(Increase, &of(&[5.0, 9.0], Gauge), (10, 20), &[], Some(4.0), "is not a counter");
    let mut mixed = of(&[5.0, 9.0], Unknown);
    mixed.histograms.push((30, custom(9.0)));
    check_with(Increase, &mixed, (0, 30), &[], None, "exponential and custom buckets");
    mixed.floats.push((35, 1.0));
    check_with(Increase, &mixed, (0, 40), &[], None, "a mix of histograms and floats");
    check_with(Irate, &mixed, (0, 40), &[], None, "a mix of histograms and floats");
    for (extension, expected) in [(Extension::Anchored, 3.0), (Extension::Smoothed, 3.0)] {
        let samples = Samples { extension, ..of(&[1.0, 3.0, 1.0, 2.0], Unknown) };
        check(Increase, &samples, (20, 40), Some(expected - 1.0)); // 3 | 1 2
    }
}

#[test]
fn sums_and_means_are_compensated() {
    use Function::{AvgOverTime, SumOverTime};
    let of = |values: &[f64]| floats(&values.iter().enumerate().map(|(at, v)| (at as i64, *v)).collect::<Vec<_>>());
    check(SumOverTime, &of(&[1.0, 1e100, 1.0, -1e100]), (-1, 9), Some(2.0));
    check(AvgOverTime, &of(&[1.0, 1e100, 1.0, -1e100]), (-1, 9), Some(0.5));
    check(AvgOverTime, &of(&[f64::MAX, f64::MAX, f64::MAX]), (-1, 9), Some(f64::MAX));
    check(SumOverTime, &of(&[f64::MAX, f64::MAX]), (-1, 9), Some(f64::INFINITY));
    check(AvgOverTime, &of(&[f64::INFINITY, 1.0]), (-1, 9), Some(f64::INFINITY));
    check(AvgOverTime, &of(&[f64::INFINITY, f64::NEG_INFINITY]), (-1, 9), Some(f64::NAN));
    let histograms = |all: Vec<Histogram>| Samples {
        histograms: all.into_iter().enumerate().map(|(at, h)| (at as i64, h)).collect(),
        ..Samples::default()
    };
    let pair = histograms(vec![counter(1.0, ResetHint::Reset), counter(4.0, ResetHint::NotReset)]);
    check_with(SumOverTime, &pair, (-1, 9), &[], Some(5.0), "conflicting counter resets during histogram aggregation");
    check_with(AvgOverTime, &pair, (-1, 9), &[], Some(2.5), "conflicting counter resets during histogram aggregation");
    let mixed = histograms(vec![counter(1.0, ResetHint::Reset), custom(4.0)]);
    check_with(SumOverTime, &mixed, (-1, 9), &[], None, "exponential and custom buckets");
}

#[test]
fn everything_else_of_a_window() {
    use Function::*;
    let samples = floats(&[(10, 3.0), (20, f64::NAN), (30, 1.0), (40, 3.0), (50, 1.0)]);
    for (function, expected) in [
        (MinOverTime, 1.0),
        (MaxOverTime, 3.0),
        (TsOfMinOverTime, 50.0),
        (TsOfMaxOverTime, 40.0),
        (FirstOverTime, 3.0),
        (LastOverTime, 1.0),
        (TsOfFirstOverTime, 10.0),
        (TsOfLastOverTime, 50.0),
        (CountOverTime, 5.0),
        (PresentOverTime, 1.0),
        (StdvarOverTime, f64::NAN),
        (MadOverTime, f64::NAN),
        (Resets, 1.0),
        (Changes, 4.0),
        (Idelta, -2.0),
        (Irate, 0.1),
        (SumOverTime, f64::NAN),
    ] {
        check(function, &samples, (0, 50), Some(expected));
    }
    check(Changes, &floats(&[(1, f64::NAN), (2, f64::NAN)]), (0, 2), Some(0.0));
    check(MaxOverTime, &floats(&[(1, f64::NAN), (2, f64::NAN)]), (0, 2), Some(f64::NAN));
    let samples = floats(&[(0, 4.0), (10, 6.0), (20, 2.0), (30, 1.0), (40, 7.0)]);
    check(StdvarOverTime, &samples, (-1, 40), Some(5.2));
    check(StddevOverTime, &samples, (-1, 40), Some(5.2_f64.sqrt()));
    check(MadOverTime, &samples, (-1, 40), Some(2.0));
    check_with(QuantileOverTime, &samples, (-1, 40), &[0.75], Some(6.0), "");
    check_with(QuantileOverTime, &samples, (-1, 40), &[7.0], Some(f64::INFINITY), "should be between 0 and 1, got 7");
    let line = floats(&[(0, 1.0), (10, 6.0), (20, 11.0)]);
    check(Deriv, &line, (-1, 30), Some(0.5));
    check_with(PredictLinear, &line, (-1, 30), &[20.0], Some(26.0), "");
    check(Deriv, &floats(&[(0, 0.1), (10, 0.1), (20, 0.1)]), (-1, 30), Some(0.0));
    check(Deriv, &floats(&[(0, 0.1)]), (-1, 30), None);
    check_with(DoubleExponentialSmoothing, &line, (-1, 30), &[0.5, 0.5], Some(11.0), "");
}

#[test]
fn histograms_beside_floats_are_told() {
    use Function::*;
    let samples = Samples { histograms: vec![(15, counter(1.0, ResetHint::Unknown))], ..floats(&[(10, 1.0), (20, 2.0)]) };
    for function in
        [MinOverTime, MaxOverTime, StddevOverTime, StdvarOverTime, QuantileOverTime, MadOverTime, Deriv, PredictLinear]
    {
        let (output, told) = window(function, &samples, (0, 30), &[0.5]);
        assert!(output.is_some() && told.contains("ignored histograms in a range"), "{function:?}: {told}");
    }
    check(CountOverTime, &samples, (0, 30), Some(3.0));
    check(LastOverTime, &samples, (0, 30), Some(2.0));
    check(Resets, &samples, (0, 30), Some(2.0));
    check_with(SumOverTime, &samples, (0, 30), &[], None, "a mix of histograms and floats");
    let without = Samples { floats: Vec::new(), ..samples };
    check(MinOverTime, &without, (0, 30), None);
    check(LastOverTime, &without, (0, 30), Some(1.0));
}

#[test]
fn factors_out_of_bounds_are_refused() {
    #[track_caller]
    fn check(smoothing: f64, trend: f64, expected: &str) {
        let frame = Frame {
            times_ms: &[0, 1000],
            floats: &[1.0, 2.0],
            starts_ms: &[],
            histograms: &[],
            starts: false,
            time_ms: 1000,
            left_ms: -1,
            right_ms: 1000,
            extension: Extension::None,
            metric: "m",
        };
        let function = Function::DoubleExponentialSmoothing;
        let error = evaluate(function, &frame, &[smoothing, trend], Place::default(), &mut Annotations::default());
        assert_eq!(error.expect_err("no such factor").to_string(), expected);
    }
    check(1.0, 0.5, "invalid smoothing factor. Expected: 0 < sf < 1, got: 1.000000");
    check(0.5, -0.25, "invalid trend factor. Expected: 0 < tf < 1, got: -0.250000");
}
