//! SQL over HTTP, request by request, over a lake in memory.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../../query/tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use catalog::{Table, TenantId};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sql::{SqlConfig, SqlEngine, SqlRequest};
use support::{World, sample, series, tenant};
use tower::ServiceExt;

struct Server {
    world: World,
    engine: Arc<SqlEngine>,
}

struct Answer {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }
}

impl Server {
    async fn with(config: SqlConfig) -> Self {
        let world = World::new().await;
        let a = tenant("a");
        world.commit(&a, Table::Series, json!([series("up", 1, json!({"job": "api"}))])).await;
        world.commit(&a, Table::Samples, json!([sample("up", 1, 0, 1.0), sample("up", 1, 15, 2.0)])).await;
        let engine = SqlEngine::new(Arc::clone(&world.engine), config, tokio::runtime::Handle::current()).unwrap();
        Self { world, engine }
    }

    async fn new() -> Self {
        Self::with(SqlConfig::default()).await
    }

    async fn send(&self, tenant: &TenantId, request: axum::http::request::Builder, body: impl Into<Body>) -> Answer {
        let mut request = request.body(body.into()).unwrap();
        request.extensions_mut().insert(tenant.clone());
        let response = sql::http::router(Arc::clone(&self.engine)).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8_lossy(&bytes).into_owned() }
    }

    async fn post(&self, options: &str, text: &str) -> Answer {
        self.send(&tenant("a"), Request::post(format!("/api/v1/sql?{options}")), text.to_owned()).await
    }
}

#[tokio::test]
async fn a_query_in_every_place() {
    let server = Server::new().await;
    let a = tenant("a");
    let select = "SELECT metric, labels, value FROM metrics ORDER BY ts";
    let expected = json!([["up", {"job": "api"}, 1.0], ["up", {"job": "api"}, 2.0]]);
    let answer = server.post("", select).await;
    assert_eq!((answer.status, &answer.json()["rows"]), (StatusCode::OK, &expected), "{}", answer.text);
    let stats = &answer.json()["stats"];
    assert_eq!((&stats["rows"], &stats["files_scanned"], &stats["snapshot"]), (&json!(2), &json!(2), &json!(2)), "{stats}");
    assert_eq!(answer.headers["x-query-rows"], "2");
    assert_eq!(answer.headers["x-query-id"].to_str().unwrap(), stats["query_id"].as_str().unwrap());
    let get = Request::get("/api/v1/sql?query=SELECT%20metric%2C%20labels%2C%20value%20FROM%20metrics%20ORDER%20BY%20ts");
    assert_eq!(server.send(&a, get, Body::empty()).await.json()["rows"], expected);
    let json_body = json!({"query": "SELECT value FROM metrics WHERE value > $1", "params": [1.5], "format": "csv"}).to_string();
    let post = Request::post("/api/v1/sql").header("content-type", "application/json");
    assert_eq!(server.send(&a, post, json_body).await.text, "value\n2.0\n");
    let named =
        json!({"query": "SELECT value FROM metrics WHERE metric = $m", "params": {"m": "none"}, "default_format": "JSONEachRow"});
    let post = Request::post("/api/v1/sql").header("content-type", "application/json");
    assert_eq!(server.send(&a, post, named.to_string()).await.text, "");
    let form =
        Request::post("/api/v1/sql").header("content-type", "application/x-www-form-urlencoded").header("accept", "text/csv");
    assert_eq!(server.send(&a, form, "query=SELECT+1+AS+x").await.text, "x\n1\n");
}

#[tokio::test]
async fn every_format_answers() {
    let server = Server::new().await;
    for format in sql::format::Format::ALL {
        for text in ["SELECT * FROM metrics", "SELECT * FROM logs", "SHOW TABLES", "DESCRIBE spans", "EXPLAIN SELECT 1"] {
            let answer = server.post(&format!("format={}", format.name()), text).await;
            assert_eq!(answer.status, StatusCode::OK, "{format:?} {text}: {}", answer.text);
            assert_eq!(answer.headers["content-type"], format.content_type());
        }
    }
    let plan = server.post("format=pretty&explain=analyze", "SELECT value FROM metrics").await.text;
    assert!(plan.contains("LakeScanExec") && plan.contains("output_rows=2"), "{plan}");
    let answer = server.post("max_rows=1", "SELECT value FROM metrics").await.json();
    assert_eq!((answer["rows"].as_array().unwrap().len(), &answer["stats"]["truncated"]), (1, &json!(true)));
    let past = server.post("snapshot=1", "SELECT count(*) FROM metrics").await.json();
    assert_eq!(past["rows"], json!([[0]]));
}

