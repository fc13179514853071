"""Small OTLP requests made by hand, each row with a number of its own so that a count can be checked."""

import gzip

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

START_NS = 1_793_491_200_000_000_000  # 2026-11-01T00:00:00Z
PROTOBUF = {"Content-Type": "application/x-protobuf"}


def _resource(group, service):
    attribute = group.resource.attributes.add()
    attribute.key, attribute.value.string_value = "service.name", service


def logs(first, count, service="shop", body="order {n} shipped"):
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    _resource(group, service)
    records = group.scope_logs.add().log_records
    for n in range(first, first + count):
        record = records.add()
        record.time_unix_nano = START_NS + n * 1_000_000
        record.body.string_value = body.format(n=n)
        attribute = record.attributes.add()
        attribute.key, attribute.value.int_value = "n", n
    return request.SerializeToString()


def spans(first, count, service="shop"):
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    _resource(group, service)
    found = group.scope_spans.add().spans
    for n in range(first, first + count):
        span = found.add()
        span.trace_id = (n // 8 + 1).to_bytes(16, "big")
        span.span_id = (n + 1).to_bytes(8, "big")
        span.name, span.kind = f"op {n % 5}", 2
        span.start_time_unix_nano = START_NS + n * 1_000_000
        span.end_time_unix_nano = span.start_time_unix_nano + 500_000 + n
    return request.SerializeToString()


def samples(first, count, series=10, metric="probe.value"):
    """`count` gauge points over `series` series; point n has the value n and a time of its own."""
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    _resource(group, "shop")
    found = group.scope_metrics.add().metrics.add()
    found.name = metric
    for n in range(first, first + count):
        point = found.gauge.data_points.add()
        point.time_unix_nano = START_NS + n * 1_000_000
        point.as_double = n
        attribute = point.attributes.add()
        attribute.key, attribute.value.string_value = "series", str(n % series)
    return request.SerializeToString()


def gzipped(body):
    return gzip.compress(body, 1)
