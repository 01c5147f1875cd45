"""How long one plan of the planner of scale takes, and how that grows with the cluster."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from bench.figures import Figure
from trading_contract.tradingcluster import TradingClusterSpec
from trading_operator.planner.scaling.memory import Memory
from trading_operator.planner.scaling.plan import ScalingWorld, plan_scaling
from trading_operator.planner.scaling.signals import Tier
from trading_operator.simulation.specs import simulated_spec
from trading_operator.simulation.traces import Trace
from trading_operator.simulation.world import BEGIN_SECONDS, Shape, SimulatedWorld

NAME = "plan_1000_partitions_100k_symbols_milliseconds"
SIZES = ((10, 1_000), (100, 10_000), (1_000, 100_000))
WARM_UP = 4
TRACE = Trace("zipf", 1e9, zipf=0.9)


@dataclass(frozen=True)
class PlanTimes:
    """One plan for clusters of several sizes, by the clock of the CPU."""

    runs: int
    say: Callable[[str], None]
    orders_per_second_per_partition: float = 12_000.0

    def measure(self) -> list[Figure]:
        """The figure of the largest; the others are among its details."""
        growth = []
        values: list[float] = []
        for partitions, symbols in SIZES:
            values = self._times(partitions, symbols)
            middle = sorted(values)[len(values) // 2]
            growth.append(
                {"partitions": partitions, "symbols": symbols, "milliseconds": round(middle, 3)}
            )
            self.say(f"{partitions} partitions, {symbols} symbols: {middle:.1f} ms")
        details = {"growth": growth, "slots": 16 * SIZES[-1][0], "target_milliseconds": 100}
        return [Figure(NAME, "ms", values, details=details)]

    def _times(self, partitions: int, symbols: int) -> list[float]:
        """Loads differ from look to look, ranges move meanwhile: what a plan costs in work."""
        shape = Shape(
            partitions, symbols, 16, self.orders_per_second_per_partition * partitions,
            2 * partitions, partitions, max(3, partitions // 2), are_shards_placed=True,
        )  # fmt: skip
        spec = _spec(partitions)
        world, memory, times = SimulatedWorld(1, shape, TRACE), Memory(), []
        for number in range(WARM_UP + self.runs):
            view = world.view()
            begun = time.process_time()
            plan = plan_scaling(spec, view, memory, BEGIN_SECONDS + world.now)
            if number >= WARM_UP:
                times.append((time.process_time() - begun) * 1000)
            memory = plan.memory
            _check(view, plan.balance.moves != () or number < WARM_UP)
            world.begin(plan.balance.moves)
            world.step(5.0)
        return times


def _spec(partitions: int) -> TradingClusterSpec:
    """All tiers scale; beyond the bounds of the resource, as this is about the function."""
    spec = simulated_spec(movesPerHourMax=3600, parallelMovesMax=16)
    tiers = {
        tier.value: getattr(spec.autoscaling, tier.value).model_copy(update={"max": 4 * partitions})
        for tier in Tier
    }
    return spec.model_copy(update={"autoscaling": spec.autoscaling.model_copy(update=tiers)})


def _check(view: ScalingWorld, has_worked: bool) -> None:
    """A plan that had nothing to do would be no measure."""
    assert view.layout.tiles()
    assert has_worked or replace(view) == view


__all__ = ["NAME", "PlanTimes"]
