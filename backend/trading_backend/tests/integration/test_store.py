"""Reads from a real shard: pages, sums, candles, first answers, and a shard that restarts."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import asyncpg
import pytest

from trading_backend.balances import balances_of
from trading_backend.shard_pools import StoreUnavailableError
from trading_backend.store import Page, Store
from trading_backend.symbol_formats import formats_of
from trading_backend.tests.integration.servers import Shard, free_port
from trading_backend.tests.unit.live_replica import run
from trading_contract.wire import OrderStatus

MAKER, TAKER = 1, 2
MINUTE_US = 60_000_000
LIMIT_FILLED = OrderStatus.FILLED.value << 16
TRADES = 100  # one every ten seconds, of one lot, at 1000, 1001, ..


@contextlib.asynccontextmanager
async def administrator(shard: Shard) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection that may write."""
    connection = await asyncpg.connect(
        host="127.0.0.1", port=shard.port, database="trading", user="postgres",
        password="postgres-for-tests",
    )  # fmt: skip
    try:
        yield connection
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def store_of(shard: Shard) -> AsyncIterator[Store]:
    """A store over a shard with one history: the taker buys from the maker."""
    async with administrator(shard) as connection:
        await connection.execute("TRUNCATE trades, closed_orders, open_orders")
        await connection.executemany(
            "INSERT INTO trades VALUES ('BTCUSDT', $1, 1, 2, $2, $3, $4, 1, 0, $5, 1)",
            [(n, MAKER, TAKER, 999 + n, n * 10_000_000) for n in range(1, TRADES + 1)],
        )
        await connection.executemany(
            "INSERT INTO closed_orders VALUES "
            "('BTCUSDT', $1, $2, $3, $4, 1000, 100, $5, $6, 0, 1, $7, 0, $8, 1, $9)",
            [
                (1, MAKER, "sell", 1 | LIMIT_FILLED, 100, 104_950, 0, 5, 1_000_000_000),
                (2, TAKER, "buy", LIMIT_FILLED, 100, 104_950, 1, 10_000_000, 1_000_000_000),
            ],
        )
    made = Store(shard.secrets, 2)
    made.set_topology(shard.topology)
    try:
        yield made
    finally:
        await made.close()


@pytest.mark.parametrize(
    ("page", "first", "last"),
    [
        (Page(10), 91, 100),
        (Page(10, 5), 5, 14),
        (Page(10, 0), 1, 10),
        (Page(10, since_us=500_000_000), 50, 59),
        (Page(10, since_us=500_000_001), 51, 60),
        (Page(10, since_us=0, until_us=30_000_000), 1, 3),
        (Page(10, until_us=500_000_000), 41, 50),
    ],
)
def test_a_page_of_trades_is_in_order_and_within_its_bounds(
    shard: Shard, page: Page, first: int, last: int
) -> None:
    async def scenario() -> None:
        async with store_of(shard) as store:
            expected = list(range(first, last + 1))
            public = await store.trades("BTCUSDT", page)
            assert [r["trade_id"] for r in public] == expected
            for account in (MAKER, TAKER):
                own = await store.trades_of("BTCUSDT", account, page)
                assert [r["trade_id"] for r in own] == expected
            assert await store.trades_of("BTCUSDT", 3, page) == []
            assert await store.trades("AAAUSDT", page) == []

    run(scenario())


def test_candles_begin_at_their_multiples_and_hold_every_trade_of_the_window(shard: Shard) -> None:
    async def scenario() -> None:
        async with store_of(shard) as store:
            rows = await store.candles("BTCUSDT", MINUTE_US, (0, 10**15), 1000)
            assert [r["open_us"] for r in rows] == [n * MINUTE_US for n in range(17)]
            assert sum(r["count"] for r in rows) == TRADES
            second = rows[1]
            assert (second["open"], second["high"], second["low"], second["close"]) == (
                1005, 1010, 1005, 1010,
            )  # fmt: skip
            assert (second["volume"], second["quote"]) == ("6", str(sum(range(1005, 1011))))
            late = await store.candles("BTCUSDT", MINUTE_US, (16 * MINUTE_US, 10**15), 10)
            assert [r["count"] for r in late] == [rows[16]["count"]]

    run(scenario())


def test_balances_are_exact_and_cancel_out(shard: Shard) -> None:
    async def scenario() -> None:
        async with store_of(shard) as store:
            formats = formats_of(shard.topology)
            bought = {b.asset: b for b in await balances_of(store, formats, TAKER)}
            sold = {b.asset: b for b in await balances_of(store, formats, MAKER)}
            assert bought["BTC"].amount == "0.00100"
            assert sold["BTC"].amount == "-0.00100"
            assert bought["USDT"].amount == "-" + sold["USDT"].amount
            assert float(sold["USDT"].amount) == pytest.approx(104_950 * 0.01 * 0.00001)
            assert bought["AAA"].is_zero

    run(scenario())


