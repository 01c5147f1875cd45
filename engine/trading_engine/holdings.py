"""The slots that a partition owns, and the pipelines that commit for them; follows the topology."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, Protocol

from trading_contract.errors import WorldError
from trading_contract.topology import ShardAddress, Topology
from trading_engine._core import Batch, Sequencer
from trading_engine.commit import CommitPipeline, Rim
from trading_engine.complaints import Complaints
from trading_engine.conninfo import COMMIT_OPTIONS, LOAD_OPTIONS, over_sockets, shard_conninfo
from trading_engine.haste import Haste
from trading_engine.moving.decide import must_leave
from trading_engine.moving.settle import settle
from trading_engine.passwords import ENGINE, read_password
from trading_engine.recovery import adopt, fetch_slots
from trading_engine.settings import EngineSettings
from trading_engine.shard_connection import ShardConnection
from trading_engine.shard_writer import ShardWriter
from trading_engine.spares import SPARES
from trading_engine.taking import TakenSlot, Taker, release_slots, take_slots

logger = logging.getLogger(__name__)

# For a live owner to read the new topology: a ConfigMap may reach one pod a minute after another.
# It serves meanwhile; only a frozen one is in the way, and that the operator ends sooner.
HANDOVER_SECONDS_MAX = 90.0


class Host(Rim, Protocol):
    """The process around it."""

    topology: Topology
    incarnation: uuid.UUID

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run this beside; its failure ends the process."""

    def slots_changed(self) -> None:
        """Replicas must be told what is owned."""


