use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use catalog::env::fixed;
use catalog::{Table, TenantId, Timestamp};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest as LogsRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest as TracesRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource as ProstResource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::prelude::*;
use prost::Message;
use serde_json::json;

use super::*;
use crate::receive::ReceiveConfig;

const NOW: i64 = 1_790_000_000_000_000_000;

fn converters(config: ReceiveConfig) -> (LogsConverter, SpansConverter) {
    let (env, _) = fixed::env(Timestamp::from_nanos(NOW), 1);
    let config = Arc::new(config);
    let resources = Resources::new(&config, LogRules::default());
    (LogsConverter::new(Arc::clone(&config), env.clone(), Arc::clone(&resources)), SpansConverter::new(config, env, resources))
}

fn logs(request: &LogsRequest) -> Converted {
    converters(ReceiveConfig::default()).0.convert(&TenantId::anonymous(), &request.encode_to_vec()).expect("a request")
}

fn spans(request: &TracesRequest) -> Converted {
    converters(ReceiveConfig::default()).1.convert(&TenantId::anonymous(), &request.encode_to_vec()).expect("a request")
}

fn batch(converted: &Converted, table: Table) -> Option<&RecordBatch> {
    converted.rows.iter().find(|(t, _)| *t == table).map(|(_, batch)| batch)
}

/// A column as text, times as numbers, nulls as "-".
fn column(batch: &RecordBatch, name: &str) -> Vec<String> {
    let mut array = Arc::clone(batch.column_by_name(name).expect("a column"));
    if let DataType::Timestamp(..) = array.data_type() {
        array = arrow::compute::cast(&array, &DataType::Int64).expect("a number");
    }
    let formatter = ArrayFormatter::try_new(&array, &FormatOptions::default().with_null("-")).expect("text");
    (0..array.len()).map(|row| formatter.value(row).to_string()).collect()
}

// ---- the naive conversion, over what prost decoded ----

fn canonical(value: Option<&AnyValue>) -> serde_json::Value {
    match value.and_then(|v| v.value.as_ref()) {
        None | Some(Value::StringValueStrindex(_)) => json!({}),
        Some(Value::StringValue(v)) => json!({ "stringValue": v }),
        Some(Value::BoolValue(v)) => json!({ "boolValue": v }),
        Some(Value::IntValue(v)) => json!({ "intValue": v.to_string() }),
        Some(Value::DoubleValue(v)) => json!({ "doubleValue": v }),
        Some(Value::BytesValue(v)) => json!({ "bytesValue": base64(v) }),
        Some(Value::ArrayValue(v)) => {
            json!({ "arrayValue": { "values": v.values.iter().map(|v| canonical(Some(v))).collect::<Vec<_>>() } })
        }
        Some(Value::KvlistValue(v)) => {
            let entry = |kv: &KeyValue| json!({ "key": kv.key, "value": canonical(kv.value.as_ref()) });
            json!({ "kvlistValue": { "values": v.values.iter().map(entry).collect::<Vec<_>>() } })
        }
    }
}

