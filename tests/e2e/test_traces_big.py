"""Traces that are large, many, odd, or far apart: all of them arrive, and come back whole, or with a clear word about what does not."""

import json
import os
import time
import urllib.parse

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.trace.v1 import trace_pb2

import tempopb
from node import HttpError, Node, http
from tracedata import PROTOBUF

DAY_S = 86_400
BIG = bytes.fromhex("b16b00b5" * 4)


class Spans:
    """A request of one service, filled span by span."""

    def __init__(self, service="shop"):
        self.request = ExportTraceServiceRequest()
        group = self.request.resource_spans.add()
        attribute = group.resource.attributes.add()
        attribute.key, attribute.value.string_value = "service.name", service
        self.spans = group.scope_spans.add().spans

    def add(self, trace_id, span_id, start_ns, duration_ns=1_000_000, parent=b"", name="step", kind=1):
        span = self.spans.add(trace_id=trace_id, span_id=span_id, parent_span_id=parent, name=name, kind=kind)
        span.start_time_unix_nano, span.end_time_unix_nano = start_ns, start_ns + duration_ns
        return self

    def push(self, node):
        body = http("POST", node.url("otlp-http", "/v1/traces"), self.request.SerializeToString(), PROTOBUF)[1]
        return ExportTraceServiceResponse.FromString(body).partial_success


def number(n, length=8):
    return n.to_bytes(length, "big")


def get(node, dialect, path, **parameters):
    return json.loads(http("GET", node.url(dialect, f"{path}?{urllib.parse.urlencode(parameters)}"))[1])


def spans_of(groups):
    return [span for group in groups for scope in group["scopeSpans"] for span in scope["spans"]]


def push_big(node, count, start_ns):
    """One trace: a root, below it groups of a hundred, each a chain. It comes in requests of 10,000 spans, the last spans first."""
    for first in reversed(range(0, count, 10_000)):
        some = Spans()
        for n in range(first, min(first + 10_000, count)):
            parent = b"" if n == 0 else number(1 if n % 100 == 1 else n)
            some.add(BIG, number(n + 1), start_ns + n * 1000, parent=parent, name=f"step {n % 7}")
        assert not some.push(node).rejected_spans


def test_a_trace_of_50_000_spans_is_whole_by_every_api(tmp_path):
    count, start_ns = 50_000, (int(time.time()) - 300) * 10**9
    id, expected = BIG.hex(), {number(n + 1) for n in range(count)}
    with Node(tmp_path / "node", args=["--set", "ingest.flush.age_max=1h"]) as node:
        push_big(node, count, start_ns)
        for where in ["memory", "files"]:
            if where == "files":
                node.admin("flush")
            body = http("GET", node.url("tempo", f"/api/traces/{id}"), headers={"Accept": "application/protobuf"})[1]
            given = [span.span_id for group in trace_pb2.TracesData.FromString(body).resource_spans for scope in group.scope_spans
                     for span in scope.spans]
            assert len(given) == count and set(given) == expected, where
            second = get(node, "tempo", f"/api/v2/traces/{id}")
            assert len(spans_of(second["trace"]["resourceSpans"])) == count and "status" not in second
            of_jaeger = get(node, "jaeger", f"/api/traces/{id}")["data"]
            assert [len(trace["spans"]) for trace in of_jaeger] == [count]
            assert node.count(f"trace('{id}')") == count
            found = get(node, "tempo", "/api/search", q='{ name = "step 3" } >> { name = "step 4" }', spss=1)["traces"]
            # Each but the last of a chain has one below it that is a step 4 further down.
            assert [trace["traceID"] for trace in found] == [id] and found[0]["spanSet"]["matched"] > count // 8
    # A limit: the first API refuses, the second gives a part and says so.
    with Node(tmp_path / "node", args=["--set", "traceql.trace_spans_max=20000"]) as node:
        with pytest.raises(HttpError) as refused:
            get(node, "tempo", f"/api/traces/{id}")
        assert refused.value.status == 422 and b"20000" in refused.value.body
        part = get(node, "tempo", f"/api/v2/traces/{id}")
        assert len(spans_of(part["trace"]["resourceSpans"])) == 20_000
        assert part["status"] == "PARTIAL" and "20000" in part["message"], part["message"]


