"""Metrics of spans: what SQL counts over the stored spans, across restarts and kills, and what Grafana's service graph asks for."""

import json
import subprocess
import time
import urllib.parse

import pytest

import payload
from node import BIN, http

folder = pytest.mark.parametrize("make_node", ["folder"], indirect=True)
bucket = pytest.mark.parametrize("make_node", ["s3"], indirect=True)

FAST = ["--set", 'generator.interval="300ms"', "--set", 'generator.service_graph.wait="2s"']
CALLS = "traces_spanmetrics_calls_total"


def generate(node, seed, count=4000):
    command = [BIN, "generate", "--endpoint", node.url("otlp-grpc"), "--protocol", "grpc", "--signals", "traces", "--rate", "0",
               "--count", str(count), "--seed", str(seed), "--format", "json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["spans"]


def promql(node, query, **parameters):
    """The samples of an instant query: [(labels, value)]."""
    encoded = urllib.parse.urlencode({"query": query, **parameters})
    answer = json.loads(http("GET", node.url("prometheus", f"/api/v1/query?{encoded}"))[1])
    assert answer["status"] == "success", answer
    return [(sample["metric"], float(sample["value"][1])) for sample in answer["data"]["result"]]


def by_labels(node, query, labels):
    return {tuple(metric.get(label, "") for label in labels): value for metric, value in promql(node, query)}


def eventually(expected, ask, seconds=30):
    """Asks until the answer is the expected one."""
    ends = time.monotonic() + seconds
    while (found := ask()) != expected and time.monotonic() < ends:
        time.sleep(0.2)
    assert found == expected


def calls_of_spans(node):
    rows = node.sql("select service, name, kind, status, count(*) as n, sum(duration_ns) as ns from spans group by 1, 2, 3, 4")
    key = lambda row: (row["service"], row["name"], f"SPAN_KIND_{row['kind'].upper()}", f"STATUS_CODE_{row['status'].upper()}")  # noqa: E731
    return {key(row): row["n"] for row in rows}, {key(row): row["ns"] / 1e9 for row in rows}


def edges_of_spans(node):
    edges = """
        select c.service as client, s.service as server, '' as connection,
               count(*) as n, sum(case when c.status = 'error' or s.status = 'error' then 1 else 0 end) as failed
        from spans c join spans s on s.trace_id = c.trace_id and s.parent_span_id = c.span_id
        where c.kind = 'client' and s.kind = 'server' group by 1, 2
        union all
        select service, 'postgresql', 'database', count(*), sum(case when status = 'error' then 1 else 0 end)
        from spans where kind = 'client' and name = 'SELECT orders' group by 1
        union all
        select 'user', service, 'virtual_node', count(*), sum(case when status = 'error' then 1 else 0 end)
        from spans where kind = 'server' and parent_span_id is null group by 2
    """
    rows = node.sql(edges)
    key = lambda row: (row["client"], row["server"], row["connection"])  # noqa: E731
    return {key(row): row["n"] for row in rows}, {key(row): row["failed"] for row in rows}


@folder
def test_metrics_are_what_sql_counts_over_the_spans(make_node):
    node = make_node(args=FAST).start()
    sent = generate(node, 1) + generate(node, 2)
    labels = ("service", "span_name", "span_kind", "status_code")
    graph = ("client", "server", "connection_type")
    by = lambda names, metric: f"sum by ({', '.join(names)}) ({metric})"  # noqa: E731
    calls, seconds = calls_of_spans(node)
    requests, failed = edges_of_spans(node)
    assert sum(calls.values()) == sent and len(requests) > 12
    eventually(calls, lambda: by_labels(node, by(labels, CALLS), labels))
    eventually(calls, lambda: by_labels(node, by(labels, "traces_spanmetrics_latency_count"), labels))
    sums = by_labels(node, by(labels, "traces_spanmetrics_latency_sum"), labels)
    assert {key: round(value, 9) for key, value in sums.items()} == {key: round(value, 9) for key, value in seconds.items()}
    eventually(requests, lambda: by_labels(node, by(graph, "traces_service_graph_request_total"), graph))
    assert by_labels(node, by(graph, "traces_service_graph_request_failed_total"), graph) == failed
    assert promql(node, "sum(traces_service_graph_unpaired_spans_total) or vector(0)")[0][1] == 0
    # A bucket is what SQL counts up to its bound.
    fast = node.sql("select count(*) as n from spans where duration_ns <= 4000000")[0]["n"]
    assert promql(node, 'sum(traces_spanmetrics_latency_bucket{le="0.004"})')[0][1] == fast
    metadata = json.loads(http("GET", node.url("prometheus", "/api/v1/metadata"))[1])["data"]
    assert metadata[CALLS][0]["type"] == "counter" and metadata["traces_spanmetrics_latency"][0]["unit"] == "seconds"


@folder
def test_labels_of_attributes_native_histograms_and_the_collectors_names(make_node):
    settings = ['dimensions=["http.request.method", "service.name"]', 'profiles=["tempo", "collector"]', "target_info=true"]
    settings = [f"generator.span_metrics.{setting}" for setting in settings] + ['generator.histograms="both"']
    node = make_node(args=FAST + [arg for setting in settings for arg in ("--set", setting)]).start()
    sent = generate(node, 4)
    rows = node.sql("select service, coalesce(attributes['http.request.method'], '') as method, count(*) as n from spans group by 1, 2")
    expected = {(row["service"], row["method"]): row["n"] for row in rows}
    labels = ("service_name", "http_request_method")
    eventually(expected, lambda: by_labels(node, f"sum by ({', '.join(labels)}) ({CALLS})", labels))
    assert promql(node, f'sum({CALLS}{{service_name="frontend", http_request_method="GET"}})')[0][1] == expected["frontend", "GET"]
    assert promql(node, "sum(traces_span_metrics_calls_total)")[0][1] == sent
    assert promql(node, 'sum(traces_span_metrics_duration_milliseconds_bucket{le="+Inf"})')[0][1] == sent
    assert promql(node, "histogram_count(sum(traces_spanmetrics_latency))")[0][1] == sent
    seconds = node.sql("select sum(duration_ns) as ns from spans")[0]["ns"] / 1e9
    assert promql(node, "histogram_sum(sum(traces_spanmetrics_latency))")[0][1] == pytest.approx(seconds)
    median = node.sql("select approx_percentile_cont(duration_ns, 0.5) as ns from spans")[0]["ns"] / 1e9
    assert promql(node, "histogram_quantile(0.5, sum(traces_spanmetrics_latency))")[0][1] == pytest.approx(median, rel=0.1)
    joined = promql(node, f"{CALLS} * on (job, instance) group_left (host_name) traces_target_info")
    assert joined and all("host_name" in metric and metric["job"].startswith("shop/") for metric, _ in joined)


@folder
def test_grafanas_service_graph_finds_everything(make_node):
    node = make_node(args=["--set", 'generator.interval="500ms"']).start()
    generate(node, 3)
    eventually(True, lambda: bool(promql(node, "traces_service_graph_request_total")))
    time.sleep(1)
    for query in [
        "sum by (client, server) (rate(traces_service_graph_request_total{}[1h]))",
        "sum by (client, server, connection_type) (rate(traces_service_graph_request_total{}[1h]))",
        "sum by (client, server) (rate(traces_service_graph_request_failed_total{}[1h]))",
        "sum by (client, server) (rate(traces_service_graph_request_server_seconds_sum{}[1h]))",
        "histogram_quantile(.9, sum(rate(traces_service_graph_request_server_seconds_bucket{}[1h])) by (le, server, client))",
        'topk(5, sum(rate(traces_spanmetrics_calls_total{span_kind="SPAN_KIND_SERVER"}[1h])) by (span_name))',
        'topk(5, sum(rate(traces_spanmetrics_calls_total{status_code="STATUS_CODE_ERROR",span_kind="SPAN_KIND_SERVER"}[1h])) by (span_name))',
        'histogram_quantile(.9, sum(rate(traces_spanmetrics_latency_bucket{span_kind="SPAN_KIND_SERVER"}[1h])) by (le))',
    ]:
        found = promql(node, query)
        assert found and all(value >= 0 for _, value in found), query
        assert "failed" in query or all(value > 0 for _, value in found), query
    match = urllib.parse.urlencode({"match[]": "traces_service_graph_request_server_seconds"})
    series = json.loads(http("GET", node.url("prometheus", f"/api/v1/series?{match}"))[1])["data"]
    assert series == [], "classic histograms have no series of the bare name, by which native ones are recognised"
    exemplars = urllib.parse.urlencode({"query": "traces_spanmetrics_latency_bucket", "start": time.time() - 600, "end": time.time() + 1})
    found = json.loads(http("GET", node.url("prometheus", f"/api/v1/query_exemplars?{exemplars}"))[1])["data"]
    trace = found[0]["exemplars"][0]["labels"]["trace_id"]
    assert node.count(f"spans where trace_id = '{trace}'") > 0


def counted(node):
    """Every life of every counter added up: a life has a start of its own."""
    lives = "select sid, start_ts, max(value) as v, min(value) as first from metrics where metric = '%s' group by 1, 2" % CALLS
    rows = node.sql(lives)
    assert all(row["first"] == 0 for row in rows), "each one begins with 0"
    return sum(row["v"] for row in rows)


@folder
def test_kills_and_retries_do_not_count_twice(make_node):
    node = make_node(args=FAST).start()
    bodies = []
    for life in range(5):
        body = payload.spans(life * 400, 400)
        bodies.append(body)
        for repeated in [body, body, bodies[0]]:
            http("POST", node.url("otlp-http", "/v1/traces"), repeated, payload.PROTOBUF)
        eventually(400 * (life + 1), lambda: counted(node))
        node.kill()
        node.restart()
    assert node.count("spans") == 2000
    assert counted(node) == 2000
    # One node, one set of series, whatever its lives.
    assert len({row["l"] for row in node.sql(f"select labels['__metrics_gen_instance'] as l from series where metric = '{CALLS}'")}) == 1


@folder
def test_a_node_that_is_told_to_stop_writes_what_it_counted(make_node):
    node = make_node(args=["--set", 'generator.interval="1h"']).start()
    http("POST", node.url("otlp-http", "/v1/traces"), payload.spans(0, 400), payload.PROTOBUF)
    assert node.stop() == 0
    node.restart()
    assert counted(node) == 400


@folder
def test_it_can_be_switched_off(make_node):
    node = make_node(args=["--set", "generator.enabled=false"]).start()
    http("POST", node.url("otlp-http", "/v1/traces"), payload.spans(0, 400), payload.PROTOBUF)
    assert node.stop() == 0
    node.restart()
    assert node.count("metrics where metric like 'traces_%'") == 0


@bucket
def test_nodes_on_one_bucket_add_up(make_node):
    nodes = [make_node(name, args=FAST).start() for name in ("a", "b")]
    for at, node in enumerate(nodes):
        http("POST", node.url("otlp-http", "/v1/traces"), payload.spans(400 * at, 400), payload.PROTOBUF)
        eventually(400, lambda: counted(node))  # noqa: B023
    for node in nodes:
        node.admin("flush")
    nodes[0].admin("refresh")
    assert promql(nodes[0], f"sum({CALLS})")[0][1] == 800
    assert len(promql(nodes[0], f"count by (__metrics_gen_instance) ({CALLS})")) == 2


def otlp_json(service, attributes, *spans):
    """A request of one resource; a span is (name, kind, id, parent, attributes, more fields)."""
    text = lambda pairs: [{"key": k, "value": {"doubleValue": v} if isinstance(v, float) else {"stringValue": v}} for k, v in pairs.items()]  # noqa: E731
    start = time.time_ns()
    one = lambda name, kind, span, parent, attributes, more: {  # noqa: E731
        "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": span, "parentSpanId": parent, "name": name, "kind": kind,
        "startTimeUnixNano": str(start), "endTimeUnixNano": str(start + 50_000_000), "attributes": text(attributes), **more}
    resource = {"attributes": text({"service.name": service, **attributes})}
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [one(*span) for span in spans]}]}]}).encode()


