"""The pause of a move to another shard: a seal on the source, then one commit on the target.

That commit is the decision. Where its answer is lost only the two rows know, and they are asked
until they tell: nobody else may end what is sealed by a living owner.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from dataclasses import dataclass
from typing import Protocol

from trading_contract.errors import InvariantError, WorldError
from trading_contract.move_protocol.rows import SlotState
from trading_contract.moves import MoveOrder, MoveState
from trading_engine.commit import CommitPipeline
from trading_engine.complaints import Complaints
from trading_engine.moving.mirrors import Mirrors
from trading_engine.moving.preparing import check_ours
from trading_engine.moving.rows import opened
from trading_engine.moving.settle import settle_slot
from trading_engine.moving.shadow import ShadowLine
from trading_engine.moving.shard_home import ShardHome, Soaks
from trading_engine.moving.steps import SealStep, Step, activation

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.02
ANSWER_SECONDS = 0.25  # as long as a replica waits
PART_OF_PAUSE = 0.8  # of the longest pause in which the decision is still tried


class Teller(Protocol):
    """Who tells how far it is, and whether the partition ends."""

    state: MoveState
    ending: bool


@dataclass
class Cutover:
    """Of one try. `found`: the epochs at which the target's rows were found."""

    order: MoveOrder
    move: uuid.UUID
    incarnation: uuid.UUID
    home: ShardHome
    mirrors: Mirrors
    soaks: Soaks
    found: dict[int, int]

    async def run(self, pipeline: CommitPipeline, line: ShadowLine, teller: Teller) -> float | None:
        """Milliseconds of the pause; None: the partition ends, whoever takes the slots goes on.

        `pipeline` commits to the source, `line` appends to the target, which is a batch behind at
        most. Raises `WorldError` when the slots stay where they are.
        """
        teller.state = "Sealing"
        seal = await self._seal(pipeline)
        teller.state = "Activating"
        slots = self.order.slots
        ends = {
            id_: (epoch, sequence, chain) for id_, epoch, sequence, chain
            in zip(slots, seal.epochs, seal.sequences, seal.chains, strict=True)
        }  # fmt: skip
        statement = activation(ends, self.found, self.move, self.incarnation)
        until = seal.held_since + self.order.pause_milliseconds_max / 1000 * PART_OF_PAUSE
        while True:
            outcome = await line.finish(slots, statement)
            if outcome.good:
                return self._decided(seal)
            logger.warning("move %s: the decision is open: %s", self.order.id, outcome)
            if not outcome.lost or time.monotonic() > until:
                return await self._undo_or_follow(seal, pipeline, teller)

    async def _seal(self, pipeline: CommitPipeline) -> SealStep:
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def finish(good: bool) -> None:
            if not good:
                self.home.resume(pipeline)
            if not done.done():
                done.set_result(good)

        seal = SealStep(self.order.slots, self.incarnation, self.move, finish)
        await _carried(pipeline, seal)
        if not await done:
            raise WorldError("the shard refused the seal")
        return seal

    async def _undo_or_follow(
        self, seal: SealStep, pipeline: CommitPipeline, teller: Teller
    ) -> float | None:
        """Sealed, and perhaps decided: only the rows know. Never gives up: nobody else may."""
        complaints = Complaints(logger)
        what = f"move {self.order.id} is sealed and not decided"
        while True:
            asked = asyncio.ensure_future(asyncio.to_thread(self._owned_epochs))
            while not asked.done():
                await asyncio.wait([asked], timeout=ANSWER_SECONDS)
                if not asked.done():
                    self.home.answer_held(pipeline)
            try:
                owned = asked.result()
                break
            except WorldError as problem:
                complaints.about(what, problem)
            await asyncio.sleep(POLL_SECONDS)
            self.home.answer_held(pipeline)
            if teller.ending:
                return None
        source, target = self._shards()
        if set(owned[target]) == set(self.order.slots):
            return self._decided(seal)
        if set(owned[source]) != set(self.order.slots):
            raise InvariantError(f"move {self.order.id}: half of it is decided: {owned}")
        self.home.place(owned[source], source)
        raise WorldError("the target did not answer in time")

    def _owned_epochs(self) -> dict[str, dict[int, int]]:
        """By shard: the slots that are ours there, after everything was settled. Blocking."""
        infos = self.home.conninfos(*self._shards())
        with opened(infos, fresh=True) as shards:
            for id_ in self.order.slots:
                settle_slot(shards, id_)
            owned: dict[str, dict[int, int]] = {name: {} for name in infos}
            for name, shard in shards.items():
                for id_ in self.order.slots:
                    view = shard.read(id_)
                    if view is not None and view.row.state is SlotState.ACTIVE:
                        check_ours(view, id_, self.incarnation)
                        owned[name][id_] = view.row.epoch
            return owned

    def _shards(self) -> tuple[str, str]:
        assert self.order.target_shard is not None
        return self.order.source_shard, self.order.target_shard

    def _decided(self, seal: SealStep) -> float:
        """The slots are on the target; the source follows them from here on."""
        source, target = self._shards()
        epochs = {i: e + 1 for i, e in zip(seal.slots, seal.epochs, strict=True)}
        for id_ in seal.slots:
            self.mirrors.begin(id_, source, self.move)
        self.home.place(epochs, target)
        pause_milliseconds = (time.monotonic() - seal.held_since) * 1000
        logger.info(
            "slots %s are on %s: paused for %.1f ms", seal.slots, target, pause_milliseconds
        )
        for id_, sequence in zip(seal.slots, seal.sequences, strict=True):
            self.soaks.begin(id_, source, sequence)
        return pause_milliseconds


async def _carried(pipeline: CommitPipeline, step: Step) -> None:
    while not pipeline.carry(step):
        await asyncio.sleep(POLL_SECONDS)
