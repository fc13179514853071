"""Postgres' wire protocol with the clients that people have: psql, psycopg, asyncpg, pg8000; and what Grafana, Metabase and DBeaver ask."""

import asyncio
import datetime
import hashlib
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import threading
import time

import asyncpg
import pg8000.native
import psycopg
import pytest

import payload
from node import Node, http

TOKEN = "postgres-secret"
ROWS = 1_000_000
SLOW = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b WHERE a.value * b.value % 7 = 3"


def send(node, body, path, **headers):
    http("POST", node.url("otlp-http", path), body, {**payload.PROTOBUF, **headers})


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A node with a hundred log lines, spans and samples."""
    with Node(tmp_path_factory.mktemp("postgres") / "node") as node:
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
        send(node, payload.logs(0, 10), "/v1/logs", **{"Authorization": f"Bearer {TOKEN}", "X-Scope-OrgID": "team-a"})
        yield node


def connect(node, **options):
    options = {"dbname": "telelake", "user": "grafana", "autocommit": True, **options}
    return psycopg.connect(host="127.0.0.1", port=node.ports["postgres"], **options)


def psql(node, *commands, database="telelake", host="127.0.0.1", **environment):
    folder = os.environ.get("TELELAKE_PSQL_DIR")
    program = f"{folder}/bin/psql" if folder else shutil.which("psql")
    if not program:
        pytest.skip("NO PSQL: set TELELAKE_PSQL_DIR or install postgresql-client")
    if folder:
        # Debian's name is a wrapper for several versions; the libraries lie beside it.
        environment["LD_LIBRARY_PATH"] = f"{folder}/lib/{os.uname().machine}-linux-gnu"
    command = [program, "-X", "-h", host, "-p", str(node.ports["postgres"]), "-U", "grafana", "-d", database, "-v", "ON_ERROR_STOP=1"]
    for one in commands:
        command += ["-c", one]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_psql_describes(shop):
    tables = psql(shop, r"\dt")
    assert "public | logs" in tables and "public | spans" in tables and "pg_class" not in tables, tables
    metrics = psql(shop, r"\d metrics")
    assert 'Table "public.metrics"' in metrics and "double precision" in metrics and "timestamp with time zone" in metrics, metrics
    assert "public | logs" in psql(shop, r"\d")
    assert "telelake" in psql(shop, r"\l")
    schemas = psql(shop, r"\dn")
    assert "public" in schemas and "system" in schemas, schemas
    assert "telelake" in psql(shop, r"\conninfo")
    described = psql(shop, r"\d+ logs")
    assert "timestamp with time zone" in described and "Storage" in described, described
    assert "Size" in psql(shop, r"\dt+") and "Size" in psql(shop, r"\l+") and "Access privileges" in psql(shop, r"\dn+")
    assert "grafana" in psql(shop, r"\du") and re.search(r"public +\| logs", psql(shop, r"\dp"))
    assert 'View "information_schema.tables"' in psql(shop, r"\d information_schema.tables")


# Every command of psql 15 that asks the server, most of them about things that there are none of.
COMMANDS = r"""
\d|\d+ logs|\dS|\dt|\dt+|\dt *.*|\dtS|\dti public.*|\dtv+ public.*|\dv|\dv+|\dm|\dE|\di|\di+|\ds|\dn|\dn+|\dn user|\l|\l+|\du|\du+|\dg|\dg+ *
\dp|\z|\dp user.*|\df|\df+|\df pg_catalog.version|\dfS|\dT|\dT+|\dTS|\da|\dA|\dAc|\dAf|\dAo|\db|\db+|\dc|\dc+|\dC|\dd|\dD|\ddp|\des|\deu|\dew|\det
\dF|\dFd|\dFp|\dFt|\dl|\dL|\dL+|\do|\do pg_catalog.=|\dO|\dP|\drds|\dRp|\dRs|\dx|\dX|\dy|\dconfig|\dconfig *time*|\sf now|\d pg_catalog.pg_class|\d lo*|\conninfo|\encoding
"""


@pytest.mark.parametrize("command", COMMANDS.strip().replace("\n", "|").split("|"))
def test_psql_commands_are_answered(shop, command):
    psql(shop, command)


# What psql 15 asks when somebody presses the tabulator behind `SELECT * FROM us`, `\d lo`, `SET st`, `GRANT SELECT ON` and their like.
COMPLETED = {
    "SELECT * FROM lo": ("SELECT pg_catalog.quote_ident(c.relname), NULL::pg_catalog.text FROM pg_catalog.pg_class c WHERE c.relkind IN ('r', 'S', 'v', "
                         "'m', 'f', 'p') AND (pg_catalog.quote_ident(c.relname)) LIKE 'lo%' AND pg_catalog.pg_table_is_visible(c.oid) AND c.relnamespace <> "
                         "(SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'pg_catalog') UNION ALL SELECT NULL::pg_catalog.text, "
                         "pg_catalog.quote_ident(n.nspname) || '.' FROM pg_catalog.pg_namespace n WHERE (pg_catalog.quote_ident(n.nspname) || '.') LIKE 'lo%' "
                         "AND n.nspname NOT LIKE E'pg\\\\_%' LIMIT 1000", "logs"),
    "SELECT * FROM user.": ("SELECT pg_catalog.quote_ident(c.relname), pg_catalog.quote_ident(n.nspname) FROM pg_catalog.pg_class c, pg_catalog.pg_namespace n "
                            "WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'v') AND (pg_catalog.quote_ident(c.relname)) LIKE '%' AND n.nspname = 'public'",
                            "logs"),
    "SELECT bo": ("SELECT pg_catalog.quote_ident(a.attname), NULL::pg_catalog.text FROM pg_catalog.pg_attribute a, pg_catalog.pg_class c WHERE c.oid = a.attrelid "
                  "AND a.attnum > 0 AND NOT a.attisdropped AND (pg_catalog.quote_ident(a.attname)) LIKE 'bo%' AND (c.relname) = 'logs' AND "
                  "pg_catalog.pg_table_is_visible(c.oid) LIMIT 1000", "body"),
    "SET st": ("SELECT pg_catalog.lower(name) FROM pg_catalog.pg_settings WHERE context IN ('user', 'superuser') AND pg_catalog.lower(name) LIKE "
               "pg_catalog.lower('statement%') LIMIT 1000", "statement_timeout"),
    r"\c te": ("SELECT pg_catalog.quote_ident(datname) FROM pg_catalog.pg_database WHERE (pg_catalog.quote_ident(datname)) LIKE 'te%' LIMIT 1000", "telelake"),
    r"\dn u": ("SELECT pg_catalog.quote_ident(n.nspname), NULL::pg_catalog.text FROM pg_catalog.pg_namespace n WHERE (pg_catalog.quote_ident(n.nspname)) LIKE "
               "'us%' LIMIT 1000", "usage"),
    r"\du g": ("SELECT pg_catalog.quote_ident(rolname) FROM pg_catalog.pg_roles WHERE (pg_catalog.quote_ident(rolname)) LIKE 'gr%' LIMIT 1000", "grafana"),
    r"\dT t": ("SELECT pg_catalog.format_type(t.oid, NULL), NULL::pg_catalog.text FROM pg_catalog.pg_type t WHERE (t.typrelid = 0 OR (SELECT c.relkind = 'c' FROM "
               "pg_catalog.pg_class c WHERE c.oid = t.typrelid)) AND t.typname !~ '^_' AND (pg_catalog.format_type(t.oid, NULL)) LIKE 'dat%' AND "
               "pg_catalog.pg_type_is_visible(t.oid) LIMIT 1000", "date"),
    r"\df ve": ("SELECT pg_catalog.quote_ident(p.proname), NULL::pg_catalog.text FROM pg_catalog.pg_proc p WHERE p.prokind IN ('f', 'w') AND "
                "(pg_catalog.quote_ident(p.proname)) LIKE 'versi%' AND pg_catalog.pg_function_is_visible(p.oid) LIMIT 1000", "version"),
}


@pytest.mark.parametrize("typed", COMPLETED)
def test_psql_completes(shop, typed):
    asked, expected = COMPLETED[typed]
    with connect(shop) as connection:
        assert expected in [row[0] for row in connection.execute(asked).fetchall()]


def test_psql_selects(shop):
    assert psql(shop, "SELECT count(*) AS n FROM logs") == "  n  \n-----\n 100\n(1 row)\n\n"
    out = psql(shop, "BEGIN", "SELECT 1", "COMMIT", "SHOW statement_timeout", "SET statement_timeout = '5s'", "SHOW statement_timeout")
    assert "BEGIN" in out and "COMMIT" in out and "5s" in out
    several = psql(shop, "SELECT 1 AS a; SELECT 2 AS b")
    assert " a \n" in several and " b \n" in several
    assert "shop" in psql(shop, "SELECT * FROM logs LIMIT 1", "SELECT * FROM spans LIMIT 1")


def test_psycopg_simple_extended_binary(shop):
    with connect(shop) as connection:
        assert connection.info.server_version == 160006
        assert connection.execute("SELECT count(*) FROM logs").fetchone() == (100,)
        query = "SELECT body FROM logs WHERE service = %s AND body LIKE %s ORDER BY ts LIMIT %s"
        expected = [(f"order {n} shipped",) for n in range(3)]
        assert connection.execute(query, ("shop", "order%", 3)).fetchall() == expected
        assert connection.execute(query, ("shop", "order%", 3), binary=True).fetchall() == expected
        assert connection.execute("SELECT %s + 1, %s::float8, %s::text, %s", (1, 2.5, "x", True)).fetchone() == (2, 2.5, "x", True)
        for binary in [False, True]:
            row = connection.execute("SELECT 1::smallint, 2::int, 3::bigint, 0.5::float8, 'é', true, NULL, DATE '2026-01-02', "
                                     "TIMESTAMP '2026-01-02 03:04:05.006', ARRAY[1, 2]", binary=binary).fetchone()
            assert row == (1, 2, 3, 0.5, "é", True, None, datetime.date(2026, 1, 2), datetime.datetime(2026, 1, 2, 3, 4, 5, 6000), [1, 2])
            ts, attributes = connection.execute("SELECT ts, labels FROM logs ORDER BY ts LIMIT 1", binary=binary).fetchone()
            assert ts.tzinfo is not None and ts.utcoffset() == datetime.timedelta(0)
            assert json.loads(attributes)["service_name"] == "shop", attributes
        since = datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone.utc)
        assert connection.execute("SELECT count(*) FROM logs WHERE ts > %s", (since,)).fetchone() == (100,)
        assert connection.execute("").rowcount == -1  # how a pool asks whether we are there
        with connection.pipeline():
            first, second = connection.execute("SELECT 1"), connection.execute("SELECT %s", (2,))
            assert first.fetchone() == (1,) and second.fetchone() == (2,)
        # The same statement, again and again: psycopg prepares it on the server and closes it.
        for n in range(20):
            assert connection.execute("SELECT %s::int + 1", (n,), prepare=True).fetchone() == (n + 1,)
        connection.execute("DEALLOCATE ALL")


def test_transactions_are_a_state(shop):
    with connect(shop, autocommit=False) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM nothing")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute("SELECT 1")
        connection.rollback()
        assert connection.execute("SELECT 1").fetchone() == (1,)
        connection.commit()


@pytest.mark.parametrize("text, state", [
    ("SELEC 1", "42601"), ("SELECT 'a", "42601"), ("SELECT * FROM nowhere", "42P01"), ("SELECT nothing FROM logs", "42703"),
    ("INSERT INTO logs VALUES (1)", "25006"), ("DROP TABLE logs", "25006"), ("CREATE TABLE t (a int)", "25006"), ("DELETE FROM logs", "25006"),
    ("COPY logs TO STDOUT", "25006"), ("COPY logs FROM STDIN", "25006"), ("SHOW nothing", "42704"), ("SET server_version = '9'", "55P02"),
    ("SELECT " + "1 + " * 1000 + "1", "54001"),
])
def test_errors_have_states(shop, text, state):
    with connect(shop) as connection:
        for parameters in [None, ()]:
            with pytest.raises(psycopg.Error) as error:
                connection.execute(text, parameters, prepare=parameters is not None)
            assert error.value.sqlstate == state, error.value
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_statements_time_out_and_are_cancelled(shop):
    with connect(shop, options="-c statement_timeout=300ms") as connection:
        begun = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled, match="statement timeout"):
            connection.execute(SLOW)
        assert time.monotonic() - begun < 5
    with connect(shop) as connection:
        for prepare in [False, True]:
            timer = threading.Timer(0.5, connection.cancel)
            timer.start()
            begun = time.monotonic()
            with pytest.raises(psycopg.errors.QueryCanceled, match="user request"):
                connection.execute(SLOW, prepare=prepare)
            assert time.monotonic() - begun < 5
            timer.join()
        assert connection.execute("SELECT 1").fetchone() == (1,)



def test_a_client_that_goes_away_ends_its_query(shop):
    connection = connect(shop)
    raw = socket.socket(fileno=os.dup(connection.fileno()))
    thread = threading.Thread(target=lambda: pytest.raises(psycopg.Error, connection.execute, SLOW))
    thread.start()
    time.sleep(0.5)
    raw.shutdown(socket.SHUT_RDWR)
    thread.join()
    # Sixteen at once is the limit of a tenant: if they stayed, the next would wait for its turn in vain.
    with connect(shop) as other:
        assert other.execute("SELECT 1").fetchone() == (1,)


def test_a_big_answer_is_streamed(shop):
    before = shop.rss_bytes()
    with connect(shop) as connection:
        with connection.cursor() as cursor:
            total = 0
            for (n, _) in cursor.stream(f"SELECT value, repeat('x', 100) FROM generate_series(1, {ROWS})"):
                total += n
            assert total == ROWS * (ROWS + 1) // 2
    assert shop.rss_bytes() - before < 200 << 20


def test_asyncpg_portals_and_pools(shop):
    async def ask():
        pool = await asyncpg.create_pool(host="127.0.0.1", port=shop.ports["postgres"], user="grafana", database="telelake", min_size=1, max_size=3)
        async with pool.acquire() as connection:
            assert await connection.fetchval("SELECT count(*) FROM logs WHERE service = $1", "shop") == 100
            async with connection.transaction(readonly=True):
                rows = [row["value"] async for row in connection.cursor("SELECT value FROM generate_series(1, 1000)", prefetch=70)]
            assert rows == list(range(1, 1001))
            prepared = await connection.prepare("SELECT $1::bigint * 2")
            assert [await prepared.fetchval(n) for n in range(5)] == [0, 2, 4, 6, 8]
            with pytest.raises(asyncpg.exceptions.QueryCanceledError):
                await connection.execute("SET statement_timeout = 200")
                await connection.fetch(SLOW)
        async with pool.acquire() as connection:  # reset between the two
            assert await connection.fetchval("SHOW statement_timeout") == "0"
        await pool.close()
    asyncio.run(ask())


def test_pg8000(shop):
    connection = pg8000.native.Connection("grafana", host="127.0.0.1", port=shop.ports["postgres"], database="telelake")
    assert connection.run("SELECT count(*) FROM spans WHERE kind <> :kind", kind="none") == [[100]]
    connection.close()


def test_passwords_are_tokens_and_databases_tenants(guarded):
    with connect(guarded, dbname="team-a", password=TOKEN) as connection:
        assert connection.execute("SELECT count(*), current_database() FROM logs GROUP BY 2").fetchone() == (10, "team-a")
    with connect(guarded, dbname="team-b", password=TOKEN) as connection:
        assert connection.execute("SELECT count(*) FROM logs").fetchone() == (0,)
    assert "team-a" in psql(guarded, r"\l", database="team-a", PGPASSWORD=TOKEN)
    for options in [{"dbname": "team-a", "password": "wrong"}, {"dbname": "team-c", "password": TOKEN}, {"dbname": "telelake", "password": TOKEN}]:
        with pytest.raises(psycopg.OperationalError):
            connect(guarded, **options)
    with pytest.raises(psycopg.OperationalError):
        connect(guarded, dbname="a/b", password=TOKEN)


def test_hostile_bytes(shop):
    startup = struct.pack("!ii", 0, 196608) + b"user\0x\0database\0telelake\0\0"
    startup = struct.pack("!i", len(startup)) + startup[4:]
    for bytes_, told in [(b"GET / HTTP/1.1\r\n\r\n", b""), (struct.pack("!i", 1 << 30) + b"x" * 8, b"limit is 10000"), (b"\x16\x03\x01" + b"x" * 9, b""),
                         (startup + b"Q" + struct.pack("!i", 1 << 29), b"limit is "), (startup + b"\xff" + struct.pack("!i", 4), b"")]:
        with socket.create_connection(("127.0.0.1", shop.ports["postgres"]), timeout=30) as raw:
            raw.sendall(bytes_)
            answer = b""
            try:
                while more := raw.recv(65536):
                    answer += more
            except ConnectionError:
                pass
            assert told in answer, answer
    # Formats for columns that are not there.
    with connect(shop) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


# What tools ask when they connect, in their words where those matter: the shape of the catalog, casts to regclass, arrays, operators.
ASKED = {
    "grafana": [
        "SELECT current_setting('server_version_num')::int/100 as version",
        "SELECT quote_ident(table_name) AS \"table\" FROM information_schema.tables WHERE quote_ident(table_schema) NOT IN "
        "('information_schema', 'pg_catalog') ORDER BY 1",
        "SELECT quote_ident(column_name) AS \"column\", data_type AS \"type\" FROM information_schema.columns WHERE "
        "quote_ident(table_name) = 'logs'",
        "SELECT extract(epoch from ts) AS time, count(*) FROM logs WHERE ts BETWEEN '2000-01-01T00:00:00Z' AND '2100-01-01T00:00:00Z' "
        "GROUP BY 1 ORDER BY 1",
    ],
    "metabase": [
        "SET extra_float_digits = 2",
        "SET application_name = 'Metabase'",
        "SHOW TRANSACTION ISOLATION LEVEL",
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
        "SELECT nspname AS \"TABLE_SCHEM\", current_database() AS \"TABLE_CATALOG\" FROM pg_catalog.pg_namespace WHERE nspname <> 'pg_toast' "
        "AND (nspname !~ '^pg_temp_' OR nspname = (pg_catalog.current_schemas(true))[1]) ORDER BY \"TABLE_SCHEM\"",
        "SELECT n.nspname AS schema, c.relname AS name, CASE c.relkind WHEN 'r' THEN 'TABLE' ELSE NULL END AS type, d.description FROM "
        "pg_catalog.pg_class c INNER JOIN pg_catalog.pg_namespace n ON c.relnamespace = n.oid LEFT JOIN pg_catalog.pg_description d ON "
        "(c.oid = d.objoid) AND (d.objsubid = 0) AND (d.classoid = 'pg_class'::regclass) WHERE n.nspname !~ '^pg_' AND n.nspname <> "
        "'information_schema' AND c.relkind IN ('r', 'p', 'v', 'f', 'm') ORDER BY 1, 2",
        "show timezone",
    ],
    "dbeaver": [
        "SET extra_float_digits = 3",
        "SELECT current_schema(), session_user",
        "SELECT n.oid, n.*, d.description FROM pg_catalog.pg_namespace n LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid = n.oid AND "
        "d.objsubid = 0 AND d.classoid = 'pg_namespace'::regclass ORDER BY nspname",
        "SELECT db.oid, db.* FROM pg_catalog.pg_database db WHERE datname = 'telelake'",
        "select * from pg_catalog.pg_settings where name = 'standard_conforming_strings'",
        "select string_agg(word, ',') from pg_catalog.pg_get_keywords() where word <> ALL ('{a,abs,absolute}'::text[])",
        "SELECT version()",
        "SELECT c.oid, c.*, d.description, pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS partition_expr FROM pg_catalog.pg_class c LEFT OUTER "
        "JOIN pg_catalog.pg_description d ON d.objoid = c.oid AND d.objsubid = 0 WHERE c.relkind NOT IN ('i', 'I', 'c')",
        "SELECT c.relname, a.*, pg_catalog.pg_get_expr(ad.adbin, ad.adrelid, true) AS def_value, dsc.description FROM pg_catalog.pg_attribute a "
        "INNER JOIN pg_catalog.pg_class c ON (a.attrelid = c.oid) LEFT OUTER JOIN pg_catalog.pg_attrdef ad ON (a.attrelid = ad.adrelid AND "
        "a.attnum = ad.adnum) LEFT OUTER JOIN pg_catalog.pg_description dsc ON (c.oid = dsc.objoid AND a.attnum = dsc.objsubid) WHERE NOT "
        "a.attisdropped AND c.relname = 'logs' ORDER BY a.attnum",
        "SELECT t.oid, t.*, c.relkind, format_type(nullif(t.typbasetype, 0), t.typtypmod) AS base_type_name FROM pg_catalog.pg_type t LEFT "
        "OUTER JOIN pg_catalog.pg_class c ON c.oid = t.typrelid WHERE t.typname IS NOT NULL LIMIT 10",
    ],
    "jdbc": [
        "SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, c.relname AS TABLE_NAME FROM pg_catalog.pg_namespace n, pg_catalog.pg_class c WHERE "
        "c.relnamespace = n.oid AND n.nspname LIKE 'public' AND c.relname LIKE '%' ORDER BY 2, 3",
        "SELECT pg_catalog.set_config('search_path', '', false)",
        "SELECT pg_is_in_recovery()",
    ],
}


@pytest.mark.parametrize("tool, text", [(tool, text) for tool, texts in ASKED.items() for text in texts])
def test_what_tools_ask(shop, tool, text):
    with connect(shop) as connection:
        connection.execute(text)


def test_oids_are_the_same_for_every_session(shop):
    def oid(first):
        with connect(shop) as connection:
            connection.execute(first)
            return connection.execute("SELECT 'logs'::regclass::oid").fetchone()
    assert oid("SELECT * FROM pg_attribute") == oid("SELECT * FROM pg_database") == oid("SELECT * FROM pg_namespace")


def test_a_stop_ends_idle_sessions(tmp_path):
    with Node(tmp_path / "node") as node:
        with connect(node) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            begun = time.monotonic()
            assert node.stop() == 0
            assert time.monotonic() - begun < 20
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")


def test_cursors(shop):
    with connect(shop, autocommit=False) as connection:
        # psycopg's cursors with a name are cursors of the server: DECLARE with values, FETCH by parts, CLOSE.
        with connection.cursor(name="reading") as cursor:
            cursor.itersize = 7
            cursor.execute("SELECT seq, body FROM logs WHERE body <> %s ORDER BY seq", ("order 5 shipped",))
            assert [column.name for column in cursor.description] == ["seq", "body"]
            assert cursor.fetchmany(3)[2][1] == "order 2 shipped"
            assert [body for _, body in cursor] == [f"order {n} shipped" for n in range(3, 100) if n != 5]
        with connection.cursor() as plain:
            plain.execute("DECLARE c NO SCROLL CURSOR FOR SELECT body FROM logs ORDER BY seq")
            assert plain.execute("FETCH 2 FROM c").fetchall() == [("order 0 shipped",), ("order 1 shipped",)]
            assert plain.statusmessage == "FETCH 2"
            assert plain.execute("FETCH NEXT FROM c").fetchall() == [("order 2 shipped",)]
            assert len(plain.execute("FETCH ALL FROM c").fetchall()) == 97 and plain.execute("FETCH ALL FROM c").fetchall() == []
            plain.execute("CLOSE c")
        connection.commit()

    def refused(sql, state, *before, **options):
        with connect(shop, **options) as connection:
            for statement in before:
                connection.execute(statement)
            with pytest.raises(psycopg.Error) as error:
                connection.execute(sql)
            assert error.value.sqlstate == state, error.value

    declare = "DECLARE c CURSOR FOR SELECT 1"
    refused("FETCH 1 FROM nobody", "34000")
    refused(declare, "25P01")
    refused(declare, "42P03", declare, autocommit=False)
    refused("FETCH BACKWARD 1 FROM c", "55000", declare, autocommit=False)
    refused("FETCH 1 FROM c", "34000", "BEGIN", declare, "COMMIT")  # it ended with its transaction
    refused("DECLARE c CURSOR FOR DELETE FROM logs", "25006", autocommit=False)
    with connect(shop) as connection:
        connection.execute("BEGIN")
        connection.execute("DECLARE kept CURSOR WITH HOLD FOR SELECT 7 AS n")
        connection.execute("COMMIT")
        assert connection.execute("FETCH ALL FROM kept").fetchall() == [(7,)]
        connection.execute("CLOSE ALL")
    assert "order 0 shipped" in psql(shop, "BEGIN; DECLARE c CURSOR FOR SELECT body FROM logs ORDER BY seq; FETCH 1 FROM c; COMMIT")
