//! `/loki/api/v1/delete`: asks for lines to be deleted, lists such requests, takes one back; off unless `logql.delete_api` is set.
//! Source: Loki `pkg/compactor/deletion/{request_handler,tenant_request_handler,util}.go`.
//!
//! Loki shares a request out by `max_interval` for its compactor; here a request is one predicate whatever it says, and hides lines at
//! once.

use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use catalog::TenantId;
use http::StatusCode;
use logql::ast::{LogExpr, Stage};
use logql::parse::parse_log_selector;
use logql::units::{duration_text, parse_go_duration};
use query::logql::{DeleteRequest, DeleteState};
use serde::Serialize;

use super::Api;
use super::error::ApiError;
use super::params::Params;
use crate::time::parse_rfc3339;

/// The header that says what the new request is called.
const REQUEST_ID: &str = "x-delete-request-id";
const NS_PER_MS: i64 = 1_000_000;
const NS_PER_S: i64 = 1_000_000_000;

fn allowed(api: &Api) -> Result<(), ApiError> {
    match api.engine.config().delete_api {
        true => Ok(()),
        false => Err(ApiError::new(StatusCode::FORBIDDEN, "deletion is not available for this tenant")),
    }
}

/// `POST /loki/api/v1/delete`
pub(super) async fn add(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    params: Params,
) -> Result<Response, ApiError> {
    allowed(&api)?;
    let request = request(&params, api.now_ns())?;
    let id = api.engine.delete(&tenant, request).await.map_err(ApiError::of_engine)?;
    Ok((StatusCode::NO_CONTENT, [(REQUEST_ID, id)]).into_response())
}

/// A request as it is listed, its times in seconds.
#[derive(Serialize)]
struct Listed {
    request_id: String,
    start_time: i64,
    end_time: i64,
    query: String,
    status: &'static str,
    created_at: i64,
}

impl From<DeleteState> for Listed {
    fn from(state: DeleteState) -> Self {
        Self {
            request_id: state.id,
            start_time: state.start_s,
            end_time: state.end_s,
            query: state.text,
            status: if state.is_processed { "processed" } else { "received" },
            created_at: state.created_s,
        }
    }
}

/// `GET /loki/api/v1/delete`
pub(super) async fn list(State(api): State<Arc<Api>>, Extension(tenant): Extension<TenantId>) -> Result<Response, ApiError> {
    allowed(&api)?;
    let states = api.engine.deletes(&tenant).await.map_err(ApiError::of_engine)?;
    Ok(Json(states.into_iter().map(Listed::from).collect::<Vec<_>>()).into_response())
}

/// `DELETE /loki/api/v1/delete`
pub(super) async fn cancel(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    params: Params,
) -> Result<StatusCode, ApiError> {
    allowed(&api)?;
    let force = params.get("force") == "true";
    api.engine.cancel_delete(&tenant, params.get("request_id"), force).await.map_err(ApiError::of_engine)?;
    Ok(StatusCode::NO_CONTENT)
}

fn request(params: &Params, now_ns: i64) -> Result<DeleteRequest, ApiError> {
    let bad = ApiError::bad_request;
    let text = params.query();
    if text.is_empty() {
        return Err(bad("query not set"));
    }
    let expr = parse_log_selector(text).map_err(|_| bad("invalid query expression"))?;
    let start_ns = match params.get("start") {
        "" => return Err(bad("start time not set")),
        text => time_ns(text).ok_or_else(|| bad("invalid start time: require unix seconds or RFC3339 format"))?,
    };
    let end_ns = match params.get("end") {
        "" => now_ns,
        text => time_ns(text).ok_or_else(|| bad("invalid end time: require unix seconds or RFC3339 format"))?,
    };
    if end_ns > now_ns {
        return Err(bad("deletes in the future are not allowed"));
    }
    if start_ns > end_ns {
        return Err(bad("start time can't be greater than end time"));
    }
    if looks_at_lines(&expr) {
        check_interval(params.get("max_interval"), end_ns.saturating_sub(start_ns))?;
    }
    Ok(DeleteRequest { text: text.to_owned(), start_ns, end_ns })
}