@folder
def test_options_of_tempos_generator_under_tempos_names(make_node):
    settings = {
        "trace_id_label_name": '"traceID"',
        "host_info": "{enabled=true}",
        "span_metrics.span_multiplier_key": '"X-SampleRatio"',
        "span_metrics.enable_tracestate_span_multiplier": "true",
        "span_metrics.enable_target_info": "true",
        "span_metrics.enable_instance_label": "false",
        "span_metrics.intrinsic_dimensions": "{span_kind=false}",
        "span_metrics.filter_policies": '[{exclude={match_type="regex", attributes=[{key="resource.tier", value="^dev-"}]}}]',
        "service_graph.enable_tracestate_span_multiplier": "true",
        "service_graph.connection_info": "true",
        "service_graph.filter_policies": '[{exclude={match_type="strict", attributes=[{key="name", value="health"}]}}]',
    }
    arguments = [argument for key, value in settings.items() for argument in ("--set", f"generator.{key}={value}")]
    node = make_node(args=FAST + arguments).start()
    push = lambda *request: http("POST", node.url("otlp-http", "/v1/traces"), otlp_json(*request), {"content-type": "application/json"})  # noqa: E731
    half = {"traceState": "ot=th:8"}
    push("api", {"host.id": "h1", "service.instance.id": "i1"},
         ("call", 3, "00000000000000a1", "00000000000000ff", {"X-SampleRatio": 0.1}, half),
         ("plain", 1, "00000000000000a2", "00000000000000a1", {"X-SampleRatio": 0.1}, {}),
         ("ping", 3, "00000000000000a3", "00000000000000a1", {"peer.service": "x"}, {}))
    push("db", {"k8s.node.name": "n1"},
         ("serve", 2, "00000000000000b1", "00000000000000a1", {}, half),
         ("health", 2, "00000000000000b3", "00000000000000a3", {}, {}))
    push("api", {"tier": "dev-1"}, ("left out", 1, "00000000000000c1", "00000000000000ff", {}, {}))
    calls = {("api", "call"): 2, ("api", "plain"): 10, ("api", "ping"): 1, ("db", "serve"): 2, ("db", "health"): 1}
    labels = ("service", "span_name")
    eventually(calls, lambda: by_labels(node, f"sum by (service, span_name) ({CALLS})", labels))
    found = promql(node, CALLS)
    assert all("span_kind" not in metric and "instance" not in metric and metric["job"] == metric["service"] for metric, _ in found)
    latencies = by_labels(node, "sum by (service, span_name) (traces_spanmetrics_latency_sum)", labels)
    assert latencies == pytest.approx({key: 0.05 * count for key, count in calls.items()})
    graph = ("client", "server")
    eventually({("api", "db"): 2}, lambda: by_labels(node, "traces_service_graph_request_total", graph))
    assert by_labels(node, "traces_service_graph_connection_info", graph) == {("api", "db"): 1}
    hosts = by_labels(node, "traces_host_info", ("grafana_host_id", "host_source"))
    assert hosts == {("h1", "host.id"): 1, ("n1", "k8s.node.name"): 1}
    assert by_labels(node, "traces_target_info", ("job", "instance", "host_id")) == {("api", "i1", "h1"): 1, ("db", "", ""): 1}
    asked = urllib.parse.urlencode({"query": "traces_spanmetrics_latency_bucket", "start": time.time() - 600, "end": time.time() + 1})
    series = json.loads(http("GET", node.url("prometheus", f"/api/v1/query_exemplars?{asked}"))[1])["data"]
    exemplars = [exemplar["labels"] for one in series for exemplar in one["exemplars"]]
    assert exemplars and all(labels["traceID"] == labels["trace_id"] for labels in exemplars)


def test_a_policy_that_means_nothing_is_refused_with_what_it_may_be():
    for setting, expected in [
        ('span_metrics.filter_policies=[{include={match_type="strict", attributes=[{key="status", value="ERROR"}]}}]',
         'generator.span_metrics.filter_policies[0].include.attributes.status is "ERROR", must be one of STATUS_CODE_UNSET'),
        ('span_metrics.span_multiplier_kee="x"', "did you mean span_multiplier_key?"),
        ('span_metrics.intrinsic_dimensions={span_nam=false}', "did you mean span_name?"),
    ]:
        command = [BIN, "serve", "--data", "/nonexistent", "--set", f"generator.{setting}"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode != 0 and expected in done.stderr, done.stderr
