//! Functions of one sample: `abs`, `clamp`, `round`, unary minus and their like. Steps, scalars ► steps, one series at a time, names gone.

use std::sync::Arc;

use super::Names;
use crate::ast::Function;
use crate::eval::{EvalContext, EvalError};
use crate::functions::instant;
use crate::value::{Grid, StepSeries};

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Map {
    /// Which function.
    pub function: MapFunction,
    /// When names go.
    pub names: Names,
}

/// The functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapFunction {
    /// Of a float alone; histograms are left out.
    Float(Function),
    /// Of a histogram alone; floats are left out.
    Histogram(Function),
    /// `clamp(v, min, max)`
    Clamp,
    /// `clamp_min(v, min)`
    ClampMin,
    /// `clamp_max(v, max)`
    ClampMax,
    /// `round(v, to)`
    Round,
    /// `timestamp(v)` of what is no selector: the time of the step.
    StepTime,
    /// `-v`
    Negate,
}

impl MapFunction {
    /// The one a function of the language is.
    pub fn of(function: Function) -> Option<Self> {
        Some(match function {
            Function::Clamp => Self::Clamp,
            Function::ClampMin => Self::ClampMin,
            Function::ClampMax => Self::ClampMax,
            Function::Round => Self::Round,
            _ if instant::of_float(function).is_some() => Self::Float(function),
            _ if instant::of_histogram(function).is_some() => Self::Histogram(function),
            _ => return None,
        })
    }
}

impl Map {
    /// The function of each sample of `vector`, with the scalars of its step.
    ///
    /// # Errors
    /// When time is up.
    pub fn apply(
        &self,
        grid: Grid,
        vector: Vec<StepSeries>,
        scalars: &[&[f64]],
        cx: &mut EvalContext<'_>,
    ) -> Result<Vec<StepSeries>, EvalError> {
        let mut out = Vec::with_capacity(vector.len());
        for mut series in vector {
            cx.tick()?;
            self.series(grid, &mut series, scalars)?;
            self.names.drop(&mut series);
            if !series.is_empty() {
                out.push(series);
            }
        }
        Ok(out)
    }

    fn series(&self, grid: Grid, series: &mut StepSeries, scalars: &[&[f64]]) -> Result<(), EvalError> {
        let scalar = |at: usize| scalars.get(at).copied().ok_or_else(|| EvalError::Invalid("a scalar is missing".into()));
        match self.function {
            MapFunction::Float(function) => {
                if let Some(apply) = instant::of_float(function) {
                    floats(series, |_, value| Some(apply(value)));
                }
            }
            MapFunction::Histogram(function) => {
                if let Some(apply) = instant::of_histogram(function) {
                    let histograms = series.histograms.take();
                    series.present.fill(false);
                    series.floats.fill(0.0);
                    for (at, histogram) in histograms.into_iter().flatten().enumerate() {
                        if let Some(histogram) = histogram {
                            series.set_float(at, apply(&histogram));
                        }
                    }
                }
            }
            MapFunction::Clamp => {
                let (min, max) = (scalar(0)?, scalar(1)?);
                floats(series, |at, value| {
                    (min[at] <= max[at] || min[at].is_nan() || max[at].is_nan()).then(|| instant::clamp(value, min[at], max[at]))
                });
            }
            MapFunction::ClampMin => {
                let min = scalar(0)?;
                floats(series, |at, value| Some(instant::clamp(value, min[at], f64::INFINITY)));
            }
            MapFunction::ClampMax => {
                let max = scalar(0)?;
                floats(series, |at, value| Some(instant::clamp(value, f64::NEG_INFINITY, max[at])));
            }
            MapFunction::Round => {
                let to = scalar(0)?;
                floats(series, |at, value| Some(instant::round(value, to[at])));
            }
            MapFunction::StepTime => {
                for at in 0..series.steps() {
                    if series.sample(at).is_some() {
                        series.present[at] = true;
                        series.floats[at] = grid.time_ms(at) as f64 / 1000.0;
                    }
                }
                series.histograms = None;
            }
            MapFunction::Negate => {
                series.floats.iter_mut().for_each(|v| *v = -*v);
                for histogram in series.histograms.iter_mut().flatten().flatten() {
                    *histogram = Arc::new(histogram.mul(-1.0));
                }
            }
        }
        Ok(())
    }
}

/// Floats through `apply`, `None` leaves nothing; histograms are left out.
fn floats(series: &mut StepSeries, apply: impl Fn(usize, f64) -> Option<f64>) {
    series.histograms = None;
    for at in (0..series.steps()).filter(|at| series.present[*at]).collect::<Vec<_>>() {
        match apply(at, series.floats[at]) {
            Some(value) => series.floats[at] = value,
            None => (series.present[at], series.floats[at]) = (false, 0.0),
        }
    }
}
