"""Seeds for the fuzzer: small valid inputs of every format, so that it need not find out what protobuf is.

    python3 tests/fuzz/seeds.py tests/fuzz/corpus

Writes `corpus/TARGET/seed-N`. What a seed says is of no importance, only which branches it reaches.
"""

import gzip
import hashlib
import json
import os
import struct
import sys
import zlib

NOW_NS = 1_760_000_000_000_000_000
TRACE, SPAN, PARENT = bytes(range(1, 17)), bytes(range(1, 9)), bytes(range(2, 10))


# Protobuf: (number, value) pairs; bytes, text and lists of pairs are length-delimited, floats doubles, ints varints.
class Fixed64(int):
    pass


class Fixed32(int):
    pass


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def message(*fields):
    out = b""
    for number, value in fields:
        if isinstance(value, Fixed64):
            out += varint(number << 3 | 1) + struct.pack("<q", value)
        elif isinstance(value, Fixed32):
            out += varint(number << 3 | 5) + struct.pack("<I", value)
        elif isinstance(value, float):
            out += varint(number << 3 | 1) + struct.pack("<d", value)
        elif isinstance(value, (bool, int)):
            out += varint(number << 3) + varint(int(value))
        else:
            value = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def zigzag(value):
    return value << 1 ^ value >> 63


def packed(*numbers):
    return b"".join(varint(number) for number in numbers)


def doubles(*numbers):
    return struct.pack(f"<{len(numbers)}d", *numbers)


def any_value(value):
    match value:
        case bool():
            return message((2, value))
        case str():
            return message((1, value))
        case int():
            return message((3, value))
        case float():
            return message((4, value))
        case bytes():
            return message((7, value))
        case list():
            return message((5, message(*[(1, any_value(v)) for v in value])))
        case dict():
            return message((6, message(*[(1, pair(k, v)) for k, v in value.items()])))


def pair(key, value):
    return message((1, key), (2, any_value(value)))


def attributes(number, **values):
    return [(number, pair(key.replace("__", "."), value)) for key, value in values.items()]


RESOURCE = message(*attributes(1, service__name="shop", service__instance__id="i-1", host__name="h"))
SCOPE = message((1, "lib"), (2, "1.0"), *attributes(3, a="b"))


def otlp(records, number=2):
    scope = message((1, SCOPE), *[(number, record) for record in records])
    return message((1, message((1, RESOURCE), (2, scope), (3, "https://opentelemetry.io/schemas/1.26.0"))))


def spans():
    everything = attributes(9, a="x", n=-5, f=0.5, b=True, l=["x", 1, [2.5]], m={"k": {"v": False}}, raw=b"\xff", X__SampleRatio=0.1)
    event = message((1, Fixed64(NOW_NS + 5)), (2, "exception"), *attributes(3, exception__type="E"), (4, 1))
    link = message((1, TRACE), (2, SPAN), (3, "a=b"), *attributes(4, k="v"), (5, 1), (6, Fixed32(256)))
    head = [(1, TRACE), (2, SPAN), (5, "GET /"), (7, Fixed64(NOW_NS)), (8, Fixed64(NOW_NS + 3_000_000))]
    yield message(*head, (3, "ot=th:c000;rv:0123456789abcd"), (4, PARENT), (6, 2), *everything, (10, 1), (11, event), (12, 2), (13, link),
                  (14, 3), (15, message((2, "no"), (3, 2))), (16, Fixed32(257)))
    yield message(*head, (6, 3), *attributes(9, db__name="orders", peer__service="pg", network__peer__port=5432))
    yield message(*head)


def logs():
    yield message((1, Fixed64(NOW_NS)), (11, Fixed64(NOW_NS)), (2, 17), (3, "ERROR"), (5, any_value("GET /a 500")), *attributes(6, a="x", n=1),
                  (7, 1), (8, Fixed32(1)), (9, TRACE), (10, SPAN), (12, "event"))
    yield message((11, Fixed64(NOW_NS)), (5, any_value({"msg": "x", "deep": [1, {"y": None or "z"}]})))


