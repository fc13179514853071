"""Remote write into the real binary: recorded bodies, a real Prometheus that is cut off, and bodies that are meant to hurt."""

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.parse

import pytest
import snappy

import remote_write as rw
from conftest import free_port
from node import HttpError, http

MIB = 1 << 20
COUNTS = [f"X-Prometheus-Remote-Write-{what}-Written" for what in ("Samples", "Histograms", "Exemplars")]


def write(node, body, headers=rw.V1, path="/api/v1/write"):
    """Status, text and written counts of a request, refused or not."""
    try:
        status, answer, back = http("POST", node.url("gateway", path), body, headers)
    except HttpError as refused:
        status, answer, back = refused.status, refused.body, refused.headers
    counts = [int(back[name]) for name in COUNTS if name in back]
    return status, answer.decode(), counts


def test_recorded_bodies_are_there_once_through_their_whole_life(make_node, shared):
    node = make_node().start()
    bodies = []
    for number in range(8):
        with open(os.path.join(shared, "golden", "data", f"remote_write_{number:02}.snappy"), "rb") as recorded:
            bodies.append(recorded.read())
    for body in bodies:
        assert write(node, body) == (204, "", [])
        assert write(node, body, path="/api/v1/push") == (204, "", [])  # the same again
    for stage in ["fresh", "flushed", "compacted", "killed", "stopped"]:
        if stage in ("flushed", "compacted"):
            node.admin("flush" if stage == "flushed" else "compact")
        elif stage == "killed":
            node.kill()
            node.restart()
        elif stage == "stopped":
            assert node.stop() == 0
            node.restart()
        facts = node.sql("select (select count(*) from metrics) as samples, (select count(distinct sid) from series) as series, "
                         "(select count(distinct sid) from histograms) as histograms")[0]
        assert facts == {"samples": 262_346 + 10, "series": 557, "histograms": 3}, stage  # 10 stale markers


def test_both_versions_are_one_series(node):
    assert write(node, rw.numbered(0, 100))[0] == 204
    assert write(node, rw.numbered(100, 100, version=2), rw.V2) == (204, "", [100, 0, 0])
    assert node.count("series where metric = 'probe_rw'") == 10
    assert node.sql("select count(*) as n, sum(value) as s from metrics where metric = 'probe_rw'")[0] == {"n": 200, "s": 19_900}
    # The newest writer wins: the same time again, another value.
    assert write(node, rw.request_1(rw.series_1([("__name__", "probe_rw"), ("series", "0")], [rw.sample(5000, rw.START_MS)])))[0] == 204
    for _ in range(2):
        assert node.sql("select count(*) as n, sum(value) as s from metrics where metric = 'probe_rw'")[0] == {"n": 200, "s": 24_900}
        node.admin("flush")


def test_a_partial_write_of_2_0(node):
    request = rw.Request2()
    now_ms = int(time.time() * 1000)
    name = [("__name__", "part")]
    request.add(name, [rw.sample(1, now_ms, now_ms - 1000), rw.sample(2, now_ms + 3_600_000)])
    request.add([("job", "nameless")], [rw.sample(3, now_ms)])
    trace = [request.symbol(text) for text in ("trace_id", "0af7651916cd43dd8448eb211c80319c")]
    exemplar = rw.field(1, b"".join(map(rw.varint, trace))) + rw.field(2, 1.5) + rw.field(3, now_ms)
    metadata = rw.field(1, 1) + rw.field(3, request.symbol("what it is")) + rw.field(4, request.symbol("bytes"))
    request.add([("__name__", "exemplary")], [rw.sample(4, now_ms)], exemplars=[exemplar], metadata=metadata)
    status, text, counts = write(node, request.body(), rw.V2)
    assert (status, counts) == (400, [2, 0, 1])
    assert "no metric name" in text and "in the future" in text
    assert node.sql("select value, start_ts is not null as started from metrics where metric = 'part'") == [{"value": 1, "started": True}]
    assert node.count("exemplars where trace_id is not null") == 1
    assert node.sql("select metric, type, unit, help from metadata") == \
        [{"metric": "exemplary", "type": "counter", "unit": "bytes", "help": "what it is"}]


