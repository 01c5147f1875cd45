"""What the planner must hold in simulation: functions of a seed that tell what it broke."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

from trading_contract.policies import AutoscalingSpec, TierMode
from trading_contract.tradingcluster import TradingClusterSpec
from trading_operator.planner.scaling.forecast import BUCKET_SECONDS, BUCKETS, DayProfile
from trading_operator.planner.scaling.memory import Memory, TierMemory
from trading_operator.planner.scaling.signals import Tier
from trading_operator.simulation.run import Outcome, Sample, simulate
from trading_operator.simulation.specs import simulated_spec
from trading_operator.simulation.strategies import Ours
from trading_operator.simulation.traces import DAY_SECONDS, HOUR_SECONDS, TRACES, Trace
from trading_operator.simulation.world import (
    BEGIN_SECONDS,
    CAPACITY,
    PER_ORDER,
    Shape,
    SimulatedWorld,
)

SMALL = Shape(
    partitions=6, symbols=200, slots_per_partition=8, orders_per_second=75_000.0, backends=20,
    shards=6, redis=6,
)  # fmt: skip
FAST_BAND_SECONDS = 60.0
SLOW_BAND_SECONDS = 600.0
STEP_AT_SECONDS = 1200.0


def moving_only(**rebalancing: Any) -> TradingClusterSpec:
    """Counts stay, ranges move."""
    spec = simulated_spec(**rebalancing)
    off = {
        tier.value: getattr(spec.autoscaling, tier.value).model_copy(update={"mode": TierMode.OFF})
        for tier in Tier
    }
    return spec.model_copy(update={"autoscaling": AutoscalingSpec(**off)})


def granularity(world: SimulatedWorld) -> float:
    """The busiest symbol as a share of a partition: no balance is finer."""
    hot = world.hot()
    weight = max(w * hot.get(at, 1.0) for at, w in enumerate(world.weights))
    return weight * _base_load(world)


def _base_load(world: SimulatedWorld) -> float:
    """Units of partitions that the base load is."""
    orders: float = world.shape.orders_per_second * world.trace.demand(world.now)
    return orders * PER_ORDER[Tier.PARTITIONS] / CAPACITY[Tier.PARTITIONS]


def is_in_band(sample: Sample, grain: float) -> bool:
    """Within the band, as finely as the symbols allow."""
    band = max(0.10, 0.05 / sample.mean) if sample.mean else 0.10
    return sample.imbalance <= 1 + band + grain / max(sample.mean, 1e-9)


def stationary(seed: int) -> list[str]:
    """Steady Poisson load, Zipf 1.1: after half an hour at most one move an hour, in the band."""
    spec = moving_only()
    world = SimulatedWorld(seed, SMALL, replace(TRACES["zipf"], seconds=1.5 * HOUR_SECONDS))
    outcome = simulate(world, Ours(spec), spec)
    problems = list(outcome.broken)
    moves = outcome.moves_within(1800, math.inf)
    if moves > 1:
        problems.append(f"{moves} moves in the hour after half an hour of steady load")
    out = [
        s for s in outcome.samples if s.seconds >= 1800 and not is_in_band(s, granularity(world))
    ]
    if out:
        problems.append(f"{len(out)} looks out of the band, up to {out[-1].imbalance:.2f}")
    return problems


def _hot_trace(world: SimulatedWorld, urgent: bool) -> Mapping[int, float] | None:
    """A symbol that fivefold makes its partition more than 85 % full, or less; None: there is none.

    It alone must fit a partition, else no move helps.
    """
    used = world.partition_loads()
    for at, weight in sorted(enumerate(world.weights), key=lambda each: -each[1]):
        load = weight * _base_load(world)
        owner = next(s for s in world.slots if s.first <= world.symbols[at] < s.past).partition
        then = used[owner] + 4 * load
        if 5 * load < 0.7 and (0.88 < then < 1.3 if urgent else 0.7 < then < 0.82):
            rank = next(rank for rank, place in world.of_rank.items() if place == at)
            return {rank: 5.0}
    return None


def hot_symbol(seed: int, *, urgent: bool = True) -> list[str]:
    """One symbol fivefold: in the band within a minute when that fills a partition, else ten."""
    spec = moving_only()
    calm = Trace("calm", STEP_AT_SECONDS + 900, zipf=0.9)
    probe = SimulatedWorld(seed, SMALL, replace(calm, seconds=STEP_AT_SECONDS))
    simulate(probe, Ours(spec), spec)
    hot = _hot_trace(probe, urgent)
    if hot is None:
        return []
    trace = replace(calm, hot=lambda t: hot if t >= STEP_AT_SECONDS else {})
    world = SimulatedWorld(seed, SMALL, trace)
    outcome = simulate(world, Ours(spec), spec)
    limit = FAST_BAND_SECONDS if urgent else SLOW_BAND_SECONDS
    return outcome.broken + _settles(outcome, world, STEP_AT_SECONDS, limit)


def _settles(outcome: Outcome, world: SimulatedWorld, at: float, limit: float) -> list[str]:
    after = [each for each in outcome.samples if each.seconds >= at]
    grain = granularity(world)
    back = next((s for s in after if s.seconds > at and is_in_band(s, grain)), None)
    problems = []
    if back is None or back.seconds - at > limit:
        took = "never" if back is None else f"{back.seconds - at:.0f} s"
        problems.append(f"back in the band: {took}, allowed {limit:.0f} s")
    excess = max(0.0, (after[0].highest - after[0].mean))
    slot = after[0].mean / SMALL.slots_per_partition
    allowed = math.ceil(excess / slot) + 1
    moves = outcome.moves_within(at, math.inf)
    if moves > allowed:
        problems.append(f"{moves} moves, allowed {allowed}")
    return problems


def calm_step(seed: int) -> list[str]:
    """The same below 85 %: ten minutes."""
    return hot_symbol(seed, urgent=False)


def opening(seed: int) -> list[str]:
    """A day curve with an opening spike: nobody shrinks from half an hour before to half after."""
    spec = simulated_spec()
    begin = 7.5 * HOUR_SECONDS
    demand = TRACES["opening"].demand
    trace = Trace("opening", 2.2 * HOUR_SECONDS, demand=lambda t: demand(t + begin), zipf=0.5)
    world = SimulatedWorld(seed, replace(SMALL, orders_per_second=50_000.0), trace)
    world.begin_seconds = BEGIN_SECONDS + begin
    ours = Ours(spec)
    ours.memory = _knows_yesterday(world, begin)
    outcome = simulate(world, ours, spec)
    open_at = 9 * HOUR_SECONDS - begin
    return outcome.broken + [
        f"{tier} from {before} to {after} at {at:.0f} s, the opening is at {open_at:.0f} s"
        for at, tier, before, after in outcome.changes
        if after < before and abs(at - open_at) <= 1800
    ]


def _knows_yesterday(world: SimulatedWorld, begin: float) -> Memory:
    day = int(BEGIN_SECONDS // DAY_SECONDS) - 1
    tiers = {}
    for tier in Tier:
        loads = [
            world.trace.demand(bucket * BUCKET_SECONDS - begin)
            * world.shape.orders_per_second * PER_ORDER[tier] / CAPACITY[tier]
            for bucket in range(BUCKETS)
        ]  # fmt: skip
        tiers[tier] = TierMemory(profile=DayProfile(((day, tuple(loads)),)))
    return Memory(tiers=tiers)


def alternation(seed: int) -> list[str]:
    """Load that alternates at the cooldown: moves within the budget, nothing goes to and fro."""
    budget = 12
    spec = moving_only(movesPerHourMax=budget)
    trace = replace(TRACES["alternation"], seconds=1.5 * HOUR_SECONDS, zipf=0.9)
    world = SimulatedWorld(seed, SMALL, trace)
    outcome = simulate(world, Ours(spec), spec)
    problems = list(outcome.broken)
    times = [at for at, _ in outcome.moves]
    most = max((sum(1 for t in times if at <= t < at + HOUR_SECONDS) for at in times), default=0)
    if most > budget:
        problems.append(f"{most} moves in an hour, the budget is {budget}")
    if back := outcome.returns_within(SLOW_BAND_SECONDS):
        problems.append(f"{back} moves bring back what had just been moved")
    return problems


def dropout(seed: int) -> list[str]:
    """Load falls and 30 % of the metrics are missing: nothing shrinks while they are."""
    spec = simulated_spec()
    trace = replace(
        TRACES["dropout"], seconds=HOUR_SECONDS,
        demand=lambda t: 0.3 if t >= 900 else 1.0, missing=lambda t: 0.3 if t >= 900 else 0.0,
    )  # fmt: skip
    world = SimulatedWorld(seed, SMALL, trace)
    outcome = simulate(world, Ours(spec), spec)
    return outcome.broken + [
        f"{tier} from {before} to {after} at {at:.0f} s with 30 % of the metrics missing"
        for at, tier, before, after in outcome.changes
        if after < before and at >= 900
    ]


def restarts(seed: int) -> list[str]:
    """The operator starts anew each minute: the same balance, at most two moves more."""
    spec = moving_only()
    trace = replace(TRACES["zipf"], seconds=2400.0, zipf=0.9)
    plain = simulate(SimulatedWorld(seed, SMALL, trace), Ours(spec), spec)
    world = SimulatedWorld(seed, SMALL, trace)
    again = simulate(world, Ours(spec, restart_seconds=60.0), spec)
    problems = plain.broken + again.broken
    if len(again.moves) > len(plain.moves) + 2:
        problems.append(f"{len(again.moves)} moves with restarts, {len(plain.moves)} without")
    if not is_in_band(again.samples[-1], granularity(world)):
        problems.append(f"not in the band with restarts: {again.samples[-1].imbalance:.2f}")
    firsts = [outcome.moves[0][0] for outcome in (plain, again) if outcome.moves]
    problems += [
        f"the first move comes {late - early:.0f} s later" for early, late in pairwise(firsts)
        if late - early > 15
    ]  # fmt: skip
    return problems


SCENARIOS: Mapping[str, Callable[[int], list[str]]] = {
    "stationary": stationary,
    "hot-symbol": hot_symbol,
    "calm-step": calm_step,
    "opening": opening,
    "alternation": alternation,
    "dropout": dropout,
    "restarts": restarts,
}