fn plain(value: Option<&AnyValue>) -> serde_json::Value {
    match value.and_then(|v| v.value.as_ref()) {
        None | Some(Value::StringValueStrindex(_)) => json!(null),
        Some(Value::StringValue(v)) => json!(v),
        Some(Value::BoolValue(v)) => json!(v),
        Some(Value::IntValue(v)) => json!(v),
        Some(Value::DoubleValue(v)) => json!(v),
        Some(Value::BytesValue(v)) => json!(base64(v)),
        Some(Value::ArrayValue(v)) => v.values.iter().map(|v| plain(Some(v))).collect(),
        Some(Value::KvlistValue(v)) => {
            serde_json::Value::Object(v.values.iter().map(|kv| (kv.key.clone(), plain(kv.value.as_ref()))).collect())
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes)
}

/// The five typed columns of attributes, and whether one was there twice.
fn typed(attributes: &[KeyValue]) -> ([String; 5], bool) {
    let mut columns: [Vec<String>; 5] = Default::default();
    let mut seen = std::collections::HashSet::new();
    for kv in attributes.iter().filter(|kv| seen.insert(&kv.key)) {
        let (at, text) = match kv.value.as_ref().and_then(|v| v.value.as_ref()) {
            Some(Value::StringValue(v)) => (0, v.clone()),
            Some(Value::IntValue(v)) => (1, v.to_string()),
            Some(Value::DoubleValue(v)) => (2, v.to_string()),
            Some(Value::BoolValue(v)) => (3, v.to_string()),
            _ => (4, canonical(kv.value.as_ref()).to_string()),
        };
        columns[at].push(format!("{}: {text}", kv.key));
    }
    let twice = seen.len() < attributes.len();
    (columns.map(|c| format!("{{{}}}", c.join(", "))), twice)
}

fn or_null(text: impl ToString, null: bool) -> String {
    if null { "-".to_owned() } else { text.to_string() }
}

fn id(bytes: &[u8], len: usize) -> String {
    or_null(hex::encode(bytes), bytes.len() != len || bytes.iter().all(|b| *b == 0))
}

fn service(resource: Option<&ProstResource>) -> String {
    let name = resource.and_then(|r| r.attributes.iter().find(|kv| kv.key == "service.name"));
    let name = name.and_then(|kv| match kv.value.as_ref()?.value.as_ref()? {
        Value::StringValue(v) => Some(v.clone()),
        Value::IntValue(v) => Some(v.to_string()),
        Value::DoubleValue(v) => Some(v.to_string()),
        Value::BoolValue(v) => Some(v.to_string()),
        Value::BytesValue(v) => Some(base64(v)),
        _ => Some(plain(kv.value.as_ref()).to_string()),
    });
    name.filter(|n| !n.is_empty()).unwrap_or_else(|| "unknown_service".to_owned())
}

const LOG_COLUMNS: [&str; 21] = [
    "service",
    "ts",
    "observed_ts",
    "severity_number",
    "severity_text",
    "body",
    "body_kind",
    "trace_id",
    "span_id",
    "flags",
    "event_name",
    "dropped_attributes",
    "scope_name",
    "scope_version",
    "scope_attrs",
    "attrs_str",
    "attrs_int",
    "attrs_f64",
    "attrs_bool",
    "attrs_json",
    "level",
];

fn naive_scope(scope: Option<&InstrumentationScope>) -> [String; 3] {
    let scope = scope.cloned().unwrap_or_default();
    let mut seen = std::collections::HashSet::new();
    let attributes: Vec<_> = scope.attributes.iter().filter(|kv| seen.insert(&kv.key)).collect();
    let list: Vec<_> = attributes.iter().map(|kv| json!({ "key": kv.key, "value": canonical(kv.value.as_ref()) })).collect();
    let json = serde_json::Value::from(list).to_string();
    [
        or_null(&scope.name, scope.name.is_empty()),
        or_null(&scope.version, scope.version.is_empty()),
        or_null(json, attributes.is_empty()),
    ]
}

fn naive_logs(request: &LogsRequest) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for block in &request.resource_logs {
        for scope in &block.scope_logs {
            let [scope_name, scope_version, scope_attrs] = naive_scope(scope.scope.as_ref());
            for record in &scope.log_records {
                let ts = [record.time_unix_nano as i64, record.observed_time_unix_nano as i64, NOW].into_iter().find(|t| *t != 0);
                let (body, kind) = match record.body.as_ref().and_then(|b| b.value.as_ref()) {
                    None | Some(Value::StringValueStrindex(_)) => (String::new(), "empty"),
                    Some(Value::StringValue(v)) => (v.clone(), "-"),
                    Some(Value::BytesValue(v)) => (base64(v), "bytes"),
                    Some(Value::IntValue(v)) => (v.to_string(), "int"),
                    Some(Value::DoubleValue(v)) => (v.to_string(), "double"),
                    Some(Value::BoolValue(v)) => (v.to_string(), "bool"),
                    Some(Value::ArrayValue(_)) => (plain(record.body.as_ref()).to_string(), "array"),
                    Some(Value::KvlistValue(_)) => (plain(record.body.as_ref()).to_string(), "map"),
                };
                let level = match (record.severity_text.as_str(), record.severity_number) {
                    ("", 0) => LogRules::default().levels.of_line(&body).to_owned(),
                    ("", number) => super::level::of_severity(number).to_owned(),
                    (text, _) => super::level::normalize(text).to_owned(),
                };
                let (attributes, _) = typed(&record.attributes);
                let mut row = vec![
                    service(block.resource.as_ref()),
                    ts.expect("now").to_string(),
                    or_null(record.observed_time_unix_nano, record.observed_time_unix_nano == 0),
                    or_null(record.severity_number, record.severity_number == 0),
                    or_null(&record.severity_text, record.severity_text.is_empty()),
                    body,
                    kind.to_owned(),
                    id(&record.trace_id, 16),
                    id(&record.span_id, 8),
                    or_null(record.flags as i32, record.flags == 0),
                    or_null(&record.event_name, record.event_name.is_empty()),
                    or_null(record.dropped_attributes_count as i32, record.dropped_attributes_count == 0),
                    scope_name.clone(),
                    scope_version.clone(),
                    scope_attrs.clone(),
                ];
                row.extend(attributes);
                row.push(level);
                rows.push(row);
            }
        }
    }
    rows
}

