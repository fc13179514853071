//! `/api/v1/rules` and `/api/v1/alerts`: no rules are evaluated here yet, so both are empty; parameters are checked all the same.
//! Source: `rules` of Prometheus `web/api/v1/api.go`.

use promql::parse::quote;
use serde_json::json;

use super::answer::Answer;
use super::error::ApiError;
use super::form::{Form, parse_bool};
use super::selectors;

/// `/api/v1/rules`
pub(super) async fn rules(form: Form) -> Result<Answer, ApiError> {
    form.well_formed()?;
    selectors::of(&form).map_err(ApiError::bad_data)?;
    let kind = form.in_url("type").to_lowercase();
    if !["", "alert", "record"].contains(&kind.as_str()) {
        return Err(ApiError::parameter("type", format!("not supported value {}", quote(&kind))));
    }
    let without_alerts = form.in_url("exclude_alerts").to_lowercase();
    if !without_alerts.is_empty() {
        parse_bool(&without_alerts)
            .map_err(|e| ApiError::parameter("exclude_alerts", format!("error converting exclude_alerts: {e}")))?;
    }
    let (limit, token) = (form.in_url("group_limit"), form.in_url("group_next_token"));
    match (limit, token) {
        ("", "") => {}
        ("", _) => {
            let reason = "group_limit needs to be present in order to paginate over the groups";
            return Err(ApiError::parameter("group_next_token", reason));
        }
        (limit, token) => {
            let groups = limit.parse::<i32>().map_err(|_| {
                let reason = format!("strconv.ParseInt: parsing {}: invalid syntax", quote(limit));
                ApiError::parameter("group_limit", format!("group_limit needs to be a valid number: {reason}"))
            })?;
            if groups <= 0 {
                return Err(ApiError::parameter("group_limit", "group_limit needs to be greater than 0"));
            }
            if !token.is_empty() {
                let reason = format!("invalid group_next_token '{token}'. were rule groups changed?");
                return Err(ApiError::parameter("group_next_token", reason));
            }
        }
    }
    Ok(Answer::of(&json!({ "groups": [] })))
}

/// `/api/v1/alerts`
pub(super) async fn alerts() -> Answer {
    Answer::of(&json!({ "alerts": [] }))
}
