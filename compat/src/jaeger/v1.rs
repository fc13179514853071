//! Jaeger's first API, the one of its UI for years and of Grafana's data source: JSON in an envelope, times in microseconds.
//! Source: `cmd/query/app/{http_handler,query_parser}.go` and `model/json` of Jaeger.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::sync::Arc;
use std::vec::IntoIter;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use catalog::TenantId;
use http::{HeaderValue, StatusCode, header};
use logql::units::parse_go_duration;
use query::traceql::{Resource, Span, Trace, TraceId, Window};
use serde_json::{Value, json};

use super::error::ApiError;
use super::model::{RefType, Reference, Tag, TagValue, logs, process_tags, references, service, span_tags};
use super::query::{DEFAULT_LIMIT, TraceQuery};
use super::{Api, lookups};
use crate::form::{Form, FormError};
use crate::found;
use crate::pieces::{Data, body};
use crate::tempo::trace_id;

const US_NS: i64 = 1_000;
const MS_NS: i64 = 1_000_000;
/// How far back a search goes when nothing is said.
const DEFAULT_LOOKBACK_NS: i64 = 48 * 3600 * 1_000_000_000;
/// How far back dependencies go when nothing is said.
const DEFAULT_DEPENDENCIES_NS: i64 = 24 * 3600 * 1_000_000_000;
/// Whole numbers that every reader of JSON can hold.
const JSON_INT_MAX: u64 = (1 << 53) - 1;

type Answer = Result<Response, Response>;

/// `/api/services`
pub(super) async fn services(State(api): State<Arc<Api>>, Extension(tenant): Extension<TenantId>) -> Answer {
    let names = lookups::services(&api, &tenant).await.map_err(ApiError::v1)?;
    Ok(listed(names))
}

/// `/api/services/{service}/operations`
pub(super) async fn operation_names(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    Path(name): Path<String>,
) -> Answer {
    let names = lookups::operation_names(&api, &tenant, &name).await.map_err(ApiError::v1)?;
    Ok(listed(names))
}

/// `/api/operations?service=..&spanKind=..`
pub(super) async fn operations(State(api): State<Arc<Api>>, Extension(tenant): Extension<TenantId>, form: Params) -> Answer {
    let service = form.0.get("service");
    if service.is_empty() {
        return Err(ApiError::bad_request("parameter 'service' is required").v1());
    }
    let found = lookups::operations(&api, &tenant, service, form.0.get("spanKind")).await.map_err(ApiError::v1)?;
    let found = found.into_iter().map(|op| json!({ "name": op.name, "spanKind": op.span_kind })).collect();
    Ok(listed::<Value>(found))
}

/// `/api/traces`
pub(super) async fn traces(State(api): State<Arc<Api>>, Extension(tenant): Extension<TenantId>, form: Params) -> Answer {
    find(&api, &tenant, &form.0).await.map_err(ApiError::v1)
}

async fn find(api: &Api, tenant: &TenantId, form: &Form) -> Result<Response, ApiError> {
    let ids = form.all("traceID").map(trace_id).collect::<Result<Vec<TraceId>, String>>();
    let ids = ids.map_err(|reason| ApiError::bad_request(format!("unable to parse param 'traceID': {reason}")))?;
    if ids.is_empty() {
        let wanted = query(form, api.now_ns())?.wanted().map_err(ApiError::bad_request)?;
        return Ok(traces_response(found::traces(&api.engine, tenant, wanted).await?, Vec::new()));
    }
    let found = found::by_ids(&api.engine, tenant, &ids, None).await?;
    let missing = ids.iter().filter(|id| !found.iter().any(|trace| trace.id == **id));
    let errors = missing.map(|id| json!({ "msg": "trace not found", "traceID": trace_text(*id) })).collect();
    Ok(traces_response(found, errors))
}

/// `/api/traces/{id}`
pub(super) async fn trace(State(api): State<Arc<Api>>, Extension(tenant): Extension<TenantId>, Path(id): Path<String>) -> Answer {
    let read = async {
        let id = trace_id(&id).map_err(|e| ApiError::bad_request(format!("unable to parse param 'traceID': {e}")))?;
        let found = found::by_ids(&api.engine, &tenant, &[id], None).await?;
        if found.is_empty() { Err(ApiError::not_found("trace not found")) } else { Ok(traces_response(found, Vec::new())) }
    };
    read.await.map_err(ApiError::v1)
}

