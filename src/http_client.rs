//! A small HTTP client for the commands that talk to a running node. It trusts the certificates that the system trusts, or those of
//! `SSL_CERT_FILE`.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::failure::chain;

/// Bytes of an answer; a larger one is an error.
const ANSWER_BYTES_MAX: usize = 1 << 30;

/// Keeps connections open between requests. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct HttpClient(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl HttpClient {
    /// A client for requests to where `uri` is, with no connection yet. Certificates are only looked for if it is `https`.
    ///
    /// # Errors
    /// One line: the URL is of another kind, or there are no certificates that the system trusts.
    pub(crate) fn of(uri: &Uri) -> Result<Self, String> {
        let builder = HttpsConnectorBuilder::new();
        let provider = Arc::new(ring::default_provider());
        let builder = match uri.scheme_str() {
            Some("https") => builder.with_provider_and_native_roots(provider).map_err(|e| {
                format!("cannot read the certificates that the system trusts: {e}; name a file with SSL_CERT_FILE")
            })?,
            Some("http") => {
                let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
                let config = versions.map_err(|e| chain(&e))?;
                builder.with_tls_config(config.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
            }
            _ => return Err(format!("{uri} must begin with http:// or https://")),
        };
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let connector = builder.https_or_http().enable_http1().wrap_connector(tcp);
        Ok(Self(Client::builder(TokioExecutor::new()).build(connector)))
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
