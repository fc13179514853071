"""Tables that users make: ingested with the real ADBC driver, read over every protocol, dropped by name."""

import datetime
import decimal
import re
import threading
import time
import urllib.parse

import adbc_driver_flightsql.dbapi as dbapi
import adbc_driver_manager
import psycopg
import pyarrow as pa
import pytest

from node import BIN, HttpError, Node, NodeDied, http
from test_postgres import psql

ROWS = 1_000_000


def connect(node, tenant=None):
    options = {"adbc.flight.sql.rpc.call_header.x-scope-orgid": tenant} if tenant else {}
    return dbapi.connect(f"grpc://127.0.0.1:{node.ports['flight']}", db_kwargs=options, autocommit=True)


def ingest(node, name, rows, mode="create", tenant=None, **options):
    with connect(node, tenant) as connection, connection.cursor() as cursor:
        return cursor.adbc_ingest(name, rows, mode=mode, **options)


def refused(node, name, rows, mode="create", **options):
    with pytest.raises((dbapi.Error, adbc_driver_manager.Error)) as error:
        ingest(node, name, rows, mode, **options)
    return str(error.value)


def some(first, count):
    return pa.table({"n": pa.array(range(first, first + count), pa.int64()), "team": [f"team-{n % 7}" for n in range(first, first + count)]})


def numbers(node, name, tenant=None):
    return [row["n"] for row in node.sql(f"select n from user.{name} order by n", tenant)]


def names(node, tenant=None):
    return [row["table_name"] for row in node.sql(
        "select table_name from information_schema.tables where table_schema = 'user' order by 1", tenant)]


def gone(node, name, tenant=None):
    with pytest.raises(HttpError) as error:
        node.sql(f"select * from user.{name}", tenant)
    assert error.value.status == 404 and b"not found" in error.value.body, error.value.body


def test_modes(node):
    assert ingest(node, "trips", some(0, 10)) == 10
    assert numbers(node, "trips") == list(range(10)), "visible at once"
    assert "exists already" in refused(node, "trips", some(0, 1))
    assert ingest(node, "trips", some(10, 5), "append") == 5
    assert numbers(node, "trips") == list(range(15))
    assert "there is no table user.other" in refused(node, "other", some(0, 1), "append")
    assert ingest(node, "trips", some(90, 3), "replace") == 3
    assert numbers(node, "trips") == [90, 91, 92]
    assert ingest(node, "trips", some(93, 1), "create_append") == 1
    assert ingest(node, "fresh", some(1, 1), "create_append") == 1
    assert ingest(node, "fresh2", some(1, 1), "replace") == 1
    assert names(node) == ["fresh", "fresh2", "trips"]
    assert numbers(node, "trips") == [90, 91, 92, 93]
    # A table without rows is one as well. (Of one without batches the driver sends nothing, not even the columns.)
    empty = some(0, 1).schema.empty_table().to_batches()[:1] or [pa.RecordBatch.from_pylist([], some(0, 1).schema)]
    ingest(node, "empty", pa.RecordBatchReader.from_batches(some(0, 1).schema, empty))
    assert node.sql("select count(*) as n from user.empty") == [{"n": 0}]
    assert ingest(node, "empty", some(5, 1), "append") == 1
    assert numbers(node, "empty") == [5]
    # Columns in any order, once or twice, with filters and joins.
    rows = node.sql("select t.team as team, t.n as n, t.n * 2 as twice from user.trips t join user.trips u on t.n = u.n where u.n > 91 order by 2")
    assert rows == [{"team": "team-1", "n": 92, "twice": 184}, {"team": "team-2", "n": 93, "twice": 186}], rows


