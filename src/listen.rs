//! Sockets: bind, serve HTTP/1.1 and HTTP/2 on the same port, in TLS or not, or Postgres' protocol on its own, drain.
//!
//! ```text
//! bind all (a taken port ends the start) ─► accept ≤ connections_max ─► [TLS] ─► hyper ─► router
//!                                                                  └──► sql::postgres ─► [TLS]
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
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, NodeConfig};
use crate::dialect::{Dialect, ListenAddr};
use crate::failure::Failure;

/// A client must have sent its request head by then.
const HEADER_READ_MAX: Duration = Duration::from_secs(10);
/// Bytes of the request head.
const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Unanswered for that long, an idle HTTP/2 connection is asked whether it is still there.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(60);

/// What is said to a client that speaks HTTP without TLS where TLS is on.
const PLAIN_HTTP: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: 47\r\n\r\n\
    this port speaks TLS only: use https:// for it\n";

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
pub(crate) async fn bind_all(config: &Config) -> Result<Vec<Bound>, Failure> {
    let Config { listen, auth, tls, .. } = config;
    let with_tokens = !auth.tokens.is_empty() || listen.insecure;
    // A password of Postgres crosses the network as it is, unless it is encrypted or proved, and clients send it without a second thought.
    let passwords_safe = tls.is_on() || !auth.tokens_travel() || listen.insecure;
    let mut bound = Vec::new();
    for dialect in Dialect::ALL {
        if let ListenAddr::On(address) = listen.of(dialect) {
            let open = with_tokens && (dialect != Dialect::Postgres || passwords_safe);
            bound.push(bind(dialect, address, open, with_tokens).await?);
        }
    }
    Ok(bound)
}

/// Binds one listener; `open`: on any address.
async fn bind(dialect: Dialect, address: &str, open: bool, with_tokens: bool) -> Result<Bound, Failure> {
    let resolved = tokio::net::lookup_host(address)
        .await
        .map_err(|e| Failure::surroundings(format!("cannot resolve the address {address} of {dialect}: {e}")))?;
    let addresses: Vec<SocketAddr> = resolved.collect();
    if let Some(public) = addresses.iter().find(|a| !a.ip().is_loopback())
        && !open
    {
        if with_tokens {
            return Err(Failure::usage(format!(
                "{dialect} would listen on {public}, where its passwords, which are tokens, can be read on their way; set tls.certificate and \
                 tls.key, give every token a verifier (`telelake token --user NAME`), listen on 127.0.0.1, or accept it with --insecure"
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

/// Serves `router` on `bound`, in TLS if there is a certificate, until `stop`, then until the open requests are done or `drain_max` is over.
pub(crate) async fn serve(
    bound: Bound,
    router: Router,
    tls: Option<Arc<ServerConfig>>,
    config: NodeConfig,
    stop: CancellationToken,
) {
    let tls = tls.map(TlsAcceptor::from);
    let Bound { dialect, listener, .. } = bound;
    let router = router.layer(middleware::from_fn(survive_panics));
    let builder = Arc::new(builder(&config));
    let connections = Arc::new(Semaphore::new(config.connections_max));
    let graceful = GracefulShutdown::new();
    let opened = metrics::counter!("telelake_http_connections_total", "dialect" => dialect.name());
    while let Some((permit, stream)) = accept(dialect, &listener, &connections, &stop).await {
        opened.increment(1);
        // Answers are written whole; waiting for more to send with them only adds latency.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let (builder, router, watcher) = (Arc::clone(&builder), router.clone(), graceful.watcher());
        let (tls, stop) = (tls.clone(), stop.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let ended = match tls {
                None => watcher.watch(connection(&builder, stream, router)).await,
                Some(tls) => match encrypted(&tls, stream, &stop).await {
                    Ok(Some(stream)) => watcher.watch(connection(&builder, stream, router)).await,
                    Ok(None) => Ok(()),
                    Err(error) => Err(error.into()),
                },
            };
            if let Err(error) = ended {
                tracing::debug!(%dialect, error = %error, "connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(config.drain_max, graceful.shutdown()).await.is_err() {
        tracing::warn!(%dialect, drain_max_s = config.drain_max.as_secs(), "requests still open after the drain time are cut off");
    }
}

/// Does the handshake of TLS; `None`: the client speaks something else, or it is time to stop.
async fn encrypted(
    tls: &TlsAcceptor,
    mut stream: TcpStream,
    stop: &CancellationToken,
) -> std::io::Result<Option<TlsStream<TcpStream>>> {
    let handshake = async {
        let mut first = [0];
        // What HTTP begins with says more to its client than an alert that it cannot read.
        if stream.peek(&mut first).await? == 1 && first[0].is_ascii_alphabetic() {
            stream.write_all(PLAIN_HTTP).await?;
            return Ok(None);
        }
        tls.accept(stream).await.map(Some)
    };
    tokio::select! {
        done = tokio::time::timeout(HEADER_READ_MAX, handshake) => done.unwrap_or(Ok(None)),
        () = stop.cancelled() => Ok(None),
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

fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    builder: &auto::Builder<TokioExecutor>,
    stream: S,
    router: Router,
) -> auto::UpgradeableConnection<'static, TokioIo<S>, TowerToHyperService<Router>, TokioExecutor> {
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
