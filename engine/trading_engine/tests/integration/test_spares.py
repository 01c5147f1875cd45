"""Connections that are kept for the next one who needs one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from trading_engine.spares import SPARES_MAX, Connection, Spares
from trading_engine.tests.integration.postgres_server import PASSWORD, PostgresServer


@pytest.fixture
def info(postgres: PostgresServer) -> str:
    """As its administrator."""
    host, port = postgres.address.rsplit(":", 1)
    return f"host={host} port={port} user=postgres password={PASSWORD} dbname=postgres"


@pytest.fixture
def spares() -> Iterator[Spares]:
    """Some that are kept for long."""
    made = Spares()
    yield made
    made.close()


def pid(connection: Connection) -> int:
    """Of the server's side."""
    return connection.pgconn.backend_pid


def test_a_connection_is_used_again_by_one_at_a_time(spares: Spares, info: str) -> None:
    with spares.borrow(info) as first, spares.borrow(info) as second:
        known = {pid(first), pid(second)}
        assert len(known) == 2
    with spares.borrow(info) as third, spares.borrow(info) as fourth:
        assert {pid(third), pid(fourth)} == known


def test_a_transaction_that_was_left_open_ends(spares: Spares, info: str) -> None:
    with spares.borrow(info) as first:
        first.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        before = pid(first)
    with spares.borrow(info) as again:
        assert pid(again) == before
        again.execute("CREATE TEMPORARY TABLE written (n int)")


def _raise(_: Connection) -> None:
    raise ValueError


def _end(connection: Connection) -> None:
    connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")


@pytest.mark.parametrize("work", [_raise, _end])
def test_one_that_failed_is_not_used_again(
    spares: Spares, info: str, work: Callable[[Connection], None]
) -> None:
    failed: list[Connection] = []

    def fail() -> None:
        with spares.borrow(info) as first:
            failed.append(first)
            work(first)

    with pytest.raises((ValueError, psycopg.Error)):
        fail()
    assert failed[0].closed
    with spares.borrow(info) as again:
        assert again is not failed[0]


def test_one_that_its_borrower_closed_is_not_kept(spares: Spares, info: str) -> None:
    with spares.borrow(info) as first:
        first.execute("BEGIN")
        first.close()
    with spares.borrow(info) as again:
        assert not again.closed


def test_one_that_the_server_ended_meanwhile_is_not_used_again(
    spares: Spares, info: str, postgres: PostgresServer
) -> None:
    with spares.borrow(info) as first:
        before = pid(first)
    with postgres.connect("postgres") as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", (before,))
    with spares.borrow(info) as again:
        assert pid(again) != before
        assert again.execute("SELECT 1").fetchone() == (1,)


def test_few_are_kept_and_none_for_long(spares: Spares, info: str) -> None:
    hurried = Spares(idle_seconds_max=0)
    with hurried.borrow(info) as first:
        before = pid(first)
    with hurried.borrow(info) as again:
        assert pid(again) != before
    hurried.close_idle()
    assert again.closed
    borrowed = [spares.borrow(info) for _ in range(SPARES_MAX + 1)]
    made = [each.__enter__() for each in borrowed]
    for each in borrowed:
        each.__exit__(None, None, None)
    assert sum(each.closed for each in made) == 1
