//! Prometheus' HTTP API, request by request, over a lake in memory.
#![allow(missing_docs, clippy::unwrap_used)]

mod client;
#[path = "../../query/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use catalog::{Table, Timestamp};
use client::Client;
use compat::prometheus::{AdminError, Administration, Api, Head, ProcessFacts, PrometheusConfig, router};
use futures::future::{BoxFuture, FutureExt};
use query::promql::{PromqlConfig, PromqlEngine};
use serde_json::{Value, json};
use support::{NEW_YEAR_MS, World, sample, series, tenant};

/// Counts what the node was told.
#[derive(Debug, Default)]
struct Node {
    cleaned: AtomicUsize,
    flushed: AtomicUsize,
}

impl Administration for Node {
    fn clean_tombstones(&self) -> BoxFuture<'_, Result<(), AdminError>> {
        self.cleaned.fetch_add(1, Ordering::Relaxed);
        async { Ok(()) }.boxed()
    }

    fn numbers(&self) -> String {
        "# TYPE a_total counter\na_total 3\n# TYPE b gauge\nb 1\n".to_owned()
    }

    fn snapshot(&self, head: Head) -> BoxFuture<'_, Result<u64, AdminError>> {
        self.flushed.fetch_add(usize::from(head == Head::Included), Ordering::Relaxed);
        async { Ok(17) }.boxed()
    }
}

struct Server {
    world: World,
    node: Arc<Node>,
    client: Client,
}

impl Deref for Server {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Server {
    async fn with(config: PrometheusConfig, promql: PromqlConfig) -> Self {
        let world = World::new().await;
        let tenant = tenant("a");
        let rows = json!([
            series("up", 1, json!({"job": "api", "instance": "a:1"})),
            series("up", 2, json!({"job": "db", "instance": "b:1"})),
            series("http.requests", 3, json!({"http.status": "200", "job": "<api>"})),
        ]);
        world.commit(&tenant, Table::Series, rows).await;
        let samples: Vec<Value> = (0..240)
            .flat_map(|n| {
                let second = f64::from(n) * 15.0;
                [sample("up", 1, n.into(), 0.0), sample("up", 2, n.into(), 0.0), sample("http.requests", 3, n.into(), 0.0)]
                    .into_iter()
                    .zip([1.0, 0.0, second * 1.5])
                    .map(move |(mut row, value)| {
                        row["ts"] = json!(NEW_YEAR_MS + i64::from(n) * 15_000);
                        row["value"] = json!(value);
                        row
                    })
            })
            .collect();
        world.commit(&tenant, Table::Samples, Value::Array(samples)).await;
        let engine = PromqlEngine::new(Arc::clone(&world.engine), promql, tokio::runtime::Handle::current()).unwrap();
        let node = Arc::new(Node::default());
        let facts = ProcessFacts {
            version: "0.1.0",
            started: Timestamp::from_millis(NEW_YEAR_MS),
            folder: "/data".to_owned(),
            hostname: "host".to_owned(),
            cores: 2,
            retention: None,
            flags: BTreeMap::from([("query.lookback-delta", "5m".to_owned())]),
        };
        let api = Api::new(engine, Arc::clone(&node) as _, world.env.clone(), facts, config);
        Self { world, node, client: Client { routes: router(api), tenant } }
    }

    async fn new() -> Self {
        Self::with(PrometheusConfig::default(), PromqlConfig::default()).await
    }

    /// The answer to `path` is `expected`, to the byte.
    async fn check(&self, path: &str, status: u16, expected: &str) {
        let answer = self.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (status, expected), "{path}");
    }
}

/// 2026-01-01 00:10:00 UTC in seconds.
const TEN_PAST: i64 = NEW_YEAR_MS / 1000 + 600;

