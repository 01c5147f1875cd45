"""Measures what the README claims: `make bench`, or `python benchmarks/run.py [--quick]`.

Brings up clusters with `tradingctl` in homes of their own and the baseline beside them, lets both
sides run in turn, and counts a run only when every acknowledged order is found in the shards and
nothing went wrong. Writes a table to stdout and the figures to benchmarks/results/latest.json.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from bench.baseline_side import BaselineDatabase  # noqa: E402
from bench.cluster_side import Shape  # noqa: E402
from bench.core import CoreFigures  # noqa: E402
from bench.driver import BUILD, build  # noqa: E402
from bench.figures import Figure, table, write  # noqa: E402
from bench.machine import commit, machine  # noqa: E402
from bench.moves import MovesUnderLoad  # noqa: E402
from bench.order_entry import Headline, Pace, PrototypeTable, best_workers  # noqa: E402
from bench.partition import Restart  # noqa: E402
from bench.planner_scale import NAME as PLAN  # noqa: E402
from bench.planner_scale import PlanTimes  # noqa: E402
from bench.processes import BenchError  # noqa: E402
from bench.scale_move import ScaleMove  # noqa: E402
from bench.topologies import SHAPES, SHAPES_QUICK, CpuByTopology  # noqa: E402

HEADLINE = (
    "rest_single_orders_per_second", "rest_batch_orders_per_second", "stream_orders_per_second",
    "rest_single_p50_milliseconds", "rest_single_p99_milliseconds", "cluster_up_seconds",
)  # fmt: skip
CORE = (
    "core_messages_per_second_10k", "core_messages_per_second_1m",
    "core_python_batch_messages_per_second",
)  # fmt: skip
RESTART = ("partition_restart_seconds_1m", "memory_megabytes_per_million_open_orders")
TOPOLOGY = ("cpu_microseconds_per_order", "cpu_microseconds_per_order_load_per_part")
PROTOTYPE = ("rest_single_orders_per_second_by_backends",)
MOVES = (
    *(f"{kind}_move_{figure}" for kind in ("engine", "shard") for figure in (
        "pause_p50_milliseconds", "pause_p99_milliseconds", "pause_max_milliseconds",
        "client_pause_p99_milliseconds", "pause_told_p99_milliseconds",
    )),
    "engine_moves_measured", "shard_moves_measured", "moves_lost_orders", "moves_doubled_orders",
    "engine_moves_other_symbols_p99_milliseconds", "shard_moves_other_symbols_p99_milliseconds",
)  # fmt: skip
MOVES_OF_A_ROUND = 50
LARGE_MOVE = (
    "shard_move_pause_against_logical_replication", "shard_move_large_range_seconds",
    "shard_move_source_commit_p99_milliseconds",
)  # fmt: skip
ALL = HEADLINE + CORE + RESTART + TOPOLOGY + PROTOTYPE + MOVES + LARGE_MOVE + (PLAN,)


def say(text: str) -> None:
    """Progress goes to stderr: stdout is the table."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="3 short runs: to see that it works")
    parser.add_argument("--only", metavar="NAME,..", default="", help="figures: " + ", ".join(ALL))
    parser.add_argument("--runs", type=int, default=10, help="runs of each side (default: 10)")
    parser.add_argument(
        "--replicas", type=int, default=1, help="backends of the headline (default: 1)"
    )
    parser.add_argument(
        "--move-rounds", type=int, default=4,
        help=f"of {MOVES_OF_A_ROUND} moves of each kind (default: 4)",
    )  # fmt: skip
    parser.add_argument(
        "--large-move", metavar="OPEN,CLOSED", default="1000000,20000000",
        help="orders of the large range that moves (default: 1000000,20000000)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, default=HERE / "results" / "latest.json", help="where the figures go"
    )
    chosen = parser.parse_args()
    if unknown := set(filter(None, chosen.only.split(","))) - set(ALL):
        parser.error(f"--only: {', '.join(sorted(unknown))} is unknown; choose of {', '.join(ALL)}")
    if not 1 <= chosen.runs <= 100:
        parser.error("--runs: 1 to 100")
    if not 1 <= chosen.move_rounds <= 20:
        parser.error("--move-rounds: 1 to 20")
    if not re.fullmatch(r"\d{1,8},\d{1,8}", chosen.large_move):
        parser.error("--large-move: two numbers, such as 1000000,20000000")
    return chosen


