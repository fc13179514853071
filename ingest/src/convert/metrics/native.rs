//! Exponential histograms as Prometheus' native histograms.
//!
//! ```text
//! OTLP bucket i at scale s: (b^i, b^(i+1)]      native bucket i at schema s: (b^(i-1), b^i]      so native index = i + 1
//! one scale down, neighbours merge:             i' = i >> 1
//! ```

use super::reject::{PointError, Reject};
use crate::convert::series::histograms::{BucketSpan, Counts, CountsOf, HistogramSample};
use crate::wire::{Field, Reader};

/// The lowest and the highest schema there is; higher scales are merged down, lower ones refused.
pub(crate) const SCHEMA_MIN: i32 = -4;
const SCHEMA_MAX: i32 = 8;

/// The zero threshold that Prometheus gives to OTLP histograms, whatever the sender says.
pub(crate) const ZERO_THRESHOLD: f64 = 1e-128;

/// Empty buckets between two filled ones that are written out rather than starting a new span.
const GAP_MAX: i64 = 2;

/// Bucket counts of one side by native index, ascending, without empty buckets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Buckets(Vec<(i32, u64)>);

impl Buckets {
    /// Reads a `Buckets` message at `scale_down` scales below its own. `scratch` is reused memory.
    pub(crate) fn read(message: &[u8], scale_down: u32, buckets_max: usize, scratch: &mut Vec<u64>) -> Result<Self, PointError> {
        scratch.clear();
        let mut offset = 0;
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next()? {
            match field.number {
                1 => offset = field.sint32()?,
                2 => field.uint64s(scratch)?,
                _ => {}
            }
        }
        if scratch.len() > buckets_max {
            return Err(Reject::TooManyBuckets.into());
        }
        let mut buckets: Vec<(i32, u64)> = Vec::new();
        for (at, &count) in scratch.iter().enumerate().filter(|(_, count)| **count > 0) {
            let index = ((i64::from(offset) + at as i64) >> scale_down.min(63)) + 1;
            let index = i32::try_from(index).map_err(|_| Reject::BucketIndex)?;
            add(&mut buckets, index, count)?;
        }
        Ok(Self(buckets))
    }

    /// The sum of all counts, unless it overflows.
    pub(crate) fn total(&self) -> Option<u64> {
        self.0.iter().try_fold(0u64, |sum, (_, count)| sum.checked_add(*count))
    }

    /// How many buckets are filled.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// With every two neighbours merged `times` times.
    pub(crate) fn scaled_down(&self, times: u32) -> Result<Self, Reject> {
        let mut merged = Vec::with_capacity(self.0.len());
        for (index, count) in &self.0 {
            let index = ((i64::from(*index) - 1) >> times.min(63)) + 1;
            add(&mut merged, i32::try_from(index).map_err(|_| Reject::BucketIndex)?, *count)?;
        }
        Ok(Self(merged))
    }

    /// The counts of both.
    pub(crate) fn merged(&self, other: &Self) -> Result<Self, Reject> {
        let mut all: Vec<(i32, u64)> = self.0.iter().chain(&other.0).copied().collect();
        all.sort_by_key(|(index, _)| *index);
        if let (Some((first, _)), Some((last, _))) = (all.first(), all.last())
            && first.checked_sub(*last).is_none()
        {
            return Err(Reject::BucketIndex); // the gap would not fit a span
        }
        let mut merged = Vec::with_capacity(all.len());
        for (index, count) in all {
            add(&mut merged, index, count)?;
        }
        Ok(Self(merged))
    }

    /// The buckets as spans: the first offset is an index, later ones are gaps.
    pub(crate) fn spans(&self) -> Spans {
        let mut spans = Spans::default();
        let (mut span, mut end) = (None::<BucketSpan>, 0i64);
        for (index, count) in &self.0 {
            let index = i64::from(*index);
            match &mut span {
                Some(span) if index - end <= GAP_MAX => {
                    span.length += (index - end) as i32 + 1;
                    spans.counts.resize(spans.counts.len() + (index - end) as usize, 0);
                }
                _ => {
                    // Fits: `merged` sees to it, and a data point's buckets are dense.
                    let offset = if span.is_some() { index - end } else { index } as i32;
                    spans.spans.extend(span.replace(BucketSpan { offset, length: 1 }));
                }
            }
            spans.counts.push(*count as i64);
            end = index + 1;
        }
        spans.spans.extend(span);
        spans
    }
}

/// Buckets as a row has them.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    spans: Vec<BucketSpan>,
    counts: Vec<i64>,
}

