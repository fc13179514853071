"""Flight and Flight SQL with the clients that people have: ADBC, pyarrow, the calls of Grafana, JDBC."""

import datetime
import hashlib
import json
import os
import subprocess
import time

import adbc_driver_flightsql.dbapi as dbapi
import adbc_driver_manager
import pyarrow as pa
import pyarrow.flight as flight
import pytest
from adbc_driver_flightsql import ConnectionOptions, DatabaseOptions, StatementOptions

import payload
from node import BIN, Node, http

TOKEN = "flight-secret"
ROWS = 1_000_000


def uri(node):
    return f"grpc://127.0.0.1:{node.ports['flight']}"


def connect(node, **options):
    return dbapi.connect(uri(node), db_kwargs=options, autocommit=True)


def send(node, body, path, **headers):
    http("POST", node.url("otlp-http", path), body, {**payload.PROTOBUF, **headers})


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A node with a hundred log lines, spans and samples."""
    with Node(tmp_path_factory.mktemp("flight") / "node") as node:
        send(node, payload.logs(0, 100), "/v1/logs")
        send(node, payload.spans(0, 100), "/v1/traces")
        send(node, payload.samples(0, 100), "/v1/metrics")
        yield node


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A node that asks for a token, which covers two tenants."""
    folder = tmp_path_factory.mktemp("guarded")
    config = folder / "config.toml"
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    config.write_text(f'[[auth.tokens]]\nsha256 = "{digest}"\ntenants = ["team-a", "team-b"]\n')
    with Node(folder / "node", args=["--config", str(config)]) as node:
        headers = {"Authorization": f"Bearer {TOKEN}", "X-Scope-OrgID": "team-a"}
        send(node, payload.logs(0, 10), "/v1/logs", **headers)
        yield node


def test_adbc_executes(shop):
    with connect(shop) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) AS n, min(ts) AS first FROM logs")
        table = cursor.fetch_arrow_table()
        assert table["n"].to_pylist() == [100]
        assert table.schema.field("first").type == pa.timestamp("ns", tz="UTC")
        cursor.execute("SELECT body, labels FROM logs WHERE service = ? AND body LIKE ? ORDER BY ts LIMIT 3", ("shop", "order%"))
        assert [row[0] for row in cursor.fetchall()] == ["order 0 shipped", "order 1 shipped", "order 2 shipped"]
        since = datetime.datetime.fromtimestamp(payload.START_NS / 1e9, datetime.timezone.utc)
        cursor.execute("SELECT count(*) FROM logs WHERE ts >= $1", (since,))
        assert cursor.fetchone() == (100,)
        cursor.execute("SELECT CAST(? AS BIGINT) + 1 AS n", pa.record_batch({"n": [1, 2, 40]}))
        assert cursor.fetchall() == [(2,), (3,), (41,)], "one run for each row"
        with pytest.raises(adbc_driver_manager.Error, match="is not allowed: this is read-only SQL"):
            cursor.execute("DELETE FROM logs")
        with pytest.raises(adbc_driver_manager.Error, match="nothing"):
            cursor.execute("SELECT * FROM nothing")
        with pytest.raises(adbc_driver_manager.Error, match="temporary tables are not supported"):
            cursor.adbc_ingest("mine", pa.table({"a": [1]}), mode="create", temporary=True)


def test_adbc_tells_what_there_is(shop):
    with connect(shop) as connection:
        info = connection.adbc_get_info()
        assert info["vendor_name"] == "Telelake" and info["driver_name"].startswith("ADBC Flight SQL Driver"), info
        assert set(connection.adbc_get_table_types()) == {"BASE TABLE", "VIEW"}
        objects = connection.adbc_get_objects(depth="all").read_all().to_pylist()
        assert [catalog["catalog_name"] for catalog in objects] == ["telelake"]
        schemas = {s["db_schema_name"]: s["db_schema_tables"] for s in objects[0]["catalog_db_schemas"]}
        assert set(schemas) == {"information_schema", "public", "system", "usage", "user"}
        tables = {t["table_name"]: {c["column_name"] for c in t["table_columns"]} for t in schemas["public"]}
        assert {"ts", "body", "labels"} <= tables["logs"] and "duration_ns" in tables["spans"]
        columns = connection.adbc_get_table_schema("metrics", db_schema_filter="public")
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM metrics")
            assert cursor.fetch_arrow_table().schema == columns, "what was promised is what comes"
        assert (connection.adbc_current_catalog, connection.adbc_current_db_schema) == ("telelake", "public")
        with pytest.raises(adbc_driver_manager.Error):
            connection.adbc_current_db_schema = "nowhere"