def metrics():
    point = [(2, Fixed64(NOW_NS - 10**9)), (3, Fixed64(NOW_NS))]
    exemplar = message((2, Fixed64(NOW_NS)), (3, 0.5), (4, SPAN), (5, TRACE), *attributes(7, k="v"))
    number = message(*attributes(7, code="200"), *point, (4, 1.5), (5, exemplar), (8, 1))
    whole = message(*attributes(7, code="200"), *point, (6, Fixed64(-7)))
    fixed = struct.pack("<3q", 1, 2, 3)
    classic = message(*attributes(9, a="b"), *point, (4, Fixed64(6)), (5, 9.5), (6, fixed), (7, doubles(0.1, 1.0)), (8, exemplar), (11, 0.1), (12, 2.0))
    native = message(*attributes(1, a="b"), *point, (4, Fixed64(6)), (5, 9.5), (6, zigzag(3)), (7, Fixed64(1)),
                     (8, message((1, zigzag(-2)), (2, packed(1, 2)))), (9, message((1, 0), (2, packed(2)))), (11, exemplar), (14, 1e-9))
    summary = message(*attributes(7, a="b"), *point, (4, Fixed64(2)), (5, 1.5), (6, message((1, 0.5), (2, 0.7))))
    for field, data in [(5, [(1, number), (1, whole)]), (7, [(1, number), (2, 2), (3, True)]), (7, [(1, whole), (2, 1)]),
                        (9, [(1, classic), (2, 2)]), (10, [(1, native), (2, 1)]), (11, [(1, summary)])]:
        yield message((1, "http.server.duration"), (2, "how long"), (3, "s"), (field, message(*data)))


