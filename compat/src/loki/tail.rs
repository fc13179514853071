//! `/loki/api/v1/tail`: lines as they come in, over a websocket.
//!
//! ```text
//! engine's Tail ─Tailed─► [split] frames of at most 100 entries ─► one frame at a time ─► client
//!  (bounded, says what it                                            pings, once a second ─►
//!   had to leave out)                                                ◄─ close: the end
//! ```
//! Source: `TailHandler` of Loki `pkg/querier/http.go`, `pkg/querier/tail/tail.go`, `EncodeTailResult` of `pkg/util/marshal/query.go`.
//!
//! # Invariants
//! - What is wrong with the request is said before the upgrade, in plain text.
//! - Here is one frame at most: when the client does not read, the engine's tail fills up, and says what it left out.
//! - A client that takes nothing for [`SEND_MAX`] is let go of.

use std::io::Write;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use std::vec::IntoIter;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocketUpgrade, close_code};
use axum::response::Response;
use catalog::TenantId;
use futures::{Sink, SinkExt, Stream as Following, StreamExt, stream};
use query::logql::{Direction, Entry, Error, Labels, Stream, TailQuery, Tailed};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::encoding::{CATEGORIZE, Encoding, folded, sorted};
use super::error::ApiError;
use super::params::Params;
use super::result::{write_set, write_streams};
use super::{Api, legacy};

/// Entries of a frame, as Loki has it.
const FRAME_ENTRIES_MAX: usize = 100;
/// Bytes of lines after which a frame takes no further entry: many clients refuse messages of more than a megabyte.
const FRAME_BYTES: usize = 256 << 10;
/// How often the client is asked whether it is there.
const PING_PERIOD: Duration = Duration::from_secs(1);
/// How long a client may take for one frame.
const SEND_MAX: Duration = Duration::from_secs(60);
/// Bytes of a message from a client, none of which has anything to say.
const CLIENT_BYTES_MAX: usize = 64 << 10;
/// Why a tail ends that nobody ended.
const STOPS: &str = "the node stops";
/// Bytes of a reason in a closing frame: the protocol's limit.
const REASON_BYTES_MAX: usize = 123;

/// How frames are written.
#[derive(Debug, Clone, Copy)]
enum Shape {
    V1(Encoding),
    Legacy,
}

/// `/loki/api/v1/tail`
pub(super) async fn tail(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    encoding: Encoding,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    params: Params,
) -> Result<Response, ApiError> {
    follow(&api, &tenant, upgrade, &params, Shape::V1(encoding)).await
}

/// `/api/prom/tail`
pub(super) async fn legacy(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    params: Params,
) -> Result<Response, ApiError> {
    follow(&api, &tenant, upgrade, &params, Shape::Legacy).await
}

async fn follow(
    api: &Api,
    tenant: &TenantId,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    params: &Params,
    shape: Shape,
) -> Result<Response, ApiError> {
    let query = tail_query(params, api.now_ns())?;
    let upgrade = upgrade.map_err(|rejection| ApiError::bad_request(rejection.to_string()))?;
    let tail = api.engine.tail(tenant, query).await.map_err(ApiError::of_engine)?;
    // The stream keeps what `next` has begun, however often nobody waits for it.
    let entries = stream::unfold(tail, |mut tail| async move { tail.next().await.map(|tailed| (tailed, tail)) });
    let stop = api.stop.clone();
    Ok(upgrade.max_message_size(CLIENT_BYTES_MAX).on_upgrade(move |socket| run(socket, entries, shape, stop)))
}

fn tail_query(params: &Params, now_ns: i64) -> Result<TailQuery, ApiError> {
    logql::parse::parse(params.query())?;
    Ok(TailQuery {
        text: params.query_with_regexp()?,
        limit: params.limit()?,
        start_ns: params.bounds(now_ns)?.start_ns,
        delay: Duration::from_secs(params.tail_delay_s()?),
    })
}

/// Sends what is followed until it ends, the client goes, or the node stops.
async fn run<S, E>(socket: S, entries: impl Following<Item = Result<Tailed, Error>>, shape: Shape, stop: CancellationToken)
where
    S: Following<Item = Result<Message, E>> + Sink<Message>,
{
    let (mut out, mut incoming) = socket.split();
    let mut entries = pin!(entries);
    let mut frames = Frames::default();
    let mut pings = interval(PING_PERIOD);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            biased;
            () = stop.cancelled() => return close(out, close_code::AWAY, STOPS).await,
            from_client = incoming.next() => match from_client {
                None | Some(Err(_)) => return,
                // Closing our side answers a close and ends the connection.
                Some(Ok(Message::Close(_))) => return drop(timeout(SEND_MAX, out.close()).await),
                // Pings are answered below us, and nobody has anything else to say.
                Some(Ok(_)) => continue,
            },
            _ = pings.tick() => Message::Ping(Default::default()),
            frame = next_frame(&mut frames, entries.as_mut()) => match frame {
                Some(Ok(tailed)) => Message::text(text(tailed, shape)),
                Some(Err(error)) => return close(out, close_code::ERROR, &error.to_string()).await,
                None => return close(out, close_code::AWAY, STOPS).await,
            },
        };
        match timeout(SEND_MAX, out.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => return tracing::debug!(send_max_s = SEND_MAX.as_secs(), "a tail's client took nothing; let go of it"),
        }
    }
}

