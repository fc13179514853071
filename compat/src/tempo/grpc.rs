//! `tempopb.StreamingQuerier`: the same questions over gRPC, with answers in parts while the search goes on.
//!
//! The service is written by hand on `tonic`'s server: there is no description to generate it from on any machine.
//! Source: `pkg/tempopb/tempo.proto`, `modules/frontend/combiner` of Tempo.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use axum::{Extension, Router};
use catalog::TenantId;
use futures::stream::{self, Stream, StreamExt};
use prost::Message;
use query::traceql::{MetricsAnswer, MetricsRequest, SearchAnswer};
use tonic::Status;

use super::Api;
use super::answer::{self, Detail};
use super::error::ApiError;
use super::message::{
    InstantSeries, QueryInstantRequest, QueryInstantResponse, QueryRangeRequest, QueryRangeResponse, SearchRequest,
    SearchResponse, SearchTagValuesRequest, SearchTagValuesResponse, SearchTagValuesV2Response, SearchTagsRequest,
    SearchTagsResponse, SearchTagsV2Response, TimeSeries, TraceSearchMetadata,
};
use super::stream::{Part, packets, parts};
use super::{metrics, search, tags, watch};
use crate::grpc::served;

/// The messages of an answer.
type Messages<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

/// The routes of the service.
pub(super) fn routes(api: Arc<Api>) -> Router {
    const SERVICE: &str = "/tempopb.StreamingQuerier";
    let watch = watch(&api, "tempo-grpc");
    Router::new()
        .route(&format!("{SERVICE}/Search"), watch.over("Search", post(serve_search)))
        .route(&format!("{SERVICE}/SearchTags"), post(serve_names))
        .route(&format!("{SERVICE}/SearchTagsV2"), post(serve_scoped_names))
        .route(&format!("{SERVICE}/SearchTagValues"), post(serve_values))
        .route(&format!("{SERVICE}/SearchTagValuesV2"), post(serve_typed_values))
        .route(&format!("{SERVICE}/MetricsQueryRange"), watch.over("MetricsQueryRange", post(serve_range)))
        .route(&format!("{SERVICE}/MetricsQueryInstant"), watch.over("MetricsQueryInstant", post(serve_instant)))
        .with_state(api)
}

async fn serve_search(State(api): State<Arc<Api>>, Extension(tenant): Extension<TenantId>, request: Request<Body>) -> Response {
    served(request, move |asked: SearchRequest| {
        let (request, detail) = search::request(&asked, api.engine.config())?;
        let (engine, tenant) = (Arc::clone(&api.engine), tenant.clone());
        let found = parts(|progress| async move { engine.search(&tenant, request, Some(progress)).await });
        let mut told = Told::default();
        Ok::<_, ApiError>(messages(found, move |part| told.search(part, detail)))
    })
    .await
}

async fn serve_names(State(api): State<Arc<Api>>, Extension(tenant): Extension<TenantId>, request: Request<Body>) -> Response {
    served(request, move |asked: SearchTagsRequest| {
        let (api, tenant) = (Arc::clone(&api), tenant.clone());
        Ok::<_, ApiError>(whole(async move {
            let SearchTagsResponse { tag_names, metrics } = tags::names_of(&api, &tenant, &asked).await?;
            let packet = |tag_names| SearchTagsResponse { tag_names, metrics: None };
            Ok(packets(tag_names, packet, |end| end.metrics = metrics))
        }))
    })
    .await
}

async fn serve_scoped_names(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    request: Request<Body>,
) -> Response {
    served(request, move |asked: SearchTagsRequest| {
        let (api, tenant) = (Arc::clone(&api), tenant.clone());
        Ok::<_, ApiError>(whole(async move {
            let SearchTagsV2Response { scopes, metrics } = tags::scoped_names_of(&api, &tenant, &asked).await?;
            let packet = |scopes| SearchTagsV2Response { scopes, metrics: None };
            Ok(packets(scopes, packet, |end| end.metrics = metrics))
        }))
    })
    .await
}

