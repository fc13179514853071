//! Bodies that are written piece by piece, while the piece before is on its way: a large answer is never text in memory.
//!
//! ```text
//! Data ─write_next─► some 64 KiB ─► client    Data ─write_next─► some 64 KiB ─► client    ...
//! ```
//!
//! # Invariants
//! - A piece is begun when the client has taken the one before; a client that goes away ends the writing.

use axum::body::{Body, Bytes};
use futures::stream;

/// A piece is given away once it has so many bytes.
const PIECE_BYTES: usize = 64 << 10;

/// What is written in pieces.
pub(crate) trait Data: Send + 'static {
    /// Appends the next item; `false` when there was none and all is written.
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool;
}

/// Bytes that are there already, written at once.
pub(crate) struct Whole(Option<Vec<u8>>);

impl Whole {
    /// Exactly `bytes`.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(Some(bytes))
    }
}

impl Data for Whole {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        self.0.take().map(|bytes| out.extend_from_slice(&bytes)).is_some()
    }
}

/// A JSON array of items that are written one by one.
pub(crate) struct Array<I, F> {
    items: I,
    write: F,
    begun: bool,
    done: bool,
}

impl<I: Iterator, F: FnMut(&mut Vec<u8>, I::Item)> Array<I, F> {
    /// `[item,item,...]`, each item written by `write`.
    pub(crate) fn new(items: I, write: F) -> Self {
        Self { items, write, begun: false, done: false }
    }
}

impl<I: Iterator + Send + 'static, F: FnMut(&mut Vec<u8>, I::Item) + Send + 'static> Data for Array<I, F> {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        if self.done {
            return false;
        }
        let item = self.items.next();
        if !self.begun {
            out.push(b'[');
        } else if item.is_some() {
            out.push(b',');
        }
        self.begun = true;
        match item {
            Some(item) => (self.write)(out, item),
            None => {
                out.push(b']');
                self.done = true;
            }
        }
        true
    }
}

/// Writes up to the next end of a piece; `false` when that was the last one.
fn write_piece(data: &mut impl Data, out: &mut Vec<u8>) -> bool {
    while out.len() < PIECE_BYTES {
        if !data.write_next(out) {
            return false;
        }
    }
    true
}

/// The body that `data` writes. What fits into one piece has a known length.
pub(crate) fn body(mut data: impl Data) -> Body {
    let mut first = Vec::new();
    if !write_piece(&mut data, &mut first) {
        return Body::from(first);
    }
    let pieces = stream::unfold((Some(first), Some(data)), |(first, data)| async move {
        if let Some(first) = first {
            return Some((first, (None, data)));
        }
        let mut data = data?;
        let mut out = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 4);
        let more = write_piece(&mut data, &mut out);
        Some((out, (None, more.then_some(data))))
    });
    Body::from_stream(futures::StreamExt::map(pieces, |piece| Ok::<_, std::convert::Infallible>(Bytes::from(piece))))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn text(data: impl Data) -> (usize, String) {
        let mut pieces = body(data).into_data_stream();
        let (mut count, mut text) = (0, String::new());
        while let Some(piece) = futures::StreamExt::next(&mut pieces).await {
            count += 1;
            text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
        }
        (count, text)
    }

    #[tokio::test]
    async fn large_data_comes_in_pieces() {
        let numbers = Array::new(0..100_000, |out: &mut Vec<u8>, n: i32| out.extend_from_slice(n.to_string().as_bytes()));
        let (pieces, text) = text(numbers).await;
        assert!((8..12).contains(&pieces), "{pieces}");
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json.as_array().unwrap().len(), 100_000);
        assert_eq!(json[99_999], 99_999);
    }

    #[tokio::test]
    async fn small_data_comes_at_once() {
        let empty = Array::new(std::iter::empty::<u8>(), |_: &mut Vec<u8>, _| {});
        assert_eq!(text(empty).await, (1, "[]".to_owned()));
        assert_eq!(text(Whole::new(b"x".to_vec())).await, (1, "x".to_owned()));
    }
}
