"""Market data streams: update ids without a gap, whatever dies behind them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from decimal import Decimal
from itertools import pairwise
from typing import Any

import websockets

from exchange import Exchange, Trader

SYMBOL = "SOLUSDT"


async def place(trader: Trader, price: str) -> None:
    """One order, retried while its partition is away."""
    for _ in range(100):
        answer = await asyncio.to_thread(
            trader.signed, "POST", "order", symbol=SYMBOL, side="BUY", type="LIMIT",
            timeInForce="GTC", quantity="1.000", price=price,
        )  # fmt: skip
        if answer.status_code == 200:
            return
        await asyncio.sleep(0.2)
    raise AssertionError(answer.text)


def apply(book: dict[str, dict[Decimal, Decimal]], event: dict[str, Any]) -> None:
    """Absolute quantities; 0 removes."""
    for side in ("b", "a"):
        for price, quantity in event[side]:
            if Decimal(quantity):
                book[side][Decimal(price)] = Decimal(quantity)
            else:
                book[side].pop(Decimal(price), None)


async def follow(url: str, events: list[dict[str, Any]], ready: asyncio.Event) -> None:
    """Collect depth events."""
    async with websockets.connect(url + "/ws/0") as socket:
        asked = {"method": "SUBSCRIBE", "params": [f"{SYMBOL.lower()}@depth@100ms"], "id": 1}
        await socket.send(json.dumps(asked))
        assert json.loads(await socket.recv()) == {"result": None, "id": 1}
        ready.set()
        while True:
            events.append(json.loads(await socket.recv()))


async def scenario(exchange: Exchange, trader: Trader) -> None:
    """Trade, empty Redis, kill the partition, trade; then compare with the book."""
    events: list[dict[str, Any]] = []
    ready = asyncio.Event()
    status = exchange.status()
    following = asyncio.create_task(follow(status["endpoints"]["websocket"], events, ready))
    await asyncio.wait_for(ready.wait(), 10)
    await asyncio.sleep(0.5)  # the first picture is taken
    begin = trader.http.get("/api/v3/depth", params={"symbol": SYMBOL, "limit": 1000}).json()
    await place(trader, "10.01")
    await place(trader, "10.02")
    exchange.empty_redis()
    await place(trader, "10.03")
    owner = next(s["partition"] for s in status["slots"] if s["first"] <= SYMBOL < s["past"])
    os.kill(next(p["pid"] for p in status["processes"] if p["name"] == owner), signal.SIGKILL)
    await place(trader, "10.04")
    await place(trader, "10.05")
    book = {side: {Decimal(p): Decimal(q) for p, q in begin[name]}
            for side, name in (("b", "bids"), ("a", "asks"))}  # fmt: skip
    last, used = begin["lastUpdateId"], 0
    deadline = asyncio.get_running_loop().time() + 20
    while Decimal("10.05") not in book["b"]:
        assert asyncio.get_running_loop().time() < deadline, (begin, events)
        await asyncio.sleep(0.1)
        for event in events[used:]:
            used += 1
            if event["u"] <= last:
                continue
            assert event["U"] <= last + 1, f"gap: {event['U']} after {last}"
            apply(book, event)
            last = event["u"]
    for before, after in pairwise(events):
        assert after["U"] == before["u"] + 1
    assert {Decimal(f"10.0{n}") for n in range(1, 6)} <= set(book["b"])
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following


def test_depth_has_no_gap_over_a_killed_partition_and_an_emptied_redis(
    exchange: Exchange, trader: Trader
) -> None:
    asyncio.run(scenario(exchange, trader))
    exchange.wait_ready()
    trader.signed("DELETE", "openOrders", symbol=SYMBOL)
