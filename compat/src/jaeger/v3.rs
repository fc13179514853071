//! Jaeger's third API over HTTP: OTLP in JSON, times in RFC 3339.
//! Source: `proto/api_v3/query_service.proto` of jaeger-idl, `apiv3/http_gateway.go` of Jaeger.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use catalog::TenantId;
use http::{HeaderMap, HeaderValue, Method, header};
use logql::units::parse_go_duration;
use query::traceql::{Trace, Window};
use serde_json::{Value, json};

use super::error::ApiError;
use super::query::{DEFAULT_LIMIT, TraceQuery};
use super::{Api, lookups, summary};
use crate::form::Form;
use crate::found;
use crate::otlp::group;
use crate::otlp::json::{Dialect, ResourceSpans};
use crate::pieces::{Array, Data, body};
use crate::tempo::trace_id;
use crate::time::parse_rfc3339;

/// Bytes of a search that comes as a body.
const BODY_BYTES_MAX: usize = 1 << 20;

type Answer = Result<Response, Response>;

/// `/api/v3/services`
pub(super) async fn services(State(api): State<Arc<Api>>, Extension(tenant): Extension<TenantId>) -> Answer {
    let services = lookups::services(&api, &tenant).await.map_err(ApiError::v3)?;
    Ok(Json(json!({ "services": services })).into_response())
}

/// `/api/v3/operations`
pub(super) async fn operations(State(api): State<Arc<Api>>, Extension(tenant): Extension<TenantId>, asked: Asked) -> Answer {
    let (service, kind) = (asked.get("service"), asked.get("span_kind"));
    let found = lookups::operations(&api, &tenant, service, kind).await.map_err(ApiError::v3)?;
    let found: Vec<Value> = found.into_iter().map(|op| json!({ "name": op.name, "spanKind": op.span_kind })).collect();
    Ok(Json(json!({ "operations": found })).into_response())
}

/// `/api/v3/traces/{id}`
pub(super) async fn trace(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    Path(id): Path<String>,
    asked: Asked,
) -> Answer {
    let read = async {
        let id = trace_id(&id).map_err(|e| malformed("trace_id", &e))?;
        let (start, end) = (asked.time("start_time")?, asked.time("end_time")?);
        let hint = start.zip(end).map(|(start_ns, end_ns)| Window { start_ns, end_ns });
        traces_response(found::by_ids(&api.engine, &tenant, &[id], hint).await?)
    };
    read.await.map_err(ApiError::v3)
}

/// `/api/v3/traces`
pub(super) async fn traces(State(api): State<Arc<Api>>, Extension(tenant): Extension<TenantId>, asked: Asked) -> Answer {
    let read = async { traces_response(find(&api, &tenant, &asked).await?) };
    read.await.map_err(ApiError::v3)
}

