//! `/api/v1/status/tsdb`: how many series there are, and what makes them so many.
//! Source: `serveTSDBStatus` of Prometheus `web/api/v1/api.go`. What its head is there is here the newest day.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use catalog::TenantId;
use serde::Serialize;

use super::Api;
use super::answer::Answer;
use super::error::ApiError;
use super::form::{Form, atoi};

/// Entries of each list, when the request says nothing, and at most.
const LIMIT: i64 = 10;
const LIMIT_MAX: i64 = 10_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    head_stats: HeadStats,
    series_count_by_metric_name: Vec<Count>,
    label_value_count_by_label_name: Vec<Count>,
    memory_in_bytes_by_label_name: Vec<Count>,
    series_count_by_label_value_pair: Vec<Count>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HeadStats {
    num_series: u64,
    num_label_pairs: u64,
    /// Samples that are not in files yet.
    chunk_count: u64,
    min_time: i64,
    max_time: i64,
}

#[derive(Serialize)]
struct Count {
    name: String,
    value: u64,
}

/// `/api/v1/status/tsdb`
pub(super) async fn tsdb(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    form: Form,
) -> Result<Answer, ApiError> {
    let limit = match form.get("limit") {
        "" => LIMIT,
        text => atoi(text).ok().filter(|n| *n >= 1).ok_or_else(|| ApiError::bad_data("limit must be a positive number"))?,
    };
    if limit > LIMIT_MAX {
        return Err(ApiError::bad_data(format!("limit must not exceed {LIMIT_MAX}")));
    }
    let found = api.engine.cardinality(&tenant, limit as usize).await.map_err(ApiError::of_engine)?;
    let counts = |of: Vec<(String, u64)>| of.into_iter().map(|(name, value)| Count { name, value }).collect();
    // An empty head has its bounds the wrong way round.
    let (min_time, max_time) = found.time_ms.unwrap_or((i64::MAX, i64::MIN));
    Ok(Answer::of(&Status {
        head_stats: HeadStats {
            num_series: found.series,
            num_label_pairs: found.label_pairs,
            chunk_count: found.fresh_samples,
            min_time,
            max_time,
        },
        series_count_by_metric_name: counts(found.series_by_metric),
        label_value_count_by_label_name: counts(found.values_by_label),
        memory_in_bytes_by_label_name: counts(found.bytes_by_label),
        series_count_by_label_value_pair: counts(found.series_by_pair),
    }))
}

/// `/api/v1/status/tsdb/blocks`: samples lie in files of the lake, which are no blocks.
pub(super) async fn blocks() -> Answer {
    Answer::of(&serde_json::json!({ "blocks": [] }))
}