/// Adds `count` at `index`, which is no lower than the last one's.
fn add(buckets: &mut Vec<(i32, u64)>, index: i32, count: u64) -> Result<(), Reject> {
    match buckets.last_mut() {
        Some((last, sum)) if *last == index => *sum = sum.checked_add(count).ok_or(Reject::CountRange)?,
        _ => buckets.push((index, count)),
    }
    Ok(())
}

/// One native histogram with integer counts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NativeHistogram {
    pub(crate) schema: i32,
    pub(crate) zero_threshold: f64,
    pub(crate) zero_count: u64,
    pub(crate) count: u64,
    pub(crate) sum: f64,
    pub(crate) positive: Buckets,
    pub(crate) negative: Buckets,
}

/// The fields of a data point that make the histogram.
#[derive(Debug, Default)]
pub(crate) struct NativeFields<'a> {
    count: u64,
    sum: Option<f64>,
    scale: i32,
    zero_count: u64,
    positive: &'a [u8],
    negative: &'a [u8],
}

impl<'a> NativeFields<'a> {
    /// Takes `field` if it is one of them.
    pub(crate) fn take(&mut self, field: &Field<'a>) -> Result<(), PointError> {
        match field.number {
            4 => self.count = field.fixed64()?,
            5 => self.sum = Some(field.double()?),
            6 => self.scale = field.sint32()?,
            7 => self.zero_count = field.fixed64()?,
            8 => self.positive = field.bytes()?,
            9 => self.negative = field.bytes()?,
            _ => {}
        }
        Ok(())
    }
}

impl NativeHistogram {
    /// The marker of a series that ended: nothing but the stale bits in the sum.
    pub(crate) fn stale() -> Self {
        Self {
            schema: 0,
            zero_threshold: ZERO_THRESHOLD,
            zero_count: 0,
            count: 0,
            sum: super::STALE,
            positive: Buckets::default(),
            negative: Buckets::default(),
        }
    }

    /// Of a data point's fields. An absent sum is 0, as in Prometheus.
    ///
    /// # Errors
    /// Scales below -4, more than `buckets_max` buckets on a side, counts that do not add up (with a NaN sum the buckets may be
    /// fewer: NaN observations are in none) or do not fit 63 bits.
    pub(crate) fn new(fields: &NativeFields<'_>, buckets_max: usize, scratch: &mut Vec<u64>) -> Result<Self, PointError> {
        if fields.scale < SCHEMA_MIN {
            return Err(Reject::Scale.into());
        }
        let scale_down = fields.scale.saturating_sub(SCHEMA_MAX).max(0) as u32;
        let this = Self {
            schema: fields.scale.min(SCHEMA_MAX),
            zero_threshold: ZERO_THRESHOLD,
            zero_count: fields.zero_count,
            count: fields.count,
            sum: fields.sum.unwrap_or(0.0),
            positive: Buckets::read(fields.positive, scale_down, buckets_max, scratch)?,
            negative: Buckets::read(fields.negative, scale_down, buckets_max, scratch)?,
        };
        let in_buckets = this.in_buckets().ok_or(Reject::CountRange)?;
        let adds_up = if this.sum.is_nan() { in_buckets <= this.count } else { in_buckets == this.count };
        if !adds_up {
            return Err(Reject::CountMismatch.into());
        }
        if i64::try_from(this.count).is_err() {
            return Err(Reject::CountRange.into());
        }
        Ok(this)
    }

