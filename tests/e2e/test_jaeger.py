"""Jaeger's and Zipkin's APIs as Grafana's data sources, Jaeger's page and gRPC clients ask them."""

import json
import time
import urllib.parse

import grpc
import pytest
from opentelemetry.proto.trace.v1 import trace_pb2

from node import HttpError, http
from tracedata import Shop


@pytest.fixture
def shop(node):
    return Shop(int(time.time()) - 60).push(node)


def get(node, dialect, path, **parameters):
    encoded = urllib.parse.urlencode(parameters, doseq=True)
    return json.loads(http("GET", node.url(dialect, f"{path}?{encoded}"))[1])


def test_what_grafana_asks_of_jaeger(node, shop):
    def ask(path, **parameters):
        return get(node, "jaeger", path, **parameters)

    services = ask("/api/services")
    assert services == {"data": ["cart", "db", "frontend"], "total": 3, "limit": 0, "offset": 0, "errors": None}
    assert ask("/api/services/db/operations")["data"] == ["SELECT"]
    assert ask("/api/operations", service="frontend", spanKind="client")["data"] == [{"name": "call cart", "spanKind": "client"}]
    when = {"start": (shop.start_s - 60) * 10**6, "end": (shop.end_s + 60) * 10**6}
    found = ask("/api/traces", service="db", operation="SELECT", limit=100, **when)["data"]
    assert len(found) == shop.traces and all(len(trace["spans"]) == 4 for trace in found)
    failed = ask("/api/traces", service="db", tags=json.dumps({"error": "true"}), limit=100, **when)["data"]
    assert len(failed) == len(shop.failed)
    assert len(ask("/api/traces", service="db", tags=json.dumps({"n": "7"}), limit=100, **when)["data"]) == 1
    slow = ask("/api/traces", service="db", minDuration="50ms", limit=100, **when)["data"]
    assert len(slow) == sum(20 + n >= 50 for n in range(shop.traces))
    trace = ask(f"/api/traces/{shop.hex_id(5)}")["data"][0]
    spans = {span["operationName"]: span for span in trace["spans"]}
    assert trace["processes"][spans["SELECT"]["processID"]]["serviceName"] == "db"
    assert {"key": "error", "type": "bool", "value": True} in spans["SELECT"]["tags"]
    assert spans["SELECT"]["references"][0]["spanID"] == spans["POST /add"]["spanID"]
    assert spans["SELECT"]["logs"][0]["fields"][0] == {"key": "event", "type": "string", "value": "exception"}
    with pytest.raises(HttpError) as refused:
        ask("/api/traces/ffffffffffffffffffffffffffffffff")
    assert refused.value.status == 404 and json.loads(refused.value.body)["errors"][0]["msg"] == "trace not found"
    links = ask("/api/dependencies", endTs=(shop.end_s + 60) * 1000, lookback=3_600_000)["data"]
    assert {(link["parent"], link["child"], link["callCount"]) for link in links} == {("frontend", "cart", 40), ("cart", "db", 40)}
    # Behind a proxy, and below the gateway.
    assert ask("/jaeger/ui/api/services") == services
    assert get(node, "gateway", "/jaeger/api/services") == services
    with pytest.raises(HttpError) as refused:
        ask("/api/metrics/calls", service="db")
    assert refused.value.status == 501


def test_jaegers_third_api(node, shop):
    def ask(path, **parameters):
        return get(node, "jaeger", f"/api/v3/{path}", **parameters)

    assert ask("services")["services"] == ["cart", "db", "frontend"]
    assert ask("operations", service="db")["operations"] == [{"name": "SELECT", "spanKind": "client"}]

    def moment(seconds):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))

    when = {"query.start_time_min": moment(shop.start_s - 60), "query.start_time_max": moment(shop.end_s + 60)}
    found = ask("traces", **{"query.service_name": "db", "query.search_depth": 3, **when})["result"]["resourceSpans"]
    spans = [span for group in found for scope in group["scopeSpans"] for span in scope["spans"]]
    assert len(spans) == 12 and all(len(span["traceId"]) == 32 for span in spans)
    summaries = ask("trace-summaries", **{"query.service_name": "db", "query.search_depth": 100, **when})["summaries"]
    assert len(summaries) == shop.traces and summaries[0]["spanCount"] == 4 and summaries[0]["rootServiceName"] == "frontend"
    one = ask(f"traces/{shop.hex_id(3)}")["result"]["resourceSpans"]
    assert sum(len(scope["spans"]) for group in one for scope in group["scopeSpans"]) == 4
    with pytest.raises(HttpError) as refused:
        ask("traces", **{"query.service_name": "nobody", **when})
    assert refused.value.status == 404


