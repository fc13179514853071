"""Spans by the clients of Jaeger and Zipkin, unchanged: what they send is what SQL says."""

import gzip
import json
import time

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, message_factory, timestamp_pb2
from opentelemetry import trace
from opentelemetry.exporter.zipkin.json import Protocol, ZipkinExporter
from opentelemetry.sdk import environment_variables
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from py_zipkin import Encoding, Kind
from py_zipkin.transport import BaseTransportHandler
from py_zipkin.zipkin import zipkin_span

from node import HttpError, http

# Names that the SDK dropped after the last release of the exporter, which imports them.
for name in ("AGENT_HOST", "AGENT_PORT", "AGENT_SPLIT_OVERSIZED_BATCHES", "ENDPOINT", "PASSWORD", "TIMEOUT", "USER"):
    setattr(environment_variables, f"OTEL_EXPORTER_JAEGER_{name}", f"OTEL_EXPORTER_JAEGER_{name}")
from opentelemetry.exporter.jaeger.thrift import JaegerExporter  # noqa: E402


def record(exporter):
    """A trace of 100 times two spans through `exporter`; the ids of the first pair."""
    provider = TracerProvider(resource=Resource.create({"service.name": "checkout", "service.version": "1.2"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer, first = provider.get_tracer("spans.test", "1.0"), None
    for n in range(100):
        with tracer.start_as_current_span("pay", kind=trace.SpanKind.SERVER, attributes={"order": n}) as parent:
            with tracer.start_as_current_span("charge", kind=trace.SpanKind.CLIENT) as child:
                child.add_event("retry", {"attempt": 2})
            if n % 10 == 0:
                parent.set_status(trace.Status(trace.StatusCode.ERROR, "declined"))
            first = first or (parent.get_span_context(), child.get_span_context())
    assert provider.force_flush()
    provider.shutdown()
    return first


def check_recorded(node, first, kinds=("client", "server")):
    parent, child = first
    assert node.count("spans where service = 'checkout'") == 200
    assert node.count("spans where status = 'error' and name = 'pay'") == 10
    assert [row["kind"] for row in node.sql("select distinct kind from spans order by kind")] == list(kinds)
    found = node.sql(f"select span_id, parent_span_id, duration_ns from spans where trace_id = '{parent.trace_id:032x}' and name = 'charge'")
    assert [(row["span_id"], row["parent_span_id"]) for row in found] == [(f"{child.span_id:016x}", f"{parent.span_id:016x}")]
    assert 0 <= found[0]["duration_ns"] < 60 * 10**9
    joined = "spans c join spans p on c.trace_id = p.trace_id and c.parent_span_id = p.span_id"
    assert node.count(joined) == 100
    assert node.sql("select max(ts) > now() - interval '5 minutes' as recent from spans") == [{"recent": True}]


def test_opentelemetry_over_jaeger_thrift(node):
    first = record(JaegerExporter(collector_endpoint=node.url("jaeger-thrift", "/api/traces?format=jaeger.thrift")))
    check_recorded(node, first)
    assert node.count("span_events where name = 'retry'") == 100
    assert node.count("spans where status_message = 'declined'") == 10
    assert node.count("spans where scope_name = 'spans.test' and scope_version = '1.0'") == 200
    assert node.metric("telelake_receive_requests_total", protocol="jaeger_thrift", outcome="ok") >= 1


@pytest.mark.parametrize("protocol", [Protocol.V1, Protocol.V2])
def test_opentelemetry_over_zipkin(node, protocol):
    endpoint = node.url("zipkin", f"/api/{protocol.value}/spans")
    first = record(ZipkinExporter(version=protocol, endpoint=endpoint, local_node_ipv4="10.1.2.3", local_node_port=80,
                                  max_tag_value_length=128))  # without it version 1 fails on its own
    # The exporter has no place for a kind in version 1.
    check_recorded(node, first, ("unspecified",) if protocol == Protocol.V1 else ("client", "server"))
    assert node.count("span_events") == 100
    assert node.count("spans where status_message = 'declined' and scope_name = 'spans.test'") == 10
    assert node.count("resources where attributes['service.version'] = '1.2'") >= 1
    assert node.count("spans where attributes['network.local.address'] = '10.1.2.3'") == 200
    assert node.metric("telelake_receive_requests_total", protocol=f"zipkin_{protocol.value}_json", outcome="ok") >= 1


class Post(BaseTransportHandler):
    """py_zipkin's transport is the application's own."""

    def __init__(self, url, content_type):
        self.url, self.content_type, self.statuses = url, content_type, []

    def get_max_payload_bytes(self):
        return None

    def send(self, payload):
        payload = payload.encode() if isinstance(payload, str) else payload
        headers = {"Content-Type": self.content_type, "Content-Encoding": "gzip"}
        self.statuses.append(http("POST", self.url, gzip.compress(payload), headers)[:2])


@pytest.mark.parametrize("encoding", [Encoding.V1_JSON, Encoding.V2_JSON, Encoding.V2_PROTO3])
def test_py_zipkin(node, encoding):
    version = "v1" if encoding == Encoding.V1_JSON else "v2"
    content_type = "application/x-protobuf" if encoding == Encoding.V2_PROTO3 else "application/json"
    post = Post(node.url("zipkin", f"/api/{version}/spans"), content_type)
    tags = {"http.path": "/cart", "error": "no stock"}
    with zipkin_span(service_name="web", span_name="get cart", transport_handler=post, sample_rate=100.0, encoding=encoding,
                     binary_annotations=tags, kind=Kind.SERVER, port=8080, host="10.0.0.1", use_128bit_trace_id=True) as server:
        with zipkin_span(service_name="web", span_name="select", kind=Kind.CLIENT) as client:
            client.add_sa_binary_annotation(port=5432, service_name="db", host="10.0.0.9")
            client.add_annotation("row locked")
        ids = server.zipkin_attrs
    assert post.statuses and all(status == (202, b"") for status in post.statuses)
    columns = "name, service, kind, status, status_message, attributes, trace_id, parent_span_id"
    rows = {row["name"]: row for row in node.sql(f"select {columns} from spans")}
    root, child = rows["get cart"], rows["select"]
    assert (root["service"], root["kind"], root["status"], root["status_message"]) == ("web", "server", "error", "no stock")
    assert root["attributes"]["http.path"] == "/cart" and root["trace_id"] == ids.trace_id.zfill(32)
    assert (child["kind"], child["parent_span_id"], child["trace_id"]) == ("client", ids.span_id, root["trace_id"])
    peer = {key: str(child["attributes"][key]) for key in ("peer.service", "network.peer.address", "network.peer.port")}
    assert peer == {"peer.service": "db", "network.peer.address": "10.0.0.9", "network.peer.port": "5432"}
    assert node.count("span_events where name = 'row locked'") == 1


def jaeger_messages():
    """The classes of `jaeger.api_v2` that PostSpans needs. No released package has them for this version of protobuf."""
    field = descriptor_pb2.FieldDescriptorProto
    kinds = {"string": field.TYPE_STRING, "bytes": field.TYPE_BYTES, "bool": field.TYPE_BOOL, "int64": field.TYPE_INT64,
             "double": field.TYPE_DOUBLE, "int32": field.TYPE_INT32, "uint32": field.TYPE_UINT32}
    fields = {
        "KeyValue": "key string 1, v_type int32 2, v_str string 3, v_bool bool 4, v_int64 int64 5, v_float64 double 6, v_binary bytes 7",
        "Log": "timestamp .google.protobuf.Timestamp 1, fields *KeyValue 2",
        "SpanRef": "trace_id bytes 1, span_id bytes 2, ref_type int32 3",
        "Process": "service_name string 1, tags *KeyValue 2",
        "Span": "trace_id bytes 1, span_id bytes 2, operation_name string 3, references *SpanRef 4, flags uint32 5, "
                "start_time .google.protobuf.Timestamp 6, duration .google.protobuf.Duration 7, tags *KeyValue 8, logs *Log 9, process Process 10",
        "Batch": "spans *Span 1, process Process 2",
        "PostSpansRequest": "batch Batch 1",
        "PostSpansResponse": "",
    }
    file = descriptor_pb2.FileDescriptorProto(name="collector.proto", package="jaeger.api_v2", syntax="proto3",
                                              dependency=["google/protobuf/timestamp.proto", "google/protobuf/duration.proto"])
    for message, text in fields.items():
        added = file.message_type.add(name=message)
        for name, kind, number in (part.split() for part in text.split(", ") if part):
            label = field.LABEL_REPEATED if kind.startswith("*") else field.LABEL_OPTIONAL
            kind = kind.lstrip("*")
            if kind in kinds:
                added.field.add(name=name, number=int(number), label=label, type=kinds[kind])
            else:
                full = kind if kind.startswith(".") else f".jaeger.api_v2.{kind}"
                added.field.add(name=name, number=int(number), label=label, type=field.TYPE_MESSAGE, type_name=full)
    pool = descriptor_pool.DescriptorPool()
    for needed in (timestamp_pb2, duration_pb2):
        pool.AddSerializedFile(needed.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"jaeger.api_v2.{name}")) for name in fields}


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_jaeger_grpc(node, compression):
    m = jaeger_messages()
    request = m["PostSpansRequest"]()
    request.batch.process.service_name = "shop"
    request.batch.process.tags.add(key="hostname", v_str="h1")
    start = time.time_ns()
    for n in range(50):
        span = request.batch.spans.add(trace_id=bytes([7] * 16), span_id=(n + 1).to_bytes(8, "big"), operation_name="step", flags=1)
        span.start_time.FromNanoseconds(start + n)
        span.duration.FromNanoseconds(1_500)
        span.tags.add(key="span.kind", v_str="producer")
        span.tags.add(key="error", v_type=1, v_bool=n % 2 == 0)
        if n:
            span.references.add(trace_id=span.trace_id, span_id=n.to_bytes(8, "big"))
        log = span.logs.add()
        log.timestamp.FromNanoseconds(start)
        log.fields.add(key="event", v_str="sent")
    request.batch.spans.add(trace_id=bytes([7] * 16), operation_name="without an id")
    own = request.batch.spans.add(trace_id=bytes([8] * 16), span_id=bytes([1] * 8), operation_name="elsewhere")
    own.start_time.FromNanoseconds(start)
    own.process.service_name = "warehouse"
    with grpc.insecure_channel(f"127.0.0.1:{node.ports['jaeger-grpc']}", compression=compression) as channel:
        post = channel.unary_unary("/jaeger.api_v2.CollectorService/PostSpans",
                                   request_serializer=m["PostSpansRequest"].SerializeToString,
                                   response_deserializer=m["PostSpansResponse"].FromString)
        for _ in range(2):  # the second time it is a retry
            assert post(request, timeout=30) == m["PostSpansResponse"]()
        del request.batch.spans[:]
        request.batch.spans.add(operation_name="without any id")
        with pytest.raises(grpc.RpcError) as refused:
            post(request, timeout=30)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT and "trace id" in refused.value.details()
    assert node.sql("select service, count(*) as n from spans group by service order by service") == [
        {"service": "shop", "n": 50}, {"service": "warehouse", "n": 1}]
    assert node.count("spans where kind = 'producer' and status = 'error' and duration_ns = 1500 and flags = 1") == 25
    assert node.count("spans c join spans p on c.trace_id = p.trace_id and c.parent_span_id = p.span_id") == 49
    assert node.count("span_events where name = 'sent'") == 50
    assert node.count("resources where attributes['host.name'] = 'h1'") == 1
    assert node.metric("telelake_ingest_records_off_total", rule="span_id") >= 2


def zipkin(n, **more):
    return {"traceId": "a" * 16, "id": f"{n:016x}", "name": f"n{n}", "timestamp": time.time_ns() // 1000, "duration": 5, **more}


def test_the_gateway_has_both_below_prefixes(node):
    body = json.dumps([zipkin(1)]).encode()
    assert http("POST", node.url("gateway", "/zipkin/api/v2/spans"), body)[:2] == (202, b"")
    with pytest.raises(HttpError) as refused:
        http("POST", node.url("gateway", "/jaeger/api/traces"), b"no thrift", {"Content-Type": "application/x-thrift"})
    assert refused.value.status == 400 and b"jaeger.thrift.Batch" in refused.value.body
    assert node.count("spans") == 1


def test_a_refusal_in_part_is_said_and_survives_a_crash(node):
    url = node.url("zipkin", "/api/v2/spans")
    status, answer, _ = http("POST", url, json.dumps([zipkin(1), zipkin(2, traceId="none"), zipkin(3)]).encode(), {"X-Scope-OrgID": "team"})
    assert (status, answer) == (202, b"1 refused: trace id is not 16 bytes or all zero\n")
    with pytest.raises(HttpError) as refused:
        http("POST", url, json.dumps([zipkin(0)]).encode(), {"X-Scope-OrgID": "team"})
    assert refused.value.status == 400
    with pytest.raises(HttpError) as refused:
        http("POST", url, b"[", {"X-Scope-OrgID": "team"})
    assert refused.value.status == 400
    node.kill()
    node.restart()
    assert node.count("spans", tenant="team") == 2
