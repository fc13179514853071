//! A node: everything put together, started in order and stopped in the reverse one.
//!
//! ```text
//! start   folder lock ► store ► catalog ► lake ► ingester (replays its log) ► engine ► sockets ► loops ► "ready"
//! stop    not ready ► loops end ► no more accepts, open requests finish ► buffers flushed ► exit
//! ```
//! Receivers run on the main runtime; queries have one of their own, and so have the background passes: neither can keep an
//! acknowledgement waiting.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use catalog::{Env, ErrorKind};
use compat::prometheus::Api;
use futures::future::OptionFuture;
use ingest::convert::loki::PushConverter;
use ingest::convert::metrics::MetricsConverter;
use ingest::convert::prometheus::RemoteWriteConverter;
use ingest::convert::{LogRules, SeenIds};
use ingest::receive::Admission;
use ingest::receive::elastic::ElasticState;
use ingest::receive::loki::LokiState;
use ingest::receive::otlp::{Converters, OtlpState};
use ingest::receive::prometheus::PrometheusState;
use ingest::registry::SeriesRegistry;
use ingest::{GeneratingSink, Generator, Ingester, NodeRows, RowSink, follow_deletes};
use lake::FreshRows;
use query::logql::LogqlEngine;
use query::promql::PromqlEngine;
use query::traceql::TraceqlEngine;
use query::usage::{QueryLog, QueuedRows};
use query::{Engine, Threads};
use sql::SqlEngine;
use sql::postgres::Postgres;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::administration::NodeAdministration;
use crate::config::Config;
use crate::dialect::Dialect;
use crate::failure::{Failure, chain};
use crate::listen::{self, Bound};
use crate::opened::{self, FolderLock, Opened};
use crate::passes::Passes;
use crate::query_log;
use crate::routes::{self, Parts};
use crate::self_telemetry::{self, OwnRows};
use crate::telemetry::Status;
use crate::tenancy::Gate;
use crate::tls::Tls;
use crate::{administration, allocator, background, environment};

/// The last flush may take that long; what it does not reach is in the log and comes back at the next start.
const FLUSH_MAX: Duration = Duration::from_secs(60);

/// The threads beside those that receive.
#[derive(Debug, Clone)]
pub(crate) struct Runtimes {
    /// Run queries.
    pub(crate) queries: Threads,
    /// Runs the background passes.
    pub(crate) background: Handle,
}

/// Runs a node until it is told to stop.
///
/// # Errors
/// What refused the start, or what ended the node early.
pub(crate) async fn run(config: Config, runtimes: Runtimes, own_rows: Option<OwnRows>) -> Result<(), Failure> {
    let status = Status::install()?;
    // From here on a signal ends the node in order, also one that comes right behind `ready`.
    let mut signals = Signals::install()?;
    let _lock = FolderLock::take(&config.data)?;
    // The sockets first: a taken port should not wait for the replay of a long log.
    let tls = Tls::open(&config.tls)?;
    let bound = listen::bind_all(&config).await?;
    let stop = CancellationToken::new();
    let mut node = tokio::select! {
        node = Node::open(&config, Arc::clone(&status), &runtimes, &stop) => node?,
        () = signals.next() => return Ok(()),
    };
    let mut loops = background::start(&node.parts.passes, &config.background, &node.opened.env, &runtimes.background, &stop);
    loops.spawn(Arc::clone(&status).upkeep());
    loops.spawn_on(allocator::upkeep(stop.clone()), &runtimes.background);
    loops.spawn(follow_deletes(Arc::clone(&node.opened.catalog), Arc::clone(&node.series), node.streams()));
    if let Some(generator) = &node.generator {
        let writing =
            background::generate(Arc::clone(generator), Arc::clone(&node.ingester), node.opened.env.clone(), stop.clone());
        loops.spawn_on(writing, &runtimes.background);
    }
    let answered = CancellationToken::new();
    let logging = node.queries.take().map(|queries| {
        let sink = Arc::clone(&node.ingester) as _;
        runtimes.background.spawn(query_log::write(queries, sink, answered.clone()))
    });
    if let Some(rows) = own_rows {
        loops.spawn(self_telemetry::write(rows, node.parts.otlp.clone()));
    }
    if let Some(tls) = &tls {
        loops.spawn(Arc::clone(tls).follow(stop.clone()));
    }
    let mut listeners = serve_all(bound, &node.parts, tls.as_ref(), &config, &stop)?;
    status.set_ready();
    announce("ready")?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), data = %config.data.display(), store = %config.store.url, "ready");

    let ended = tokio::select! {
        () = signals.next() => Ok(()),
        error = node.ingester.failed() => Err(Failure::failed(format!("the node cannot commit any more and stops: {}", chain(&error)))),
    };
    status.set_stopping();
    stop.cancel();
    tracing::info!("stopping: open requests finish, then buffers are flushed");
    let drained = async { while listeners.join_next().await.is_some() {} };
    tokio::select! {
        () = drained => {}
        () = signals.next() => tracing::warn!("told to stop twice: open requests are cut off"),
    }
    loops.shutdown().await;
    answered.cancel();
    if let Some(Err(error)) = OptionFuture::from(logging).await {
        tracing::error!(%error, "the query log could not be written for the last time");
    }
    ended?;
    node.write_generated().await;
    node.flush().await
}

