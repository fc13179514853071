"""Postgres' JDBC driver, unchanged: what DBeaver and Metabase ask through it, and what applications do with it."""

import pytest

import payload
from node import Node, http

TABLES = {"exemplars", "histograms", "logs", "metadata", "metrics", "resources", "series", "span_events", "spans", "streams"}
SLOW = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b WHERE a.value * b.value % 7 = 3"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A node with a hundred log lines, spans and samples."""
    with Node(tmp_path_factory.mktemp("jdbc") / "node") as node:
        for body, path in ((payload.logs(0, 100), "/v1/logs"), (payload.spans(0, 100), "/v1/traces"), (payload.samples(0, 100), "/v1/metrics")):
            http("POST", node.url("otlp-http", path), body, payload.PROTOBUF)
        yield node


@pytest.fixture
def connection(shop, jvm):
    manager, properties = jvm
    options = properties()
    options.put("user", "metabase")
    options.put("ApplicationName", "Metabase")
    made = manager.getConnection(f"jdbc:postgresql://127.0.0.1:{shop.ports['postgres']}/telelake", options)
    yield made
    made.close()


def rows(result):
    """Every row as a dictionary of texts."""
    about = result.getMetaData()
    names = [about.getColumnLabel(at + 1) for at in range(about.getColumnCount())]
    found = []
    while result.next():
        found.append({name: result.getString(at + 1) for at, name in enumerate(names)})
    result.close()
    return found


def texts(connection, query):
    """Every row of a query as a list of texts."""
    return [list(row.values()) for row in rows(connection.createStatement().executeQuery(query))]


def test_what_the_driver_says_of_the_database(connection):
    about = connection.getMetaData()
    assert about.getDatabaseProductName() == "PostgreSQL" and about.getDatabaseMajorVersion() == 16
    assert "telelake" in {row["TABLE_CAT"] for row in rows(about.getCatalogs())}
    assert {"public", "system", "pg_catalog", "information_schema"} <= {row["TABLE_SCHEM"] for row in rows(about.getSchemas())}
    assert {row["TABLE_NAME"] for row in rows(about.getTables(None, "public", "%", None))} == TABLES
    columns = {row["COLUMN_NAME"]: row for row in rows(about.getColumns(None, "public", "logs", "%"))}
    assert (columns["ts"]["TYPE_NAME"], columns["body"]["TYPE_NAME"], columns["seq"]["TYPE_NAME"]) == ("timestamptz", "text", "int8")
    assert columns["ts"]["ORDINAL_POSITION"] == "1"
    # There are no keys, no indexes, no privileges to speak of; the answer is empty, not an error.
    assert rows(about.getPrimaryKeys(None, "public", "logs")) == []
    assert rows(about.getImportedKeys(None, "public", "logs")) == []
    assert rows(about.getExportedKeys(None, "public", "logs")) == []
    assert rows(about.getCrossReference(None, "public", "logs", None, "public", "spans")) == []
    assert rows(about.getIndexInfo(None, "public", "logs", False, True)) == []
    assert rows(about.getBestRowIdentifier(None, "public", "logs", 0, True)) == []
    assert rows(about.getUDTs(None, "public", "%", None)) == []
    assert "SELECT" in {row["PRIVILEGE"] for row in rows(about.getColumnPrivileges(None, "public", "logs", "body"))}
    rows(about.getVersionColumns(None, "public", "logs"))
    rows(about.getTablePrivileges(None, "public", "%"))
    rows(about.getProcedures(None, "public", "%"))
    rows(about.getFunctions(None, "public", "%"))
    types = {row["TYPE_NAME"] for row in rows(about.getTypeInfo())}
    assert {"bool", "int8", "float8", "text", "timestamptz", "interval", "bytea", "_int8"} <= types
    assert connection.getCatalog() == "telelake" and connection.getSchema() == "public"


