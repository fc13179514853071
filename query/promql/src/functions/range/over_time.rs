//! `sum_over_time` and its like: all samples of a window.

use std::sync::Arc;

use super::{Frame, Output, Said};
use crate::annotation::texts;
use crate::ast::Function;
use crate::eval::EvalError;
use crate::functions::{kahan, quantile};
use crate::histogram::{Histogram, HistogramSum, ResetHint};

/// One of the functions without other arguments.
pub(super) fn evaluate(function: Function, frame: &Frame<'_>, said: &mut Said<'_>) -> Result<Option<Output>, EvalError> {
    let seconds = |ms: i64| Some(Output::Float(ms as f64 / 1000.0));
    Ok(match function {
        Function::CountOverTime => Some(Output::Float((frame.floats.len() + frame.histograms.len()) as f64)),
        Function::PresentOverTime => Some(Output::Float(1.0)),
        Function::FirstOverTime => Some(end(frame, false)),
        Function::LastOverTime => Some(end(frame, true)),
        Function::TsOfFirstOverTime => {
            let times = [frame.times_ms.first().copied(), frame.histograms.first().map(|h| h.time_ms)];
            times.into_iter().flatten().min().and_then(seconds)
        }
        Function::TsOfLastOverTime => {
            let times = [frame.times_ms.last().copied(), frame.histograms.last().map(|h| h.time_ms)];
            times.into_iter().flatten().max().and_then(seconds)
        }
        Function::SumOverTime | Function::AvgOverTime => {
            if frame.has_both() {
                said.mixed_kinds();
                return Ok(None);
            }
            let mean = function == Function::AvgOverTime;
            match (frame.floats, mean) {
                ([], _) => histograms(frame, mean, said).map(Output::Histogram),
                (floats, true) => Some(Output::Float(average(floats))),
                (floats, false) => Some(Output::Float(sum(floats))),
            }
        }
        function => of_floats(function, frame, said)?,
    })
}

/// Functions that leave histograms out.
fn of_floats(function: Function, frame: &Frame<'_>, said: &mut Said<'_>) -> Result<Option<Output>, EvalError> {
    let floats = frame.floats;
    if floats.is_empty() {
        return Ok(None);
    }
    let time = |at: usize| frame.times_ms[at] as f64 / 1000.0;
    let value = match function {
        Function::MinOverTime => floats[best(floats, |new, best| new < best)],
        Function::MaxOverTime => floats[best(floats, |new, best| new > best)],
        Function::TsOfMinOverTime => time(best(floats, |new, best| new <= best)),
        Function::TsOfMaxOverTime => time(best(floats, |new, best| new >= best)),
        Function::StdvarOverTime => variance(floats),
        Function::StddevOverTime => variance(floats).sqrt(),
        Function::MadOverTime => deviation(floats),
        other => {
            return Err(EvalError::Invalid(format!("{} is no function of ranges", other.signature().name)));
        }
    };
    let span = said.place.first;
    said.ignored_histograms(frame, span);
    Ok(Some(Output::Float(value)))
}

/// The quantile of the floats.
pub(super) fn quantile_over_time(frame: &Frame<'_>, q: f64, said: &mut Said<'_>) -> Option<f64> {
    if frame.floats.is_empty() {
        return None;
    }
    let span = said.place.first;
    if !(0.0..=1.0).contains(&q) {
        said.annotations.put(texts::invalid_quantile(span, q));
    }
    said.ignored_histograms(frame, span);
    Some(quantile(q, &mut frame.floats.to_vec()))
}

/// The first or the last sample.
fn end(frame: &Frame<'_>, last: bool) -> Output {
    let float = if last { frame.times_ms.len().checked_sub(1) } else { (!frame.times_ms.is_empty()).then_some(0) };
    let histogram = if last { frame.histograms.last() } else { frame.histograms.first() };
    match (float, histogram) {
        (Some(at), Some(sample)) if (frame.times_ms[at] > sample.time_ms) == last => Output::Float(frame.floats[at]),
        (_, Some(sample)) => Output::Histogram((*sample.histogram).clone()),
        (Some(at), None) => Output::Float(frame.floats[at]),
        (None, None) => Output::Float(f64::NAN),
    }
}

