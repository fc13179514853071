//! Queries that come over HTTP, or as gRPC over it, in the query log: one row for each request that asks one.
//!
//! ```text
//! request ─► [watch] begins the row ─► endpoint, in the row's scope ─► answer ─► [Watched] counts its bytes ─► its end ends the row
//!                                                                        └ an error: ends it at once
//! ```
//! Endpoints note what they were asked as soon as they have read it, errors note their text when they become answers. Look-ups of labels and
//! the like are no queries: Grafana sends them while somebody types.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::MethodRouter;
use catalog::TenantId;
use http::{HeaderMap, Method, StatusCode};
use http_body::{Frame, SizeHint};
use query::Engine;
use query::usage::{Asking, Caller, Language, Notes, Origin, Outcome, QueryLog, note, scope, scoped};
use tonic::Code;

/// Where the queries of one API are noted.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    /// `None`: nowhere.
    log: Option<Arc<QueryLog>>,
    language: Language,
    api: &'static str,
}

/// One endpoint that is watched.
#[derive(Debug)]
struct Place {
    log: Arc<QueryLog>,
    language: Language,
    api: &'static str,
    endpoint: &'static str,
}

impl Watch {
    /// The queries of `api`, which are in `language`, as far as `engine` has a log.
    pub(crate) fn new(engine: &Engine, language: Language, api: &'static str) -> Self {
        Self { log: engine.query_log().cloned(), language, api }
    }

    /// `methods` with every request noted as a query at `endpoint`.
    pub(crate) fn over<S>(&self, endpoint: &'static str, methods: MethodRouter<S>) -> MethodRouter<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        let Some(log) = self.log.clone() else { return methods };
        let place = Place { log, language: self.language, api: self.api, endpoint };
        methods.layer(from_fn_with_state(Arc::new(place), watch))
    }
}

async fn watch(State(place): State<Arc<Place>>, request: Request, next: Next) -> Response {
    let tenant = request.extensions().get::<TenantId>().cloned();
    let Some(tenant) = tenant.filter(|_| request.method() != Method::OPTIONS) else { return next.run(request).await };
    let headers = request.headers();
    let caller = Caller::of_headers(|name| headers.get(name)?.to_str().ok());
    let origin = Origin { api: place.api, endpoint: place.endpoint, caller };
    let asking = place.log.ask(&tenant, place.language, origin);
    let notes = asking.notes();
    let (parts, body) = scope(Some(Arc::clone(&notes)), next.run(request)).await.into_parts();
    let body = match outcome_of(parts.status).or_else(|| outcome_of_grpc(&asking, &parts.headers)) {
        Some(outcome) => {
            asking.end(outcome);
            body
        }
        None => Body::new(Watched::new(body, asking, notes)),
    };
    Response::from_parts(parts, body)
}

/// How a request ended that was answered with `status`; `None` when its answer is still to come. That a trace is not there is an answer.
fn outcome_of(status: StatusCode) -> Option<Outcome> {
    match status.as_u16() {
        404 => Some(Outcome::Ok),
        ..=399 => None,
        401 | 403 | 429 => Some(Outcome::Refused),
        408 | 504 => Some(Outcome::Timeout),
        499 => Some(Outcome::Cancelled),
        _ => Some(Outcome::Error),
    }
}

/// How a call ended, and why, by the headers at the beginning or at the end of its answer; `None` when they do not say, or it went well.
fn outcome_of_grpc(asking: &Asking, headers: &HeaderMap) -> Option<Outcome> {
    let status = tonic::Status::from_header_map(headers)?;
    let outcome = match status.code() {
        Code::Ok => return None,
        // As over HTTP.
        Code::NotFound => Outcome::Ok,
        Code::Cancelled => Outcome::Cancelled,
        Code::DeadlineExceeded => Outcome::Timeout,
        Code::ResourceExhausted | Code::PermissionDenied | Code::Unauthenticated => Outcome::Refused,
        _ => Outcome::Error,
    };
    if outcome != Outcome::Ok {
        asking.note(|row| row.set_error(status.message()));
    }
    Some(outcome)
}

/// Notes why a request is answered with `status`.
pub(crate) fn failed(status: StatusCode, message: &str) {
    if status != StatusCode::NOT_FOUND {
        note(|row| row.set_error(message));
    }
}

/// The body of an answer. Nobody who drops it before its end has seen it whole.
struct Watched {
    body: Body,
    bytes: u64,
    /// Gone when it is over.
    asking: Option<Asking>,
    notes: Arc<Notes>,
}

impl Watched {
    fn new(body: Body, asking: Asking, notes: Arc<Notes>) -> Self {
        let mut watched = Self { body, bytes: 0, asking: Some(asking), notes };
        watched.look_for_end();
        watched
    }

    /// Who reads it need not ask once more when it knows that nothing comes.
    fn look_for_end(&mut self) {
        if self.body.is_end_stream() {
            self.end(Outcome::Ok);
        }
    }

    fn end(&mut self, outcome: Outcome) {
        if let Some(asking) = self.asking.take() {
            asking.note(|row| row.result_bytes = Some(self.bytes));
            asking.end(outcome);
        }
    }

