"""VictoriaLogs over the same lines: pushed as the node got them, asked in its own language.

    go install github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs@latest
"""

import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import time
import urllib.parse
import urllib.request


class Victoria:
    """A server of its own, on an empty folder."""

    def __init__(self, binary, data):
        self.binary, self.data = binary, data
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = None

    def start(self):
        self.data.mkdir(parents=True, exist_ok=True)
        log = open(self.data.parent / "victoria.log", "ab")
        self.process = subprocess.Popen(
            [self.binary, f"-storageDataPath={self.data}", f"-httpListenAddr=127.0.0.1:{self.port}", "-retentionPeriod=100y",
             "-loggerLevel=WARN", "-futureRetention=10y"], stdout=log, stderr=log)
        for _ in range(600):
            try:
                return self.get("/health", {})
            except OSError:
                time.sleep(0.05)
        raise SystemExit("VictoriaLogs is not ready")

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(120)

    def get(self, path, parameters):
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}?{query}", timeout=300) as response:
            return response.read()

    def push(self, body):
        url = f"http://127.0.0.1:{self.port}/insert/loki/api/v1/push?disable_message_parsing=1"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=300) as response:
            response.read()

    def cpu_s(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def settle(self):
        """Everything merged. Both requests only begin something, which is done once no more time of a core is taken."""
        self.get("/internal/force_flush", {})
        self.get("/internal/force_merge", {})
        end = time.monotonic() + 300
        while time.monotonic() < end:
            before = self.cpu_s()
            time.sleep(5)
            if self.cpu_s() - before < 0.1:
                return

    def bytes(self):
        return sum(path.stat().st_size for path in self.data.rglob("*") if path.is_file())

    def ask_ms(self, path, parameters, times):
        """Median of the answers after the first, and the first."""
        took = []
        for _ in range(times + 1):
            began = time.perf_counter()
            self.get(path, parameters)
            took.append((time.perf_counter() - began) * 1e3)
            if sum(took) > 20_000:
                break
        return took[0], statistics.median(took[1:] or took)


def questions(start_ns, end_ns, needles):
    """Requests by the names of the questions that the node is asked."""
    time_range = {"start": str(start_ns), "end": str(end_ns)}

    def logs(query):
        return "/select/logsql/query", {"query": query, "limit": 1000, **time_range}

    def once(query):
        return "/select/logsql/stats_query", {"query": query, "time": str(end_ns), **time_range}

    def steps(query):
        return "/select/logsql/stats_query_range", {"query": query, "step": "120s", **time_range}

    return {
        "absent needle": logs(f'"{needles.ABSENT}"'),
        "needle of 7 lines": logs(f'"{needles.RARE}"'),
        "common needle, newest 1000": logs(f'"{needles.COMMON}"'),
        "common needle, count": once(f'"{needles.COMMON}" | stats count() n'),
        "count of everything": once("* | stats count() n"),
        "regex count": once('_msg:~"time(out|d out) .*50[03]" | stats count() n'),
        "`error` by service": once('_msg:~"error" | stats by (app) count() n'),
        "json, sum by (status)": once('{app="checkout"} | unpack_json fields (status) | stats by (status) count() n'),
        "rate by service, 10 h": steps("* | stats by (app) count() n"),
        "volume histogram": steps("* | stats by (level) count() n"),
    }


def feed(victoria, pushes):
    """Pushes bodies; CPU seconds until the last was taken, and until everything was merged."""
    cpu = victoria.cpu_s()
    for body in pushes:
        victoria.push(body)
    taken = victoria.cpu_s() - cpu
    victoria.settle()
    return taken, victoria.cpu_s() - cpu


def count(victoria, start_ns, end_ns):
    """Lines that it has."""
    answer = victoria.get("/select/logsql/stats_query", {"query": "* | stats count() n", "start": str(start_ns), "end": str(end_ns),
                                                        "time": str(end_ns)})
    return int(float(json.loads(answer)["data"]["result"][0]["value"][1]))
