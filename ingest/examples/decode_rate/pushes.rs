//! Pushed lines: 100 streams a request, 100 lines each of 232 bytes, as protobuf and as JSON.

use std::hint::black_box;
use std::sync::Arc;

use catalog::env::fixed;
use catalog::{TenantId, Timestamp};
use ingest::convert::loki::{LokiConfig, PushConverter, PushFormat};
use ingest::convert::{LogRules, Resources};
use ingest::receive::ReceiveConfig;
use prost::Message;

use super::{NOW_S, measure};

const STREAMS: usize = 100;
const LINES_PER_STREAM: usize = 100;
const LINE_BYTES: usize = 232;

#[derive(Clone, PartialEq, Message)]
struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<Stream>,
}

#[derive(Clone, PartialEq, Message)]
struct Stream {
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<prost_types::Timestamp>,
    #[prost(string, tag = "2")]
    line: String,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<Pair>,
}

#[derive(Clone, PartialEq, Message)]
struct Pair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// How a line says its level.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// `... level=info ...`
    Logfmt,
    /// Text in which the level comes first.
    Text,
    /// Text without any level, with a trace id as metadata.
    Silent,
}

fn line(shape: Shape, at: usize) -> String {
    let head = match shape {
        Shape::Logfmt => {
            format!("ts=2026-01-01T00:00:00Z level=info caller=handler.go:{at} msg=\"request done\" path=/api/v1/r{at} ")
        }
        Shape::Text => {
            format!("2026-01-01 00:00:00.000 INFO 1234 [main] com.example.App: request {at} done, path /api/v1/r{at} ")
        }
        Shape::Silent => format!("10.0.0.{} - - [01/Jan/2026:00:00:00 +0000] \"GET /api/v1/r{at} HTTP/1.1\" 200 ", at % 255),
    };
    let mut line = head;
    while line.len() < LINE_BYTES {
        line.push_str("some more of it, ");
    }
    line.truncate(LINE_BYTES);
    line
}

fn request(shape: Shape, round: usize) -> PushRequest {
    let entry = |at: usize| Entry {
        timestamp: Some(prost_types::Timestamp { seconds: NOW_S - round as i64, nanos: at as i32 }),
        line: line(shape, at),
        metadata: match shape {
            Shape::Silent => vec![Pair { name: "trace_id".to_owned(), value: format!("{:032x}", at + 1) }],
            Shape::Logfmt | Shape::Text => Vec::new(),
        },
    };
    let stream = |at: usize| Stream {
        labels: format!("{{app=\"checkout\", cluster=\"eu-1\", namespace=\"shop\", pod=\"checkout-{at}\"}}"),
        entries: (0..LINES_PER_STREAM).map(entry).collect(),
    };
    PushRequest { streams: (0..STREAMS).map(stream).collect() }
}

fn json(request: &PushRequest) -> Vec<u8> {
    let streams: Vec<_> = request
        .streams
        .iter()
        .enumerate()
        .map(|(at, stream)| {
            let values: Vec<_> = stream
                .entries
                .iter()
                .map(|entry| {
                    let ts = entry.timestamp.unwrap_or_default();
                    serde_json::json!([(ts.seconds * 1_000_000_000 + i64::from(ts.nanos)).to_string(), entry.line])
                })
                .collect();
            let labels =
                serde_json::json!({ "app": "checkout", "cluster": "eu-1", "namespace": "shop", "pod": format!("checkout-{at}") });
            serde_json::json!({ "stream": labels, "values": values })
        })
        .collect();
    serde_json::json!({ "streams": streams }).to_string().into_bytes()
}

/// Measures every shape and form.
pub(super) fn measure_all() {
    let lines = STREAMS * LINES_PER_STREAM;
    println!("{lines} lines a request, {LINE_BYTES} bytes each");
    let tenant = TenantId::anonymous();
    let (env, _) = fixed::env(Timestamp::from_secs(NOW_S), 7);
    let resources = Resources::new(&ReceiveConfig::default(), LogRules::default());
    let converter = PushConverter::new(LokiConfig::default(), env, resources);
    let convert = |converter: &Arc<PushConverter>, format: PushFormat, body: &[u8]| {
        let mut pushed = converter.convert(&tenant, format, body).expect("a well-formed request");
        assert_eq!((pushed.converted.accepted, pushed.converted.rejected), (lines as u64, 0));
        pushed.converted.confirm();
        black_box(pushed.converted.rows);
    };
    for shape in [Shape::Logfmt, Shape::Text, Shape::Silent] {
        let requests: Vec<_> = (0..4).map(|round| request(shape, round)).collect();
        let bodies: Vec<_> = requests.iter().map(|request| request.encode_to_vec()).collect();
        measure(&format!("push protobuf, {shape:?}"), lines, |round| {
            convert(&converter, PushFormat::Protobuf, &bodies[round % bodies.len()])
        });
        if matches!(shape, Shape::Logfmt) {
            let bodies: Vec<_> = requests.iter().map(json).collect();
            measure("push JSON, Logfmt", lines, |round| convert(&converter, PushFormat::Json, &bodies[round % bodies.len()]));
            let bodies: Vec<_> = requests.iter().map(|request| request.encode_to_vec()).collect();
            measure("prost decode alone", lines, |round| {
                black_box(PushRequest::decode(bodies[round % bodies.len()].as_slice()).expect("a well-formed request"));
            });
        }
    }
}
