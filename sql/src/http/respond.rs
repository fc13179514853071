//! Answers and errors as HTTP responses.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use catalog::TenantId;
use futures::stream::try_unfold;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, TRAILER};
use http_body::Frame;
use http_body_util::StreamBody;
use uuid::Uuid;

use super::status;
use crate::engine::QueryStream;
use crate::error::{Error, Result};
use crate::format::{Compression, Encoder, Format};

/// The query's id.
const QUERY_ID: HeaderName = HeaderName::from_static("x-query-id");
/// The snapshot that was read.
const SNAPSHOT: HeaderName = HeaderName::from_static("x-query-snapshot");
/// Rows of the answer: a header of complete answers, a trailer of streamed ones.
const ROWS: HeaderName = HeaderName::from_static("x-query-rows");
/// Bytes of the files that its scans chose: where rows are.
const BYTES_SCANNED: HeaderName = HeaderName::from_static("x-query-bytes-scanned");
/// The tenant whose rows they are.
const TENANT: HeaderName = HeaderName::from_static("x-scope-orgid");
/// `ok` or `error`: a trailer of streamed answers.
const STATUS: HeaderName = HeaderName::from_static("x-query-status");

/// The answer of a query that was planned.
///
/// # Errors
/// What the query runs into before anything was sent: all of it for formats that do not stream, its first batch for the others.
pub(super) async fn answer(
    mut stream: QueryStream,
    format: Format,
    compression: Option<Compression>,
    tenant: &TenantId,
) -> Result<Response> {
    let mut encoder = Encoder::compressed(format, stream.schema(), compression)?;
    let mut response = Response::builder()
        .header(CONTENT_TYPE, format.content_type())
        .header(QUERY_ID, stream.id().to_string())
        .header(TENANT, tenant.as_str())
        .header(SNAPSHOT, stream.stats().snapshot);
    if !format.streams() {
        let mut bytes = Vec::new();
        while let Some(batch) = stream.next().await {
            bytes.extend(encoder.encode(&batch?)?);
        }
        let stats = stream.stats();
        bytes.extend(encoder.finish(Some(&stats))?);
        response = response.header(ROWS, stats.rows).header(BYTES_SCANNED, stats.bytes_scanned);
        return build(response, Body::from(bytes));
    }
    let first = match stream.next().await {
        Some(batch) => encoder.encode(&batch?)?,
        None => {
            let stats = stream.stats();
            let bytes = encoder.finish(Some(&stats))?;
            return build(response.header(ROWS, 0).header(BYTES_SCANNED, stats.bytes_scanned), Body::from(bytes));
        }
    };
    response = response.header(TRAILER, "x-query-status, x-query-rows, x-query-bytes-scanned");
    let state = Sending { first: Some(first), stream, encoder: Some(encoder), end: None };
    let frames =
        try_unfold(state, |mut state| async move { Ok::<_, std::io::Error>(state.next().await?.map(|frame| (frame, state))) });
    build(response, Body::new(StreamBody::new(frames)))
}

fn build(response: http::response::Builder, body: Body) -> Result<Response> {
    response.body(body).map_err(|e| Error::Encode { reason: e.to_string() })
}

/// An answer on its way.
struct Sending {
    first: Option<Vec<u8>>,
    stream: QueryStream,
    /// Gone once the last bytes were made.
    encoder: Option<Encoder>,
    /// The trailer, when all bytes are out.
    end: Option<&'static str>,
}

impl Sending {
    async fn next(&mut self) -> std::io::Result<Option<Frame<Bytes>>> {
        if let Some(first) = self.first.take() {
            return Ok(Some(Frame::data(first.into())));
        }
        while let Some(encoder) = &mut self.encoder {
            let encoded = match self.stream.next().await {
                Some(Ok(batch)) => encoder.encode(&batch),
                Some(Err(error)) => Err(error),
                None => return self.finish(),
            };
            match encoded {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => return Ok(Some(Frame::data(bytes.into()))),
                Err(error) => return self.fail(&error),
            }
        }
        Ok(self.end.take().map(|status| self.trailers(status)))
    }

    fn finish(&mut self) -> std::io::Result<Option<Frame<Bytes>>> {
        let Some(encoder) = self.encoder.take() else { return Ok(None) };
        match encoder.finish(Some(&self.stream.stats())) {
            Ok(bytes) if bytes.is_empty() => Ok(Some(self.trailers("ok"))),
            Ok(bytes) => {
                self.end = Some("ok");
                Ok(Some(Frame::data(bytes.into())))
            }
            Err(error) => Err(std::io::Error::other(error.public_message())),
        }
    }

    /// The error record, or the cut where the format has none.
    fn fail(&mut self, error: &Error) -> std::io::Result<Option<Frame<Bytes>>> {
        let record = self.encoder.take().and_then(|encoder| encoder.fail(error));
        match record {
            Some(record) => {
                self.end = Some("error");
                Ok(Some(Frame::data(record.into())))
            }
            None => Err(std::io::Error::other(error.public_message())),
        }
    }

    fn trailers(&self, status: &'static str) -> Frame<Bytes> {
        let mut trailers = HeaderMap::new();
        trailers.insert(STATUS, HeaderValue::from_static(status));
        let stats = self.stream.stats();
        trailers.insert(ROWS, HeaderValue::from(stats.rows));
        trailers.insert(BYTES_SCANNED, HeaderValue::from(stats.bytes_scanned));
        Frame::trailers(trailers)
    }
}

/// An error as JSON.
pub(super) fn error(error: &Error, id: Option<Uuid>) -> Response {
    if let Error::Internal { id, message } = error {
        tracing::error!(query = %id, %message, "query failed");
    }
    let status = status(error);
    let body = serde_json::json!({"error": error.public_message(), "kind": error.kind().name()});
    let mut response = (status, axum::Json(body)).into_response();
    let headers = response.headers_mut();
    if let Some(id) = id.and_then(|id| HeaderValue::from_str(&id.to_string()).ok()) {
        headers.insert(QUERY_ID, id);
    }
    if matches!(status.as_u16(), 429 | 503) {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
