//! The node's own log as rows of its own lake, tenant `telelake`.
//!
//! ```text
//! tracing event ─► [OwnLog] bounded queue, full: dropped and counted ─► [write] once a second, as OTLP ─► receiver's converter ─► sink
//! ```
//! What is logged while such rows are written is not queued again: a node that logs about its log would never be quiet.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use catalog::TenantId;
use ingest::receive::otlp::OtlpState;
use ingest::{Append, Appended};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Events that may wait.
const QUEUE_MAX: usize = 4096;
/// Between two writes.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// The tenant of the node's own rows.
const TENANT: &str = "telelake";

tokio::task_local! {
    /// Set while the node writes its own rows.
    static WRITING: ();
}

/// The end of the queue that `tracing` fills.
#[derive(Debug)]
pub(crate) struct OwnLog(mpsc::Sender<LogRecord>);

/// The end that [`write()`] empties.
#[derive(Debug)]
pub(crate) struct OwnLogRows(mpsc::Receiver<LogRecord>);

/// A queue between the two.
pub(crate) fn channel() -> (OwnLog, OwnLogRows) {
    let (to, from) = mpsc::channel(QUEUE_MAX);
    (OwnLog(to), OwnLogRows(from))
}

impl<S: Subscriber> Layer<S> for OwnLog {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        if level > Level::INFO || WRITING.try_with(|()| ()).is_ok() {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        fields.attributes.push(text("target", event.metadata().target()));
        let record = LogRecord {
            time_unix_nano: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64),
            severity_number: if level == Level::ERROR {
                17
            } else if level == Level::WARN {
                13
            } else {
                9
            },
            severity_text: level.to_string(),
            body: Some(AnyValue { value: Some(Value::StringValue(fields.message)) }),
            attributes: fields.attributes,
            ..Default::default()
        };
        if self.0.try_send(record).is_err() {
            metrics::counter!("telelake_self_log_dropped_total").increment(1);
        }
    }
}

#[derive(Debug, Default)]
struct Fields {
    message: String,
    attributes: Vec<KeyValue>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.attributes.push(text(field.name(), value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.attributes.push(attribute(field.name(), Value::IntValue(value)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.attributes.push(attribute(field.name(), Value::BoolValue(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            name => self.attributes.push(text(name, &format!("{value:?}"))),
        }
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

/// Writes what is queued, once a second, until the queue's other end is gone. What the sink refuses is dropped and counted.
pub(crate) async fn write(mut rows: OwnLogRows, otlp: OtlpState) {
    let tenant = TenantId::parse(TENANT).expect("a valid tenant id");
    let mut records = Vec::new();
    while rows.0.recv_many(&mut records, QUEUE_MAX).await > 0 {
        let count = records.len() as u64;
        let body = request(std::mem::take(&mut records));
        if let Err(reason) = WRITING.scope((), append(&tenant, &body, &otlp)).await {
            metrics::counter!("telelake_self_log_dropped_total").increment(count);
            WRITING.sync_scope((), || tracing::warn!(%reason, "the node's own log could not be stored"));
        }
        tokio::time::sleep(WRITE_EVERY).await;
    }
}

async fn append(tenant: &TenantId, body: &[u8], otlp: &OtlpState) -> Result<Appended, String> {
    let mut converted = otlp.convert.logs.convert(tenant, body).map_err(|e| e.to_string())?;
    let rows = std::mem::take(&mut converted.rows);
    let append = Append { tenant: tenant.clone(), fingerprint: None, rows };
    let appended = Arc::clone(&otlp.sink).append(append).await.map_err(|e| e.to_string())?;
    converted.confirm();
    Ok(appended)
}

fn request(log_records: Vec<LogRecord>) -> Vec<u8> {
    let attributes = vec![text("service.name", "telelake"), text("service.version", env!("CARGO_PKG_VERSION"))];
    let scope = InstrumentationScope { name: "telelake".to_owned(), ..Default::default() };
    let scope_logs = vec![ScopeLogs { scope: Some(scope), log_records, ..Default::default() }];
    let resource_logs =
        vec![ResourceLogs { resource: Some(Resource { attributes, ..Default::default() }), scope_logs, ..Default::default() }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}
