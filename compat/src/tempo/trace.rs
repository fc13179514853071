//! `/api/traces/{id}` and `/api/v2/traces/{id}`
//! Source: `ValidateAndSanitizeRequest` of Tempo `pkg/api/http.go`, `HexStringToTraceID` of `pkg/util`, its recorded answers.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use catalog::TenantId;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use query::traceql::{Trace, TraceId, TracePart, TracesRequest, Window};
use query::usage::note;

use super::Api;
use super::error::ApiError;
use super::filter::{FILTERED, SpanFilter};
use super::format::{protobuf, wants_protobuf};
use super::json::write_status;
use super::message::{self, PartialStatus, TraceByIdMetrics, TraceByIdResponse};
use super::params::{Params, parse_int};
use crate::jsonpb::Object;
use crate::otlp::json::{Dialect, ResourceSpans};
use crate::otlp::message::resource_spans;
use crate::otlp::{OfResource, group};
use crate::pieces::{Data, body};

/// Digits of an id.
const ID_DIGITS_MAX: usize = 32;

/// `/api/traces/{id}`: the spans alone.
pub(super) async fn v1(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    Path(id): Path<String>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let (id, time) = asked(&id, &params)?;
    let found = api.engine.traces(&tenant, TracesRequest { ids: vec![id], time }).await.map_err(ApiError::of_engine)?;
    let Some(trace) = found.into_iter().next() else { return Ok(not_found()) };
    let as_protobuf = wants_protobuf(&headers);
    built(move || {
        let groups = group([trace]);
        match as_protobuf {
            true => protobuf(&message::Trace { resource_spans: resource_spans(groups) }),
            false => json(r#"{"batches":"#, groups, "}"),
        }
    })
    .await
}

/// `/api/v2/traces/{id}`: the spans, and whether they are all of them.
pub(super) async fn v2(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    Path(id): Path<String>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let filter = SpanFilter::of(&params)?;
    let (id, time) = asked(&id, &params)?;
    let found = api.engine.trace_part(&tenant, id, time).await.map_err(ApiError::of_engine)?;
    let Some(TracePart { trace, is_whole }) = found else { return Ok(not_found()) };
    let spans_max = api.engine.config().trace_spans_max;
    let as_protobuf = wants_protobuf(&headers);
    built(move || {
        let (trace, filtered) = match &filter {
            Some(filter) => filter.apply(trace),
            None => (trace, false),
        };
        let lacks = match (is_whole, filtered) {
            (false, _) => {
                Some(format!("Trace has more than {spans_max} spans (traceql.trace_spans_max), a partial trace is returned"))
            }
            (true, true) => Some(FILTERED.to_owned()),
            (true, false) => None,
        };
        v2_response(trace, lacks, as_protobuf)
    })
    .await
}

/// What `build` makes, on a thread that may be held: a trace may have a million spans.
async fn built(build: impl FnOnce() -> Response + Send + 'static) -> Result<Response, ApiError> {
    let built = tokio::task::spawn_blocking(build).await;
    built.map_err(|_| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error"))
}

/// `lacks`: why spans are not there, if some are not.
fn v2_response(trace: Trace, lacks: Option<String>, as_protobuf: bool) -> Response {
    let status = if lacks.is_some() { PartialStatus::Partial } else { PartialStatus::Complete };
    let text = lacks.unwrap_or_default();
    let groups = group([trace]);
    if as_protobuf {
        return protobuf(&TraceByIdResponse {
            trace: Some(message::Trace { resource_spans: resource_spans(groups) }),
            metrics: Some(TraceByIdMetrics::default()),
            status: status as i32,
            message: text,
        });
    }
    let mut end = Vec::new();
    let mut object = Object::open(&mut end);
    object.message("metrics", Some(&()), |out, ()| out.extend_from_slice(b"{}"));
    write_status(&mut object, status as i32, &text);
    object.close();
    let end = String::from_utf8_lossy(&end[1..]).into_owned();
    json(r#"{"trace":{"resourceSpans":"#, groups, &format!("}},{end}"))
}

/// Which trace is asked for, and where to look first.
fn asked(id: &str, params: &Params) -> Result<(TraceId, Option<Window>), ApiError> {
    note(|row| row.set_text(id));
    Ok((trace_id(id).map_err(ApiError::bad_request)?, hint(params)?))
}

/// The id of up to 32 hexadecimal digits; fewer are the last ones of it.
///
/// # Errors
/// In Tempo's words.
pub(crate) fn trace_id(text: &str) -> Result<TraceId, String> {
    if let Some((at, c)) = text.char_indices().find(|(_, c)| !c.is_ascii_hexdigit()) {
        return Err(format!("trace IDs can only contain hex characters: invalid character '{c}' at position {}", at + 1));
    }
    if text.len() > ID_DIGITS_MAX {
        return Err("trace IDs can't be larger than 128 bits".to_owned());
    }
    let number =
        u128::from_str_radix(text, 16).map_err(|_| "trace IDs can only contain hex characters: it is empty".to_owned())?;
    Ok(number.to_be_bytes())
}

/// `start` and `end` in seconds: where to look first.
fn hint(params: &Params) -> Result<Option<Window>, ApiError> {
    let one = |name: &str| match params.get(name) {
        None => Ok(0),
        Some(text) => parse_int(text, i64::MAX).map_err(|e| ApiError::bad_request(format!("invalid {name}: {e}"))),
    };
    let (start_s, end_s) = (one("start")?, one("end")?);
    if start_s != 0 && end_s != 0 && end_s <= start_s {
        return Err(ApiError::bad_request(format!(
            "http parameter start must be before end. received start={start_s} end={end_s}"
        )));
    }
    let ns = |seconds: i64| seconds.saturating_mul(1_000_000_000);
    Ok((start_s > 0 && end_s > 0).then(|| Window { start_ns: ns(start_s), end_ns: ns(end_s) }))
}

fn not_found() -> Response {
    StatusCode::NOT_FOUND.into_response()
}

/// `head`, the list of spans, `end`.
fn json(head: &'static str, groups: Vec<OfResource>, end: &str) -> Response {
    let data = Around { head: Some(head), spans: ResourceSpans::new(groups, Dialect::Jsonpb), end: Some(end.to_owned()) };
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body(data)).into_response()
}

struct Around {
    head: Option<&'static str>,
    spans: ResourceSpans,
    end: Option<String>,
}

impl Data for Around {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        if let Some(head) = self.head.take() {
            out.extend_from_slice(head.as_bytes());
            return true;
        }
        self.spans.write_next(out) || self.end.take().map(|end| out.extend_from_slice(end.as_bytes())).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        let id = |text: &str| trace_id(text).map(u128::from_be_bytes);
        assert_eq!(id("b510c71d40eb13b"), Ok(0x0b51_0c71_d40e_b13b));
        assert_eq!(id("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"), Ok(u128::MAX));
        assert!(id("").is_err());
        assert_eq!(id("12x4").unwrap_err(), "trace IDs can only contain hex characters: invalid character 'x' at position 3");
        assert_eq!(id(&"1".repeat(33)).unwrap_err(), "trace IDs can't be larger than 128 bits");
    }

    #[test]
    fn hints() {
        let read = |url: &str| hint(&Params::of_url(url)).map_err(|e| e.message);
        assert_eq!(read(""), Ok(None));
        assert_eq!(read("start=1"), Ok(None));
        assert_eq!(read("start=1&end=2"), Ok(Some(Window { start_ns: 1_000_000_000, end_ns: 2_000_000_000 })));
        assert_eq!(read("start=20&end=10").unwrap_err(), "http parameter start must be before end. received start=20 end=10");
    }
}
