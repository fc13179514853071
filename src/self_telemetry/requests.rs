//! A span per request.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;
use tracing::field::{Empty, display};
use tracing::{Instrument, Span, info_span};

use crate::dialect::Dialect;
use crate::tenancy::TENANT_HEADER;

/// Runs a request of `dialect` in a span of its own, named and attributed by OpenTelemetry's conventions for HTTP servers.
pub(crate) async fn trace(State(dialect): State<Dialect>, request: Request, next: Next) -> Response {
    let span = span_of(dialect, &request);
    let response = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", u64::from(response.status().as_u16()));
    if let Some(status) = response.headers().get("grpc-status").and_then(|value| value.to_str().ok())
        && status != "0"
    {
        span.record("error", display(format_args!("grpc-status {status}")));
    }
    response
}

fn span_of(dialect: Dialect, request: &Request) -> Span {
    let method = request.method();
    let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str);
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    info_span!(
        "request",
        otel.name = %format_args!("{method} {route}"),
        http.request.method = %method,
        http.route = %route,
        telelake.dialect = %dialect,
        telelake.tenant = header(TENANT_HEADER),
        traceparent = header("traceparent"),
        push = is_push(method, route).then_some("yes"),
        http.response.status_code = Empty,
        error = Empty,
    )
}

/// Whether telemetry arrives there, many times a second.
fn is_push(method: &Method, route: &str) -> bool {
    let gateway = route.strip_prefix("/prometheus").unwrap_or(route);
    // Spans are asked for on the paths that they are sent to.
    let spans = ["/api/v1/spans", "/api/v2/spans", "/api/traces"];
    gateway.contains("/v1/") && ["/metrics", "/logs", "/traces"].iter().any(|end| gateway.ends_with(end))
        || ["/api/v1/write", "/api/v1/push", "/api/v1/receive"].contains(&gateway)
        || *method == Method::POST && spans.iter().any(|end| gateway.ends_with(end))
        || gateway.starts_with("/opentelemetry.proto.collector")
        || gateway.starts_with("/jaeger.api_v2.CollectorService")
}