def test_types(node):
    when = datetime.datetime(2026, 11, 26, 7, 0, 0, 123456)
    table = pa.table({
        "b": pa.array([True, None]), "i8": pa.array([-1, None], pa.int8()), "i16": pa.array([-2, None], pa.int16()),
        "i32": pa.array([-3, None], pa.int32()), "i64": pa.array([-4, None], pa.int64()), "u8": pa.array([255, None], pa.uint8()),
        "u16": pa.array([65535, None], pa.uint16()), "u32": pa.array([2**32 - 1, None], pa.uint32()), "f32": pa.array([0.5, None], pa.float32()),
        "f64": pa.array([0.1, None]), "t": pa.array(["ä", None]), "lt": pa.array(["ö", None], pa.large_string()),
        "bin": pa.array([b"\x00\xff", None]), "dec": pa.array([decimal.Decimal("12.34"), None], pa.decimal128(10, 2)),
        "d": pa.array([when.date(), None]), "s": pa.array([when.replace(microsecond=0), None], pa.timestamp("s")),
        "us": pa.array([when, None], pa.timestamp("us")), "ns": pa.array([when, None], pa.timestamp("ns", tz="UTC")),
        "time": pa.array([when.time(), None], pa.time64("us")),
    })
    ingest(node, "kinds", table)
    with connect(node) as connection, connection.cursor() as cursor:
        cursor.execute("select * from user.kinds where i64 is not null")
        row = cursor.fetch_arrow_table().to_pylist()[0]
    assert [row[name] for name in ["b", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "f32", "f64", "t", "lt", "bin"]] == [
        True, -1, -2, -3, -4, 255, 65535, 2**32 - 1, 0.5, 0.1, "ä", "ö", b"\x00\xff"], row
    assert row["dec"] == decimal.Decimal("12.34") and row["d"] == when.date() and row["time"] == when.time()
    assert str(row["us"]).startswith("2026-11-26 07:00:00.123456") and str(row["s"]).startswith("2026-11-26 07:00:00")
    assert node.sql("select count(*) as n from user.kinds where u32 > 4294967294 and b and t = 'ä'") == [{"n": 1}]
    for column, kind in [("l", pa.list_(pa.int64())), ("st", pa.struct([("x", pa.int64())])), ("u64", pa.uint64()), ("nothing", pa.null())]:
        error = refused(node, "odd", pa.table({column: pa.array([None], kind)}))
        assert column in error, error
    assert names(node) == ["kinds"]


def test_refusals_by_name(node):
    assert "temporary tables are not supported" in refused(node, "t", some(0, 1), temporary=True)
    assert 'schema is \\"public\\"' in refused(node, "t", some(0, 1), db_schema_name="public").replace('"', '\\"').replace("\\\\", "\\")
    for name in ["9a", "a b", "a.b", "../x", "x" * 64, "a\"b"]:
        assert "is no name for a table" in refused(node, name, some(0, 1)), name
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    assert "more than one column" in refused(node, "t", twice)
    ingest(node, "t", some(0, 1))
    error = refused(node, "t", pa.table({"n": pa.array([1.5])}), "append")
    assert "has the columns (n Int64, team Utf8), the rows have (n Float64)" in error, error
    for statement in ["drop table logs", "drop table public.logs", "drop table user.t cascade", "drop table user.t, user.u", "drop view user.t",
                      "insert into user.t values (1, 'a')", "delete from user.t", "create table user.u as select 1", "drop schema user"]:
        with pytest.raises(HttpError) as error:
            node.sql(statement)
        assert error.value.status == 400 and b"is not allowed" in error.value.body, (statement, error.value.body)
    with pytest.raises(HttpError) as error:
        http("GET", node.url("gateway", f"/api/v1/sql?{urllib.parse.urlencode({'query': 'drop table user.t'})}"))
    assert b"is not allowed" in error.value.body, "a GET only reads"
    with pytest.raises(HttpError) as error:
        node.sql("drop table user.t", explain="analyze")
    assert numbers(node, "t") == [0]


def test_limits(tmp_path):
    limits = ["--set", "sql.user_tables_max=2", "--set", "sql.ingest_rows_max=100", "--set", "sql.ingest_bytes_max=100000"]
    with Node(tmp_path / "node", args=limits) as node:
        ingest(node, "a", some(0, 100))
        assert "sql.ingest_rows_max" in refused(node, "b", some(0, 101)) or "limit is 100" in refused(node, "b", some(0, 101))
        assert "sql.ingest_bytes_max" in refused(node, "b", pa.table({"t": ["x" * 60_000] * 2}))
        ingest(node, "b", some(0, 1))
        assert "sql.user_tables_max is 2" in refused(node, "c", some(0, 1))
        node.sql("drop table user.a")
        ingest(node, "c", some(0, 1))
        assert names(node) == ["b", "c"]


