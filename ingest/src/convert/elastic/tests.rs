use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, TimestampNanosecondType};
use catalog::env::fixed;
use catalog::{Table, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::convert::loki::LokiConfig;
use crate::convert::{LogRules, Resources};
use crate::receive::ReceiveConfig;

const NOW: i64 = 1_790_000_000_000_000_000;

fn converter(config: LokiConfig) -> Arc<PushConverter> {
    let (env, _) = fixed::env(Timestamp::from_nanos(NOW), 1);
    let resources = Resources::new(&ReceiveConfig::default(), LogRules::new(&config).unwrap());
    PushConverter::new(config, env, resources)
}

fn bulk(body: &str) -> Result<Bulk, BulkError> {
    converter(LokiConfig::default()).convert_bulk(&TenantId::anonymous(), Some("of-path"), body.as_bytes())
}

fn pairs(batch: &arrow::array::RecordBatch, column: &str, row: usize) -> Vec<String> {
    let entries = batch[column].as_map().value(row);
    let (names, values) = (entries.column(0).as_string::<i32>(), entries.column(1).as_string::<i32>());
    (0..names.len()).map(|at| format!("{}={}", names.value(at), values.value(at))).collect()
}

/// Time, level, body and metadata of the rows; the labels of the streams.
fn rows(bulk: &Bulk) -> (Vec<String>, Vec<String>) {
    let (mut lines, mut streams) = (Vec::new(), Vec::new());
    for (table, batch) in &bulk.pushed.converted.rows {
        for row in 0..batch.num_rows() {
            if *table == Table::Streams {
                streams.push(pairs(batch, "labels", row).join(" "));
                continue;
            }
            let level = batch["level"].as_dictionary::<Int32Type>();
            lines.push(format!(
                "{} {} {} | {}",
                batch["ts"].as_primitive::<TimestampNanosecondType>().value(row),
                level.values().as_string::<i32>().value(level.keys().value(row) as usize),
                batch["body"].as_string::<i32>().value(row),
                pairs(batch, "attrs_str", row).join(" ")
            ));
        }
    }
    (lines, streams)
}

#[test]
fn documents_become_lines() {
    #[track_caller]
    fn check(document: &str, line: &str, stream: &str) {
        let bulk = bulk(&format!("{{\"index\":{{\"_index\":\"web\"}}}}\n{document}\n")).unwrap();
        assert_eq!(rows(&bulk), (vec![line.to_owned()], vec![stream.to_owned()]), "{document}");
        assert_eq!(bulk.items[0].outcome, Outcome::Created);
    }
    check(
        r#"{"@timestamp":"2026-09-21T14:13:20Z","message":"hi","host":{"name":"h1","ip":["::1"]},"log.level":"WARN","n":{"2x":1.50,"t":true,"z":null}}"#,
        r#"1790000000000000000 warn hi | host_ip=["::1"] log_level=WARN n_2x=1.50 n_t=true"#,
        "host_name=h1 index=web service_name=unknown_service",
    );
    check(
        r#"{"@timestamp":1790000000123,"log":"err: x","message":{"not":"text"},"service":{"name":"s"},"trace_id":"0102030405060708090a0b0c0d0e0f10"}"#,
        "1790000000123000000 error err: x | message_not=text",
        "index=web service_name=s",
    );
    check(
        r#"{"a":"\u00e4","msg":"m","log":"l","kubernetes":{"container_name":"c","container":{"name":"d"}}}"#,
        "1790000000000000000 unknown l | a=ä kubernetes_container_name=d msg=m", // the first one is the label
        "index=web kubernetes_container_name=c service_name=unknown_service",
    );
    check(r#"{"a":"b"}"#, r#"1790000000000000000 unknown {"a":"b"} | a=b"#, "index=web service_name=unknown_service");
}

#[test]
fn every_action_has_its_result() {
    let body = concat!(
        "{\"create\":{\"_id\":\"7\"}}\n{\"message\":\"a\",\"@timestamp\":\"2026-01-01\"}\r\n\n",
        "{\"delete\":{\"_index\":\"x\",\"_id\":\"1\"}}\n",
        "{\"update\":{\"_id\":\"1\"}}\n{\"doc\":{}}\n",
        "{\"index\":{}}\n{\"message\":\n",
        "{\"index\":{}}\n{\"message\":\"a\",\"@timestamp\":\"soon\"}\n",
        "{\"index\":{}}\n{\"message\":\"a\"}",
    );
    let bulk = bulk(body).unwrap();
    let told: Vec<_> = bulk
        .items
        .iter()
        .map(|item| {
            let outcome = match &item.outcome {
                Outcome::Created => "created".to_owned(),
                Outcome::Refused { status, kind, .. } => format!("{status} {kind}"),
            };
            format!("{} {} {:?} {outcome}", item.action.name(), item.index, item.id.as_deref().unwrap_or_default())
        })
        .collect();
    assert_eq!(
        told,
        [
            "create of-path \"7\" created",
            "delete x \"1\" 400 illegal_argument_exception",
            "update of-path \"1\" 400 illegal_argument_exception",
            "index of-path \"\" 400 document_parsing_exception",
            "index of-path \"\" 400 document_parsing_exception",
            "index of-path \"\" created",
        ]
    );
    assert!(bulk.pushed.converted.undated);
    assert_eq!(rows(&bulk).0.len(), 2);
}

#[test]
fn what_is_no_bulk_request() {
    for (body, expected) in [
        ("{\"index\":{}}\n", "[2]"),
        ("{\"index\":{}", "[1]"),
        ("[]\n{}\n", "[1]: expected an object"),
        ("{}\n{}\n", "[1]: there is no action"),
        ("{\"index\":{},\"create\":{}}\n{}\n", "[1]: more than one action"),
        ("{\"drop\":{}}\n{}\n", "expected index, create, update or delete"),
    ] {
        let error = bulk(body).unwrap_err().to_string();
        assert!(error.contains(expected), "{body}: {error}");
    }
    assert_eq!(bulk("").unwrap().items, []);
}

#[test]
fn a_tenant_that_is_too_fast_is_told_so_in_every_result() {
    let config = LokiConfig { ingestion_rate_mb: 1.0, ingestion_burst_size_mb: 0.000_001, ..LokiConfig::default() };
    let body = "{\"index\":{\"_index\":\"x\"}}\n{\"message\":\"long enough\"}\n{\"index\":{\"_index\":\"x\"}}\n[]\n";
    let bulk = converter(config).convert_bulk(&TenantId::anonymous(), None, body.as_bytes()).unwrap();
    let statuses: Vec<_> = bulk
        .items
        .iter()
        .map(|item| match item.outcome {
            Outcome::Created => 201,
            Outcome::Refused { status, .. } => status,
        })
        .collect();
    assert_eq!((statuses, bulk.pushed.converted.rows.len()), (vec![429, 400], 0));
}

proptest! {
    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), document in r#"[\[\]{}":,a-z0-9@.\\ ]{0,60}"#) {
        let converter = converter(LokiConfig::default());
        let tenant = TenantId::anonymous();
        let _ = converter.convert_bulk(&tenant, None, &bytes);
        let body = format!("{{\"index\":{{\"_index\":\"x\"}}}}\n{{\"a\":{document}}}\n");
        converter.convert_bulk(&tenant, None, body.as_bytes()).unwrap();
        converter.convert_document(&tenant, Action::Index, ("x", None), document.as_bytes()).unwrap();
    }
}
