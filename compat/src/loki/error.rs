//! Errors as Loki answers them: the text alone, as plain text.
//! Source: `WriteError`, `ClientHTTPStatusAndError` of Loki `pkg/util/server/error.go`.

use axum::response::{IntoResponse, Response};
use catalog::ErrorKind;
use http::StatusCode;
use logql::parse::ParseError;

use crate::form::FormError;
use crate::{asked, status};

/// An answer that says what went wrong.
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

    /// An error of the engine.
    pub(super) fn of_engine(error: query::logql::Error) -> Self {
        let status = status_of(error.kind());
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(%error, cause = ?std::error::Error::source(&error), "a LogQL request failed");
        }
        Self::new(status, error.to_string())
    }
}

/// The status of an error kind. Loki says 400 of every limit of a query, and has nginx's number for a client that went away.
fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::TooLarge => StatusCode::BAD_REQUEST,
        ErrorKind::Cancelled => StatusCode::from_u16(499).expect("three digits"),
        other => status::of(other),
    }
}

impl From<ParseError> for ApiError {
    fn from(error: ParseError) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<FormError> for ApiError {
    fn from(error: FormError) -> Self {
        Self::new(error.status(), error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        asked::failed(self.status, &self.message);
        status::plain(self.status, self.message)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use query::logql::Error;

    use super::*;

    #[test]
    fn kinds_have_lokis_numbers() {
        #[track_caller]
        fn check(error: Error, status: u16, message: &str) {
            let got = ApiError::of_engine(error);
            assert_eq!((got.status.as_u16(), got.message.as_str()), (status, message));
        }
        check(Error::Invalid { message: "parse error".to_owned() }, 400, "parse error");
        check(Error::Limit { name: "series_max", message: "too many".to_owned() }, 400, "too many");
        check(Error::NotFound { message: "no such delete".to_owned() }, 404, "no such delete");
        check(Error::Canceled, 499, "the request was cancelled by the client");
        let slow = Error::Timeout { after: Duration::from_secs(1) };
        let text = slow.to_string();
        assert!(text.starts_with("request timed out, decrease the duration of the request"), "{text}");
        check(slow, 504, &text);
        let busy = Error::Busy { running: 1, waiting: 2 };
        let text = busy.to_string();
        check(busy, 429, &text);
        assert_eq!(status_of(ErrorKind::TooLarge), 400);
        assert_eq!(status_of(ErrorKind::Unavailable), 503);
        assert_eq!(status_of(ErrorKind::Corrupt), 500);
    }
}
