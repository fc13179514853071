//! Loki's HTTP API, request by request, over a lake in memory.
#![allow(missing_docs, clippy::unwrap_used)]

mod client;
#[path = "../../query/tests/support/mod.rs"]
mod support;

use std::io::Read;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use catalog::{Table, TenantId};
use client::{Answer, Client};
use compat::loki::{Api, LokiFacts, PushLimits, router};
use query::logql::{LogqlConfig, LogqlEngine};
use serde_json::{Value, json};
use support::{NEW_YEAR_MS, World, tenant};
use tokio_util::sync::CancellationToken;

/// 2026-01-01 00:00:00 UTC in seconds.
const NEW_YEAR_S: i64 = NEW_YEAR_MS / 1000;

struct Server {
    client: Client,
}

fn ns(second: i64) -> i64 {
    (NEW_YEAR_S + second) * 1_000_000_000
}

/// Lines of two streams, one every ten seconds for ten minutes: `web` speaks logfmt, `db` JSON.
async fn lines(world: &World, tenant: &TenantId) {
    let stream = |id: i64, app: &str, env: &str| json!({"service": app, "stream_id": id, "ts": ns(0), "labels": {"app": app, "env": env, "service_name": app}});
    world.commit(tenant, Table::Streams, json!([stream(1, "web", "prod"), stream(2, "db", "prod")])).await;
    let line = |app: &str, id: i64, n: i64, level: &str, body: String, metadata: Value| {
        json!({
            "service": app, "stream_id": id, "ts": ns(n * 10), "seq": n, "level": level, "body": body, "attrs_str": metadata,
        })
    };
    let web = (0..60).map(|n| {
        let level = if n % 10 == 0 { "error" } else { "info" };
        let body = format!("level={level} status={} path=/cart/{n} took={}ms", if n % 10 == 0 { 500 } else { 200 }, n * 3);
        line("web", 1, n, level, body, json!({"pod": format!("web-{}", n % 2)}))
    });
    let db = (0..60).map(|n| {
        let body = json!({"msg": "query", "rows": n, "sql": {"table": "t1"}}).to_string();
        line("db", 2, n, "unknown", body, json!({}))
    });
    let rows: Vec<Value> = db.chain(web).collect();
    world.commit(tenant, Table::Logs, Value::Array(rows)).await;
}

impl Deref for Server {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Server {
    async fn with(config: LogqlConfig) -> Self {
        let world = World::new().await;
        let tenant = tenant("a");
        lines(&world, &tenant).await;
        let engine = LogqlEngine::new(Arc::clone(&world.engine), config, tokio::runtime::Handle::current()).unwrap();
        let push = PushLimits {
            discover_log_levels: true,
            discover_service_name: vec!["app".to_owned()],
            log_level_fields: vec!["level".to_owned()],
            max_line_size_truncate: false,
        };
        let facts =
            LokiFacts { version: "0.1.0", log_level: "info".to_owned(), retention: Some(Duration::from_secs(30 * 86_400)), push };
        let api = Api::new(engine, world.env.clone(), facts, CancellationToken::new());
        Self { client: Client { routes: router(api), tenant } }
    }

    async fn new() -> Self {
        Self::with(LogqlConfig::default()).await
    }

    /// `path` over the ten minutes that have lines.
    async fn over(&self, path: &str, parameters: &[(&str, &str)]) -> Answer {
        let (start, end) = (ns(0).to_string(), ns(600).to_string());
        let all = parameters.iter().copied().chain([("start", start.as_str()), ("end", end.as_str())]);
        self.get(&format!("{path}?{}", encoded(all))).await
    }
}

fn encoded<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let escape = |text: &str| text.bytes().map(|b| format!("%{b:02X}")).collect::<String>();
    parameters.into_iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect::<Vec<_>>().join("&")
}

/// The result of an answer, which must be of `kind` and have Loki's statistics.
#[track_caller]
fn result(answer: &Answer, kind: &str) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json = answer.json();
    assert_eq!((&json["status"], &json["data"]["resultType"]), (&json!("success"), &json!(kind)), "{json}");
    assert!(json["data"]["stats"]["summary"]["execTime"].is_number(), "{json}");
    json["data"]["result"].clone()
}