/// The parts of a running node.
struct Node {
    opened: Opened,
    ingester: Arc<Ingester>,
    /// Counts spans, if that is switched on.
    generator: Option<Arc<Generator>>,
    series: Arc<SeriesRegistry>,
    /// What is asked, if that is noted; taken by who writes it.
    queries: Option<QueuedRows>,
    parts: Parts,
}

impl Node {
    async fn open(config: &Config, status: Arc<Status>, runtimes: &Runtimes, stop: &CancellationToken) -> Result<Self, Failure> {
        let env = environment::system();
        let started = env.now();
        let opened = opened::open(config, env).await?;
        let mut ingest = config.ingest.clone();
        ingest.wal.dir = Some(opened::wal_dir(config));
        let ingester = Ingester::open(ingest, Arc::clone(&opened.lake) as _, opened.env.clone()).await.map_err(refused)?;
        let flushing = Arc::downgrade(&ingester);
        status.watch(Box::new(move || Some(flushing.upgrade()?.rejected()?.to_string())));
        // One registry, whatever protocol a series comes by: its id is the same.
        let series = SeriesRegistry::new(config.series.clone());
        let generator = generator(config, &ingester, &series, &opened.env);
        let sink: Arc<dyn RowSink> = match &generator {
            Some(generator) => GeneratingSink::new(Arc::clone(&ingester) as _, Arc::clone(generator), opened.env.clone()),
            None => Arc::clone(&ingester) as _,
        };
        let prometheus = receivers(config, sink, Arc::clone(&series), &opened.env)?;
        let streams = Arc::clone(prometheus.otlp().convert.resources.seen());
        let fresh: Arc<dyn FreshRows> = Arc::new(NodeRows::new(Arc::clone(&ingester), Arc::clone(&series), streams));
        let engine = Engine::new(Arc::clone(&opened.lake), fresh, opened.env.clone(), config.query.clone())
            .map_err(|e| Failure::surroundings(chain(&e)))?;
        let queries = config.query.log.then(|| {
            let (log, queries) = QueryLog::new(opened.env.clone());
            engine.log_queries(log);
            queries
        });
        let promql = PromqlEngine::new(Arc::clone(&engine), config.promql.clone(), runtimes.queries.clone())
            .map_err(|e| Failure::usage(chain(&e)))?;
        let logql = LogqlEngine::new(Arc::clone(&engine), config.logql.clone(), runtimes.queries.clone())
            .map_err(|e| Failure::usage(chain(&e)))?;
        let traceql = TraceqlEngine::new(Arc::clone(&engine), config.traceql.clone(), runtimes.queries.clone())
            .map_err(|e| Failure::usage(chain(&e)))?;
        let sql = SqlEngine::new(engine, config.sql.clone(), runtimes.queries.clone()).map_err(|e| Failure::usage(chain(&e)))?;
        let loki = loki(config, &prometheus, &opened.env);
        let passes = Arc::new(Passes::new(opened.clone(), Arc::clone(&ingester), config));
        let administration =
            Arc::new(NodeAdministration::new(Arc::clone(&passes), Arc::clone(&status) as _, runtimes.background.clone()));
        let facts = administration::facts(config, started);
        let parts = Parts {
            gate: Arc::new(Gate::new(&config.tenancy, &config.auth, key(&opened.env))),
            status,
            passes,
            otlp: prometheus.otlp().clone(),
            elastic: ElasticState::new(loki.clone(), opened.env.clone()),
            loki,
            prometheus,
            api: Api::new(promql, administration, opened.env.clone(), facts, config.prometheus.clone()),
            loki_api: compat::loki::Api::new(logql, opened.env.clone(), administration::loki_facts(config), stop.clone()),
            tempo_api: compat::tempo::Api::new(Arc::clone(&traceql), opened.env.clone(), env!("CARGO_PKG_VERSION")),
            jaeger_api: compat::jaeger::Api::new(Arc::clone(&traceql), opened.env.clone()),
            zipkin_api: compat::zipkin::Api::new(traceql, opened.env.clone()),
            sql,
            flight_key: key(&opened.env),
            background: runtimes.background.clone(),
            traced: config.log.self_telemetry,
        };
        Ok(Self { opened, ingester, generator, series, queries, parts })
    }

