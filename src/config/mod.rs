//! The configuration of a node: one TOML file, the environment above it, flags on top.
//!
//! ```text
//! defaults ◄─ --config FILE ◄─ TELELAKE__SECTION__KEY ◄─ --set section.key=value ◄─ flags of their own (and their TELELAKE_*)
//! ```
//! Every section that belongs to a crate is that crate's own struct; here are the process's. Nothing below `src/` reads
//! a file or the environment. An unknown key is an error that suggests the right one ([`load()`]).

mod load;
mod sections;

use std::path::PathBuf;

pub(crate) use load::{Sources, load};
#[cfg(test)]
pub(crate) use sections::TokenConfig;
pub(crate) use sections::{
    AuthConfig, BackgroundConfig, ListenConfig, LogConfig, LogFormat, NodeConfig, TenancyConfig, TlsConfig,
};

use ingest::convert::loki::LokiConfig;
use ingest::convert::metrics::OtlpMetricsConfig;
use ingest::convert::prometheus::RemoteWriteConfig;
use ingest::generator::GeneratorConfig;
use ingest::registry::RegistryConfig;

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// The node's folder: its write-ahead log, and its files too unless `store.url` says otherwise.
    pub(crate) data: PathBuf,
    /// Where files and manifest lie.
    pub(crate) store: lake::store::StoreConfig,
    /// Who listens where.
    pub(crate) listen: ListenConfig,
    /// The certificate of the listeners.
    pub(crate) tls: TlsConfig,
    /// Tenants.
    pub(crate) tenancy: TenancyConfig,
    /// Bearer tokens.
    pub(crate) auth: AuthConfig,
    /// The node's own log.
    pub(crate) log: LogConfig,
    /// Threads, connections, stopping.
    pub(crate) node: NodeConfig,
    /// How often the background passes run.
    pub(crate) background: BackgroundConfig,
    /// The manifest.
    pub(crate) catalog: catalog::manifest::CatalogConfig,
    /// Caches.
    pub(crate) lake: lake::LakeConfig,
    /// When files are merged.
    pub(crate) compact: lake::compact::CompactConfig,
    /// How long rows are kept.
    pub(crate) retention: lake::retention::RetentionConfig,
    /// How garbage is collected.
    pub(crate) gc: lake::gc::GcConfig,
    /// Log, buffer and flush.
    pub(crate) ingest: ingest::IngestConfig,
    /// Receivers and their limits.
    pub(crate) receive: ingest::receive::ReceiveConfig,
    /// How OTLP metrics become series.
    pub(crate) otlp_metrics: OtlpMetricsConfig,
    /// Limits of pushed log lines, and how log records become streams.
    pub(crate) loki: LokiConfig,
    /// Limits of remote write, and its replicas.
    pub(crate) remote_write: RemoteWriteConfig,
    /// How many series a tenant may have.
    pub(crate) series: RegistryConfig,
    /// Series that are counted from spans.
    pub(crate) generator: GeneratorConfig,
    /// Queries and their limits.
    pub(crate) query: query::QueryConfig,
    /// PromQL.
    pub(crate) promql: query::promql::PromqlConfig,
    /// Prometheus' API.
    pub(crate) prometheus: compat::prometheus::PrometheusConfig,
    /// LogQL.
    pub(crate) logql: query::logql::LogqlConfig,
    /// TraceQL.
    pub(crate) traceql: query::traceql::TraceqlConfig,
    /// SQL.
    pub(crate) sql: sql::SqlConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("./telelake-data"),
            store: Default::default(),
            listen: Default::default(),
            tls: Default::default(),
            tenancy: Default::default(),
            auth: Default::default(),
            log: Default::default(),
            node: Default::default(),
            background: Default::default(),
            catalog: Default::default(),
            lake: Default::default(),
            compact: Default::default(),
            retention: Default::default(),
            gc: Default::default(),
            ingest: Default::default(),
            receive: Default::default(),
            otlp_metrics: Default::default(),
            loki: Default::default(),
            remote_write: Default::default(),
            series: Default::default(),
            generator: Default::default(),
            query: Default::default(),
            promql: Default::default(),
            prometheus: Default::default(),
            logql: Default::default(),
            traceql: Default::default(),
            sql: Default::default(),
        }
    }
}

impl Config {
    /// Checks what types cannot: bounds, and settings that exclude each other.
    ///
    /// # Errors
    /// The message names the key, the value and the bound.
    pub(crate) fn validate(&self) -> Result<(), String> {
        self.tls.validate()?;
        self.auth.validate()?;
        self.node.validate()?;
        self.background.validate()?;
        self.catalog.validate()?;
        self.lake.validate().map_err(|e| format!("lake: {e}"))?;
        self.compact.validate().map_err(|e| e.to_string())?;
        self.retention.validate().map_err(|e| e.to_string())?;
        self.ingest.validate().map_err(|e| format!("ingest: {e}"))?;
        self.receive.validate().map_err(|e| e.to_string())?;
        self.otlp_metrics.validate().map_err(|e| e.to_string())?;
        self.loki.validate().map_err(|e| e.to_string())?;
        self.remote_write.validate().map_err(|e| e.to_string())?;
        self.generator.validate().map_err(|e| e.to_string())?;
        self.query.validate().map_err(|e| e.to_string())?;
        self.promql.validate().map_err(|e| e.to_string())?;
        self.logql.validate().map_err(|e| e.to_string())?;
        self.traceql.validate().map_err(|e| e.to_string())?;
        self.sql.validate().map_err(|e| e.to_string())
    }
}
