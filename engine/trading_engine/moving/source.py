"""The owner's side of a move: sees who follows, and commits digests, hand-overs, splits, merges."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from trading_contract.errors import WorldError
from trading_contract.moves import MoveOrder, MoveProgress, MoveState
from trading_engine.commit import CommitPipeline
from trading_engine.moving import decide
from trading_engine.moving.decide import Checked, Following, Held, next_step
from trading_engine.moving.steps import (
    DigestStep,
    DigestWish,
    HandOverStep,
    MergeStep,
    SplitStep,
    Step,
    array,
)
from trading_engine.shard_connection import ShardConnection, ShardLostError

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.02
RETRY_SECONDS = 0.5
FRESH_SECONDS = 3
DIGEST_ORDERS_MAX = 5_000  # about 1 ms of the event loop, for symbols that are no larger
REFUSALS_MAX = 20  # of one order by the shard; then it is stopped
_FOLLOWERS = b"followers"
_ROWS = f"""
SELECT slot_id, partition, incarnation, at_seq, verified_seq, verified_sym, problem,
       told_at > clock_timestamp() - interval '{FRESH_SECONDS} s'
  FROM slot_follower WHERE slot_id = ANY ($1::int[]) AND move_id = $2::uuid AND attempt = $3::int
"""


class Owner(Protocol):
    """Who holds the slots."""

    def held(self, ids: tuple[int, ...]) -> dict[int, Held]:
        """Those of them that are served here, as they are in memory."""

    def pipeline_of(self, ids: tuple[int, ...]) -> CommitPipeline | None:
        """The one that commits for all of them; None: there is no such one."""

    def handed_over(self, ids: tuple[int, ...], pipeline: CommitPipeline) -> None:
        """They are another's."""

    def split(self, id_: int, at: str, new_slot: int, epoch: int) -> None:
        """It is two."""

    def merge(self, left: Held, right: Held) -> None:
        """It is one."""

    def resume(self, pipeline: CommitPipeline) -> None:
        """What waits for the slots goes on here."""


