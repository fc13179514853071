//! Series with equal labels. Operators that change labels may make two of one kind; a vector must not hold both at a time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::eval::EvalError;
use crate::labels::Labels;
use crate::value::{RawSeries, StepSeries};

/// When the names of metrics go that lost their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// At once.
    Now,
    /// At the end of the query: until then the series only says that it goes.
    Late,
}

impl Names {
    /// Drops the name of a series whose values are no longer those of the metric.
    pub fn drop(self, series: &mut StepSeries) {
        match self {
            Self::Now => series.labels = series.labels.without_metadata(),
            Self::Late => series.drop_name = true,
        }
    }
}

/// What becomes of series with equal labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unite {
    /// They become one if they never meet.
    Merge,
    /// They are an error in any case: so it is for functions of ranges.
    Refuse,
}

impl Unite {
    /// The series, each label set once, in the order in which they came first.
    ///
    /// # Errors
    /// "vector cannot contain metrics with the same labelset"
    pub fn apply(self, series: Vec<StepSeries>) -> Result<Vec<StepSeries>, EvalError> {
        let mut places: HashMap<Labels, usize> = HashMap::with_capacity(series.len());
        let mut out: Vec<StepSeries> = Vec::with_capacity(series.len());
        for one in series {
            match places.entry(one.labels.clone()) {
                Entry::Vacant(place) => {
                    place.insert(out.len());
                    out.push(one);
                }
                Entry::Occupied(_) if self == Self::Refuse => return Err(EvalError::same_labels()),
                Entry::Occupied(place) => merge(&mut out[*place.get()], one)?,
            }
        }
        Ok(out)
    }
}

/// Drops the names that go at the end, then unites.
///
/// # Errors
/// As [`Unite::apply`].
pub fn drop_names(mut series: Vec<StepSeries>) -> Result<Vec<StepSeries>, EvalError> {
    for one in series.iter_mut().filter(|s| s.drop_name) {
        one.labels = one.labels.without_metadata();
        one.drop_name = false;
    }
    Unite::Merge.apply(series)
}

fn merge(into: &mut StepSeries, other: StepSeries) -> Result<(), EvalError> {
    for at in 0..other.steps() {
        if other.sample(at).is_some() && into.sample(at).is_some() {
            return Err(EvalError::same_labels());
        }
        if other.present[at] {
            into.set_float(at, other.floats[at]);
        } else if let Some(histogram) = other.histogram(at) {
            into.set_histogram(at, histogram.clone());
        }
    }
    Ok(())
}

/// [`drop_names`] for the result of an instant query for a range.
///
/// # Errors
/// As [`Unite::apply`].
pub fn drop_names_raw(series: Vec<RawSeries>) -> Result<Vec<RawSeries>, EvalError> {
    let mut places: HashMap<Labels, usize> = HashMap::with_capacity(series.len());
    let mut out: Vec<RawSeries> = Vec::with_capacity(series.len());
    for mut one in series {
        if one.drop_name {
            one.labels = one.labels.without_metadata();
            one.drop_name = false;
        }
        match places.entry(one.labels.clone()) {
            Entry::Vacant(place) => {
                place.insert(out.len());
                out.push(one);
            }
            Entry::Occupied(place) => merge_raw(&mut out[*place.get()], one)?,
        }
    }
    Ok(out)
}

fn merge_raw(into: &mut RawSeries, other: RawSeries) -> Result<(), EvalError> {
    let mut floats: Vec<(i64, f64)> = into.times_ms.drain(..).zip(into.floats.drain(..)).collect();
    floats.extend(other.times_ms.into_iter().zip(other.floats));
    floats.sort_by_key(|f| f.0);
    into.histograms.extend(other.histograms);
    into.histograms.sort_by_key(|h| h.time_ms);
    let histograms_meet = into.histograms.windows(2).any(|w| w[0].time_ms == w[1].time_ms);
    if histograms_meet || floats.windows(2).any(|w| w[0].0 == w[1].0) {
        return Err(EvalError::same_labels());
    }
    into.starts_ms.clear();
    (into.times_ms, into.floats) = floats.into_iter().unzip();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, values: &[Option<f64>]) -> StepSeries {
        let mut series = StepSeries::empty(Labels::new([("__name__", name), ("a", "1")]), values.len());
        values.iter().enumerate().filter_map(|(at, v)| v.map(|v| (at, v))).for_each(|(at, v)| series.set_float(at, v));
        series.drop_name = true;
        series
    }

    #[test]
    fn series_that_never_meet_become_one() {
        let one = drop_names(vec![series("x", &[Some(1.0), None]), series("y", &[None, Some(2.0)])]).unwrap();
        assert_eq!(one.len(), 1);
        assert_eq!((&one[0].floats[..], one[0].labels.to_string().as_str()), (&[1.0, 2.0][..], r#"{a="1"}"#));
        let meet = drop_names(vec![series("x", &[Some(1.0), None]), series("y", &[Some(1.0), Some(2.0)])]);
        assert_eq!(meet, Err(EvalError::same_labels()));
        let twice = vec![series("x", &[Some(1.0), None]), series("x", &[None, Some(2.0)])];
        assert_eq!(Unite::Refuse.apply(twice), Err(EvalError::same_labels()));
    }
}
