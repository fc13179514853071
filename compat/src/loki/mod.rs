//! Loki's HTTP API: what Grafana's data source, Logs Drilldown and logcli ask.
//!
//! ```text
//! request ─► compression, CORS ─► [params] ─► endpoint ─► LogqlEngine ─► [encoding] a stream per label set ─► [result], piece by piece
//! ```
//!
//! | path | |
//! |---|---|
//! | `/loki/api/v1/{query,query_range}` | evaluates a query |
//! | `/loki/api/v1/{labels,label/NAME/values,series}` | which streams there are |
//! | `/loki/api/v1/index/{stats,volume,volume_range}` | how much there is |
//! | `/loki/api/v1/{detected_labels,detected_fields,detected_field/NAME/values,patterns}` | what lines are like |
//! | `/loki/api/v1/tail` | a websocket with what comes in |
//! | `/loki/api/v1/format_query` | a query as text |
//! | `/loki/api/v1/delete` | off unless configured |
//! | `/loki/api/v1/rules`, `/api/prom/rules`, `/prometheus/api/v1/{rules,alerts}` | empty: no rules run |
//! | `/loki/api/v1/{status/buildinfo,drilldown-limits}`, `/config`, `/services`, `/log_level` | this server |
//! | `/api/prom/{query,label,label/NAME/values,series,tail}` | as clients of the first Loki ask |
//!
//! What is pushed is the receivers' (`ingest::receive::loki`), what every listener has is [`crate::node`]'s.
//! Judge: Loki at 65e30f84 (August 2026), `pkg/loki/modules.go`, `pkg/loghttp`, `pkg/util/marshal`.
//!
//! # Invariants
//! - A request costs what it asks for: a client that goes away ends the query, a large answer is never in memory as text.
//! - Errors are plain text, as Grafana shows them; `format_query` alone has an envelope.

mod delete;
mod detected;
mod encoding;
mod error;
mod format_query;
mod index;
mod legacy;
mod params;
mod patterns;
mod query;
mod result;
mod rules;
mod series;
mod stats;
mod status;
mod tail;
#[cfg(test)]
mod vectors;

use std::sync::Arc;

use ::query::logql::LogqlEngine;
use ::query::usage::Language;
use axum::Router;
use axum::middleware::from_fn;
use axum::routing::{MethodRouter, any, get, post};
use catalog::Env;
use http::StatusCode;
use tokio_util::sync::CancellationToken;

use crate::asked::Watch;
use crate::{compress, cors};

pub use status::{LOKI_VERSION, LokiFacts, PushLimits};

/// What the endpoints work with.
#[derive(Debug)]
pub struct Api {
    engine: Arc<LogqlEngine>,
    env: Env,
    facts: LokiFacts,
    stop: CancellationToken,
}

impl Api {
    /// The API over `engine`. `stop` is cancelled when the node stops, which ends tails.
    pub fn new(engine: Arc<LogqlEngine>, env: Env, facts: LokiFacts, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self { engine, env, facts, stop })
    }

    fn now_ns(&self) -> i64 {
        self.env.now().as_nanos()
    }
}

/// All routes, for a listener of Loki's. The tenant is a [`catalog::TenantId`] among the request's extensions.
pub fn router(api: Arc<Api>) -> Router {
    let either = |handler: MethodRouter<Arc<Api>>| handler.options(no_content);
    let own = Router::new()
        .route("/api/prom/rules", either(get(rules::groups)))
        .route("/api/prom/rules/{namespace}", either(get(rules::groups)))
        .route("/api/prom/rules/{namespace}/{group}", either(get(rules::group)))
        .route("/prometheus/api/v1/rules", either(get(rules::rules)))
        .route("/prometheus/api/v1/alerts", either(get(rules::alerts)))
        .route("/config", get(status::config))
        .route("/services", get(status::services))
        .route("/log_level", get(status::log_level).post(status::set_log_level))
        .route("/", get(home));
    let watch = watch(&api);
    let routes =
        routes(&watch).merge(legacy::routes(&watch)).merge(own).method_not_allowed_fallback(wrong_method).fallback(not_found);
    served(routes, api)
}

/// The routes below `/loki`, for a listener where other dialects have the other paths.
pub fn prefixed(api: Arc<Api>) -> Router {
    served(routes(&watch(&api)), api)
}

/// Notes queries.
fn watch(api: &Api) -> Watch {
    Watch::new(api.engine.engine(), Language::Logql, "loki")
}

fn served(routes: Router<Arc<Api>>, api: Arc<Api>) -> Router {
    routes.layer(from_fn(compress::compress)).layer(from_fn(cors::allow)).with_state(api)
}

fn routes(watch: &Watch) -> Router<Arc<Api>> {
    let either = |handler: MethodRouter<Arc<Api>>| handler.options(no_content);
    let query = |endpoint, handler| watch.over(endpoint, either(handler));
    Router::new()
        .route("/loki/api/v1/query", query("query", get(query::instant).post(query::instant)))
        .route("/loki/api/v1/query_range", query("query_range", get(query::range).post(query::range)))
        .route("/loki/api/v1/labels", either(get(series::labels).post(series::labels)))
        .route("/loki/api/v1/label", either(get(series::labels).post(series::labels)))
        .route("/loki/api/v1/label/{name}/values", either(get(series::values).post(series::values)))
        .route("/loki/api/v1/series", either(get(series::series).post(series::series)))
        .route("/loki/api/v1/index/stats", either(get(index::stats).post(index::stats)))
        .route("/loki/api/v1/index/volume", either(get(index::volume).post(index::volume)))
        .route("/loki/api/v1/index/volume_range", either(get(index::volume_range).post(index::volume_range)))
        .route("/loki/api/v1/detected_labels", either(get(detected::labels).post(detected::labels)))
        .route("/loki/api/v1/detected_fields", either(get(detected::fields).post(detected::fields)))
        .route("/loki/api/v1/detected_field/{name}/values", either(get(detected::values).post(detected::values)))
        .route("/loki/api/v1/patterns", either(get(patterns::patterns).post(patterns::patterns)))
        .route("/loki/api/v1/tail", watch.over("tail", any(tail::tail)))
        .route("/loki/api/v1/format_query", either(get(format_query::format_query).post(format_query::format_query)))
        .route("/loki/api/v1/delete", either(post(delete::add).put(delete::add).get(delete::list).delete(delete::cancel)))
        .route("/loki/api/v1/rules", either(get(rules::groups)))
        .route("/loki/api/v1/rules/{namespace}", either(get(rules::groups)))
        .route("/loki/api/v1/rules/{namespace}/{group}", either(get(rules::group)))
        .route("/loki/api/v1/drilldown-limits", either(get(status::drilldown_limits)))
        .route("/loki/api/v1/status/buildinfo", either(get(status::build_info)))
}

/// What a browser asks before it asks.
async fn no_content() -> StatusCode {
    StatusCode::NO_CONTENT
}

async fn wrong_method() -> StatusCode {
    StatusCode::METHOD_NOT_ALLOWED
}

async fn not_found() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "404 page not found\n")
}

/// `/`
async fn home() -> &'static str {
    "Telelake speaks the HTTP API of Loki here. There is no page to look at: give this address to Grafana as a Loki data source,\nor \
     ask it yourself:\n\n  /loki/api/v1/labels                                 the labels of streams\n  \
     /loki/api/v1/query_range?query={service_name=~\".+\"}  the newest lines\n  /loki/api/v1/tail?query=...                         \
     lines as they come, over a websocket\n  /loki/api/v1/push                                   push\n  /metrics                        \
     \x20                   the numbers of this node\n"
}