@dataclass
class Source:
    """One order with this partition as its source."""

    order: MoveOrder
    incarnation: uuid.UUID
    owner: Owner
    connect: Callable[[], Awaitable[ShardConnection]]
    ending: bool = False
    cancelled: bool = False
    state: MoveState = "Waiting"
    problem: str = ""
    pause_milliseconds: float | None = None
    _checked: dict[int, Checked] = field(default_factory=dict)
    _lag: int | None = None
    _refusals: int = 0

    def progress(self) -> MoveProgress:
        """How far it is."""
        percent = {"Following": 50, "Verifying": 80, "Ready": 90, "HandingOver": 95, "Done": 100}
        return MoveProgress(
            id=self.order.id, role="source", state=self.state, slots=self.order.slots,
            attempt=self.order.attempt, lag_commands=self._lag,
            percent=percent.get(self.state, 0), pause_milliseconds=self.pause_milliseconds,
            verified=self.state in ("Ready", "HandingOver", "Done"), problem=self.problem,
        )  # fmt: skip

    async def run(self) -> None:
        """Until the order is done, or nobody wants that any more."""
        while self._goes_on():
            try:
                connection = await self.connect()
            except ShardLostError as problem:
                logger.warning("move %s: %s", self.order.id, problem)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            try:
                await connection.prepare(_ROWS, _FOLLOWERS)
                while self._goes_on():
                    await self._once(await self._followers(connection))
                    await asyncio.sleep(POLL_SECONDS)
            except WorldError as problem:
                logger.warning("move %s: %s; trying again", self.order.id, problem)
                await asyncio.sleep(RETRY_SECONDS)
            finally:
                connection.close()

    def _goes_on(self) -> bool:
        return not (self.ending or self.cancelled or self.state in ("Done", "Failed"))

    async def _followers(self, connection: ShardConnection) -> dict[int, Following]:
        if self.order.kind != "engine":
            return {}
        outcome = await connection.run_prepared(
            [array(self.order.slots), self.order.id.encode(), str(self.order.attempt).encode()],
            _FOLLOWERS,
        )
        if not outcome.good:
            raise ShardLostError(outcome.message)
        found = {}
        for row in outcome.rows:
            text = [(value or b"").decode() for value in row]
            found[int(text[0])] = Following(
                text[1], text[2], int(text[3]), (int(text[4]), text[5]), text[6], text[7] == "t"
            )
        return found

    async def _once(self, following: dict[int, Following]) -> None:
        order = self.order
        held = self.owner.held(order.slots)
        if held and following:
            self._lag = max(h.sequence - following[s].at for s, h in held.items() if s in following)
        step = next_step(order, held, following, self._checked)
        if isinstance(step, decide.Wait):
            self.state = step.state
            return
        if isinstance(step, decide.Stop):
            self.state, self.problem = "Failed", step.problem
            logger.error("move %s stops: %s", order.id, step.problem)
            return
        pipeline = self.owner.pipeline_of(order.slots)
        if pipeline is None:
            self.state, self.problem = "Failed", "its slots are on several shards"
            return
        if isinstance(step, decide.LogDigest):
            self.state = "Verifying"
            await self._log_digest(step, pipeline)
        elif isinstance(step, decide.HandOver):
            self.state = "HandingOver"
            await self._hand_over(step, held, pipeline)
        elif isinstance(step, decide.Split):
            await self._split(held, pipeline)
        else:
            await self._merge(held, pipeline)

    async def _carry(
        self, pipeline: CommitPipeline, make: Callable[[Callable[[bool], None]], Step],
        landed: Callable[[], None], holds: bool,
    ) -> bool:  # fmt: skip
        """Have it committed. `landed` is called in the turn in which that is known."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def finish(good: bool) -> None:
            if good:
                landed()
            elif holds:
                self.owner.resume(pipeline)
            if not done.done():
                done.set_result(good)

        while not pipeline.carry(make(finish)):
            await asyncio.sleep(POLL_SECONDS)
        good = await done
        self._refusals += not good
        if self._refusals >= REFUSALS_MAX:
            self.state, self.problem = "Failed", "the shard refuses each step"
        return good

    async def _log_digest(self, step: decide.LogDigest, pipeline: CommitPipeline) -> None:
        made: list[DigestStep] = []

        def make(finish: Callable[[bool], None]) -> Step:
            now_us = time.time_ns() // 1000
            wish = DigestWish(step.slot, step.first, DIGEST_ORDERS_MAX, self.order.id, now_us)
            made.append(DigestStep(wish, self.incarnation, finish))
            return made[-1]

        def landed() -> None:
            self._checked[step.slot] = Checked(
                step.incarnation, made[-1].sequence, made[-1].past
            )  # fmt: skip

        await self._carry(pipeline, make, landed, holds=False)

    async def _hand_over(
        self, step: decide.HandOver, held: dict[int, Held], pipeline: CommitPipeline
    ) -> None:
        slots, whom = tuple(held), (step.incarnation, step.partition)
        made: list[HandOverStep] = []

        def make(finish: Callable[[bool], None]) -> Step:
            made.append(HandOverStep(slots, self.incarnation, self.order.id, whom, finish))
            return made[-1]

        if await self._carry(
            pipeline, make, lambda: self.owner.handed_over(slots, pipeline), holds=True
        ):
            self.state = "Done"
            self.pause_milliseconds = (time.monotonic() - made[-1].held_since) * 1000
        elif self.state != "Failed":
            self._checked.clear()
            self.state = "Verifying"

    async def _split(self, held: dict[int, Held], pipeline: CommitPipeline) -> None:
        at, new_slot = self.order.split_at, self.order.new_slot
        assert at is not None
        assert new_slot is not None
        (slot,) = held.values()

        def make(finish: Callable[[bool], None]) -> Step:
            return SplitStep(slot.slot, at, new_slot, self.incarnation, finish)

        if await self._carry(
            pipeline, make,
            lambda: self.owner.split(slot.slot, at, new_slot, slot.epoch + 1), holds=True,
        ):  # fmt: skip
            self.state = "Done"

    async def _merge(self, held: dict[int, Held], pipeline: CommitPipeline) -> None:
        left, right = (held[slot] for slot in self.order.slots)

        def make(finish: Callable[[bool], None]) -> Step:
            return MergeStep((left.slot, right.slot), right.past, self.incarnation, finish)

        if await self._carry(
            pipeline, make, lambda: self.owner.merge(left, right), holds=True
        ):  # fmt: skip
            self.state = "Done"