def test_dropped_over_every_protocol(node):
    for name in ["a", "b", "c", "d"]:
        ingest(node, name, some(0, 3))
    assert node.sql("drop table user.a") == [{"dropped": "a"}]
    gone(node, "a")
    with connect(node) as connection, connection.cursor() as cursor:
        cursor.execute("drop table user.b")
    with psycopg.connect(host="127.0.0.1", port=node.ports["postgres"], dbname="telelake", autocommit=True) as session:
        assert session.execute("select count(*) from user.c").fetchall() == [(3,)]
        session.execute("drop table user.c")
        session.execute("drop table if exists user.c")
        with pytest.raises(psycopg.Error, match="there is no table user.c"):
            session.execute("drop table user.c")
    assert names(node) == ["d"]
    ingest(node, "a", some(7, 1))
    assert numbers(node, "a") == [7], "a new one, not the old one"


def test_catalogs_list_them(node, jvm):
    """What psql, DBeaver, Metabase and Grafana ask the catalog; of this tenant, and as long as the table is there."""
    def session(tenant):
        return psycopg.connect(host="127.0.0.1", port=node.ports["postgres"], dbname=tenant, autocommit=True)

    def listed(connection):
        return [row[0] for row in connection.execute("select table_name from information_schema.tables where table_schema = 'user' order by 1")]

    with session("team-a") as a, session("team-b") as b:
        assert listed(a) == []
        ingest(node, "owners", some(0, 2), tenant="team-a")
        ingest(node, "other", some(0, 2), tenant="team-b")
        assert listed(a) == ["owners"] and listed(b) == ["other"], "in sessions that were there before"
        columns = "select column_name, data_type, ordinal_position from information_schema.columns where table_schema = 'user' order by 3"
        assert a.execute(columns).fetchall() == [("n", "bigint", 1), ("team", "text", 2)]
        in_catalog = """select n.nspname, c.relname, c.relkind, a.attname, t.typname from pg_class c join pg_namespace n on n.oid = c.relnamespace
            join pg_attribute a on a.attrelid = c.oid join pg_type t on t.oid = a.atttypid where n.nspname = 'user' order by a.attnum"""
        assert a.execute(in_catalog).fetchall() == [("user", "owners", "r", "n", "int8"), ("user", "owners", "r", "team", "text")]
        assert a.execute("select tablename from pg_tables where schemaname = 'user'").fetchall() == [("owners",)]
        (oid,) = a.execute("select 'user.owners'::regclass::oid").fetchone()
        ingest(node, "a_new_one", some(0, 1), tenant="team-a")
        assert a.execute("select 'user.owners'::regclass::oid").fetchone() == (oid,), "whatever else comes"
        assert listed(a) == ["a_new_one", "owners"] and listed(b) == ["other"]
        # Grafana's builder.
        quoted = "SELECT quote_ident(column_name) AS \"column\", data_type AS \"type\" FROM information_schema.columns WHERE quote_ident(table_name) = 'owners'"
        assert [row[0] for row in a.execute(quoted)] == ["n", "team"]
        assert re.search(r"user +\| owners", psql(node, r"\dt user.*", database="team-a"))
        described = psql(node, r"\d user.owners", database="team-a")
        assert 'Table "user.owners"' in described and "bigint" in described, described
        assert 'Table "user.owners"' in psql(node, r"\d+ user.owners", database="team-a")
        node.sql("drop table user.owners", "team-a")
        assert listed(a) == ["a_new_one"] and a.execute("select count(*) from pg_class where relname = 'owners'").fetchone() == (0,)
    manager, properties = jvm
    options = properties()
    options.put("user", "dbeaver")
    connection = manager.getConnection(f"jdbc:postgresql://127.0.0.1:{node.ports['postgres']}/team-b", options)
    about = connection.getMetaData()
    tables, found = about.getTables(None, "user", "%", None), []
    while tables.next():
        found.append((tables.getString("TABLE_NAME"), tables.getString("TABLE_TYPE")))
    assert found == [("other", "TABLE")]
    columns, found = about.getColumns(None, "user", "other", "%"), []
    while columns.next():
        found.append((columns.getString("COLUMN_NAME"), columns.getString("TYPE_NAME")))
    assert found == [("n", "int8"), ("team", "text")]
    connection.close()
    with connect(node, "team-b") as connection:
        objects = connection.adbc_get_objects(depth="columns", db_schema_filter="user").read_all().to_pylist()
    tables = [table for catalog in objects for schema in catalog["catalog_db_schemas"] for table in schema["db_schema_tables"]]
    assert [(table["table_name"], [c["column_name"] for c in table["table_columns"]]) for table in tables] == [("other", ["n", "team"])]


