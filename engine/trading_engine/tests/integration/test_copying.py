"""What the copier of a move to another shard brings over, and what it calls equal."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from trading_engine.moving import copying
from trading_engine.moving.bites import COLD, HOT, Table
from trading_engine.moving.copying import SUMS, Copier, CopyJob, Pace
from trading_engine.moving.row_streams import Spool, write_rows
from trading_engine.spares import Connection
from trading_engine.tests.integration.postgres_server import PASSWORD, PostgresServer

SYMBOLS, ORDERS = HOT
CLOSED, _, LOG = COLD
HISTORY = """CREATE TEMPORARY TABLE closed_orders (symbol text COLLATE "C", account bigint,
  order_id bigint, seq bigint, PRIMARY KEY (symbol, account, order_id))"""
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


EVERYTHING = sql.Composed([sql.SQL("true")])


def copier(source: Connection, target: Connection) -> Copier:
    """One that is told nothing."""
    job = CopyJob("", "", "", ((1, "A", "B"),))
    pace = Pace.__new__(Pace)  # without its listener, which ends the process with its parent
    return Copier(job, source, target, pace)


def copy(source: Connection, target: Connection, condition: sql.Composed) -> None:
    """Open orders, in one go."""
    write_rows(target, ORDERS.name, copier(source, target)._rows(ORDERS, condition))


def bitten(source: Connection, made: Copier, table: Table, end: int | None) -> list[Any]:
    """The keys of all rows that the bites of a slot take, in their order."""
    query = sql.SQL("SELECT {} FROM {} WHERE {}")
    return [
        row
        for condition in made._bites((1, "A", "B"), table, end)
        for row in source.execute(
            query.format(table.columns, sql.Identifier(table.name), condition)
        ).fetchall()
    ]


def test_a_job_is_told_in_a_line() -> None:
    job = CopyJob("host=a", "host=b", "move", ((1, "", "M"), (2, "M\n", "~")))
    assert "\n" not in job.line()
    assert CopyJob.of(io.StringIO(job.line() + "\n1.0\n").readline()) == job


def test_rows_are_copied_in_parts(shards: tuple[Connection, Connection]) -> None:
    source, target = shards
    source.execute("INSERT INTO open_orders SELECT 'A', n, n % 7 FROM generate_series(1, 20000) n")
    copy(source, target, sql.Composed([sql.SQL("order_id > 3")]))
    query = "SELECT count(*), min(order_id), sum(price) FROM open_orders WHERE order_id > 3"
    assert target.execute(query).fetchall() == source.execute(query).fetchall()
    assert target.execute("SELECT min(order_id) FROM open_orders").fetchone() == (4,)


def test_what_was_read_into_the_spool_is_written_as_it_was(
    shards: tuple[Connection, Connection],
) -> None:
    source, target = shards
    source.execute("INSERT INTO open_orders SELECT 'A', n, n % 7 FROM generate_series(1, 20000) n")
    made = copier(source, target)
    few, many = (sql.Composed([sql.SQL(f"order_id {which} 15000")]) for which in ("<", ">="))
    with Spool() as spool:
        bites = [made._spooled(spool, 1, ORDERS, condition) for condition in (few, many)]
        source.execute("UPDATE open_orders SET price = 0")
        for bite in bites:
            write_rows(target, ORDERS.name, spool.take(bite.size))
    for bite in bites:
        query = sql.SQL(f"SELECT {SUMS} FROM open_orders t WHERE {{}}").format(bite.condition)
        assert target.execute(query).fetchone() == bite.sums
    assert target.execute("SELECT count(*) FROM open_orders").fetchone() == (20000,)


def test_a_copy_of_which_the_source_breaks_off_leaves_nothing(
    shards: tuple[Connection, Connection],
) -> None:
    source, target = shards
    source.execute("INSERT INTO open_orders SELECT 'A', n, n FROM generate_series(1, 20000) n")
    breaks = sql.Composed([sql.SQL("1 / (order_id - 19000) < 2")])
    with pytest.raises(psycopg.Error, match="division by zero"):
        copy(source, target, breaks)
    assert target.execute("SELECT count(*) FROM open_orders").fetchone() == (0,)
    assert source.execute("SELECT 1").fetchone() == (1,)


def test_what_the_target_refuses_is_told(shards: tuple[Connection, Connection]) -> None:
    source, target = shards
    source.execute("INSERT INTO open_orders VALUES ('A', 1, 1), ('A', 1, 1)")
    target.execute("CREATE UNIQUE INDEX ON open_orders (order_id)")
    with pytest.raises(psycopg.Error, match="duplicate key"):
        copy(source, target, EVERYTHING)
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


@pytest.mark.parametrize("seed", range(5))
def test_bites_take_each_row_of_a_slot_once(
    shards: tuple[Connection, Connection], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    source, target = shards
    chance = random.Random(seed)
    monkeypatch.setattr(copying, "BITE_ROWS", chance.choice((1, 3, 10, 100)))
    source.execute(HISTORY)
    rows = {
        (chance.choice(("", "A", "AA", "AB", "B", "C")), chance.randrange(4), chance.randrange(40))
        for _ in range(chance.randrange(200))
    }
    for row in rows:
        source.execute("INSERT INTO closed_orders VALUES (%s, %s, %s, 1)", row)
    found = bitten(source, copier(source, target), CLOSED, 1)
    assert sorted(found) == sorted(row for row in rows if "A" <= row[0] < "B")


def test_bites_take_each_symbol_once(
    shards: tuple[Connection, Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = shards
    monkeypatch.setattr(copying, "BITE_ROWS", 7)
    source.execute('CREATE TEMPORARY TABLE symbol_state (symbol text COLLATE "C")')
    source.execute("INSERT INTO symbol_state SELECT 'A' || n FROM generate_series(10, 60) n")
    source.execute("INSERT INTO symbol_state VALUES ('9'), ('B')")
    found = bitten(source, copier(source, target), SYMBOLS, None)
    assert found == [(f"A{n}",) for n in range(10, 61)]


def test_bites_take_each_batch_of_the_log_once(
    shards: tuple[Connection, Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = shards
    monkeypatch.setattr(copying, "BITE_ROWS", 7)
    source.execute("CREATE TEMPORARY TABLE slot_log (slot_id int, seq_hi bigint)")
    source.execute(
        "INSERT INTO slot_log SELECT s, n FROM generate_series(0, 2) s, generate_series(1, 50) n"
    )
    found = bitten(source, copier(source, target), LOG, 45)
    assert found == [(1, n) for n in range(1, 46)]


@pytest.mark.parametrize("accounts", [2, 120])
@pytest.mark.parametrize("symbols", [1, 3])
def test_a_bite_does_not_read_the_others(
    shards: tuple[Connection, Connection],
    monkeypatch: pytest.MonkeyPatch,
    accounts: int,
    symbols: int,
) -> None:
    """Else a history of ten times as many rows costs a hundred times as much."""
    source, target = shards
    monkeypatch.setattr(copying, "BITE_ROWS", 270)
    source.execute(HISTORY)
    source.execute(
        "INSERT INTO closed_orders SELECT 'A' || s, a, n, 1 FROM generate_series(1, %(s)s) s,"
        " generate_series(1, %(a)s) a, generate_series(1, 48000 / %(s)s / %(a)s) n"
        " ORDER BY s, a, n",
        {"s": symbols, "a": accounts},
    )
    source.execute("ANALYZE closed_orders")
    source.execute("SET enable_seqscan = off")
    blocks = []
    for condition in copier(source, target)._bites((1, "A", "B"), CLOSED, 1):
        explain = sql.SQL("EXPLAIN (ANALYZE, BUFFERS, FORMAT json) SELECT * FROM {} WHERE {}")
        query = explain.format(sql.Identifier("closed_orders"), condition)
        ((told,),) = source.execute(query).fetchall()
        blocks.append(told[0]["Plan"]["Local Hit Blocks"])
    assert len(blocks) == 48000 // 270 + 1
    assert max(blocks) < 40  # of 500


def test_what_was_made_durable_survives_a_crash_of_the_target() -> None:
    """Bites do not wait for the disk one by one; what is told to be copied is there."""
    server = PostgresServer("wal_writer_delay=10s")
    server.start()
    try:
        with server.connect("postgres") as source:
            source.execute("CREATE DATABASE target")
            source.execute("CREATE TABLE open_orders AS SELECT 'A' symbol, 1::bigint order_id")
            with server.connect("target") as target:
                target.execute("CREATE TABLE open_orders (symbol text, order_id bigint)")
                target.execute("CREATE TABLE slot_owner AS SELECT 1 slot_id")
                target.execute(
                    "CREATE FUNCTION copy_fence(int, text, boolean) RETURNS void LANGUAGE plpgsql"
                    " AS 'BEGIN PERFORM 1 FROM slot_owner FOR SHARE; END'"
                )
                made = copier(source, target)
                target.execute("SET synchronous_commit = off")
                copy(source, target, EVERYTHING)
                made._make_durable()
                server.kill()
        server.start()
        with server.connect("target") as target:
            assert target.execute("SELECT count(*) FROM open_orders").fetchone() == (1,)
    finally:
        server.remove()
