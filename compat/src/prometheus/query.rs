//! `/api/v1/query` and `/api/v1/query_range`.
//! Source: `query`, `queryRange` of Prometheus `web/api/v1/api.go`.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use catalog::TenantId;
use http::{HeaderMap, header};
use query::promql::{InstantQuery, RangeQuery, Reuse, StatsWanted};

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
    headers: HeaderMap,
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
    let reuse = reuse(&headers, &form);
    let query = RangeQuery { text: text.clone(), start_ms, end_ms, step_ms, lookback, timeout, limit, stats, reuse };
    let outcome = api.engine.range(&tenant, query).await.map_err(ApiError::of_query)?;
    Ok(result::answer(outcome, &text, stats))
}

/// Whether kept answers may be used: not with `Cache-Control: no-store`, as Mimir has it, or `nocache=1`, as VictoriaMetrics has it.
fn reuse(headers: &HeaderMap, form: &Form) -> Reuse {
    let directives = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let no_store = directives.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case("no-store"));
    let no_cache = !matches!(form.get("nocache").to_ascii_lowercase().as_str(), "" | "0" | "f" | "false" | "n" | "no");
    if no_store || no_cache { Reuse::Forbidden } else { Reuse::Allowed }
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

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::extract::{FromRequest, Request};

    use super::*;

    #[tokio::test]
    async fn who_wants_no_kept_answer_says_so() {
        async fn check(url: &str, cache_control: &str, expected: Reuse) {
            let request = Request::get(url).header(header::CACHE_CONTROL, cache_control).body(Body::empty()).unwrap();
            let headers = request.headers().clone();
            let form = Form::from_request(request, &()).await.unwrap();
            assert_eq!(reuse(&headers, &form), expected, "{url} {cache_control}");
        }
        check("/x", "", Reuse::Allowed).await;
        check("/x?nocache=0", "max-age=0", Reuse::Allowed).await;
        check("/x?nocache=1", "", Reuse::Forbidden).await;
        check("/x?nocache=true", "", Reuse::Forbidden).await;
        check("/x", "no-store", Reuse::Forbidden).await;
        check("/x", "max-age=0, No-Store", Reuse::Forbidden).await;
    }
}
