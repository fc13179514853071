//! `jaeger.api_v3.QueryService` and `jaeger.api_v2.QueryService`.
//!
//! ```text
//! request ─► [query] ─► traces ─┬─► TracesData of some spans, ..          (v3)
//!                               └─► SpansResponseChunk of some spans, ..  (v2)
//! ```

use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use axum::{Extension, Router};
use catalog::TenantId;
use futures::stream::{self, Stream, StreamExt};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use query::traceql::{Span, Trace, TraceId, Window};
use tonic::Status;

use super::error::ApiError;
use super::message::{
    Duration, FindTracesRequest, GetDependenciesRequest, GetOperationsRequest, GetServicesRequest, GetServicesResponse,
    Operation, Timestamp, TraceQueryParameters, v2, v3,
};
use super::model::{RefType, Tag, TagValue, logs, process_tags, references, service, span_tags};
use super::query::{DEFAULT_LIMIT, TraceQuery};
use super::{Api, DAY_NS, lookups, summary, watch};
use crate::found;
use crate::grpc::{served, served_once};
use crate::otlp::group;
use crate::otlp::message::resource_spans;
use crate::tempo::trace_id;

/// Spans of a message: what a client takes is 4 MiB.
const SPANS_PER_MESSAGE: usize = 256;
/// Summaries of a message.
const SUMMARIES_PER_MESSAGE: usize = 100;

/// The messages of an answer.
type Messages<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

/// The routes of both services.
pub(super) fn routes(api: Arc<Api>) -> Router {
    const V3: &str = "/jaeger.api_v3.QueryService";
    const V2: &str = "/jaeger.api_v2.QueryService";
    let watch = watch(&api, "jaeger-grpc");
    Router::new()
        .route(&format!("{V3}/GetTrace"), watch.over("v3_GetTrace", post(v3_trace)))
        .route(&format!("{V3}/FindTraces"), watch.over("v3_FindTraces", post(v3_find)))
        .route(&format!("{V3}/FindTraceSummaries"), watch.over("v3_FindTraceSummaries", post(v3_summaries)))
        .route(&format!("{V3}/GetServices"), post(services))
        .route(&format!("{V3}/GetOperations"), post(v3_operations))
        .route(&format!("{V3}/GetDependencies"), post(v3_dependencies))
        .route(&format!("{V2}/GetTrace"), watch.over("v2_GetTrace", post(v2_trace)))
        .route(&format!("{V2}/FindTraces"), watch.over("v2_FindTraces", post(v2_find)))
        .route(&format!("{V2}/GetServices"), post(services))
        .route(&format!("{V2}/GetOperations"), post(v2_operations))
        .route(&format!("{V2}/GetDependencies"), post(v2_dependencies))
        .with_state(api)
}

type Asked = (State<Arc<Api>>, Extension<TenantId>);

async fn v3_trace((State(api), Extension(tenant)): Asked, request: Request<Body>) -> Response {
    served(request, move |asked: v3::GetTraceRequest| {
        let id = trace_id(&asked.trace_id).map_err(ApiError::bad_request)?;
        let found = one(&api, &tenant, id, window(asked.start_time, asked.end_time));
        Ok::<_, ApiError>(told(found, traces_data))
    })
    .await
}

async fn v3_find((State(api), Extension(tenant)): Asked, request: Request<Body>) -> Response {
    served(request, move |asked: FindTracesRequest| Ok::<_, ApiError>(told(find(&api, &tenant, asked)?, traces_data))).await
}

async fn v3_summaries((State(api), Extension(tenant)): Asked, request: Request<Body>) -> Response {
    served(request, move |asked: FindTracesRequest| {
        let summaries = |traces: Vec<Trace>| {
            let some = traces.chunks(SUMMARIES_PER_MESSAGE);
            some.map(|some| v3::FindTraceSummariesResponse { summaries: some.iter().map(summary::of).collect() }).collect()
        };
        Ok::<_, ApiError>(told(find(&api, &tenant, asked)?, summaries))
    })
    .await
}

