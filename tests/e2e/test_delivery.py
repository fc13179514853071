"""Everything sent is there exactly once: before the flush, after it, after compaction, after a restart; on a folder and on S3."""

import gzip
import json
import os

import duckdb
import pyarrow.dataset
import pyarrow.fs
import pytest

import payload
from node import http

STAGES = ["fresh", "flushed", "compacted", "killed and restarted", "stopped and restarted"]


def reach(node, stage):
    """Moves the node on to the stage."""
    if stage == "flushed":
        node.admin("flush")
    elif stage == "compacted":
        node.admin("compact")
    elif stage == "killed and restarted":
        node.kill()
        node.restart()
    elif stage == "stopped and restarted":
        assert node.stop() == 0
        node.restart()


def send(node, signal, body, headers=None):
    status, _, _ = http("POST", node.url("otlp-http", f"/v1/{signal}"), body, {**payload.PROTOBUF, **(headers or {})})
    assert status == 200


def test_every_row_once_through_its_whole_life(make_node):
    node = make_node().start()
    for first in range(0, 3000, 300):
        send(node, "logs", payload.logs(first, 300))
        send(node, "traces", payload.gzipped(payload.spans(first, 300)), {"Content-Encoding": "gzip"})
        send(node, "metrics", payload.samples(first, 300))
    for stage in STAGES:
        reach(node, stage)
        facts = node.sql("select count(*) as n, count(distinct body) as d from logs where service = 'shop'")[0]
        assert facts == {"n": 3000, "d": 3000}, stage
        facts = node.sql("select count(*) as n, count(distinct span_id) as d, count(distinct trace_id) as t from spans")[0]
        assert facts == {"n": 3000, "d": 3000, "t": 375}, stage
        facts = node.sql("select count(*) as n, count(distinct ts) as d, sum(value) as s from metrics where metric = 'probe_value'")[0]
        assert facts == {"n": 3000, "d": 3000, "s": 2999 * 3000 / 2}, stage
        assert node.count("series where metric = 'probe_value'") == 10, stage


def test_golden_traces(make_node, shared):
    node = make_node().start()
    with gzip.open(os.path.join(shared, "golden", "data", "otlp_traces.jsonl.gz"), "rt") as bodies:
        for body in bodies:
            http("POST", node.url("otlp-http", "/v1/traces"), body.encode(), {"Content-Type": "application/json"})
    for stage in STAGES:
        reach(node, stage)
        facts = node.sql("select count(*) as n, count(distinct trace_id) as t, count(distinct service) as s from spans")[0]
        assert facts == {"n": 7302, "t": 400, "s": 12}, stage


def s3_client(env):
    """Arrow's own S3 client, which knows nothing of us."""
    return pyarrow.fs.S3FileSystem(
        access_key=env["AWS_ACCESS_KEY_ID"], secret_key=env["AWS_SECRET_ACCESS_KEY"], region=env["AWS_REGION"],
        scheme="http", endpoint_override=env["AWS_ENDPOINT_URL"].removeprefix("http://"),
    )


def test_other_readers_count_the_same(make_node, tmp_path):
    # Samples of spans would come in between.
    node = make_node(args=["--set", "generator.enabled=false"]).start()
    send(node, "logs", payload.logs(0, 1000))
    send(node, "traces", payload.spans(0, 1000))
    send(node, "metrics", payload.samples(0, 1000))
    node.admin("flush")
    files = node.sql("select \"table\" as kind, path, rows from system.files")
    root = os.path.join(node.data, "lake")
    if make_node.kind == "s3":
        root = tmp_path / "downloaded"
        pyarrow.fs.copy_files(make_node.store.removeprefix("s3://"), str(root), source_filesystem=s3_client(make_node.env))
    for table, rows in [("logs", 1000), ("spans", 1000), ("samples", 1000 + node.count("metrics where metric = 'target_info'"))]:
        paths = [os.path.join(root, f["path"]) for f in files if f["kind"] == table]
        assert sum(f["rows"] for f in files if f["kind"] == table) == rows, json.dumps(files)
        assert pyarrow.dataset.dataset(paths, format="parquet").count_rows() == rows
        assert len(pyarrow.dataset.dataset(paths, format="parquet").to_table()) == rows
        assert duckdb.sql(f"select count(*) from read_parquet({paths!r})").fetchall() == [(rows,)]
        assert duckdb.sql(f"select count(ts) from (select * from read_parquet({paths!r}))").fetchall() == [(rows,)]


def test_a_retried_request_is_stored_once(make_node):
    node = make_node().start()
    body = payload.logs(0, 50)
    for _ in range(3):
        send(node, "logs", body)
    assert node.count("logs") == 50
    node.admin("flush")
    send(node, "logs", body)
    node.kill()
    node.restart()
    send(node, "logs", body)
    assert node.count("logs") == 50


@pytest.mark.parametrize("make_node", ["s3"], indirect=True)
def test_two_nodes_on_one_bucket(make_node):
    nodes = [make_node("a").start(), make_node("b").start()]
    for round_ in range(5):
        for which, node in enumerate(nodes):
            send(node, "logs", payload.logs(round_ * 200 + which * 100, 100))
            node.admin("flush")
    for node in nodes:
        node.admin("compact")
    for node in nodes:
        node.kill()
        node.restart()
        assert node.sql("select count(*) as n, count(distinct body) as d from logs")[0] == {"n": 1000, "d": 1000}
