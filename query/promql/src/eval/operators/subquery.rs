//! Subqueries: a vector on a grid of its own becomes series with samples, for the function around it. Steps ► raw, one series at a time.

use std::sync::Arc;

use crate::eval::{EvalContext, EvalError};
use crate::histogram::{Histogram, ResetHint};
use crate::value::{Grid, HistogramSample, RawSeries, StepSeries};

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Subquery {
    /// When the inner expression is evaluated.
    pub grid: Grid,
    /// Whether a function reads it. Then no histogram says whether its counter was reset: between steps samples may be left out or
    /// come twice, and what a sample says of the one before it is no longer true.
    pub for_function: bool,
}

impl Subquery {
    /// The samples of `series`.
    ///
    /// # Errors
    /// When time is up.
    pub fn apply(&self, series: Vec<StepSeries>, cx: &mut EvalContext<'_>) -> Result<Vec<RawSeries>, EvalError> {
        let mut out = Vec::with_capacity(series.len());
        for steps in series {
            cx.tick()?;
            let mut raw = RawSeries { labels: steps.labels, drop_name: steps.drop_name, ..RawSeries::default() };
            for ((time_ms, value), present) in self.grid.iter().zip(&steps.floats).zip(&steps.present) {
                if *present {
                    raw.times_ms.push(time_ms);
                    raw.floats.push(*value);
                }
            }
            for (time_ms, histogram) in self.grid.iter().zip(steps.histograms.into_iter().flatten()) {
                if let Some(histogram) = histogram {
                    let histogram = if self.for_function { forget_reset(histogram) } else { histogram };
                    raw.histograms.push(HistogramSample { time_ms, start_ms: 0, histogram });
                }
            }
            out.push(raw);
        }
        Ok(out)
    }
}

fn forget_reset(histogram: Arc<Histogram>) -> Arc<Histogram> {
    match histogram.reset_hint {
        ResetHint::Unknown | ResetHint::Gauge => histogram,
        ResetHint::Reset | ResetHint::NotReset => {
            Arc::new(Histogram { reset_hint: ResetHint::Unknown, ..Arc::unwrap_or_clone(histogram) })
        }
    }
}
