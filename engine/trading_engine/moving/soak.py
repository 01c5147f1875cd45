"""After a move to another shard: the one that was left follows for a while, then is cleaned up.

For as long as the order of the move stands, at most for the time of the settings. While it is warm,
going back is another short move. What a death left cold is of no use: it is
verified and cleaned up at once. Nothing is deleted without a stored verification.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

from trading_contract.errors import WorldError
from trading_contract.move_protocol.recovery import Action, recover
from trading_contract.move_protocol.rows import SlotState
from trading_contract.move_protocol.steps import set_move, tomb
from trading_engine.complaints import Complaints
from trading_engine.moving.mirrors import Mirrors
from trading_engine.moving.rows import ShardRows, opened, read_pair
from trading_engine.moving.settle import settle_slot
from trading_engine.moving.verifying import store_verification

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
RETRY_SECONDS = 0.5
TURNS_MAX = 10
COLLECT_SHARE = 0.3  # of the time, as that of the copier
_COLD = (
    "SELECT slot_id FROM slot_owner WHERE (partition = %s AND state = 'FOLLOWER')"
    " OR (slot_id = ANY (%s) AND state = 'ACTIVE' AND move_id IS NOT NULL)"
)


class Home(Protocol):
    """Where the slots are."""

    def shards_of(self, ids: tuple[int, ...]) -> set[str | None]:
        """Where they are served."""

    def owned_ids(self) -> list[int]:
        """All that is served here."""

    def mirror(self, id_: int, mirrored: bool) -> None:
        """Whether batches carry its rows once more."""

    def conninfos(self, *shards: str) -> dict[str, str]:
        """How threads connect to them; none named: to all."""


class Soaks:
    """All slots of a partition that left a shard lately."""

    def __init__(self, home: Home, mirrors: Mirrors, partition: str, seconds: float) -> None:
        self._home = home
        self._mirrors = mirrors
        self._partition = partition
        self._seconds = seconds
        self._until: dict[int, float] = {}
        self._followers: dict[int, str] = {}
        self._busy = asyncio.Lock()
        self._new: list[tuple[int, int]] = []
        self._looked = False  # for what an earlier incarnation left
        self._ending = False
        self.moving: set[int] = set()  # slots of which a move takes care
        self.wished: set[int] = set()  # whose orders stand: that keeps their way back warm
        self.differs: dict[int, str] = {}  # what is not cleaned up, and why

    def begin(self, slot: int, follower: str, at: int) -> None:
        """The shard that a slot left follows, from this sequence on."""
        self._until[slot] = time.monotonic() + self._seconds
        self._followers[slot] = follower
        self._new.append((slot, at))

    def end_soon(self, slots: tuple[int, ...]) -> None:
        """Something else is wanted of these slots."""
        for slot in slots:
            if slot in self._until:
                self._until[slot] = 0.0

    def forget(self, slots: tuple[int, ...]) -> None:
        """A move takes the follower over."""
        for slot in slots:
            self._until.pop(slot, None)
            self._followers.pop(slot, None)

    async def run(self) -> None:
        """Until closed."""
        complaints = Complaints(logger)
        while not self._ending:
            try:
                async with self._busy:
                    await self._follow_new()
                    await self._retire_old()
                complaints.over("after a move")
            except WorldError as problem:
                complaints.about("after a move", problem)
                await asyncio.sleep(RETRY_SECONDS)
            await asyncio.sleep(0.01 if self._new else LOOK_SECONDS / 10)

    async def _follow_new(self) -> None:
        while self._new:
            slot, at = self._new[0]
            await asyncio.to_thread(self._settle, slot)
            shadow = self._mirrors.shadow(slot)
            if shadow is not None:
                shadow.open(at)
                self._mirrors.line(self._followers[slot]).poke()
            self._new.pop(0)

    def _settle(self, slot: int) -> None:
        with opened(self._home.conninfos()) as shards:
            settle_slot(shards, slot)

    async def _retire_old(self) -> None:
        now = time.monotonic()
        for slot, until in list(self._until.items()):
            shadow = self._mirrors.shadow(slot)
            broken = shadow is None or bool(shadow.problem)
            is_over = until <= now or slot not in self.wished
            if (is_over or broken) and slot not in self.moving:
                await self._retire(slot)
        if not self._looked:
            self._looked = True  # before: who asks for another look meanwhile is heard
            try:
                for slot in await asyncio.to_thread(self._left_over):
                    if slot not in self._until and slot not in self.moving:
                        await self._retire(slot)
            except BaseException:
                self._looked = False
                raise

    def look(self) -> None:
        """Slots were taken: an earlier owner may have left something."""
        self._looked = False

    def _left_over(self) -> list[int]:
        found: set[int] = set()
        owned = self._home.owned_ids()
        with opened(self._home.conninfos()) as shards:
            for shard in shards.values():
                rows = shard.execute(_COLD, (self._partition, owned))
                found.update(row[0] for row in rows)
        return sorted(found & set(owned))

    async def end_others(self, slot: int, keep: str) -> None:
        """No shard but this one follows the slot any more, and this one only if it is warm."""
        async with self._busy:
            await self._follow_new()
            shadow = self._mirrors.shadow(slot)
            warm = shadow is not None and not shadow.problem and shadow.at is not None
            if self._followers.get(slot) == keep and warm:
                self.forget((slot,))
                return
            await self._retire(slot)

    async def _retire(self, slot: int) -> None:
        """Verify, bury, delete."""
        self._home.mirror(slot, mirrored=False)
        self._mirrors.end(slot)
        await asyncio.to_thread(self._retire_all, slot)
        self.forget((slot,))

    def _retire_all(self, slot: int) -> None:
        with opened(self._home.conninfos()) as shards:
            views = {name: shard.read(slot) for name, shard in shards.items()}
            states = {name: view.row.state for name, view in views.items() if view is not None}
            owner = next((n for n, s in states.items() if s is SlotState.ACTIVE), None)
            if owner is None:
                return
            for name, state in states.items():
                if state in {SlotState.FOLLOWER, SlotState.MOVED}:
                    self._retire_one(shards, slot, name, owner)

    def _retire_one(
        self, shards: Mapping[str, ShardRows], slot: int, follower: str, owner: str
    ) -> None:
        for _ in range(TURNS_MAX):
            found = read_pair(shards[follower], shards[owner], slot)
            action = recover(found.pair).forward
            was, now = found.pair.source, found.pair.target
            if was is None or now is None:
                return
            move: UUID | None = was.move_id
            if action is Action.VERIFY and move is not None:
                with opened(self._home.conninfos(follower, owner), nice=True) as nice:
                    differs = store_verification(nice[follower], nice[owner], slot, move)
                if differs:
                    logger.critical("%s: kept as evidence", differs)
                    self.differs[slot] = differs
                    return
            elif action is Action.TOMB:
                shards[follower].take(slot, tomb(was))
            elif action is Action.CLEAR_TARGET and move is not None:
                with opened(self._home.conninfos(follower), nice=True) as nice:
                    nice[follower].collect(slot, move, COLLECT_SHARE)
                shards[owner].take(slot, set_move(now, None))
                logger.info("slot %s: %s is cleaned up", slot, follower)
                return
            else:
                return
        raise WorldError(f"slot {slot}: its follower does not come to rest")

    def close(self) -> None:
        """End `run`."""
        self._ending = True
