//! What this server is and what it allows: `/loki/api/v1/{status/buildinfo,drilldown-limits}`, `/config`, `/services`, `/log_level`.
//! Source: Loki `pkg/loki/{loki,drilldown_config,version_handler}.go`, `pkg/util/log`.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use promql::parse::format_duration;
use query::logql::LogqlConfig;
use serde_json::{Value, json};

use super::Api;

/// The version of Loki whose API is spoken here: clients switch features on by it.
pub const LOKI_VERSION: &str = "3.8.0";

/// What is known about this process.
#[derive(Debug, Clone)]
pub struct LokiFacts {
    /// The version of the program, as in `0.1.0`.
    pub version: &'static str,
    /// What is logged, as in `info`.
    pub log_level: String,
    /// How long lines are kept; `None`: for ever.
    pub retention: Option<Duration>,
    /// What is done to lines when they come in.
    pub push: PushLimits,
}

/// What the receivers do to lines, as far as clients are told. The names are those of Loki's `limits_config`.
#[derive(Debug, Clone, Default)]
pub struct PushLimits {
    /// Whether a line's level is looked for.
    pub discover_log_levels: bool,
    /// The labels that a missing `service_name` is taken from.
    pub discover_service_name: Vec<String>,
    /// The fields that a line's level is taken from.
    pub log_level_fields: Vec<String>,
    /// Whether lines that are too long are cut rather than refused.
    pub max_line_size_truncate: bool,
}

/// `/loki/api/v1/status/buildinfo`: bare, unlike Prometheus'.
pub(super) async fn build_info(State(api): State<Arc<Api>>) -> Response {
    // The revision says whose program it is: the version is the one of the API.
    let revision = format!("telelake-{}", api.facts.version);
    Json(json!({
        "version": LOKI_VERSION, "revision": revision, "branch": "", "buildUser": "", "buildDate": "", "goVersion": "",
    }))
    .into_response()
}

/// `/loki/api/v1/drilldown-limits`: what Grafana's Logs Drilldown shows and hides by.
pub(super) async fn drilldown_limits(State(api): State<Arc<Api>>) -> Response {
    let limits = limits(api.engine.config(), &api.facts);
    Json(json!({ "limits": limits, "pattern_ingester_enabled": true, "version": LOKI_VERSION })).into_response()
}

/// The limits by Loki's names, those that it publishes.
fn limits(config: &LogqlConfig, facts: &LokiFacts) -> Value {
    let duration = |length: Option<Duration>| {
        length
            .filter(|d| !d.is_zero())
            .map_or_else(|| "0s".to_owned(), |d| format_duration(i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
    };
    json!({
        "discover_log_levels": facts.push.discover_log_levels,
        "discover_service_name": facts.push.discover_service_name,
        "log_level_fields": facts.push.log_level_fields,
        "max_entries_limit_per_query": config.entries_max,
        "max_line_size_truncate": facts.push.max_line_size_truncate,
        "max_query_bytes_read": "0B",
        "max_query_length": duration(Some(config.length_max)),
        "max_query_lookback": "0s",
        "max_query_range": "0s",
        "max_query_series": config.series_max,
        "metric_aggregation_enabled": false,
        "pattern_persistence_enabled": false,
        "query_timeout": duration(Some(config.timeout)),
        "retention_period": duration(facts.retention),
        "retention_stream": [],
        "volume_enabled": true,
        "volume_max_series": config.series_max,
    })
}

/// `/config`: the limits, as the section of Loki's configuration that has them.
pub(super) async fn config(State(api): State<Arc<Api>>) -> Response {
    let limits = limits(api.engine.config(), &api.facts);
    let mut yaml = String::from("limits_config:\n");
    for (name, value) in limits.as_object().into_iter().flatten() {
        // JSON is YAML. Writing to memory cannot fail.
        let _ = writeln!(yaml, "  {name}: {value}");
    }
    ([(header::CONTENT_TYPE, "text/yaml; charset=utf-8")], yaml).into_response()
}

/// `/services`: by the names of Loki's services, those whose work is done here. They run when anything answers.
pub(super) async fn services() -> Response {
    let services = ["compactor", "distributor", "ingester", "querier", "query-frontend", "server", "store"];
    let lines: String = services.iter().map(|name| format!("{name} => Running\n")).collect();
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], lines).into_response()
}

/// `GET /log_level`
pub(super) async fn log_level(State(api): State<Arc<Api>>) -> Response {
    Json(json!({ "message": format!("Current log level is {}", api.facts.log_level) })).into_response()
}

/// `POST /log_level`
pub(super) async fn set_log_level() -> Response {
    let body = json!({ "status": "failed", "message": "the log level is the setting log.level, which is read at the start" });
    (StatusCode::FORBIDDEN, Json(body)).into_response()
}
