"""What comes while a commit is under way: matched at once, and no failure of that goes unheard."""

from __future__ import annotations

import asyncio
import uuid
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

    def deliver(self, outboxes: list[tuple[int, bytes]]) -> None:
        """Ignored."""

    def drained(self) -> None:
        """Called while matching."""
        if self.is_broken:
            raise MemoryError

    def publish(self, publications: list[tuple[str, bytes, bool]]) -> None:
        """Ignored."""


def order(number: int) -> bytes:
    """A limit order."""
    fields = {"side": Side.BUY, "price": 100, "quantity": 1, "client_id": f"c{number}"}
    return Command(number, Kind.PLACE, "BTC", account=1, **fields).pack()  # type: ignore[arg-type]


def test_what_comes_meanwhile_is_matched_at_once_and_a_failure_ends_the_pipeline() -> None:
    async def scenario() -> None:
        sequencer = Sequencer(1000, 10**12)
        sequencer.set_symbol("BTC")
        sequencer.set_slot(1, "", "~", 0, 1, 0, bytes(32))
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