/// The sample that beats all others; any number beats NaN.
fn best(floats: &[f64], beats: impl Fn(f64, f64) -> bool) -> usize {
    let mut best = 0;
    for (at, value) in floats.iter().enumerate() {
        if beats(*value, floats[best]) || floats[best].is_nan() {
            best = at;
        }
    }
    best
}

/// The sum.
pub(crate) fn sum(floats: &[f64]) -> f64 {
    let (sum, lost) = floats.iter().fold((0.0, 0.0), |(sum, lost), value| kahan(*value, sum, lost));
    if sum.is_infinite() { sum } else { sum + lost }
}

/// Of at least one value: sum over count, or updated value by value once the sum is infinite.
pub(crate) fn average(floats: &[f64]) -> f64 {
    let (mut mean, mut lost, mut count) = (floats[0], 0.0, 1.0);
    let mut is_sum = true;
    for value in &floats[1..] {
        count += 1.0;
        if is_sum {
            let (sum, new_lost) = kahan(*value, mean, lost);
            if !sum.is_infinite() {
                (mean, lost) = (sum, new_lost);
                continue;
            }
            is_sum = false;
            mean /= count - 1.0;
            lost /= count - 1.0;
        }
        let q = (count - 1.0) / count;
        (mean, lost) = kahan(value / count, q * mean, q * lost);
    }
    if is_sum { mean / count + lost / count } else { mean + lost }
}

fn variance(floats: &[f64]) -> f64 {
    let (mut count, mut mean, mut squares) = (0.0, (0.0, 0.0), (0.0, 0.0));
    for value in floats {
        count += 1.0;
        let delta = value - (mean.0 + mean.1);
        mean = kahan(delta / count, mean.0, mean.1);
        squares = kahan(delta * (value - (mean.0 + mean.1)), squares.0, squares.1);
    }
    (squares.0 + squares.1) / count
}

/// The median of the distances to the median; NaN when a value is.
fn deviation(floats: &[f64]) -> f64 {
    if floats.iter().any(|v| v.is_nan()) {
        return f64::NAN;
    }
    let mut values = floats.to_vec();
    let median = quantile(0.5, &mut values);
    values.iter_mut().for_each(|v| *v = (*v - median).abs());
    quantile(0.5, &mut values)
}

/// The sum of the histograms, or their mean.
fn histograms(frame: &Frame<'_>, mean: bool, said: &mut Said<'_>) -> Option<Histogram> {
    let (first, rest) = frame.histograms.split_first()?;
    let mut sum = HistogramSum::new(&first.histogram);
    let mut reconciled = false;
    let mut is_sum = true;
    let mut count = 1.0;
    for sample in rest {
        count += 1.0;
        let histogram: &Arc<Histogram> = &sample.histogram;
        let added = if is_sum {
            let before = mean.then(|| sum.clone());
            let added = sum.add(histogram);
            if let Some(before) = before.filter(|_| sum.is_infinite()) {
                is_sum = false;
                sum = before;
                sum.scale(|number| number / (count - 1.0));
                add_to_mean(&mut sum, histogram, count)
            } else {
                added
            }
        } else {
            add_to_mean(&mut sum, histogram, count)
        };
        let Ok(notes) = added else {
            said.mixed_layouts();
            return None;
        };
        reconciled |= notes.bounds_reconciled;
    }
    let seen = |hint: ResetHint| frame.histograms.iter().any(|s| s.histogram.reset_hint == hint);
    if seen(ResetHint::Reset) && seen(ResetHint::NotReset) {
        said.annotations.put(texts::reset_collision(said.place.first, texts::AGGREGATION));
    }
    if reconciled {
        said.annotations.put(texts::bounds_reconciled(said.place.range, texts::AGGREGATION));
    }
    if mean && is_sum {
        sum.scale(|number| number / count);
    }
    Some(sum.value())
}

fn add_to_mean(
    mean: &mut HistogramSum,
    histogram: &Histogram,
    count: f64,
) -> Result<crate::histogram::Notes, crate::histogram::Incompatible> {
    let q = (count - 1.0) / count;
    mean.scale(|number| number * q);
    mean.add(&histogram.div(count))
}