def test_bodies_that_are_meant_to_hurt(node):
    assert write(node, rw.numbered(0, 100))[0] == 204
    before = node.rss_bytes()
    good = rw.numbered(100, 100)
    many_symbols = snappy.compress(b"\x22\x00" * (15 * MIB))
    many_series = snappy.compress(b"\x0a\x00" * (15 * MIB))
    hostile = [
        (b"\xff\xff\xff\xff\x0f" + b"\0" * 64, 413),  # claims 4 GiB
        (snappy.compress(b"\0" * (300 * MIB)), 413),
        (snappy.compress(b"\0" * (32 * MIB + 1)), 413),
        (snappy.compress(b"\0" * (32 * MIB)), 400),
        (good[:-1], 400),
        (good[: len(good) // 2], 400),
        (b"", 400),
        (b"\xff\x06\x00\x00sNaPpY", 400),
        (snappy.compress(b"\x0a\xff\xff\xff\xff\x0f"), 400),
        (snappy.compress(b"\x0b\x0b\x0b"), 400),
    ]
    for headers in (rw.V1, rw.V2):
        for body, expected in hostile:
            status, text, counts = write(node, body, headers)
            assert status == expected and text, (expected, text)
            assert counts == ([0, 0, 0] if headers is rw.V2 else [])
    assert write(node, many_symbols, rw.V2)[0] == 413
    assert write(node, many_series)[0] == 204  # series without anything
    assert write(node, many_series.replace(b"\x0a", b"\x2a"), rw.V2)[0] in (204, 400)
    try:
        assert write(node, b"\0" * (64 * MIB + 1))[0] == 413
    except OSError:
        pass  # the connection may be cut while the body is still being sent
    for headers in ({**rw.V1, "Content-Type": "application/json"}, {**rw.V1, "Content-Encoding": "gzip"}):
        assert write(node, good, headers)[0] == 415
    assert node.process.poll() is None, "the node died"
    assert node.count("metrics where metric = 'probe_rw'") == 100
    assert write(node, good)[0] == 204
    assert node.rss_bytes() - before < 400 * MIB


def test_replicas_of_one_server(tmp_path):
    from node import Node
    with Node(tmp_path / "node", args=["--set", "remote_write.ha.enabled=true"]) as node:
        for n in range(3):
            for replica in ("a", "b"):
                labels = [("__name__", "twin"), ("__replica__", replica), ("cluster", "c")]
                assert write(node, rw.request_1(rw.series_1(labels, [rw.sample(n, rw.START_MS + n)])))[0] == (204 if replica == "a" else 202)
        assert node.count("metrics where metric = 'twin'") == 3
        assert node.sql("select labels['cluster'] as c, labels['__replica__'] as r from series where metric = 'twin'") == [{"c": "c", "r": None}]
        assert node.metric("telelake_remote_write_deduplicated_total") == 3


class Prometheus:
    """A real server that scrapes itself every half second and writes to a node."""

    def __init__(self, folder, node_url):
        self.port = free_port()
        folder.mkdir()
        config = folder / "prometheus.yml"
        config.write_text(f"""
global: {{scrape_interval: 500ms}}
scrape_configs:
- job_name: self
  static_configs: [{{targets: ['127.0.0.1:{self.port}']}}]
remote_write:
- url: {node_url}/api/v1/write
  queue_config: {{batch_send_deadline: 200ms, min_backoff: 30ms, max_backoff: 500ms, max_samples_per_send: 300}}
""")
        self.log = open(folder / "log", "wb")
        self.process = subprocess.Popen(
            [prometheus_binary(), f"--config.file={config}", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address=127.0.0.1:{self.port}", "--enable-feature=native-histograms"],
            stdout=self.log, stderr=self.log)

    def get(self, path, **parameters):
        url = f"http://127.0.0.1:{self.port}{path}?{urllib.parse.urlencode(parameters)}"
        return http("GET", url)[1]

    def wait_until(self, condition, what, timeout=60):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                if condition():
                    return
            except OSError:
                pass
            time.sleep(0.1)
        pytest.fail(f"Prometheus: {what} took more than {timeout} s")

    def gauge(self, name):
        lines = self.get("/metrics").decode().splitlines()
        return max(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + "{"))

    def sent_up_to(self):
        return self.gauge("prometheus_remote_storage_queue_highest_sent_timestamp_seconds")

    def counts(self, start_ms, end_ms):
        """Samples in the closed window, by metric. Stale markers are not among them."""
        query = f"{{__name__=~'.+'}}[{end_ms - start_ms}ms]"
        answer = json.loads(self.get("/api/v1/query", query=query, time=f"{end_ms / 1000:.3f}"))
        counts = {}
        for series in answer["data"]["result"]:
            name, samples = series["metric"]["__name__"], len(series.get("values", []))
            counts[name] = counts.get(name, 0) + samples
        return {name: count for name, count in counts.items() if count}

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def prometheus_binary():
    folder = os.environ.get("TELELAKE_PROMETHEUS_DIR")
    return os.path.join(folder, "prometheus") if folder else shutil.which("prometheus")


# A longer life between two kills: TELELAKE_CUT_OFF_EVERY_S=200 makes it ten minutes.
CUT_OFF_EVERY_S = float(os.environ.get("TELELAKE_CUT_OFF_EVERY_S", "2"))


def test_a_real_prometheus_that_is_cut_off_loses_nothing(tmp_path):
    if not prometheus_binary():
        pytest.skip("SKIPPED LOUDLY: no Prometheus (set TELELAKE_PROMETHEUS_DIR, or install the package `prometheus`)")
    from node import Node
    # The sender must find the node where it was.
    args = ["--gateway-addr", f"127.0.0.1:{free_port()}"]
    with Node(tmp_path / "node", args=args) as node:
        sender = Prometheus(tmp_path / "prometheus", node.url("gateway"))
        try:
            sender.wait_until(lambda: node.count("metrics") > 0, "the first samples")
            start_ms = int(time.time() * 1000)
            for _ in range(3):
                until = time.time() + CUT_OFF_EVERY_S
                sender.wait_until(lambda: sender.sent_up_to() > until, "sending", CUT_OFF_EVERY_S + 60)  # noqa: B023
                node.kill()
                down = time.time() + 1
                sender.wait_until(lambda: time.time() > down, "being cut off")  # noqa: B023
                node.restart()
            end_ms = int(time.time() * 1000)
            sender.wait_until(lambda: sender.sent_up_to() > end_ms / 1000 + 1, "catching up")
            expected = sender.counts(start_ms, end_ms)
        finally:
            sender.stop()
        for _ in range(2):
            rows = node.sql("select metric, count(*) as n from metrics where "
                            f"ts >= to_timestamp_millis({start_ms}) and ts <= to_timestamp_millis({end_ms}) group by metric")
            found = {row["metric"]: row["n"] for row in rows}
            assert sum(expected.values()) > 5_000
            assert found == expected
            node.admin("flush")
