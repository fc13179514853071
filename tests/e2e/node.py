"""Starts, questions and kills the real binary. One object per node; nothing here knows pytest."""

import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

BIN = os.environ.get("TELELAKE_BIN", "telelake")


class NodeDied(Exception):
    """The process ended before it said `ready`."""


class HttpError(Exception):
    def __init__(self, status, body, headers):
        super().__init__(f"HTTP {status}: {body[:500]!r}")
        self.status, self.body, self.headers = status, body, headers


def http(method, url, body=None, headers=None, timeout=60):
    """One request; returns (status, body, headers) and raises HttpError for 4xx and 5xx."""
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        raise HttpError(error.code, error.read(), error.headers) from None


class Node:
    """A node on free ports of 127.0.0.1. Usable as a context manager; leaving it kills the process."""

    def __init__(self, data, store=None, env=None, args=(), log=None):
        self.data, self.store = str(data), store
        # How full the disk of the machine is, is not what is tested; less than `ingest.wal.disk_free_min` still refuses.
        self.env = {"TELELAKE__INGEST__WAL__DISK_USED_PERCENT_MAX": "100", **os.environ, **(env or {})}
        self.args, self.log_path = list(args), log or f"{data}.log"
        self.process, self.ports = None, {}

    def start(self, timeout=60):
        command = [BIN, "serve", "--data", self.data]
        if self.store:
            command += ["--store", self.store]
        for dialect in ["gateway", "otlp-grpc", "otlp-http", "prometheus", "loki", "tempo", "jaeger", "jaeger-grpc", "jaeger-thrift", "zipkin",
                        "elastic", "flight", "postgres"]:
            command += [f"--{dialect}-addr", "127.0.0.1:0"]
        command += self.args
        started = time.monotonic()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=self.env, text=True)
        self.ports = {}
        watchdog = threading.Timer(timeout, self.process.kill)
        watchdog.start()
        try:
            for line in self.process.stdout:
                word, *rest = line.split()
                if word == "listening":
                    self.ports[rest[0]] = int(rest[1].rsplit(":", 1)[1])
                if word == "ready":
                    self.ready_s = time.monotonic() - started
                    return self
        finally:
            watchdog.cancel()
        raise NodeDied(f"exit status {self.process.wait()}; log: {self.tail()}")

    def tail(self, lines=20):
        with open(self.log_path, errors="replace") as log:
            return "".join(log.readlines()[-lines:])

    def url(self, dialect, path=""):
        return f"http://127.0.0.1:{self.ports[dialect]}{path}"

    def sql(self, text, tenant=None, **parameters):
        """Rows of a statement as dictionaries."""
        query = urllib.parse.urlencode({"query": text, "format": "jsonl", **parameters})
        headers = {"X-Scope-OrgID": tenant} if tenant else {}
        _, body, _ = http("POST", self.url("gateway", "/api/v1/sql"), query.encode(),
                          {"Content-Type": "application/x-www-form-urlencoded", **headers})
        return [json.loads(line) for line in body.splitlines() if line]

    def count(self, what, tenant=None):
        """`count("spans where kind = 'client'")`: how many rows."""
        return self.sql(f"select count(*) as n from {what}", tenant)[0]["n"]

    def admin(self, verb):
        return http("POST", self.url("gateway", f"/api/v1/admin/{verb}"), b"", timeout=300)

    def metric(self, name, **labels):
        """The value of one of the node's own metrics; 0 when it has not been counted yet."""
        _, body, _ = http("GET", self.url("gateway", "/metrics"))
        total = 0.0
        for line in body.decode().splitlines():
            if line.startswith(name) and line[len(name):len(name) + 1] in "{ ":
                if all(f'{k}="{v}"' in line for k, v in labels.items()):
                    total += float(line.rsplit(" ", 1)[1])
        return total

    def rss_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))

    def stop(self, timeout=60):
        """SIGTERM: drains, flushes; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout)
        self.process.stdout.close()
        return status

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()
            self.process.stdout.close()

    def restart(self):
        return self.start()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()
