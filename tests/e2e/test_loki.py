"""Loki's API as its clients know it: recorded answers, what logcli asks, and tails over a websocket."""

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.parse

import pytest
import websockets
from websockets.asyncio.client import connect

from node import HttpError, Node, http

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def push(node, labels, lines, **headers):
    """Pushes [(ns, line)] or [(ns, line, {metadata})] of one stream."""
    values = [[str(ts), *rest] for ts, *rest in lines]
    body = json.dumps({"streams": [{"stream": labels, "values": values}]}).encode()
    status, _, _ = http("POST", node.url("loki", "/loki/api/v1/push"), body, {**JSON, **headers})
    assert status == 204


def ask(node, path, method="GET", headers=None, dialect="loki", **parameters):
    """An answer as JSON. `match` stands for `match[]`."""
    encoded = urllib.parse.urlencode({k.replace("match", "match[]"): v for k, v in parameters.items()}, doseq=True)
    url = node.url(dialect, f"/loki/api/v1/{path}")
    if method == "POST":
        _, body, _ = http("POST", url, encoded.encode(), {**FORM, **(headers or {})})
    else:
        _, body, _ = http("GET", f"{url}?{encoded}", headers=headers)
    return json.loads(body)


def tail_url(node, **parameters):
    return node.url("loki", f"/loki/api/v1/tail?{urllib.parse.urlencode(parameters)}").replace("http://", "ws://")


def test_recorded_answers_of_the_real_server(shared, tmp_path):
    with Node(tmp_path / "node") as node:
        command = [sys.executable, os.path.join(shared, "golden", "compare.py"), "--loki", node.url("loki"), "--feed", "--only", "loki"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
        print(done.stdout)
        failed = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("FAIL ")}
        assert not failed, done.stdout[-6000:] + done.stderr
        assert int(done.stdout.splitlines()[-1].split()[0]) >= 280, done.stdout[-200:]


def test_questions_that_runbooks_ask(node):
    base = time.time_ns() - 300 * 10**9
    rows = [{"level": ("info", "error")[n % 2], "message": f"connection refused {n}", "status_code": (200, 500)[n % 2],
             "response_time": n % 10 / 10, "le": ("0.1", "0.5", "1", "+Inf")[n % 4], "duration": n * 10} for n in range(300)]
    push(node, {"job": "app", "app": "api", "namespace": "production", "level": "error"},
         [(base + n * 10**9, json.dumps(row)) for n, row in enumerate(rows)])
    span = {"start": base, "end": base + 300 * 10**9, "step": "60s", "limit": 1000}

    def result(query):
        answer = ask(node, "query_range", query=query, **span)
        return answer["data"]["result"], answer.get("warnings")

    def lines(query):
        return [line for stream in result(query)[0] for _, line in stream["values"]]

    assert len(lines('{namespace="production"}')) == 300
    assert len(lines('{job="app", level="error"} |= "connection refused"')) == 300
    formatted = lines('{job="app"} | json | level_extracted="error" | line_format "{{.message}}"')
    assert sorted(formatted) == sorted(row["message"] for row in rows if row["level"] == "error")
    assert len(lines('{app="api"} | json | duration > 1000')) == sum(row["duration"] > 1000 for row in rows)
    series, _ = result('rate({app="api"} |= "error" [5m])')
    assert float(series[0]["values"][-1][1]) == pytest.approx(149 / 300, abs=0.01)
    series, _ = result('sum by (status_code) (rate({app="api"} | json | __error__="" [5m]))')
    assert {one["metric"]["status_code"] for one in series} == {"200", "500"}
    series, warnings = result('histogram_quantile(0.99, sum by (le) (rate({app="api"} | json | unwrap response_time [5m])))')
    assert series and "extension" in warnings[0]


