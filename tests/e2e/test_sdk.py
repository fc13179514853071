"""The OpenTelemetry Python SDK, unchanged, over gRPC and HTTP."""

import logging

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
import grpc


def exporters(node, transport):
    if transport == "grpc":
        options = {"endpoint": f"127.0.0.1:{node.ports['otlp-grpc']}", "insecure": True}
        return [kind(**options, compression=grpc.Compression.Gzip) for kind in (GrpcSpans, GrpcMetrics, GrpcLogs)]
    base = node.url("otlp-http")
    return [kind(endpoint=f"{base}/v1/{signal}", compression=Compression.Gzip)
            for kind, signal in ((HttpSpans, "traces"), (HttpMetrics, "metrics"), (HttpLogs, "logs"))]


@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_three_signals(node, transport):
    spans, metrics_, logs = exporters(node, transport)
    resource = Resource.create({"service.name": "checkout", "service.instance.id": "c-1", "cloud.provider": "aws"})

    tracing = TracerProvider(resource=resource)
    tracing.add_span_processor(BatchSpanProcessor(spans))
    tracer = tracing.get_tracer("sdk.test", "1.0")
    logging_ = LoggerProvider(resource=resource)
    logging_.add_log_record_processor(BatchLogRecordProcessor(logs))
    logger = logging.getLogger(f"sdk.{transport}")
    logger.setLevel(logging.INFO)
    logger.addHandler(LoggingHandler(logger_provider=logging_))
    for n in range(100):
        with tracer.start_as_current_span("pay", attributes={"order": n, "amount": n / 4}) as parent:
            with tracer.start_as_current_span("charge", kind=trace.SpanKind.CLIENT) as child:
                child.add_event("retry", {"attempt": 2})
            logger.warning("order %d was slow", n)
            parent.set_status(trace.Status(trace.StatusCode.ERROR, "declined")) if n % 10 == 0 else None

    reader = PeriodicExportingMetricReader(metrics_, export_interval_millis=3_600_000)
    exponential = View(instrument_name="pay.latency", aggregation=ExponentialBucketHistogramAggregation())
    metering = MeterProvider(resource=resource, metric_readers=[reader], views=[exponential])
    meter = metering.get_meter("sdk.test")
    counter, latency = meter.create_counter("orders", "1"), meter.create_histogram("pay.latency", "s")
    sizes = meter.create_histogram("pay.size", "By")
    for n in range(100):
        counter.add(1, {"region": "eu" if n % 2 else "us"})
        latency.record(n / 100)
        sizes.record(n)
    for provider in (tracing, logging_, metering):
        assert provider.force_flush()

    assert node.count("spans") == 200
    assert node.count("spans where status_message = 'declined'") == 10
    assert node.count("span_events") == 100
    assert node.count("logs where service = 'checkout'") == 100
    joined = "logs l join spans s on l.trace_id = s.trace_id and l.span_id = s.span_id"
    assert node.count(joined) == 100
    found = node.sql("select sum(value) as v, count(*) as n from metrics where metric = 'orders_total'")
    assert found == [{"v": 100.0, "n": 2}]
    assert node.sql("select value from metrics where metric = 'pay_size_bytes_count'") == [{"value": 100.0}]
    assert node.count("histograms where metric = 'pay_latency_seconds'") == 1
    assert node.count("series where metric = 'orders_total' and labels['region'] = 'eu' and labels['job'] = 'checkout'") == 1
    for provider in (tracing, logging_, metering):
        provider.shutdown()
