//! Native histograms of latencies: buckets that grow by a factor, made coarser when there are too many.

use std::collections::BTreeMap;

use crate::convert::series::histograms::{BucketSpan, Counts, CountsOf, HistogramSample};

/// Of the finest buckets: they grow by 2^(1/8), some 9 %, as the factor 1.1 of Prometheus' libraries asks for.
const SCHEMA_MAX: i32 = 3;
/// Of the coarsest: they grow by 2^16.
const SCHEMA_MIN: i32 = -4;
/// Filled buckets before they are made coarser.
const BUCKETS_MAX: usize = 100;
/// 2^-128: observations up to it are in the zero bucket.
const ZERO_THRESHOLD: f64 = 2.938_735_877_055_719e-39;
/// A gap of so many empty buckets begins a new run; shorter ones are written as zeros.
const GAP_MAX: i32 = 2;

/// Observations that are not negative.
#[derive(Debug)]
pub(super) struct Native {
    schema: i32,
    zero: f64,
    /// Index: bucket i is (base^(i-1), base^i] with base = 2^(2^-schema).
    buckets: BTreeMap<i32, f64>,
    weighted: bool,
}

/// The parts of a row, for [`Runs::sample`] to borrow.
#[derive(Debug)]
pub(super) struct Runs {
    schema: i32,
    zero: f64,
    total: f64,
    spans: Vec<BucketSpan>,
    counts: Vec<f64>,
    /// The counts as integers; `None` when they may be fractions.
    whole: Option<Vec<i64>>,
}

impl Native {
    /// No observation. With `weighted` ones the histogram is one of floats, from its first sample on.
    pub(super) fn new(weighted: bool) -> Self {
        Self { schema: SCHEMA_MAX, zero: 0.0, buckets: BTreeMap::new(), weighted }
    }

    /// Adds an observation that stands for `weight` of them.
    pub(super) fn observe(&mut self, value: f64, weight: f64) {
        if value <= ZERO_THRESHOLD {
            self.zero += weight;
            return;
        }
        *self.buckets.entry(index(value, self.schema)).or_insert(0.0) += weight;
        while self.buckets.len() > BUCKETS_MAX && self.schema > SCHEMA_MIN {
            self.coarsen();
        }
    }

    /// Two neighbours become one bucket.
    fn coarsen(&mut self) {
        self.schema -= 1;
        for (at, count) in std::mem::take(&mut self.buckets) {
            // Rounds up: of buckets 1 and 2 the first one is made.
            *self.buckets.entry((at + 1).div_euclid(2)).or_insert(0.0) += count;
        }
    }

    /// As a row has it.
    pub(super) fn runs(&self) -> Runs {
        let (spans, counts) = (Vec::new(), Vec::new());
        let mut runs = Runs { schema: self.schema, zero: self.zero, total: self.zero, spans, counts, whole: None };
        let mut next = None; // the index behind the run so far
        for (&at, &count) in &self.buckets {
            let gap = next.map_or(at, |next: i32| at - next);
            match runs.spans.last_mut() {
                Some(run) if gap <= GAP_MAX => {
                    run.length += gap + 1;
                    runs.counts.extend(std::iter::repeat_n(0.0, gap as usize));
                }
                _ => runs.spans.push(BucketSpan { offset: gap, length: 1 }),
            }
            runs.counts.push(count);
            runs.total += count;
            next = Some(at + 1);
        }
        runs.whole = (!self.weighted).then(|| runs.counts.iter().map(|count| *count as i64).collect());
        runs
    }
}

impl Runs {
    /// The row; `sum` is that of all observations.
    pub(super) fn sample(&self, sum: f64) -> HistogramSample<'_> {
        let counts = match &self.whole {
            Some(counts) => {
                Counts::Integer(CountsOf { total: self.total as i64, zero: self.zero as i64, positive: counts, negative: &[] })
            }
            None => Counts::Float(CountsOf { total: self.total, zero: self.zero, positive: &self.counts, negative: &[] }),
        };
        HistogramSample {
            schema: self.schema,
            reset_hint: 0,
            zero_threshold: ZERO_THRESHOLD,
            sum,
            counts,
            custom_bounds: &[],
            positive: &self.spans,
            negative: &[],
        }
    }
}

/// The bucket of a value above 0.
fn index(value: f64, schema: i32) -> i32 {
    let upper = |at: i32| 2_f64.powf(f64::from(at) * 2_f64.powi(-schema));
    // The logarithm may be off by its last bit.
    let mut at = (value.log2() * 2_f64.powi(schema)).ceil() as i32;
    while upper(at - 1) >= value {
        at -= 1;
    }
    while upper(at) < value {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn powers_of_two_are_upper_bounds() {
        for schema in SCHEMA_MIN..=SCHEMA_MAX {
            assert_eq!(index(1.0, schema), 0);
            assert_eq!(index(1.000_001, schema), 1);
        }
        assert_eq!([0.25, 0.5, 2.0, 4.0].map(|v| index(v, 3)), [-16, -8, 8, 16]);
        assert_eq!([0.3, 3.0, 4.0, 5.0].map(|v| index(v, 0)), [-1, 2, 2, 3]);
    }

    #[test]
    fn runs_skip_long_gaps() {
        let mut native = Native::new(false);
        for value in [0.0, 1.0, 1.0, 1.18, 16.0] {
            native.observe(value, 1.0);
        }
        let runs = native.runs();
        assert_eq!(runs.spans, [BucketSpan { offset: 0, length: 3 }, BucketSpan { offset: 29, length: 1 }]);
        assert_eq!((runs.whole.as_deref(), runs.zero, runs.total), (Some(&[2, 0, 1, 1][..]), 1.0, 5.0));
    }

    proptest! {
        #[test]
        fn coarse_buckets_are_those_of_the_coarse_schema(values in prop::collection::vec(1e-9..1e9_f64, 0..400)) {
            let mut native = Native::new(false);
            values.iter().for_each(|value| native.observe(*value, 1.0));
            let mut expected: BTreeMap<i32, f64> = BTreeMap::new();
            values.iter().for_each(|value| *expected.entry(index(*value, native.schema)).or_insert(0.0) += 1.0);
            prop_assert_eq!(&native.buckets, &expected);
            prop_assert!(native.buckets.len() <= BUCKETS_MAX);
            let runs = native.runs();
            prop_assert_eq!(runs.total as usize, values.len());
            prop_assert_eq!(runs.spans.iter().map(|s| s.length as usize).sum::<usize>(), runs.counts.len());
        }
    }
}