def test_what_logcli_asks(node):
    base = time.time_ns() - 60 * 10**9
    push(node, {"app": "web", "env": "prod"}, [(base + n * 10**6, f"line {n} status={200 + n % 2}", {"pod": f"p{n % 3}"}) for n in range(100)])
    span = {"start": base, "end": base + 10**9}
    # logcli labels, logcli labels app, logcli series '{}'
    assert ask(node, "labels", **span)["data"] == ["app", "env", "service_name"]
    assert ask(node, "label/app/values", **span)["data"] == ["web"]
    assert ask(node, "series", match="{}", **span)["data"] == [{"app": "web", "env": "prod", "service_name": "web"}]
    # logcli query --limit=30 --batch=1000 '{app="web"}'
    streams = ask(node, "query_range", query='{app="web"}', limit=30, direction="BACKWARD", **span)["data"]
    assert streams["resultType"] == "streams"
    lines = sorted((int(ts), line) for stream in streams["result"] for ts, line in stream["values"])
    assert [line for _, line in lines] == [f"line {n} status={200 + n % 2}" for n in range(70, 100)]
    assert {stream["stream"]["pod"] for stream in streams["result"]} == {"p0", "p1", "p2"}
    # The next batch begins where the last one ended.
    before = ask(node, "query_range", query='{app="web"}', limit=30, direction="BACKWARD", start=base, end=lines[0][0])
    assert sum(len(stream["values"]) for stream in before["data"]["result"]) == 30
    # logcli instant-query, logcli stats, logcli volume, logcli detected-fields
    at = (base + 10**9) // 10**9 + 1
    vector = ask(node, "query", "POST", query='sum(count_over_time({app="web"} |= "status=201" [5m]))', time=at)["data"]["result"]
    assert vector == [{"metric": {}, "value": [at, "50"]}]
    assert ask(node, "index/stats", query='{app="web"}', **span)["entries"] == 100
    volume = ask(node, "index/volume", query='{app="web"}', **span)["data"]["result"]
    assert [v["metric"] for v in volume] == [{"app": "web"}]
    fields = {f["label"]: f for f in ask(node, "detected_fields", query='{app="web"}', **span)["fields"]}
    assert (fields["status"]["type"], fields["status"]["parsers"]) == ("int", ["logfmt"])
    # The same below the gateway.
    assert ask(node, "labels", dialect="gateway", **span)["data"] == ["app", "env", "service_name"]


def test_errors_are_plain_text(node):
    with pytest.raises(HttpError) as refused:
        ask(node, "query_range", query='{app="web"')
    assert (refused.value.status, refused.value.headers["Content-Type"]) == (400, "text/plain; charset=utf-8")
    assert refused.value.body == b"parse error at line 1, col 11: syntax error: unexpected $end, expecting } or ,"
    with pytest.raises(HttpError) as refused:
        ask(node, "query", query='{app="web"}')
    assert refused.value.body.startswith(b"log queries are not supported as an instant query type")


def test_tenants_are_apart(node):
    now = time.time_ns()
    push(node, {"app": "a"}, [(now, "of a")], **{"X-Scope-OrgID": "a"})
    push(node, {"app": "b"}, [(now, "of b")], **{"X-Scope-OrgID": "b"})
    assert ask(node, "label/app/values", headers={"X-Scope-OrgID": "a"})["data"] == ["a"]
    assert ask(node, "label/app/values", headers={"X-Scope-OrgID": "b"})["data"] == ["b"]


def in_frame(frame):
    """The lines of a frame, and how many it says were left out."""
    frame = json.loads(frame)
    lines = [line for stream in frame["streams"] for _, line, *_ in stream["values"]]
    return lines, len(frame.get("dropped_entries", []))


def pushing(node, seconds, per_second):
    """Pushes lines in the background, in batches of a tenth of a second; gives the thread's end."""
    async def work():
        batch, number = per_second // 10, 0
        begun = time.monotonic()
        for at in range(seconds * 10):
            await asyncio.sleep(max(0, begun + at / 10 - time.monotonic()))
            now = time.time_ns()
            lines = [(now + n, f"line {number + n} " + "x" * 150) for n in range(batch)]
            await asyncio.to_thread(push, node, {"app": "web"}, lines)
            number += batch
        return number
    return work()


