"""What must be refused is refused with the right word, memory stays bounded and the neighbours notice nothing."""

import gzip
import json
import struct
import zlib

import pyarrow.ipc
import pytest
import snappy
import zstandard
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

import payload
from node import HttpError, http

MIB = 1 << 20


def post(node, signal, body, **headers):
    """Status and body of a request, refused or not."""
    headers = {**payload.PROTOBUF, **{k.replace("_", "-"): v for k, v in headers.items()}}
    try:
        status, answer, _ = http("POST", node.url("otlp-http", f"/v1/{signal}"), body, headers)
        return status, answer
    except HttpError as refused:
        return refused.status, refused.body


@pytest.fixture
def watched(node):
    """A node with 100 rows that must still be there, and little more memory in use, when the test is over."""
    assert post(node, "logs", payload.logs(0, 100, service="neighbour"))[0] == 200
    before = node.rss_bytes()
    yield node
    assert node.process.poll() is None, "the node died"
    assert node.count("logs where service = 'neighbour'") == 100
    assert post(node, "logs", payload.logs(100, 10, service="neighbour"))[0] == 200
    assert node.rss_bytes() - before < 400 * MIB


def bombs():
    zeros = b"\0" * (300 * MIB)
    yield "gzip", gzip.compress(zeros, 9)
    yield "zstd", zstandard.compress(zeros, 3)
    yield "deflate", zlib.compress(zeros, 9)
    yield "snappy", b"\xff\xff\xff\xff\x0f" + b"\0" * 64  # claims 4 GiB
    yield "snappy", snappy.compress(b"\0" * (100 * MIB))


def test_bombs(watched):
    for encoding, bomb in bombs():
        assert post(watched, "logs", bomb, Content_Encoding=encoding)[0] == 413, encoding


def test_body_one_byte_too_long(watched):
    try:
        assert post(watched, "logs", b"\0" * (64 * MIB + 1))[0] == 413
    except OSError:
        pass  # the connection may be cut while the body is still being sent
    assert post(watched, "logs", b"\0" * 10, Content_Length=str(64 * MIB + 1))[0] in (400, 413)


