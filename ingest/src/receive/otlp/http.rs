//! OTLP over HTTP: `POST /v1/{traces,metrics,logs}`, protobuf and JSON.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{MethodRouter, any};
use catalog::{Signal, TenantId};
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::OtlpState;
use super::export::{Export, Exported, Format};
use super::status::ExportError;
use crate::receive::body::{self, Encoding, Received};

/// The routes. A [`TenantId`] must be among the request's extensions.
pub fn router(state: OtlpState) -> Router {
    Router::new()
        .route("/v1/traces", export(Signal::Traces))
        .route("/v1/metrics", export(Signal::Metrics))
        .route("/v1/logs", export(Signal::Logs))
        .fallback(async |request: Request| {
            let path = request.uri().path().to_owned();
            failure(&ExportError::NoSuchPath { path }, format_of(request.headers()).unwrap_or(Format::Json))
        })
        .with_state(state)
}

/// What answers on the path of `signal`, wherever that path is.
pub(crate) fn export(signal: Signal) -> MethodRouter<OtlpState> {
    any(async move |State(state): State<OtlpState>, request: Request| match answer(&state, request, signal).await {
        Ok((_, response)) | Err(response) => response,
    })
}

/// The answer to an export of `signal`, and what became of it if it was taken.
pub(crate) async fn answer(state: &OtlpState, request: Request, signal: Signal) -> Result<(Exported, Response), Response> {
    // An unknown type gets its error in JSON, which a person can read.
    let format = format_of(request.headers());
    let answer_format = *format.as_ref().unwrap_or(&Format::Json);
    match take(state, request, signal, format).await {
        Ok(exported) => {
            let response = response(StatusCode::OK, answer_format, exported.to_bytes(answer_format));
            Ok((exported, response))
        }
        Err(error) => Err(failure(&error, answer_format)),
    }
}

async fn take(
    state: &OtlpState,
    request: Request,
    signal: Signal,
    format: Result<Format, ExportError>,
) -> Result<Exported, ExportError> {
    if request.method() != Method::POST {
        return Err(ExportError::Method);
    }
    let format = format?;
    let (tenant, encoding, body) = read_request(state, request).await?;
    state.export(Export { tenant, signal, format, encoding, body }).await
}

/// Reads a request's body; says whose it is and how it is compressed.
///
/// # Errors
/// As [`body::read`]; an unknown compression, and a request without a tenant.
pub(crate) async fn read_request(state: &OtlpState, request: Request) -> Result<(TenantId, Encoding, Received), ExportError> {
    let (parts, body) = request.into_parts();
    let encoding = match parts.headers.get_all(CONTENT_ENCODING).iter().collect::<Vec<_>>().as_slice() {
        [] => Encoding::Identity,
        [one] => Encoding::parse(Some(one.as_bytes()))?,
        _ => Encoding::parse(Some(b"several"))?,
    };
    let tenant = parts.extensions.get::<TenantId>().cloned();
    let tenant = tenant.ok_or_else(|| ExportError::Internal { reason: "request came without a tenant".to_owned() })?;
    let declared = parts.headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    let body = body::read(body, declared, &state.config, &state.admission).await?;
    Ok((tenant, encoding, body))
}

fn format_of(headers: &HeaderMap) -> Result<Format, ExportError> {
    let sent = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let name = sent.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    match name.to_ascii_lowercase().as_slice() {
        b"application/x-protobuf" | b"application/protobuf" => Ok(Format::Protobuf),
        b"application/json" => Ok(Format::Json),
        _ => Err(ExportError::UnknownType { content_type: String::from_utf8_lossy(&sent[..sent.len().min(64)]).into_owned() }),
    }
}

fn failure(error: &ExportError, format: Format) -> Response {
    let body = match format {
        Format::Protobuf => error.to_protobuf(),
        Format::Json => error.to_json(),
    };
    let mut response = response(error.http_status(), format, body);
    if let Some(seconds) = error.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if matches!(error, ExportError::Method) {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    }
    response
}

fn response(status: StatusCode, format: Format, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    response
}
