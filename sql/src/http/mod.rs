//! SQL over HTTP.
//!
//! | request | answer |
//! |---|---|
//! | `GET /api/v1/sql?query=...` | the answer; never anything but reading |
//! | `POST /api/v1/sql` with SQL, a form, or JSON `{"query", "params", "format", ...}` | the same |
//! | `DELETE /api/v1/sql/{id}` | cancels the query with that `X-Query-Id` |
//!
//! Options, as query parameters or JSON keys: `params` (JSON array or object), `format` (or `Accept`, or `default_format`),
//! `snapshot`, `timeout` (`30s`), `max_rows`, `max_bytes_scanned`, `explain=analyze`.
//!
//! `jsonl`, `csv`, `markdown` and `arrow` are sent while the query runs. When it fails midway, the text formats end with an error
//! record and the trailer `X-Query-Status: error`; an Arrow stream is cut. `json`, `parquet` and `pretty` are complete or an error.

mod request;
mod respond;

pub(crate) use request::duration;

use std::sync::Arc;

use axum::Extension;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use catalog::{ErrorKind, TenantId};
use http::{Method, StatusCode, header};
use query::usage::{Caller, Origin};
use uuid::Uuid;

use crate::engine::{Access, SqlEngine, SqlRequest};
use crate::error::{Error, Result};

/// The routes of SQL. The tenant is a [`TenantId`] among the request's extensions.
pub fn router(engine: Arc<SqlEngine>) -> Router {
    Router::new().route("/api/v1/sql", get(query).post(query)).route("/api/v1/sql/{id}", delete(cancel)).with_state(engine)
}

async fn query(State(engine): State<Arc<SqlEngine>>, tenant: Option<Extension<TenantId>>, request: Request) -> Response {
    let id = engine.engine().env().new_uuid();
    let answer = async {
        let Some(Extension(tenant)) = tenant else {
            return Err(Error::Internal { id, message: "the request carries no tenant".to_owned() });
        };
        // Browsers say where a page that sends a form comes from. No page may change anything here, not even one that this node serves.
        let may_drop = request.method() == Method::POST && !request.headers().contains_key(header::ORIGIN);
        let access = if may_drop { Access::DropTables } else { Access::Read };
        let headers = request.headers();
        let caller = Caller::of_headers(|name| headers.get(name)?.to_str().ok());
        let origin = Origin { api: "http", endpoint: "sql", caller };
        let asked = request::read(request).await.inspect_err(|error| engine.log_refusal(&tenant, &origin, "", error))?;
        let stream = engine.execute_as(id, &tenant, SqlRequest { origin, access, ..asked.request }).await?;
        respond::answer(stream, asked.format, asked.compression, &tenant).await
    };
    match answer.await {
        Ok(response) => response,
        Err(error) => respond::error(&error, Some(id)),
    }
}

async fn cancel(State(engine): State<Arc<SqlEngine>>, tenant: Option<Extension<TenantId>>, Path(id): Path<String>) -> Response {
    let cancelled: Result<()> = match (tenant, Uuid::parse_str(&id)) {
        (None, _) => Err(Error::Internal { id: Uuid::nil(), message: "the request carries no tenant".to_owned() }),
        (Some(Extension(tenant)), Ok(uuid)) if engine.cancel(&tenant, uuid) => Ok(()),
        _ => Err(Error::NoSuchQuery { id: id.chars().take(64).collect() }),
    };
    match cancelled {
        Ok(()) => axum::Json(serde_json::json!({"cancelled": id})).into_response(),
        Err(error) => respond::error(&error, None),
    }
}

/// The status of an error.
fn status(error: &Error) -> StatusCode {
    match (error, error.kind()) {
        (Error::TextTooLong { .. } | Error::BodyTooLarge { .. }, _) => StatusCode::PAYLOAD_TOO_LARGE,
        (Error::Busy { .. }, _) => StatusCode::TOO_MANY_REQUESTS,
        (_, ErrorKind::Invalid | ErrorKind::Unsupported) => StatusCode::BAD_REQUEST,
        (_, ErrorKind::NotFound) => StatusCode::NOT_FOUND,
        (_, ErrorKind::Denied) => StatusCode::FORBIDDEN,
        (_, ErrorKind::Timeout) => StatusCode::REQUEST_TIMEOUT,
        (_, ErrorKind::TooLarge) => StatusCode::UNPROCESSABLE_ENTITY,
        (_, ErrorKind::Conflict | ErrorKind::Cancelled) => StatusCode::CONFLICT,
        (_, ErrorKind::Overloaded | ErrorKind::Unavailable | ErrorKind::Fenced) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
