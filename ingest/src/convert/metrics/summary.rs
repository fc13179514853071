//! Summaries: `_count`, `_sum` and one series per quantile.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::STALE;
use super::points::{Common, SUMMARY};
use super::reject::{PointError, Reject};
use super::request::{Metric, Request};
use super::text::prometheus_float;
use crate::convert::series::memory::{Entry, PointKey};
use crate::registry::Series;
use crate::wire::Reader;

/// The series of a summary: count, sum, then the quantiles as they came.
const COUNT: usize = 0;
const SUM: usize = 1;
const QUANTILES: usize = 2;

impl<'a> Request<'_, 'a> {
    /// Takes one `SummaryDataPoint` and gives its time in milliseconds.
    pub(super) fn summary_point(&mut self, metric: &Metric<'a, '_>, message: &'a [u8]) -> Result<i64, PointError> {
        let (mut count, mut sum) = (0, 0.0);
        let (mut quantiles, mut values) = (std::mem::take(&mut self.bounds), Vec::new());
        quantiles.clear();
        let limit = self.config.buckets_max;
        let common = Common::read(message, SUMMARY, |field| {
            match field.number {
                4 => count = field.fixed64()?,
                5 => sum = field.double()?,
                6 if values.len() >= limit => return Err(Reject::TooManyBuckets.into()),
                6 => {
                    let (quantile, value) = read_quantile(field.message()?)?;
                    quantiles.push(quantile);
                    values.push(value);
                }
                _ => {}
            }
            Ok(())
        });
        let result = common.and_then(|common| self.summary(metric, &common, (count as f64, sum), &quantiles, &values));
        self.bounds = quantiles;
        result
    }

    fn summary(
        &mut self,
        metric: &Metric<'a, '_>,
        common: &Common<'a>,
        (count, sum): (f64, f64),
        quantiles: &[f64],
        values: &[f64],
    ) -> Result<i64, PointError> {
        let times = self.window.times(common.span)?;
        let repeats = |at: usize| quantiles[..at].contains(&quantiles[at]);
        if quantiles.iter().enumerate().any(|(at, q)| !(0.0..=1.0).contains(q) || repeats(at)) {
            return Err(Reject::Quantiles.into());
        }
        let series = self.summary_series(metric, common, quantiles)?;
        let value = |value: f64| if common.stale { STALE } else { value };
        self.rows.sample(&series[COUNT], times, value(count));
        self.rows.sample(&series[SUM], times, value(sum));
        for (series, quantile) in series[QUANTILES..].iter().zip(values) {
            self.rows.sample(series, times, value(*quantile));
        }
        Ok(times.ts)
    }

    fn summary_series(
        &mut self,
        metric: &Metric<'a, '_>,
        common: &Common<'a>,
        quantiles: &[f64],
    ) -> Result<Arc<[Arc<Series>]>, PointError> {
        let attrs = common.attributes.hash(self.seed);
        let mut shape = attrs.to_le_bytes().to_vec();
        shape.extend(quantiles.iter().flat_map(|q| q.to_le_bytes()));
        let key = PointKey { context: metric.context, attrs: xxh3_128_with_seed(&shape, self.seed) };
        let entry = self.entry(key, |this| {
            let labels = this.labels(metric, &common.attributes)?;
            let mut series = vec![this.series(metric, "_count", labels.clone())?, this.series(metric, "_sum", labels.clone())?];
            for quantile in quantiles {
                series.push(this.series(metric, "", labels.with("quantile", &prometheus_float(*quantile)))?);
            }
            Ok(Entry::Many(series.into()))
        })?;
        match entry {
            Entry::Many(series) if series.len() == QUANTILES + quantiles.len() => Ok(series),
            _ => Err(Reject::NoData.into()), // cannot be: the key holds the kind and the quantiles
        }
    }
}

fn read_quantile(mut message: Reader<'_>) -> Result<(f64, f64), PointError> {
    let (mut quantile, mut value) = (0.0, 0.0);
    while let Some(field) = message.next()? {
        match field.number {
            1 => quantile = field.double()?,
            2 => value = field.double()?,
            _ => {}
        }
    }
    Ok((quantile, value))
}
