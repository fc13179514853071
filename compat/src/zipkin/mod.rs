//! Zipkin's read API: what its page and Grafana's data source ask.
//!
//! ```text
//! parameters ─[query]─► TraceQL ─► traces ─[span]─► lists of lists of spans
//! ```
//!
//! | path | |
//! |---|---|
//! | `/api/v2/services`, `/api/v2/spans`, `/api/v2/remoteServices` | names |
//! | `/api/v2/traces`, `/api/v2/trace/{id}`, `/api/v2/traceMany` | traces |
//! | `/api/v2/dependencies` | who calls whom |
//! | `/api/v2/autocompleteKeys`, `/api/v2/autocompleteValues` | tags |
//! | `/health` | this server |
//!
//! All of them below `/zipkin` too, where its page looks for them. `POST /api/v2/spans` is the receivers'.
//! Judge: zipkin-api at 069ec8d, `zipkin2-api.yaml`.

mod query;
mod span;

use std::sync::Arc;

use ::query::traceql::{Error, TagScope, TagValues, TagValuesRequest, TagsRequest, TraceId, TraceqlEngine};
use ::query::usage::Language;
use axum::extract::{FromRequest, Path, Request, State};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use catalog::{Env, ErrorKind, TenantId};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use traceql::ast::Scope;

use crate::asked::Watch;
use crate::form::Form;
use crate::pieces::{Data, body};
use crate::spanql::{all, attribute, equal, filter, text};
use crate::tempo::trace_id;
use crate::{asked, compress, cors, found, status};
use span::{List, Lists};

/// Names, or values of a tag.
const NAMES_MAX: usize = 10_000;
const NAMES_BYTES_MAX: usize = 1 << 20;

/// What the endpoints work with.
#[derive(Debug)]
pub struct Api {
    engine: Arc<TraceqlEngine>,
    env: Env,
}

impl Api {
    /// The API over `engine`.
    pub fn new(engine: Arc<TraceqlEngine>, env: Env) -> Arc<Self> {
        Arc::new(Self { engine, env })
    }

    fn now_ns(&self) -> i64 {
        self.env.now().as_nanos()
    }
}

/// All routes, for a listener of Zipkin's. The tenant is a [`catalog::TenantId`] among the request's extensions.
pub fn router(api: Arc<Api>) -> Router {
    let watch = watch(&api);
    served(routes(&watch).merge(Router::new().nest("/zipkin", routes(&watch))), api)
}

/// The routes below `/zipkin`, for a listener where other dialects have the other paths.
pub fn prefixed(api: Arc<Api>) -> Router {
    served(Router::new().nest("/zipkin", routes(&watch(&api))), api)
}

/// Notes queries.
fn watch(api: &Api) -> Watch {
    Watch::new(api.engine.engine(), Language::Traceql, "zipkin")
}

fn served(routes: Router<Arc<Api>>, api: Arc<Api>) -> Router {
    routes.layer(from_fn(compress::compress)).layer(from_fn(cors::allow)).with_state(api)
}

fn routes(watch: &Watch) -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v2/services", get(services))
        .route("/api/v2/spans", get(span_names))
        .route("/api/v2/remoteServices", get(remote_services))
        .route("/api/v2/traces", watch.over("traces", get(traces)))
        .route("/api/v2/trace/{id}", watch.over("trace", get(trace)))
        .route("/api/v2/traceMany", watch.over("traceMany", get(trace_many)))
        .route("/api/v2/dependencies", get(dependencies))
        .route("/api/v2/autocompleteKeys", get(keys))
        .route("/api/v2/autocompleteValues", get(values))
        .route("/health", get(health))
}

/// An answer that says what went wrong, in plain text.
struct Refusal(StatusCode, String);

impl Refusal {
    fn bad_request(message: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, message.into())
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = match (&error, error.kind()) {
            (Error::TraceTooLarge { .. }, _) => StatusCode::UNPROCESSABLE_ENTITY,
            (_, ErrorKind::Cancelled) => StatusCode::from_u16(499).expect("three digits"),
            (_, kind) => status::of(kind),
        };
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(%error, cause = ?std::error::Error::source(&error), "a request for traces failed");
        }
        Self(status, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        asked::failed(self.0, &self.1);
        let plain = (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        (self.0, [plain], self.1).into_response()
    }
}

/// The parameters of a request.
struct Params(Form);

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        Form::of(request).await.map(Self).map_err(|error| Refusal::bad_request(error.to_string()))
    }
}

