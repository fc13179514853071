//! `prometheus.WriteRequest`: every series has its labels in full.
//!
//! ```text
//! WriteRequest 1: TimeSeries { 1: Label { 1: name, 2: value }, 2: Sample, 3: Exemplar { 1: Label, 2: value, 3: ts }, 4: Histogram }
//!              3: MetricMetadata { 1: type, 2: family, 4: help, 5: unit }
//! ```

use std::sync::Arc;

use xxhash_rust::xxh3::{xxh3_128, xxh3_128_with_seed};

use super::Written;
use super::labels::RawLabels;
use super::out::Out;
use super::refused::Refusal;
use super::request::{Metadata, Request};
use crate::convert::series::memory::Entry;
use crate::registry::Series;
use crate::wire::{Reader, WireError};

/// Calls `each` for every series of a request.
pub(super) fn each_series<'a>(body: &'a [u8], mut each: impl FnMut(&'a [u8]) -> Result<(), WireError>) -> Result<(), WireError> {
    let mut reader = Reader::new(body);
    while let Some(field) = reader.next()? {
        if field.number == 1 {
            each(field.bytes()?)?;
        }
    }
    Ok(())
}

/// What there is in a `TimeSeries` message.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shape {
    /// Where the label fields end, if they lie side by side at the front, as every known sender writes them.
    labels_end: usize,
    scattered: bool,
    pub(super) counts: Written,
}

impl Shape {
    /// Looks at the fields and at nothing in them.
    #[inline]
    pub(super) fn read(message: &[u8]) -> Result<Self, WireError> {
        let mut this = Self::default();
        let mut reader = Reader::new(message);
        let mut start = 0;
        while let Some(field) = reader.next()? {
            let end = message.len() - reader.remaining();
            match field.number {
                1 => {
                    field.bytes()?;
                    this.scattered |= this.labels_end != start;
                    this.labels_end = end;
                }
                2 => {
                    field.bytes()?;
                    this.counts.samples += 1;
                }
                3 => {
                    field.bytes()?;
                    this.counts.exemplars += 1;
                }
                4 => {
                    field.bytes()?;
                    this.counts.histograms += 1;
                }
                _ => {}
            }
            start = end;
        }
        Ok(this)
    }

    /// The hash of the labels' bytes, in the order they came.
    #[inline]
    fn hash(&self, message: &[u8], seed: u64) -> u128 {
        if self.scattered { hash_scattered(message, seed) } else { xxh3_128_with_seed(&message[..self.labels_end], seed) }
    }
}

#[cold]
fn hash_scattered(message: &[u8], seed: u64) -> u128 {
    let mut parts = Vec::new();
    let mut reader = Reader::new(message);
    while let Ok(Some(field)) = reader.next() {
        if let (1, Ok(bytes)) = (field.number, field.bytes()) {
            parts.extend_from_slice(&xxh3_128(bytes).to_le_bytes());
        }
    }
    // Another seed: the hash of hashes is not to meet the hash of bytes.
    xxh3_128_with_seed(&parts, !seed)
}

/// Reads the labels of a `TimeSeries` or `Exemplar` message into `labels`.
pub(super) fn read_labels<'a>(
    message: &'a [u8],
    labels: &mut RawLabels<'a>,
    config: &super::RemoteWriteConfig,
) -> Result<Result<(), Refusal>, WireError> {
    labels.clear();
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next()? {
        if field.number == 1 {
            let (name, value) = label(field.bytes()?)?;
            if let Err(refusal) = labels.push(name, value, config) {
                return Ok(Err(refusal));
            }
        }
    }
    Ok(Ok(()))
}

fn label(message: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let (mut name, mut value): (&[u8], &[u8]) = (&[], &[]);
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => name = field.bytes()?,
            2 => value = field.bytes()?,
            _ => {}
        }
    }
    Ok((name, value))
}

impl<'a> Request<'_, 'a> {
    /// Walks a `WriteRequest`.
    pub(super) fn read_v1(&mut self, body: &'a [u8]) -> Result<(), WireError> {
        let mut reader = Reader::new(body);
        while let Some(field) = reader.next()? {
            match field.number {
                1 => self.series_v1(field.bytes()?)?,
                3 => self.metadata_v1(field.bytes()?)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn series_v1(&mut self, message: &'a [u8]) -> Result<(), WireError> {
        let shape = Shape::read(message)?;
        if shape.counts == Written::default() {
            return Ok(()); // nothing to take, nothing to refuse
        }
        let key = self.key(shape.hash(message, self.seed));
        if let Some(Entry::One(series)) = self.memo.points.get(&key) {
            return self.out.contents_v1(series, message);
        }
        let read = read_labels(message, &mut self.labels, self.out.config)?;
        match read.and_then(|()| self.resolve(key)) {
            Ok(series) => self.out.contents_v1(&series, message),
            Err(refusal) => {
                let labels = &self.labels;
                self.out.refused.add(refusal, shape.counts.samples + shape.counts.histograms, || labels.render());
                Ok(())
            }
        }
    }

    /// Type, unit and help of a family, apart from any series.
    fn metadata_v1(&mut self, message: &'a [u8]) -> Result<(), WireError> {
        let (mut kind, mut name, mut help, mut unit): (i32, &[u8], &[u8], &[u8]) = (0, &[], &[], &[]);
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next()? {
            match field.number {
                1 => kind = field.int32()?,
                2 => name = field.bytes()?,
                4 => help = field.bytes()?,
                5 => unit = field.bytes()?,
                _ => {}
            }
        }
        // A family without a name says nothing of anything; no sample depends on it.
        if let Ok(name) = super::labels::text(name)
            && !name.is_empty()
            && name.len() <= self.out.config.name_bytes_max
        {
            self.metadata(name, Metadata { kind, help, unit }, self.now_ms);
        }
        Ok(())
    }
}

impl Out<'_> {
    /// Takes everything but the labels of a `TimeSeries` message.
    #[inline]
    fn contents_v1(&mut self, series: &Arc<Series>, message: &[u8]) -> Result<(), WireError> {
        let mut beside = None;
        let mut exemplars = false;
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next()? {
            match field.number {
                2 => beside = beside.max(self.sample(series, field.bytes()?)?),
                3 => exemplars = true,
                4 => beside = beside.max(self.histogram(series, field.bytes()?)?),
                _ => {}
            }
        }
        if exemplars { self.exemplars_v1(series, message, beside) } else { Ok(()) }
    }

    fn exemplars_v1(&mut self, series: &Arc<Series>, message: &[u8], beside: Option<i64>) -> Result<(), WireError> {
        let mut labels = Vec::new();
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next()? {
            if field.number != 3 {
                continue;
            }
            labels.clear();
            let (mut value, mut ts) = (0.0, 0);
            let mut exemplar = Reader::new(field.bytes()?);
            while let Some(field) = exemplar.next()? {
                match field.number {
                    1 => labels.push(label(field.bytes()?)?),
                    2 => value = field.double()?,
                    3 => ts = field.int64()?,
                    _ => {}
                }
            }
            self.exemplar(series, &labels, value, ts, beside);
        }
        Ok(())
    }
}
