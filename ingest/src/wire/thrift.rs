//! Thrift's binary protocol without copying: a cursor over the bytes of a struct, one field at a time.
//!
//! ```text
//! body ──ThriftReader──► Field { id, kind } ──► integer() | double() | bytes() | list() | structure(|reader, field| ..) | skip()
//! ```
//! The `TBinaryProtocol` of Apache Thrift, without message envelopes: big-endian numbers, a type and an id in front of every field, a type
//! and a count in front of every list, lengths of 32 bits in front of text.
//!
//! # Invariants
//! - No input makes it panic, loop or allocate: a count is checked against the bytes that are left, of which every element takes one.
//! - Nesting is bounded by [`DEPTH_MAX`], also of what is passed over.

use catalog::ErrorKind;

/// Deepest nesting of structs and lists that is followed. Jaeger's batch needs 6, Zipkin's list 4.
pub const DEPTH_MAX: usize = 32;

/// Bytes that are not a struct of the expected shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ThriftError {
    /// A length, a count or a number reaches beyond the end.
    #[error("struct is truncated")]
    Truncated,
    /// A length or a count is negative.
    #[error("a length is negative")]
    NegativeLength,
    /// A type that the protocol does not have.
    #[error("type {0} is not valid")]
    BadType(u8),
    /// A known field has another type than its definition.
    #[error("field {field} has type {found:?}, expected {expected}")]
    FieldType {
        /// Its id.
        field: i16,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: Kind,
    },
    /// Nested too deeply.
    #[error("structs are nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// Something follows the struct.
    #[error("{0} bytes follow the struct")]
    Trailing(usize),
}

impl ThriftError {
    /// What the caller can do about it: nothing, the request is wrong.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One byte, 0 or 1.
    Bool,
    /// One byte.
    Byte,
    /// IEEE 754, 8 bytes.
    Double,
    /// 2 bytes.
    I16,
    /// 4 bytes; enums too.
    I32,
    /// 8 bytes.
    I64,
    /// Text or bytes.
    Bytes,
    /// A struct.
    Struct,
    /// Keys and values.
    Map,
    /// A set.
    Set,
    /// A list.
    List,
}

impl Kind {
    fn of(byte: u8) -> Result<Self, ThriftError> {
        Ok(match byte {
            2 => Self::Bool,
            3 => Self::Byte,
            4 => Self::Double,
            6 => Self::I16,
            8 => Self::I32,
            10 => Self::I64,
            11 => Self::Bytes,
            12 => Self::Struct,
            13 => Self::Map,
            14 => Self::Set,
            15 => Self::List,
            _ => return Err(ThriftError::BadType(byte)),
        })
    }
}

/// What stands in front of a field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its number in the definition.
    pub id: i16,
    /// Its type on the wire.
    pub kind: Kind,
}

impl Field {
    fn expect(self, kind: Kind, expected: &'static str) -> Result<(), ThriftError> {
        if self.kind == kind { Ok(()) } else { Err(ThriftError::FieldType { field: self.id, expected, found: self.kind }) }
    }
}

/// A cursor. Copied to read the same bytes twice.
#[derive(Debug, Clone, Copy)]
pub struct ThriftReader<'a> {
    rest: &'a [u8],
    depth: usize,
}

