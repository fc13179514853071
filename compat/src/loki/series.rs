//! `/loki/api/v1/labels`, `/loki/api/v1/label/{name}/values`, `/loki/api/v1/series`: which streams there are.
//! Source: Loki `pkg/loghttp/{labels,series}.go`, `pkg/util/marshal/marshal.go`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use catalog::TenantId;
use http::{HeaderValue, header};
use query::logql::StreamsRequest;

use super::Api;
use super::error::ApiError;
use super::params::Params;
use super::result::{JSON, write_set};
use crate::json::write_text;
use crate::pieces::{Array, Data, body};

/// `/loki/api/v1/labels`, and `/loki/api/v1/label`
pub(super) async fn labels(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    params: Params,
) -> Result<Response, ApiError> {
    let names = api.engine.label_names(&tenant, streams(&params, api.now_ns())?).await.map_err(ApiError::of_engine)?;
    Ok(texts(names))
}

/// `/loki/api/v1/label/{name}/values`
pub(super) async fn values(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let request = streams(&params, api.now_ns())?;
    let values = api.engine.label_values(&tenant, &name, request).await.map_err(ApiError::of_engine)?;
    Ok(texts(values))
}

/// `/loki/api/v1/series`
pub(super) async fn series(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    params: Params,
) -> Result<Response, ApiError> {
    let time = params.bounds(api.now_ns())?;
    let request = StreamsRequest { selectors: params.matches()?, time };
    let streams = api.engine.streams(&tenant, request).await.map_err(ApiError::of_engine)?;
    Ok(success(Array::new(streams.into_iter(), |out: &mut Vec<u8>, labels| write_set(out, &labels))))
}

/// The streams that `query` selects in the range.
pub(super) fn streams(params: &Params, now_ns: i64) -> Result<StreamsRequest, ApiError> {
    Ok(StreamsRequest { time: params.bounds(now_ns)?, selectors: params.selectors() })
}

/// Names or values. Loki leaves the list out when there is nothing in it.
fn texts(texts: Vec<String>) -> Response {
    if texts.is_empty() {
        return ([(header::CONTENT_TYPE, HeaderValue::from_static(JSON))], "{\"status\":\"success\"}\n").into_response();
    }
    success(Array::new(texts.into_iter(), |out: &mut Vec<u8>, text: String| write_text(out, &text)))
}

/// `{"status":"success","data":..}`
pub(super) fn success(data: impl Data) -> Response {
    let data = Success { begun: false, data: Some(data) };
    ([(header::CONTENT_TYPE, HeaderValue::from_static(JSON))], body(data)).into_response()
}

struct Success<D> {
    begun: bool,
    data: Option<D>,
}

impl<D: Data> Data for Success<D> {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(data) = &mut self.data else { return false };
        if !std::mem::replace(&mut self.begun, true) {
            out.extend_from_slice(br#"{"status":"success","data":"#);
        }
        if !data.write_next(out) {
            out.extend_from_slice(b"}\n");
            self.data = None;
        }
        true
    }
}
