//! `/api/v1/parse_query`: the syntax tree, and `/api/v1/format_query`: the text as it should look.

use std::sync::Arc;

use axum::extract::State;
use promql::print;

use super::Api;
use super::answer::Answer;
use super::error::ApiError;
use super::form::Form;

/// `/api/v1/parse_query`
pub(super) async fn parse_query(State(api): State<Arc<Api>>, form: Form) -> Result<Answer, ApiError> {
    let expr = api.parse(form.get("query")).map_err(|e| ApiError::parameter("query", e))?;
    Ok(Answer::of(&print::json(&expr)))
}

/// `/api/v1/format_query`
pub(super) async fn format_query(State(api): State<Arc<Api>>, form: Form) -> Result<Answer, ApiError> {
    let expr = api.parse(form.get("query")).map_err(|e| ApiError::parameter("query", e))?;
    Ok(Answer::of(&print::pretty(&expr)))
}
