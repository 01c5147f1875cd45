"""What a move does to the slots that a partition serves."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from trading_contract.errors import InvariantError, WorldError
from trading_contract.topology import ShardAddress, Topology
from trading_contract.wire import Code
from trading_engine._core import Sequencer
from trading_engine.commit import CommitPipeline
from trading_engine.holdings import Holdings
from trading_engine.moving.decide import Held
from trading_engine.shard_connection import ShardConnection
from trading_engine.taking import TakenSlot

logger = logging.getLogger(__name__)


def merged_chain(left: bytes, right: bytes) -> bytes:
    """The chain of a slot that was made of two; the shard does the same."""
    return hashlib.sha256(left + right).digest()


class Replicas(Protocol):
    """Who is told."""

    topology: Topology

    def slots_changed(self) -> None:
        """Replicas must be told what is owned."""

    def deliver(self, outboxes: list[tuple[int, bytes]]) -> None:
        """Write answers to their connections."""


class MovingHome:
    """Between moves, holdings and sequencer. All in one turn of the event loop each."""

    def __init__(self, holdings: Holdings, sequencer: Sequencer, replicas: Replicas) -> None:
        self._holdings = holdings
        self._sequencer = sequencer
        self._replicas = replicas

    # For a source

    def held(self, ids: tuple[int, ...]) -> dict[int, Held]:
        """Those of them that are served here, as they are in memory."""
        found = {}
        for id_ in ids:
            slot = self._sequencer.slot(id_)
            if slot is not None and self._holdings.shard_of(id_) is not None:
                found[id_] = Held(id_, slot[1], slot[2], slot[4], slot[5])
        return found

    def pipeline_of(self, ids: tuple[int, ...]) -> CommitPipeline | None:
        """The one that commits for all of them; None: there is no such one."""
        shards = {self._holdings.shard_of(id_) for id_ in ids}
        name = shards.pop() if len(shards) == 1 else None
        return self._holdings.pipelines.get(name) if name is not None else None

    def handed_over(self, ids: tuple[int, ...], pipeline: CommitPipeline) -> None:
        """Replicas hear first that the slots are gone: what is refused then is asked elsewhere."""
        self._holdings.disown(ids)
        self._replicas.slots_changed()
        refused = self._sequencer.refuse_held(
            pipeline.index, Code.WRONG_OWNER, time.time_ns() // 1000
        )
        self._replicas.deliver(refused.outboxes)
        pipeline.poke()
        logger.info("handed over slots %s", list(ids))

    # For moves to other shards

    def shards_of(self, ids: tuple[int, ...]) -> set[str | None]:
        """Where they are served; None: not here."""
        return {self._holdings.shard_of(id_) for id_ in ids}

    def hurry(self, at_once: bool) -> None:
        """Whether orders come at once, if this machine has time to spare, or as usual."""
        self._holdings.haste.wish(at_once)

    def owned_ids(self) -> list[int]:
        """All that is served here."""
        return [slot["id"] for slot in self._holdings.slots()]

    def pipeline_to(self, shard: str) -> CommitPipeline:
        """The one that commits to this shard; made if need be."""
        named = {each.name: each for each in self._replicas.topology.shards}
        if shard not in named:
            raise WorldError(f"shard {shard} is not there")
        return self._holdings.pipeline(named[shard])

    def conninfos(self, *shards: str) -> dict[str, str]:
        """How threads connect to them; none named: to all."""
        named = {each.name: each for each in self._replicas.topology.shards}
        missing = set(shards) - named.keys()
        if missing:
            raise WorldError(f"shards {sorted(missing)} are not there")
        return {name: self._holdings.conninfo(named[name]) for name in shards or named}

    def in_hand(self, ids: tuple[int, ...], moving: bool) -> None:
        """Whether a move takes care of them: nobody else may."""
        if moving:
            self._holdings.moving.update(ids)
        else:
            self._holdings.moving.difference_update(ids)

    def mirror(self, id_: int, mirrored: bool) -> None:
        """Whether batches carry its rows once more."""
        self._sequencer.mirror_slot(id_, mirrored)

    def answer_held(self, pipeline: CommitPipeline) -> None:
        """What waits for held slots is refused for now."""
        now_us = time.time_ns() // 1000
        refused = self._sequencer.answer_held(pipeline.index, Code.BUSY, now_us)
        self._replicas.deliver(refused.outboxes)

    def place(self, epochs: dict[int, int], shard: str) -> None:
        """They are served on this shard from now on, at these epochs."""
        pipeline = self._holdings.pipelines[shard]
        for id_, epoch in epochs.items():
            if not self._sequencer.place_slot(id_, pipeline.index, epoch):
                raise InvariantError(f"slot {id_} is in a batch while it changes its shard")
            self._own_again(id_, shard)
        self._replicas.slots_changed()
        pipeline.show_soon()
        pipeline.poke()

    def split(self, id_: int, at: str, new_slot: int, epoch: int) -> None:
        """It is two."""
        shard = self._holdings.shard_of(id_)
        if not self._sequencer.split_slot(id_, at, new_slot, epoch) or shard is None:
            raise InvariantError(f"slot {id_} is split on its shard, but not here")
        self._own_again(id_, shard)
        self._own_again(new_slot, shard)
        self._tell(shard)

    def merge(self, left: Held, right: Held) -> None:
        """It is one."""
        shard = self._holdings.shard_of(left.slot)
        chains = [self._sequencer.slot(each.slot) for each in (left, right)]
        if shard is None or chains[0] is None or chains[1] is None:
            raise InvariantError(f"slot {left.slot} is merged on its shard, but not here")
        epoch = max(chains[0][4], chains[1][4]) + 1
        sequence = max(chains[0][5], chains[1][5])
        chain = merged_chain(chains[0][6], chains[1][6])
        if not self._sequencer.merge_slots(left.slot, right.slot, epoch, sequence, chain):
            raise InvariantError(f"slot {left.slot} is merged on its shard, but not here")
        self._holdings.disown([right.slot])
        self._own_again(left.slot, shard)
        self._tell(shard)

    def resume(self, pipeline: CommitPipeline) -> None:
        """What waits for the slots goes on here."""
        self._sequencer.resume_held(pipeline.index)
        pipeline.poke()

    def _own_again(self, id_: int, shard: str) -> None:
        slot = self._sequencer.slot(id_)
        assert slot is not None
        self._holdings.own(
            TakenSlot(id_, slot[1], slot[2], slot[4], slot[5], slot[6]), shard
        )  # fmt: skip

    def _tell(self, shard: str) -> None:
        self._replicas.slots_changed()
        self.resume(self._holdings.pipelines[shard])

    # For a follower

    def owns(self, id_: int) -> bool:
        """Whether it is served here."""
        return self._holdings.shard_of(id_) is not None

    def begin_following(self, ids: tuple[int, ...], shard: ShardAddress) -> None:
        """Take none of these by other ways, and be ready to commit for them."""
        self._holdings.followed.update(ids)
        self._holdings.pipeline(shard)

    def open_followed(self, slot: TakenSlot, shard: str) -> bool:
        """Serve a slot that is at this point now; False: it is not."""
        pipeline = self._holdings.pipelines[shard]
        if not self._sequencer.open_slot(
            slot.id, pipeline.index, slot.epoch, slot.sequence, slot.chain
        ):
            return False
        self._holdings.own(slot, shard)
        self._holdings.followed.discard(slot.id)
        self._replicas.slots_changed()
        pipeline.show_soon()
        logger.info("slot %s is ours at epoch %s", slot.id, slot.epoch)
        return True

    def forget_followed(self, ids: list[int], shard: str) -> None:
        """They are not followed any more, whoever owns them; look who does."""
        self._holdings.followed.difference_update(ids)
        self._holdings.look_again(shard)

    def connector(self, shard: ShardAddress) -> Callable[[], Awaitable[ShardConnection]]:
        """How to connect to a shard."""
        return self._holdings.connector(shard)

    def loading_conninfo(self, shard: ShardAddress) -> str:
        """How threads connect to it."""
        return self._holdings.conninfo(shard)