def test_tenants_have_their_own(node):
    ingest(node, "t", some(0, 2), tenant="team-a")
    ingest(node, "t", some(5, 1), tenant="team-b")
    assert numbers(node, "t", "team-a") == [0, 1] and numbers(node, "t", "team-b") == [5]
    gone(node, "t")
    with pytest.raises(HttpError):
        node.sql("drop table user.t")
    node.sql("drop table user.t", "team-a")
    assert numbers(node, "t", "team-b") == [5]
    gone(node, "t", "team-a")


def test_a_million_rows_at_once_survive(make_node):
    node = make_node()
    node.start()
    table = pa.table({"n": pa.array(range(ROWS), pa.int64()), "x": pa.array([n / 3 for n in range(ROWS)]),
                      "t": pa.array([f"row {n % 1000}" for n in range(ROWS)])})
    started = time.monotonic()
    # The driver sends messages of up to 16 MiB.
    assert ingest(node, "big", table.to_reader(max_chunksize=200_000)) == ROWS
    print(f"{ROWS} rows in {time.monotonic() - started:.2f} s")
    question = "select count(*) as n, sum(n) as s, count(distinct t) as d from user.big"
    expected = [{"n": ROWS, "s": ROWS * (ROWS - 1) // 2, "d": 1000}]
    assert node.sql(question) == expected
    node.kill()
    node.start()
    assert node.sql(question) == expected
    node.admin("compact")
    node.admin("retention")
    node.admin("gc")
    assert node.sql(question) == expected
    assert node.stop() == 0
    node.start()
    assert node.sql(question) == expected
    assert node.sql("select sum(rows) as n from system.files where \"table\" = 'user'") == [{"n": ROWS}]


@pytest.mark.parametrize("at", ["ingest::after_upload:1", "commit::before_put:2", "commit::after_put:2", "any"])
def test_killed_in_the_middle(tmp_path, at):
    """All of an ingestion is there afterwards, or nothing; and what was acknowledged is."""
    # The first commit of a node is the fence of its log.
    env = {} if at == "any" else {"TELELAKE_CRASH_AT": at}
    node = Node(tmp_path / "node", args=["--set", "query.log=false"], env=env)
    node.start()
    acknowledged = 0
    try:
        if at == "any":
            killer = threading.Timer(0.7, node.process.kill)
            killer.start()
        for n in range(1000):
            ingest(node, "t", some(n * 1000, 1000), "create_append")
            acknowledged += 1
    except Exception:
        pass
    else:
        pytest.fail("the node was not killed")
    node.kill()
    node.env.pop("TELELAKE_CRASH_AT", None)
    node.start()
    found = numbers(node, "t") if "t" in names(node) else []
    assert len(found) % 1000 == 0 and found == list(range(len(found)))
    assert acknowledged <= len(found) // 1000 <= acknowledged + 1, (acknowledged, len(found))
    # The node goes on, and nothing is wrong with what is there.
    ingest(node, "t", some(len(found), 1000), "create_append")
    assert len(numbers(node, "t")) == len(found) + 1000
    assert node.stop() == 0
    import subprocess
    checked = subprocess.run([BIN, "check", "--data", str(tmp_path / "node"), "--deep"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_who_adds_at_the_same_time(node):
    ingest(node, "t", some(100, 1))
    failures = []

    def add(first):
        try:
            for n in range(first, first + 5):
                ingest(node, "t", some(n, 1), "append")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=add, args=(first * 5,)) for first in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not failures and numbers(node, "t") == [*range(20), 100]
