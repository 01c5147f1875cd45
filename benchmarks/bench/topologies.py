"""CPU time of an order, by process, for several topologies: it must not grow with the parts."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.cluster_side import ClusterSide, Shape
from bench.figures import Figure
from bench.order_entry import Pace, check_ours, run_ours, send_ours

SHAPES = tuple(Shape(s, p) for s in (1, 2, 3) for p in (1, 2, 4))
SHAPES_QUICK = (Shape(1, 1), Shape(3, 4))
PASSES = 2
RUNS_OF_A_PASS_MIN = 3


@dataclass
class CpuByTopology:
    """Streamed orders, closed loop. Each topology comes up PASSES times, in turn with others."""

    pace: Pace
    say: Callable[[str], None]
    shapes: Sequence[Shape] = SHAPES

    def measure(self) -> list[Figure]:
        """One figure per topology."""
        totals: dict[Shape, list[float]] = defaultdict(list)
        parts: dict[Shape, dict[str, list[float]]] = {
            shape: defaultdict(list) for shape in self.shapes
        }
        rates: dict[Shape, list[float]] = defaultdict(list)
        passes = max(1, min(PASSES, self.pace.runs // RUNS_OF_A_PASS_MIN))
        for number in range(passes):
            for shape in self.shapes:
                runs = self.pace.runs // passes + (number < self.pace.runs % passes)
                self._one(shape, runs, totals[shape], parts[shape], rates[shape])
        return [
            Figure(
                "cpu_microseconds_per_order", "us", totals[shape],
                details={
                    "topology": str(shape),
                    "by_process": {
                        role: round(sorted(values)[len(values) // 2], 2)
                        for role, values in sorted(parts[shape].items())
                    },
                    "orders_per_second": round(sorted(rates[shape])[len(rates[shape]) // 2]),
                    "mode": "stream, closed loop",
                },
            )
            for shape in self.shapes
        ]  # fmt: skip

    def _one(self, shape: Shape, runs: int, totals: list[float], parts: dict[str, list[float]],
             rates: list[float]) -> None:  # fmt: skip
        purposes = ["WARM", *(f"CPU{n}" for n in range(runs))]
        side = ClusterSide(shape, purposes)
        try:
            side.up()
            run_ours(side, Pace(1, 2, 0.5), "stream", "WARM")
            for number in range(runs):
                side.settle()
                before = side.cpu_seconds_by_process()
                result = send_ours(side, self.pace, "stream", f"CPU{number}")
                after = side.cpu_seconds_by_process()
                check_ours(side, result, "stream", f"CPU{number}")
                spent = _by_role(
                    {name: after[name] - before.get(name, 0.0) for name in after},
                    result.acknowledged,
                )
                totals.append(sum(spent.values()))
                rates.append(result.orders_per_second)
                for role, value in spent.items():
                    parts[role].append(value)
        finally:
            side.remove()
        self.say(f"{shape}: {totals[-1]:.1f} us CPU per order at {rates[-1]:,.0f}/s")


def _by_role(seconds: dict[str, float], orders: int) -> dict[str, float]:
    """Microseconds per order, the members of a tier together."""
    roles: dict[str, float] = defaultdict(float)
    for name, value in seconds.items():
        roles[re.sub(r"[-0-9]+$", "", name)] += value * 1e6 / orders
    return dict(roles)
