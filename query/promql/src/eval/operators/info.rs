//! `info(v, {...})`: series get the labels of info metrics, whose series have the same `instance` and `job`.
//!
//! ```text
//! http_requests{instance="a", job="j"}  ─┐
//!                                        ├─►  http_requests{instance="a", job="j", version="1.2"}
//! target_info{instance="a", job="j", version="1.2"} 1
//! ```
//! Steps, steps ► steps. The second input has in place of values the times of the samples, milliseconds: of several info series of one
//! metric and one signature the newest one counts. Source: Prometheus `promql/info.go`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Unite;
use crate::ast::{MatchOp, Matcher};
use crate::eval::matchers::Matchers;
use crate::eval::{EvalContext, EvalError, context};
use crate::labels::{Labels, NAME};
use crate::value::{Grid, Sample, StepSeries};

/// Labels by which series find their info series.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Info {
    /// Matchers of the names of info metrics. When none of them says what a name is, but only what it is not, no series is taken for
    /// one of them.
    names: Matchers,
    /// Matchers of the labels that are taken over; all labels when there is none.
    data: Matchers,
}

/// The newest info series of one metric and signature at each step.
type Newest = Vec<Option<usize>>;

impl Info {
    /// With the matchers of the second argument, `None` when there is none.
    ///
    /// # Errors
    /// When a pattern is none.
    pub fn new(selector: Option<&[Matcher]>) -> Result<Self, EvalError> {
        let default = [Matcher { name: NAME.into(), op: MatchOp::Equal, value: "target_info".into() }];
        let (names, data): (Vec<Matcher>, Vec<Matcher>) =
            selector.unwrap_or(&default).iter().cloned().partition(|m| m.name == NAME);
        Ok(Self { names: Matchers::new(&names)?, data: Matchers::new(&data)? })
    }

    /// What the info series must be like.
    pub fn matchers(&self) -> Vec<Matcher> {
        let asked = |op: MatchOp, value: &str| Matcher { name: NAME.into(), op, value: value.into() };
        let mut matchers: Vec<Matcher> = self.names.iter().chain(self.data.iter()).cloned().collect();
        if self.names.is_empty() {
            matchers.push(asked(MatchOp::Equal, "target_info"));
        } else if !self.asks_for_names() {
            matchers.push(asked(MatchOp::Regex, ".+_info"));
        }
        matchers
    }

    fn asks_for_names(&self) -> bool {
        self.names.iter().any(|m| matches!(m.op, MatchOp::Equal | MatchOp::Regex))
    }

    /// Series of `base` that are info series themselves stay as they are.
    fn is_info(&self, series: &StepSeries) -> bool {
        self.asks_for_names() && self.names.match_value(series.labels.metric())
    }

    /// `base` with the labels of `info`.
    ///
    /// # Errors
    /// When info series contradict each other; when time or the budget is used up.
    pub fn apply(
        &self,
        grid: Grid,
        base: &[StepSeries],
        info: &[StepSeries],
        cx: &mut EvalContext<'_>,
    ) -> Result<Vec<StepSeries>, EvalError> {
        let plain: Vec<bool> = base.iter().map(|s| self.is_info(s)).collect();
        let info = identified(base, &plain, info);
        let needed: Vec<bool> = (0..grid.len()).map(|at| base.iter().any(|s| s.sample(at).is_some())).collect();
        let newest = newest(&needed, &info)?;
        let mut out: Vec<StepSeries> = Vec::new();
        for (series, plain) in base.iter().zip(plain) {
            cx.tick()?;
            if plain {
                out.push(series.clone());
            } else {
                self.enrich(series, &info, &newest, &mut out)?;
            }
        }
        let out = Unite::Merge.apply(out)?;
        cx.budget.take(out.iter().map(context::weight_of_steps).sum())?;
        Ok(out)
    }