#[tokio::test]
async fn parameters_are_refused_in_prometheus_words() {
    let server = Server::new().await;
    let bad = |message: &str| json!({"status": "error", "errorType": "bad_data", "error": message});
    for (path, message) in [
        (
            "/api/v1/query?query=up&time=x",
            "invalid parameter \"time\": invalid time value for 'time': cannot parse \"x\" to a valid timestamp",
        ),
        ("/api/v1/query?query=up&timeout=x", "invalid parameter \"timeout\": cannot parse \"x\" to a valid duration"),
        (
            "/api/v1/query?query=up&lookback_delta=x",
            "error parsing lookback delta duration: cannot parse \"x\" to a valid duration",
        ),
        ("/api/v1/query?query=up&limit=x", "invalid parameter \"limit\": strconv.Atoi: parsing \"x\": invalid syntax"),
        ("/api/v1/query?query=up&limit=-1", "invalid parameter \"limit\": limit must be non-negative"),
        ("/api/v1/query_range?query=up", "invalid parameter \"start\": cannot parse \"\" to a valid timestamp"),
        (
            "/api/v1/query_range?query=up&start=2&end=1&step=1",
            "invalid parameter \"end\": end timestamp must not be before start time",
        ),
        (
            "/api/v1/query_range?query=up&start=1&end=2&step=0",
            "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer",
        ),
        (
            "/api/v1/query_range?query=up&start=0&end=11001&step=1",
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ),
        (
            "/api/v1/format_query?query=up%7B",
            "invalid parameter \"query\": 1:4: parse error: unexpected end of input inside braces",
        ),
        ("/api/v1/query_exemplars?query=%7B", "1:2: parse error: unexpected end of input inside braces"),
        ("/api/v1/query_exemplars?query=up&start=2&end=1", "end timestamp must not be before start timestamp"),
        ("/api/v1/series", "no match[] parameter provided"),
        ("/api/v1/series?match[]=%7B", "invalid parameter \"match[]\": 1:2: parse error: unexpected end of input inside braces"),
        (
            "/api/v1/series?match[]=%7Bjob%3D%22%22%7D",
            "invalid parameter \"match[]\": match[] must contain at least one non-empty matcher",
        ),
        ("/api/v1/series?match[]=%zz", "error parsing form values: invalid URL escape \"%zz\""),
        ("/api/v1/labels?match[]=%7B", "1:2: parse error: unexpected end of input inside braces"),
        ("/api/v1/label/U__/values", "invalid label name: \"\""),
        ("/api/v1/label/%FF/values", "invalid label name: Invalid URL: Invalid UTF-8 in `name`"),
        ("/api/v1/metadata?limit=x", "limit must be a number"),
        ("/api/v1/metadata?limit_per_metric=x", "limit_per_metric must be a number"),
        ("/api/v1/status/tsdb?limit=0", "limit must be a positive number"),
        ("/api/v1/status/tsdb?limit=10001", "limit must not exceed 10000"),
        ("/api/v1/rules?type=x", "invalid parameter \"type\": not supported value \"x\""),
        (
            "/api/v1/rules?group_next_token=x",
            "invalid parameter \"group_next_token\": group_limit needs to be present in order to paginate over the groups",
        ),
        ("/api/v1/targets/metadata?limit=x", "limit must be a number"),
        ("/api/v1/search/metric_names?fuzz_threshold=101", "invalid fuzz_threshold \"101\": must be 0-100"),
        ("/api/v1/search/metric_names?sort_by=score", "sort_by=score requires search[] to be set"),
        ("/api/v1/search/metric_names?sort_dir=asc", "sort_dir is only valid when sort_by is set"),
        ("/api/v1/search/metric_names?fuzz_alg=x", "unsupported fuzz_alg \"x\": must be one of [subsequence jarowinkler]"),
        ("/api/v1/search/label_values", "missing required parameter \"label\""),
    ] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, answer.json()), (StatusCode::BAD_REQUEST, bad(message)), "{path}");
        assert_eq!(answer.headers["content-type"], "application/json");
    }
}