const SPAN_COLUMNS: [&str; 23] = [
    "trace_id",
    "ts",
    "span_id",
    "parent_span_id",
    "duration_ns",
    "service",
    "name",
    "kind",
    "status_code",
    "status_message",
    "trace_state",
    "flags",
    "dropped_attributes",
    "dropped_events",
    "dropped_links",
    "scope_name",
    "scope_version",
    "scope_attrs",
    "attrs_str",
    "attrs_int",
    "attrs_f64",
    "attrs_bool",
    "attrs_json",
];

fn naive_spans(request: &TracesRequest) -> (Vec<Vec<String>>, u64) {
    let (mut rows, mut refused) = (Vec::new(), 0);
    for block in &request.resource_spans {
        for scope in &block.scope_spans {
            for span in &scope.spans {
                if id(&span.trace_id, 16) == "-" || id(&span.span_id, 8) == "-" {
                    refused += 1;
                    continue;
                }
                let status = span.status.clone().unwrap_or_default();
                let number = |n: u32| or_null(n as i32, n == 0);
                let mut row = vec![
                    id(&span.trace_id, 16),
                    span.start_time_unix_nano.to_string(),
                    id(&span.span_id, 8),
                    id(&span.parent_span_id, 8),
                    span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano).to_string(),
                    service(block.resource.as_ref()),
                    span.name.clone(),
                    span.kind.to_string(),
                    status.code.to_string(),
                    or_null(&status.message, status.message.is_empty()),
                    or_null(&span.trace_state, span.trace_state.is_empty()),
                    number(span.flags),
                    number(span.dropped_attributes_count),
                    number(span.dropped_events_count),
                    number(span.dropped_links_count),
                ];
                row.extend(naive_scope(scope.scope.as_ref()));
                row.extend(typed(&span.attributes).0);
                rows.push(row);
            }
        }
    }
    (rows, refused)
}

// ---- generators ----

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        Just(None),
        "[a-z\"\\\\\n<é☃ ]{0,6}".prop_map(|v| Some(Value::StringValue(v))),
        any::<bool>().prop_map(|v| Some(Value::BoolValue(v))),
        any::<i64>().prop_map(|v| Some(Value::IntValue(v))),
        prop::sample::select(vec![0.5, -1.25, 1234.75]).prop_map(|v| Some(Value::DoubleValue(v))),
        prop::collection::vec(any::<u8>(), 0..5).prop_map(|v| Some(Value::BytesValue(v))),
    ];
    leaf.prop_map(|value| AnyValue { value }).prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|values| AnyValue { value: Some(Value::ArrayValue(ArrayValue { values })) }),
            prop::collection::vec(("[ab]", prop::option::of(inner)), 0..4).prop_map(|list| {
                let values = list.into_iter().map(|(key, value)| KeyValue { key, value, ..Default::default() }).collect();
                AnyValue { value: Some(Value::KvlistValue(KeyValueList { values })) }
            }),
        ]
    })
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let key = prop::sample::select(vec!["service.name", "a", "b", "http.status", "é"]);
    let one = (key, prop::option::of(any_value()));
    prop::collection::vec(one.prop_map(|(key, value)| KeyValue { key: key.to_owned(), value, ..Default::default() }), 0..5)
}

