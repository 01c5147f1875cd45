"""How a partition reaches its shard, and what it needs there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from trading_contract.errors import WorldError
from trading_contract.topology import ShardAddress
from trading_engine.conninfo import over_sockets, shard_conninfo
from trading_engine.shard_connection import (
    ShardConnection,
    ShardLostError,
    prepared,
    statement,
)
from trading_engine.shard_writer import ShardWriter
from trading_engine.tests.integration.partition_process import PartitionProcess, Site
from trading_engine.tests.integration.postgres_server import PASSWORD, PostgresServer

_WAYS = (
    "SELECT DISTINCT client_addr IS NULL FROM pg_stat_activity"
    " WHERE starts_with(application_name, 'engine/p0/') AND datname = current_database()"
)


@pytest.mark.parametrize("has_socket", [True, False])
def test_a_shard_of_this_machine_is_reached_over_its_socket(
    site: Site, start: Callable[..., PartitionProcess], tmp_path: Path, has_socket: bool
) -> None:
    if has_socket:
        (tmp_path / "shard-0").symlink_to(site.servers[0].folder)
    start(site, shard_sockets_folder=tmp_path)
    assert site.rows(_WAYS) == [(has_socket,)]


def test_only_servers_with_a_socket_are_reached_over_one(tmp_path: Path) -> None:
    shard = ShardAddress(name="shard-7", hosts=("127.0.0.1:5001", "127.0.0.1:5002"))
    assert over_sockets(shard, None) == over_sockets(shard, tmp_path) == shard
    (tmp_path / "shard-7").mkdir()
    (tmp_path / "shard-7" / ".s.PGSQL.5002").touch()
    reached = over_sockets(shard, tmp_path)
    assert reached.hosts == ("127.0.0.1:5001", f"{tmp_path}/shard-7:5002")


def test_a_shard_without_the_row_types_is_not_prepared_yet(postgres: PostgresServer) -> None:
    bare = ShardAddress(name="shard-0", hosts=(postgres.address,), database="postgres")
    info = shard_conninfo(bare, "postgres", PASSWORD, "test")

    async def open_it() -> None:
        await ShardWriter("shard-0", lambda: ShardConnection.open(info)).open(deadline=0)

    with pytest.raises(WorldError, match="not prepared for this version yet"):
        asyncio.run(open_it())


def test_who_connects_to_a_shard_does_not_hold_up_the_event_loop() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    async def connect() -> str:
        server = await asyncio.start_server(refuse, "127.0.0.1", 0)  # answers by this very loop
        host, port = server.sockets[0].getsockname()
        shard = ShardAddress(name="shard-0", hosts=(f"{host}:{port}",))
        with pytest.raises(ShardLostError) as lost:
            await ShardConnection.open(shard_conninfo(shard, "postgres", PASSWORD, "test"))
        server.close()
        return str(lost.value)

    assert "timeout" not in asyncio.run(connect())


def test_a_transaction_in_one_round_trip_is_done_as_a_whole_or_not_at_all(
    postgres: PostgresServer,
) -> None:
    bare = ShardAddress(name="shard-0", hosts=(postgres.address,), database="postgres")
    info = shard_conninfo(bare, "postgres", PASSWORD, "test")
    write = "INSERT INTO written VALUES ($1::int)"

    async def work() -> None:
        connection = await ShardConnection.open(info)
        assert (await connection.ask("CREATE TEMPORARY TABLE written (n int UNIQUE)")).good
        await connection.prepare(write)

        async def written() -> list[int]:
            answer = await connection.ask("SELECT n FROM written ORDER BY n")
            return [int(row[0] or 0) for row in answer.rows]

        good = [prepared([b"1"], [0]), statement(write, [b"2"])]
        assert (await connection.transact(good, 10)).good
        assert await written() == [1, 2]
        refused = [prepared([b"3"], [0]), statement(write, [b"1"]), statement("SELECT 1")]
        outcome = await connection.transact(refused, 10)
        assert (outcome.sqlstate, outcome.lost) == ("23505", False)
        assert await written() == [1, 2]
        warned = await connection.transact([statement("COMMIT"), prepared([b"4"], [0])], 10)
        assert warned.warning  # of the second COMMIT: who reads that must look for himself
        assert not warned.good
        connection.close()
        assert (await connection.transact(good, 10)).lost

    asyncio.run(work())


def test_a_transaction_that_the_server_refuses_at_its_end_is_told(
    postgres: PostgresServer,
) -> None:
    bare = ShardAddress(name="shard-0", hosts=(postgres.address,), database="postgres")
    info = shard_conninfo(bare, "postgres", PASSWORD, "test")

    async def work() -> None:
        connection = await ShardConnection.open(info)
        late = "CREATE TEMPORARY TABLE late (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)"
        assert (await connection.ask(late)).good
        twice = [statement("INSERT INTO late VALUES (1)")] * 2
        outcome = await connection.transact(twice, 10)
        assert outcome.sqlstate == "23505"
        assert (await connection.ask("SELECT n FROM late")).rows == ()
        ended = [statement("SELECT pg_terminate_backend(pg_backend_pid())")]
        outcome = await connection.transact(ended, 10)
        assert not outcome.good
        assert not connection.alive

    asyncio.run(work())
