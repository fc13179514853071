"""Log lines pushed into the real binary: Loki's protobuf and JSON, OTLP on Loki's listener, and Elasticsearch's own client."""

import gzip
import json
import time

import elasticsearch
import elasticsearch.helpers as helpers
import snappy

import remote_write as rw
from node import HttpError, http

JSON = {"Content-Type": "application/json"}


def now_ns():
    return time.time_ns()


def message(number, payload):
    """A length-delimited field of protobuf."""
    return rw.field(number, payload)


def push_request(streams):
    """`logproto.PushRequest` of (label text, [(ns, line, {metadata})]), compressed as Loki's senders do."""
    body = b""
    for labels, lines in streams:
        stream = message(1, labels.encode())
        for ts, line, metadata in lines:
            stamp = rw.field(1, ts // 10**9) + rw.field(2, ts % 10**9)
            entry = message(1, stamp) + message(2, line.encode())
            for name, value in metadata.items():
                entry += message(3, message(1, name.encode()) + message(2, value.encode()))
            stream += message(2, entry)
        body += message(1, stream)
    return snappy.compress(body)


def push(node, body, headers=None, dialect="loki", path="/loki/api/v1/push"):
    """Status and text of a push, refused or not."""
    try:
        status, answer, _ = http("POST", node.url(dialect, path), body, headers or {"Content-Type": "application/x-protobuf"})
    except HttpError as refused:
        status, answer = refused.status, refused.body
    return status, answer.decode()


def json_push(streams):
    values = [{"stream": labels, "values": [[str(ts), line, metadata] for ts, line, metadata in lines]} for labels, lines in streams]
    return json.dumps({"streams": values}).encode()


def test_pushed_lines_are_there_once_through_a_kill(make_node):
    node = make_node().start()
    base = now_ns()
    lines = [(base + n, f"line {n} level=warn", {"n": str(n)}) for n in range(1000)]
    protobuf = push_request([('{app="a"}', lines)])
    assert push(node, protobuf) == (204, "")
    assert push(node, protobuf) == (204, "")  # the same again
    zipped = gzip.compress(json_push([({"app": "b"}, lines)]))
    assert push(node, zipped, {**JSON, "Content-Encoding": "gzip"}) == (204, "")
    assert push(node, json_push([({"app": "c"}, lines[:1])]), JSON, "gateway") == (204, "")
    for stage in ["fresh", "killed", "flushed", "compacted"]:
        if stage == "killed":
            node.kill()
            node.restart()
        elif stage != "fresh":
            node.admin("flush" if stage == "flushed" else "compact")
        counted = node.sql("select service, level, count(*) as n from logs group by service, level order by service")
        assert counted == [{"service": s, "level": "warn", "n": n} for s, n in [("a", 1000), ("b", 1000), ("c", 1)]], stage
        assert node.count("streams") == 3, stage


def test_what_is_refused_leaves_the_rest(make_node):
    node = make_node(args=["--set", "loki.max_line_size=10"]).start()
    body = push_request([('{app="a"}', [(now_ns(), "short", {}), (now_ns(), "much too long", {})]), ("{}", [(now_ns(), "x", {})])])
    status, text = push(node, body)
    assert status == 400
    assert "Max entry size '10' bytes exceeded for stream '{app=\"a\", service_name=\"a\"}' while adding an entry with length '13' bytes" in text
    assert "error at least one label pair is required per stream" in text
    assert [row["body"] for row in node.sql("select body from logs")] == ["short"]
    assert push(node, b"nothing")[0] == 400


def test_a_tenant_may_push_so_much(make_node):
    node = make_node(args=["--set", "loki.ingestion_rate_mb=0.001", "--set", "loki.ingestion_burst_size_mb=0.001"]).start()
    status, text = push(node, push_request([('{app="a"}', [(now_ns(), "x" * 2000, {})])]))
    assert status == 429 and text.startswith("Ingestion rate limit exceeded for user anonymous (limit: 1048 bytes/sec)")
    assert push(node, push_request([('{app="a"}', [(now_ns(), "x", {})])])) == (204, "")


def test_otlp_logs_on_lokis_listener(make_node):
    node = make_node(args=["--set", 'loki.otlp_config.log_attributes=[{action="index_label",attributes=["color"]}]']).start()
    attribute = lambda key, value: {"key": key, "value": {"stringValue": value}}  # noqa: E731
    record = {"timeUnixNano": str(now_ns()), "body": {"stringValue": "hi"}, "attributes": [attribute("color", "red"), attribute("n", "1")]}
    resource = {"attributes": [attribute("service.name", "s")]}
    body = json.dumps({"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [record]}]}]}).encode()
    assert push(node, body, JSON, path="/otlp/v1/logs") == (204, "")
    assert node.sql("select service, labels['color'] as color from streams") == [{"service": "s", "color": "red"}]
    assert node.sql("select count(*) as n from logs where attributes['n'] = '1' and attributes['color'] is null") == [{"n": 1}]


def test_a_hundred_thousand_streams_in_a_minute(make_node):
    node = make_node().start()
    started, base = time.monotonic(), now_ns()
    for batch in range(20):
        streams = [(f'{{app="a", pod="{batch * 5000 + n}"}}', [(base, "x", {})]) for n in range(5000)]
        assert push(node, push_request(streams)) == (204, "")
    assert time.monotonic() - started < 60
    assert node.sql("select count(*) as n, count(distinct stream_id) as s from logs") == [{"n": 100_000, "s": 100_000}]
    assert node.count("streams") == 100_000


def test_elasticsearchs_own_client(make_node):
    node = make_node().start()
    client = elasticsearch.Elasticsearch(node.url("elastic"))
    assert client.info()["version"]["number"].startswith("8.")
    assert client.ping() and client.cluster.health()["status"] == "green"
    document = {"@timestamp": "2026-01-01T00:00:00Z", "host": {"name": "h"}, "log": {"level": "error"}}
    actions = [{"_index": "web", "_source": {**document, "message": f"m{n}"}} for n in range(1500)]
    assert helpers.bulk(client, actions) == (1500, [])
    created, errors = helpers.bulk(client, [{"_index": "web", "_source": {"@timestamp": "soon"}}], raise_on_error=False)
    assert created == 0 and errors[0]["index"]["error"]["type"] == "document_parsing_exception"
    assert client.index(index="web", document={**document, "message": "one"})["result"] == "created"
    node.kill()
    node.restart()
    assert node.sql("select level, count(*) as n from logs group by level") == [{"level": "error", "n": 1501}]
    assert node.sql("select distinct labels['index'] as i, labels['host_name'] as h from streams") == [{"i": "web", "h": "h"}]
    client.close()
