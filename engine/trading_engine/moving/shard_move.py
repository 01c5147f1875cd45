"""A move of slots to another shard: the partition stays, what is committed goes along.

What is committed from some moment on is mirrored to the target, what was there before is copied by
a child process; once both sides are equal, the source's rows are sealed together with a batch, and
one commit on the target decides. Nothing here is believed across a death: `settle.py` reads the two
rows, and gives up what is not decided.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from trading_contract.errors import InvariantError, WorldError
from trading_contract.move_protocol.rows import SlotState, try_id
from trading_contract.moves import MoveOrder, MoveProblem, MoveProgress, MoveState
from trading_engine.commit import CommitPipeline
from trading_engine.moving.copier import News, Throttle, copy_beside
from trading_engine.moving.copying import CopyJob
from trading_engine.moving.decide import Held
from trading_engine.moving.preparing import Prepared, Try, prepare
from trading_engine.moving.rows import opened
from trading_engine.moving.settle import settle_slot
from trading_engine.moving.shadow import Mirrors, Shadow, ShadowLine
from trading_engine.moving.steps import SealStep, Step, activation
from trading_engine.moving.verifying import hot_differences

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.02
RETRY_SECONDS = 0.5
TRIES_MAX = 5  # of one order by one incarnation, when shards are away or a step is refused
READY_POLLS = 5  # in a row with nothing to catch up
CATCH_UP_SECONDS_MAX = 60.0
ANSWER_SECONDS = 0.25  # as long as a replica waits
PART_OF_PAUSE = 0.8  # of the longest pause in which the decision is still tried

_PERCENT: dict[str, int] = {
    "Following": 75, "Verifying": 85, "Ready": 90, "Sealing": 95, "Activating": 97, "Done": 100,
}  # fmt: skip


class ShardHome(Protocol):
    """Who holds the slots."""

    def held(self, ids: tuple[int, ...]) -> dict[int, Held]:
        """Those of them that are served here, as they are in memory."""

    def shards_of(self, ids: tuple[int, ...]) -> set[str | None]:
        """Where they are served."""

    def pipeline_to(self, shard: str) -> CommitPipeline:
        """The one that commits to this shard; made if need be."""

    def resume(self, pipeline: CommitPipeline) -> None:
        """What waits for the slots goes on here."""

    def answer_held(self, pipeline: CommitPipeline) -> None:
        """What waits for held slots is refused for now."""

    def place(self, epochs: dict[int, int], shard: str) -> None:
        """They are served on this shard from now on, at these epochs."""

    def mirror(self, id_: int, mirrored: bool) -> None:
        """Whether batches carry its rows once more."""

    def conninfos(self, *shards: str) -> dict[str, str]:
        """How threads connect to them; none named: to all."""


class Soaks(Protocol):
    """What is kept warm after moves."""

    def begin(self, slot: int, follower: str, at: int) -> None:
        """The shard that a slot left follows."""

    async def end_others(self, slot: int, keep: str) -> None:
        """No shard but this one follows the slot any more, and this one only if it is warm."""


class StopError(Exception):
    """The move cannot go on; the slots stay where they are."""

    def __init__(self, problem: str, code: MoveProblem = "other") -> None:
        super().__init__(problem)
        self.code = code


@dataclass
class ShardMove:
    """One order of this partition."""

    order: MoveOrder
    incarnation: uuid.UUID
    partition: str
    home: ShardHome
    mirrors: Mirrors
    soaks: Soaks
    ending: bool = False
    cancelled: bool = False
    state: MoveState = "Waiting"
    problem: str = ""
    code: MoveProblem = ""
    pause_milliseconds: float | None = None
    copied_bytes: int = 0
    copied_percent: int = 0
    _tries: int = 0
    _verified: bool = False
    _prepared: dict[int, Prepared] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """The shard that has the slots."""
        return self.order.source_shard

    @property
    def target(self) -> str:
        """The shard that gets them."""
        assert self.order.target_shard is not None
        return self.order.target_shard

    def progress(self) -> MoveProgress:
        """How far it is."""
        percent = _PERCENT.get(self.state, 0)
        if self.state == "Copying":
            percent = 5 + self.copied_percent * 65 // 100
        shadows = self._shadows()
        lags = [shadow.lag for shadow in shadows if shadow.lag is not None]
        return MoveProgress(
            id=self.order.id, role="source", state=self.state, slots=self.order.slots,
            attempt=self.order.attempt, lag_commands=max(lags, default=None), percent=percent,
            bytes=self.copied_bytes + sum(shadow.appended_bytes for shadow in shadows),
            pause_milliseconds=self.pause_milliseconds, verified=self._verified,
            problem=self.problem, code=self.code,
        )  # fmt: skip

    def _shadows(self) -> list[Shadow]:
        """Of its slots, towards the target."""
        found = [
            self.mirrors.shadow(id_) for id_ in self.order.slots
            if self.mirrors.target(id_) == self.target
        ]  # fmt: skip
        return [shadow for shadow in found if shadow is not None]

    async def run(self) -> None:
        """Until it is done, or cannot be."""
        while self._goes_on():
            where = self.home.shards_of(self.order.slots)
            if where == {self.target}:
                self._verified = True
                self.state = "Done"
            elif where == {self.source}:
                await self._try()
            elif None not in where:
                self._fail(StopError(f"its slots are on several shards: {where}"))
            await asyncio.sleep(POLL_SECONDS)

    def _goes_on(self) -> bool:
        return not (self.ending or self.cancelled or self.state in ("Done", "Failed"))

    def _fail(self, problem: StopError) -> None:
        logger.error("move %s stops: %s", self.order.id, problem)
        self.state, self.problem, self.code = "Failed", str(problem), problem.code

    async def _try(self) -> None:
        self._tries += 1
        move = try_id(uuid.UUID(self.order.id), self.incarnation, self._tries)
        try:
            await self._bring_over(move)
        except (StopError, WorldError) as problem:
            logger.warning("move %s: %s", self.order.id, problem)
            evidence = isinstance(problem, StopError) and problem.code == "differs"
            await self._give_up(evidence)
            if isinstance(problem, StopError):
                self._fail(problem)
            elif self._tries >= TRIES_MAX:
                self._fail(StopError(str(problem)))
            else:
                self.state, self._verified = "Waiting", False
                await asyncio.sleep(RETRY_SECONDS)

    async def _bring_over(self, move: uuid.UUID) -> None:
        pipeline = self.home.pipeline_to(self.source)
        self.home.pipeline_to(self.target)  # warm by the time it is needed
        self.state, self.copied_percent = "Copying", 0
        for id_ in self.order.slots:
            await self.soaks.end_others(id_, self.target)
        line = self.mirrors.line(self.target)
        await line.warm()
        fresh = await self._prepare(move, line)
        for id_ in fresh:
            self.mirrors.begin(id_, self.target, move)
            self.home.mirror(id_, mirrored=True)
        await pipeline.settled()  # what is not mirrored is durable, hence copied
        if fresh:
            await self._copy(move, fresh, pipeline)
        self.state = "Following"
        await self._caught_up()
        self.state = "Verifying"
        await self._verify(line)
        self.state = "Ready"
        await self._caught_up(READY_POLLS)
        await self._decide(move, pipeline, line)

    async def _prepare(self, move: uuid.UUID, line: ShadowLine) -> list[int]:
        """Rows for the target; the slots that are to be copied."""
        infos = self.home.conninfos(self.source, self.target)
        held = self.home.held(self.order.slots)
        warm = {shadow.slot for shadow in self._shadows()}
        attempt = Try(move, self.incarnation, self.partition)

        def work() -> dict[int, Prepared]:
            with opened(infos) as shards:
                return {
                    id_: prepare(
                        shards[self.source], shards[self.target], id_, attempt, warm=id_ in warm
                    )
                    for id_ in held
                }

        self._prepared = await line.between(lambda: asyncio.to_thread(work))
        for id_, made in self._prepared.items():
            if made.kept:
                shadow = self.mirrors.shadow(id_)
                assert shadow is not None
                shadow.move = move
        line.poke()
        return [id_ for id_, made in self._prepared.items() if not made.kept]

    async def _copy(
        self, move: uuid.UUID, ids: list[int], pipeline: CommitPipeline
    ) -> None:  # fmt: skip
        held = self.home.held(tuple(ids))
        infos = self.home.conninfos(self.source, self.target)
        job = CopyJob(
            source=infos[self.source], target=infos[self.target], move=str(move),
            slots=tuple((id_, each.first, each.past) for id_, each in held.items()),
        )  # fmt: skip
        async with aclosing(copy_beside(job, Throttle(pipeline))) as told:
            async for news in told:
                self._heard(news)

    def _heard(self, news: News) -> None:
        """Of the copier."""
        self._check()
        if news.failed:
            if news.code == "differs":
                raise StopError(news.failed, news.code)
            raise WorldError(news.failed)
        self.copied_bytes = max(self.copied_bytes, news.bytes)
        self.copied_percent = max(self.copied_percent, news.percent)
        for id_, sequence in news.at.items():
            shadow = self.mirrors.shadow(id_)
            if shadow is not None:
                shadow.open(sequence)
                self.mirrors.line(self.target).poke()

    def _check(self) -> None:
        """Raise what stands against going on."""
        if self.cancelled or self.ending:
            raise StopError("cancelled")
        shadows = self._shadows()
        for shadow in shadows:
            if shadow.problem:
                raise StopError(f"slot {shadow.slot}: {shadow.problem}", shadow.code)
        if len(shadows) < len(self.order.slots) or self.home.shards_of(self.order.slots) != {
            self.source
        }:
            raise StopError("its slots went elsewhere")

    async def _caught_up(self, polls: int = 1) -> None:
        """Until the target is at most a batch behind, so many times in a row."""
        deadline = time.monotonic() + CATCH_UP_SECONDS_MAX
        good = 0
        while good < polls:
            self._check()
            behind = any(s.at is None or len(s.waiting) > 1 for s in self._shadows())
            good = 0 if behind else good + 1
            if time.monotonic() > deadline:
                raise StopError("the target does not keep up", "overflow")
            await asyncio.sleep(POLL_SECONDS)

    async def _verify(self, line: ShadowLine) -> None:
        shadows = {shadow.slot: shadow for shadow in self._shadows()}
        infos = self.home.conninfos(self.source, self.target)
        ranges = {id_: (h.first, h.past) for id_, h in self.home.held(self.order.slots).items()}
        found = await hot_differences(
            (infos[self.source], infos[self.target]), line, shadows, ranges, self._check
        )
        if found:
            raise StopError(f"both sides are not equal: {found}", "differs")
        self._verified = True

    # The pause

    async def _decide(
        self, move: uuid.UUID, pipeline: CommitPipeline, line: ShadowLine
    ) -> None:  # fmt: skip
        slots = self.order.slots
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def finish(good: bool) -> None:
            if not good:
                self.home.resume(pipeline)
            if not done.done():
                done.set_result(good)

        self.state = "Sealing"
        seal = SealStep(slots, self.incarnation, move, finish)
        await _carried(pipeline, seal)
        if not await done:
            raise WorldError("the shard refused the seal")
        self.state = "Activating"
        ends = dict(zip(slots, zip(seal.epochs, seal.sequences, seal.chains, strict=True),
                        strict=True))  # fmt: skip
        found = {id_: made.target_epoch for id_, made in self._prepared.items()}
        statement = activation(ends, found, move, self.incarnation)
        until = seal.held_since + self.order.pause_milliseconds_max / 1000 * PART_OF_PAUSE
        while True:
            outcome = await line.finish(slots, statement)
            if outcome.good:
                return self._decided(seal, move)
            logger.warning("move %s: the decision is open: %s", self.order.id, outcome)
            if not outcome.lost or time.monotonic() > until:
                break
        await self._undo_or_follow(seal, move, pipeline)
        return None

    async def _undo_or_follow(
        self, seal: SealStep, move: uuid.UUID, pipeline: CommitPipeline
    ) -> None:
        """Sealed, and perhaps decided: only the rows know. Never gives up: nobody else may."""
        infos = self.home.conninfos(self.source, self.target)
        slots = self.order.slots

        def work() -> dict[str, dict[int, int]]:
            with opened(infos) as shards:
                for id_ in slots:
                    settle_slot(shards, id_)
                owned: dict[str, dict[int, int]] = {name: {} for name in infos}
                for name, shard in shards.items():
                    for id_ in slots:
                        view = shard.read(id_)
                        if view is not None and view.row.state is SlotState.ACTIVE:
                            if view.row.owner != self.incarnation:
                                raise InvariantError(f"slot {id_} has another owner")
                            owned[name][id_] = view.row.epoch
                return owned

        while True:
            asked = asyncio.ensure_future(asyncio.to_thread(work))
            while not asked.done():
                await asyncio.wait([asked], timeout=ANSWER_SECONDS)
                if not asked.done():
                    self.home.answer_held(pipeline)
            try:
                owned = asked.result()
            except WorldError as problem:
                logger.warning("move %s is sealed and not decided: %s", self.order.id, problem)
                await asyncio.sleep(POLL_SECONDS)
                self.home.answer_held(pipeline)
                if self.ending:
                    return None
                continue
            break
        if set(owned[self.target]) == set(slots):
            return self._decided(seal, move)
        if set(owned[self.source]) != set(slots):
            raise InvariantError(f"move {self.order.id}: half of it is decided: {owned}")
        self.home.place(owned[self.source], self.source)
        raise WorldError("the target did not answer in time")

    def _decided(self, seal: SealStep, move: uuid.UUID) -> None:
        """The slots are on the target; the source follows them from here on."""
        epochs = {i: e + 1 for i, e in zip(seal.slots, seal.epochs, strict=True)}
        for id_ in seal.slots:
            self.mirrors.begin(id_, self.source, move)
        self.home.place(epochs, self.target)
        self.pause_milliseconds = (time.monotonic() - seal.held_since) * 1000
        logger.info(
            "slots %s are on %s: paused for %.1f ms", seal.slots, self.target,
            self.pause_milliseconds,
        )  # fmt: skip
        for id_, sequence in zip(seal.slots, seal.sequences, strict=True):
            self.soaks.begin(id_, self.source, sequence)
        self.state = "Done"

    async def _give_up(self, evidence: bool) -> None:
        """Before the decision: the target's rows can never become active, the source goes on."""
        for id_ in self.order.slots:
            if self.mirrors.target(id_) == self.target:
                self.home.mirror(id_, mirrored=False)
                self.mirrors.end(id_)
        infos = self.home.conninfos(self.source, self.target)

        def work() -> None:
            with opened(infos) as shards:
                for id_ in self.order.slots:
                    settle_slot(shards, id_, keep_rows=evidence)

        while not self.ending:
            try:
                return await asyncio.to_thread(work)
            except WorldError as problem:
                logger.warning("move %s is given up, not yet tidied: %s", self.order.id, problem)
                await asyncio.sleep(RETRY_SECONDS)
        return None


async def _carried(pipeline: CommitPipeline, step: Step) -> None:
    while not pipeline.carry(step):
        await asyncio.sleep(POLL_SECONDS)