/// `/api/dependencies?endTs=..&lookback=..`, milliseconds.
pub(super) async fn dependencies(State(api): State<Arc<Api>>, Extension(tenant): Extension<TenantId>, form: Params) -> Answer {
    let read = async {
        let end_ns = number(&form.0, "endTs", MS_NS)?.unwrap_or_else(|| api.now_ns());
        let lookback_ns = number(&form.0, "lookback", MS_NS)?.unwrap_or(DEFAULT_DEPENDENCIES_NS);
        let time = Window { start_ns: end_ns.saturating_sub(lookback_ns), end_ns };
        lookups::dependencies(&api, &tenant, time).await
    };
    let found = read.await.map_err(ApiError::v1)?;
    let links = found.into_iter().map(|link| json!({ "parent": link.parent, "child": link.child, "callCount": link.calls }));
    Ok(listed::<Value>(links.collect()))
}

/// `/api/metrics/*`, `/api/archive/{id}`: what Jaeger answers when it has no store for them.
pub(super) async fn not_there() -> Response {
    let message = "metrics querying and archiving are disabled: ask TraceQL, or Prometheus for traces_spanmetrics_*";
    ApiError::new(StatusCode::NOT_IMPLEMENTED, message).v1()
}

/// The parameters of a request.
pub(super) struct Params(pub(super) Form);

impl<S: Send + Sync> axum::extract::FromRequest<S> for Params {
    type Rejection = Response;

    async fn from_request(request: axum::extract::Request, _: &S) -> Result<Self, Response> {
        let form = Form::of(request).await;
        form.map(Self).map_err(|error: FormError| ApiError::bad_request(error.to_string()).v1())
    }
}

/// The search that the parameters say.
fn query(form: &Form, now_ns: i64) -> Result<TraceQuery, ApiError> {
    if form.get("service").is_empty() {
        return Err(ApiError::bad_request("parameter 'service' is required"));
    }
    let end_ns = number(form, "end", US_NS)?.unwrap_or(now_ns);
    let start_ns = number(form, "start", US_NS)?.unwrap_or_else(|| now_ns.min(end_ns).saturating_sub(DEFAULT_LOOKBACK_NS));
    let (duration_min_ns, duration_max_ns) = (duration(form, "minDuration")?, duration(form, "maxDuration")?);
    if duration_max_ns != 0 && duration_max_ns < duration_min_ns {
        return Err(ApiError::bad_request("'maxDuration' should be greater than 'minDuration'"));
    }
    let limit = match number(form, "limit", 1)? {
        None => DEFAULT_LIMIT,
        Some(limit) => usize::try_from(limit).unwrap_or(0).max(1),
    };
    Ok(TraceQuery {
        service: form.get("service").to_owned(),
        operation: form.get("operation").to_owned(),
        tags: tags(form)?,
        time: Window { start_ns, end_ns },
        duration_min_ns,
        duration_max_ns,
        limit,
    })
}

/// A number times `unit`; `None` when it is not there.
fn number(form: &Form, name: &str, unit: i64) -> Result<Option<i64>, ApiError> {
    match form.get(name) {
        "" => Ok(None),
        text => match text.parse::<i64>() {
            Ok(number) => Ok(Some(number.saturating_mul(unit))),
            Err(_) => {
                let quoted = gosyntax::quote::quote(text);
                Err(ApiError::bad_request(format!(
                    "unable to parse param '{name}': strconv.ParseInt: parsing {quoted}: invalid syntax"
                )))
            }
        },
    }
}

fn duration(form: &Form, name: &str) -> Result<i64, ApiError> {
    match form.get(name) {
        "" => Ok(0),
        text => parse_go_duration(text).map_err(|e| ApiError::bad_request(format!("unable to parse param '{name}': {e}"))),
    }
}

/// `tag=key:value`, repeated, and `tags`, a map in JSON.
fn tags(form: &Form) -> Result<BTreeMap<String, String>, ApiError> {
    let mut tags = BTreeMap::new();
    for pair in form.all("tag") {
        let (key, value) = pair
            .split_once(':')
            .ok_or_else(|| ApiError::bad_request(format!("malformed 'tag' parameter, expecting key:value, received: {pair}")))?;
        tags.insert(key.to_owned(), value.to_owned());
    }
    for map in form.all("tags").filter(|map| !map.is_empty()) {
        let read: BTreeMap<String, String> = serde_json::from_str(map)
            .map_err(|e| ApiError::bad_request(format!("malformed 'tags' parameter, cannot unmarshal JSON: {e}")))?;
        tags.extend(read);
    }
    Ok(tags)
}

fn listed<T: serde::Serialize>(items: Vec<T>) -> Response {
    let total = items.len();
    Json(json!({ "data": items, "total": total, "limit": 0, "offset": 0, "errors": null })).into_response()
}

