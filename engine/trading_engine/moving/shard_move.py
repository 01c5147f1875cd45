"""A move of slots to another shard: the partition stays, what is committed goes along.

What is committed from some moment on is mirrored to the target, what was there before is copied by
a child process; once both sides are equal, `cutover.py` seals the source's rows together with a
batch, and one commit on the target decides. Nothing here is believed across a death: `settle.py`
reads the two rows, and gives up what is not decided.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from contextlib import aclosing
from dataclasses import dataclass, field

from trading_contract.errors import WorldError
from trading_contract.move_protocol.rows import try_id
from trading_contract.moves import MoveOrder, MoveProblem, MoveProgress, MoveState
from trading_engine.commit import CommitPipeline
from trading_engine.complaints import Complaints
from trading_engine.moving.copier import News, Throttle, copy_beside
from trading_engine.moving.copying import CopyJob
from trading_engine.moving.cutover import Cutover
from trading_engine.moving.laps import Laps
from trading_engine.moving.mirrors import Mirrors
from trading_engine.moving.preparing import Prepared, Try, check_ours, prepare
from trading_engine.moving.rows import opened
from trading_engine.moving.settle import settle_slot
from trading_engine.moving.shadow import Shadow, ShadowLine
from trading_engine.moving.shard_home import ShardHome, Soaks
from trading_engine.moving.verifying import hot_differences

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.02
RETRY_SECONDS = 0.5
TRIES_MAX = 5  # of one order by one incarnation, when shards are away or a step is refused
READY_POLLS = 5  # in a row with nothing to catch up
CATCH_UP_SECONDS_MAX = 60.0

_PERCENT: dict[str, int] = {
    "Following": 75, "Verifying": 85, "Ready": 90, "Sealing": 95, "Activating": 97, "Done": 100,
}  # fmt: skip


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
    _rested_seconds: float = 0.0
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
        self.state, self.copied_percent = "Copying", 0
        laps = Laps()
        for id_ in self.order.slots:
            await self.soaks.end_others(id_, self.target)
        laps.end("the end of earlier moves")
        line = self.mirrors.line(self.target)
        await line.warm()
        # Warm by the time it is needed; not before the target answers, as a pipeline that cannot
        # connect for long ends the process.
        self.home.pipeline_to(self.target)
        fresh = await self._prepare(move, line)
        for id_ in fresh:
            self.mirrors.begin(id_, self.target, move)
            self.home.mirror(id_, mirrored=True)
        await pipeline.settled()  # what is not mirrored is durable, hence copied
        laps.end("preparing")
        if fresh:
            await self._copy(move, fresh, pipeline)
            copied, rested = self.copied_bytes / 1e6, self._rested_seconds
            laps.end(f"copying {copied:.1f} MB with {rested:.2f} s of rest")
        self.state = "Following"
        for shadow in self._shadows():
            shadow.close = True
        await self._caught_up()
        laps.end("following")
        self.state = "Verifying"
        await self._verify(line)
        laps.end("verifying")
        self.state = "Ready"
        await self._caught_up(READY_POLLS)
        cutover = Cutover(
            self.order, move, self.incarnation, self.home, self.mirrors, self.soaks,
            {id_: made.target_epoch for id_, made in self._prepared.items()},
        )  # fmt: skip
        pause_milliseconds = await cutover.run(pipeline, line, self)
        if pause_milliseconds is not None:
            self.pause_milliseconds, self.state = pause_milliseconds, "Done"
            laps.end("getting ready and changing over")
            logger.info("move %s: %s; pause %.0f ms", self.order.id, laps, pause_milliseconds)

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

    async def _copy(self, move: uuid.UUID, ids: list[int], pipeline: CommitPipeline) -> None:
        held = self.home.held(tuple(ids))
        infos = self.home.conninfos(self.source, self.target)
        job = CopyJob(
            source=infos[self.source], target=infos[self.target], move=str(move),
            slots=tuple((id_, each.first, each.past) for id_, each in held.items()),
        )  # fmt: skip
        throttle = Throttle(pipeline, self.home.pipeline_to(self.target))
        async with aclosing(copy_beside(job, throttle)) as told:
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
        self._rested_seconds = max(self._rested_seconds, news.rested_seconds)
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
                    check_ours(shards[self.source].read(id_), id_, self.incarnation)
                    settle_slot(shards, id_, keep_rows=evidence)

        complaints = Complaints(logger)
        while not self.ending:
            try:
                return await asyncio.to_thread(work)
            except WorldError as problem:
                complaints.about(f"move {self.order.id} is given up, not yet tidied", problem)
                await asyncio.sleep(RETRY_SECONDS)
        return None
