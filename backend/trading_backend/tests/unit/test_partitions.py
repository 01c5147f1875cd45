"""Connections to partitions: coming, going, moving; and the replica's own queries."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from trading_backend.order_entry import OrderEntry
from trading_backend.partitions import PartitionUnavailableError
from trading_backend.tests.unit.fake_partition import (
    FakePartition,
    make_cluster,
    reply_to,
    topology_of,
)
from trading_backend.tests.unit.live_replica import (
    Replica,
    live_replica,
    order_http,
    run,
    wait_for,
)
from trading_backend.tests.unit.order_desk import ORDER
from trading_contract.wire import Code, Command, Depth, FrameType, Kind, Reply


def test_a_partition_is_greeted_and_its_slots_make_the_replica_ready() -> None:
    async def check() -> None:
        cluster = await make_cluster(2)
        entry = OrderEntry("r7")
        entry.set_topology(cluster.topology)
        assert not entry.partitions.ready
        await entry.start()
        await wait_for(lambda: entry.partitions.ready)
        hello = {"version": 1, "cluster": "test", "replica": "r7"}
        assert [p.hello for p in cluster.partitions] == [hello, hello]
        cluster.partitions[1].welcome(())
        await wait_for(lambda: not entry.partitions.ready)
        await entry.close()
        for partition in cluster.partitions:
            await partition.stop()

    run(check())


def test_a_partition_without_slots_that_is_away_is_no_missing_owner() -> None:
    async def check() -> None:
        cluster = await make_cluster(2)
        entry = OrderEntry("r7")
        entry.set_topology(cluster.topology)
        await entry.start()
        await wait_for(lambda: entry.partitions.ready)
        empty, owner = cluster.partitions
        empty.welcome(())
        await wait_for(entry.partitions.missing_owners)
        owner.welcome(cluster.topology.slots)
        await wait_for(lambda: entry.partitions.ready)
        await empty.stop()
        await wait_for(lambda: not entry.partitions.ready)
        assert entry.partitions.missing_owners() == []
        await owner.stop()
        await wait_for(lambda: len(entry.partitions.missing_owners()) == 2)
        await entry.close()

    run(check())


def test_rows_are_where_the_owner_of_the_highest_epoch_commits_them() -> None:
    async def check() -> None:
        cluster = await make_cluster(2)
        entry = OrderEntry("r7")
        entry.set_topology(cluster.topology)
        assert entry.partitions.shard_of("AAPL") is None
        await entry.start()
        await wait_for(lambda: entry.partitions.ready)
        slot = cluster.topology.slots[0]
        assert entry.partitions.shard_of(slot.first) == slot.shard
        moved = slot.model_copy(update={"epoch": 2, "shard": "shard-7"})
        cluster.partitions[0].welcome((moved,))
        await wait_for(lambda: entry.partitions.shard_of(slot.first) == "shard-7")
        stale = slot.model_copy(update={"epoch": 1})
        cluster.partitions[1].welcome((stale, cluster.topology.slots[1]))
        other = cluster.topology.slots[1]
        await wait_for(lambda: entry.partitions.shard_of(other.first) == other.shard)
        assert entry.partitions.shard_of(slot.first) == "shard-7"
        await entry.close()
        for partition in cluster.partitions:
            await partition.stop()

    run(check())


def test_a_lost_partition_is_found_again_and_open_requests_are_unknown() -> None:
    async def check() -> None:
        async with live_replica() as replica:
            partition = replica.cluster.partitions[0]
            partition.silent = True
            asking = asyncio.ensure_future(replica.exchange(order_http(ORDER)))
            await wait_for(lambda: partition.commands)
            partition.drop()
            answer = await asking
            assert answer.startswith(b"HTTP/1.1 504")
            assert b'"code":-1007' in answer
            partition.silent = False
            await wait_for(lambda: replica.entry.partitions.ready)
            assert b" 200 " in await replica.exchange(order_http(ORDER))

    run(check())


def test_while_a_partition_is_away_orders_are_refused_as_surely_not_applied() -> None:
    async def check() -> None:
        async with live_replica() as replica:
            partition = replica.cluster.partitions[0]
            port = partition.port
            await partition.stop()
            await wait_for(lambda: not replica.entry.partitions.ready)
            answer = await replica.exchange(order_http(ORDER))
            assert answer.startswith(b"HTTP/1.1 503")
            assert b"retry-after: 1" in answer
            assert b'"code":-1008' in answer
            await partition.start(port)
            await wait_for(lambda: replica.entry.partitions.ready)
            assert b" 200 " in await replica.exchange(order_http(ORDER))
            assert len(partition.commands) == 1

    run(check())


def test_a_silent_partition_runs_into_the_deadline() -> None:
    async def check() -> None:
        async with live_replica(deadline_seconds=0.2) as replica:
            replica.cluster.partitions[0].silent = True
            answer = await replica.exchange(order_http(ORDER))
            assert answer.startswith(b"HTTP/1.1 504")

    run(check())


@pytest.mark.parametrize("wrong", [{"cluster": "other"}, {"partition": "p9"}, {"version": 99}])
def test_a_partition_of_something_else_is_not_used(wrong: dict[str, object]) -> None:
    async def check() -> None:
        cluster = await make_cluster()
        partition = cluster.partitions[0]
        right = partition.welcome
        partition.welcome = lambda slots, **_: right(slots, **wrong)  # type: ignore[method-assign]
        entry = OrderEntry("r0")
        entry.set_topology(cluster.topology)
        await entry.start()
        await wait_for(lambda: hasattr(partition, "hello"))
        with pytest.raises(PartitionUnavailableError):
            await entry.partitions.query_depth("BTCUSDT", 5)
        assert not entry.partitions.ready
        await entry.close()
        await partition.stop()

    run(check())


def test_a_slot_that_moves_takes_its_orders_along() -> None:
    async def check() -> None:
        async with live_replica(partitions=2) as replica:
            source, target = replica.cluster.partitions
            moved = source.slots[0].model_copy(update={"epoch": 2})

            def refuse(command: object) -> list[Reply]:
                # The new owner has told us before the old one refuses: the retry finds it.
                target.welcome((*target.slots, moved))
                return [reply_to(command, code=Code.WRONG_OWNER, epoch=2)]  # type: ignore[arg-type]

            source.answerer = refuse
            assert b" 200 " in await replica.exchange(order_http(ORDER))
            assert len(source.commands) == len(target.commands) == 1
            assert b" 200 " in await replica.exchange(order_http(ORDER))
            assert len(source.commands) == 1
            assert len(target.commands) == 2

    run(check())


def test_a_new_topology_connects_to_new_partitions() -> None:
    async def check() -> None:
        async with live_replica() as replica:
            newcomer = FakePartition("p1")
            await newcomer.start()
            first = replica.cluster.partitions[0]
            topology = topology_of(first, newcomer, revision=2)
            newcomer.slots = (topology.slots[1].model_copy(update={"epoch": 1}),)
            replica.entry.set_topology(topology)
            assert not replica.entry.partitions.ready
            await wait_for(lambda: replica.entry.partitions.ready)
            order = {**ORDER, "symbol": "ZZZUSDT", "price": "10", "quantity": "3"}
            assert b" 200 " in await replica.exchange(order_http(order))
            assert [c.symbol for c in newcomer.commands] == ["ZZZUSDT"]
            await newcomer.stop()

    run(check())


def test_a_partition_that_moves_to_another_port_is_followed() -> None:
    async def check() -> None:
        async with live_replica() as replica:
            partition = replica.cluster.partitions[0]
            await partition.stop()
            await partition.start()
            replica.entry.set_topology(topology_of(partition, revision=2))
            await wait_for(lambda: replica.entry.partitions.ready)
            assert b" 200 " in await replica.exchange(order_http(ORDER))

    run(check())


async def ask_everything(replica: Replica) -> None:
    """All queries against an answering partition."""
    partition = replica.cluster.partitions[0]
    partition.depth = Depth(0, "BTCUSDT", 9, 5, 1, Code.OK, ((100, 1), (99, 2)), ((101, 3),))
    ask = replica.entry.partitions
    depth = await ask.query_depth("BTCUSDT", 2)
    assert (depth.update_id, depth.bids, depth.asks) == (9, ((100, 1), (99, 2)), ((101, 3),))
    assert partition.commands[-1].quantity == 2
    order = await ask.query_order("BTCUSDT", 7, client_id="abc")
    assert (order.client_id, order.price) == ("abc", 10000)
    opened = await ask.query_open("BTCUSDT", 7)
    assert [o.client_id for o in opened] == ["open-1"]
    assert [c.kind for c in partition.commands] == [
        Kind.QUERY_DEPTH, Kind.QUERY_ORDER, Kind.QUERY_OPEN,
    ]  # fmt: skip
    with pytest.raises(PartitionUnavailableError):
        await ask.query_depth("NOPE", 2)


def test_the_replicas_own_queries_are_answered() -> None:
    async def check() -> None:
        async with live_replica() as replica:
            await ask_everything(replica)

    run(check())


def test_a_query_of_a_partition_that_is_lost_is_an_error_of_the_world() -> None:
    async def check() -> None:
        async with live_replica() as replica:
            partition = replica.cluster.partitions[0]
            partition.silent = True
            asking = asyncio.ensure_future(replica.entry.partitions.query_depth("BTCUSDT", 2))
            await wait_for(lambda: partition.commands)
            partition.drop()
            with pytest.raises(PartitionUnavailableError):
                await asking
            assert replica.entry.native.requests() == 0

    run(check())


def test_garbage_from_a_partition_ends_the_connection_not_the_replica() -> None:
    async def check() -> None:
        async with live_replica() as replica:
            partition = replica.cluster.partitions[0]
            partition.send(FrameType.REPLIES, b"x" * 33)
            await wait_for(lambda: not replica.entry.partitions.ready)
            await wait_for(lambda: replica.entry.partitions.ready)
            assert b" 200 " in await replica.exchange(order_http(ORDER))

    run(check())


class Shard:
    """A shard that knows one order."""

    async def first_answer(self, symbol: str, account: int, order_id: int) -> Reply | None:
        """As the protocol says."""
        found = await self.find_order(symbol, account, order_id, "")
        assert found is not None
        return found

    async def find_order(
        self, symbol: str, account: int, order_id: int, client_id: str
    ) -> Reply | None:
        """As the protocol says."""
        command = Command(0, Kind.PLACE, symbol, account, price=77, client_id=client_id or "first")
        return reply_to(command, order_id=order_id or 5)


def test_a_resent_order_gets_its_first_answer_from_the_shard() -> None:
    async def check() -> None:
        async with live_replica(lookups=Shard()) as replica:
            partition = replica.cluster.partitions[0]
            partition.answerer = lambda c: [reply_to(c, code=Code.DUPLICATE_SAME, order_id=31)]
            answer = await replica.exchange(order_http(ORDER))
            assert b" 200 " in answer
            assert b'"orderId":31' in answer
            assert b'"price":"0.77"' in answer

    run(check())


def test_a_partition_on_this_machine_is_reached_at_its_socket(tmp_path: Path) -> None:
    async def check() -> None:
        cluster = await make_cluster(2)
        first, second = cluster.partitions
        await first.start_at(tmp_path / f"{first.name}.sock")
        with socket.socket(socket.AF_UNIX) as dead:  # what a killed partition leaves
            dead.bind(str(tmp_path / f"{second.name}.sock"))
        entry = OrderEntry("r7")
        entry.partitions.sockets_folder = tmp_path
        entry.set_topology(cluster.topology)
        await entry.start()
        await wait_for(lambda: entry.partitions.ready)
        assert [p.is_local for p in cluster.partitions] == [True, False]
        await entry.close()
        for partition in cluster.partitions:
            await partition.stop()

    run(check())
