"""What comes while a commit is under way: matched at once, and no failure of that goes unheard."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Callable
from typing import cast

import pytest

from trading_contract.wire import Command, Kind, Side
from trading_engine._core import Batch, Sequencer
from trading_engine.commit import CommitPipeline
from trading_engine.shard_connection import Outcome
from trading_engine.shard_writer import ShardWriter


class HangingWriter:
    """A shard that answers when the test says so."""

    def __init__(self) -> None:
        self.sent: list[asyncio.Future[Outcome]] = []
        self.waits_for = object()

    async def open(self) -> None:
        """At once."""

    def send(self, _owner: bytes, _batch: Batch) -> asyncio.Future[Outcome]:
        """Never done by itself."""
        self.sent.append(asyncio.get_running_loop().create_future())
        return self.sent[-1]

    def is_committed(self, outcome: Outcome) -> bool:
        """As the real one."""
        return outcome.good

    def close(self) -> None:
        """Nothing to let go of."""


class Deaf:
    """Hears of everything, does nothing."""

    def __init__(self) -> None:
        self.is_broken = False
        self.wait: Callable[[], None] = lambda: None

    def deliver(self, outboxes: list[tuple[int, bytes]]) -> None:
        """Ignored."""

    def drained(self) -> None:
        """Called while matching."""
        if self.is_broken:
            raise MemoryError

    def publish(self, publications: list[tuple[str, bytes, bool]]) -> None:
        """Ignored."""

    def wait_together(self) -> None:
        """As the test says."""
        self.wait()


def order(number: int) -> bytes:
    """A limit order."""
    fields = {"side": Side.BUY, "price": 100, "quantity": 1, "client_id": f"c{number}"}
    return Command(number, Kind.PLACE, "BTC", account=1, **fields).pack()  # type: ignore[arg-type]


def sequencer_of_one_slot() -> Sequencer:
    """Of one symbol, too."""
    sequencer = Sequencer(1000, 10**12)
    sequencer.set_symbol("BTC")
    sequencer.set_slot(1, "", "~", 0, 1, 0, bytes(32))
    return sequencer


def test_what_comes_meanwhile_is_matched_at_once_and_a_failure_ends_the_pipeline() -> None:
    async def scenario() -> None:
        sequencer = sequencer_of_one_slot()
        writer, rim = HangingWriter(), Deaf()
        pipeline = CommitPipeline(0, cast(ShardWriter, writer), uuid.uuid4(), sequencer, rim)
        running = asyncio.ensure_future(pipeline.run())
        sequencer.enqueue(1, order(1))
        pipeline.poke()
        while not writer.sent:
            await asyncio.sleep(0)
        sequencer.enqueue(1, order(2))
        pipeline.poke()
        assert sequencer.waiting(0) == 0 and pipeline.commands == 2
        writer.sent[0].set_result(Outcome())
        while len(writer.sent) < 2:
            await asyncio.sleep(0)
        rim.is_broken = True
        sequencer.enqueue(1, order(3))
        pipeline.poke()
        with pytest.raises(MemoryError):
            await asyncio.wait_for(running, 20)

    asyncio.run(scenario())


def test_a_shard_is_waited_for_while_batches_are_small_and_what_comes_meanwhile_is_left() -> None:
    async def scenario() -> None:
        sequencer = sequencer_of_one_slot()
        writer, rim = HangingWriter(), Deaf()
        pipeline = CommitPipeline(0, cast(ShardWriter, writer), uuid.uuid4(), sequencer, rim)
        waited: list[bool] = []
        numbers = itertools.count(1)

        def come(count: int) -> None:
            for _ in range(count):
                sequencer.enqueue(1, order(next(numbers)))

        def wait() -> None:
            waited.append(pipeline.waits_for is writer.waits_for)
            writer.sent[-1].set_result(Outcome())

        async def commits(commands: int, count: int) -> list[bool]:
            waited.clear()
            for done in range(count):
                come(commands)
                pipeline.poke()
                while len(waited) == done:
                    await asyncio.sleep(0)
            return waited.copy()

        rim.wait = wait
        running = asyncio.ensure_future(pipeline.run())
        await asyncio.sleep(0)
        assert all(await commits(5, 40))
        larger = await commits(60, 40)
        assert larger[0] and not any(larger[-30:])
        smaller = await commits(2, 60)
        assert not smaller[0] and all(smaller[-10:])

        def answered_late() -> None:
            come(1)
            rim.wait = answered_at_once

        def answered_at_once() -> None:
            come(1)
            writer.sent[-1].set_result(Outcome())
            rim.wait = lambda: left.append(sequencer.waiting(0))
            left.append(sequencer.waiting(0))

        left: list[int] = []
        rim.wait = answered_late
        come(1)
        pipeline.poke()
        while rim.wait is answered_late:
            await asyncio.sleep(0)
        assert sequencer.waiting(0) == 0  # matched, as the answer was not there
        writer.sent[-1].set_result(Outcome())
        while len(left) < 2:
            await asyncio.sleep(0)
        assert left == [1, 0] and pipeline.commands == next(numbers) - 1
        running.cancel()

    asyncio.run(scenario())
