//! One field of a message and its value, read as the type that the definition gives it.

use super::{Reader, WireError};

/// A field's value as it lies on the wire.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// int32, int64, uint32, uint64, sint32, sint64, bool, enum.
    Varint(u64),
    /// fixed64, sfixed64, double.
    Fixed64(u64),
    /// string, bytes, messages, packed lists.
    Bytes(&'a [u8]),
    /// fixed32, sfixed32, float.
    Fixed32(u32),
}

/// A field: its number and its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field<'a> {
    /// 1 to 2^29 - 1.
    pub number: u32,
    /// The value as it lies on the wire.
    pub value: Value<'a>,
}

/// Every method fails with [`WireError::WireType`] when the field lies differently on the wire.
impl<'a> Field<'a> {
    /// `bytes`, a nested message, or text that is not looked at yet.
    #[inline]
    pub fn bytes(&self) -> Result<&'a [u8], WireError> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(self.mismatch("bytes")),
        }
    }

    /// A cursor over a nested message.
    #[inline]
    pub fn message(&self) -> Result<Reader<'a>, WireError> {
        self.bytes().map(Reader::new)
    }

    /// `string`, validated.
    ///
    /// # Errors
    /// [`WireError::Utf8`].
    pub fn text(&self) -> Result<&'a str, WireError> {
        simdutf8::basic::from_utf8(self.bytes()?).map_err(|_| WireError::Utf8 { field: self.number })
    }

    /// `uint64`.
    #[inline]
    pub fn uint64(&self) -> Result<u64, WireError> {
        match self.value {
            Value::Varint(value) => Ok(value),
            _ => Err(self.mismatch("varint")),
        }
    }

    /// `int64`.
    #[inline]
    pub fn int64(&self) -> Result<i64, WireError> {
        self.uint64().map(|v| v as i64)
    }

    /// `uint32`: the low 32 bits, as protobuf wants it.
    #[inline]
    pub fn uint32(&self) -> Result<u32, WireError> {
        self.uint64().map(|v| v as u32)
    }

    /// `int32` or an enum: the low 32 bits, as protobuf wants it.
    #[inline]
    pub fn int32(&self) -> Result<i32, WireError> {
        self.uint64().map(|v| v as i32)
    }

    /// `sint32` (zigzag).
    #[inline]
    pub fn sint32(&self) -> Result<i32, WireError> {
        self.uint32().map(|v| (v >> 1) as i32 ^ -((v & 1) as i32))
    }

    /// `bool`: anything but 0 is true.
    #[inline]
    pub fn boolean(&self) -> Result<bool, WireError> {
        self.uint64().map(|v| v != 0)
    }

    /// `fixed64`.
    #[inline]
    pub fn fixed64(&self) -> Result<u64, WireError> {
        match self.value {
            Value::Fixed64(value) => Ok(value),
            _ => Err(self.mismatch("fixed64")),
        }
    }

    /// `sfixed64`.
    #[inline]
    pub fn sfixed64(&self) -> Result<i64, WireError> {
        self.fixed64().map(|v| v as i64)
    }

    /// `double`, bits untouched.
    #[inline]
    pub fn double(&self) -> Result<f64, WireError> {
        self.fixed64().map(f64::from_bits)
    }

    /// `fixed32`.
    #[inline]
    pub fn fixed32(&self) -> Result<u32, WireError> {
        match self.value {
            Value::Fixed32(value) => Ok(value),
            _ => Err(self.mismatch("fixed32")),
        }
    }

    /// Adds the elements of a `repeated fixed64`, packed or single, to `out`. The caller bounds the message's size; a packed
    /// list allocates what its bytes hold and no more.
    pub fn fixed64s(&self, out: &mut Vec<u64>) -> Result<(), WireError> {
        match self.value {
            Value::Fixed64(value) => out.push(value),
            Value::Bytes(bytes) => {
                let (elements, rest) = bytes.as_chunks::<8>();
                if !rest.is_empty() {
                    return Err(WireError::Packed { field: self.number, length: bytes.len(), element: 8 });
                }
                out.extend(elements.iter().map(|e| u64::from_le_bytes(*e)));
            }
            _ => return Err(self.mismatch("fixed64 or packed list")),
        }
        Ok(())
    }

    /// Adds the elements of a `repeated double`, packed or single, to `out`.
    pub fn doubles(&self, out: &mut Vec<f64>) -> Result<(), WireError> {
        match self.value {
            Value::Fixed64(value) => out.push(f64::from_bits(value)),
            Value::Bytes(bytes) => {
                let (elements, rest) = bytes.as_chunks::<8>();
                if !rest.is_empty() {
                    return Err(WireError::Packed { field: self.number, length: bytes.len(), element: 8 });
                }
                out.extend(elements.iter().map(|e| f64::from_le_bytes(*e)));
            }
            _ => return Err(self.mismatch("double or packed list")),
        }
        Ok(())
    }

    /// Adds the elements of a `repeated uint64` (or another varint type), packed or single, to `out`.
    pub fn uint64s(&self, out: &mut Vec<u64>) -> Result<(), WireError> {
        match self.value {
            Value::Varint(value) => out.push(value),
            Value::Bytes(bytes) => {
                let mut list = Reader::new(bytes);
                while !list.rest.is_empty() {
                    out.push(list.varint()?);
                }
            }
            _ => return Err(self.mismatch("varint or packed list")),
        }
        Ok(())
    }

    #[cold]
    fn mismatch(&self, expected: &'static str) -> WireError {
        let found = match self.value {
            Value::Varint(_) => "varint",
            Value::Fixed64(_) => "fixed64",
            Value::Bytes(_) => "bytes",
            Value::Fixed32(_) => "fixed32",
        };
        WireError::WireType { field: self.number, expected, found }
    }
}
