use std::collections::BTreeMap;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, Int64Type, TimestampNanosecondType};
use catalog::env::fixed;
use catalog::{LabelSet, StreamId, Table, TenantId, Timestamp};
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::convert::LogRules;
use crate::receive::ReceiveConfig;

const NOW: i64 = 1_790_000_000_000_000_000;

#[derive(Clone, PartialEq, Message)]
struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<StreamMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct StreamMessage {
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<EntryMessage>,
    #[prost(uint64, tag = "3")]
    hash: u64,
}

#[derive(Clone, PartialEq, Message)]
struct EntryMessage {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<prost_types::Timestamp>,
    #[prost(string, tag = "2")]
    line: String,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<PairMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct PairMessage {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

fn converter(config: LokiConfig) -> Arc<PushConverter> {
    let (env, _) = fixed::env(Timestamp::from_nanos(NOW), 1);
    let resources = Resources::new(&ReceiveConfig::default(), LogRules::new(&config).unwrap());
    PushConverter::new(config, env, resources)
}

fn convert(converter: &PushConverter, format: PushFormat, body: &[u8]) -> Result<Pushed, DecodeError> {
    converter.convert(&TenantId::anonymous(), format, body)
}

/// Every row as text: stream id, service, time, level, body, ids and metadata; and the streams by their ids.
fn rows(pushed: &Pushed) -> (Vec<String>, BTreeMap<i64, String>) {
    let (mut lines, mut streams) = (Vec::new(), BTreeMap::new());
    for (table, batch) in &pushed.converted.rows {
        let ids = batch["stream_id"].as_primitive::<Int64Type>();
        let map = |column: &str, row: usize| {
            let entries = batch[column].as_map().value(row);
            let (names, values) = (entries.column(0).as_string::<i32>(), entries.column(1).as_string::<i32>());
            (0..entries.len()).map(|at| format!("{}={:?}", names.value(at), values.value(at))).collect::<Vec<_>>().join(",")
        };
        let text = |column: &str, row: usize| {
            let column = batch[column].as_dictionary::<Int32Type>();
            column.values().as_string::<i32>().value(column.keys().value(row) as usize).to_owned()
        };
        for row in 0..batch.num_rows() {
            if *table == Table::Streams {
                streams.insert(ids.value(row), map("labels", row));
                continue;
            }
            let ts = batch["ts"].as_primitive::<TimestampNanosecondType>().value(row);
            let id = |column: &str| {
                let column = batch[column].as_fixed_size_binary();
                if column.is_null(row) { "-".to_owned() } else { hex::encode(column.value(row)) }
            };
            lines.push(format!(
                "{} {} {ts} {} {:?} {} {} {}",
                ids.value(row),
                text("service", row),
                text("level", row),
                batch["body"].as_string::<i32>().value(row),
                id("trace_id"),
                id("span_id"),
                map("attrs_str", row)
            ));
        }
    }
    (lines, streams)
}

/// The same from the decoded message, naively.
fn oracle(request: &PushRequest) -> (Vec<String>, BTreeMap<i64, String>, u64) {
    let (mut lines, mut streams, mut refused) = (Vec::new(), BTreeMap::new(), 0);
    let rules = LogRules::default();
    for stream in request.streams.iter().filter(|stream| !stream.entries.is_empty()) {
        let pairs = labels::parse(&stream.labels).ok().filter(|pairs| {
            let names: std::collections::BTreeSet<_> = pairs.iter().map(|(n, _)| n).collect();
            names.len() == pairs.len() && pairs.iter().any(|(_, v)| !v.is_empty())
        });
        let Some(mut pairs) = pairs else {
            refused += stream.entries.len() as u64;
            continue;
        };
        if !pairs.iter().any(|(n, v)| n == "service_name" && !v.is_empty()) {
            let job = pairs.iter().find(|(n, v)| n == "job" && !v.is_empty()).map(|(_, v)| v.clone());
            pairs.push(("service_name".to_owned(), job.unwrap_or_else(|| "unknown_service".to_owned())));
        }
        let set = LabelSet::new(pairs);
        let id = StreamId::of(set.iter()).0;
        for entry in &stream.entries {
            let ts = entry.timestamp.unwrap_or_default();
            let ts = i128::from(ts.seconds) * 1_000_000_000 + i128::from(ts.nanos);
            let Some(ts) = i64::try_from(ts).ok().filter(|ts| *ts <= NOW + 600_000_000_000) else {
                refused += 1;
                continue;
            };
            let mut metadata: Vec<(String, String)> = Vec::new();
            let (mut trace, mut said) = (None, None);
            for pair in &entry.metadata {
                let name: String = pair.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
                match pair.name.as_str() {
                    "trace_id" if trace.is_none() && pair.value.len() == 32 => trace = Some(pair.value.clone()),
                    "detected_level" if !pair.value.is_empty() => {
                        said.get_or_insert_with(|| pair.value.clone());
                    }
                    _ if metadata.iter().any(|(n, _)| *n == name) => {}
                    _ => metadata.push((name, pair.value.clone())),
                }
            }
            let shown: Vec<String> = metadata.iter().map(|(n, v)| format!("{n}={v:?}")).collect();
            let by_label = set.get("level").map(|level| rules.levels.normalize(level).to_owned());
            let all = || metadata.iter().map(|(n, v)| (n.as_str(), v.as_str()));
            let level = said.or(by_label).unwrap_or_else(|| rules.levels.of_pushed(None, all(), &entry.line).to_owned());
            lines.push(format!(
                "{id} {} {ts} {level} {:?} {} - {}",
                set.get("service_name").unwrap(),
                entry.line,
                trace.unwrap_or_else(|| "-".to_owned()),
                shown.join(",")
            ));
            streams.insert(id, set.iter().map(|(n, v)| format!("{n}={v:?}")).collect::<Vec<_>>().join(","));
        }
    }
    (lines, streams, refused)
}

fn any_request() -> impl Strategy<Value = PushRequest> {
    let labels = prop_oneof![
        4 => prop::collection::vec(("[ab]|job|level|service_name", "[a-z\"é]{0,3}|error"), 0..4).prop_map(|pairs| {
            labels::print(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())))
        }),
        1 => r#"\{?[a=",{}]{0,8}\}?"#,
    ];
    let times = prop_oneof![
        6 => (NOW / 1_000_000_000 - 100_000..NOW / 1_000_000_000 + 700, 0..1_000_000_000i32),
        1 => (any::<i64>(), any::<i32>()),
    ];
    let pair = ("trace_id|detected_level|level|[a-c.]{1,2}", "[0-9a-f]{32}|[a-z]{0,3}|error");
    let pair = pair
        .prop_map(|(name, value)| PairMessage { name, value })
        .prop_filter("no zero id", |p| p.value.len() != 32 || p.value.bytes().any(|b| b != b'0'));
    let line = prop_oneof![".{0,20}", Just("level=warn x".to_owned()), Just(r#"{"level":"error"}"#.to_owned())];
    let entry =
        (prop::option::weighted(0.95, times), line, prop::collection::vec(pair, 0..4)).prop_map(|(time, line, metadata)| {
            let timestamp = time.map(|(seconds, nanos)| prost_types::Timestamp { seconds, nanos });
            EntryMessage { timestamp, line, metadata }
        });
    let stream = (labels, prop::collection::vec(entry, 0..4), any::<u64>()).prop_map(|(labels, entries, hash)| StreamMessage {
        labels,
        entries,
        hash,
    });
    prop::collection::vec(stream, 0..4).prop_map(|streams| PushRequest { streams })
}

/// The request in JSON, if it can be said in it.
fn json_of(request: &PushRequest) -> Option<String> {
    let mut streams = Vec::new();
    for stream in &request.streams {
        let pairs = labels::parse(&stream.labels).ok()?;
        let map: serde_json::Map<String, serde_json::Value> = pairs.iter().map(|(n, v)| (n.clone(), v.clone().into())).collect();
        (map.len() == pairs.len()).then_some(())?;
        let mut values = Vec::new();
        for entry in &stream.entries {
            let ts = entry.timestamp.unwrap_or_default();
            let ts = ts.seconds.checked_mul(1_000_000_000)?.checked_add(i64::from(ts.nanos))?;
            let metadata: serde_json::Map<String, serde_json::Value> =
                entry.metadata.iter().map(|p| (p.name.clone(), p.value.clone().into())).collect();
            (metadata.keys().eq(entry.metadata.iter().map(|p| &p.name))).then_some(())?;
            values.push(serde_json::json!([ts.to_string(), entry.line, metadata]));
        }
        streams.push(serde_json::json!({ "values": values, "stream": map }));
    }
    Some(serde_json::json!({ "streams": streams }).to_string())
}

proptest! {
    #[test]
    fn requests_become_what_the_naive_converter_says(requests in prop::collection::vec(any_request(), 1..3)) {
        let converter = converter(LokiConfig::default());
        for request in &requests {
            let (lines, streams, refused) = oracle(request);
            let pushed = convert(&converter, PushFormat::Protobuf, &request.encode_to_vec()).unwrap();
            prop_assert_eq!(rows(&pushed), (lines.clone(), streams.clone()));
            prop_assert_eq!((pushed.converted.accepted, pushed.converted.rejected), (lines.len() as u64, refused));
            prop_assert_eq!(pushed.converted.reason.is_some(), refused > 0);
            if let Some(json) = json_of(request) {
                let pushed = convert(&converter, PushFormat::Json, json.as_bytes()).unwrap();
                prop_assert_eq!(rows(&pushed), (lines, streams));
            }
        }
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in r#"[\[\]{}":,a-z0-9\\ ]{0,60}"#) {
        let converter = converter(LokiConfig::default());
        for format in [PushFormat::Protobuf, PushFormat::Json, PushFormat::LegacyJson] {
            let _ = convert(&converter, format, &bytes);
            let _ = convert(&converter, format, text.as_bytes());
        }
    }

    #[test]
    fn damaged_requests_never_panic(request in any_request(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let converter = converter(LokiConfig::default());
        let json = json_of(&request).unwrap_or_default().into_bytes();
        for (format, mut bytes) in [(PushFormat::Protobuf, request.encode_to_vec()), (PushFormat::Json, json)] {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
                bytes.truncate(if cut { at } else { bytes.len() });
            }
            let _ = convert(&converter, format, &bytes);
        }
    }
}

#[test]
fn golden_bytes() {
    // {a="b"} at 1.000000002 s: "x\xff", metadata k=v; the entry comes before the labels.
    let entry = [&[0x0a, 4, 0x08, 1, 0x10, 2][..], &[0x12, 2, b'x', 0xff], &[0x1a, 6, 0x0a, 1, b'k', 0x12, 1, b'v']].concat();
    let stream = [&[0x12, entry.len() as u8][..], &entry, &[0x0a, 7], br#"{a="b"}"#].concat();
    let body = [&[0x0a, stream.len() as u8][..], &stream].concat();
    let pushed = convert(&converter(LokiConfig::default()), PushFormat::Protobuf, &body).unwrap();
    let (lines, streams) = rows(&pushed);
    let id = StreamId::of([("a", "b"), ("service_name", "unknown_service")]).0;
    assert_eq!(lines, [format!("{id} unknown_service 1000000002 unknown \"x\u{fffd}\" - - k=\"v\"")]);
    assert_eq!(streams, BTreeMap::from([(id, r#"a="b",service_name="unknown_service""#.to_owned())]));
    assert_eq!((pushed.converted.accepted, pushed.converted.rejected, pushed.converted.reason), (1, 0, None));
}

#[test]
fn a_stream_is_stored_once_a_day_after_it_was_acknowledged() {
    let converter = converter(LokiConfig::default());
    let body = |ts: i64| format!(r#"{{"streams":[{{"stream":{{"a":"b"}},"values":[["{ts}","x"]]}}]}}"#);
    let streams = |ts: i64, confirmed: bool| {
        let mut pushed = convert(&converter, PushFormat::Json, body(ts).as_bytes()).unwrap();
        if confirmed {
            pushed.converted.confirm();
        }
        rows(&pushed).1.len()
    };
    assert_eq!(streams(NOW, false), 1);
    assert_eq!(streams(NOW, true), 1);
    assert_eq!(streams(NOW, true), 0);
    assert_eq!(streams(NOW - 86_400_000_000_000, true), 1);
}

/// Rows of streams may go with the lines that a delete takes: who was acknowledged after it must have brought them along.
#[test]
fn a_delete_makes_streams_come_again() {
    use futures::FutureExt;

    let converter = converter(LokiConfig::default());
    let seen = std::sync::Arc::clone(converter.resources.seen());
    let body = format!(r#"{{"streams":[{{"stream":{{"a":"b"}},"values":[["{NOW}","x"]]}}]}}"#);
    let push = || convert(&converter, PushFormat::Json, body.as_bytes()).unwrap();
    let streams = |pushed: &Pushed| rows(pushed).1.len();
    push().converted.confirm();
    let mut relying = push();
    assert_eq!(streams(&relying), 0);
    let tenant = TenantId::anonymous();
    let mut suspending = Box::pin(seen.suspend(&tenant));
    assert!(suspending.as_mut().now_or_never().is_none(), "a request relies on the row and is not acknowledged yet");
    let mut meanwhile = push();
    assert_eq!(streams(&meanwhile), 1);
    meanwhile.converted.confirm();
    assert_eq!(streams(&push()), 1, "nothing is remembered while a delete is under way");
    relying.converted.confirm();
    drop(suspending.now_or_never().expect("nobody relies on marks"));
    let mut after = push();
    assert_eq!(streams(&after), 1);
    after.converted.confirm();
    assert_eq!(streams(&push()), 0);
}
