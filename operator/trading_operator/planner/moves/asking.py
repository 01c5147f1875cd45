"""What the planner asks for of its own accord, as SymbolMoves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count

from trading_contract.symbolmove import MoveMetadata, SymbolMove, SymbolMoveSpec
from trading_operator.planner.moves.ownership import is_shard
from trading_operator.planner.moves.selection import range_text
from trading_operator.planner.scaling.layout import MoveWhy, MoveWish

RANGES_MAX = 256  # of one SymbolMove
BALANCING = {
    MoveWhy.OVERFULL: "is fuller than the others",
    MoveWhy.EMERGENCY: "is nearly full",
    MoveWhy.HOT_SYMBOL: "has a symbol that needs one for itself",
    MoveWhy.LEAVING: "goes",
}


@dataclass(frozen=True)
class Cluster:
    """What proposals are made for."""

    name: str
    revision: int
    pause_milliseconds_max: int


@dataclass(frozen=True)
class Asks:
    """What load asks for.

    `loads` by slot decide who gets which share; without any, numbers of slots do. `spares` is the
    number of partitions that are to own nothing.
    """

    wishes: tuple[MoveWish, ...] = ()
    loads: Mapping[int, float] = field(default_factory=dict)
    spares: int = 0


@dataclass(frozen=True)
class Proposal:
    """Ranges that should go to a partition or a shard."""

    target: str
    texts: tuple[str, ...]
    reason: str


def balancing(wishes: Iterable[MoveWish]) -> Iterator[Proposal]:
    """The moves that the balance of partitions asks for."""
    for wish in wishes:
        reason = (
            f"{wish.source} {BALANCING[wish.why]}: {wish.source_before:.0%} to "
            f"{wish.source_after:.0%}, {wish.target} {wish.target_before:.0%} to "
            f"{wish.target_after:.0%}"
        )
        texts = tuple(range_text(first, past) for first, past in wish.ranges)
        yield Proposal(wish.target, texts, reason)


def proposed(
    cluster: Cluster, proposals: Iterable[Proposal], moves: Sequence[SymbolMove]
) -> Iterator[SymbolMove]:
    """A SymbolMove for each, by a name that none has yet."""
    names = {move.metadata.name for move in moves}
    for each in sorted(proposals, key=lambda one: number_of(one.target)):
        base = f"{cluster.name}-to-{each.target}-r{cluster.revision}"
        numbered = (f"{base}-{number}" for number in count(2))
        name = next(one for one in chain((base,), numbered) if one not in names)
        names.add(name)
        yield SymbolMove(
            api_version="hft.trading/v1alpha1", kind="SymbolMove",
            metadata=MoveMetadata(name=name),
            spec=SymbolMoveSpec(
                cluster=cluster.name, symbols=each.texts[:RANGES_MAX],
                to_partition=None if is_shard(each.target) else each.target,
                to_shard=each.target if is_shard(each.target) else None,
                reason=each.reason, requested_by="Planner",
                max_pause_milliseconds=cluster.pause_milliseconds_max,
            ),
        )  # fmt: skip


def number_of(name: str) -> int:
    """3 of partition-3."""
    return int(name.rpartition("-")[2])