/// RFC 3339, or seconds in ten characters; what is finer than milliseconds is cut off.
fn time_ns(text: &str) -> Option<i64> {
    let ms = match parse_rfc3339(text) {
        Some((seconds, nanos)) => seconds.checked_mul(1000)?.checked_add(i64::from(nanos) / NS_PER_MS)?,
        None if text.len() == 10 => {
            let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite())?;
            (seconds * 1000.0) as i64
        }
        None => return None,
    };
    ms.checked_mul(NS_PER_MS)
}

fn looks_at_lines(expr: &LogExpr) -> bool {
    expr.stages.iter().any(|stage| matches!(stage, Stage::LineFilter(_) | Stage::LabelFilter(_)))
}

/// Refuses what Loki refuses.
fn check_interval(text: &str, length_ns: i64) -> Result<(), ApiError> {
    let bad = ApiError::bad_request;
    if text.is_empty() {
        return match length_ns < NS_PER_S {
            true => Err(bad("difference between start time and end time must be at least one second")),
            false => Ok(()),
        };
    }
    let interval_ns = parse_go_duration(text)
        .ok()
        .filter(|ns| *ns >= NS_PER_S)
        .ok_or_else(|| bad("invalid max_interval: valid time units are 's', 'm', 'h'"))?;
    if interval_ns > length_ns {
        let length = duration_text(length_ns);
        let text = format!("max_interval can't be greater than the interval to be deleted ({length})");
        return Err(ApiError::bad_request(text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-01 in seconds.
    const NEW_YEAR_S: i64 = 1_767_225_600;

    #[track_caller]
    fn check(query: &str, expected: Result<(i64, i64), &str>) {
        let params = Params::of_url(query).unwrap();
        let got = request(&params, NEW_YEAR_S * NS_PER_S);
        let got = got.map(|r| (r.start_ns / NS_PER_MS, r.end_ns / NS_PER_MS)).map_err(|e| e.message);
        assert_eq!(got, expected.map_err(str::to_owned), "{query}");
    }

    #[test]
    fn requests_are_read_as_loki_reads_them() {
        let hour = "start=1767222000&end=1767225600";
        check(&format!("query={{a=\"b\"}}&{hour}"), Ok((1_767_222_000_000, 1_767_225_600_000)));
        check("query={a=\"b\"}&start=2025-12-31T23:00:00.5Z", Ok((1_767_222_000_500, 1_767_225_600_000)));
        check(&format!("query={{a=\"b\"}} |= \"x\"&max_interval=30m&{hour}"), Ok((1_767_222_000_000, 1_767_225_600_000)));
        check("start=1767222000", Err("query not set"));
        check("query={&start=1767222000", Err("invalid query expression"));
        check("query=rate({a=\"b\"}[1m])&start=1767222000", Err("invalid query expression"));
        check("query={a=\"b\"}", Err("start time not set"));
        check("query={a=\"b\"}&start=12", Err("invalid start time: require unix seconds or RFC3339 format"));
        check(
            "query={a=\"b\"}&start=1767222000&end=1767222000000000000",
            Err("invalid end time: require unix seconds or RFC3339 format"),
        );
        check("query={a=\"b\"}&start=1767222000&end=1767225601", Err("deletes in the future are not allowed"));
        check("query={a=\"b\"}&start=1767222000&end=1767221999", Err("start time can't be greater than end time"));
        check(
            &format!("query={{a=\"b\"}} |= \"x\"&max_interval=1d&{hour}"),
            Err("invalid max_interval: valid time units are 's', 'm', 'h'"),
        );
        check(
            &format!("query={{a=\"b\"}} |= \"x\"&max_interval=2h&{hour}"),
            Err("max_interval can't be greater than the interval to be deleted (1h0m0s)"),
        );
        check(
            "query={a=\"b\"} | x=\"1\"&start=1767222000&end=1767222000",
            Err("difference between start time and end time must be at least one second"),
        );
    }

    #[test]
    fn requests_are_listed_in_seconds() {
        let state = DeleteState {
            id: "x1".to_owned(),
            start_s: 1,
            end_s: 2,
            text: "{a=\"b\"}".to_owned(),
            is_processed: true,
            created_s: 3,
        };
        let got = serde_json::to_value(Listed::from(state)).unwrap();
        let expected = serde_json::json!({
            "request_id": "x1", "start_time": 1, "end_time": 2, "query": "{a=\"b\"}", "status": "processed", "created_at": 3,
        });
        assert_eq!(got, expected);
    }
}
