//! Why a request that is not OTLP cannot be read.

use crate::convert::DecodeError;
use crate::receive::body::BodyError;
use crate::receive::otlp::status::ExportError;
use crate::wire::WireError;
use crate::wire::json::JsonError;
use crate::wire::thrift::ThriftError;

/// What is wrong with the bytes; nothing of the request is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    /// No protobuf, or not of the expected shape.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// No Thrift, or not of the expected shape.
    #[error(transparent)]
    Thrift(#[from] ThriftError),
    /// No JSON, or not of the expected shape.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The body is not UTF-8, which JSON must be.
    #[error("body is not valid UTF-8")]
    Utf8,
    /// Too large as OTLP.
    #[error(transparent)]
    TooLarge(#[from] BodyError),
}

impl ReadError {
    /// The same, of a `message`.
    pub(crate) fn of(self, message: &'static str) -> ExportError {
        match self {
            Self::TooLarge(error) => error.into(),
            other => DecodeError::Malformed { message, reason: other.to_string() }.into(),
        }
    }
}
