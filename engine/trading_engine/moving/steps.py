"""Steps: one more statement in the transaction of a batch, in which an owner changes its slots.

A step raises TC002 in the shard when it is not as expected; then nothing of it has happened.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from trading_engine._core import Sequencer

REFUSED = "TC002"


@dataclass(frozen=True)
class SlotRow:
    """What `slot_owner` says, as far as a step changes it."""

    epoch: int
    sequence: int
    chain: str
    owner: str
    past: str
    state: str = "ACTIVE"
    move: str = ""


class Step(Protocol):
    """What the pipeline carries with a batch."""

    @property
    def slots(self) -> tuple[int, ...]:
        """Which slots it is about."""

    def seal(self, sequencer: Sequencer) -> tuple[str, list[bytes]] | None:
        """Its statement and parameters as text. Called at the batch's end; None: not any more."""

    def landed(self, rows: dict[int, SlotRow]) -> bool:
        """Whether these rows show that it was committed."""

    def finish(self, landed: bool) -> None:
        """It is known. Called once the answers to the batch are given."""


def array(values: object) -> bytes:
    """A PostgreSQL array of numbers as text."""
    assert isinstance(values, (list, tuple))
    return ("{" + ",".join(str(value) for value in values) + "}").encode()


@dataclass(frozen=True)
class _Points:
    """Where the slots of a step are."""

    ids: tuple[int, ...]
    epochs: tuple[int, ...]
    sequences: tuple[int, ...]

    @classmethod
    def of(cls, sequencer: Sequencer, slots: tuple[int, ...]) -> _Points | None:
        found = [sequencer.slot(slot) for slot in slots]
        known = [slot for slot in found if slot is not None]
        if len(known) < len(slots):
            return None
        return cls(slots, tuple(slot[4] for slot in known), tuple(slot[5] for slot in known))

    def parameters(self, owner: uuid.UUID) -> list[bytes]:
        return [
            array(self.ids), array(self.epochs), array(self.sequences), str(owner).encode()
        ]  # fmt: skip


Finish = Callable[[bool], None]


@dataclass(frozen=True)
class DigestWish:
    """Which symbols of which slot, for which move, and what the clock says."""

    slot: int
    first: str
    orders_max: int
    move: str
    now_us: int


class DigestStep:
    """Logs the digest of some symbols of a slot. Nobody is held up, nothing is changed."""

    def __init__(self, wish: DigestWish, owner: uuid.UUID, finish: Finish) -> None:
        self.slots = (wish.slot,)
        self.sequence = -1
        self.past = ""
        self.finish = finish
        self._wish, self._owner = wish, owner

    def seal(self, sequencer: Sequencer) -> tuple[str, list[bytes]] | None:
        """The digest at the batch's end."""
        points = _Points.of(sequencer, self.slots)
        if points is None:
            return None
        wish = self._wish
        since_us = sequencer.digest_since_us(wish.now_us)
        made = sequencer.digest(wish.slot, wish.first, "", wish.orders_max, since_us)
        assert made is not None  # not before `since_us`
        digest, self.past = made
        self.sequence = points.sequences[0]
        return "SELECT log_digest($1, $2, $3, $4, $5, $6, $7, $8, $9)", [
            *points.parameters(self._owner), wish.move.encode(), str(since_us).encode(),
            wish.first.encode(), self.past.encode(), b"\\x" + digest.hex().encode(),
        ]  # fmt: skip

    def landed(self, rows: dict[int, SlotRow]) -> bool:
        """Logged once more rather than looked for."""
        return False


class _HoldingStep:
    """Sets the commands of its slots aside from the batch's end until it is known."""

    def __init__(self, slots: tuple[int, ...], owner: uuid.UUID, finish: Finish) -> None:
        self.slots = slots
        self.owner = owner
        self.finish = finish
        self.held_since = 0.0
        self.epochs: tuple[int, ...] = ()
        self.sequences: tuple[int, ...] = ()

    def hold(self, sequencer: Sequencer) -> list[bytes] | None:
        """From now on; the parameters that all such steps have."""
        points = _Points.of(sequencer, self.slots)
        if points is None:
            return None
        self.epochs, self.sequences = points.epochs, points.sequences
        self.held_since = time.monotonic()
        for slot in self.slots:
            sequencer.hold_slot(slot)
        return points.parameters(self.owner)


