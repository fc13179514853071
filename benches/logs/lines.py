"""Log lines as services write them: JSON, logfmt and plain text of 14 services, from a seed, with three needles of known frequency."""

import json
import random

SERVICES = ["checkout", "cart", "payments", "search", "frontend", "auth", "inventory", "shipping", "billing", "edge", "batch",
            "recommend", "email", "audit"]
LEVELS = ["debug", "info", "info", "info", "info", "info", "warn", "error"]
PATHS = ["/api/cart/items", "/api/checkout", "/api/orders", "/api/users/me", "/healthz", "/api/search", "/static/app.js"]
WORDS = ["request", "completed", "upstream", "connection", "refused", "retry", "cache", "miss", "hit", "queue", "drained", "token",
         "expired", "order", "placed", "payment", "accepted", "session", "closed", "timeout", "while", "reading", "response"]
RARE = "needle-7f3a9c1d5e"
COMMON = "tenth-part-marker"
ABSENT = "zq-never-written-xk"
RARE_LINES = 7


def streams():
    """Label sets: every service has three pods and four levels."""
    return [{"app": service, "pod": f"{service}-{pod}", "level": level, "cluster": ["eu", "us", "ap"][pod]}
            for service in SERVICES for pod in range(3) for level in ("debug", "info", "warn", "error")]


class Lines:
    """Pushes of `per_push` lines each; the same seed gives the same lines."""

    def __init__(self, seed, start_ns, spacing_ns):
        self.random = random.Random(seed)
        self.at_ns, self.spacing_ns = start_ns, spacing_ns
        self.streams = streams()

    def line(self, stream, rare):
        r = self.random
        status = r.choices((200, 201, 204, 301, 400, 404, 500, 503), (60, 8, 5, 3, 6, 10, 5, 3))[0]
        words = " ".join(r.choices(WORDS, k=r.randint(4, 12)))
        if r.random() < 0.1:
            words += " " + COMMON
        if rare:
            words += " " + RARE
        fields = {"level": stream["level"], "msg": words, "method": r.choice(("GET", "POST", "PUT")), "path": r.choice(PATHS),
                  "status": status, "duration_ms": round(r.expovariate(1 / 40), 3), "user_id": r.randrange(100_000),
                  "request_id": f"{r.getrandbits(64):016x}"}
        kind = r.random()
        if kind < 0.4:
            return json.dumps(fields)
        if kind < 0.8:
            return " ".join(f'{k}="{v}"' if " " in str(v) else f"{k}={v}" for k, v in fields.items())
        return f"{stream['level'].upper()} [{fields['request_id']}] {words} ({fields['path']} {status})"

    def push(self, per_push, rare):
        """Streams of a push, each with its labels and its lines by time, and the bytes of its lines. `rare`: whether one has the rare needle."""
        by_stream, size = {}, 0
        rare_at = self.random.randrange(per_push) if rare else -1
        for i in range(per_push):
            at = self.random.randrange(len(self.streams))
            line = self.line(self.streams[at], i == rare_at)
            size += len(line)
            self.at_ns += self.spacing_ns
            by_stream.setdefault(at, []).append((self.at_ns, line))
        return [(self.streams[at], values) for at, values in by_stream.items()], size


def as_json(streams):
    """A push body."""
    streams = [{"stream": labels, "values": [[str(at_ns), line] for at_ns, line in values]} for labels, values in streams]
    return json.dumps({"streams": streams}).encode()


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def as_protobuf(streams):
    """A push body, compressed with snappy."""
    out = []
    for labels, values in streams:
        text = "{" + ", ".join(f"{name}={json.dumps(value)}" for name, value in sorted(labels.items())) + "}"
        entries = b"".join(
            field(2, field(1, b"\x08" + varint(at_ns // 10**9) + b"\x10" + varint(at_ns % 10**9)) + field(2, line.encode()))
            for at_ns, line in values)
        out.append(field(1, field(1, text.encode()) + entries))
    return snappy(b"".join(out))


def snappy(raw):
    try:
        import cramjam
        return bytes(cramjam.snappy.compress_raw(raw))
    except ImportError:
        # Literals only: as valid, and larger.
        pieces = (raw[at:at + 60] for at in range(0, len(raw), 60))
        return varint(len(raw)) + b"".join(bytes([len(piece) - 1 << 2]) + piece for piece in pieces)
