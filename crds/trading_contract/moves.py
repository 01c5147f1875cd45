"""Moves of slots: what the operator asks for, and what a partition tells of it.

An order stands in the topology; one that disappears from it is cancelled. The truth of how far a
move is stands in the rows of `slot_owner`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

PAUSE_MILLISECONDS_MAX = 100

MoveKind = Literal["engine", "shard", "split", "merge"]

# What each kind must name beside its source; it names nothing else.
_NAMED: dict[str, frozenset[str]] = {
    "engine": frozenset({"target_partition"}),
    "shard": frozenset({"target_shard"}),
    "split": frozenset({"split_at", "new_slot"}),
    "merge": frozenset(),
}
_CHOICES = ("target_partition", "target_shard", "split_at", "new_slot")


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class MoveOrder(_Model):
    """One change of slots, as the operator wishes it.

    engine: to another partition on the same shard. shard: to another shard at the same partition.
    split: `split_at` becomes the first symbol of `new_slot`. merge: the second slot, the right
    neighbour, becomes part of the first.
    """

    id: str = Field(
        pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        description="uuid; a move that is tried again keeps it",
    )
    kind: MoveKind
    slots: tuple[int, ...] = Field(min_length=1)
    source_partition: str
    target_partition: str | None = None
    source_shard: str
    target_shard: str | None = None
    split_at: str | None = Field(default=None, min_length=1)
    new_slot: int | None = Field(default=None, ge=0, description="id that no slot ever had")
    pause_milliseconds_max: int = Field(default=PAUSE_MILLISECONDS_MAX, ge=1)
    attempt: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if len(set(self.slots)) != len(self.slots):
            raise ValueError(f"move {self.id} names a slot twice")
        wanted = _NAMED[self.kind]
        for name in _CHOICES:
            if (getattr(self, name) is not None) != (name in wanted):
                verb = "needs" if name in wanted else "has no"
                raise ValueError(f"move {self.id}: {self.kind} {verb} {to_camel(name)}")
        if self.target_partition == self.source_partition:
            raise ValueError(f"move {self.id}: {self.source_partition} has the slots already")
        if self.target_shard == self.source_shard:
            raise ValueError(f"move {self.id}: the slots are on {self.source_shard} already")
        counts = {"split": 1, "merge": 2}
        if len(self.slots) != counts.get(self.kind, len(self.slots)):
            raise ValueError(f"move {self.id}: {self.kind} is of {counts[self.kind]} slots")
        if self.new_slot in self.slots:
            raise ValueError(f"move {self.id}: newSlot {self.new_slot} is the one to be split")
        return self

    @property
    def target(self) -> str | None:
        """The partition or shard that gets the slots; None: they stay where they are."""
        return self.target_partition or self.target_shard

    @property
    def touched(self) -> tuple[int, ...]:
        """All slot ids that no other move may touch meanwhile."""
        return self.slots if self.new_slot is None else (*self.slots, self.new_slot)


def check_disjoint(moves: Iterable[MoveOrder]) -> None:
    """Raise ValueError when two orders have one id or touch one slot."""
    known = tuple(moves)
    ids = Counter(move.id for move in known)
    slots = Counter(slot for move in known for slot in move.touched)
    for id_, count in ids.items():
        if count > 1:
            raise ValueError(f"two moves have the id {id_}")
    for slot, count in slots.items():
        if count > 1:
            raise ValueError(f"slot {slot} is in two moves at once")


# Waiting: for the other side, or for a place. Copying: state is loaded. Following: committed
# records are replayed. Verifying: digests are compared. Ready: equal and close behind.
# HandingOver, Sealing, Activating: the pause. Done, Failed: the end; `problem` tells why.
MoveState = Literal[
    "Waiting",
    "Copying",
    "Following",
    "Verifying",
    "Ready",
    "HandingOver",
    "Sealing",
    "Activating",
    "Done",
    "Failed",
]


# Why a move failed, where somebody acts on it. differs: a digest or a chain is not that of the
# source; the evidence is kept. overflow: the target could not keep up.
MoveProblem = Literal["", "differs", "overflow", "other"]


class MoveProgress(_Model):
    """How far a partition is with an order; in its STATUS under "moves", with these names.

    Ends stay listed for as long as the order stands in the topology.
    """

    id: str
    role: Literal["source", "target"]
    state: MoveState
    slots: tuple[int, ...]
    attempt: int = 1
    lag_commands: int | None = Field(default=None, description="of the target; None = not known")
    percent: int = Field(default=0, ge=0, le=100)
    bytes: int = Field(default=0, ge=0, description="copied so far")
    pause_milliseconds: float | None = None
    verified: bool = False
    problem: str = ""
    code: MoveProblem = Field(default="", description="of the problem; empty: of an older program")