fn bytes_of(len: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![6 => prop::collection::vec(any::<u8>(), len), 1 => Just(vec![0; len]), 1 => prop::collection::vec(any::<u8>(), 0..20)]
}

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![1 => Just(0), 4 => 1_700_000_000_000_000_000u64..1_800_000_000_000_000_000, 1 => 1..i64::MAX as u64]
}

fn scope() -> impl Strategy<Value = Option<InstrumentationScope>> {
    let scope = ("[a-z]{0,3}", "[0-9]{0,2}", attributes(), 0u32..3);
    let scope = scope.prop_map(|(name, version, attributes, dropped_attributes_count)| InstrumentationScope {
        name,
        version,
        attributes,
        dropped_attributes_count,
    });
    prop::option::of(scope)
}

fn resource() -> impl Strategy<Value = Option<ProstResource>> {
    prop::option::of((attributes(), 0u32..3).prop_map(|(attributes, dropped)| ProstResource {
        attributes,
        dropped_attributes_count: dropped,
        ..Default::default()
    }))
}

fn log_record() -> impl Strategy<Value = LogRecord> {
    let times = (time(), time(), prop::sample::select(vec![0, 1, 9, 17, 24]), prop::sample::select(vec!["", "WARN", "Notice"]));
    let rest = (prop::option::of(any_value()), attributes(), 0u32..2, any::<u32>(), bytes_of(16), bytes_of(8), "[a-z]{0,2}");
    (times, rest).prop_map(
        |((time, observed, severity, text), (body, attributes, dropped, flags, trace_id, span_id, event_name))| LogRecord {
            time_unix_nano: time,
            observed_time_unix_nano: observed,
            severity_number: severity,
            severity_text: text.to_owned(),
            body,
            attributes,
            dropped_attributes_count: dropped,
            flags,
            trace_id,
            span_id,
            event_name,
        },
    )
}

fn logs_request() -> impl Strategy<Value = LogsRequest> {
    let scopes = (scope(), prop::collection::vec(log_record(), 0..4)).prop_map(|(scope, log_records)| ScopeLogs {
        scope,
        log_records,
        schema_url: String::new(),
    });
    let blocks = (resource(), prop::collection::vec(scopes, 0..3), "[a-z]{0,2}")
        .prop_map(|(resource, scope_logs, schema_url)| ResourceLogs { resource, scope_logs, schema_url });
    prop::collection::vec(blocks, 0..3).prop_map(|resource_logs| LogsRequest { resource_logs })
}

fn span() -> impl Strategy<Value = Span> {
    let ids = (bytes_of(16), bytes_of(8), bytes_of(8), "[a-z]{0,3}", "[a-z]{0,3}");
    let numbers = (any::<u32>(), 0..6i32, time(), time(), 0u32..2, 0..3i32);
    let event = (time(), "[a-z]{0,3}", attributes(), 0u32..2).prop_map(|(time_unix_nano, name, attributes, dropped)| Event {
        time_unix_nano,
        name,
        attributes,
        dropped_attributes_count: dropped,
    });
    let link = (bytes_of(16), bytes_of(8), attributes()).prop_map(|(trace_id, span_id, attributes)| Link {
        trace_id,
        span_id,
        attributes,
        ..Default::default()
    });
    let lists = (attributes(), prop::collection::vec(event, 0..3), prop::collection::vec(link, 0..3));
    (ids, numbers, lists).prop_map(
        |((trace_id, span_id, parent, name, state), (flags, kind, start, end, dropped, code), lists)| Span {
            trace_id,
            span_id,
            trace_state: state.clone(),
            parent_span_id: parent,
            flags,
            name,
            kind,
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            attributes: lists.0,
            dropped_attributes_count: dropped,
            events: lists.1,
            dropped_events_count: dropped,
            links: lists.2,
            dropped_links_count: dropped,
            status: Some(Status { message: state, code }),
        },
    )
}

