"""What a trace by its id costs on a bucket: requests, counted on their way to the S3 server."""

import re
import socket
import threading
import time
import uuid

import pytest

from node import HttpError, Node, http
from test_traces_big import Spans, number
from tracedata import PROTOBUF

GETS_MAX = 3


class Counted:
    """A port before the S3 server that notes which objects are asked for. What is asked with GET has no body, so requests are lines."""

    LINE = re.compile(rb"^GET (/\S+\.parquet)\S* HTTP/1\.1\r$", re.MULTILINE)

    def __init__(self, target):
        self.target, self.gets = target, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.target)
            threading.Thread(target=self._forward, args=(client, server, self._note), daemon=True).start()
            threading.Thread(target=self._forward, args=(server, client, lambda data: None), daemon=True).start()

    def _note(self, data):
        self.gets += [match.decode() for match in self.LINE.findall(data)]

    @staticmethod
    def _forward(source, sink, note):
        try:
            while data := source.recv(1 << 16):
                note(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.listener.close()


def span_id(n):
    return number(n * 0x9E37_79B9_7F4A_7C15 % 2**64)


def trace_id(n):
    return span_id(n + 1) + number(n)


@pytest.fixture
def counted(s3):
    host, port = s3["env"]["AWS_ENDPOINT_URL"].removeprefix("http://").split(":")
    proxy = Counted((host, int(port)))
    yield proxy
    proxy.close()


def test_the_first_trace_of_a_process_is_three_requests_at_most(s3, counted, tmp_path):
    """Of one merged file: its footer with the index, all columns of the pages that have the trace, and the resources of the day."""
    bucket = f"lake-{uuid.uuid4().hex[:12]}"
    (s3["folder"] / bucket).mkdir()
    env = {**s3["env"], "AWS_ENDPOINT_URL": f"http://127.0.0.1:{counted.port}"}
    traces, spans, days_ago = 6_000, 10, 3
    start_ns = int(time.time()) // 86_400 * 86_400 * 10**9 - days_ago * 86_400 * 10**9
    with Node(tmp_path / "writer", store=f"s3://{bucket}/lake", env=env) as node:
        for first in range(0, traces, 1_000):
            some = Spans()
            for n in range(first, first + 1_000):
                for at in range(spans):
                    some.add(trace_id(n), span_id(n * spans + at + 1), start_ns + n * 10**9 + at * 10**6,
                             parent=span_id(n * spans + 1) if at else b"", duration_ns=(n * spans + at) * 7919 % 10**9,
                             name=f"step {at} of {n % 50}")
            http("POST", node.url("otlp-http", "/v1/traces"), some.request.SerializeToString(), PROTOBUF)
        node.admin("flush")
        node.admin("compact")
        files = node.sql("select path, bytes from system.files where \"table\" = 'spans'")
    assert len(files) == 1 and files[0]["bytes"] > 512 << 10, files  # Files of up to 256 KiB are one request as a whole.
    for n in (0, 17, traces // 2, traces - 1):
        with Node(tmp_path / "reader", store=f"s3://{bucket}/lake", env=env) as node:
            for of_process, most in ((n, GETS_MAX), (n + 1 if n + 1 < traces else 3, 1)):
                counted.gets.clear()
                before = node.metric("telelake_store_requests_total", op="get")
                body = http("GET", node.url("tempo", f"/api/v2/traces/{trace_id(of_process).hex()}"), headers={"Accept": "application/protobuf"})[1]
                assert body.count(b"\x0a\x10" + trace_id(of_process)) == spans
                assert len(counted.gets) <= most, counted.gets
                # What the node says of itself is true.
                assert node.metric("telelake_store_requests_total", op="get") - before == len(counted.gets)
    missing = uuid.uuid4().hex
    with Node(tmp_path / "reader", store=f"s3://{bucket}/lake", env=env) as node:
        counted.gets.clear()
        with pytest.raises(HttpError, match="404"):
            http("GET", node.url("tempo", f"/api/v2/traces/{missing}"))
        assert len(counted.gets) <= GETS_MAX, counted.gets