def test_an_order_is_found_by_its_owner_only(shard: Shard) -> None:
    async def scenario() -> None:
        async with store_of(shard) as store:
            found = await store.find_order("BTCUSDT", TAKER, 0, "buy")
            assert found is not None
            assert (found.order_id, found.status) == (2, OrderStatus.FILLED)
            assert await store.find_order("BTCUSDT", TAKER, 2, "") == found
            assert await store.find_order("BTCUSDT", MAKER, 2, "") is None
            assert await store.find_order("BTCUSDT", MAKER, 0, "buy") is None
            assert await store.closed_orders("BTCUSDT", TAKER, Page(10)) == [found]

    run(scenario())


@pytest.mark.parametrize(("stored_us", "told_us"), [(60_000_000, 60_000_000), (0, 5_000_000)])
def test_an_open_order_tells_when_it_changed_or_else_when_it_came(
    shard: Shard, stored_us: int, told_us: int
) -> None:
    async def scenario() -> None:
        async with store_of(shard) as store, administrator(shard) as connection:
            await connection.execute(
                "INSERT INTO open_orders VALUES ('BTCUSDT', 3, $1, 'rest', 1, 1000, 100, 0, 0, 0,"
                " 1, 0, 0, 5000000, 1, $2)",
                MAKER, stored_us,
            )  # fmt: skip
            found = await store.find_order("BTCUSDT", MAKER, 3, "")
            assert found is not None
            assert (found.created_us, found.time_us) == (5_000_000, told_us)

    run(scenario())


def test_the_first_answer_has_the_fills_of_the_entry(shard: Shard) -> None:
    async def scenario() -> None:
        async with store_of(shard) as store:
            taker = await store.first_answer("BTCUSDT", TAKER, 2)
            assert taker is not None
            assert [f.trade_id for f in taker.fills] == list(range(1, TRADES + 1))
            assert taker.status is OrderStatus.FILLED
            maker = await store.first_answer("BTCUSDT", MAKER, 1)
            assert maker is not None
            assert (maker.status, maker.executed, maker.fills) == (OrderStatus.NEW, 0, ())

    run(scenario())


def test_a_shard_that_restarts_is_unavailable_and_then_read_again(shard: Shard) -> None:
    async def scenario() -> None:
        async with store_of(shard) as store:
            await asyncio.gather(*(store.trades("BTCUSDT", Page(1)) for _ in range(4)))
            await asyncio.to_thread(shard.stop)
            try:
                with pytest.raises(StoreUnavailableError, match="s0"):
                    await store.trades("BTCUSDT", Page(1))
            finally:
                await asyncio.to_thread(shard.start)
            assert len(await store.trades("BTCUSDT", Page(1))) == 1

    run(scenario())


def test_reads_find_the_primary_behind_members_that_are_silent_away_or_standby(
    shard: Shard,
) -> None:
    async def scenario() -> None:
        async with store_of(shard) as store:
            with socket.socket() as silent:  # a dead node: connections hang
                silent.bind(("127.0.0.1", 0))
                silent.listen()
                hosts = (
                    f"127.0.0.1:{silent.getsockname()[1]}", "shard-0-1.members.invalid:5432",
                    f"127.0.0.1:{free_port()}", f"127.0.0.1:{shard.port}",
                )  # fmt: skip
                address = shard.topology.shards[0].model_copy(update={"hosts": hosts})
                store.set_topology(shard.topology.model_copy(update={"shards": (address,)}))
                for _ in range(3):
                    assert len(await store.trades("BTCUSDT", Page(1))) == 1

    run(scenario())


def test_a_member_in_recovery_is_not_read(shard: Shard) -> None:
    async def scenario() -> None:
        async with store_of(shard) as store, administrator(shard) as connection:
            # What a standby says of itself, too.
            await connection.execute(
                "ALTER DATABASE trading SET default_transaction_read_only = on"
            )
            try:
                with pytest.raises(StoreUnavailableError, match="no member takes writes"):
                    await store.trades("BTCUSDT", Page(1))
            finally:
                await connection.execute("SET default_transaction_read_only = off")
                await connection.execute(
                    "ALTER DATABASE trading RESET default_transaction_read_only"
                )
            assert len(await store.trades("BTCUSDT", Page(1))) == 1

    run(scenario())
