//! `/loki/api/v1/rules`, `/prometheus/api/v1/{rules,alerts}`: no rules are evaluated here, so there are none.
//! Source: Loki `pkg/ruler/base/api.go`.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use super::error::ApiError;

/// `GET /loki/api/v1/rules`, `GET /loki/api/v1/rules/{namespace}`
pub(super) async fn groups() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "no rule groups found")
}

/// `GET /loki/api/v1/rules/{namespace}/{group}`
pub(super) async fn group() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "group does not exist")
}

/// `GET /prometheus/api/v1/rules`
pub(super) async fn rules() -> Response {
    success(json!({ "groups": [] }))
}

/// `GET /prometheus/api/v1/alerts`
pub(super) async fn alerts() -> Response {
    success(json!({ "alerts": [] }))
}

/// The ruler says in every answer that there was no error.
fn success(data: Value) -> Response {
    Json(json!({ "status": "success", "data": data, "errorType": "", "error": "" })).into_response()
}
