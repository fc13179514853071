//! Calls, latency and size: names, labels, buckets.

use super::super::config::{DimensionMapping, HistogramKind, Profile};
use super::*;

const SERVER: i32 = 2;

fn without_graph() -> GeneratorConfig {
    let mut config = GeneratorConfig::default();
    config.service_graph.enabled = false;
    config
}

#[tokio::test]
async fn every_operation_has_calls_latency_and_size() {
    let rig = Rig::new(without_graph());
    rig.of("shop", vec![span("GET /", SERVER, (1, 1, 0), 3), span("GET /", SERVER, (1, 2, 1), 40)]).await;
    rig.of("shop", vec![failed(span("GET /", SERVER, (1, 3, 0), 20_000)), span("GET /", 9, (1, 4, 0), 0)]).await;
    let values = rig.values("traces_spanmetrics_").await;
    let ok = r#"service="shop",span_kind="SPAN_KIND_SERVER",span_name="GET /",status_code="STATUS_CODE_UNSET""#;
    let bad = r#"service="shop",span_kind="SPAN_KIND_SERVER",span_name="GET /",status_code="STATUS_CODE_ERROR""#;
    let odd = r#"service="shop",span_kind="9",span_name="GET /",status_code="STATUS_CODE_UNSET""#;
    let value = |metric: &str, labels: &str| values[&format!("traces_spanmetrics_{metric}{{{labels}}}")];
    assert_eq!([value("calls_total", ok), value("calls_total", bad), value("calls_total", odd)], [2.0, 1.0, 1.0]);
    assert_eq!([value("latency_count", ok), value("latency_sum", ok)], [2.0, 0.043]);
    assert_eq!([value("latency_count", bad), value("latency_sum", bad)], [1.0, 20.0]);
    let bucket = |le: &str, labels: &str| value("latency_bucket", &format!("le=\"{le}\",{labels}"));
    assert_eq!(["0.002", "0.004", "0.032", "0.064", "16.384", "+Inf"].map(|le| bucket(le, ok)), [0.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
    assert_eq!(["16.384", "+Inf"].map(|le| bucket(le, bad)), [0.0, 1.0]);
    assert_eq!(bucket("0.002", odd), 1.0);
    assert_eq!(values.len(), 3 * (2 + 15 + 2));
}

#[tokio::test]
async fn attributes_of_spans_and_resources_become_labels() {
    let mut config = without_graph();
    config.span_metrics.dimensions =
        ["http.method", "service.name", "span.name", "service.namespace"].map(str::to_owned).to_vec();
    config.span_metrics.dimension_mappings = vec![DimensionMapping {
        name: "endpoint".to_owned(),
        source_labels: ["http.method", "absent", "http.route"].map(str::to_owned).to_vec(),
        join: " ".to_owned(),
    }];
    config.span_metrics.intrinsic_dimensions.status_message = true;
    let rig = Rig::new(config);
    let resource = [("service.name", "api"), ("service.namespace", "shop")];
    let attributes = [("http.method", "GET"), ("http.route", "/x"), ("span.name", "other"), ("service.namespace", "hidden")];
    rig.send(&resource, vec![with(failed(span("x", SERVER, (1, 1, 0), 1)), &attributes)]).await.expect("stored");
    // The resource's row is stored: it does not come again, and is known all the same.
    rig.send(&resource, vec![span("x", SERVER, (1, 2, 0), 1)]).await.expect("stored");
    let common = r#"service="api",service_name="api",service_namespace="shop",span_kind="SPAN_KIND_SERVER",span_name="x""#;
    let expected = [
        (
            format!(
                r#"traces_spanmetrics_calls_total{{__span_name="other",endpoint="GET /x",http_method="GET",{common},status_code="STATUS_CODE_ERROR",status_message="no"}}"#
            ),
            1.0,
        ),
        (format!(r#"traces_spanmetrics_calls_total{{{common},status_code="STATUS_CODE_UNSET"}}"#), 1.0),
    ];
    assert_eq!(rig.values("traces_spanmetrics_calls").await, BTreeMap::from(expected));
}

#[tokio::test]
async fn the_collectors_names_stand_beside_tempos() {
    let mut config = without_graph();
    config.span_metrics.profiles = vec![Profile::Tempo, Profile::Collector];
    let rig = Rig::new(config);
    rig.of("shop", vec![span("a", SERVER, (1, 1, 0), 7), span("a", SERVER, (1, 2, 0), 20_000)]).await;
    let values = rig.values("traces_span_metrics_").await;
    let labels = r#"service_name="shop",span_kind="SPAN_KIND_SERVER",span_name="a",status_code="STATUS_CODE_UNSET""#;
    let value = |metric: &str, le: &str| values[&format!("traces_span_metrics_{metric}{{{le}{labels}}}")];
    assert_eq!(value("calls_total", ""), 2.0);
    assert_eq!([value("duration_milliseconds_sum", ""), value("duration_milliseconds_count", "")], [20_007.0, 2.0]);
    let bucket = |le: &str| value("duration_milliseconds_bucket", &format!("le=\"{le}\","));
    assert_eq!(["6", "8", "15000", "+Inf"].map(bucket), [0.0, 1.0, 1.0, 2.0]);
    assert!(rig.values("traces_spanmetrics_calls").await.len() == 1);
}

#[tokio::test]
async fn target_info_is_a_gauge_with_the_resource() {
    let mut config = without_graph();
    config.span_metrics.target_info = true;
    config.span_metrics.target_info_excluded = vec!["secret".to_owned()];
    let rig = Rig::new(config);
    let resource = [
        ("service.name", "api"),
        ("service.namespace", "shop"),
        ("service.instance.id", "i-1"),
        ("host.name", "h"),
        ("secret", "s"),
        ("job", "x"),
    ];
    rig.send(&resource, vec![span("a", SERVER, (1, 1, 0), 1)]).await.expect("stored");
    rig.of("lonely", vec![span("a", SERVER, (1, 2, 0), 1)]).await;
    rig.advance(15_000);
    let samples = rig.write().await;
    let info: BTreeMap<_, _> = samples.iter().filter(|(n, _)| n.starts_with("traces_target_info")).collect();
    let name = r#"traces_target_info{__job="x",__metrics_gen_instance="node-1",host_name="h",instance="i-1",job="shop/api"}"#;
    assert_eq!(info, BTreeMap::from([(&name.to_owned(), &vec![(15_000, 1.0, None)])]));
    let calls: Vec<_> = samples.keys().filter(|n| n.contains("calls_total")).map(|n| plain(n)).collect();
    let rest = r#"span_kind="SPAN_KIND_SERVER",span_name="a",status_code="STATUS_CODE_UNSET""#;
    assert_eq!(
        calls,
        [
            format!(r#"traces_spanmetrics_calls_total{{instance="i-1",job="shop/api",service="api",{rest}}}"#),
            format!(r#"traces_spanmetrics_calls_total{{job="lonely",service="lonely",{rest}}}"#),
        ]
    );
}

#[tokio::test]
async fn native_histograms_beside_classic_ones_or_instead() {
    for (kind, floats) in [(HistogramKind::Both, 2 + 15 + 2), (HistogramKind::Native, 2)] {
        let rig = Rig::new(GeneratorConfig { histograms: kind, ..without_graph() });
        rig.of("shop", vec![span("a", SERVER, (1, 1, 0), 1_000), span("a", SERVER, (1, 2, 0), 0)]).await;
        assert_eq!(rig.values("traces_").await.len(), floats);
        let batches = rig.written(Table::Histograms);
        let [batch] = batches.as_slice() else { panic!("one batch") };
        let column = |name: &str| batch.column_by_name(name).expect("a column").as_primitive::<Int64Type>().values().to_vec();
        assert_eq!(column("count"), [0, 2]);
        assert_eq!(column("zero_count"), [0, 1]);
        let sums = batch.column_by_name("sum").expect("sums").as_primitive::<Float64Type>().values().to_vec();
        assert_eq!(sums, [0.0, 1.0]);
        assert_eq!(rig.written(Table::Exemplars).iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
    }
}

#[tokio::test]
async fn what_there_is_no_room_for_is_counted_together() {
    let rig = Rig::new(GeneratorConfig { series_max: 2 * 19, ..without_graph() });
    rig.of("shop", (0..5).map(|n| span(&format!("op {n}"), SERVER, (1, n + 1, 0), 1)).collect()).await;
    let values = rig.values("traces_spanmetrics_calls_total").await;
    assert_eq!(values.len(), 3);
    assert_eq!(values[r#"traces_spanmetrics_calls_total{metric_overflow="true"}"#], 3.0);
}