async fn services((State(api), Extension(tenant)): Asked, request: Request<Body>) -> Response {
    served_once(request, move |_: GetServicesRequest| {
        let (api, tenant) = (Arc::clone(&api), tenant.clone());
        async move { Ok(GetServicesResponse { services: lookups::services(&api, &tenant).await? }) }
    })
    .await
}

async fn v3_operations((State(api), Extension(tenant)): Asked, request: Request<Body>) -> Response {
    served_once(request, move |asked: GetOperationsRequest| {
        let (api, tenant) = (Arc::clone(&api), tenant.clone());
        async move { Ok(v3::GetOperationsResponse { operations: operations(&api, &tenant, &asked).await? }) }
    })
    .await
}

async fn v2_operations((State(api), Extension(tenant)): Asked, request: Request<Body>) -> Response {
    served_once(request, move |asked: GetOperationsRequest| {
        let (api, tenant) = (Arc::clone(&api), tenant.clone());
        async move {
            let operations = operations(&api, &tenant, &asked).await?;
            let mut operation_names: Vec<String> = operations.iter().map(|op| op.name.clone()).collect();
            operation_names.dedup();
            Ok(v2::GetOperationsResponse { operation_names, operations })
        }
    })
    .await
}

async fn v3_dependencies((State(api), Extension(tenant)): Asked, request: Request<Body>) -> Response {
    served_once(request, move |asked: GetDependenciesRequest| {
        let (api, tenant) = (Arc::clone(&api), tenant.clone());
        async move {
            let found = lookups::dependencies(&api, &tenant, of_links(&asked, api.now_ns())).await?;
            let link = |link: query::traceql::Dependency| v3::Dependency {
                parent: link.parent,
                child: link.child,
                call_count: link.calls,
            };
            Ok(v3::DependenciesResponse { dependencies: found.into_iter().map(link).collect() })
        }
    })
    .await
}

async fn v2_dependencies((State(api), Extension(tenant)): Asked, request: Request<Body>) -> Response {
    served_once(request, move |asked: GetDependenciesRequest| {
        let (api, tenant) = (Arc::clone(&api), tenant.clone());
        async move {
            let found = lookups::dependencies(&api, &tenant, of_links(&asked, api.now_ns())).await?;
            let link = |link: query::traceql::Dependency| v2::DependencyLink {
                parent: link.parent,
                child: link.child,
                call_count: link.calls,
            };
            Ok(v2::GetDependenciesResponse { dependencies: found.into_iter().map(link).collect() })
        }
    })
    .await
}

async fn v2_trace((State(api), Extension(tenant)): Asked, request: Request<Body>) -> Response {
    served(request, move |asked: v2::GetTraceRequest| {
        let id = TraceId::try_from(asked.trace_id.as_slice())
            .map_err(|_| ApiError::bad_request(format!("trace id has {} bytes, must be 16", asked.trace_id.len())))?;
        let found = one(&api, &tenant, id, window(asked.start_time, asked.end_time));
        Ok::<_, ApiError>(told(found, chunks))
    })
    .await
}

async fn v2_find((State(api), Extension(tenant)): Asked, request: Request<Body>) -> Response {
    served(request, move |asked: FindTracesRequest| Ok::<_, ApiError>(told(find(&api, &tenant, asked)?, chunks))).await
}

/// A trace, which must be there.
fn one(
    api: &Arc<Api>,
    tenant: &TenantId,
    id: TraceId,
    time: Option<Window>,
) -> impl Future<Output = Result<Vec<Trace>, ApiError>> + Send + use<> {
    let (api, tenant) = (Arc::clone(api), tenant.clone());
    async move {
        let found = found::by_ids(&api.engine, &tenant, &[id], time).await?;
        if found.is_empty() { Err(ApiError::not_found("trace not found")) } else { Ok(found) }
    }
}