#[tokio::test]
async fn hostile_statements_get_a_status_and_a_name() {
    let server = Server::new().await;
    let deep = format!("SELECT {}1{}", "(".repeat(50_000), ")".repeat(50_000));
    let long = format!("SELECT '{}'", "x".repeat(300_000));
    let huge = "x".repeat(2_000_000);
    let chain = format!("SELECT sid{} FROM metrics", " + sid".repeat(590));
    let joins = format!("SELECT 1 FROM (SELECT 1) {}", ", (SELECT 1)".repeat(20_000));
    let doubled = |step: &str, first: &str| {
        let steps: String = (1..40).map(|n| format!(", t{n} AS (SELECT {step} AS v FROM t{})", n - 1)).collect();
        format!("WITH t0 AS (SELECT {first} AS v){steps} SELECT v FROM t39")
    };
    let (joined, concatenated) = (doubled("v || v", "repeat('x', 100000)"), doubled("concat(v, v)", "repeat('x', 100000)"));
    let (lists, hex) = (doubled("v || v", "[1, 2]"), doubled("encode(v, 'hex')", "repeat('x', 100000)"));
    let many = (0..200).map(|n| format!("length(repeat('{n:03}', 300000))")).collect::<Vec<_>>().join(", ");
    let many = format!("SELECT {many}");
    let cases: [(&str, u16, &str); 44] = [
        ("COPY (SELECT 1) TO '/tmp/x'", 400, "COPY is not allowed"),
        ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", 400, "CREATE EXTERNAL TABLE is not allowed"),
        ("SET datafusion.execution.target_partitions = 1000", 400, "SET is not allowed"),
        ("INSERT INTO metrics SELECT * FROM metrics", 400, "INSERT is not allowed"),
        ("SELECT * INTO t FROM metrics", 400, ""),
        ("DROP TABLE metrics", 400, "DROP TABLE is not allowed"),
        ("SELECT 1; SELECT 2", 400, "one statement"),
        ("", 400, "query"),
        ("SELEC 1", 400, ""),
        ("SELECT * FROM '/etc/passwd'", 404, "not found"),
        ("SELECT * FROM nowhere", 404, "not found"),
        ("SELECT nothing FROM metrics", 404, "nothing"),
        ("SELECT no_such_function(1)", 400, "no_such_function"),
        ("SELECT 1/0", 400, "zero"),
        ("SELECT CAST('x' AS BIGINT)", 400, ""),
        ("SELECT repeat('x', 2000000000)", 422, "repeat would make"),
        ("SELECT * FROM generate_series(1, 1000000000000)", 422, "generate_series would make"),
        ("WITH RECURSIVE t AS (SELECT 1 n UNION ALL SELECT n + 1 FROM t) SELECT * FROM t", 400, "ecursive"),
        ("SELECT $1", 400, ""),
        (&deep, 400, ""),
        (&long, 413, "statement has"),
        (&huge, 413, "request body"),
        (&chain, 200, ""),
        (&joins, 422, "in a row"),
        ("SHOW ALL", 400, "not allowed"),
        ("EXPLAIN DELETE FROM metrics", 400, "not allowed"),
        ("DESCRIBE nowhere", 404, "not found"),
        ("WITH x AS (DELETE FROM metrics) SELECT * FROM x", 400, "DELETE is not allowed"),
        ("SELECT * FROM metrics FOR UPDATE", 400, "SELECT FOR UPDATE is not allowed"),
        ("SELECT * FROM metrics TABLESAMPLE BERNOULLI (1)", 400, "TABLESAMPLE is not allowed"),
        (&joined, 422, "|| would make"),
        (&concatenated, 422, "concat would make"),
        (&lists, 422, "array_concat would make"),
        (&hex, 422, "encode would make"),
        (&many, 422, "bytes of constants in one statement"),
        ("SELECT regexp_replace(repeat('x', 100000), '', repeat('y', 100000), 'g')", 422, "regexp_replace would make"),
        ("SELECT to_char(now(), repeat('%c', 500000))", 422, "to_char would make"),
        ("SELECT array_to_string(range(1000000), repeat('y', 1000000))", 422, "array_to_string would make"),
        ("SELECT levenshtein(repeat('a', 100000), repeat('b', 100000))", 422, "levenshtein would make"),
        ("SELECT array_has_all(range(1000000), range(1000000))", 422, "array_has_all would make"),
        ("SELECT metric FROM metrics WHERE metric ~ '.{1000}{1000}{1000}'", 400, "did not compile"),
        ("SELECT metric || '-' || value FROM metrics", 200, "up-1.0"),
        ("SELECT name FROM information_schema.df_settings", 200, "\"rows\":[]"),
        ("SELECT version()", 200, "Telelake"),
    ];
    for (text, status, part) in cases {
        let shown: String = text.chars().take(60).collect();
        let answer = server.post("", text).await;
        assert_eq!(answer.status.as_u16(), status, "{shown}: {}", answer.text);
        assert!(answer.text.contains(part), "{shown}: {}", answer.text);
        if status != 200 {
            let error = answer.json();
            assert!(error["error"].is_string() && error["kind"].is_string(), "{shown}: {error}");
            assert!(
                !answer.text.contains("data/") && !answer.text.contains("DataFusion") && !answer.text.contains("backtrace"),
                "{}",
                answer.text
            );
        }
    }
    assert_eq!(server.post("format=xml", "SELECT 1").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(server.post("timeout=never", "SELECT 1").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(server.post("params=%5B%5B1%5D%5D", "SELECT $1").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(server.post("snapshot=999", "SELECT 1").await.status, StatusCode::NOT_FOUND);
    let delete = Request::delete(format!("/api/v1/sql/{}", uuid::Uuid::nil()));
    assert_eq!(server.send(&tenant("a"), delete, Body::empty()).await.status, StatusCode::NOT_FOUND);
    let request = Request::get("/api/v1/sql?query=SELECT+1").body(Body::empty()).unwrap();
    let response = sql::http::router(Arc::clone(&server.engine)).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR, "no tenant");
    assert_eq!(server.engine.running(), 0, "nothing is left behind");
}

#[tokio::test]
async fn answers_are_bounded() {
    let server = Server::with(SqlConfig { rows_max: 100, ..SqlConfig::default() }).await;
    let answer = server.post("", "SELECT * FROM generate_series(1, 1000)").await;
    assert_eq!((answer.status.as_u16(), answer.text.contains("limit sql.rows_max")), (422, true), "{}", answer.text);
    let server = Server::with(SqlConfig { result_bytes_max: 1 << 16, ..SqlConfig::default() }).await;
    let text = "SELECT repeat('x', 1000) FROM generate_series(1, 100000)";
    let answer = server.post("", text).await;
    assert_eq!((answer.status.as_u16(), answer.text.contains("limit sql.result_bytes_max")), (422, true), "{}", answer.text);
    // Batches that fit come first; then the stream ends with a record of the error.
    let text = "SELECT value, repeat('x', 100) t FROM generate_series(1, 100000)";
    let server = Server::with(SqlConfig { result_bytes_max: 1 << 20, ..SqlConfig::default() }).await;
    let answer = server.post("format=jsonl", text).await;
    let last: Value = serde_json::from_str(answer.text.lines().last().unwrap()).unwrap();
    assert_eq!((answer.status, &last["kind"]), (StatusCode::OK, &json!("too_large")));
}

/// The frames of an answer: its bytes, its trailers, and whether it was cut.
async fn frames(server: &Server, options: &str, text: &str) -> (axum::http::HeaderMap, Vec<u8>, axum::http::HeaderMap, bool) {
    let mut request = Request::post(format!("/api/v1/sql?{options}")).body(Body::from(text.to_owned())).unwrap();
    request.extensions_mut().insert(tenant("a"));
    let response = sql::http::router(Arc::clone(&server.engine)).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let (parts, mut body) = response.into_parts();
    let (mut bytes, mut trailers) = (Vec::new(), axum::http::HeaderMap::new());
    loop {
        match body.frame().await {
            None => return (parts.headers, bytes, trailers, false),
            Some(Err(_)) => return (parts.headers, bytes, trailers, true),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => bytes.extend(data),
                Err(frame) => trailers = frame.into_trailers().unwrap(),
            },
        }
    }
}

#[tokio::test]
async fn streamed_answers_end_with_trailers_or_are_cut() {
    let server = Server::with(SqlConfig { result_bytes_max: 1 << 20, ..SqlConfig::default() }).await;
    let small = "SELECT value FROM metrics";
    let large = "SELECT value, repeat('x', 100) t FROM generate_series(1, 100000)";
    for format in ["jsonl", "csv", "arrow", "markdown"] {
        let (headers, bytes, trailers, cut) = frames(&server, &format!("format={format}"), small).await;
        assert!(!bytes.is_empty() && !cut, "{format}");
        assert_eq!(headers["trailer"], "x-query-status, x-query-rows, x-query-bytes-scanned");
        assert_eq!(headers["x-scope-orgid"], "a");
        assert_eq!((&trailers["x-query-status"], &trailers["x-query-rows"]), (&"ok".parse().unwrap(), &"2".parse().unwrap()));
        assert!(trailers["x-query-bytes-scanned"].to_str().unwrap().parse::<u64>().unwrap() > 0, "{format}");
        let (_, bytes, trailers, cut) = frames(&server, &format!("format={format}"), large).await;
        assert_eq!(cut, format == "arrow", "{format}: what can hold no error must not look whole");
        if format != "arrow" {
            let text = String::from_utf8(bytes).unwrap();
            let last = text.trim_end().lines().last().unwrap();
            assert!(last.contains("error") && last.contains("limit sql.result_bytes_max"), "{format}: {last}");
            assert_eq!(trailers["x-query-status"], "error");
        }
    }
    // What does not stream is whole or not sent.
    for format in ["json", "parquet", "pretty"] {
        let (headers, _, _, cut) = frames(&server, &format!("format={format}"), small).await;
        assert!(!cut && headers["x-query-rows"] == "2" && headers.contains_key("x-query-bytes-scanned"), "{format}");
        assert_eq!(server.post(&format!("format={format}"), large).await.status.as_u16(), 422, "{format}");
    }
}

#[tokio::test]
async fn arrow_is_compressed_for_who_asks() {
    let server = Server::new().await;
    let text = "SELECT repeat('x', 1000) FROM generate_series(1, 1000)";
    let (_, plain, _, _) = frames(&server, "format=arrow", text).await;
    for compression in ["lz4", "zstd"] {
        let (_, small, _, _) = frames(&server, &format!("format=arrow&compression={compression}"), text).await;
        assert!(small.len() * 10 < plain.len(), "{compression}: {} of {}", small.len(), plain.len());
        let read = arrow::ipc::reader::StreamReader::try_new(small.as_slice(), None).unwrap();
        assert_eq!(read.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 1000);
    }
    for wrong in ["format=arrow&compression=gzip", "format=csv&compression=lz4"] {
        assert_eq!(server.post(wrong, text).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test]
async fn names_of_clickhouse_and_headers_are_understood() {
    let server = Server::new().await;
    for (name, media) in [
        ("JSONCompact", "application/json"),
        ("JSONEachRow", "application/x-ndjson"),
        ("CSVWithNames", "text/csv; charset=utf-8; header=present"),
        ("Parquet", "application/vnd.apache.parquet"),
        ("ArrowStream", "application/vnd.apache.arrow.stream"),
        ("PrettyCompact", "text/plain; charset=utf-8"),
        ("Markdown", "text/markdown; charset=utf-8"),
    ] {
        let answer = server.post(&format!("default_format={name}"), "SELECT 1 AS x").await;
        assert_eq!((answer.status, answer.headers["content-type"].to_str().unwrap()), (StatusCode::OK, media), "{name}");
    }
    let endless = "SELECT count(*) FROM generate_series(1, 9000000) a, generate_series(1, 9000000) b WHERE a.value + b.value < 0";
    let late = Request::post("/api/v1/sql").header("timeout", "200ms");
    assert_eq!(server.send(&tenant("a"), late, endless).await.status, StatusCode::REQUEST_TIMEOUT);
    let answer = server.post("max_bytes_scanned=1", "SELECT * FROM metrics").await;
    assert!(answer.status == StatusCode::UNPROCESSABLE_ENTITY && answer.text.contains("scan_bytes_max"), "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_are_cancelled_over_http() {
    let server = Server::new().await;
    let endless = "SELECT a.value FROM generate_series(1, 9000000) a, generate_series(1, 9000000) b";
    let mut request = Request::post("/api/v1/sql?format=jsonl").body(Body::from(endless)).unwrap();
    request.extensions_mut().insert(tenant("a"));
    let response = sql::http::router(Arc::clone(&server.engine)).oneshot(request).await.unwrap();
    let path = format!("/api/v1/sql/{}", response.headers()["x-query-id"].to_str().unwrap());
    assert_eq!(server.send(&tenant("b"), Request::delete(&path), Body::empty()).await.status, StatusCode::NOT_FOUND);
    assert_eq!(server.send(&tenant("a"), Request::delete(&path), Body::empty()).await.status, StatusCode::OK);
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let last: Value = serde_json::from_slice(bytes.trim_ascii().rsplit(|byte| *byte == b'\n').next().unwrap()).unwrap();
    assert_eq!(last, json!({"error": "query was cancelled", "kind": "cancelled"}));
    assert_eq!(server.send(&tenant("a"), Request::delete(&path), Body::empty()).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_end_at_their_deadline() {
    let server = Server::new().await;
    let endless = "SELECT count(*) FROM generate_series(1, 9000000) a, generate_series(1, 9000000) b WHERE a.value + b.value < 0";
    let answer = server.post("timeout=200ms", endless).await;
    assert_eq!((answer.status, answer.json()["kind"].clone()), (StatusCode::REQUEST_TIMEOUT, json!("timeout")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_end_when_cancelled_or_dropped() {
    let server = Server::new().await;
    let a = tenant("a");
    let endless = "SELECT a.value FROM generate_series(1, 9000000) a, generate_series(1, 9000000) b";
    let request = SqlRequest { text: endless.to_owned(), ..SqlRequest::default() };
    let mut stream = server.engine.execute(&a, request.clone()).await.unwrap();
    assert!(!server.engine.cancel(&tenant("b"), stream.id()), "another tenant's query is not there");
    assert!(server.engine.cancel(&a, stream.id()));
    let error = loop {
        match stream.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("an error was expected"),
        }
    };
    assert_eq!(error.to_string(), "query was cancelled");
    let stream = server.engine.execute(&a, request).await.unwrap();
    drop(stream);
    let gone = async {
        while server.engine.running() > 0 || server.world.engine.memory_used() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("work stops when the client leaves");
}

/// One slot of either kind: an expression inside a statement takes no turn of its own.
#[tokio::test(flavor = "multi_thread")]
async fn promql_is_a_table_and_needs_no_second_turn() {
    let server = Server::with(SqlConfig { queries_max: 1, ..SqlConfig::default() }).await;
    let config = query::promql::PromqlConfig { queries_max: 1, ..query::promql::PromqlConfig::default() };
    query::promql::PromqlEngine::new(Arc::clone(&server.world.engine), config, tokio::runtime::Handle::current()).unwrap();
    let text =
        "SELECT a.value + b.value AS twice FROM promql('up', '2026-01-01T00:00:15Z') a, promql('up', '2026-01-01T00:00:15Z') b";
    let answer = server.post("format=csv", text).await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, "twice\n4.0\n"));
    let refused = server.post("format=csv", "SELECT * FROM promql('up{', 0)").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.text.contains("1:4: parse error: unexpected end of input inside braces"), "{}", refused.text);
}

#[tokio::test]
async fn values_of_json_leave_as_text() {
    let server = Server::new().await;
    let values = r#"(VALUES (1, '{"a": "x", "b": [1, 2]}'), (2, '{"a": 1.5}'), (3, '{"a": null}'), (4, 'none')) AS t(n, j)"#;
    let select = format!("SELECT j -> 'a' AS a, (j ->> 'b') AS b FROM {values} ORDER BY n");
    let expected = json!([["\"x\"", "[1, 2]"], ["1.5", null], [null, null], [null, null]]);
    let answer = server.post("", &select).await;
    assert_eq!((answer.status, &answer.json()["rows"]), (StatusCode::OK, &expected), "{}", answer.text);
    for format in sql::format::Format::ALL {
        let answer = server.post(&format!("format={}", format.name()), &select).await;
        assert_eq!(answer.status, StatusCode::OK, "{format:?}: {}", answer.text);
    }
    let typed = format!("SELECT CAST(j -> 'a' AS DOUBLE) + 1 FROM {values} WHERE n = 2");
    assert_eq!(server.post("", &typed).await.json()["rows"], json!([[2.5]]));
    let nested = server.post("", &format!("SELECT make_array(j -> 'a') AS a FROM {values}")).await;
    assert_eq!(nested.status, StatusCode::BAD_REQUEST, "{}", nested.text);
    assert!(nested.text.contains("column a has JSON values inside of other values"), "{}", nested.text);
    let deep = format!("SELECT json_get_str('{}', 'a', 0)", "[".repeat(100_000));
    assert_eq!(server.post("", &deep).await.json()["rows"], json!([[null]]), "deep JSON is none");
    let chain = (0..250).map(|n| format!("body LIKE '%text{n}%'")).collect::<Vec<_>>().join(" OR ");
    let chain = server.post("", &format!("SELECT count(*) FROM logs WHERE {chain}")).await;
    assert_eq!(chain.json()["rows"], json!([[0]]));
}