class HandOverStep(_HoldingStep):
    """Gives its slots to an incarnation that follows them."""

    def __init__(
        self, slots: tuple[int, ...], owner: uuid.UUID, move: str, to: tuple[str, str],
        finish: Finish,
    ) -> None:  # fmt: skip
        super().__init__(slots, owner, finish)
        self.to_incarnation, self.to_partition = to
        self._move = move

    def seal(self, sequencer: Sequencer) -> tuple[str, list[bytes]] | None:
        """Nothing is sequenced for these slots after the batch."""
        parameters = self.hold(sequencer)
        if parameters is None:
            return None
        whom = [self._move, self.to_incarnation, self.to_partition]
        return "SELECT hand_over($1, $2, $3, $4, $5, $6, $7)", [
            *parameters, *(text.encode() for text in whom)
        ]  # fmt: skip

    def landed(self, rows: dict[int, SlotRow]) -> bool:
        """They are another's: that it was by this, the log of the batch tells."""
        return all(
            slot in rows and rows[slot].epoch > epoch
            for slot, epoch in zip(self.slots, self.epochs, strict=True)
        )


class SplitStep(_HoldingStep):
    """Makes two slots of one."""

    def __init__(self, slot: int, at: str, new_slot: int, owner: uuid.UUID, finish: Finish) -> None:
        super().__init__((slot,), owner, finish)
        self.at, self.new_slot = at, new_slot

    def seal(self, sequencer: Sequencer) -> tuple[str, list[bytes]] | None:
        """At the batch's end."""
        parameters = self.hold(sequencer)
        if parameters is None:
            return None
        more = [self.at.encode(), str(self.new_slot).encode()]
        return "SELECT split_slot($1, $2, $3, $4, $5, $6)", [*parameters, *more]

    def landed(self, rows: dict[int, SlotRow]) -> bool:
        """The range tells."""
        row = rows.get(self.slots[0])
        me = str(self.owner)
        return row is not None and (row.epoch, row.owner, row.past) == (
            self.epochs[0] + 1, me, self.at,
        )  # fmt: skip


class MergeStep(_HoldingStep):
    """Makes one slot of two neighbours, left and right."""

    def __init__(self, slots: tuple[int, ...], past: str, owner: uuid.UUID, finish: Finish) -> None:
        super().__init__(slots, owner, finish)
        self.past = past

    def seal(self, sequencer: Sequencer) -> tuple[str, list[bytes]] | None:
        """At the batch's end."""
        parameters = self.hold(sequencer)
        if parameters is None:
            return None
        return "SELECT merge_slots($1, $2, $3, $4)", parameters

    def landed(self, rows: dict[int, SlotRow]) -> bool:
        """The range tells."""
        row = rows.get(self.slots[0])
        return row is not None and (row.epoch, row.owner, row.past) == (
            max(self.epochs) + 1, str(self.owner), self.past,
        )  # fmt: skip


_SEAL = (
    "SELECT slot_step(i, 'ACTIVE', e, $5::uuid, $4::uuid, s, decode(c, 'hex'), 'SEALED', e,"
    " $5::uuid, NULL) FROM unnest($1::int[], $2::bigint[], $3::bigint[], $6::text[])"
    " AS b(i, e, s, c)"
)
_ACTIVATE = (
    "SELECT slot_step(i, 'PREPARED', f, $5::uuid, NULL, s, decode(c, 'hex'), 'ACTIVE', e,"
    " $5::uuid, $4::uuid) FROM unnest($1::int[], $2::bigint[], $3::bigint[], $6::text[],"
    " $7::bigint[]) AS b(i, e, s, c, f)"
)


class SealStep(_HoldingStep):
    """The last commit of its slots on this shard; the target's row decides from then on."""

    def __init__(
        self, slots: tuple[int, ...], owner: uuid.UUID, move: uuid.UUID, finish: Finish
    ) -> None:
        super().__init__(slots, owner, finish)
        self.move = move
        self.chains: tuple[bytes, ...] = ()

    def seal(self, sequencer: Sequencer) -> tuple[str, list[bytes]] | None:
        """Nothing is sequenced for these slots after the batch."""
        parameters = self.hold(sequencer)
        if parameters is None:
            return None
        found = [sequencer.slot(slot) for slot in self.slots]
        self.chains = tuple(slot[6] for slot in found if slot is not None)
        chains = array([chain.hex() for chain in self.chains])
        return _SEAL, [*parameters, str(self.move).encode(), chains]

    def landed(self, rows: dict[int, SlotRow]) -> bool:
        """The rows are sealed for this move."""
        found = [rows.get(slot) for slot in self.slots]
        return all(
            row is not None and (row.state, row.move) == ("SEALED", str(self.move))
            for row in found
        )  # fmt: skip


def activation(
    ends: dict[int, tuple[int, int, bytes]],
    target_epochs: dict[int, int],
    move: uuid.UUID,
    owner: uuid.UUID,
) -> tuple[str, list[bytes | None]]:
    """The decision of a move between shards. `ends`: (epoch, sequence, chain) of sealed slots."""
    ids = list(ends)
    return _ACTIVATE, [
        array(ids), array([ends[i][0] + 1 for i in ids]), array([ends[i][1] for i in ids]),
        str(owner).encode(), str(move).encode(), array([ends[i][2].hex() for i in ids]),
        array([target_epochs[i] for i in ids]),
    ]  # fmt: skip
