"""What the planner must hold of shards, where each slot has its rows on one of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from trading_contract.policies import TierMode
from trading_contract.tradingcluster import TradingClusterSpec
from trading_operator.planner.scaling.shard_balance import band_of
from trading_operator.planner.scaling.signals import Tier
from trading_operator.simulation.acceptance import SCENARIOS, moving_only
from trading_operator.simulation.run import NOISE, Outcome, Sample, simulate
from trading_operator.simulation.strategies import Ours
from trading_operator.simulation.traces import HOUR_SECONDS, TRACES, Trace
from trading_operator.simulation.world import CAPACITY, PER_ORDER, Shape, SimulatedWorld

# Half of what three shards can; two partitions for each of them.
PLACED = Shape(
    partitions=6, symbols=200, slots_per_partition=8, orders_per_second=40_000.0, backends=20,
    shards=3, redis=6, are_shards_placed=True,
)  # fmt: skip
SETTLED_SECONDS = HOUR_SECONDS
SHIFT_AT_SECONDS = 1800.0
SHIFT_SETTLES_SECONDS = 1.25 * HOUR_SECONDS  # two moves, and the rest between them
SHIFT = 1.7
ALTERNATE_SECONDS = (300.0, 600.0, 1200.0, 1800.0, 2700.0)
CHANGES_AT_SECONDS = 2400.0
Hot = Callable[[float], Mapping[int, float]]


def moving_shards(shards_max: int = 3, **rebalancing: Any) -> TradingClusterSpec:
    """Ranges move between partitions and between shards; beyond `shards_max` nothing grows."""
    spec = moving_only(**rebalancing)
    shards = spec.autoscaling.shards.model_copy(
        update={"mode": TierMode.ON, "min": 3, "max": shards_max, "cooldown_seconds": 900}
    )
    autoscaling = spec.autoscaling.model_copy(update={"shards": shards})
    return spec.model_copy(update={"autoscaling": autoscaling})


def shards_in_band(sample: Sample, grain: float) -> bool:
    """Within the band, as finely as the busiest symbol allows."""
    loads = sample.shards.values()
    mean = sum(loads) / len(loads)
    return max(loads) <= mean + band_of(mean) + max(NOISE, grain)


def busiest_symbol(world: SimulatedWorld) -> float:
    """The load of the busiest symbol, as a share of a shard."""
    orders: float = world.shape.orders_per_second * world.trace.demand(world.now)
    hot = world.hot()
    weight = max(each * hot.get(at, 1.0) for at, each in enumerate(world.weights))
    return weight * orders * PER_ORDER[Tier.SHARDS] / CAPACITY[Tier.SHARDS]


def shards_stationary(seed: int) -> list[str]:
    """Steady Zipf: after an hour at most one move between shards an hour, in the band."""
    spec = moving_shards()
    world = SimulatedWorld(seed, PLACED, replace(TRACES["zipf"], seconds=2 * HOUR_SECONDS))
    outcome = simulate(world, Ours(spec), spec)
    problems = list(outcome.broken)
    times = [at for at, _ in outcome.shard_moves if at >= SETTLED_SECONDS]
    if (most := _most_in_an_hour(times)) > 1:
        problems.append(f"{most} moves between shards in an hour of steady load")
    if not shards_in_band(outcome.samples[-1], busiest_symbol(world)):
        problems.append(f"out of the band in the end: {outcome.samples[-1].shards}")
    return problems + _returns(outcome)


def _most_in_an_hour(times: Sequence[float]) -> int:
    return max((sum(1 for t in times if at <= t < at + HOUR_SECONDS) for at in times), default=0)


def shards_shift(seed: int) -> list[str]:
    """The symbols of one shard become busier: moved into the band, then as if it had been so."""
    spec = moving_shards()
    trace = Trace("shift", 2.25 * HOUR_SECONDS, zipf=0.5)
    hot = _hot_shards(seed, trace)[seed % 3]
    trace = replace(trace, hot=lambda t: hot if t >= SHIFT_AT_SECONDS else {})
    world = SimulatedWorld(seed, PLACED, trace)
    outcome = simulate(world, Ours(spec), spec)
    problems = outcome.broken + _returns(outcome)
    shifted = next(each for each in outcome.samples if each.seconds >= SHIFT_AT_SECONDS)
    has_moved = any(at >= SHIFT_AT_SECONDS for at, _ in outcome.shard_moves)
    if not shards_in_band(shifted, 0.0) and not has_moved:
        problems.append("nothing moved between shards")
    settled = SHIFT_AT_SECONDS + SHIFT_SETTLES_SECONDS
    grain = busiest_symbol(world)
    out = [s for s in outcome.samples if s.seconds >= settled and not shards_in_band(s, grain)]
    if out:
        problems.append(f"{len(out)} looks out of the band, the last with {out[-1].shards}")
    late = [at for at, _ in outcome.shard_moves if at >= settled]
    if (most := _most_in_an_hour(late)) > 1:
        problems.append(f"{most} moves between shards in an hour after it had settled")
    return problems


def shards_alternation(seed: int) -> list[str]:
    """Two shards are busy in turns: within the budget, and nothing goes to and fro."""
    budget = 12
    spec = moving_shards(movesPerHourMax=budget)
    period = ALTERNATE_SECONDS[seed % len(ALTERNATE_SECONDS)]
    trace = Trace("turns", 2 * HOUR_SECONDS, zipf=0.5)
    turns = _hot_shards(seed, trace)
    trace = replace(trace, hot=lambda t: turns[int(t // period) % 2])
    outcome = simulate(SimulatedWorld(seed, PLACED, trace), Ours(spec), spec)
    problems = outcome.broken + _returns(outcome)
    times = [at for at, _ in outcome.moves]
    if (most := _most_in_an_hour(times)) > budget:
        problems.append(f"{most} moves in an hour, the budget is {budget}")
    of_shards = len(outcome.shard_moves)
    if of_shards > 2 * math.ceil(trace.seconds / HOUR_SECONDS):
        problems.append(f"{of_shards} moves between shards in {trace.seconds:.0f} s")
    return problems


def shards_change(seed: int) -> list[str]:
    """Load that asks for more shards, and is not even: no move by load while one comes or goes."""
    spec = moving_shards(shards_max=5)
    trace = Trace(
        "change", 2.5 * HOUR_SECONDS, zipf=0.5,
        demand=lambda t: 1.5 if CHANGES_AT_SECONDS <= t < 2.5 * CHANGES_AT_SECONDS else 0.8,
    )  # fmt: skip
    hot = _hot_shards(seed, trace)[seed % 3]
    trace = replace(trace, hot=lambda t: hot if t >= CHANGES_AT_SECONDS / 2 else {})
    outcome = simulate(SimulatedWorld(seed, PLACED, trace), Ours(spec), spec)
    problems = list(outcome.broken)
    if not any(tier is Tier.SHARDS for _, tier, _, _ in outcome.changes):
        problems.append("no shard came")
    return problems


def _hot_shards(seed: int, trace: Trace) -> list[Mapping[int, float]]:
    """By shard, all of its symbols busier than usual, as they lie in the beginning."""
    world = SimulatedWorld(seed, PLACED, trace)
    rank_of = {place: rank for rank, place in world.of_rank.items()}
    hot: dict[str, dict[int, float]] = {name: {} for name in world.shards()}
    for slot in world.slots:
        for at, name in enumerate(world.symbols):
            if slot.first <= name < slot.past:
                hot[slot.shard][rank_of[at]] = SHIFT
    return list(hot.values())


def _returns(outcome: Outcome) -> list[str]:
    back = replace(outcome, moves=outcome.shard_moves).returns_within(HOUR_SECONDS)
    return [f"{back} moves between shards bring back what had just been moved"] if back else []


SHARD_SCENARIOS: Mapping[str, Callable[[int], list[str]]] = {
    "shards-stationary": shards_stationary,
    "shards-shift": shards_shift,
    "shards-alternation": shards_alternation,
    "shards-change": shards_change,
}
ALL_SCENARIOS = {**SCENARIOS, **SHARD_SCENARIOS}
