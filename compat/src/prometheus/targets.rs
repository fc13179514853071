//! What a Prometheus scrapes: nothing here, since samples are pushed. The shapes are there for clients that look.

use axum::response::Result;
use promql::parse::parse_selector;
use serde_json::json;

use super::answer::Answer;
use super::error::ApiError;
use super::form::{Form, atoi};

/// `/api/v1/targets`
pub(super) async fn targets() -> Answer {
    Answer::of(&json!({ "activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {} }))
}

/// `/api/v1/targets/metadata`
pub(super) async fn metadata(form: Form) -> Result<Answer, ApiError> {
    if !form.get("limit").is_empty() {
        atoi(form.get("limit")).map_err(|_| ApiError::bad_data("limit must be a number"))?;
    }
    if !form.get("match_target").is_empty() {
        parse_selector(form.get("match_target")).map_err(|e| ApiError::parameter("match_target", e))?;
    }
    Ok(Answer::of(&json!([])))
}

/// `/api/v1/scrape_pools`
pub(super) async fn scrape_pools() -> Answer {
    Answer::of(&json!({ "scrapePools": [] }))
}

/// `/api/v1/alertmanagers`
pub(super) async fn alertmanagers() -> Answer {
    Answer::of(&json!({ "activeAlertmanagers": [], "droppedAlertmanagers": [] }))
}
