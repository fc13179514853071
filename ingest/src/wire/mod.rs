//! Protobuf without copying: a cursor over the bytes of a message, one field at a time.
//!
//! ```text
//! body ──Reader──► Field { number, value: Varint | Fixed64 | Fixed32 | Bytes(&body[..]) } ──message()──► Reader of the nested message
//! ```
//! The receivers' hot paths walk requests with it; prost stays the oracle in tests. What prost refuses is refused here as
//! well, with two additions: groups (long deprecated, no protocol of ours has them) are an error instead of being skipped,
//! and text is not validated unless [`Field::text`] is called, so that one bad string costs one record, not the request.
//!
//! # Invariants
//! - No input makes it panic, loop or allocate: every step consumes at least one byte or fails.
//! - Nesting is the caller's: a nested message is only walked by making a new [`Reader`], so that depth is bounded by code.

pub mod attributes;
mod error;
mod field;
pub mod json;
pub mod thrift;
pub mod time;

pub use attributes::{AnyValue, KeyValue, VALUE_DEPTH_MAX};
pub use error::WireError;
pub use field::{Field, Value};

/// A cursor over one message.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first field of `message`.
    #[inline]
    pub fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field, or `None` at the end of the message.
    ///
    /// # Errors
    /// Bytes that are not a protobuf field. The cursor is then useless: drop the message.
    // Not an `Iterator`: `while let Some(field) = reader.next()?` reads better than a `Result` in every arm.
    #[allow(clippy::should_implement_trait)]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Field<'a>>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|n| *n != 0 && *n <= FIELD_NUMBER_MAX).ok_or(WireError::BadTag(tag))?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => Value::Bytes(self.delimited()?),
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            3 | 4 => return Err(WireError::Group { field: number }),
            _ => return Err(WireError::BadTag(tag)),
        };
        Ok(Some(Field { number, value }))
    }

    /// How many bytes of the message are not read yet.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// One base-128 varint: at most ten bytes, and the tenth holds one bit.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, WireError> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            [low, high, rest @ ..] if *high < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*low & 0x7f) | u64::from(*high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0u64;
        for (at, &byte) in self.rest.iter().enumerate().take(VARINT_BYTES_MAX) {
            if at == VARINT_BYTES_MAX - 1 && byte > 1 {
                return Err(WireError::LongVarint);
            }
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                self.rest = &self.rest[at + 1..];
                return Ok(value);
            }
        }
        Err(if self.rest.len() < VARINT_BYTES_MAX { WireError::Truncated } else { WireError::LongVarint })
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    #[inline]
    fn delimited(&mut self) -> Result<&'a [u8], WireError> {
        let length = self.varint()?;
        let length = usize::try_from(length).map_err(|_| WireError::Truncated)?;
        let (head, rest) = self.rest.split_at_checked(length).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }
}

/// Field numbers have 29 bits.
const FIELD_NUMBER_MAX: u32 = (1 << 29) - 1;

/// 64 bits in groups of seven.
const VARINT_BYTES_MAX: usize = 10;

#[cfg(test)]
mod tests;
