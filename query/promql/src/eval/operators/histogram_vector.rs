//! `histogram_quantile`, `histogram_quantiles`, `histogram_fraction`: of native histograms, and of classic ones, whose buckets are
//! series that differ in `le` alone. Steps, scalars ► steps, everything at once.
//!
//! ```text
//! x{le="1"}    ─┐
//! x{le="2"}    ─┼─► buckets of x{} at each step ─┐
//! x{le="+Inf"} ─┘                                ├─► x{}
//! x{} with histograms ───────────────────────────┘   a step with both is left out, with a warning
//! ```

use std::collections::HashMap;

use super::{Names, Unite};
use crate::annotation::{Fixed, texts};
use crate::ast::Span;
use crate::eval::{EvalContext, EvalError, context};
use crate::functions::classic::{Bucket, bucket_fraction, bucket_quantile};
use crate::functions::native::{histogram_fraction, histogram_quantile};
use crate::labels::Labels;
use crate::print;
use crate::value::{Grid, StepSeries};

/// The label that holds the upper bound of a bucket.
const BOUND: &str = "le";

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramVector {
    /// Which.
    pub function: HistogramFunction,
    /// When names go.
    pub names: Names,
    /// The vector, of which annotations speak.
    pub vector_span: Span,
    /// The scalars.
    pub scalar_spans: Vec<Span>,
}

/// Which function.
#[derive(Debug, Clone, PartialEq)]
pub enum HistogramFunction {
    /// One quantile.
    Quantile,
    /// Many, each in a series that has it in this label.
    Quantiles(String),
    /// The part between two values.
    Fraction,
}

/// What belongs together: series of buckets with their bounds, and series of histograms. There may be more than one of the latter only
/// when names will go.
#[derive(Default)]
struct Group<'a> {
    labels: Labels,
    classic: Vec<(f64, &'a StepSeries)>,
    native: Vec<&'a StepSeries>,
}

impl HistogramVector {
    /// The function of each histogram in `vector`.
    ///
    /// # Errors
    /// When two results have the same labels; when time or the budget is used up.
    pub fn apply(
        &self,
        grid: Grid,
        vector: &[StepSeries],
        scalars: &[&[f64]],
        cx: &mut EvalContext<'_>,
    ) -> Result<Vec<StepSeries>, EvalError> {
        if scalars.is_empty() || scalars.iter().any(|s| s.len() != grid.len()) {
            return Err(EvalError::Invalid("a scalar is missing".into()));
        }
        if self.function != HistogramFunction::Fraction {
            self.check_quantiles(scalars, cx);
        }
        let groups = self.groups(vector, cx)?;
        let mut out = Vec::new();
        for group in &groups {
            cx.tick()?;
            match &self.function {
                HistogramFunction::Quantile => out.push(self.group(grid, group, scalars, cx)),
                HistogramFunction::Fraction => out.push(self.group(grid, group, scalars, cx)),
                HistogramFunction::Quantiles(label) => self.quantiles(grid, group, label, scalars, &mut out, cx),
            }
        }
        out.retain(|s| !s.is_empty());
        let out = Unite::Merge.apply(out)?;
        cx.budget.take(out.iter().map(context::weight_of_steps).sum())?;
        Ok(out)
    }

