//! `rate`, `increase`, `delta`: from the first to the last sample, resets of counters made good, extrapolated to the edges of the window
//! (`Extent`).
//!
//! A counter whose first sample says that it started inside the window had the value 0 then: nothing is extrapolated to the left.

use super::extent::Extent;
use super::{Frame, Output, Said, extended, started_between};
use crate::annotation::texts;
use crate::ast::Extension;
use crate::histogram::{Histogram, HistogramSum, ResetHint};
use crate::value::HistogramSample;

/// Which of the three.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) counter: bool,
    pub(super) per_second: bool,
}

/// A difference of either kind.
enum Change {
    Float(f64),
    Histogram(Option<Histogram>),
}

pub(super) fn rate(frame: &Frame<'_>, kind: Kind, said: &mut Said<'_>) -> Option<Output> {
    if frame.has_both() {
        said.mixed_kinds();
        return None;
    }
    if frame.extension != Extension::None {
        return extended::rate(frame, kind, said);
    }
    let times = |at: usize| if frame.floats.is_empty() { frame.histograms[at].time_ms } else { frame.times_ms[at] };
    let gaps = (frame.floats.len() + frame.histograms.len()).checked_sub(1)?;
    let mut change = if frame.floats.is_empty() {
        let change = if gaps == 0 { None } else { Some(histograms(frame, kind.counter, said)?) };
        Change::Histogram(change)
    } else {
        Change::Float(floats(frame, kind.counter, said))
    };
    let (first_ms, last_ms) = (times(0), times(gaps));
    let extent = Extent { first_ms, last_ms, left_ms: frame.left_ms, right_ms: frame.right_ms, gaps };
    let start = if frame.floats.is_empty() { frame.histogram_start(0) } else { frame.float_start(0) };
    let started = (kind.counter && start != 0 && start > frame.left_ms && start < first_ms).then_some(start);
    if started.is_some() {
        from_zero(frame, &mut change, said)?;
    } else if gaps == 0 {
        return None;
    }
    let since_zero = if kind.counter { since_zero(frame, &change) } else { None };
    let mut factor = extent.factor(started, since_zero);
    if kind.per_second {
        factor /= frame.range_seconds();
    }
    match change {
        Change::Float(value) => Some(Output::Float(value * factor)),
        Change::Histogram(histogram) => histogram.map(|h| Output::Histogram(h.mul(factor))),
    }
}

/// The first sample counts too, since the counter was 0 before it.
fn from_zero(frame: &Frame<'_>, change: &mut Change, said: &mut Said<'_>) -> Option<()> {
    match change {
        Change::Float(value) => *value += frame.floats.first()?,
        Change::Histogram(histogram) => {
            let first = &frame.histograms.first()?.histogram;
            *histogram = Some(match histogram.take() {
                None => (**first).clone(),
                Some(sum) => said.combined(sum.add(first), texts::ADDITION)?,
            });
        }
    }
    Some(())
}

/// The first value in parts of the change, of a counter that rose.
fn since_zero(frame: &Frame<'_>, change: &Change) -> Option<f64> {
    let (first, change) = match change {
        Change::Float(change) => (*frame.floats.first()?, *change),
        Change::Histogram(change) => (frame.histograms.first()?.histogram.count, change.as_ref()?.count),
    };
    (change > 0.0 && first >= 0.0).then(|| first / change)
}

/// Last minus first, and what resets took away.
fn floats(frame: &Frame<'_>, counter: bool, said: &mut Said<'_>) -> f64 {
    let (first, last) = (frame.floats[0], frame.floats[frame.floats.len() - 1]);
    let mut change = last - first;
    if !counter {
        return change;
    }
    let mut overlaps = false;
    for at in 1..frame.floats.len() {
        let before = (frame.float_start(at - 1), frame.times_ms[at - 1]);
        let now = (frame.float_start(at), frame.times_ms[at]);
        overlaps |= starts_overlap(before, now.0);
        if frame.floats[at] < frame.floats[at - 1] || started_between(before, now) {
            change += frame.floats[at - 1];
        }
    }
    if overlaps {
        said.overlapping_starts();
    }
    change
}

/// Whether a sample says that it started before the one before it was taken, but not when that one did.
fn starts_overlap((start_before, before): (i64, i64), start: i64) -> bool {
    start != 0 && start < before && start != start_before
}

/// Last minus first, and what resets took away. At least two histograms.
fn histograms(frame: &Frame<'_>, counter: bool, said: &mut Said<'_>) -> Option<Histogram> {
    let samples = frame.histograms;
    let (first, last) = (&*samples.first()?.histogram, &*samples.last()?.histogram);
    let is_gauge = |h: &Histogram| h.reset_hint == ResetHint::Gauge;
    if counter && samples.iter().any(|s| is_gauge(&s.histogram)) {
        said.not_counter();
    }
    // A first sample that is followed by a reset does not count, so it need not fit either.
    let second = &samples.get(1)?.histogram;
    let nothing = Histogram { schema: second.schema, custom_bounds: second.custom_bounds.clone(), ..Histogram::default() };
    let first = if counter && is_reset(frame, 1, first) { &nothing } else { first };
    let inner: &[HistogramSample] = if counter { &samples[1..samples.len() - 1] } else { &[] };
    let custom = first.is_custom();
    if last.is_custom() != custom || inner.iter().any(|s| s.histogram.is_custom() != custom) {
        said.mixed_layouts();
        return None;
    }
    let schema = inner.iter().map(|s| s.histogram.schema).chain([first.schema, last.schema]).min()?;
    let mut sum = HistogramSum::new(&last.reduced(schema));
    let taken = sum.sub(first).map(|notes| ((), notes));
    said.combined(taken, texts::SUBTRACTION)?;
    if counter {
        let mut overlaps = false;
        let mut previous = first;
        for (at, sample) in samples.iter().enumerate().skip(1) {
            let before = (frame.histogram_start(at - 1), samples[at - 1].time_ms);
            overlaps |= starts_overlap(before, frame.histogram_start(at));
            if is_reset(frame, at, previous) {
                let added = sum.add(previous).map(|notes| ((), notes));
                said.combined(added, texts::ADDITION)?;
            }
            previous = &sample.histogram;
        }
        if overlaps {
            said.overlapping_starts();
        }
    } else if !is_gauge(first) || !is_gauge(last) {
        said.not_gauge();
    }
    sum.set_reset_hint(ResetHint::Gauge);
    Some(sum.value().compact())
}

/// Whether the counter was reset before sample `at`, which follows `previous`.
fn is_reset(frame: &Frame<'_>, at: usize, previous: &Histogram) -> bool {
    let (before, now) = (&frame.histograms[at - 1], &frame.histograms[at]);
    started_between((frame.histogram_start(at - 1), before.time_ms), (frame.histogram_start(at), now.time_ms))
        || now.histogram.is_reset_after(previous)
}
