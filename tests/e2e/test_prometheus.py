"""Prometheus' API as its clients know it: promtool, Prometheus itself as a sender and a reader, what Grafana asks, recorded answers."""

import glob
import json
import os
import subprocess
import sys
import time
import urllib.parse

import pytest

import promdata
from node import BIN, HttpError, Node, http
from promdata import END_S, START_S
from remote_write import START_MS, V1, request_1, sample, series_1

FORM = {"Content-Type": "application/x-www-form-urlencoded"}

# The answers were recorded from Prometheus 2.42. Here 3.x differs, and 3.x is the judge: windows are open on the left since 3.0, which
# shows where a subquery's steps fall on sample times; and since 2.52 a counter is extrapolated to its zero only within half a gap.
CHANGED_SINCE_2_42 = {
    "prometheus-matrix-005": "left-open windows",
    "prometheus-subquery-001": "left-open windows",
    "prometheus-subquery-002": "left-open windows",
    "prometheus-dash-036": "extrapolation to zero",
}


def api(node, path, method="GET", **parameters):
    """`data` of an answer. `match` stands for `match[]`."""
    encoded = urllib.parse.urlencode({k.replace("match", "match[]"): v for k, v in parameters.items()}, doseq=True)
    url = node.url("prometheus", f"/api/v1/{path}")
    if method == "POST":
        _, body, _ = http("POST", url, encoded.encode(), FORM)
    else:
        _, body, _ = http("GET", f"{url}?{encoded}")
    answer = json.loads(body)
    assert answer["status"] == "success", answer
    return answer.get("data")


@pytest.fixture
def shop(node):
    """A node that has the metrics of a small shop."""
    http("POST", node.url("prometheus", "/api/v1/write"), promdata.remote_write(promdata.shop()), promdata.WRITE)
    return node


def test_recorded_answers_of_the_real_server(shared, tmp_path):
    with Node(tmp_path / "node") as node:
        url = node.url("prometheus")
        command = [sys.executable, os.path.join(shared, "golden", "compare.py"), "--prometheus", url, "--remote-write",
                   f"{url}/api/v1/write", "--feed", "--only", "prometheus"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        print(done.stdout)
        failed = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("FAIL ")}
        assert failed == set(CHANGED_SINCE_2_42), done.stdout[-6000:] + done.stderr
        assert int(done.stdout.splitlines()[-1].split()[0]) >= 399, done.stdout[-200:]


