//! `/api/v1/features`, `/api/v1/notifications`: what this server can do, and what it wants to tell its operator.
//! Source: Prometheus `util/features`, `docs/querying/api.md`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use promql::function::Function;
use serde_json::json;

use super::Api;
use super::answer::Answer;

/// Operators and aggregations by their spelling.
const OPERATORS: [&str; 40] = [
    "!=",
    "!~",
    "%",
    "*",
    "+",
    "-",
    "/",
    "<",
    "<=",
    "==",
    "=~",
    ">",
    ">=",
    "@",
    "^",
    "and",
    "atan2",
    "avg",
    "bool",
    "bottomk",
    "by",
    "count",
    "count_values",
    "group",
    "group_left",
    "group_right",
    "ignoring",
    "max",
    "min",
    "offset",
    "on",
    "or",
    "quantile",
    "stddev",
    "stdvar",
    "sum",
    "topk",
    "unless",
    "without",
    "=",
];
/// Those that Prometheus has behind a flag.
const EXPERIMENTAL_OPERATORS: [&str; 5] = ["fill", "fill_left", "fill_right", "limit_ratio", "limitk"];

/// What is there, by area.
pub(super) async fn features(State(api): State<Arc<Api>>) -> Answer {
    let experimental = api.experimental();
    let functions: BTreeMap<&str, bool> =
        Function::ALL.iter().map(|f| f.signature()).map(|s| (s.name, experimental || !s.experimental)).collect();
    let operators = OPERATORS.map(|o| (o, true)).into_iter().chain(EXPERIMENTAL_OPERATORS.map(|o| (o, experimental)));
    Answer::of(&json!({
        "api": {
            "admin": api.config.admin_api,
            "exclude_alerts": true,
            "label_values_match": true,
            "lifecycle": false,
            "otlp_write_receiver": true,
            "query_stats": true,
            "query_warnings": true,
            "remote_write_receiver": true,
            "rules_pagination": true,
            "search": true,
            "time_range_labels": true,
            "time_range_series": true,
        },
        "otlp_receiver": { "delta_conversion": true, "native_delta_ingestion": false },
        "prometheus": { "agent_mode": false, "auto_reload_config": false },
        "promql": {
            "anchored": experimental,
            "at_modifier": true,
            "bool": true,
            "by": true,
            "delayed_name_removal": true,
            "duration_expr": true,
            "experimental_functions": experimental,
            "fill": experimental,
            "group_left": true,
            "group_right": true,
            "ignoring": true,
            "negative_offset": true,
            "offset": true,
            "on": true,
            "per_query_lookback_delta": true,
            "per_step_stats": true,
            "smoothed": experimental,
            "subqueries": true,
            "without": true,
        },
        "promql_functions": functions,
        "promql_operators": operators.collect::<BTreeMap<_, _>>(),
        "rules": {},
        "scrape": {},
        "service_discovery_providers": {},
        "templating_functions": {},
        "tsdb": { "exemplar_storage": true, "native_histograms": true },
    }))
}

/// Nothing to tell.
pub(super) async fn notifications() -> Answer {
    Answer::of(&json!([]))
}

/// 204 tells the page that listens not to come back.
pub(super) async fn live_notifications() -> StatusCode {
    StatusCode::NO_CONTENT
}
