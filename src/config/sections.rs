//! The process's own sections.

use std::path::PathBuf;
use std::time::Duration;

use catalog::TenantId;
use sql::postgres::Verifier;

use crate::dialect::{Dialect, ListenAddr};

/// Where each dialect listens: `host:port`, port 0 to let the system choose, or `off`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ListenConfig {
    /// Everything under prefixes, SQL and the node's own API.
    pub(crate) gateway: ListenAddr,
    /// OTLP over gRPC.
    pub(crate) otlp_grpc: ListenAddr,
    /// OTLP over HTTP.
    pub(crate) otlp_http: ListenAddr,
    /// Prometheus' HTTP API.
    pub(crate) prometheus: ListenAddr,
    /// Loki's HTTP API.
    pub(crate) loki: ListenAddr,
    /// Tempo's HTTP and gRPC API.
    pub(crate) tempo: ListenAddr,
    /// Jaeger's query APIs, over HTTP and gRPC.
    pub(crate) jaeger: ListenAddr,
    /// Spans of Jaeger's clients over gRPC.
    pub(crate) jaeger_grpc: ListenAddr,
    /// Spans of Jaeger's clients, Thrift over HTTP.
    pub(crate) jaeger_thrift: ListenAddr,
    /// Spans of Zipkin's clients, and Zipkin's read API.
    pub(crate) zipkin: ListenAddr,
    /// Elasticsearch bulk.
    pub(crate) elastic: ListenAddr,
    /// Arrow Flight and Flight SQL.
    pub(crate) flight: ListenAddr,
    /// Postgres' wire protocol; port 5432 by custom. The database is the tenant, the password a token.
    pub(crate) postgres: ListenAddr,
    /// Listen on addresses other than loopback without asking for tokens.
    pub(crate) insecure: bool,
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self {
            gateway: ListenAddr::loopback(7070),
            otlp_grpc: ListenAddr::loopback(4317),
            otlp_http: ListenAddr::loopback(4318),
            prometheus: ListenAddr::loopback(9090),
            loki: ListenAddr::loopback(3100),
            tempo: ListenAddr::loopback(3200),
            jaeger: ListenAddr::Off,
            jaeger_grpc: ListenAddr::loopback(14250),
            jaeger_thrift: ListenAddr::loopback(14268),
            zipkin: ListenAddr::loopback(9411),
            elastic: ListenAddr::Off,
            flight: ListenAddr::loopback(8815),
            postgres: ListenAddr::Off,
            insecure: false,
        }
    }
}

impl ListenConfig {
    /// The address of `dialect`.
    pub(crate) fn of(&self, dialect: Dialect) -> &ListenAddr {
        match dialect {
            Dialect::Gateway => &self.gateway,
            Dialect::OtlpGrpc => &self.otlp_grpc,
            Dialect::OtlpHttp => &self.otlp_http,
            Dialect::Prometheus => &self.prometheus,
            Dialect::Loki => &self.loki,
            Dialect::Tempo => &self.tempo,
            Dialect::Jaeger => &self.jaeger,
            Dialect::JaegerGrpc => &self.jaeger_grpc,
            Dialect::JaegerThrift => &self.jaeger_thrift,
            Dialect::Zipkin => &self.zipkin,
            Dialect::Elastic => &self.elastic,
            Dialect::Flight => &self.flight,
            Dialect::Postgres => &self.postgres,
        }
    }

    /// Moves `dialect`.
    pub(crate) fn set(&mut self, dialect: Dialect, address: ListenAddr) {
        *match dialect {
            Dialect::Gateway => &mut self.gateway,
            Dialect::OtlpGrpc => &mut self.otlp_grpc,
            Dialect::OtlpHttp => &mut self.otlp_http,
            Dialect::Prometheus => &mut self.prometheus,
            Dialect::Loki => &mut self.loki,
            Dialect::Tempo => &mut self.tempo,
            Dialect::Jaeger => &mut self.jaeger,
            Dialect::JaegerGrpc => &mut self.jaeger_grpc,
            Dialect::JaegerThrift => &mut self.jaeger_thrift,
            Dialect::Zipkin => &mut self.zipkin,
            Dialect::Elastic => &mut self.elastic,
            Dialect::Flight => &mut self.flight,
            Dialect::Postgres => &mut self.postgres,
        } = address;
    }
}

