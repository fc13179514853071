#!/usr/bin/env python3
"""Small questions alone, and beside queries that want all memory and all time: the p95 of both.

    TELELAKE_BIN=target/release/telelake tests/e2e/hogs.py [--seconds 10] [--kind array --kind join ...]

A line per kind of hog, one at a time, and one for all of them together; small questions alone are measured anew before each. Each hog is a
tenant that sends what cannot be answered, again as soon as it is refused. Every small question must be answered rightly and every hog must
fail by name, else the exit status is 1. The ratio is printed, not judged: it is a matter of cores and of what else a machine does.
"""

import argparse
import sys
import tempfile
import threading
import time

import payload
from node import HttpError, Node, http

sys.dont_write_bytecode = True
# What cannot be answered within the default limits, however fast the machine is: three want more than `memory_bytes_max`, one wants days.
ROWS = "generate_series(1, 100000) a, generate_series(1, 100000) b"
HOGS = {
    "array": f"SELECT array_agg(a.value + b.value) FROM {ROWS}",
    "distinct": f"SELECT count(*) FROM (SELECT DISTINCT a.value * 100000 + b.value FROM {ROWS})",
    "sort": f"SELECT max(r) FROM (SELECT row_number() OVER (ORDER BY a.value * b.value % 10000019) AS r FROM {ROWS})",
    "join": "SELECT count(*) FROM generate_series(1, 9000000) a, generate_series(1, 9000000) b WHERE a.value + b.value < 0",
}
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


def measure(node, kinds, seconds):
    """Times of small questions beside one hog of each of `kinds`; how many answers were wrong; what the hogs were told."""
    stop, told = threading.Event(), []
    hogs = [threading.Thread(target=hog, args=(node, HOGS[kind], f"hog-{kind}", stop, told)) for kind in kinds]
    [one.start() for one in hogs]
    time.sleep(1)
    times, wrong = small(node, seconds)
    stop.set()
    [one.join() for one in hogs]
    return times, wrong, told


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement (default 10)")
    parser.add_argument("--kind", action="append", choices=HOGS, help="only these, one at a time (default: each, then all together)")
    options = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory(prefix="telelake-hogs-") as folder, Node(f"{folder}/node") as node:
        headers = {**payload.PROTOBUF, "X-Scope-OrgID": "quiet"}
        for path, make in [("logs", payload.logs), ("traces", payload.spans), ("metrics", payload.samples)]:
            http("POST", node.url("otlp-http", f"/v1/{path}"), make(0, 5000), headers)
        node.admin("flush")
        small(node, 2)
        for kinds in [[kind] for kind in options.kind] if options.kind else [*([kind] for kind in HOGS), list(HOGS)]:
            alone, wrong, _ = measure(node, [], options.seconds)
            beside, wrong_beside, told = measure(node, kinds, options.seconds)
            unnamed = [one for one in told if "memory_bytes_max" not in one and "its timeout" not in one]
            failed |= bool(wrong or wrong_beside or unnamed)
            (p50, p95, p99), was = [[percentile(times, share) for share in (0.5, 0.95, 0.99)] for times in (beside, alone)]
            print(f"{'+'.join(kinds)}: p95 {p95:.1f} ms, alone {was[1]:.1f}: {p95 / was[1]:.2f}x (p50 {p50:.1f} and {was[0]:.1f}, p99 {p99:.1f} and {was[2]:.1f}; "
                  f"{len(beside)} questions, {wrong + wrong_beside} wrong; {len(told)} hogs refused; {node.rss_bytes() >> 20} MiB resident)"
                  + (f"; NOT BY NAME: {unnamed[:3]}" if unnamed else ""), flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
