"""The moves that the planner itself asks for: who goes is emptied, who is new gets a share.

The same for partitions and for shards. Everything that one of them is to get is one SymbolMove,
asked for at once; so nothing has to be remembered between passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from trading_contract.symbolmove import MoveReason, MoveState, SymbolMove
from trading_contract.topology import SlotPlacement
from trading_operator.planner.moves.asking import Cluster, Proposal, number_of, proposed
from trading_operator.planner.moves.ownership import is_shard
from trading_operator.planner.moves.selection import range_text
from trading_operator.planner.moves.times import seconds_of
from trading_operator.planner.moves.world import MovesWorld

RETRY_SECONDS = 120.0  # after a move of ours that went wrong
SLACK = 1.1
COLD_SHARE = 0.01  # of an even share: a slot without load is worth that much
EMPTYING = {
    "partition": "its partition goes, is drained, or restarts",
    "shard": "its shard goes or is drained",
}
# The specification changed while it was under way: nothing went wrong.
OUTDATED_REASONS = frozenset({MoveReason.TARGET_LEAVING.value, MoveReason.TARGET_MISSING.value})


def turnover(
    cluster: Cluster, world: MovesWorld, moves: Sequence[SymbolMove]
) -> tuple[SymbolMove, ...]:
    """SymbolMoves to make now; empty while others of ours are on their way or just failed."""
    is_busy = any(move.is_planned and not is_finished(move) for move in moves)
    if is_busy or has_gone_wrong(moves, world.now):
        return ()
    busy = {text for move in moves if not is_finished(move) for text in move.spec.symbols}
    free = [slot for slot in world.slots if range_text(slot.first, slot.past) not in busy]
    tiers = (
        Tier("partition", world, world.partitions, world.ready),
        Tier("shard", world, world.shards, world.ready & world.movers | shards_of(world.ready)),
    )
    for tier in tiers:
        if emptying := dict(_emptying(tier, free)):
            reason = EMPTYING[tier.name]
            return _asked(cluster, emptying, reason, moves)
    for tier in tiers:
        if filling := dict(_filling(tier, free, moves)):
            reason = f"the {tier.name} is new and owns nothing"
            return _asked(cluster, filling, reason, moves)
    return ()


def _asked(
    cluster: Cluster, given: Mapping[str, Sequence[str]], reason: str, moves: Sequence[SymbolMove]
) -> tuple[SymbolMove, ...]:
    proposals = (Proposal(target, tuple(texts), reason) for target, texts in given.items())
    return tuple(proposed(cluster, proposals, moves))


@dataclass(frozen=True)
class Tier:
    """Partitions or shards: the same questions about both.

    `staying` may be given slots; of `able` are those, and owners, that take part in a move now.
    """

    name: str
    world: MovesWorld
    staying: tuple[str, ...]
    able: frozenset[str]

    @property
    def ready(self) -> list[str]:
        """Who may be given slots now."""
        return [name for name in self.staying if name in self.able]

    def home(self, slot: SlotPlacement) -> str:
        """Where a slot is."""
        return slot.shard if self.name == "shard" else slot.partition

    def may_give(self, slot: SlotPlacement) -> bool:
        """Whether a slot can be moved away, or taken from a partition that is gone."""
        if self.name == "partition" and slot.partition in self.world.lost:
            return slot.shard in self.able
        return {slot.partition, slot.shard} <= self.able

    @property
    def slack(self) -> float:
        """Loads are never quite equal; numbers of slots are."""
        return SLACK if self.world.asks.loads else 1.0

    @cached_property
    def weights(self) -> Mapping[int, float]:
        """What each slot counts: its load where that is known, else as much as any other."""
        loads, slots = self.world.asks.loads, self.world.slots
        if not loads or any(slot.id not in loads for slot in slots):
            return {slot.id: 1.0 for slot in slots}
        least = COLD_SHARE * sum(loads[slot.id] for slot in slots) / len(slots)
        return {slot.id: max(loads[slot.id], least) for slot in slots}

    def counts(self) -> dict[str, float]:
        """What those that stay own, by weight."""
        counts = dict.fromkeys(self.staying, 0.0)
        for slot in self.world.slots:
            if self.home(slot) in counts:
                counts[self.home(slot)] += self.weights[slot.id]
        return counts

    @property
    def spares(self) -> int:
        """How many are to own nothing."""
        return self.world.asks.spares if self.name == "partition" else 0


def shards_of(names: Iterable[str]) -> frozenset[str]:
    """Those of the names that are shards'."""
    return frozenset(name for name in names if is_shard(name))


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


