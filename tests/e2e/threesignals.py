"""A shop whose metrics, logs and spans tell of the same minutes; every number that a test expects is counted here."""

import payload
import remote_write
from node import http
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

MINUTE_S = 60
START_S = payload.START_NS // 10**9
MINUTES = 6
SERVICES = ["cart", "checkout", "payments"]
EVERY_S = 15  # between samples

# One answer from three signals. A window of PromQL and LogQL ends at its step and is open on the left; nothing happens on a full minute,
# so that the minute before a step is a `time_bucket`.
STATEMENT = f"""
WITH queue AS (
    SELECT labels['service'] AS service, ts - INTERVAL '1 minute' AS minute, value AS deepest
    FROM promql('max by (service) (max_over_time(queue_depth[1m]))', {START_S + MINUTE_S}, {START_S + MINUTES * MINUTE_S}, '1m')
), errors AS (
    SELECT labels['service_name'] AS service, ts - INTERVAL '1 minute' AS minute, value AS lines
    FROM logql('sum by (service_name) (count_over_time({{service_name=~".+"}} |= "failed" [1m]))', {START_S + MINUTE_S},
               {START_S + MINUTES * MINUTE_S}, '1m')
), calls AS (
    SELECT service, time_bucket('1 minute', ts) AS minute, count(*) AS calls, max(duration_ns) AS slowest_ns
    FROM spans WHERE kind = 'server' GROUP BY service, minute
)
SELECT c.service, c.minute, c.calls, c.slowest_ns, q.deepest, e.lines
FROM calls c JOIN queue q ON q.service = c.service AND q.minute = c.minute JOIN errors e ON e.service = c.service AND e.minute = c.minute
ORDER BY c.service, c.minute
"""


def calls(at, minute):
    """Calls of service number `at` in a minute."""
    return 3 + 2 * at + minute


def failures(at, minute):
    """Of them those that a log line tells of."""
    return 1 + (at + minute) % 3


def depth(at, minute, sample):
    return float(10 * at + minute + [0, 5, 2, 1][sample])


def duration_ns(at, minute, call):
    return 1_000_000 * (at + 1) + 1_000 * minute + call


def times_ns(minute, count):
    """`count` moments within a minute, neither at its beginning nor at its end."""
    begin = (START_S + minute * MINUTE_S) * 10**9
    return [begin + (n + 1) * MINUTE_S * 10**9 // (count + 1) for n in range(count)]


def push(node):
    """Sends all of it, and what must not get into the answer: a service that has metrics only, lines without the word, clients' spans."""
    series = [remote_write.series_1(
        [("__name__", "queue_depth"), ("service", service)],
        [remote_write.sample(depth(at, minute, n), (START_S + minute * MINUTE_S + n * EVERY_S) * 1000 + 7_000)
         for minute in range(MINUTES) for n in range(MINUTE_S // EVERY_S)]) for at, service in enumerate([*SERVICES, "idle"])]
    http("POST", node.url("prometheus", "/api/v1/write"), remote_write.request_1(*series), remote_write.V1)
    http("POST", node.url("otlp-http", "/v1/logs"), lines().SerializeToString(), payload.PROTOBUF)
    http("POST", node.url("otlp-http", "/v1/traces"), spans().SerializeToString(), payload.PROTOBUF)


def of_service(group, service):
    attribute = group.resource.attributes.add()
    attribute.key, attribute.value.string_value = "service.name", service


def lines():
    request = ExportLogsServiceRequest()
    for at, service in enumerate(SERVICES):
        group = request.resource_logs.add()
        of_service(group, service)
        records = group.scope_logs.add().log_records
        for minute in range(MINUTES):
            for n, ns in enumerate(times_ns(minute, calls(at, minute))):
                record = records.add()
                record.time_unix_nano = ns
                record.body.string_value = f"call {n} {'failed' if n < failures(at, minute) else 'is done'}"
    return request


def spans():
    request, number = ExportTraceServiceRequest(), 0
    for at, service in enumerate(SERVICES):
        group = request.resource_spans.add()
        of_service(group, service)
        found = group.scope_spans.add().spans
        for minute in range(MINUTES):
            for n, ns in enumerate(times_ns(minute, calls(at, minute))):
                for kind, longer in [(2, 0), (3, 10**9)]:  # a server's span, and a client's, which is not asked for
                    number += 1
                    span = found.add()
                    span.trace_id, span.span_id = number.to_bytes(16, "big"), number.to_bytes(8, "big")
                    span.name, span.kind = "call", kind
                    span.start_time_unix_nano = ns
                    span.end_time_unix_nano = ns + duration_ns(at, minute, n) + longer
    return request


def expected():
    """The rows of STATEMENT: (service, minute in seconds, calls, slowest in nanoseconds, deepest queue, lines that tell of a failure)."""
    return [(service, START_S + minute * MINUTE_S, calls(at, minute), duration_ns(at, minute, calls(at, minute) - 1),
             max(depth(at, minute, n) for n in range(4)), float(failures(at, minute)))
            for at, service in enumerate(SERVICES) for minute in range(MINUTES)]
