//! Compressed answers: gzip or deflate, whichever the client names first, while the answer is being written.
//! Source: Prometheus `util/httputil/compression.go`.
//!
//! ```text
//! pieces of the answer ─► encoder (one window of 32 KiB) ─► pieces of the compressed answer
//! ```

use std::io::Write;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use futures::stream::try_unfold;
use futures::{StreamExt, TryStreamExt};
use http::{HeaderMap, HeaderValue, header};

/// Answers below this fit into one packet anyway.
const BYTES_MIN: u64 = 1024;
/// Fast rather than small: label names repeat so much that every level finds them.
const LEVEL: Compression = Compression::new(3);

/// Compresses the answer if the client wants it and nobody did so before.
pub(crate) async fn compress(request: Request, next: Next) -> Response {
    let wanted = Coding::wanted(request.headers());
    let response = next.run(request).await;
    let small = response.body().size_hint().upper().is_some_and(|bytes| bytes < BYTES_MIN);
    match wanted {
        Some(coding) if !small && !response.headers().contains_key(header::CONTENT_ENCODING) => coding.wrap(response),
        _ => response,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
}

impl Coding {
    /// The first one of the header that we have and that is not refused with `q=0`.
    fn wanted(headers: &HeaderMap) -> Option<Self> {
        let named = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
        named.into_iter().find_map(|item| {
            let mut parts = item.split(';').map(str::trim);
            let coding = match parts.next()? {
                "gzip" => Self::Gzip,
                "deflate" => Self::Deflate,
                _ => return None,
            };
            let refused = parts.filter_map(|p| p.strip_prefix("q=")).any(|q| q.parse::<f32>().is_ok_and(|q| q == 0.0));
            (!refused).then_some(coding)
        })
    }

    fn wrap(self, response: Response) -> Response {
        let (mut parts, body) = response.into_parts();
        let (name, encoder) = match self {
            Self::Gzip => ("gzip", Encoder::Gzip(GzEncoder::new(Vec::new(), LEVEL))),
            Self::Deflate => ("deflate", Encoder::Deflate(ZlibEncoder::new(Vec::new(), LEVEL))),
        };
        parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
        parts.headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        parts.headers.remove(header::CONTENT_LENGTH);
        let pieces = body.into_data_stream().map_err(std::io::Error::other).boxed();
        let compressed = try_unfold((pieces, Some(encoder)), |(mut pieces, mut encoder)| async move {
            while let Some(mut running) = encoder.take() {
                let piece = match pieces.next().await {
                    Some(piece) => {
                        let out = running.write(&piece?)?;
                        encoder = Some(running);
                        out
                    }
                    None => running.finish()?,
                };
                if !piece.is_empty() {
                    return Ok::<_, std::io::Error>(Some((Bytes::from(piece), (pieces, encoder))));
                }
            }
            Ok(None)
        });
        Response::from_parts(parts, Body::from_stream(compressed))
    }
}

enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
}

impl Encoder {
    /// Takes a piece in and gives what is ready.
    fn write(&mut self, piece: &[u8]) -> std::io::Result<Vec<u8>> {
        let out = match self {
            Self::Gzip(encoder) => {
                encoder.write_all(piece)?;
                encoder.get_mut()
            }
            Self::Deflate(encoder) => {
                encoder.write_all(piece)?;
                encoder.get_mut()
            }
        };
        Ok(std::mem::take(out))
    }

    fn finish(self) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Deflate(encoder) => encoder.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use axum::Router;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    async fn ask(accept: Option<&str>, bytes: usize) -> (HeaderMap, Vec<u8>) {
        let text: Vec<Bytes> = vec![Bytes::from("up{}".repeat(bytes / 8)); 2];
        let whole = text.concat();
        let handler =
            move || async move { Body::from_stream(futures::stream::iter(text.into_iter().map(Ok::<_, std::io::Error>))) };
        let small = move || async move { Bytes::from(whole) };
        let router = Router::new().route("/streamed", get(handler)).route("/whole", get(small)).layer(from_fn(compress));
        let mut request = Request::get(if bytes < 1000 { "/whole" } else { "/streamed" });
        if let Some(accept) = accept {
            request = request.header("accept-encoding", accept);
        }
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        (parts.headers, axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec())
    }

    #[tokio::test]
    async fn the_client_chooses() {
        let plain = "up{}".repeat(25_000).into_bytes();
        for (accept, coding) in [
            (None, None),
            (Some("identity"), None),
            (Some("br, zstd"), None),
            (Some("gzip;q=0"), None),
            (Some("br, gzip;q=0.8, deflate"), Some("gzip")),
            (Some("deflate, gzip"), Some("deflate")),
        ] {
            let (headers, body) = ask(accept, 100_000).await;
            let got = headers.get("content-encoding").map(|v| v.to_str().unwrap());
            assert_eq!(got, coding, "{accept:?}");
            let mut back = Vec::new();
            match coding {
                Some("gzip") => _ = flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut back).unwrap(),
                Some(_) => _ = flate2::read::ZlibDecoder::new(&body[..]).read_to_end(&mut back).unwrap(),
                None => back = body,
            }
            assert_eq!(back, plain, "{accept:?}");
        }
    }

    #[tokio::test]
    async fn small_answers_stay_as_they_are() {
        let (headers, body) = ask(Some("gzip"), 400).await;
        assert!(headers.get("content-encoding").is_none());
        assert_eq!(body.len(), 400);
    }
}
