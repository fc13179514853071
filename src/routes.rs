//! Which routes each listener carries.
//!
//! ```text
//!              /-/healthy /-/ready /ready     no token, no tenant
//! every   ─────/metrics /api/v1/status/buildinfo     token
//! gateway ─────/api/v1/admin/{pass}     token
//!         ─────/api/v1/sql, /otlp/v1/{traces,metrics,logs}, what Prometheus and Loki push to,
//!              /loki/api/v1/..., /prometheus/..., /elastic/..., /tempo/..., /jaeger/..., /zipkin/...     token, tenant
//! otlp-http ───/v1/{traces,metrics,logs}     token, tenant
//! otlp-grpc ───opentelemetry.proto.collector.*     token, tenant
//! prometheus ──/api/v1/..., /federate, /-/reload, /     token, tenant
//! loki ────────/loki/api/v1/..., /api/prom/..., /otlp/v1/logs, /config, /services, /log_level, /     token, tenant
//! tempo ───────/api/traces/{id}, /api/search, /api/v2/..., /api/metrics/..., /api/echo, /api/status/buildinfo, /api/overrides, /,
//!              tempopb.StreamingQuerier     token, tenant
//! jaeger ──────/api/{services,operations,traces,dependencies}, /api/v3/..., the same below /jaeger and /jaeger/ui, /,
//!              jaeger.api_v3.QueryService, jaeger.api_v2.QueryService     token, tenant
//! jaeger-grpc ─jaeger.api_v2.CollectorService     token, tenant
//! jaeger-thrift /api/traces     token, tenant
//! zipkin ──────/api/v2/spans, /api/v1/spans, what is asked below /api/v2, the same below /zipkin, /health     token, tenant
//! elastic ─────/_bulk, /{index}/_bulk, /{index}/_doc, what shippers ask first     token, tenant
//! flight ──────arrow.flight.protocol.FlightService     token, tenant
//! ```

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router, middleware};
use catalog::ErrorKind;
use compat::node::NodeStatus;
use compat::prometheus::Api;
use ingest::receive::elastic::{self, ElasticState};
use ingest::receive::jaeger;
use ingest::receive::loki::{self, LokiState};
use ingest::receive::otlp::{OtlpState, grpc, http};
use ingest::receive::prometheus::{self, PrometheusState};
use ingest::receive::zipkin;
use sql::SqlEngine;
use tokio::runtime::Handle;

use crate::dialect::Dialect;
use crate::passes::{Pass, Passes};
use crate::self_telemetry;
use crate::tenancy::{self, Gate};

/// What the routes lead to.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) gate: Arc<Gate>,
    pub(crate) status: Arc<dyn NodeStatus>,
    pub(crate) passes: Arc<Passes>,
    pub(crate) otlp: OtlpState,
    pub(crate) prometheus: PrometheusState,
    pub(crate) loki: LokiState,
    pub(crate) elastic: ElasticState,
    pub(crate) api: Arc<Api>,
    pub(crate) loki_api: Arc<compat::loki::Api>,
    pub(crate) tempo_api: Arc<compat::tempo::Api>,
    pub(crate) jaeger_api: Arc<compat::jaeger::Api>,
    pub(crate) zipkin_api: Arc<compat::zipkin::Api>,
    pub(crate) sql: Arc<SqlEngine>,
    /// Signs what clients of Flight hold.
    pub(crate) flight_key: [u8; 32],
    /// Whether requests are spans of the node's own.
    pub(crate) traced: bool,
    /// Where passes run that somebody asks for.
    pub(crate) background: Handle,
}

/// The router of `dialect`, which speaks HTTP.
pub(crate) fn of(dialect: Dialect, parts: &Parts) -> Router {
    let of_tenants = match dialect {
        Dialect::OtlpGrpc => grpc::router(parts.otlp.clone()),
        Dialect::OtlpHttp => http::router(parts.otlp.clone()),
        Dialect::Prometheus => of_prometheus(parts),
        Dialect::Loki => compat::loki::router(Arc::clone(&parts.loki_api)).merge(loki::router(parts.loki.clone())),
        Dialect::Tempo => compat::tempo::router(Arc::clone(&parts.tempo_api)),
        Dialect::Jaeger => compat::jaeger::router(Arc::clone(&parts.jaeger_api)),
        Dialect::JaegerGrpc => jaeger::grpc_router(parts.otlp.clone()),
        Dialect::JaegerThrift => jaeger::thrift_router(parts.otlp.clone()),
        Dialect::Zipkin => compat::zipkin::router(Arc::clone(&parts.zipkin_api)).merge(zipkin::router(parts.otlp.clone())),
        Dialect::Elastic => elastic::router(parts.elastic.clone()),
        Dialect::Flight => sql::flight::router(Arc::clone(&parts.sql), parts.flight_key),
        _ => Router::new()
            .nest("/otlp", http::router(parts.otlp.clone()))
            .nest("/prometheus", of_prometheus(parts))
            .nest("/elastic", elastic::router(parts.elastic.clone()))
            .nest("/tempo", compat::tempo::nested(Arc::clone(&parts.tempo_api)))
            .nest(
                "/jaeger",
                compat::jaeger::nested(Arc::clone(&parts.jaeger_api)).merge(jaeger::thrift_router(parts.otlp.clone())),
            )
            .merge(compat::zipkin::prefixed(Arc::clone(&parts.zipkin_api)))
            .nest("/zipkin", zipkin::router(parts.otlp.clone()))
            .merge(compat::loki::prefixed(Arc::clone(&parts.loki_api)))
            .merge(loki::push_router(parts.loki.clone()))
            .merge(prometheus::router(parts.prometheus.clone()))
            .merge(sql::http::router(Arc::clone(&parts.sql))),
    };
    let of_tenants = of_tenants.layer(middleware::from_fn_with_state(Arc::clone(&parts.gate), tenancy::tenant));
    let mut of_node = compat::node::numbers(Arc::clone(&parts.status));
    if dialect != Dialect::Prometheus {
        of_node = of_node.merge(compat::node::version(Arc::clone(&parts.status)));
    }
    if dialect == Dialect::Gateway {
        of_node =
            of_node.route("/api/v1/admin/{pass}", post(admin).with_state((Arc::clone(&parts.passes), parts.background.clone())));
    }
    let of_node = of_node.layer(middleware::from_fn_with_state(Arc::clone(&parts.gate), tenancy::token));
    let router = of_tenants.merge(of_node).merge(compat::node::probes(Arc::clone(&parts.status)));
    match parts.traced {
        true => router.layer(middleware::from_fn_with_state(dialect, self_telemetry::trace)),
        false => router,
    }
}

/// What is asked in Prometheus' way, and what is pushed in it.
fn of_prometheus(parts: &Parts) -> Router {
    compat::prometheus::router(Arc::clone(&parts.api)).merge(prometheus::router(parts.prometheus.clone()))
}

async fn admin(State((passes, background)): State<(Arc<Passes>, Handle)>, Path(name): Path<String>) -> Response {
    let Some(pass) = Pass::ALL.into_iter().find(|p| p.name() == name) else {
        let known: Vec<_> = Pass::ALL.iter().map(|p| p.name()).collect();
        return compat::status::error(ErrorKind::NotFound, &format!("no pass {name}; there are {}", known.join(", ")));
    };
    // In a task of its own: a client that goes away does not cut the pass off.
    match background.spawn(async move { passes.run(pass).await }).await {
        Ok(Ok(done)) => Json(done).into_response(),
        Ok(Err(error)) => compat::status::error(error.kind, &error.message),
        Err(_) => compat::status::error(ErrorKind::Internal, "internal error"),
    }
}
