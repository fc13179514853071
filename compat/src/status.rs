//! From what went wrong to a status code and a body.

use axum::Json;
use axum::response::{IntoResponse, Response};
use catalog::ErrorKind;
use http::StatusCode;
use serde_json::json;

/// The status code of an error kind.
pub const fn of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::TooLarge => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::Overloaded => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Unavailable | ErrorKind::Fenced => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Denied => StatusCode::FORBIDDEN,
        ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// `{"error": ..., "kind": ...}` with the status of `kind`.
pub fn error(kind: ErrorKind, message: &str) -> Response {
    (of(kind), Json(json!({ "error": message, "kind": kind.name() }))).into_response()
}
