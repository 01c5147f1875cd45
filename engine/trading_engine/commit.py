"""The commit pipeline of one shard: batches one after another, answers for what is durable."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from trading_contract.durations import Durations
from trading_contract.wire import Code
from trading_engine._core import Batch, Sequencer
from trading_engine.moving.steps import Step
from trading_engine.shard_connection import ShardConnection
from trading_engine.shard_writer import ShardWriter, Statement
from trading_engine.waiting import COMMANDS_MAX, COMMANDS_WEIGHT

# Of a hold-up: (what waits is refused, surely not applied; what was matched is told to be unknown,
# and still resolved). A commit that only hangs gets longer, but less than a replica waits.
AWAY_SECONDS = (1.0, 2.0)
HANGS_SECONDS = (2.0, 4.0)
SETTLED_POLL_SECONDS = 0.002


class Rim(Protocol):
    """Who hears of what the pipeline did."""

    def deliver(self, outboxes: list[tuple[int, bytes]]) -> None:
        """Write answers to their connections."""

    def drained(self) -> None:
        """Commands were taken from the queues."""

    def publish(self, publications: list[tuple[str, bytes, bool]]) -> None:
        """Something is durable and may be told."""

    def wait_together(self) -> None:
        """One more pipeline has nothing to do but to wait; where none has, a shard may answer."""


@dataclass
class _Prepared:
    batch: Batch
    publications: list[tuple[str, bytes, bool]]
    answered: bool = False
    step: tuple[Step, Statement] | None = None


class CommitPipeline:
    """Takes what waits for its shard as one batch whenever the commit before it has ended."""

    def __init__(
        self, index: int, writer: ShardWriter, owner: uuid.UUID, sequencer: Sequencer, rim: Rim
    ) -> None:
        self.index = index
        self.batches = 0
        self.commands = 0
        self.commit_seconds = 0.0
        self.commit_durations = Durations()
        self.wait_durations = Durations()  # from a batch's first command to its commit
        self.batch_commands_max = 4096
        self.publish_interval_seconds = 0.005
        self.snapshot_interval_seconds = 2.0
        self.mirror: Callable[[Batch], None] = _unheard  # gets what is durable
        self._writer = writer
        self._owner = owner.bytes
        self._sequencer = sequencer
        self._rim = rim
        self._wake = asyncio.Event()
        self._ending = False
        self._open_commands = 0
        self._opened = 0.0
        self._sealed = 0  # batches, and how many of them are through
        self._through = 0
        self._refusing = False
        self._under_way: asyncio.Future[Any] | None = None
        self._usual_commands = 0.0
        self._ahead: _Prepared | None = None
        self._step: Step | None = None
        self._published = 0.0
        self._snapshot = 0.0

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is being committed."""
        return (
            self._sealed == self._through
            and not self._open_commands
            and not self._sequencer.waiting(self.index)
            and not self._sequencer.held(self.index)
        )

    @property
    def waits_for(self) -> ShardConnection | None:
        """Whose answer this waits for; None: it has other work, or will have."""
        return self._writer.waits_for if self._usual_commands <= COMMANDS_MAX else None

    async def settled(self) -> None:
        """Until everything that is applied now is durable, whatever comes meanwhile."""
        wanted = self._sealed + (1 if self._open_commands else 0)
        while self._through < wanted and not self._ending:
            await asyncio.sleep(SETTLED_POLL_SECONDS)

    def show_soon(self) -> None:
        """Snapshots of all symbols as soon as nothing is in flight: there are new ones."""
        self._snapshot = 0.0
        self._wake.set()

    def carry(self, step: Step) -> bool:
        """Commit the step with the next batch; False: there is one already."""
        if self._step is not None:
            return False
        self._step = step
        self._wake.set()
        return True

    def poke(self) -> None:
        """Commands may wait."""
        if self._refusing:
            self._refuse_waiting()
        under_way = self._under_way
        if under_way is None or under_way.done():
            self._wake.set()
            return
        try:
            self._match()  # at once: waking `run` for it costs more than matching does
        except Exception as problem:
            under_way.set_exception(problem)

    async def run(self) -> None:
        """Commit until closed. What it raises is fatal: fenced, refused, shard away."""
        with self._hold_up(None, AWAY_SECONDS):
            await self._writer.open()
        while not self._ending:
            self._wake.clear()
            prepared, self._ahead = self._ahead, None
            if prepared is None:
                if not self._match() and self._step is None:
                    await self._idle()
                    continue
                prepared = self._seal()
                self._add_step(prepared)
            landed = False
            if prepared.step is not None:
                landed = await self._commit_with(prepared, *prepared.step)
            elif prepared.batch.changes:
                await self._commit(prepared)
            self._through += 1
            self.mirror(prepared.batch)
            if not prepared.answered:
                self._rim.deliver(prepared.batch.outboxes)
            if prepared.publications:
                self._rim.publish(prepared.publications)
            if prepared.step is not None:
                self._step = None
                prepared.step[0].finish(landed)

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
        if not before:
            self._opened = time.monotonic()
        self._rim.drained()
        return self._open_commands

    def _seal(self) -> _Prepared:
        batch = self._sequencer.seal(self.index)
        now = time.monotonic()
        if self._open_commands:
            self.wait_durations.add(now - self._opened)
        self._usual_commands += (self._open_commands - self._usual_commands) * COMMANDS_WEIGHT
        self._open_commands = 0
        self._sealed += 1
        publications: list[tuple[str, bytes, bool]] = []
        if now - self._published >= self.publish_interval_seconds:
            publications = self._collect()  # the memory is that of this batch's end
        return _Prepared(batch, publications)

    def _add_step(self, prepared: _Prepared) -> None:
        """Let what was just sealed carry the step that waits."""
        step = self._step
        if step is None:
            return
        statement = step.seal(self._sequencer)
        if statement is None:
            self._step = None
            step.finish(False)
            return
        prepared.step = step, statement
        # Whoever gets the slots tells only what comes later.
        prepared.publications += self._collect()

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
        sent = self._under_way = self._writer.send(self._owner, prepared.batch)
        with self._hold_up(prepared, HANGS_SECONDS):
            self._rim.wait_together()
            if not sent.done():
                self._match()
            outcome = await sent
        if not self._writer.is_committed(outcome):
            with self._hold_up(prepared, AWAY_SECONDS):
                await self._writer.resolve(self._owner, prepared.batch)
        self._count_commit(time.monotonic() - begun)

    async def _commit_with(self, prepared: _Prepared, step: Step, statement: Statement) -> bool:
        """The same, together with a step; returns whether that was done, too."""
        self.batches += 1
        begun = time.monotonic()
        known: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._under_way = known
        work = self._writer.commit_with(self._owner, prepared.batch, step, statement)
        task = asyncio.ensure_future(work)
        task.add_done_callback(lambda done: _pass_on(done, known))
        with self._hold_up(prepared, HANGS_SECONDS):
            self._match()
            landed = await known
        self._count_commit(time.monotonic() - begun)
        return landed

    def _count_commit(self, seconds: float) -> None:
        self.commit_seconds += seconds
        self.commit_durations.add(seconds)

    @contextmanager
    def _hold_up(self, prepared: _Prepared | None, seconds: tuple[float, float]) -> Iterator[None]:
        """Nobody waits for a shard that is away longer than the limits above."""
        loop = asyncio.get_running_loop()
        timers = [loop.call_later(seconds[0], self._begin_refusing)]
        if prepared is not None:
            timers.append(loop.call_later(seconds[1], self._doubt, prepared))
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
        if self._open_commands and self._ahead is None:  # nothing is matched while refusing
            self._ahead = self._seal()
        for each in (prepared, self._ahead):
            if each is not None and not each.answered:
                each.answered = True
                each.batch.doubt()
                self._rim.deliver(each.batch.outboxes)

    def _refuse_waiting(self) -> None:
        if self._sequencer.waiting(self.index) or self._sequencer.held(self.index):
            refused = self._sequencer.refuse(self.index, Code.BUSY, time.time_ns() // 1000)
            self._rim.drained()
            self._rim.deliver(refused.outboxes)

    def close(self) -> None:
        """End `run` with its present turn, and let go of the connection."""
        self._ending = True
        self._wake.set()
        self._writer.close()


def _unheard(_: Batch) -> None:
    return


def _pass_on(done: asyncio.Task[bool], known: asyncio.Future[bool]) -> None:
    if known.done():
        return
    if done.cancelled():
        known.cancel()
    elif (problem := done.exception()) is not None:
        known.set_exception(problem)
    else:
        known.set_result(done.result())