class Holdings:
    """Owned slots by id. Confined to the event loop; whoever blocks does so in a thread."""

    def __init__(self, settings: EngineSettings, sequencer: Sequencer, host: Host) -> None:
        self.pipelines: dict[str, CommitPipeline] = {}
        self.haste = Haste()
        self._settings = settings
        self._sequencer = sequencer
        self._host = host
        self._owned: dict[int, tuple[TakenSlot, str]] = {}
        self._awaited: dict[int, float] = {}  # since when a slot is another's still
        self._dropped: dict[str, list[TakenSlot]] = {}  # by shard: not given back yet
        self._complaints = Complaints(logger)
        self._unclear: set[int] = set()  # a person has to say which row of them counts
        self.moving: set[int] = set()  # a move has them in hand
        self.mirror: Callable[[Batch], None] = lambda _: None
        self._looked: dict[str, int] = {}  # by shard: revision for which nothing was left to take
        self._seen_revision = -1
        self._placed: tuple[object, ...] = ()  # what of the topology says who takes what,
        self._placed_at = 0  # and the revision that brought it
        self.followed: set[int] = set()  # they come by a hand-over, or not at all

    def slots(self) -> list[dict[str, Any]]:
        """What is owned, as WELCOME and STATUS tell it."""
        live = {row[0]: row for row in self._sequencer.slots()}
        return [
            {
                "id": slot.id,
                "epoch": slot.epoch,
                "first": slot.first,
                "past": slot.past,
                "shard": shard,
                "sequence": live[slot.id][5],
            }
            for slot, shard in self._owned.values()
        ]

    def owned(self) -> list[tuple[str, list[TakenSlot]]]:
        """By shard: (connection string, owned slots)."""
        by_shard = [
            (shard, [slot for slot, on in self._owned.values() if on == shard.name])
            for shard in self._host.topology.shards
        ]
        return [(self._conninfo(shard, ""), slots) for shard, slots in by_shard if slots]

    @property
    def taker(self) -> Taker:
        """Who takes."""
        return Taker(self._settings.partition, self._host.incarnation)

    # For moves

    def shard_of(self, id_: int) -> str | None:
        """The shard of an owned slot."""
        return self._owned[id_][1] if id_ in self._owned else None

    def own(self, slot: TakenSlot, shard: str) -> None:
        """It is owned, or has other bounds or another epoch now."""
        self._owned[slot.id] = (slot, shard)

    def disown(self, ids: Iterable[int]) -> None:
        """They are another's, and their books go; everything of them is durable."""
        for id_ in ids:
            self._owned.pop(id_, None)
            self._sequencer.drop_slot(id_)
            self._sequencer.forget_slot(id_)

    def look_again(self, shard: str) -> None:
        """Something may be there to be taken."""
        self._looked.pop(shard, None)

    def conninfo(self, shard: ShardAddress) -> str:
        """For one who reads."""
        return self._conninfo(shard, LOAD_OPTIONS)

    def connector(
        self, shard: ShardAddress, options: str = COMMIT_OPTIONS
    ) -> Callable[[], Awaitable[ShardConnection]]:
        """Connects to the shard wherever the newest topology has it."""

        async def connect() -> ShardConnection:
            newest = next(s for s in self._host.topology.shards if s.name == shard.name)
            return await ShardConnection.open(self._conninfo(newest, options))

        return connect

    async def follow(self) -> bool:
        """Let go of what the topology takes away, take what it gives; False: something is left."""
        self._note_places()
        SPARES.close_idle()
        self._drop_taken_away()
        done = [await self._give_back(), await self._settle()]
        done += await asyncio.gather(*(self._take_missing(s) for s in self._host.topology.shards))
        return all(done)

    def _note_places(self) -> None:
        """Orders of moves come and go with revisions: they bring nothing to take."""
        topology = self._host.topology
        if topology.revision == self._seen_revision:
            return
        self._seen_revision = topology.revision
        placed = (topology.slots, topology.shards, topology.partitions)
        if placed != self._placed:
            self._placed, self._placed_at = placed, topology.revision

    # Letting go

    def _drop_taken_away(self) -> None:
        """From now on commands for these slots are answered with "wrong owner"."""
        placed = {slot.id: (slot.partition, slot.epoch) for slot in self._host.topology.slots}
        me = self._settings.partition
        gone = [
            (slot, shard)
            for slot, shard in self._owned.values()
            if must_leave(me, slot.epoch, *placed.get(slot.id, (None, 0)))
        ]
        for slot, shard in gone:
            self._sequencer.drop_slot(slot.id)
            del self._owned[slot.id]
            self._dropped.setdefault(shard, []).append(slot)
        if gone:
            logger.info("let go of slots %s", [slot.id for slot, _ in gone])
            self._host.slots_changed()

    async def _give_back(self) -> bool:
        """Once everything of dropped slots is durable: free their memory and tell the shard."""
        complete = True
        for shard in [s for s in self._host.topology.shards if s.name in self._dropped]:
            slots = self._dropped.pop(shard.name)
            await self.pipelines[shard.name].settled()
            for slot in slots:
                self._sequencer.forget_slot(slot.id)
            info = self._conninfo(shard, LOAD_OPTIONS)
            try:
                await asyncio.to_thread(release_slots, info, slots, self._host.incarnation)
            except WorldError as problem:  # the next owner waits a little, then takes them
                self._complaints.about(f"letting go on {shard.name}", problem)
                self._dropped[shard.name] = slots
                complete = False
            else:
                self._complaints.over(f"letting go on {shard.name}")
        return complete

    # Taking

    async def _settle(self) -> bool:
        """What an earlier incarnation left half moved, before anything of it is taken."""
        topology = self._host.topology
        if all(self._looked.get(shard.name) == self._placed_at for shard in topology.shards):
            return True
        infos = {shard.name: self.conninfo(shard) for shard in topology.shards}
        me = self._settings.partition
        placed = [slot.id for slot in topology.slots if slot.partition == me]
        but = {*self._owned, *self.followed, *self.moving}
        try:
            self._unclear = await asyncio.to_thread(settle, infos, me, placed, but)
        except WorldError as problem:  # what is whole on its shard is taken
            self._complaints.about("what earlier moves left", problem)
            return False
        self._complaints.over("what earlier moves left")
        return True

    async def _take_missing(self, shard: ShardAddress) -> bool:
        revision = self._placed_at
        if self._looked.get(shard.name) == revision:
            return True
        try:
            taken, awaited = await self._take(shard)
            await self._load(shard, taken)
        except WorldError as problem:
            self._complaints.about(f"taking slots on {shard.name}", problem)
            return False
        self._complaints.over(f"taking slots on {shard.name}")
        if not awaited:
            self._looked[shard.name] = revision
        return not awaited

    async def _take(self, shard: ShardAddress) -> tuple[list[TakenSlot], list[int]]:
        info = self._conninfo(shard, LOAD_OPTIONS)
        overdue = time.monotonic() - HANDOVER_SECONDS_MAX
        by_force = {id for id, since in self._awaited.items() if since < overdue}
        placed = [slot for slot in self._host.topology.slots if slot.shard == shard.name]
        but = {*self._owned, *self.followed, *self.moving, *self._unclear}
        taken, left = await asyncio.to_thread(
            take_slots, info, placed, self.taker, by_force, but
        )  # fmt: skip
        for slot_id in {slot.id for slot in taken} & self._awaited.keys():
            del self._awaited[slot_id]
        for slot_id in set(left) - self._awaited.keys():
            logger.info("slot %s: waiting for its owner to let go", slot_id)
            self._awaited[slot_id] = time.monotonic()
        return taken, left

    async def _load(self, shard: ShardAddress, taken: Sequence[TakenSlot]) -> None:
        if not taken:
            return
        begun = time.monotonic()
        rows = await asyncio.to_thread(
            fetch_slots, self._conninfo(shard, LOAD_OPTIONS), taken,
            self._host.topology.idempotency, time.time_ns() // 1000,
        )  # fmt: skip
        read_seconds = time.monotonic() - begun
        await adopt(self._sequencer, rows)
        pipeline = self.pipeline(shard)
        for slot in taken:
            self._sequencer.set_slot(
                slot.id, slot.first, slot.past, pipeline.index, slot.epoch, slot.sequence,
                slot.chain,
            )  # fmt: skip
            self._owned[slot.id] = (slot, shard.name)
        self._host.slots_changed()
        pipeline.show_soon()
        logger.info(
            "took %s slots of %s with %s open orders in %.3f s, %.3f s of them to read",
            len(taken), shard.name, rows.open_orders, time.monotonic() - begun, read_seconds,
        )  # fmt: skip

    def pipeline(self, shard: ShardAddress) -> CommitPipeline:
        """The one that commits to this shard."""
        if shard.name not in self.pipelines:
            writer = ShardWriter(shard.name, self.connector(shard))
            writer.haste = self.haste
            writer.reconnect_seconds_max = self._settings.reconnect_seconds_max
            pipeline = CommitPipeline(
                len(self.pipelines), writer, self._host.incarnation, self._sequencer, self._host
            )
            pipeline.batch_commands_max = self._settings.batch_commands_max
            pipeline.mirror = self.mirror
            pipeline.publish_interval_seconds = self._settings.publish_interval_seconds
            self.pipelines[shard.name] = pipeline
            self._host.start(pipeline.run())
        return self.pipelines[shard.name]

    def _conninfo(self, shard: ShardAddress, options: str) -> str:
        password = read_password(self._settings.secrets_folder, ENGINE)
        # Who takes a slot over knows its owner by this name; see `taking.py`.
        name = f"engine/{self._settings.partition}/{self._host.incarnation}"
        reached = over_sockets(shard, self._settings.shard_sockets_folder)
        return shard_conninfo(reached, ENGINE, password, name, options)

    def close(self) -> None:
        """End all pipelines."""
        for pipeline in self.pipelines.values():
            pipeline.close()
