//! Answers in plain text, as receivers of Prometheus' and Loki's protocols give them.

use axum::body::Body;
use axum::response::Response;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};

/// Longest text that is sent back, in bytes.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// An answer that says `message`, cut if it is very long, on a line.
pub(super) fn text(status: StatusCode, message: &str) -> Response {
    let end = (0..=message.len().min(TEXT_BYTES_MAX)).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
    let mut response = Response::new(Body::from(format!("{}\n", &message[..end])));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A refusal: with the pause that a retry should make, and with the method that would be allowed.
pub(super) fn refusal(status: StatusCode, message: &str, retry_after_s: Option<u64>) -> Response {
    let mut response = text(status, message);
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    }
    response
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
