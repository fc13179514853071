"""The systems that are compared: where they come from, how they are started, which of their own routes settle them.

Each is started on 127.0.0.1 with the flags that its makers recommend for one machine, plus what a recorded corpus needs: no retention
that would drop old times, and limits that let the largest corpus be asked for. Nothing is tuned for the benchmark. Binaries lie in the
cache folder, never in the checkout. A system is stopped by its own pid.
"""

import hashlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse

import measure

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "telelake"
PEERS = CACHE / "peers"

# The newest that builds with Go 1.26. A new version is a change of its own: results are compared across commits.
VICTORIA_METRICS = "v1.151.0"


class Failure(Exception):
    """Something that the reader has to know; printed without a trace."""


class Client:
    """One keep-alive connection."""

    def __init__(self, address, timeout_s=120):
        self.address = address
        self.connection = http.client.HTTPConnection(*address, timeout=timeout_s)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, method, path, body=None):
        """Status and body."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def close(self):
        self.connection.close()


class System:
    """A server process. `name` is what `--systems` calls it."""

    name = None
    # Parameters that keep its result cache out of a query, or None if it has none.
    uncached = None
    # Folders of its write-ahead log, which a later checkpoint would cut.
    log_folders = ()
    # Whether its makers promise Prometheus' answers: then a difference fails the run.
    follows_prometheus = False
    prefix = ""

    def __init__(self, data, nice=0):
        self.data = pathlib.Path(data)
        self.nice = nice
        self.process = None
        self.ready_s = None

    def binary(self):
        raise NotImplementedError

    def install(self):
        pass

    def arguments(self):
        raise NotImplementedError

    def version(self):
        raise NotImplementedError

    @property
    def pid(self):
        return self.process.pid

    def start(self):
        self.data.mkdir(parents=True, exist_ok=True)
        self.address = ("127.0.0.1", free_port())
        self.flags = self.arguments()
        started = time.monotonic()
        log = open(self.data.parent / f"{self.name}.log", "ab")
        command = [self.binary(), *self.flags]
        self.process = subprocess.Popen(command, stdout=self.stdout(log), stderr=log, cwd=self.data.parent, preexec_fn=lambda: os.nice(self.nice))
        log.close()
        try:
            self.wait_until_ready(started + 120)
        except BaseException:
            self.kill()
            raise
        self.ready_s = time.monotonic() - started
        return self

    def stdout(self, log):
        return log

    def wait_until_ready(self, deadline):
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Failure(f"{self.name} ended with {self.process.returncode}; see {self.data.parent / self.name}.log")
            try:
                if self.call("GET", self.ready_path)[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.01)
        raise Failure(f"{self.name} was not ready after 120 s; see {self.data.parent / self.name}.log")

    def stop(self):
        """SIGTERM, and the time it takes."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(180)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure(f"{self.name} did not stop within 180 s")
        self.process = None
        return time.monotonic() - started

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def call(self, method, path, body=None, timeout_s=120, address=None):
        client = Client(address or self.address, timeout_s)
        try:
            return client.send(method, path, body)
        finally:
            client.close()

    def client(self, timeout_s=120):
        return Client(self.address, timeout_s)

    def flush(self):
        """Asks for what is in memory to be written, where that can be asked for."""

    def merge(self):
        """Asks for a complete merge. False if it cannot be asked for."""
        return False

    def merged_bytes(self):
        """Bytes of what lives after a merge."""
        return measure.disk_bytes(self.data, self.log_folders)

    def expect(self, method, path, address=None, body=None):
        status, body = self.call(method, path, body, timeout_s=600, address=address)
        if status // 100 != 2:
            raise Failure(f"{self.name}: {path} answered {status}: {body[:300].decode(errors='replace')}")
        return body


