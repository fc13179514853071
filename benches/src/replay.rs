//! Sends a corpus over a few keep-alive connections, one request in flight on each.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use crate::corpus::Corpus;

/// Sends every request once; the answer times in milliseconds, unordered.
pub(crate) async fn replay(corpus: &Corpus, to: SocketAddr, connections: usize) -> Result<Vec<f64>> {
    let next = Rc::new(Cell::new(0));
    let requests = Rc::new(corpus.requests.clone());
    let local = LocalSet::new();
    let mut workers = Vec::new();
    for _ in 0..connections {
        let (next, requests) = (Rc::clone(&next), Rc::clone(&requests));
        workers.push(local.spawn_local(async move {
            let mut sender = connect(to).await?;
            let mut times_ms = Vec::new();
            while let Some(request) = requests.get(next.replace(next.get() + 1)) {
                let started = Instant::now();
                let message = Request::post(request.path)
                    .header(header::HOST, to.to_string())
                    .header(header::CONTENT_TYPE, "application/x-protobuf")
                    .body(Full::new(request.body.clone()))?;
                send(&mut sender, message).await?;
                times_ms.push(started.elapsed().as_secs_f64() * 1e3);
            }
            anyhow::Ok(times_ms)
        }));
    }
    local
        .run_until(async move {
            let mut all = Vec::new();
            for worker in workers {
                all.extend(worker.await??);
            }
            Ok(all)
        })
        .await
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
        .body(Full::new(Bytes::from_static(b"select sum(bytes) from system.files")))?;
    let body = send(&mut sender, message).await?;
    let text = std::str::from_utf8(&body)?;
    text.lines().nth(1).and_then(|n| n.trim().parse().ok()).with_context(|| format!("no number in {text:?}"))
}

async fn connect(to: SocketAddr) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(to).await?;
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
    ensure!(status == StatusCode::OK, "the server answered {status}: {}", String::from_utf8_lossy(&body));
    Ok(body)
}
