//! `/loki/api/v1/index/{stats,volume,volume_range}`: how much there is, without reading lines.
//! Source: `ParseIndexStatsQuery`, `ParseVolumeInstantQuery`, `ParseVolumeRangeQuery` of Loki `pkg/loghttp/query.go`.

use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use catalog::TenantId;
use query::logql::{StreamsRequest, VolumeRequest};
use serde::Serialize;

use super::error::ApiError;
use super::params::Params;
use super::query::range_query;
use super::{Api, result};

#[derive(Serialize)]
struct IndexStats {
    streams: u64,
    chunks: u64,
    bytes: u64,
    entries: u64,
}

/// `/loki/api/v1/index/stats`
pub(super) async fn stats(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    params: Params,
) -> Result<Response, ApiError> {
    // Loki reads the parameters of a range query here, and refuses what it refuses there.
    range_query(&params, api.now_ns())?;
    let request = StreamsRequest { selectors: params.selectors(), time: params.range(api.now_ns())? };
    let stats = api.engine.index_stats(&tenant, request).await.map_err(ApiError::of_engine)?;
    let query::logql::IndexStats { streams, chunks, entries, bytes } = stats;
    Ok(Json(IndexStats { streams, chunks, bytes, entries }).into_response())
}

/// `/loki/api/v1/index/volume`
pub(super) async fn volume(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    params: Params,
) -> Result<Response, ApiError> {
    let request = volume_request(&params, api.now_ns())?;
    api.engine.volume(&tenant, request).await.map(result::of_volume).map_err(ApiError::of_engine)
}

/// `/loki/api/v1/index/volume_range`
pub(super) async fn volume_range(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    params: Params,
) -> Result<Response, ApiError> {
    let mut request = volume_request(&params, api.now_ns())?;
    request.step_ns = Some(params.step_ns(request.time)?);
    api.engine.volume(&tenant, request).await.map(result::of_volume).map_err(ApiError::of_engine)
}

fn volume_request(params: &Params, now_ns: i64) -> Result<VolumeRequest, ApiError> {
    Ok(VolumeRequest {
        selector: params.query().to_owned(),
        limit: params.volume_limit()?,
        by: params.aggregate_by()?,
        target_labels: params.target_labels(),
        time: params.range(now_ns)?,
        step_ns: None,
    })
}
