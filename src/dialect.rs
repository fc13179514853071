//! The dialects a node can speak, one listener each: their paths collide, so they do not share one.

use std::fmt;
use std::str::FromStr;

/// A protocol family with a listener of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Dialect {
    /// Everything under prefixes, SQL and the node's own API.
    Gateway,
    /// OTLP over gRPC.
    OtlpGrpc,
    /// OTLP over HTTP.
    OtlpHttp,
    /// Prometheus' HTTP API.
    Prometheus,
    /// Loki's HTTP API.
    Loki,
    /// Tempo's HTTP and gRPC API.
    Tempo,
    /// Jaeger's query API.
    Jaeger,
    /// Spans as Jaeger's collector takes them, over gRPC.
    JaegerGrpc,
    /// Spans as Jaeger's collector takes them, Thrift over HTTP.
    JaegerThrift,
    /// Zipkin's API.
    Zipkin,
    /// Elasticsearch bulk.
    Elastic,
    /// Arrow Flight and Flight SQL.
    Flight,
    /// The Postgres wire protocol.
    Postgres,
}

impl Dialect {
    /// Every dialect, in the order in which listeners are announced.
    pub(crate) const ALL: [Self; 13] = [
        Self::Gateway,
        Self::OtlpGrpc,
        Self::OtlpHttp,
        Self::Prometheus,
        Self::Loki,
        Self::Tempo,
        Self::Jaeger,
        Self::JaegerGrpc,
        Self::JaegerThrift,
        Self::Zipkin,
        Self::Elastic,
        Self::Flight,
        Self::Postgres,
    ];

    /// The name in flags, configuration and the `listening` lines.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::OtlpGrpc => "otlp-grpc",
            Self::OtlpHttp => "otlp-http",
            Self::Prometheus => "prometheus",
            Self::Loki => "loki",
            Self::Tempo => "tempo",
            Self::Jaeger => "jaeger",
            Self::JaegerGrpc => "jaeger-grpc",
            Self::JaegerThrift => "jaeger-thrift",
            Self::Zipkin => "zipkin",
            Self::Elastic => "elastic",
            Self::Flight => "flight",
            Self::Postgres => "postgres",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a dialect listens.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum ListenAddr {
    /// Nowhere.
    Off,
    /// On `host:port`; port 0 lets the system choose.
    On(String),
}

impl ListenAddr {
    /// Listens on the loopback address at `port`.
    pub(crate) fn loopback(port: u16) -> Self {
        Self::On(format!("127.0.0.1:{port}"))
    }
}

impl FromStr for ListenAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let port = text.rsplit_once(':').map(|(host, port)| (!host.is_empty(), port.parse::<u16>().is_ok()));
        match port {
            Some((true, true)) => Ok(Self::On(text.to_owned())),
            _ => {
                Err(format!("{text:?} is neither HOST:PORT (such as 127.0.0.1:4318, port 0 to let the system choose) nor `off`"))
            }
        }
    }
}

impl TryFrom<String> for ListenAddr {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::On(address) => f.write_str(address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        for (text, valid) in [
            ("off", true),
            ("127.0.0.1:0", true),
            ("[::1]:4317", true),
            ("localhost:4317", true),
            ("4317", false),
            (":4317", false),
            ("127.0.0.1", false),
            ("127.0.0.1:70000", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<ListenAddr>().is_ok(), valid, "{text:?}");
        }
    }
}
