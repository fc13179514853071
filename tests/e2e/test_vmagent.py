"""VictoriaMetrics' agents, unchanged: vmagent scrapes and sends, vmalert asks, writes what its rules say and restores from it."""

import contextlib
import json
import os
import subprocess
import time
import urllib.parse

import pytest

from conftest import free_port
from node import http

SCRAPE = """
global: {{scrape_interval: 1s}}
scrape_configs:
- job_name: telelake
  static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
RULES = """
groups:
- name: node
  interval: 1s
  rules:
  - record: job:up:sum
    expr: sum by (job) (up)
  - alert: NodeIsUp
    expr: up == 1
    labels: {severity: none}
"""


@contextlib.contextmanager
def agent(name, log, *args):
    folder = os.environ.get("TELELAKE_VICTORIA_METRICS_DIR")
    if not folder:
        pytest.fail("no vmagent: set TELELAKE_VICTORIA_METRICS_DIR to the folder of VictoriaMetrics' programs (tests/run unpacks Debian's)")
    with open(log, "wb") as out:
        process = subprocess.Popen([f"{folder}/{name}", f"-httpListenAddr=127.0.0.1:{free_port()}", *args], stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def vector(node, query):
    _, body, _ = http("GET", node.url("prometheus", "/api/v1/query?" + urllib.parse.urlencode({"query": query})))
    return json.loads(body)["data"]["result"]


def test_vmagent_and_vmalert(node, tmp_path):
    (tmp_path / "scrape.yaml").write_text(SCRAPE.format(port=node.ports["gateway"]))
    (tmp_path / "rules.yaml").write_text(RULES)
    base = node.url("prometheus")
    sender = [f"-promscrape.config={tmp_path}/scrape.yaml", f"-remoteWrite.url={base}/api/v1/write", "-remoteWrite.flushInterval=1s",
              f"-remoteWrite.tmpDataPath={tmp_path}/queue"]
    rules = [f"-rule={tmp_path}/rules.yaml", f"-datasource.url={base}", f"-remoteWrite.url={base}", f"-remoteRead.url={base}",
             "-remoteWrite.flushInterval=1s", "-evaluationInterval=1s", "-notifier.url=http://127.0.0.1:1"]
    with agent("vmagent", tmp_path / "vmagent.log", *sender), agent("vmalert", tmp_path / "vmalert.log", *rules):
        deadline = time.monotonic() + 60
        while not (vector(node, "job:up:sum") and vector(node, "ALERTS")):
            assert time.monotonic() < deadline, (tmp_path / "vmagent.log").read_text() + (tmp_path / "vmalert.log").read_text()
            time.sleep(0.2)
    assert vector(node, "job:up:sum")[0]["metric"] == {"__name__": "job:up:sum", "job": "telelake"}
    assert vector(node, "ALERTS")[0]["metric"].items() >= {"alertname": "NodeIsUp", "alertstate": "firing", "severity": "none"}.items()
    # What was scraped is what the node says of itself.
    assert vector(node, "telelake_build_info")[0]["metric"]["job"] == "telelake"
    assert " error" not in (tmp_path / "vmagent.log").read_text()