class Prometheus(System):
    """Debian's. Its head holds the newest two to three hours in memory; it writes its log and does not sync it before it acknowledges."""

    name = "prometheus"
    ready_path = "/-/ready"
    log_folders = ("wal", "chunks_head")
    follows_prometheus = True

    def binary(self):
        return PEERS / "prometheus-deb" / "usr" / "bin" / "prometheus"

    def install(self):
        unpack_debian("prometheus", self.binary())

    def arguments(self):
        config = self.data.parent / "prometheus.yml"
        config.write_text("global: {scrape_interval: 15s, evaluation_interval: 15s}\n")
        return [
            f"--config.file={config}",
            f"--storage.tsdb.path={self.data}",
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address={self.address[0]}:{self.address[1]}",
            "--web.enable-remote-write-receiver",
            "--log.level=warn",
        ]

    def version(self):
        return first_line([self.binary(), "--version"])


class VictoriaMetrics(System):
    """From its Go module, with cgo, as its releases are built. Rows wait in memory and are written within 5 s; it does not sync before
    it acknowledges."""

    name = "victoria-metrics"
    ready_path = "/health"
    uncached = {"nocache": "1"}

    def binary(self):
        return PEERS / f"victoria-metrics-{VICTORIA_METRICS}" / "victoria-metrics"

    def install(self):
        if not self.binary().exists():
            say(f"building VictoriaMetrics {VICTORIA_METRICS}")
            module = f"github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics@{VICTORIA_METRICS}"
            environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOBIN": str(self.binary().parent)}
            run(["go", "install", module], environment)

    def arguments(self):
        return [
            f"-storageDataPath={self.data}",
            "-retentionPeriod=100y",
            f"-httpListenAddr={self.address[0]}:{self.address[1]}",
            "-search.maxUniqueTimeseries=2000000",
            "-loggerLevel=WARN",
        ]

    def version(self):
        return f"{VICTORIA_METRICS}, cgo"

    def flush(self):
        self.expect("GET", "/internal/force_flush")

    def merge(self):
        self.expect("GET", "/internal/force_merge")
        return True


class VictoriaMetricsOld(VictoriaMetrics):
    """Debian's VictoriaMetrics, of 2022."""

    name = "victoria-metrics-1.79"

    def binary(self):
        return PEERS / "victoria-metrics-deb" / "usr" / "bin" / "victoria-metrics"

    def install(self):
        unpack_debian("victoria-metrics", self.binary())

    def version(self):
        return first_line([self.binary(), "-version"])


class Telelake(System):
    """Ours: what it acknowledged is synced."""

    name = "telelake"
    log_folders = ("wal",)
    follows_prometheus = True

    def binary(self):
        target = os.environ.get("CARGO_TARGET_DIR") or ROOT / "target"
        return pathlib.Path(os.environ.get("TELELAKE_BIN") or pathlib.Path(target) / "release" / "telelake")

    def install(self):
        if not self.binary().exists():
            say("building telelake")
            run(["cargo", "build", "--release", "--locked"], cwd=ROOT)

    def arguments(self):
        return [
            "serve", f"--data={self.data}", "--gateway-addr=127.0.0.1:0", "--prometheus-addr=127.0.0.1:0",
            "--otlp-grpc-addr=off", "--otlp-http-addr=off", "--loki-addr=off", "--flight-addr=off",
            "--jaeger-grpc-addr=off", "--jaeger-thrift-addr=off", "--zipkin-addr=off", "--tempo-addr=off", *TELELAKE_ARGUMENTS,
        ]  # fmt: skip

    def version(self):
        commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
        return f"{first_line([self.binary(), 'version'])}, {commit}"

    def stdout(self, log):
        return subprocess.PIPE

    def wait_until_ready(self, deadline):
        """Reads the `listening` lines. They end with `ready`, or with the process."""
        listeners = {}
        for line in self.process.stdout:
            match line.decode().split():
                case ["listening", dialect, address]:
                    host, _, port = address.rpartition(":")
                    listeners[dialect] = (host, int(port))
                case ["ready"]:
                    self.address, self.gateway = listeners["prometheus"], listeners["gateway"]
                    return
        raise Failure(f"{self.name} ended before it was ready; see {self.data.parent / self.name}.log")

    def flush(self):
        self.expect("POST", "/api/v1/admin/flush", self.gateway)

    def merge(self):
        self.expect("POST", "/api/v1/admin/compact", self.gateway)
        return True

    def merged_bytes(self):
        """As the catalog has them: replaced files stay for a while, for whoever reads an older snapshot."""
        answer = self.expect("POST", "/api/v1/sql?format=csv", self.gateway, encode({"query": "select sum(bytes) from system.files where \"table\" <> 'query_log'"}))
        return int(answer.decode().split("\n")[1])


