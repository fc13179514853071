//! Documents: from a request to its acknowledgement.

use axum::extract::Request;
use axum::response::Response;
use catalog::TenantId;
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use serde_json::{Value, json};
use xxhash_rust::xxh3::Xxh3;

use super::ElasticState;
use super::answer::{self, ElasticError};
use crate::convert::elastic::{Action, Bulk, BulkError};
use crate::receive::body::{self, Encoding, Received};
use crate::sink::{Append, Appended};

/// Bodies up to this size are converted where they arrive; larger ones, and all compressed ones, on the threads for blocking work.
const INLINE_BYTES_MAX: usize = 16 << 10;

/// What a request is about.
#[derive(Debug, Clone)]
enum Target {
    Bulk { index: Option<String> },
    One { action: Action, index: String, id: Option<String> },
}

impl ElasticState {
    /// Answers a bulk request.
    pub(super) async fn bulk(&self, index: Option<&str>, request: Request) -> Response {
        let started = self.env.now();
        let taken = self.take(Target::Bulk { index: index.map(str::to_owned) }, request).await;
        let response = match taken {
            Ok(bulk) => {
                let mut errors = false;
                let item = |item| {
                    let (status, value) = answer::item(item, || self.env.new_uuid().to_string());
                    errors |= status >= 300;
                    json!({ item.action.name(): value })
                };
                let items: Vec<Value> = bulk.items.iter().map(item).collect();
                let took = u64::try_from(self.env.now().since(started).as_millis()).unwrap_or(0);
                answer::value(StatusCode::OK, &json!({ "took": took, "errors": errors, "items": items }))
            }
            Err(error) => error.answer(),
        };
        count(&response);
        response
    }

    /// Answers a request with one document.
    pub(super) async fn document(&self, action: Action, index: &str, id: Option<&str>, request: Request) -> Response {
        let target = Target::One { action, index: index.to_owned(), id: id.map(str::to_owned) };
        let response = match self.take(target, request).await {
            Ok(bulk) => match bulk.items.first() {
                Some(item) => {
                    let (status, mut value) = answer::item(item, || self.env.new_uuid().to_string());
                    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                    match value.as_object_mut() {
                        Some(fields) if status.is_success() => {
                            fields.remove("status");
                            answer::value(status, &value)
                        }
                        _ => {
                            let text = |name: &str| value["error"][name].as_str().unwrap_or_default().to_owned();
                            answer::error(status, &text("type"), &text("reason"))
                        }
                    }
                }
                None => ElasticError::Internal { reason: "a document without a result".to_owned() }.answer(),
            },
            Err(error) => error.answer(),
        };
        count(&response);
        response
    }

    async fn take(&self, target: Target, request: Request) -> Result<Bulk, ElasticError> {
        let (parts, body) = request.into_parts();
        let tenant = parts.extensions.get::<TenantId>().cloned();
        let tenant = tenant.ok_or_else(|| ElasticError::Internal { reason: "request came without a tenant".to_owned() })?;
        let encoding = match parts.headers.get_all(CONTENT_ENCODING).iter().collect::<Vec<_>>().as_slice() {
            [] => Encoding::Identity,
            [one] => Encoding::parse(Some(one.as_bytes()))?,
            _ => Encoding::parse(Some(b"several"))?,
        };
        let otlp = self.loki.otlp();
        let declared = parts.headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
        let body = body::read(body, declared, &otlp.config, &otlp.admission).await?;
        let inline = encoding == Encoding::Identity && body.len() <= INLINE_BYTES_MAX;
        let (state, owner) = (self.clone(), tenant.clone());
        let work = move || state.convert(&owner, &target, encoding, body);
        let (mut bulk, fingerprint, _body) = if inline {
            work()?
        } else {
            tokio::task::spawn_blocking(work).await.map_err(|e| ElasticError::Internal { reason: e.to_string() })??
        };
        let converted = &mut bulk.pushed.converted;
        let rows = std::mem::take(&mut converted.rows);
        if !rows.is_empty() {
            let fingerprint = (!converted.undated).then_some(fingerprint);
            // A repetition's own rows were not stored: what it introduces, others have to.
            if otlp.sink.append(Append { tenant, fingerprint, rows }).await? == Appended::Stored {
                converted.confirm();
            }
        }
        for (outcome, records) in [("accepted", converted.accepted), ("rejected", converted.rejected)] {
            metrics::counter!("telelake_receive_records_total", "signal" => "logs", "outcome" => outcome).increment(records);
        }
        Ok(bulk)
    }

    /// The CPU work of a request. The body comes back, so that it counts as in flight until the rows are durable.
    fn convert(
        &self,
        tenant: &TenantId,
        target: &Target,
        encoding: Encoding,
        body: Received,
    ) -> Result<(Bulk, u128, Received), ElasticError> {
        let body = body.decompress(encoding, &self.loki.otlp().config)?;
        let push = self.loki.push();
        let (bulk, index): (Result<Bulk, BulkError>, &str) = match target {
            Target::Bulk { index } => {
                (push.convert_bulk(tenant, index.as_deref(), body.as_slice()), index.as_deref().unwrap_or_default())
            }
            Target::One { action, index, id } => {
                (push.convert_document(tenant, *action, (index, id.as_deref()), body.as_slice()), index)
            }
        };
        let bulk = bulk?;
        let mut hasher = Xxh3::new();
        for part in [tenant.as_str(), "elastic_bulk", index] {
            hasher.update(part.as_bytes());
            hasher.update(&[0xff]);
        }
        hasher.update(&bulk.pushed.outcome.to_le_bytes());
        // Documents with ids of their own are not the same one, though they say the same.
        if let Target::One { id: Some(id), .. } = target {
            hasher.update(id.as_bytes());
            hasher.update(&[0xff]);
        }
        hasher.update(body.as_slice());
        Ok((bulk, hasher.digest128(), body))
    }
}

fn count(response: &Response) {
    let outcome = response.status().as_str().to_owned();
    metrics::counter!("telelake_receive_requests_total", "protocol" => "elastic_bulk", "signal" => "logs", "outcome" => outcome)
        .increment(1);
}
