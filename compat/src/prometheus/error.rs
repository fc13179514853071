//! Errors in the envelope of Prometheus: `{"status":"error","errorType":...,"error":...}`.
//! Source: `respondError` of Prometheus `web/api/v1/api.go`.

use axum::Json;
use axum::response::{IntoResponse, Response};
use catalog::ErrorKind;
use http::{HeaderValue, StatusCode, header};
use query::usage::{Outcome, note};
use serde::Serialize;

use super::admin::AdminError;
use crate::asked;

/// What kind of error it is, for clients that branch on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorType {
    /// The request is wrong.
    BadData,
    /// The query failed: labels that match twice, a limit that was hit.
    Execution,
    /// The client went away.
    Canceled,
    /// The query took too long.
    Timeout,
    /// A bug, or damage.
    Internal,
    /// Not now, or switched off.
    Unavailable,
    /// There is no such thing.
    NotFound,
}

impl ErrorType {
    const fn word(self) -> &'static str {
        match self {
            Self::BadData => "bad_data",
            Self::Execution => "execution",
            Self::Canceled => "canceled",
            Self::Timeout => "timeout",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::NotFound => "not_found",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::BadData => StatusCode::BAD_REQUEST,
            Self::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            // The number that nginx gave to "the client closed the connection".
            Self::Canceled => StatusCode::from_u16(499).expect("three digits"),
            Self::Timeout => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal | Self::Unavailable => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotFound => StatusCode::NOT_FOUND,
        }
    }
}

/// An answer that says what went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) kind: ErrorType,
    pub(super) message: String,
    /// Where it is not the one of [`ErrorType::status`].
    status: Option<StatusCode>,
}

impl ApiError {
    pub(super) fn new(kind: ErrorType, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), status: None }
    }

    pub(super) fn bad_data(message: impl Into<String>) -> Self {
        Self::new(ErrorType::BadData, message)
    }

    /// A parameter is wrong.
    pub(super) fn parameter(name: &str, reason: impl std::fmt::Display) -> Self {
        Self::bad_data(format!("invalid parameter {name:?}: {reason}"))
    }

    /// The body is larger than `limit` bytes.
    pub(super) fn body_too_large(limit: usize) -> Self {
        Self {
            status: Some(StatusCode::PAYLOAD_TOO_LARGE),
            ..Self::bad_data(format!("request body is larger than {limit} bytes"))
        }
    }

    /// An error of the engine.
    ///
    /// Prometheus has no word for "too much at once" and "storage does not answer"; both are `unavailable`, with a status that says
    /// when to come back.
    pub(super) fn of_engine(error: query::promql::Error) -> Self {
        let (kind, status) = match error.error_type() {
            query::promql::ErrorType::BadData => (ErrorType::BadData, None),
            query::promql::ErrorType::Execution => (ErrorType::Execution, None),
            query::promql::ErrorType::Timeout => (ErrorType::Timeout, None),
            query::promql::ErrorType::Canceled => (ErrorType::Canceled, None),
            query::promql::ErrorType::NotFound => (ErrorType::NotFound, None),
            query::promql::ErrorType::Unavailable => (ErrorType::Unavailable, Some(StatusCode::SERVICE_UNAVAILABLE)),
            query::promql::ErrorType::Busy => (ErrorType::Unavailable, Some(StatusCode::TOO_MANY_REQUESTS)),
            query::promql::ErrorType::Internal => (ErrorType::Internal, None),
        };
        if kind == ErrorType::Internal {
            tracing::error!(%error, cause = ?std::error::Error::source(&error), "a PromQL request failed");
        }
        Self { kind, message: error.to_string(), status }
    }

    /// An error of a query: what is wrong with the text is the parameter's fault.
    pub(super) fn of_query(error: query::promql::Error) -> Self {
        let error = Self::of_engine(error);
        if error.kind == ErrorType::BadData { Self::parameter("query", error.message) } else { error }
    }

    /// An error of the node.
    pub(super) fn of_node(error: AdminError) -> Self {
        let kind = match error.kind {
            ErrorKind::Overloaded | ErrorKind::Unavailable | ErrorKind::Fenced | ErrorKind::Conflict => ErrorType::Unavailable,
            ErrorKind::Timeout => ErrorType::Timeout,
            _ => ErrorType::Internal,
        };
        Self::new(kind, error.message)
    }
}

/// The fields in the order in which Prometheus writes them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    status: &'a str,
    error_type: &'a str,
    error: &'a str,
}

/// An error as text, of federation and remote read.
pub(super) fn plain(status: StatusCode, message: &str) -> (StatusCode, String) {
    asked::failed(status, message);
    (status, format!("{message}\n"))
}

impl ApiError {
    /// The error as text.
    pub(super) fn plain(&self) -> (StatusCode, String) {
        plain(self.status(), &self.message)
    }

    /// The status of the answer.
    pub(super) fn status(&self) -> StatusCode {
        self.status.unwrap_or_else(|| self.kind.status())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        asked::failed(status, &self.message);
        if self.kind == ErrorType::Timeout {
            // Its status says less than that.
            note(|row| row.outcome = Some(Outcome::Timeout));
        }
        let body = Body { status: "error", error_type: self.kind.word(), error: &self.message };
        let mut response = (status, Json(body)).into_response();
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