/// The next frame of what is being split, or else of what comes next.
async fn next_frame(
    frames: &mut Frames,
    mut entries: std::pin::Pin<&mut impl Following<Item = Result<Tailed, Error>>>,
) -> Option<Result<Tailed, Error>> {
    loop {
        if let Some(frame) = frames.next() {
            return Some(Ok(frame));
        }
        match entries.next().await? {
            Ok(tailed) => *frames = Frames::of(tailed),
            Err(error) => return Some(Err(error)),
        }
    }
}

/// Says why there is no more and closes.
async fn close(mut out: impl Sink<Message> + Unpin, code: u16, reason: &str) {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let frame = CloseFrame { code, reason: reason[..end].into() };
    // Whoever does not take it is gone.
    let _ = timeout(SEND_MAX, out.send(Message::Close(Some(frame)))).await;
}

/// What is left of a [`Tailed`], frame by frame.
#[derive(Default)]
struct Frames {
    streams: IntoIter<Stream>,
    /// The stream that the last frame was filled up in.
    rest: Option<(Labels, IntoIter<Entry>)>,
    dropped: Vec<(Labels, i64)>,
}

impl Frames {
    fn of(tailed: Tailed) -> Self {
        Self { streams: tailed.streams.into_iter(), rest: None, dropped: tailed.dropped }
    }
}

impl Iterator for Frames {
    type Item = Tailed;

    /// At most [`FRAME_ENTRIES_MAX`] entries; what was left out is told with the first of them.
    fn next(&mut self) -> Option<Tailed> {
        let mut frame = Tailed { streams: Vec::new(), dropped: std::mem::take(&mut self.dropped) };
        let (mut count, mut bytes) = (0, 0);
        while count < FRAME_ENTRIES_MAX && bytes < FRAME_BYTES {
            let rest = self.rest.take().or_else(|| self.streams.next().map(|s| (s.labels, s.entries.into_iter())));
            let Some((labels, mut entries)) = rest else { break };
            let mut taken = Vec::new();
            while count < FRAME_ENTRIES_MAX
                && bytes < FRAME_BYTES
                && let Some(entry) = entries.next()
            {
                count += 1;
                bytes += entry.line.len();
                taken.push(entry);
            }
            if entries.len() > 0 {
                self.rest = Some((labels.clone(), entries));
            }
            if !taken.is_empty() {
                frame.streams.push(Stream { labels, entries: taken });
            }
        }
        (frame != Tailed::default()).then_some(frame)
    }
}

fn text(tailed: Tailed, shape: Shape) -> String {
    let mut out = Vec::new();
    match shape {
        Shape::V1(encoding) => write_frame(&mut out, tailed, encoding),
        Shape::Legacy => legacy::write_frame(&mut out, tailed),
    }
    String::from_utf8(out).expect("texts are written as they are, and what is between them is ASCII")
}

/// `{"streams":[..],"dropped_entries":[{"timestamp":"ns","labels":{..}},..]}`
fn write_frame(out: &mut Vec<u8>, tailed: Tailed, encoding: Encoding) {
    let streams = match encoding {
        Encoding::Plain => folded(tailed.streams, Direction::Forward),
        Encoding::Categorized => sorted(tailed.streams),
    };
    out.extend_from_slice(br#"{"streams":"#);
    write_streams(out, streams, encoding);
    for (at, (labels, ts_ns)) in tailed.dropped.iter().enumerate() {
        let open = if at == 0 { ",\"dropped_entries\":[" } else { "," };
        // Writing to memory cannot fail.
        let _ = write!(out, "{open}{{\"timestamp\":\"{ts_ns}\"");
        if !labels.is_empty() {
            out.extend_from_slice(br#","labels":"#);
            write_set(out, labels);
        }
        out.push(b'}');
    }
    if !tailed.dropped.is_empty() {
        out.push(b']');
    }
    if encoding == Encoding::Categorized {
        let _ = write!(out, ",\"encodingFlags\":[\"{CATEGORIZE}\"]");
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests;
