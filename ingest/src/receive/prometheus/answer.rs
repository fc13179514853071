//! The answers to remote write.
//!
//! ```text
//! all is written                            204
//! another replica's                         202
//! some or all of it was refused             400     what, how often and why; the rest is stored
//! no message, no snappy                     400
//! neither POST nor one of the messages      405, 415
//! too large, sent or decompressed           413
//! too much in work                          429 + Retry-After
//! log or buffers full                       503 + Retry-After
//! log failed, shutting down                 503     nothing is stored; send it again
//! a bug                                     500
//! ```
//! 4xx but 429 say that sending it again cannot help. 2.0 always answers how much was written, 1.0 never does.

use axum::response::Response;
use catalog::ErrorKind;
use http::{HeaderValue, StatusCode};

use crate::convert::DecodeError;
use crate::convert::prometheus::{Message, Taken, Written};
use crate::receive::body::BodyError;
use crate::receive::plain;
use crate::sink::SinkError;

/// The headers that count what was written.
pub(super) const WRITTEN_HEADERS: [&str; 3] = [
    "x-prometheus-remote-write-samples-written",
    "x-prometheus-remote-write-histograms-written",
    "x-prometheus-remote-write-exemplars-written",
];

/// Why nothing of a request was stored.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// Something else than POST.
    #[error("only POST is allowed here")]
    Method,
    /// The content type names no message that is known.
    #[error("content type {content_type:?} is not supported: {reason}")]
    UnknownType {
        /// What was sent.
        content_type: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Another compression than snappy.
    #[error("content encoding {encoding:?} is not supported; only snappy is")]
    UnknownEncoding {
        /// What was sent.
        encoding: String,
    },
    /// The body was not taken.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The body is not the message.
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

impl WriteError {
    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Method | Self::UnknownType { .. } | Self::UnknownEncoding { .. } => ErrorKind::Unsupported,
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
            (_, ErrorKind::Invalid) => StatusCode::BAD_REQUEST,
            (_, ErrorKind::Unsupported) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
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

    /// The answer to a request with that message, if it was known.
    pub(super) fn answer(&self, message: Option<Message>) -> Response {
        let mut response = plain::refusal(self.status(), &self.to_string(), self.retry_after());
        count(&mut response, message, Written::default());
        response
    }
}

/// The answer to a request whose rows are stored.
pub(super) fn taken(message: Message, taken: &Taken) -> Response {
    let mut response = match &taken.converted.reason {
        Some(reason) => plain::text(StatusCode::BAD_REQUEST, reason),
        None => plain::empty(if taken.deduplicated { StatusCode::ACCEPTED } else { StatusCode::NO_CONTENT }),
    };
    count(&mut response, Some(message), taken.written);
    response
}

fn count(response: &mut Response, message: Option<Message>, written: Written) {
    if message == Some(Message::V2) {
        let counts = [written.samples, written.histograms, written.exemplars];
        for (name, count) in WRITTEN_HEADERS.into_iter().zip(counts) {
            response.headers_mut().insert(name, HeaderValue::from(count));
        }
    }
}