    fn check_quantiles(&self, scalars: &[&[f64]], cx: &mut EvalContext<'_>) {
        for (values, span) in scalars.iter().zip(&self.scalar_spans) {
            for q in values.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
                cx.annotations.put(texts::invalid_quantile(*span, *q));
            }
        }
    }

    fn groups<'a>(&self, vector: &'a [StepSeries], cx: &mut EvalContext<'_>) -> Result<Vec<Group<'a>>, EvalError> {
        let mut numbers: HashMap<Labels, usize> = HashMap::new();
        let mut groups: Vec<Group<'a>> = Vec::new();
        for series in vector {
            cx.tick()?;
            let mut number = |labels: Labels| {
                *numbers.entry(labels).or_insert_with_key(|labels| {
                    groups.push(Group { labels: labels.clone(), ..Group::default() });
                    groups.len() - 1
                })
            };
            if series.present.contains(&true) {
                let bound = series.labels.get(BOUND);
                match bound.parse::<f64>() {
                    Ok(upper) => {
                        let at = number(series.labels.without(|name| name == BOUND));
                        groups[at].classic.push((upper, series));
                    }
                    Err(_) => {
                        let metric = self.metric(&series.labels);
                        cx.annotations.put(texts::bad_bucket_label(self.vector_span, metric, bound));
                    }
                }
            }
            if series.histograms.is_some() {
                let mut number = |labels: Labels| {
                    *numbers.entry(labels).or_insert_with_key(|labels| {
                        groups.push(Group { labels: labels.clone(), ..Group::default() });
                        groups.len() - 1
                    })
                };
                let at = number(series.labels.clone());
                groups[at].native.push(series);
            }
        }
        Ok(groups)
    }

    /// The name at the end of annotations: only as long as it is not gone.
    fn metric<'l>(&self, labels: &'l Labels) -> &'l str {
        if self.names == Names::Late { labels.metric() } else { "" }
    }

    /// One value per step of a group.
    fn group(&self, grid: Grid, group: &Group<'_>, scalars: &[&[f64]], cx: &mut EvalContext<'_>) -> StepSeries {
        let mut out = StepSeries::empty(group.labels.clone(), grid.len());
        self.names.drop(&mut out);
        let metric = self.metric(&group.labels).to_owned();
        let mut buckets: Vec<Bucket> = Vec::with_capacity(group.classic.len());
        for (at, time_ms) in grid.iter().enumerate() {
            buckets.clear();
            let there = group.classic.iter().filter(|(_, s)| s.present[at]);
            buckets.extend(there.map(|(upper, s)| Bucket { upper: *upper, count: s.floats[at] }));
            let native = group.native.iter().find_map(|s| s.histogram(at));
            let value = match native {
                Some(_) if !buckets.is_empty() => {
                    cx.annotations.put(texts::mixed_classic_native(self.vector_span, &metric));
                    continue;
                }
                None if buckets.is_empty() => continue,
                Some(histogram) if self.function == HistogramFunction::Fraction => {
                    histogram_fraction(scalars[0][at], scalars[1][at], histogram, &metric, self.vector_span, &mut cx.annotations)
                }
                Some(histogram) => histogram_quantile(scalars[0][at], histogram, &metric, self.vector_span, &mut cx.annotations),
                None if self.function == HistogramFunction::Fraction => {
                    bucket_fraction(scalars[0][at], scalars[1][at], &mut buckets)
                }
                None => {
                    let quantile = bucket_quantile(scalars[0][at], &mut buckets);
                    if let Some(fixed) = quantile.fixed {
                        let fixed = Fixed { first_ms: time_ms, last_ms: time_ms, ..fixed };
                        cx.annotations.put(texts::forced_monotonicity(self.vector_span, &metric, fixed));
                    }
                    quantile.value
                }
            };
            out.set_float(at, value);
        }
        out
    }

    /// One series for each quantile of a group. Quantiles may change from step to step, and the label with them.
    #[allow(clippy::too_many_arguments)]
    fn quantiles(
        &self,
        grid: Grid,
        group: &Group<'_>,
        label: &str,
        scalars: &[&[f64]],
        out: &mut Vec<StepSeries>,
        cx: &mut EvalContext<'_>,
    ) {
        for quantiles in scalars {
            let values = self.group(grid, group, &[quantiles], cx);
            let mut places: HashMap<u64, usize> = HashMap::new();
            for at in (0..grid.len()).filter(|at| values.present[*at]) {
                let place = *places.entry(quantiles[at].to_bits()).or_insert_with(|| {
                    let labels = values.labels.with(label, &open_metrics(quantiles[at]));
                    out.push(StepSeries { drop_name: values.drop_name, ..StepSeries::empty(labels, grid.len()) });
                    out.len() - 1
                });
                out[place].set_float(at, values.floats[at]);
            }
        }
    }
}

/// A number as OpenMetrics writes it into a label: never without a point or an exponent.
fn open_metrics(value: f64) -> String {
    let text = print::float(value);
    if !value.is_finite() || text.contains(['.', 'e']) { text } else { text + ".0" }
}
