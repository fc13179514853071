//! Functions of the samples of one window.

use datafusion::common::{DataFusionError, Result};
use promql::annotation::Annotations;
use promql::ast::{Extension, Function};
use promql::functions::range::{Frame, Output, Place, evaluate};
use promql::value::is_stale;

/// `function` of the samples in the window `(start, end]`, whose ends come with every row.
///
/// # Errors
/// The ends differ between rows, or enclose nothing.
pub(super) fn of_window(
    name: &str,
    function: Function,
    (times, values): (&[f64], &[f64]),
    (starts, ends): (&[f64], &[f64]),
) -> Result<Option<f64>> {
    let (Some(start), Some(end)) = (starts.first(), ends.first()) else { return Ok(None) };
    let invalid = |message: String| Err(crate::Error::Invalid { message }.into());
    if starts.iter().any(|other| other != start) || ends.iter().any(|other| other != end) {
        return invalid(format!("{name}: window_start and window_end must be the same for all rows of a group"));
    }
    if start >= end {
        return invalid(format!("{name}: window_start must be before window_end"));
    }
    let (left_ms, right_ms) = (*start as i64, *end as i64);
    let (times, values) = samples(times, values, left_ms, right_ms);
    of_frame(function, &times, &values, left_ms, right_ms)
}

/// `function` of all samples.
///
/// # Errors
/// None that these functions know.
pub(super) fn of_samples(function: Function, times: &[f64], values: &[f64]) -> Result<Option<f64>> {
    let (times, values) = samples(times, values, i64::MIN, i64::MAX);
    match (times.first(), times.last()) {
        (Some(first), Some(last)) => of_frame(function, &times, &values, first - 1, *last),
        _ => Ok(None),
    }
}

fn of_frame(function: Function, times_ms: &[i64], floats: &[f64], left_ms: i64, right_ms: i64) -> Result<Option<f64>> {
    if times_ms.is_empty() {
        return Ok(None);
    }
    let frame = Frame {
        times_ms,
        floats,
        starts_ms: &[],
        histograms: &[],
        starts: false,
        time_ms: right_ms,
        left_ms,
        right_ms,
        extension: Extension::None,
        metric: "",
    };
    // Annotations are for those who can read them.
    let output = evaluate(function, &frame, &[], Place::default(), &mut Annotations::default());
    match output.map_err(|error| DataFusionError::from(crate::Error::Invalid { message: error.to_string() }))? {
        Some(Output::Float(value)) => Ok(Some(value)),
        Some(Output::Histogram(_)) | None => Ok(None),
    }
}

/// The samples in `(left, right]` that are no stale markers, ascending by time, each time once: of two values the larger one, so that the
/// order of rows does not matter.
fn samples(times: &[f64], values: &[f64], left_ms: i64, right_ms: i64) -> (Vec<i64>, Vec<f64>) {
    let mut samples: Vec<(i64, f64)> = times
        .iter()
        .zip(values)
        .map(|(time, value)| (*time as i64, *value))
        .filter(|(time, value)| left_ms < *time && *time <= right_ms && !is_stale(*value))
        .collect();
    samples.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| b.1.total_cmp(&a.1)));
    samples.dedup_by_key(|sample| sample.0);
    samples.into_iter().unzip()
}