/// The certificate of the listeners. With one, all of them speak TLS and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TlsConfig {
    /// A PEM file: the node's certificate, behind it those that signed it. Empty: no TLS. It is read again when it changes.
    pub(crate) certificate: PathBuf,
    /// A PEM file: the key of the first of them, not encrypted.
    pub(crate) key: PathBuf,
}

impl TlsConfig {
    /// Whether there is a certificate.
    pub(crate) fn is_on(&self) -> bool {
        !self.certificate.as_os_str().is_empty()
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        match (self.is_on(), self.key.as_os_str().is_empty()) {
            (true, true) => Err("tls.certificate is set, but tls.key is not: both are needed".to_owned()),
            (false, false) => Err("tls.key is set, but tls.certificate is not: both are needed".to_owned()),
            _ => Ok(()),
        }
    }
}

/// Tenants.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TenancyConfig {
    /// Whether a request must say its tenant (`X-Scope-OrgID`). Off: one that does not belongs to `anonymous`.
    pub(crate) enabled: bool,
}

/// Bearer tokens. None: everybody who reaches a listener is let in.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AuthConfig {
    /// The tokens.
    pub(crate) tokens: Vec<TokenConfig>,
}

/// One token, known by its digest only.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenConfig {
    /// SHA-256 of the token, 64 hexadecimal digits.
    pub(crate) sha256: String,
    /// The tenants it may act for; `"*"` for all.
    pub(crate) tenants: Vec<String>,
    /// The user of Postgres whose password it is; `scram` is what is known of the password then, so that it need not travel.
    #[serde(default)]
    pub(crate) user: Option<String>,
    /// The token's verifier for SCRAM-SHA-256, as Postgres stores it; `telelake token` makes it.
    #[serde(default)]
    pub(crate) scram: Option<String>,
}

impl TokenConfig {
    /// The digest's bytes.
    pub(crate) fn digest(&self) -> Option<[u8; 32]> {
        let hex = self.sha256.as_bytes();
        if hex.len() != 64 || !hex.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(self.sha256.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(digest)
    }

    /// The user of Postgres and what is known of the password, if the token has them.
    pub(crate) fn login(&self) -> Option<(&str, Verifier)> {
        Some((self.user.as_deref()?, self.scram.as_deref()?.parse().ok()?))
    }

    fn validate_login(&self, others: &[Self]) -> Result<(), String> {
        match (&self.user, &self.scram) {
            (None, None) => Ok(()),
            (Some(_), None) => Err("user is set, but scram is not: both are needed".to_owned()),
            (None, Some(_)) => Err("scram is set, but user is not: both are needed".to_owned()),
            (Some(user), Some(_)) if user.is_empty() => Err("user is empty".to_owned()),
            (Some(user), Some(_)) if others.iter().any(|other| other.user.as_ref() == Some(user)) => {
                Err(format!("user is {user:?}, as that of a token before it is"))
            }
            (Some(_), Some(scram)) => scram.parse::<Verifier>().map(drop).map_err(|e| format!("scram: {e}")),
        }
    }
}

impl AuthConfig {
    /// Whether a client of Postgres may be asked for a token as it is: not if all of them have verifiers.
    pub(crate) fn tokens_travel(&self) -> bool {
        self.tokens.iter().any(|token| token.scram.is_none())
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        for (i, token) in self.tokens.iter().enumerate() {
            if token.digest().is_none() {
                return Err(format!(
                    "auth.tokens[{i}].sha256 has {} characters, must be 64 hexadecimal digits",
                    token.sha256.len()
                ));
            }
            if token.tenants.is_empty() {
                return Err(format!("auth.tokens[{i}].tenants is empty, must name at least one tenant, or \"*\""));
            }
            token.validate_login(&self.tokens[..i]).map_err(|e| format!("auth.tokens[{i}].{e}"))?;
            for tenant in token.tenants.iter().filter(|t| *t != "*") {
                TenantId::parse(tenant).map_err(|e| format!("auth.tokens[{i}].tenants: {e}"))?;
            }
        }
        Ok(())
    }
}

/// The node's own log, on stderr.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogConfig {
    /// `text` or `json`.
    pub(crate) format: LogFormat,
    /// A level, or directives such as `info,lake=debug`.
    pub(crate) level: String,
    /// Whether the node writes its own log and spans into its own lake, tenant `telelake`. Pushes that are taken quickly are no
    /// spans.
    pub(crate) self_telemetry: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned(), self_telemetry: false }
    }
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Threads, connections, stopping.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NodeConfig {
    /// Threads that run queries, and as many more, of lower priority, for what turns out to be long; 0 takes four per core. Receivers have threads of
    /// their own, so that a query cannot starve them.
    pub(crate) query_threads: usize,
    /// Connections per listener; further ones wait in the system's queue.
    pub(crate) connections_max: usize,
    /// Concurrent HTTP/2 streams per connection.
    pub(crate) streams_per_connection_max: u32,
    /// How long open requests may go on after SIGTERM before they are cut off.
    #[serde(with = "humantime_serde")]
    pub(crate) drain_max: Duration,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self { query_threads: 0, connections_max: 4096, streams_per_connection_max: 256, drain_max: Duration::from_secs(30) }
    }
}

