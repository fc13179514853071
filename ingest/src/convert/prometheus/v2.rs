//! `io.prometheus.write.v2.Request`: text once, in a table, and series that refer to it.
//!
//! ```text
//! Request 4: symbols
//!         5: TimeSeries { 1: labels_refs, 2: Sample, 3: Histogram, 4: Exemplar { 1: labels_refs, 2: value, 3: ts }, 5: Metadata }
//! ```
//! References mean nothing beyond their request. So each symbol is hashed once, and a series is known by the hashes of its symbols.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::labels::RawLabels;
use super::out::Out;
use super::refused::Refusal;
use super::request::{Metadata, Request, family_of};
use super::{RemoteWriteConfig, Written};
use crate::convert::DecodeError;
use crate::convert::series::memory::Entry;
use crate::registry::Series;
use crate::wire::{Field, Reader, Value, WireError};

/// Symbols of one request; with more it is refused.
pub(super) const SYMBOLS_MAX: usize = 1 << 20;
/// References of one exemplar that are read; with more labels it has too many characters anyway.
const EXEMPLAR_REFERENCES_MAX: usize = 512;
/// Bytes of the longest varint.
const VARINT_BYTES_MAX: usize = 10;

/// The table of text of one request.
#[derive(Debug, Default)]
pub(super) struct Symbols<'a> {
    texts: Vec<&'a [u8]>,
    hashes: Vec<u128>,
}

impl<'a> Symbols<'a> {
    /// Reads the table of `body`; symbols are hashed with `seed`.
    ///
    /// # Errors
    /// [`DecodeError::TooMany`] beyond [`SYMBOLS_MAX`].
    pub(super) fn read(body: &'a [u8], seed: u64) -> Result<Self, DecodeError> {
        let wire = |error| DecodeError::wire(super::Message::V2.name(), error);
        let mut this = Self::default();
        let mut reader = Reader::new(body);
        while let Some(field) = reader.next().map_err(wire)? {
            if field.number == 4 {
                if this.texts.len() >= SYMBOLS_MAX {
                    return Err(DecodeError::TooMany { what: "symbols", limit: SYMBOLS_MAX as u64 });
                }
                let text = field.bytes().map_err(wire)?;
                this.texts.push(text);
                this.hashes.push(xxh3_128_with_seed(text, seed));
            }
        }
        Ok(this)
    }

    fn get(&self, reference: u64) -> Option<&'a [u8]> {
        self.texts.get(usize::try_from(reference).ok()?).copied()
    }

    /// Puts the labels of a list of references into `labels`.
    pub(super) fn labels(
        &self,
        references: &[u64],
        labels: &mut RawLabels<'a>,
        config: &RemoteWriteConfig,
    ) -> Result<(), Refusal> {
        labels.clear();
        let (pairs, []) = references.as_chunks::<2>() else { return Err(Refusal::LabelReferences) };
        for [name, value] in pairs {
            let (name, value) = self.get(*name).zip(self.get(*value)).ok_or(Refusal::LabelReferences)?;
            labels.push(name, value, config)?;
        }
        Ok(())
    }
}

/// Adds the references of a `labels_refs` field to `out`; whether there is room for `max` of them is told before they are read.
fn references(field: &Field<'_>, out: &mut Vec<u64>, max: usize) -> Result<Result<(), Refusal>, WireError> {
    if matches!(field.value, Value::Bytes(bytes) if bytes.len() > max.saturating_mul(VARINT_BYTES_MAX)) || out.len() > max {
        return Ok(Err(Refusal::TooManyLabels));
    }
    field.uint64s(out).map(Ok)
}

/// Calls `each` for every series of a request.
pub(super) fn each_series<'a>(body: &'a [u8], mut each: impl FnMut(&'a [u8]) -> Result<(), WireError>) -> Result<(), WireError> {
    let mut reader = Reader::new(body);
    while let Some(field) = reader.next()? {
        if field.number == 5 {
            each(field.bytes()?)?;
        }
    }
    Ok(())
}

/// What there is in a `TimeSeries` message, but for its samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape<'a> {
    pub(super) counts: Written,
    metadata: &'a [u8],
    labels: Result<(), Refusal>,
}

impl<'a> Shape<'a> {
    /// Looks at the fields; the references of the labels go to `out`, up to what `labels_max` labels may need.
    pub(super) fn read(message: &'a [u8], out: &mut Vec<u64>, labels_max: usize) -> Result<Self, WireError> {
        out.clear();
        // Labels that are left out for being empty, the name and the replica come on top of the limit.
        let max = labels_max.saturating_add(64).saturating_mul(2);
        let mut this = Self { counts: Written::default(), metadata: &[], labels: Ok(()) };
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next()? {
            match field.number {
                1 => this.labels = this.labels.and(references(&field, out, max)?),
                2 => {
                    field.bytes()?;
                    this.counts.samples += 1;
                }
                3 => {
                    field.bytes()?;
                    this.counts.histograms += 1;
                }
                4 => {
                    field.bytes()?;
                    this.counts.exemplars += 1;
                }
                5 => this.metadata = field.bytes()?,
                _ => {}
            }
        }
        Ok(this)
    }

