//! `/api/prom/...`: the API of the first Loki, which old Promtail dashboards and scripts still ask. Log queries only.
//! Source: Loki `pkg/loghttp/legacy`, `pkg/util/marshal/legacy/marshal.go`.
//!
//! ```text
//! {"streams":[{"labels":"{app=\"a\"}","entries":[{"ts":"2026-01-01T00:00:00.5Z","line":".."},..]},..],"stats":{..}}
//! ```

use std::io::Write;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Extension, Json, Router};
use catalog::{TenantId, Timestamp};
use http::{HeaderValue, header};
use logql::ast::Expr;
use query::logql::{Direction, RangeQuery, Stream, Tailed, Value};
use serde_json::json;

use super::encoding::{folded, labels_text};
use super::error::ApiError;
use super::params::Params;
use super::query::range_query;
use super::result::JSON;
use super::series::streams;
use super::{Api, series, stats, tail};
use crate::asked::Watch;
use crate::json::write_text;
use crate::pieces::{Array, Data, body};
use crate::time::format_rfc3339;

/// The routes.
pub(super) fn routes(watch: &Watch) -> Router<Arc<Api>> {
    Router::new()
        .route("/api/prom/query", watch.over("legacy_query", get(query).post(query)))
        .route("/api/prom/label", get(labels).post(labels))
        .route("/api/prom/label/{name}/values", get(values).post(values))
        .route("/api/prom/series", get(series::series).post(series::series))
        .route("/api/prom/tail", watch.over("legacy_tail", any(tail::legacy)))
}

async fn query(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    params: Params,
) -> Result<Response, ApiError> {
    let text = params.query_with_regexp()?;
    let query = RangeQuery { text, ..range_query(&params, api.now_ns())? };
    if let Expr::Metric(_) = logql::parse::parse(&query.text)? {
        return Err(not_streams());
    }
    let direction = query.direction;
    let answer = api.engine.range(&tenant, query).await.map_err(ApiError::of_engine)?;
    let Value::Streams(streams) = answer.value else { return Err(not_streams()) };
    let streams = folded(streams, direction);
    let list = Array::new(streams.into_iter(), |out: &mut Vec<u8>, stream| write_stream(out, &stream));
    let data = Enveloped { begun: false, streams: Some(list), end: format!(",\"stats\":{}}}\n", stats::json(&answer.stats)) };
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(JSON))], body(data)).into_response())
}

fn not_streams() -> ApiError {
    ApiError::bad_request("legacy endpoints only support streams result type")
}

async fn labels(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    params: Params,
) -> Result<Response, ApiError> {
    let names = api.engine.label_names(&tenant, streams(&params, api.now_ns())?).await.map_err(ApiError::of_engine)?;
    Ok(texts(&names))
}

async fn values(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let request = streams(&params, api.now_ns())?;
    let values = api.engine.label_values(&tenant, &name, request).await.map_err(ApiError::of_engine)?;
    Ok(texts(&values))
}

fn texts(texts: &[String]) -> Response {
    match texts {
        [] => Json(json!({})).into_response(),
        texts => Json(json!({ "values": texts })).into_response(),
    }
}

/// `{"streams":[..],"stats":{..}}`
struct Enveloped<D> {
    begun: bool,
    streams: Option<D>,
    end: String,
}

impl<D: Data> Data for Enveloped<D> {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(streams) = &mut self.streams else { return false };
        if !std::mem::replace(&mut self.begun, true) {
            out.extend_from_slice(br#"{"streams":"#);
        }
        if !streams.write_next(out) {
            out.extend_from_slice(self.end.as_bytes());
            self.streams = None;
        }
        true
    }
}

fn write_stream(out: &mut Vec<u8>, stream: &Stream) {
    out.extend_from_slice(br#"{"labels":"#);
    write_text(out, &labels_text(&stream.labels));
    out.extend_from_slice(br#","entries":["#);
    for (at, entry) in stream.entries.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        // Writing to memory cannot fail.
        let _ = write!(out, "{comma}{{\"ts\":\"{}\",\"line\":", format_rfc3339(Timestamp::from_nanos(entry.ts_ns)));
        write_text(out, &entry.line);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
}

/// A frame of a tail.
pub(super) fn write_frame(out: &mut Vec<u8>, tailed: Tailed) {
    out.extend_from_slice(br#"{"streams":["#);
    for (at, stream) in folded(tailed.streams, Direction::Forward).iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_stream(out, stream);
    }
    out.push(b']');
    for (at, (labels, ts_ns)) in tailed.dropped.iter().enumerate() {
        let open = if at == 0 { ",\"dropped_entries\":[" } else { "," };
        let _ = write!(out, "{open}{{\"timestamp\":\"{}\",\"labels\":", format_rfc3339(Timestamp::from_nanos(*ts_ns)));
        write_text(out, &labels_text(labels));
        out.push(b'}');
    }
    out.extend_from_slice(if tailed.dropped.is_empty() { b"}" } else { b"]}" });
}
