//! A node without listeners: receiver, log, buffer, lake and engine as the process puts them together, on memory and under a fixed clock.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use catalog::manifest::{Catalog, CatalogConfig};
use catalog::{TenantId, Timestamp};
use http::{Request, header};
use ingest::convert::LogRules;
use ingest::convert::loki::{LokiConfig, PushConverter};
use ingest::convert::metrics::MetricsConverter;
use ingest::convert::prometheus::{RemoteWriteConfig, RemoteWriteConverter};
use ingest::receive::loki::{self, LokiState};
use ingest::receive::otlp::{self, Converters, OtlpState};
use ingest::receive::prometheus::{self, PrometheusState};
use ingest::receive::{Admission, ReceiveConfig};
use ingest::registry::SeriesRegistry;
use ingest::wal::SimFs;
use ingest::{IngestConfig, Ingester};
use lake::compact::{CompactConfig, Compactor};
use lake::{FreshRows, Lake};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use query::DeleteSelectors;
use query::logql::{LogqlConfig, LogqlEngine};
use query::promql::{PromqlConfig, PromqlEngine};
use query::traceql::{TraceqlConfig, TraceqlEngine};
use query::{Engine, QueryConfig};
use tokio::runtime::Handle;
use tower::ServiceExt;

/// Where rows are when a query runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// In the log and the buffer.
    Fresh,
    /// In files of level 0.
    Flushed,
    /// In as few files as can be.
    Compacted,
}

impl Stage {
    pub(crate) const ALL: [Self; 3] = [Self::Fresh, Self::Flushed, Self::Compacted];
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fresh => "fresh",
            Self::Flushed => "flushed",
            Self::Compacted => "compacted",
        })
    }
}

impl FromStr for Stage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|stage| stage.to_string() == text).ok_or_else(|| format!("no stage {text}"))
    }
}

/// The time of day: far from the vectors, which begin in 1970.
const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

pub(crate) struct Node {
    pub(crate) engine: Arc<PromqlEngine>,
    pub(crate) logql: Arc<LogqlEngine>,
    pub(crate) traceql: Arc<TraceqlEngine>,
    ingester: Arc<Ingester>,
    compactor: Compactor,
    receiver: Router,
}

impl Node {
    /// An empty node. Queries may hold `samples_max` samples.
    pub(crate) async fn open(samples_max: u64) -> anyhow::Result<Self> {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let (env, _) = catalog::env::fixed::env(NOW, 7);
        let catalog = Catalog::open(Arc::clone(&store), env.clone(), CatalogConfig::default()).await?;
        let lake = Lake::open(store, catalog, env.clone(), lake::LakeConfig::default());
        let mut config = IngestConfig::default();
        config.wal.dir = Some("/log".into());
        config.wal.segment_bytes = 1 << 20;
        let ingester = Ingester::open_on(Arc::new(SimFs::new(7)), config, Arc::clone(&lake) as _, env.clone()).await?;

        let limits = Arc::new(ReceiveConfig::default());
        let series = SeriesRegistry::new(Default::default());
        let metrics = MetricsConverter::new(Default::default(), Arc::clone(&series), env.clone());
        let admission = Admission::new(limits.in_flight_bytes_max);
        // What Loki's scenarios assume: labels and metadata are those that were sent.
        let loki = LokiConfig { discover_log_levels: false, discover_service_name: Vec::new(), ..LokiConfig::default() };
        let otlp = OtlpState::new(
            Arc::clone(&ingester) as _,
            Arc::clone(&limits),
            Converters::new(&limits, &env, metrics, LogRules::new(&loki)?),
            admission,
        );
        let write = RemoteWriteConverter::new(RemoteWriteConfig::default(), series, env.clone());
        let push = PushConverter::new(loki, env.clone(), Arc::clone(&otlp.convert.resources));
        let receiver = loki::push_router(LokiState::new(otlp.clone(), push))
            .merge(otlp::http::router(otlp.clone()))
            .merge(prometheus::router(PrometheusState::new(otlp, write)));

        let fresh: Arc<dyn FreshRows> = Arc::clone(&ingester) as _;
        let engine = Engine::new(Arc::clone(&lake), fresh, env, QueryConfig::default())?;
        let config = PromqlConfig { samples_max, ..PromqlConfig::default() };
        let logql = LogqlEngine::new(Arc::clone(&engine), LogqlConfig::default(), Handle::current())?;
        let traceql = TraceqlEngine::new(Arc::clone(&engine), TraceqlConfig::default(), Handle::current())?;
        let engine = PromqlEngine::new(engine, config, Handle::current())?;
        let compactor = Compactor::new(lake, CompactConfig::default(), Arc::new(DeleteSelectors));
        Ok(Self { engine, logql, traceql, ingester, compactor, receiver })
    }

    /// Sends a body of remote write 2.0 (protobuf, not yet compressed) as `tenant`.
    pub(crate) async fn write(&self, tenant: &TenantId, body: &[u8]) -> anyhow::Result<()> {
        let body = snap::raw::Encoder::new().compress_vec(body)?;
        let request = Request::post("/api/v1/write")
            .header(header::CONTENT_TYPE, "application/x-protobuf;proto=io.prometheus.write.v2.Request")
            .header(header::CONTENT_ENCODING, "snappy")
            .header("X-Prometheus-Remote-Write-Version", "2.0.0")
            .extension(tenant.clone())
            .body(Body::from(body))?;
        self.send(request).await
    }

    /// Pushes a body of Loki's JSON as `tenant`.
    pub(crate) async fn push(&self, tenant: &TenantId, body: &str) -> anyhow::Result<()> {
        let request = Request::post("/loki/api/v1/push")
            .header(header::CONTENT_TYPE, "application/json")
            .extension(tenant.clone())
            .body(Body::from(body.to_owned()))?;
        self.send(request).await
    }

    /// Sends a body of OTLP's JSON with spans as `tenant`.
    pub(crate) async fn send_traces(&self, tenant: &TenantId, body: &str) -> anyhow::Result<()> {
        let request = Request::post("/v1/traces")
            .header(header::CONTENT_TYPE, "application/json")
            .extension(tenant.clone())
            .body(Body::from(body.to_owned()))?;
        self.send(request).await
    }

    async fn send(&self, request: Request<Body>) -> anyhow::Result<()> {
        let response = self.receiver.clone().oneshot(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let text = axum::body::to_bytes(response.into_body(), 1 << 20).await?;
        anyhow::bail!("the receiver answered {status}: {}", String::from_utf8_lossy(&text))
    }

    /// Brings every row to `stage`.
    pub(crate) async fn settle(&self, stage: Stage) -> anyhow::Result<()> {
        if stage != Stage::Fresh {
            self.ingester.flush_now().await?;
        }
        if stage == Stage::Compacted {
            self.compactor.force().await?;
        }
        Ok(())
    }
}
