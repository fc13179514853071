//! The command line, from which `--help` and the completions are made.

use std::path::PathBuf;
use std::time::Duration;

use catalog::Signal;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::LogFormat;
use crate::dialect::{Dialect, ListenAddr};
use crate::generate::Protocol;

/// An open telemetry lakehouse: metrics, logs and traces in, sorted Parquet on a folder or a bucket, SQL out.
///
/// `telelake serve` starts a complete node on ./telelake-data: OTLP on 4317 (gRPC) and 4318 (HTTP), Prometheus' API on 9090,
/// Loki's on 3100, Tempo's on 3200, spans of Zipkin on 9411 and of Jaeger on 14250 (gRPC) and 14268 (Thrift), SQL on 7070.
///
/// Exit codes: 0 done; 1 it ran and failed; 2 the command line or the configuration is wrong; 3 the surroundings refuse (a taken
/// port, a folder that cannot be written or is in use, a bucket out of reach); 4 `check` found damage.
#[derive(Debug, Parser)]
#[command(name = "telelake", version, max_term_width = 110, args_override_self = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a node until SIGTERM or SIGINT.
    ///
    /// Standard output gets one line `listening DIALECT HOST:PORT` per listener and then `ready`; logs go to standard error.
    /// SIGTERM: readiness goes off, nothing new is accepted, open requests finish (at most 30 s), buffers are flushed, exit 0.
    Serve(Box<ServeArgs>),
    /// Run one SQL statement, on a running server or directly on a store.
    Sql(SqlArgs),
    /// Read everything: the manifest, and every file it names, checksums included.
    Check(CheckArgs),
    /// Show what is stored: tables, files, rows and bytes by level.
    Inspect(InspectArgs),
    /// Merge small files until nothing is left to merge. Not while a node runs on the same folder.
    Compact(CompactArgs),
    /// Send realistic telemetry to any OTLP endpoint, and say exactly what was sent.
    Generate(GenerateArgs),
    /// Bring the metrics of a Prometheus along: OpenMetrics text with times, or blocks of its TSDB.
    Import(ImportArgs),
    /// Make a token, and print what the configuration has to know of it.
    Token(TokenArgs),
    /// Ask a running server whether it is ready; exit status 0 if it is.
    Health(ServerArgs),
    /// Print the version.
    Version,
    /// Print the completions of a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Where the node's folder and its store are, and everything else the configuration says.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// Configuration file (TOML). Every key is in deploy/config.toml with its default.
    #[arg(long, value_name = "FILE", env = "TELELAKE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// The node's folder: write-ahead log, and files unless --store says otherwise. [default: ./telelake-data]
    #[arg(long, value_name = "DIR", env = "TELELAKE_DATA")]
    pub(crate) data: Option<PathBuf>,
    /// Where files and manifest lie: s3://bucket/prefix, gs://, az://, file:///folder. Credentials come from the environment
    /// (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL, ...) or from the section `store`.
    #[arg(long, value_name = "URL", env = "TELELAKE_STORE")]
    pub(crate) store: Option<String>,
    /// Set any key of the configuration, as in --set ingest.flush.age_max=5s. May be repeated. The environment does the same with
    /// TELELAKE__INGEST__FLUSH__AGE_MAX=5s.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// How log lines look. [default: text]
    #[arg(long, value_enum, env = "TELELAKE_LOG_FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
    /// What is logged: error, warn, info, debug, trace, or directives such as info,lake=debug. [default: info]
    #[arg(long, value_name = "LEVEL", env = "TELELAKE_LOG_LEVEL")]
    pub(crate) log_level: Option<String>,
}

/// What `serve` takes; a flag that is given twice counts the second time.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) listen: ListenArgs,
    /// Refuse requests that name no tenant (X-Scope-OrgID) instead of giving them to `anonymous`.
    #[arg(long, env = "TELELAKE_TENANCY")]
    pub(crate) tenancy: bool,
    /// PEM file with the node's certificate and those that signed it: every listener speaks TLS, and nothing else.
    #[arg(long, value_name = "FILE", env = "TELELAKE_TLS_CERTIFICATE")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// PEM file with the key of that certificate.
    #[arg(long, value_name = "FILE", env = "TELELAKE_TLS_KEY")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Listen on addresses other than loopback without asking for tokens.
    #[arg(long, env = "TELELAKE_INSECURE")]
    pub(crate) insecure: bool,
    /// Write the node's own log and spans into its own lake, tenant `telelake`.
    #[arg(long, env = "TELELAKE_SELF_TELEMETRY")]
    pub(crate) self_telemetry: bool,
}

