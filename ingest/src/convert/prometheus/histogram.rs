//! Native histograms of remote write, checked as Prometheus' `Histogram.Validate` and `FloatHistogram.Validate` do.
//!
//! ```text
//! integer: deltas ─ summed up ─► counts ┐  schema 9..52 ─ neighbours merge 2^(schema - 8) at a time ─► schema 8
//! float:   counts ──────────────────────┴► spans and counts as they were sent ─► HistogramSample
//! ```
//! The message is the same in 1.0 and 2.0, which adds a start time.

use super::refused::Refusal;
use crate::convert::series::histograms::{BucketSpan, CUSTOM_SCHEMA, Counts, CountsOf, HistogramSample};
use crate::wire::{Field, Reader, Value, WireError};

/// The schemas that are stored, and the highest one that is reduced to them.
const SCHEMA_MIN: i32 = -4;
const SCHEMA_MAX: i32 = 8;
const SCHEMA_REDUCED_MAX: i32 = 52;
/// Bytes of the longest varint.
const VARINT_BYTES_MAX: usize = 10;

/// A count or zero count: of a float histogram, or an integer one.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Count {
    Integer(u64),
    Float(f64),
}

impl Count {
    fn integer(self) -> u64 {
        match self {
            Self::Integer(count) => count,
            Self::Float(_) => 0,
        }
    }
    fn float(self) -> f64 {
        match self {
            Self::Float(count) => count,
            Self::Integer(_) => 0.0,
        }
    }
}

/// One side's buckets as they were sent.
#[derive(Debug, Default)]
struct Side {
    spans: Vec<BucketSpan>,
    /// Differences; absolute after [`Side::sum_up`].
    integers: Vec<i64>,
    floats: Vec<f64>,
}

/// What ends the reading of a histogram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum HistogramError {
    /// This histogram is refused; its neighbours are not.
    Refused(Refusal),
    /// The request is not protobuf.
    Wire(WireError),
}

impl From<Refusal> for HistogramError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<WireError> for HistogramError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

/// A `Histogram` message. Reused from one to the next.
#[derive(Debug)]
pub(crate) struct HistogramReader {
    buckets_max: usize,
    count: Count,
    zero_count: Count,
    sum: f64,
    schema: i32,
    zero_threshold: f64,
    reset_hint: i32,
    ts: i64,
    start: i64,
    positive: Side,
    negative: Side,
    custom_bounds: Vec<f64>,
    scratch: Vec<u64>,
}