    /// What its receivers remember of stored streams.
    fn streams(&self) -> Arc<SeenIds> {
        Arc::clone(self.parts.otlp.convert.resources.seen())
    }

    /// The last values of what was counted from spans: nothing counts any more.
    async fn write_generated(&self) {
        let Some(generator) = &self.generator else { return };
        if let Err(error) = generator.write(&*self.ingester, self.opened.env.now()).await {
            tracing::warn!(%error, "metrics of spans could not be written for the last time");
        }
    }

    /// The last flush. Running out of time loses nothing: the log has the rows.
    async fn flush(&self) -> Result<(), Failure> {
        match tokio::time::timeout(FLUSH_MAX, self.ingester.shutdown()).await {
            Ok(Ok(())) => tracing::info!("stopped: everything is in files"),
            Ok(Err(error)) => return Err(Failure::failed(format!("stopped without the last flush: {}", chain(&error)))),
            Err(_) => tracing::warn!(
                flush_max_s = FLUSH_MAX.as_secs(),
                "stopped before the flush was done; the next start replays the log"
            ),
        }
        Ok(())
    }
}

/// What counts spans, if it is switched on. The log's writer is the node: it is the same after a restart, and another on every node.
fn generator(config: &Config, ingester: &Ingester, series: &Arc<SeriesRegistry>, env: &Env) -> Option<Arc<Generator>> {
    let (instance, seed) = (ingester.writer().to_string(), env.entropy.next_u64());
    let new = || Generator::new(config.generator.clone(), Arc::clone(series), &instance, seed, env.now());
    config.generator.enabled.then(new)
}

/// A key that nobody else has and that ends with the process.
fn key(env: &Env) -> [u8; 32] {
    let mut key = [0; 32];
    for bytes in key.chunks_exact_mut(8) {
        bytes.copy_from_slice(&env.entropy.next_u64().to_le_bytes());
    }
    key
}

/// What the receivers of OTLP and remote write share.
fn receivers(
    config: &Config,
    sink: Arc<dyn RowSink>,
    series: Arc<SeriesRegistry>,
    env: &Env,
) -> Result<PrometheusState, Failure> {
    let rules = LogRules::new(&config.loki).map_err(|e| Failure::usage(chain(&e)))?;
    let limits = Arc::new(config.receive.clone());
    let metrics = MetricsConverter::new(config.otlp_metrics.clone(), Arc::clone(&series), env.clone());
    let convert = Converters::new(&limits, env, metrics, rules);
    let otlp = OtlpState::new(sink, limits, convert, Admission::new(config.receive.in_flight_bytes_max));
    Ok(PrometheusState::new(otlp, RemoteWriteConverter::new(config.remote_write.clone(), series, env.clone())))
}

/// The receiver of pushed log lines, which shares with those.
fn loki(config: &Config, others: &PrometheusState, env: &Env) -> LokiState {
    let otlp = others.otlp();
    let push = PushConverter::new(config.loki.clone(), env.clone(), Arc::clone(&otlp.convert.resources));
    LokiState::new(otlp.clone(), push)
}

/// Prints where everybody listens and starts to serve.
fn serve_all(
    bound: Vec<Bound>,
    parts: &Parts,
    tls: Option<&Arc<Tls>>,
    config: &Config,
    stop: &CancellationToken,
) -> Result<JoinSet<()>, Failure> {
    let mut listeners = JoinSet::new();
    for listener in bound {
        let tls = tls.map(|tls| tls.server(listener.dialect)).transpose()?;
        announce(&format!("listening {} {}", listener.dialect, listener.address))?;
        if listener.dialect == Dialect::Postgres {
            let postgres = Postgres::new(Arc::clone(&parts.sql), Arc::clone(&parts.gate) as _, tls);
            listeners.spawn(listen::serve_postgres(listener, postgres, config.node.clone(), stop.clone()));
            continue;
        }
        let router = routes::of(listener.dialect, parts);
        listeners.spawn(listen::serve(listener, router, tls, config.node.clone(), stop.clone()));
    }
    Ok(listeners)
}

/// One line on standard output, at once: whoever started the node may wait for it.
fn announce(line: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|e| Failure::failed(format!("cannot write to standard output: {e}")))
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn install() -> Result<Self, Failure> {
        let failed = |e: std::io::Error| Failure::failed(format!("cannot handle signals: {e}"));
        let terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        Ok(Self { terminate, interrupt })
    }

    /// Waits for the next one.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn refused(error: ingest::Error) -> Failure {
    match error.kind() {
        ErrorKind::Invalid => Failure::usage(chain(&error)),
        _ => Failure::surroundings(chain(&error)),
    }
}
