//! What is counted, how often, and under which labels, by settings that Tempo has too. Policies are read as they are written there.

use super::super::config::{FilterPolicy, HistogramKind, Profile};
use super::*;

const INTERNAL: i32 = 1;
const SERVER: i32 = 2;
const CLIENT: i32 = 3;

fn spans_only() -> GeneratorConfig {
    let mut config = GeneratorConfig::default();
    config.service_graph.enabled = false;
    config.span_metrics.size = false;
    config
}

fn graph_only() -> GeneratorConfig {
    let mut config = GeneratorConfig::default();
    config.span_metrics.enabled = false;
    config
}

fn policies(text: &str) -> Vec<FilterPolicy> {
    serde_yaml_ng::from_str(text).expect("policies")
}

fn double(key: &str, value: f64) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(Value::DoubleValue(value)) }), ..Default::default() }
}

/// The values of [`Rig::values`] that are not 0, without `prefix`.
async fn counted(rig: &Rig, prefix: &str) -> BTreeMap<String, f64> {
    let mut values = rig.values(prefix).await;
    values.retain(|_, value| *value != 0.0);
    values.into_iter().map(|(name, value)| (name.trim_start_matches(prefix).to_owned(), value)).collect()
}

#[tokio::test]
async fn a_span_counts_as_often_as_its_share_says() {
    let mut config = spans_only();
    config.span_metrics.size = true;
    config.span_metrics.span_multiplier_key = "X-SampleRatio".to_owned();
    config.span_metrics.tracestate_span_multiplier = true;
    config.histograms = HistogramKind::Both;
    let rig = Rig::new(config.clone());
    let mut tenth = span("tenth", SERVER, (1, 1, 0), 100);
    tenth.attributes.push(double("X-SampleRatio", 0.1));
    let mut third = span("third", SERVER, (1, 2, 0), 100);
    third.attributes.push(double("X-SampleRatio", 0.3));
    let mut quarter = tenth.clone();
    (quarter.name, quarter.span_id, quarter.trace_state) = ("quarter".to_owned(), vec![3; 8], "x=y,ot=rv:1;th:c".to_owned());
    let mut bad = span("bad", SERVER, (1, 4, 0), 100);
    (bad.trace_state, bad.attributes) = ("ot=th:xyz".to_owned(), vec![double("X-SampleRatio", 0.0)]);
    let text = with(span("text", SERVER, (1, 5, 0), 100), &[("X-SampleRatio", "0.1")]);
    let bytes = tenth.encoded_len() as f64;
    rig.of("shop", vec![tenth, third, quarter, bad, text]).await;
    let values = rig.values("traces_spanmetrics_").await;
    let of = |metric: &str, name: &str| {
        let labels = format!(r#"service="shop",span_kind="SPAN_KIND_SERVER",span_name="{name}",status_code="STATUS_CODE_UNSET""#);
        values[&format!("traces_spanmetrics_{metric}{{{labels}}}")]
    };
    let names = ["tenth", "third", "quarter", "bad", "text"];
    assert_eq!(names.map(|name| of("calls_total", name)), [10.0, 1.0 / 0.3, 4.0, 1.0, 1.0]);
    assert_eq!(names.map(|name| of("latency_count", name)), [10.0, 1.0 / 0.3, 4.0, 1.0, 1.0]);
    assert_eq!(names.map(|name| of("latency_sum", name)), [1.0, 0.333_333_333, 0.4, 0.1, 0.1]);
    assert_eq!(of("size_total", "tenth"), bytes);
    // Native histograms have counts that need not be whole, from their first row on.
    let batches = rig.written(Table::Histograms);
    let counts = |name: &str| -> Vec<Option<f64>> {
        batches
            .iter()
            .flat_map(|b| b.column_by_name(name).expect("counts").as_primitive::<Float64Type>().iter().collect::<Vec<_>>())
            .collect()
    };
    let counts: Vec<f64> = counts("float_count").into_iter().map(|count| count.expect("a float")).collect();
    assert_eq!(counts.iter().sum::<f64>(), 10.0 + 1.0 / 0.3 + 4.0 + 1.0 + 1.0);
}

#[tokio::test]
async fn resources_say_the_share_of_their_spans() {
    let mut config = GeneratorConfig::default();
    config.span_metrics.span_multiplier_key = "ratio".to_owned();
    config.service_graph.span_multiplier_key = "ratio".to_owned();
    config.span_metrics.latency = false;
    config.service_graph.latency = false;
    config.span_metrics.size = false;
    let rig = Rig::new(config);
    let request = |service: &str, ratio: f64, span: Span| {
        let resource =
            Resource { attributes: vec![attribute("service.name", service), double("ratio", ratio)], ..Default::default() };
        let scope_spans = vec![ScopeSpans { spans: vec![span], ..Default::default() }];
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans { resource: Some(resource), scope_spans, ..Default::default() }],
        }
    };
    let (client, server) = (failed(span("call", CLIENT, (1, 1, 9), 50)), span("serve", SERVER, (1, 2, 1), 30));
    for request in [request("b", 0.5, server), request("a", 0.25, client)] {
        let mut converted = rig.converter.convert(&TenantId::anonymous(), &request.encode_to_vec()).expect("a request");
        let rows = std::mem::take(&mut converted.rows);
        rig.sink.append(Append { tenant: TenantId::anonymous(), fingerprint: None, rows }).await.expect("stored");
    }
    let values = counted(&rig, "traces_").await;
    let expected = map([
        (r#"service_graph_request_failed_total{client="a",server="b"}"#, 4.0),
        (r#"service_graph_request_total{client="a",server="b"}"#, 4.0),
        (
            r#"spanmetrics_calls_total{service="a",span_kind="SPAN_KIND_CLIENT",span_name="call",status_code="STATUS_CODE_ERROR"}"#,
            4.0,
        ),
        (
            r#"spanmetrics_calls_total{service="b",span_kind="SPAN_KIND_SERVER",span_name="serve",status_code="STATUS_CODE_UNSET"}"#,
            2.0,
        ),
    ]);
    assert_eq!(values, expected);
}

/// Sends the same spans of three services under `policies`, and compares the names of those that are counted.
#[track_caller]
fn admitted(text: &str, expected: &[&str]) {
    let mut config = spans_only();
    config.span_metrics.latency = false;
    config.span_metrics.filter_policies = policies(text);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let names: Vec<String> = runtime.block_on(async {
        let rig = Rig::new(config);
        for (at, (service, location, tier)) in
            [("a", "eu-1", "prod"), ("b", "eu-2", "dev-1"), ("auth", "us-1", "prod")].iter().enumerate()
        {
            let resource = [("service.name", *service), ("location", *location), ("tier", *tier)];
            let id = at as u8 + 1;
            let mut number = span(&format!("{service} number"), INTERNAL, (id, 1, 0), 1);
            let value = Some(AnyValue { value: Some(Value::IntValue(7)) });
            number.attributes.push(KeyValue { key: "n".to_owned(), value, ..Default::default() });
            let serve = failed(with(span(&format!("{service} serve"), SERVER, (id, 2, 0), 1), &[("n", "7")]));
            rig.send(&resource, vec![number, serve]).await.expect("stored");
        }
        let values = counted(&rig, "traces_spanmetrics_calls_total").await;
        let name = |labels: &str| {
            labels.split("span_name=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a name").to_owned()
        };
        values.keys().map(|labels| name(labels)).collect()
    });
    assert_eq!(names, expected, "{text}");
}

#[test]
fn policies_say_which_spans_are_counted() {
    admitted("[]", &["a number", "a serve", "auth number", "auth serve", "b number", "b serve"]);
    admitted(
        "[{include: {match_type: strict, attributes: [{key: kind, value: SPAN_KIND_SERVER}]}}]",
        &["a serve", "auth serve", "b serve"],
    );
    admitted(
        "[{exclude: {match_type: regex, attributes: [{key: status, value: ERROR}]}}]",
        &["a number", "auth number", "b number"],
    );
    admitted("[{include: {match_type: regex, attributes: [{key: name, value: '^a .*e$'}]}}]", &["a serve"]);
    // Text is no number.
    admitted(
        "[{include: {match_type: strict, attributes: [{key: span.n, value: 7}]}}]",
        &["a number", "auth number", "b number"],
    );
    admitted("[{include: {match_type: strict, attributes: [{key: span.n, value: '7'}]}}]", &["a serve", "auth serve", "b serve"]);
    // All of an `include` and every one of them.
    let server_in_europe = "[{include: {match_type: strict, attributes: [{key: kind, value: SPAN_KIND_SERVER}]}},
        {include: {match_type: regex, attributes: [{key: resource.location, value: eu-.*}]}}]";
    admitted(server_in_europe, &["a serve", "b serve"]);
    // The example of Tempo's documentation.
    let documented = "
        - include:
            match_type: regex
            attributes:
              - {key: resource.location, value: 'eu-.*'}
        - include_any:
            match_type: regex
            attributes:
              - {key: kind, value: SPAN_KIND_INTERNAL}
              - {key: resource.service.name, value: auth}
        - exclude:
            match_type: regex
            attributes:
              - {key: resource.tier, value: 'dev-.*'}";
    admitted(documented, &["a number", "a serve", "auth number"]);
    admitted("[{include_any: {match_type: strict, attributes: [{key: name, value: a serve}]}}]", &["a serve"]);
    admitted(
        "[{exclude: {match_type: strict, attributes: [{key: resource.absent, value: x}]}}]",
        &["a number", "a serve", "auth number", "auth serve", "b number", "b serve"],
    );
}

