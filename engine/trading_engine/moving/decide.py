"""What comes next in a move: pure functions of what is known. No I/O, no clock, no memory.

A wrong view is harmless: each step is a compare-and-set in the shard that fails when it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from uuid import UUID

from trading_contract.move_protocol.engine_move import may_open
from trading_contract.move_protocol.rows import SlotState
from trading_contract.moves import MoveOrder, MoveState

# At most a batch behind: what the last poll of a follower may not have seen yet.
LAG_COMMANDS_MAX = 4096


@dataclass(frozen=True)
class Held:
    """A slot as its owner has it."""

    slot: int
    first: str
    past: str
    epoch: int
    sequence: int


@dataclass(frozen=True)
class Following:
    """What a follower told of a slot. `fresh`: a moment ago."""

    partition: str
    incarnation: str
    at: int
    verified: tuple[int, str]  # the last digest that was equal: at which sequence, before what
    problem: str
    fresh: bool


@dataclass(frozen=True)
class Checked:
    """The last digest that was logged of a slot: at which sequence, of all symbols before `past`.

    It is of one incarnation of the follower: another one has to be checked from the start.
    """

    incarnation: str
    sequence: int
    past: str


@dataclass(frozen=True)
class LogDigest:
    """Log the digest of the slot's symbols from `first` on."""

    slot: int
    first: str
    incarnation: str


@dataclass(frozen=True)
class HandOver:
    """Commit the change of owner with the next batch."""

    incarnation: str
    partition: str


@dataclass(frozen=True)
class Split:
    """Commit the new range."""


@dataclass(frozen=True)
class Merge:
    """Commit the common range."""


@dataclass(frozen=True)
class Wait:
    """Nothing to do."""

    state: MoveState


@dataclass(frozen=True)
class Stop:
    """The move cannot go on; the slots stay where they are."""

    problem: str


Next = LogDigest | HandOver | Split | Merge | Wait | Stop


def next_step(
    order: MoveOrder,
    held: Mapping[int, Held],
    following: Mapping[int, Following],
    checked: Mapping[int, Checked],
) -> Next:
    """What the source does for an order. `held`: the slots that it owns now."""
    if any(slot not in held for slot in order.slots):
        return Wait("Waiting")
    if order.kind == "split":
        return _next_split(order, held[order.slots[0]])
    if order.kind == "merge":
        left, right = (held[slot] for slot in order.slots)
        return Merge() if left.past == right.first else Stop("the slots are no neighbours")
    if order.kind == "engine":
        return _next_hand_over(order, held, following, checked)
    return Wait("Waiting")


def _next_split(order: MoveOrder, slot: Held) -> Next:
    assert order.split_at is not None
    if slot.past == order.split_at:
        return Wait("Done")
    if not slot.first < order.split_at < slot.past:
        return Stop(f"{order.split_at} does not lie inside slot {slot.slot}")
    return Split()


def _next_hand_over(
    order: MoveOrder,
    held: Mapping[int, Held],
    following: Mapping[int, Following],
    checked: Mapping[int, Checked],
) -> Next:
    told = [following[slot] for slot in order.slots if slot in following]
    for each in told:
        if each.problem and each.fresh:
            return Stop(each.problem)
    one = {(each.incarnation, each.partition) for each in told if each.fresh}
    if len(told) < len(order.slots) or not all(each.fresh for each in told) or len(one) != 1:
        return Wait("Waiting")
    ((incarnation, partition),) = one
    if partition != order.target_partition:
        return Wait("Waiting")
    for slot in order.slots:
        last = checked.get(slot)
        if last is None or last.incarnation != incarnation or _is_missed(following[slot], last):
            return LogDigest(slot, held[slot].first, incarnation)
        if following[slot].verified != (last.sequence, last.past):
            return Wait("Verifying")
        if last.past < held[slot].past:
            return LogDigest(slot, last.past, incarnation)
    if any(held[slot].sequence - following[slot].at > LAG_COMMANDS_MAX for slot in order.slots):
        return Wait("Following")
    return HandOver(incarnation, partition)


def _is_missed(told: Following, last: Checked) -> bool:
    """It is beyond the digest and has not compared it: it has read the slot anew since then."""
    return told.at > last.sequence and told.verified != (last.sequence, last.past)


@dataclass(frozen=True)
class Row:
    """A slot as the shard has it."""

    slot: int
    epoch: int
    owner: UUID
    partition: str | None
    state: SlotState
    last_seq: int
    chain: bytes


class Course(Enum):
    """What a follower does with a slot."""

    FOLLOW = auto()
    OPEN = auto()
    TAKE = auto()  # it was given to an incarnation of this partition that is gone
    LEAVE = auto()


def next_course(row: Row, me: str, incarnation: UUID, at: int, chain: bytes) -> Course:
    """What a follower at this sequence and chain does, now that it has read the row."""
    if row.state is not SlotState.ACTIVE:
        return Course.LEAVE
    if may_open(row, incarnation, (at, chain)):
        return Course.OPEN
    is_given_away = row.owner != incarnation and row.partition == me
    return Course.TAKE if is_given_away else Course.FOLLOW


def may_take(
    me: str, partition: str | None, epoch: int, placed_on: str | None, placed_epoch: int
) -> bool:
    """Whether a partition may take a slot over.

    `partition` and `epoch` are those of the row, `placed_*` those of the topology (None: it does
    not have the slot). Who owns a slot keeps it through all crashes, until the operator places it
    elsewhere and knows of that owner: a topology from before a hand-over takes nothing back.
    """
    knowing = placed_on is not None and placed_epoch >= epoch
    if placed_on == me:
        return partition is None or partition == me or knowing
    return partition == me and not knowing


def must_leave(me: str, epoch: int, placed_on: str | None, placed_epoch: int) -> bool:
    """Whether the owner of a slot gives it back: the operator placed it elsewhere, knowingly."""
    return placed_on is not None and placed_on != me and placed_epoch >= epoch
