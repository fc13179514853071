//! What a request becomes while it is walked: rows, counts, and the account of what was refused.

use std::collections::HashSet;
use std::sync::Arc;

use super::config::RemoteWriteConfig;
use super::exemplars::exemplar_labels;
use super::histogram::{HistogramError, HistogramReader};
use super::refused::{Refusal, Refused};
use super::times::Window;
use super::{Taken, Written};
use crate::convert::series::exemplars::Exemplar;
use crate::convert::series::introduced::Introduced;
use crate::convert::series::rows::Rows;
use crate::convert::{Converted, DecodeError, Pending};
use crate::registry::Series;
use crate::registry::reliance::Reliance;
use crate::wire::{Reader, WireError};

/// Series, time in milliseconds.
type At = (i64, i64);

/// Which times of which series have a float, and which a histogram; kept once there is a histogram.
#[derive(Debug)]
struct Kinds {
    floats: HashSet<At>,
    histograms: HashSet<At>,
}

/// One request on its way to rows.
#[derive(Debug)]
pub(super) struct Out<'t> {
    pub(super) config: &'t RemoteWriteConfig,
    pub(super) window: Window,
    pub(super) rows: Rows,
    pub(super) introduced: Introduced,
    pub(super) written: Written,
    pub(super) refused: Refused,
    kinds: Option<Kinds>,
    histogram: HistogramReader,
}

impl<'t> Out<'t> {
    /// Nothing yet; room for `samples`.
    pub(super) fn new(config: &'t RemoteWriteConfig, now_ns: i64, minute: u32, samples: usize, reliance: Reliance) -> Self {
        Self {
            config,
            window: Window::new(config, now_ns),
            rows: Rows::new(samples, minute, reliance),
            introduced: Introduced::default(),
            written: Written::default(),
            refused: Refused::default(),
            kinds: None,
            histogram: HistogramReader::new(config.buckets_max),
        }
    }

    /// Takes a `Sample` message; gives its time if it was taken.
    #[inline]
    pub(super) fn sample(&mut self, series: &Arc<Series>, message: &[u8]) -> Result<Option<i64>, WireError> {
        let (mut value, mut ts, mut start) = (0.0, 0, 0);
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next()? {
            match field.number {
                1 => value = field.double()?,
                2 => ts = field.int64()?,
                3 => start = field.int64()?,
                _ => {}
            }
        }
        let times = match self.window.times(ts, start) {
            Ok(times) => times,
            Err(refusal) => {
                self.refuse(refusal, series);
                return Ok(None);
            }
        };
        if let Some(kinds) = &mut self.kinds {
            let at = (series.sid().0, ts);
            if kinds.histograms.contains(&at) {
                self.refuse(Refusal::OtherKind, series);
                return Ok(None);
            }
            kinds.floats.insert(at);
        }
        self.rows.sample(series, times, value);
        self.written.samples += 1;
        Ok(Some(ts))
    }

    /// Takes a `Histogram` message; gives its time if it was taken.
    pub(super) fn histogram(&mut self, series: &Arc<Series>, message: &[u8]) -> Result<Option<i64>, WireError> {
        match self.try_histogram(series, message) {
            Ok(ts) => Ok(Some(ts)),
            Err(HistogramError::Wire(error)) => Err(error),
            Err(HistogramError::Refused(refusal)) => {
                self.refuse(refusal, series);
                Ok(None)
            }
        }
    }

    fn try_histogram(&mut self, series: &Arc<Series>, message: &[u8]) -> Result<i64, HistogramError> {
        self.histogram.read(message)?;
        let (ts, start) = self.histogram.times();
        let times = self.window.times(ts, start)?;
        let rows = &self.rows;
        let kinds = self.kinds.get_or_insert_with(|| Kinds { floats: rows.samples_at().collect(), histograms: HashSet::new() });
        let at = (series.sid().0, ts);
        if kinds.floats.contains(&at) {
            return Err(Refusal::OtherKind.into());
        }
        kinds.histograms.insert(at);
        self.rows.histogram(series, times, &self.histogram.sample());
        self.written.histograms += 1;
        Ok(ts)
    }

    /// Takes an exemplar of `series` with `labels`. Without a time it has that of the newest sample beside it. One that is too long,
    /// has no time or lies out of bounds is left out and counted, as Prometheus does; its sample stays.
    pub(super) fn exemplar(&mut self, series: &Arc<Series>, labels: &[(&[u8], &[u8])], value: f64, ts: i64, beside: Option<i64>) {
        let ts = if ts == 0 { beside } else { Some(ts) };
        let taken = ts.and_then(|ts| self.window.times(ts, 0).ok()).zip(exemplar_labels(labels).ok().flatten());
        let Some((times, labels)) = taken else {
            metrics::counter!("telelake_ingest_exemplars_dropped_total").increment(1);
            return;
        };
        let (trace_id, span_id) = (labels.trace_id.as_ref(), labels.span_id.as_ref());
        let exemplar = Exemplar { ts: times.ts, value, trace_id, span_id, labels: &labels.labels };
        // It may come without a sample.
        self.rows.seen(series, times.ts);
        self.rows.exemplar(series, &exemplar);
        self.written.exemplars += 1;
    }

    #[cold]
    pub(super) fn refuse(&mut self, refusal: Refusal, series: &Series) {
        self.refused.add(refusal, 1, || render(series));
    }

    /// The rows, what was written, and what the sender is told.
    pub(super) fn finish(self, keeps_silent: bool) -> Result<Taken, DecodeError> {
        let Self { rows, mut introduced, written, refused, config, .. } = self;
        let (rows, series, reliance) = rows.finish()?;
        introduced.series(series, reliance);
        let pending = if introduced.is_empty() { Vec::new() } else { vec![Pending::other(introduced)] };
        let rejected = refused.total();
        let reason = refused.finish(config, keeps_silent);
        let accepted = written.samples + written.histograms;
        let converted = Converted { rows, accepted, rejected, reason, undated: false, pending };
        Ok(Taken { converted, written, deduplicated: false })
    }
}

/// As Prometheus writes a series.
fn render(series: &Series) -> String {
    let labels: Vec<String> = series.labels().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{}{{{}}}", series.metric(), labels.join(", "))
}