def test_a_tail_follows_without_loss(node):
    async def follow():
        async with connect(tail_url(node, query='{app="web"} |= "line"', limit=10)) as socket:
            sender = asyncio.create_task(pushing(node, seconds=4, per_second=5000))
            got, dropped = [], 0
            while len(got) < 20000:
                lines, left_out = in_frame(await asyncio.wait_for(socket.recv(), 20))
                assert len(lines) <= 100
                got, dropped = got + lines, dropped + left_out
            assert await sender == 20000
            return got, dropped

    got, dropped = asyncio.run(follow())
    numbers = [int(line.split()[1]) for line in got]
    assert dropped == 0
    assert sorted(numbers) == list(range(20000)), "a line is missing or there twice"


def test_a_tail_begins_with_what_is_there_and_can_filter(node):
    base = time.time_ns() - 10**9
    push(node, {"app": "web"}, [(base + n, f"old {n} level={'error' if n % 2 else 'info'}", {"pod": "p1"}) for n in range(10)])

    async def follow():
        url = tail_url(node, query='{app="web"} | logfmt | level="error"', start=base, limit=3)
        async with connect(url, additional_headers={"X-Loki-Response-Encoding-Flags": "categorize-labels"}) as socket:
            frame = json.loads(await asyncio.wait_for(socket.recv(), 10))
            assert frame["encodingFlags"] == ["categorize-labels"]
            assert frame["streams"][0]["stream"] == {"app": "web", "service_name": "web"}
            values = frame["streams"][0]["values"]
            assert [line for _, line, _ in values] == [f"old {n} level=error" for n in (5, 7, 9)]
            assert values[0][2]["structuredMetadata"]["pod"] == "p1" and values[0][2]["parsed"]["level"] == "error"
            push(node, {"app": "web"}, [(time.time_ns(), "new level=info"), (time.time_ns(), "new level=error")])
            lines, _ = in_frame(await asyncio.wait_for(socket.recv(), 10))
            assert lines == ["new level=error"]

    asyncio.run(follow())


def test_a_slow_reader_is_told_what_it_missed_and_holds_up_nobody(node):
    async def follow():
        # A small window, and nobody reads: what comes in has to go somewhere.
        async with connect(tail_url(node, query='{app="web"}', limit=1), max_queue=1) as slow:
            took = []
            for burst in range(40):
                now = time.time_ns()
                begun = time.monotonic()
                await asyncio.to_thread(push, node, {"app": "web"}, [(now + n, "x" * 2000) for n in range(1000)])
                took.append(time.monotonic() - begun)
            # 80 MB were pushed; the tail keeps at most 16 of them, and the sockets a few.
            got, dropped = 0, 0
            while not dropped:
                lines, left_out = in_frame(await asyncio.wait_for(slow.recv(), 20))
                got, dropped = got + len(lines), dropped + left_out
            assert 0 < got < 40_000 and dropped > 0
            return took

    took = asyncio.run(follow())
    assert max(took) < 10, took


def test_a_tail_ends_with_its_client_and_with_the_node(tmp_path):
    with Node(tmp_path / "node") as node:
        async def follow():
            # As many as a tenant may have, again and again: those that end make room.
            for _ in range(3):
                sockets = [await connect(tail_url(node, query='{app="web"}')) for _ in range(10)]
                with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
                    await connect(tail_url(node, query='{app="web"}'))
                assert refused.value.response.status_code == 429
                for socket in sockets:
                    await socket.close()
                await asyncio.sleep(0.5)
            async with connect(tail_url(node, query='{app="web"}')) as socket:
                stopping = asyncio.create_task(asyncio.to_thread(node.stop, 60))
                with pytest.raises(websockets.exceptions.ConnectionClosed):
                    while True:
                        await asyncio.wait_for(socket.recv(), 50)
                assert await stopping == 0

        asyncio.run(follow())


def test_a_wrong_tail_is_refused_before_it_is_one(node):
    async def follow(**parameters):
        with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
            await connect(tail_url(node, **parameters))
        return refused.value.response.status_code, refused.value.response.body

    assert asyncio.run(follow(query='{app="web"', limit=1))[0] == 400
    assert asyncio.run(follow(query='{app="web"}', delay_for=6)) == (400, b"delay_for can't be greater than 5")
    status, body = asyncio.run(follow(query='rate({app="web"}[1m])'))
    assert status == 400, body