/// `/api/v3/trace-summaries`
pub(super) async fn summaries(State(api): State<Arc<Api>>, Extension(tenant): Extension<TenantId>, asked: Asked) -> Answer {
    let found = find(&api, &tenant, &asked).await.map_err(ApiError::v3)?;
    let list = Array::new(found.into_iter(), |out: &mut Vec<u8>, trace: Trace| summary::write(out, &summary::of(&trace)));
    Ok(within(r#"{"summaries":"#, list, "}"))
}

/// `/api/v3/dependencies`
pub(super) async fn dependencies(State(api): State<Arc<Api>>, Extension(tenant): Extension<TenantId>, asked: Asked) -> Answer {
    let read = async {
        let end_ns = asked.time("end_time")?.unwrap_or_else(|| api.now_ns());
        let start_ns = asked.time("start_time")?.unwrap_or_else(|| end_ns.saturating_sub(super::DAY_NS));
        lookups::dependencies(&api, &tenant, Window { start_ns, end_ns }).await
    };
    let found = read.await.map_err(ApiError::v3)?;
    let link = |link: query::traceql::Dependency| json!({ "parent": link.parent, "child": link.child, "callCount": link.calls.to_string() });
    Ok(Json(json!({ "dependencies": found.into_iter().map(link).collect::<Vec<_>>() })).into_response())
}

async fn find(api: &Api, tenant: &TenantId, asked: &Asked) -> Result<Vec<Trace>, ApiError> {
    let wanted = asked.query(api.now_ns())?.wanted().map_err(ApiError::bad_request)?;
    Ok(found::traces(&api.engine, tenant, wanted).await?)
}

/// The parameters of a request: those of the URL, or a message in JSON. Names are `snake_case`; `camelCase` is understood.
pub(super) struct Asked {
    form: Form,
    message: Value,
}

impl<S: Send + Sync> FromRequest<S> for Asked {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let read = async {
            if request.method() == Method::POST && is_json(request.headers()) {
                let body = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX).await;
                let body: Bytes =
                    body.map_err(|_| ApiError::bad_request(format!("body is larger than {BODY_BYTES_MAX} bytes")))?;
                let message = serde_json::from_slice(&body).map_err(|e| ApiError::bad_request(format!("malformed body: {e}")))?;
                return Ok(Self { form: Form::default(), message });
            }
            let form = Form::of(request).await.map_err(|e| ApiError::bad_request(e.to_string()))?;
            Ok(Self { form, message: Value::Null })
        };
        let _ = state;
        read.await.map_err(ApiError::v3)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).is_some_and(|v| v.starts_with("application/json"))
}

impl Asked {
    #[cfg(test)]
    fn of_url(url: &str) -> Self {
        Self { form: Form::of_url(url).expect("few parameters"), message: Value::Null }
    }

    /// A text; empty when it is not there.
    fn get(&self, name: &str) -> &str {
        let camel = camel_case(name);
        let of_form = [name, camel.as_str()].into_iter().map(|name| self.form.get(name)).find(|text| !text.is_empty());
        of_form.or_else(|| self.field(name).and_then(Value::as_str)).unwrap_or_default()
    }

    /// A field of the message: `query.service_name` is a field of a field.
    fn field(&self, name: &str) -> Option<&Value> {
        name.split('.').try_fold(&self.message, |value, part| value.get(part).or_else(|| value.get(camel_case(part))))
    }

    /// A time, nanoseconds.
    fn time(&self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.get(name) {
            "" => Ok(None),
            text => match parse_rfc3339(text) {
                Some((seconds, nanos)) => Ok(Some(seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(nanos)))),
                None => Err(malformed(name, &format!("{} is no time as in 2006-01-02T15:04:05Z", gosyntax::quote::quote(text)))),
            },
        }
    }

    fn duration(&self, name: &str) -> Result<i64, ApiError> {
        match self.get(name) {
            "" => Ok(0),
            text => parse_go_duration(text).map_err(|e| malformed(name, &e)),
        }
    }

    fn limit(&self) -> Result<usize, ApiError> {
        for name in ["query.search_depth", "query.num_traces"] {
            let of_message = self.field(name).and_then(Value::as_i64).map(|number| number.to_string());
            let text = match self.get(name) {
                "" => of_message.unwrap_or_default(),
                text => text.to_owned(),
            };
            if !text.is_empty() {
                let limit = text.parse::<i32>().map_err(|e| malformed(name, &e.to_string()))?;
                return Ok(usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(DEFAULT_LIMIT));
            }
        }
        Ok(DEFAULT_LIMIT)
    }

    /// The search.
    fn query(&self, now_ns: i64) -> Result<TraceQuery, ApiError> {
        if !self.get("query.filter").is_empty() || self.field("query.filter").is_some() {
            // To leave it out would find more than was asked for.
            return Err(ApiError::bad_request("query.filter is not supported; use the other parameters"));
        }
        let end_ns = self.time("query.start_time_max")?.unwrap_or(now_ns);
        let start_ns = self.time("query.start_time_min")?.unwrap_or_else(|| end_ns.saturating_sub(2 * super::DAY_NS));
        let tags = match (self.get("query.attributes"), self.field("query.attributes")) {
            ("", None) => Ok(Default::default()),
            ("", Some(map)) => serde_json::from_value(map.clone()),
            (text, _) => serde_json::from_str(text),
        };
        Ok(TraceQuery {
            service: self.get("query.service_name").to_owned(),
            operation: self.get("query.operation_name").to_owned(),
            tags: tags.map_err(|e| malformed("query.attributes", &e.to_string()))?,
            time: Window { start_ns, end_ns },
            duration_min_ns: self.duration("query.duration_min")?,
            duration_max_ns: self.duration("query.duration_max")?,
            limit: self.limit()?,
        })
    }
}