impl<'a> ThriftReader<'a> {
    /// Starts at the first byte of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, depth: 0 }
    }

    /// A struct: `each` is called with every field and must read its value, or [`ThriftReader::skip`] it.
    ///
    /// # Errors
    /// What is no struct, what is nested too deeply, and what `each` says. The cursor is then useless.
    pub fn structure<E: From<ThriftError>>(&mut self, mut each: impl FnMut(&mut Self, Field) -> Result<(), E>) -> Result<(), E> {
        self.descend()?;
        while let Some(field) = self.field()? {
            each(self, field)?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// The list of structs that `field` is: `each` is called where one begins, and must read it.
    ///
    /// # Errors
    /// As [`ThriftReader::structure`].
    pub fn structures<E: From<ThriftError>>(
        &mut self,
        field: Field,
        each: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        field.expect(Kind::List, "list")?;
        self.list_of(field.id, each)
    }

    /// A list of structs that is no field, but the whole message.
    ///
    /// # Errors
    /// As [`ThriftReader::structure`].
    pub fn bare_structures<E: From<ThriftError>>(&mut self, each: impl FnMut(&mut Self) -> Result<(), E>) -> Result<(), E> {
        self.list_of(0, each)
    }

    fn list_of<E: From<ThriftError>>(&mut self, id: i16, mut each: impl FnMut(&mut Self) -> Result<(), E>) -> Result<(), E> {
        self.descend()?;
        let (kind, count) = self.list_head()?;
        // An empty list may say any type.
        if count > 0 {
            Field { id, kind }.expect(Kind::Struct, "list of structs")?;
        }
        for _ in 0..count {
            each(self)?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// The struct that `field` is, as [`ThriftReader::structure`] reads one.
    ///
    /// # Errors
    /// As [`ThriftReader::structure`].
    pub fn nested<E: From<ThriftError>>(
        &mut self,
        field: Field,
        each: impl FnMut(&mut Self, Field) -> Result<(), E>,
    ) -> Result<(), E> {
        field.expect(Kind::Struct, "struct")?;
        self.structure(each)
    }

    /// The value of `field`: `bool`.
    ///
    /// # Errors
    /// [`ThriftError::FieldType`], [`ThriftError::Truncated`]; so with the methods below.
    pub fn boolean(&mut self, field: Field) -> Result<bool, ThriftError> {
        field.expect(Kind::Bool, "bool")?;
        Ok(self.array::<1>()? != [0])
    }

    /// `i16`.
    pub fn i16(&mut self, field: Field) -> Result<i16, ThriftError> {
        field.expect(Kind::I16, "i16")?;
        Ok(i16::from_be_bytes(self.array()?))
    }

    /// `i32`, or an enum.
    pub fn i32(&mut self, field: Field) -> Result<i32, ThriftError> {
        field.expect(Kind::I32, "i32")?;
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// `i64`.
    pub fn i64(&mut self, field: Field) -> Result<i64, ThriftError> {
        field.expect(Kind::I64, "i64")?;
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// `double`, bits untouched.
    pub fn double(&mut self, field: Field) -> Result<f64, ThriftError> {
        field.expect(Kind::Double, "double")?;
        Ok(f64::from_be_bytes(self.array()?))
    }

    /// `binary`, or `string`, unvalidated.
    pub fn bytes(&mut self, field: Field) -> Result<&'a [u8], ThriftError> {
        field.expect(Kind::Bytes, "string")?;
        self.delimited()
    }

    /// Passes over the value of `field`.
    ///
    /// # Errors
    /// What is malformed, or nested too deeply.
    pub fn skip(&mut self, field: Field) -> Result<(), ThriftError> {
        self.skip_kind(field.kind)
    }

    /// Makes sure that nothing is left.
    ///
    /// # Errors
    /// [`ThriftError::Trailing`].
    pub fn end(&self) -> Result<(), ThriftError> {
        if self.rest.is_empty() { Ok(()) } else { Err(ThriftError::Trailing(self.rest.len())) }
    }

    fn skip_kind(&mut self, kind: Kind) -> Result<(), ThriftError> {
        match kind {
            Kind::Bool | Kind::Byte => self.take(1).map(drop),
            Kind::I16 => self.take(2).map(drop),
            Kind::I32 => self.take(4).map(drop),
            Kind::Double | Kind::I64 => self.take(8).map(drop),
            Kind::Bytes => self.delimited().map(drop),
            Kind::Struct => self.structure(|reader, field| reader.skip(field)),
            Kind::Set | Kind::List => self.skip_elements(false),
            Kind::Map => self.skip_elements(true),
        }
    }

    fn skip_elements(&mut self, map: bool) -> Result<(), ThriftError> {
        self.descend()?;
        // The types of an empty map are not looked at: some senders write none.
        let types: [u8; 2] = if map { self.array()? } else { [self.array::<1>()?[0]; 2] };
        let count = self.count()?;
        if count > 0 {
            let kinds = [Kind::of(types[0])?, Kind::of(types[1])?];
            for _ in 0..count {
                kinds.iter().take(if map { 2 } else { 1 }).try_for_each(|kind| self.skip_kind(*kind))?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn list_head(&mut self) -> Result<(Kind, usize), ThriftError> {
        let [kind] = self.array()?;
        let count = self.count()?;
        Ok((if count == 0 { Kind::Struct } else { Kind::of(kind)? }, count))
    }

    /// A count of elements, each of which has at least one byte.
    fn count(&mut self) -> Result<usize, ThriftError> {
        let count = self.length()?;
        if count > self.rest.len() { Err(ThriftError::Truncated) } else { Ok(count) }
    }

    fn length(&mut self) -> Result<usize, ThriftError> {
        usize::try_from(i32::from_be_bytes(self.array()?)).map_err(|_| ThriftError::NegativeLength)
    }

    fn field(&mut self) -> Result<Option<Field>, ThriftError> {
        match self.array::<1>()? {
            [0] => Ok(None),
            [kind] => Ok(Some(Field { kind: Kind::of(kind)?, id: i16::from_be_bytes(self.array()?) })),
        }
    }

    fn descend(&mut self) -> Result<(), ThriftError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(ThriftError::TooDeep) } else { Ok(()) }
    }

    fn delimited(&mut self) -> Result<&'a [u8], ThriftError> {
        let length = self.length()?;
        self.take(length)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ThriftError> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(ThriftError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ThriftError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(ThriftError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use thrift::protocol::{TBinaryOutputProtocol, TFieldIdentifier, TListIdentifier, TMapIdentifier, TOutputProtocol, TType};

    use super::*;

    /// What Apache's own writer makes of it.
    fn written(write: impl FnOnce(&mut dyn TOutputProtocol) -> thrift::Result<()>) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut TBinaryOutputProtocol::new(&mut bytes, true)).unwrap();
        bytes
    }

    fn head(kind: TType, id: i16) -> TFieldIdentifier {
        TFieldIdentifier::new("f", kind, id)
    }

    fn skip_all(bytes: &[u8]) -> Result<(), ThriftError> {
        let mut reader = ThriftReader::new(bytes);
        reader.structure(|reader, field| reader.skip(field))?;
        reader.end()
    }

    #[test]
    fn every_type_is_read_and_passed_over() {
        let bytes = written(|out| {
            out.write_field_begin(&head(TType::Bool, 1))?;
            out.write_bool(true)?;
            out.write_field_begin(&head(TType::I08, 2))?;
            out.write_i8(-1)?;
            out.write_field_begin(&head(TType::I16, 3))?;
            out.write_i16(-2)?;
            out.write_field_begin(&head(TType::I32, 4))?;
            out.write_i32(-3)?;
            out.write_field_begin(&head(TType::I64, 5))?;
            out.write_i64(i64::MIN)?;
            out.write_field_begin(&head(TType::Double, 6))?;
            out.write_double(0.5)?;
            out.write_field_begin(&head(TType::String, 7))?;
            out.write_string("text")?;
            out.write_field_begin(&head(TType::Map, 8))?;
            out.write_map_begin(&TMapIdentifier::new(TType::I16, TType::String, 1))?;
            out.write_i16(1)?;
            out.write_string("value")?;
            out.write_field_begin(&head(TType::List, 9))?;
            out.write_list_begin(&TListIdentifier::new(TType::Struct, 2))?;
            out.write_field_stop()?;
            out.write_field_stop()?;
            out.write_field_begin(&head(TType::Struct, 10))?;
            out.write_field_stop()?;
            out.write_field_stop()
        });
        assert_eq!(skip_all(&bytes), Ok(()));
        let (mut seen, mut elements) = (Vec::new(), 0);
        let mut reader = ThriftReader::new(&bytes);
        let walk = reader.structure(|reader, field| {
            seen.push(field.id);
            match field.id {
                1 => assert!(reader.boolean(field)?),
                3 => assert_eq!(reader.i16(field)?, -2),
                4 => assert_eq!(reader.i32(field)?, -3),
                5 => assert_eq!(reader.i64(field)?, i64::MIN),
                6 => assert_eq!(reader.double(field)?, 0.5),
                7 => assert_eq!(reader.bytes(field)?, b"text"),
                9 => reader.structures(field, |reader| {
                    elements += 1;
                    reader.structure(|reader, field| reader.skip(field))
                })?,
                10 => reader.nested(field, |reader, field| reader.skip(field))?,
                _ => reader.skip(field)?,
            }
            Ok::<_, ThriftError>(())
        });
        assert_eq!(walk, Ok(()));
        assert_eq!((seen, elements), ((1..=10).collect(), 2));
        for cut in 0..bytes.len() {
            assert_eq!(skip_all(&bytes[..cut]), Err(ThriftError::Truncated), "cut at {cut}");
        }
    }

    #[test]
    fn what_is_hostile_is_refused() {
        #[track_caller]
        fn check(bytes: &[u8], expected: ThriftError) {
            assert_eq!(skip_all(bytes), Err(expected));
        }
        check(&[11, 0, 1, 0x7f, 0xff, 0xff, 0xff, b'a'], ThriftError::Truncated); // 2 GiB of text
        check(&[11, 0, 1, 0xff, 0xff, 0xff, 0xff], ThriftError::NegativeLength);
        check(&[15, 0, 1, 12, 0x7f, 0xff, 0xff, 0xff, 0], ThriftError::Truncated); // 2 Gi structs
        check(&[15, 0, 1, 1, 0, 0, 0, 1, 0], ThriftError::BadType(1)); // elements without bytes
        check(&[5, 0, 1, 0], ThriftError::BadType(5));
        check(&[0, 1, 2], ThriftError::Trailing(2));
        check(&[12, 0, 1].repeat(1000), ThriftError::TooDeep);
        // Lists of lists: a type, a count, and the next one's.
        check(&[&[15, 0, 1][..], &[15, 0, 0, 0, 1].repeat(1000)].concat(), ThriftError::TooDeep);
        let mut reader = ThriftReader::new(&[8, 0, 1, 0, 0, 0, 0, 0]);
        let wrong = reader.structure(|reader, field| reader.bytes(field).map(drop));
        assert_eq!(wrong, Err(ThriftError::FieldType { field: 1, expected: "string", found: Kind::I32 }));
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in prop::collection::vec(prop_oneof![0..16u8, any::<u8>()], 0..200)) {
            let _ = skip_all(&bytes);
        }
    }
}
