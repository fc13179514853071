//! OTLP over gRPC: the `Export` methods of the three services, and `grpc.health.v1.Health/Check`.
//!
//! The framing is read here and not by `tonic`, because the request's bytes are wanted as they are, because a message that is too large
//! must be RESOURCE_EXHAUSTED (OUT_OF_RANGE would be retried for ever), and because decompression belongs off the async threads.
//! All methods are unary: one frame in, one frame and trailers out.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use catalog::{Signal, TenantId};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt, Full};

use super::OtlpState;
use super::export::{Export, Format};
use super::status::ExportError;
use crate::receive::body::{BodyError, Collector, Encoding, Received};

/// Compressed flag and length in front of every message.
const FRAME_HEAD_BYTES: usize = 5;

/// `HealthCheckResponse { status: SERVING }`.
const SERVING: &[u8] = &[0x08, 0x01];

/// The routes. A [`TenantId`] must be among the request's extensions.
pub fn router(state: OtlpState) -> Router {
    const PACKAGE: &str = "/opentelemetry.proto.collector";
    Router::new()
        .route(&format!("{PACKAGE}.trace.v1.TraceService/Export"), post(|state, request| answer(state, request, Signal::Traces)))
        .route(
            &format!("{PACKAGE}.metrics.v1.MetricsService/Export"),
            post(|state, request| answer(state, request, Signal::Metrics)),
        )
        .route(&format!("{PACKAGE}.logs.v1.LogsService/Export"), post(|state, request| answer(state, request, Signal::Logs)))
        .route("/grpc.health.v1.Health/Check", post(health))
        .fallback(no_such_method)
        .with_state(state)
}

/// Answers calls of methods that are not here.
pub(crate) async fn no_such_method(request: Request) -> Response {
    let path = request.uri().path().to_owned();
    failure(&ExportError::NoSuchPath { path })
}

/// Answers `grpc.health.v1.Health/Check`.
pub(crate) async fn health() -> Response {
    success(SERVING.to_vec())
}

async fn answer(State(state): State<OtlpState>, request: Request, signal: Signal) -> Response {
    unary(request, |request| export(&state, request, signal)).await
}

/// Answers a unary request with the message, or the error, that `call` makes of it.
pub(crate) async fn unary<F: Future<Output = Result<Vec<u8>, ExportError>>>(
    request: Request,
    call: impl FnOnce(Request) -> F,
) -> Response {
    let content_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if !content_type.starts_with(b"application/grpc") {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return response;
    }
    match call(request).await {
        Ok(message) => success(message),
        Err(error) => failure(&error),
    }
}

async fn export(state: &OtlpState, request: Request, signal: Signal) -> Result<Vec<u8>, ExportError> {
    let (tenant, encoding, body) = read_request(state, request).await?;
    let exported = state.export(Export { tenant, signal, format: Format::Protobuf, encoding, body }).await?;
    Ok(exported.to_bytes(Format::Protobuf))
}

/// Reads the message of a unary request; says whose it is and how it is compressed.
///
/// # Errors
/// As [`Collector::push`]; broken framing, an unknown compression, and a request without a tenant.
pub(crate) async fn read_request(state: &OtlpState, request: Request) -> Result<(TenantId, Encoding, Received), ExportError> {
    let (parts, body) = request.into_parts();
    let tenant = parts.extensions.get::<TenantId>().cloned();
    let tenant = tenant.ok_or_else(|| ExportError::Internal { reason: "request came without a tenant".to_owned() })?;
    let named = parts.headers.get("grpc-encoding");
    let declared = Encoding::parse(named.map(HeaderValue::as_bytes))?;
    let (collector, compressed) = read_message(body, state).await?;
    let encoding = match (compressed, named) {
        (false, _) => Encoding::Identity,
        (true, Some(_)) => declared,
        (true, None) => return Err(ExportError::Framing { reason: "message is compressed but grpc-encoding is not set" }),
    };
    Ok((tenant, encoding, collector.finish(FRAME_HEAD_BYTES)))
}

/// Reads the one frame of a unary request; says whether its message is compressed.
async fn read_message(mut body: Body, state: &OtlpState) -> Result<(Collector, bool), ExportError> {
    let mut collector = Collector::new(&state.config, &state.admission, FRAME_HEAD_BYTES as u64);
    let (mut received, mut announced) = (0u64, None);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| BodyError::Broken { reason: e.to_string() })?;
        let Ok(chunk) = frame.into_data() else { continue };
        received += chunk.len() as u64;
        collector.push(chunk)?;
        if announced.is_none()
            && let Some([flag, length @ ..]) = collector.head::<FRAME_HEAD_BYTES>()
        {
            let length = u64::from(u32::from_be_bytes(length));
            let total = length + FRAME_HEAD_BYTES as u64;
            collector.expect(total)?;
            announced = Some((flag, total));
        }
        if announced.is_some_and(|(_, total)| received > total) {
            return Err(ExportError::Framing { reason: "there is more than one message" });
        }
    }
    match announced {
        Some((flag @ (0 | 1), total)) if total == received => Ok((collector, flag == 1)),
        Some((2.., _)) => Err(ExportError::Framing { reason: "the compressed flag is neither 0 nor 1" }),
        _ => Err(ExportError::Framing { reason: "the message is truncated" }),
    }
}

fn success(message: Vec<u8>) -> Response {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut frame = Vec::with_capacity(FRAME_HEAD_BYTES + message.len());
    frame.push(0);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&message);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(Bytes::from(frame)).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    set_headers(response.headers_mut());
    response
}

/// An answer of trailers alone.
fn failure(error: &ExportError) -> Response {
    let mut response = error.to_grpc().into_http::<Body>();
    set_headers(response.headers_mut());
    response
}

fn set_headers(headers: &mut HeaderMap) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-accept-encoding", HeaderValue::from_static("identity,gzip,zstd,deflate,snappy"));
}