/// The traces of a search.
fn find(
    api: &Arc<Api>,
    tenant: &TenantId,
    asked: FindTracesRequest,
) -> Result<impl Future<Output = Result<Vec<Trace>, ApiError>> + Send + use<>, ApiError> {
    let asked = asked.query.ok_or_else(|| ApiError::bad_request("missing query"))?;
    let wanted = query(asked, api.now_ns())?.wanted().map_err(ApiError::bad_request)?;
    let (api, tenant) = (Arc::clone(api), tenant.clone());
    Ok(async move { Ok(found::traces(&api.engine, &tenant, wanted).await?) })
}

fn query(asked: TraceQueryParameters, now_ns: i64) -> Result<TraceQuery, ApiError> {
    if asked.filter.is_some() {
        return Err(ApiError::bad_request("query.filter is not supported; use the other fields"));
    }
    let end_ns = asked.start_time_max.map_or(now_ns, Timestamp::as_ns);
    let start_ns = asked.start_time_min.map_or(end_ns.saturating_sub(2 * DAY_NS), Timestamp::as_ns);
    Ok(TraceQuery {
        service: asked.service_name,
        operation: asked.operation_name,
        tags: asked.attributes.into_iter().collect(),
        time: Window { start_ns, end_ns },
        duration_min_ns: asked.duration_min.map_or(0, Duration::as_ns),
        duration_max_ns: asked.duration_max.map_or(0, Duration::as_ns),
        limit: usize::try_from(asked.search_depth).ok().filter(|limit| *limit > 0).unwrap_or(DEFAULT_LIMIT),
    })
}

async fn operations(api: &Api, tenant: &TenantId, asked: &GetOperationsRequest) -> Result<Vec<Operation>, ApiError> {
    let found = lookups::operations(api, tenant, &asked.service, &asked.span_kind).await?;
    Ok(found.into_iter().map(|op| Operation { name: op.name, span_kind: op.span_kind }).collect())
}

fn window(start: Option<Timestamp>, end: Option<Timestamp>) -> Option<Window> {
    let (start, end) = start.zip(end)?;
    // What Go sends for a time that is not set is in the year 1.
    (start.seconds > 0 && end.seconds > 0).then(|| Window { start_ns: start.as_ns(), end_ns: end.as_ns() })
}

fn of_links(asked: &GetDependenciesRequest, now_ns: i64) -> Window {
    let end_ns = asked.end_time.map_or(now_ns, Timestamp::as_ns);
    Window { start_ns: asked.start_time.map_or(end_ns.saturating_sub(DAY_NS), Timestamp::as_ns), end_ns }
}

/// The messages that `tell` makes of what was found.
fn told<M: Send + 'static>(
    found: impl Future<Output = Result<Vec<Trace>, ApiError>> + Send + 'static,
    tell: impl FnOnce(Vec<Trace>) -> Vec<M> + Send + 'static,
) -> Messages<M> {
    let messages = stream::once(async move {
        let traces = match found.await {
            Ok(traces) => traces,
            Err(error) => return vec![Err(error.into())],
        };
        // On a thread that may be held: there may be a million spans.
        match tokio::task::spawn_blocking(move || tell(traces)).await {
            Ok(messages) => messages.into_iter().map(Ok).collect::<Vec<_>>(),
            Err(_) => vec![Err(Status::internal("internal error"))],
        }
    });
    Box::pin(messages.flat_map(stream::iter))
}

/// The spans of each trace, some at a time.
fn split(traces: Vec<Trace>) -> impl Iterator<Item = Trace> {
    traces.into_iter().flat_map(|Trace { id, spans }| {
        let mut spans = spans.into_iter();
        std::iter::from_fn(move || {
            let some: Vec<Span> = spans.by_ref().take(SPANS_PER_MESSAGE).collect();
            (!some.is_empty()).then_some(Trace { id, spans: some })
        })
    })
}

