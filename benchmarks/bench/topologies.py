"""CPU time of an order, by process, for several topologies: it must not grow with the parts.

Two series. One has the same number of orders in flight for every topology: more parts share it, so
each commits smaller batches. The other has as many in flight for each part, as a cluster is given
parts because it has the load for them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.cluster_side import ClusterSide, Shape
from bench.figures import Figure
from bench.order_entry import Pace, check_ours, run_ours, send_ours

SHAPES = tuple(Shape(s, p) for s in (1, 2, 3) for p in (1, 2, 4))
SHAPES_QUICK = (Shape(1, 1), Shape(3, 4))
PASSES = 2
RUNS_OF_A_PASS_MIN = 3
IN_FLIGHT = 64  # orders on each connection


@dataclass
class Series:
    """What was measured of one topology at one load."""

    name: str
    in_flight: int  # on each connection
    totals: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    parts: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def figure(self, shape: Shape) -> Figure:
        """Medians."""
        return Figure(
            self.name, "us", self.totals,
            details={
                "topology": str(shape),
                "by_process": {
                    role: round(median(values), 2) for role, values in sorted(self.parts.items())
                },
                "orders_per_second": round(median(self.rates)),
                "mode": "stream, closed loop",
                "in_flight_per_connection": self.in_flight,
            },
        )  # fmt: skip


@dataclass
class CpuByTopology:
    """Streamed orders, closed loop. Each topology comes up PASSES times, in turn with others."""

    pace: Pace
    say: Callable[[str], None]
    shapes: Sequence[Shape] = SHAPES

    def measure(self) -> list[Figure]:
        """Two figures per topology."""
        series = {
            shape: (
                Series("cpu_microseconds_per_order", IN_FLIGHT),
                Series(
                    "cpu_microseconds_per_order_load_per_part",
                    IN_FLIGHT * max(shape.shards, shape.partitions),
                ),
            )
            for shape in self.shapes
        }
        passes = max(1, min(PASSES, self.pace.runs // RUNS_OF_A_PASS_MIN))
        for number in range(passes):
            for shape in self.shapes:
                runs = self.pace.runs // passes + (number < self.pace.runs % passes)
                self._one(shape, runs, series[shape])
        return [each[kind].figure(shape) for kind in (0, 1) for shape, each in series.items()]

    def _one(self, shape: Shape, runs: int, series: Sequence[Series]) -> None:
        side = ClusterSide(shape, ["WARM", *(f"CPU{n}X{k}" for n in range(runs) for k in (0, 1))])
        try:
            side.up()
            run_ours(side, Pace(1, 2, 0.5), "stream", "WARM")
            for number in range(runs):
                for kind, each in enumerate(series):
                    self._run(side, f"CPU{number}X{kind}", each)
        finally:
            side.remove()
        told = " and ".join(f"{s.totals[-1]:.1f} us at {s.rates[-1]:,.0f}/s" for s in series)
        self.say(f"{shape}: CPU per order {told}")

    def _run(self, side: ClusterSide, purpose: str, series: Series) -> None:
        side.settle()
        before = side.cpu_seconds_by_process()
        result = send_ours(side, self.pace, "stream", purpose, in_flight=series.in_flight)
        after = side.cpu_seconds_by_process()
        check_ours(side, result, "stream", purpose)
        spent = _by_role(
            {name: after[name] - before.get(name, 0.0) for name in after}, result.acknowledged
        )
        series.totals.append(sum(spent.values()))
        series.rates.append(result.orders_per_second)
        for role, value in spent.items():
            series.parts[role].append(value)


def _by_role(seconds: dict[str, float], orders: int) -> dict[str, float]:
    """Microseconds per order, the members of a tier together."""
    roles: dict[str, float] = defaultdict(float)
    for name, value in seconds.items():
        roles[re.sub(r"[-0-9]+$", "", name)] += value * 1e6 / orders
    return dict(roles)
