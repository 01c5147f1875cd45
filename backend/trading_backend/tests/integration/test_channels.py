"""Subscriptions, keys and counters on a real Redis Cluster, also while a master restarts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
from redis import Redis

from trading_backend.channels import Channels, Increment
from trading_backend.market_books import DepthEvent, MarketBook
from trading_backend.market_feed import MarketFeed, Trade
from trading_backend.rate_limits import RateLimits
from trading_backend.store import Page
from trading_backend.tests.integration.servers import HASH_SLOTS, MASTERS, RedisCluster
from trading_backend.tests.unit.live_replica import run, wait_for
from trading_contract.hash_slots import hash_slot
from trading_contract.topology import Limits
from trading_contract.wire import Code, Depth


def port_of(cluster: RedisCluster, key: str) -> int:
    """The node that holds a key."""
    return cluster.ports[min(hash_slot(key) // (HASH_SLOTS // MASTERS), MASTERS - 1)]


@contextlib.asynccontextmanager
async def channels_of(cluster: RedisCluster) -> AsyncIterator[Channels]:
    """Channels of one replica."""
    made = Channels()
    made.set_nodes(cluster.nodes)
    made.start()
    try:
        yield made
    finally:
        await made.close()


def test_a_channel_is_heard_as_soon_as_it_is_live(redis_cluster: RedisCluster) -> None:
    async def scenario() -> None:
        async with channels_of(redis_cluster) as channels:
            heard: list[tuple[str, bytes]] = []
            names = [f"{{S{n}}}:market" for n in range(12)]  # on all three masters
            assert {port_of(redis_cluster, n) for n in names} == set(redis_cluster.ports)

            def hears(name: str) -> Callable[[bytes], None]:
                return lambda data: heard.append((name, data))

            ends = [channels.subscribe(name, hears(name)) for name in names]
            for name in names:
                assert await channels.wait_live(name, 5)
                redis_cluster.publish(name, b"x", port_of(redis_cluster, name))
            await wait_for(lambda: len(heard) == len(names))
            assert {name for name, _ in heard} == set(names)
            for end in ends:
                end()
            await wait_for(
                lambda: redis_cluster.publish(names[0], b"y", port_of(redis_cluster, names[0])) == 0
            )

    run(scenario())


def test_a_restarted_master_restarts_its_channels(redis_cluster: RedisCluster) -> None:
    async def scenario() -> None:
        async with channels_of(redis_cluster) as channels:
            heard: list[bytes] = []
            name, begun = "{BTCUSDT}:market", [0]
            port = port_of(redis_cluster, name)

            def restarted() -> None:
                begun[0] += 1

            channels.subscribe(name, heard.append, restarted)
            assert await channels.wait_live(name, 5)
            redis_cluster.kill(port)
            assert await channels.get("{BTCUSDT}:depth") is None
            await asyncio.to_thread(redis_cluster.restart, port)
            await wait_for(lambda: begun[0] >= 2, 15)
            redis_cluster.publish(name, b"again", port)
            await wait_for(lambda: heard == [b"again"])

    run(scenario())


def test_connections_to_nodes_that_are_gone_are_forgotten(redis_cluster: RedisCluster) -> None:
    async def scenario() -> None:
        async with channels_of(redis_cluster) as channels:
            await channels.execute("x", "GET", "x")
            channels._client(("127.0.0.1", 1))  # as it was called before it moved
            channels._owners = []
            await channels.execute("x", "GET", "x")
            assert set(channels._clients) <= {("127.0.0.1", port) for port in redis_cluster.ports}

    run(scenario())


def test_totals_are_those_of_all_replicas(redis_cluster: RedisCluster) -> None:
    async def scenario() -> None:
        async with channels_of(redis_cluster) as one, channels_of(redis_cluster) as other:
            keys = [f"{{limits:{n}}}:totals" for n in range(20)]
            await one.add([Increment(key, 2, 60) for key in keys])
            assert await other.add([Increment(key, 3, 60) for key in keys]) == dict.fromkeys(
                keys, 5
            )
            assert 0 < await one.execute(keys[0], "TTL", keys[0]) <= 60

    run(scenario())


@contextlib.asynccontextmanager
async def two_of_a_limit(redis_cluster: RedisCluster) -> AsyncIterator[list[RateLimits]]:
    """Two replicas that share a limit of ten orders a day."""
    async with channels_of(redis_cluster) as one, channels_of(redis_cluster) as other:
        replicas = [RateLimits(one, "r1"), RateLimits(other, "r2")]
        for each in replicas:
            each.set_limits(Limits(orders_per_day=10))
            each.start()
        yield replicas
        for each in replicas:
            await each.close()


def test_replicas_enforce_one_limit_together(redis_cluster: RedisCluster) -> None:
    async def scenario() -> None:
        async with two_of_a_limit(redis_cluster) as replicas:
            assert replicas[0].take_orders(77, 6).allowed
            assert replicas[1].take_orders(77, 1).allowed
            # Sums are learned with each use, whoever shared first.
            await wait_for(lambda: replicas[1].take_orders(77, 0).order_count_1d == 7)
            assert not replicas[1].take_orders(77, 4).allowed
            assert replicas[1].take_orders(77, 0).allowed

    run(scenario())


def test_a_limit_holds_though_its_counter_is_lost(redis_cluster: RedisCluster) -> None:
    async def scenario() -> None:
        async with two_of_a_limit(redis_cluster) as replicas:

            def used() -> list[int]:
                return [each.take_orders(78, 0).order_count_1d for each in replicas]

            for each, count in zip(replicas, (6, 1), strict=True):
                assert each.take_orders(78, count).allowed
            await wait_for(lambda: used() == [7, 7])
            with Redis(port=port_of(redis_cluster, "{limits:78}")) as node:
                node.flushall()
                await wait_for(lambda: bool(used() and node.keys("{limits:78}:orders:86400:*")))
            assert used() == [7, 7]
            assert replicas[0].take_orders(78, 1).allowed
            await wait_for(lambda: used() == [8, 8])
            assert [each.take_orders(78, 3).allowed for each in replicas] == [False, False]

    run(scenario())


class Exchange:
    """A partition's book and a shard's trades, for one symbol."""

    def __init__(self) -> None:
        self.update_id = 0
        self.bids: dict[int, int] = {}
        self.trades_told: list[Trade] = []

    def change(self, price: int, trades: int = 0) -> bytes:
        """One update; its message."""
        self.update_id += 1
        self.bids[price] = self.update_id
        first = len(self.trades_told) + 1
        fresh = [(first + n, price, 1, 5, 6, 0, 1000) for n in range(trades)]
        self.trades_told += fresh
        return msgspec.msgpack.encode(
            {"U": self.update_id, "u": self.update_id, "b": [[price, self.update_id]], "a": [],
             "t": fresh, "T": 7}
        )  # fmt: skip

    async def query_depth(self, symbol: str, levels: int) -> Depth:
        """The book."""
        bids = tuple(sorted(self.bids.items(), reverse=True))
        return Depth(0, symbol, self.update_id, 1, 1, Code.OK, bids, ())

    async def trades(self, symbol: str, page: Page) -> list[dict[str, int]]:
        """What is stored."""
        names = ("trade_id", "price", "quantity", "maker_order_id", "taker_order_id",
                 "taker_side", "time_us")  # fmt: skip
        rows = [dict(zip(names, trade, strict=True)) for trade in self.trades_told]
        found = [r for r in rows if page.from_id is None or r["trade_id"] >= page.from_id]
        return found[: page.limit] if page.order == "ASC" else found[-page.limit :]


class Recorder:
    """A client's copy of the book, and the trades that it was told."""

    def __init__(self) -> None:
        self.last: int | None = None
        self.bids: dict[int, int] = {}
        self.trades: list[int] = []

    def on_depth(self, book: MarketBook, event: DepthEvent) -> None:
        """It must follow the one before."""
        assert self.last is None or event.first == self.last + 1
        self.last = event.last
        self.bids.update(event.bids)

    def on_trades(self, trades: list[Trade]) -> None:
        """Each once, in order."""
        self.trades += [trade[0] for trade in trades]


