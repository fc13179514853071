//! One batch to an OTLP endpoint, over gRPC or HTTP, sent again while the endpoint says "later"; or to a file, to be replayed.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use catalog::Signal;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use parking_lot::Mutex;
use prost::Message;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};

use super::Batch;
use crate::http_client::HttpClient;
use crate::tenancy::TENANT_HEADER;

/// How a batch travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Protocol {
    /// OTLP over gRPC, port 4317 by custom.
    Grpc,
    /// OTLP over HTTP with protobuf bodies, port 4318 by custom.
    Http,
}

/// Where batches go and as whom.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// `http://host:port`, for HTTP with an optional path below which `/v1/...` lies.
    pub(crate) endpoint: String,
    /// How.
    pub(crate) protocol: Protocol,
    /// Whether bodies are compressed with gzip.
    pub(crate) gzip: bool,
    /// The tenant to send as.
    pub(crate) tenant: Option<String>,
    /// A bearer token.
    pub(crate) token: Option<String>,
    /// How long one batch is tried.
    pub(crate) retry_max: Duration,
    /// Write batches to this file instead of sending them: a corpus for the macro benchmark.
    pub(crate) record: Option<PathBuf>,
}

/// What became of a batch that was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Items that the endpoint refused (partial success).
    pub(crate) rejected: u64,
    /// How often it had to be sent again.
    pub(crate) retries: u64,
}

/// A connection to a [`Target`]. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    target: Target,
    wire: Wire,
}

#[derive(Debug, Clone)]
enum Wire {
    Grpc(Channel),
    Http(Box<HttpClient>),
    Record(Arc<Mutex<BufWriter<File>>>),
}

enum Outcome {
    Taken(u64),
    Later(String, Option<Duration>),
    Refused(String),
}

impl Sender {
    /// Checks the target; connects at the first batch.
    ///
    /// # Errors
    /// The endpoint is no URL.
    pub(crate) fn new(target: Target) -> Result<Self, String> {
        let endpoint = target.endpoint.clone();
        let wire = match target.protocol {
            _ if target.record.is_some() => Wire::Record(Arc::new(Mutex::new(create_corpus(target.record.as_deref())?))),
            Protocol::Grpc => Wire::Grpc(Endpoint::from_shared(endpoint).map_err(|e| format!("--endpoint: {e}"))?.connect_lazy()),
            Protocol::Http => {
                let uri: Uri = endpoint.parse().map_err(|e| format!("--endpoint: {e}"))?;
                Wire::Http(Box::new(HttpClient::of(&uri).map_err(|e| format!("--endpoint: {e}"))?))
            }
        };
        Ok(Self { target, wire })
    }

    /// Sends `batch` until it is taken, refused for good, or was tried for `retry_max`.
    ///
    /// # Errors
    /// One line that says what the endpoint answered last.
    pub(crate) async fn send(&self, batch: &Batch) -> Result<Taken, String> {
        let started = tokio::time::Instant::now();
        let mut retries = 0;
        loop {
            let outcome = match &self.wire {
                Wire::Grpc(channel) => self.send_grpc(channel.clone(), batch).await,
                Wire::Http(client) => self.send_http(client, batch).await,
                Wire::Record(file) => record(&mut file.lock(), batch),
            };
            match outcome {
                Outcome::Taken(rejected) => return Ok(Taken { rejected, retries }),
                Outcome::Refused(reason) => return Err(reason),
                Outcome::Later(reason, _) if started.elapsed() > self.target.retry_max => return Err(reason),
                Outcome::Later(_, pause) => {
                    tokio::time::sleep(pause.unwrap_or_else(|| Duration::from_millis(100 << retries.min(5)))).await;
                    retries += 1;
                }
            }
        }
    }

