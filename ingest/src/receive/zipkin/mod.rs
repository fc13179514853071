//! Zipkin's collector: spans of version 2 as JSON and protobuf, of version 1 as JSON and Thrift.
//!
//! ```text
//! POST /api/v2/spans   JSON list, or `zipkin.proto3.ListOfSpans`   ─┐
//! POST /api/v1/spans   JSON list, or a list in Thrift ─► [v1]      ─┴─► [model] ─► OTLP ─► sink ─► answer
//! ```
//! What becomes of a Zipkin span is in [`model`], for all of them.
//!
//! # Invariants
//! - An answer is given after the sink said that rows are durable.
//! - The same body again, within the sink's window, is answered again and not stored again.
//! - What is no list of spans is refused as a whole. A span of a list that has a bad id, or breaks a limit, is refused alone.

mod from_otlp;
pub mod json;
mod model;
pub mod protobuf;
mod v1;
pub mod v1_json;
pub mod v1_thrift;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use http::HeaderMap;

use super::otlp::OtlpState;
use super::otlp::export::Foreign;
use super::otlp::status::ExportError;
use super::spans::http::{answer, media_type};

#[cfg(test)]
mod tests;

/// The paths that spans are sent to. A [`catalog::TenantId`] must be among the request's extensions. It has no fallback, and answers
/// `POST` alone, so that it merges with a router of Zipkin's query API, which has the same paths.
pub fn router(state: OtlpState) -> Router {
    Router::new().route("/api/v2/spans", post(post_spans)).route("/api/v1/spans", post(post_spans_v1)).with_state(state)
}

async fn post_spans(State(state): State<OtlpState>, request: Request) -> Response {
    answer(&state, request, v2_form).await
}

async fn post_spans_v1(State(state): State<OtlpState>, request: Request) -> Response {
    answer(&state, request, v1_form).await
}

/// Whatever is not said to be something else is JSON, as Zipkin has it: old reporters send no type, or a wrong one.
fn v2_form(headers: &HeaderMap) -> Result<Foreign, ExportError> {
    Ok(match media_type(headers).as_str() {
        "application/x-protobuf" | "application/protobuf" => {
            Foreign { protocol: "zipkin_v2_protobuf", to_otlp: protobuf::to_otlp }
        }
        _ => Foreign { protocol: "zipkin_v2_json", to_otlp: json::to_otlp },
    })
}

fn v1_form(headers: &HeaderMap) -> Result<Foreign, ExportError> {
    Ok(match media_type(headers).as_str() {
        "application/x-thrift" | "application/vnd.apache.thrift.binary" => {
            Foreign { protocol: "zipkin_v1_thrift", to_otlp: v1_thrift::to_otlp }
        }
        _ => Foreign { protocol: "zipkin_v1_json", to_otlp: v1_json::to_otlp },
    })
}
