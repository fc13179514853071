//! Histograms: explicit bounds as classic series, exponential ones as native histograms.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::STALE;
use super::delta::{ClassicTotal, Total, Value};
use super::native::{NativeFields, NativeHistogram};
use super::points::{Common, EXPONENTIAL, HISTOGRAM};
use super::reject::{PointError, Reject};
use super::request::{Metric, Request};
use super::text::prometheus_float;
use crate::convert::series::memory::{Entry, PointKey};
use crate::convert::series::rows::Times;
use crate::registry::Series;

/// The series of a classic histogram: count, the bucket `+Inf`, the other buckets ascending, and the sum if there is one.
const COUNT: usize = 0;
const INFINITY: usize = 1;
const BUCKETS: usize = 2;

/// Marks the key under which the last layout of a histogram is remembered, for stale markers that come without bounds.
const LAST_LAYOUT: u128 = 0x006c_6173_745f_6c61_796f_7574;

/// A histogram's bounds and counts as they came, or as they add up to.
struct Classic<'c> {
    bounds: &'c [f64],
    /// One more than bounds; or none, like the bounds.
    counts: &'c [u64],
    count: u64,
    sum: Option<f64>,
}

impl<'a> Request<'_, 'a> {
    /// Takes one `HistogramDataPoint` and gives its time in milliseconds.
    pub(super) fn histogram_point(&mut self, metric: &Metric<'a, '_>, message: &'a [u8]) -> Result<i64, PointError> {
        let (mut bounds, mut counts) = (std::mem::take(&mut self.bounds), std::mem::take(&mut self.counts));
        bounds.clear();
        counts.clear();
        let (mut count, mut sum) = (0, None);
        let common = Common::read(message, HISTOGRAM, |field| {
            match field.number {
                4 => count = field.fixed64()?,
                5 => sum = Some(field.double()?),
                6 => field.fixed64s(&mut counts)?,
                7 => field.doubles(&mut bounds)?,
                _ => {}
            }
            Ok(())
        });
        let result = common.and_then(|common| {
            let classic = Classic { bounds: &bounds, counts: &counts, count, sum };
            self.classic(metric, &common, classic, message)
        });
        (self.bounds, self.counts) = (bounds, counts);
        result
    }

    fn classic(
        &mut self,
        metric: &Metric<'a, '_>,
        common: &Common<'a>,
        classic: Classic<'_>,
        message: &'a [u8],
    ) -> Result<i64, PointError> {
        let mut times = self.window.times(common.span)?;
        classic.check_bounds(self.config.buckets_max)?;
        let attrs = PointKey { context: metric.context, attrs: common.attributes.hash(self.seed) };
        if common.stale {
            let series = self.stale_series(metric, common, attrs, &classic)?;
            series.iter().for_each(|series| self.rows.sample(series, times, STALE));
            return Ok(times.ts);
        }
        classic.check_counts()?;
        let series = self.classic_series(metric, common, attrs, &classic)?;
        if metric.delta {
            let delta = ClassicTotal {
                bounds: classic.bounds.into(),
                counts: classic.counts.to_vec(),
                count: classic.count,
                sum: classic.sum,
            };
            if delta.sum.is_some_and(|sum| !sum.is_finite()) {
                return Err(Reject::DeltaNotFinite.into());
            }
            let (since, Total { value, .. }) = self.total(attrs, common.span, times, Value::Classic(delta))?;
            times = since;
            let Value::Classic(total) = value else {
                return Err(Reject::NoData.into()); // cannot be: the key holds the kind
            };
            let summed = Classic { bounds: &total.bounds, counts: &total.counts, count: total.count, sum: total.sum };
            self.classic_rows(&series, times, &summed);
        } else {
            self.classic_rows(&series, times, &classic);
        }
        if common.has_exemplars {
            let buckets = &series[BUCKETS..BUCKETS + classic.bounds.len()];
            let bounds = classic.bounds;
            self.exemplars(message, HISTOGRAM, times.ts, |value| {
                // The first bucket that holds the value; NaN is in none but the last.
                let at = bounds.partition_point(|bound| *bound < value || value.is_nan());
                buckets.get(at).unwrap_or(&series[INFINITY])
            })?;
        }
        Ok(times.ts)
    }

    fn classic_rows(&mut self, series: &[Arc<Series>], times: Times, classic: &Classic<'_>) {
        let count = classic.count as f64;
        self.rows.sample(&series[COUNT], times, count);
        self.rows.sample(&series[INFINITY], times, count);
        let mut cumulative = 0u64;
        for (series, count) in series[BUCKETS..].iter().zip(classic.counts).take(classic.bounds.len()) {
            cumulative += count; // no overflow: `check_counts`
            self.rows.sample(series, times, cumulative as f64);
        }
        if let (Some(sum), Some(series)) = (classic.sum, series.get(BUCKETS + classic.bounds.len())) {
            self.rows.sample(series, times, sum);
        }
    }

    fn classic_series(
        &mut self,
        metric: &Metric<'a, '_>,
        common: &Common<'a>,
        attrs: PointKey,
        classic: &Classic<'_>,
    ) -> Result<Arc<[Arc<Series>]>, PointError> {
        let mut shape = Vec::with_capacity(32 + 8 * classic.bounds.len());
        shape.extend_from_slice(&attrs.attrs.to_le_bytes());
        shape.push(u8::from(classic.sum.is_some()));
        shape.extend(classic.bounds.iter().flat_map(|bound| bound.to_le_bytes()));
        let key = PointKey { context: metric.context, attrs: xxh3_128_with_seed(&shape, self.seed) };
        let entry = self.entry(key, |this| {
            let labels = this.labels(metric, &common.attributes)?;
            let bucket = |le: &str| this.series(metric, "_bucket", labels.with("le", le));
            let mut series = vec![this.series(metric, "_count", labels.clone())?, bucket("+Inf")?];
            for bound in classic.bounds {
                series.push(bucket(&prometheus_float(*bound))?);
            }
            if classic.sum.is_some() {
                series.push(this.series(metric, "_sum", labels)?);
            }
            let entry = Entry::Many(series.into());
            this.remember(attrs.last_layout(), entry.clone());
            Ok(entry)
        })?;
        match entry {
            Entry::Many(series) if series.len() >= BUCKETS + classic.bounds.len() => Ok(series),
            _ => Err(Reject::NoData.into()), // cannot be: the key holds the kind and the bounds
        }
    }

    /// Every series of a histogram that ended. Its marker may come without bounds: then those of its last data point.
    fn stale_series(
        &mut self,
        metric: &Metric<'a, '_>,
        common: &Common<'a>,
        attrs: PointKey,
        classic: &Classic<'_>,
    ) -> Result<Arc<[Arc<Series>]>, PointError> {
        match self.memo.points.get(&attrs.last_layout()) {
            Some(Entry::Many(series)) if classic.bounds.is_empty() => Ok(Arc::clone(series)),
            _ => self.classic_series(metric, common, attrs, classic),
        }
    }

    /// Takes one `ExponentialHistogramDataPoint` and gives its time in milliseconds.
    pub(super) fn exponential_point(&mut self, metric: &Metric<'a, '_>, message: &'a [u8]) -> Result<i64, PointError> {
        let mut fields = NativeFields::default();
        let common = Common::read(message, EXPONENTIAL, |field| fields.take(field))?;
        let mut times = self.window.times(common.span)?;
        let mut histogram = if common.stale {
            NativeHistogram::stale()
        } else {
            NativeHistogram::new(&fields, self.config.buckets_max, &mut self.counts)?
        };
        let key = PointKey { context: metric.context, attrs: common.attributes.hash(self.seed) };
        let entry = self.entry(key, |this| {
            let labels = this.labels(metric, &common.attributes)?;
            this.series(metric, "", labels).map(Entry::One)
        })?;
        let Entry::One(series) = entry else {
            return Err(Reject::NoData.into()); // cannot be: the key holds the kind
        };
        if metric.delta && !common.stale {
            if !histogram.sum.is_finite() {
                return Err(Reject::DeltaNotFinite.into());
            }
            let (since, Total { value, .. }) = self.total(key, common.span, times, Value::Native(Box::new(histogram)))?;
            times = since;
            let Value::Native(total) = value else {
                return Err(Reject::NoData.into()); // cannot be: the key holds the kind
            };
            histogram = *total;
        }
        histogram.as_sample(|sample| self.rows.histogram(&series, times, sample));
        if common.has_exemplars {
            self.exemplars(message, EXPONENTIAL, times.ts, |_| &series)?;
        }
        Ok(times.ts)
    }
}

impl PointKey {
    fn last_layout(self) -> Self {
        Self { attrs: self.attrs ^ LAST_LAYOUT, ..self }
    }
}

impl Classic<'_> {
    fn check_bounds(&self, buckets_max: usize) -> Result<(), Reject> {
        if self.bounds.len().max(self.counts.len().saturating_sub(1)) > buckets_max {
            return Err(Reject::TooManyBuckets);
        }
        if !self.bounds.iter().all(|bound| bound.is_finite()) || !self.bounds.is_sorted_by(|a, b| a < b) {
            return Err(Reject::Bounds);
        }
        Ok(())
    }

    /// One count more than bounds, or neither; and together they are the count.
    fn check_counts(&self) -> Result<(), Reject> {
        if self.counts.is_empty() && self.bounds.is_empty() {
            return Ok(());
        }
        if self.counts.len() != self.bounds.len() + 1 {
            return Err(Reject::BucketCounts);
        }
        let total = self.counts.iter().try_fold(0u64, |sum, count| sum.checked_add(*count));
        if total == Some(self.count) { Ok(()) } else { Err(Reject::CountMismatch) }
    }
}