@pytest.mark.parametrize("told_later", [True, False])
def test_lost_messages_leave_no_gap_in_books_and_trades(
    redis_cluster: RedisCluster, told_later: bool
) -> None:
    async def scenario() -> None:
        async with channels_of(redis_cluster) as channels:
            symbol = "LOSTUSDT" if told_later else "HUSHUSDT"
            exchange, recorder = Exchange(), Recorder()
            channel = f"{{{symbol}}}:market"
            port = port_of(redis_cluster, channel)
            exchange.change(1, trades=3)
            feed = MarketFeed(channels, exchange, exchange)
            feed.listen(symbol, recorder)
            assert await channels.wait_live(channel, 5)
            redis_cluster.publish(channel, exchange.change(2, trades=1), port)
            await wait_for(lambda: recorder.last == 2)
            exchange.change(3, trades=2)  # never told
            if told_later:
                redis_cluster.publish(channel, exchange.change(4, trades=1), port)
            else:  # found by the stored book, as nothing follows it
                key = f"{{{symbol}}}:depth"
                stored = msgspec.msgpack.encode({"u": exchange.update_id, "b": [], "a": []})
                await channels.execute(key, "SET", key, stored)  # type: ignore[arg-type]
            await wait_for(lambda: recorder.last == exchange.update_id, 10)
            await wait_for(lambda: recorder.trades == list(range(4, len(exchange.trades_told) + 1)))
            assert recorder.bids == {p: q for p, q in exchange.bids.items() if p > 1}
            await feed.close()

    run(scenario())


def test_trades_that_are_missing_in_a_message_are_read_and_its_levels_are_told(
    redis_cluster: RedisCluster,
) -> None:
    async def scenario() -> None:
        async with channels_of(redis_cluster) as channels:
            exchange, recorder = Exchange(), Recorder()
            channel = "{HOLEUSDT}:market"
            port = port_of(redis_cluster, channel)
            exchange.change(1, trades=1)
            feed = MarketFeed(channels, exchange, exchange)
            feed.listen("HOLEUSDT", recorder)
            assert await channels.wait_live(channel, 5)
            redis_cluster.publish(channel, exchange.change(2, trades=1), port)
            await wait_for(lambda: recorder.trades == [2])
            message = msgspec.msgpack.decode(exchange.change(3, trades=3))
            message["t"] = message["t"][-1:]
            redis_cluster.publish(channel, msgspec.msgpack.encode(message), port)
            await wait_for(lambda: recorder.trades == [2, 3, 4, 5])
            redis_cluster.publish(channel, exchange.change(4, trades=1), port)
            await wait_for(lambda: recorder.last == 4)
            await wait_for(lambda: recorder.trades == [2, 3, 4, 5, 6])
            assert recorder.bids == {2: 2, 3: 3, 4: 4}
            await feed.close()

    run(scenario())
