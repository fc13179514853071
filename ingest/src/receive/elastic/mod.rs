//! Elasticsearch's paths, as far as log shippers need them: bulk and single documents, and what they ask before they send.
//!
//! ```text
//! POST /_bulk, /{index}/_bulk                            admission ─► decompress ─► line by line ─► sink ─► a result per document
//! POST /{index}/_doc, PUT /{index}/_doc/{id}, _create    the same, for one document
//! everything else                                        [`handshake`]: plausible and constant, nothing is kept
//! ```
//! How a document becomes a line: [`crate::convert::elastic`].
//!
//! # Invariants
//! - A document is said to be created after the sink said that its row is durable.
//! - The same body again, within the sink's window and with the same outcome, is not stored again, if every document has a time.
//! - Every answer says `X-Elastic-Product: Elasticsearch`: clients refuse to talk to anything else.

mod answer;
mod bulk;
mod handshake;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use catalog::Env;
use http::{HeaderValue, Method};

pub use answer::ElasticError;

use super::loki::LokiState;
use crate::convert::elastic::Action;

#[cfg(test)]
mod tests;

/// What the receiver needs: that of Loki's push, and a clock.
#[derive(Debug, Clone)]
pub struct ElasticState {
    loki: LokiState,
    env: Env,
}

impl ElasticState {
    /// Shares converter, sink, limits of bodies and admission with `loki`.
    pub fn new(loki: LokiState, env: Env) -> Self {
        Self { loki, env }
    }
}

/// The routes. A [`catalog::TenantId`] must be among the request's extensions.
pub fn router(state: ElasticState) -> Router {
    Router::new().fallback(dispatch).with_state(state)
}

/// Paths have an index first or a word that begins with `_`, which a table of routes cannot tell apart.
async fn dispatch(State(state): State<ElasticState>, request: Request) -> Response {
    let path = request.uri().path().trim_matches('/').to_owned();
    let segments: Vec<&str> = if path.is_empty() { Vec::new() } else { path.split('/').collect() };
    let method = request.method().clone();
    let writes = method == Method::POST || method == Method::PUT;
    let mut response = match segments.as_slice() {
        ["_bulk"] if writes => state.bulk(None, request).await,
        [index, "_bulk"] if writes => state.bulk(Some(index), request).await,
        [index, "_doc"] if method == Method::POST => state.document(Action::Index, index, None, request).await,
        [index, "_doc", id] if writes => state.document(Action::Index, index, Some(id), request).await,
        [index, "_create", id] if writes => state.document(Action::Create, index, Some(id), request).await,
        segments => handshake::answer(&method, segments, request.uri().query()),
    };
    response.headers_mut().insert("x-elastic-product", HeaderValue::from_static("Elasticsearch"));
    response
}
