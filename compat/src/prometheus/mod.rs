//! Prometheus' HTTP API: what Grafana's data source, promtool, and another Prometheus as a reader ask.
//!
//! ```text
//! request ─► compression, CORS ─► [form] parameters ─► endpoint ─► PromqlEngine ─► [answer] envelope, [result] values, piece by piece
//! ```
//!
//! | path | |
//! |---|---|
//! | `/api/v1/{query,query_range}` | evaluates an expression |
//! | `/api/v1/{format_query,parse_query}` | an expression as text, as a tree |
//! | `/api/v1/{series,labels,label/NAME/values,metadata,query_exemplars}` | what there is |
//! | `/api/v1/search/{metric_names,label_names,label_values}` | what fits a text |
//! | `/api/v1/status/...`, `/api/v1/{features,notifications}` | this server |
//! | `/api/v1/{targets,targets/metadata,scrape_pools,alertmanagers,rules,alerts}` | empty: nothing is scraped, no rules run |
//! | `/api/v1/read`, `/federate` | samples for another Prometheus |
//! | `/api/v1/admin/tsdb/...` | off unless configured |
//!
//! What is pushed is the receivers' (`ingest::receive::prometheus`), what every listener has is [`crate::node`]'s.
//! Judge: Prometheus 3.14, `web/api/v1/api.go`, `web/web.go`.
//!
//! # Invariants
//! - A request costs what it asks for: a client that goes away ends the query, a large answer is never in memory as text.
//! - Errors come in the envelope, with a type of Prometheus'; federation and remote read, as there, in plain text.

mod admin;
mod answer;
mod config;
mod error;
mod exemplars;
mod features;
mod federate;
mod form;
mod lifecycle;
mod metadata;
mod names;
mod parse_query;
mod query;
mod read;
mod result;
mod rules;
mod search;
mod selectors;
mod self_metrics;
mod series;
mod status;
mod targets;
mod tsdb;

use std::sync::Arc;

use ::query::promql::PromqlEngine;
use ::query::usage::Language;
use axum::Router;
use axum::middleware::from_fn;
use axum::routing::{MethodRouter, get, post};
use catalog::Env;
use http::StatusCode;
use promql::ast::Expr;
use promql::parse::{self, ParseError, ParseOptions};

use crate::asked::Watch;
use crate::{compress, cors};

pub use admin::{AdminError, Administration, Head};
pub use config::PrometheusConfig;
pub use status::{PROMETHEUS_VERSION, ProcessFacts, format_duration};

/// What the endpoints work with.
#[derive(Debug)]
pub struct Api {
    engine: Arc<PromqlEngine>,
    node: Arc<dyn Administration>,
    env: Env,
    facts: ProcessFacts,
    config: PrometheusConfig,
}

impl Api {
    /// The API over `engine`.
    pub fn new(
        engine: Arc<PromqlEngine>,
        node: Arc<dyn Administration>,
        env: Env,
        facts: ProcessFacts,
        config: PrometheusConfig,
    ) -> Arc<Self> {
        Arc::new(Self { engine, node, env, facts, config })
    }

    fn experimental(&self) -> bool {
        self.engine.config().experimental
    }

    fn parse(&self, text: &str) -> Result<Expr, ParseError> {
        parse::parse(text, &ParseOptions { experimental: self.experimental() })
    }
}

/// The routes. The tenant is a [`catalog::TenantId`] among the request's extensions.
pub fn router(api: Arc<Api>) -> Router {
    let either = |handler: MethodRouter<Arc<Api>>| handler.options(no_content);
    let watch = Watch::new(api.engine.engine(), Language::Promql, "prometheus");
    let query = |endpoint, handler| watch.over(endpoint, either(handler));
    let routes = Router::new()
        .route("/api/v1/query", query("query", get(query::instant).post(query::instant)))
        .route("/api/v1/query_range", query("query_range", get(query::range).post(query::range)))
        .route("/api/v1/query_exemplars", query("query_exemplars", get(exemplars::exemplars).post(exemplars::exemplars)))
        .route("/api/v1/format_query", either(get(parse_query::format_query).post(parse_query::format_query)))
        .route("/api/v1/parse_query", either(get(parse_query::parse_query).post(parse_query::parse_query)))
        .route("/api/v1/series", either(get(series::series).post(series::series)))
        .route("/api/v1/labels", either(get(series::labels).post(series::labels)))
        .route("/api/v1/label/{name}/values", either(get(series::values)))
        .route("/api/v1/metadata", either(get(metadata::metadata)))
        .route("/api/v1/search/metric_names", either(get(search::metric_names).post(search::metric_names)))
        .route("/api/v1/search/label_names", either(get(search::label_names).post(search::label_names)))
        .route("/api/v1/search/label_values", either(get(search::label_values).post(search::label_values)))
        .route("/api/v1/status/buildinfo", either(get(status::build_info)))
        .route("/api/v1/status/runtimeinfo", either(get(status::runtime_info)))
        .route("/api/v1/status/config", either(get(status::config)))
        .route("/api/v1/status/flags", either(get(status::flags)))
        .route("/api/v1/status/walreplay", either(get(status::wal_replay)))
        .route("/api/v1/status/self_metrics", either(get(self_metrics::self_metrics)))
        .route("/api/v1/status/tsdb", either(get(tsdb::tsdb)))
        .route("/api/v1/status/tsdb/blocks", either(get(tsdb::blocks)))
        .route("/api/v1/features", either(get(features::features)))
        .route("/api/v1/notifications", either(get(features::notifications)))
        .route("/api/v1/notifications/live", either(get(features::live_notifications)))
        .route("/api/v1/targets", either(get(targets::targets)))
        .route("/api/v1/targets/metadata", either(get(targets::metadata)))
        .route("/api/v1/scrape_pools", either(get(targets::scrape_pools)))
        .route("/api/v1/alertmanagers", either(get(targets::alertmanagers)))
        .route("/api/v1/rules", either(get(rules::rules)))
        .route("/api/v1/alerts", either(get(rules::alerts)))
        .route("/api/v1/admin/tsdb/delete_series", either(post(admin::delete_series).put(admin::delete_series)))
        .route("/api/v1/admin/tsdb/clean_tombstones", either(post(admin::clean_tombstones).put(admin::clean_tombstones)))
        .route("/api/v1/admin/tsdb/snapshot", either(post(admin::snapshot).put(admin::snapshot)))
        .route("/api/v1/read", watch.over("read", post(read::read)))
        .route("/federate", watch.over("federate", get(federate::federate)))
        .route("/-/reload", post(lifecycle::forbidden).put(lifecycle::forbidden).get(lifecycle::wrong_method))
        .route("/-/quit", post(lifecycle::forbidden).put(lifecycle::forbidden).get(lifecycle::wrong_method))
        .route("/", get(lifecycle::home))
        .method_not_allowed_fallback(wrong_method)
        .fallback(not_found);
    routes.layer(from_fn(compress::compress)).layer(from_fn(cors::allow)).with_state(api)
}

/// What a browser asks before it asks.
async fn no_content() -> StatusCode {
    StatusCode::NO_CONTENT
}

async fn wrong_method() -> (StatusCode, &'static str) {
    (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n")
}

async fn not_found() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "404 page not found\n")
}
