"""The first slots of a cluster. Afterwards slots come from the world, never from here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from trading_contract.symbols import HIGHEST, LOWEST
from trading_contract.topology import SlotPlacement
from trading_contract.tradingcluster import TradingClusterSpec

SLOTS_PER_PARTITION = 4
SLOTS_MAX = 64
IDS_PER_SHARD = (
    1_000_000  # ids carry the shard they were born on, so two shards never give out the same
)


@dataclass(frozen=True)
class _Range:
    """A part of the symbol space with its listed symbols and what the placement says about it."""

    first: str
    past: str
    symbols: tuple[str, ...]
    shard: int | None = None
    partition: int | None = None


def initial_slots(spec: TradingClusterSpec) -> tuple[SlotPlacement, ...]:
    """Slots that tile the symbol space, each with at least one listed symbol.

    Spread contiguously over the shards and the partitions; `spec.placement` wins where it speaks. A
    pure function of the specification.
    """
    ranges = _ranges(spec)
    count = slot_count(len(spec.symbols), spec.partitions.count, spec.shards.count)
    pieces = [piece for each in ranges for piece in _cut(each, _share(each, ranges, count))]
    born: dict[int, int] = {}
    slots = []
    for index, piece in enumerate(pieces):
        even_shard = index * spec.shards.count // len(pieces)
        even_partition = index * spec.partitions.count // len(pieces)
        shard = even_shard if piece.shard is None else piece.shard
        partition = even_partition if piece.partition is None else piece.partition
        born[shard] = born.get(shard, 0) + 1
        slots.append(
            SlotPlacement(
                id=(shard + 1) * IDS_PER_SHARD + born[shard],
                first=piece.first,
                past=piece.past,
                partition=f"partition-{partition}",
                shard=f"shard-{shard}",
            )
        )
    return tuple(slots)


def slot_count(symbols: int, partitions: int, shards: int) -> int:
    """How many slots to begin with: a few per partition to move later, never an empty one."""
    wanted = min(SLOTS_MAX, SLOTS_PER_PARTITION * max(partitions, shards))
    return max(1, min(symbols, max(wanted, partitions, shards)))


def _ranges(spec: TradingClusterSpec) -> list[_Range]:
    names = sorted(symbol.name for symbol in spec.symbols)
    if not spec.placement:
        return [_Range(LOWEST, HIGHEST, tuple(names))]
    ranges = []
    for place in sorted(spec.placement, key=lambda place: place.bounds):
        first, past = place.bounds
        inside = tuple(name for name in names if first <= name < past)
        ranges.append(_Range(first, past, inside, place.shard, place.partition))
    return ranges


def _share(part: _Range, ranges: Sequence[_Range], count: int) -> int:
    total = sum(len(each.symbols) for each in ranges)
    return max(1, min(len(part.symbols), count * len(part.symbols) // max(1, total)))


def _cut(part: _Range, count: int) -> list[_Range]:
    """Cut a range at symbol names into `count` pieces of nearly equal numbers of symbols."""
    firsts = [part.symbols[len(part.symbols) * n // count] for n in range(1, count)]
    bounds = [part.first, *firsts, part.past]
    return [
        _Range(
            first,
            past,
            tuple(name for name in part.symbols if first <= name < past),
            part.shard,
            part.partition,
        )
        for first, past in pairwise(bounds)
    ]
