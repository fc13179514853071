//! `/api/v1/read`: samples as they are stored, for another Prometheus to evaluate.
//!
//! ```text
//! snappy ReadRequest ─► samples of each query ─┬─ SAMPLES: one snappy ReadResponse
//!                                              └─ STREAMED_XOR_CHUNKS: frames, series by series
//! ```
//! Source: Prometheus `storage/remote/read_handler.go`, `codec.go`. There are no external labels here to add or to take away.

mod bits;
mod frames;
mod histogram;
mod proto;
mod xor;

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use catalog::TenantId;
use futures::stream;
use http::{StatusCode, header};
use promql::ast::{MatchOp, Matcher};
use promql::histogram::{BucketSpan, Histogram, ResetHint};
use promql::labels::Labels;
use promql::parse::compile_regex;
use promql::value::RawSeries;
use prost::Message;
use query::promql::{RawRequest, TimeMs};
use query::usage::note;

use super::Api;
use super::error::{ApiError, plain};
use proto::{Label, Query, QueryResult, ReadRequest, ReadResponse, SAMPLES, STREAMED_XOR_CHUNKS};

/// Bytes of a request, packed and unpacked.
const REQUEST_BYTES_MAX: usize = 32 << 20;
/// Queries of a request.
const QUERIES_MAX: usize = 1000;
/// Samples of an answer that is not streamed.
const SAMPLES_MAX: usize = 50_000_000;

/// `/api/v1/read`
pub(super) async fn read(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    body: Body,
) -> Result<Response, (StatusCode, String)> {
    let body = axum::body::to_bytes(body, REQUEST_BYTES_MAX)
        .await
        .map_err(|_| plain(StatusCode::PAYLOAD_TOO_LARGE, &format!("read request is larger than {REQUEST_BYTES_MAX} bytes")))?;
    let (request, streamed) = decode(&body).map_err(|reason| plain(StatusCode::BAD_REQUEST, &reason))?;
    noted(&request);
    let mut results = Vec::with_capacity(request.len());
    let mut samples = 0;
    for query in request {
        let found = api.engine.raw(&tenant, query).await.map_err(|e| ApiError::of_engine(e).plain())?;
        samples += found.iter().map(|s| s.times_ms.len() + s.histograms.len()).sum::<usize>();
        if samples > SAMPLES_MAX {
            return Err(plain(StatusCode::BAD_REQUEST, &format!("exceeded sample limit ({SAMPLES_MAX})")));
        }
        results.push(found);
    }
    note(|row| row.rows = Some(results.iter().map(|found| found.len() as u64).sum()));
    if streamed { Ok(stream_of(results)) } else { whole(results) }
}

/// Notes the selectors of `queries`, and the time of all of them together.
fn noted(queries: &[RawRequest]) {
    let selector = |query: &RawRequest| {
        let matchers: Vec<String> = query.matchers.iter().map(Matcher::to_string).collect();
        format!("{{{}}}", matchers.join(","))
    };
    let start_ms = queries.iter().map(|query| query.time.start_ms).min();
    let end_ms = queries.iter().map(|query| query.time.end_ms).max();
    note(|row| {
        row.set_text(&queries.iter().map(selector).collect::<Vec<_>>().join(", "));
        if let Some((start_ms, end_ms)) = start_ms.zip(end_ms) {
            row.set_time(start_ms.saturating_mul(1_000_000), end_ms.saturating_mul(1_000_000));
        }
    });
}

/// The queries, and whether the answer may be streamed.
fn decode(body: &[u8]) -> Result<(Vec<RawRequest>, bool), String> {
    let unpacked = snap::raw::decompress_len(body).map_err(|e| format!("snappy: {e}"))?;
    if unpacked > REQUEST_BYTES_MAX {
        return Err(format!("read request has {unpacked} bytes unpacked, limit is {REQUEST_BYTES_MAX}"));
    }
    let bytes = snap::raw::Decoder::new().decompress_vec(body).map_err(|e| format!("snappy: {e}"))?;
    let request = ReadRequest::decode(&bytes[..]).map_err(|e| format!("proto: {e}"))?;
    if request.queries.len() > QUERIES_MAX {
        return Err(format!("read request has {} queries, limit is {QUERIES_MAX}", request.queries.len()));
    }
    let accepted = &request.accepted_response_types;
    let chosen = match accepted.is_empty() {
        true => SAMPLES,
        false => *accepted.iter().find(|t| [SAMPLES, STREAMED_XOR_CHUNKS].contains(t)).ok_or_else(|| {
            format!(
                "server does not support any of the requested response types: {accepted:?}; supported: SAMPLES, STREAMED_XOR_CHUNKS"
            )
        })?,
    };
    let queries: Result<Vec<_>, _> = request.queries.into_iter().map(raw_request).collect();
    Ok((queries?, chosen == STREAMED_XOR_CHUNKS))
}

