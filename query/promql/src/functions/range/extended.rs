//! `rate`, `increase`, `delta` of anchored and smoothed ranges: from the value at the left edge to that at the right edge, nothing is
//! extrapolated. Anchored, the value at an edge is that of the last sample before it; smoothed, it lies between the samples around it.

use super::rate::Kind;
use super::{Frame, Output, Place, Said};
use crate::annotation::{Annotations, texts};
use crate::ast::{Extension, Span};
use crate::histogram::{Histogram, HistogramSum, ResetHint};
use crate::value::HistogramSample;

/// The numbers of the samples the edges take their values from: the last one up to the left edge, and the last one, or smoothed the
/// first one from the right edge on. `None` when nothing lies in the window.
fn edges(frame: &Frame<'_>, times: &dyn Fn(usize) -> i64, count: usize) -> Option<(usize, usize)> {
    let smoothed = frame.extension == Extension::Smoothed;
    let last = count.checked_sub(1)?;
    // The search leaves the last sample out: it is the one to take when no other one is.
    let search = |holds: &dyn Fn(i64) -> bool| (0..last).position(|at| holds(times(at))).unwrap_or(last);
    let first = search(&|t| t > frame.left_ms).saturating_sub(1);
    let last = if smoothed { search(&|t| t >= frame.right_ms) } else { last };
    let empty = times(last) <= frame.left_ms || (smoothed && times(first) > frame.right_ms);
    (!empty).then_some((first, last))
}

pub(super) fn rate(frame: &Frame<'_>, kind: Kind, said: &mut Said<'_>) -> Option<Output> {
    if frame.histograms.is_empty() {
        floats(frame, kind).map(Output::Float)
    } else {
        histograms(frame, kind, said).map(Output::Histogram)
    }
}

fn floats(frame: &Frame<'_>, kind: Kind) -> Option<f64> {
    let times = |at: usize| frame.times_ms[at];
    let (mut first, last) = edges(frame, &times, frame.floats.len())?;
    let smoothed = frame.extension == Extension::Smoothed;
    let between = |a: usize, b: usize, time: i64| {
        let (from, to) = (frame.floats[a], frame.floats[b]);
        // A counter that was reset in between rose from 0.
        let from = if kind.counter && to < from { 0.0 } else { from };
        from + (to - from) * (time - times(a)) as f64 / (times(b) - times(a)) as f64
    };
    let left =
        if smoothed && times(first) < frame.left_ms { between(first, first + 1, frame.left_ms) } else { frame.floats[first] };
    let interpolates = smoothed && last > 0 && times(last) > frame.right_ms;
    let right = if interpolates { between(last - 1, last, frame.right_ms) } else { frame.floats[last] };
    let mut change = right - left;
    if kind.counter {
        // Resets at the edges are in their values already.
        if times(first) <= frame.left_ms {
            first += 1;
        }
        let end = if times(last) >= frame.right_ms { last } else { last + 1 };
        let mut before = left;
        for value in frame.floats[first.min(end)..end].iter().chain([&right]) {
            if *value < before {
                change += before;
            }
            before = *value;
        }
    }
    Some(if kind.per_second { change / frame.range_seconds() } else { change })
}

fn histograms(frame: &Frame<'_>, kind: Kind, said: &mut Said<'_>) -> Option<Histogram> {
    let samples = frame.histograms;
    let times = |at: usize| samples[at].time_ms;
    let (first, last) = edges(frame, &times, samples.len())?;
    let seen = &samples[first..=last.max(first)];
    let custom = seen.first()?.histogram.is_custom();
    if seen.iter().any(|s| s.histogram.is_custom() != custom) {
        said.mixed_layouts();
        return None;
    }
    let is_gauge = |h: &Histogram| h.reset_hint == ResetHint::Gauge;
    if kind.counter && seen.iter().any(|s| is_gauge(&s.histogram)) {
        said.not_counter();
    }
    let smoothed = frame.extension == Extension::Smoothed;
    let mut between = |a: usize, time: i64| {
        let place = said.place;
        interpolate_histograms(&samples[a], &samples[a + 1], time, kind.counter, said.metric, place.range, said.annotations)
    };
    let left_between = smoothed && times(first) < frame.left_ms;
    let left = if left_between { between(first, frame.left_ms)? } else { (*samples[first].histogram).clone() };
    let right_between = smoothed && last > 0 && times(last) > frame.right_ms;
    let right = if right_between { between(last - 1, frame.right_ms)? } else { (*samples[last].histogram).clone() };
    if !kind.counter && (!is_gauge(&left) || !is_gauge(&right)) {
        said.not_gauge();
    }
    let mut sum = HistogramSum::new(&right);
    let taken = sum.sub(&left).map(|notes| ((), notes));
    said.combined(taken, texts::SUBTRACTION)?;
    if kind.counter {
        // The left value may lie behind the reset between the two samples around it; then that one is done with.
        let mut inner = first + 1;
        let mut before = &left;
        if left_between && samples[first + 1].histogram.is_reset_after(&samples[first].histogram) {
            before = &samples[first + 1].histogram;
            inner += 1;
        }
        if inner <= last {
            // What was lost is put together by itself first: a layout that is met on the way does not change that of the rest.
            let mut lost: Option<HistogramSum> = None;
            let ends = samples[inner..last].iter().map(|s| &*s.histogram).chain([&right]);
            for histogram in ends {
                if histogram.is_reset_after(before) {
                    match &mut lost {
                        None => lost = Some(HistogramSum::new(before)),
                        Some(lost) => {
                            let added = lost.add(before).map(|notes| ((), notes));
                            said.combined(added, texts::ADDITION)?;
                        }
                    }
                }
                before = histogram;
            }
            if let Some(lost) = lost {
                let added = sum.add(&lost.value()).map(|notes| ((), notes));
                said.combined(added, texts::ADDITION)?;
            }
        }
    }
    if kind.per_second {
        let seconds = frame.range_seconds();
        sum.scale(|number| number / seconds);
    }
    sum.set_reset_hint(ResetHint::Gauge);
    Some(sum.value().compact())
}

/// The histogram between two samples at `time`. A counter that was reset in between rose from nothing. `None`, with a warning, when they
/// do not fit.
pub fn interpolate_histograms(
    before: &HistogramSample,
    after: &HistogramSample,
    time_ms: i64,
    counter: bool,
    metric: &str,
    span: Span,
    annotations: &mut Annotations,
) -> Option<Histogram> {
    if time_ms == before.time_ms {
        return Some((*before.histogram).clone());
    }
    if time_ms == after.time_ms {
        return Some((*after.histogram).clone());
    }
    let fraction = (time_ms - before.time_ms) as f64 / (after.time_ms - before.time_ms) as f64;
    if counter && after.histogram.is_reset_after(&before.histogram) {
        return Some(after.histogram.mul(fraction));
    }
    let mut said = Said { metric, place: Place { range: span, first: span }, annotations };
    let mut sum = HistogramSum::new(&after.histogram);
    let taken = sum.sub(&before.histogram).map(|notes| ((), notes));
    said.combined(taken, texts::SUBTRACTION)?;
    sum.scale(|number| number * fraction);
    let added = sum.add(&before.histogram).map(|notes| ((), notes));
    said.combined(added, texts::ADDITION)?;
    Some(sum.value())
}
