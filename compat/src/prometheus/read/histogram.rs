//! Chunks of histograms with float counts.
//!
//! ```text
//! count (16 bits) │ flags (8) │ layout: zero threshold, schema, spans, custom bounds │ t, count, zero count, sum, buckets │ differences ...
//! ```
//! All histograms of a chunk have one layout. A stale marker has none of its own: it is a sum, and no buckets.
//! Source: Prometheus `tsdb/chunkenc/float_histogram.go`, `histogram_meta.go`.

use promql::histogram::{BucketSpan, CUSTOM_BUCKETS, Histogram, ResetHint};
use promql::value::is_stale;

use super::bits::{Bits, Xor};

/// Whether `b` can follow `a` in a chunk. What follows in a chunk is read as "the counter was not reset", so it must not have been.
pub(super) fn can_follow(a: &Histogram, b: &Histogram) -> bool {
    if is_stale(a.sum) || is_stale(b.sum) {
        return is_stale(b.sum);
    }
    let one_layout = a.schema == b.schema
        && a.zero_threshold.to_bits() == b.zero_threshold.to_bits()
        && a.positive_spans == b.positive_spans
        && a.negative_spans == b.negative_spans
        && a.custom_bounds == b.custom_bounds;
    one_layout
        && match (a.reset_hint, b.reset_hint) {
            (ResetHint::Gauge, hint) | (hint, ResetHint::Gauge) => a.reset_hint == b.reset_hint && hint == ResetHint::Gauge,
            (_, ResetHint::NotReset) => true,
            (_, ResetHint::Reset) => false,
            (_, ResetHint::Unknown) => has_grown(a, b),
        }
}

/// Whether no count of `b` is below its count in `a`. The layouts are equal.
fn has_grown(a: &Histogram, b: &Histogram) -> bool {
    let pairs = a.positive_counts.iter().zip(&b.positive_counts).chain(a.negative_counts.iter().zip(&b.negative_counts));
    pairs.chain([(&a.count, &b.count), (&a.zero_count, &b.zero_count)]).all(|(a, b)| a <= b)
}

/// The chunk of `samples`, of which there are 1 to 65,535, ascending by time, of which each [`can_follow`] the one before.
pub(super) fn chunk(samples: &[(i64, &Histogram)]) -> Vec<u8> {
    let mut bits = Bits::default();
    let count = u16::try_from(samples.len()).expect("the caller cuts chunks");
    bits.write(u64::from(count), 16);
    let Some(&(first_ms, first)) = samples.first() else { return bits.into_bytes() };
    write_layout(&mut bits, first);
    bits.write_varbit(first_ms);
    let values = |h: &Histogram| -> Vec<f64> {
        let head = [h.count, h.zero_count, h.sum];
        let buckets = h.positive_counts.iter().chain(&h.negative_counts);
        if is_stale(h.sum) { vec![0.0, 0.0, h.sum] } else { head.into_iter().chain(buckets.copied()).collect() }
    };
    let mut states: Vec<Xor> = Vec::new();
    for value in values(first) {
        bits.write(value.to_bits(), 64);
        states.push(Xor::after(value));
    }
    let (mut last_ms, mut last_delta) = (first_ms, 0);
    for (at, &(time_ms, histogram)) in samples.iter().enumerate().skip(1) {
        let delta = time_ms.wrapping_sub(last_ms);
        bits.write_varbit(if at == 1 { delta } else { delta.wrapping_sub(last_delta) });
        for (state, value) in states.iter_mut().zip(values(histogram)) {
            state.write(&mut bits, value);
        }
        (last_ms, last_delta) = (time_ms, delta);
    }
    bits.into_bytes()
}

fn write_layout(bits: &mut Bits, h: &Histogram) {
    let flags = match h.reset_hint {
        ResetHint::Unknown => 0b0000_0000,
        ResetHint::Reset => 0b1000_0000,
        ResetHint::NotReset => 0b0100_0000,
        ResetHint::Gauge => 0b1100_0000,
    };
    bits.write(flags, 8);
    write_zero_threshold(bits, h.zero_threshold);
    bits.write_varbit(i64::from(h.schema));
    write_spans(bits, &h.positive_spans);
    write_spans(bits, &h.negative_spans);
    if h.schema == CUSTOM_BUCKETS {
        bits.write_varbit_unsigned(h.custom_bounds.len() as u64);
        for bound in &h.custom_bounds {
            write_bound(bits, *bound);
        }
    }
}

