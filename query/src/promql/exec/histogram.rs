//! Histograms as bytes, for the columns between operators. Little endian, numbers as their bits, no version: bytes live as long as a query.

use promql::histogram::{BucketSpan, Histogram, ResetHint};

/// Appends the bytes of `histogram` to `out`.
pub(super) fn encode(histogram: &Histogram, out: &mut Vec<u8>) {
    let hint: i32 = match histogram.reset_hint {
        ResetHint::Unknown => 0,
        ResetHint::Reset => 1,
        ResetHint::NotReset => 2,
        ResetHint::Gauge => 3,
    };
    out.extend_from_slice(&histogram.schema.to_le_bytes());
    out.extend_from_slice(&hint.to_le_bytes());
    for number in [histogram.zero_threshold, histogram.zero_count, histogram.count, histogram.sum] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    for spans in [&histogram.positive_spans, &histogram.negative_spans] {
        out.extend_from_slice(&(spans.len() as u32).to_le_bytes());
        for span in spans {
            out.extend_from_slice(&span.offset.to_le_bytes());
            out.extend_from_slice(&span.length.to_le_bytes());
        }
    }
    for numbers in [&histogram.positive_counts, &histogram.negative_counts, &histogram.custom_bounds] {
        out.extend_from_slice(&(numbers.len() as u32).to_le_bytes());
        numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
    }
}

/// The histogram that [`encode`] wrote; `None` for other bytes.
pub(super) fn decode(mut bytes: &[u8]) -> Option<Histogram> {
    let bytes = &mut bytes;
    let mut histogram = Histogram { schema: i32::from_le_bytes(take(bytes)?), ..Histogram::default() };
    histogram.reset_hint = match i32::from_le_bytes(take(bytes)?) {
        0 => ResetHint::Unknown,
        1 => ResetHint::Reset,
        2 => ResetHint::NotReset,
        3 => ResetHint::Gauge,
        _ => return None,
    };
    for number in [&mut histogram.zero_threshold, &mut histogram.zero_count, &mut histogram.count, &mut histogram.sum] {
        *number = f64::from_le_bytes(take(bytes)?);
    }
    histogram.positive_spans = spans(bytes)?;
    histogram.negative_spans = spans(bytes)?;
    histogram.positive_counts = numbers(bytes)?;
    histogram.negative_counts = numbers(bytes)?;
    histogram.custom_bounds = numbers(bytes)?;
    bytes.is_empty().then_some(histogram)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*head)
}

/// A count of things that take `size` bytes each, of which there are enough.
fn length(bytes: &mut &[u8], size: usize) -> Option<usize> {
    let length = u32::from_le_bytes(take(bytes)?) as usize;
    (length.checked_mul(size)? <= bytes.len()).then_some(length)
}

fn spans(bytes: &mut &[u8]) -> Option<Vec<BucketSpan>> {
    let count = length(bytes, 8)?;
    let span = |_| Some(BucketSpan { offset: i32::from_le_bytes(take(bytes)?), length: u32::from_le_bytes(take(bytes)?) });
    (0..count).map(span).collect()
}

fn numbers(bytes: &mut &[u8]) -> Option<Vec<f64>> {
    let count = length(bytes, 8)?;
    (0..count).map(|_| Some(f64::from_le_bytes(take(bytes)?))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trips(schema in -53..9, hint in 0..4, head in any::<[i64; 4]>(), counts in prop::collection::vec(any::<i64>(), 0..9)) {
            let number = |bits: &i64| f64::from_bits(*bits as u64);
            let counts: Vec<f64> = counts.iter().map(number).collect();
            let span = BucketSpan { offset: schema, length: counts.len() as u32 };
            let hints = [ResetHint::Unknown, ResetHint::Reset, ResetHint::NotReset, ResetHint::Gauge];
            let histogram = Histogram {
                schema,
                reset_hint: hints[hint as usize],
                zero_threshold: number(&head[0]),
                zero_count: number(&head[1]),
                count: number(&head[2]),
                sum: number(&head[3]),
                positive_spans: vec![span, span],
                positive_counts: counts.clone(),
                custom_bounds: counts,
                ..Histogram::default()
            };
            let mut bytes = Vec::new();
            encode(&histogram, &mut bytes);
            let back = decode(&bytes).expect("what was written can be read");
            prop_assert!(back.equals(&histogram));
            prop_assert_eq!(back.reset_hint, histogram.reset_hint);
            prop_assert!(decode(&bytes[1..]).is_none_or(|other| !other.equals(&histogram)));
        }

        #[test]
        fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
