//! `deriv`, `predict_linear`: least squares. `double_exponential_smoothing`: a value and its trend. Of floats.

use super::{Frame, Said};
use crate::eval::EvalError;
use crate::functions::kahan;

/// The slope per second.
pub(super) fn derivative(frame: &Frame<'_>, said: &mut Said<'_>) -> Option<f64> {
    two_floats(frame, said)?;
    // Times near those of the samples keep the numbers small.
    Some(regression(frame, frame.times_ms[0]).0)
}

/// The value `seconds` after the step.
pub(super) fn prediction(frame: &Frame<'_>, seconds: f64, said: &mut Said<'_>) -> Option<f64> {
    two_floats(frame, said)?;
    let (slope, value) = regression(frame, frame.time_ms);
    Some(slope * seconds + value)
}

/// Nothing comes of fewer than two floats.
fn two_floats(frame: &Frame<'_>, said: &mut Said<'_>) -> Option<()> {
    if !frame.floats.is_empty() {
        let span = said.place.first;
        said.ignored_histograms(frame, span);
    }
    (frame.floats.len() >= 2).then_some(())
}

/// Slope per second, and the value at `time_ms`.
fn regression(frame: &Frame<'_>, time_ms: i64) -> (f64, f64) {
    let first = frame.floats[0];
    if frame.floats.iter().all(|v| *v == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let mut sums = [(0.0, 0.0); 4];
    for (time, y) in frame.times_ms.iter().zip(frame.floats) {
        let x = (time - time_ms) as f64 / 1000.0;
        for (sum, term) in sums.iter_mut().zip([x, *y, x * y, x * x]) {
            *sum = kahan(term, sum.0, sum.1);
        }
    }
    let [x, y, xy, xx] = sums.map(|(sum, lost)| sum + lost);
    let count = frame.floats.len() as f64;
    let slope = (xy - x * y / count) / (xx - x * x / count);
    (slope, y / count - slope * x / count)
}

/// The last value, smoothed: `smoothing` and `trend` say how much new values and new slopes count, both between 0 and 1.
pub(super) fn smoothing(frame: &Frame<'_>, smoothing: f64, trend: f64, said: &mut Said<'_>) -> Result<Option<f64>, EvalError> {
    for (factor, word) in [(smoothing, "smoothing"), (trend, "trend")] {
        if factor <= 0.0 || factor >= 1.0 {
            let sign = if word == "smoothing" { "sf" } else { "tf" };
            return Err(EvalError::Failed(format!("invalid {word} factor. Expected: 0 < {sign} < 1, got: {factor:.6}")));
        }
    }
    if two_floats(frame, said).is_none() {
        return Ok(None);
    }
    let (mut before, mut value) = (0.0, frame.floats[0]);
    let mut slope = frame.floats[1] - frame.floats[0];
    for (at, new) in frame.floats.iter().enumerate().skip(1) {
        if at > 1 {
            slope = trend * (value - before) + (1.0 - trend) * slope;
        }
        (before, value) = (value, smoothing * new + (1.0 - smoothing) * (value + slope));
    }
    Ok(Some(value))
}
