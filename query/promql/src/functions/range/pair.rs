//! `irate`, `idelta`: the last two samples.

use std::sync::Arc;

use super::{Frame, Output, Said, started_between};
use crate::annotation::texts;
use crate::histogram::{Histogram, ResetHint};

/// One of the two: time, start, value.
struct Point<'a> {
    time_ms: i64,
    start_ms: i64,
    value: Value<'a>,
}

enum Value<'a> {
    Float(f64),
    Histogram(&'a Arc<Histogram>),
}

/// Their difference, of a counter per second. A counter that was reset in between has its last value.
pub(super) fn pair(frame: &Frame<'_>, counter: bool, said: &mut Said<'_>) -> Option<Output> {
    let (before, last) = last_two(frame)?;
    let seconds = (last.time_ms - before.time_ms) as f64 / 1000.0;
    let started = started_between((before.start_ms, before.time_ms), (last.start_ms, last.time_ms));
    match (before.value, last.value) {
        (Value::Float(a), Value::Float(b)) => {
            let change = if counter && (b < a || started) { b } else { b - a };
            Some(Output::Float(if counter { change / seconds } else { change }))
        }
        (Value::Histogram(a), Value::Histogram(b)) => {
            let gauge = |h: &Histogram| h.reset_hint == ResetHint::Gauge;
            if counter && (gauge(a) || gauge(b)) {
                said.not_counter();
            }
            if !counter && (!gauge(a) || !gauge(b)) {
                said.not_gauge();
            }
            let mut change = if counter && (started || b.is_reset_after(a)) {
                (**b).clone()
            } else {
                said.combined(b.sub(a), texts::SUBTRACTION)?
            };
            change.reset_hint = ResetHint::Gauge;
            let change = change.compact();
            Some(Output::Histogram(if counter { change.div(seconds) } else { change }))
        }
        _ => {
            said.mixed_kinds();
            None
        }
    }
}

fn last_two<'a>(frame: &Frame<'a>) -> Option<(Point<'a>, Point<'a>)> {
    let floats = frame.floats.len();
    let histograms = frame.histograms.len();
    let float =
        |at: usize| Point { time_ms: frame.times_ms[at], start_ms: frame.float_start(at), value: Value::Float(frame.floats[at]) };
    let histogram = |at: usize| {
        let sample = &frame.histograms[at];
        Point { time_ms: sample.time_ms, start_ms: frame.histogram_start(at), value: Value::Histogram(&sample.histogram) }
    };
    let ends = (floats.saturating_sub(2)..floats).map(float);
    let mut points: Vec<Point<'a>> = ends.chain((histograms.saturating_sub(2)..histograms).map(histogram)).collect();
    points.sort_by_key(|p| p.time_ms);
    let last = points.pop()?;
    Some((points.pop()?, last))
}