class Session:
    """What is measured in one call; each part on its own: one failure does not lose the rest."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.chosen = chosen
        runs = 3 if chosen.quick else chosen.runs
        self.pace = Pace(runs, 2, 0.5) if chosen.quick else Pace(runs, 4, 1)
        self.short = Pace(runs, 1, 0.3) if chosen.quick else Pace(runs, 2.5, 0.5)
        self.figures: list[Figure] = []
        self.failures: list[str] = []

    def wants(self, names: tuple[str, ...]) -> bool:
        """Whether any of these figures was asked for."""
        only = set(filter(None, self.chosen.only.split(",")))
        return not only or bool(only & set(names))

    def part(self, names: tuple[str, ...], measure: Callable[[], list[Figure]]) -> None:
        """Measure one part if it is wanted; a failure is told, and ends with status 1."""
        if not self.wants(names):
            return
        say(f"measuring {', '.join(names)}")
        try:
            self.figures += measure()
        except (BenchError, AssertionError, OSError) as error:
            self.failures.append(f"{names[0]}: {error}")
            say(f"FAILED {self.failures[-1]}")

    def measure(self) -> None:
        """Everything, the core first."""
        self.part(CORE, CoreFigures(self.pace.runs, self.chosen.quick, say).measure)
        self.part((PLAN,), PlanTimes(self.pace.runs, say).measure)
        shape = Shape(1, 1, self.chosen.replicas)
        if self.wants(HEADLINE) or self.wants(PROTOTYPE):
            database = BaselineDatabase()
            try:
                database.start()
                self.part(HEADLINE, lambda: self._headline(database, shape))
                table = PrototypeTable(self.short, shape, say)
                self.part(PROTOTYPE, lambda: table.measure(database))
            finally:
                database.stop()
        orders = 100_000 if self.chosen.quick else 1_000_000
        self.part(RESTART, Restart(self.pace.runs, say, orders).measure)
        rounds = 1 if self.chosen.quick else self.chosen.move_rounds
        moves = 10 if self.chosen.quick else MOVES_OF_A_ROUND * rounds
        self.part(MOVES, MovesUnderLoad(moves, rounds, say).measure)
        orders_of = [int(n) for n in self.chosen.large_move.split(",")]
        opened, closed = (10_000, 100_000) if self.chosen.quick else orders_of
        self.part(LARGE_MOVE, ScaleMove(opened, closed, say).measure)
        shapes = SHAPES_QUICK if self.chosen.quick else SHAPES
        self.part(TOPOLOGY, CpuByTopology(self.short, say, shapes).measure)

    def _headline(self, database: BaselineDatabase, shape: Shape) -> list[Figure]:
        workers = best_workers(database, self.short, say)
        return Headline(self.pace, shape, workers, say).measure(database)


def main() -> int:
    """Exit status 0 when all that was asked for was measured."""
    chosen = options()
    begun = time.monotonic()
    build(BUILD.with_suffix(".log"))
    where, what = machine(), commit()
    session = Session(chosen)
    session.measure()
    write(chosen.out, where, what, session.figures)
    print(", ".join(f"{key} {value}" for key, value in where.items()))
    print(f"commit {what}\n")
    if session.figures:
        print(table(session.figures))
    for failure in session.failures:
        print(f"FAILED {failure}")
    say(f"{time.monotonic() - begun:.0f} s; figures in {chosen.out}")
    return 1 if session.failures or not session.figures else 0


if __name__ == "__main__":
    sys.exit(main())