impl Params {
    /// A parameter that must be there.
    fn required(&self, name: &str) -> Result<&str, Refusal> {
        match self.0.get(name) {
            "" => Err(Refusal::bad_request(format!("{name} is required"))),
            value => Ok(value),
        }
    }
}

type Asked = (State<Arc<Api>>, Extension<TenantId>);
type Answer = Result<Response, Refusal>;

async fn services((State(api), Extension(tenant)): Asked) -> Answer {
    names(&api, &tenant, "resource.service.name", String::new()).await
}

async fn span_names((State(api), Extension(tenant)): Asked, params: Params) -> Answer {
    names(&api, &tenant, "name", of_service(params.required("serviceName")?)).await
}

async fn remote_services((State(api), Extension(tenant)): Asked, params: Params) -> Answer {
    names(&api, &tenant, "span.peer.service", of_service(params.required("serviceName")?)).await
}

async fn traces((State(api), Extension(tenant)): Asked, params: Params) -> Answer {
    let wanted = query::wanted(&params.0, api.now_ns()).map_err(Refusal::bad_request)?;
    Ok(written(Lists::new(found::traces(&api.engine, &tenant, wanted).await?)))
}

async fn trace((State(api), Extension(tenant)): Asked, Path(id): Path<String>) -> Answer {
    let parsed = trace_id(&id).map_err(Refusal::bad_request)?;
    let mut found = found::by_ids(&api.engine, &tenant, &[parsed], None).await?;
    match found.pop() {
        Some(trace) => Ok(written(List::new(trace))),
        None => Err(Refusal(StatusCode::NOT_FOUND, format!("{id} not found"))),
    }
}

async fn trace_many((State(api), Extension(tenant)): Asked, params: Params) -> Answer {
    let ids = params.required("traceIds")?.split(',').map(trace_id).collect::<Result<Vec<TraceId>, String>>();
    let mut ids = ids.map_err(Refusal::bad_request)?;
    let asked = ids.len();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() < 2 || ids.len() != asked {
        return Err(Refusal::bad_request("traceIds should be two ids at least, each once"));
    }
    Ok(written(Lists::new(found::by_ids(&api.engine, &tenant, &ids, None).await?)))
}

async fn dependencies((State(api), Extension(tenant)): Asked, params: Params) -> Answer {
    let time = query::window(&params.0, api.now_ns(), true).map_err(Refusal::bad_request)?;
    let found = api.engine.dependencies(&tenant, time).await?;
    let link = |link: ::query::traceql::Dependency| {
        let mut json = json!({ "parent": link.parent, "child": link.child, "callCount": link.calls });
        if link.errors > 0 {
            json["errorCount"] = json!(link.errors);
        }
        json
    };
    Ok(Json(found.into_iter().map(link).collect::<Vec<Value>>()).into_response())
}

async fn keys((State(api), Extension(tenant)): Asked) -> Answer {
    let request = TagsRequest { scope: Some(TagScope::Span), filter: String::new(), time: None, limit: NAMES_MAX };
    let found = api.engine.tags(&tenant, request).await?;
    let names: Vec<String> = found.scopes.into_iter().flat_map(|(_, names)| names).collect();
    Ok(Json(names).into_response())
}

async fn values((State(api), Extension(tenant)): Asked, params: Params) -> Answer {
    let field = attribute(Scope::Span, params.required("key")?);
    names(&api, &tenant, &field.to_string(), String::new()).await
}

async fn health() -> Response {
    Json(json!({ "status": "UP" })).into_response()
}

fn of_service(name: &str) -> String {
    filter(all([equal(attribute(Scope::Resource, "service.name"), text(name))]))
}

/// The values of a field as texts.
async fn names(api: &Api, tenant: &TenantId, tag: &str, filter: String) -> Answer {
    let request = TagValuesRequest { tag: tag.to_owned(), filter, time: None, limit: NAMES_MAX, bytes_max: NAMES_BYTES_MAX };
    Ok(Json(texts(api.engine.tag_values(tenant, request).await?)).into_response())
}

fn texts(values: TagValues) -> Vec<String> {
    use traceql::value::Value;
    let text = |value| match value {
        Value::Str(text) if !text.is_empty() => Some(text.into_owned()),
        Value::Int(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    };
    let mut texts: Vec<String> = values.values.into_iter().filter_map(text).collect();
    texts.sort();
    texts.dedup();
    texts
}

/// The answer that `data` writes.
fn written(data: impl Data) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body(data)).into_response()
}
