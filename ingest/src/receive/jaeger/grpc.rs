//! `jaeger.api_v2.CollectorService/PostSpans`, with the framing, compressions and statuses of OTLP over gRPC.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;

use super::protobuf;
use crate::convert::DecodeError;
use crate::receive::otlp::OtlpState;
use crate::receive::otlp::export::Foreign;
use crate::receive::otlp::grpc::{health, no_such_method, read_request, unary};
use crate::receive::otlp::status::ExportError;

/// The routes. A [`catalog::TenantId`] must be among the request's extensions.
pub fn router(state: OtlpState) -> Router {
    Router::new()
        .route("/jaeger.api_v2.CollectorService/PostSpans", post(post_spans))
        .route("/grpc.health.v1.Health/Check", post(health))
        .fallback(no_such_method)
        .with_state(state)
}

async fn post_spans(State(state): State<OtlpState>, request: Request) -> Response {
    unary(request, |request| take(&state, request)).await
}

/// An empty `PostSpansResponse`. It cannot say what was refused in part, which our own metrics and log do; a batch of which nothing is
/// stored is an error.
async fn take(state: &OtlpState, request: Request) -> Result<Vec<u8>, ExportError> {
    let (tenant, encoding, body) = read_request(state, request).await?;
    let form = Foreign { protocol: "jaeger_grpc", to_otlp: protobuf::to_otlp };
    let exported = state.export_spans(tenant, form, encoding, body).await?;
    match exported.reason {
        Some(reason) if exported.rejected > 0 && exported.accepted == 0 => {
            Err(DecodeError::Malformed { message: protobuf::REQUEST, reason }.into())
        }
        _ => Ok(Vec::new()),
    }
}
