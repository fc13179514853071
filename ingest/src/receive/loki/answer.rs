//! The answers to a push: plain text, as Loki gives them.
//!
//! ```text
//! all is stored                              204
//! some or all of it was refused              400     what, and how often; the rest is stored
//! a limit of rate or of streams was met      429     what was within the limit of streams is stored
//! no push request, no such encoding          400
//! another method                             405
//! too large, sent or decompressed            413
//! too much in work                           429 + Retry-After
//! log or buffers full                        503 + Retry-After
//! log failed, shutting down                  503
//! a bug                                      500
//! ```

use axum::response::Response;
use catalog::ErrorKind;
use http::StatusCode;

use crate::convert::DecodeError;
use crate::convert::loki::Pushed;
use crate::receive::body::BodyError;
use crate::receive::plain;
use crate::sink::SinkError;

/// Why nothing of a push was stored.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// Something else than POST.
    #[error("only POST is allowed here")]
    Method,
    /// A compression that Loki does not know.
    #[error("Content-Encoding {encoding:?} not supported")]
    UnknownEncoding {
        /// What was sent.
        encoding: String,
    },
    /// The body was not taken.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The body is no push request.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The rows could not be made durable.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// A bug.
    #[error("internal error: {reason}")]
    Internal {
        /// What happened.
        reason: String,
    },
}

impl PushError {
    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Method => ErrorKind::Unsupported,
            Self::UnknownEncoding { .. } => ErrorKind::Invalid,
            Self::Body(error) => error.kind(),
            Self::Decode(error) => error.kind(),
            Self::Sink(error) => error.kind(),
            Self::Internal { .. } => ErrorKind::Internal,
        }
    }

    /// The status of HTTP.
    pub fn status(&self) -> StatusCode {
        match (self, self.kind()) {
            (Self::Method, _) => StatusCode::METHOD_NOT_ALLOWED,
            (Self::Body(_), ErrorKind::Overloaded) => StatusCode::TOO_MANY_REQUESTS,
            (_, ErrorKind::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            (_, ErrorKind::Overloaded | ErrorKind::Unavailable) => StatusCode::SERVICE_UNAVAILABLE,
            (_, ErrorKind::Invalid | ErrorKind::Unsupported) => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The value of `Retry-After`, in seconds.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Body(error) => error.retry_after_s(),
            Self::Sink(error) => error.retry_after_s(),
            _ => None,
        }
    }

    /// The answer.
    pub(super) fn answer(&self) -> Response {
        plain::refusal(self.status(), &self.to_string(), self.retry_after())
    }
}

/// The answer to a push whose rows are stored.
pub(super) fn taken(pushed: &Pushed) -> Response {
    match &pushed.converted.reason {
        Some(reason) if pushed.throttled => plain::text(StatusCode::TOO_MANY_REQUESTS, reason),
        Some(reason) => plain::text(StatusCode::BAD_REQUEST, reason),
        None => plain::empty(StatusCode::NO_CONTENT),
    }
}
