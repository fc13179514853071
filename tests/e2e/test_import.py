"""`telelake import`: text and real blocks, into a server and into a folder."""

import gzip
import json
import os
import shutil
import subprocess

import pytest

from node import BIN, Node

TEXT = """\
# TYPE http_requests counter
# HELP http_requests Requests that were answered.
http_requests_total{code="200"} 1 1793491200
http_requests_total{code="200"} 2 1793491215.5 # {trace_id="0af7651916cd43dd8448eb211c80319c"} 1 1793491215
http_requests_created{code="200"} 1793491100 1793491200
# TYPE size histogram
# UNIT size bytes
size_bucket{le="1"} 1 1793491200
size_bucket{le="+Inf"} 2 1793491200
size_count 2 1793491200
size_sum 3 1793491200
# EOF
"""


def run(*arguments, expected=0):
    done = subprocess.run([BIN, "import", "--format", "json", *map(str, arguments)], capture_output=True, text=True, timeout=300)
    assert done.returncode == expected, done.stderr
    return json.loads(done.stdout) if done.stdout else {}, done.stderr


def facts_of(node):
    return [
        node.sql("select metric, count(*) as n, count(start_ts) as started from metrics group by metric order by metric"),
        node.sql("select metric, type, unit, help from metadata order by metric"),
        node.sql("select count(*) as n from exemplars where trace_id is not null"),
        node.sql("select labels['le'] as le from series where metric = 'size_bucket' order by le"),
    ]


def test_text_into_a_server_and_into_a_folder(tmp_path):
    text = tmp_path / "metrics.txt"
    text.write_text(TEXT)
    packed = tmp_path / "metrics.txt.gz"
    packed.write_bytes(gzip.compress(TEXT.encode()))
    with Node(tmp_path / "server") as server:
        report, _ = run(text, "--server", server.url("gateway"))
        assert (report["samples"], report["exemplars"], report["refused"]) == (6, 1, 0)
        online = facts_of(server)
    report, _ = run(packed, "--data", tmp_path / "offline")
    assert (report["samples"], report["exemplars"], report["refused"]) == (6, 1, 0)
    with Node(tmp_path / "offline") as offline:
        assert facts_of(offline) == online
        _, error = run(text, "--data", tmp_path / "offline", expected=3)
        assert "in use" in error
    assert online[0] == [
        {"metric": "http_requests_total", "n": 2, "started": 2},
        {"metric": "size_bucket", "n": 2, "started": 0},
        {"metric": "size_count", "n": 1, "started": 0},
        {"metric": "size_sum", "n": 1, "started": 0},
    ]
    assert online[2:] == [[{"n": 1}], [{"le": "+Inf"}, {"le": "1.0"}]]


def test_errors_name_source_and_line(tmp_path):
    broken = tmp_path / "broken.txt"
    broken.write_text("up 1 1793491200\nup one 1793491215\n# EOF\n")
    report, error = run(broken, "--data", tmp_path / "node", expected=1)
    assert f"{broken}: line 2: the value \"one\" is no number" in error
    broken.write_text("up 1 1793491200\n")
    _, error = run(broken, "--data", tmp_path / "node", expected=1)
    assert "without `# EOF`" in error
    (tmp_path / "empty").mkdir()
    _, error = run(tmp_path / "empty", "--data", tmp_path / "node", expected=3)
    assert "there are no blocks" in error


def promtool():
    return os.environ.get("TELELAKE_PROMTOOL_BIN") or shutil.which("promtool")


def test_blocks_that_promtool_made_hold_what_the_text_holds(tmp_path, shared):
    if not promtool():
        pytest.skip("SKIPPED LOUDLY: no promtool (set TELELAKE_PROMTOOL_BIN, or install the package `prometheus`)")
    packed = os.path.join(shared, "golden", "data", "metrics.om.txt.gz")
    text = tmp_path / "metrics.txt"
    with gzip.open(packed, "rb") as source, open(text, "wb") as plain:
        shutil.copyfileobj(source, plain)
    blocks = tmp_path / "blocks"
    subprocess.run([promtool(), "tsdb", "create-blocks-from", "openmetrics", text, blocks], check=True, capture_output=True)
    from_text, _ = run(packed, "--data", tmp_path / "text")
    from_blocks, _ = run(blocks, "--data", tmp_path / "block")
    assert from_text["samples"] == from_blocks["samples"] > 200_000
    assert from_text["refused"] == from_blocks["refused"] == 0
    answers = []
    for folder in ("text", "block"):
        with Node(tmp_path / folder) as node:
            answers.append(node.sql("select metric, count(*) as n, count(distinct ts) as t, sum(case when isnan(value) then 0 else value end) as s "
                                    "from metrics group by metric order by metric"))
            assert node.count("metrics") == from_text["samples"]
    assert [(r["metric"], r["n"], r["t"]) for r in answers[0]] == [(r["metric"], r["n"], r["t"]) for r in answers[1]]
    for text_row, block_row in zip(*answers):
        # Sums that are not finite come as words.
        assert float(text_row["s"]) == pytest.approx(float(block_row["s"]), rel=1e-9, nan_ok=True), text_row["metric"]
