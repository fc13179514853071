//! Gauges and sums: one float sample a data point.

use std::sync::Arc;

use super::STALE;
use super::delta::{Number, Span, Total, Value};
use super::points::{Common, NUMBER, NumberPoint};
use super::reject::{PointError, Reject};
use super::request::{Metric, Request};
use crate::convert::series::memory::{Entry, PointKey};
use crate::convert::series::rows::Times;
use crate::registry::Series;

impl<'a> Request<'_, 'a> {
    /// Takes one `NumberDataPoint` and gives its time in milliseconds.
    #[inline]
    pub(super) fn number_point(&mut self, metric: &Metric<'a, '_>, message: &'a [u8]) -> Result<i64, PointError> {
        let point = NumberPoint::read(message)?;
        let common = point.common;
        let mut times = self.window.times(common.span)?;
        let key = PointKey { context: metric.context, attrs: common.attributes.hash(self.seed) };
        let mut value = match point.value {
            _ if common.stale => STALE,
            Some(value) => value.as_f64(),
            None => return Err(Reject::NoValue.into()),
        };
        if metric.delta || common.has_exemplars {
            let series = self.number_series(metric, &common, key)?;
            if let (true, false, Some(delta)) = (metric.delta, common.stale, point.value) {
                (times, value) = self.number_total(key, common.span, times, delta)?;
            }
            self.rows.sample(&series, times, value);
            if common.has_exemplars {
                self.exemplars(message, NUMBER, times.ts, |_| &series)?;
            }
        } else if let Some(Entry::One(series)) = self.memo.points.get(&key) {
            self.rows.sample(series, times, value);
        } else {
            let series = self.number_series(metric, &common, key)?;
            self.rows.sample(&series, times, value);
        }
        Ok(times.ts)
    }

    fn number_series(&mut self, metric: &Metric<'a, '_>, common: &Common<'a>, key: PointKey) -> Result<Arc<Series>, PointError> {
        let entry = self.entry(key, |this| {
            let labels = this.labels(metric, &common.attributes)?;
            this.series(metric, "", labels).map(Entry::One)
        })?;
        match entry {
            Entry::One(series) => Ok(series),
            _ => Err(Reject::NoData.into()), // cannot be: the key holds the kind
        }
    }

    /// The running total after `delta`.
    fn number_total(&mut self, key: PointKey, span: Span, times: Times, delta: Number) -> Result<(Times, f64), PointError> {
        if !delta.as_f64().is_finite() {
            return Err(Reject::DeltaNotFinite.into());
        }
        match self.total(key, span, times, Value::Number(delta))? {
            (times, Total { value: Value::Number(total), .. }) => Ok((times, total.as_f64())),
            _ => Err(Reject::NoData.into()), // cannot be: the key holds the kind
        }
    }

    /// Adds `delta` to its total; the times then start where the total does.
    pub(super) fn total(&mut self, key: PointKey, span: Span, times: Times, delta: Value) -> Result<(Times, Total), Reject> {
        let state = self.tenant.delta(key, self.minute)?;
        let (total, undo) = state.add(span, delta, self.config.buckets_max, self.minute)?;
        self.waiting.totals.push(undo);
        let start = (total.start_ns != 0 && total.start_ns <= span.ts_ns).then_some((total.start_ns / 1_000_000) as i64);
        Ok((Times { start, ..times }, total))
    }
}
