//! `/loki/api/v1/query` and `/loki/api/v1/query_range`.
//! Source: `ParseInstantQuery`, `ParseRangeQuery` of Loki `pkg/loghttp/query.go`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use catalog::TenantId;
use query::logql::{Direction, InstantQuery, RangeQuery};

use super::encoding::Encoding;
use super::error::ApiError;
use super::params::Params;
use super::{Api, result};

/// `/loki/api/v1/query`
pub(super) async fn instant(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    encoding: Encoding,
    params: Params,
) -> Result<Response, ApiError> {
    let query = instant_query(&params, api.now_ns())?;
    let answer = api.engine.instant(&tenant, query).await.map_err(ApiError::of_engine)?;
    Ok(result::response(answer, encoding, Direction::Backward))
}

/// `/loki/api/v1/query_range`
pub(super) async fn range(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    encoding: Encoding,
    params: Params,
) -> Result<Response, ApiError> {
    let query = range_query(&params, api.now_ns())?;
    let direction = query.direction;
    let answer = api.engine.range(&tenant, query).await.map_err(ApiError::of_engine)?;
    Ok(result::response(answer, encoding, direction))
}

/// What is asked for at one time. A limit and a direction mean nothing to a number, but a wrong one is refused all the same.
fn instant_query(params: &Params, now_ns: i64) -> Result<InstantQuery, ApiError> {
    params.limit()?;
    let time_ns = params.time(now_ns)?;
    params.direction()?;
    Ok(InstantQuery { text: params.query().to_owned(), time_ns, timeout: None })
}

/// What is asked for over a range.
pub(super) fn range_query(params: &Params, now_ns: i64) -> Result<RangeQuery, ApiError> {
    let time = params.range(now_ns)?;
    Ok(RangeQuery {
        text: params.query().to_owned(),
        start_ns: time.start_ns,
        end_ns: time.end_ns,
        limit: params.limit()?,
        direction: params.direction()?,
        step_ns: params.step_ns(time)?,
        interval_ns: params.interval_ns()?,
        timeout: None,
    })
}
