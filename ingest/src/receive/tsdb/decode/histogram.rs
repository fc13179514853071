//! Chunks of histograms, integer and float.
//!
//! ```text
//! count (16 bits) │ flags (8) │ layout: zero threshold, schema, spans, custom bounds │ t, count, zero count, sum, buckets │ ...
//! ```
//! All histograms of a chunk have one layout. Integers are differences of differences along the chunk, floats are xor. A stale
//! marker is a sum, and no buckets. Source: Prometheus `tsdb/chunkenc/{histogram,float_histogram,histogram_meta}.go`.

use super::super::bits::{Bits, Ended, Xor};
use crate::receive::prometheus::messages::{BucketSpan, Count, Histogram, ZeroCount};

const CUSTOM_SCHEMA: i32 = -53;
/// The bits of the sum that ends a series.
const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// What all histograms of a chunk share.
struct Layout {
    reset: u64,
    histogram: Histogram,
    positive: usize,
    negative: usize,
}

impl Layout {
    fn read(bits: &mut Bits<'_>) -> Result<Self, Ended> {
        let reset = bits.read(8)? >> 6;
        let zero_threshold = match bits.read(8)? {
            0 => 0.0,
            255 => bits.float()?,
            // 2^(n - 244), a normal number.
            power => f64::from_bits((power + 1023 - 244) << 52),
        };
        let schema = bits.varbit()? as i32;
        let (positive_spans, positive) = spans(bits)?;
        let (negative_spans, negative) = spans(bits)?;
        let custom_values = if schema == CUSTOM_SCHEMA { bounds(bits)? } else { Vec::new() };
        let histogram =
            Histogram { schema, zero_threshold, positive_spans, negative_spans, custom_values, ..Histogram::default() };
        Ok(Self { reset, histogram, positive, negative })
    }

    /// The `at`th histogram of the chunk. Behind the first one a counter was not reset, else another chunk had begun.
    fn sample(&self, at: u64, timestamp: i64, sum: f64) -> Histogram {
        let reset_hint = match (self.reset, at) {
            (0b11, _) => 3,
            (_, 1..) => 2,
            (0b10, _) => 1,
            _ => 0,
        };
        Histogram { reset_hint, timestamp, sum, ..self.histogram.clone() }
    }
}

fn spans(bits: &mut Bits<'_>) -> Result<(Vec<BucketSpan>, usize), Ended> {
    let count = bits.varbit_unsigned()?;
    let (mut spans, mut buckets) = (Vec::new(), 0usize);
    for _ in 0..count {
        let (length, offset) = (bits.varbit_unsigned()? as u32, bits.varbit()? as i32);
        // A bucket has a bit at least, in every histogram.
        buckets = buckets.saturating_add(length as usize);
        if buckets > bits.left() {
            return Err(Ended);
        }
        spans.push(BucketSpan { offset, length });
    }
    Ok((spans, buckets))
}

fn bounds(bits: &mut Bits<'_>) -> Result<Vec<f64>, Ended> {
    let count = bits.varbit_unsigned()?;
    let mut bounds = Vec::new();
    for _ in 0..count {
        // Whole thousandths are a number above 0, others a zero and 64 bits.
        bounds.push(match bits.varbit_unsigned()? {
            0 => bits.float()?,
            thousandths => (thousandths - 1) as f64 / 1000.0,
        });
    }
    Ok(bounds)
}

/// An integer along the chunk: a value, a difference, differences of differences.
#[derive(Debug, Clone, Copy, Default)]
struct Integer {
    value: i64,
    delta: i64,
}

impl Integer {
    fn next(&mut self, at: u64, bits: &mut Bits<'_>) -> Result<i64, Ended> {
        let read = bits.varbit()?;
        match at {
            0 => self.value = read,
            1 => self.delta = read,
            _ => self.delta = self.delta.wrapping_add(read),
        }
        if at > 0 {
            self.value = self.value.wrapping_add(self.delta);
        }
        Ok(self.value)
    }

    /// The first value, which has no sign.
    fn first(&mut self, bits: &mut Bits<'_>) -> Result<i64, Ended> {
        self.value = bits.varbit_unsigned()? as i64;
        Ok(self.value)
    }
}

/// Integer histograms.
pub(super) fn integer(data: &[u8], mut each: impl FnMut(Histogram)) -> Result<(), Ended> {
    let mut bits = Bits::new(data);
    let samples = bits.read(16)?;
    let layout = Layout::read(&mut bits)?;
    let (mut time, mut count, mut zero) = (Integer::default(), Integer::default(), Integer::default());
    let mut buckets = vec![Integer::default(); layout.positive + layout.negative];
    let mut sum = Xor::after(0.0);
    for at in 0..samples {
        let timestamp = time.next(at, &mut bits)?;
        let (count, zero) = if at == 0 {
            (count.first(&mut bits)?, zero.first(&mut bits)?)
        } else {
            (count.next(at, &mut bits)?, zero.next(at, &mut bits)?)
        };
        if at == 0 {
            sum = Xor::after(bits.float()?);
        } else {
            sum.next(&mut bits)?;
        }
        if sum.value().to_bits() == STALE_BITS {
            each(Histogram { timestamp, sum: sum.value(), ..Histogram::default() });
            continue;
        }
        let mut histogram = layout.sample(at, timestamp, sum.value());
        histogram.count = Some(Count::CountInt(count as u64));
        histogram.zero_count = Some(ZeroCount::ZeroCountInt(zero as u64));
        for (number, bucket) in buckets.iter_mut().enumerate() {
            let delta = bucket.next(at, &mut bits)?;
            if number < layout.positive { histogram.positive_deltas.push(delta) } else { histogram.negative_deltas.push(delta) }
        }
        each(histogram);
    }
    Ok(())
}

/// Float histograms.
pub(super) fn float(data: &[u8], mut each: impl FnMut(Histogram)) -> Result<(), Ended> {
    let mut bits = Bits::new(data);
    let samples = bits.read(16)?;
    let layout = Layout::read(&mut bits)?;
    let mut time = Integer::default();
    // count, zero count, sum, then the buckets
    let mut values = vec![Xor::after(0.0); 3];
    let mut buckets = vec![Xor::after(0.0); layout.positive + layout.negative];
    for at in 0..samples {
        let timestamp = time.next(at, &mut bits)?;
        for value in &mut values {
            next(value, at, &mut bits)?;
        }
        let [count, zero, sum] = [values[0].value(), values[1].value(), values[2].value()];
        if sum.to_bits() == STALE_BITS {
            each(Histogram { timestamp, sum, count: Some(Count::CountFloat(0.0)), ..Histogram::default() });
            continue;
        }
        let mut histogram = layout.sample(at, timestamp, sum);
        histogram.count = Some(Count::CountFloat(count));
        histogram.zero_count = Some(ZeroCount::ZeroCountFloat(zero));
        for (number, bucket) in buckets.iter_mut().enumerate() {
            let count = next(bucket, at, &mut bits)?;
            if number < layout.positive { histogram.positive_counts.push(count) } else { histogram.negative_counts.push(count) }
        }
        each(histogram);
    }
    Ok(())
}

fn next(value: &mut Xor, at: u64, bits: &mut Bits<'_>) -> Result<f64, Ended> {
    if at == 0 {
        *value = Xor::after(bits.float()?);
        return Ok(value.value());
    }
    value.next(bits)
}
