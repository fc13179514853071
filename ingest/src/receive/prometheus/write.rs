//! Remote write: from a request to its acknowledgement.

use axum::extract::{Request, State};
use axum::response::Response;
use catalog::TenantId;
use http::Method;
use http::header::CONTENT_LENGTH;
use xxhash_rust::xxh3::Xxh3;

use super::PrometheusState;
use super::answer::{self, WriteError};
use super::protocol::negotiate;
use crate::convert::prometheus::{Message, Taken};
use crate::receive::body::{self, BodyError, Encoding, Received};
use crate::sink::{Append, Appended};

/// Bodies up to this size, compressed, are converted where they arrive; larger ones on the threads for blocking work. Less than half
/// a millisecond: such a body may be 20 times as large.
const INLINE_BYTES_MAX: usize = 4 << 10;

/// Answers `POST` with a remote write body.
pub(super) async fn write(State(state): State<PrometheusState>, request: Request) -> Response {
    let message = match request.method() {
        &Method::POST => negotiate(request.headers()),
        _ => Err(WriteError::Method),
    };
    let message = match message {
        Ok(message) => message,
        Err(error) => {
            let response = error.answer(None);
            count(None, &response);
            return response;
        }
    };
    let response = match state.take(message, request).await {
        Ok(taken) => {
            let records = [("accepted", taken.converted.accepted), ("rejected", taken.converted.rejected)];
            for (outcome, records) in records {
                metrics::counter!("telelake_receive_records_total", "signal" => "metrics", "outcome" => outcome)
                    .increment(records);
            }
            if let Some(reason) = &taken.converted.reason {
                tracing::debug!(message = message.name(), reason, "remote write refused in part");
            }
            answer::taken(message, &taken)
        }
        Err(error) => {
            tracing::debug!(message = message.name(), %error, "remote write refused");
            error.answer(Some(message))
        }
    };
    count(Some(message), &response);
    response
}

impl PrometheusState {
    async fn take(&self, message: Message, request: Request) -> Result<Taken, WriteError> {
        let (parts, body) = request.into_parts();
        let tenant = parts.extensions.get::<TenantId>().cloned();
        let tenant = tenant.ok_or_else(|| WriteError::Internal { reason: "request came without a tenant".to_owned() })?;
        let declared = parts.headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
        let body = body::read(body, declared, &self.limits, &self.otlp.admission).await?;
        let inline = body.len() <= INLINE_BYTES_MAX;
        let (state, owner) = (self.clone(), tenant.clone());
        let work = move || state.convert(&owner, message, body);
        let (mut taken, fingerprint, _body) = if inline {
            work()?
        } else {
            tokio::task::spawn_blocking(work).await.map_err(|e| WriteError::Internal { reason: e.to_string() })??
        };
        let rows = std::mem::take(&mut taken.converted.rows);
        if !rows.is_empty() {
            // A repetition's own rows were not stored: what it introduces, others have to.
            if self.otlp.sink.append(Append { tenant, fingerprint: Some(fingerprint), rows }).await? == Appended::Stored {
                taken.converted.confirm();
            }
        }
        Ok(taken)
    }

    /// The CPU work of a request. The body comes back, so that it counts as in flight until the rows are durable.
    fn convert(&self, tenant: &TenantId, message: Message, body: Received) -> Result<(Taken, u128, Received), WriteError> {
        if body.is_empty() {
            return Err(BodyError::BadEncoding { encoding: "snappy", reason: "the body is empty".to_owned() }.into());
        }
        let body = body.decompress(Encoding::SnappyBlock, &self.limits)?;
        let fingerprint = fingerprint(tenant, message, body.as_slice());
        let taken = self.write.convert(tenant, message, body.as_slice())?;
        Ok((taken, fingerprint, body))
    }
}

/// xxh3-128 over tenant, message and body.
fn fingerprint(tenant: &TenantId, message: Message, body: &[u8]) -> u128 {
    let mut hasher = Xxh3::new();
    for part in [tenant.as_str(), "remote_write", message.name()] {
        hasher.update(part.as_bytes());
        hasher.update(&[0xff]);
    }
    hasher.update(body);
    hasher.digest128()
}

fn count(message: Option<Message>, response: &Response) {
    let protocol = match message {
        Some(Message::V2) => "remote_write_2",
        Some(Message::V1) | None => "remote_write_1",
    };
    let outcome = response.status().as_str().to_owned();
    metrics::counter!("telelake_receive_requests_total", "protocol" => protocol, "signal" => "metrics", "outcome" => outcome)
        .increment(1);
}
