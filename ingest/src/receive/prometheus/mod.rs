//! The paths below which Prometheus and its kin push.
//!
//! ```text
//! /api/v1/otlp/v1/metrics              OTLP over HTTP, as the `otlp` receiver has it
//! ```

use axum::Router;
use catalog::Signal;

use super::otlp::{OtlpState, http};

/// What the receivers of Prometheus' paths need.
#[derive(Debug, Clone)]
pub struct PrometheusState {
    otlp: OtlpState,
}

impl PrometheusState {
    /// Shares sink, converters and admission with `otlp`.
    pub fn new(otlp: OtlpState) -> Self {
        Self { otlp }
    }
}

/// The routes. A [`catalog::TenantId`] must be among the request's extensions.
pub fn router(state: PrometheusState) -> Router {
    Router::new().route("/api/v1/otlp/v1/metrics", http::export(Signal::Metrics)).with_state(state.otlp)
}