fn traces_data(traces: Vec<Trace>) -> Vec<TracesData> {
    split(traces).map(|some| TracesData { resource_spans: resource_spans(group([some])) }).collect()
}

fn chunks(traces: Vec<Trace>) -> Vec<v2::SpansResponseChunk> {
    let chunk = |Trace { id, spans }| v2::SpansResponseChunk { spans: spans.iter().map(|span| v2_span(id, span)).collect() };
    split(traces).map(chunk).collect()
}

fn v2_span(trace: TraceId, span: &Span) -> v2::Span {
    let reference = |reference: super::model::Reference| v2::SpanRef {
        trace_id: reference.trace.to_vec(),
        span_id: reference.span.to_vec(),
        ref_type: i32::from(reference.kind == RefType::FollowsFrom),
    };
    let log = |log: super::model::Log| v2::Log {
        timestamp: Some(Timestamp::of_ns(log.time_ns)),
        fields: log.fields.into_iter().map(key_value).collect(),
    };
    v2::Span {
        trace_id: trace.to_vec(),
        span_id: span.id.to_vec(),
        operation_name: span.name.clone(),
        references: references(trace, span).into_iter().map(reference).collect(),
        flags: span.flags,
        start_time: Some(Timestamp::of_ns(span.start_ns)),
        duration: Some(Duration::of_ns(span.duration_ns)),
        tags: span_tags(span).into_iter().map(key_value).collect(),
        logs: logs(span).into_iter().map(log).collect(),
        process: Some(v2::Process {
            service_name: service(&span.resource).to_owned(),
            tags: process_tags(&span.resource).into_iter().map(key_value).collect(),
        }),
    }
}

fn key_value(tag: Tag) -> v2::KeyValue {
    let empty = v2::KeyValue { key: tag.key, ..v2::KeyValue::default() };
    match tag.value {
        TagValue::Text(v_str) => v2::KeyValue { v_str, ..empty },
        TagValue::Flag(v_bool) => v2::KeyValue { v_type: 1, v_bool, ..empty },
        TagValue::Int(v_int64) => v2::KeyValue { v_type: 2, v_int64, ..empty },
        TagValue::Float(v_float64) => v2::KeyValue { v_type: 3, v_float64, ..empty },
        TagValue::Bytes(v_binary) => v2::KeyValue { v_type: 4, v_binary, ..empty },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::sample::{START_NS, trace};

    #[test]
    fn spans_come_some_at_a_time() {
        let span = trace().spans.remove(0);
        let large = Trace { spans: vec![span; SPANS_PER_MESSAGE + 1], ..trace() };
        let messages = chunks(vec![large.clone(), trace()]);
        assert_eq!(messages.iter().map(|m| m.spans.len()).collect::<Vec<_>>(), [SPANS_PER_MESSAGE, 1, 3]);
        assert_eq!(traces_data(vec![large]).len(), 2);
    }

    #[test]
    fn a_span_of_the_second_api() {
        let spans = &chunks(vec![trace()])[0].spans;
        assert_eq!(spans[0].start_time.unwrap().as_ns(), START_NS);
        assert_eq!(spans[0].duration.unwrap().as_ns(), 50_000_000);
        assert_eq!(spans[0].process.as_ref().unwrap().service_name, "shop");
        assert!(spans[0].tags.iter().any(|tag| tag.key == "http.status_code" && (tag.v_type, tag.v_int64) == (2, 500)));
        assert_eq!(spans[2].references.iter().map(|r| r.ref_type).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn filters_are_refused() {
        let asked = TraceQueryParameters { filter: Some(Vec::new()), ..TraceQueryParameters::default() };
        assert!(query(asked, 0).is_err());
        let least = query(TraceQueryParameters::default(), 3 * DAY_NS).unwrap();
        assert_eq!((least.limit, least.time), (DEFAULT_LIMIT, Window { start_ns: DAY_NS, end_ns: 3 * DAY_NS }));
    }
}
