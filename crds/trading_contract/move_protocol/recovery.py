"""Recovery: what to do about a move, as a table over its two rows.

Anybody may apply it at any time, any number of times: what it names is a compare-and-set that
fails when the rows moved on. It knows no clock and no history. The table is total: a pair that is
not in it stops the slot's moves and asks for a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from trading_contract.move_protocol.rows import RowPair, SlotRow, SlotState


class Action(StrEnum):
    """One thing to do next; `steps` and the copier know how."""

    REST = "rest"  # nothing is under way
    PREPARE = "prepare"  # make the target's row
    COPY = "copy"  # only who began this copy may end it; anybody else poisons
    SET_MOVE = "set_move"
    SHADOW = "shadow"  # the target takes the source's committed records, in order
    SEAL = "seal"  # the owner's alone
    ACTIVATE = "activate"
    POISON = "poison"
    UNSEAL = "unseal"
    CLEAR_MOVE = "clear_move"
    CLEAR_TARGET = "clear_target"  # the last mention of a move that is done
    COLLECT = "collect"  # delete what an ended move left
    FOLLOW = "follow"
    VERIFY = "verify"  # compare both sides, and store that they are equal
    TOMB = "tomb"
    CALL_PERSON = "call_person"


class Side(StrEnum):
    """A row together with what it says of the other one."""

    NONE = "none"
    IDLE = "active without a move"
    NAMED = "active, naming the target's move"
    OTHER = "active, naming another move"
    SEALED = "sealed"
    SEALED_LATE = "sealed for another move"  # a seal of a dead move arrived late
    FOLLOWS = "follower"
    VERIFIED = "follower, verified"
    MOVED = "moved"
    BROKEN = "prepared, copy not whole"
    BEHIND = "prepared, behind"
    EQUAL = "prepared, equal"
    APART = "prepared, with another history"
    ABORTED = "aborted"
    ACTIVE = "active"
    STRANGE = "of another move, or in a state that its side cannot have"


@dataclass(frozen=True, slots=True)
class Recovery:
    """To go on with the move, and to give it up. After the decision both are the same."""

    forward: Action
    back: Action


def _both(action: Action) -> Recovery:
    return Recovery(action, action)


_A = Action
# Reads (side of the source, side of the target).
TABLE: dict[tuple[Side, Side], Recovery] = {
    # Nothing happened yet, or an old move left its row behind.
    (Side.IDLE, Side.NONE): Recovery(_A.PREPARE, _A.REST),
    (Side.IDLE, Side.ABORTED): Recovery(_A.PREPARE, _A.COLLECT),
    (Side.IDLE, Side.MOVED): Recovery(_A.PREPARE, _A.REST),
    (Side.NAMED, Side.MOVED): _both(_A.CLEAR_MOVE),
    (Side.OTHER, Side.MOVED): _both(_A.CLEAR_MOVE),
    (Side.OTHER, Side.NONE): _both(_A.CLEAR_MOVE),
    (Side.NAMED, Side.FOLLOWS): Recovery(_A.PREPARE, _A.REST),
    (Side.NAMED, Side.VERIFIED): Recovery(_A.PREPARE, _A.REST),
    # Before the seal: the target may be thrown away at any time.
    **{
        (source, target): Recovery(_A.SET_MOVE, _A.POISON)
        for source in (Side.IDLE, Side.OTHER)
        for target in (Side.BROKEN, Side.BEHIND, Side.EQUAL)
    },
    (Side.NAMED, Side.BROKEN): Recovery(_A.COPY, _A.POISON),
    (Side.NAMED, Side.BEHIND): Recovery(_A.SHADOW, _A.POISON),
    (Side.NAMED, Side.EQUAL): Recovery(_A.SEAL, _A.POISON),
    **{
        (source, Side.APART): _both(_A.POISON)
        for source in (Side.IDLE, Side.OTHER, Side.NAMED, Side.SEALED)
    },
    # Given up, never sealed or unsealed again.
    (Side.NAMED, Side.ABORTED): _both(_A.CLEAR_MOVE),
    (Side.OTHER, Side.ABORTED): _both(_A.CLEAR_MOVE),
    # Sealed: only the target's row decides, and it is asked, never a clock.
    (Side.SEALED, Side.BROKEN): _both(_A.POISON),  # a failover lost the end of the copy
    (Side.SEALED, Side.BEHIND): Recovery(_A.SHADOW, _A.POISON),
    (Side.SEALED, Side.EQUAL): Recovery(_A.ACTIVATE, _A.POISON),
    (Side.SEALED, Side.ABORTED): _both(_A.UNSEAL),
    (Side.SEALED, Side.ACTIVE): _both(_A.FOLLOW),
    # A target is prepared anew only once the move before is dead, so this seal decides nothing.
    **{
        (Side.SEALED_LATE, target): _both(_A.UNSEAL)
        for target in (Side.BROKEN, Side.BEHIND, Side.EQUAL, Side.APART, Side.ABORTED)
    },
    # Decided. The soak ends when somebody wishes it; until then the way back is warm.
    (Side.FOLLOWS, Side.ACTIVE): _both(_A.VERIFY),
    (Side.VERIFIED, Side.ACTIVE): _both(_A.TOMB),
    (Side.MOVED, Side.ACTIVE): _both(_A.CLEAR_TARGET),
    (Side.MOVED, Side.IDLE): _both(_A.COLLECT),
}


def classify(pair: RowPair) -> tuple[Side, Side]:
    """The line of the table that a pair stands in."""
    return _source_side(pair), _target_side(pair)


def recover(pair: RowPair) -> Recovery:
    """What to do about the two rows. Total: never raises."""
    return TABLE.get(classify(pair), _both(Action.CALL_PERSON))


def _source_side(pair: RowPair) -> Side:
    row = pair.source
    if row is None:
        return Side.NONE
    if row.state is SlotState.ACTIVE:
        if row.move_id is None:
            return Side.IDLE
        return Side.NAMED if pair.same_move else Side.OTHER
    if row.state is SlotState.MOVED:
        return Side.MOVED
    if row.state is SlotState.SEALED and pair.target is not None:
        return Side.SEALED if pair.same_move else Side.SEALED_LATE
    if not pair.same_move:
        return Side.STRANGE
    if row.state is SlotState.FOLLOWER:
        return Side.VERIFIED if row.verified else Side.FOLLOWS
    return Side.STRANGE


def _target_side(pair: RowPair) -> Side:
    row = pair.target
    if row is None:
        return Side.NONE
    if row.state is SlotState.PREPARED:
        ahead = pair.source is not None and row.epoch > pair.source.epoch
        return Side.STRANGE if ahead else _copy_side(pair.source, row)
    if row.state is SlotState.ABORTED:
        return Side.ABORTED
    if row.state is SlotState.MOVED:
        return Side.MOVED
    if row.state is SlotState.FOLLOWER and pair.same_move:
        return Side.VERIFIED if row.verified else Side.FOLLOWS
    if row.state is SlotState.ACTIVE:
        if pair.source is None or pair.source.epoch >= _continued(pair.source, row):
            return Side.STRANGE
        if pair.same_move:
            return Side.ACTIVE
        return Side.IDLE if pair.source.state is SlotState.MOVED else Side.STRANGE
    return Side.STRANGE


def _continued(source: SlotRow, target: SlotRow) -> int:
    """The epoch that must lie above the source's; a row that was left took the next one along."""
    return target.epoch if source.state is SlotState.SEALED else target.epoch + 1


def _copy_side(source: SlotRow | None, row: SlotRow) -> Side:
    if not row.is_copied:
        return Side.BROKEN
    if source is None or row.last_seq > source.last_seq:
        return Side.APART
    if row.last_seq < source.last_seq:
        return Side.BEHIND
    return Side.EQUAL if row.chain == source.chain else Side.APART
