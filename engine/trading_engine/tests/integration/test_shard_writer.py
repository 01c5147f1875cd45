"""How a partition reaches its shard, and what it needs there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from trading_contract.errors import WorldError
from trading_contract.topology import ShardAddress
from trading_engine.conninfo import over_sockets, shard_conninfo
from trading_engine.shard_connection import ShardConnection, ShardLostError
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