@pytest.mark.parametrize("body", [b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x05ab", b"\x00", b"\x0b\x0b\x0b", b"\x0a\x02\x12\xff", b"\xff" * 100])
def test_broken_protobuf(watched, body):
    for signal in ("logs", "traces", "metrics"):
        assert post(watched, signal, body)[0] == 400


@pytest.mark.parametrize("body", [b"{", b"[]", b"[" * 100_000, b'{"resourceLogs":' * 1000, b'{"resourceLogs":"x"}', b"\xff\xfe"])
def test_broken_json(watched, body):
    for signal in ("logs",):
        status, answer = post(watched, signal, body, Content_Type="application/json")
        assert status == 400
        assert json.loads(answer)["message"]


def test_unknown_type_and_encoding(watched):
    assert post(watched, "logs", b"", Content_Type="text/plain")[0] == 415
    assert post(watched, "logs", b"", Content_Encoding="br")[0] == 415


def test_a_record_with_bad_utf8_does_not_hurt_its_neighbours(watched):
    good = payload.logs(0, 2, service="mixed")
    bad = good.replace(b"order 1 shipped", b"order \xff shipped")
    status, answer = post(watched, "logs", bad)
    assert status == 200
    partial = ExportLogsServiceResponse.FromString(answer).partial_success
    assert partial.rejected_log_records == 1 and partial.error_message
    assert watched.count("logs where service = 'mixed'") == 1


def test_a_hundred_thousand_attributes(watched):
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    for crowded in (True, False):
        record = records.add()
        record.body.string_value = f"crowded {crowded}"
        for n in range(100_000 if crowded else 1):
            attribute = record.attributes.add()
            attribute.key, attribute.value.int_value = f"k{n}", n
    status, answer = post(watched, "logs", request.SerializeToString())
    assert status == 200
    assert ExportLogsServiceResponse.FromString(answer).partial_success.rejected_log_records == 1
    assert watched.count("logs where body = 'crowded False'") == 1


def test_the_ends_of_time(watched):
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    for ns in (1, 2**63 - 1, 2**63, 2**64 - 1):
        record = records.add()
        record.time_unix_nano = ns
        record.body.string_value = "edge"
    status, answer = post(watched, "logs", request.SerializeToString())
    assert status == 200
    rejected = ExportLogsServiceResponse.FromString(answer).partial_success.rejected_log_records
    assert watched.count("logs where body = 'edge'") == 4 - rejected
    watched.admin("flush")
    assert watched.count("logs where body = 'edge'") == 4 - rejected


def test_nan_payloads_keep_their_bits(watched):
    patterns = [0x7FF0000000000002, 0x7FF8000000000001, 0xFFF8000000000123, 0x8000000000000000, 0x7FF0000000000000, 0x0000000000000001]
    # Protobuf libraries may normalise NaN, so the request is put together by hand.
    assert post(watched, "metrics", build_points(patterns))[0] == 200
    for _ in range(2):
        answer = http("GET", watched.url("gateway", "/api/v1/sql?format=arrow&query=" +
                      "select%20value%20from%20metrics%20where%20metric%20%3D%20%27odd%27%20order%20by%20ts"))[1]
        column = pyarrow.ipc.open_stream(answer).read_all().column("value")
        found = []
        for chunk in column.chunks:
            raw = chunk.buffers()[1].to_pybytes()[chunk.offset * 8:(chunk.offset + len(chunk)) * 8]
            found += [bits for (bits,) in struct.iter_unpack("<Q", raw)]
        assert found == patterns
        watched.admin("flush")


def build_points(patterns):
    """ExportMetricsServiceRequest bytes of one gauge `odd` whose doubles have exactly these bits."""
    def message(field, body):
        length = b""
        n = len(body)
        while True:
            length += bytes([n & 0x7F | (0x80 if n > 0x7F else 0)])
            n >>= 7
            if not n:
                return bytes([field << 3 | 2]) + length + body
    points = b""
    for n, bits in enumerate(patterns):
        time_ns = struct.pack("<Q", payload.START_NS + n * 10**9)
        points += message(1, bytes([3 << 3 | 1]) + time_ns + bytes([4 << 3 | 1]) + struct.pack("<Q", bits))
    metric = message(1, b"odd") + message(5, points)
    return message(1, message(2, message(2, metric)))


@pytest.mark.parametrize("statement, word", [
    ("COPY logs TO '/tmp/x.csv'", "COPY"),
    ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", "CREATE"),
    ("SELECT * FROM '/etc/passwd'", "passwd"),
    ("SET datafusion.execution.batch_size = 1", "SET"),
    ("INSERT INTO logs VALUES (1)", "INSERT"),
    ("DROP TABLE logs", "DROP"),
    ("SELECT 1; SELECT 2", "one statement"),
])
def test_sql_that_is_not_a_question(watched, statement, word):
    with pytest.raises(HttpError) as refused:
        watched.sql(statement)
    assert 400 <= refused.value.status < 500
    assert word.lower() in json.loads(refused.value.body)["error"].lower()


def test_tenants_do_not_see_each_other(node):
    for tenant in ("a", "b"):
        assert post(node, "logs", payload.logs(0, 10, service=f"of-{tenant}"), X_Scope_OrgID=tenant)[0] == 200
    for _ in range(2):
        for tenant in ("a", "b"):
            assert node.sql("select distinct service from logs", tenant) == [{"service": f"of-{tenant}"}]
            assert all(f"/{tenant}/" in f["path"] for f in node.sql("select path from system.files", tenant))
        node.admin("flush")
    assert post(node, "logs", payload.logs(0, 1), X_Scope_OrgID="../b")[0] == 400