def is_finished(move: SymbolMove) -> bool:
    """Whether nothing more happens unless its specification changes."""
    return move.status is not None and move.status.is_finished


def _emptying(tier: Tier, free: Sequence[SlotPlacement]) -> Iterator[tuple[str, list[str]]]:
    """Each slot of who goes to the one that has the fewest by then."""
    ready = tier.ready
    counts = {name: count for name, count in tier.counts().items() if name in ready}
    given: dict[str, list[str]] = {}
    by_weight = sorted(free, key=lambda slot: -tier.weights[slot.id])
    for slot in by_weight if ready else ():
        if tier.home(slot) in tier.staying or not tier.may_give(slot):
            continue
        target = min(counts, key=lambda name: (counts[name], number_of(name)))
        counts[target] += tier.weights[slot.id]
        given.setdefault(target, []).append(range_text(slot.first, slot.past))
    yield from given.items()


def _filling(
    tier: Tier, free: Sequence[SlotPlacement], moves: Sequence[SymbolMove]
) -> Iterator[tuple[str, list[str]]]:
    """An even share for each that owns nothing; of a slot, half, when there are too few slots."""
    counts = tier.counts()
    left = _left_by_people(moves)
    empty = [name for name in tier.ready if not counts[name] and name not in left]
    empty = empty[: max(0, len(empty) - tier.spares)]
    share = sum(tier.weights.values()) / max(1, len(tier.staying) - tier.spares)
    slots = [slot for slot in free if tier.home(slot) in tier.ready and tier.may_give(slot)]
    for name in empty:
        texts: list[str] = []
        while (donor := _donor(tier, slots, counts, (name, share))) is not None:
            slots.remove(donor)
            counts[tier.home(donor)] -= tier.weights[donor.id]
            counts[name] += tier.weights[donor.id]
            texts.append(range_text(donor.first, donor.past))
        if not texts and (half := _half(slots, tier.world.listed)) is not None:
            slot, text = half
            slots.remove(slot)
            texts.append(text)
        if texts:
            yield name, texts


def _donor(
    tier: Tier, slots: Sequence[SlotPlacement], counts: Mapping[str, float],
    filled: tuple[str, float],
) -> SlotPlacement | None:  # fmt: skip
    """The largest slot, of those the last, of whoever has most.

    It fits into the share of the one that is `filled`, and leaves its owner at least as much.
    """
    name, share = filled
    have, slack = counts[name], tier.slack
    donors = []
    for slot in slots:
        left = counts[tier.home(slot)] - tier.weights[slot.id]
        then = have + tier.weights[slot.id]
        if left * slack >= then and (then <= share * slack or not have):
            donors.append(slot)
    return max(
        donors,
        key=lambda slot: (counts[tier.home(slot)], tier.weights[slot.id], slot.first),
        default=None,
    )


def _half(
    slots: Sequence[SlotPlacement], listed: Sequence[str]
) -> tuple[SlotPlacement, str] | None:
    """The upper half of the slot with the most symbols; None when each has only one."""
    best: tuple[SlotPlacement, list[str]] | None = None
    for slot in slots:
        inside = sorted(name for name in listed if slot.first <= name < slot.past)
        if len(inside) > 1 and (best is None or len(inside) > len(best[1])):
            best = slot, inside
    if best is None:
        return None
    slot, inside = best
    return slot, range_text(inside[len(inside) // 2], slot.past)


def _left_by_people(moves: Sequence[SymbolMove]) -> set[str]:
    """Partitions that a person emptied: they stay empty for as long as that move is there.

    What left a partition last decides: one that we emptied afterwards, so that it may restart, is
    filled again, though a person moved something away from it before.
    """
    last: dict[str, SymbolMove] = {}
    begun = [(move.status.started_time, move) for move in moves if move.status is not None]
    for _, move in sorted(begun, key=lambda each: (each[0], not each[1].is_planned)):
        for origin in move.status.origins if move.status else ():
            last[origin.owner] = move
    return {name for name, move in last.items() if not move.is_planned}
