//! Push: from a request to its acknowledgement.

use axum::extract::{Request, State};
use axum::response::Response;
use catalog::TenantId;
use http::Method;
use http::header::CONTENT_LENGTH;
use xxhash_rust::xxh3::Xxh3;

use super::LokiState;
use super::answer::{self, PushError};
use super::protocol::{Protocol, negotiate};
use crate::convert::loki::{PushFormat, Pushed};
use crate::receive::body::{self, BodyError, Encoding, Received};
use crate::sink::{Append, Appended};

/// Bodies up to this size, compressed, are converted where they arrive; larger ones on the threads for blocking work. Less than half
/// a millisecond: such a body may be 20 times as large.
const INLINE_BYTES_MAX: usize = 4 << 10;

/// Answers `POST /loki/api/v1/push`.
pub(super) async fn push(State(state): State<LokiState>, request: Request) -> Response {
    state.answer(request, PushFormat::Json).await
}

/// Answers `POST /api/prom/push`, whose JSON is an older one.
pub(super) async fn legacy_push(State(state): State<LokiState>, request: Request) -> Response {
    state.answer(request, PushFormat::LegacyJson).await
}

impl LokiState {
    async fn answer(&self, request: Request, json: PushFormat) -> Response {
        let response = match self.take(request, json).await {
            Ok(pushed) => {
                for (outcome, records) in [("accepted", pushed.converted.accepted), ("rejected", pushed.converted.rejected)] {
                    metrics::counter!("telelake_receive_records_total", "signal" => "logs", "outcome" => outcome)
                        .increment(records);
                }
                if let Some(reason) = &pushed.converted.reason {
                    tracing::debug!(reason, "push refused in part");
                }
                answer::taken(&pushed)
            }
            Err(error) => {
                tracing::debug!(%error, "push refused");
                error.answer()
            }
        };
        let outcome = response.status().as_str().to_owned();
        metrics::counter!("telelake_receive_requests_total", "protocol" => "loki_push", "signal" => "logs", "outcome" => outcome)
            .increment(1);
        response
    }

    async fn take(&self, request: Request, json: PushFormat) -> Result<Pushed, PushError> {
        let (parts, body) = request.into_parts();
        if parts.method != Method::POST {
            return Err(PushError::Method);
        }
        let protocol = negotiate(&parts.headers)?;
        let format = if protocol.json { json } else { PushFormat::Protobuf };
        let tenant = parts.extensions.get::<TenantId>().cloned();
        let tenant = tenant.ok_or_else(|| PushError::Internal { reason: "request came without a tenant".to_owned() })?;
        let declared = parts.headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
        let body = body::read(body, declared, &self.otlp.config, &self.otlp.admission).await?;
        let inline = body.len() <= INLINE_BYTES_MAX;
        let (state, owner) = (self.clone(), tenant.clone());
        let work = move || state.convert(&owner, protocol, format, body);
        let (mut pushed, fingerprint, _body) = if inline {
            work()?
        } else {
            tokio::task::spawn_blocking(work).await.map_err(|e| PushError::Internal { reason: e.to_string() })??
        };
        let rows = std::mem::take(&mut pushed.converted.rows);
        if !rows.is_empty() {
            // A repetition's own rows were not stored: what it introduces, others have to.
            if self.otlp.sink.append(Append { tenant, fingerprint: Some(fingerprint), rows }).await? == Appended::Stored {
                pushed.converted.confirm();
            }
        }
        Ok(pushed)
    }

    /// The CPU work of a request. The body comes back, so that it counts as in flight until the rows are durable.
    fn convert(
        &self,
        tenant: &TenantId,
        protocol: Protocol,
        format: PushFormat,
        body: Received,
    ) -> Result<(Pushed, u128, Received), PushError> {
        let mut body = body.decompress(protocol.encoding, &self.otlp.config)?;
        if !protocol.json {
            if body.is_empty() {
                return Err(BodyError::BadEncoding { encoding: "snappy", reason: "the body is empty".to_owned() }.into());
            }
            body = body.decompress(Encoding::SnappyBlock, &self.otlp.config)?;
        }
        let pushed = self.push.convert(tenant, format, body.as_slice())?;
        let fingerprint = fingerprint(tenant, format, pushed.outcome, body.as_slice());
        Ok((pushed, fingerprint, body))
    }
}

/// xxh3-128 over tenant, format, outcome and body.
fn fingerprint(tenant: &TenantId, format: PushFormat, outcome: u64, body: &[u8]) -> u128 {
    let mut hasher = Xxh3::new();
    for part in [tenant.as_str(), "loki_push", format.name()] {
        hasher.update(part.as_bytes());
        hasher.update(&[0xff]);
    }
    hasher.update(&outcome.to_le_bytes());
    hasher.update(body);
    hasher.digest128()
}