def varint(number):
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def test_jaeger_over_grpc(node, shop):
    """Requests are written byte by byte: a field is its number and type, its length, its bytes."""
    with grpc.insecure_channel(f"127.0.0.1:{node.ports['jaeger']}") as channel:
        one = b"\x0a" + varint(32) + shop.hex_id(3).encode()
        trace = channel.unary_stream("/jaeger.api_v3.QueryService/GetTrace", response_deserializer=trace_pb2.TracesData.FromString)
        spans = [s for data in trace(one, timeout=60) for group in data.resource_spans for scope in group.scope_spans for s in scope.spans]
        assert len(spans) == 4
        services = channel.unary_unary("/jaeger.api_v3.QueryService/GetServices")(b"", timeout=60)
        assert services == b"\x0a\x04cart\x0a\x02db\x0a\x08frontend"
        assert channel.unary_unary("/jaeger.api_v2.QueryService/GetServices")(b"", timeout=60) == services
        of_v2 = channel.unary_stream("/jaeger.api_v2.QueryService/GetTrace")
        chunks = list(of_v2(b"\x0a\x10" + shop.trace_id(3), timeout=60))
        assert len(chunks) == 1 and chunks[0].count(b"frontend-0") == 2
        with pytest.raises(grpc.RpcError) as refused:
            list(of_v2(b"\x0a\x10" + b"\xff" * 16, timeout=60))
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND


def test_what_grafana_asks_of_zipkin(node, shop):
    def ask(path, **parameters):
        return get(node, "zipkin", f"/api/v2/{path}", **parameters)

    assert ask("services") == ["cart", "db", "frontend"]
    assert ask("spans", serviceName="db") == ["SELECT"]
    when = {"endTs": (shop.end_s + 60) * 1000, "lookback": 3_600_000}
    found = ask("traces", serviceName="db", spanName="select".upper(), limit=100, **when)
    assert len(found) == shop.traces and all(len(trace) == 4 for trace in found)
    assert len(ask("traces", serviceName="db", annotationQuery="error", limit=100, **when)) == len(shop.failed)
    assert len(ask("traces", annotationQuery="n=7 and http.method=GET", limit=100, **when)) == 1
    trace = {span["name"]: span for span in ask(f"trace/{shop.hex_id(5)}")}
    assert trace["SELECT"]["localEndpoint"] == {"serviceName": "db"} and trace["SELECT"]["kind"] == "CLIENT"
    assert trace["SELECT"]["tags"]["error"] == "deadlock" and trace["SELECT"]["duration"] == 25_000
    assert trace["SELECT"]["parentId"] == trace["POST /add"]["id"]
    assert len(ask("traceMany", traceIds=f"{shop.hex_id(1)},{shop.hex_id(2)}")) == 2
    links = {(link["parent"], link["child"], link["callCount"]) for link in ask("dependencies", **when)}
    assert links == {("frontend", "cart", 40), ("cart", "db", 40)}
    assert "http.method" in ask("autocompleteKeys")
    assert ask("autocompleteValues", key="http.method") == ["GET"]
    assert get(node, "gateway", "/zipkin/api/v2/services") == ["cart", "db", "frontend"]
    with pytest.raises(HttpError) as refused:
        ask("trace/ffffffffffffffffffffffffffffffff")
    assert refused.value.status == 404