fn write_spans(bits: &mut Bits, spans: &[BucketSpan]) {
    bits.write_varbit_unsigned(spans.len() as u64);
    for span in spans {
        bits.write_varbit_unsigned(u64::from(span.length));
        bits.write_varbit(i64::from(span.offset));
    }
}

/// Nothing is 0; a power of two from 2^-243 to 2^10 is its exponent; all others are 255 and 64 bits.
fn write_zero_threshold(bits: &mut Bits, threshold: f64) {
    if threshold == 0.0 {
        return bits.write(0, 8);
    }
    // Of a normal number that is a power of two, the exponent is all there is.
    let exponent = (threshold.to_bits() >> 52) as i64 - 1022;
    let power = threshold.to_bits() & ((1 << 52) - 1) == 0 && (-242..=11).contains(&exponent);
    if power {
        return bits.write((exponent + 243) as u64, 8);
    }
    bits.write(255, 8);
    bits.write(threshold.to_bits(), 64);
}

/// Whole thousandths are a number, others a zero bit and 64 bits.
fn write_bound(bits: &mut Bits, bound: f64) {
    let thousandths = bound * 1000.0;
    let whole = thousandths.round() / 1000.0 == bound;
    if (0.0..=33_554_430.0).contains(&thousandths) && whole {
        return bits.write_varbit_unsigned(thousandths.round() as u64 + 1);
    }
    bits.write(0, 1);
    bits.write(bound.to_bits(), 64);
}

#[cfg(test)]
mod tests {
    use promql::value::STALE_BITS;

    use super::*;

    fn native(counts: &[f64]) -> Histogram {
        Histogram {
            schema: 1,
            zero_threshold: 0.001,
            count: counts.iter().sum(),
            sum: 1.5,
            positive_spans: vec![BucketSpan { offset: -1, length: counts.len() as u32 }],
            positive_counts: counts.to_vec(),
            reset_hint: ResetHint::NotReset,
            ..Histogram::default()
        }
    }

    #[test]
    fn who_can_follow_whom() {
        let (a, grown, other) = (native(&[1.0, 2.0]), native(&[2.0, 2.0]), native(&[1.0]));
        let hinted = |reset_hint, h: &Histogram| Histogram { reset_hint, ..h.clone() };
        assert!(can_follow(&a, &grown));
        assert!(!can_follow(&a, &other));
        let stale = Histogram { sum: f64::from_bits(STALE_BITS), ..Histogram::default() };
        assert!(can_follow(&a, &stale) && can_follow(&stale, &stale) && !can_follow(&stale, &a));
        assert!(!can_follow(&a, &hinted(ResetHint::Reset, &grown)), "a reset begins a chunk");
        assert!(!can_follow(&a, &hinted(ResetHint::Gauge, &grown)));
        assert!(can_follow(&hinted(ResetHint::Gauge, &grown), &hinted(ResetHint::Gauge, &a)));
        assert!(can_follow(&a, &hinted(ResetHint::Unknown, &grown)));
        assert!(!can_follow(&grown, &hinted(ResetHint::Unknown, &a)), "it was reset, though nobody said so");
    }

    #[test]
    fn the_layout_is_written_once() {
        let h = Histogram { zero_threshold: 0.5, ..native(&[1.0]) };
        let text: String = chunk(&[(0, &h)]).iter().map(|b| format!("{b:08b}")).collect();
        let layout = [
            "0000000000000001", // one sample
            "01000000",         // not reset
            "11110011",         // 2^-1 has the exponent 0: 243
            "10001",            // schema 1
            "10001",            // one positive span
            "10001",            // of one bucket
            "10111",            // at -1
            "0",                // no negative span
            "0",                // time 0
        ];
        assert!(text.starts_with(&layout.concat()), "{text}");
    }

    #[test]
    fn equal_histograms_cost_bits() {
        let h = native(&[1.0, 2.0, 3.0]);
        let samples: Vec<(i64, &Histogram)> = (0..100).map(|n| (n * 15_000, &h)).collect();
        let one = chunk(&samples[..1]).len();
        // Six values and the time, a bit each.
        assert!(chunk(&samples).len() <= one + (2 + 98 * 7 + 6usize).div_ceil(8) + 5);
    }
}
