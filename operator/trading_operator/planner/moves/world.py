"""What moves are judged by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from trading_contract.moves import MoveOrder, MoveProgress
from trading_contract.symbolmove import MoveReason
from trading_contract.topology import SlotPlacement
from trading_operator.planner.moves.asking import Asks
from trading_operator.planner.moves.ownership import is_shard
from trading_operator.planner.observed import SlotRow

SOURCE, TARGET = "source", "target"


@dataclass(frozen=True)
class Obstruction:
    """Why no move of the cluster begins now; it passes by itself."""

    reason: MoveReason
    text: str


@dataclass(frozen=True)
class MovesWorld:
    """One look at all that moves depend on.

    `slots` are folded from the rows. `ready` are components that do all that is wanted of them;
    `staying` are the partitions and shards that may be given slots, `existing` all that there are.
    `orders` are those of the published topology. `warm`: shards beside its own that still have a
    copy of a slot; `bound`: slots whose row names a move that has not ended.
    """

    slots: tuple[SlotPlacement, ...]
    rows: Mapping[int, SlotRow]
    listed: tuple[str, ...]
    ready: frozenset[str]
    staying: tuple[str, ...]
    existing: frozenset[str]
    orders: tuple[MoveOrder, ...]
    progress: Mapping[str, tuple[MoveProgress, ...]]
    ids: frozenset[int]
    parallel_max: int
    now: float
    obstruction: Obstruction | None = None
    relieved: str = ""  # gives its symbols away because it restarts soon
    differences: tuple[str, ...] = ()  # found after moves were done: a person looks first
    slots_wanted: int = 0  # as many as a cluster of this size begins with
    lost: frozenset[str] = frozenset()  # partitions that do not answer at all
    movers: frozenset[str] = frozenset()  # partitions that can move slots between shards
    warm: Mapping[int, frozenset[str]] = field(default_factory=dict)
    bound: frozenset[int] = frozenset()
    slot_bytes: Mapping[int, int] = field(default_factory=dict)  # about so much is copied
    free_bytes: Mapping[str, int] = field(default_factory=dict)  # by shard, where it is known
    asks: Asks = field(default_factory=Asks)  # what load asks for
    reached: Mapping[str, frozenset[str]] = field(default_factory=dict)  # partitions, by replica

    @property
    def partitions(self) -> tuple[str, ...]:
        """Those that may be given slots."""
        return tuple(name for name in self.staying if not is_shard(name))

    @property
    def shards(self) -> tuple[str, ...]:
        """Those that may be given slots."""
        return tuple(name for name in self.staying if is_shard(name))

    def cut_off(self, source: str, target: str) -> list[str]:
        """Replicas that would lose what goes there: they reach the source, and not the target."""
        return sorted(
            name for name, reached in self.reached.items()
            if source in reached and target not in reached
        )  # fmt: skip

    def told_by_target(self, order: MoveOrder) -> tuple[MoveProgress, ...]:
        """Progress as the side has it that gets the slots; between shards one partition is both."""
        told = self.progress_of(order)
        return tuple(each for each in told if each.role == TARGET or order.kind == "shard")

    def progress_of(self, order: MoveOrder) -> tuple[MoveProgress, ...]:
        """What the partitions say of this attempt of an order."""
        told = self.progress.get(order.id, ())
        return tuple(each for each in told if each.attempt == order.attempt)


def ends_of(order: MoveOrder) -> frozenset[str]:
    """Who takes part in a move between shards: one at a time for each."""
    if order.kind != "shard" or order.target_shard is None:
        return frozenset()
    return frozenset({order.source_partition, order.source_shard, order.target_shard})


@dataclass
class Room:
    """What the moves before have left: of slots, of orders at a time, of new ids."""

    orders_max: int
    claimed: dict[int, str] = field(default_factory=dict)  # slot -> the move that goes first
    ids: set[int] = field(default_factory=set)
    taken: int = 0
    ends: set[str] = field(default_factory=set)  # partitions and shards of moves between shards

    @property
    def is_full(self) -> bool:
        """Whether no more orders may be begun."""
        return self.taken >= self.orders_max

    def has_place(self, names: frozenset[str]) -> bool:
        """Whether none of them takes part in a move between shards."""
        return not (self.ends & names)

    def claim(self, slots: Iterable[int], name: str) -> None:
        """From now on these slots are this move's."""
        for slot in slots:
            self.claimed.setdefault(slot, name)

    def holder(self, slots: Iterable[int], name: str) -> str:
        """Another move that has one of the slots; "" = none."""
        others = (self.claimed[slot] for slot in slots if slot in self.claimed)
        return next((other for other in others if other != name), "")
