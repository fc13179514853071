"""Spans as twenty services write them, from a seed: every trace can be made again by its number, and every count that is checked is counted here.

    number ─► shape (a tree of 4 to 36 spans, one of 400) ─► ids, times, attributes ─► OTLP spans, grouped by resource into requests
"""

import hashlib
import random
import struct

SERVICES = ["gateway", "frontend", "checkout", "cart", "payments", "search", "auth", "inventory", "shipping", "billing", "recommend", "email",
            "audit", "catalog", "pricing", "ratings", "ads", "profile", "orders", "ledger"]
PODS = 3
SHAPES = 400
TAILS = 64
MEAN_SPANS = 20
RARE_KEY, RARE_VALUE, RARE_TRACES = "debug.needle", "7f3a9c1d5e", 15
INTERNAL, SERVER, CLIENT = 1, 2, 3
ERROR = 2
TIMES = struct.Struct("<BQBQ")


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def attribute(number, key, value):
    """A key and a value as field `number`."""
    inner = field(1, value.encode()) if isinstance(value, str) else b"\x18" + varint(value)
    return field(number, field(1, key.encode()) + field(2, inner))


class Corpus:
    """`traces` traces that begin evenly over `seconds` from `start_ns`."""

    def __init__(self, seed, traces, start_ns, seconds):
        self.seed, self.traces, self.start_ns = seed, traces, start_ns
        self.spacing_ns = seconds * 10**9 // traces
        self.rare_every = max(1, traces // RARE_TRACES)
        r = random.Random(seed)
        self.resources = [self._resource(service, pod) for service in SERVICES for pod in range(PODS)]
        self.tails = {}
        self.shapes = [self._shape(r) for _ in range(SHAPES)]
        self.rare = attribute(9, RARE_KEY, RARE_VALUE)

    def _resource(self, service, pod):
        pairs = [("service.name", service), ("service.namespace", "shop"), ("service.version", f"1.{len(service)}.0"),
                 ("service.instance.id", f"{service}-{pod}"), ("k8s.namespace.name", "shop"), ("k8s.pod.name", f"{service}-{pod}"),
                 ("k8s.node.name", f"node-{pod}"), ("cloud.region", ["eu", "us", "ap"][pod]), ("deployment.environment.name", "production"),
                 ("telemetry.sdk.language", "go"), ("telemetry.sdk.name", "opentelemetry")]
        return field(1, b"".join(attribute(1, key, value) for key, value in pairs))

    def _shape(self, r):
        """Spans as (resource, parent, tails, offset, share of the whole): a parent comes before its children and spans them."""
        spans = [(r.randrange(PODS), None, SERVER, 0, 0.0, 1.0)]
        for i in range(1, r.randint(4, 2 * MEAN_SPANS - 4)):
            parent = r.randrange(max(0, i - 5), i)
            resource, _, kind, _, offset, share = spans[parent]
            if kind == CLIENT:
                resource, kind = r.randrange(len(SERVICES)) * PODS + r.randrange(PODS), SERVER
            else:
                kind = CLIENT if r.random() < 0.7 else INTERNAL
            begin, length = sorted((r.random(), r.random()))
            spans.append((resource, parent, kind, 0, offset + begin * share, (length - begin) * share))
        return [(resource, parent, self._tails(resource // PODS, kind, r.randrange(8)), offset, share)
                for resource, parent, kind, _, offset, share in spans]

    def _tails(self, service, kind, operation):
        """What follows the times in a span: some of each kind."""
        key = (service, kind, operation)
        if key not in self.tails:
            self.tails[key] = [self._tail(SERVICES[service], kind, operation, variant) for variant in range(TAILS)]
        return self.tails[key]

    def _tail(self, service, kind, operation, variant):
        r = random.Random(f"{service} {kind} {operation} {variant}")
        status = r.choice((200, 200, 200, 200, 201, 204, 301, 400, 404, 500))
        if kind == SERVER:
            name = f"POST /api/{service}/v{operation}/items"
            pairs = [("http.request.method", r.choice(("GET", "POST"))), ("http.route", f"/api/{service}/v{operation}/items"),
                     ("http.response.status_code", status), ("url.path", f"/api/{service}/v{operation}/items/{r.randrange(1000)}"),
                     ("server.address", f"{service}.shop.svc"), ("user_agent.original", f"Go-http-client/1.{r.randrange(4)}"),
                     ("network.protocol.version", "1.1"), ("client.address", f"10.0.{r.randrange(8)}.{r.randrange(256)}")]
        elif kind == CLIENT:
            name = f"SELECT {service}.t{operation}"
            pairs = [("db.system.name", "postgresql"), ("db.namespace", service), ("db.operation.name", "SELECT"),
                     ("db.query.text", f"select * from t{operation} where id = $1 and part = {r.randrange(50)}"),
                     ("server.address", f"db-{r.randrange(4)}.shop.svc"), ("server.port", 5432),
                     ("db.response.returned_rows", r.randrange(500))]
        else:
            name = f"{service}.step{operation}"
            pairs = [("code.function.name", f"{service}.Step{operation}"), ("code.line.number", r.randrange(900)), ("thread.id", r.randrange(64))]
        head = field(5, name.encode()) + b"\x30" + bytes([kind])
        return head, b"".join(attribute(9, key, value) for key, value in pairs)

    def trace_id(self, n):
        return hashlib.blake2b(struct.pack("<QQ", self.seed, n), digest_size=16).digest()

    def trace(self, n):
        """The spans of trace `n` as (resource, encoded span), and how many of them failed."""
        r = random.Random(n << 20 | self.seed)
        shape = self.shapes[r.randrange(SHAPES)]
        trace_id, ids, noise = b"\x0a\x10" + self.trace_id(n) + b"\x12\x08", r.randbytes(8 * len(shape)), r.randbytes(len(shape))
        begin, whole = self.start_ns + n * self.spacing_ns, int(r.lognormvariate(17.2, 1.2))
        user = attribute(9, "enduser.id", f"u{r.randrange(100_000):05}")
        spans, failed = [], 0
        for i, (resource, parent, tails, offset, share) in enumerate(shape):
            start = begin + int(offset * whole)
            end = start + int(share * whole) + 1_000
            variant = noise[i]
            head, attributes = tails[variant % TAILS]
            span = [trace_id, ids[8 * i:8 * i + 8]]
            if parent is not None:
                span += (b"\x22\x08", ids[8 * parent:8 * parent + 8])
            span += (head, TIMES.pack(0x39, start, 0x41, end), attributes)
            if parent is None:
                span.append(user)
            if i == 3 and n % self.rare_every == 0 and n // self.rare_every < RARE_TRACES:
                span.append(self.rare)
            if variant < 4:
                failed += 1
                event = b"\x09" + struct.pack("<Q", end) + field(2, b"exception") + attribute(3, "exception.type", "TimeoutError")
                span += (field(11, event), field(15, field(2, b"deadline exceeded") + b"\x18" + bytes([ERROR])))
            span = b"".join(span)
            spans.append((resource, b"\x12" + varint(len(span)) + span))
        return spans, failed

    def requests(self, per_request):
        """Export requests of `per_request` traces: the bytes, spans, spans that failed, and spans by service."""
        scope = field(1, field(1, b"shop.instrumentation") + field(2, b"0.4.1"))
        for first in range(0, self.traces, per_request):
            groups, count, failures, services = {}, 0, 0, [0] * len(SERVICES)
            for n in range(first, min(first + per_request, self.traces)):
                spans, failed = self.trace(n)
                failures += failed
                count += len(spans)
                for resource, span in spans:
                    groups.setdefault(resource, []).append(span)
            for resource, spans in groups.items():
                services[resource // PODS] += len(spans)
            body = b"".join(field(1, self.resources[resource] + field(2, scope + b"".join(spans))) for resource, spans in groups.items())
            yield body, count, failures, services
