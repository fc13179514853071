//! Parts of dates: `hour`, `day_of_week` and their like, of times in seconds, in UTC. Steps ► steps, one series at a time, names gone,
//! histograms left out.

use super::Names;
use crate::ast::Function;
use crate::eval::{EvalContext, EvalError};
use crate::functions::date;
use crate::value::StepSeries;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Date {
    function: Function,
    names: Names,
}

impl Date {
    /// Of `function`, if it is one of them.
    pub fn new(function: Function, names: Names) -> Option<Self> {
        date::part(function).map(|_| Self { function, names })
    }

    /// The part of each time.
    ///
    /// # Errors
    /// When time is up.
    pub fn apply(&self, vector: Vec<StepSeries>, cx: &mut EvalContext<'_>) -> Result<Vec<StepSeries>, EvalError> {
        let Some(part) = date::part(self.function) else { return Ok(Vec::new()) };
        let mut out = Vec::with_capacity(vector.len());
        for mut series in vector {
            cx.tick()?;
            series.histograms = None;
            let there = series.floats.iter_mut().zip(&series.present).filter(|(_, present)| **present);
            there.for_each(|(value, _)| *value = part(*value));
            self.names.drop(&mut series);
            if !series.is_empty() {
                out.push(series);
            }
        }
        Ok(out)
    }
}
