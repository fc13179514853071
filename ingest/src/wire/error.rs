//! What can be wrong with protobuf bytes.

use catalog::ErrorKind;

/// Bytes that are not a message of the expected shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// A length or a number reaches beyond the end.
    #[error("message is truncated")]
    Truncated,
    /// A varint does not fit 64 bits.
    #[error("varint is longer than 64 bits")]
    LongVarint,
    /// Field number 0, beyond 2^29 - 1, or wire type 6 or 7.
    #[error("tag {0} is not valid")]
    BadTag(u64),
    /// Groups are not supported.
    #[error("field {field} is a group, which is not supported")]
    Group {
        /// Its number.
        field: u32,
    },
    /// A known field has another wire type than its definition.
    #[error("field {field} has wire type {found}, expected {expected}")]
    WireType {
        /// Its number.
        field: u32,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A packed list whose length is not a multiple of its element.
    #[error("field {field} is a packed list of {length} bytes, which is not a multiple of {element}")]
    Packed {
        /// Its number.
        field: u32,
        /// Its length.
        length: usize,
        /// Bytes of an element.
        element: usize,
    },
    /// Text that is not UTF-8.
    #[error("field {field} is not valid UTF-8")]
    Utf8 {
        /// Its number.
        field: u32,
    },
    /// A message field that may occur once occurs twice. Protobuf would merge the two; no sender relies on it.
    #[error("field {field} occurs more than once")]
    Repeated {
        /// Its number.
        field: u32,
    },
    /// Attribute values nested too deeply.
    #[error("values are nested deeper than {limit} levels")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
}

impl WireError {
    /// What the caller can do about it: nothing, the request is wrong.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}