async fn serve_values(State(api): State<Arc<Api>>, Extension(tenant): Extension<TenantId>, request: Request<Body>) -> Response {
    served(request, move |asked: SearchTagValuesRequest| {
        let request = tags::plain_request(&asked)?;
        let (api, tenant) = (Arc::clone(&api), tenant.clone());
        Ok::<_, ApiError>(whole(async move {
            let found = api.engine.tag_values(&tenant, request).await.map_err(ApiError::of_engine)?;
            let SearchTagValuesResponse { tag_values, metrics } = answer::tag_values(found);
            let packet = |tag_values| SearchTagValuesResponse { tag_values, metrics: None };
            Ok(packets(tag_values, packet, |end| end.metrics = metrics))
        }))
    })
    .await
}

async fn serve_typed_values(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    request: Request<Body>,
) -> Response {
    served(request, move |asked: SearchTagValuesRequest| {
        let request = tags::typed_request(&asked)?;
        let (api, tenant) = (Arc::clone(&api), tenant.clone());
        Ok::<_, ApiError>(whole(async move {
            let found = api.engine.tag_values(&tenant, request).await.map_err(ApiError::of_engine)?;
            let SearchTagValuesV2Response { tag_values, metrics } = answer::typed_tag_values(found);
            let packet = |tag_values| SearchTagValuesV2Response { tag_values, metrics: None };
            Ok(packets(tag_values, packet, |end| end.metrics = metrics))
        }))
    })
    .await
}

async fn serve_range(State(api): State<Arc<Api>>, Extension(tenant): Extension<TenantId>, request: Request<Body>) -> Response {
    served(request, move |asked: QueryRangeRequest| {
        let request = metrics::range_request(&asked, api.engine.config())?;
        let series_max = request.series_max;
        let mut told = Told::default();
        Ok::<_, ApiError>(messages(series(&api, &tenant, request), move |part| told.range(part, series_max)))
    })
    .await
}

async fn serve_instant(State(api): State<Arc<Api>>, Extension(tenant): Extension<TenantId>, request: Request<Body>) -> Response {
    served(request, move |asked: QueryInstantRequest| {
        let request = metrics::instant_request(&asked, api.engine.config())?;
        let series_max = request.series_max;
        let mut told = Told::default();
        Ok::<_, ApiError>(messages(series(&api, &tenant, request), move |part| told.instant(part, series_max)))
    })
    .await
}

/// What the engine says to a metrics query.
fn series(
    api: &Arc<Api>,
    tenant: &TenantId,
    request: MetricsRequest,
) -> impl Stream<Item = query::traceql::Result<Part<MetricsAnswer>>> + Send + use<> {
    let (engine, tenant) = (Arc::clone(&api.engine), tenant.clone());
    parts(|progress| async move { engine.metrics(&tenant, request, Some(progress)).await })
}

/// The messages of each part.
fn messages<T, M: Send + 'static>(
    parts: impl Stream<Item = query::traceql::Result<Part<T>>> + Send + 'static,
    mut tell: impl FnMut(Part<T>) -> Vec<M> + Send + 'static,
) -> Messages<M> {
    let told = parts.map(move |part| match part {
        Ok(part) => tell(part).into_iter().map(Ok).collect(),
        Err(error) => vec![Err(ApiError::of_engine(error).into_grpc())],
    });
    Box::pin(told.flat_map(stream::iter))
}

/// The messages of an answer that comes at once.
fn whole<M: Send + 'static>(answer: impl Future<Output = Result<Vec<M>, ApiError>> + Send + 'static) -> Messages<M> {
    let told = stream::once(answer).map(|answer| match answer {
        Ok(messages) => messages.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error.into_grpc())],
    });
    Box::pin(told.flat_map(stream::iter))
}

/// What was told already, by what an item is known by.
struct Told<I>(HashMap<Vec<u8>, I>);

impl<I> Default for Told<I> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<I: Clone + PartialEq> Told<I> {
    /// Those of `items` that are new or have changed.
    fn news(&mut self, items: Vec<I>, key: impl Fn(&I) -> Vec<u8>) -> Vec<I> {
        items
            .into_iter()
            .filter(|item| {
                let known = self.0.insert(key(item), item.clone());
                known.as_ref() != Some(item)
            })
            .collect()
    }
}