    fn see(&mut self, frame: &Frame<Bytes>) {
        self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        let trailers = frame.trailers_ref().zip(self.asking.as_ref());
        match trailers.and_then(|(trailers, asking)| outcome_of_grpc(asking, trailers)) {
            Some(outcome) => self.end(outcome),
            None => self.look_for_end(),
        }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        // Answers in parts are worked out while they are read.
        let polled = scoped(&this.notes, || Pin::new(&mut this.body).poll_frame(context));
        match &polled {
            Poll::Ready(Some(Ok(frame))) => this.see(frame),
            Poll::Ready(Some(Err(error))) => {
                if let Some(asking) = &this.asking {
                    asking.note(|row| row.set_error(&error.to_string()));
                }
                this.end(Outcome::Error);
            }
            Poll::Ready(None) => this.end(Outcome::Ok),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use catalog::{Timestamp, env};
    use futures::StreamExt;
    use query::usage::{QueuedRows, Row};
    use tower::ServiceExt;

    use super::*;

    fn watched(methods: MethodRouter) -> (Router, QueuedRows) {
        let (log, rows) = QueryLog::new(env::fixed::env(Timestamp::from_secs(5), 1).0);
        let watch = Watch { log: Some(log), language: Language::Promql, api: "prometheus" };
        (Router::new().route("/x", watch.over("query", methods)), rows)
    }

    async fn ask(router: Router) -> Response {
        let mut request = Request::get("/x").header("X-Panel-Id", "7").body(Body::empty()).unwrap();
        request.extensions_mut().insert(TenantId::anonymous());
        router.oneshot(request).await.unwrap()
    }

    fn only(rows: &mut QueuedRows) -> Row {
        let mut rows = rows.take_waiting();
        assert_eq!(rows.len(), 1);
        rows.remove(0)
    }

    #[tokio::test]
    async fn an_answer_ends_with_its_body() {
        let (router, mut rows) = watched(get(|| async {
            note(|row| row.set_text("up"));
            "12345"
        }));
        let response = ask(router).await;
        assert!(rows.take_waiting().is_empty());
        axum::body::to_bytes(response.into_body(), 100).await.unwrap();
        let row = only(&mut rows);
        assert_eq!((row.text.as_str(), row.outcome, row.result_bytes), ("up", Some(Outcome::Ok), Some(5)));
        assert_eq!(row.origin.caller.panel_id.as_deref(), Some("7"));
        assert_eq!((row.origin.api, row.origin.endpoint), ("prometheus", "query"));
    }

    #[tokio::test]
    async fn an_answer_without_a_body_is_over_at_once() {
        let (router, mut rows) = watched(get(|| async {}));
        drop(ask(router).await);
        assert_eq!(only(&mut rows).outcome, Some(Outcome::Ok));
    }

    #[tokio::test]
    async fn parts_are_made_in_the_scope_of_the_query() {
        let (router, mut rows) = watched(get(|| async {
            let parts = futures::stream::iter(["a", "b"]).map(|part| {
                note(|row| row.rows = Some(row.rows.unwrap_or(0) + 1));
                Ok::<_, std::io::Error>(part)
            });
            Body::from_stream(parts)
        }));
        axum::body::to_bytes(ask(router).await.into_body(), 100).await.unwrap();
        assert_eq!(only(&mut rows).rows, Some(2));
    }

    #[tokio::test]
    async fn who_goes_away_cancels() {
        let (router, mut rows) = watched(get(|| async { "12345" }));
        drop(ask(router).await);
        assert_eq!(only(&mut rows).outcome, Some(Outcome::Cancelled), "nobody read it");
        let (router, mut rows) = watched(get(|| async {
            note(|row| row.set_text("slow"));
            std::future::pending::<()>().await;
        }));
        let waited = tokio::time::timeout(std::time::Duration::from_millis(5), ask(router)).await;
        assert!(waited.is_err());
        let row = only(&mut rows);
        assert_eq!((row.text.as_str(), row.outcome), ("slow", Some(Outcome::Cancelled)));
    }

    #[tokio::test]
    async fn statuses_say_how_it_ended() {
        async fn check(status: u16, expected: Outcome, error: Option<&str>) {
            let status = StatusCode::from_u16(status).unwrap();
            let (router, mut rows) = watched(get(move || async move {
                failed(status, "why");
                (status, "why")
            }));
            drop(ask(router).await);
            let row = only(&mut rows);
            assert_eq!((row.outcome, row.error.as_deref()), (Some(expected), error), "{status}");
        }
        check(400, Outcome::Error, Some("why")).await;
        check(429, Outcome::Refused, Some("why")).await;
        check(499, Outcome::Cancelled, Some("why")).await;
        check(504, Outcome::Timeout, Some("why")).await;
        check(404, Outcome::Ok, None).await;
    }

    #[tokio::test]
    async fn calls_end_with_their_trailers() {
        let (router, mut rows) = watched(get(|| async { tonic::Status::deadline_exceeded("too slow").into_http::<Body>() }));
        drop(ask(router).await);
        let row = only(&mut rows);
        assert_eq!((row.outcome, row.error.as_deref()), (Some(Outcome::Timeout), Some("too slow")));
        let trailers = tonic::Status::resource_exhausted("too much").into_http::<Body>().headers().clone();
        let body = http_body_util::StreamBody::new(futures::stream::iter([
            Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"part"))),
            Ok(Frame::trailers(trailers)),
        ]));
        let mut body = Some(Body::new(body));
        let body = std::sync::Arc::new(std::sync::Mutex::new(body.take()));
        let (router, mut rows) = watched(get(move || {
            let body = body.lock().unwrap().take().unwrap();
            async move { Response::new(body) }
        }));
        axum::body::to_bytes(ask(router).await.into_body(), 100).await.unwrap();
        let row = only(&mut rows);
        assert_eq!((row.outcome, row.error.as_deref(), row.result_bytes), (Some(Outcome::Refused), Some("too much"), Some(4)));
    }
}
