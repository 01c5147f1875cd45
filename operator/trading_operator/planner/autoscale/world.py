"""One look at a cluster as the planner of scale takes it: counts, layout, moves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from trading_contract.symbolmove import MoveState, SymbolMove, SymbolMoveStatus
from trading_contract.symbols import parse_range
from trading_contract.topology import SlotPlacement
from trading_contract.tradingcluster import TradingClusterSpec
from trading_operator.planner.assessment import Health
from trading_operator.planner.autoscale.counts import ROLES
from trading_operator.planner.keeping import wanted_names
from trading_operator.planner.moves.ownership import home_of
from trading_operator.planner.moves.times import seconds_of
from trading_operator.planner.moves.turnover import OUTDATED_REASONS
from trading_operator.planner.observed import Observed, Role
from trading_operator.planner.scaling.layout import (
    Layout,
    MoveSeen,
    PartitionPlace,
    SlotPlace,
)
from trading_operator.planner.scaling.plan import ScalingWorld
from trading_operator.planner.scaling.signals import Rates, Tier
from trading_operator.planner.scaling.tier_state import TierCount
from trading_operator.planner.topology import WantedCluster

SEEN_SECONDS = 3600.0  # moves that ended before do not matter any more


@dataclass(frozen=True)
class Sight:
    """What is wanted and what is seen of it. `spec` has the counts in effect."""

    spec: TradingClusterSpec
    observed: Observed
    wanted: WantedCluster
    health: Mapping[str, Health]
    is_at_work: bool = True  # nobody asked it to go


def scaling_world(sight: Sight, rates: Rates, now_seconds: float) -> ScalingWorld:
    """Units that are kept because they still own something give readings, but are not counted."""
    followers = 1 + sight.spec.redis.replicas_per_master
    counts = {}
    for tier, role in ROLES.items():
        wanted = wanted_names(sight.spec, role)
        names = [each.name for each in sight.wanted.components if each.role is role]
        ready = sum(name in sight.health and sight.health[name].is_serving for name in wanted)
        whole = followers if tier is Tier.REDIS else 1  # a unit is a master with its followers
        counts[tier] = TierCount(len(wanted) // whole, ready // whole, tuple(names))
    return ScalingWorld(counts, _layout(sight, now_seconds), rates)


def _layout(sight: Sight, now_seconds: float) -> Layout:
    slots = [SlotPlace(s.id, s.first, s.past, s.partition, s.shard) for s in sight.wanted.slots]
    symbols = sorted(symbol.name for symbol in sight.spec.symbols)
    moves = moves_seen(sight.observed.moves or (), sight.wanted.slots, now_seconds)
    return Layout(
        tuple(slots), _places(sight, Role.PARTITION, sight.spec.partitions.drained), symbols,
        tuple(moves), _places(sight, Role.SHARD, sight.spec.shards.drained),
    )  # fmt: skip


def _places(sight: Sight, role: Role, drained: Iterable[str]) -> tuple[PartitionPlace, ...]:
    stays = set(wanted_names(sight.spec, role)) - set(drained)
    return tuple(
        PartitionPlace(each.name, sight.health[each.name].is_serving, each.name not in stays)
        for each in sight.wanted.components
        if each.role is role
    )


def moves_seen(
    moves: Iterable[SymbolMove], slots: Iterable[SlotPlacement], now_seconds: float
) -> Iterator[MoveSeen]:
    """Moves under way or of the last hour, whoever asked for them; one for each that gives.

    One that ended without having begun has moved nothing and is left out.
    """
    slots = tuple(slots)
    for move in moves:
        status = move.status or SymbolMoveStatus()
        ended = seconds_of(status.finished_time) if status.is_finished else None
        is_old = ended is None or now_seconds - ended > SEEN_SECONDS
        if status.is_finished and (is_old or not status.origins):
            continue
        begun = seconds_of(status.started_time) or seconds_of(move.metadata.creation_timestamp)
        is_good = status.state in (MoveState.DONE, MoveState.REVERSED)
        is_bad = status.is_finished and not is_good and status.reason not in OUTDATED_REASONS
        for source, ranges in sorted(_sources(move, status, slots).items()):
            yield MoveSeen(
                tuple(ranges), source, move.spec.target, begun or now_seconds, ended, is_bad
            )


def _sources(
    move: SymbolMove, status: SymbolMoveStatus, slots: Iterable[SlotPlacement]
) -> dict[str, list[tuple[str, str]]]:
    """Who gives what: as it was when the move began, else as it is."""
    found: dict[str, list[tuple[str, str]]] = {}
    for origin in status.origins:
        found.setdefault(origin.owner, []).append((origin.first, origin.past))
    if found:
        return found
    for first, past in map(_range, move.spec.symbols):
        for slot in slots:
            begin, end = max(first, slot.first), min(past, slot.past)
            home = home_of(slot, move.spec.target)
            if begin < end and home != move.spec.target:
                found.setdefault(home, []).append((begin, end))
    return found


def _range(text: str) -> tuple[str, str]:
    """A single symbol is the range that ends right after it."""
    return parse_range(text) if ".." in text else (text, f"{text}\0")
