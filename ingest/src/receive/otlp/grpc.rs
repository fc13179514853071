//! OTLP over grpc.

use axum::Router;

use super::OtlpState;

/// The routes. A [`catalog::TenantId`] must be among the request's extensions.
pub fn router(state: OtlpState) -> Router {
    Router::new().with_state(state)
}
