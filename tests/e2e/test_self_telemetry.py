"""The node's own log and spans in its own lake."""

import time

from node import http

TRACE = "0af7651916cd43dd8448eb211c80319c"


def rows(node, query):
    return node.sql(query, tenant="telelake")


def until(node, query, condition):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = rows(node, query)
        if condition(found):
            return found
        time.sleep(0.2)
    raise AssertionError(f"{query}: {found}")


def test_requests_passes_and_log_lines_are_rows(tmp_path):
    from node import Node
    with Node(tmp_path, args=["--self-telemetry"]) as node:
        traced = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        http("GET", node.url("prometheus", "/api/v1/query?query=1"), headers=traced)
        for n in range(20):
            http("POST", node.url("otlp-http", "/v1/logs"), b"{}", {"Content-Type": "application/json"})
        node.admin("compact")
        [span] = until(node, "select name, kind, trace_id as trace, parent_span_id as parent from spans "
                             "where name like '%/api/v1/query'", lambda found: len(found) == 1)
        assert span == {"name": "GET /api/v1/query", "kind": "server", "trace": TRACE, "parent": "b7ad6b7169203331"}, span
        until(node, "select name from spans where name = 'compact'", lambda found: found)
        assert rows(node, "select name from spans where name like '%/v1/logs'") == [], "quick pushes are no spans"
        # What is written of itself is not told again: a node that does nothing says nothing.
        [first] = until(node, "select count(*) as n from logs", lambda found: found[0]["n"] > 0)
        time.sleep(3)
        [second] = rows(node, "select count(*) as n from logs")
        assert second["n"] - first["n"] < 5, (first, second)
