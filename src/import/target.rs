//! Where requests go: to a running server, or into the folder of a node that does not run.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use catalog::TenantId;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use ingest::convert::prometheus::{Message, RemoteWriteConverter};
use ingest::receive::prometheus::batch::Encoded;
use ingest::registry::SeriesRegistry;
use ingest::sink::SinkError;
use ingest::{Append, Ingester, RowSink};

use crate::config::Config;
use crate::environment;
use crate::failure::{Failure, chain};
use crate::http_client::{Answer, HttpClient};
use crate::opened::{self, FolderLock};
use crate::tenancy::TENANT_HEADER;

/// The content type of remote write 2.0.
const CONTENT_TYPE: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

/// How often a folder whose buffers or disk are full is tried again.
const OVERLOADED_TRIES: u32 = 12;

/// What became of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) samples: u64,
    pub(crate) histograms: u64,
    pub(crate) exemplars: u64,
    /// Why not all of it.
    pub(crate) reason: Option<String>,
}

/// Takes requests.
pub(crate) enum Target {
    Server(Box<Server>),
    Folder(Box<Folder>),
}

/// A running server.
pub(crate) struct Server {
    client: HttpClient,
    uri: Uri,
    headers: HeaderMap,
    retry_max: Duration,
}

/// A node's folder, opened as the node itself opens it.
pub(crate) struct Folder {
    _lock: FolderLock,
    ingester: Arc<Ingester>,
    convert: Arc<RemoteWriteConverter>,
    tenant: TenantId,
}

impl Target {
    /// The server at `url`.
    ///
    /// # Errors
    /// The URL, the tenant or the token cannot be sent.
    pub(crate) fn server(url: &str, tenant: Option<&str>, token: Option<&str>, retry_max: Duration) -> Result<Self, Failure> {
        let uri = format!("{}/api/v1/write", url.trim_end_matches('/')).parse();
        let uri: Uri = uri.map_err(|e| Failure::usage(format!("--server: {e}")))?;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        headers.insert("x-prometheus-remote-write-version", HeaderValue::from_static("2.0.0"));
        let tenant = tenant.map(|t| (HeaderName::from_static(TENANT_HEADER), t.to_owned()));
        let token = token.map(|t| (header::AUTHORIZATION, format!("Bearer {t}")));
        for (name, value) in tenant.into_iter().chain(token) {
            headers.insert(name, HeaderValue::from_str(&value).map_err(|e| Failure::usage(format!("{value:?}: {e}")))?);
        }
        let client = HttpClient::of(&uri).map_err(|e| Failure::usage(format!("--server: {e}")))?;
        Ok(Self::Server(Box::new(Server { client, uri, headers, retry_max })))
    }

    /// The folder of `config`, which no node may run on.
    ///
    /// # Errors
    /// The folder is in use or cannot be written, the store is out of reach, the log is damaged.
    pub(crate) async fn folder(config: &Config, tenant: TenantId) -> Result<Self, Failure> {
        let lock = FolderLock::take(&config.data)?;
        let opened = opened::open(config, environment::system()).await?;
        let mut ingest = config.ingest.clone();
        ingest.wal.dir = Some(opened::wal_dir(config));
        let ingester = Ingester::open(ingest, Arc::clone(&opened.lake) as _, opened.env.clone()).await;
        let ingester = ingester.map_err(|e| Failure::surroundings(chain(&e)))?;
        let series = SeriesRegistry::new(config.series.clone());
        let convert = RemoteWriteConverter::new(config.remote_write.clone(), series, opened.env.clone());
        Ok(Self::Folder(Box::new(Folder { _lock: lock, ingester, convert, tenant })))
    }

    /// Hands over a request; returns when it is durable.
    ///
    /// # Errors
    /// One line; nothing of the request is stored then.
    pub(crate) async fn write(&self, request: Encoded) -> Result<Written, Failure> {
        match self {
            Self::Server(server) => server.write(&request).await,
            Self::Folder(folder) => folder.write(request).await,
        }
    }