    fn enrich(
        &self,
        series: &StepSeries,
        info: &[&StepSeries],
        newest: &BTreeMap<&str, HashMap<Labels, Newest>>,
        out: &mut Vec<StepSeries>,
    ) -> Result<(), EvalError> {
        let key = signature(&series.labels);
        let candidates: Vec<Option<&Newest>> = newest.values().map(|of_metric| of_metric.get(&key)).collect();
        // The output for each set of info series that were chosen.
        let mut places: HashMap<Vec<Option<usize>>, usize> = HashMap::new();
        let without_any = self.data.match_value("");
        for at in 0..series.steps() {
            let Some(sample) = series.sample(at) else { continue };
            let chosen: Vec<Option<usize>> = candidates.iter().map(|c| c.and_then(|newest| newest[at])).collect();
            if !without_any && chosen.iter().all(Option::is_none) {
                continue;
            }
            let place = match places.get(&chosen) {
                Some(place) => *place,
                None => {
                    let labels = self.labels(&series.labels, chosen.iter().flatten().map(|i| &info[*i].labels))?;
                    out.push(StepSeries { drop_name: series.drop_name, ..StepSeries::empty(labels, series.steps()) });
                    places.insert(chosen, out.len() - 1);
                    out.len() - 1
                }
            };
            match sample {
                Sample::Float(value) => out[place].set_float(at, value),
                Sample::Histogram(histogram) => out[place].set_histogram(at, histogram.clone()),
            }
        }
        Ok(())
    }

    /// The labels of a base series with those of its info series that it lacks.
    fn labels<'a>(&self, base: &Labels, infos: impl Iterator<Item = &'a Labels>) -> Result<Labels, EvalError> {
        let mut added: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, value) in infos.flat_map(|labels| labels.iter()).filter(|(name, _)| name.as_ref() != NAME) {
            let wanted = self.data.is_empty() || self.data.iter().any(|m| m.name == name.as_ref());
            if !wanted || !base.get(name).is_empty() {
                continue;
            }
            if added.insert(name, value).is_some_and(|before| before != value.as_ref()) {
                return Err(EvalError::failed(format!("conflicting label: {name}")));
            }
        }
        let base = base.iter().map(|(n, v)| (n.as_ref(), v.as_ref()));
        Ok(Labels::new(base.chain(added)))
    }
}

/// The labels that identify what a series is of.
fn signature(labels: &Labels) -> Labels {
    labels.without(|name| !IDENTIFYING.contains(&name))
}

/// The info series whose identifying labels have values that occur in `base`.
fn identified<'a>(base: &[StepSeries], plain: &[bool], info: &'a [StepSeries]) -> Vec<&'a StepSeries> {
    let values = |label: &str| -> BTreeSet<&str> {
        let of = base.iter().zip(plain).filter(|(_, plain)| !**plain).map(|(s, _)| s.labels.get(label));
        of.filter(|v| !v.is_empty()).collect()
    };
    let values = IDENTIFYING.map(values);
    if values.iter().all(BTreeSet::is_empty) {
        return Vec::new();
    }
    let occurs = |s: &&StepSeries| IDENTIFYING.iter().zip(&values).all(|(l, v)| v.is_empty() || v.contains(s.labels.get(l)));
    info.iter().filter(occurs).collect()
}

/// For each metric and signature the newest series at each step.
fn newest<'a>(needed: &[bool], info: &[&'a StepSeries]) -> Result<BTreeMap<&'a str, HashMap<Labels, Newest>>, EvalError> {
    let mut newest: BTreeMap<&str, HashMap<Labels, Newest>> = BTreeMap::new();
    for (number, series) in info.iter().enumerate() {
        let of_metric = newest.entry(series.labels.metric()).or_default();
        let best = of_metric.entry(signature(&series.labels)).or_insert_with(|| vec![None; needed.len()]);
        for at in (0..needed.len()).filter(|at| needed[*at] && series.present[*at]) {
            let time = series.floats[at];
            match best[at].map(|before| (before, info[before].floats[at])) {
                Some((before, time_before)) if time_before == time => {
                    let (one, other) = (&info[before].labels, &series.labels);
                    return Err(EvalError::failed(format!(
                        "found duplicate series for info metric: existing {one} @ {time_before}, new {other} @ {time}"
                    )));
                }
                Some((_, time_before)) if time_before > time => {}
                _ => best[at] = Some(number),
            }
        }
    }
    Ok(newest)
}