impl HistogramReader {
    /// Reads histograms of at most `buckets_max` buckets and spans on a side.
    pub(crate) fn new(buckets_max: usize) -> Self {
        Self {
            buckets_max,
            count: Count::Integer(0),
            zero_count: Count::Integer(0),
            sum: 0.0,
            schema: 0,
            zero_threshold: 0.0,
            reset_hint: 0,
            ts: 0,
            start: 0,
            positive: Side::default(),
            negative: Side::default(),
            custom_bounds: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// The time and the start time of the histogram that was read, in milliseconds; 0 when there is none.
    pub(crate) fn times(&self) -> (i64, i64) {
        (self.ts, self.start)
    }

    /// Reads `message` and checks it; [`HistogramReader::sample`] has it then.
    ///
    /// # Errors
    /// [`HistogramError::Refused`] for the first rule that is broken, in Prometheus' order.
    pub(crate) fn read(&mut self, message: &[u8]) -> Result<(), HistogramError> {
        self.reset();
        let mut refused = None;
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next()? {
            match self.take(&field) {
                Ok(()) => {}
                // The rest must be protobuf all the same.
                Err(HistogramError::Refused(refusal)) => refused = refused.or(Some(refusal)),
                Err(error) => return Err(error),
            }
        }
        match refused {
            Some(refusal) => Err(refusal.into()),
            None => Ok(self.check()?),
        }
    }

    fn reset(&mut self) {
        (self.count, self.zero_count) = (Count::Integer(0), Count::Integer(0));
        (self.sum, self.schema, self.zero_threshold) = (0.0, 0, 0.0);
        (self.reset_hint, self.ts, self.start) = (0, 0, 0);
        for side in [&mut self.positive, &mut self.negative] {
            side.spans.clear();
            side.integers.clear();
            side.floats.clear();
        }
        self.custom_bounds.clear();
    }

    fn take(&mut self, field: &Field<'_>) -> Result<(), HistogramError> {
        let max = self.buckets_max;
        match field.number {
            1 => self.count = Count::Integer(field.uint64()?),
            2 => self.count = Count::Float(field.double()?),
            3 => self.sum = field.double()?,
            4 => self.schema = field.sint32()?,
            5 => self.zero_threshold = field.double()?,
            6 => self.zero_count = Count::Integer(field.uint64()?),
            7 => self.zero_count = Count::Float(field.double()?),
            8 => span(&mut self.negative.spans, field, max)?,
            9 => deltas(&mut self.negative.integers, &mut self.scratch, field, max)?,
            10 => doubles(&mut self.negative.floats, field, max)?,
            11 => span(&mut self.positive.spans, field, max)?,
            12 => deltas(&mut self.positive.integers, &mut self.scratch, field, max)?,
            13 => doubles(&mut self.positive.floats, field, max)?,
            14 => self.reset_hint = Some(field.int32()?).filter(|hint| (0..=3).contains(hint)).unwrap_or(0),
            15 => self.ts = field.int64()?,
            16 => doubles(&mut self.custom_bounds, field, max)?,
            17 => self.start = field.int64()?,
            _ => {}
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), Refusal> {
        let exponential = (SCHEMA_MIN..=SCHEMA_REDUCED_MAX).contains(&self.schema);
        if !exponential && self.schema != CUSTOM_SCHEMA {
            return Err(Refusal::Schema);
        }
        match self.count {
            Count::Integer(count) => {
                self.check_layout(|side| side.integers.len())?;
                self.check_integers(count)?;
            }
            Count::Float(count) => {
                self.check_layout(|side| side.floats.len())?;
                self.check_floats(count)?;
            }
        }
        if exponential && self.schema > SCHEMA_MAX {
            let times = (self.schema - SCHEMA_MAX) as u32;
            self.positive.reduce(times)?;
            self.negative.reduce(times)?;
            self.schema = SCHEMA_MAX;
        }
        Ok(())
    }

    /// Spans, bounds and the fields that a kind of buckets must not have. `buckets` is how many counts a side has.
    fn check_layout(&self, buckets: impl Fn(&Side) -> usize) -> Result<(), Refusal> {
        if self.schema != CUSTOM_SCHEMA {
            self.positive.check_spans(buckets(&self.positive))?;
            self.negative.check_spans(buckets(&self.negative))?;
            return if self.custom_bounds.is_empty() { Ok(()) } else { Err(Refusal::ExponentialBounds) };
        }
        if !self.custom_bounds.iter().all(|bound| bound.is_finite()) {
            return Err(Refusal::CustomFinite);
        }
        if !self.custom_bounds.is_sorted_by(|a, b| a < b) {
            return Err(Refusal::CustomOrder);
        }
        if self.positive.spans.first().is_some_and(|span| span.offset < 0) {
            return Err(Refusal::SpanOffset);
        }
        let end = self.positive.check_spans(buckets(&self.positive))?;
        if end > self.custom_bounds.len() as i64 + 1 {
            return Err(Refusal::CustomBounds);
        }
        if self.zero_count.integer() != 0 || self.zero_count.float() != 0.0 || self.zero_threshold != 0.0 {
            return Err(Refusal::CustomZero);
        }
        if !self.negative.spans.is_empty() || buckets(&self.negative) > 0 {
            return Err(Refusal::CustomNegative);
        }
        Ok(())
    }

    fn check_integers(&mut self, count: u64) -> Result<(), Refusal> {
        let negative = self.negative.sum_up()?;
        let positive = self.positive.sum_up()?;
        let zero = self.zero_count.integer();
        let in_buckets = zero.checked_add(negative).and_then(|sum| sum.checked_add(positive)).ok_or(Refusal::CountRange)?;
        if self.sum.is_nan() && in_buckets > count {
            return Err(Refusal::CountTooSmall); // NaN observations are in no bucket
        }
        if !self.sum.is_nan() && in_buckets != count {
            return Err(Refusal::CountMismatch);
        }
        if i64::try_from(count).is_err() {
            return Err(Refusal::CountRange);
        }
        Ok(())
    }

    /// Whether the counts add up is not asked: in floats they may not.
    fn check_floats(&self, count: f64) -> Result<(), Refusal> {
        let negative = |counts: &[f64]| counts.iter().any(|count| *count < 0.0);
        if negative(&self.negative.floats) || negative(&self.positive.floats) || self.zero_count.float() < 0.0 {
            return Err(Refusal::NegativeBucket);
        }
        if count < 0.0 { Err(Refusal::NegativeCount) } else { Ok(()) }
    }

    /// The histogram that was read.
    pub(crate) fn sample(&self) -> HistogramSample<'_> {
        let (positive, negative) = (&self.positive, &self.negative);
        let counts = match self.count {
            Count::Integer(total) => Counts::Integer(CountsOf {
                total: total as i64,
                zero: self.zero_count.integer() as i64,
                positive: &positive.integers,
                negative: &negative.integers,
            }),
            Count::Float(total) => Counts::Float(CountsOf {
                total,
                zero: self.zero_count.float(),
                positive: &positive.floats,
                negative: &negative.floats,
            }),
        };
        HistogramSample {
            schema: self.schema,
            reset_hint: self.reset_hint,
            zero_threshold: self.zero_threshold,
            sum: self.sum,
            counts,
            custom_bounds: &self.custom_bounds,
            positive: &positive.spans,
            negative: &negative.spans,
        }
    }
}

impl Side {
    /// Checks that the spans have `buckets` buckets with indexes of 32 bits; gives the index behind the last one.
    fn check_spans(&self, buckets: usize) -> Result<i64, Refusal> {
        let (mut length, mut end) = (0i64, 0i64);
        for (at, span) in self.spans.iter().enumerate() {
            if at > 0 && span.offset < 0 {
                return Err(Refusal::SpanOffset);
            }
            length += i64::from(span.length);
            end += i64::from(span.offset) + i64::from(span.length);
        }
        if length != buckets as i64 {
            return Err(Refusal::SpanBuckets);
        }
        if end > i64::from(i32::MAX) { Err(Refusal::BucketIndex) } else { Ok(end) }
    }

    /// Turns differences into counts; gives their sum.
    fn sum_up(&mut self) -> Result<u64, Refusal> {
        let (mut count, mut sum) = (0i64, 0u64);
        for slot in &mut self.integers {
            count = count.checked_add(*slot).ok_or(Refusal::CountRange)?;
            if count < 0 {
                return Err(Refusal::NegativeBucket);
            }
            sum = sum.checked_add(count as u64).ok_or(Refusal::CountRange)?;
            *slot = count;
        }
        Ok(sum)
    }

    /// Merges `2^times` neighbours into one, and so `times` schemas down. Checked before.
    fn reduce(&mut self, times: u32) -> Result<(), Refusal> {
        let mut reduced = Self::default();
        let (mut index, mut from, mut last) = (0i64, 0, None::<i64>);
        for span in std::mem::take(&mut self.spans) {
            index += i64::from(span.offset);
            for _ in 0..span.length {
                let target = ((index - 1) >> times) + 1;
                let joins = last == Some(target);
                if !joins {
                    reduced.extend_to(target, last)?;
                }
                if let Some(count) = self.integers.get(from) {
                    // No overflow: the sum of all of them was checked.
                    if joins {
                        *reduced.integers.last_mut().expect("a bucket was pushed") += count
                    } else {
                        reduced.integers.push(*count)
                    }
                }
                if let Some(count) = self.floats.get(from) {
                    if joins {
                        *reduced.floats.last_mut().expect("a bucket was pushed") += count
                    } else {
                        reduced.floats.push(*count)
                    }
                }
                last = Some(target);
                index += 1;
                from += 1;
            }
        }
        *self = reduced;
        Ok(())
    }

    /// Room for a bucket at `target`, behind the one at `last`.
    fn extend_to(&mut self, target: i64, last: Option<i64>) -> Result<(), Refusal> {
        let offset = last.map_or(target, |last| target - last - 1);
        match self.spans.last_mut() {
            Some(span) if offset == 0 => span.length += 1,
            _ => {
                let offset = i32::try_from(offset).map_err(|_| Refusal::BucketIndex)?;
                self.spans.push(BucketSpan { offset, length: 1 });
            }
        }
        Ok(())
    }
}

fn span(spans: &mut Vec<BucketSpan>, field: &Field<'_>, max: usize) -> Result<(), HistogramError> {
    let (mut offset, mut length) = (0, 0);
    let mut reader = field.message()?;
    while let Some(field) = reader.next()? {
        match field.number {
            1 => offset = field.sint32()?,
            2 => length = field.uint32()?,
            _ => {}
        }
    }
    if spans.len() >= max {
        return Err(Refusal::TooManyBuckets.into());
    }
    // Longer than any list of counts: refused as such before it is stored.
    spans.push(BucketSpan { offset, length: i32::try_from(length).map_err(|_| Refusal::SpanBuckets)? });
    Ok(())
}

/// `repeated sint64`, packed or single.
fn deltas(out: &mut Vec<i64>, scratch: &mut Vec<u64>, field: &Field<'_>, max: usize) -> Result<(), HistogramError> {
    check_len(field, max.saturating_mul(VARINT_BYTES_MAX))?;
    scratch.clear();
    field.uint64s(scratch)?;
    if out.len() + scratch.len() > max {
        return Err(Refusal::TooManyBuckets.into());
    }
    out.extend(scratch.iter().map(|v| (v >> 1) as i64 ^ -((v & 1) as i64)));
    Ok(())
}

/// `repeated double`, packed or single.
fn doubles(out: &mut Vec<f64>, field: &Field<'_>, max: usize) -> Result<(), HistogramError> {
    check_len(field, max.saturating_mul(size_of::<f64>()))?;
    field.doubles(out)?;
    if out.len() > max {
        return Err(Refusal::TooManyBuckets.into());
    }
    Ok(())
}

/// A packed list is not read when it is longer than it may be.
fn check_len(field: &Field<'_>, bytes_max: usize) -> Result<(), HistogramError> {
    match field.value {
        Value::Bytes(bytes) if bytes.len() > bytes_max => Err(Refusal::TooManyBuckets.into()),
        _ => Ok(()),
    }
}
