//! Parameters in Prometheus' types, refused with its words.

use std::ops::Deref;

use axum::extract::{FromRequest, Request};
use promql::parse::duration_or_seconds;
use query::usage::note;

use super::error::ApiError;
use crate::form::{self, FORM_BYTES_MAX, FormError};
pub(super) use crate::form::{atoi, parse_bool};
use crate::time::{self, MAX_MS, MIN_MS};

/// The parameters.
#[derive(Debug)]
pub(super) struct Form(form::Form);

impl Deref for Form {
    type Target = form::Form;

    fn deref(&self) -> &form::Form {
        &self.0
    }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let form = form::Form::of(request).await.map_err(|error| match error {
            FormError::TooLarge => ApiError::body_too_large(FORM_BYTES_MAX),
            FormError::TooMany => ApiError::bad_data(error.to_string()),
        })?;
        note(|row| row.set_text(form.get("query")));
        Ok(Self(form))
    }
}

impl Form {
    /// Refuses a form that could not be read as a whole.
    pub(super) fn well_formed(&self) -> Result<(), ApiError> {
        match self.malformed() {
            None => Ok(()),
            Some(error) => Err(ApiError::bad_data(format!("error parsing form values: {error}"))),
        }
    }

    /// A time that must be there, in milliseconds.
    pub(super) fn time(&self, name: &str) -> Result<i64, ApiError> {
        time::parse_time(self.get(name)).map_err(|e| ApiError::parameter(name, e))
    }

    /// A time, in milliseconds; `default` when there is none.
    pub(super) fn time_or(&self, name: &str, default: i64) -> Result<i64, ApiError> {
        match self.get(name) {
            "" => Ok(default),
            text => {
                time::parse_time(text).map_err(|e| ApiError::parameter(name, format!("invalid time value for '{name}': {e}")))
            }
        }
    }

    /// `start` and `end`, which may both be missing, in milliseconds.
    pub(super) fn range(&self) -> Result<(i64, i64), ApiError> {
        Ok((self.time_or("start", MIN_MS)?, self.time_or("end", MAX_MS)?))
    }

    /// A duration that must be there, in milliseconds.
    pub(super) fn duration(&self, name: &str) -> Result<i64, ApiError> {
        duration_or_seconds(self.get(name)).map_err(|e| ApiError::parameter(name, e))
    }

    /// A duration, in milliseconds.
    pub(super) fn duration_if_any(&self, name: &str) -> Result<Option<i64>, ApiError> {
        if self.get(name).is_empty() { Ok(None) } else { self.duration(name).map(Some) }
    }

    /// `limit`: how much of the answer is wanted; `None` for all.
    pub(super) fn limit(&self) -> Result<Option<usize>, ApiError> {
        let text = self.get("limit");
        if text.is_empty() {
            return Ok(None);
        }
        let limit = atoi(text).map_err(|e| ApiError::parameter("limit", e))?;
        match usize::try_from(limit) {
            Ok(0) => Ok(None),
            Ok(limit) => Ok(Some(limit)),
            Err(_) => Err(ApiError::parameter("limit", "limit must be non-negative")),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[tokio::test]
    async fn values_are_checked() {
        let request = Request::get("/x?start=x&step=y&limit=-1&time=7").body(Body::empty()).unwrap();
        let form = Form::from_request(request, &()).await.unwrap();
        assert_eq!(
            form.time("start").unwrap_err().message,
            "invalid parameter \"start\": cannot parse \"x\" to a valid timestamp"
        );
        assert_eq!(
            form.range().unwrap_err().message,
            "invalid parameter \"start\": invalid time value for 'start': cannot parse \"x\" to a valid timestamp"
        );
        assert_eq!(
            form.duration("step").unwrap_err().message,
            "invalid parameter \"step\": cannot parse \"y\" to a valid duration"
        );
        assert_eq!(form.limit().unwrap_err().message, "invalid parameter \"limit\": limit must be non-negative");
        assert_eq!((form.time_or("time", 0), form.time_or("end", 5)), (Ok(7000), Ok(5)));
    }

    #[tokio::test]
    async fn a_form_that_cannot_be_read_is_refused() {
        let request = Request::get("/x?a=%zz").body(Body::empty()).unwrap();
        let form = Form::from_request(request, &()).await.unwrap();
        assert_eq!(form.well_formed().unwrap_err().message, "error parsing form values: invalid URL escape \"%zz\"");
    }
}
