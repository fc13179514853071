"""A node that benches ask in SQL, on free ports of the loopback address."""

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pyarrow as pa


class Server:
    """The node under test."""

    def __init__(self, binary, data, on=("loki", "prometheus", "otlp-grpc"), settings=()):
        # Series counted from the spans would come after the files were written, and DuckDB would not see them.
        self.binary, self.data, self.settings = binary, data, ["generator.enabled=false", *settings]
        self.ports = {name: free_port() for name in ("gateway", *on)}

    def start(self):
        on = [arg for name, port in self.ports.items() for arg in (f"--{name}-addr", f"127.0.0.1:{port}")]
        others = {"otlp-grpc", "otlp-http", "prometheus", "loki", "tempo", "jaeger", "flight"} - self.ports.keys()
        off = [arg for name in sorted(others) for arg in (f"--{name}-addr", "off")]
        log = open(self.data / "node.log", "ab")
        settings = [arg for setting in self.settings for arg in ("--set", setting)]
        command = [self.binary, "serve", "--data", str(self.data / "node"), *on, *off, *settings]
        self.process = subprocess.Popen(command, stdout=log, stderr=log)
        for _ in range(1200):
            try:
                self.call("/ready")
                return
            except OSError:
                time.sleep(0.05)
        sys.exit(f"the node is not ready; see {self.data / 'node.log'}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(180)

    def call(self, path, body=None, kind="text/plain", dialect="gateway"):
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports[dialect]}{path}", body, {"Content-Type": kind})
        for attempt in range(100):
            try:
                with urllib.request.urlopen(request, timeout=600) as response:
                    return response.read()
            except urllib.error.HTTPError as error:
                if error.code not in (429, 503) or path == "/ready":
                    raise OSError(f"{error.code}: {error.read()[:500]!r}") from None
                time.sleep(0.1 * (attempt + 1))
        sys.exit("the node takes nothing any more")

    def rows(self, text):
        return [json.loads(row) for row in self.call("/api/v1/sql?format=jsonl", text.encode()).splitlines()]

    def table(self, text):
        return pa.ipc.open_stream(self.call("/api/v1/sql?format=arrow", text.encode())).read_all()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
