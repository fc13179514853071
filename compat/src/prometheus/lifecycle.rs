//! What is outside of `/api`: the front page, and the switches that a Prometheus without `--web.enable-lifecycle` refuses.
//! Source: Prometheus `web/web.go`.

use http::StatusCode;

/// `/`
pub(super) async fn home() -> &'static str {
    "Telelake speaks the HTTP API of Prometheus here. There is no page to look at: give this address to Grafana as a Prometheus \
     data source,\nor ask it yourself:\n\n  /api/v1/query?query=up          an instant query\n  /api/v1/label/__name__/values   the metrics\n  \
     /api/v1/write                   remote write\n  /api/v1/otlp/v1/metrics         OTLP\n  /api/v1/read                    remote read\n  \
     /federate?match[]=up            federation\n  /metrics                        the numbers of this node\n"
}

/// `POST /-/reload`, `POST /-/quit`
pub(super) async fn forbidden() -> (StatusCode, &'static str) {
    (StatusCode::FORBIDDEN, "Lifecycle API is not enabled.")
}

/// `GET /-/reload`, `GET /-/quit`
pub(super) async fn wrong_method() -> (StatusCode, &'static str) {
    (StatusCode::METHOD_NOT_ALLOWED, "Only POST or PUT requests allowed")
}
