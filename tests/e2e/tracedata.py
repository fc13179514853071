"""Traces of a small shop, and what may be asked of them: every number that a test expects is counted here."""

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from node import http

PROTOBUF = {"Content-Type": "application/x-protobuf"}
SERVER, CLIENT, INTERNAL = 2, 3, 1
ERROR = 2
SERVICES = ["frontend", "cart", "db"]


class Shop:
    """`traces` traces, one a second up to `end_s`: frontend GET /n ► call cart ► cart POST /add ► db SELECT. Every fifth fails in the db."""

    def __init__(self, end_s, traces=40):
        self.traces, self.start_s, self.end_s = traces, end_s - traces, end_s
        self.failed = [n for n in range(traces) if n % 5 == 0]

    def trace_id(self, n):
        return (0xABC0000 + n).to_bytes(16, "big")

    def span_id(self, n, level):
        return (n * 16 + level + 1).to_bytes(8, "big")

    def hex_id(self, n):
        return self.trace_id(n).hex()

    def push(self, node, numbers=None):
        request = ExportTraceServiceRequest()
        scopes = {}
        for service in SERVICES:
            group = request.resource_spans.add()
            for key, value in [("service.name", service), ("deployment.environment", "test"), ("k8s.pod.name", f"{service}-0")]:
                attribute = group.resource.attributes.add()
                attribute.key, attribute.value.string_value = key, value
            scopes[service] = group.scope_spans.add()
            scopes[service].scope.name = "shop"
        for n in range(self.traces) if numbers is None else numbers:
            self._trace(scopes, n)
        http("POST", node.url("otlp-http", "/v1/traces"), request.SerializeToString(), PROTOBUF)
        return self

    def _trace(self, scopes, n):
        levels = [("frontend", f"GET /{n % 4}", SERVER, 100), ("frontend", "call cart", CLIENT, 80), ("cart", "POST /add", SERVER, 60),
                  ("db", "SELECT", CLIENT, 20 + n)]
        for level, (service, name, kind, ms) in enumerate(levels):
            span = scopes[service].spans.add()
            span.trace_id, span.span_id = self.trace_id(n), self.span_id(n, level)
            if level:
                span.parent_span_id = self.span_id(n, level - 1)
            span.name, span.kind = name, kind
            span.start_time_unix_nano = (self.start_s + n) * 10**9 + level * 10**6
            span.end_time_unix_nano = span.start_time_unix_nano + ms * 10**6
            for key, value in [("http.method", "GET"), ("n", n)]:
                attribute = span.attributes.add()
                attribute.key = key
                if isinstance(value, int):
                    attribute.value.int_value = value
                else:
                    attribute.value.string_value = value
            if service == "db" and n in self.failed:
                span.status.code, span.status.message = ERROR, "deadlock"
                event = span.events.add()
                event.name, event.time_unix_nano = "exception", span.start_time_unix_nano + 1000
                for key, value in [("exception.type", "Deadlock"), ("exception.message", f"row {n}")]:
                    attribute = event.attributes.add()
                    attribute.key, attribute.value.string_value = key, value
