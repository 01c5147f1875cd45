"""plan_scaling(spec, world, memory, now) -> decisions, moves, and what to remember.

One pure function for all four tiers. It never leaves the min and max of the specification, and
writes nothing: who calls it sets the counts and makes the moves.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from trading_contract.policies import PartitionAutoscaling, TierAutoscaling, TierMode
from trading_contract.tradingcluster import TradingClusterSpec
from trading_operator.planner.scaling.averages import (
    PEAK_WINDOWS_FULL,
    Averages,
    Changes,
    fold_loads,
)
from trading_operator.planner.scaling.balance import rebalance
from trading_operator.planner.scaling.capacity import Capacities, learn
from trading_operator.planner.scaling.counts import SHRINK_BELOW, wish
from trading_operator.planner.scaling.decisions import Decision
from trading_operator.planner.scaling.granting import within_limits
from trading_operator.planner.scaling.layout import BalancePlan, Layout
from trading_operator.planner.scaling.memory import Memory, TierMemory
from trading_operator.planner.scaling.packing import bins_needed, highest_after_removal
from trading_operator.planner.scaling.predictions import remember
from trading_operator.planner.scaling.round_sums import (
    HOUR_SECONDS,
    SETTLING_SECONDS,
    BalanceCase,
)
from trading_operator.planner.scaling.shard_balance import ShardCase, balance_shards, shard_work
from trading_operator.planner.scaling.signals import Rates, Tier
from trading_operator.planner.scaling.slot_work import slot_work
from trading_operator.planner.scaling.tier_case import TierCase, with_need
from trading_operator.planner.scaling.tier_state import (
    Attribution,
    TierCount,
    TierState,
    attribute,
    is_held_back_by,
    tier_states,
)
from trading_operator.planner.scaling.windows import may_shrink

BIN = 0.85  # of a partition: fuller than this none is packed


@dataclass(frozen=True)
class ScalingWorld:
    """What is: the counts, where the slots are, and what the parts have told."""

    counts: Mapping[Tier, TierCount]
    layout: Layout
    rates: Rates


@dataclass(frozen=True)
class ScalingPlan:
    """What to do. `counts` has only tiers whose number is to change now."""

    decisions: Mapping[Tier, Decision]
    counts: Mapping[Tier, int]
    balance: BalancePlan
    attribution: Attribution
    memory: Memory
    states: Mapping[Tier, TierState] = field(default_factory=dict)
    shard_balance: BalancePlan | None = None


def plan_scaling(
    spec: TradingClusterSpec, world: ScalingWorld, memory: Memory, now_seconds: float
) -> ScalingPlan:
    """One look. `now_seconds` in Unix seconds; the same arguments give the same plan."""
    capacities = learn(memory.capacities, world.rates)
    states = tier_states(world.counts, world.rates, capacities)
    partitions = states.get(Tier.PARTITIONS)
    seen = slot_work(
        world.layout, world.rates, memory, partitions.batch if partitions else None,
        capacities.idle.get(Tier.PARTITIONS, 0.0),
    )  # fmt: skip
    slots = fold_loads(
        _over(memory.slots, spec), seen.work, sorted(world.layout.slot_ids), now_seconds,
        Changes(seen.begun, _changing(world.layout, now_seconds)),
    )  # fmt: skip
    memory = replace(
        memory, capacities=capacities, slots=slots, places=world.layout.slots, unread=seen.unread,
        work=seen.work, loads=seen.loads,
    )  # fmt: skip
    attribution = attribute(states)
    cases = {
        tier: with_need(_case(_Look(spec, world, memory, states, attribution, now_seconds), tier))
        for tier in states
    }
    wishes = {tier: wish(case) for tier, case in cases.items()}
    decisions = within_limits(spec, world.counts, wishes, states, attribution)
    balance, looks = rebalance(
        BalanceCase(
            spec.rebalancing, world.layout, slots, seen.loads, capacities.room(Tier.PARTITIONS),
            now_seconds, _unknown(world, seen.unknown), _spares(spec.autoscaling.partitions),
            window_seconds=spec.autoscaling.scale_in_after_seconds,
            shifted_at_seconds=memory.shifted_at_seconds,
        ),
        memory.looks_overfull,
    )  # fmt: skip
    remembered = {tier: case.memory for tier, case in cases.items()}
    counts = {
        tier: each.to_count
        for tier, each in decisions.items()
        if each.is_change and not each.is_dry
    }
    for tier in counts:
        remembered[tier] = replace(remembered[tier], changed_at_seconds=now_seconds, looks_above=0)
    history = remember(memory.history, decisions, states, attribution, now_seconds)
    shard_balance, of_shards = balance_shards(
        ShardCase(
            spec.rebalancing, spec.autoscaling.shards.mode, world.layout, slots, seen.loads,
            *shard_work(capacities, world.rates), now_seconds, seen.unknown,
            _are_shards_changing(spec, decisions, remembered, now_seconds),
            not balance.moves, spec.autoscaling.scale_in_after_seconds,
        ),
        memory.shards,
    )  # fmt: skip
    memory = replace(
        memory, tiers={**memory.tiers, **remembered}, looks_overfull=looks, history=history,
        shards=of_shards, shifted_at_seconds=balance.shifted_at_seconds,
    )  # fmt: skip
    return ScalingPlan(decisions, counts, balance, attribution, memory, states, shard_balance)


def _are_shards_changing(
    spec: TradingClusterSpec, decisions: Mapping[Tier, Decision],
    remembered: Mapping[Tier, TierMemory], now_seconds: float,
) -> bool:  # fmt: skip
    """Whether their number changes, or did so lately."""
    decision, memory = decisions.get(Tier.SHARDS), remembered.get(Tier.SHARDS)
    changed = memory.changed_at_seconds if memory else None
    lately = spec.autoscaling.scale_in_after_seconds
    is_new = changed is not None and 0 <= now_seconds - changed < min(lately, HOUR_SECONDS)
    return is_new or (decision is not None and decision.is_change and not decision.is_dry)


def _changing(layout: Layout, now_seconds: float) -> Collection[int]:
    """Slots of partitions that take part in a move: by what else one has, a command costs more."""
    names = {
        name for move in layout.moves for name in (move.source, move.target)
        if move.finished_at_seconds is None
        or 0 <= now_seconds - move.finished_at_seconds < SETTLING_SECONDS
    }  # fmt: skip
    if not names:
        return ()
    return {slot.slot_id for slot in layout.slots if slot.partition in names}


def _unknown(world: ScalingWorld, slots: Collection[int]) -> frozenset[str]:
    """Partitions that told nothing sound, or nothing yet of one of their slots."""
    told = {unit.name for unit in world.rates.unit_loads(Tier.PARTITIONS)}
    silent = {each.name for each in world.layout.partitions} - told
    if not slots:
        return frozenset(silent)
    owners = zip(world.layout.slot_ids, world.layout.owners, strict=True)
    return frozenset(silent | {owner for slot, owner in owners if slot in slots})


def _spares(policy: TierAutoscaling) -> int:
    return policy.warm_spares if isinstance(policy, PartitionAutoscaling) else 0


@dataclass(frozen=True)
class _Look:
    spec: TradingClusterSpec
    world: ScalingWorld
    memory: Memory
    states: Mapping[Tier, TierState]
    attribution: Attribution
    now_seconds: float


def _case(look: _Look, tier: Tier) -> TierCase:
    autoscaling, now, memory = look.spec.autoscaling, look.now_seconds, look.memory
    policy: TierAutoscaling = getattr(autoscaling, tier.value)
    running = [each for each in look.world.layout.moves if each.finished_at_seconds is None]
    held = ""
    if is_held_back_by(look.states, look.attribution.limiting, tier):
        held = f"{look.attribution.text}; more {tier} would wait for them"
    case = TierCase(
        policy, look.states[tier], _with_load(memory.tier(tier), look, tier), now,
        spares=_spares(policy), may_shrink=may_shrink(autoscaling, now),
        moves_under_way=len(running) if tier in {Tier.PARTITIONS, Tier.SHARDS} else 0,
        held_back=held, window_seconds=autoscaling.scale_in_after_seconds,
    )  # fmt: skip
    if tier is Tier.PARTITIONS and policy.mode in {TierMode.ON, TierMode.DRY_RUN}:
        return _with_packing(case, look.world.layout, memory, memory.capacities)
    return case


def _with_load(before: TierMemory, look: _Look, tier: Tier) -> TierMemory:
    """The tier's averages and its day with one more look; silent units take nothing away."""
    state, now_seconds = look.states[tier], look.now_seconds
    if state.missing_share >= 1.0:
        return before
    total, fast = state.total, before.averages.fast
    if not state.is_complete and fast:
        total = max(total, fast[0])
    averages = fold_loads(_over(before.averages, look.spec), {0: total}, (0,), now_seconds)
    profile = before.profile.with_load(averages.fast[0], now_seconds)
    return replace(before, averages=averages, profile=profile)