def test_ten_thousand_small_traces_in_one_request(node):
    start_ns = (int(time.time()) - 300) * 10**9
    some = Spans()
    for n in range(10_000):
        trace_id = number(n + 1, 16)
        some.add(trace_id, number(1), start_ns + n * 1000, name="root", kind=2)
        some.add(trace_id, number(2), start_ns + n * 1000 + 10, parent=number(1), name=f"leaf {n % 10}", kind=3)
    assert not some.push(node).rejected_spans
    when = {"start": start_ns // 10**9 - 60, "end": start_ns // 10**9 + 60}
    for _ in range(2):
        for n in (0, 4_999, 9_999):
            assert len(spans_of(get(node, "tempo", f"/api/v2/traces/{n + 1:032x}")["trace"]["resourceSpans"])) == 2
        found = get(node, "tempo", "/api/search", q='{ name = "root" } > { name = "leaf 7" }', limit=20_000, **when)["traces"]
        assert {int(trace["traceID"], 16) % 10 for trace in found} == {8} and len(found) == 1_000
        series = get(node, "tempo", "/api/metrics/query", q="{ } | count_over_time() by (name)", **when)["series"]
        assert {next(iter(s["labels"][0]["value"].values())): s["value"] for s in series} == {"root": 10_000, **{f"leaf {n}": 1_000 for n in range(10)}}
        assert node.count("(select distinct trace_id from spans)") == 10_000
        node.admin("flush")


def test_spans_with_bad_ids_are_refused_alone(node):
    start_ns = (int(time.time()) - 300) * 10**9
    some = Spans().add(b"", number(1), start_ns).add(bytes(16), number(2), start_ns).add(b"short", number(3), start_ns)
    some.add(BIG, b"", start_ns).add(BIG, bytes(8), start_ns).add(BIG, number(4, 16), start_ns)
    some.add(BIG, number(5), start_ns, parent=b"odd")
    said = some.push(node)
    assert said.rejected_spans == 6 and "id" in said.error_message, said
    spans = spans_of(get(node, "tempo", f"/api/v2/traces/{BIG.hex()}")["trace"]["resourceSpans"])
    assert len(spans) == 1 and "parentSpanId" not in spans[0]


def test_what_parents_say_may_be_nonsense(node):
    """Circles, spans that are their own parents, parents that are not there, children before their parents, an end before its start."""
    at = (int(time.time()) - 300) * 10**9
    trace = {name: number(n + 1, 16) for n, name in enumerate(["circle", "self", "orphan", "skew", "back"])}
    some = Spans()
    some.add(trace["circle"], number(1), at, parent=number(2), name="a").add(trace["circle"], number(2), at + 1, parent=number(1), name="b")
    some.add(trace["self"], number(1), at, parent=number(1), name="a").add(trace["self"], number(2), at + 1, parent=number(1), name="b")
    some.add(trace["orphan"], number(1), at, parent=number(9), name="a").add(trace["orphan"], number(2), at, parent=number(1), name="b")
    # The clock of the child is behind by a minute.
    some.add(trace["skew"], number(2), at - 60 * 10**9, parent=number(1), name="b", duration_ns=10**9)
    some.add(trace["skew"], number(1), at, name="a", duration_ns=2 * 10**9)
    some.add(trace["back"], number(1), at, name="a", duration_ns=-(10**9))
    said = some.push(node)
    assert said.rejected_spans == 0 and "end" in said.error_message, said
    when = {"start": at // 10**9 - 600, "end": at // 10**9 + 600}

    def search(query):
        found = get(node, "tempo", "/api/search", q=query, limit=100, **when)["traces"]
        return {name for name, id in trace.items() if id.hex().lstrip("0") in {t["traceID"].lstrip("0") for t in found}}

    for _ in range(2):
        assert search("{}") == set(trace)
        # What hangs on no root stands in no relation: a circle has no top, and what is above an orphan has not come yet.
        for relation in [">", ">>"]:
            assert search(f'{{ name = "a" }} {relation} {{ name = "b" }}') == {"skew"}
        assert search("{ nestedSetParent < 0 }") == {"skew", "back"}
        for name, id in trace.items():
            spans = spans_of(get(node, "tempo", f"/api/v2/traces/{id.hex()}")["trace"]["resourceSpans"])
            assert len(spans) == (1 if name == "back" else 2)
            assert len(get(node, "jaeger", f"/api/traces/{id.hex()}")["data"][0]["spans"]) == len(spans)
        starts = {int(t["startTimeUnixNano"]): t for t in get(node, "tempo", "/api/search", q="{}", limit=100, **when)["traces"]}
        skewed = starts[at - 60 * 10**9]
        # From the first start to the last end, whoever's clock is right.
        assert (skewed["rootTraceName"], skewed["durationMs"]) == ("a", 62_000)
        assert get(node, "jaeger", "/api/dependencies", endTs=when["end"] * 1000, lookback=1_200_000)["data"] == []
        node.admin("flush")


def test_partial_results_come_before_the_last_file_is_read(tmp_path):
    """Three days, of which the oldest cannot be read: what the others have is told before, and only then the error."""
    today = int(time.time()) // DAY_S * DAY_S - DAY_S
    days = [today - n * DAY_S + 3_600 for n in range(3)]
    node = Node(tmp_path / "node")
    with node:
        for day, start_s in enumerate(days):
            some = Spans()
            for n in range(5):
                some.add(number(day * 16 + n + 1, 16), number(1), (start_s + n) * 10**9, name="root", kind=2)
            some.push(node)
            node.admin("flush")
        files = node.sql("select path from system.files where \"table\" = 'spans' order by min_ts")
        assert len(files) == 3
        node.stop()
    oldest = os.path.join(tmp_path, "node", "lake", files[0]["path"])
    os.rename(oldest, oldest + ".aside")
    when = {"start": days[2] - 60, "end": days[0] + 3_600}
    ns = {"start": when["start"] * 10**9, "end": when["end"] * 10**9}
    for query in ["{}", "{} with(most_recent=true)", "{ nestedSetLeft > 0 }"]:
        with node:
            messages = tempopb.stream(f"127.0.0.1:{node.ports['tempo']}", "Search", query=query, limit=100, **when)
            first = next(messages)
            assert {int(t.trace_id, 16) // 16 for t in first.traces} <= {0, 1} and first.traces, query
            assert first.metrics.completed_jobs < first.metrics.total_jobs == 3, query
            with pytest.raises(grpc.RpcError):
                list(messages)
    with node:
        messages = tempopb.stream(f"127.0.0.1:{node.ports['tempo']}", "MetricsQueryRange", query="{} | count_over_time()", step=3600 * 10**9, **ns)
        first = next(messages)
        assert sum(sample.value for series in first.series for sample in series.samples) in (5, 10)
        assert first.metrics.completed_jobs < first.metrics.total_jobs == 3
        with pytest.raises(grpc.RpcError):
            list(messages)
    os.rename(oldest + ".aside", oldest)
    with node:
        *parts, last = tempopb.stream(f"127.0.0.1:{node.ports['tempo']}", "Search", query="{}", limit=100, **when)
        assert parts and len(last.traces) == 15 and last.metrics.completed_jobs == last.metrics.total_jobs == 3
        last = list(tempopb.stream(f"127.0.0.1:{node.ports['tempo']}", "MetricsQueryRange", query="{} | count_over_time()", step=3600 * 10**9, **ns))[-1]
        assert sum(sample.value for series in last.series for sample in series.samples) == 15
