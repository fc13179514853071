use ::http::{HeaderMap, Request, StatusCode};
use axum::body::Body;
use catalog::env::fixed;
use catalog::{TenantId, Timestamp};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::convert::loki::LokiConfig;
use crate::receive::loki::tests::{Fixture, fixture};
use crate::sink::SinkError;

async fn ask(
    fixture: &Fixture,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> (StatusCode, HeaderMap, Value) {
    let mut request = Request::builder().method(method).uri(path).extension(TenantId::anonymous());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (env, _) = fixed::env(Timestamp::from_secs(1), 2);
    let router = router(ElasticState::new(fixture.state.clone(), env));
    let response = router.oneshot(request.body(Body::from(body.to_vec())).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    assert_eq!(parts.headers["x-elastic-product"], "Elasticsearch");
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn bulk_answers_with_a_result_per_document() {
    let fixture = fixture(None, LokiConfig::default());
    let body = b"{\"create\":{\"_index\":\"web\",\"_id\":\"7\"}}\n{\"@timestamp\":\"2026-01-01\",\"message\":\"a\"}\n{\"index\":{}}\n7\n";
    let (status, _, answer) = ask(&fixture, "POST", "/logs/_bulk?filter_path=x", &[], body).await;
    assert_eq!(status, 200);
    let created = json!({ "create": {
        "_index": "web", "_id": "7", "_version": 1, "result": "created", "_shards": { "total": 1, "successful": 1, "failed": 0 },
        "_seq_no": 0, "_primary_term": 1, "status": 201
    } });
    assert_eq!((&answer["items"][0], &answer["errors"]), (&created, &json!(true)));
    let refused = &answer["items"][1]["index"];
    assert_eq!((&refused["status"], &refused["_index"]), (&json!(400), &json!("logs")));
    assert_eq!(refused["error"]["type"], "document_parsing_exception");
    // Sent again it is not stored again.
    ask(&fixture, "PUT", "/logs/_bulk", &[], body).await;
    assert_eq!(fixture.sink.appends.lock().len(), 1);
    let gzip = {
        use std::io::Write;
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(b"{\"index\":{\"_index\":\"web\"}}\n{\"message\":\"b\"}\n").unwrap();
        writer.finish().unwrap()
    };
    let (status, _, answer) = ask(&fixture, "POST", "/_bulk", &[("content-encoding", "gzip")], &gzip).await;
    assert_eq!((status.as_u16(), &answer["errors"]), (200, &json!(false)));
    assert_eq!(fixture.stored().into_values().map(|lines| lines.len()).sum::<usize>(), 2);
}

#[tokio::test]
async fn single_documents() {
    let fixture = fixture(None, LokiConfig::default());
    for (method, path, status) in
        [("POST", "/web/_doc", 201), ("PUT", "/web/_doc/7", 201), ("POST", "/web/_create/8", 201), ("GET", "/web/_doc/7", 404)]
    {
        let (found, _, answer) = ask(&fixture, method, path, &[], b"{\"message\":\"a\",\"@timestamp\":1790000000000}").await;
        assert_eq!(found.as_u16(), status, "{method} {path} {answer}");
        assert_eq!(answer["result"] == "created", status == 201, "{answer}");
    }
    let (status, _, answer) = ask(&fixture, "POST", "/web/_doc", &[], b"nothing").await;
    assert_eq!((status.as_u16(), &answer["error"]["type"]), (400, &json!("document_parsing_exception")));
    assert_eq!(fixture.stored().into_values().map(|lines| lines.len()).sum::<usize>(), 3);
}

#[tokio::test]
async fn failures_have_elasticsearchs_form() {
    let good = b"{\"index\":{\"_index\":\"x\"}}\n{\"message\":\"a\"}\n";
    let full = SinkError::Overloaded { reason: "full".to_owned(), retry_after_s: 5 };
    let (status, headers, answer) = ask(&fixture(Some(full), LokiConfig::default()), "POST", "/_bulk", &[], good).await;
    assert_eq!((status.as_u16(), headers["retry-after"].to_str().unwrap()), (503, "5"));
    assert_eq!((&answer["error"]["type"], &answer["status"]), (&json!("es_rejected_execution_exception"), &json!(503)));
    let plain = fixture(None, LokiConfig::default());
    let (status, _, answer) = ask(&plain, "POST", "/_bulk", &[], b"nothing\n").await;
    assert_eq!((status.as_u16(), &answer["error"]["type"]), (400, &json!("illegal_argument_exception")));
    let (status, ..) = ask(&plain, "POST", "/_bulk", &[("content-encoding", "br")], good).await;
    assert_eq!(status, 415);
}

#[tokio::test]
async fn shippers_get_through_their_handshake() {
    let fixture = fixture(None, LokiConfig::default());
    for (method, path, pointer, expected) in [
        ("GET", "/", "/version/number", json!("8.19.0")),
        ("GET", "/_license", "/license/status", json!("active")),
        ("GET", "/_xpack", "/license/type", json!("basic")),
        ("GET", "/_cluster/health", "/status", json!("green")),
        ("GET", "/_nodes/http", "/nodes/telelake/version", json!("8.19.0")),
        ("GET", "/_ilm/policy/filebeat", "/filebeat/version", json!(1)),
        ("PUT", "/_ilm/policy/filebeat", "/acknowledged", json!(true)),
        ("GET", "/_index_template/filebeat-8", "/index_templates/0/name", json!("filebeat-8")),
        ("PUT", "/_index_template/filebeat-8", "/acknowledged", json!(true)),
        ("GET", "/_template/logstash", "/logstash/index_patterns", json!([])),
        ("PUT", "/_ingest/pipeline/p", "/acknowledged", json!(true)),
        ("GET", "/_ingest/pipeline/p", "/p/processors", json!([])),
        ("GET", "/_data_stream/logs-x", "/data_streams/0/name", json!("logs-x")),
        ("PUT", "/_data_stream/logs-x", "/acknowledged", json!(true)),
        ("GET", "/_alias/a", "/a/aliases/a", json!({})),
        ("PUT", "/web", "/index", json!("web")),
        ("GET", "/_cat/indices?format=json", "", json!([])),
    ] {
        let (status, _, answer) = ask(&fixture, method, path, &[], b"{}").await;
        assert_eq!((status.as_u16(), answer.pointer(pointer)), (200, Some(&expected)), "{method} {path}");
    }
    for (method, path, status) in
        [("HEAD", "/", 200), ("HEAD", "/_index_template/x", 200), ("GET", "/_sql", 404), ("DELETE", "/_bulk", 404)]
    {
        assert_eq!(ask(&fixture, method, path, &[], b"").await.0.as_u16(), status, "{method} {path}");
    }
    assert_eq!(fixture.sink.appends.lock().len(), 0);
}
