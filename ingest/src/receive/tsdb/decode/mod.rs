//! Chunks as samples. Source: Prometheus `tsdb/docs/format/chunks.md`.

mod histogram;
mod xor;

use super::super::prometheus::messages::{Histogram, v2};
use super::bits::Ended;

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Sample {
    Float(v2::Sample),
    Histogram(Box<Histogram>),
}

impl Sample {
    /// Its time in milliseconds.
    pub(super) fn timestamp(&self) -> i64 {
        match self {
            Self::Float(sample) => sample.timestamp,
            Self::Histogram(histogram) => histogram.timestamp,
        }
    }
}

/// Calls `each` for every sample of a chunk.
///
/// # Errors
/// What is wrong; samples before that were given to `each`.
pub(super) fn chunk(encoding: u8, data: &[u8], mut each: impl FnMut(Sample)) -> Result<(), &'static str> {
    let decoded = match encoding {
        1 => xor::samples(data, |sample| each(Sample::Float(sample))),
        2 => histogram::integer(data, |histogram| each(Sample::Histogram(Box::new(histogram)))),
        3 => histogram::float(data, |histogram| each(Sample::Histogram(Box::new(histogram)))),
        _ => return Err("the encoding of the chunk is not known"),
    };
    decoded.map_err(|Ended| "a chunk ends before its samples do")
}