#[tokio::test]
async fn the_other_side_of_a_span_that_is_left_out_is_left_out() {
    let mut config = graph_only();
    config.service_graph.latency = false;
    config.service_graph.filter_policies =
        policies("[{exclude: {match_type: strict, attributes: [{key: resource.service.name, value: hidden}]}}]");
    let (call, serve) = (span("call", CLIENT, (1, 1, 9), 50), span("serve", SERVER, (1, 2, 1), 30));
    let named = with(call.clone(), &[("peer.service", "hidden")]);
    let other = [("a", span("call", CLIENT, (2, 1, 9), 50)), ("b", span("serve", SERVER, (2, 2, 1), 30))];
    for order in [
        [("a", named.clone()), ("hidden", serve.clone())],
        [("hidden", serve.clone()), ("a", named)],
        [("hidden", call), ("b", serve)],
    ] {
        let rig = Rig::new(config.clone());
        for (service, span) in order.into_iter().chain(other.clone()) {
            rig.of(service, vec![span]).await;
        }
        assert_eq!(counted(&rig, "traces_service_graph_").await, map([(r#"request_total{client="a",server="b"}"#, 1.0)]));
    }
    // Not for ever: what comes later waits for a span that may be counted.
    let rig = Rig::new(config);
    rig.of("hidden", vec![span("serve", SERVER, (1, 2, 1), 30)]).await;
    rig.advance(10_001);
    rig.of("a", vec![span("call", CLIENT, (1, 1, 9), 50)]).await;
    assert_eq!(counted(&rig, "traces_service_graph_").await, map([(r#"unpaired_spans_total{client="a"}"#, 1.0)]));
}

#[tokio::test]
async fn metrics_are_switched_one_by_one() {
    #[track_caller]
    fn check(values: &BTreeMap<String, f64>, expected: &[&str]) {
        let mut names: Vec<&str> = values.keys().map(|name| name.split('{').next().expect("a name")).collect();
        names.dedup();
        assert_eq!(names, expected);
    }
    let rig = |change: fn(&mut GeneratorConfig)| {
        let mut config = GeneratorConfig::default();
        config.span_metrics.profiles = vec![Profile::Tempo, Profile::Collector];
        change(&mut config);
        Rig::new(config)
    };
    let spans = || vec![with(span("query", CLIENT, (1, 1, 9), 50), &[("db.name", "orders")])];
    let sized = rig(|c| (c.span_metrics.calls, c.span_metrics.latency, c.service_graph.enabled) = (false, false, false));
    sized.of("a", spans()).await;
    check(&sized.values("traces_").await, &["traces_spanmetrics_size_total"]);
    let calls = rig(|c| (c.span_metrics.latency, c.span_metrics.size, c.service_graph.requests) = (false, false, false));
    calls.of("a", spans()).await;
    let seconds =
        |side: &str| ["bucket", "count", "sum"].map(|what| format!("traces_service_graph_request_{side}_seconds_{what}"));
    let (client, server) = (seconds("client"), seconds("server"));
    let mut expected: Vec<&str> = client.iter().chain(&server).map(String::as_str).collect();
    expected.extend(["traces_span_metrics_calls_total", "traces_spanmetrics_calls_total"]);
    check(&calls.values("traces_").await, &expected);
    // Nothing at all is counted under no label set.
    let nothing = rig(|c| {
        (c.span_metrics.calls, c.span_metrics.latency, c.span_metrics.size) = (false, false, false);
        (c.service_graph.requests, c.service_graph.latency) = (false, false);
    });
    nothing.of("a", spans()).await;
    assert_eq!(nothing.values("traces_").await, BTreeMap::new());
}

#[tokio::test]
async fn every_intrinsic_label_can_be_left_out() {
    let mut config = spans_only();
    config.span_metrics.latency = false;
    config.span_metrics.intrinsic_dimensions.span_name = false;
    config.span_metrics.intrinsic_dimensions.span_kind = false;
    let rig = Rig::new(config.clone());
    rig.of("a", vec![span("x", SERVER, (1, 1, 0), 1), span("y", CLIENT, (1, 2, 0), 1)]).await;
    let labels = r#"calls_total{service="a",status_code="STATUS_CODE_UNSET"}"#;
    assert_eq!(counted(&rig, "traces_spanmetrics_").await, map([(labels, 2.0)]));
    config.span_metrics.intrinsic_dimensions.service = false;
    config.span_metrics.intrinsic_dimensions.status_code = false;
    let rig = Rig::new(config);
    rig.of("a", vec![span("x", SERVER, (1, 1, 0), 1)]).await;
    rig.of("b", vec![span("x", SERVER, (1, 2, 0), 1)]).await;
    assert_eq!(counted(&rig, "traces_spanmetrics_").await, map([("calls_total{}", 2.0)]));
}

#[tokio::test]
async fn instances_need_not_be_labels_of_spans() {
    let mut config = spans_only();
    (config.span_metrics.latency, config.span_metrics.target_info, config.span_metrics.instance_label) = (false, true, false);
    let rig = Rig::new(config);
    let resource = [("service.name", "api"), ("service.instance.id", "i-1"), ("host.name", "h")];
    rig.send(&resource, vec![span("x", SERVER, (1, 1, 0), 1)]).await.expect("stored");
    let calls = r#"spanmetrics_calls_total{job="api",service="api",span_kind="SPAN_KIND_SERVER",span_name="x",status_code="STATUS_CODE_UNSET"}"#;
    let target = r#"target_info{host_name="h",instance="i-1",job="api"}"#;
    assert_eq!(counted(&rig, "traces_").await, map([(calls, 1.0), (target, 1.0)]));
}

#[tokio::test]
async fn edges_are_gauges_on_request() {
    let mut config = graph_only();
    (config.service_graph.requests, config.service_graph.latency, config.service_graph.connection_info) = (false, false, true);
    let rig = Rig::new(config);
    for trace in 1..3 {
        rig.of("a", vec![span("call", CLIENT, (trace, 1, 9), 50)]).await;
        rig.of("b", vec![span("serve", SERVER, (trace, 2, 1), 30)]).await;
    }
    rig.of("a", vec![with(span("query", CLIENT, (3, 1, 9), 50), &[("sql.name", "orders")])]).await;
    let edge = r#"traces_service_graph_connection_info{__metrics_gen_instance="node-1",client="a",server="b"}"#;
    rig.advance(1_000);
    let samples = rig.write().await;
    assert_eq!(samples, BTreeMap::from([(edge.to_owned(), vec![(1_000, 1.0, None)])]));
}

#[tokio::test]
async fn what_says_that_a_span_asks_a_database_is_configured() {
    let mut config = graph_only();
    config.service_graph.latency = false;
    config.service_graph.database_name_attributes = vec!["sql.name".to_owned()];
    let rig = Rig::new(config);
    rig.of("a", vec![with(span("query", CLIENT, (1, 1, 9), 50), &[("sql.name", "orders"), ("db.name", "other")])]).await;
    let edge = r#"request_total{client="a",connection_type="database",server="orders"}"#;
    assert_eq!(counted(&rig, "traces_service_graph_").await, map([(edge, 1.0)]));
}

#[tokio::test]
async fn hosts_are_gauges_on_request() {
    let mut config = spans_only();
    config.span_metrics.enabled = false;
    config.host_info.enabled = true;
    config.host_info.metric_name = "hosts".to_owned();
    let rig = Rig::new(config);
    let of = |resource: &'static [(&str, &str)]| rig.send(resource, vec![span("x", SERVER, (1, 1, 0), 1)]);
    of(&[("service.name", "a"), ("host.id", "h1")]).await.expect("stored");
    of(&[("service.name", "b"), ("host.id", "h1"), ("k8s.node.name", "n1")]).await.expect("stored");
    of(&[("service.name", "c"), ("host.id", "h2"), ("k8s.node.name", "")]).await.expect("stored");
    of(&[("service.name", "d"), ("host.name", "h3")]).await.expect("stored");
    let host = |id: &str, source: &str| format!(r#"hosts{{grafana_host_id="{id}",host_source="{source}"}}"#);
    let expected = [host("h1", "host.id"), host("h2", "host.id"), host("n1", "k8s.node.name")].map(|name| (name, 1.0));
    assert_eq!(rig.values("").await, BTreeMap::from(expected));
}

#[tokio::test]
async fn exemplars_have_the_label_that_a_data_source_looks_for() {
    for (name, expected) in [("", vec![]), ("trace_id", vec![]), ("traceID", vec![("traceID".to_owned(), "01".repeat(16))])] {
        let rig = Rig::new(GeneratorConfig { trace_id_label_name: name.to_owned(), ..spans_only() });
        rig.of("a", vec![span("x", SERVER, (1, 1, 0), 1)]).await;
        rig.values("").await;
        let batches = rig.written(Table::Exemplars);
        let [batch] = batches.as_slice() else { panic!("one batch") };
        assert_eq!(batch.column_by_name("trace_id").expect("ids").as_fixed_size_binary().value(0), [1; 16]);
        let labels = batch.column_by_name("labels").expect("labels").as_map().value(0);
        let (keys, values) = (labels.column(0).as_string::<i32>(), labels.column(1).as_string::<i32>());
        let labels: Vec<_> = (0..keys.len()).map(|at| (keys.value(at).to_owned(), values.value(at).to_owned())).collect();
        assert_eq!(labels, expected);
    }
}
