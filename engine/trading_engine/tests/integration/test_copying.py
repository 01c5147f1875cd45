"""What the copier of a move to another shard brings over, and what it calls equal."""

from __future__ import annotations

import io
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from trading_engine.moving.copying import HOT, SUMS, Copier, CopyJob, Pace
from trading_engine.spares import Connection
from trading_engine.tests.integration.postgres_server import PASSWORD, PostgresServer

ORDERS = next(table for table in HOT if table.name == "open_orders")
SCHEMA = "CREATE TEMPORARY TABLE open_orders (symbol text, order_id bigint, price bigint)"


@pytest.fixture
def shards(postgres: PostgresServer) -> Iterator[tuple[Connection, Connection]]:
    """Two sessions, each with an empty table of its own."""
    host, port = postgres.address.rsplit(":", 1)
    info = f"host={host} port={port} user=postgres password={PASSWORD} dbname=postgres"
    with (
        psycopg.connect(info, autocommit=True) as source,
        psycopg.connect(info, autocommit=True) as target,
    ):
        for each in (source, target):
            each.execute(SCHEMA)
        yield source, target


def copier(source: Connection, target: Connection) -> Copier:
    """One that is told nothing."""
    job = CopyJob("", "", "", ((1, "A", "B"),))
    pace = Pace.__new__(Pace)  # without its listener, which ends the process with its parent
    return Copier(job, source, target, pace)


def test_a_job_is_told_in_a_line() -> None:
    job = CopyJob("host=a", "host=b", "move", ((1, "", "M"), (2, "M\n", "~")))
    assert "\n" not in job.line()
    assert CopyJob.of(io.StringIO(job.line() + "\n1.0\n").readline()) == job


def test_rows_are_copied_in_parts(shards: tuple[Connection, Connection]) -> None:
    source, target = shards
    source.execute("INSERT INTO open_orders SELECT 'A', n, n % 7 FROM generate_series(1, 20000) n")
    copier(source, target)._copy(ORDERS, sql.Composed([sql.SQL("order_id > 3")]))
    query = "SELECT count(*), min(order_id), sum(price) FROM open_orders WHERE order_id > 3"
    assert target.execute(query).fetchall() == source.execute(query).fetchall()
    assert target.execute("SELECT min(order_id) FROM open_orders").fetchone() == (4,)


def test_a_copy_of_which_the_source_breaks_off_leaves_nothing(
    shards: tuple[Connection, Connection],
) -> None:
    source, target = shards
    source.execute("INSERT INTO open_orders SELECT 'A', n, n FROM generate_series(1, 20000) n")
    breaks = sql.Composed([sql.SQL("1 / (order_id - 19000) < 2")])
    with pytest.raises(psycopg.Error, match="division by zero"):
        copier(source, target)._copy(ORDERS, breaks)
    assert target.execute("SELECT count(*) FROM open_orders").fetchone() == (0,)
    assert source.execute("SELECT 1").fetchone() == (1,)


def test_what_the_target_refuses_is_told(shards: tuple[Connection, Connection]) -> None:
    source, target = shards
    source.execute("INSERT INTO open_orders VALUES ('A', 1, 1), ('A', 1, 1)")
    target.execute("CREATE UNIQUE INDEX ON open_orders (order_id)")
    with pytest.raises(psycopg.Error, match="duplicate key"):
        copier(source, target)._copy(ORDERS, sql.Composed([sql.SQL("true")]))
    assert target.execute("SELECT count(*) FROM open_orders").fetchone() == (0,)


@pytest.mark.parametrize(
    "other",
    [
        "('A', 1, 11), ('A', 2, 10)",  # prices of two rows are exchanged
        "('A', 10, 1), ('A', 11, 2)",  # columns are exchanged
        "('B', 1, 10), ('A', 2, 11)",
        "('A', 1, NULL), ('A', 2, 11)",
        "('A', 2, 11), ('A', 2, 11)",
    ],
)
def test_sums_tell_other_rows_and_not_another_order(
    shards: tuple[Connection, Connection], other: str
) -> None:
    source, target = shards
    source.execute("INSERT INTO open_orders VALUES ('A', 1, 10), ('A', 2, 11)")
    target.execute("INSERT INTO open_orders VALUES ('A', 2, 11), ('A', 1, 10)")
    query = f"SELECT {SUMS} FROM open_orders t"
    assert source.execute(query).fetchone() == target.execute(query).fetchone()
    target.execute("TRUNCATE open_orders")
    target.execute(f"INSERT INTO open_orders VALUES {other}")
    assert source.execute(query).fetchone() != target.execute(query).fetchone()