# More arguments for `telelake serve`, set by the command line.
TELELAKE_ARGUMENTS = []
SYSTEMS = {system.name: system for system in (Telelake, Prometheus, VictoriaMetrics, VictoriaMetricsOld)}


def chosen(names):
    """Classes of a comma-separated list, installed."""
    unknown = [name for name in names if name not in SYSTEMS]
    if unknown:
        raise Failure(f"system {unknown[0]!r} is unknown; there are {', '.join(SYSTEMS)}")
    for name in names:
        SYSTEMS[name]("/nowhere").install()
    return [SYSTEMS[name] for name in names]


def bench_binary():
    """telelake-bench, which records and replays."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    binary = target / "release" / "telelake-bench"
    if not binary.exists():
        say("building telelake-bench")
        run(["cargo", "build", "--release", "--locked", "-p", "telelake-benches", "--bin", "telelake-bench"], cwd=ROOT)
    return binary


def replay(node, path, connections):
    """Sends a corpus to a system; what telelake-bench reports of that."""
    command = [bench_binary(), "replay", "--corpus", path, "--to", "{}:{}".format(*node.address), "--connections", str(connections)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "RUST_BACKTRACE": "0"})
    if done.returncode != 0:
        raise Failure(f"{node.name}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def corpus(size):
    """The recorded fleet of a size, and what is in it. Recorded once per state of the recorder's sources."""
    sources = b"".join(file.read_bytes() for file in sorted((ROOT / "benches" / "src" / "fleet").glob("*.rs")))
    folder = PEERS / f"corpora-{hashlib.sha256(sources).hexdigest()[:8]}"
    folder.mkdir(parents=True, exist_ok=True)
    path, about = folder / f"{size}.tlr", folder / f"{size}.json"
    if not about.exists():
        say(f"recording corpus {size}")
        report = subprocess.run([bench_binary(), "fleet", "--size", size, "--record", path], check=True, capture_output=True, text=True)
        about.write_text(report.stdout)
    return path, json.loads(about.read_text())


def unpack_debian(package, binary):
    """Fetches a package with apt and unpacks it beside the others, without installing it."""
    if binary.exists():
        return
    if not shutil.which("apt-get"):
        raise Failure(f"{package} comes from Debian: this machine has no apt-get")
    say(f"fetching Debian's {package}")
    folder = binary.parent.parent.parent
    folder.mkdir(parents=True, exist_ok=True)
    run(["apt-get", "download", package], cwd=folder)
    for archive in folder.glob(f"{package}_*.deb"):
        run(["dpkg-deb", "-x", archive, folder])
        archive.unlink()


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def run(command, environment=None, cwd=None):
    if subprocess.run(command, env=environment, cwd=cwd, stdout=subprocess.DEVNULL).returncode != 0:
        raise Failure(f"{' '.join(map(str, command))} failed")


def first_line(command):
    answer = subprocess.run(command, capture_output=True, text=True)
    return (answer.stdout or answer.stderr).strip().split("\n")[0]


def encode(parameters):
    return urllib.parse.urlencode(parameters)


def end_orderly():
    """SIGTERM ends a run as Ctrl-C does: its servers are stopped and its folder is removed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))


def say(text):
    print(text, file=sys.stderr, flush=True)
