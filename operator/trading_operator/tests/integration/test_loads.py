"""Loads of real shards and Redis nodes, asked by the supervisor of a cluster on this machine."""

from __future__ import annotations

import asyncio

from trading_contract.load_status import ClusterLoadStatus, PartLoadStatus
from trading_contract.status import ClusterStatus
from trading_operator.probes.postgres import ShardProbe
from trading_operator.probes.redis import NodeProbe
from trading_operator.substrates.processes.ports import read_ports
from trading_operator.tests.integration.conftest import Running


def all_known(parts: tuple[PartLoadStatus, ...]) -> bool:
    """There are some, and each has figures."""
    return bool(parts) and not any(part.unknown for part in parts)


def test_real_parts_are_known_and_who_tells_nothing_is_not_idle(running: Running) -> None:
    running.apply(shards={"count": 1})
    running.start()
    running.wait_ready()

    def is_told(status: ClusterStatus) -> bool:
        load = status.load
        return load is not None and all_known(load.shards) and all_known(load.redis)

    load = running.wait("the load", is_told).load
    assert isinstance(load, ClusterLoadStatus)
    (shard,) = load.shards
    assert shard.name == "shard-0"
    assert shard.wal_bytes_per_second is not None
    assert (shard.connections or 0) >= 1
    assert (shard.database_bytes or 0) > 1 << 20
    assert 0 < (shard.disk_used_percent or 0) < 100
    assert shard.cpu_percent is not None
    assert {node.name for node in load.redis} == {"redis-0", "redis-1", "redis-2"}
    assert all(node.memory_max_bytes and node.memory_used_bytes for node in load.redis)
    # The partition and the replica of these tests are stubs that know nothing of load.
    for silent in (*load.partitions, *load.backends):
        assert silent.unknown.startswith("Missing"), silent
        assert (silent.per_second, silent.cpu_percent) == (None, None)
    assert load.end_to_end is None


def test_counters_rise_with_work_and_who_is_away_has_none(running: Running) -> None:
    running.apply(shards={"count": 1})
    running.start()
    running.wait_ready()
    ports = read_ports(running.layout)
    password = (running.layout.secrets_folder / "postgres").read_text().strip()

    async def ask() -> None:
        shard = ShardProbe(ports["shard-0"], lambda: password)
        before = await shard.load("shard-0", 10)
        assert before is not None
        assert before.disk_used_bytes is not None
        assert before.disk_used_bytes >= before.database_bytes
        connection = await shard._connect()
        await connection.execute("CREATE TABLE filler AS SELECT generate_series(1, 20000) AS n")
        await connection.execute("SELECT pg_stat_force_next_flush()")
        after = await shard.load("shard-0", 10)
        assert after is not None
        assert after.wal_bytes_total - before.wal_bytes_total > 20_000 * 20
        assert after.incarnation == before.incarnation
        assert (await shard.load("shard-0", 10) or after).rows_total >= before.rows_total + 20_000
        await shard.close()

        node = NodeProbe(ports["redis-0"])
        first = await node.load("redis-0", 10)
        assert first is not None
        await node.tell(("PING",))
        second = await node.load("redis-0", 10)
        assert second is not None
        assert second.operations_total >= first.operations_total + 2
        assert (second.incarnation, second.is_master) == (first.incarnation, True)
        await node.close()
        assert await NodeProbe(1).load("redis-9") is None
        assert await ShardProbe(1, lambda: password).load("shard-9") is None

    asyncio.run(ask())