def test_statements_of_an_application(connection):
    connection.setReadOnly(True)
    connection.setAutoCommit(False)
    plain = connection.createStatement()
    plain.setFetchSize(10)  # a portal that is read ten rows at a time
    assert [row["body"] for row in rows(plain.executeQuery("SELECT body FROM logs ORDER BY seq"))] == [f"order {n} shipped" for n in range(100)]
    connection.commit()
    connection.setAutoCommit(True)
    asked = connection.prepareStatement("SELECT count(*), min(ts), avg(duration_ns) FROM spans WHERE duration_ns > ? AND name = ?")
    asked.setLong(1, 5)
    asked.setString(2, "op 1")
    for _ in range(7):  # the sixth time the driver prepares it by name and takes binary values
        assert rows(asked.executeQuery())[0]["count(*)"] == "20"
    assert asked.getParameterMetaData().getParameterTypeName(1) == "int8"
    values = plain.executeQuery("SELECT ts, value, series.labels, true AS yes, date '2026-01-02' AS day, interval '1 hour' AS hour, x'00ff' AS bytes "
                                "FROM metrics JOIN series USING (sid) ORDER BY ts LIMIT 1")
    assert values.next()
    assert values.getTimestamp(1).getTime() == payload.START_NS // 1_000_000
    assert values.getDouble(2) == 0.0 and values.getBoolean(4) and str(values.getDate(5)) == "2026-01-02"
    assert values.getObject(6).getHours() == 1 and bytes(values.getBytes(7)) == b"\x00\xff"
    slow = connection.createStatement()
    slow.setQueryTimeout(1)
    with pytest.raises(Exception, match="canceling statement"):
        slow.executeQuery(SLOW)


def test_words_of_postgres_mean_what_they_mean_there(connection):
    def one(query):
        return texts(connection, query)[0][0]

    assert one("SELECT to_char(ts, 'YYYY-MM-DD HH24:MI:SS.MS') FROM logs ORDER BY ts LIMIT 1") == "2026-11-01 00:00:00.000"
    assert one("SELECT count(*) FROM logs WHERE body SIMILAR TO 'order (1|2)_ shipped'") == "20"
    assert one("SELECT count(*) FROM logs WHERE split_part(body, ' ', 2)::int = ANY ('{1,2,3}'::int[])") == "3"
    assert texts(connection, "SELECT generate_series(1, 3)") == [["1"], ["2"], ["3"]]
    assert texts(connection, "SELECT NULL, NULL, count(*), count(*) FROM logs") == [[None, None, "100", "100"]]
    assert one("SELECT pg_size_pretty(1000000::bigint)") == "977 kB"
    assert one("SELECT mod(7, 4)") == "3" and one("SELECT every(seq > 0) FROM logs") == "t"
    # What the translation of questions about the catalog must not do to others.
    assert texts(connection, "SELECT s.service, (SELECT count(*) FROM logs l WHERE l.service = s.service) FROM streams s") == [["shop", "100"]]
    about = connection.createStatement().executeQuery("SELECT ts AS time, l.* FROM logs l LIMIT 1").getMetaData()
    assert [about.getColumnLabel(at) for at in (1, 2, 3)] == ["time", "ts", "service"]


def test_views_that_tools_read(connection):
    columns = "SELECT column_name, ordinal_position, data_type, udt_name FROM information_schema.columns WHERE table_name = 'metrics'"
    described = {name: (position, data_type, udt) for name, position, data_type, udt in texts(connection, columns)}
    assert described["ts"] == ("1", "timestamp with time zone", "timestamptz")
    assert described["value"][1:] == ("double precision", "float8")
    assert {name for name, in texts(connection, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")} == TABLES
    assert texts(connection, "SELECT setting FROM pg_settings WHERE name = 'max_index_keys'") == [["32"]]
    for view in ("pg_indexes", "pg_stats", "pg_stat_activity", "pg_locks", "information_schema.table_constraints",
                 "information_schema.key_column_usage", "information_schema.views", "information_schema.routines"):
        assert texts(connection, f"SELECT * FROM {view}") == []
    assert texts(connection, "SELECT relacl FROM pg_class WHERE relname = 'logs'") == [[None]]
