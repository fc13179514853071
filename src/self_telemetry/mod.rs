//! The node's own log and spans as rows of its own lake, tenant `telelake`.
//!
//! ```text
//! request ─► [requests] span ─┐
//! pass, warning ─► tracing ───┴─► [Own] bounded queue, full: dropped and counted ─► [write] once a second, as OTLP ─► converter ─► sink
//! ```
//! What happens while such rows are written is not queued again: a node that logs about its log would never be quiet.

mod layer;
mod requests;
mod text;

use std::sync::Arc;
use std::time::Duration;

use catalog::TenantId;
use ingest::convert::Convert;
use ingest::receive::otlp::OtlpState;
use ingest::{Append, Appended};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tokio::sync::mpsc;

pub(crate) use layer::Own;
pub(crate) use requests::trace;
use text::text;

/// Events and spans that may wait.
const QUEUE_MAX: usize = 4096;
/// Between two writes.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// The tenant of the node's own rows.
const TENANT: &str = "telelake";

tokio::task_local! {
    /// Set while the node writes its own rows.
    static WRITING: ();
}

/// Something that happened.
#[derive(Debug)]
enum Item {
    Log(Box<LogRecord>),
    Span(Box<Span>),
}

/// The end of the queue that [`write()`] empties.
#[derive(Debug)]
pub(crate) struct OwnRows(mpsc::Receiver<Item>);

/// A queue between `tracing` and the lake.
pub(crate) fn channel() -> (Own, OwnRows) {
    let (to, from) = mpsc::channel(QUEUE_MAX);
    (Own(to), OwnRows(from))
}

fn dropped(count: usize) {
    metrics::counter!("telelake_self_log_dropped_total").increment(count as u64);
}

/// Writes what is queued, once a second, until the queue's other end is gone. What the sink refuses is dropped and counted.
pub(crate) async fn write(mut rows: OwnRows, otlp: OtlpState) {
    let tenant = TenantId::parse(TENANT).expect("a valid tenant id");
    let mut items = Vec::new();
    while rows.0.recv_many(&mut items, QUEUE_MAX).await > 0 {
        let (mut logs, mut spans) = (Vec::new(), Vec::new());
        for item in items.drain(..) {
            match item {
                Item::Log(record) => logs.push(*record),
                Item::Span(span) => spans.push(*span),
            }
        }
        if !logs.is_empty() {
            store(&tenant, logs.len(), &logs_request(logs), &otlp.convert.logs, &otlp).await;
        }
        if !spans.is_empty() {
            store(&tenant, spans.len(), &spans_request(spans), &otlp.convert.spans, &otlp).await;
        }
        tokio::time::sleep(WRITE_EVERY).await;
    }
}

async fn store(tenant: &TenantId, count: usize, body: &[u8], convert: &Arc<dyn Convert>, otlp: &OtlpState) {
    if let Err(reason) = WRITING.scope((), append(tenant, body, convert, otlp)).await {
        dropped(count);
        WRITING.sync_scope((), || tracing::warn!(%reason, "the node's own rows could not be stored"));
    }
}

async fn append(tenant: &TenantId, body: &[u8], convert: &Arc<dyn Convert>, otlp: &OtlpState) -> Result<Appended, String> {
    let mut converted = convert.convert(tenant, body).map_err(|e| e.to_string())?;
    let rows = std::mem::take(&mut converted.rows);
    let append = Append { tenant: tenant.clone(), fingerprint: None, rows };
    let appended = Arc::clone(&otlp.sink).append(append).await.map_err(|e| e.to_string())?;
    converted.confirm();
    Ok(appended)
}

fn resource() -> Option<Resource> {
    let attributes = vec![text("service.name", "telelake"), text("service.version", env!("CARGO_PKG_VERSION"))];
    Some(Resource { attributes, ..Default::default() })
}

fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope { name: "telelake".to_owned(), ..Default::default() })
}

fn logs_request(log_records: Vec<LogRecord>) -> Vec<u8> {
    let scope_logs = vec![ScopeLogs { scope: scope(), log_records, ..Default::default() }];
    let resource_logs = vec![ResourceLogs { resource: resource(), scope_logs, ..Default::default() }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

fn spans_request(spans: Vec<Span>) -> Vec<u8> {
    let scope_spans = vec![ScopeSpans { scope: scope(), spans, ..Default::default() }];
    let resource_spans = vec![ResourceSpans { resource: resource(), scope_spans, ..Default::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}
