//! Jaeger's collector: spans over gRPC and as Thrift over HTTP.
//!
//! ```text
//! jaeger.api_v2.CollectorService/PostSpans   protobuf, one batch                     ─┐
//! POST /api/traces                           Thrift's binary protocol, one batch     ─┴─► [model] ─► OTLP ─► sink ─► answer
//! ```
//! What becomes of a Jaeger span is in [`model`], for both.
//!
//! # Invariants
//! - An answer is given after the sink said that rows are durable.
//! - The same body again, within the sink's window, is answered again and not stored again.

mod grpc;
pub mod messages;
mod model;
pub mod protobuf;
pub mod thrift;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use http::HeaderMap;

pub use grpc::router as grpc_router;

use super::otlp::OtlpState;
use super::otlp::export::Foreign;
use super::otlp::status::ExportError;
use super::spans::http::{answer, media_type};
use crate::convert::DecodeError;

#[cfg(test)]
mod tests;

/// The path of Thrift over HTTP. A [`catalog::TenantId`] must be among the request's extensions. It has no fallback, and answers `POST`
/// alone, so that it merges with a router of Jaeger's query API.
pub fn thrift_router(state: OtlpState) -> Router {
    Router::new().route("/api/traces", post(post_traces)).with_state(state)
}

async fn post_traces(State(state): State<OtlpState>, request: Request) -> Response {
    answer(&state, request, thrift_form).await
}

fn thrift_form(headers: &HeaderMap) -> Result<Foreign, ExportError> {
    let media_type = media_type(headers);
    match media_type.as_str() {
        "application/x-thrift" | "application/vnd.apache.thrift.binary" => {
            Ok(Foreign { protocol: "jaeger_thrift", to_otlp: thrift::to_otlp })
        }
        // 400, as Jaeger has it.
        _ => Err(DecodeError::Malformed {
            message: "request",
            reason: format!(
                "content type {media_type:?} is not supported; use application/x-thrift or application/vnd.apache.thrift.binary"
            ),
        }
        .into()),
    }
}
