#!/usr/bin/env python3
"""Small questions alone, and beside queries that want all memory and all time: the p95 of both.

    TELELAKE_BIN=target/release/telelake tests/e2e/hogs.py [--seconds 20] [--hogs 4]

Each hog is a tenant that sends what cannot be answered, again as soon as it is refused. Every small question must be answered rightly and every
hog must fail by name, else the exit status is 1. The ratio is printed, not judged: it is a matter of cores and of what else a machine does.
"""

import argparse
import sys
import tempfile
import threading
import time

import payload
from node import HttpError, Node, http

sys.dont_write_bytecode = True
HOGS = [
    "SELECT array_agg(value) FROM generate_series(1, 10000000)",
    "SELECT count(*) FROM (SELECT DISTINCT value * 7 FROM generate_series(1, 10000000))",
    "SELECT max(r) FROM (SELECT row_number() OVER (ORDER BY value * 7919 % 10000019) AS r FROM generate_series(1, 10000000))",
    "SELECT count(*) FROM generate_series(1, 9000000) a, generate_series(1, 9000000) b WHERE a.value + b.value < 0",
]
SMALL = [
    ("SELECT count(*) AS n FROM logs WHERE body LIKE 'order%'", [{"n": 5000}]),
    ("SELECT name, max(duration_ns) AS d FROM spans WHERE service = 'shop' GROUP BY name ORDER BY name LIMIT 1", [{"name": "op 0", "d": 504_995}]),
    ("SELECT sum(value) AS s FROM metrics WHERE metric = 'probe_value'", [{"s": 12_497_500.0}]),
]


def percentile(times, share):
    return sorted(times)[min(len(times) - 1, int(share * len(times)))] * 1e3


def small(node, seconds):
    """Times of small questions for so long, and how many answers were wrong."""
    times, wrong, end = [], 0, time.monotonic() + seconds
    while time.monotonic() < end:
        text, expected = SMALL[len(times) % len(SMALL)]
        began = time.perf_counter()
        answer = node.sql(text, "quiet")
        times.append(time.perf_counter() - began)
        wrong += answer != expected
    return times, wrong


def hog(node, text, tenant, stop, told):
    while not stop.is_set():
        try:
            node.sql(text, tenant, timeout="10s")
            told.append("answered")
        except HttpError as refused:
            told.append(refused.body.decode())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20, help="of each of the two measurements (default 20)")
    parser.add_argument("--hogs", type=int, default=4, help="tenants that hog (default 4)")
    options = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory(prefix="telelake-hogs-") as folder, Node(f"{folder}/node") as node:
        headers = {**payload.PROTOBUF, "X-Scope-OrgID": "quiet"}
        for path, make in [("logs", payload.logs), ("traces", payload.spans), ("metrics", payload.samples)]:
            http("POST", node.url("otlp-http", f"/v1/{path}"), make(0, 5000), headers)
        node.admin("flush")
        small(node, 2)
        for turn in ("alone", "beside hogs"):
            stop, told = threading.Event(), []
            hogs = [threading.Thread(target=hog, args=(node, HOGS[n % len(HOGS)], f"hog-{n}", stop, told)) for n in range(options.hogs)]
            if turn == "beside hogs":
                [one.start() for one in hogs]
                time.sleep(1)
            times, wrong = small(node, options.seconds)
            stop.set()
            [one.join() for one in hogs if one.is_alive()]
            unnamed = [one for one in told if "memory_bytes_max" not in one and "its timeout" not in one]
            failed |= bool(wrong or unnamed)
            p95 = percentile(times, 0.95)
            print(f"{turn}: {len(times)} small questions, p50 {percentile(times, 0.5):.1f} ms, p95 {p95:.1f} ms, p99 {percentile(times, 0.99):.1f} ms, "
                  f"{wrong} wrong; {len(told)} hogs refused, {node.rss_bytes() >> 20} MiB resident" + (f"; NOT BY NAME: {unnamed[:3]}" if unnamed else ""))
            alone = p95 if turn == "alone" else alone
        print(f"ratio of p95: {p95 / alone:.2f}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
