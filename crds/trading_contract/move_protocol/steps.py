"""Changes of ownership as values: each is one compare-and-set of the SQL function `slot_step`.

A step names all that it expects to find. Done twice it is refused the second time, and a late
copy of it finds another epoch, another move or another state. `LEGAL` is written out in SQL too.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from trading_contract.move_protocol.rows import SlotRow, SlotState


class Place(StrEnum):
    """Which of the two shards a step is for."""

    SOURCE = "source"
    TARGET = "target"


@dataclass(frozen=True, slots=True)
class RowStep:
    """Parameters of `slot_step`; `at` None: at any sequence."""

    place: Place
    name: str
    from_state: SlotState
    from_epoch: int
    from_move: UUID | None
    to_state: SlotState
    to_epoch: int
    to_move: UUID | None
    at: tuple[int, bytes] | None = None
    from_owner: UUID | None = None  # None: whoever it is
    to_owner: UUID | None = None  # None: stays


class StepError(ValueError):
    """A step that cannot follow from the rows it was asked for."""


# (from, to): how the epoch changes. None: any higher one, as it continues another row's epoch.
LEGAL: dict[tuple[SlotState, SlotState], int | None] = {
    (SlotState.ACTIVE, SlotState.ACTIVE): 0,
    (SlotState.ACTIVE, SlotState.SEALED): 0,
    (SlotState.PREPARED, SlotState.ACTIVE): None,
    (SlotState.PREPARED, SlotState.ABORTED): 0,
    (SlotState.SEALED, SlotState.ACTIVE): 2,
    (SlotState.SEALED, SlotState.FOLLOWER): 1,
    (SlotState.FOLLOWER, SlotState.MOVED): 0,
}


def is_legal(step: RowStep) -> bool:
    """Whether the shard lets such a step through."""
    change = (step.from_state, step.to_state)
    if change not in LEGAL:
        return False
    rise = LEGAL[change]
    if step.to_state is SlotState.SEALED and (step.at is None or step.to_move is None):
        return False
    if change == (SlotState.PREPARED, SlotState.ACTIVE) and step.at is None:
        return False
    keeps = step.from_move == step.to_move or change == (SlotState.ACTIVE, SlotState.ACTIVE)
    if rise is None:
        return keeps and step.to_epoch > step.from_epoch
    return keeps and step.to_epoch == step.from_epoch + rise


def _must(row: SlotRow, state: SlotState) -> None:
    if row.state is not state:
        raise StepError(f"the row is {row.state}, not {state}")


def set_move(source: SlotRow, move: UUID | None) -> RowStep:
    """The source's row names the move, or none; the seal needs it."""
    _must(source, SlotState.ACTIVE)
    return RowStep(
        Place.SOURCE, "set_move" if move else "clear_move", SlotState.ACTIVE, source.epoch,
        source.move_id, SlotState.ACTIVE, source.epoch, move,
    )  # fmt: skip


def seal(source: SlotRow, me: UUID, at: tuple[int, bytes]) -> RowStep:
    """The owner's last commit on the source: nothing with this epoch can commit there any more."""
    _must(source, SlotState.ACTIVE)
    if source.move_id is None:
        raise StepError("no move is set")
    return RowStep(
        Place.SOURCE, "seal", SlotState.ACTIVE, source.epoch, source.move_id,
        SlotState.SEALED, source.epoch, source.move_id, at, from_owner=me,
    )  # fmt: skip


def activate(source: SlotRow, target: SlotRow) -> RowStep:
    """The decision, against `poison` on the same row: at exactly the source's end."""
    _must(source, SlotState.SEALED)
    _must(target, SlotState.PREPARED)
    return RowStep(
        Place.TARGET, "activate", SlotState.PREPARED, target.epoch, source.move_id,
        SlotState.ACTIVE, source.epoch + 1, source.move_id, (source.last_seq, source.chain),
        to_owner=source.owner,
    )  # fmt: skip


def _step(
    place: Place, name: str, row: SlotRow, change: tuple[SlotState, SlotState], rise: int = 0
) -> RowStep:
    """Of the row's own move, at any sequence, by anybody."""
    before, after = change
    _must(row, before)
    return RowStep(
        place, name, before, row.epoch, row.move_id, after, row.epoch + rise, row.move_id
    )  # fmt: skip


def poison(target: SlotRow) -> RowStep:
    """The target can never become active by this move."""
    return _step(Place.TARGET, "poison", target, (SlotState.PREPARED, SlotState.ABORTED))


def unseal(source: SlotRow) -> RowStep:
    """Only after the target's ABORTED was read. Epoch + 2: epoch + 1 stays the target's alone."""
    return _step(Place.SOURCE, "unseal", source, (SlotState.SEALED, SlotState.ACTIVE), rise=2)


def follow(source: SlotRow) -> RowStep:
    """Only after the target's ACTIVE was read: the source becomes the way back."""
    return _step(Place.SOURCE, "follow", source, (SlotState.SEALED, SlotState.FOLLOWER), rise=1)


def tomb(source: SlotRow) -> RowStep:
    """The end of the soak; the shard refuses it without a record of the verification."""
    return _step(Place.SOURCE, "tomb", source, (SlotState.FOLLOWER, SlotState.MOVED))
