//! Sends a corpus over a few keep-alive connections, one request in flight on each.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use crate::corpus::Corpus;

/// What a replay took.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Replayed {
    /// As the corpus counts them.
    pub(crate) items: u64,
    pub(crate) requests: usize,
    pub(crate) request_bytes: u64,
    pub(crate) seconds: f64,
    pub(crate) items_per_second: f64,
    /// From the first byte of a request to the last of its answer.
    pub(crate) ack_ms_p50: f64,
    pub(crate) ack_ms_p99: f64,
    pub(crate) ack_ms_max: f64,
}

/// Sends every request once. A request that is not answered with 2xx ends the replay.
pub(crate) async fn replay(corpus: Corpus, to: SocketAddr, connections: usize) -> Result<Replayed> {
    corpus.check_connections(connections)?;
    let corpus = Rc::new(corpus);
    let local = LocalSet::new();
    let started = Instant::now();
    let workers: Vec<_> =
        (0..connections).map(|lane| local.spawn_local(lane_of(Rc::clone(&corpus), to, lane, connections))).collect();
    let mut ack_ms = Vec::new();
    local
        .run_until(async {
            for worker in workers {
                ack_ms.extend(worker.await??);
            }
            anyhow::Ok(())
        })
        .await?;
    let seconds = started.elapsed().as_secs_f64();
    ack_ms.sort_by(f64::total_cmp);
    let quantile = |q: f64| ack_ms[((ack_ms.len() - 1) as f64 * q) as usize];
    Ok(Replayed {
        items: corpus.items,
        requests: corpus.requests.len(),
        request_bytes: corpus.requests.iter().map(|r| u64::from(r.length)).sum(),
        seconds,
        items_per_second: corpus.items as f64 / seconds,
        ack_ms_p50: quantile(0.5),
        ack_ms_p99: quantile(0.99),
        ack_ms_max: quantile(1.0),
    })
}

/// Every `connections`th request from number `lane` on; the answer times in milliseconds.
async fn lane_of(corpus: Rc<Corpus>, to: SocketAddr, lane: usize, connections: usize) -> Result<Vec<f64>> {
    let mut sender = connect(to).await?;
    let mut times_ms = Vec::new();
    for request in corpus.requests.iter().skip(lane).step_by(connections) {
        let mut message = Request::post(request.kind.path()).header(header::HOST, to.to_string());
        for (name, value) in request.kind.headers() {
            message = message.header(*name, *value);
        }
        let message = message.body(Full::new(corpus.body(request)?))?;
        // A server may close a connection that has been open for long, between two requests; VictoriaMetrics does after two minutes.
        if sender.ready().await.is_err() {
            sender = connect(to).await?;
        }
        let started = Instant::now();
        send(&mut sender, message).await?;
        times_ms.push(started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times_ms)
}

/// POST without a body to one of the node's own routes.
pub(crate) async fn post(to: SocketAddr, path: &str) -> Result<Bytes> {
    let mut sender = connect(to).await?;
    send(&mut sender, Request::post(path).header(header::HOST, to.to_string()).body(Full::new(Bytes::new()))?).await
}

/// Bytes of all live files, as the node's own catalog has them.
pub(crate) async fn live_bytes(to: SocketAddr) -> Result<u64> {
    let mut sender = connect(to).await?;
    let message = Request::post("/api/v1/sql?format=csv")
        .header(header::HOST, to.to_string())
        .header(header::CONTENT_TYPE, "application/sql")
        .body(Full::new(Bytes::from_static(b"select sum(bytes) from system.files where \"table\" <> 'query_log'")))?;
    let body = send(&mut sender, message).await?;
    let text = std::str::from_utf8(&body)?;
    text.lines().nth(1).and_then(|n| n.trim().parse().ok()).with_context(|| format!("no number in {text:?}"))
}

async fn connect(to: SocketAddr) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(to).await.with_context(|| format!("connecting to {to}"))?;
    stream.set_nodelay(true)?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn send(sender: &mut SendRequest<Full<Bytes>>, message: Request<Full<Bytes>>) -> Result<Bytes> {
    sender.ready().await?;
    let answer = sender.send_request(message).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    ensure!(status.is_success(), "the server answered {status}: {}", String::from_utf8_lossy(&body));
    Ok(body)
}