/// Where each dialect listens: HOST:PORT (port 0 lets the system choose) or `off`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Listeners")]
pub(crate) struct ListenArgs {
    /// Everything under prefixes, SQL and the node's own API. [default: 127.0.0.1:7070]
    #[arg(long, value_name = "ADDR", env = "TELELAKE_GATEWAY_ADDR")]
    gateway_addr: Option<ListenAddr>,
    /// OTLP over gRPC. [default: 127.0.0.1:4317]
    #[arg(long, value_name = "ADDR", env = "TELELAKE_OTLP_GRPC_ADDR")]
    otlp_grpc_addr: Option<ListenAddr>,
    /// OTLP over HTTP. [default: 127.0.0.1:4318]
    #[arg(long, value_name = "ADDR", env = "TELELAKE_OTLP_HTTP_ADDR")]
    otlp_http_addr: Option<ListenAddr>,
    /// Prometheus' HTTP API: queries, remote write and read, federation. [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDR", env = "TELELAKE_PROMETHEUS_ADDR")]
    prometheus_addr: Option<ListenAddr>,
    /// Loki's HTTP API: push, OTLP logs. [default: 127.0.0.1:3100]
    #[arg(long, value_name = "ADDR", env = "TELELAKE_LOKI_ADDR")]
    loki_addr: Option<ListenAddr>,
    /// Tempo's API, over HTTP and gRPC on one socket: searches, traces, TraceQL metrics. [default: 127.0.0.1:3200]
    #[arg(long, value_name = "ADDR", env = "TELELAKE_TEMPO_ADDR")]
    tempo_addr: Option<ListenAddr>,
    /// Jaeger's query APIs, over HTTP and gRPC, port 16686 by custom. [default: off]
    #[arg(long, value_name = "ADDR", env = "TELELAKE_JAEGER_ADDR")]
    jaeger_addr: Option<ListenAddr>,
    /// Spans of Jaeger's clients over gRPC. [default: 127.0.0.1:14250]
    #[arg(long, value_name = "ADDR", env = "TELELAKE_JAEGER_GRPC_ADDR")]
    jaeger_grpc_addr: Option<ListenAddr>,
    /// Spans of Jaeger's clients, Thrift over HTTP. [default: 127.0.0.1:14268]
    #[arg(long, value_name = "ADDR", env = "TELELAKE_JAEGER_THRIFT_ADDR")]
    jaeger_thrift_addr: Option<ListenAddr>,
    /// Spans of Zipkin's clients, and Zipkin's read API. [default: 127.0.0.1:9411]
    #[arg(long, value_name = "ADDR", env = "TELELAKE_ZIPKIN_ADDR")]
    zipkin_addr: Option<ListenAddr>,
    /// Elasticsearch bulk, port 9200 by custom. [default: off]
    #[arg(long, value_name = "ADDR", env = "TELELAKE_ELASTIC_ADDR")]
    elastic_addr: Option<ListenAddr>,
    /// Arrow Flight and Flight SQL. [default: 127.0.0.1:8815]
    #[arg(long, value_name = "ADDR", env = "TELELAKE_FLIGHT_ADDR")]
    flight_addr: Option<ListenAddr>,
    /// Postgres' wire protocol, port 5432 by custom: SQL, read-only; the database is the tenant, the password a token. [default: off]
    #[arg(long, value_name = "ADDR", env = "TELELAKE_POSTGRES_ADDR")]
    postgres_addr: Option<ListenAddr>,
}

impl ListenArgs {
    /// The dialects that the command line moves, and where to.
    pub(crate) fn moved(self) -> impl Iterator<Item = (Dialect, ListenAddr)> {
        [
            (Dialect::Gateway, self.gateway_addr),
            (Dialect::OtlpGrpc, self.otlp_grpc_addr),
            (Dialect::OtlpHttp, self.otlp_http_addr),
            (Dialect::Prometheus, self.prometheus_addr),
            (Dialect::Loki, self.loki_addr),
            (Dialect::Tempo, self.tempo_addr),
            (Dialect::Jaeger, self.jaeger_addr),
            (Dialect::JaegerGrpc, self.jaeger_grpc_addr),
            (Dialect::JaegerThrift, self.jaeger_thrift_addr),
            (Dialect::Zipkin, self.zipkin_addr),
            (Dialect::Elastic, self.elastic_addr),
            (Dialect::Flight, self.flight_addr),
            (Dialect::Postgres, self.postgres_addr),
        ]
        .into_iter()
        .filter_map(|(dialect, address)| Some((dialect, address?)))
    }
}

