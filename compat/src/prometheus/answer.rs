//! The envelope of an answer.
//!
//! ```text
//! {"status":"success","data":   pieces of some 64 KiB, made while the one before is on its way   ,"warnings":[...],"infos":[...]}
//! ```
//! Source: `respond` of Prometheus `web/api/v1/api.go`. `data` comes first, so that nothing has to wait for its end.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use serde::Serialize;

use crate::json::write_text;
pub(super) use crate::pieces::{Array, Data};
use crate::pieces::{Whole, body};

/// What a limit that cut something off says.
pub(super) const TRUNCATED: &str = "results truncated due to limit";

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
        Self::stream(Whole::new(json))
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
}

/// The envelope and what is in it.
struct Enveloped {
    begun: bool,
    answer: Option<Answer>,
}

impl Data for Enveloped {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(answer) = &mut self.answer else { return false };
        if !std::mem::replace(&mut self.begun, true) {
            out.extend_from_slice(br#"{"status":"success","data":"#);
        }
        if answer.data.write_next(out) {
            return true;
        }
        write_texts(out, "warnings", &answer.warnings);
        write_texts(out, "infos", &answer.infos);
        out.push(b'}');
        self.answer = None;
        true
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let body = body(Enveloped { begun: false, answer: Some(self) });
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

    #[tokio::test]
    async fn envelopes() {
        async fn text(answer: Answer) -> String {
            let body = answer.into_response().into_body();
            String::from_utf8(axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap()
        }
        let empty = Array::new(std::iter::empty::<u8>(), |_: &mut Vec<u8>, _| {});
        assert_eq!(text(Answer::stream(empty)).await, r#"{"status":"success","data":[]}"#);
        let answer = Answer::of(&["a", "b"]).warn(["w1".to_owned(), "w\"2".to_owned()]).inform(["i".to_owned()]);
        assert_eq!(text(answer).await, r#"{"status":"success","data":["a","b"],"warnings":["w1","w\"2"],"infos":["i"]}"#);
    }
}
