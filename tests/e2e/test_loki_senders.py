"""Libraries that applications push their lines to Loki with, unchanged: every line arrives once, under the labels that it was sent with."""

import json
import logging
import shutil
import subprocess
import time
import urllib.parse

import logging_loki
import pytest

from node import http

WINSTON = ["winston@3.19.0", "winston-loki@6.1.7"]
# Its batches are protobuf with snappy, or JSON.
SENDER = """
const { createLogger } = require("winston");
const Loki = require("winston-loki");
const [host, json, count] = process.argv.slice(2);
const loki = new Loki({ host, json: json === "json", labels: { app: "shop", sender: json }, interval: 1, replaceTimestamp: false,
  onConnectionError: (error) => { console.error(error); process.exitCode = 1; } });
const log = createLogger({ transports: [loki] });
for (let n = 0; n < Number(count); n++) log[n % 2 ? "error" : "info"]({ message: `order ${n} \\u00fc "quoted"`, labels: { part: String(n % 3) } });
loki.flush().then(() => process.exit(process.exitCode ?? 0), (error) => { console.error(error); process.exit(1); });
"""


def lines(node, selector):
    """(labels, text) of every line."""
    parameters = {"query": selector, "limit": 5000, "start": time.time_ns() - 3600 * 10**9, "end": time.time_ns() + 60 * 10**9}
    _, body, _ = http("GET", node.url("loki", "/loki/api/v1/query_range?" + urllib.parse.urlencode(parameters)))
    return [(stream["stream"], line) for stream in json.loads(body)["data"]["result"] for _, line in stream["values"]]


@pytest.fixture(scope="module")
def winston(tmp_path_factory):
    """A folder with the library."""
    if not shutil.which("npm"):
        pytest.skip("there is no npm")
    folder = tmp_path_factory.mktemp("winston")
    made = subprocess.run(["npm", "install", "--no-audit", "--no-fund", *WINSTON], cwd=folder, capture_output=True, text=True, timeout=300)
    if made.returncode != 0:
        pytest.skip(f"npm cannot install {WINSTON}: {made.stderr[-500:]}")
    (folder / "send.js").write_text(SENDER)
    return folder


@pytest.mark.parametrize("encoding", ["json", "protobuf"])
def test_winston_loki(node, winston, encoding):
    command = ["node", "send.js", node.url("loki").rstrip("/"), encoding, "300"]
    sent = subprocess.run(command, cwd=winston, capture_output=True, text=True, timeout=120)
    assert sent.returncode == 0, sent.stderr
    found = lines(node, f'{{app="shop", sender="{encoding}"}}')
    assert sorted(line.split()[1] for _, line in found) == sorted(str(n) for n in range(300))
    assert all("\u00fc" in line and "quoted" in line for _, line in found)
    assert {(labels["level"], labels["part"]) for labels, _ in found} == {(level, part) for level in ("info", "error") for part in "012"}


def test_python_logging_loki(node):
    handler = logging_loki.LokiHandler(url=node.url("loki", "/loki/api/v1/push"), tags={"app": "python"}, timeout=30)
    log = logging.getLogger("shop")
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    for n in range(100):
        log.info("order %s", n, extra={"tags": {"part": str(n % 2)}})
    log.removeHandler(handler)
    handler.close()
    found = lines(node, '{app="python"}')
    assert sorted(line for _, line in found) == sorted(f"order {n}" for n in range(100))
    assert {(labels["severity"], labels["logger"], labels["part"]) for labels, _ in found} == {("info", "shop", "0"), ("info", "shop", "1")}
