//! From a body to an acknowledgement, whatever the transport.

use std::sync::Arc;

use catalog::{Signal, TenantId};
use prost::Message;
use serde_json::json;
use xxhash_rust::xxh3::Xxh3;

use super::status::ExportError;
use super::{OtlpState, json};
use crate::convert::{Convert, Converted};
use crate::receive::ReceiveConfig;
use crate::receive::body::{Encoding, Received};
use crate::sink::{Append, Appended};

/// Bodies up to this size are converted where they arrive; larger ones, and all compressed ones, on the threads for blocking work.
const INLINE_BYTES_MAX: usize = 16 << 10;

/// The encoding of a request and of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

impl Format {
    /// The content type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// An export request whose body was read.
#[derive(Debug)]
pub struct Export {
    /// Owner of the rows.
    pub tenant: TenantId,
    /// What is exported.
    pub signal: Signal,
    /// Encoding of the body.
    pub format: Format,
    /// Compression of the body.
    pub encoding: Encoding,
    /// The body as sent.
    pub body: Received,
}

/// Spans in another form than OTLP's, and how they become an `ExportTraceServiceRequest`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Foreign {
    /// The form's name, in our own metrics and in the request's fingerprint.
    pub(crate) protocol: &'static str,
    /// Translates a decompressed body.
    pub(crate) to_otlp: fn(&[u8], &ReceiveConfig) -> Result<Vec<u8>, ExportError>,
}

/// How a body is written.
#[derive(Debug, Clone, Copy)]
enum Form {
    Otlp(Format),
    Foreign(Foreign),
}

impl Form {
    fn protocol(self) -> &'static str {
        match self {
            Self::Otlp(_) => "otlp",
            Self::Foreign(foreign) => foreign.protocol,
        }
    }
}

/// An export that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// What was exported.
    pub signal: Signal,
    /// Records that are stored.
    pub accepted: u64,
    /// Records that were refused.
    pub rejected: u64,
    /// Why; or a warning when nothing was refused.
    pub reason: Option<String>,
}

impl Exported {
    /// The `Export...ServiceResponse` in `format`. The three signals' messages have one shape.
    pub fn to_bytes(&self, format: Format) -> Vec<u8> {
        let partial = (self.rejected > 0 || self.reason.is_some()).then(|| PartialSuccess {
            rejected: i64::try_from(self.rejected).unwrap_or(i64::MAX),
            error_message: self.reason.clone().unwrap_or_default(),
        });
        match (format, partial) {
            (Format::Protobuf, partial_success) => Response { partial_success }.encode_to_vec(),
            (Format::Json, None) => b"{}".to_vec(),
            (Format::Json, Some(partial)) => {
                let rejected = match self.signal {
                    Signal::Metrics => "rejectedDataPoints",
                    Signal::Logs => "rejectedLogRecords",
                    Signal::Traces => "rejectedSpans",
                };
                let partial = json!({ rejected: partial.rejected.to_string(), "errorMessage": partial.error_message });
                json!({ "partialSuccess": partial }).to_string().into_bytes()
            }
        }
    }
}

#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

impl OtlpState {
    /// Converts the body and makes its rows durable. Counts the outcome in our own metrics.
    ///
    /// # Errors
    /// [`ExportError`]; nothing is stored.
    pub async fn export(&self, export: Export) -> Result<Exported, ExportError> {
        let Export { tenant, signal, format, encoding, body } = export;
        self.take(tenant, signal, Form::Otlp(format), (encoding, body)).await
    }

    /// The same for spans in another form.
    ///
    /// # Errors
    /// [`ExportError`]; nothing is stored.
    pub(crate) async fn export_spans(
        &self,
        tenant: TenantId,
        form: Foreign,
        encoding: Encoding,
        body: Received,
    ) -> Result<Exported, ExportError> {
        self.take(tenant, Signal::Traces, Form::Foreign(form), (encoding, body)).await
    }