def test_adbc_session_rides_on_a_cookie(shop):
    with connect(shop, **{DatabaseOptions.WITH_COOKIE_MIDDLEWARE.value: "true"}) as connection:
        connection.adbc_current_db_schema = "system"
        assert connection.adbc_current_db_schema == "system"
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM files")
            assert cursor.fetchone()[0] >= 0


def test_every_schema_is_the_one_that_comes(shop):
    """The driver compares FlightInfo's schema with that of the stream and fails otherwise."""
    with connect(shop) as connection, connection.cursor() as cursor:
        for table in ["metrics", "series", "histograms", "exemplars", "metadata", "logs", "streams", "spans", "span_events", "resources"]:
            cursor.execute(f"SELECT * FROM {table}")
            expected = cursor.fetch_arrow_table().schema
            assert connection.adbc_get_table_schema(table, db_schema_filter="public") == expected, table
        for text in [
            "SELECT service, count(*) FROM spans GROUP BY service",
            "SELECT * FROM (VALUES (1, 'a'), (2, NULL)) AS t(n, s)",
            "EXPLAIN ANALYZE SELECT * FROM logs",
            "SHOW TABLES",
            "SELECT ts, labels['__name__'], value FROM promql('probe_value', now())",
            "SELECT ts, line FROM logql('{service_name=\"shop\"}', 0, now())",
        ]:
            cursor.execute(text)
            cursor.fetch_arrow_table()


