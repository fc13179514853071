//! `/api/v1/admin/tsdb/...`: deleting series and marking a state, off unless `prometheus.admin_api` is set.
//! Source: `deleteSeries`, `cleanTombstones`, `snapshot` of Prometheus `web/api/v1/api.go`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use catalog::{ErrorKind, TenantId};
use futures::future::BoxFuture;
use http::StatusCode;
use promql::parse::parse_selector;
use query::promql::{DeleteRequest, TimeMs};
use serde_json::json;

use super::Api;
use super::answer::Answer;
use super::error::{ApiError, ErrorType};
use super::form::{Form, parse_bool};

/// What the endpoints ask of the node.
pub trait Administration: Send + Sync + std::fmt::Debug + 'static {
    /// Rewrites files that hold deleted rows.
    fn clean_tombstones(&self) -> BoxFuture<'_, Result<(), AdminError>>;

    /// The node's current numbers in the Prometheus text format.
    fn numbers(&self) -> String;

    /// The number of the newest snapshot; [`Head::Included`]: after everything that was acknowledged has gone into files.
    fn snapshot(&self, head: Head) -> BoxFuture<'_, Result<u64, AdminError>>;
}

/// Whether a snapshot holds what is not in files yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// It does: it is flushed before.
    Included,
    /// It does not.
    Skipped,
}

/// Why the node did not do it.
#[derive(Debug, Clone)]
pub struct AdminError {
    /// What the caller can do about it.
    pub kind: ErrorKind,
    /// For the caller to read.
    pub message: String,
}

fn allowed(api: &Api) -> Result<(), ApiError> {
    if api.config.admin_api { Ok(()) } else { Err(ApiError::new(ErrorType::Unavailable, "admin APIs disabled")) }
}

/// `/api/v1/admin/tsdb/delete_series`
pub(super) async fn delete_series(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    form: Form,
) -> Result<StatusCode, ApiError> {
    allowed(&api)?;
    form.well_formed()?;
    if form.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let (start_ms, end_ms) = form.range()?;
    let selectors: Result<Vec<_>, _> = form.all("match[]").map(parse_selector).collect();
    let selectors = selectors.map_err(|e| ApiError::parameter("match[]", e))?;
    let request = DeleteRequest { selectors, time: TimeMs { start_ms, end_ms } };
    api.engine.delete_series(&tenant, request).await.map_err(ApiError::of_engine)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `/api/v1/admin/tsdb/clean_tombstones`: rewrites files that hold deleted rows.
pub(super) async fn clean_tombstones(State(api): State<Arc<Api>>) -> Result<StatusCode, ApiError> {
    allowed(&api)?;
    api.node.clean_tombstones().await.map_err(ApiError::of_node)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `/api/v1/admin/tsdb/snapshot`: writes what is in memory into files and names the state. SQL reads it with `snapshot=N` for as long
/// as `catalog.time_travel` says.
pub(super) async fn snapshot(State(api): State<Arc<Api>>, form: Form) -> Result<Answer, ApiError> {
    allowed(&api)?;
    let skip_head = match form.get("skip_head") {
        "" => false,
        text => parse_bool(text).map_err(|e| ApiError::parameter("skip_head", format!("unable to parse boolean: {e}")))?,
    };
    let head = if skip_head { Head::Skipped } else { Head::Included };
    let id = api.node.snapshot(head).await.map_err(ApiError::of_node)?;
    Ok(Answer::of(&json!({ "name": id.to_string() })))
}