/// A running server, and as whom to talk to it.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// The server's gateway.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7070", env = "TELELAKE_SERVER")]
    pub(crate) server: String,
    /// A bearer token.
    #[arg(long, value_name = "TOKEN", env = "TELELAKE_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// A tenant that the token covers; may be repeated, `*` for all.
    #[arg(long = "tenant", value_name = "ID", default_value = "anonymous")]
    pub(crate) tenants: Vec<String>,
    /// The user of Postgres whose password the token is: clients prove that they have it, without sending it.
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Read the token from standard input instead of making one.
    #[arg(long)]
    pub(crate) stdin: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SqlArgs {
    /// The statement; `-` reads it from standard input.
    pub(crate) statement: String,
    /// A server's gateway. Without it, and without --data or --store, http://127.0.0.1:7070.
    #[arg(long, value_name = "URL", env = "TELELAKE_SERVER", conflicts_with_all = ["data", "store"])]
    pub(crate) server: Option<String>,
    /// A bearer token for the server.
    #[arg(long, value_name = "TOKEN", env = "TELELAKE_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// The tenant. [default: anonymous]
    #[arg(long, value_name = "ID", env = "TELELAKE_TENANT")]
    pub(crate) tenant: Option<String>,
    /// How rows are printed.
    #[arg(long, value_enum, default_value_t = RowFormat::Table)]
    pub(crate) format: RowFormat,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowFormat {
    /// A table for people.
    Table,
    /// One JSON object: columns, rows as arrays, statistics.
    Json,
    /// One JSON object a row and line.
    Jsonl,
    /// CSV with a header.
    Csv,
    /// A Markdown table.
    Markdown,
    /// An Arrow IPC stream.
    Arrow,
    /// A Parquet file.
    Parquet,
}

/// How a report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Decode every row too, and compare order and statistics with what the manifest says.
    #[arg(long)]
    pub(crate) deep: bool,
    /// How the report is printed.
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Only this tenant.
    #[arg(long, value_name = "ID")]
    pub(crate) tenant: Option<String>,
    /// List every file too.
    #[arg(long)]
    pub(crate) files: bool,
    /// How the report is printed.
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
}

#[derive(Debug, Args)]
pub(crate) struct CompactArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Partitions that are still open too: everything ends in as few files as it can.
    #[arg(long)]
    pub(crate) all: bool,
    /// How the report is printed.
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// OpenMetrics text, `.gz` if it is compressed, or `-` for standard input; or a folder: a block of a Prometheus TSDB, or what holds
    /// blocks, such as a snapshot or the data folder of a Prometheus that was stopped.
    #[arg(required = true, value_name = "SOURCE")]
    pub(crate) sources: Vec<PathBuf>,
    /// A server's gateway. Without it, and without --data or --store, http://127.0.0.1:7070.
    #[arg(long, value_name = "URL", env = "TELELAKE_SERVER", conflicts_with_all = ["data", "store"])]
    pub(crate) server: Option<String>,
    /// A bearer token for the server.
    #[arg(long, value_name = "TOKEN", env = "TELELAKE_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// The tenant. [default: anonymous]
    #[arg(long, value_name = "ID", env = "TELELAKE_TENANT")]
    pub(crate) tenant: Option<String>,
    /// How long a request is tried again while the server says "later" or does not answer.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "60s")]
    pub(crate) retry_max: Duration,
    /// How the counts are printed at the end.
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// A signal on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SignalArg {
    Metrics,
    Logs,
    Traces,
}

impl From<SignalArg> for Signal {
    fn from(signal: SignalArg) -> Self {
        match signal {
            SignalArg::Metrics => Self::Metrics,
            SignalArg::Logs => Self::Logs,
            SignalArg::Traces => Self::Traces,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// The endpoint. [default: http://127.0.0.1:4317 for gRPC, http://127.0.0.1:4318 for HTTP]
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// How batches travel.
    #[arg(long, value_enum, default_value_t = Protocol::Http)]
    pub(crate) protocol: Protocol,
    /// What to send.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [SignalArg::Metrics, SignalArg::Logs, SignalArg::Traces])]
    pub(crate) signals: Vec<SignalArg>,
    /// Items (data points, log records, spans) per second and signal; 0: as fast as the endpoint takes them.
    #[arg(long, default_value_t = 1000)]
    pub(crate) rate: u64,
    /// Items per signal. At least that many are sent: instances and traces are not cut.
    #[arg(long)]
    pub(crate) count: Option<u64>,
    /// How long, e.g. 30s or 5m. Without it and without --count: until interrupted.
    #[arg(long, value_parser = humantime::parse_duration)]
    pub(crate) duration: Option<Duration>,
    /// The same seed, counts and start give the same bytes.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Items per request.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) batch: u32,
    /// Instances of each of the 8 services; each has 9 metric series.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) instances: u32,
    /// Requests in flight per signal.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) connections: u32,
    /// The time of the first item, RFC 3339. [default: now; with --count and --rate 0, so that the last item is about now]
    #[arg(long, value_parser = humantime::parse_rfc3339_weak)]
    pub(crate) start: Option<std::time::SystemTime>,
    /// Write the requests to this file instead of sending them, for `telelake-bench` to replay.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["endpoint", "protocol", "gzip"])]
    pub(crate) record: Option<PathBuf>,
    /// Compress with gzip.
    #[arg(long)]
    pub(crate) gzip: bool,
    /// The tenant to send as.
    #[arg(long, value_name = "ID", env = "TELELAKE_TENANT")]
    pub(crate) tenant: Option<String>,
    /// A bearer token.
    #[arg(long, value_name = "TOKEN", env = "TELELAKE_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// How long a batch is tried again while the endpoint says "later" or does not answer.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "60s")]
    pub(crate) retry_max: Duration,
    /// How the counts are printed at the end.
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
}
