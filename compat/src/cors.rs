//! Cross-origin requests: everybody may ask, as with Prometheus' default.
//! Source: Prometheus `util/httputil/cors.go`.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderValue, header};

/// Adds the headers to the answer of a request that names its origin.
pub(crate) async fn allow(request: Request, next: Next) -> Response {
    let asked = request.headers().contains_key(header::ORIGIN);
    let mut response = next.run(request).await;
    if asked {
        let headers = response.headers_mut();
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "Accept, Authorization, Content-Type, Origin"),
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
            (header::ACCESS_CONTROL_EXPOSE_HEADERS, "Date"),
            (header::VARY, "Origin"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
    }
    response
}
