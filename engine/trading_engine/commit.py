"""The commit pipeline of one shard: batches one after another, answers for what is durable.

A commit whose outcome is not known (connection lost, warning, no answer in time) is resolved on a
new
connection: `SELECT .. FOR UPDATE` waits for the old server process, then sequence and chain of the
slots
tell. Surely absent: the same bytes are sent again, exactly one copy can pass the fence. Fenced: the
process ends, its memory is worth nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from trading_contract.errors import InvariantError, WorldError
from trading_contract.wire import Code
from trading_engine._core import Batch, Sequencer
from trading_engine.shard_connection import Outcome, ShardConnection, ShardLostError

logger = logging.getLogger(__name__)

PARAMETERS = 71
COMMIT = f"SELECT commit_batch({', '.join(f'${n + 1}' for n in range(PARAMETERS))})"
_BINARY = [1] * PARAMETERS
_SLOTS = (
    "SELECT slot_id, epoch, last_seq, encode(chain, 'hex') FROM slot_owner "
    "WHERE slot_id = ANY ($1::int[]) ORDER BY slot_id FOR UPDATE"
)
FENCED = "TC001"
# The transaction was surely rolled back by something that may pass: the same bytes may be sent
# again.
RETRY = ("40P01", "40001", "53", "55P03", "25006")
# The server is going down or the connection is: nobody knows.
UNKNOWN = ("57", "58", "08")
COMMIT_SECONDS_MAX = 30.0
BUSY_AFTER_SECONDS = 1.0  # of a hold-up: what waits is refused, surely not applied
UNKNOWN_AFTER_SECONDS = 2.0  # what was matched is told to be unknown, and still resolved
BACKOFF_SECONDS_MAX = 0.5


class FencedError(InvariantError):
    """Another incarnation owns a slot that this one served."""


class Rim(Protocol):
    """Who hears of what the pipeline did."""

    def deliver(self, outboxes: list[tuple[int, bytes]]) -> None:
        """Write answers to their connections."""

    def drained(self) -> None:
        """Commands were taken from the queues."""

    def publish(self, publications: list[tuple[str, bytes, bool]]) -> None:
        """Something is durable and may be told."""


@dataclass
class _Prepared:
    batch: Batch
    parameters: list[bytes]
    publications: list[tuple[str, bytes, bool]]
    answered: bool = False


class CommitPipeline:
    """Takes what waits for its shard as one batch whenever the commit before it has ended."""

    def __init__(
        self,
        index: int,
        connect: Callable[[], Awaitable[ShardConnection]],
        owner: uuid.UUID,
        sequencer: Sequencer,
        rim: Rim,
    ) -> None:
        self.index = index
        self.batches = 0
        self.commands = 0
        self.commit_seconds = 0.0
        self.batch_commands_max = 4096
        self.publish_interval_seconds = 0.005
        self.snapshot_interval_seconds = 2.0
        self.reconnect_seconds_max = 60.0
        self._connect = connect
        self._owner = owner.bytes
        self._sequencer = sequencer
        self._rim = rim
        self._connection: ShardConnection | None = None
        self._wake = asyncio.Event()
        self._open_commands = 0
        self._committing = False
        self._refusing = False
        self._ahead: _Prepared | None = None
        self._published = 0.0
        self._snapshot = 0.0

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is being committed."""
        return not (
            self._committing
            or self._ahead
            or self._open_commands
            or self._sequencer.waiting(self.index)
        )

    def poke(self) -> None:
        """Commands may wait."""
        if self._refusing:
            self._refuse_waiting()
        self._wake.set()

    async def run(self) -> None:
        """Commit until cancelled. What it raises is fatal: fenced, refused, shard away."""
        with self._hold_up(None):
            await self._open(time.monotonic() + self.reconnect_seconds_max)
        while True:
            self._wake.clear()
            prepared, self._ahead = self._ahead, None
            if prepared is None:
                if not self._match():
                    await self._idle()
                    continue
                prepared = self._seal()
            if prepared.batch.changes:
                self._committing = True
                await self._commit(prepared)
                self._committing = False
            if not prepared.answered:
                self._rim.deliver(prepared.batch.outboxes)
            if prepared.publications:
                self._rim.publish(prepared.publications)

    async def _idle(self) -> None:
        """Everything is durable: publish what is left, then wait."""
        now = time.monotonic()
        wait = self._snapshot + self.snapshot_interval_seconds - now
        if self._sequencer.has_publications(self.index):
            wait = min(wait, self._published + self.publish_interval_seconds - now)
        if wait <= 0:
            self._rim.publish(self._collect())
            return
        timer = asyncio.get_running_loop().call_later(wait, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    def _match(self) -> int:
        """Let what waits into the open batch; returns how many commands that has."""
        if not self._sequencer.waiting(self.index):
            return self._open_commands
        before = self._open_commands
        self._open_commands = self._sequencer.advance(
            self.index, time.time_ns() // 1000, self.batch_commands_max
        )
        self.commands += self._open_commands - before
        self._rim.drained()
        return self._open_commands

    def _seal(self) -> _Prepared:
        batch = self._sequencer.seal(self.index)
        self._open_commands = 0
        publications: list[tuple[str, bytes, bool]] = []
        if time.monotonic() - self._published >= self.publish_interval_seconds:
            publications = self._collect()  # the memory is that of this batch's end
        parameters = [self._owner, *batch.parameters()] if batch.changes else []
        return _Prepared(batch, parameters, publications)

    def _collect(self) -> list[tuple[str, bytes, bool]]:
        """What may be told once all that is sealed is durable. Only between seal and match."""
        now = time.monotonic()
        now_us = time.time_ns() // 1000
        self._published = now
        made = self._sequencer.publications(self.index, now_us)
        if now - self._snapshot >= self.snapshot_interval_seconds:
            self._snapshot = now
            made += self._sequencer.snapshots(self.index, now_us)
        return made

    async def _commit(self, prepared: _Prepared) -> None:
        """Make the batch durable; meanwhile what comes is matched into the next one."""
        self.batches += 1
        begun = time.monotonic()
        outcome = self._send(prepared)
        outcome.add_done_callback(lambda _: self._wake.set())
        while not outcome.done():
            self._wake.clear()
            self._match()
            await self._wake.wait()  # the outcome sets it too
        if not self._is_committed(outcome.result()):
            await self._resolve(prepared)
        self.commit_seconds += time.monotonic() - begun

    def _send(self, prepared: _Prepared) -> asyncio.Future[Outcome]:
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def done(result: Outcome) -> None:
            if not outcome.done():
                outcome.set_result(result)

        if self._connection is None or not self._connection.alive:
            outcome.set_result(Outcome(lost=True, message="not connected"))
        else:
            self._connection.start(prepared.parameters, _BINARY, done, COMMIT_SECONDS_MAX)
        return outcome

    def _is_committed(self, outcome: Outcome) -> bool:
        """True: durable. False: look at the shard. Raises when going on would be wrong."""
        if outcome.good:
            return True
        if outcome.sqlstate and not outcome.sqlstate.startswith((FENCED, *RETRY, *UNKNOWN)):
            raise InvariantError(f"the shard refused a batch: {outcome.sqlstate} {outcome.message}")
        logger.warning("shard %s: commit in doubt: %s", self.index, outcome)
        return False

    async def _resolve(self, prepared: _Prepared) -> None:
        """Find out whether the batch was committed; send the same bytes again until it is."""
        with self._hold_up(prepared):
            await self._make_durable(prepared)

    async def _make_durable(self, prepared: _Prepared) -> None:
        deadline = time.monotonic() + self.reconnect_seconds_max
        while True:
            await self._open(deadline)
            rows = await self._slot_rows(prepared.batch)
            if rows is None:
                continue
            verdict = _verdict(prepared.batch, rows)
            if verdict is True:
                return
            outcome = await self._send(prepared)
            if self._is_committed(outcome):
                return
            await asyncio.sleep(0.05)

    async def _slot_rows(self, batch: Batch) -> dict[int, tuple[int, int, str]] | None:
        assert self._connection is not None
        ids = "{" + ",".join(str(slot[0]) for slot in batch.slots) + "}"
        answer = await self._connection.ask(_SLOTS, [ids.encode()])
        if not answer.good:
            self._connection.close()
            return None
        rows = {}
        for slot_id, epoch, sequence, chain in answer.rows:
            rows[int(slot_id or 0)] = (int(epoch or 0), int(sequence or 0), (chain or b"").decode())
        return rows

    async def _open(self, deadline: float) -> None:
        """A connection to the writable member. Raises `WorldError` after the deadline."""
        pause = 0.02
        if self._connection is not None:
            self._connection.close()
        while True:
            try:
                self._connection = await self._connect()
                await self._connection.prepare(COMMIT)
                return
            except ShardLostError as problem:
                if time.monotonic() > deadline:
                    raise WorldError(f"shard {self.index} is away: {problem}") from problem
            await asyncio.sleep(pause)
            pause = min(pause * 2, BACKOFF_SECONDS_MAX)

    @contextmanager
    def _hold_up(self, prepared: _Prepared | None) -> Iterator[None]:
        """Nobody waits for a shard that is away longer than the limits above."""
        loop = asyncio.get_running_loop()
        timers = [loop.call_later(BUSY_AFTER_SECONDS, self._begin_refusing)]
        if prepared is not None:
            timers.append(loop.call_later(UNKNOWN_AFTER_SECONDS, self._doubt, prepared))
        try:
            yield
        finally:
            for timer in timers:
                timer.cancel()
            self._refusing = False

    def _begin_refusing(self) -> None:
        self._refusing = True
        self._refuse_waiting()

    def _doubt(self, prepared: _Prepared) -> None:
        """Answer what is matched but not known to be durable. It stays to be committed."""
        if self._open_commands:
            self._ahead = self._seal()
        for each in (prepared, self._ahead):
            if each is not None:
                each.answered = True
                each.batch.doubt()
                self._rim.deliver(each.batch.outboxes)

    def _refuse_waiting(self) -> None:
        if self._sequencer.waiting(self.index):
            refused = self._sequencer.refuse(self.index, Code.BUSY, time.time_ns() // 1000)
            self._rim.drained()
            self._rim.deliver(refused.outboxes)

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()


def _verdict(batch: Batch, rows: dict[int, tuple[int, int, str]]) -> bool:
    """True: committed. False: surely absent so far. Raises `FencedError` otherwise."""
    committed = []
    for slot_id, epoch, previous, sequence, chain in batch.slots:
        if slot_id not in rows or rows[slot_id][0] != epoch:
            raise FencedError(f"slot {slot_id} has another owner: {rows.get(slot_id)}")
        _, last, last_chain = rows[slot_id]
        if (last, last_chain) == (sequence, chain.hex()):
            committed.append(True)
        elif last == previous:
            committed.append(False)
        else:
            raise FencedError(f"slot {slot_id} went on without us: {last} after {previous}")
    if len(set(committed)) != 1:
        raise InvariantError("half a batch is committed")
    return committed[0]