    async fn take(
        &self,
        tenant: TenantId,
        signal: Signal,
        form: Form,
        body: (Encoding, Received),
    ) -> Result<Exported, ExportError> {
        let result = self.try_take(tenant, signal, form, body).await;
        let outcome = result.as_ref().map_or_else(|e| e.code().description(), |_| "ok");
        let protocol = form.protocol();
        metrics::counter!("telelake_receive_requests_total", "protocol" => protocol, "signal" => signal_name(signal), "outcome" => outcome)
            .increment(1);
        match &result {
            Ok(Exported { reason: Some(reason), .. }) => {
                tracing::debug!(protocol, signal = signal_name(signal), reason, "export changed or refused in part");
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(protocol, signal = signal_name(signal), %error, "export refused"),
        }
        result
    }

    async fn try_take(
        &self,
        tenant: TenantId,
        signal: Signal,
        form: Form,
        (encoding, body): (Encoding, Received),
    ) -> Result<Exported, ExportError> {
        let inline = encoding == Encoding::Identity && body.len() <= INLINE_BYTES_MAX;
        let state = self.clone();
        let owner = tenant.clone();
        let work = move || state.convert(&owner, signal, form, encoding, body);
        let (mut converted, fingerprint, _body) = if inline {
            work()?
        } else {
            tokio::task::spawn_blocking(work).await.map_err(|e| ExportError::Internal { reason: e.to_string() })??
        };
        let rows = std::mem::take(&mut converted.rows);
        if !rows.is_empty() {
            let fingerprint = (!converted.undated).then_some(fingerprint);
            // A repetition's own rows were not stored: what it introduces, others have to.
            if self.sink.append(Append { tenant, fingerprint, rows }).await? == Appended::Stored {
                converted.confirm();
            }
        }
        let count = |what: &'static str, n: u64| {
            metrics::counter!("telelake_receive_records_total", "signal" => signal_name(signal), "outcome" => what).increment(n);
        };
        count("accepted", converted.accepted);
        count("rejected", converted.rejected);
        Ok(Exported { signal, accepted: converted.accepted, rejected: converted.rejected, reason: converted.reason })
    }

    /// The CPU work of a request. The body comes back, so that it counts as in flight until the rows are durable.
    fn convert(
        &self,
        tenant: &TenantId,
        signal: Signal,
        form: Form,
        encoding: Encoding,
        body: Received,
    ) -> Result<(Converted, u128, Received), ExportError> {
        let mut body = body.decompress(encoding, &self.config)?;
        let converter: &Arc<dyn Convert> = match signal {
            Signal::Metrics => &self.convert.metrics,
            Signal::Logs => &self.convert.logs,
            Signal::Traces => &self.convert.spans,
        };
        let (name, converted) = match form {
            Form::Otlp(Format::Protobuf) => (signal_name(signal), converter.convert(tenant, body.as_slice())?),
            Form::Otlp(Format::Json) => {
                (signal_name(signal), converter.convert(tenant, &json::to_protobuf(signal, body.as_slice())?)?)
            }
            Form::Foreign(Foreign { protocol, to_otlp }) => {
                let request = to_otlp(body.as_slice(), &self.config)?;
                body.hold(request.len() as u64)?;
                (protocol, converter.convert(tenant, &request)?)
            }
        };
        Ok((converted, fingerprint(tenant, name, body.as_slice()), body))
    }
}

/// xxh3-128 over tenant, what the body is, and body.
fn fingerprint(tenant: &TenantId, name: &str, body: &[u8]) -> u128 {
    let mut hasher = Xxh3::new();
    hasher.update(tenant.as_str().as_bytes());
    hasher.update(&[0xff]);
    hasher.update(name.as_bytes());
    hasher.update(&[0xff]);
    hasher.update(body);
    hasher.digest128()
}

fn signal_name(signal: Signal) -> &'static str {
    match signal {
        Signal::Metrics => "metrics",
        Signal::Logs => "logs",
        Signal::Traces => "traces",
    }
}
