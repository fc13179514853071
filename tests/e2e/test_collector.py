"""The OpenTelemetry collector, unchanged, in front of a node: its exporters, and what a cut does to them."""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest

from conftest import free_port
from node import BIN, Node

LINES = 30_000
WAIT_S = 90


@pytest.fixture(scope="session")
def collector_binary():
    found = os.environ.get("TELELAKE_COLLECTOR_BIN") or shutil.which("otelcol-contrib")
    if not found:
        pytest.fail("no collector: set TELELAKE_COLLECTOR_BIN (tests/run builds one from tests/collector)")
    return found


class Collector:
    """A collector with an OTLP receiver for HTTP on a free port. Leaving it stops it."""

    def __init__(self, binary, folder, config):
        folder.mkdir()
        self.port, self.binary, self.folder = free_port(), binary, folder
        config.setdefault("receivers", {})["otlp"] = {"protocols": {"http": {"endpoint": f"127.0.0.1:{self.port}"}}}
        config["service"]["telemetry"] = {"metrics": {"level": "none"}}
        # Every YAML reader reads JSON.
        (folder / "config.yaml").write_text(json.dumps(config))

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def __enter__(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([self.binary, "--config", str(self.folder / "config.yaml")], stdout=log, stderr=log)
        wait_until(lambda: "Everything is ready" in self.log() or self.process.poll() is not None, "the collector")
        assert self.process.poll() is None, self.log()[-3000:]
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def wait_until(holds, what, seconds=WAIT_S):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.1)