impl Told<TraceSearchMetadata> {
    fn search(&mut self, part: Part<SearchAnswer>, detail: Detail) -> Vec<SearchResponse> {
        let packet = |traces| SearchResponse { traces, metrics: None };
        match part {
            Part::Progress(found) => {
                let SearchResponse { traces, metrics } = answer::search(found, detail);
                let news = self.news(traces, |trace| trace.trace_id.clone().into_bytes());
                packets(news, packet, |end| end.metrics = metrics)
            }
            Part::Whole(found) => {
                let SearchResponse { traces, metrics } = answer::search(found, detail);
                packets(traces, packet, |end| end.metrics = metrics)
            }
        }
    }
}

impl Told<TimeSeries> {
    fn range(&mut self, part: Part<MetricsAnswer>, series_max: usize) -> Vec<QueryRangeResponse> {
        let packet = |series| QueryRangeResponse { series, ..QueryRangeResponse::default() };
        let (found, all) = unpack(part);
        let QueryRangeResponse { series, metrics, status, message } = answer::range(found, series_max);
        let series = if all { series } else { self.news(series, |series| label_key(&series.labels)) };
        packets(series, packet, |end| {
            *end = QueryRangeResponse { series: std::mem::take(&mut end.series), metrics, status, message }
        })
    }
}

impl Told<InstantSeries> {
    fn instant(&mut self, part: Part<MetricsAnswer>, series_max: usize) -> Vec<QueryInstantResponse> {
        let packet = |series| QueryInstantResponse { series, ..QueryInstantResponse::default() };
        let (found, all) = unpack(part);
        let QueryInstantResponse { series, metrics, status, message } = answer::instant(found, series_max);
        let series = if all { series } else { self.news(series, |series| label_key(&series.labels)) };
        packets(series, packet, |end| {
            *end = QueryInstantResponse { series: std::mem::take(&mut end.series), metrics, status, message };
        })
    }
}

/// What a part says, and whether it is the last.
fn unpack<T>(part: Part<T>) -> (T, bool) {
    match part {
        Part::Progress(found) => (found, false),
        Part::Whole(found) => (found, true),
    }
}

/// What a series is known by.
fn label_key(labels: &[opentelemetry_proto::tonic::common::v1::KeyValue]) -> Vec<u8> {
    labels.iter().flat_map(Message::encode_length_delimited_to_vec).collect()
}

#[cfg(test)]
mod tests {
    use query::traceql::{MetricSeries, TraceMatch};

    use super::*;

    fn found(id: u8, name: &str) -> TraceMatch {
        TraceMatch {
            id: [id; 16],
            root_service: None,
            root_name: Some(name.to_owned()),
            start_ns: 1,
            duration_ns: 2,
            services: Default::default(),
            spansets: Vec::new(),
        }
    }

    #[test]
    fn parts_tell_news_and_the_end_tells_all() {
        let mut told = Told::default();
        let mut tell = |part| {
            let messages = told.search(part, Detail::Spans);
            assert_eq!(messages.len(), 1);
            messages[0].traces.iter().map(|t| t.root_trace_name.clone()).collect::<Vec<_>>()
        };
        let answer = |traces| SearchAnswer { traces, ..SearchAnswer::default() };
        assert_eq!(tell(Part::Progress(answer(vec![found(1, "a"), found(2, "b")]))), ["a", "b"]);
        assert_eq!(tell(Part::Progress(answer(vec![found(1, "a"), found(2, "c"), found(3, "d")]))), ["c", "d"]);
        assert!(tell(Part::Progress(answer(vec![found(1, "a")]))).is_empty());
        assert_eq!(tell(Part::Whole(answer(vec![found(1, "a"), found(2, "c")]))), ["a", "c"]);
    }

    #[test]
    fn series_that_stay_are_not_told_again() {
        let mut told = Told::default();
        let series = |name: &'static str, value| MetricSeries {
            labels: vec![("x".to_owned(), traceql::value::Value::text(name))],
            samples: vec![(1, value)],
            exemplars: Vec::new(),
        };
        let answer = |series| MetricsAnswer { series, ..MetricsAnswer::default() };
        let mut count = |part| told.range(part, 10)[0].series.len();
        assert_eq!(count(Part::Progress(answer(vec![series("a", 1.0), series("b", 1.0)]))), 2);
        assert_eq!(count(Part::Progress(answer(vec![series("a", 2.0), series("b", 1.0)]))), 1);
        assert_eq!(count(Part::Whole(answer(vec![series("a", 2.0), series("b", 1.0)]))), 2);
    }
}
