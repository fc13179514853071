//! Answers in parts: what is known before the last file was read, and the whole in packets that every client takes.
//!
//! ```text
//! engine ─ progress: t1 t2 ──────► t1 t2          engine ─ answer: t1 t2' t3 ──► packet (t1 t2') packet (t3)
//!        ─ progress: t1 t2' t3 ──► t2' t3
//! ```
//!
//! # Invariants
//! - A part tells only what is new or has changed since the part before; the end tells everything.
//! - A packet is at most [`PACKET_BYTES_MAX`], or one item that is larger.

use std::pin::Pin;

use futures::stream::{self, Stream};
use prost::Message;
use query::traceql::Result;
use tokio::sync::mpsc;

/// Bytes of a message (Tempo's packets; gRPC clients refuse 4 MiB).
const PACKET_BYTES_MAX: usize = 1 << 20;
/// Parts that wait for a slow client; the engine leaves out those that do not fit.
const PARTS_MAX: usize = 1;

/// What the engine says.
#[derive(Debug)]
pub(super) enum Part<T> {
    /// What is known so far.
    Progress(T),
    /// The answer.
    Whole(T),
}

/// What `ask` tells the channel while it works, and what it answers. Dropping the stream ends the work.
pub(super) fn parts<T, F>(ask: impl FnOnce(mpsc::Sender<T>) -> F) -> impl Stream<Item = Result<Part<T>>> + Send
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let (sender, progress) = mpsc::channel(PARTS_MAX);
    let asking: Option<Pin<Box<F>>> = Some(Box::pin(ask(sender)));
    stream::unfold((asking, progress), |(mut asking, mut progress)| async move {
        let running = asking.as_mut()?;
        let part = tokio::select! {
            biased;
            Some(part) = progress.recv() => Ok(Part::Progress(part)),
            done = running => {
                asking = None;
                done.map(Part::Whole)
            }
        };
        Some((part, (asking, progress)))
    })
}

/// `items` in messages that are small enough. There is one message at least, and `last` adds to the last one what comes once.
pub(super) fn packets<I: Message, M>(items: Vec<I>, packet: impl Fn(Vec<I>) -> M, last: impl FnOnce(&mut M)) -> Vec<M> {
    let mut messages = Vec::new();
    let (mut some, mut bytes) = (Vec::new(), 0);
    for item in items {
        // The key and the length in front of an item take a few bytes more.
        let size = item.encoded_len() + 8;
        if !some.is_empty() && bytes + size > PACKET_BYTES_MAX {
            messages.push(packet(std::mem::take(&mut some)));
            bytes = 0;
        }
        bytes += size;
        some.push(item);
    }
    let mut end = packet(some);
    last(&mut end);
    messages.push(end);
    messages
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;
    use crate::tempo::message::{SearchMetrics, SearchResponse, TraceSearchMetadata};

    #[test]
    fn packets_are_small() {
        let trace = |name: usize| TraceSearchMetadata { root_trace_name: "x".repeat(name), ..TraceSearchMetadata::default() };
        let packet = |traces| SearchResponse { traces, metrics: None };
        let split = |sizes: &[usize]| {
            let items = sizes.iter().map(|&size| trace(size)).collect();
            packets(items, packet, |end| end.metrics = Some(SearchMetrics::default()))
        };
        let messages = split(&[400_000, 400_000, 400_000, 2_000_000, 1]);
        assert_eq!(messages.iter().map(|m| m.traces.len()).collect::<Vec<_>>(), [2, 1, 1, 1]);
        assert_eq!(messages.iter().filter(|m| m.metrics.is_some()).count(), 1);
        assert!(messages[..2].iter().all(|m| m.encoded_len() <= PACKET_BYTES_MAX));
        assert_eq!(split(&[]).len(), 1);
    }

    #[tokio::test]
    async fn parts_come_before_the_whole() {
        let mut stream = Box::pin(parts(|progress| async move {
            for n in 1..4 {
                progress.send(n).await.unwrap();
            }
            Ok(4)
        }));
        let mut got = Vec::new();
        while let Some(part) = stream.next().await {
            got.push(match part.unwrap() {
                Part::Progress(n) => (n, false),
                Part::Whole(n) => (n, true),
            });
        }
        // What was told last is in the whole, and may be left out.
        assert_eq!(got.last(), Some(&(4, true)));
        assert!(got.len() > 2 && got.is_sorted() && got.iter().filter(|(_, whole)| *whole).count() == 1, "{got:?}");
    }
}
