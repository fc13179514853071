//! Errors as Jaeger answers them: in the envelope of its first API, in the one of its gateway, or as a gRPC status.
//! Source: `structuredResponse` of Jaeger's `http_handler.go`, `GRPCGatewayError` of jaeger-idl.

use axum::Json;
use axum::response::{IntoResponse, Response};
use catalog::ErrorKind;
use http::StatusCode;
use query::traceql::Error;
use serde_json::json;
use tonic::{Code, Status};

use crate::{asked, status};

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// The request is wrong.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// There is nothing like that.
    pub(super) fn not_found(message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// An error of the engine.
    pub(super) fn of_engine(error: Error) -> Self {
        let status = match (&error, error.kind()) {
            (Error::TraceTooLarge { .. }, _) => StatusCode::UNPROCESSABLE_ENTITY,
            (_, ErrorKind::Cancelled) => StatusCode::from_u16(499).expect("three digits"),
            (_, kind) => status::of(kind),
        };
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(%error, cause = ?std::error::Error::source(&error), "a request for traces failed");
        }
        Self::new(status, error.to_string())
    }

    /// In the envelope of the first API.
    pub(super) fn v1(self) -> Response {
        asked::failed(self.status, &self.message);
        let body = json!({
            "data": null, "total": 0, "limit": 0, "offset": 0,
            "errors": [{ "code": self.status.as_u16(), "msg": self.message }],
        });
        (self.status, Json(body)).into_response()
    }

    /// In the envelope of the third.
    pub(super) fn v3(self) -> Response {
        asked::failed(self.status, &self.message);
        let body = json!({ "error": { "httpCode": self.status.as_u16(), "message": self.message } });
        (self.status, Json(body)).into_response()
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self::of_engine(error)
    }
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        let code = match error.status.as_u16() {
            400 => Code::InvalidArgument,
            404 => Code::NotFound,
            422 | 429 => Code::ResourceExhausted,
            499 => Code::Cancelled,
            501 => Code::Unimplemented,
            503 => Code::Unavailable,
            504 => Code::DeadlineExceeded,
            _ => Code::Internal,
        };
        Self::new(code, error.message)
    }
}
