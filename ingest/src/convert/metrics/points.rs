//! Data points read off the wire: nothing allocated, nothing validated but their shape.

use xxhash_rust::xxh3::{xxh3_128, xxh3_128_with_seed};

use super::config::OtlpMetricsConfig;
use super::delta::{Number, Span};
use super::reject::{PointError, Reject};
use crate::convert::series::rows::Times;
use crate::wire::{Field, Reader, WireError};

/// The `attributes` fields of a data point: their bytes, tags included, if they lie side by side, as every known sender writes them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attributes<'a> {
    message: &'a [u8],
    /// The field's number, which differs between kinds of points.
    number: u32,
    start: usize,
    end: usize,
    scattered: bool,
}

impl<'a> Attributes<'a> {
    fn new(message: &'a [u8], number: u32) -> Self {
        Self { message, number, start: 0, end: 0, scattered: false }
    }

    /// A field of them lies at `start..end` of the message.
    #[inline]
    fn extend(&mut self, start: usize, end: usize) {
        if self.end == 0 {
            self.start = start;
        } else if self.end != start {
            self.scattered = true;
        }
        self.end = end;
    }

    /// The message and the number of the field that they are in.
    pub(crate) fn fields(&self) -> (&'a [u8], u32) {
        (self.message, self.number)
    }

    /// The hash of their bytes, in the order they came.
    #[inline]
    pub(crate) fn hash(&self, seed: u64) -> u128 {
        if self.scattered { self.hash_scattered(seed) } else { xxh3_128_with_seed(&self.message[self.start..self.end], seed) }
    }

    #[cold]
    fn hash_scattered(&self, seed: u64) -> u128 {
        let mut parts = Vec::new();
        let mut reader = Reader::new(self.message);
        while let Ok(Some(field)) = reader.next() {
            if let (true, Ok(bytes)) = (field.number == self.number, field.bytes()) {
                parts.extend_from_slice(&xxh3_128(bytes).to_le_bytes());
            }
        }
        // Another seed: the hash of hashes is not to meet the hash of bytes.
        xxh3_128_with_seed(&parts, !seed)
    }
}

/// What all kinds of points have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Common<'a> {
    pub(crate) attributes: Attributes<'a>,
    pub(crate) span: Span,
    /// The no-recorded-value flag.
    pub(crate) stale: bool,
    pub(crate) has_exemplars: bool,
}

/// Where the fields of [`Common`] are in one kind of point; time and start are 3 and 2 in all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) attributes: u32,
    pub(crate) flags: u32,
    pub(crate) exemplars: u32,
}

pub(crate) const NUMBER: Layout = Layout { attributes: 7, flags: 8, exemplars: 5 };
pub(crate) const HISTOGRAM: Layout = Layout { attributes: 9, flags: 10, exemplars: 8 };
pub(crate) const EXPONENTIAL: Layout = Layout { attributes: 1, flags: 10, exemplars: 11 };
/// Summaries have no exemplars; no message has a field 0.
pub(crate) const SUMMARY: Layout = Layout { attributes: 7, flags: 8, exemplars: 0 };

impl<'a> Common<'a> {
    /// Reads a data point; fields of its own kind go to `own`.
    #[inline]
    pub(crate) fn read(
        message: &'a [u8],
        layout: Layout,
        mut own: impl FnMut(&Field<'a>) -> Result<(), PointError>,
    ) -> Result<Self, PointError> {
        let mut this = Self {
            attributes: Attributes::new(message, layout.attributes),
            span: Span { start_ns: 0, ts_ns: 0 },
            stale: false,
            has_exemplars: false,
        };
        let mut reader = Reader::new(message);
        let mut start = 0;
        while let Some(field) = reader.next()? {
            let end = message.len() - reader.remaining();
            if field.number == layout.attributes {
                field.bytes()?;
                this.attributes.extend(start, end);
            } else if field.number == 2 {
                this.span.start_ns = field.fixed64()?;
            } else if field.number == 3 {
                this.span.ts_ns = field.fixed64()?;
            } else if field.number == layout.flags {
                this.stale = field.uint32()? & 1 != 0;
            } else if field.number == layout.exemplars {
                field.bytes()?;
                this.has_exemplars = true;
            } else {
                own(&field)?;
            }
            start = end;
        }
        Ok(this)
    }
}

/// A gauge's or sum's data point.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NumberPoint<'a> {
    pub(crate) common: Common<'a>,
    pub(crate) value: Option<Number>,
}

impl<'a> NumberPoint<'a> {
    #[inline]
    pub(crate) fn read(message: &'a [u8]) -> Result<Self, PointError> {
        let mut value = None;
        let common = Common::read(message, NUMBER, |field| {
            match field.number {
                4 => value = Some(Number::Double(field.double()?)),
                6 => value = Some(Number::Int(field.sfixed64()?)),
                _ => {}
            }
            Ok(())
        })?;
        Ok(Self { common, value })
    }
}

/// The times that are taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    first_ns: u64,
    last_ns: u64,
}

impl Window {
    /// Around `now_ns`, as the configuration says.
    pub(crate) fn new(config: &OtlpMetricsConfig, now_ns: i64) -> Self {
        let now = i128::from(now_ns);
        let clamp = |ns: i128| ns.clamp(0, i128::from(i64::MAX)) as u64;
        Self {
            first_ns: config.past_max.map_or(0, |past| clamp(now - past.as_nanos() as i128)),
            last_ns: clamp(now + config.future_max.as_nanos() as i128),
        }
    }

    /// The point's times in milliseconds. A start after the time, or unset, is no start.
    ///
    /// # Errors
    /// Times outside the window; and 0, which OTLP means by "no time", and which Prometheus refuses as out of bounds.
    #[inline]
    pub(crate) fn times(&self, span: Span) -> Result<Times, Reject> {
        if span.ts_ns < self.first_ns.max(1) || span.ts_ns > self.last_ns {
            return Err(self.outside(span.ts_ns));
        }
        let ms = |ns: u64| (ns / 1_000_000) as i64;
        let start = (span.start_ns != 0 && span.start_ns <= span.ts_ns).then(|| ms(span.start_ns));
        Ok(Times { ts: ms(span.ts_ns), start })
    }

    #[cold]
    fn outside(&self, ts_ns: u64) -> Reject {
        if ts_ns == 0 {
            Reject::NoTime
        } else if ts_ns > i64::MAX as u64 {
            Reject::TimeOverflow
        } else if ts_ns > self.last_ns {
            Reject::Future
        } else {
            Reject::TooOld
        }
    }
}

/// The data of one metric before its points are read: Prometheus needs to know the kind first, which comes last on the wire.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DataHead {
    pub(crate) points: u64,
    /// 0 unspecified, 1 delta, 2 cumulative.
    pub(crate) temporality: i32,
    pub(crate) monotonic: bool,
}

impl DataHead {
    /// Reads a `Gauge`, `Sum`, `Histogram`, `ExponentialHistogram` or `Summary` message; points are counted, not looked into.
    pub(crate) fn read(data: &[u8]) -> Result<Self, WireError> {
        let mut this = Self::default();
        let mut reader = Reader::new(data);
        while let Some(field) = reader.next()? {
            match field.number {
                1 => {
                    field.bytes()?;
                    this.points += 1;
                }
                2 => this.temporality = field.int32()?,
                3 => this.monotonic = field.boolean()?,
                _ => {}
            }
        }
        Ok(this)
    }
}
