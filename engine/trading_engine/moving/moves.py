"""All moves that a partition has to do with, as the topology wishes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from trading_contract.moves import MoveOrder
from trading_contract.topology import Idempotency, ShardAddress, Topology
from trading_engine._core import Sequencer, SlotRows
from trading_engine.moving.follower import Follower, Reads, Shelf
from trading_engine.moving.mirrors import Mirrors
from trading_engine.moving.shard_home import ShardHome
from trading_engine.moving.shard_move import ShardMove
from trading_engine.moving.soak import Soaks
from trading_engine.moving.source import Owner, Source
from trading_engine.recovery import adopt, fetch_followed
from trading_engine.shard_connection import ShardConnection
from trading_engine.taking import TakenSlot, Taker

KINDS = ("engine", "shard", "split", "merge")  # of orders that are carried out here
Key = tuple[str, int]  # a move that is tried again is another one here


class Home(Owner, Shelf, ShardHome, Protocol):
    """Where the slots live."""

    def owned_ids(self) -> list[int]:
        """All that is served here."""

    def hurry(self, at_once: bool) -> None:
        """Whether orders come at once, if this machine has time to spare, or as usual."""

    def in_hand(self, ids: tuple[int, ...], moving: bool) -> None:
        """Whether a move takes care of them: nobody else may."""

    def begin_following(self, ids: tuple[int, ...], shard: ShardAddress) -> None:
        """Take none of these by other ways, and be ready to commit for them."""

    def connector(self, shard: ShardAddress) -> Callable[[], Awaitable[ShardConnection]]:
        """How to connect to a shard."""

    def loading_conninfo(self, shard: ShardAddress) -> str:
        """How threads connect to it."""


@dataclass(frozen=True)
class Bounds:
    """How long the shard that was left follows; what may wait for the one that is to get a slot."""

    soak_seconds: float
    shadow_bytes_max: int


class Moves:
    """Begins what is ordered, cancels what is not ordered any more."""

    def __init__(
        self,
        taker: Taker,
        sequencer: Sequencer,
        home: Home,
        start: Callable[[Coroutine[Any, Any, None]], None],
        bounds: Bounds,
    ) -> None:
        self._taker = taker
        self._sequencer = sequencer
        self._home = home
        self._start = start
        self._sources: dict[Key, Source] = {}
        self._followers: dict[Key, Follower] = {}
        self._shard_moves: dict[Key, ShardMove] = {}
        self._shards: dict[str, ShardAddress] = {}
        self._owned: frozenset[int] = frozenset()
        self.mirrors = Mirrors(
            lambda name: home.connector(self._shards[name]), start, bounds.shadow_bytes_max
        )
        self._soaks = Soaks(home, self.mirrors, taker.partition, bounds.soak_seconds)

    def run(self) -> None:
        """Look after what earlier moves left."""
        self._start(self._soaks.run())

    def progress(self) -> list[dict[str, Any]]:
        """What STATUS tells: also of moves that ended, while they are ordered."""
        each: list[Source | Follower | ShardMove] = [
            *self._sources.values(), *self._followers.values(), *self._shard_moves.values(),
        ]  # fmt: skip
        return [
            move.progress().model_dump(mode="json")
            for move in each
            if not move.cancelled
        ]  # fmt: skip

    def differences(self) -> list[str]:
        """What was not equal after a move was done; kept as it was found."""
        return list(self._soaks.differs.values())

    def follow(self, topology: Topology) -> None:
        """Begin and cancel what the topology says."""
        me = self._taker.partition
        wanted = {(order.id, order.attempt): order for order in topology.moves}
        moves: list[dict[Key, Source] | dict[Key, Follower] | dict[Key, ShardMove]] = [
            self._sources, self._followers, self._shard_moves,
        ]  # fmt: skip
        for known in moves:
            for key in known.keys() - wanted.keys():
                known[key].cancelled = True
        self._forget_ended(wanted)
        if (owned := frozenset(self._home.owned_ids())) - self._owned:
            self._soaks.look()
        self._owned = owned
        shard_orders = [order for order in topology.moves if order.kind == "shard"]
        self._home.hurry(_is_under_way(shard_orders, topology))
        self._soaks.wished = {slot for order in shard_orders for slot in order.slots}
        self._shards = shards = {shard.name: shard for shard in topology.shards}
        for key, order in wanted.items():
            shard = shards.get(order.source_shard)
            if shard is None:
                continue
            if order.kind == "shard":
                if order.source_partition == me:
                    self._begin_shard_move(key, order)
                continue
            if order.source_partition == me:
                self._soaks.end_soon(order.slots)
            if order.source_partition == me and key not in self._sources:
                self._sources[key] = self._begin_source(order, shard)
            if order.kind == "engine" and order.target_partition == me:
                self._begin_following(key, order, shard, topology.idempotency)

    def _forget_ended(self, wanted: dict[Key, MoveOrder]) -> None:
        for key in [k for k in self._sources if k not in wanted]:
            del self._sources[key]
        for key in [k for k in self._shard_moves if k not in wanted]:
            if not self._soaks.moving & set(self._shard_moves[key].order.slots):
                del self._shard_moves[key]
        for key in [k for k in self._followers if k not in wanted]:
            if self._followers[key].state in ("Done", "Failed"):
                del self._followers[key]

    def _begin_shard_move(self, key: Key, order: MoveOrder) -> None:
        if key in self._shard_moves or self._soaks.moving & set(order.slots):
            return  # the one before gives up first
        if order.target_shard not in self._shards:
            return
        move = ShardMove(
            order, self._taker.incarnation, self._taker.partition, self._home, self.mirrors,
            self._soaks,
        )  # fmt: skip
        self._shard_moves[key] = move
        self._begin_tending(order.slots)
        self._start(self._tend(move))

    def _begin_tending(self, slots: tuple[int, ...]) -> None:
        self._soaks.moving.update(slots)
        self._home.in_hand(slots, moving=True)

    async def _tend(self, move: ShardMove) -> None:
        try:
            await move.run()
        finally:
            self._soaks.moving.difference_update(move.order.slots)
            self._soaks.look()  # what was left of these slots was passed over meanwhile
            self._home.in_hand(move.order.slots, moving=False)

    def _begin_source(self, order: MoveOrder, shard: ShardAddress) -> Source:
        source = Source(
            order, self._taker.incarnation, self._home, self._home.connector(shard)
        )  # fmt: skip
        self._start(source.run())
        return source

    def _begin_following(
        self, key: Key, order: MoveOrder, shard: ShardAddress, remember: Idempotency
    ) -> None:
        others = [f for k, f in self._followers.items() if k != key]
        busy = {slot for f in others if f.state not in ("Done", "Failed") for slot in f.order.slots}
        if key in self._followers or busy & set(order.slots):
            return  # the one before withdraws first; asked again with the next turn
        sequencer = self._sequencer

        async def fetch(ids: list[int]) -> tuple[list[TakenSlot], SlotRows]:
            info = self._home.loading_conninfo(shard)
            now_us = time.time_ns() // 1000
            return await asyncio.to_thread(fetch_followed, info, ids, remember, now_us)

        async def take_in(rows: SlotRows) -> None:
            await adopt(sequencer, rows)

        reads = Reads(fetch, take_in, self._home.connector(shard))
        follower = Follower(order, self._taker, sequencer, self._home, reads)
        self._home.begin_following(order.slots, shard)
        self._followers[key] = follower
        self._start(follower.run())

    def close(self) -> None:
        """End all of it."""
        for source in self._sources.values():
            source.ending = True
        for follower in self._followers.values():
            follower.ending = True
        for move in self._shard_moves.values():
            move.ending = True
        self._soaks.close()
        self.mirrors.close()


def _is_under_way(orders: Sequence[MoveOrder], topology: Topology) -> bool:
    """Whether slots may still be copied, by whatever partition; afterwards orders stay to soak."""
    placed = {slot.id: slot.shard for slot in topology.slots}
    return any(placed.get(slot) != order.target for order in orders for slot in order.slots)
