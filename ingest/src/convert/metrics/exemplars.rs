//! Exemplars of a data point.

use std::sync::Arc;

use super::delta::Span;
use super::labels::read_attributes;
use super::points::Layout;
use super::reject::PointError;
use super::request::Request;
use crate::convert::series::exemplars::Exemplar;
use crate::registry::Series;
use crate::wire::{Reader, WireError};

/// Characters of names and values together, ids included, up to which an exemplar keeps its attributes (OpenMetrics 1.0).
const RUNES_MAX: usize = 128;

/// Attributes of one exemplar that are looked at; with more it has more than [`RUNES_MAX`] characters anyway.
const ATTRIBUTES_MAX: usize = 128;

impl<'a> Request<'_, 'a> {
    /// Adds the exemplars of a data point to the series that `series` picks by value.
    ///
    /// An exemplar without a value, outside the time window or with text that is not UTF-8 is dropped and counted; the data point
    /// stays. An id of a wrong length or of zeros only is as if it were absent. Attributes are kept as Prometheus keeps
    /// them: all or, beyond 128 characters, none.
    pub(super) fn exemplars<'s>(
        &mut self,
        message: &'a [u8],
        layout: Layout,
        point_ts: i64,
        series: impl Fn(f64) -> &'s Arc<Series>,
    ) -> Result<(), WireError> {
        let mut dropped = 0;
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next()? {
            if field.number != layout.exemplars {
                continue;
            }
            let read = Fields::read(field.bytes()?)?;
            match self.exemplar(&read, point_ts, &series) {
                Ok(()) => {}
                Err(PointError::Reject(_)) => dropped += 1,
                Err(PointError::Wire(error)) => return Err(error),
            }
        }
        if dropped > 0 {
            ::metrics::counter!("telelake_ingest_exemplars_dropped_total").increment(dropped);
        }
        Ok(())
    }

    fn exemplar<'s>(
        &mut self,
        fields: &Fields<'a>,
        point_ts: i64,
        series: &impl Fn(f64) -> &'s Arc<Series>,
    ) -> Result<(), PointError> {
        let value = fields.value.ok_or(super::reject::Reject::NoValue)?;
        let ts = match fields.ts_ns {
            0 => point_ts,
            ts_ns => self.window.times(Span { start_ns: 0, ts_ns })?.ts,
        };
        let trace_id = id::<16>(fields.trace_id);
        let span_id = id::<8>(fields.span_id);
        let mut labels = read_attributes(fields.message, 7, ATTRIBUTES_MAX)?;
        let ids = trace_id.map_or(0, |_| "trace_id".len() + 32) + span_id.map_or(0, |_| "span_id".len() + 16);
        let runes = |text: &str| text.chars().count();
        let total: usize = labels.iter().map(|(name, value)| runes(name) + runes(value)).sum();
        if ids + total > RUNES_MAX {
            labels.clear();
        }
        labels.dedup_by(|a, b| a.0 == b.0);
        self.rows.exemplar(series(value), &Exemplar { ts, value, trace_id, span_id, labels: &labels });
        Ok(())
    }
}

/// An id of `N` bytes that are not all zero.
fn id<const N: usize>(bytes: &[u8]) -> Option<&[u8; N]> {
    <&[u8; N]>::try_from(bytes).ok().filter(|id| id.iter().any(|b| *b != 0))
}

/// An `Exemplar` message.
struct Fields<'a> {
    message: &'a [u8],
    ts_ns: u64,
    value: Option<f64>,
    trace_id: &'a [u8],
    span_id: &'a [u8],
}

impl<'a> Fields<'a> {
    fn read(message: &'a [u8]) -> Result<Self, WireError> {
        let mut this = Self { message, ts_ns: 0, value: None, trace_id: &[], span_id: &[] };
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next()? {
            match field.number {
                2 => this.ts_ns = field.fixed64()?,
                3 => this.value = Some(field.double()?),
                4 => this.span_id = field.bytes()?,
                5 => this.trace_id = field.bytes()?,
                6 => this.value = Some(field.sfixed64()? as f64),
                _ => {}
            }
        }
        Ok(this)
    }
}