fn malformed(name: &str, reason: &str) -> ApiError {
    ApiError::bad_request(format!("malformed parameter {name}: {reason}"))
}

/// `query.service_name` as `query.serviceName`.
fn camel_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut upper = false;
    for c in name.chars() {
        match c {
            '_' => upper = true,
            c if std::mem::take(&mut upper) => out.push(c.to_ascii_uppercase()),
            c => out.push(c),
        }
    }
    out
}

/// `{"result":{"resourceSpans":[..]}}`; no traces are an error, as Jaeger has it.
fn traces_response(traces: Vec<Trace>) -> Result<Response, ApiError> {
    if traces.is_empty() {
        return Err(ApiError::not_found("No traces found"));
    }
    Ok(within(r#"{"result":{"resourceSpans":"#, ResourceSpans::new(group(traces), Dialect::Otlp), "}}"))
}

/// `head`, what `inner` writes, `end`.
fn within(head: &'static str, inner: impl Data, end: &'static str) -> Response {
    let data = Within { head: Some(head), inner, end: Some(end) };
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body(data)).into_response()
}

struct Within<D> {
    head: Option<&'static str>,
    inner: D,
    end: Option<&'static str>,
}

impl<D: Data> Data for Within<D> {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        if let Some(head) = self.head.take() {
            out.extend_from_slice(head.as_bytes());
            return true;
        }
        self.inner.write_next(out) || self.end.take().map(|end| out.extend_from_slice(end.as_bytes())).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_NS: i64 = 1_793_500_000_000_000_000;

    #[test]
    fn searches() {
        let url = "query.service_name=shop&query.operationName=GET&query.start_time_min=2026-11-01T00:00:00Z\
                   &query.start_time_max=2026-11-01T02:00:00.5Z&query.duration_min=1ms&query.search_depth=7\
                   &query.attributes=%7B%22a%22:%22b%22%7D";
        let expected = TraceQuery {
            service: "shop".to_owned(),
            operation: "GET".to_owned(),
            tags: [("a".to_owned(), "b".to_owned())].into(),
            time: Window { start_ns: 1_793_491_200_000_000_000, end_ns: 1_793_498_400_500_000_000 },
            duration_min_ns: 1_000_000,
            duration_max_ns: 0,
            limit: 7,
        };
        assert_eq!(Asked::of_url(url).query(NOW_NS), Ok(expected.clone()));
        let message = json!({ "query": {
            "service_name": "shop", "operationName": "GET", "attributes": { "a": "b" }, "searchDepth": 7, "durationMin": "1ms",
            "startTimeMin": "2026-11-01T00:00:00Z", "startTimeMax": "2026-11-01T02:00:00.5Z",
        } });
        assert_eq!(Asked { form: Form::default(), message }.query(NOW_NS), Ok(expected));
        assert_eq!(Asked::of_url("").query(NOW_NS).unwrap().limit, DEFAULT_LIMIT);
    }

    #[test]
    fn what_is_refused() {
        let refused = |url: &str| Asked::of_url(url).query(NOW_NS).unwrap_err().message;
        assert_eq!(refused("query.filter=%7B%7D"), "query.filter is not supported; use the other parameters");
        assert!(refused("query.start_time_min=1").starts_with("malformed parameter query.start_time_min: "));
        assert!(refused("query.search_depth=x").starts_with("malformed parameter query.search_depth: "));
        assert!(refused("query.attributes=x").starts_with("malformed parameter query.attributes: "));
    }
}
