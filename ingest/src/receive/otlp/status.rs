//! What went wrong with an export, as gRPC and as HTTP say it.
//!
//! ```text
//! cause                          gRPC                              HTTP
//! malformed, wrong values        INVALID_ARGUMENT + BadRequest     400
//! too large, sent or inflated    RESOURCE_EXHAUSTED                413     not to be retried: no RetryInfo
//! too much in work               RESOURCE_EXHAUSTED + RetryInfo    429 + Retry-After
//! log or buffers full            UNAVAILABLE + RetryInfo           503 + Retry-After
//! log failed, shutting down      UNAVAILABLE                       503
//! unknown type or compression    UNIMPLEMENTED                     415
//! a bug                          INTERNAL                          500
//! ```

use catalog::ErrorKind;
use http::StatusCode;
use prost::Message;
use serde_json::json;
use tonic::Code;

use super::json::JsonError;
use crate::convert::DecodeError;
use crate::receive::body::BodyError;
use crate::sink::SinkError;

/// Longest message that is sent back, in bytes.
const MESSAGE_BYTES_MAX: usize = 4 << 10;

/// Why an export failed. Nothing of it is stored.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The body was not taken.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The body is no request.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The body is no JSON request.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The rows could not be made durable.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Neither protobuf nor JSON.
    #[error("content type {content_type:?} is not supported; use application/x-protobuf or application/json")]
    UnknownType {
        /// What was sent.
        content_type: String,
    },
    /// Something else than POST.
    #[error("only POST is allowed here")]
    Method,
    /// No such path or method.
    #[error("{path} does not exist here")]
    NoSuchPath {
        /// What was asked for.
        path: String,
    },
    /// The framing of gRPC is broken.
    #[error("{reason}")]
    Framing {
        /// What is wrong.
        reason: &'static str,
    },
    /// A bug.
    #[error("internal error: {reason}")]
    Internal {
        /// What happened.
        reason: String,
    },
}

impl ExportError {
    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Body(e) => e.kind(),
            Self::Decode(e) => e.kind(),
            Self::Json(_) | Self::Framing { .. } => ErrorKind::Invalid,
            Self::Sink(e) => e.kind(),
            Self::UnknownType { .. } | Self::Method => ErrorKind::Unsupported,
            Self::NoSuchPath { .. } => ErrorKind::NotFound,
            Self::Internal { .. } => ErrorKind::Internal,
        }
    }

    /// The pause after which a retry makes sense, if the sender is to make one.
    fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::Body(error) => error.retry_after_s(),
            Self::Sink(error) => error.retry_after_s(),
            _ => None,
        }
    }

    /// The code of gRPC.
    pub fn code(&self) -> Code {
        match (self, self.kind()) {
            (Self::Body(_), ErrorKind::Overloaded) | (_, ErrorKind::TooLarge) => Code::ResourceExhausted,
            (_, ErrorKind::Overloaded | ErrorKind::Unavailable) => Code::Unavailable,
            (_, ErrorKind::Invalid) => Code::InvalidArgument,
            (_, ErrorKind::Unsupported) => Code::Unimplemented,
            (Self::NoSuchPath { .. }, _) => Code::Unimplemented,
            _ => Code::Internal,
        }
    }

    /// The status of HTTP.
    pub fn http_status(&self) -> StatusCode {
        match (self, self.kind()) {
            (Self::Method, _) => StatusCode::METHOD_NOT_ALLOWED,
            (Self::NoSuchPath { .. }, _) => StatusCode::NOT_FOUND,
            (Self::Body(_), ErrorKind::Overloaded) => StatusCode::TOO_MANY_REQUESTS,
            (_, ErrorKind::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            (_, ErrorKind::Overloaded | ErrorKind::Unavailable) => StatusCode::SERVICE_UNAVAILABLE,
            (_, ErrorKind::Invalid) => StatusCode::BAD_REQUEST,
            (_, ErrorKind::Unsupported) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The value of `Retry-After`, in seconds.
    pub fn retry_after(&self) -> Option<u64> {
        self.retry_after_s()
    }

    fn short_message(&self) -> String {
        let mut message = self.to_string();
        if message.len() > MESSAGE_BYTES_MAX {
            let end = (0..=MESSAGE_BYTES_MAX).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
            message.truncate(end);
        }
        message
    }

    /// A `google.rpc.Status` message.
    pub fn to_protobuf(&self) -> Vec<u8> {
        let mut details = Vec::new();
        if let Some(seconds) = self.retry_after_s() {
            let delay = prost_types::Duration { seconds: i64::try_from(seconds).unwrap_or(i64::MAX), nanos: 0 };
            details.push(any("RetryInfo", &RetryInfo { retry_delay: Some(delay) }));
        }
        if self.code() == Code::InvalidArgument {
            let violation = FieldViolation { field: "body".to_owned(), description: self.short_message() };
            details.push(any("BadRequest", &BadRequest { field_violations: vec![violation] }));
        }
        RpcStatus { code: self.code() as i32, message: self.short_message(), details }.encode_to_vec()
    }

    /// The same as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        let mut details = Vec::new();
        if let Some(seconds) = self.retry_after_s() {
            details.push(json!({ "@type": type_url("RetryInfo"), "retryDelay": format!("{seconds}s") }));
        }
        if self.code() == Code::InvalidArgument {
            let violations = json!([{ "field": "body", "description": self.short_message() }]);
            details.push(json!({ "@type": type_url("BadRequest"), "fieldViolations": violations }));
        }
        let mut status = json!({ "code": self.code() as i32, "message": self.short_message() });
        if !details.is_empty() {
            status["details"] = details.into();
        }
        status.to_string().into_bytes()
    }

    /// The status of gRPC, details included.
    pub fn to_grpc(&self) -> tonic::Status {
        tonic::Status::with_details(self.code(), self.short_message(), self.to_protobuf().into())
    }
}

fn type_url(name: &str) -> String {
    format!("type.googleapis.com/google.rpc.{name}")
}

fn any(name: &str, message: &impl Message) -> prost_types::Any {
    prost_types::Any { type_url: type_url(name), value: message.encode_to_vec() }
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) details: Vec<prost_types::Any>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub(super) retry_delay: Option<prost_types::Duration>,
}

/// `google.rpc.BadRequest`.
#[derive(Clone, PartialEq, Message)]
struct BadRequest {
    #[prost(message, repeated, tag = "1")]
    field_violations: Vec<FieldViolation>,
}

/// `google.rpc.BadRequest.FieldViolation`.
#[derive(Clone, PartialEq, Message)]
struct FieldViolation {
    #[prost(string, tag = "1")]
    field: String,
    #[prost(string, tag = "2")]
    description: String,
}
