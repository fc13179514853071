//! Is a histogram one at all?

use std::fmt;

use super::{BucketSpan, Histogram, SCHEMA_MAX, SCHEMA_MIN};

/// Why it is none.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Invalid {
    /// Neither exponential nor custom.
    Schema(i32),
    /// Spans and counts of a side do not have the same number of buckets.
    BucketCount {
        /// Buckets that the spans have.
        spans: usize,
        /// Counts there are.
        counts: usize,
    },
    /// A span that begins before the one before it ends.
    SpanOffset(i32),
    /// A bucket that counts less than nothing.
    Negative(f64),
    /// Bounds that do not ascend, or are not finite.
    Bounds,
    /// Custom buckets beside a zero bucket or negative buckets.
    CustomMix,
    /// A width below nothing.
    ZeroThreshold(f64),
    /// More buckets than custom bounds make.
    TooManyBuckets {
        /// Buckets there are.
        found: usize,
        /// Buckets that the bounds make.
        most: usize,
    },
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schema(schema) => write!(
                f,
                "histogram has an invalid schema, which must be between -4 and 8 for exponential buckets, or -53 for custom buckets, got schema {schema}"
            ),
            Self::BucketCount { spans, counts } => {
                write!(f, "histogram's spans have {spans} buckets, but there are {counts} counts")
            }
            Self::SpanOffset(offset) => write!(f, "histogram has a span whose offset is negative ({offset})"),
            Self::Negative(count) => write!(f, "histogram has a bucket whose observation count is negative ({count})"),
            Self::Bounds => f.write_str("histogram's custom bounds must be finite and ascend"),
            Self::CustomMix => f.write_str("histogram with custom buckets has a zero bucket or negative buckets"),
            Self::ZeroThreshold(width) => write!(f, "histogram has a zero bucket of width {width}"),
            Self::TooManyBuckets { found, most } => write!(f, "histogram has {found} custom buckets, its bounds make {most}"),
        }
    }
}

impl std::error::Error for Invalid {}

impl Histogram {
    /// Checks what storage relies on. Sums may be anything.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self) -> Result<(), Invalid> {
        side(&self.positive_spans, &self.positive_counts)?;
        side(&self.negative_spans, &self.negative_counts)?;
        if self.is_custom() {
            let ascend = self.custom_bounds.windows(2).all(|w| w[0] < w[1]);
            if !ascend || self.custom_bounds.iter().any(|b| !b.is_finite()) {
                return Err(Invalid::Bounds);
            }
            if self.zero_count != 0.0 || self.zero_threshold != 0.0 || !self.negative_counts.is_empty() {
                return Err(Invalid::CustomMix);
            }
            let found = super::sides::indexes(&self.positive_spans).last().map_or(0, |last| last.max(-1) as usize + 1);
            if found > self.custom_bounds.len() + 1 {
                return Err(Invalid::TooManyBuckets { found, most: self.custom_bounds.len() + 1 });
            }
            return Ok(());
        }
        if !(SCHEMA_MIN..=SCHEMA_MAX).contains(&self.schema) {
            return Err(Invalid::Schema(self.schema));
        }
        if !self.custom_bounds.is_empty() {
            return Err(Invalid::CustomMix);
        }
        if self.zero_threshold < 0.0 || self.zero_threshold.is_nan() {
            return Err(Invalid::ZeroThreshold(self.zero_threshold));
        }
        if self.zero_count < 0.0 { Err(Invalid::Negative(self.zero_count)) } else { Ok(()) }
    }
}

fn side(spans: &[BucketSpan], counts: &[f64]) -> Result<(), Invalid> {
    if let Some(span) = spans.iter().skip(1).find(|span| span.offset < 0) {
        return Err(Invalid::SpanOffset(span.offset));
    }
    let buckets = spans.iter().map(|span| span.length as usize).sum();
    if buckets != counts.len() {
        return Err(Invalid::BucketCount { spans: buckets, counts: counts.len() });
    }
    match counts.iter().find(|count| **count < 0.0) {
        Some(count) => Err(Invalid::Negative(*count)),
        None => Ok(()),
    }
}
