//! The result of an instant query for a range: the samples of one window, stale markers aside. Raw ► raw, one series at a time.

use super::select::Window;
use crate::ast::Extension;
use crate::eval::{EvalContext, EvalError, context};
use crate::value::{RawSeries, is_stale};

impl Window {
    /// The samples of `series` at the step at `time_ms`. With an extension the edges of the window get values too.
    ///
    /// # Errors
    /// When an extension meets histograms; when time or the budget is used up.
    pub fn apply(&self, time_ms: i64, series: &[RawSeries], cx: &mut EvalContext<'_>) -> Result<Vec<RawSeries>, EvalError> {
        let mut out = Vec::with_capacity(series.len());
        for raw in series {
            cx.tick()?;
            let shown = self.of_series(time_ms, raw)?;
            cx.budget.take(context::weight_of_raw(&shown))?;
            if !shown.times_ms.is_empty() || !shown.histograms.is_empty() {
                out.push(shown);
            }
        }
        cx.budget.series(out.len())?;
        Ok(out)
    }

    fn of_series(&self, time_ms: i64, raw: &RawSeries) -> Result<RawSeries, EvalError> {
        let (after, to) = self.samples(time_ms);
        let within = |t: i64| after < t && t <= to;
        let floats = raw.times_ms.iter().copied().zip(raw.floats.iter().copied()).filter(|(t, v)| within(*t) && !is_stale(*v));
        let mut floats: Vec<(i64, f64)> = floats.collect();
        let histograms = raw.histograms.iter().filter(|h| within(h.time_ms) && !is_stale(h.histogram.sum));
        let mut shown = RawSeries { labels: raw.labels.clone(), drop_name: raw.drop_name, ..RawSeries::default() };
        shown.histograms = histograms.cloned().collect();
        if self.extension != Extension::None {
            if !shown.histograms.is_empty() {
                let word = if self.extension == Extension::Anchored { "anchored" } else { "smoothed" };
                return Err(EvalError::failed(format!("{word} modifier is not supported with histograms")));
            }
            floats = extend(&floats, self.edges(time_ms), self.extension == Extension::Smoothed);
        }
        (shown.times_ms, shown.floats) = floats.into_iter().unzip();
        Ok(shown)
    }
}

/// The samples strictly between the edges, and a value at each edge.
fn extend(floats: &[(i64, f64)], (left, right): (i64, i64), smoothed: bool) -> Vec<(i64, f64)> {
    let Some(last) = floats.len().checked_sub(1) else { return Vec::new() };
    // The last sample not after the left edge, and when smoothed the first one not before the right edge.
    let mut first = floats[..last].partition_point(|f| f.0 <= left).saturating_sub(1);
    let mut last = if smoothed { floats[..last].partition_point(|f| f.0 < right) } else { last };
    if floats[last].0 <= left {
        return Vec::new();
    }
    let at_left =
        if smoothed && floats[first].0 < left { between(floats[first], floats[first + 1], left) } else { floats[first].1 };
    let interpolates = smoothed && last > 0 && floats[last].0 > right;
    let at_right = if interpolates { between(floats[last - 1], floats[last], right) } else { floats[last].1 };
    if floats[first].0 <= left {
        first += 1;
    }
    let end = if floats[last].0 >= right { last } else { last + 1 };
    last = end.max(first);
    let mut out = vec![(left, at_left)];
    out.extend_from_slice(&floats[first..last]);
    out.push((right, at_right));
    out
}

fn between((t0, v0): (i64, f64), (t1, v1): (i64, f64), time: i64) -> f64 {
    v0 + (v1 - v0) * (time - t0) as f64 / (t1 - t0) as f64
}
