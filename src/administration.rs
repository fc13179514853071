//! What the admin endpoints of Prometheus' API ask of a node, and what status endpoints, Loki's too, say about one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use catalog::{ErrorKind, Timestamp};
use compat::loki::{LokiFacts, PushLimits};
use compat::node::NodeStatus;
use compat::prometheus::{AdminError, Administration, Head, ProcessFacts, format_duration};
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::runtime::Handle;

use crate::config::Config;
use crate::passes::{Pass, Passes};

/// Runs passes for whoever asks, in tasks of their own: a client that goes away does not cut a pass off.
#[derive(Debug)]
pub(crate) struct NodeAdministration {
    passes: Arc<Passes>,
    status: Arc<dyn NodeStatus>,
    background: Handle,
}

impl NodeAdministration {
    pub(crate) fn new(passes: Arc<Passes>, status: Arc<dyn NodeStatus>, background: Handle) -> Self {
        Self { passes, status, background }
    }

    async fn run(&self, pass: Pass) -> Result<Value, AdminError> {
        let passes = Arc::clone(&self.passes);
        match self.background.spawn(async move { passes.run(pass).await }).await {
            Ok(done) => done.map_err(|e| AdminError { kind: e.kind, message: e.message }),
            Err(_) => Err(AdminError { kind: ErrorKind::Internal, message: "internal error".to_owned() }),
        }
    }
}

impl Administration for NodeAdministration {
    fn clean_tombstones(&self) -> BoxFuture<'_, Result<(), AdminError>> {
        Box::pin(async { self.run(Pass::Clean).await.map(drop) })
    }

    fn numbers(&self) -> String {
        self.status.metrics()
    }

    fn snapshot(&self, head: Head) -> BoxFuture<'_, Result<u64, AdminError>> {
        Box::pin(async move {
            if head == Head::Included {
                self.run(Pass::Flush).await?;
            }
            Ok(self.passes.snapshot_id())
        })
    }
}

/// What is known about this process.
pub(crate) fn facts(config: &Config, started: Timestamp) -> ProcessFacts {
    ProcessFacts {
        version: env!("CARGO_PKG_VERSION"),
        started,
        folder: std::env::current_dir().map(|d| d.display().to_string()).unwrap_or_default(),
        hostname: std::fs::read_to_string("/proc/sys/kernel/hostname").map(|h| h.trim().to_owned()).unwrap_or_default(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        retention: config.retention.default.metrics,
        flags: flags(config),
    }
}

/// What Loki's status endpoints say about this process.
pub(crate) fn loki_facts(config: &Config) -> LokiFacts {
    LokiFacts {
        version: env!("CARGO_PKG_VERSION"),
        log_level: config.log.level.clone(),
        retention: config.retention.default.logs,
        push: PushLimits {
            discover_log_levels: config.loki.discover_log_levels,
            discover_service_name: config.loki.discover_service_name.clone(),
            log_level_fields: config.loki.log_level_fields.clone(),
            max_line_size_truncate: config.loki.max_line_size_truncate,
        },
    }
}

/// Settings by the names of Prometheus' flags.
fn flags(config: &Config) -> BTreeMap<&'static str, String> {
    let retention = config.retention.default.metrics.map_or_else(|| "0s".to_owned(), format_duration);
    BTreeMap::from([
        ("config.file", String::new()),
        ("log.format", format!("{:?}", config.log.format).to_lowercase()),
        ("log.level", config.log.level.clone()),
        ("query.lookback-delta", format_duration(config.promql.lookback)),
        ("query.max-concurrency", config.promql.queries_max.to_string()),
        ("query.max-samples", config.promql.samples_max.to_string()),
        ("query.timeout", format_duration(config.promql.timeout)),
        ("storage.tsdb.path", absolute(&config.data)),
        ("storage.tsdb.retention.time", retention),
        ("web.cors.origin", ".*".to_owned()),
        ("web.enable-admin-api", config.prometheus.admin_api.to_string()),
        ("web.enable-lifecycle", "false".to_owned()),
        ("web.enable-otlp-receiver", "true".to_owned()),
        ("web.enable-remote-write-receiver", "true".to_owned()),
        ("web.listen-address", config.listen.prometheus.to_string()),
        ("web.max-connections", config.node.connections_max.to_string()),
    ])
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}
