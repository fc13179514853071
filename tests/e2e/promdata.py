"""Metrics for tests of the Prometheus API: remote-write requests made by hand, and the expressions of a text."""

import math
import re
import struct

import snappy

START_S = 1_793_491_200  # 2026-11-01T00:00:00Z
STEP_S = 15
STEPS = 120  # half an hour
END_S = START_S + (STEPS - 1) * STEP_S
WRITE = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"}


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def remote_write(series):
    """A remote-write 1.0 request; `series` is a list of (labels, [(milliseconds, value)])."""
    body = b""
    for labels, samples in series:
        one = b"".join(field(1, field(1, k.encode()) + field(2, v.encode())) for k, v in sorted(labels.items()))
        for ms, value in samples:
            one += field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + varint(ms))
        body += field(1, one)
    return snappy.compress(body)


def remote_read(metric, start_ms, end_ms):
    """A remote-read request for one metric, in the form that old clients send: it knows samples only."""
    matcher = field(2, b"__name__") + field(3, metric.encode())
    query = b"\x08" + varint(start_ms) + b"\x10" + varint(end_ms) + field(3, matcher)
    return snappy.compress(field(1, query))


def fields(message):
    """(number, value) of a protobuf message: whole numbers, floats, and bytes."""
    at = 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = number()
        if key & 7 == 0:
            yield key >> 3, number()
        elif key & 7 == 1:
            yield key >> 3, struct.unpack_from("<d", message, at)[0]
            at += 8
        else:
            length = number()
            yield key >> 3, message[at:at + length]
            at += length


def read_answer(body):
    """{labels: [(milliseconds, value)]} of a remote-read answer that is not streamed."""
    found = {}
    for _, result in fields(snappy.decompress(body)):
        for _, series in fields(result):
            parts = list(fields(series))
            labels = tuple(tuple(text.decode() for _, text in fields(part)) for number, part in parts if number == 1)
            samples = [dict(fields(part)) for number, part in parts if number == 2]
            found[labels] = [(sample[2], sample.get(1, 0.0)) for sample in samples]
    return found


BOUNDS = ["0.1", "0.5", "1", "+Inf"]


def shop(start_s=START_S, steps=STEPS):
    """What a small shop says of itself, with the names that dashboards ask for."""
    times = [(start_s + n * STEP_S) * 1000 for n in range(steps)]

    def counter(per_step, **labels):
        return labels, [(t, float(n * per_step)) for n, t in enumerate(times)]

    def gauge(level, **labels):
        return labels, [(t, level + math.sin(n / 7)) for n, t in enumerate(times)]

    series = []
    for host, cloud in [("a", "aws"), ("b", "azure"), ("c", "gcp")]:
        node = {"instance": f"{host}:9100", "job": "node", "cloud_provider": cloud}
        series.append(({"__name__": "up", **node}, [(t, 1.0) for t in times]))
        series += [counter(12 + n, __name__="node_cpu_seconds_total", mode=mode, cpu="0", **node)
                   for n, mode in enumerate(["idle", "user"])]
        series.append(counter(9000, __name__="node_network_transmit_bytes_total", device="eth0", **node))
        for name, level in [("MemAvailable", 2e9), ("MemTotal", 8e9)]:
            series.append(gauge(level, __name__=f"node_memory_{name}_bytes", **node))
        for name, level in [("avail", 5e10), ("free", 6e10), ("size", 9e10)]:
            series.append(gauge(level, __name__=f"node_filesystem_{name}_bytes", mountpoint="/", **node))
        series.append(counter(3, __name__="cloud_cost_usd_total", **node))
    for service in ["cart", "checkout"]:
        app = {"job": "app", "service": service, "cloud_provider": "aws", "instance": "a:80"}
        for status, per_step in [("200", 30), ("500", 2)]:
            series.append(counter(per_step, __name__="http_requests_total", status=status, **app))
        for n, le in enumerate(BOUNDS):
            series.append(counter(8 * (n + 1), __name__="http_request_duration_seconds_bucket", le=le, **app))
        series.append(counter(32, __name__="http_request_duration_seconds_count", **app))
        series.append(counter(20, __name__="http_request_duration_seconds_sum", **app))
        series.append(counter(500, __name__="llm_tokens_total", model="m1", **app))
        series.append(counter(0.2, __name__="llm_cost_usd_total", model="m1", **app))
    return series


def statements(block):
    """Expressions of a block: one ends at an empty line or a comment, unless it plainly goes on."""
    found, open_lines = [], []
    for line in [*block.splitlines(), ""]:
        text = line.split("#")[0] if line.lstrip().startswith("#") else line
        if text.strip():
            open_lines.append(text.strip())
        elif open_lines and sum(part.count("(") - part.count(")") for part in open_lines) == 0:
            found.append(" ".join(open_lines))
            open_lines = []
    return found


def expressions(text):
    """PromQL in a document: fenced `promql` blocks, `expr:` of rules (one line or an indented block), and `PromQL:` in the prose."""
    found = []
    for block in re.findall(r"^[ ]*```promql\n(.*?)^[ ]*```", text, re.S | re.M):
        found += statements(block)
    lines = text.splitlines()
    for at, line in enumerate(lines):
        rule = re.match(r"^(\s*)(?:- )?expr: (.*)$", line)
        if rule and rule[2].strip() in ("|", ">"):
            indent, block = len(rule[1]), []
            for following in lines[at + 1:]:
                if following.strip() and len(following) - len(following.lstrip()) <= indent:
                    break
                block.append(following)
            found += statements("\n".join(block))
        elif rule:
            found.append(rule[2].strip())
        prose = re.match(r"^\s*PromQL: (.*)$", line)
        if prose:
            found.append(prose[1].strip())
    return found
