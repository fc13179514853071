//! `/api/v1/query` and `/api/v1/query_range`.
//! Source: `query`, `queryRange` of Prometheus `web/api/v1/api.go`.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use catalog::TenantId;
use query::promql::{InstantQuery, RangeQuery, StatsWanted};

use super::answer::Answer;
use super::error::ApiError;
use super::form::Form;
use super::{Api, result};

/// Steps of a range query, as Prometheus counts them: one more time than steps.
const STEPS_MAX: i64 = 11_000;

/// `/api/v1/query`
pub(super) async fn instant(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    form: Form,
) -> Result<Answer, ApiError> {
    let limit = form.limit()?.unwrap_or(0);
    let time_ms = form.time_or("time", api.env.now().as_millis())?;
    let (timeout, lookback, stats) = options(&form)?;
    let text = form.get("query").to_owned();
    let query = InstantQuery { text: text.clone(), time_ms, lookback, timeout, limit, stats };
    let outcome = api.engine.instant(&tenant, query).await.map_err(ApiError::of_query)?;
    Ok(result::answer(outcome, &text, stats))
}

/// `/api/v1/query_range`
pub(super) async fn range(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    form: Form,
) -> Result<Answer, ApiError> {
    let limit = form.limit()?.unwrap_or(0);
    let (start_ms, end_ms) = (form.time("start")?, form.time("end")?);
    if end_ms < start_ms {
        return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
    }
    let step_ms = form.duration("step")?;
    if step_ms <= 0 {
        let reason = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(ApiError::parameter("step", reason));
    }
    if end_ms.saturating_sub(start_ms) / step_ms > STEPS_MAX {
        return Err(ApiError::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ));
    }
    let (timeout, lookback, stats) = options(&form)?;
    let text = form.get("query").to_owned();
    let query = RangeQuery { text: text.clone(), start_ms, end_ms, step_ms, lookback, timeout, limit, stats };
    let outcome = api.engine.range(&tenant, query).await.map_err(ApiError::of_query)?;
    Ok(result::answer(outcome, &text, stats))
}

/// `timeout`, `lookback_delta` and `stats`.
fn options(form: &Form) -> Result<(Option<Duration>, Option<Duration>, StatsWanted), ApiError> {
    // A timeout of nothing, or less, has passed already.
    let timeout = form.duration_if_any("timeout")?.map(|ms| Duration::from_millis(ms.try_into().unwrap_or(0)));
    let lookback = form.duration_if_any("lookback_delta").map_err(|e| {
        let reason = e.message.trim_start_matches("invalid parameter \"lookback_delta\": ");
        ApiError::bad_data(format!("error parsing lookback delta duration: {reason}"))
    })?;
    let lookback = lookback.and_then(|ms| u64::try_from(ms).ok()).filter(|ms| *ms > 0).map(Duration::from_millis);
    let stats = match form.get("stats") {
        "" => StatsWanted::None,
        "all" => StatsWanted::PerStep,
        _ => StatsWanted::Totals,
    };
    Ok((timeout, lookback, stats))
}
