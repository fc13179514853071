//! Answers in Elasticsearch's JSON.
//!
//! ```text
//! bulk: read and stored                   200     a result per document: 201, 400 or 429 each
//! a document stored                       201
//! no bulk request, no document            400
//! too large, sent or decompressed         413
//! too much in work                        429 + Retry-After
//! log or buffers full, log failed         503
//! unknown compression                     415
//! ```

use axum::body::Body;
use axum::response::Response;
use catalog::ErrorKind;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::convert::elastic::{BulkError, Item, Outcome};
use crate::receive::body::BodyError;
use crate::sink::SinkError;

/// Why nothing of a request was stored.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ElasticError {
    /// The body was not taken.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The body is no bulk request.
    #[error(transparent)]
    Bulk(#[from] BulkError),
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

impl ElasticError {
    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Body(error) => error.kind(),
            Self::Bulk(error) => error.kind(),
            Self::Sink(error) => error.kind(),
            Self::Internal { .. } => ErrorKind::Internal,
        }
    }

    /// The status of HTTP.
    pub fn status(&self) -> StatusCode {
        match (self, self.kind()) {
            (Self::Body(_), ErrorKind::Overloaded) => StatusCode::TOO_MANY_REQUESTS,
            (_, ErrorKind::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            (_, ErrorKind::Overloaded | ErrorKind::Unavailable) => StatusCode::SERVICE_UNAVAILABLE,
            (_, ErrorKind::Invalid) => StatusCode::BAD_REQUEST,
            (_, ErrorKind::Unsupported) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn elastic_kind(&self) -> &'static str {
        match self.kind() {
            ErrorKind::Overloaded => "es_rejected_execution_exception",
            ErrorKind::Invalid | ErrorKind::Unsupported => "illegal_argument_exception",
            ErrorKind::TooLarge => "content_too_long_exception",
            _ => "exception",
        }
    }

    /// The answer.
    pub(super) fn answer(&self) -> Response {
        let mut response = error(self.status(), self.elastic_kind(), &self.to_string());
        let pause = match self {
            Self::Body(error) => error.retry_after_s(),
            Self::Sink(error) => error.retry_after_s(),
            _ => None,
        };
        if let Some(seconds) = pause {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// An answer in JSON.
pub(super) fn value(status: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An error in the form that clients read.
pub(super) fn error(status: StatusCode, kind: &str, reason: &str) -> Response {
    let cause = json!({ "type": kind, "reason": reason });
    value(status, &json!({ "error": { "root_cause": [cause], "type": kind, "reason": reason }, "status": status.as_u16() }))
}

/// The result of one document, and its status. `id` is that of a document that came without one.
pub(super) fn item(item: &Item, id: impl FnOnce() -> String) -> (u16, Value) {
    let id = item.id.clone().unwrap_or_else(id);
    match &item.outcome {
        Outcome::Created => {
            let shards = json!({ "total": 1, "successful": 1, "failed": 0 });
            let value = json!({
                "_index": item.index, "_id": id, "_version": 1, "result": "created", "_shards": shards, "_seq_no": 0,
                "_primary_term": 1, "status": 201
            });
            (201, value)
        }
        Outcome::Refused { status, kind, reason } => {
            let error = json!({ "type": kind, "reason": reason });
            (*status, json!({ "_index": item.index, "_id": id, "status": status, "error": error }))
        }
    }
}
