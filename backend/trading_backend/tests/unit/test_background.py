"""Background loops end when they are closed, also when a library below swallows the cancel."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from trading_backend import background
from trading_backend.background import BackgroundLoop
from trading_backend.channels import Channels
from trading_backend.market_feed import MarketFeed
from trading_backend.order_entry import OrderEntry
from trading_backend.partition_link import PartitionLink
from trading_backend.rate_limits import RateLimits
from trading_backend.tests.unit.live_replica import run, wait_for
from trading_contract.topology import Limits, PartitionAddress


class Swallowing:
    """An `await` that answers each cancel with an error of its own, as client libraries may."""

    def __init__(self) -> None:
        self.entered = 0

    async def __call__(self, *_: object, **__: object) -> Any:
        """Wait for ever."""
        self.entered += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise OSError("the connection was closed") from None


def channels_of(swallowing: Swallowing, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Looks for the nodes of Redis."""
    channels = Channels()
    monkeypatch.setattr(channels, "_find", swallowing)
    return channels


def limits_of(swallowing: Swallowing, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Calls the roll."""
    channels = Channels()
    monkeypatch.setattr(channels, "execute", swallowing)
    limits = RateLimits(channels)
    limits.set_limits(Limits(orders_per_day=1))
    return limits


class Feed:
    """A market feed with one listened symbol, whose stored book is being read."""

    def __init__(self, swallowing: Swallowing, monkeypatch: pytest.MonkeyPatch) -> None:
        channels = Channels()
        monkeypatch.setattr(channels, "get", swallowing)
        self._feed = MarketFeed(channels, self, self)  # type: ignore[arg-type]
        self.query_depth = swallowing

    def start(self) -> None:
        """Begin."""
        self._feed.listen("BTCUSDT", self)  # type: ignore[arg-type]

    async def close(self) -> None:
        """End."""
        await self._feed.close()


def link_of(swallowing: Swallowing, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Connects to a partition."""
    entry = OrderEntry("r0")
    loop = asyncio.get_running_loop()
    if not isinstance(loop, asyncio.BaseEventLoop):
        pytest.skip("needs asyncio's own loop")
    monkeypatch.setattr(loop, "create_connection", swallowing)
    return PartitionLink(entry.partitions, 0, PartitionAddress(name="p0", host="h", port=1))


@pytest.mark.parametrize("make", [channels_of, limits_of, Feed, link_of])
def test_a_loop_ends_although_its_cancel_is_swallowed(
    make: Callable[[Swallowing, pytest.MonkeyPatch], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        swallowing = Swallowing()
        closing = make(swallowing, monkeypatch)
        closing.start()
        await wait_for(lambda: swallowing.entered)
        before = asyncio.all_tasks()
        async with asyncio.timeout(5):
            await closing.close()
        left = asyncio.all_tasks() & (before - {asyncio.current_task()})
        await wait_for(lambda: all(task.done() for task in left))

    run(scenario())


def test_a_process_that_hangs_at_its_end_is_ended() -> None:
    hanging = "from trading_backend.__main__ import end_anyway; import time; end_anyway(0.1); "
    ended = subprocess.run(
        [sys.executable, "-c", hanging + "time.sleep(60)"], timeout=30, check=False
    )
    assert ended.returncode == 1


def test_a_turn_that_fails_is_repeated(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        turns = 0

        async def turn() -> None:
            nonlocal turns
            turns += 1
            if turns == 1:
                raise ValueError("the first one")
            await asyncio.sleep(0)

        loop = BackgroundLoop("test", turn)
        loop.start()
        await wait_for(lambda: turns > 2)
        await loop.close()
        assert "test: a turn failed" in caplog.text

    run(scenario())


def test_closing_is_bounded_for_a_turn_that_never_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "CLOSE_SECONDS_MAX", 0.3)

    async def scenario() -> None:
        free = False

        async def turn() -> None:
            while not free:
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    continue

        loop = BackgroundLoop("stubborn", turn)
        loop.start()
        await asyncio.sleep(0)
        await loop.close()
        assert "stubborn does not end" in caplog.text
        free = True

    run(scenario())
