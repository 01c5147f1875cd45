"""What the planner of scale must hold, for many seeds; and the plain alternatives beside it.

    python benchmarks/planner_acceptance.py [--seeds N] [--first N] [--compare N] [--jobs N]

Exit status 1 when anything was broken. Seeds are spread over the scenarios, one scenario each.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

from trading_operator.planner.scaling.signals import Tier
from trading_operator.simulation.acceptance import SCENARIOS, SMALL
from trading_operator.simulation.run import simulate
from trading_operator.simulation.specs import simulated_spec
from trading_operator.simulation.strategies import STRATEGIES
from trading_operator.simulation.traces import TRACES
from trading_operator.simulation.world import SimulatedWorld

NAMES = list(SCENARIOS)
COMPARED = ("zipf", "step", "hot-symbol")
COMPARED_SECONDS = 5400.0
Row = tuple[float, float, float, float]


def held(seed: int) -> tuple[int, str, list[str]]:
    """What one seed broke, in the scenario that is its turn."""
    name = NAMES[seed % len(NAMES)]
    return seed, name, SCENARIOS[name](seed)


def compared(task: tuple[str, str, int]) -> tuple[str, str, Row]:
    """Ranges moved, imbalance, share served and unit hours of a strategy on a trace."""
    trace, strategy, seed = task
    spec = simulated_spec()
    world = SimulatedWorld(seed, SMALL, replace(TRACES[trace], seconds=COMPARED_SECONDS))
    outcome = simulate(world, STRATEGIES[strategy](spec), spec)
    hours = sum(outcome.unit_hours(tier) for tier in Tier)
    row = (float(outcome.ranges_moved), outcome.imbalance_mean, outcome.served_share, hours)
    return trace, strategy, row


def table(rows: dict[tuple[str, str], list[Row]]) -> Iterator[str]:
    """Means over the seeds."""
    yield f"{'trace':12} {'strategy':10} {'ranges':>8} {'imbalance':>10} {'served':>8} {'hours':>7}"
    for (trace, strategy), each in rows.items():
        ranges, imbalance, served, hours = (sum(c) / len(c) for c in zip(*each, strict=True))
        yield (
            f"{trace:12} {strategy:10} {ranges:8.1f} {imbalance:10.3f} {served:8.2%} {hours:7.1f}"
        )


def main() -> int:
    """Run the seeds, then the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=1000, metavar="N")
    parser.add_argument("--first", type=int, default=10_000, metavar="N")
    parser.add_argument("--compare", type=int, default=5, metavar="N", help="seeds of each pair")
    parser.add_argument("--jobs", type=int, default=1, metavar="N")
    chosen = parser.parse_args()
    begun, counts, broken = time.monotonic(), Counter[str](), 0
    with ProcessPoolExecutor(chosen.jobs) as pool:
        seeds = range(chosen.first, chosen.first + chosen.seeds)
        for seed, name, problems in pool.map(held, seeds):
            counts[name] += 1
            if problems:
                broken += 1
                print(f"seed {seed} {name}: {'; '.join(problems)}", flush=True)
        print(f"{chosen.seeds} seeds, {broken} broken, {time.monotonic() - begun:.0f} s: "
              + ", ".join(f"{name} {count}" for name, count in counts.items()))  # fmt: skip
        tasks = [
            (t, s, seed) for t in COMPARED for s in STRATEGIES for seed in range(chosen.compare)
        ]
        rows: dict[tuple[str, str], list[Row]] = {}
        for trace, strategy, row in pool.map(compared, tasks):
            rows.setdefault((trace, strategy), []).append(row)
    print("\n".join(table(rows)))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