def remote_write():
    label = lambda k, v: message((1, k), (2, v))  # noqa: E731
    sample = message((1, 1.5), (2, NOW_NS // 10**6))
    span = message((1, zigzag(-2)), (2, 2))
    histogram = [(3, 2.5), (4, zigzag(3)), (5, 1e-9)]
    integer = message((1, 4), *histogram, (6, 1), (8, span), (9, packed(zigzag(1), zigzag(0))), (11, span), (12, packed(zigzag(1), zigzag(1))),
                      (14, 1), (15, NOW_NS // 10**6))
    floats = message((2, 4.0), *histogram, (7, 1.0), (11, span), (13, doubles(1.0, 2.0)), (15, NOW_NS // 10**6))
    custom = message((1, 3), (3, 2.5), (4, zigzag(-53)), (11, message((1, 0), (2, 2))), (12, packed(zigzag(1), zigzag(1))), (15, 5), (16, doubles(0.5)))
    exemplar = message((1, label("trace_id", TRACE.hex())), (2, 0.5), (3, NOW_NS // 10**6))
    labels = [(1, label("__name__", "up")), (1, label("job", "a")), (1, label("__replica__", "r1")), (1, label("cluster", "c"))]
    series = message(*labels, (2, sample), (3, exemplar), (4, integer), (4, floats), (4, custom))
    yield message((1, series), (3, message((1, 1), (2, "up"), (4, "help"), (5, "s"))))
    symbols = ["", "__name__", "up", "job", "a", "help", "s"]
    v2 = message((1, packed(1, 2, 3, 4)), (2, sample), (3, integer), (4, message((1, packed(3, 4)), (2, 0.5), (3, 1))),
                 (5, message((1, 1), (3, 5), (4, 6))), (6, NOW_NS // 10**6 - 1000))
    yield message(*[(4, symbol) for symbol in symbols], (5, v2))


def loki_pb():
    stamp = message((1, NOW_NS // 10**9), (2, 5))
    entry = message((1, stamp), (2, "level=error a=1"), (3, message((1, "trace_id"), (2, "t"))))
    yield message((1, message((1, '{app="web", level="info"}'), (2, entry), (2, message((1, stamp), (2, "x"))))))


LOKI_JSON = [
    {"streams": [{"stream": {"app": "web"}, "values": [[str(NOW_NS), "a line"], [str(NOW_NS), "b", {"k": "v"}]]}]},
    {"streams": [{"labels": '{app="web"}', "entries": [{"ts": "2025-10-09T08:53:20.5Z", "line": "x"}]}]},
]
BULK = (
    '{"index":{"_index":"logs","_id":"1"}}\n{"@timestamp":"2025-10-09T08:53:20Z","message":"x","level":"warn","deep":{"a":[1,null]}}\n'
    '{"create":{}}\n{"message":"y"}\n{"delete":{"_id":"1"}}\n{"update":{"_id":"2"}}\n{"doc":{"a":1}}\n'
)


def jaeger_pb():
    tag = lambda *fields: message((1, "k"), *fields)  # noqa: E731
    tags = [tag((3, "v")), tag((2, 1), (4, True)), tag((2, 2), (5, -5)), tag((2, 3), (6, 0.5)), tag((2, 4), (7, b"\x01"))]
    process = message((1, "shop"), (2, tags[0]))
    log = message((1, message((1, NOW_NS // 10**9))), (2, message((1, "event"), (3, "x"))))
    reference = message((1, TRACE), (2, PARENT))
    span = message((1, TRACE), (2, SPAN), (3, "GET"), (4, reference), (5, 1), (6, message((1, NOW_NS // 10**9), (2, 9))), (7, message((2, 500))),
                   *[(8, t) for t in tags], (8, message((1, "span.kind"), (3, "client"))), (9, log), (10, process), (12, "warning"))
    yield message((1, message((1, span), (2, process))))


def zipkin_pb():
    endpoint = message((1, "shop"), (2, b"\x7f\0\0\1"), (4, 80))
    span = message((1, TRACE), (2, PARENT), (3, SPAN), (4, 1), (5, "get"), (6, Fixed64(NOW_NS // 1000)), (7, 500), (8, endpoint), (9, endpoint),
                   (10, message((1, Fixed64(NOW_NS // 1000)), (2, "ws"))), (11, message((1, "error"), (2, "x"))), (12, True), (13, True))
    yield message((1, span))


ZIPKIN_JSON = [
    [{"traceId": TRACE.hex(), "id": SPAN.hex(), "parentId": PARENT.hex(), "kind": "CLIENT", "name": "get", "timestamp": NOW_NS // 1000,
      "duration": 5, "localEndpoint": {"serviceName": "a", "ipv4": "1.2.3.4", "ipv6": "::1", "port": 80},
      "remoteEndpoint": {"serviceName": "b"}, "annotations": [{"timestamp": 1, "value": "x"}], "tags": {"error": "y"}, "debug": True, "shared": True}],
    [{"traceId": SPAN.hex(), "id": SPAN.hex(), "name": "get", "timestamp": 5, "duration": 5,
      "annotations": [{"timestamp": 5, "value": "sr", "endpoint": {"serviceName": "a"}}, {"timestamp": 9, "value": "ss"}],
      "binaryAnnotations": [{"key": "ca", "value": True, "endpoint": {"serviceName": "b"}}, {"key": "k", "value": "v"}]}],
]


# Thrift's binary protocol: (type, number, bytes).
def struct_of(*fields):
    return b"".join(struct.pack(">bh", kind, number) + value for kind, number, value in fields) + b"\0"


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack(">i", len(value)) + value


def items(kind, values):
    return struct.pack(">bi", kind, len(values)) + b"".join(values)


I32, I64, DOUBLE, BOOL, STRING, STRUCT, LIST = 8, 10, 4, 2, 11, 12, 15
i32, i64 = (lambda n: struct.pack(">i", n)), (lambda n: struct.pack(">q", n))


def jaeger_thrift():
    def tag(key, kind, *value):
        return struct_of((STRING, 1, text(key)), (I32, 2, i32(kind)), *value)

    tags = [tag("a", 0, (STRING, 3, text("v"))), tag("b", 1, (DOUBLE, 4, struct.pack(">d", 0.5))), tag("c", 2, (BOOL, 5, b"\1")),
            tag("d", 3, (I64, 6, i64(-5))), tag("e", 4, (STRING, 7, text(b"\xff"))), tag("span.kind", 0, (STRING, 3, text("server")))]
    reference = struct_of((I32, 1, i32(1)), (I64, 2, i64(5)), (I64, 3, i64(6)), (I64, 4, i64(7)))
    log = struct_of((I64, 1, i64(NOW_NS // 1000)), (LIST, 2, items(STRUCT, tags[:1])))
    span = struct_of((I64, 1, i64(5)), (I64, 2, i64(6)), (I64, 3, i64(7)), (I64, 4, i64(8)), (STRING, 5, text("get")),
                     (LIST, 6, items(STRUCT, [reference])), (I32, 7, i32(1)), (I64, 8, i64(NOW_NS // 1000)), (I64, 9, i64(500)),
                     (LIST, 10, items(STRUCT, tags)), (LIST, 11, items(STRUCT, [log])))
    process = struct_of((STRING, 1, text("shop")), (LIST, 2, items(STRUCT, tags[:1])))
    yield struct_of((STRUCT, 1, process), (LIST, 2, items(STRUCT, [span, span])))


def zipkin_v1():
    endpoint = struct_of((I32, 1, i32(0x7F000001)), (6, 2, struct.pack(">h", 80)), (STRING, 3, text("shop")))
    note = struct_of((I64, 1, i64(NOW_NS // 1000)), (STRING, 2, text("cs")), (STRUCT, 3, endpoint))
    binary = struct_of((STRING, 1, text("http.path")), (STRING, 2, text("/")), (I32, 3, i32(6)), (STRUCT, 4, endpoint))
    span = struct_of((I64, 1, i64(5)), (STRING, 3, text("get")), (I64, 4, i64(6)), (I64, 5, i64(7)), (LIST, 6, items(STRUCT, [note])),
                     (LIST, 8, items(STRUCT, [binary])), (BOOL, 9, b"\1"), (I64, 10, i64(NOW_NS // 1000)), (I64, 11, i64(5)), (I64, 12, i64(1)))
    yield items(STRUCT, [span])


PROMQL = r"""up
sum by (job) (rate(http_requests_total{code=~"5..", job!="a"}[5m] offset 1h))
topk(3, a / on (x) group_left (y) b > bool 2)
histogram_quantile(0.9, sum without (instance) (rate(h_bucket[1m])))
max_over_time(rate(x[1m])[10m:30s] @ end())
-a ^ 2 % b and c or d unless ignoring (e) f
label_replace(a, "x", "$1", "y", "(.*)") == 0x1f
absent({__name__="a", "utf.8"=~"b"}) + 1e3 - Inf * NaN
count_values("v", a) atan2 quantile(0.5, b)
{"a.b", x!~"y"}[1h30m5s5ms]
a offset -5m @ 1600000000.5
limitk(2, a) + info(b, {c="d"})
sort_by_label(a, "x") # comment
rate(x[step()]) + increase(y[5m] smoothed)""".split("\n")

LOGQL = r"""{app="web", level=~"e.*", x!="", y!~"z"} |= "a" != `b` |~ "c+" !~ "d" |> "<_> e" !> "<_>"
{a="b"} | json | logfmt --strict | status >= 400 and (size > 5KB or duration < 10ms) | line_format "{{.a | upper}}"
sum by (app) (rate({a="b"} |= "x" or "y" [5m])) / ignoring (z) group_right () count_over_time({c="d"}[1m] offset 5m)
quantile_over_time(0.99, {a="b"} | regexp "(?P<ms>\\d+)" | unwrap duration(ms) | __error__="" [1m]) by (x)
topk(5, bytes_over_time({a="b"}[1h])) > bool 1.5e3
label_replace(rate({a="b"}[1m]), "x", "$1", "y", "(.*)")
{a="b"} | pattern `<ip> - <_>` | label_format x=y, z="{{.q}}" | drop a, b="c" | keep d | decolorize | distinct x
vector(5) or absent_over_time({a="b"}[5m])
{a="b"} | unpack | addr = ip("10.0.0.0/8") # comment
variants(count_over_time({a="b"}[1m])) of ({a="b"}[1m])""".split("\n")

TRACEQL = r"""{}
{ span.a = 1 && resource.service.name =~ "s.*" || .b != nil }
{ status = error && kind = server && duration > 1.5s } | count() > 2
{ name = "span 1" } >> { .a > 0 } | select(.a, span.b, resource.service.name)
({ .a = 1 } &>> { true }) || ({ .d }) | by(.b) | coalesce()
{ event:name = "e" && event.a < 0 && link:spanID != "" } | avg(duration) >= 1s | max(.a) != 2
{ .a + 1 > 2 ^ 2 * -.c % 3 / 4 } !<< { } ~ { nestedSetParent < 0 }
{ } | rate() by (name, .a) with (exemplars=true, sample=0.5)
{ } | quantile_over_time(duration, .5, .9) by (kind) | topk(3)
{ } | histogram_over_time(.a)
{ } | compare({ status = error }, 5, 1, 2)
({ } | rate()) / ({ .d } | count_over_time()) * 100 > 5
{ trace:duration > 1s && rootName = "span 1" && span:childCount = 1 && instrumentation:name = "lib" } | min(.a) < 1 | sum(.c) > 0
{ .b = "x" || .b = "y" } !> { "x" = .b } // comment
{ span."a b".c = `raw` && !(.d = true) } | avg_over_time(duration) | bottomk(1)""".split("\n")

TEMPLATES = r"""{{.app | upper | trunc 2}} {{ if eq .n "7" }}x{{ else }}y{{ end }}
{{ range $i, $x := (fromJson .json).a }}{{ $i }}={{ $x }},{{ end }}
{{ with .empty }}a{{ else }}{{ printf "%5.2f|%-4s|%q|%x" (float64 .n) .app .app .n }}{{ end }}
{{ regexReplaceAll "(a+)" __line__ "[$1]" | indent 2 | b64enc }}{{/* comment */}}
{{ __timestamp__ | date "2006-01-02" }} {{ unixEpoch now }} {{ add 1 (mul 2 .n) | toString | alignLeft 5 }}
{{- define "t" }}{{ . }}{{ end -}}{{ template "t" .app }}{{ default "d" .empty }}{{ and .a (or .b 1) | not }}""".split("\n")

LINES = ['{"a":{"b":[1,"x"]},"c":true}', 'a=1 b="x y" c', '\x1b[31mlevel=error\x1b[0m took=5ms', "10.0.0.1 - GET /a=b", '{"_entry":"x","k":"v"}']

SQL = ["SELECT a, count(*) FROM spans WHERE ts > now() - INTERVAL '1 hour' GROUP BY 1 ORDER BY 2 DESC LIMIT 5",
       "WITH x AS (SELECT 1) SELECT * FROM x JOIN logs ON true", "EXPLAIN ANALYZE SELECT labels['a'] FROM metrics", "SHOW TABLES", "DELETE FROM spans",
       "SELECT * FROM promql('up', now())"]


def snappy(data):
    """One literal: enough of the format to be read."""
    head = bytes([(len(data) - 1) << 2]) if len(data) <= 60 else bytes([60 << 2 | 0, len(data) - 1])
    return varint(len(data)) + head + data


# Frames that the targets put around their input: see `wal_segment`.
SEGMENT = [bytes([0, 1, 0, 3]) + b"abc" + bytes([1, 2, 1, 0]) + bytes([2, 0, 0, 4]) + b"TLf1"]

SEEDS = {
    "otlp_traces_pb": [otlp(list(spans()))],
    "otlp_logs_pb": [otlp(list(logs()))],
    "otlp_metrics_pb": [otlp([metric]) for metric in metrics()],
    "otlp_json": [json.dumps(body) for body in [
        {"resourceSpans": [{"resource": {"attributes": [{"key": "a", "value": {"arrayValue": {"values": [{"intValue": "5"}]}}}]},
                            "scopeSpans": [{"spans": [{"traceId": TRACE.hex(), "spanId": SPAN.hex(), "kind": 2, "name": "x",
                                                       "startTimeUnixNano": str(NOW_NS), "status": {"code": "STATUS_CODE_ERROR"}}]}]}]},
        {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"timeUnixNano": NOW_NS, "body": {"kvlistValue": {"values": []}}, "severityNumber": 9}]}]}]},
        {"resourceMetrics": [{"scopeMetrics": [{"metrics": [
            {"name": "m", "sum": {"dataPoints": [{"asDouble": "NaN", "timeUnixNano": "5"}], "isMonotonic": True, "aggregationTemporality": 2}},
            {"name": "h", "exponentialHistogram": {"dataPoints": [{"count": "1", "scale": 3, "positive": {"offset": 1, "bucketCounts": ["1"]}}]}}]}]}]},
    ]],
    "remote_write_pb": list(remote_write()),
    "wire_reader": [otlp(list(spans())), *remote_write()],
    "loki_push_pb": list(loki_pb()),
    "loki_push_json": [json.dumps(body) for body in LOKI_JSON],
    "elastic_bulk": [BULK],
    "jaeger_proto": list(jaeger_pb()),
    "jaeger_thrift": list(jaeger_thrift()),
    "zipkin_proto": list(zipkin_pb()),
    "zipkin_json": [json.dumps(body) for body in ZIPKIN_JSON],
    "zipkin_v1_thrift": list(zipkin_v1()),
    "decompression": [gzip.compress(b"x" * 999), zlib.compress(b"y" * 999), snappy(b"z" * 50), b"plain", bytes.fromhex("28b52ffd040019000061626306ee62e7")],
    "wal_segment": SEGMENT,
    "promql_parse": PROMQL,
    "logql_parse": LOGQL,
    "logql_template": TEMPLATES,
    "logql_stages": LINES,
    "traceql_parse": TRACEQL,
    "traceql_eval": TRACEQL,
    "sql_guard": SQL,
    "postgres_scram": ["n,,n=user,r=rOprNGfwEbeRWgbNEkqO\0c=biws,r=rOprNGfwEbeRWgbNEkqOours,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
                       "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="],
}


def main(corpus):
    for target, seeds in SEEDS.items():
        folder = os.path.join(corpus, target)
        os.makedirs(folder, exist_ok=True)
        for seed in seeds:
            seed = seed.encode() if isinstance(seed, str) else seed
            with open(os.path.join(folder, f"seed-{hashlib.sha1(seed).hexdigest()[:12]}"), "wb") as file:
                file.write(seed)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
