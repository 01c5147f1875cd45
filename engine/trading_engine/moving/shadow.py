"""Committed batches of slots, appended to their rows on another shard, in order.

One line per target shard, with connections of its own: one whose server's process lets everybody
else go first, and one for when orders wait. Several batches go in one transaction when it is
behind. The commits of the source never wait for it: what it cannot keep up with breaks the shadow
of that slot, and the move with it.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from trading_contract.errors import InvariantError
from trading_contract.moves import MoveProblem
from trading_engine._core import Batch
from trading_engine.shard_connection import (
    Outcome,
    Sending,
    ShardConnection,
    ShardLostError,
    prepared,
    statement,
)
from trading_engine.shard_writer import RETRY, ROW_TYPES, UNKNOWN, row_types

logger = logging.getLogger(__name__)

QUEUE_BYTES_MAX = 256 << 20  # of one slot
BATCHES_MAX = 64  # in one transaction
BYTES_MAX = 4 << 20
# While nobody waits for the target several batches go in one transaction: that costs its server,
# and this partition, more than the rows of a small batch do.
LEISURE_SECONDS = 0.05
RETRY_SECONDS = 0.1
APPEND_SECONDS_MAX = 30.0
ANOTHER_HISTORY = ("TC005", "TC007")
APPEND = f"SELECT append_changes($1, {', '.join(f'${n + 2}' for n in range(len(ROW_TYPES)))})"
_BINARY = [1] * (1 + len(ROW_TYPES))
_NAME = b"append"

Statement = tuple[str, list[bytes | None]]
Made = TypeVar("Made")


@dataclass
class Shadow:
    """One slot on its way to another shard."""

    slot: int
    move: uuid.UUID
    bytes_max: int = QUEUE_BYTES_MAX
    at: int | None = None  # the target is there; None: it is being copied, what comes is kept
    until: int | None = None  # no further than this for now
    problem: str = ""
    code: MoveProblem = ""
    waiting: deque[tuple[int, int, int, Batch]] = field(default_factory=deque)
    waiting_bytes: int = 0
    appended_bytes: int = 0
    last: int = 0  # sequence of the newest batch that was given
    close: bool = False  # the target is to be no more than a batch behind

    @property
    def lag(self) -> int | None:
        """By how many commands the target is behind; None: not known yet."""
        return None if self.at is None else max(0, self.last - self.at)

    def give(self, previous: int, sequence: int, size: int, batch: Batch) -> None:
        """One more that is committed on the source."""
        self.last = sequence
        if self.problem:
            return
        if self.waiting_bytes + size > self.bytes_max:
            self.fail("the target does not keep up", "overflow")
            return
        self.waiting_bytes += size
        self.waiting.append((previous, sequence, size, batch))

    def open(self, at: int) -> None:
        """The copy is whole up to here."""
        while self.waiting and self.waiting[0][1] <= at:
            self._drop_first()
        self.at = at
        self.last = max(self.last, at)

    def next(self) -> Batch | None:
        """What may be appended now."""
        if self.at is None or self.problem or not self.waiting:
            return None
        if self.until is not None and self.waiting[0][1] > self.until:
            return None
        return self.waiting[0][3]

    def appended(self) -> None:
        """The first one is durable there."""
        self.at = self.waiting[0][1]
        self._drop_first()

    def _drop_first(self) -> None:
        size = self.waiting.popleft()[2]
        self.waiting_bytes -= size
        self.appended_bytes += size

    def fail(self, problem: str, code: MoveProblem = "other") -> None:
        """It is of no use any more."""
        logger.error("slot %s: its shadow breaks: %s", self.slot, problem)
        self.problem, self.code = problem, code
        self.waiting.clear()
        self.waiting_bytes = 0


class ShadowLine:
    """Appends for all slots that have the same target."""

    def __init__(self, target: str, connect: Callable[[], Awaitable[ShardConnection]]) -> None:
        self.target = target
        self.shadows: dict[int, Shadow] = {}
        self._connect = connect
        self._prompt: ShardConnection | None = None
        self._leisurely: ShardConnection | None = None
        self._types: tuple[int, ...] = ()
        self._wake = asyncio.Event()
        self._busy = asyncio.Lock()
        self._ending = False

    def poke(self) -> None:
        """There is something to append."""
        self._wake.set()

    async def run(self) -> None:
        """Until closed."""
        while not self._ending:
            self._wake.clear()
            if not any(each.next() for each in self.shadows.values()):
                await self._wake.wait()
                continue
            async with self._busy:
                outcome = await self._append_some()
            if not outcome.good:
                await asyncio.sleep(RETRY_SECONDS)
            elif not self._is_urgent() and not any(
                len(each.waiting) > BATCHES_MAX for each in self.shadows.values()
            ):
                await asyncio.sleep(LEISURE_SECONDS)
        self._hang_up()

    def _is_urgent(self) -> bool:
        return any(each.close for each in self.shadows.values())

    async def warm(self) -> None:
        """Be connected."""
        async with self._busy:
            for is_urgent in (False, True):
                await self._connected(is_urgent)

    async def still(self) -> None:
        """Until nothing is on its way."""
        async with self._busy:
            return

    async def between(self, work: Callable[[], Awaitable[Made]]) -> Made:
        """Do this while nothing is on its way."""
        async with self._busy:
            return await work()

    async def finish(self, slots: Sequence[int], step: Statement) -> Outcome:
        """Append all that these slots have, then the statement: one transaction.

        Lost: nobody knows whether it happened; ask the rows.
        """
        async with self._busy:
            todo = [
                (shadow, entry[3]) for shadow in map(self.shadows.__getitem__, slots)
                for entry in shadow.waiting
            ]  # fmt: skip
            outcome = await self._transact(todo, step)
            if outcome.good:
                for shadow, _ in todo:
                    shadow.appended()
            return outcome

    async def _append_some(self) -> Outcome:
        todo: list[tuple[Shadow, Batch]] = []
        bytes_todo = 0
        for shadow in list(self.shadows.values()):
            if shadow.next() is None:
                continue
            for _, sequence, size, batch in shadow.waiting:
                if shadow.until is not None and sequence > shadow.until:
                    break
                if todo and (len(todo) == BATCHES_MAX or bytes_todo + size > BYTES_MAX):
                    break
                todo.append((shadow, batch))
                bytes_todo += size
        outcome = await self._transact(todo, None)
        if outcome.good:
            for shadow, _ in todo:
                if shadow.waiting:  # it may have been broken meanwhile
                    shadow.appended()
        elif not outcome.lost and not outcome.sqlstate.startswith((*RETRY, *UNKNOWN)):
            await self._blame(todo)
        return outcome

    async def _blame(self, todo: Sequence[tuple[Shadow, Batch]]) -> None:
        """One by one, so that a slot with a problem stops no other."""
        for shadow in {id(shadow): shadow for shadow, _ in todo}.values():
            batch = shadow.next()
            if batch is None:
                continue
            outcome = await self._transact([(shadow, batch)], None)
            if outcome.good:
                shadow.appended()
            elif not outcome.lost and not outcome.sqlstate.startswith((*RETRY, *UNKNOWN)):
                code: MoveProblem = "differs" if outcome.sqlstate in ANOTHER_HISTORY else "other"
                shadow.fail(f"{outcome.sqlstate} {outcome.message}", code)

    async def _transact(
        self, todo: Sequence[tuple[Shadow, Batch]], step: Statement | None
    ) -> Outcome:
        try:
            connection = await self._connected(step is not None or self._is_urgent())
        except ShardLostError as problem:
            return Outcome(lost=True, message=str(problem))
        sendings = [self._appending(*each) for each in todo]
        if step is None and len(sendings) == 1:
            return await connection.run(sendings[0], APPEND_SECONDS_MAX)
        if step is not None:
            sendings.append(statement(*step))
        return await connection.transact(sendings, APPEND_SECONDS_MAX)

    def _appending(self, shadow: Shadow, batch: Batch) -> Sending:
        parameters = batch.mirror_parameters(shadow.slot, self._types)
        if len(parameters) != len(ROW_TYPES):
            raise InvariantError(f"a batch has no rows of slot {shadow.slot}")
        return prepared([shadow.move.bytes, *parameters], _BINARY, _NAME)

    async def _connected(self, is_urgent: bool) -> ShardConnection:
        made = self._prompt if is_urgent else self._leisurely
        if made is not None and made.alive:
            return made
        made = await self._connect()
        self._types = await row_types(made)
        await made.prepare(APPEND, _NAME)
        if is_urgent:
            self._prompt = made
        else:
            made.step_back()
            self._leisurely = made
        return made

    def _hang_up(self) -> None:
        for each in (self._prompt, self._leisurely):
            if each is not None:
                each.close()

    def close(self) -> None:
        """End `run`."""
        self._ending = True
        self._wake.set()
        self._hang_up()
