//! A small HTTP client over plain TCP for the commands that talk to a running node.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::failure::chain;

/// Bytes of an answer; a larger one is an error.
const ANSWER_BYTES_MAX: usize = 1 << 30;

/// Keeps connections open between requests. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct HttpClient(Client<HttpConnector, Full<Bytes>>);

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl HttpClient {
    /// A client with no connection yet.
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self(Client::builder(TokioExecutor::new()).build(connector))
    }

    /// Sends one request and reads the whole answer.
    ///
    /// # Errors
    /// One line: the server cannot be reached, or the connection broke.
    pub(crate) async fn send(&self, method: Method, uri: &Uri, headers: HeaderMap, body: Bytes) -> Result<Answer, String> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = headers;
        let response = self.0.request(request).await.map_err(|e| chain(&e))?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|e| chain(e.as_ref()))?.to_bytes();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }
}
