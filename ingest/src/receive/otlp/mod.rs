//! OTLP: traces, metrics and logs over gRPC ([`grpc`]) and HTTP ([`http`]), protobuf and JSON.
//!
//! ```text
//! grpc (one frame) ─┐
//! http protobuf ────┼─► body, admitted ─► decompress ─► [json ─► protobuf] ─► convert ─► sink ─► response or status
//! http json ────────┘
//! ```
//!
//! # Invariants
//! - An answer has the encoding of its request. Success is said after the sink said so.
//! - A request is refused as a whole (and then nothing is stored), or taken with the refused records counted in `partial_success`.
//! - What is worth a retry is UNAVAILABLE, or RESOURCE_EXHAUSTED with RetryInfo; 429 or 503 over HTTP. Nothing else is.

pub mod export;
mod fields;
pub mod grpc;
pub mod http;
pub mod json;
pub mod status;

use std::sync::Arc;

use catalog::Env;

use super::ReceiveConfig;
use super::body::Admission;
use crate::convert::{Convert, LogRules, LogsConverter, Resources, SpansConverter};
use crate::sink::RowSink;

#[cfg(test)]
mod tests;

/// The converters of the three signals.
#[derive(Debug, Clone)]
pub struct Converters {
    /// `ExportMetricsServiceRequest`.
    pub metrics: Arc<dyn Convert>,
    /// `ExportLogsServiceRequest`.
    pub logs: Arc<dyn Convert>,
    /// `ExportTraceServiceRequest`.
    pub spans: Arc<dyn Convert>,
    /// What the converters of log lines share, whatever protocol they come by.
    pub resources: Arc<Resources>,
}

impl Converters {
    /// The converters of logs and spans with the limits of `config`, and `metrics`. `rules` say which streams logs become.
    pub fn new(config: &Arc<ReceiveConfig>, env: &Env, metrics: Arc<dyn Convert>, rules: LogRules) -> Self {
        let resources = Resources::new(config, rules);
        Self {
            resources: Arc::clone(&resources),
            metrics,
            logs: Arc::new(LogsConverter::new(Arc::clone(config), env.clone(), Arc::clone(&resources))),
            spans: Arc::new(SpansConverter::new(Arc::clone(config), env.clone(), resources)),
        }
    }
}

/// What both transports share.
#[derive(Debug, Clone)]
pub struct OtlpState {
    /// Where rows go.
    pub sink: Arc<dyn RowSink>,
    /// Limits.
    pub config: Arc<ReceiveConfig>,
    /// How bodies become rows.
    pub convert: Converters,
    /// Bytes in work, over all receivers that share it.
    pub admission: Admission,
}

impl OtlpState {
    /// Receivers that convert with `convert` and hand rows to `sink`. Both transports, and other receivers, share `admission`.
    pub fn new(sink: Arc<dyn RowSink>, config: Arc<ReceiveConfig>, convert: Converters, admission: Admission) -> Self {
        Self { sink, config, convert, admission }
    }
}