    /// Calls `take` with the row that this becomes. Counts beyond 63 bits were refused before.
    pub(crate) fn as_sample<T>(&self, take: impl FnOnce(&HistogramSample<'_>) -> T) -> T {
        let (positive, negative) = (self.positive.spans(), self.negative.spans());
        take(&HistogramSample {
            schema: self.schema,
            reset_hint: 0, // unknown
            zero_threshold: self.zero_threshold,
            sum: self.sum,
            counts: Counts::Integer(CountsOf {
                total: self.count as i64,
                zero: self.zero_count as i64,
                positive: &positive.counts,
                negative: &negative.counts,
            }),
            custom_bounds: &[],
            positive: &positive.spans,
            negative: &negative.spans,
        })
    }

    fn in_buckets(&self) -> Option<u64> {
        self.zero_count.checked_add(self.positive.total()?)?.checked_add(self.negative.total()?)
    }

    /// The histogram with the observations of both, at the lower schema; lower still while a side has more than `buckets_max`
    /// buckets.
    pub(crate) fn merged(&self, other: &Self, buckets_max: usize) -> Result<Self, Reject> {
        let schema = self.schema.min(other.schema);
        let (a, b) = (self.at_schema(schema)?, other.at_schema(schema)?);
        let count = a.count.checked_add(b.count).filter(|c| i64::try_from(*c).is_ok()).ok_or(Reject::CountRange)?;
        let mut merged = Self {
            schema,
            zero_threshold: a.zero_threshold.max(b.zero_threshold),
            zero_count: a.zero_count.checked_add(b.zero_count).ok_or(Reject::CountRange)?,
            count,
            sum: a.sum + b.sum,
            positive: a.positive.merged(&b.positive)?,
            negative: a.negative.merged(&b.negative)?,
        };
        while merged.positive.len().max(merged.negative.len()) > buckets_max && merged.schema > SCHEMA_MIN {
            merged = merged.at_schema(merged.schema - 1)?;
        }
        Ok(merged)
    }

    /// The same observations at a schema no higher than its own.
    pub(crate) fn at_schema(&self, schema: i32) -> Result<Self, Reject> {
        let times = self.schema.saturating_sub(schema).max(0) as u32;
        let (positive, negative) = (self.positive.scaled_down(times)?, self.negative.scaled_down(times)?);
        Ok(Self { schema: self.schema.min(schema), positive, negative, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spans(buckets: &Buckets) -> Vec<(i32, Vec<i64>)> {
        let Spans { spans, counts } = buckets.spans();
        let mut counts = counts.into_iter();
        spans.iter().map(|span| (span.offset, counts.by_ref().take(span.length as usize).collect())).collect()
    }

    #[test]
    fn spans_bridge_small_gaps_only() {
        #[track_caller]
        fn check(buckets: &[(i32, u64)], expected: &[(i32, &[i64])]) {
            let expected: Vec<(i32, Vec<i64>)> = expected.iter().map(|(o, c)| (*o, c.to_vec())).collect();
            assert_eq!(spans(&Buckets(buckets.to_vec())), expected);
        }
        check(&[], &[]);
        check(&[(-3, 5)], &[(-3, &[5])]);
        check(&[(1, 5), (2, 6), (5, 7)], &[(1, &[5, 6, 0, 0, 7])]);
        check(&[(1, 5), (5, 7)], &[(1, &[5]), (3, &[7])]);
        let far = |index| Buckets(vec![(index, 1)]);
        assert_eq!(far(i32::MIN).merged(&far(i32::MAX)), Err(Reject::BucketIndex));
    }

    fn naive(offset: i32, counts: &[u64], scale_down: u32) -> std::collections::BTreeMap<i64, u64> {
        let mut map = std::collections::BTreeMap::new();
        for (at, count) in counts.iter().enumerate().filter(|(_, c)| **c > 0) {
            *map.entry((i64::from(offset) + at as i64).div_euclid(1 << scale_down) + 1).or_default() += count;
        }
        map
    }

    proptest! {
        #[test]
        fn merging_down_preserves_counts(offset in -5_000i32..5_000, counts in prop::collection::vec(0u64..9, 0..200), down in 0u32..12) {
            let message = opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets { offset, bucket_counts: counts.clone() };
            let bytes = prost::Message::encode_to_vec(&message);
            let read = Buckets::read(&bytes, down, 1_000, &mut Vec::new()).unwrap();
            let expected: Vec<(i32, u64)> = naive(offset, &counts, down).into_iter().map(|(i, c)| (i as i32, c)).collect();
            prop_assert_eq!(&read.0, &expected);
            prop_assert_eq!(read.total().unwrap(), counts.iter().sum::<u64>());
            // In one step or in two: the same.
            let at_once = Buckets::read(&bytes, 0, 1_000, &mut Vec::new()).unwrap().scaled_down(down).unwrap();
            prop_assert_eq!(&at_once, &read);
            // Spans give back the buckets.
            let (mut index, mut back) = (0i64, Vec::new());
            for (offset, counts) in spans(&read) {
                index += i64::from(offset);
                for count in counts {
                    if count > 0 {
                        back.push((index as i32, count as u64));
                    }
                    index += 1;
                }
            }
            prop_assert_eq!(back, read.0);
        }

        #[test]
        fn extreme_offsets_and_scales_never_panic(offset in any::<i32>(), scale in any::<i32>(), counts in prop::collection::vec(any::<u64>(), 0..20)) {
            let message = opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets { offset, bucket_counts: counts };
            let bytes = prost::Message::encode_to_vec(&message);
            let fields = NativeFields { scale, positive: &bytes, negative: &bytes, ..NativeFields::default() };
            let _ = NativeHistogram::new(&fields, 100, &mut Vec::new());
        }
    }
}
