//! The envelope of an answer, and its data, written piece by piece.
//!
//! ```text
//! {"status":"success","data":   pieces of some 64 KiB, made while the one before is on its way   ,"warnings":[...],"infos":[...]}
//! ```
//! Source: `respond` of Prometheus `web/api/v1/api.go`. `data` comes first, so that nothing has to wait for its end.

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures::stream;
use http::{HeaderValue, header};
use serde::Serialize;

use super::json::write_text;

/// A piece is given away once it has so many bytes.
const PIECE_BYTES: usize = 64 << 10;

/// What a limit that cut something off says.
pub(super) const TRUNCATED: &str = "results truncated due to limit";

/// Data that is written in pieces.
pub(super) trait Data: Send + 'static {
    /// Appends the next item; `false` when there was none and all is written.
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool;
}

/// Data that is written at once.
struct Whole(Option<Vec<u8>>);

impl Data for Whole {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        self.0.take().map(|bytes| out.extend_from_slice(&bytes)).is_some()
    }
}

/// A JSON array of items that are written one by one.
pub(super) struct Array<I, F> {
    items: I,
    write: F,
    begun: bool,
    done: bool,
}

impl<I: Iterator, F: FnMut(&mut Vec<u8>, I::Item)> Array<I, F> {
    /// `[item,item,...]`, each item written by `write`.
    pub(super) fn new(items: I, write: F) -> Self {
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

/// An answer of a request that succeeded.
pub(super) struct Answer {
    data: Box<dyn Data>,
    warnings: Vec<String>,
    infos: Vec<String>,
}

impl Answer {
    /// Data that is small.
    pub(super) fn of(data: &impl Serialize) -> Self {
        let json = serde_json::to_vec(data).expect("maps have texts as keys, and writing to memory cannot fail");
        Self::stream(Whole(Some(json)))
    }

    /// Data that may be large.
    pub(super) fn stream(data: impl Data) -> Self {
        Self { data: Box::new(data), warnings: Vec::new(), infos: Vec::new() }
    }

    /// Adds warnings.
    pub(super) fn warn(mut self, warnings: impl IntoIterator<Item = String>) -> Self {
        self.warnings.extend(warnings);
        self
    }

    /// Adds infos.
    pub(super) fn inform(mut self, infos: impl IntoIterator<Item = String>) -> Self {
        self.infos.extend(infos);
        self
    }

    /// Writes up to the next end of a piece; `false` when that was the last one.
    fn write_piece(&mut self, out: &mut Vec<u8>) -> bool {
        while out.len() < PIECE_BYTES {
            if !self.data.write_next(out) {
                write_texts(out, "warnings", &self.warnings);
                write_texts(out, "infos", &self.infos);
                out.push(b'}');
                return false;
            }
        }
        true
    }
}

impl IntoResponse for Answer {
    fn into_response(mut self) -> Response {
        let mut first = br#"{"status":"success","data":"#.to_vec();
        let body = if self.write_piece(&mut first) {
            let pieces = stream::unfold((Some(first), Some(self)), |(first, answer)| async move {
                if let Some(first) = first {
                    return Some((first, (None, answer)));
                }
                let mut answer = answer?;
                let mut out = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 4);
                let more = answer.write_piece(&mut out);
                Some((out, (None, more.then_some(answer))))
            });
            Body::from_stream(futures::StreamExt::map(pieces, |piece| Ok::<_, std::convert::Infallible>(Bytes::from(piece))))
        } else {
            Body::from(first)
        };
        ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
    }
}

fn write_texts(out: &mut Vec<u8>, name: &str, texts: &[String]) {
    for (at, text) in texts.iter().enumerate() {
        if at == 0 {
            out.extend_from_slice(format!(",\"{name}\":[").as_bytes());
        } else {
            out.push(b',');
        }
        write_text(out, text);
    }
    if !texts.is_empty() {
        out.push(b']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn text(answer: Answer) -> (usize, String) {
        let mut pieces = answer.into_response().into_body().into_data_stream();
        let (mut count, mut text) = (0, String::new());
        while let Some(piece) = futures::StreamExt::next(&mut pieces).await {
            count += 1;
            text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
        }
        (count, text)
    }

    #[tokio::test]
    async fn envelopes() {
        let empty = Array::new(std::iter::empty::<u8>(), |_: &mut Vec<u8>, _| {});
        assert_eq!(text(Answer::stream(empty)).await, (1, r#"{"status":"success","data":[]}"#.to_owned()));
        let answer = Answer::of(&["a", "b"]).warn(["w1".to_owned(), "w\"2".to_owned()]).inform(["i".to_owned()]);
        assert_eq!(text(answer).await.1, r#"{"status":"success","data":["a","b"],"warnings":["w1","w\"2"],"infos":["i"]}"#);
    }

    #[tokio::test]
    async fn large_data_comes_in_pieces() {
        let numbers = Array::new(0..100_000, |out: &mut Vec<u8>, n: i32| out.extend_from_slice(n.to_string().as_bytes()));
        let (pieces, text) = text(Answer::stream(numbers)).await;
        assert!((8..12).contains(&pieces), "{pieces}");
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["data"].as_array().unwrap().len(), 100_000);
        assert_eq!(json["data"][99_999], 99_999);
    }
}