def test_promtool(shop, prometheus):
    def promtool(*words):
        done = subprocess.run([prometheus / "promtool", *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    url = shop.url("prometheus")
    at, start, end = f"--time={END_S}", f"--start={START_S}", f"--end={END_S}"
    assert promtool("query", "instant", at, url, "sum(up)") == f"{{}} => 3 @[{END_S}]\n"
    ranged = json.loads(promtool("query", "range", "--format=json", start, end, "--step=60s", url, "sum by (job) (up)"))
    assert [value for _, value in ranged[0]["values"]] == ["3"] * len(range(START_S, END_S + 1, 60))
    series = promtool("query", "series", start, end, "--match=up", url)
    assert series.count("__name__=\"up\"") == 3, series
    assert promtool("query", "labels", start, end, url, "cloud_provider").split() == ["aws", "azure", "gcp"]
    http("POST", f"{url}/api/v1/write", promdata.remote_write(promdata.shop(int(time.time()) - 60, 4)), promdata.WRITE)
    for text in [http("GET", f"{url}/metrics")[1], http("GET", f"{url}/federate?match[]=up&match[]=http_requests_total")[1]]:
        done = subprocess.run([prometheus / "promtool", "check", "metrics"], input=text, capture_output=True, timeout=60)
        # 3: it is read, but names or help could be better.
        assert text and done.returncode in (0, 3), done.stderr


def prometheus_process(prometheus, folder, config, port, *flags):
    folder.mkdir()
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    log = open(folder / "log", "wb")
    return subprocess.Popen([prometheus / "prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
                             f"--web.listen-address=127.0.0.1:{port}", *flags], stdout=log, stderr=log)


def until(what, check, seconds=60):
    """Waits for `check` to hold; what it gives is the answer."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            found = check()
            if found:
                return found
        except (HttpError, OSError):
            pass
        time.sleep(0.2)
    pytest.fail(f"{what} did not happen within {seconds} s")


@pytest.fixture
def peer(prometheus, tmp_path, free_port):
    """Starts a real Prometheus; whatever still runs at the end is stopped."""
    running = []

    def start(config, *flags):
        port = free_port()
        running.append(prometheus_process(prometheus, tmp_path / f"peer{len(running)}", config, port, *flags))
        url = f"http://127.0.0.1:{port}"
        until("Prometheus is ready", lambda: http("GET", f"{url}/-/ready")[0] == 200)
        return url

    yield start
    for process in running:
        process.terminate()
        process.wait()


def test_a_prometheus_sends(node, peer):
    url = peer({
        "global": {"scrape_interval": "1s"},
        "remote_write": [{"url": node.url("prometheus", "/api/v1/write"), "queue_config": {"batch_send_deadline": "1s"}}],
        "scrape_configs": [{"job_name": "node", "static_configs": [{"targets": [node.url("prometheus").removeprefix("http://")]}]}],
    })
    arrived = until("a scraped sample arrives", lambda: api(node, "query", query='up{job="node"}')["result"])
    assert arrived[0]["value"][1] == "1"
    build = until("the scrape's metrics arrive", lambda: api(node, "query", query="telelake_build_info")["result"])
    assert build[0]["metric"]["job"] == "node"
    # What was sent is what the sender itself has. The first scrape finds a node that has done nothing yet.
    start = float(arrived[0]["value"][0]) - 60

    def in_both():
        _, body, _ = http("GET", f"{url}/api/v1/series?match[]=%7Bjob%3D%22node%22%7D&start={start}&end={time.time()}")
        mine, theirs = [{json.dumps(s, sort_keys=True) for s in found} for found in
                        (api(node, "series", match='{job="node"}', start=start, end=time.time()), json.loads(body)["data"])]
        return mine & theirs

    until("more than 20 series are in both", lambda: len(in_both()) > 20)


def test_a_prometheus_reads(shop, peer):
    """Version 2.42 asks for samples; newer ones take streamed chunks, whose bits the unit tests hold."""
    url = peer({"remote_read": [{"url": shop.url("prometheus", "/api/v1/read"), "read_recent": True}]})
    for query in ["up", "sum by (job) (rate(http_requests_total[5m]))", "node_memory_MemAvailable_bytes", "absent(nothing)",
                  "histogram_quantile(0.9, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))"]:
        parameters = {"query": query, "start": START_S + 600.5, "end": END_S, "step": 60}
        _, body, _ = http("GET", f"{url}/api/v1/query_range?{urllib.parse.urlencode(parameters)}")
        theirs = json.loads(body)["data"]["result"]
        mine = api(shop, "query_range", **parameters)["result"]

        def shown(result):
            return {json.dumps(s["metric"], sort_keys=True): [(t, pytest.approx(float(v), rel=1e-9)) for t, v in s["values"]] for s in result}

        assert theirs and {k: [(t, float(v.expected)) for t, v in s] for k, s in shown(theirs).items()} == shown(mine), query


def test_samples_are_read_whole(shop):
    body = promdata.remote_read("up", START_S * 1000, END_S * 1000)
    status, answer, headers = http("POST", shop.url("prometheus", "/api/v1/read"), body, promdata.WRITE)
    assert (status, headers["Content-Type"], headers["Content-Encoding"]) == (200, "application/x-protobuf", "snappy")
    sent = {tuple(sorted(labels.items())): samples for labels, samples in promdata.shop() if labels["__name__"] == "up"}
    assert promdata.read_answer(answer) == sent


def test_a_prometheus_federates(node, peer):
    now_s = int(time.time())
    samples = promdata.shop(now_s - 60, 5)
    http("POST", node.url("prometheus", "/api/v1/write"), promdata.remote_write(samples), promdata.WRITE)
    url = peer({"global": {"scrape_interval": "1s"}, "scrape_configs": [{
        "job_name": "federate", "honor_labels": True, "metrics_path": "/federate", "params": {"match[]": ['{job="node"}']},
        "static_configs": [{"targets": [node.url("prometheus").removeprefix("http://")]}],
    }]})

    def scraped():
        query = urllib.parse.urlencode({"query": 'up{cloud_provider="gcp"}', "time": now_s})
        return json.loads(http("GET", f"{url}/api/v1/query?{query}")[1])["data"]["result"]

    found = until("a federated sample arrives", scraped)
    assert found[0]["metric"] == {"__name__": "up", "cloud_provider": "gcp", "instance": "c:9100", "job": "node"}


# What Grafana's Prometheus data source sends: method, path, parameters, and what must be in the answer.
GRAFANA = [
    # "Save & test", 1970 included
    ("POST", "query", {"query": "1+1", "time": "4"}, lambda d: d["result"][1] == "2"),
    ("GET", "status/buildinfo", {}, lambda d: tuple(map(int, d["version"].split("."))) >= (2, 24, 0) and "features" not in d),
    # opening the editor
    ("GET", "rules", {}, lambda d: d["groups"] == []),
    ("GET", "query_exemplars", {"query": "test", "start": str(START_S), "end": str(START_S + 1800)}, lambda d: d == []),
    ("GET", "label/__name__/values", {"limit": "40000", "start": str(START_S), "end": str(END_S)}, lambda d: "up" in d),
    ("POST", "labels", {"start": str(START_S), "end": str(END_S), "limit": "1000"}, lambda d: "job" in d),
    ("GET", "label/job/values", {"match[]": "up", "start": str(START_S), "end": str(END_S), "limit": "1000"}, lambda d: d == ["node"]),
    ("GET", "metadata", {"limit": "40000"}, lambda d: isinstance(d, dict)),
    ("GET", "metadata", {"metric": "up", "limit": "40000"}, lambda d: isinstance(d, dict)),
    ("POST", "series", {"match[]": '{__name__!=""}', "start": str(START_S), "end": str(END_S), "limit": "40000"}, lambda d: len(d) > 20),
    # a panel
    ("POST", "query_range", {"query": "sum by(job) (up)", "start": str(START_S), "end": str(END_S), "step": "15"},
     lambda d: d["resultType"] == "matrix" and len(d["result"][0]["values"]) == promdata.STEPS),
    ("POST", "query", {"query": "up", "time": str(END_S), "timeout": "30s"}, lambda d: len(d["result"]) == 3),
    ("GET", "query_exemplars", {"query": "rate(http_request_duration_seconds_bucket[5m])", "start": str(START_S), "end": str(END_S)},
     lambda d: d == []),
    # Metrics Drilldown
    ("GET", "label/__name__/values", {"match[]": '{__name__=~".+", __ignore_usage__=""}', "start": str(START_S), "end": str(END_S)},
     lambda d: "http_requests_total" in d),
    ("POST", "query_range", {"query": 'sum(rate(http_requests_total{service="cart", __ignore_usage__=""}[1m]))', "start": str(START_S),
                             "end": str(END_S), "step": "60"}, lambda d: len(d["result"]) == 1),
    ("POST", "query_range", {"query": 'histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{__ignore_usage__=""}[5m])))',
                             "start": str(START_S), "end": str(END_S), "step": "60"}, lambda d: len(d["result"]) == 1),
    ("POST", "query", {"query": 'group by (__name__) ({job="app"}) unless (group by (__name__) ({job="app"} offset 1d))', "time": str(END_S)},
     lambda d: len(d["result"]) == 6),
    ("GET", "search/metric_names", {"search[]": "cpu", "start": str(START_S), "end": str(END_S)}, None),
]


@pytest.mark.parametrize("method,path,parameters,holds", GRAFANA, ids=[f"{n}-{case[1]}" for n, case in enumerate(GRAFANA)])
def test_what_grafana_asks(shop, method, path, parameters, holds):
    encoded = urllib.parse.urlencode(parameters)
    url = shop.url("prometheus", f"/api/v1/{path}")
    headers = {"Accept-Encoding": "identity", "X-Dashboard-Uid": "d", "X-Grafana-Org-Id": "1"}
    if method == "POST":
        _, body, _ = http("POST", url, encoded.encode(), {**FORM, **headers})
    else:
        _, body, _ = http("GET", f"{url}?{encoded}", headers=headers)
    if holds is None:
        lines = [json.loads(line) for line in body.splitlines()]
        assert lines[-1] == {"status": "success", "has_more": False} and lines[0]["results"][0]["name"] == "node_cpu_seconds_total"
    else:
        answer = json.loads(body)
        assert answer["status"] == "success" and holds(answer["data"]), answer


def test_every_expression_of_the_requirements_answers(shop, shared):
    texts = [open(path, encoding="utf-8").read() for path in sorted(glob.glob(os.path.join(shared, "requirements", "*.txt")))]
    found = [e for text in texts for e in promdata.expressions(text)]
    assert len(found) >= 40, found
    for expression in found:
        api(shop, "query", query=expression, time=END_S)
        api(shop, "query_range", "POST", query=expression, start=START_S, end=END_S, step=60)


def test_the_gateway_has_it_too(shop):
    _, body, _ = http("GET", shop.url("gateway", f"/prometheus/api/v1/query?query=sum(up)&time={END_S}"))
    assert json.loads(body)["data"]["result"][0]["value"][1] == "3"


def test_tenants_do_not_see_each_other(shop):
    query = f"/api/v1/query?query=up&time={END_S}"
    _, body, _ = http("GET", shop.url("prometheus", query), headers={"X-Scope-OrgID": "somebody-else"})
    assert json.loads(body)["data"]["result"] == []


def test_answers_survive_flush_compaction_and_restart(shop):
    def ask():
        return [api(shop, "query_range", query=q, start=START_S, end=END_S, step=30)["result"]
                for q in ["up", "rate(http_requests_total[2m])", "histogram_quantile(0.5, http_request_duration_seconds_bucket)"]]

    before = ask()
    assert all(before)
    for verb in ["flush", "compact"]:
        shop.admin(verb)
        assert ask() == before, verb
    shop.kill()
    shop.restart()
    assert ask() == before


def test_deleted_series_are_gone_for_good(tmp_path):
    # Rows of all tables are counted: the questions in between are none of them.
    settings = {"TELELAKE__PROMETHEUS__ADMIN_API": "true", "TELELAKE__QUERY__LOG": "false"}
    with Node(tmp_path / "node", env=settings) as node:
        at = START_MS

        def write(metric, job, *times):
            body = request_1(series_1([("__name__", metric), ("job", job)], [sample(n, ts) for n, ts in enumerate(times)]))
            http("POST", node.url("prometheus", "/api/v1/write"), body, V1)

        def admin(verb, **parameters):
            encoded = urllib.parse.urlencode({k.replace("match", "match[]"): v for k, v in parameters.items()})
            return http("POST", node.url("prometheus", f"/api/v1/admin/tsdb/{verb}"), encoded.encode(), FORM)[0]

        def jobs():
            values = api(node, "query", query="count by (job) (count_over_time({__name__=~'kept|gone'}[10m]))", time=at / 1000 + 60)
            found = sorted(one["metric"]["job"] for one in values["result"])
            assert sorted(one["job"] for one in api(node, "series", match="{__name__=~'kept|gone'}", start=at / 1000)) == found
            assert api(node, "label/job/values", start=at / 1000) == found
            return found

        def stored():
            rows = node.sql('select "table" as t, sum(rows) as rows from system.files group by 1')
            return {row["t"]: row["rows"] for row in rows}

        write("kept", "a", *range(at, at + 10_000, 1000))
        write("gone", "b", *range(at, at + 10_000, 1000))
        node.admin("flush")
        assert (jobs(), stored()) == (["a", "b"], {"samples": 20, "series": 2})
        # The second half is in the log and in memory when it is deleted.
        write("gone", "b", *range(at + 10_000, at + 20_000, 1000))
        assert admin("delete_series", match="gone") == 204
        assert jobs() == ["a"]
        assert stored() == {"samples": 30, "series": 2}, "hidden, not gone"
        assert admin("clean_tombstones") == 204
        assert (jobs(), stored()) == (["a"], {"samples": 10, "series": 1})
        assert node.sql("select count(*) as n from series")[0]["n"] == 1

        node.kill()
        node.restart()
        assert (jobs(), stored()) == (["a"], {"samples": 10, "series": 1})
        # The same times again: they came later.
        write("gone", "b", at, at + 1000)
        assert jobs() == ["a", "b"]
        node.admin("flush")
        node.admin("compact")
        assert (jobs(), stored()) == (["a", "b"], {"samples": 12, "series": 2})
        # The receiver knows the series; its labels come along nevertheless when it is heard of again after a delete.
        assert admin("delete_series", match="gone") == 204
        assert jobs() == ["a"]
        write("gone", "b", at + 5000)
        assert admin("clean_tombstones") == 204
        node.admin("flush")
        assert (jobs(), stored()) == (["a", "b"], {"samples": 11, "series": 2})
        assert node.stop() == 0
        node.restart()
        assert jobs() == ["a", "b"]
        inspected = subprocess.run([BIN, "inspect", "--data", node.data, "--format", "json"], capture_output=True, check=True).stdout
        rows = {}
        for row in json.loads(inspected)["tables"]:
            rows[row["table"]] = rows.get(row["table"], 0) + row["rows"]
        assert rows == stored() == {"samples": 11, "series": 2}


def test_promql_is_a_table_of_sql(shop):
    expression = "sum by (job) (rate(http_requests_total[2m]))"
    text = f"select ts, labels['job'] as job, value from promql('{expression}', {START_S}, {END_S}, '30s') order by job, ts"
    expected = [(one["metric"]["job"], float(value))
                for one in api(shop, "query_range", query=expression, start=START_S, end=END_S, step=30)["result"]
                for _, value in one["values"]]
    assert expected == [(row["job"], row["value"]) for row in shop.sql(text)]
    with pytest.raises(HttpError) as refused:
        shop.sql(f"select * from promql('sum(', {END_S})")
    assert refused.value.status == 400 and b"1:5: parse error: unclosed left parenthesis" in refused.value.body

    def command(*where):
        done = subprocess.run([BIN, "sql", text, "--format", "jsonl", *where], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return [(row["job"], row["value"]) for row in map(json.loads, done.stdout.splitlines())]

    assert command("--server", shop.url("gateway")) == expected
    shop.kill()
    assert command("--data", shop.data) == expected, "its rows are still in the log"