fn raw_request(query: Query) -> Result<RawRequest, String> {
    let matchers: Result<Vec<Matcher>, String> = query
        .matchers
        .into_iter()
        .map(|m| {
            let op = match m.kind {
                0 => MatchOp::Equal,
                1 => MatchOp::NotEqual,
                2 => MatchOp::Regex,
                3 => MatchOp::NotRegex,
                _ => return Err("invalid matcher type".to_owned()),
            };
            if matches!(op, MatchOp::Regex | MatchOp::NotRegex) {
                compile_regex(&m.value).map_err(|e| e.to_string())?;
            }
            Ok(Matcher { name: m.name, op, value: m.value })
        })
        .collect();
    let time = TimeMs { start_ms: query.start_timestamp_ms, end_ms: query.end_timestamp_ms };
    Ok(RawRequest { matchers: matchers?, time })
}

fn labels(of: &Labels) -> Vec<Label> {
    of.iter().map(|(name, value)| Label { name: name.to_string(), value: value.to_string() }).collect()
}

/// All samples in one message.
fn whole(results: Vec<Vec<RawSeries>>) -> Result<Response, (StatusCode, String)> {
    let result = |found: Vec<RawSeries>| QueryResult { timeseries: found.into_iter().map(time_series).collect() };
    let message = ReadResponse { results: results.into_iter().map(result).collect() }.encode_to_vec();
    let packed = snap::raw::Encoder::new()
        .compress_vec(&message)
        .map_err(|e| (StatusCode::BAD_REQUEST, format!("answer of {} bytes cannot be packed: {e}\n", message.len())))?;
    let headers = [(header::CONTENT_TYPE, "application/x-protobuf"), (header::CONTENT_ENCODING, "snappy")];
    Ok((headers, packed).into_response())
}

/// Frames, made while they are sent.
fn stream_of(results: Vec<Vec<RawSeries>>) -> Response {
    let series = results.into_iter().zip(0i64..).flat_map(|(found, query)| found.into_iter().map(move |s| (s, query)));
    let pieces = series.map(|(series, query)| Ok::<_, std::convert::Infallible>(Bytes::from(frames::of(&series, query))));
    let content_type = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
    ([(header::CONTENT_TYPE, content_type)], Body::from_stream(stream::iter(pieces))).into_response()
}

fn time_series(series: RawSeries) -> proto::TimeSeries {
    let samples = series.times_ms.iter().zip(&series.floats);
    proto::TimeSeries {
        labels: labels(&series.labels),
        samples: samples.map(|(time_ms, value)| proto::Sample { value: *value, timestamp: *time_ms }).collect(),
        histograms: series.histograms.iter().map(|s| native(&s.histogram, s.time_ms)).collect(),
    }
}

fn native(h: &Histogram, time_ms: i64) -> proto::Histogram {
    let spans = |of: &[BucketSpan]| of.iter().map(|s| proto::BucketSpan { offset: s.offset, length: s.length }).collect();
    proto::Histogram {
        count: Some(proto::Count::Float(h.count)),
        sum: h.sum,
        schema: h.schema,
        zero_threshold: h.zero_threshold,
        zero_count: Some(proto::ZeroCount::Float(h.zero_count)),
        negative_spans: spans(&h.negative_spans),
        negative_counts: h.negative_counts.clone(),
        positive_spans: spans(&h.positive_spans),
        positive_counts: h.positive_counts.clone(),
        reset_hint: match h.reset_hint {
            ResetHint::Unknown => 0,
            ResetHint::Reset => 1,
            ResetHint::NotReset => 2,
            ResetHint::Gauge => 3,
        },
        timestamp: time_ms,
        custom_values: h.custom_bounds.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::proto::LabelMatcher;
    use super::*;

    fn packed(request: &ReadRequest) -> Vec<u8> {
        snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).unwrap()
    }

    fn asks(kind: i32, value: &str, types: &[i32]) -> Result<(Vec<RawRequest>, bool), String> {
        let matcher = LabelMatcher { kind, name: "job".to_owned(), value: value.to_owned() };
        let query = Query { start_timestamp_ms: 1, end_timestamp_ms: 2, matchers: vec![matcher] };
        decode(&packed(&ReadRequest { queries: vec![query], accepted_response_types: types.to_vec() }))
    }

    #[test]
    fn requests() {
        let (queries, streamed) = asks(3, "a|b", &[STREAMED_XOR_CHUNKS, SAMPLES]).unwrap();
        assert!(streamed);
        assert_eq!(queries[0].matchers, [Matcher { name: "job".to_owned(), op: MatchOp::NotRegex, value: "a|b".to_owned() }]);
        assert_eq!((queries[0].time.start_ms, queries[0].time.end_ms), (1, 2));
        assert!(!asks(0, "a", &[]).unwrap().1, "old clients know samples only");
        assert!(!asks(0, "a", &[9, SAMPLES, STREAMED_XOR_CHUNKS]).unwrap().1);
        assert!(asks(0, "a", &[9]).unwrap_err().contains("does not support any of the requested response types: [9]"));
        assert_eq!(asks(7, "a", &[]).unwrap_err(), "invalid matcher type");
        assert!(asks(2, "(", &[]).unwrap_err().contains("missing"));
        assert!(decode(b"\xff\xff\xff\xff\x0f").unwrap_err().contains("limit is"), "a bomb is not unpacked");
        assert!(decode(b"nonsense").is_err());
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(body in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = decode(&body);
            let _ = decode(&snap::raw::Encoder::new().compress_vec(&body).unwrap());
        }
    }
}
