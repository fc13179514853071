"""TLS on every listener, with the clients that people have; and passwords that are proved instead of sent."""

import http.client
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import threading
import time

import adbc_driver_flightsql.dbapi as dbapi
import grpc
import pg8000.native
import psycopg
import pyarrow as pa
import pytest
import requests
import trustme
from adbc_driver_flightsql import DatabaseOptions
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor

import payload
from node import BIN, Node, NodeDied
from test_postgres import psql

TOKEN = "a-token-of-this-test"
ALL = ["gateway", "otlp-grpc", "otlp-http", "prometheus", "loki", "tempo", "jaeger", "jaeger-grpc", "jaeger-thrift", "zipkin", "elastic", "flight"]


class Authority:
    """An authority whose certificates nobody else trusts, and the files of one node."""

    def __init__(self, folder):
        self.ca = trustme.CA()
        self.root, self.certificate, self.key = folder / "root.pem", folder / "node.pem", folder / "node.key"
        self.ca.cert_pem.write_to_path(self.root)
        self.issue()

    def issue(self):
        """A new certificate for the node, in the place of the old one."""
        issued = self.ca.issue_cert("localhost", "127.0.0.1")
        self.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        self.key.write_bytes(issued.private_key_pem.bytes())

    @property
    def args(self):
        return ["--tls-certificate", str(self.certificate), "--tls-key", str(self.key)]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def token(*args):
    """What `telelake token` says the configuration has to know of the token."""
    done = subprocess.run([BIN, "token", "--stdin", *args], input=TOKEN + "\n", capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def node(authority, tmp_path_factory):
    """A node with a certificate and a token, which one user has as a password that is proved, and whoever else sends it."""
    folder = tmp_path_factory.mktemp("tls")
    config = folder / "config.toml"
    config.write_text(token("--tenant", "team-a", "--user", "grafana") + token("--tenant", "team-a"))
    with Node(folder / "node", args=["--config", str(config), *authority.args]) as node:
        sent = requests.post(f"https://localhost:{node.ports['otlp-http']}/v1/logs", payload.logs(0, 10), verify=authority.root,
                             headers={**payload.PROTOBUF, "Authorization": f"Bearer {TOKEN}"}, timeout=30)
        assert sent.status_code == 200, sent.text
        yield node


def sql(node, authority, text):
    answer = requests.post(f"https://localhost:{node.ports['gateway']}/api/v1/sql", {"query": text, "format": "jsonl"}, verify=authority.root,
                           headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def test_every_listener_speaks_tls_and_nothing_else(node, authority):
    for dialect in ALL:
        ready = requests.get(f"https://localhost:{node.ports[dialect]}/-/ready", verify=authority.root, timeout=30)
        assert ready.status_code == 200, dialect
        plain = requests.get(f"http://127.0.0.1:{node.ports[dialect]}/-/ready", timeout=30)
        assert plain.status_code == 400 and "https" in plain.text, (dialect, plain.text)
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(f"https://localhost:{node.ports[dialect]}/-/ready", timeout=30)
    old = ssl.create_default_context(cafile=str(authority.root))
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_2
    connection = http.client.HTTPSConnection("localhost", node.ports["gateway"], context=old, timeout=30)
    connection.request("GET", "/-/ready")
    assert connection.getresponse().status == 200


def test_hostile_bytes_do_not_hold_up_others(node, authority):
    idle = [socket.create_connection(("127.0.0.1", node.ports["gateway"])) for _ in range(50)]
    for bytes_ in [b"\x16\x03\x01\x02\x00" + b"\xff" * 600, b"\x00" * 100, b"\x16"]:
        with socket.create_connection(("127.0.0.1", node.ports["gateway"]), timeout=30) as raw:
            raw.sendall(bytes_)
            raw.shutdown(socket.SHUT_WR)
            try:
                while raw.recv(4096):
                    pass
            except ConnectionError:
                pass
    assert sql(node, authority, "select 1 as n") == [{"n": 1}]
    [one.close() for one in idle]


def test_curl(node, authority):
    done = subprocess.run(["curl", "-sS", "--http2", "--cacert", str(authority.root), "-w", "%{http_version}", "-o", os.devnull,
                           f"https://localhost:{node.ports['prometheus']}/-/ready"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout in ("2", "1.1"), done


def test_otlp(node, authority, monkeypatch):
    # These overrule what a session of `requests` is told.
    for name in ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]:
        monkeypatch.delenv(name, raising=False)
    headers = {"authorization": f"Bearer {TOKEN}"}
    over_grpc = GrpcLogs(endpoint=f"https://localhost:{node.ports['otlp-grpc']}", headers=headers,
                         credentials=grpc.ssl_channel_credentials(authority.root.read_bytes()))
    over_http = HttpLogs(endpoint=f"https://localhost:{node.ports['otlp-http']}/v1/logs", headers=headers, certificate_file=str(authority.root))
    for exporter, name in [(over_grpc, "grpc"), (over_http, "http")]:
        provider = LoggerProvider()
        provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        provider.get_logger("tls").emit(body=f"encrypted over {name}")
        provider.shutdown()
        assert sql(node, authority, f"select count(*) as n from logs where body = 'encrypted over {name}'") == [{"n": 1}], name


def test_flight_sql(node, authority):
    options = {DatabaseOptions.TLS_ROOT_CERTS.value: authority.root.read_text(), DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {TOKEN}"}
    with dbapi.connect(f"grpc+tls://localhost:{node.ports['flight']}", db_kwargs=options, autocommit=True) as connection:
        with connection.cursor() as cursor:
            assert cursor.adbc_ingest("owners", pa.table({"service": ["shop"]}), mode="replace") == 1
            cursor.execute("select count(*) from user.owners")
            assert cursor.fetchone() == (1,)
    with pytest.raises(dbapi.Error):
        with dbapi.connect(f"grpc+tls://localhost:{node.ports['flight']}", autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("select 1")


def connect(node, authority, **options):
    options = {"host": "localhost", "dbname": "team-a", "user": "somebody", "password": TOKEN, "sslmode": "verify-full",
               "sslrootcert": str(authority.root), "autocommit": True, **options}
    return psycopg.connect(port=node.ports["postgres"], **options)


def test_postgres(node, authority):
    with connect(node, authority) as connection:
        assert connection.pgconn.ssl_in_use
        assert connection.execute("select count(*) from logs where body like 'order%'").fetchone() == (10,)
        # A message of more than a record of TLS, and an answer of many.
        text = "x" * 100_000
        assert connection.execute("select repeat(%s, 10)", (text,)).fetchone() == (text * 10,)
        assert sum(1 for _ in connection.cursor().stream("select value from generate_series(1, 100000)")) == 100_000
    for refused in [{"sslmode": "disable"}, {"sslmode": "verify-full", "sslrootcert": "system"}, {"password": "wrong"}, {"dbname": "team-b"}]:
        with pytest.raises(psycopg.OperationalError) as error:
            connect(node, authority, **refused)
        if refused.get("sslmode") == "disable":
            assert "connection is not encrypted" in str(error.value), error.value
    secure = {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": str(authority.root), "PGPASSWORD": TOKEN}
    assert "TLSv1.3" in psql(node, r"\conninfo", database="team-a", host="localhost", **secure)


def test_postgres_cancels(node, authority):
    with connect(node, authority) as connection:
        threading.Timer(0.5, connection.cancel).start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b WHERE a.value * b.value % 7 = 3")


def test_tls_at_once(node, authority):
    """As clients of Postgres 17 do with `sslnegotiation=direct`: they say what they speak inside."""
    startup = b"\x00\x03\x00\x00user\0somebody\0database\0team-a\0\0"
    startup = (len(startup) + 4).to_bytes(4, "big") + startup
    for protocols, answered in [(["postgresql"], True), (["http/1.1"], False), ([], False)]:
        context = ssl.create_default_context(cafile=str(authority.root))
        if protocols:
            context.set_alpn_protocols(protocols)
        try:
            with socket.create_connection(("localhost", node.ports["postgres"]), timeout=30) as raw:
                with context.wrap_socket(raw, server_hostname="localhost") as secure:
                    secure.sendall(startup)
                    answer = secure.recv(100)
        except OSError:
            answer = b""
        assert answer.startswith(b"R") == answered, (protocols, answer)


def test_nothing_is_read_before_tls(node):
    """Bytes that somebody on the way puts behind the request for encryption are no statement."""
    with socket.create_connection(("127.0.0.1", node.ports["postgres"]), timeout=30) as raw:
        raw.sendall((8).to_bytes(4, "big") + (80877103).to_bytes(4, "big") + b"\x00\x00\x00\x08\x00\x03\x00\x00")
        assert raw.recv(1) == b"S"
        try:
            rest = raw.recv(100)
        except ConnectionError:
            rest = b""
        assert b"R" not in rest and not rest.startswith(b"E"), rest


def test_passwords_are_proved(node, authority):
    proved = {"user": "grafana", "require_auth": "scram-sha-256"}
    with connect(node, authority, **proved) as connection:
        assert connection.execute("select current_database(), session_user").fetchone() == ("team-a", "grafana")
    with pytest.raises(psycopg.OperationalError, match='password authentication failed for user "grafana"'):
        connect(node, authority, **proved, password="wrong")
    with pytest.raises(psycopg.OperationalError):
        connect(node, authority, **proved, dbname="team-b")
    # The token of whoever has no verifier is sent.
    connect(node, authority, user="somebody", require_auth="password").close()


def test_no_token_travels_when_all_have_verifiers(tmp_path):
    """Then the listener may be anywhere, and a stranger cannot tell which users there are."""
    config = tmp_path / "config.toml"
    config.write_text(token("--tenant", "*", "--user", "grafana"))
    with Node(tmp_path / "node", args=["--config", str(config), "--postgres-addr", "0.0.0.0:0"]) as node:
        port = node.ports["postgres"]
        with psycopg.connect(host="127.0.0.1", port=port, user="grafana", password=TOKEN, dbname="team-x", require_auth="scram-sha-256") as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        connection = pg8000.native.Connection("grafana", host="127.0.0.1", port=port, database="team-x", password=TOKEN)
        assert connection.run("SELECT 2") == [[2]]
        connection.close()
        for user in ["grafana", "stranger"]:
            with pytest.raises(psycopg.OperationalError, match=f'password authentication failed for user "{user}"'):
                psycopg.connect(host="127.0.0.1", port=port, user=user, password="wrong", dbname="team-x", require_auth="scram-sha-256")


def test_strangers_prove_nothing(node, authority):
    """Whatever comes in the place of a proof ends the session with an error, and the node says nothing of a bug."""
    context = ssl.create_default_context(cafile=str(authority.root))
    context.set_alpn_protocols(["postgresql"])
    startup = b"\x00\x03\x00\x00user\0grafana\0database\0team-a\0\0"
    startup = (len(startup) + 4).to_bytes(4, "big") + startup
    for body in [b"", b"\0", b"SCRAM-SHA-256\0", b"SCRAM-SHA-256\0\x00\x00\x00\x7f" + b"n,,n=,r=a", b"SCRAM-SHA-256\0\xff\xff\xff\xff", b"PLAIN\0\0\0\0\x01a",
                 b"SCRAM-SHA-256\0\0\0\0\x18p=tls-unique,,n=,r=abcdef", b"SCRAM-SHA-256\0\0\0\0\x03n,,"]:
        with socket.create_connection(("localhost", node.ports["postgres"]), timeout=30) as raw:
            with context.wrap_socket(raw, server_hostname="localhost") as secure:
                secure.sendall(startup)
                assert secure.recv(100).startswith(b"R")
                secure.sendall(b"p" + (len(body) + 4).to_bytes(4, "big") + body)
                assert secure.recv(1000).startswith(b"E"), body
    assert "this is a bug" not in node.tail(1000)


def test_made_tokens(tmp_path):
    made = subprocess.run([BIN, "token", "--user", "me", "--tenant", "a"], capture_output=True, text=True, check=True).stdout
    secret = made.split()[4]
    config = tmp_path / "config.toml"
    config.write_text(made)
    with Node(tmp_path / "node", args=["--config", str(config)]) as node:
        with psycopg.connect(host="127.0.0.1", port=node.ports["postgres"], user="me", password=secret, dbname="telelake") as connection:
            assert connection.execute("select 1").fetchone() == (1,)
    for wrong in [["--tenant", "a/b"], ["--stdin"]]:
        assert subprocess.run([BIN, "token", *wrong], input="two words\n", capture_output=True, text=True).returncode == 2


def test_postgres_needs_one_of_them(tmp_path):
    config = tmp_path / "config.toml"
    config.write_text(token("--tenant", "a"))
    node = Node(tmp_path / "node", args=["--config", str(config), "--postgres-addr", "0.0.0.0:0"])
    with pytest.raises(NodeDied, match="exit status 2.*set tls.certificate and tls.key, give every token a verifier"):
        node.start()


def test_the_command_line_trusts_what_it_is_told(node, authority):
    trusting = {**os.environ, "SSL_CERT_FILE": str(authority.root), "TELELAKE_TOKEN": TOKEN, "TELELAKE_TENANT": "team-a"}
    server = f"https://localhost:{node.ports['gateway']}"
    for command in [["health", "--server", server], ["sql", "--server", server, "select 1"],
                    ["generate", "--endpoint", f"https://localhost:{node.ports['otlp-http']}", "--count", "10", "--rate", "0"]]:
        done = subprocess.run([BIN, *command], capture_output=True, text=True, timeout=60, env=trusting)
        assert done.returncode == 0, (command, done.stderr)
    done = subprocess.run([BIN, "health", "--server", server], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "certificate" in done.stderr, done.stderr


def shown(node, authority):
    context = ssl.create_default_context(cafile=str(authority.root))
    with socket.create_connection(("localhost", node.ports["gateway"]), timeout=30) as raw:
        with context.wrap_socket(raw, server_hostname="localhost") as secure:
            return secure.getpeercert()["serialNumber"]


def test_certificates_change_while_the_node_runs(tmp_path):
    authority = Authority(tmp_path)
    with Node(tmp_path / "node", args=authority.args) as node:
        first = shown(node, authority)
        kept = requests.Session()
        url = f"https://localhost:{node.ports['gateway']}/-/ready"
        assert kept.get(url, verify=authority.root, timeout=30).ok
        authority.issue()
        node.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 20
        while shown(node, authority) == first:
            assert time.monotonic() < deadline, node.tail()
            time.sleep(0.1)
        second = shown(node, authority)
        assert kept.get(url, verify=authority.root, timeout=30).ok, "open connections stay"
        # One that does not fit is told of and not taken.
        authority.key.write_bytes(authority.ca.issue_cert("localhost").private_key_pem.bytes())
        node.process.send_signal(signal.SIGHUP)
        while "is not the key of the first certificate" not in node.tail():
            assert time.monotonic() < deadline, node.tail()
            time.sleep(0.1)
        assert shown(node, authority) == second
        assert node.stop() == 0


@pytest.mark.parametrize("spoil, told", [
    (lambda a: a.certificate.unlink(), "cannot read tls.certificate, .*node.pem"),
    (lambda a: a.key.unlink(), "cannot read tls.key, .*node.key"),
    (lambda a: a.certificate.write_text("hello"), "tls.certificate, .*node.pem, has no certificate in it: it has to be PEM"),
    (lambda a: a.certificate.write_text("-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n"), "tls.certificate, .*node.pem, is no sound PEM"),
    (lambda a: a.certificate.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "tls.certificate, .*node.pem, is no sound certificate"),
    (lambda a: a.key.write_bytes(a.certificate.read_bytes()), "tls.key, .*node.key, has no private key in it"),
    (lambda a: a.key.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"), "tls.key, .*node.key, is encrypted: decrypt"),
    (lambda a: a.key.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), "tls.key, .*node.key, cannot be used"),
    (lambda a: a.key.write_bytes(a.ca.issue_cert("localhost").private_key_pem.bytes()), "is not the key of the first certificate in tls.certificate, .*node.pem"),
])
def test_a_broken_certificate_refuses_the_start_by_name(tmp_path, spoil, told):
    authority = Authority(tmp_path)
    spoil(authority)
    with pytest.raises(NodeDied, match=f"(?s)exit status 2.*{told}"):
        Node(tmp_path / "node", args=authority.args).start()


def test_half_a_certificate_is_none(tmp_path):
    with pytest.raises(NodeDied, match="tls.certificate is set, but tls.key is not"):
        Node(tmp_path / "node", args=["--tls-certificate", str(pathlib.Path(tmp_path, "x.pem"))]).start()
