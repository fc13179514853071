//! The routes that every listener carries: is it alive, is it ready, what are its numbers, which version is it.
//!
//! | path | answer |
//! |---|---|
//! | `/-/healthy` | 200 while the process serves at all |
//! | `/-/ready`, `/ready` | 200 when it takes work, else 503 and why not (`/ready` is Loki's and Tempo's word) |
//! | `/metrics` | the node's own numbers in the Prometheus text format |
//! | `/api/v1/status/buildinfo` | the version, in the shape of Prometheus' endpoint; the Prometheus listener has its own |

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{StatusCode, header};
use serde_json::json;

/// What the routes ask of the process.
pub trait NodeStatus: Send + Sync + fmt::Debug + 'static {
    /// `Ok` when the node takes work, else why not, on one line (`starting`, `stopping`, what is wrong with it).
    fn ready(&self) -> Result<(), String>;
    /// The current numbers in the Prometheus text format.
    fn metrics(&self) -> String;
    /// The version, as in `0.1.0`.
    fn version(&self) -> &'static str;
}

/// Health and readiness. Answered without credentials: probes have none.
pub fn probes(status: Arc<dyn NodeStatus>) -> Router {
    Router::new()
        .route("/-/healthy", get(|| async { "Telelake is Healthy.\n" }))
        .route("/-/ready", get(ready))
        .route("/ready", get(ready))
        .with_state(status)
}

/// The node's numbers.
pub fn numbers(status: Arc<dyn NodeStatus>) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(status)
}

/// The version, where no API has a say about it.
pub fn version(status: Arc<dyn NodeStatus>) -> Router {
    Router::new().route("/api/v1/status/buildinfo", get(build_info)).with_state(status)
}

async fn ready(State(status): State<Arc<dyn NodeStatus>>) -> Response {
    match status.ready() {
        Ok(()) => (StatusCode::OK, "ready\n").into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")).into_response(),
    }
}

async fn metrics(State(status): State<Arc<dyn NodeStatus>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], status.metrics()).into_response()
}

async fn build_info(State(status): State<Arc<dyn NodeStatus>>) -> Response {
    let data = json!({
        "application": "telelake", "version": status.version(), "revision": "", "branch": "", "buildUser": "", "buildDate": "",
        "goVersion": "",
    });
    Json(json!({ "status": "success", "data": data })).into_response()
}