fn traces_request() -> impl Strategy<Value = TracesRequest> {
    let scopes = (scope(), prop::collection::vec(span(), 0..4)).prop_map(|(scope, spans)| ScopeSpans {
        scope,
        spans,
        schema_url: String::new(),
    });
    let blocks = (resource(), prop::collection::vec(scopes, 0..3)).prop_map(|(resource, scope_spans)| ResourceSpans {
        resource,
        scope_spans,
        schema_url: String::new(),
    });
    prop::collection::vec(blocks, 0..3).prop_map(|resource_spans| TracesRequest { resource_spans })
}

fn rows(batch: Option<&RecordBatch>, names: &[&str]) -> Vec<Vec<String>> {
    let Some(batch) = batch else { return Vec::new() };
    let columns: Vec<_> = names.iter().map(|name| column(batch, name)).collect();
    (0..batch.num_rows()).map(|row| columns.iter().map(|c| c[row].clone()).collect()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn logs_as_prost_reads_them(request in logs_request()) {
        let converted = logs(&request);
        prop_assert_eq!(rows(batch(&converted, Table::Logs), &LOG_COLUMNS), naive_logs(&request));
        prop_assert_eq!(converted.rejected, 0);
    }

    #[test]
    fn spans_as_prost_reads_them(request in traces_request()) {
        let converted = spans(&request);
        let (expected, refused) = naive_spans(&request);
        prop_assert_eq!(rows(batch(&converted, Table::Spans), &SPAN_COLUMNS), expected);
        prop_assert_eq!(converted.rejected, refused);
        let events: usize = batch(&converted, Table::Spans).map_or(0, |b| b.column_by_name("events").unwrap().as_list::<i32>().values().len());
        let taken = |s: &&Span| id(&s.trace_id, 16) != "-" && id(&s.span_id, 8) != "-";
        let all = request.resource_spans.iter().flat_map(|b| &b.scope_spans).flat_map(|s| &s.spans).filter(taken);
        prop_assert_eq!(events, all.map(|s| s.events.len()).sum::<usize>());
    }

    /// Stricter than prost: groups, and messages that occur twice. Looser: what is inside a refused record, and fields that no column has.
    #[test]
    fn broken_bytes_never_panic(request in logs_request(), traces in traces_request(), edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), cut in any::<prop::sample::Index>()) {
        let (logs, spans) = converters(ReceiveConfig::default());
        for (mut bytes, is_logs) in [(request.encode_to_vec(), true), (traces.encode_to_vec(), false)] {
            if bytes.is_empty() { continue; }
            for (at, byte) in &edits {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            if edits.len() % 2 == 1 {
                bytes.truncate(cut.index(bytes.len()));
            }
            let (ours, prost) = if is_logs {
                (logs.convert(&TenantId::anonymous(), &bytes), LogsRequest::decode(bytes.as_slice()).map(|_| ()))
            } else {
                (spans.convert(&TenantId::anonymous(), &bytes), TracesRequest::decode(bytes.as_slice()).map(|_| ()))
            };
            if let (Err(error), Ok(())) = (&ours, &prost) {
                let text = error.to_string();
                prop_assert!(text.contains("group") || text.contains("more than once") || text.contains("tag"), "{}", text);
            }
        }
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (logs, spans) = converters(ReceiveConfig::default());
        let _ = logs.convert(&TenantId::anonymous(), &bytes);
        let _ = spans.convert(&TenantId::anonymous(), &bytes);
    }
}

// ---- rules ----

fn one_log(record: LogRecord) -> LogsRequest {
    let scope_logs = vec![ScopeLogs { log_records: vec![LogRecord::default(), record], ..Default::default() }];
    LogsRequest { resource_logs: vec![ResourceLogs { scope_logs, ..Default::default() }] }
}

fn text_value(text: &str) -> Option<AnyValue> {
    Some(AnyValue { value: Some(Value::StringValue(text.to_owned())) })
}

#[test]
fn a_bad_record_is_refused_alone() {
    #[track_caller]
    fn check(record: LogRecord, config: ReceiveConfig, reason: &str) {
        let body = one_log(record).encode_to_vec();
        let converted = converters(config).0.convert(&TenantId::anonymous(), &body).expect("a request");
        assert_eq!((converted.accepted, converted.rejected), (1, 1), "{reason}");
        assert_eq!(converted.reason.as_deref(), Some(reason));
    }
    let many = (0..100_000).map(|n| KeyValue { key: n.to_string(), value: text_value("v"), ..Default::default() }).collect();
    check(LogRecord { attributes: many, ..Default::default() }, ReceiveConfig::default(), "1 refused: too many attributes");
    let long = "x".repeat(2 << 20);
    let attributes = vec![KeyValue { key: "a".to_owned(), value: text_value(&long), ..Default::default() }];
    check(LogRecord { attributes, ..Default::default() }, ReceiveConfig::default(), "1 refused: an attribute is too long");
    check(
        LogRecord { body: text_value(&long), ..Default::default() },
        ReceiveConfig::default(),
        "1 refused: a text field is too long",
    );
    let late = LogRecord { time_unix_nano: i64::MAX as u64 + 1, ..Default::default() };
    check(late, ReceiveConfig::default(), "1 refused: the time is outside the years 1677 to 2262");
    let config = ReceiveConfig { past_max: Some(Duration::from_secs(60)), ..ReceiveConfig::default() };
    check(LogRecord { time_unix_nano: 1, ..Default::default() }, config, "1 refused: the time is too far in the past");
    let mut deep = text_value("x");
    for _ in 0..40 {
        deep = Some(AnyValue { value: Some(Value::ArrayValue(ArrayValue { values: deep.into_iter().collect() })) });
    }
    check(
        LogRecord { body: deep, ..Default::default() },
        ReceiveConfig::default(),
        "1 refused: attribute values are nested too deeply",
    );
}

/// Times at and beyond what 64 signed bits hold, and spans that end before they begin.
#[test]
fn the_ends_of_time_are_kept_or_refused() {
    let end = i64::MAX as u64;
    for (time, taken) in [(1, true), (end - 1, true), (end, true), (end + 1, false), (u64::MAX, false)] {
        let converted = logs(&one_log(LogRecord { time_unix_nano: time, ..Default::default() }));
        assert_eq!(converted.accepted, 1 + u64::from(taken), "{time}");
        let ts = column(batch(&converted, Table::Logs).expect("logs"), "ts");
        assert_eq!(ts.contains(&time.to_string()), taken, "{time}: {ts:?}");
    }
    for (start, end, duration) in
        [(1, u64::MAX, Some(i64::MAX)), (end, 0, Some(0)), (5, 4, Some(0)), (5, 5, Some(0)), (end + 1, u64::MAX, None)]
    {
        let span = Span {
            trace_id: vec![1; 16],
            span_id: vec![1; 8],
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            ..Default::default()
        };
        let scope_spans = vec![ScopeSpans { spans: vec![span], ..Default::default() }];
        let converted = spans(&TracesRequest { resource_spans: vec![ResourceSpans { scope_spans, ..Default::default() }] });
        assert_eq!(converted.accepted, u64::from(duration.is_some()), "{start} {end}");
        let found = batch(&converted, Table::Spans).map(|batch| column(batch, "duration_ns"));
        assert_eq!(found, duration.map(|ns| vec![ns.to_string()]), "{start} {end}");
    }
}

#[test]
fn text_that_is_not_utf8_is_refused_alone() {
    let marker = "MARKER";
    let mut body = one_log(LogRecord { body: text_value(marker), ..Default::default() }).encode_to_vec();
    let at = body.windows(marker.len()).position(|w| w == marker.as_bytes()).expect("the marker");
    body[at] = 0xff;
    let converted = converters(ReceiveConfig::default()).0.convert(&TenantId::anonymous(), &body).expect("a request");
    assert_eq!((converted.accepted, converted.rejected), (1, 1));
    assert_eq!(converted.reason.as_deref(), Some("1 refused: text is not valid UTF-8"));
}

/// An `AnyValue` of 10,000 arrays within each other, as bytes: prost would recurse to its own limit.
#[test]
fn deep_recursion_is_refused() {
    let mut value: Vec<u8> = vec![0x0a, 0x01, b'x'];
    let nest = |tag: u8, inner: &[u8]| {
        let mut out = vec![tag];
        prost::encoding::encode_varint(inner.len() as u64, &mut out);
        out.extend_from_slice(inner);
        out
    };
    for _ in 0..10_000 {
        value = nest(0x2a, &nest(0x0a, &value));
    }
    let body = nest(0x0a, &nest(0x12, &nest(0x12, &nest(0x2a, &value))));
    let converted = converters(ReceiveConfig::default()).0.convert(&TenantId::anonymous(), &body).expect("well-formed");
    assert_eq!((converted.accepted, converted.rejected), (0, 1));
}

#[test]
fn bad_ids_of_logs_become_none_and_those_of_spans_refuse() {
    for (trace_id, ok) in [(vec![], true), (vec![1; 16], true), (vec![1; 8], false), (vec![1; 17], false), (vec![0; 16], false)] {
        let converted = logs(&one_log(LogRecord { trace_id: trace_id.clone(), ..Default::default() }));
        assert_eq!((converted.accepted, converted.rejected, converted.reason.is_none()), (2, 0, ok), "{trace_id:?}");
        let span = Span { trace_id: trace_id.clone(), span_id: vec![1; 8], parent_span_id: vec![1; 7], ..Default::default() };
        let scope_spans = vec![ScopeSpans { spans: vec![span], ..Default::default() }];
        let request = TracesRequest { resource_spans: vec![ResourceSpans { scope_spans, ..Default::default() }] };
        let taken = u64::from(ok && !trace_id.is_empty());
        assert_eq!((spans(&request).accepted, spans(&request).rejected), (taken, 1 - taken), "{trace_id:?}");
    }
}

#[test]
fn dictionary_rows_come_until_they_are_confirmed() {
    let day = 86_400_000_000_000u64;
    let record = |ts| LogRecord { time_unix_nano: ts, ..Default::default() };
    let scope_logs = vec![ScopeLogs {
        log_records: vec![record(20_000 * day + 9), record(20_000 * day + 5), record(20_001 * day)],
        ..Default::default()
    }];
    let attributes = vec![
        KeyValue { key: "k8s.job.name".to_owned(), value: text_value("etl"), ..Default::default() },
        KeyValue { key: "host.name".to_owned(), value: text_value("h"), ..Default::default() },
    ];
    let resource = Some(ProstResource { attributes, ..Default::default() });
    let body = LogsRequest { resource_logs: vec![ResourceLogs { resource, scope_logs, ..Default::default() }] }.encode_to_vec();
    let (logs, _) = converters(ReceiveConfig::default());
    let tenant = TenantId::anonymous();
    for _ in 0..2 {
        let converted = logs.convert(&tenant, &body).expect("a request");
        let streams = batch(&converted, Table::Streams).expect("streams");
        assert_eq!(column(streams, "ts"), [(20_000 * day + 5).to_string(), (20_001 * day).to_string()]);
        assert_eq!(column(streams, "labels")[0], "{k8s_job_name: etl, service_name: etl}");
        assert_eq!(column(batch(&converted, Table::Resources).expect("resources"), "service"), ["unknown_service"; 2]);
    }
    logs.convert(&tenant, &body).expect("a request").confirm();
    let converted = logs.convert(&tenant, &body).expect("a request");
    assert_eq!(converted.rows.len(), 1);
    let other = logs.convert(&TenantId::parse("other").expect("valid"), &body).expect("a request");
    assert_eq!(other.rows.len(), 3);
    let seqs = other.rows[0].1.column_by_name("seq").expect("seq").as_primitive::<Int64Type>().values().to_vec();
    assert_eq!(seqs, [NOW + 12, NOW + 13, NOW + 14]);
}
