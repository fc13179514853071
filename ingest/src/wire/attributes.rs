//! `KeyValue` and `AnyValue` of OTLP, which every signal shares.

use super::{Reader, WireError};

/// How deeply arrays and maps may nest in an attribute value. Recursive readers check it; prost stops at 100 messages.
pub const VALUE_DEPTH_MAX: usize = 32;

/// One attribute. Key and text are not validated yet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KeyValue<'a> {
    /// The key's bytes.
    pub key: &'a [u8],
    /// The value; [`AnyValue::Empty`] when the message has none.
    pub value: AnyValue<'a>,
}

/// An attribute value. Arrays, maps and text are not looked into yet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AnyValue<'a> {
    /// No value was set.
    Empty,
    /// Text, unvalidated.
    Text(&'a [u8]),
    /// Boolean.
    Bool(bool),
    /// Integer.
    Int(i64),
    /// Float.
    Double(f64),
    /// The `ArrayValue` message: [`AnyValue::elements`].
    Array(&'a [u8]),
    /// The `KeyValueList` message: [`AnyValue::entries`].
    Map(&'a [u8]),
    /// Raw bytes.
    Bytes(&'a [u8]),
}

impl<'a> KeyValue<'a> {
    /// Reads a `KeyValue` message.
    pub fn read(message: &'a [u8]) -> Result<Self, WireError> {
        let mut this = Self { key: &[], value: AnyValue::Empty };
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next()? {
            match field.number {
                1 => this.key = field.bytes()?,
                2 => this.value = AnyValue::read(field.bytes()?)?,
                _ => {}
            }
        }
        Ok(this)
    }
}

impl<'a> AnyValue<'a> {
    /// Reads an `AnyValue` message. Of several values the last one wins.
    pub fn read(message: &'a [u8]) -> Result<Self, WireError> {
        let mut this = Self::Empty;
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next()? {
            this = match field.number {
                1 => Self::Text(field.bytes()?),
                2 => Self::Bool(field.boolean()?),
                3 => Self::Int(field.int64()?),
                4 => Self::Double(field.double()?),
                5 => Self::Array(field.bytes()?),
                6 => Self::Map(field.bytes()?),
                7 => Self::Bytes(field.bytes()?),
                _ => continue,
            };
        }
        Ok(this)
    }

    /// Calls `each` for every element of an `ArrayValue` message, in order.
    pub fn elements<E: From<WireError>>(array: &'a [u8], mut each: impl FnMut(Self) -> Result<(), E>) -> Result<(), E> {
        let mut reader = Reader::new(array);
        while let Some(field) = reader.next()? {
            if field.number == 1 {
                each(Self::read(field.bytes()?)?)?;
            }
        }
        Ok(())
    }

    /// Calls `each` for every entry of a `KeyValueList` message, in order.
    pub fn entries<E: From<WireError>>(map: &'a [u8], mut each: impl FnMut(KeyValue<'a>) -> Result<(), E>) -> Result<(), E> {
        let mut reader = Reader::new(map);
        while let Some(field) = reader.next()? {
            if field.number == 1 {
                each(KeyValue::read(field.bytes()?)?)?;
            }
        }
        Ok(())
    }
}
