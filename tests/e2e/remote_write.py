"""Remote write bodies made by hand, byte by byte: nothing here is shared with the code under test."""

import struct

import snappy

V1 = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"}
V2 = {**V1, "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request", "X-Prometheus-Remote-Write-Version": "2.0.0"}
START_MS = 1_793_491_200_000  # 2026-11-01T00:00:00Z
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]


def varint(number):
    number &= (1 << 64) - 1
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number, content):
    """A message, text, a number or a double."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    if isinstance(content, float):
        return varint(number << 3 | 1) + struct.pack("<d", content)
    content = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(content)) + content


def sample(value, ts_ms, start_ms=0):
    return field(1, float(value)) + field(2, ts_ms) + (field(3, start_ms) if start_ms else b"")


def series_1(labels, samples):
    """`labels` are pairs; `samples` are encoded."""
    return field(1, b"".join(field(1, field(1, n) + field(2, v)) for n, v in labels) + b"".join(field(2, s) for s in samples))


def request_1(*series):
    return snappy.compress(b"".join(series))


class Request2:
    """Collects series and their symbols."""

    def __init__(self):
        self.symbols, self.series = [""], b""

    def symbol(self, text):
        if text not in self.symbols:
            self.symbols.append(text)
        return self.symbols.index(text)

    def add(self, labels, samples=(), histograms=(), exemplars=(), metadata=b""):
        refs = b"".join(varint(self.symbol(text)) for pair in labels for text in pair)
        body = field(1, refs) + b"".join(field(2, s) for s in samples) + b"".join(field(3, h) for h in histograms)
        body += b"".join(field(4, e) for e in exemplars) + (field(5, metadata) if metadata else b"")
        self.series += field(5, body)

    def raw(self):
        return b"".join(field(4, text) for text in self.symbols) + self.series

    def body(self):
        return snappy.compress(self.raw())


def numbered(first, count, version=1, metric="probe_rw", series=10):
    """`count` samples over `series` series; sample n has the value n and a time of its own."""
    labels = lambda n: [("__name__", metric), ("series", str(n % series))]  # noqa: E731
    numbers = range(first, first + count)
    if version == 1:
        return request_1(*(series_1(labels(n), [sample(n, START_MS + n)]) for n in numbers))
    request = Request2()
    for n in numbers:
        request.add(labels(n), [sample(n, START_MS + n)])
    return request.body()