#[tokio::test]
async fn parameters_are_refused_in_lokis_words() {
    let server = Server::new().await;
    let range = "/loki/api/v1/query_range?query=%7Bapp%3D%22web%22%7D";
    for (path, message) in [
        (format!("{range}&start=xyz"), "could not parse 'start' parameter: strconv.ParseInt: parsing \"xyz\": invalid syntax"),
        (format!("{range}&end=a.b"), "could not parse 'end' parameter: strconv.ParseFloat: parsing \"a.b\": invalid syntax"),
        (format!("{range}&since=1x"), "could not parse 'since' parameter: unknown unit \"x\" in duration \"1x\""),
        (format!("{range}&start=5&end=4"), "end timestamp must not be before or equal to start time"),
        (format!("{range}&limit=0"), "limit must be a positive value"),
        (format!("{range}&direction=sideways"), "invalid direction 'sideways'"),
        (format!("{range}&interval=-5"), "interval must be >= 0"),
        (format!("{range}&step=0"), "zero or negative query resolution step widths are not accepted. Try a positive integer"),
        (
            format!("{range}&start=0&end=7200&step=0.1"),
            "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter",
        ),
        ("/loki/api/v1/query?time=x".to_owned(), "strconv.ParseInt: parsing \"x\": invalid syntax"),
        (
            "/loki/api/v1/series?match={}&match={a=\"b\"}".replace('{', "%7B").replace('}', "%7D").replace('"', "%22"),
            "0 matchers in group: {}",
        ),
        ("/loki/api/v1/index/volume?aggregateBy=x".to_owned(), "invalid aggregation option"),
        ("/loki/api/v1/tail?query=%7Bapp%3D%22web%22%7D&delay_for=6".to_owned(), "delay_for can't be greater than 5"),
        ("/loki/api/v1/labels?start=%zz".to_owned(), "invalid URL escape \"%zz\""),
    ] {
        let answer = server.get(&path).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (400, message), "{path}");
        assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8", "{path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
    }
}

#[tokio::test]
async fn queries_are_refused_in_lokis_words() {
    let server = Server::with(LogqlConfig { entries_max: 50, ..LogqlConfig::default() }).await;
    for (query, message) in [
        ("{app=\"web\"", "parse error at line 1, col 11: syntax error: unexpected $end, expecting } or ,"),
        ("", "parse error : syntax error: unexpected $end"),
        (
            "{}",
            "parse error : queries require at least one regexp or equality matcher that does not have an empty-compatible value. For instance, app=~\".*\" does not meet this requirement, but app=~\".+\" will",
        ),
    ] {
        let answer = server.over("/loki/api/v1/query_range", &[("query", query)]).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (400, message), "{query}");
    }
    let instant = server.get(&format!("/loki/api/v1/query?{}", encoded([("query", "{app=\"web\"}")]))).await;
    let message = "log queries are not supported as an instant query type, please change your query to a range query type";
    assert_eq!((instant.status.as_u16(), instant.text()), (400, message));
    let many = server.over("/loki/api/v1/query_range", &[("query", "{app=\"web\"}"), ("limit", "51")]).await;
    let message = "max entries limit per query exceeded, limit > max_entries_limit_per_query (51 > 50)";
    assert_eq!((many.status.as_u16(), many.text()), (400, message));
    let formatted = server.get("/loki/api/v1/format_query?query=").await;
    assert_eq!(formatted.status, 400);
    assert_eq!(formatted.json(), json!({"status": "invalid-query", "error": "parse error : syntax error: unexpected $end"}));
}