impl NodeConfig {
    pub(super) fn validate(&self) -> Result<(), String> {
        within("node.query_threads", self.query_threads, 0, 1024)?;
        within("node.connections_max", self.connections_max, 1, 1_000_000)?;
        within("node.streams_per_connection_max", self.streams_per_connection_max, 1, 65_536)?;
        within("node.drain_max", self.drain_max.as_secs(), 0, 600)
    }
}

/// How often the background passes run. Each waits up to a tenth longer, so that many nodes do not run in step.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BackgroundConfig {
    /// Reads manifest entries of other nodes.
    #[serde(with = "humantime_serde")]
    pub(crate) refresh_every: Duration,
    /// Looks whether a checkpoint is due.
    #[serde(with = "humantime_serde")]
    pub(crate) checkpoint_every: Duration,
    /// Looks for files to compact.
    #[serde(with = "humantime_serde")]
    pub(crate) compact_every: Duration,
    /// Drops what retention has run out for.
    #[serde(with = "humantime_serde")]
    pub(crate) retention_every: Duration,
    /// Deletes objects that no snapshot can need.
    #[serde(with = "humantime_serde")]
    pub(crate) gc_every: Duration,
}

impl Default for BackgroundConfig {
    fn default() -> Self {
        Self {
            refresh_every: Duration::from_secs(5),
            checkpoint_every: Duration::from_secs(30),
            compact_every: Duration::from_secs(30),
            retention_every: Duration::from_secs(600),
            gc_every: Duration::from_secs(300),
        }
    }
}

impl BackgroundConfig {
    pub(super) fn validate(&self) -> Result<(), String> {
        for (key, every) in [
            ("refresh_every", self.refresh_every),
            ("checkpoint_every", self.checkpoint_every),
            ("compact_every", self.compact_every),
            ("retention_every", self.retention_every),
            ("gc_every", self.gc_every),
        ] {
            if every < Duration::from_millis(100) || every > Duration::from_secs(86_400) {
                return Err(format!(
                    "background.{key} is {}, must lie between 100ms and 1day",
                    humantime::format_duration(every)
                ));
            }
        }
        Ok(())
    }
}

fn within<T: PartialOrd + std::fmt::Display>(key: &str, value: T, min: T, max: T) -> Result<(), String> {
    if value < min || value > max {
        return Err(format!("{key} is {value}, must lie between {min} and {max}"));
    }
    Ok(())
}
