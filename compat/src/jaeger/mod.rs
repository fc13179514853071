//! Jaeger's query APIs: what its UI, its clients and Grafana's data source ask.
//!
//! ```text
//! v1 JSON ─┐                                    ┌─► [model] ─► JSON of v1, gRPC of v2
//! v3 JSON ─┼─► [query] ─► TraceQL ─► traces ────┤
//! gRPC ────┘                                    └─► OTLP ────► JSON and gRPC of v3
//! ```
//!
//! | path | |
//! |---|---|
//! | `/api/services`, `/api/services/{s}/operations`, `/api/operations` | what there is |
//! | `/api/traces`, `/api/traces/{id}` | searches, and a trace |
//! | `/api/dependencies` | who calls whom |
//! | `/api/v3/{services,operations,traces,traces/{id},trace-summaries,dependencies}` | the same as OTLP |
//! | `/jaeger.api_v3.QueryService/*`, `/jaeger.api_v2.QueryService/*` | the same over gRPC |
//! | `/api/metrics/*`, `/api/archive/*` | 501: the numbers are Prometheus' to tell, and nothing is archived apart |
//!
//! All of them below `/jaeger` and `/jaeger/ui` too: that is where people put Jaeger behind a proxy.
//! Judge: jaeger-idl at 74be563, Jaeger at 8498073 (August 2026).
//!
//! # Invariants
//! - A search is TraceQL: what Jaeger finds and what Tempo finds is found by one engine.

mod error;
mod grpc;
mod lookups;
mod message;
mod model;
mod query;
mod summary;
mod v1;
mod v3;

use std::sync::Arc;

use ::query::traceql::TraceqlEngine;
use ::query::usage::Language;
use axum::Router;
use axum::middleware::from_fn;
use axum::routing::{MethodRouter, any, get};
use catalog::Env;
use http::StatusCode;

use self::error::ApiError;
use crate::asked::Watch;
use crate::{compress, cors};

/// Nanoseconds of a day.
const DAY_NS: i64 = 86_400 * 1_000_000_000;

/// What the endpoints work with.
#[derive(Debug)]
pub struct Api {
    engine: Arc<TraceqlEngine>,
    env: Env,
}

impl Api {
    /// The API over `engine`.
    pub fn new(engine: Arc<TraceqlEngine>, env: Env) -> Arc<Self> {
        Arc::new(Self { engine, env })
    }

    fn now_ns(&self) -> i64 {
        self.env.now().as_nanos()
    }
}

/// All routes, for a listener of Jaeger's. The tenant is a [`catalog::TenantId`] among the request's extensions.
pub fn router(api: Arc<Api>) -> Router {
    let watch = watch(&api, "jaeger");
    let below = |prefix: &str| Router::new().nest(prefix, routes(&watch));
    let own = routes(&watch).merge(below("/jaeger")).merge(below("/jaeger/ui")).route("/", get(home)).fallback(not_found);
    served(own, Arc::clone(&api)).merge(grpc::routes(api))
}

/// The routes over HTTP, for a listener where they stand below a prefix.
pub fn nested(api: Arc<Api>) -> Router {
    let watch = watch(&api, "jaeger");
    served(routes(&watch).merge(Router::new().nest("/ui", routes(&watch))).fallback(not_found), api)
}

/// Notes queries that come by `way`.
fn watch(api: &Api, way: &'static str) -> Watch {
    Watch::new(api.engine.engine(), Language::Traceql, way)
}

fn served(routes: Router<Arc<Api>>, api: Arc<Api>) -> Router {
    routes.layer(from_fn(compress::compress)).layer(from_fn(cors::allow)).with_state(api)
}

fn routes(watch: &Watch) -> Router<Arc<Api>> {
    let either = |handler: MethodRouter<Arc<Api>>| handler.options(no_content);
    let query = |endpoint, handler| watch.over(endpoint, either(handler));
    Router::new()
        .route("/api/services", either(get(v1::services)))
        .route("/api/services/{service}/operations", either(get(v1::operation_names)))
        .route("/api/operations", either(get(v1::operations)))
        .route("/api/traces", query("traces", get(v1::traces)))
        .route("/api/traces/{id}", query("trace", get(v1::trace)))
        .route("/api/dependencies", either(get(v1::dependencies)))
        .route("/api/metrics/{*rest}", any(v1::not_there))
        .route("/api/archive/{id}", any(v1::not_there))
        .route("/api/v3/services", either(get(v3::services)))
        .route("/api/v3/operations", either(get(v3::operations)))
        .route("/api/v3/traces", query("v3_traces", get(v3::traces).post(v3::traces)))
        .route("/api/v3/traces/{id}", query("v3_trace", get(v3::trace)))
        .route("/api/v3/trace-summaries", query("v3_trace_summaries", get(v3::summaries).post(v3::summaries)))
        .route("/api/v3/dependencies", either(get(v3::dependencies)))
}

/// What a browser asks before it asks.
async fn no_content() -> StatusCode {
    StatusCode::NO_CONTENT
}

async fn not_found() -> axum::response::Response {
    ApiError::not_found("404 page not found").v1()
}

/// `/`
async fn home() -> &'static str {
    "Telelake speaks Jaeger's query APIs here, over HTTP and gRPC. There is no page to look at: give this address to Grafana as a\n\
     Jaeger data source, to Jaeger's UI as its query service, or ask it yourself:\n\n  \
     /api/services                    services\n  \
     /api/traces?service=..           traces\n  \
     /api/v3/traces?query.service_name=..   traces as OTLP\n"
}
