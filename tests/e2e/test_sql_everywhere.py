"""One statement has one answer, whichever door it comes through; and the answer is what was sent."""

import datetime
import io

import adbc_driver_flightsql.dbapi as flightsql
import psycopg
import pyarrow as pa
import pyarrow.parquet
import pytest

import threesignals
from node import Node, http


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A node that has everything; half of the test asks it before its rows are in files, the other half after."""
    with Node(tmp_path_factory.mktemp("everywhere") / "node") as node:
        threesignals.push(node)
        yield node


def plain(rows):
    """Rows with times in seconds, whatever a client makes of them."""
    def value(v):
        if isinstance(v, str) and v.endswith("Z"):
            v = datetime.datetime.fromisoformat(v)
        return v.timestamp() if isinstance(v, datetime.datetime) else v
    return [tuple(value(v) for v in row) for row in rows]


def over_jsonl(node, text):
    return [tuple(row.values()) for row in node.sql(text)]


def over_http(node, text, format_):
    return http("POST", node.url("gateway", f"/api/v1/sql?format={format_}"), text.encode(), {"Content-Type": "text/plain"})[1]


def over_arrow(node, text):
    table = pa.ipc.open_stream(over_http(node, text, "arrow")).read_all()
    return list(zip(*(column.to_pylist() for column in table.columns)))


def over_parquet(node, text):
    table = pa.parquet.read_table(io.BytesIO(over_http(node, text, "parquet")))
    return list(zip(*(column.to_pylist() for column in table.columns)))


def over_flight(node, text):
    with flightsql.connect(f"grpc://127.0.0.1:{node.ports['flight']}", autocommit=True) as lake, lake.cursor() as cursor:
        cursor.execute(text)
        return cursor.fetchall()


def over_postgres(node, text, **options):
    with psycopg.connect(host="127.0.0.1", port=node.ports["postgres"], dbname="telelake", user="x", autocommit=True) as connection:
        return connection.execute(text, **options).fetchall()


def over_postgres_prepared(node, text):
    return over_postgres(node, text, prepare=True, binary=True)


DOORS = [over_jsonl, over_arrow, over_parquet, over_flight, over_postgres, over_postgres_prepared]


@pytest.mark.parametrize("place", ["in memory", "in files"])
def test_three_signals_by_service_and_minute(shop, place):
    if place == "in files":
        shop.admin("flush")
    expected = [tuple(row) for row in threesignals.expected()]
    assert len(expected) == 18 and len({row[2:] for row in expected}) == 18, "every row is another"
    for door in DOORS:
        assert plain(door(shop, threesignals.STATEMENT)) == expected, door.__name__


# Values whose way through a protocol is easily got wrong.
VALUES = """
SELECT * FROM (VALUES
    (1, 0.1::double, 'é', true, TIMESTAMP '2026-01-02T03:04:05.006007Z'),
    (-9223372036854775807, 1e300, '', false, TIMESTAMP '1969-12-31T23:59:59.999999Z'),
    (9223372036854775807, -1.5, 'a''b"c,d;\n\te\\f', NULL, NULL),
    (NULL, 5e-324, NULL, NULL, TIMESTAMP '2200-01-01T00:00:00Z')
) AS t(n, f, s, b, ts)
"""


def test_values_are_the_same_everywhere(shop):
    """`TIMESTAMP '...Z'` has no zone of its own, so it is compared as the text of its moment."""
    def as_text(rows):
        def value(v):
            if isinstance(v, datetime.datetime):
                return v.replace(tzinfo=None).isoformat(timespec="microseconds")
            if isinstance(v, str) and len(v) > 18 and v[10] == "T":
                return datetime.datetime.fromisoformat(v.rstrip("Z")).isoformat(timespec="microseconds")
            return repr(v)
        return [tuple(value(v) for v in row) for row in rows]
    first, *others = [as_text(door(shop, VALUES)) for door in DOORS]
    assert len(first) == 4 and first[2][2] == repr("a'b\"c,d;\n\te\\f") and first[2][1] == "-1.5"
    for door, rows in zip(DOORS[1:], others):
        assert rows == first, door.__name__


def test_refusals_say_the_same_everywhere(shop):
    for text, says in [("DELETE FROM logs", "DELETE is not allowed: this is read-only SQL"),
                       ("SELECT * FROM nowhere", "table 'telelake.public.nowhere' not found"),
                       ("SELECT nothing FROM logs", "nothing"),
                       ("SELECT repeat('x', 2000000000)", "repeat would make 2000000000 bytes of text, the cap is 1048576"),
                       ("SELECT * FROM generate_series(1, 1000000000000)", "generate_series would make 999999999999 rows, the cap is 10000000")]:
        for door in DOORS:
            with pytest.raises(Exception) as refused:
                door(shop, text)
            body = getattr(refused.value, "body", b"").decode()
            assert says in body + str(refused.value), (door.__name__, body, refused.value)