#[tokio::test]
async fn lines_with_their_labels_folded_and_in_categories() {
    let server = Server::new().await;
    let parameters = [("query", "{app=\"web\"} | logfmt | status=\"500\""), ("limit", "2")];
    let folded = result(&server.over("/loki/api/v1/query_range", &parameters).await, "streams");
    let stream = |n: i64, pod: &str| {
        json!({
            "stream": {
                "app": "web", "detected_level": "error", "env": "prod", "level": "error", "path": format!("/cart/{n}"),
                "pod": pod, "service_name": "web", "status": "500", "took": format!("{}ms", n * 3),
            },
            "values": [[ns(n * 10).to_string(), format!("level=error status=500 path=/cart/{n} took={}ms", n * 3)]],
        })
    };
    assert_eq!(folded, json!([stream(40, "web-0"), stream(50, "web-0")]));

    let url = format!(
        "/loki/api/v1/query_range?{}",
        encoded([
            ("query", "{app=\"web\"} | logfmt | status=\"500\""),
            ("limit", "2"),
            ("direction", "forward"),
            ("start", &ns(0).to_string()),
            ("end", &ns(600).to_string()),
        ])
    );
    let request = Request::get(url).header("X-Loki-Response-Encoding-Flags", "categorize-labels");
    let answer = server.send(request.body(Body::empty()).unwrap()).await;
    let categorized = result(&answer, "streams");
    assert_eq!(answer.json()["data"]["encodingFlags"], json!(["categorize-labels"]));
    let stream = |n: i64| {
        let mut one = stream(n, "web-0");
        one["values"][0].as_array_mut().unwrap().push(json!({
            "structuredMetadata": {"detected_level": "error", "pod": "web-0"},
            "parsed": {"level": "error", "path": format!("/cart/{n}"), "status": "500", "took": format!("{}ms", n * 3)},
        }));
        one
    };
    assert_eq!(categorized, json!([stream(0), stream(10)]));
}

#[tokio::test]
async fn numbers() {
    let server = Server::new().await;
    let query = "sum by (app) (count_over_time({app=~\".+\"}[5m]))";
    let matrix = result(&server.over("/loki/api/v1/query_range", &[("query", query), ("step", "300")]).await, "matrix");
    let points = |app: &str| json!({"metric": {"app": app}, "values": [[NEW_YEAR_S, "1"], [NEW_YEAR_S + 300, "30"], [NEW_YEAR_S + 600, "29"]]});
    assert_eq!(matrix, json!([points("db"), points("web")]));
    let at = (NEW_YEAR_S + 300).to_string();
    let instant = |query: &'static str| {
        let url = format!("/loki/api/v1/query?{}", encoded([("query", query), ("time", at.as_str())]));
        let server = &server;
        async move { server.get(&url).await }
    };
    let vector = result(&instant("sum(count_over_time({app=\"web\"} |= \"status=500\" [5m]))").await, "vector");
    assert_eq!(vector, json!([{"metric": {}, "value": [NEW_YEAR_S + 300, "3"]}]));
    // The test of a data source.
    let vector = result(&instant("vector(1)+vector(1)").await, "vector");
    assert_eq!(vector, json!([{"metric": {}, "value": [NEW_YEAR_S + 300, "2"]}]));
    let scalar = result(&instant("1 + 2 * 3").await, "scalar");
    assert_eq!(scalar, json!([(NEW_YEAR_S + 300) * 1000, "7"]));
}

