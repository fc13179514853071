//! The paths below which Prometheus and its kin push: remote write 1.0 and 2.0, and OTLP metrics.
//!
//! ```text
//! /api/v1/{write,push,receive}     negotiate ─► body, admitted ─► one snappy block ─► convert ─► sink ─► 204, or what was refused
//! /api/v1/otlp/v1/metrics          OTLP over HTTP, as the `otlp` receiver has it
//! ```
//! The three paths are those of Prometheus, of Mimir and Cortex, and of Thanos.
//!
//! # Invariants
//! - An answer is given after the sink said that rows are durable. What is worth a retry is 429 or 5xx, and then nothing is stored.
//! - The same body again, within the sink's window, gets the same answer and is not stored again.
//! - Of 2.0 every answer counts what was written; of 1.0 none does, so that a sender can tell the two apart.

mod answer;
pub mod batch;
pub mod messages;
mod protocol;
mod write;

use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use catalog::Signal;

pub use answer::WriteError;

use super::ReceiveConfig;
use super::otlp::{OtlpState, http};
use crate::convert::prometheus::RemoteWriteConverter;

#[cfg(test)]
mod tests;

/// What the receivers of Prometheus' paths need.
#[derive(Debug, Clone)]
pub struct PrometheusState {
    otlp: OtlpState,
    write: Arc<RemoteWriteConverter>,
    /// Those of all receivers, but for the decompressed size.
    limits: Arc<ReceiveConfig>,
}

impl PrometheusState {
    /// Converts with `write`; shares sink and admission with `otlp`.
    pub fn new(otlp: OtlpState, write: Arc<RemoteWriteConverter>) -> Self {
        let limits = ReceiveConfig { decompressed_bytes_max: write.config().decoded_bytes_max, ..(*otlp.config).clone() };
        Self { otlp, write, limits: Arc::new(limits) }
    }

    /// The receivers that this one shares with.
    pub fn otlp(&self) -> &OtlpState {
        &self.otlp
    }
}

/// The routes. A [`catalog::TenantId`] must be among the request's extensions.
pub fn router(state: PrometheusState) -> Router {
    let otlp = Router::new().route("/api/v1/otlp/v1/metrics", http::export(Signal::Metrics)).with_state(state.otlp.clone());
    let paths = ["/api/v1/write", "/api/v1/push", "/api/v1/receive"];
    paths.into_iter().fold(Router::new(), |router, path| router.route(path, any(write::write))).with_state(state).merge(otlp)
}