#[tokio::test]
async fn methods_and_paths() {
    let server = Server::new().await;
    server.check("/api/v1/nosuch", 404, "404 page not found\n").await;
    server.check("/-/reload", 405, "Only POST or PUT requests allowed").await;
    for path in ["/-/reload", "/-/quit"] {
        let answer = server.ask(Method::POST, path).await;
        assert_eq!((answer.status, answer.text()), (StatusCode::FORBIDDEN, "Lifecycle API is not enabled."));
    }
    let answer = server.ask(Method::DELETE, "/api/v1/query").await;
    assert_eq!((answer.status, answer.text()), (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n"));
    assert_eq!(answer.headers["allow"], "GET,HEAD,POST,OPTIONS");
    let answer = server.ask(Method::GET, "/api/v1/read").await;
    assert_eq!((answer.status, answer.headers["allow"].to_str().unwrap()), (StatusCode::METHOD_NOT_ALLOWED, "POST"));
    let answer = server.get("/").await;
    assert!(answer.status == StatusCode::OK && answer.text().contains("/api/v1/query"), "{}", answer.text());
}

#[tokio::test]
async fn browsers_may_ask() {
    let server = Server::new().await;
    assert!(!server.get("/api/v1/rules").await.headers.contains_key("access-control-allow-origin"));
    let preflight = Request::options("/api/v1/query").header("origin", "https://grafana.example").body(Body::empty()).unwrap();
    let answer = server.send(preflight).await;
    assert_eq!((answer.status, answer.text()), (StatusCode::NO_CONTENT, ""));
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    assert_eq!(answer.headers["access-control-allow-methods"], "GET, POST, OPTIONS");
    assert_eq!(answer.headers["vary"], "Origin");
}

#[tokio::test]
async fn what_is_not_done_here_is_empty() {
    let server = Server::new().await;
    for (path, data) in [
        ("/api/v1/targets", r#"{"activeTargets":[],"droppedTargetCounts":{},"droppedTargets":[]}"#),
        ("/api/v1/targets/metadata?match_target=%7Bjob%3D%22a%22%7D", "[]"),
        ("/api/v1/scrape_pools", r#"{"scrapePools":[]}"#),
        ("/api/v1/alertmanagers", r#"{"activeAlertmanagers":[],"droppedAlertmanagers":[]}"#),
        ("/api/v1/rules?type=alert&exclude_alerts=true&group_limit=10", r#"{"groups":[]}"#),
        ("/api/v1/alerts", r#"{"alerts":[]}"#),
        ("/api/v1/notifications", "[]"),
        ("/api/v1/status/config", r#"{"yaml":"global: {}\n"}"#),
        ("/api/v1/status/walreplay", r#"{"current":0,"max":0,"min":0}"#),
        ("/api/v1/status/tsdb/blocks", r#"{"blocks":[]}"#),
        (
            "/api/v1/status/self_metrics?metric_name_pattern=a_.*",
            r#"[{"help":"","metric":[{"counter":{"value":3.0},"label":[]}],"name":"a_total","type":"COUNTER"}]"#,
        ),
        ("/api/v1/metadata?limit=0", "{}"),
    ] {
        server.check(path, 200, &format!(r#"{{"status":"success","data":{data}}}"#)).await;
    }
    assert_eq!(server.get("/api/v1/notifications/live").await.status, StatusCode::NO_CONTENT);
    // An expression without a selector selects no series.
    assert_eq!(server.get("/api/v1/query_exemplars?query=1").await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn the_server_speaks_of_itself() {
    let server = Server::new().await;
    server
        .check(
            "/api/v1/status/buildinfo",
            200,
            r#"{"status":"success","data":{"version":"3.14.0","revision":"telelake-0.1.0","branch":"","buildUser":"","buildDate":"","goVersion":""}}"#,
        )
        .await;
    server.check("/api/v1/status/flags", 200, r#"{"status":"success","data":{"query.lookback-delta":"5m"}}"#).await;
    let info = &server.get("/api/v1/status/runtimeinfo").await.json()["data"];
    assert_eq!((&info["startTime"], &info["serverTime"]), (&json!("2026-01-01T00:00:00Z"), &json!("2026-01-01T01:00:00.002Z")));
    assert_eq!((&info["CWD"], &info["hostname"], &info["GOMAXPROCS"]), (&json!("/data"), &json!("host"), &json!(2)));
    let features = &server.get("/api/v1/features").await.json()["data"];
    assert_eq!((&features["api"]["admin"], &features["promql_functions"]["rate"]), (&json!(false), &json!(true)));
}

#[tokio::test]
async fn expressions_are_parsed_and_formatted() {
    let server = Server::new().await;
    server
        .check(
            "/api/v1/format_query?query=sum(rate(up%5B5m%5D))by(job)",
            200,
            r#"{"status":"success","data":"sum by (job) (rate(up[5m]))"}"#,
        )
        .await;
    let tree = server.form("/api/v1/parse_query", "query=up%7Bjob%3D%22a%22%7D").await.json();
    assert_eq!((&tree["data"]["type"], &tree["data"]["matchers"][0]["value"]), (&json!("vectorSelector"), &json!("a")));
}

#[tokio::test]
async fn series_labels_and_values() {
    let server = Server::new().await;
    for (path, data) in [
        ("/api/v1/labels", r#"["__name__","http.status","instance","job"]"#),
        ("/api/v1/labels?match[]=up", r#"["__name__","instance","job"]"#),
        ("/api/v1/labels?match[]=up&match[]=%7Bjob%3D%22%3Capi%3E%22%7D", r#"["__name__","http.status","instance","job"]"#),
        ("/api/v1/label/__name__/values", r#"["http.requests","up"]"#),
        ("/api/v1/label/job/values?match[]=up", r#"["api","db"]"#),
        ("/api/v1/label/job/values?match[]=%7Bjob%3D%22%3Capi%3E%22%7D", r#"["\u003capi\u003e"]"#),
        ("/api/v1/label/U__http_2e_status/values", r#"["200"]"#),
        ("/api/v1/label/none/values", "[]"),
        ("/api/v1/label/job/values?start=0&end=1", "[]"),
        (
            "/api/v1/series?match[]=up",
            r#"[{"__name__":"up","instance":"a:1","job":"api"},{"__name__":"up","instance":"b:1","job":"db"}]"#,
        ),
        (
            "/api/v1/series?match[]=up%7Bjob%3D%22db%22%7D&match[]=%7B%22http.requests%22%7D",
            r#"[{"__name__":"http.requests","http.status":"200","job":"\u003capi\u003e"},{"__name__":"up","instance":"b:1","job":"db"}]"#,
        ),
    ] {
        server.check(path, 200, &format!(r#"{{"status":"success","data":{data}}}"#)).await;
    }
    server
        .check(
            "/api/v1/label/job/values?limit=1",
            200,
            r#"{"status":"success","data":["\u003capi\u003e"],"warnings":["results truncated due to limit"]}"#,
        )
        .await;
    let posted = server.form("/api/v1/series", "match[]=up&limit=1").await;
    assert_eq!(posted.json()["warnings"], json!(["results truncated due to limit"]));
    assert_eq!(posted.json()["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn names_are_searched() {
    let server = Server::new().await;
    let answer = server.get("/api/v1/search/metric_names?search[]=req&include_score=true&start=1767225600&end=1767229200").await;
    let lines: Vec<Value> = answer.text().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(answer.headers["content-type"], "application/x-ndjson; charset=utf-8");
    assert_eq!(lines[0]["results"][0]["name"], "http.requests");
    assert!(lines[0]["results"][0]["score"].as_f64().unwrap() > 0.0);
    assert_eq!(lines[1], json!({"status": "success", "has_more": false}));
    let answer = server.get("/api/v1/search/label_names?limit=3&batch_size=2&sort_by=alpha&sort_dir=dsc&start=1767225600").await;
    let lines: Vec<Value> = answer.text().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{}", answer.text());
    assert_eq!(lines[0], json!({"results": [{"name": "job"}, {"name": "instance"}]}));
    assert_eq!((&lines[1], &lines[2]["has_more"]), (&json!({"results": [{"name": "http.status"}]}), &json!(true)));
    let answer = server.get("/api/v1/search/label_values?label=job&search[]=nothing&start=1767225600").await;
    assert_eq!(answer.text(), "{\"results\":[]}\n{\"has_more\":false,\"status\":\"success\"}\n");
}

#[tokio::test]
async fn the_admin_api_is_off_unless_switched_on() {
    let server = Server::new().await;
    for path in ["delete_series?match[]=up", "clean_tombstones", "snapshot"] {
        let answer = server.ask(Method::POST, &format!("/api/v1/admin/tsdb/{path}")).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.json(), json!({"status": "error", "errorType": "unavailable", "error": "admin APIs disabled"}));
    }
    let server = Server::with(PrometheusConfig { admin_api: true }, PromqlConfig::default()).await;
    assert_eq!(server.ask(Method::PUT, "/api/v1/admin/tsdb/clean_tombstones").await.status, StatusCode::NO_CONTENT);
    let answer = server.ask(Method::POST, "/api/v1/admin/tsdb/snapshot").await;
    assert_eq!(answer.json()["data"], json!({"name": "17"}));
    assert_eq!(server.ask(Method::POST, "/api/v1/admin/tsdb/snapshot?skip_head=true").await.status, StatusCode::OK);
    let counts = (server.node.cleaned.load(Ordering::Relaxed), server.node.flushed.load(Ordering::Relaxed));
    assert_eq!(counts, (1, 1));
    assert_eq!(
        server.ask(Method::POST, "/api/v1/admin/tsdb/delete_series").await.json()["error"],
        "no match[] parameter provided"
    );
    drop(server.world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expressions_are_evaluated() {
    let server = Server::new().await;
    let at = |query: &str| format!("/api/v1/query?query={query}&time={TEN_PAST}");
    for (path, data) in [
        (at("1%2B1"), format!(r#"{{"resultType":"scalar","result":[{TEN_PAST},"2"]}}"#)),
        (at("%22a%22"), format!(r#"{{"resultType":"string","result":[{TEN_PAST},"a"]}}"#)),
        (
            at("up"),
            format!(
                r#"{{"resultType":"vector","result":[{{"metric":{{"__name__":"up","instance":"a:1","job":"api"}},"value":[{TEN_PAST},"1"]}},{{"metric":{{"__name__":"up","instance":"b:1","job":"db"}},"value":[{TEN_PAST},"0"]}}]}}"#
            ),
        ),
        (at("nothing"), r#"{"resultType":"vector","result":[]}"#.to_owned()),
        (
            at("up%7Bjob%3D%22db%22%7D%5B30s%5D"),
            format!(
                r#"{{"resultType":"matrix","result":[{{"metric":{{"__name__":"up","instance":"b:1","job":"db"}},"values":[[{},"0"],[{TEN_PAST},"0"]]}}]}}"#,
                TEN_PAST - 15
            ),
        ),
        (
            format!("/api/v1/query_range?query=sum(up)&start={TEN_PAST}&end={}&step=60", TEN_PAST + 60),
            format!(
                r#"{{"resultType":"matrix","result":[{{"metric":{{}},"values":[[{TEN_PAST},"1"],[{},"1"]]}}]}}"#,
                TEN_PAST + 60
            ),
        ),
    ] {
        server.check(&path, 200, &format!(r#"{{"status":"success","data":{data}}}"#)).await;
    }
    let limited = server.get(&at("up&limit=1")).await.json();
    assert_eq!(
        (limited["data"]["result"].as_array().unwrap().len(), &limited["warnings"]),
        (1, &json!(["results truncated due to limit"]))
    );
    let rate = server.get(&at("rate(%7B%22http.requests%22%7D%5B5m%5D)&stats=all")).await.json();
    let value: f64 = rate["data"]["result"][0]["value"][1].as_str().unwrap().parse().unwrap();
    // As Prometheus computes it, by a factor for what lies between samples and edges: the last bit is that of its order of operations.
    assert!((value - 1.5).abs() < 1e-12, "{rate}");
    assert!(rate["infos"][0].as_str().unwrap().starts_with("PromQL info: metric might not be a counter"), "{rate}");
    assert!(rate["data"]["stats"]["samples"]["totalQueryableSamples"].as_u64().unwrap() > 0, "{rate}");
    let failed = server.get(&at("up%2Bon(nothing)up")).await;
    assert_eq!((failed.status.as_u16(), &failed.json()["errorType"]), (422, &json!("execution")));
    let refused = server.get(&at("up%7B")).await;
    assert_eq!(refused.json()["error"], "invalid parameter \"query\": 1:4: parse error: unexpected end of input inside braces");
    let late = server.get(&at("up&timeout=0")).await;
    assert_eq!((late.status.as_u16(), &late.json()["errorType"]), (503, &json!("timeout")));
    let posted = server.form("/api/v1/query", &format!("query=count(up)&time={TEN_PAST}")).await;
    assert_eq!(posted.json()["data"]["result"][0]["value"][1], "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_may_scrape_and_read() {
    let server = Server::new().await;
    let answer = server.get("/federate?match[]=up").await;
    let last_ms = NEW_YEAR_MS + 239 * 15_000;
    assert_eq!(
        answer.text(),
        format!(
            "# TYPE up untyped\nup{{instance=\"a:1\",job=\"api\"}} 1 {last_ms}\nup{{instance=\"b:1\",job=\"db\"}} 0 {last_ms}\n"
        )
    );
    assert_eq!(server.get("/federate").await.text(), "");
    assert_eq!(server.get("/federate?match[]=%7B").await.status, StatusCode::BAD_REQUEST);
    let read = Request::post("/api/v1/read").body(Body::from("nonsense")).unwrap();
    assert_eq!(server.send(read).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_ends_when_the_client_goes() {
    let server = Server::new().await;
    let path =
        format!("/api/v1/query_range?query=sum_over_time(up%5B1h:1s%5D)&start={}&end={TEN_PAST}&step=1", TEN_PAST - 10_000);
    // Dropped after its first poll, which is what a closed connection does.
    let asked = Box::pin(server.get(&path));
    assert!(asked.now_or_never().is_none(), "it takes a while");
    let gone = async {
        while server.world.engine.memory_used() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), gone).await.expect("work stops when the client leaves");
}
