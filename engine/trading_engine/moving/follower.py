"""The target of an engine move: has what the source has committed, until the slots are its own.

It reads the state of the slots as of one snapshot, then every row of the log. It answers nobody and
writes nothing but where it is. All of it goes through the shard: the source need not know it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from trading_contract.errors import InvariantError, WorldError
from trading_contract.move_protocol.rows import SlotState
from trading_contract.moves import MoveOrder, MoveProblem, MoveProgress, MoveState
from trading_engine._core import Sequencer, SlotRows
from trading_engine.moving.decide import Course, Row, next_course
from trading_engine.moving.queries import ROWS, TELL, WITHDRAW
from trading_engine.moving.steps import array
from trading_engine.shard_connection import Outcome, ShardConnection, ShardLostError
from trading_engine.taking import TakenSlot, Taker

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.02
CLOSE_POLL_SECONDS = 0.002  # once the slots may become ours at any moment
RETRY_SECONDS = 0.5
TELL_SECONDS = 0.5
ATTEMPTS_MAX = 3  # to replay; then the move is stopped
_POLL = b"follow"


class Shelf(Protocol):
    """Where followed slots become owned ones."""

    def owns(self, id_: int) -> bool:
        """Whether it is served here."""

    def open_followed(self, slot: TakenSlot, shard: str) -> bool:
        """Serve a slot that is at this point now; False: it is not."""

    def forget_followed(self, ids: list[int], shard: str) -> None:
        """They are not followed any more, whoever owns them; look who does."""


@dataclass
class _Slot:
    """A followed slot: where it is, and the last digest that it equalled."""

    slot: TakenSlot
    verified: int = -1
    past: str = ""  # all symbols before it were equal
    checked: str = ""  # digest that was compared already
    lag: int = 0


Fetch = Callable[[list[int]], Awaitable[tuple[list[TakenSlot], SlotRows]]]
Adopt = Callable[[SlotRows], Awaitable[None]]


@dataclass
class Reads:
    """How a follower gets at the shard."""

    fetch: Fetch
    adopt: Adopt
    connect: Callable[[], Awaitable[ShardConnection]]


@dataclass
class Follower:
    """One order with this partition as its target."""

    order: MoveOrder
    taker: Taker
    sequencer: Sequencer
    shelf: Shelf
    reads: Reads
    ending: bool = False
    cancelled: bool = False
    state: MoveState = "Waiting"
    problem: str = ""
    pause_milliseconds: float | None = None
    copied_bytes: int = 0
    _slots: dict[int, _Slot] = field(default_factory=dict)
    _code: MoveProblem = "other"
    _told: tuple[object, ...] = ()
    _told_at: float = 0.0
    _attempts: int = 0

    def progress(self) -> MoveProgress:
        """How far it is."""
        lag = max((slot.lag for slot in self._slots.values()), default=None)
        percent = {"Waiting": 0, "Copying": 10, "Following": 50, "Verifying": 80, "Ready": 90}
        return MoveProgress(
            id=self.order.id, role="target", state=self.state, slots=self.order.slots,
            attempt=self.order.attempt, lag_commands=lag,
            percent=100 if self.state == "Done" else percent.get(self.state, 0),
            bytes=self.copied_bytes, pause_milliseconds=self.pause_milliseconds,
            verified=self.state in ("Ready", "Done"), problem=self.problem,
            code=self._code if self.problem else "",
        )  # fmt: skip

    async def run(self) -> None:
        """Until the slots are ours, or nobody wants that any more."""
        while not self.ending and self.state not in ("Done", "Failed"):
            try:
                connection = await self.reads.connect()
            except ShardLostError as problem:
                logger.warning("move %s: %s", self.order.id, problem)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            try:
                await connection.prepare(ROWS, _POLL)
                await self._follow(connection)
            except WorldError as problem:
                logger.warning("move %s: %s; trying again", self.order.id, problem)
                self._drop()
                if self.cancelled:
                    self.state = "Failed"
                elif not self.ending:
                    await asyncio.sleep(RETRY_SECONDS)
            finally:
                connection.close()
        self._drop()
        self.shelf.forget_followed(list(self.order.slots), self.order.source_shard)

    async def _follow(self, connection: ShardConnection) -> None:
        if not await self._load():
            self.state = "Done"
            return
        while not self.ending and self._slots:
            await self._replay_news(connection)
            if self.cancelled:
                await self._withdraw(connection)
                break
            await self._tell(connection)
            if self.state in ("Failed", "Done"):
                break
            await asyncio.sleep(CLOSE_POLL_SECONDS if self.state == "Ready" else POLL_SECONDS)
        if not self._slots:
            self.state = "Done"

    async def _load(self) -> bool:
        """Begin to follow what is not ours; False: all is."""
        wanted = [slot for slot in self.order.slots if not self.shelf.owns(slot)]
        if not wanted:
            return False
        self.state = "Copying"
        found, rows = await self.reads.fetch(wanted)
        if len(found) < len(wanted):
            raise WorldError("not all of its slots are there")
        await self.reads.adopt(rows)
        for slot in found:
            self.sequencer.follow_slot(
                slot.id, slot.first, slot.past, 0, slot.epoch, slot.sequence, slot.chain
            )
            self._slots[slot.id] = _Slot(slot)
        self.state = "Following"
        return True

    async def _replay_news(self, connection: ShardConnection) -> None:
        ids = list(self._slots)
        outcome = await self._poll(connection, ids)
        rows_of: dict[int, list[tuple[bytes | None, ...]]] = {id_: [] for id_ in ids}
        for row in outcome.rows:
            rows_of[int(row[0] or 0)].append(row)
        for id_, rows in rows_of.items():
            if not rows:
                raise WorldError(f"slot {id_} is gone")
            self._one_slot(self._slots[id_], rows)
            if self.state in ("Failed", "Done"):
                return
        if self._slots:
            done = all(slot.past == slot.slot.past for slot in self._slots.values())
            seen = any(slot.checked for slot in self._slots.values())
            self.state = "Ready" if done else "Verifying" if seen else "Following"

    async def _poll(self, connection: ShardConnection, ids: list[int]) -> Outcome:
        at = [self._at(id_)[0] for id_ in ids]
        values = [array(ids), array(at), self.order.id.encode()]
        outcome = await connection.run_prepared(values, _POLL)
        if not outcome.good:
            raise ShardLostError(outcome.message)
        return outcome

    def _at(self, id_: int) -> tuple[int, bytes]:
        slot = self.sequencer.slot(id_)
        assert slot is not None
        return slot[5], slot[6]

    def _one_slot(self, each: _Slot, rows: list[tuple[bytes | None, ...]]) -> None:
        """Check, replay, check, and see whose it is."""
        id_ = each.slot.id
        text = [(value or b"").decode() for value in rows[0]]
        row = Row(
            id_, int(text[1]), UUID(text[2]), text[3] or None, SlotState(text[4]), int(text[5]),
            bytes.fromhex(text[6]),
        )  # fmt: skip
        for part in rows:
            self._compare(each, text[8:13])
            if part[13] is None:
                continue
            low, high, payload, chain = ((value or b"").decode() for value in part[13:])
            at = self._at(id_)[0]
            raw = bytes.fromhex(payload)
            if int(low) != at + 1:
                raise WorldError(f"the log of slot {id_} goes on at {low} after {at}")
            if self.sequencer.replay(id_, raw, int(high), bytes.fromhex(chain)) < 0:
                return self._stumble(f"slot {id_}: the log up to {high} gives another state here")
            self.copied_bytes += len(raw)
        self._compare(each, text[8:13])
        at, chain_at = self._at(id_)
        each.lag = row.last_seq - at
        course = next_course(row, self.taker.partition, self.taker.incarnation, at, chain_at)
        if course is Course.OPEN:
            self._open(each, row, text[7])
        elif course is Course.TAKE:
            self.state = "Done"
        elif course is Course.LEAVE:
            self._fail(f"slot {id_} is {row.state} by now")
        return None

    def _stumble(self, problem: str) -> None:
        """What was replayed is worthless: read anew, a few times."""
        self._attempts += 1
        if self._attempts >= ATTEMPTS_MAX:
            return self._fail(problem)
        raise WorldError(problem)

    def _fail(self, problem: str) -> None:
        logger.error("move %s: %s", self.order.id, problem)
        self.problem = problem
        self.state = "Failed"

    def _compare(self, each: _Slot, digest: list[str]) -> None:
        """Ours with the owner's, when we are where that was made."""
        sequence, since_us, first, past, wanted = digest
        id_ = each.slot.id
        if not sequence or int(sequence) != self._at(id_)[0] or each.checked == wanted:
            return
        if first not in (each.slot.first, each.past):
            return  # it goes on from what was equal before the slot was read anew
        made = self.sequencer.digest(id_, first, past, 1 << 60, int(since_us))
        if made is None:
            return  # what ended lately is not all remembered here: a later one will do
        each.checked = wanted
        if made[0].hex() == wanted:
            each.verified, each.past = int(sequence), past
        else:
            self._code = "differs"
            self._fail(f"slot {id_}: the digest at {sequence} of [{first!r}, {past!r}) differs")

    def _open(self, each: _Slot, row: Row, pause: str) -> None:
        slot = TakenSlot(
            row.slot, each.slot.first, each.slot.past, row.epoch, row.last_seq, row.chain
        )
        if not self.shelf.open_followed(slot, self.order.source_shard):
            raise InvariantError(f"slot {slot.id} is not where it was followed to")
        self.pause_milliseconds = float(pause) if pause else None
        del self._slots[slot.id]

    async def _tell(self, connection: ShardConnection) -> None:
        """Where we are; rarely, as it costs a commit."""
        now = time.monotonic()
        ids = list(self._slots)
        verified = [self._slots[id_].verified for id_ in ids]
        past = [self._slots[id_].past for id_ in ids]
        news = (ids, verified, past, self.problem)
        if not ids or (news == self._told and now < self._told_at + TELL_SECONDS):
            return
        self._told, self._told_at = news, now
        at = [self._at(id_)[0] for id_ in ids]
        outcome = await connection.ask(
            TELL,
            [
                array(ids), array(at), self.order.id.encode(), str(self.order.attempt).encode(),
                self.taker.partition.encode(), str(self.taker.incarnation).encode(),
                array(verified), array([f'"{name}"' for name in past]), self.problem.encode(),
            ],
        )  # fmt: skip
        if not outcome.good:
            raise ShardLostError(outcome.message)

    async def _withdraw(self, connection: ShardConnection) -> None:
        """Nobody can hand anything over to us any more; what came before that, we keep."""
        who = str(self.taker.incarnation).encode()
        outcome = await connection.ask(WITHDRAW, [array(list(self._slots)), who])
        if not outcome.good:
            raise ShardLostError(outcome.message)
        await self._replay_news(connection)
        if self._slots and self.state != "Done":
            self.problem, self.state = self.problem or "cancelled", "Failed"

    def _drop(self) -> None:
        """What is followed leaves the memory."""
        for id_ in self._slots:
            self.sequencer.drop_slot(id_)
            self.sequencer.forget_slot(id_)
        self._slots.clear()
        self._told = ()
