"""The two rows of `slot_owner` that are the truth of a move, as one value.

The source is the row that owned the slot when the move began, the target the one made for it. A
move back is a new move with the roles changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID, uuid5

# A target whose hot copy is not whole yet; it stands in last_seq.
COPY_INCOMPLETE = -1
CHAIN_UNKNOWN = b""


class SlotState(StrEnum):
    """What a row lets happen to its slot on its shard."""

    PREPARED = "PREPARED"  # takes the copy and the shadow of one move
    ACTIVE = "ACTIVE"  # its owner commits here
    SEALED = "SEALED"  # takes nothing more; the target's row decides
    FOLLOWER = "FOLLOWER"  # left behind, kept equal by the reverse shadow
    ABORTED = "ABORTED"  # can never become active by that move
    MOVED = "MOVED"  # tombstone


class RowError(ValueError):
    """A row says something that no step can have written."""


@dataclass(frozen=True, slots=True)
class SlotRow:
    """One row of `slot_owner`, as far as moves care."""

    epoch: int
    owner: UUID
    state: SlotState
    last_seq: int
    chain: bytes
    move_id: UUID | None = None
    verified: bool = False  # a record of this move's verification stands beside the row

    def __post_init__(self) -> None:
        if self.epoch < 0:
            raise RowError(f"epoch {self.epoch} is below 0")
        if self.last_seq < COPY_INCOMPLETE:
            raise RowError(f"last_seq {self.last_seq} is below {COPY_INCOMPLETE}")
        unfinished = self.state in {SlotState.PREPARED, SlotState.ABORTED}
        if self.last_seq == COPY_INCOMPLETE and not unfinished:
            raise RowError(f"{self.state} with a copy that is not whole")
        if self.move_id is None and self.state not in {SlotState.ACTIVE, SlotState.MOVED}:
            raise RowError(f"{self.state} without a move")

    @property
    def is_copied(self) -> bool:
        """Whether the hot state is whole up to last_seq."""
        return self.last_seq != COPY_INCOMPLETE


@dataclass(frozen=True, slots=True)
class RowPair:
    """Source and target as they stood at one moment."""

    source: SlotRow | None
    target: SlotRow | None

    @property
    def same_move(self) -> bool:
        """Whether both rows tell of the same move."""
        source, target = self.source, self.target
        return source is not None and target is not None and source.move_id == target.move_id


def orient(rows: Mapping[str, SlotRow]) -> tuple[str | None, str | None]:
    """(source, target) among the shards that have a row of a slot; None: no such row.

    The head is where the slot lives, the ACTIVE or SEALED row of the highest epoch. Its partner is
    the row of the same move, else one that is being prepared. Rows of older moves are left out.
    """
    living = [name for name, row in rows.items() if row.state in _LIVING]
    if not living:
        return None, next(iter(sorted(rows)), None)
    head = max(living, key=lambda name: (rows[name].epoch, rows[name].state is SlotState.ACTIVE))
    others = sorted(name for name in rows if name != head)
    partner = next(
        iter(
            [n for n in others if n in living]
            + [n for n in others if _same_move(rows[n], rows[head])]
            + [n for n in others if rows[n].state in _UNDER_WAY]
        ),
        None,
    )
    if partner is None and len(others) == 1:
        partner = others[0]
    if partner is not None and rows[partner].state in _LEFT:
        return partner, head
    return head, partner


_LIVING = frozenset({SlotState.ACTIVE, SlotState.SEALED})
_UNDER_WAY = frozenset({SlotState.PREPARED, SlotState.FOLLOWER})
_LEFT = frozenset({SlotState.SEALED, SlotState.FOLLOWER, SlotState.MOVED})


def _same_move(row: SlotRow, other: SlotRow) -> bool:
    return row.move_id is not None and row.move_id == other.move_id


def pair_at_one_moment(
    target_before: SlotRow | None, source: SlotRow | None, target_after: SlotRow | None
) -> RowPair | None:
    """The pair at the moment the source was read; None: it moved on meanwhile, read again.

    Two servers cannot be read at once. The target is read before and after the source: state,
    epoch and move of a row never come back, so equal readings mean that nothing happened between.
    Of the sequence the first reading counts: a target never runs ahead of its source.
    Each reading must lock the row and commit: a row that a crashed server shows need not last.
    """

    def standing(row: SlotRow | None) -> tuple[object, ...] | None:
        return None if row is None else (row.state, row.epoch, row.move_id, row.owner)

    if standing(target_before) != standing(target_after):
        return None
    if target_before is not None and target_after is not None:
        if target_before.is_copied != target_after.is_copied:
            return None
        if target_before.verified != target_after.verified:
            return None
    return RowPair(source, target_before)


def try_id(order_id: UUID, incarnation: UUID, number: int) -> UUID:
    """The move_id of one try of a move order; a copy that broke is never taken up by another try.

    `number` counts the tries of this incarnation.
    """
    return uuid5(order_id, f"{incarnation}/{number}")
