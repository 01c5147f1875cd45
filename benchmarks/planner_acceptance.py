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
from trading_operator.simulation.acceptance import SMALL, moving_only
from trading_operator.simulation.run import simulate
from trading_operator.simulation.shard_acceptance import ALL_SCENARIOS
from trading_operator.simulation.specs import simulated_spec
from trading_operator.simulation.strategies import STRATEGIES
from trading_operator.simulation.traces import TRACES
from trading_operator.simulation.world import SimulatedWorld

NAMES = list(ALL_SCENARIOS)
COMPARED = ("constant", "zipf", "step", "hot-symbol", "alternation", "dropout")
COMPARED_SECONDS = 5400.0
Row = tuple[float, ...]
# Highest over mean is finer with fewer partitions, whoever moves; so it is compared both ways.
FIXED, OWN = "counts fixed", "own counts"
COLUMNS = ("moves", "ranges", "imbalance", "served %", "unit hours")


def held(seed: int) -> tuple[int, str, list[str]]:
    """What one seed broke, in the scenario that is its turn."""
    name = NAMES[seed % len(NAMES)]
    return seed, name, ALL_SCENARIOS[name](seed)


def compared(task: tuple[str, str, str, int]) -> tuple[str, str, str, Row]:
    """What a strategy does on a trace, in the order of COLUMNS."""
    counts, trace, strategy, seed = task
    spec = simulated_spec() if counts == OWN else moving_only()
    world = SimulatedWorld(seed, SMALL, replace(TRACES[trace], seconds=COMPARED_SECONDS))
    outcome = simulate(world, STRATEGIES[strategy](spec), spec)
    hours = sum(outcome.unit_hours(tier) for tier in Tier)
    row = (
        float(len(outcome.moves)), float(outcome.ranges_moved), outcome.imbalance_mean,
        100 * outcome.served_share, hours,
    )  # fmt: skip
    return counts, trace, strategy, row


def table(rows: dict[tuple[str, str, str], list[Row]]) -> Iterator[str]:
    """Means over the seeds, and of these over the traces."""
    for counts in (FIXED, OWN):
        yield f"{counts:12} {'strategy':10}" + "".join(f"{name:>11}" for name in COLUMNS)
        for trace in COMPARED:
            for strategy in STRATEGIES:
                yield _line(trace, strategy, rows[counts, trace, strategy])
        for strategy in STRATEGIES:
            of_all = [_mean(rows[counts, trace, strategy]) for trace in COMPARED]
            yield _line("all", strategy, of_all)


def _line(trace: str, strategy: str, rows: list[Row]) -> str:
    return f"{trace:12} {strategy:10}" + "".join(f"{value:11.3f}" for value in _mean(rows))


def _mean(rows: list[Row]) -> Row:
    return tuple(sum(column) / len(column) for column in zip(*rows, strict=True))


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
            (counts, trace, strategy, seed) for counts in (FIXED, OWN) for trace in COMPARED
            for strategy in STRATEGIES for seed in range(chosen.compare)
        ]  # fmt: skip
        rows: dict[tuple[str, str, str], list[Row]] = {}
        for counts_of, trace, strategy, row in pool.map(compared, tasks):
            rows.setdefault((counts_of, trace, strategy), []).append(row)
    if rows:
        print("\n".join(table(rows)))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
