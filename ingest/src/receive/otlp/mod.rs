//! OTLP: traces, metrics and logs over gRPC ([`grpc`]) and HTTP ([`http`]), protobuf and JSON.

pub mod grpc;
pub mod http;

use std::sync::Arc;

use catalog::Env;

use super::ReceiveConfig;
use crate::convert::Convert;
use crate::sink::RowSink;

/// The converters of the three signals.
#[derive(Debug, Clone)]
pub struct Converters {
    /// `ExportMetricsServiceRequest`.
    pub metrics: Arc<dyn Convert>,
    /// `ExportLogsServiceRequest`.
    pub logs: Arc<dyn Convert>,
    /// `ExportTraceServiceRequest`.
    pub spans: Arc<dyn Convert>,
}

/// What both transports share.
#[derive(Debug, Clone)]
pub struct OtlpState {
    /// Where rows go.
    pub sink: Arc<dyn RowSink>,
    /// Limits.
    pub config: Arc<ReceiveConfig>,
    /// Time and chance.
    pub env: Env,
    /// How bodies become rows.
    pub convert: Converters,
}

impl OtlpState {
    /// Receivers that convert with `convert` and hand rows to `sink`.
    pub fn new(sink: Arc<dyn RowSink>, config: Arc<ReceiveConfig>, env: Env, convert: Converters) -> Self {
        Self { sink, config, env, convert }
    }
}
