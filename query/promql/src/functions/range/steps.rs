//! `resets`, `changes`: each sample and the one before it. From a float to a histogram, and back, is both.

use std::sync::Arc;

use super::{Frame, started_between};
use crate::ast::Extension;
use crate::histogram::Histogram;

#[derive(Clone, Copy)]
enum Value<'a> {
    Float(f64),
    Histogram(&'a Arc<Histogram>),
}

/// Times a counter was reset.
pub(super) fn resets(frame: &Frame<'_>) -> Option<f64> {
    count(frame, |before, now| {
        let started = started_between((before.1, before.0), (now.1, now.0));
        match (before.2, now.2) {
            (Value::Float(a), Value::Float(b)) => b < a || started,
            (Value::Histogram(a), Value::Histogram(b)) => started || b.is_reset_after(a),
            _ => true,
        }
    })
}

/// Times a value changed.
pub(super) fn changes(frame: &Frame<'_>) -> Option<f64> {
    count(frame, |before, now| match (before.2, now.2) {
        (Value::Float(a), Value::Float(b)) => a != b && !(a.is_nan() && b.is_nan()),
        (Value::Histogram(a), Value::Histogram(b)) => !b.equals(a),
        _ => true,
    })
}

/// Time, start, value.
type Point<'a> = (i64, i64, Value<'a>);

/// How many samples there are for which `holds` is true of the one before and itself.
fn count(frame: &Frame<'_>, holds: impl Fn(Point<'_>, Point<'_>) -> bool) -> Option<f64> {
    let (mut float, mut histogram) = first_samples(frame)?;
    let mut before: Option<Point<'_>> = None;
    let mut found = 0;
    loop {
        let next_float = frame.times_ms.get(float).copied();
        let next_histogram = frame.histograms.get(histogram);
        let now = match (next_float, next_histogram) {
            (None, None) => return Some(f64::from(found)),
            (Some(time), sample) if sample.is_none_or(|s| time < s.time_ms) => {
                float += 1;
                (time, frame.float_start(float - 1), Value::Float(frame.floats[float - 1]))
            }
            (_, Some(sample)) => {
                histogram += 1;
                (sample.time_ms, frame.histogram_start(histogram - 1), Value::Histogram(&sample.histogram))
            }
            (Some(_), None) => return None,
        };
        if let Some(before) = before.replace(now) {
            found += i32::from(holds(before, now));
        }
    }
}

/// The first float and the first histogram that count. Anchored, the last sample up to the left edge is the one before the first; then
/// there must be one behind the edge too.
fn first_samples(frame: &Frame<'_>) -> Option<(usize, usize)> {
    if frame.extension != Extension::Anchored {
        return Some((0, 0));
    }
    let floats = frame.times_ms.partition_point(|t| *t <= frame.left_ms);
    let histograms = frame.histograms.partition_point(|h| h.time_ms <= frame.left_ms);
    if floats == frame.times_ms.len() && histograms == frame.histograms.len() {
        return None;
    }
    let float = floats.checked_sub(1).map(|at| frame.times_ms[at]);
    let histogram = histograms.checked_sub(1).map(|at| frame.histograms[at].time_ms);
    Some(match (float, histogram) {
        (None, None) => (0, 0),
        (float, histogram) if float >= histogram => (floats - 1, histograms),
        _ => (floats, histograms - 1),
    })
}
