//! The paths below which Loki's senders push: Loki's own push, and OTLP logs.
//!
//! ```text
//! /loki/api/v1/push, /api/prom/push    negotiate ─► body, admitted ─► decompress ─► convert ─► sink ─► 204, or what was refused
//! /otlp/v1/logs                        OTLP over HTTP, as the `otlp` receiver has it, with Loki's 204
//! ```
//! # Invariants
//! - An answer is given after the sink said that rows are durable. A 5xx means that nothing is stored.
//! - The same body again, within the sink's window and with the same outcome, gets the same answer and is not stored again. Lines that
//!   were taken beside others that met a limit (429) come again with the sender's retry, and are stored twice if that one ends otherwise.

mod answer;
mod protocol;
mod push;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use catalog::Signal;
use http::StatusCode;

pub use answer::PushError;

use super::otlp::{OtlpState, http as otlp_http};
use crate::convert::loki::PushConverter;

#[cfg(test)]
pub(crate) mod tests;

/// What the receivers of Loki's paths need.
#[derive(Debug, Clone)]
pub struct LokiState {
    otlp: OtlpState,
    push: Arc<PushConverter>,
}

impl LokiState {
    /// Converts with `push`; shares sink, limits of bodies and admission with `otlp`.
    pub fn new(otlp: OtlpState, push: Arc<PushConverter>) -> Self {
        Self { otlp, push }
    }

    /// The receivers that this one shares with.
    pub fn otlp(&self) -> &OtlpState {
        &self.otlp
    }

    /// How pushes become rows.
    pub fn push(&self) -> &Arc<PushConverter> {
        &self.push
    }
}

/// The paths of a listener of Loki's. A [`catalog::TenantId`] must be among the request's extensions.
pub fn router(state: LokiState) -> Router {
    push_router(state.clone()).merge(Router::new().route("/otlp/v1/logs", any(otlp_logs)).with_state(state.otlp))
}

/// The paths of push alone, for a listener that has OTLP already. A [`catalog::TenantId`] must be among the request's extensions.
pub fn push_router(state: LokiState) -> Router {
    Router::new().route("/loki/api/v1/push", any(push::push)).route("/api/prom/push", any(push::legacy_push)).with_state(state)
}

/// OTLP logs as Loki answers them: 204 when all is stored. What was refused in part is said in a body, which a 204 cannot have.
async fn otlp_logs(State(state): State<OtlpState>, request: Request) -> Response {
    let answer = otlp_http::answer(&state, request, Signal::Logs).await;
    match answer {
        Ok((exported, mut response)) => {
            if exported.rejected == 0 && exported.reason.is_none() {
                *response.status_mut() = StatusCode::NO_CONTENT;
                *response.body_mut() = axum::body::Body::empty();
                response.headers_mut().clear();
            }
            response
        }
        Err(response) => response,
    }
}