    fn check(&self) -> Result<(), Refusal> {
        match (self.counts.samples, self.counts.histograms) {
            (0, 0) => Err(Refusal::NoSample),
            (0, _) | (_, 0) => self.labels,
            (_, _) => Err(Refusal::BothKinds),
        }
    }
}

/// What is reused from series to series.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    references: Vec<u64>,
    hashes: Vec<u8>,
}

impl<'a> Request<'_, 'a> {
    /// Walks a `Request`.
    pub(super) fn read_v2(&mut self, body: &'a [u8], symbols: &Symbols<'a>) -> Result<(), WireError> {
        let mut scratch = Scratch::default();
        each_series(body, |message| self.series_v2(message, symbols, &mut scratch))
    }

    fn series_v2(&mut self, message: &'a [u8], symbols: &Symbols<'a>, scratch: &mut Scratch) -> Result<(), WireError> {
        let shape = Shape::read(message, &mut scratch.references, self.out.config.labels_max)?;
        match shape.check().and_then(|()| self.known_v2(symbols, scratch)) {
            Ok(series) => {
                let newest = self.out.contents_v2(&series, message, symbols)?;
                self.metadata_v2(&series, shape.metadata, newest, symbols)
            }
            Err(refusal) => {
                // Without samples a series is one thing that is wrong, too.
                let count = (shape.counts.samples + shape.counts.histograms).max(1);
                let (labels, references) = (&mut self.labels, &scratch.references);
                let config = self.out.config;
                self.out.refused.add(refusal, count, || {
                    let shown = symbols.labels(references, labels, config);
                    if shown.is_ok() {
                        labels.render()
                    } else {
                        format!("labels_refs {:?}", &references[..references.len().min(16)])
                    }
                });
                Ok(())
            }
        }
    }

    /// The series of the references in `scratch`.
    fn known_v2(&mut self, symbols: &Symbols<'a>, scratch: &mut Scratch) -> Result<Arc<Series>, Refusal> {
        let Scratch { references, hashes } = scratch;
        hashes.clear();
        for reference in references.iter() {
            let hash = usize::try_from(*reference).ok().and_then(|at| symbols.hashes.get(at));
            hashes.extend_from_slice(&hash.ok_or(Refusal::LabelReferences)?.to_le_bytes());
        }
        let key = self.key(xxh3_128_with_seed(hashes, self.seed));
        if let Some(Entry::One(series)) = self.memo.points.get(&key) {
            return Ok(Arc::clone(series));
        }
        symbols.labels(references, &mut self.labels, self.out.config)?;
        self.resolve(key)
    }

    /// The metadata of a series; the newest of its samples that were taken lies at `newest`.
    fn metadata_v2(
        &mut self,
        series: &Arc<Series>,
        message: &'a [u8],
        newest: Option<i64>,
        symbols: &Symbols<'a>,
    ) -> Result<(), WireError> {
        let (mut kind, mut help, mut unit) = (0, 0, 0);
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next()? {
            match field.number {
                1 => kind = field.int32()?,
                3 => help = field.uint64()?,
                4 => unit = field.uint64()?,
                _ => {}
            }
        }
        let (help, unit) = (symbols.get(help).unwrap_or_default(), symbols.get(unit).unwrap_or_default());
        if let Some(newest) = newest
            && (kind != 0 || !help.is_empty() || !unit.is_empty())
        {
            self.metadata(family_of(series.metric(), kind), Metadata { kind, help, unit }, newest);
        }
        Ok(())
    }
}

impl Out<'_> {
    /// Takes samples, histograms and exemplars of a `TimeSeries` message; gives the time of the newest sample that was taken.
    fn contents_v2(&mut self, series: &Arc<Series>, message: &[u8], symbols: &Symbols<'_>) -> Result<Option<i64>, WireError> {
        let mut newest = None;
        let mut exemplars = false;
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next()? {
            match field.number {
                2 => newest = newest.max(self.sample(series, field.bytes()?)?),
                3 => newest = newest.max(self.histogram(series, field.bytes()?)?),
                4 => exemplars = true,
                _ => {}
            }
        }
        if exemplars {
            self.exemplars_v2(series, message, newest, symbols)?;
        }
        Ok(newest)
    }

    fn exemplars_v2(
        &mut self,
        series: &Arc<Series>,
        message: &[u8],
        newest: Option<i64>,
        symbols: &Symbols<'_>,
    ) -> Result<(), WireError> {
        let (mut found, mut labels) = (Vec::new(), Vec::new());
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next()? {
            if field.number != 4 {
                continue;
            }
            found.clear();
            labels.clear();
            let (mut value, mut ts, mut too_many) = (0.0, 0, false);
            let mut exemplar = Reader::new(field.bytes()?);
            while let Some(field) = exemplar.next()? {
                match field.number {
                    1 => too_many |= references(&field, &mut found, EXEMPLAR_REFERENCES_MAX)?.is_err(),
                    2 => value = field.double()?,
                    3 => ts = field.int64()?,
                    _ => {}
                }
            }
            let (pairs, odd) = found.as_chunks::<2>();
            labels.extend(pairs.iter().filter_map(|[name, value]| symbols.get(*name).zip(symbols.get(*value))));
            if too_many || !odd.is_empty() || labels.len() < pairs.len() {
                self.refuse(Refusal::ExemplarReferences, series);
                continue;
            }
            self.exemplar(series, &labels, value, ts, newest);
        }
        Ok(())
    }
}
