use axum::body::to_bytes;
use serde_json::json;

use super::*;
use crate::loki::encoding::tests::{entry, labels};
use crate::loki::vectors::cases;

async fn text(value: Value, warnings: &[&str], encoding: Encoding) -> String {
    let warnings = warnings.iter().map(|w| (*w).to_owned()).collect();
    let answer = Answer { value, warnings, stats: Stats::default() };
    let body = response(answer, encoding, Direction::Backward).into_body();
    String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap()
}

async fn json_of(value: Value, encoding: Encoding) -> serde_json::Value {
    serde_json::from_str(&text(value, &[], encoding).await).unwrap()
}

/// The answer without its statistics, its streams in the order of their text.
async fn comparable(mut answer: serde_json::Value) -> serde_json::Value {
    answer["data"].as_object_mut().unwrap().remove("stats");
    if let Some(result) = answer["data"]["result"].as_array_mut() {
        result.sort_by_key(|one| one["stream"].to_string());
    }
    answer
}

fn pairs(of: &serde_json::Value) -> Vec<(&str, &str)> {
    of.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect()
}

/// The entries of a case as the engine gives them.
fn streams(case: &serde_json::Value) -> Value {
    let mut streams: Vec<Stream> = Vec::new();
    for one in case["entries"].as_array().unwrap() {
        let (metadata, parsed) = (pairs(&one["structured_metadata"]), pairs(&one["parsed"]));
        let new = entry(one["ts_ns"].as_i64().unwrap(), one["line"].as_str().unwrap(), &metadata, &parsed);
        let own = labels(&pairs(&one["labels"]));
        match streams.iter_mut().find(|s| s.labels == own) {
            Some(known) => known.entries.push(new),
            None => streams.push(Stream { labels: own, entries: vec![new] }),
        }
    }
    Value::Streams(streams)
}

#[tokio::test]
async fn lokis_own_cases() {
    let mut passed = 0;
    for case in cases("http_response.yaml").iter().filter(|case| case["entries"].is_array()) {
        let encoding = match case["request_headers"].as_object().unwrap().is_empty() {
            true => Encoding::Plain,
            false => Encoding::Categorized,
        };
        let got = comparable(json_of(streams(case), encoding).await).await;
        let mut expected = case["expect_without_stats"].clone();
        expected["data"]["result"].as_array_mut().unwrap().sort_by_key(|one| one["stream"].to_string());
        assert_eq!(got, expected, "{}", case["id"]);
        passed += 1;
    }
    println!("http_response.yaml: {passed} passed here");
}

#[tokio::test]
async fn every_type_of_value() {
    async fn check(value: Value, expected: &str) {
        let got = text(value, &[], Encoding::Plain).await;
        let end = format!(",\"stats\":{}}}}}\n", stats::json(&Stats::default()));
        assert_eq!(got, format!(r#"{{"status":"success","data":{{{expected}"#) + &end);
    }
    // Milliseconds, unlike everywhere else.
    check(
        Value::Scalar { time_ns: 1_793_494_800_000_000_000, value: 5.0 },
        r#""resultType":"scalar","result":[1793494800000,"5"]"#,
    )
    .await;
    check(Value::Vector(vec![]), r#""resultType":"vector","result":[]"#).await;
    check(Value::Matrix(vec![]), r#""resultType":"matrix","result":[]"#).await;
    check(Value::Streams(vec![]), r#""resultType":"streams","result":[]"#).await;
    let element = |value| Element { labels: labels(&[("app", "<a>")]), time_ns: 1_500_000_000, value };
    check(
        Value::Vector(vec![element(f64::NAN), element(f64::NEG_INFINITY), element(1e21), element(f64::INFINITY)]),
        r#""resultType":"vector","result":[{"metric":{"app":"\u003ca\u003e"},"value":[1.500,"NaN"]},{"metric":{"app":"\u003ca\u003e"},"value":[1.500,"-Inf"]},{"metric":{"app":"\u003ca\u003e"},"value":[1.500,"1000000000000000000000"]},{"metric":{"app":"\u003ca\u003e"},"value":[1.500,"+Inf"]}]"#,
    )
    .await;
    check(
        Value::Matrix(vec![
            Series { labels: labels(&[]), points: vec![(0, 1.0), (1_000_000_000, 0.1)] },
            Series { labels: labels(&[("a", "b")]), points: vec![(0, 2.0)] },
        ]),
        r#""resultType":"matrix","result":[{"metric":{},"values":[[0,"1"],[1,"0.1"]]},{"metric":{"a":"b"},"values":[[0,"2"]]}]"#,
    )
    .await;
    let line = entry(7, "a \"line\"\n\u{1b}[0m", &[("level", "info")], &[]);
    check(
        Value::Streams(vec![Stream { labels: labels(&[("app", "a")]), entries: vec![line] }]),
        r#""resultType":"streams","result":[{"stream":{"app":"a","level":"info"},"values":[["7","a \"line\"\n\u001b[0m"]]}]"#,
    )
    .await;
}

#[tokio::test]
async fn warnings_are_beside_the_data() {
    let answer: serde_json::Value =
        serde_json::from_str(&text(Value::Vector(vec![]), &["one", "t\"wo"], Encoding::Plain).await).unwrap();
    assert_eq!(answer["warnings"], json!(["one", "t\"wo"]));
    assert_eq!(
        json_of(Value::Vector(vec![]), Encoding::Categorized).await["data"]["encodingFlags"],
        json!(["categorize-labels"])
    );
}

#[tokio::test]
async fn long_answers_come_whole() {
    let entries = |stream: i64| (0..3000).map(move |n| entry(n, &format!("line {n} of {stream}"), &[], &[])).collect();
    let streams = (0..3).map(|s| Stream { labels: labels(&[("s", &s.to_string())]), entries: entries(s) }).collect();
    let answer = json_of(Value::Streams(streams), Encoding::Categorized).await;
    let result = answer["data"]["result"].as_array().unwrap();
    assert_eq!(result.iter().map(|one| one["values"].as_array().unwrap().len()).collect::<Vec<_>>(), [3000; 3]);
    assert_eq!(result[2]["values"][2999], json!(["2999", "line 2999 of 2", {}]));
    let steps = 3 * POINTS_PER_ITEM;
    let points = (0..steps as i64).map(|n| (n * 1_000_000_000, n as f64)).collect();
    let answer = json_of(Value::Matrix(vec![Series { labels: labels(&[]), points }]), Encoding::Plain).await;
    let values = answer["data"]["result"][0]["values"].as_array().unwrap();
    assert_eq!((values.len(), &values[steps - 1]), (steps, &json!([steps - 1, (steps - 1).to_string()])));
}