    async fn send_http(&self, client: &HttpClient, batch: &Batch) -> Outcome {
        let uri = format!("{}/v1/{}", self.target.endpoint.trim_end_matches('/'), signal_name(batch.signal));
        let Ok(uri) = uri.parse::<Uri>() else { return Outcome::Refused(format!("{uri} is no URL")) };
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        for (name, value) in self.identity() {
            headers.insert(name, value);
        }
        let mut body = batch.body.clone();
        if self.target.gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            body = gzip(&body);
        }
        let answer = match client.send(Method::POST, &uri, headers, body).await {
            Ok(answer) => answer,
            Err(reason) => return Outcome::Later(format!("{uri}: {reason}"), None),
        };
        if answer.status.is_success() {
            return Outcome::Taken(rejected(&answer.body));
        }
        let reason = format!("{uri} answered {}: {}", answer.status, String::from_utf8_lossy(&answer.body).trim());
        match answer.status.as_u16() {
            429 | 502..=504 => {
                let pause = answer.headers.get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
                Outcome::Later(reason, pause.map(Duration::from_secs))
            }
            _ => Outcome::Refused(reason),
        }
    }

    async fn send_grpc(&self, channel: Channel, batch: &Batch) -> Outcome {
        let path = PathAndQuery::from_static(match batch.signal {
            Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        });
        let mut client = tonic::client::Grpc::new(channel);
        if self.target.gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        if let Err(error) = client.ready().await {
            return Outcome::Later(format!("{}: {}", self.target.endpoint, crate::failure::chain(&error)), None);
        }
        let mut request = tonic::Request::new(batch.body.clone());
        *request.metadata_mut() = MetadataMap::from_headers(self.identity().collect());
        match client.unary(request, path, Raw).await {
            Ok(answer) => Outcome::Taken(rejected(answer.get_ref())),
            Err(status) => {
                let reason = format!("{} answered {:?}: {}", self.target.endpoint, status.code(), status.message());
                match status.code() {
                    tonic::Code::Unavailable | tonic::Code::ResourceExhausted | tonic::Code::Aborted | tonic::Code::Unknown => {
                        Outcome::Later(reason, None)
                    }
                    _ => Outcome::Refused(reason),
                }
            }
        }
    }

    fn identity(&self) -> impl Iterator<Item = (http::HeaderName, HeaderValue)> {
        let tenant = self.target.tenant.as_ref().map(|t| (http::HeaderName::from_static(TENANT_HEADER), t.clone()));
        let token = self.target.token.as_ref().map(|t| (header::AUTHORIZATION, format!("Bearer {t}")));
        tenant.into_iter().chain(token).filter_map(|(name, value)| Some((name, HeaderValue::from_str(&value).ok()?)))
    }
}

/// A new corpus: `TLR1`, then [`record`]s.
fn create_corpus(path: Option<&Path>) -> Result<BufWriter<File>, String> {
    let path = path.ok_or("--record needs a file")?;
    let file = File::create(path).map_err(|e| format!("--record {}: {e}", path.display()))?;
    let mut file = BufWriter::new(file);
    file.write_all(b"TLR1").map_err(|e| format!("--record {}: {e}", path.display()))?;
    Ok(file)
}

/// Signal (1 metrics, 2 logs, 3 traces), items as u32, length as u32, both little endian, and the body.
fn record(file: &mut BufWriter<File>, batch: &Batch) -> Outcome {
    let signal = match batch.signal {
        Signal::Metrics => 1,
        Signal::Logs => 2,
        Signal::Traces => 3,
    };
    let (Ok(items), Ok(length)) = (u32::try_from(batch.counts.stored()), u32::try_from(batch.body.len())) else {
        return Outcome::Refused("a batch is too large to be recorded".to_owned());
    };
    let written = file
        .write_all(&[signal])
        .and_then(|()| file.write_all(&items.to_le_bytes()))
        .and_then(|()| file.write_all(&length.to_le_bytes()))
        .and_then(|()| file.write_all(&batch.body))
        .and_then(|()| file.flush());
    match written {
        Ok(()) => Outcome::Taken(0),
        Err(error) => Outcome::Refused(format!("recording: {error}")),
    }
}

/// The signal's word in OTLP's paths.
fn signal_name(signal: Signal) -> &'static str {
    match signal {
        Signal::Metrics => "metrics",
        Signal::Logs => "logs",
        Signal::Traces => "traces",
    }
}

/// How many items a response says were refused. The three responses have one shape.
fn rejected(response: &Bytes) -> u64 {
    let response = ExportLogsServiceResponse::decode(response.clone()).unwrap_or_default();
    response.partial_success.map_or(0, |p| u64::try_from(p.rejected_log_records).unwrap_or(0))
}

fn gzip(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    let written = std::io::Write::write_all(&mut encoder, body).and_then(|()| encoder.finish());
    written.expect("writing to memory cannot fail").into()
}

/// Messages as bytes: they are encoded already.
#[derive(Debug, Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = tonic::Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), tonic::Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = tonic::Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, tonic::Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
