//! Which spans make an edge, whatever order they come in.

use proptest::prelude::*;

use super::*;

const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;

fn graph_only() -> GeneratorConfig {
    let mut config = GeneratorConfig::default();
    config.span_metrics.enabled = false;
    config
}

/// Sends spans in the given order, each in a request of its own, and compares the counters of the graph after `wait`.
#[track_caller]
fn check<const N: usize>(config: GeneratorConfig, spans: &[(&str, Span)], expected: [(&str, f64); N]) {
    let counters = |order: &mut dyn Iterator<Item = &(&str, Span)>| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let rig = Rig::new(config.clone());
            for (service, span) in order {
                rig.of(service, vec![span.clone()]).await;
            }
            let mut values = rig.values("traces_service_graph_").await;
            values.retain(|name, value| name.contains("_total{") && *value > 0.0);
            let short = |name: &str| name.trim_start_matches("traces_service_graph_").to_owned();
            values.into_iter().map(|(name, value)| (short(&name), value)).collect::<BTreeMap<_, _>>()
        })
    };
    assert_eq!(counters(&mut spans.iter()), map(expected));
    assert_eq!(counters(&mut spans.iter().rev()), map(expected), "in reverse");
}

#[test]
fn a_client_and_the_server_below_it_are_an_edge() {
    let spans = [("a", span("call", CLIENT, (1, 1, 9), 50)), ("b", span("serve", SERVER, (1, 2, 1), 30))];
    check(graph_only(), &spans, [(r#"request_total{client="a",server="b"}"#, 1.0)]);
}

#[test]
fn it_failed_if_either_side_did() {
    let edge = [(r#"request_failed_total{client="a",server="b"}"#, 1.0), (r#"request_total{client="a",server="b"}"#, 1.0)];
    let (client, server) = (span("call", CLIENT, (1, 1, 9), 50), span("serve", SERVER, (1, 2, 1), 30));
    check(graph_only(), &[("a", failed(client.clone())), ("b", server.clone())], edge);
    check(graph_only(), &[("a", client), ("b", failed(server))], edge);
}

#[test]
fn messages_are_said_by_either_side() {
    let edge = [(r#"request_total{client="a",connection_type="messaging_system",server="b"}"#, 1.0)];
    for (one, other) in [(PRODUCER, CONSUMER), (PRODUCER, SERVER), (CLIENT, CONSUMER)] {
        check(graph_only(), &[("a", span("send", one, (1, 1, 9), 5)), ("b", span("receive", other, (1, 2, 1), 5))], edge);
    }
}

#[test]
fn other_traces_and_other_parents_do_not_pair() {
    let spans = [
        ("a", span("call", CLIENT, (1, 1, 9), 50)),
        ("b", span("serve", SERVER, (2, 2, 1), 30)),
        ("c", span("serve", SERVER, (1, 2, 3), 30)),
    ];
    let alone = [
        (r#"unpaired_spans_total{client="a"}"#, 1.0),
        (r#"unpaired_spans_total{server="b"}"#, 1.0),
        (r#"unpaired_spans_total{server="c"}"#, 1.0),
    ];
    check(graph_only(), &spans, alone);
}

#[test]
fn internal_spans_are_no_side() {
    check(graph_only(), &[("a", span("work", 1, (1, 1, 9), 50)), ("a", span("work", 0, (1, 2, 1), 50))], []);
}

#[test]
fn a_root_server_was_called_by_the_user_or_by_its_peer() {
    let user = r#"request_total{client="user",connection_type="virtual_node",server="b"}"#;
    check(graph_only(), &[("b", span("serve", SERVER, (1, 2, 0), 30))], [(user, 1.0)]);
    let peer = r#"request_total{client="phone",connection_type="virtual_node",server="b"}"#;
    let serve = with(span("serve", SERVER, (1, 2, 0), 30), &[("db.name", "later"), ("peer.service", "phone")]);
    check(graph_only(), &[("b", serve)], [(peer, 1.0)]);
    // Two roots of one trace are two requests.
    check(graph_only(), &[("b", span("x", SERVER, (1, 2, 0), 30)), ("b", span("x", SERVER, (1, 3, 0), 30))], [(user, 2.0)]);
}

#[test]
fn a_client_whose_server_sends_nothing_called_its_peer() {
    let call = with(span("call", CLIENT, (1, 1, 9), 50), &[("peer.service", "bank")]);
    let edge = [(r#"request_total{client="a",connection_type="virtual_node",server="bank"}"#, 1.0)];
    check(graph_only(), &[("a", call.clone())], edge);
    let spans = [("a", call), ("b", span("serve", SERVER, (1, 2, 1), 30))];
    check(graph_only(), &spans, [(r#"request_total{client="a",server="b"}"#, 1.0)]);
}

#[test]
fn a_database_is_named_by_the_first_attribute_there_is() {
    #[track_caller]
    fn named(attributes: &[(&str, &str)], name: &str) {
        let call = with(span("query", CLIENT, (1, 1, 9), 50), attributes);
        let edge = format!(r#"request_total{{client="a",connection_type="database",server="{name}"}}"#);
        check(graph_only(), &[("a", call)], [(edge.as_str(), 1.0)]);
    }
    let all = [
        ("db.system.name", "postgresql"),
        ("db.system", "pg"),
        ("db.name", "orders"),
        ("db.namespace", "sales"),
        ("network.peer.port", "5432"),
        ("network.peer.address", "10.0.0.1"),
        ("server.address", "db.local"),
        ("peer.service", "orders-db"),
    ];
    let names = ["postgresql", "pg", "orders", "sales", "sales", "10.0.0.1:5432", "db.local", "orders-db"];
    for (at, name) in names.iter().enumerate() {
        named(&all[..=at], name);
    }
    named(&[("db.system", "pg"), ("network.peer.address", "10.0.0.1")], "10.0.0.1");
    // Without a name of a database it is none.
    let call = with(span("query", CLIENT, (1, 1, 9), 50), &[("db.statement", "select"), ("server.address", "x")]);
    check(graph_only(), &[("a", call)], [(r#"unpaired_spans_total{client="a"}"#, 1.0)]);
    // A span below it has no edge left to be part of.
    let call = with(span("query", CLIENT, (1, 1, 9), 50), &[("db.name", "orders")]);
    let edges = [
        (r#"request_total{client="a",connection_type="database",server="orders"}"#, 1.0),
        (r#"unpaired_spans_total{server="pg"}"#, 1.0),
    ];
    check(graph_only(), &[("a", call), ("pg", span("serve", SERVER, (1, 2, 1), 30))], edges);
}

#[test]
fn an_edge_has_two_sides() {
    let spans = [
        ("a", span("call", CLIENT, (1, 1, 9), 50)),
        ("b", span("serve", SERVER, (1, 2, 1), 30)),
        ("b", span("serve", SERVER, (1, 3, 1), 30)),
    ];
    let expected = [(r#"request_total{client="a",server="b"}"#, 1.0), (r#"unpaired_spans_total{server="b"}"#, 1.0)];
    check(graph_only(), &spans, expected);
}

#[test]
fn what_finds_no_room_is_dropped_and_counted() {
    let mut config = graph_only();
    config.service_graph.edges_max = 1;
    let spans = [("a", span("call", CLIENT, (1, 1, 9), 50)), ("a", span("call", CLIENT, (1, 2, 9), 50))];
    let expected = [(r#"dropped_spans_total{client="a"}"#, 1.0), (r#"unpaired_spans_total{client="a"}"#, 1.0)];
    check(config, &spans, expected);
}

#[test]
fn dimensions_are_of_either_side_or_say_whose_they_are() {
    let spans = [
        ("a", with(span("call", CLIENT, (1, 1, 9), 50), &[("zone", "z1"), ("only.client", "c")])),
        ("b", with(span("serve", SERVER, (1, 2, 1), 30), &[("zone", "z2")])),
    ];
    let mut config = graph_only();
    config.service_graph.dimensions = vec!["zone".to_owned(), "only.client".to_owned()];
    check(config.clone(), &spans, [(r#"request_total{client="a",only_client="c",server="b",zone="z2"}"#, 1.0)]);
    config.service_graph.client_server_prefix = true;
    let edge = r#"request_total{client="a",client_only_client="c",client_zone="z1",server="b",server_zone="z2"}"#;
    check(config, &spans, [(edge, 1.0)]);
}

#[test]
fn the_virtual_side_is_named_on_request() {
    let mut config = graph_only();
    config.service_graph.virtual_node_label = true;
    let call = with(span("call", CLIENT, (1, 1, 9), 50), &[("peer.service", "bank")]);
    let expected = [
        (r#"request_total{client="a",connection_type="virtual_node",server="bank",virtual_node="server"}"#, 1.0),
        (r#"request_total{client="user",connection_type="virtual_node",server="b",virtual_node="client"}"#, 1.0),
    ];
    check(config, &[("a", call), ("b", span("serve", SERVER, (1, 2, 0), 30))], expected);
}

#[tokio::test]
async fn both_sides_are_measured_and_messages_on_their_way() {
    let mut config = graph_only();
    config.service_graph.messaging_latency = true;
    let rig = Rig::new(config);
    rig.of("a", vec![span("send", PRODUCER, (1, 1, 9), 50)]).await;
    let mut receive = span("receive", CONSUMER, (1, 2, 1), 0);
    receive.start_time_unix_nano += 350 * MS;
    receive.end_time_unix_nano = receive.start_time_unix_nano + 200 * MS;
    rig.of("b", vec![receive]).await;
    let values = rig.values("traces_service_graph_request_").await;
    let labels = r#"client="a",connection_type="messaging_system",server="b""#;
    let sum = |side: &str| values[&format!("traces_service_graph_request_{side}_seconds_sum{{{labels}}}")];
    assert_eq!(["client", "server", "messaging_system"].map(sum), [0.05, 0.2, 0.3]);
}

#[tokio::test]
async fn a_side_that_sent_nothing_has_no_latency_unless_it_is_a_database() {
    let rig = Rig::new(graph_only());
    rig.of("a", vec![with(span("query", CLIENT, (1, 1, 9), 50), &[("db.name", "orders")])]).await;
    rig.of("a", vec![with(span("call", CLIENT, (1, 2, 9), 50), &[("peer.service", "bank")])]).await;
    rig.of("b", vec![span("serve", SERVER, (1, 3, 0), 30)]).await;
    let values = rig.values("traces_service_graph_request_").await;
    #[track_caller]
    fn check(values: &BTreeMap<String, f64>, labels: &str, expected: [f64; 2]) {
        let of = |what: &str| values[&format!("traces_service_graph_request_{what}{{{labels}}}")];
        assert_eq!([of("client_seconds_sum"), of("server_seconds_sum")], expected);
        assert_eq!([of("client_seconds_count"), of("server_seconds_count")], [1.0, 1.0]);
    }
    check(&values, r#"client="a",connection_type="database",server="orders""#, [0.05, 0.05]);
    check(&values, r#"client="a",connection_type="virtual_node",server="bank""#, [0.05, 0.0]);
    check(&values, r#"client="user",connection_type="virtual_node",server="b""#, [0.0, 0.03]);
    // What nobody measured points to no span.
    assert_eq!(rig.written(Table::Exemplars).iter().map(RecordBatch::num_rows).sum::<usize>(), 4);
}

#[tokio::test]
async fn a_message_that_came_before_it_was_sent_measures_nothing() {
    let mut config = graph_only();
    config.service_graph.messaging_latency = true;
    let rig = Rig::new(config);
    rig.of("a", vec![span("send", PRODUCER, (1, 1, 9), 50)]).await;
    rig.of("b", vec![span("receive", CONSUMER, (1, 2, 1), 20)]).await;
    let values = rig.values("traces_service_graph_request_messaging_system_seconds_count").await;
    assert_eq!(values.into_values().collect::<Vec<_>>(), [0.0]);
}

#[tokio::test]
async fn a_half_waits_no_longer_than_it_may() {
    let rig = Rig::new(graph_only());
    let (client, server) = (span("call", CLIENT, (1, 1, 9), 50), span("serve", SERVER, (1, 2, 1), 30));
    rig.of("a", vec![client.clone()]).await;
    rig.advance(9_999);
    rig.of("b", vec![server.clone()]).await;
    let mut again = (client, server);
    (again.0.trace_id, again.1.trace_id) = (vec![2; 16], vec![2; 16]);
    rig.of("a", vec![again.0]).await;
    rig.advance(10_000);
    rig.of("b", vec![again.1]).await;
    let values = rig.values("traces_service_graph_").await;
    assert_eq!(values[r#"traces_service_graph_request_total{client="a",server="b"}"#], 1.0);
    assert_eq!(values[r#"traces_service_graph_unpaired_spans_total{client="a"}"#], 1.0);
    assert_eq!(values[r#"traces_service_graph_unpaired_spans_total{server="b"}"#], 1.0);
}

/// Complete pairs of a few services, databases and users among them.
fn pairs() -> impl Strategy<Value = Vec<(String, Span)>> {
    let request = (0..4_u8, 0..4_u8, 0..4_u8, any::<[bool; 2]>(), 0..3_000_u64);
    prop::collection::vec(request, 1..40).prop_map(|requests| {
        let mut spans = Vec::new();
        for (at, (client, server, kind, fails, ms)) in requests.into_iter().enumerate() {
            let at = at as u8;
            let id = (at / 4 + 1, 2 * at + 1, 200);
            let below = (id.0, 2 * at + 2, id.1);
            let (one, other) = [(CLIENT, SERVER), (PRODUCER, CONSUMER), (CLIENT, CONSUMER), (CLIENT, SERVER)][usize::from(kind)];
            let fail = |fails: bool, span: Span| if fails { failed(span) } else { span };
            let call = fail(fails[0], span("call", one, id, ms + 7));
            if kind == 3 {
                spans.push((format!("s{client}"), with(call, &[("db.name", "orders")])));
                spans.push((format!("s{server}"), span("root", SERVER, (below.0, below.1, 0), ms)));
                continue;
            }
            spans.push((format!("s{client}"), call));
            spans.push((format!("s{server}"), fail(fails[1], span("serve", other, below, ms))));
        }
        spans
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_order_of_complete_pairs_gives_the_same_edges(
        with_options in any::<bool>(),
        (sent, shuffled) in pairs().prop_flat_map(|spans| (Just(spans.clone()), Just(spans).prop_shuffle())),
        cut in 1..20_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let edges = |spans: &[(String, Span)], cut: usize| runtime.block_on(async {
            let mut config = graph_only();
            if with_options {
                config.service_graph.tracestate_span_multiplier = true;
                config.service_graph.filter_policies = serde_yaml_ng::from_str(
                    "[{exclude: {match_type: regex, attributes: [{key: resource.service.name, value: '^s3$'}]}}]",
                ).expect("policies");
            }
            let rig = Rig::new(config);
            for request in spans.chunks(cut) {
                for (service, span) in request {
                    // A share of 1, 1/2 or 1/4 of such spans.
                    let trace_state = format!("ot=th:{}", ["0", "8", "c"][usize::from(span.span_id[0]) % 3]);
                    rig.of(service, vec![Span { trace_state, ..span.clone() }]).await;
                }
                rig.advance(100);
            }
            rig.values("traces_service_graph_").await
        });
        let expected = edges(&sent, 2);
        prop_assert!(expected.keys().all(|name| !name.contains("unpaired")));
        prop_assert_eq!(edges(&shuffled, cut), expected);
    }
}