    /// Turns what is left in buffers into files.
    ///
    /// # Errors
    /// The last flush failed; the log has the rows.
    pub(crate) async fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Server(_) => Ok(()),
            Self::Folder(folder) => folder.ingester.shutdown().await.map_err(|e| Failure::failed(chain(&e))),
        }
    }
}

impl Server {
    async fn write(&self, request: &Encoded) -> Result<Written, Failure> {
        let body = Bytes::from(request.compressed());
        let started = tokio::time::Instant::now();
        let mut tries = 0u32;
        loop {
            let sent = self.client.send(Method::POST, &self.uri, self.headers.clone(), body.clone()).await;
            let (reason, pause) = match sent {
                Ok(answer) if answer.status.is_success() || answer.status.as_u16() == 400 => return written(&answer),
                Ok(answer) => {
                    let reason = format!("answered {}: {}", answer.status, text(&answer));
                    if answer.status.as_u16() != 429 && !answer.status.is_server_error() {
                        return Err(Failure::failed(format!("{} {reason}", self.uri)));
                    }
                    (reason, answer.headers.get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok()))
                }
                Err(error) => (format!("does not answer: {error}"), None),
            };
            if started.elapsed() >= self.retry_max {
                return Err(Failure::failed(format!("{} {reason}", self.uri)));
            }
            tokio::time::sleep(pause.map_or_else(|| Duration::from_millis(100 << tries.min(5)), Duration::from_secs)).await;
            tries += 1;
        }
    }
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).trim().to_owned()
}

/// Reads the counts of an answer of remote write 2.0.
fn written(answer: &Answer) -> Result<Written, Failure> {
    let count = |what: &str| -> Option<u64> {
        answer.headers.get(format!("x-prometheus-remote-write-{what}-written"))?.to_str().ok()?.parse().ok()
    };
    let reason = (!answer.status.is_success()).then(|| text(answer));
    match (count("samples"), count("histograms"), count("exemplars")) {
        (Some(samples), Some(histograms), Some(exemplars)) => Ok(Written { samples, histograms, exemplars, reason }),
        _ => Err(Failure::failed(format!(
            "the server does not speak remote write 2.0{}",
            reason.map_or_else(String::new, |reason| format!(": {reason}"))
        ))),
    }
}

impl Folder {
    async fn write(&self, request: Encoded) -> Result<Written, Failure> {
        let (convert, tenant) = (Arc::clone(&self.convert), self.tenant.clone());
        let converted = tokio::task::spawn_blocking(move || convert.convert(&tenant, Message::V2, &request.body)).await;
        let mut taken = converted.map_err(Failure::failed)?.map_err(|e| Failure::failed(chain(&e)))?;
        let rows = std::mem::take(&mut taken.converted.rows);
        if !rows.is_empty() {
            let append = Append { tenant: self.tenant.clone(), fingerprint: None, rows };
            self.append(append).await?;
            taken.converted.confirm();
        }
        let counts = taken.written;
        let reason = taken.converted.reason;
        Ok(Written { samples: counts.samples, histograms: counts.histograms, exemplars: counts.exemplars, reason })
    }

    /// Appends; waits while the flush catches up, or the disk is full.
    async fn append(&self, append: Append) -> Result<(), Failure> {
        let mut tries = 0;
        loop {
            match self.ingester.append(append.clone()).await {
                Ok(_) => return Ok(()),
                Err(SinkError::Overloaded { retry_after_s, .. }) if tries < OVERLOADED_TRIES => {
                    self.ingester.flush_now().await.map_err(|e| Failure::failed(chain(&e)))?;
                    if tries > 0 {
                        tokio::time::sleep(Duration::from_secs(retry_after_s)).await;
                    }
                    tries += 1;
                }
                Err(error) => return Err(Failure::failed(chain(&error))),
            }
        }
    }
}