def test_tokens_and_passwords(guarded):
    bearer = {DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {TOKEN}"}
    tenant = f"{DatabaseOptions.RPC_CALL_HEADER_PREFIX.value}x-scope-orgid"
    password = {"username": "grafana", "password": TOKEN, tenant: "team-a"}
    nobody = {"username": "", "password": TOKEN, tenant: "team-a"}
    for options in [{**bearer, tenant: "team-a"}, password, nobody]:
        with connect(guarded, **options) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM logs")
            assert cursor.fetchone() == (10,), options
    with connect(guarded, **bearer, **{tenant: "team-b"}) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM logs")
        assert cursor.fetchone() == (0,), "another tenant has its own rows"
    for options, says in [({**bearer, tenant: "team-c"}, "does not cover tenant team-c"), ({tenant: "team-a"}, "no valid bearer token"),
                          ({"username": "x", "password": "wrong", tenant: "team-a"}, "no valid bearer token")]:
        with pytest.raises(adbc_driver_manager.Error, match=says):
            with connect(guarded, **options) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT 1")
    client = flight.FlightClient(uri(guarded))
    header = client.authenticate_basic_token("", TOKEN, flight.FlightCallOptions(headers=[(b"x-scope-orgid", b"team-a")]))
    assert header == (b"authorization", f"Bearer {TOKEN}".encode())


def test_partitions_share_one_query(shop):
    headers = {f"{StatementOptions.RPC_CALL_HEADER_PREFIX.value}x-endpoints": "4"}
    text = "SELECT value FROM generate_series(1, 200000)"
    with connect(shop) as connection:
        with connection.cursor(adbc_stmt_kwargs=headers) as cursor:
            partitions, schema = cursor.adbc_execute_partitions(text)
        assert len(partitions) == 4
        values = []
        for partition in partitions:
            with connection.cursor() as cursor:
                cursor.adbc_read_partition(partition)
                part = cursor.fetch_arrow_table()
                assert part.schema == schema
                values += part["value"].to_pylist()
        assert sorted(values) == list(range(1, 200_001))
        with connection.cursor(adbc_stmt_kwargs=headers) as cursor:
            cursor.execute(text)
            assert cursor.fetch_arrow_table().num_rows == 200_000


def test_plain_flight(shop):
    client = flight.FlightClient(uri(shop))
    asked = {"language": "sql", "query": "SELECT count(*) AS n FROM logs WHERE service = $1", "params": ["shop"]}
    assert client.do_get(flight.Ticket(json.dumps(asked))).read_all()["n"].to_pylist() == [100]
    end = payload.START_NS / 1e9 + 10
    asked = {"language": "promql", "query": "count(probe_value)", "start": end - 10, "end": end, "step": "5s"}
    info = client.get_flight_info(flight.FlightDescriptor.for_command(json.dumps(asked)))
    table = client.do_get(info.endpoints[0].ticket).read_all()
    assert table.schema == info.schema and table["value"].to_pylist()[-1] == 10
    asked = {"language": "logql", "query": '{service_name="shop"}', "start": 0, "end": end + 3600}
    assert client.do_get(flight.Ticket(json.dumps(asked))).read_all().num_rows == 100
    asked = {"language": "traceql", "query": '{ resource.service.name = "shop" }', "start": payload.START_NS / 1e9 - 1, "end": end}
    assert client.do_get(flight.Ticket(json.dumps(asked))).read_all().num_rows > 0
    paths = {tuple(info.descriptor.path) for info in client.list_flights()}
    assert (b"telelake", b"public", b"logs") in paths
    info = client.get_flight_info(flight.FlightDescriptor.for_path("logs"))
    assert client.do_get(info.endpoints[0].ticket).read_all().num_rows == 100
    assert client.get_schema(flight.FlightDescriptor.for_path("logs")).schema == info.schema
    with pytest.raises(flight.FlightTimedOutError):
        options = flight.FlightCallOptions(timeout=0.3)
        endless = {"query": "SELECT count(*) FROM generate_series(1, 9000000) a, generate_series(1, 9000000) b WHERE a.value + b.value < 0"}
        client.do_get(flight.Ticket(json.dumps(endless)), options).read_all()
    with pytest.raises(pa.ArrowInvalid, match="is not understood"):
        client.do_get(flight.Ticket('{"language": "cobol"}')).read_all()


def command_statement_query(text):
    """`Any(CommandStatementQuery{query})`, as Grafana's InfluxDB data source packs it."""
    def field(number, content):
        size, length = b"", len(content)
        while length > 127:
            size, length = size + bytes([length & 127 | 128]), length >> 7
        return bytes([number << 3 | 2]) + size + bytes([length]) + content
    kind = b"type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery"
    return field(1, kind) + field(2, field(1, text.encode()))


def test_the_calls_of_grafanas_influxdb_source(guarded):
    """Its SQL mode: bearer token and metadata headers on GetFlightInfo, then DoGet of the only endpoint; times are read as nanoseconds,
    and of the types it knows text, numbers, booleans and timestamps."""
    client = flight.FlightClient(uri(guarded))
    options = flight.FlightCallOptions(headers=[
        (b"authorization", f"Bearer {TOKEN}".encode()), (b"x-scope-orgid", b"team-a"), (b"database", b"telelake"), (b"bucket-name", b"telelake"),
    ])
    text = "SELECT ts AS time, service, severity_number AS n, body FROM logs WHERE ts >= '2020-01-01T00:00:00Z' ORDER BY time"
    info = client.get_flight_info(flight.FlightDescriptor.for_command(command_statement_query(text)), options)
    assert len(info.endpoints) == 1 and info.endpoints[0].locations == []
    table = client.do_get(info.endpoints[0].ticket, options).read_all()
    assert table.schema == info.schema and table.num_rows == 10
    assert table.schema.field("time").type == pa.timestamp("ns", tz="UTC")
    known = (pa.types.is_string, pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_timestamp)
    assert all(any(kind(column.type) for kind in known) for column in table.schema), table.schema


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A node with more than a million samples, in files."""
    with Node(tmp_path_factory.mktemp("large") / "node") as node:
        subprocess.run([BIN, "generate", "--endpoint", node.url("otlp-grpc"), "--protocol", "grpc", "--signals", "metrics", "--rate", "0",
                        "--count", str(ROWS), "--batch", "20000", "--connections", "4"], check=True, capture_output=True)
        node.admin("flush")
        yield node


def test_a_large_answer_streams(large):
    rows = large.count("metrics")
    assert rows >= ROWS
    with connect(large) as connection, connection.cursor() as cursor:
        before, began = large.rss_bytes(), time.monotonic()
        cursor.execute("SELECT ts, metric, value, sid FROM metrics")
        reader, got, size, largest = cursor.fetch_record_batch(), 0, 0, 0
        for batch in reader:
            got, size, largest = got + batch.num_rows, size + batch.nbytes, max(largest, batch.nbytes)
        took = time.monotonic() - began
        print(f"{got} rows, {size / 1e6:.0f} MB in {took:.1f} s: {got / took / 1e6:.2f} M rows/s, {size / took / 1e6:.0f} MB/s")
        assert got == rows and largest <= 2.5 * 2**20
        assert large.rss_bytes() - before < size / 2 + 300e6, "it was not collected"


def jdbc(node, jvm, **more):
    manager, properties = jvm
    options = properties()
    for name, value in {"user": "dbeaver", "password": TOKEN, "useEncryption": "false", "x-scope-orgid": "team-a", **more}.items():
        options.put(name, value)
    return manager.getConnection(f"jdbc:arrow-flight-sql://127.0.0.1:{node.ports['flight']}/", options)


def test_jdbc(guarded, jvm):
    connection = jdbc(guarded, jvm)
    about = connection.getMetaData()
    assert about.getDatabaseProductName() == "Telelake" and not about.isReadOnly()

    def rows(result, *columns):
        found = []
        while result.next():
            found.append(tuple(result.getString(column) for column in columns))
        result.close()
        return found

    tables = rows(about.getTables(None, "public", "%", None), "TABLE_SCHEM", "TABLE_NAME", "TABLE_TYPE")
    assert ("public", "logs", "BASE TABLE") in tables and len(tables) == 10
    assert rows(about.getCatalogs(), "TABLE_CAT") == [("telelake",)]
    assert ("public",) in rows(about.getSchemas(), "TABLE_SCHEM")
    columns = rows(about.getColumns(None, "public", "logs", "%"), "COLUMN_NAME", "TYPE_NAME")
    assert {"ts", "body", "service"} <= {name for name, _ in columns}
    assert rows(about.getPrimaryKeys(None, "public", "logs"), "COLUMN_NAME") == []
    assert rows(about.getImportedKeys(None, "public", "logs"), "FKCOLUMN_NAME") == []
    asked = connection.prepareStatement("SELECT body, seq FROM logs WHERE service = ? AND seq >= ? ORDER BY ts LIMIT 2")
    asked.setString(1, "shop")
    asked.setLong(2, 0)
    assert [body for body, _ in rows(asked.executeQuery(), "body", "seq")] == ["order 0 shipped", "order 1 shipped"]
    asked.close()
    plain = connection.createStatement()
    assert rows(plain.executeQuery("SELECT count(*) AS n FROM logs"), "n") == [("10",)]
    plain.close()
    connection.close()
    # A catalog is a session option, and one that cannot be set ends the connection. The driver (18.3) says CloseSession twice then, the
    # second time on a channel that it has shut down: that error is its own.
    connection = jdbc(guarded, jvm, catalog="telelake")
    plain = connection.createStatement()
    assert rows(plain.executeQuery("SELECT 1 AS n"), "n") == [("1",)]
    plain.close()
    with pytest.raises(Exception, match="Channel shutdown invoked"):
        connection.close()
    with pytest.raises(Exception, match="catalog"):
        jdbc(guarded, jvm, catalog="other").createStatement().executeQuery("SELECT 1")