def _over(averages: Averages, spec: TradingClusterSpec) -> Averages:
    """The averages, over the time that the specification asks for from now on."""
    seconds = spec.autoscaling.scale_in_after_seconds / PEAK_WINDOWS_FULL
    return averages if averages.slow_seconds == seconds else replace(averages, slow_seconds=seconds)


def _with_packing(
    case: TierCase, layout: Layout, memory: Memory, capacities: Capacities
) -> TierCase:
    capacity = capacities.room(Tier.PARTITIONS)
    steady = memory.slots.steady()
    case = replace(case, bins=bins_needed(steady, BIN * capacity))
    is_low = case.load < SHRINK_BELOW * case.target * max(1, case.present - case.spares)
    is_needed = any(need >= case.present for _, need in case.memory.needs)
    names = [each.name for each in layout.partitions if not each.is_leaving]
    if len(names) < 2 or not is_low or is_needed or case.moves_under_way:
        return case  # it will not shrink now, so nobody asks
    names.remove(max(names, key=_ordinal))
    others: dict[str, float] = dict.fromkeys(names, 0.0)
    victim: list[float] = []
    peaks = dict(zip(memory.slots.ids, memory.slots.peak(), strict=True))
    for owner, peak in zip(layout.owners, map(peaks.__getitem__, layout.slot_ids), strict=True):
        if owner in others:
            others[owner] += peak
        else:
            victim.append(peak)
    return replace(case, highest_without_one=highest_after_removal(victim, others, capacity))


def _ordinal(name: str) -> tuple[int, str]:
    digits = name.rpartition("-")[2]
    return (int(digits) if digits.isdigit() else 0, name)
