"""The moves that the planner itself asks for: partitions that go are emptied, new ones filled.

Everything that one partition is to get is one SymbolMove, asked for at once; so nothing has to be
remembered between passes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count

from trading_contract.symbolmove import (
    MoveMetadata,
    MoveReason,
    MoveState,
    SymbolMove,
    SymbolMoveSpec,
)
from trading_contract.topology import SlotPlacement
from trading_operator.planner.moves.selection import range_text
from trading_operator.planner.moves.times import seconds_of
from trading_operator.planner.moves.world import MovesWorld

RETRY_SECONDS = 120.0  # after a move of ours that went wrong
RANGES_MAX = 256  # of one SymbolMove
# The specification changed while it was under way: nothing went wrong.
OUTDATED_REASONS = frozenset({MoveReason.TARGET_LEAVING.value, MoveReason.TARGET_MISSING.value})


@dataclass(frozen=True)
class Cluster:
    """What proposals are made for."""

    name: str
    revision: int
    pause_milliseconds_max: int


def turnover(
    cluster: Cluster, world: MovesWorld, moves: Sequence[SymbolMove]
) -> tuple[SymbolMove, ...]:
    """SymbolMoves to make now; empty while others of ours are on their way or just failed."""
    is_busy = any(move.is_planned and not _is_finished(move) for move in moves)
    if is_busy or has_gone_wrong(moves, world.now):
        return ()
    ready = [name for name in world.staying if name in world.ready]
    if not ready:
        return ()
    busy = {text for move in moves if not _is_finished(move) for text in move.spec.symbols}
    free = [slot for slot in world.slots if range_text(slot.first, slot.past) not in busy]
    emptying = dict(_emptying(world, free, ready))
    if emptying:
        reason = "its partition goes, is drained, or restarts"
        return tuple(_proposals(cluster, emptying, reason, moves))
    filling = dict(_filling(world, free, ready, moves))
    reason = "the partition is new and owns nothing"
    return tuple(_proposals(cluster, filling, reason, moves))


def has_gone_wrong(moves: Iterable[SymbolMove], now: float) -> bool:
    """Whether the planner asks for no moves, because of one that failed lately or differed."""
    return any(_went_wrong(move, now) for move in moves)


def _went_wrong(move: SymbolMove, now: float) -> bool:
    status = move.status
    if status is not None and status.reason == MoveReason.NOT_VERIFIED.value:
        return True  # a person looks first
    if not move.is_planned or status is None or not status.is_finished:
        return False
    ended = seconds_of(status.finished_time)
    is_bad = status.state not in (MoveState.DONE, MoveState.REVERSED)
    is_bad = is_bad and status.reason not in OUTDATED_REASONS
    return is_bad and ended is not None and now - ended < RETRY_SECONDS


def _is_finished(move: SymbolMove) -> bool:
    return move.status is not None and move.status.is_finished


def _counts(world: MovesWorld) -> dict[str, int]:
    counts = dict.fromkeys(world.staying, 0)
    for slot in world.slots:
        if slot.partition in counts:
            counts[slot.partition] += 1
    return counts


def _emptying(
    world: MovesWorld, free: Sequence[SlotPlacement], ready: Collection[str]
) -> Iterator[tuple[str, list[str]]]:
    """Each slot of a partition that goes to the one that has the fewest by then."""
    counts = {name: count for name, count in _counts(world).items() if name in ready}
    given: dict[str, list[str]] = {}
    for slot in free:
        if slot.partition in world.staying or slot.partition not in world.ready:
            continue
        target = min(counts, key=lambda name: (counts[name], _number(name)))
        counts[target] += 1
        given.setdefault(target, []).append(range_text(slot.first, slot.past))
    yield from given.items()


def _filling(
    world: MovesWorld, free: Sequence[SlotPlacement], ready: Sequence[str],
    moves: Sequence[SymbolMove],
) -> Iterator[tuple[str, list[str]]]:  # fmt: skip
    """An even share for each that owns nothing; of a slot, half, when there are too few slots."""
    counts = _counts(world)
    left = _left_by_people(moves)
    empty = [name for name in ready if not counts[name] and name not in left]
    share = len(world.slots) // max(1, len(world.staying))
    slots = list(free)
    for name in empty:
        texts: list[str] = []
        while counts[name] < max(1, share):
            donor = _donor(slots, counts, counts[name], ready)
            if donor is None:
                break
            slots.remove(donor)
            counts[donor.partition] -= 1
            counts[name] += 1
            texts.append(range_text(donor.first, donor.past))
        if not texts and (half := _half(slots, world.listed, ready)) is not None:
            slot, text = half
            slots.remove(slot)
            texts.append(text)
        if texts:
            yield name, texts


def _donor(
    slots: Sequence[SlotPlacement], counts: Mapping[str, int], have: int, ready: Collection[str]
) -> SlotPlacement | None:
    """The last slot of whoever has most, and at least two more than the one that is filled."""
    giving = [slot for slot in slots if slot.partition in ready and slot.partition in counts]
    donors = [slot for slot in giving if counts[slot.partition] >= have + 2]
    if not donors:
        return None
    return max(donors, key=lambda slot: (counts[slot.partition], slot.first))


def _half(
    slots: Sequence[SlotPlacement], listed: Sequence[str], ready: Collection[str]
) -> tuple[SlotPlacement, str] | None:
    """The upper half of the slot with the most symbols; None when each has only one."""
    best: tuple[SlotPlacement, list[str]] | None = None
    for slot in slots:
        inside = sorted(name for name in listed if slot.first <= name < slot.past)
        is_better = best is None or len(inside) > len(best[1])
        if slot.partition in ready and len(inside) > 1 and is_better:
            best = slot, inside
    if best is None:
        return None
    slot, inside = best
    return slot, range_text(inside[len(inside) // 2], slot.past)


def _left_by_people(moves: Sequence[SymbolMove]) -> set[str]:
    """Partitions that a person emptied: they stay empty for as long as that move is there."""
    return {
        origin.owner
        for move in moves
        if not move.is_planned and move.status is not None
        for origin in move.status.origins
    }


def _number(name: str) -> int:
    return int(name.rpartition("-")[2])


def _proposals(
    cluster: Cluster, given: Mapping[str, Sequence[str]], reason: str, moves: Sequence[SymbolMove]
) -> Iterator[SymbolMove]:
    names = {move.metadata.name for move in moves}
    for target, texts in sorted(given.items(), key=lambda each: _number(each[0])):
        base = f"{cluster.name}-to-{target}-r{cluster.revision}"
        numbered = (f"{base}-{number}" for number in count(2))
        name = next(each for each in chain((base,), numbered) if each not in names)
        yield SymbolMove(
            api_version="hft.trading/v1alpha1", kind="SymbolMove",
            metadata=MoveMetadata(name=name),
            spec=SymbolMoveSpec(
                cluster=cluster.name, symbols=tuple(texts[:RANGES_MAX]), to_partition=target,
                reason=reason, requested_by="Planner",
                max_pause_milliseconds=cluster.pause_milliseconds_max,
            ),
        )  # fmt: skip
