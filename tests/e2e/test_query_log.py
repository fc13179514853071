"""The query log: whatever is asked, in every language and over every protocol, is a row that SQL can read."""

import asyncio
import json
import threading
import time
import urllib.parse

import adbc_driver_flightsql.dbapi as flightsql
import grpc
import psycopg
import pytest

import payload
import tempopb
from node import HttpError, Node, http
from tracedata import Shop

GRAFANA = {
    "X-Dashboard-Uid": "d-1", "X-Panel-Id": "7", "X-Panel-Plugin-Id": "timeseries", "X-Grafana-Org-Id": "3", "X-Grafana-User": "ada",
    "X-Datasource-Uid": "ds-1", "X-Query-Group-Id": "g-1", "X-Query-Tags": "Source=explore", "User-Agent": "Grafana/13.0",
}
SLOW = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b WHERE a.value * b.value % 7 = 3"


def send(node, body, path, **headers):
    http("POST", node.url("otlp-http", path), body, {**payload.PROTOBUF, **headers})


def get(node, dialect, path, headers=None, **parameters):
    return http("GET", node.url(dialect, f"{path}?{urllib.parse.urlencode(parameters, doseq=True)}"), headers=headers)


def refused(node, dialect, path, headers=None, **parameters):
    with pytest.raises(HttpError) as error:
        get(node, dialect, path, headers, **parameters)
    return error.value


def rows(node, where, tenant=None):
    """Rows of the log, the oldest first. They come within a second or two."""
    return node.sql(f"select * from usage.query_log where {where} order by ts", tenant)


def wait(node, where, count=1, tenant=None):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = rows(node, where, tenant)
        if len(found) >= count:
            break
        time.sleep(0.2)
    assert len(found) == count, (where, found)
    return found


def text(value):
    return "'" + value.replace("'", "''") + "'"


