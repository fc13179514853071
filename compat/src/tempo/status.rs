//! What this server is: `/api/echo`, `/api/status/buildinfo`, `/api/overrides`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;

use super::Api;

/// The version of Tempo whose API is spoken here: clients switch features on by it.
pub const TEMPO_VERSION: &str = "3.0.2";

/// `/api/echo`: what Grafana's data source asks when it is saved.
pub(super) async fn echo() -> &'static str {
    "echo"
}

/// `/api/status/buildinfo`: bare, unlike Prometheus'.
pub(super) async fn build_info(State(api): State<Arc<Api>>) -> Response {
    // The revision says whose program it is: the version is the one of the API.
    let revision = format!("telelake-{}", api.version);
    Json(json!({
        "version": TEMPO_VERSION, "revision": revision, "branch": "", "buildUser": "", "buildDate": "", "goVersion": "",
    }))
    .into_response()
}

/// `GET /api/overrides`: no tenant has any.
pub(super) async fn overrides() -> Response {
    let version = (HeaderName::from_static("etag"), HeaderValue::from_static("0"));
    ([version, (header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], "{}").into_response()
}

/// What would change them.
pub(super) async fn set_overrides() -> (StatusCode, &'static str) {
    (StatusCode::FORBIDDEN, "limits are settings of the node, in the section traceql, which are read at the start\n")
}
