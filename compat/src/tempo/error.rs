//! Errors as Tempo answers them: over HTTP the text alone, over gRPC a status.
//! Source: `modules/frontend/handler.go` of Tempo, its recorded answers.

use axum::response::{IntoResponse, Response};
use catalog::ErrorKind;
use http::StatusCode;
use query::traceql::Error;
use tonic::{Code, Status};

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
    pub(super) fn of_engine(error: Error) -> Self {
        let status = match &error {
            Error::TraceTooLarge { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            other => status_of(other.kind()),
        };
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(%error, cause = ?std::error::Error::source(&error), "a TraceQL request failed");
        }
        Self::new(status, error.to_string())
    }

    /// The same for gRPC.
    pub(super) fn into_grpc(self) -> Status {
        let code = match self.status.as_u16() {
            400 => Code::InvalidArgument,
            403 => Code::PermissionDenied,
            404 => Code::NotFound,
            413 | 422 | 429 => Code::ResourceExhausted,
            499 => Code::Cancelled,
            503 => Code::Unavailable,
            504 => Code::DeadlineExceeded,
            _ => Code::Internal,
        };
        Status::new(code, self.message)
    }
}

/// The status of an error kind. A client that went away has nginx's number.
fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Cancelled => StatusCode::from_u16(499).expect("three digits"),
        other => status::of(other),
    }
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        error.into_grpc()
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

    use super::*;

    #[test]
    fn kinds_have_tempos_numbers() {
        #[track_caller]
        fn check(error: Error, status: u16, code: Code) {
            let text = error.to_string();
            let got = ApiError::of_engine(error);
            assert_eq!((got.status.as_u16(), got.message.as_str()), (status, text.as_str()));
            assert_eq!(got.into_grpc().code(), code);
        }
        check(Error::Invalid { message: "parse error".to_owned() }, 400, Code::InvalidArgument);
        check(Error::Limit { name: "series_max", message: "too many".to_owned() }, 400, Code::InvalidArgument);
        check(Error::TraceTooLarge { id: "1".to_owned(), limit: 5 }, 422, Code::ResourceExhausted);
        check(Error::Canceled, 499, Code::Cancelled);
        check(Error::Timeout { after: Duration::from_secs(1) }, 504, Code::DeadlineExceeded);
        check(Error::Busy { running: 1, waiting: 2 }, 429, Code::ResourceExhausted);
    }
}