def generate(endpoint):
    """Sends rows of all signals; says how many."""
    command = [BIN, "generate", "--endpoint", endpoint, "--protocol", "http", "--count", "2000", "--rate", "0", "--seed", "5", "--format", "json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_every_exporter_brings_what_it_got(node, tmp_path, collector_binary):
    def exporter(tenant, endpoint, **more):
        return {"endpoint": endpoint, "headers": {"X-Scope-OrgID": tenant}, **more}

    otlp, plain = node.url("otlp-http"), {"insecure": True}
    exporters = {
        "otlp/gzip": exporter("grpc-gzip", f"127.0.0.1:{node.ports['otlp-grpc']}", tls=plain, compression="gzip"),
        "otlp/zstd": exporter("grpc-zstd", f"127.0.0.1:{node.ports['otlp-grpc']}", tls=plain, compression="zstd"),
        "otlphttp/gzip": exporter("proto-gzip", otlp, compression="gzip"),
        "otlphttp/zstd": exporter("proto-zstd", otlp, compression="zstd"),
        "otlphttp/snappy": exporter("proto-snappy", otlp, compression="x-snappy-framed"),
        "otlphttp/none": exporter("proto-none", otlp, compression="none"),
        "otlphttp/json": exporter("json", otlp, encoding="json", compression="gzip"),
        "otlphttp/loki": exporter("loki", node.url("loki", "/otlp")),
        "prometheusremotewrite": exporter("remote-write", node.url("prometheus", "/api/v1/write"), tls=plain,
                                          resource_to_telemetry_conversion={"enabled": False}),
        "zipkin/json": exporter("zipkin-json", node.url("zipkin", "/api/v2/spans"), format="json"),
        "zipkin/proto": exporter("zipkin-proto", node.url("zipkin", "/api/v2/spans"), format="proto"),
    }
    every = [name for name in exporters if name.startswith("otlp") and name != "otlphttp/loki"]
    pipelines = {
        "traces": {"receivers": ["otlp"], "exporters": [*every, "zipkin/json", "zipkin/proto"]},
        "metrics": {"receivers": ["otlp"], "exporters": [*every, "prometheusremotewrite"]},
        "logs": {"receivers": ["otlp"], "exporters": [*every, "otlphttp/loki"]},
    }
    config = {"exporters": exporters, "service": {"pipelines": pipelines}}
    with Collector(collector_binary, tmp_path / "collector", config) as collector:
        sent = generate(f"http://127.0.0.1:{collector.port}")
        assert sent["rejected"] == 0
        samples = sent["gauge_points"] + sent["sum_points"] + sent["histogram_buckets"] + 2 * sent["histogram_points"]
        own = "metric <> 'target_info' and metric not like 'traces_%'"
        expected = {
            "spans": (sent["spans"], [exporters[name]["headers"]["X-Scope-OrgID"] for name in [*every, "zipkin/json", "zipkin/proto"]]),
            "logs": (sent["log_records"], [exporters[name]["headers"]["X-Scope-OrgID"] for name in [*every, "otlphttp/loki"]]),
            f"metrics where {own}": (samples, [exporters[name]["headers"]["X-Scope-OrgID"] for name in [*every, "prometheusremotewrite"]]),
        }
        for rows, (count, tenants) in expected.items():
            for tenant in tenants:
                wait_until(lambda: node.count(rows, tenant) >= count, f"{count} {rows} of {tenant}: {node.count(rows, tenant)}")  # noqa: B023
                assert node.count(rows, tenant) == count, (tenant, rows)
        # The same series, whoever made labels of attributes: the collector before the remote write, or the node, which leaves scopes out as
        # Prometheus does unless it is told to promote them.
        def series(tenant):
            rows = node.sql(f"select distinct metric, labels from series where {own}", tenant)
            return sorted((row["metric"], sorted(pair for pair in row["labels"].items() if not pair[0].startswith("otel_scope_")))
                          for row in rows)
        assert series("proto-gzip") == series("remote-write")
        traces = "select count(distinct trace_id) as n from spans"
        assert node.sql(traces, "zipkin-json") == node.sql(traces, "zipkin-proto") == node.sql(traces, "json") == [{"n": sent["traces"]}]
        assert "rror" not in "".join(line for line in collector.log().splitlines() if "\terror\t" in line), collector.log()[-3000:]


def test_a_file_that_is_followed_through_kills_arrives_once(tmp_path, collector_binary):
    """A file is read into a queue on disk; the node dies three times meanwhile. Requests are sent again, lines are there once."""
    ports = {name: free_port() for name in ("otlp-http", "loki")}
    args = [part for name, port in ports.items() for part in (f"--{name}-addr", f"127.0.0.1:{port}")]
    followed, queue = tmp_path / "app.log", tmp_path / "queue"
    followed.touch()
    queue.mkdir()
    patience = {"retry_on_failure": {"initial_interval": "100ms", "max_interval": "500ms", "max_elapsed_time": "0s"},
                "sending_queue": {"storage": "file_storage", "queue_size": 100_000}}
    config = {
        "extensions": {"file_storage": {"directory": str(queue)}},
        "receivers": {"filelog": {"include": [str(followed)], "start_at": "beginning", "storage": "file_storage", "poll_interval": "50ms",
                                  "resource": {"service.name": "followed"}}},
        "exporters": {
            "otlphttp": {"endpoint": f"http://127.0.0.1:{ports['otlp-http']}", "headers": {"X-Scope-OrgID": "direct"}, **patience},
            "otlphttp/loki": {"endpoint": f"http://127.0.0.1:{ports['loki']}/otlp", "headers": {"X-Scope-OrgID": "loki"}, **patience},
        },
        "service": {"extensions": ["file_storage"],
                    "pipelines": {"logs": {"receivers": ["filelog"], "exporters": ["otlphttp", "otlphttp/loki"]}}},
    }
    with Node(tmp_path / "node", args=args) as node, Collector(collector_binary, tmp_path / "collector", config):
        with open(followed, "a") as lines:
            for n in range(LINES):
                lines.write(f"order {n} shipped\n")
                if n % 100 == 0:
                    lines.flush()
                    time.sleep(0.005)
                if n % (LINES // 4) == LINES // 8 and n > LINES // 4:
                    node.kill()
                    node.restart()
        for tenant in ("direct", "loki"):
            wait_until(lambda: node.count("logs", tenant) >= LINES, f"the lines of {tenant}: {node.count('logs', tenant)}")  # noqa: B023
            found = node.sql("select count(*) as n, count(distinct body) as bodies, min(service) as service from logs", tenant)
            assert found == [{"n": LINES, "bodies": LINES, "service": "followed"}], tenant
