//! Spans over HTTP: from a request to the answer that Jaeger's and Zipkin's collectors give.
//!
//! ```text
//! all is stored                              202
//! some was refused                           202     what, and how often, in the body; the rest is stored
//! all of it was refused                      400     why
//! no such request, no such type              400
//! unknown compression                        415
//! too large, sent, decompressed or as OTLP   413
//! too much in work                           429 + Retry-After
//! log or buffers full                        503 + Retry-After
//! log failed, shutting down                  503
//! a bug                                      500
//! ```
//! A refusal in part is no 4xx: exporters of OpenTelemetry's collector send the whole batch again then, for minutes.

use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::receive::otlp::OtlpState;
use crate::receive::otlp::export::{Exported, Foreign};
use crate::receive::otlp::http::read_request;
use crate::receive::otlp::status::ExportError;
use crate::receive::plain;

/// Takes the spans of `request`, whose headers say by `form` how they are written.
pub(crate) async fn answer(
    state: &OtlpState,
    request: Request,
    form: impl FnOnce(&HeaderMap) -> Result<Foreign, ExportError>,
) -> Response {
    match take(state, request, form).await {
        Ok(exported) => taken(&exported),
        Err(error) => plain::refusal(error.http_status(), &error.to_string(), error.retry_after()),
    }
}

async fn take(
    state: &OtlpState,
    request: Request,
    form: impl FnOnce(&HeaderMap) -> Result<Foreign, ExportError>,
) -> Result<Exported, ExportError> {
    let form = form(request.headers())?;
    let (tenant, encoding, body) = read_request(state, request).await?;
    state.export_spans(tenant, form, encoding, body).await
}

fn taken(exported: &Exported) -> Response {
    match &exported.reason {
        Some(reason) if exported.rejected > 0 && exported.accepted == 0 => plain::text(StatusCode::BAD_REQUEST, reason),
        Some(reason) => plain::text(StatusCode::ACCEPTED, reason),
        None => plain::empty(StatusCode::ACCEPTED),
    }
}

/// The media type that `headers` name, in lower case, without parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let sent = headers.get(http::header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let name = sent.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    String::from_utf8_lossy(&name[..name.len().min(64)]).to_ascii_lowercase()
}
