"""What the planner of scale must hold, in the simulated world.

A few seeds of each here; `benchmarks/planner_acceptance.py` and the tests marked "long" run more.
"""

from __future__ import annotations

import pytest

from trading_operator.simulation.acceptance import SCENARIOS
from trading_operator.simulation.run import simulate
from trading_operator.simulation.shard_acceptance import ALL_SCENARIOS, SHARD_SCENARIOS
from trading_operator.simulation.specs import simulated_spec
from trading_operator.simulation.strategies import STRATEGIES
from trading_operator.simulation.traces import TRACES, Trace
from trading_operator.simulation.world import Shape, SimulatedWorld

SEEDS = (1, 2)
SEEDS_LONG = 150  # of each, none of them twice
SHARD_SEEDS_LONG = 15  # hours of each, as moves between shards are slow


@pytest.mark.parametrize(
    ("name", "seed"),
    [(name, seed) for name in SCENARIOS for seed in SEEDS]
    + [(name, 1) for name in SHARD_SCENARIOS],
)
def test_the_planner_holds_what_it_must(name: str, seed: int) -> None:
    assert ALL_SCENARIOS[name](seed) == []


@pytest.mark.long
@pytest.mark.parametrize(("at", "name"), list(enumerate(ALL_SCENARIOS)))
def test_the_planner_holds_what_it_must_for_many_seeds(at: int, name: str) -> None:
    count = SHARD_SEEDS_LONG if name in SHARD_SCENARIOS else SEEDS_LONG
    seeds = range(1000 + at * SEEDS_LONG, 1000 + at * SEEDS_LONG + count)
    broken = {seed: told for seed in seeds if (told := ALL_SCENARIOS[name](seed))}
    assert broken == {}


SHORT = Trace("short", 1500.0, demand=lambda t: 2.5 if 600 <= t < 1200 else 1.0, zipf=0.9)
SHAPE = Shape(partitions=5, symbols=120, orders_per_second=60_000, backends=16, shards=5)


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_world_breaks_nothing_of_its_own_whoever_decides(name: str) -> None:
    spec = simulated_spec()
    outcome = simulate(SimulatedWorld(3, SHAPE, SHORT), STRATEGIES[name](spec), spec)
    worse = [line for line in outcome.broken if "would be fuller" not in line]
    assert worse == []


def test_the_same_seed_gives_the_same_run() -> None:
    spec = simulated_spec()
    runs = [
        simulate(SimulatedWorld(7, SHAPE, SHORT), STRATEGIES["planner"](spec), spec)
        for _ in range(2)
    ]
    assert runs[0].samples == runs[1].samples
    assert runs[0].moves == runs[1].moves


def test_failing_moves_stop_the_rebalancing_and_break_nothing() -> None:
    spec = simulated_spec()
    world = SimulatedWorld(5, SHAPE, TRACES["zipf"], failing_moves_share=1.0)
    world.trace = SHORT
    outcome = simulate(world, STRATEGIES["planner"](spec), spec)
    assert outcome.broken == []
    assert len(outcome.moves) <= 8
    assert outcome.pauses == []