def only(node, query, tenant=None, **where):
    """The one row of a query's text."""
    conditions = [f"text = {text(query)}"] + [f"{name} = {text(value)}" for name, value in where.items()]
    return wait(node, " and ".join(conditions), 1, tenant)[0]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A node with log lines, samples and traces."""
    with Node(tmp_path_factory.mktemp("log") / "node") as node:
        send(node, payload.logs(0, 100), "/v1/logs")
        send(node, payload.samples(0, 100), "/v1/metrics")
        node.traces = Shop(int(time.time()) - 60).push(node)
        node.admin("flush")
        yield node


def test_promql(shop):
    get(shop, "prometheus", "/api/v1/query", GRAFANA, query="sum(probe_value) + 1", time=5_000)
    row = only(shop, "sum(probe_value) + 1")
    assert (row["language"], row["api"], row["endpoint"], row["status"]) == ("promql", "prometheus", "query", "ok")
    assert (row["start_ts"], row["end_ts"], row["step_ns"]) == ("1970-01-01T01:23:20Z", "1970-01-01T01:23:20Z", None)
    told = [row[name] for name in ["dashboard_uid", "panel_id", "panel_plugin_id", "grafana_org_id", "user", "datasource_uid",
                                   "query_group_id", "query_tags", "user_agent"]]
    assert told == ["d-1", "7", "timeseries", "3", "ada", "ds-1", "g-1", "Source=explore", "Grafana/13.0"], row
    assert row["tenant"] == "anonymous" and row["text_bytes"] == 20 and row["error"] is None
    assert 0 < row["duration_ns"] < 10 * 10**9 and row["result_bytes"] > 40 and len(row["query_id"]) == 36

    first_s = payload.START_NS // 10**9
    question = {"query": "count(probe_value) by (series) + 2", "start": first_s, "end": first_s + 600, "step": 15}
    for _ in range(2):
        get(shop, "prometheus", "/api/v1/query_range", **question)
    first, again = wait(shop, "text like 'count(probe_value) by%'", 2)
    assert first["step_ns"] == 15 * 10**9 and first["endpoint"] == "query_range" and first["rows"] == again["rows"] > 0
    assert first["files_scanned"] > 0 and first["bytes_scanned"] > 0 and first["cache"] is None
    assert again["cache"] == "hit", again
    # As a form, below the gateway's prefix.
    http("POST", shop.url("gateway", "/prometheus/api/v1/query"), b"query=7%2B7", {"Content-Type": "application/x-www-form-urlencoded"})
    assert only(shop, "7+7")["rows"] == 1
    get(shop, "prometheus", "/federate", **{"match[]": '{__name__="probe_value"}'})
    assert only(shop, '{__name__="probe_value"}', endpoint="federate")["status"] == "ok"


def test_failures_say_why(shop):
    refused(shop, "prometheus", "/api/v1/query", query="sum(")
    row = only(shop, "sum(")
    assert row["status"] == "error" and "parse error" in row["error"] and row["rows"] is None, row
    refused(shop, "prometheus", "/api/v1/query_range", query="up{early='1'}", start=5, end=1, step=1)
    assert "end timestamp" in only(shop, "up{early='1'}")["error"]
    refused(shop, "loki", "/loki/api/v1/query_range", query="{nothing")
    assert only(shop, "{nothing")["status"] == "error"
    refused(shop, "tempo", "/api/search", q="{ bad")
    assert only(shop, "{ bad")["status"] == "error"
    refused(shop, "gateway", "/api/v1/sql", query="select nothing_like_that")
    assert only(shop, "select nothing_like_that")["status"] == "error"
    refused(shop, "gateway", "/api/v1/sql", query="drop table logs")
    row = only(shop, "drop table logs")
    assert row["status"] == "refused" and "not allowed" in row["error"], row
    refused(shop, "gateway", "/api/v1/sql", query=SLOW + " -- in time", timeout="0.2")
    assert only(shop, SLOW + " -- in time")["status"] == "timeout"
    long = "select 1 -- " + "x" * 50_000
    shop.sql(long)
    [row] = wait(shop, "text like 'select 1 -- xxx%'")
    assert (len(row["text"]), row["text_bytes"]) == (16_384, len(long))


def test_who_goes_away_or_is_ended_cancels(shop):
    with pytest.raises(Exception):
        http("GET", shop.url("gateway", f"/api/v1/sql?{urllib.parse.urlencode({'query': SLOW + ' -- gone'})}"), timeout=0.5)
    assert only(shop, SLOW + " -- gone")["status"] == "cancelled"

    with psycopg.connect(host="127.0.0.1", port=shop.ports["postgres"], user="eve", dbname="telelake", autocommit=True) as running:
        timer = threading.Timer(0.7, running.cancel)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            running.execute(SLOW)
        timer.join()
    [row] = wait(shop, "api = 'postgres' and status = 'cancelled'")
    assert row["user"] == "eve" and "generate_series" in row["text"], row


def test_logql(shop):
    now = time.time_ns()
    query = '{service_name="shop"} |= "order" != "no such thing"'
    get(shop, "loki", "/loki/api/v1/query_range", {"X-Query-Tags": "Source=logcli"}, query=query, start=0, end=now, limit=10)
    row = only(shop, query)
    assert (row["language"], row["api"], row["endpoint"], row["status"], row["rows"]) == ("logql", "loki", "query_range", "ok", 10)
    assert row["query_tags"] == "Source=logcli" and row["files_scanned"] > 0
    query = 'sum(count_over_time({service_name="shop"}[100000h]))'
    get(shop, "loki", "/loki/api/v1/query", query=query)
    assert only(shop, query)["rows"] == 1
    get(shop, "gateway", "/loki/api/v1/query", query="vector(1)+vector(2)")
    assert only(shop, "vector(1)+vector(2)")["api"] == "loki"


def test_tail(shop):
    import websockets

    async def tail():
        query = urllib.parse.urlencode({"query": '{service_name="shop"} |= "tailed"'})
        async with websockets.connect(f"ws://127.0.0.1:{shop.ports['loki']}/loki/api/v1/tail?{query}"):
            pass

    asyncio.run(tail())
    assert only(shop, '{service_name="shop"} |= "tailed"')["endpoint"] == "tail"


def test_traces(shop):
    traces = shop.traces
    when = {"start": traces.start_s - 60, "end": traces.end_s + 60}
    get(shop, "tempo", "/api/search", q='{ name = "SELECT" && true }', limit=5, **when)
    row = only(shop, '{ name = "SELECT" && true }', api="tempo")
    assert (row["language"], row["endpoint"], row["status"], row["rows"]) == ("traceql", "search", "ok", 5)
    assert row["start_ts"] and row["bytes_scanned"] > 0
    get(shop, "tempo", "/api/metrics/query_range", q="{} | rate() by (name)", step="10s", **when)
    row = only(shop, "{} | rate() by (name)")
    assert (row["endpoint"], row["step_ns"], row["rows"] > 1) == ("query_range", 10**10, True)
    get(shop, "tempo", "/api/metrics/query", q="{} | count_over_time()", **when)
    assert only(shop, "{} | count_over_time()")["endpoint"] == "query"
    get(shop, "tempo", f"/api/traces/{traces.hex_id(5)}")
    row = only(shop, traces.hex_id(5), api="tempo")
    assert (row["endpoint"], row["rows"], row["status"]) == ("trace", 1, "ok")
    refused(shop, "tempo", "/api/v2/traces/" + "e" * 32)
    row = only(shop, "e" * 32)
    assert row["endpoint"] == "trace_v2" and row["status"] == "ok" and row["rows"] == 0, "that there is none is an answer"


def test_traces_over_grpc(shop):
    traces = shop.traces
    address = f"127.0.0.1:{shop.ports['tempo']}"
    request = {"query": "{ kind = server && true }", "start": traces.start_s - 60, "end": traces.end_s + 60, "limit": 3}
    assert tempopb.call(address, "Search", metadata=[("x-dashboard-uid", "d-grpc")], **request)
    with pytest.raises(grpc.RpcError):
        tempopb.call(address, "Search", query="{ worse")
    row = only(shop, "{ kind = server && true }")
    assert (row["api"], row["endpoint"], row["rows"], row["dashboard_uid"]) == ("tempo-grpc", "Search", 3, "d-grpc")
    assert row["result_bytes"] > 0 and row["files_scanned"] > 0 and row["status"] == "ok", row
    [row] = wait(shop, "api = 'tempo-grpc' and status = 'error'")
    assert "parse error" in row["error"], row


def test_jaeger_and_zipkin(shop):
    traces = shop.traces
    get(shop, "jaeger", "/api/traces", service="db", operation="SELECT", limit=4,
        start=(traces.start_s - 60) * 10**6, end=(traces.end_s + 60) * 10**6)
    [row] = wait(shop, "api = 'jaeger' and endpoint = 'traces'")
    assert (row["language"], row["rows"], row["status"]) == ("traceql", 4, "ok") and "SELECT" in row["text"], row
    get(shop, "jaeger", f"/api/traces/{traces.hex_id(6)}")
    assert only(shop, traces.hex_id(6), api="jaeger")["endpoint"] == "trace"
    get(shop, "jaeger", f"/api/v3/traces/{traces.hex_id(7)}")
    assert only(shop, traces.hex_id(7), api="jaeger")["endpoint"] == "v3_trace"
    refused(shop, "jaeger", "/api/traces", limit=4)
    [row] = wait(shop, "api = 'jaeger' and status = 'error'")
    assert "service" in row["error"]
    get(shop, "zipkin", "/api/v2/traces", serviceName="cart", limit=3, endTs=(traces.end_s + 60) * 1000, lookback=10**7)
    [row] = wait(shop, "api = 'zipkin' and endpoint = 'traces'")
    assert (row["language"], row["rows"]) == ("traceql", 3) and "cart" in row["text"]
    get(shop, "zipkin", f"/zipkin/api/v2/trace/{traces.hex_id(8)}")
    assert only(shop, traces.hex_id(8), api="zipkin")["status"] == "ok"


def test_sql_over_all_three(shop):
    _, _, headers = get(shop, "gateway", "/api/v1/sql", GRAFANA, query="select count(*) as over_http from logs")
    row = only(shop, "select count(*) as over_http from logs")
    assert (row["language"], row["api"], row["endpoint"], row["status"], row["rows"]) == ("sql", "http", "sql", "ok", 1)
    assert row["query_id"] == headers["X-Query-Id"] and row["panel_id"] == "7" and row["files_scanned"] > 0
    with flightsql.connect(f"grpc://127.0.0.1:{shop.ports['flight']}", autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) as over_flight from logs")
        assert cursor.fetchall() == [(100,)]
        with pytest.raises(Exception):
            cursor.execute("select over_flight_nothing")
            cursor.fetchall()
        row = only(shop, "select count(*) as over_flight from logs")
        assert (row["api"], row["rows"], row["status"]) == ("flight", 1, "ok") and "grpc" in row["user_agent"]
        failed = wait(shop, "api = 'flight' and status = 'error'")
        assert "over_flight_nothing" in failed[0]["text"]
        cursor.execute("select api from usage.query_log where api = 'flight' and status = 'ok' order by ts limit 1")
        assert cursor.fetchall() == [("flight",)]
    with psycopg.connect(host="127.0.0.1", port=shop.ports["postgres"], user="bob", dbname="telelake", application_name="report",
                         autocommit=True) as session:
        assert session.execute("SELECT count(*) AS over_postgres FROM logs").fetchall() == [(100,)]
        with pytest.raises(psycopg.Error):
            session.execute("SELECT FROM WHERE over_postgres")
        [row] = wait(shop, "api = 'postgres' and text like '%over_postgres FROM logs' and status = 'ok'")
        assert (row["user"], row["user_agent"], row["rows"]) == ("bob", "report", 1)
        wait(shop, "api = 'postgres' and text = 'SELECT FROM WHERE over_postgres' and status = 'error'")
        assert session.execute("SELECT count(*) > 0 FROM usage.query_log WHERE api = 'postgres'").fetchall() == [(True,)]
        tables = session.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'usage'").fetchall()
        assert tables == [("query_log",)]


def test_a_tenant_sees_its_own_rows(shop):
    get(shop, "prometheus", "/api/v1/query", {"X-Scope-OrgID": "team-a"}, query="1 + 100")
    row = only(shop, "1 + 100", tenant="team-a")
    assert row["tenant"] == "team-a"
    assert rows(shop, "text = '1 + 100'") == [] and rows(shop, "true", tenant="team-b") == []


def test_look_ups_are_no_queries_and_nothing_loops(shop):
    tenant = {"X-Scope-OrgID": "quiet"}
    get(shop, "prometheus", "/api/v1/labels", tenant)
    get(shop, "prometheus", "/api/v1/series", tenant, **{"match[]": "up"})
    get(shop, "loki", "/loki/api/v1/labels", tenant)
    get(shop, "tempo", "/api/search/tags", tenant)
    assert rows(shop, "true", tenant="quiet") == []
    time.sleep(2.5)
    assert len(rows(shop, "true", tenant="quiet")) == 1, "the question before this one, and no other"


def test_rows_survive(tmp_path):
    with Node(tmp_path / "node") as node:
        get(node, "prometheus", "/api/v1/query", query="40 + 1")
        only(node, "40 + 1")
        node.kill()
        node.start()
        assert rows(node, "text = '40 + 1'"), "from the write-ahead log"
        get(node, "prometheus", "/api/v1/query", query="40 + 2")
        assert node.stop() == 0
        node.start()
        assert rows(node, "text in ('40 + 1', '40 + 2')")[-1]["text"] == "40 + 2", "what waits when the node is told to stop is written"
        node.admin("flush")
        node.admin("compact")
        assert len(rows(node, "text in ('40 + 1', '40 + 2')")) == 2
        assert node.sql("select sum(rows) as n from system.files where \"table\" = 'query_log'")[0]["n"] >= 3
        assert node.metric("telelake_query_log_dropped_total") == 0


def test_switched_off(tmp_path):
    with Node(tmp_path / "node", args=["--set", "query.log=false"]) as node:
        get(node, "prometheus", "/api/v1/query", query="1")
        time.sleep(2)
        assert rows(node, "true") == []
