//! Sockets: bind, serve HTTP/1.1 and HTTP/2 without TLS on the same port, or Postgres' protocol on its own, drain.
//!
//! ```text
//! bind all (a taken port ends the start) ─► accept ≤ connections_max ─► hyper ─► router
//!                                                                  └──► sql::postgres
//! stop: no more accepts ─► open connections finish what they have ─► after drain_max they are cut off
//! ```

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use sql::postgres::Postgres;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{ListenConfig, NodeConfig};
use crate::dialect::{Dialect, ListenAddr};
use crate::failure::Failure;

/// A client must have sent its request head by then.
const HEADER_READ_MAX: Duration = Duration::from_secs(10);
/// Bytes of the request head.
const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Unanswered for that long, an idle HTTP/2 connection is asked whether it is still there.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(60);

/// A socket that listens for one dialect.
#[derive(Debug)]
pub(crate) struct Bound {
    /// The dialect.
    pub(crate) dialect: Dialect,
    /// The address in use, its port known.
    pub(crate) address: SocketAddr,
    listener: TcpListener,
}

/// Binds the listeners of `config` that are on, in the order of [`Dialect::ALL`].
///
/// # Errors
/// A taken port, a name that does not resolve, an address other than loopback without tokens or `insecure`: named, with what to do.
pub(crate) async fn bind_all(config: &ListenConfig, with_tokens: bool) -> Result<Vec<Bound>, Failure> {
    let mut bound = Vec::new();
    for dialect in Dialect::ALL {
        if let ListenAddr::On(address) = config.of(dialect) {
            bound.push(bind(dialect, address, with_tokens || config.insecure, config.insecure).await?);
        }
    }
    Ok(bound)
}

async fn bind(dialect: Dialect, address: &str, open: bool, insecure: bool) -> Result<Bound, Failure> {
    // A password of Postgres crosses the network as it is, and clients send it there without a second thought.
    let open = open && (dialect != Dialect::Postgres || insecure);
    let resolved = tokio::net::lookup_host(address)
        .await
        .map_err(|e| Failure::surroundings(format!("cannot resolve the address {address} of {dialect}: {e}")))?;
    let addresses: Vec<SocketAddr> = resolved.collect();
    if let Some(public) = addresses.iter().find(|a| !a.ip().is_loopback())
        && !open
    {
        if dialect == Dialect::Postgres {
            return Err(Failure::usage(format!(
                "{dialect} would listen on {public}, where its passwords, which are tokens, can be read on their way; listen on 127.0.0.1 \
                 behind something that speaks TLS, or accept it with --insecure"
            )));
        }
        return Err(Failure::usage(format!(
            "{dialect} would listen on {public} for everybody without asking for a token; \
             listen on 127.0.0.1, configure [[auth.tokens]], or accept it with --insecure"
        )));
    }
    let failed = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::AddrInUse => Failure::surroundings(format!(
            "port of {dialect} is taken: {address} is in use by another process; \
             move it with --{dialect}-addr HOST:PORT or switch it off with --{dialect}-addr off"
        )),
        _ => Failure::surroundings(format!("cannot listen on {address} for {dialect}: {e}")),
    };
    let listener = TcpListener::bind(addresses.as_slice()).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Bound { dialect, address, listener })
}

/// Serves `router` on `bound` until `stop`, then until the open requests are done or `drain_max` is over.
pub(crate) async fn serve(bound: Bound, router: Router, config: NodeConfig, stop: CancellationToken) {
    let Bound { dialect, listener, .. } = bound;
    let router = router.layer(middleware::from_fn(survive_panics));
    let builder = builder(&config);
    let connections = Arc::new(Semaphore::new(config.connections_max));
    let graceful = GracefulShutdown::new();
    let opened = metrics::counter!("telelake_http_connections_total", "dialect" => dialect.name());
    while let Some((permit, stream)) = accept(dialect, &listener, &connections, &stop).await {
        opened.increment(1);
        let connection = connection(&builder, stream, router.clone());
        let watched = graceful.watch(connection);
        tokio::spawn(async move {
            let _permit = permit;
            if let Err(error) = watched.await {
                tracing::debug!(%dialect, error = %error, "connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(config.drain_max, graceful.shutdown()).await.is_err() {
        tracing::warn!(%dialect, drain_max_s = config.drain_max.as_secs(), "requests still open after the drain time are cut off");
    }
}

/// The next connection and its permit; `None` when it is time to stop.
async fn accept(
    dialect: Dialect,
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<(OwnedSemaphorePermit, TcpStream)> {
    loop {
        let accept = async {
            let permit = Arc::clone(connections).acquire_owned().await.expect("the semaphore is never closed");
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = stop.cancelled() => return None,
            accepted = accept => accepted,
        };
        match accepted {
            Ok((stream, _)) => return Some((permit, stream)),
            Err(error) => {
                // Out of file handles, most likely: pause instead of spinning, others may close theirs.
                tracing::warn!(%dialect, %error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Serves Postgres' protocol on `bound` until `stop`, then until the statements that run are done or `drain_max` is over.
pub(crate) async fn serve_postgres(bound: Bound, postgres: Arc<Postgres>, config: NodeConfig, stop: CancellationToken) {
    let Bound { dialect, listener, .. } = bound;
    let connections = Arc::new(Semaphore::new(config.connections_max));
    let mut sessions = JoinSet::new();
    while let Some((permit, stream)) = accept(dialect, &listener, &connections, &stop).await {
        while sessions.try_join_next().is_some() {}
        let served = Arc::clone(&postgres).serve(stream, stop.clone());
        sessions.spawn(async move {
            let _permit = permit;
            if let Err(error) = served.await {
                tracing::debug!(%dialect, error = %error, "connection ended early");
            }
        });
    }
    drop(listener);
    let ended = async { while sessions.join_next().await.is_some() {} };
    if tokio::time::timeout(config.drain_max, ended).await.is_err() {
        tracing::warn!(%dialect, drain_max_s = config.drain_max.as_secs(), "statements still running after the drain time are cut off");
    }
}

fn builder(config: &NodeConfig) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_READ_MAX).max_buf_size(HEADER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.streams_per_connection_max)
        .max_header_list_size(HEADER_BYTES_MAX as u32)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .keep_alive_interval(KEEP_ALIVE_EVERY)
        .keep_alive_timeout(HEADER_READ_MAX);
    builder
}

fn connection(
    builder: &auto::Builder<TokioExecutor>,
    stream: TcpStream,
    router: Router,
) -> auto::UpgradeableConnection<'static, TokioIo<TcpStream>, TowerToHyperService<Router>, TokioExecutor> {
    // Answers are written whole; waiting for more to send with them only adds latency.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(router)).into_owned()
}

/// Answers 500 when a handler panics: one bad request must not take its connection, or the node, with it.
async fn survive_panics(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            metrics::counter!("telelake_http_panics_total").increment(1);
            tracing::error!(%path, "a request handler panicked; this is a bug");
            compat::status::error(catalog::ErrorKind::Internal, "internal error").into_response()
        }
    }
}