#[tokio::test]
async fn which_streams_there_are() {
    let server = Server::new().await;
    let labels = server.over("/loki/api/v1/labels", &[]).await;
    assert_eq!(labels.text(), "{\"status\":\"success\",\"data\":[\"app\",\"env\",\"service_name\"]}\n");
    assert_eq!(server.over("/loki/api/v1/label", &[("query", "{}")]).await.bytes, labels.bytes);
    let values = server.over("/loki/api/v1/label/app/values", &[]).await;
    assert_eq!(values.json(), json!({"status": "success", "data": ["db", "web"]}));
    let values = server.over("/loki/api/v1/label/app/values", &[("query", "{app=\"web\"}")]).await;
    assert_eq!(values.json(), json!({"status": "success", "data": ["web"]}));
    // Nothing is told by leaving the list out.
    let none = server.over("/loki/api/v1/label/nope/values", &[]).await;
    assert_eq!((none.status.as_u16(), none.text()), (200, "{\"status\":\"success\"}\n"));
    let none = server.get("/loki/api/v1/labels?start=1700000000&end=1700003600").await;
    assert_eq!((none.status.as_u16(), none.text()), (200, "{\"status\":\"success\"}\n"));

    let series = server.over("/loki/api/v1/series", &[("match[]", "{app=\"web\"}")]).await;
    let web = json!({"app": "web", "env": "prod", "service_name": "web"});
    assert_eq!(series.json(), json!({"status": "success", "data": [web]}));
    let all = server.over("/loki/api/v1/series", &[("match", "{}")]).await;
    assert_eq!(all.json()["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn how_much_there_is() {
    let server = Server::new().await;
    let stats = server.over("/loki/api/v1/index/stats", &[("query", "{app=\"web\"}")]).await.json();
    assert_eq!((&stats["streams"], &stats["entries"]), (&json!(1), &json!(60)), "{stats}");
    assert!(stats["bytes"].as_u64().unwrap() > 60 * 30 && stats["chunks"].as_u64().unwrap() > 0, "{stats}");
    let volume = server.over("/loki/api/v1/index/volume", &[("query", "{app=~\".+\"}"), ("limit", "10")]).await;
    let volume = result(&volume, "vector");
    let apps: Vec<_> = volume.as_array().unwrap().iter().map(|v| v["metric"]["app"].as_str().unwrap()).collect();
    assert_eq!(apps.len(), 2, "{volume}");
    let by_env = [("query", "{app=~\".+\"}"), ("targetLabels", "env"), ("step", "300")];
    let ranged = result(&server.over("/loki/api/v1/index/volume_range", &by_env).await, "matrix");
    assert_eq!(ranged[0]["metric"], json!({"env": "prod"}), "{ranged}");
}

#[tokio::test]
async fn what_lines_are_like() {
    let server = Server::new().await;
    let labels = server.over("/loki/api/v1/detected_labels", &[("query", "")]).await;
    assert_eq!(labels.status, 200, "{}", labels.text());
    let labels = labels.json();
    let app = labels["detectedLabels"].as_array().unwrap().iter().find(|l| l["label"] == "app").unwrap().clone();
    assert_eq!(app, json!({"label": "app", "cardinality": 2}));

    let parameters = [("query", "{app=\"db\"}"), ("line_limit", "1000"), ("limit", "50")];
    let fields = server.over("/loki/api/v1/detected_fields", &parameters).await.json();
    assert_eq!(fields["limit"], 50);
    let field = |name: &str| fields["fields"].as_array().unwrap().iter().find(|f| f["label"] == name).cloned();
    assert_eq!(field("rows").unwrap()["type"], "int", "{fields}");
    assert_eq!(
        field("sql_table").unwrap(),
        json!({"label": "sql_table", "type": "string", "cardinality": 1, "parsers": ["json"], "jsonPath": ["sql", "table"]})
    );
    let values = server.over("/loki/api/v1/detected_field/sql_table/values", &parameters).await;
    assert_eq!(values.json(), json!({"values": ["t1"], "limit": 50}));
}

#[tokio::test]
async fn what_grafana_sends_is_answered() {
    let server = Server::new().await;
    let (start_ns, end_ns) = (ns(0).to_string(), ns(600).to_string());
    let (start, end) = ("2026-01-01T00:00:00.000Z", "2026-01-01T00:10:00.123Z");
    let datasource: &[(&str, &[(&str, &str)])] = &[
        (
            "query",
            &[("query", "vector(1)+vector(1)"), ("time", "1767225900000000000"), ("direction", "backward"), ("limit", "1000")],
        ),
        ("query_range", &[("query", "{app=\"web\"} |= ``"), ("step", "500ms"), ("direction", "backward"), ("limit", "1000")]),
        (
            "query_range",
            &[
                ("query", "sum by (level, detected_level) (count_over_time({app=\"web\"}[10000ms]))"),
                ("step", "10000ms"),
                ("direction", "backward"),
                ("limit", "1000"),
            ],
        ),
        ("labels", &[]),
        ("label/app/values", &[("query", "{env=\"prod\"}")]),
        ("series", &[("match[]", "{app=\"web\"}")]),
        ("index/stats", &[("query", "{app=\"web\"}")]),
        ("detected_labels", &[("query", "{app=\"web\"}")]),
        ("detected_fields", &[("query", "{app=\"web\"}"), ("line_limit", "1000")]),
        ("detected_field/pod/values", &[("query", "{app=\"web\"}"), ("line_limit", "1000")]),
        ("format_query", &[("query", "{app=\"web\"}|=``")]),
    ];
    for (path, parameters) in datasource {
        let all = parameters.iter().copied().chain([("start", start_ns.as_str()), ("end", end_ns.as_str())]);
        let url = format!("/loki/api/v1/{path}?{}", encoded(all.clone()));
        let with = |request: axum::http::request::Builder| {
            request.header("X-Query-Tags", "Source=logvolhist").header("X-Loki-Response-Encoding-Flags", "categorize-labels")
        };
        let answer = server.send(with(Request::get(&url)).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert!(answer.headers["content-type"].to_str().unwrap().starts_with("application/json"), "{path}");
        answer.json();
        // Long queries come as forms.
        let posted = server.form(&format!("/loki/api/v1/{path}"), &encoded(all)).await;
        assert_eq!(posted.status, 200, "{path}: {}", posted.text());
    }
    let drilldown: &[(&str, &[(&str, &str)])] = &[
        ("index/volume", &[("query", "{service_name=~\".+\"}"), ("limit", "5000"), ("targetLabels", "service_name")]),
        ("detected_labels", &[("query", "")]),
        ("detected_labels", &[("query", "{service_name=`web`}")]),
        ("detected_fields", &[("query", "{service_name=`web`}"), ("line_limit", "1000"), ("limit", "1000")]),
        ("detected_field/status/values", &[("query", "{service_name=`web`}"), ("limit", "1000")]),
        ("labels", &[]),
        ("drilldown-limits", &[]),
        (
            "query_range",
            &[
                (
                    "query",
                    "sum(count_over_time({service_name=`web`} | json | logfmt | drop __error__, __error_details__ | status!=\"\" [10s])) by (status)",
                ),
                ("step", "10000ms"),
            ],
        ),
    ];
    for (path, parameters) in drilldown {
        let all = parameters.iter().copied().chain([("start", start), ("end", end)]);
        let request = Request::get(format!("/loki/api/v1/{path}?{}", encoded(all)));
        let request = request.header("X-Query-Tags", "Source=grafana-lokiexplore-app");
        let answer = server.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json();
    }
}

#[tokio::test]
async fn what_this_server_is() {
    let server = Server::new().await;
    let info = server.get("/loki/api/v1/status/buildinfo").await.json();
    assert_eq!((&info["version"], &info["revision"]), (&json!(compat::loki::LOKI_VERSION), &json!("telelake-0.1.0")));
    let limits = server.get("/loki/api/v1/drilldown-limits").await.json();
    assert_eq!(limits["limits"]["max_entries_limit_per_query"], 5000);
    assert_eq!(limits["limits"]["query_timeout"], "2m");
    assert_eq!((&limits["limits"]["retention_period"], &limits["limits"]["max_query_length"]), (&json!("30d"), &json!("0s")));
    assert_eq!((&limits["limits"]["volume_enabled"], &limits["pattern_ingester_enabled"]), (&json!(true), &json!(true)));
    let config = server.get("/config").await;
    assert!(config.text().contains("limits_config:\n") && config.text().contains("\n  max_query_series: "), "{}", config.text());
    assert!(server.get("/services").await.text().contains("querier => Running\n"));
    assert_eq!(server.get("/log_level").await.json(), json!({"message": "Current log level is info"}));
    assert_eq!(server.ask(Method::POST, "/log_level").await.status, 403);
    assert!(server.get("/").await.text().contains("/loki/api/v1/labels"));
}

#[tokio::test]
async fn there_are_no_rules() {
    let server = Server::new().await;
    for (path, status, body) in [
        ("/loki/api/v1/rules", 404, "no rule groups found"),
        ("/api/prom/rules", 404, "no rule groups found"),
        ("/loki/api/v1/rules/ns", 404, "no rule groups found"),
        ("/loki/api/v1/rules/ns/group", 404, "group does not exist"),
        ("/loki/api/v1/index/shards", 404, "404 page not found\n"),
    ] {
        let answer = server.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (status, body), "{path}");
    }
    let rules = server.get("/prometheus/api/v1/rules").await.json();
    assert_eq!(rules, json!({"status": "success", "data": {"groups": []}, "errorType": "", "error": ""}));
    let alerts = server.get("/prometheus/api/v1/alerts").await.json();
    assert_eq!(alerts, json!({"status": "success", "data": {"alerts": []}, "errorType": "", "error": ""}));
}

#[tokio::test]
async fn methods_origins_and_compression() {
    let server = Server::new().await;
    assert_eq!(server.ask(Method::DELETE, "/loki/api/v1/query").await.status, 405);
    assert_eq!(server.ask(Method::OPTIONS, "/loki/api/v1/query").await.status, 204);
    assert_eq!(server.get("/loki/api/v2/query").await.status, 404);
    let request = Request::get("/loki/api/v1/labels").header("origin", "http://grafana").body(Body::empty()).unwrap();
    assert_eq!(server.send(request).await.headers["access-control-allow-origin"], "*");

    let (start, end) = (ns(0).to_string(), ns(600).to_string());
    let url = format!("/loki/api/v1/query_range?{}", encoded([("query", "{app=\"web\"}"), ("start", &start), ("end", &end)]));
    let plain = server.get(&url).await;
    let zipped = server.send(Request::get(&url).header("accept-encoding", "gzip").body(Body::empty()).unwrap()).await;
    assert_eq!(zipped.headers["content-encoding"], "gzip");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&zipped.bytes[..]).read_to_string(&mut text).unwrap();
    let unzipped: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(unzipped["data"]["result"], plain.json()["data"]["result"]);
}

#[tokio::test]
async fn the_first_lokis_clients_are_answered() {
    let server = Server::new().await;
    let parameters = [("query", "{app=\"web\"}"), ("regexp", "path=/cart/5\\d"), ("limit", "1")];
    let answer = server.over("/api/prom/query", &parameters).await.json();
    assert_eq!(
        answer["streams"],
        json!([{
            "labels": "{app=\"web\", detected_level=\"info\", env=\"prod\", pod=\"web-1\", service_name=\"web\"}",
            "entries": [{"ts": "2026-01-01T00:09:50Z", "line": "level=info status=200 path=/cart/59 took=177ms"}],
        }])
    );
    assert!(answer["stats"]["summary"].is_object());
    let numbers = server.over("/api/prom/query", &[("query", "rate({app=\"web\"}[1m])")]).await;
    assert_eq!((numbers.status.as_u16(), numbers.text()), (400, "legacy endpoints only support streams result type"));
    assert_eq!(server.over("/api/prom/label", &[]).await.json(), json!({"values": ["app", "env", "service_name"]}));
    assert_eq!(server.over("/api/prom/label/app/values", &[]).await.json(), json!({"values": ["db", "web"]}));
    assert_eq!(server.over("/api/prom/label/nope/values", &[]).await.json(), json!({}));
    assert_eq!(server.over("/api/prom/series", &[("match", "{app=\"db\"}")]).await.json()["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn deletes_are_off_unless_configured() {
    let server = Server::new().await;
    let path = format!("/loki/api/v1/delete?{}", encoded([("query", "{app=\"web\"}"), ("start", "1767225600")]));
    for method in [Method::POST, Method::PUT, Method::GET, Method::DELETE] {
        let answer = server.ask(method.clone(), &path).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (403, "deletion is not available for this tenant"), "{method}");
    }
    let server = Server::with(LogqlConfig { delete_api: true, ..LogqlConfig::default() }).await;
    let answer = server.ask(Method::POST, "/loki/api/v1/delete?start=1767225600").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (400, "query not set"));
}

#[tokio::test]
async fn a_tail_needs_a_websocket() {
    let server = Server::new().await;
    let answer = server.get("/loki/api/v1/tail?query=%7Bapp%3D%22web%22%7D").await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    let answer = server.get("/loki/api/v1/tail?query=%7B").await;
    assert!(answer.status == 400 && answer.text().starts_with("parse error at line 1, col 2"), "{}", answer.text());
}