/// Traces in the envelope, written span by span.
fn traces_response(traces: Vec<Trace>, errors: Vec<Value>) -> Response {
    let total = traces.len();
    let errors = if errors.is_empty() { Value::Null } else { Value::Array(errors) };
    let envelope = Envelope {
        head: Some(r#"{"data":["#),
        traces: traces.into_iter(),
        at_work: None,
        begun: false,
        end: Some(format!(r#"],"total":{total},"limit":0,"offset":0,"errors":{errors}}}"#)),
    };
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body(envelope)).into_response()
}

struct Envelope {
    head: Option<&'static str>,
    traces: IntoIter<Trace>,
    at_work: Option<TraceAtWork>,
    begun: bool,
    end: Option<String>,
}

/// A trace of which some spans are written, and the processes that they name.
struct TraceAtWork {
    id: TraceId,
    spans: IntoIter<Span>,
    begun: bool,
    processes: Vec<Arc<Resource>>,
    /// The places of a resource's number; what was built by hand may have one number for all.
    known: HashMap<i64, Vec<usize>>,
}

impl Data for Envelope {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        if let Some(head) = self.head.take() {
            out.extend_from_slice(head.as_bytes());
            return true;
        }
        if let Some(trace) = &mut self.at_work {
            if !trace.write_span(out) {
                trace.write_end(out);
                self.at_work = None;
            }
            return true;
        }
        let Some(Trace { id, spans }) = self.traces.next() else {
            return self.end.take().map(|end| out.extend_from_slice(end.as_bytes())).is_some();
        };
        if std::mem::replace(&mut self.begun, true) {
            out.push(b',');
        }
        // Writing to memory cannot fail.
        let _ = write!(out, r#"{{"traceID":"{}","spans":["#, trace_text(id));
        let (processes, known) = (Vec::new(), HashMap::new());
        self.at_work = Some(TraceAtWork { id, spans: spans.into_iter(), begun: false, processes, known });
        true
    }
}

impl TraceAtWork {
    /// Writes the next span; `false` when there was none.
    fn write_span(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(span) = self.spans.next() else { return false };
        if std::mem::replace(&mut self.begun, true) {
            out.push(b',');
        }
        let process = process_name(self.process(&span.resource));
        let _ = serde_json::to_writer(out, &span_json(self.id, &span, &process));
        true
    }

    fn process(&mut self, resource: &Arc<Resource>) -> usize {
        let places = self.known.entry(resource.id).or_default();
        let same = |known: &Arc<Resource>| Arc::ptr_eq(known, resource) || known == resource;
        places.iter().copied().find(|&at| same(&self.processes[at])).unwrap_or_else(|| {
            places.push(self.processes.len());
            self.processes.push(Arc::clone(resource));
            self.processes.len() - 1
        })
    }

    /// What stands behind the spans.
    fn write_end(&self, out: &mut Vec<u8>) {
        let process = |(at, resource): (usize, &Arc<Resource>)| {
            (process_name(at), json!({ "serviceName": service(resource), "tags": tags_json(&process_tags(resource)) }))
        };
        let processes: serde_json::Map<String, Value> = self.processes.iter().enumerate().map(process).collect();
        let _ = write!(out, r#"],"processes":{},"warnings":null}}"#, Value::Object(processes));
    }
}

fn process_name(at: usize) -> String {
    format!("p{}", at + 1)
}

fn span_json(trace: TraceId, span: &Span, process: &str) -> Value {
    let logs = logs(span);
    json!({
        "traceID": trace_text(trace),
        "spanID": hex::encode(span.id),
        "operationName": span.name,
        "references": references(trace, span).iter().map(reference_json).collect::<Vec<_>>(),
        "startTime": span.start_ns.div_euclid(US_NS),
        "duration": span.duration_ns.div_euclid(US_NS),
        "tags": tags_json(&span_tags(span)),
        "logs": logs.iter()
            .map(|log| json!({ "timestamp": log.time_ns.div_euclid(US_NS), "fields": tags_json(&log.fields) }))
            .collect::<Vec<_>>(),
        "processID": process,
        "warnings": null,
    })
}

fn reference_json(reference: &Reference) -> Value {
    let kind = match reference.kind {
        RefType::ChildOf => "CHILD_OF",
        RefType::FollowsFrom => "FOLLOWS_FROM",
    };
    json!({ "refType": kind, "traceID": trace_text(reference.trace), "spanID": hex::encode(reference.span) })
}

fn tags_json(tags: &[Tag]) -> Vec<Value> {
    let tag = |tag: &Tag| {
        let (kind, value) = match &tag.value {
            TagValue::Text(text) => ("string", json!(text)),
            TagValue::Flag(flag) => ("bool", json!(flag)),
            TagValue::Int(number) if number.unsigned_abs() > JSON_INT_MAX => ("int64", json!(number.to_string())),
            TagValue::Int(number) => ("int64", json!(number)),
            TagValue::Float(number) if !number.is_finite() => ("float64", json!(number.to_string())),
            TagValue::Float(number) => ("float64", json!(number)),
            TagValue::Bytes(bytes) => ("binary", json!(hex::encode(bytes))),
        };
        json!({ "key": tag.key, "type": kind, "value": value })
    };
    tags.iter().map(tag).collect()
}

/// An id: 16 digits when that is all there is to it.
pub(super) fn trace_text(id: TraceId) -> String {
    if id[..8] == [0; 8] { hex::encode(&id[8..]) } else { hex::encode(id) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::sample::trace;

    const NOW_NS: i64 = 1_793_500_000_000_000_000;

    #[test]
    fn searches() {
        let read = |url: &str| query(&Form::of_url(url).unwrap(), NOW_NS).map_err(|e| e.message);
        let full = read(
            "service=shop&operation=GET+%2F&start=1000&end=2000&limit=7&minDuration=1ms&maxDuration=2s&tag=a:b:c&tags=%7B%22d%22:%22e%22%7D",
        )
        .unwrap();
        assert_eq!((full.service.as_str(), full.operation.as_str(), full.limit), ("shop", "GET /", 7));
        assert_eq!(full.time, Window { start_ns: 1_000_000, end_ns: 2_000_000 });
        assert_eq!((full.duration_min_ns, full.duration_max_ns), (1_000_000, 2_000_000_000));
        assert_eq!(full.tags.into_iter().collect::<Vec<_>>(), [("a".into(), "b:c".into()), ("d".into(), "e".into())]);
        let least = read("service=shop").unwrap();
        assert_eq!((least.limit, least.time.end_ns), (DEFAULT_LIMIT, NOW_NS));

        #[track_caller]
        fn check(got: Result<TraceQuery, String>, expected: &str) {
            let got = got.unwrap_err();
            assert!(got.starts_with(expected), "{got}");
        }
        check(read(""), "parameter 'service' is required");
        check(read("service=s&start=x"), "unable to parse param 'start': strconv.ParseInt: parsing \"x\": invalid syntax");
        check(read("service=s&minDuration=x"), "unable to parse param 'minDuration': ");
        check(read("service=s&minDuration=2s&maxDuration=1s"), "'maxDuration' should be greater than 'minDuration'");
        check(read("service=s&tag=x"), "malformed 'tag' parameter, expecting key:value, received: x");
        check(read("service=s&tags=x"), "malformed 'tags' parameter, cannot unmarshal JSON: ");
    }

    async fn written(traces: Vec<Trace>, errors: Vec<Value>) -> Value {
        let body = axum::body::to_bytes(traces_response(traces, errors).into_body(), usize::MAX).await.unwrap();
        serde_json::from_slice(&body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&body)))
    }

    #[tokio::test]
    async fn a_trace_in_jaegers_json() {
        let json = written(vec![trace()], Vec::new()).await["data"][0].clone();
        assert_eq!(json["traceID"], "0b510c71d40eb13b");
        assert_eq!(json["processes"]["p1"]["serviceName"], "shop");
        assert_eq!(json["processes"]["p2"]["serviceName"], "stock");
        let spans = json["spans"].as_array().unwrap();
        assert_eq!(spans.iter().map(|s| s["processID"].as_str().unwrap()).collect::<Vec<_>>(), ["p1", "p1", "p2"]);
        assert_eq!((&spans[0]["startTime"], &spans[0]["duration"]), (&1_793_491_200_000_000i64.into(), &50_000.into()));
        assert_eq!(
            spans[1]["references"],
            json!([{ "refType": "CHILD_OF", "traceID": "0b510c71d40eb13b", "spanID": "0102030405060708" }])
        );
        assert_eq!(spans[0]["logs"][0]["timestamp"], 1_793_491_200_010_000i64);
        let tags = spans[0]["tags"].as_array().unwrap();
        assert!(tags.contains(&json!({ "key": "http.status_code", "type": "int64", "value": 500 })));
        assert!(tags.contains(&json!({ "key": "error", "type": "bool", "value": true })));
        assert!(tags.contains(&json!({ "key": "ratio", "type": "float64", "value": 0.25 })));
        assert!(tags.contains(&json!({ "key": "a.bytes", "type": "binary", "value": "0001fe" })));
    }

    #[tokio::test]
    async fn traces_come_in_an_envelope() {
        let json = written(vec![trace(), trace()], vec![json!({ "msg": "trace not found" })]).await;
        assert_eq!((json["data"].as_array().unwrap().len(), &json["total"]), (2, &2.into()));
        assert_eq!(json["errors"][0]["msg"], "trace not found");
        assert_eq!(written(Vec::new(), Vec::new()).await["data"], json!([]));
    }
}
