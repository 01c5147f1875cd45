"""Order entry through the whole path: rates closed-loop, latency open-loop, the sides in turn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench.baseline_side import BaselineDatabase, BaselineWorkers
from bench.cluster_side import ClusterSide, Shape, symbols_for
from bench.driver import Load, LoadResult, run_load, verify
from bench.figures import Figure
from bench.processes import BenchError

BACKENDS = (1, 4, 8)  # of the first prototype's own table
MODES = {"rest": "REST", "batch": "BATCH", "stream": "STREAM"}
CHOOSING_PASSES = 3
Say = Callable[[str], None]


@dataclass(frozen=True)
class Pace:
    """How often and how long. Seconds of one run of one side."""

    runs: int = 10
    duration_seconds: float = 4
    warmup_seconds: float = 1

    def load(self, **fields: Any) -> Load:
        """A run of this length."""
        length: dict[str, Any] = {
            "duration_seconds": self.duration_seconds,
            "warmup_seconds": self.warmup_seconds,
        }
        return Load(**length, **fields)


class Baseline:
    """The other side: an empty table before each run, every acknowledged order counted after it."""

    def __init__(self, database: BaselineDatabase, workers: int) -> None:
        self.database = database
        self.workers = BaselineWorkers(database, workers)
        self.name = f"baseline, {workers} worker" + ("s" if workers > 1 else "")

    def run(self, pace: Pace, number: int, rate: float = 0) -> LoadResult:
        """One run at `rate` (0 = closed loop)."""
        self.database.empty()
        prefix = f"B{number}-"
        load = pace.load(
            mode="plain", url=self.workers.url, symbols=symbols_for("BASE"), prefix=prefix,
            rate=rate, seed=number + 1,
        )  # fmt: skip
        result = run_load(load)
        verify(result, self.database.count(prefix), self.name)
        return result


def run_ours(side: ClusterSide, pace: Pace, mode: str, purpose: str, rate: float = 0) -> LoadResult:
    """One run on symbols that no run used before."""
    side.settle()
    result = send_ours(side, pace, mode, purpose, rate=rate)
    check_ours(side, result, mode, purpose)
    return result


def send_ours(
    side: ClusterSide, pace: Pace, mode: str, purpose: str, **fields: float
) -> LoadResult:
    """The load alone, with these fields of `Load` besides; `check_ours` must follow."""
    load = pace.load(
        mode=mode, url=side.url, symbols=symbols_for(purpose), prefix=f"{purpose}-",
        keys_file=side.keys_file, **fields,
    )  # fmt: skip
    return run_load(load)


def check_ours(side: ClusterSide, result: LoadResult, mode: str, purpose: str) -> None:
    """Every order is where it should be, and some of them traded."""
    symbols = symbols_for(purpose)
    verify(result, side.count(symbols), f"{mode} on {side.shape}")
    if not side.count_trades(symbols):
        raise BenchError(f"{mode}: no order met another; the workload is not what it says")


@dataclass
class Headline:
    """Rates of single, batched and streamed orders, and latency at half of each side's own rate.

    Every round has a cluster of its own, so that every run of a mode starts with the same, empty
    tables (the baseline's table is emptied before each run), and begins with a run to warm both up.
    """

    pace: Pace
    shape: Shape
    baseline_workers: int
    say: Say
    ours: dict[str, list[LoadResult]] = field(default_factory=lambda: defaultdict(list))
    theirs: dict[str, list[LoadResult]] = field(default_factory=lambda: defaultdict(list))
    up_seconds: list[float] = field(default_factory=list)

    def measure(self, database: BaselineDatabase) -> list[Figure]:
        """All runs, then the figures."""
        baseline = Baseline(database, self.baseline_workers)
        baseline.workers.start()
        try:
            for number in range(self.pace.runs):
                self._round(baseline, number)
        finally:
            baseline.workers.stop()
        return self._figures(baseline)

    def _round(self, baseline: Baseline, number: int) -> None:
        purposes = [*MODES.values(), "WARM", "HALF"]
        side = ClusterSide(self.shape, purposes)
        try:
            self.up_seconds.append(side.up())
            warm = Pace(1, 2, 0.5)
            run_ours(side, warm, "rest", "WARM")
            baseline.run(warm, 1000 + number)
            self.theirs["rest"].append(baseline.run(self.pace, number))
            self.ours["rest"].append(run_ours(side, self.pace, "rest", MODES["rest"]))
            # Half of what each side has shown so far: the median settles after the first rounds.
            # Before batches and streams leave millions of rows, as the baseline has none either.
            half = {
                name: _median_rate(results["rest"]) / 2
                for name, results in (("ours", self.ours), ("theirs", self.theirs))
            }
            self.theirs["half"].append(baseline.run(self.pace, 2000 + number, half["theirs"]))
            self.ours["half"].append(run_ours(side, self.pace, "rest", "HALF", half["ours"]))
            for mode in ("batch", "stream"):
                self.ours[mode].append(run_ours(side, self.pace, mode, MODES[mode]))
        finally:
            side.remove()
        self.say(
            f"round {number + 1}: baseline {self.theirs['rest'][-1].orders_per_second:,.0f}/s, "
            + ", ".join(f"{m} {self.ours[m][-1].orders_per_second:,.0f}/s" for m in MODES)
        )

    def _figures(self, baseline: Baseline) -> list[Figure]:
        rates = [result.orders_per_second for result in self.theirs["rest"]]
        names = {
            "rest": "rest_single_orders_per_second",
            "batch": "rest_batch_orders_per_second",
            "stream": "stream_orders_per_second",
        }
        figures = [
            Figure(
                name, "orders/s", [result.orders_per_second for result in self.ours[mode]],
                baseline.name, rates, self._details(mode),
            )
            for mode, name in names.items()
        ]  # fmt: skip
        for percent in ("p50", "p99"):

            def at(result: LoadResult, field: str = f"{percent}_milliseconds") -> float:
                return float(getattr(result, field))

            half_rates = {
                "rate": round(_median_rate(self.ours["half"])),
                "against_rate": round(_median_rate(self.theirs["half"])),
            }
            figures.append(
                Figure(
                    f"rest_single_{percent}_milliseconds", "ms",
                    [at(result) for result in self.ours["half"]], f"{baseline.name}, half its rate",
                    [at(result) for result in self.theirs["half"]],
                    {"loop": "open, at half of each side's own rate", **half_rates},
                )
            )  # fmt: skip
        figures.append(
            Figure("cluster_up_seconds", "s", self.up_seconds, details={"shape": str(self.shape)})
        )
        return figures

    def _details(self, mode: str) -> dict[str, object]:
        last = self.ours[mode][-1].raw
        return {
            "loop": "closed",
            "topology": f"{self.shape}, {self.shape.replicas} backends",
            "connections": last["connections"],
            "in_flight_per_connection": last["in_flight"],
            "batch_size": last["batch_size"],
            "symbols": last["symbols"],
            "cross_percent": last["cross_percent"],
            "driver_cpu_microseconds_per_order": _median(
                [result.driver_cpu_microseconds for result in self.ours[mode]]
            ),
            "request_p50_milliseconds": _median([r.p50_milliseconds for r in self.ours[mode]]),
            "request_p99_milliseconds": _median([r.p99_milliseconds for r in self.ours[mode]]),
        }


@dataclass
class PrototypeTable:
    """The first prototype's table, redrawn: 1, 4 and 8 backends of the baseline, and of ours."""

    pace: Pace
    shape: Shape
    say: Say

    def measure(self, database: BaselineDatabase) -> list[Figure]:
        """All counts in each round, one side after the other."""
        theirs: dict[int, list[float]] = defaultdict(list)
        ours: dict[int, list[float]] = defaultdict(list)
        purposes = [f"T{n}X{r}" for n in BACKENDS for r in range(self.pace.runs)]
        side = ClusterSide(self.shape, purposes)
        try:
            side.up()
            for number in range(self.pace.runs):
                for count in BACKENDS:
                    baseline = Baseline(database, count)
                    baseline.workers.start()
                    try:
                        theirs[count].append(baseline.run(self.pace, number).orders_per_second)
                    finally:
                        baseline.workers.stop()
                    side.scale(count)
                    result = run_ours(side, self.pace, "rest", f"T{count}X{number}")
                    ours[count].append(result.orders_per_second)
                    self.say(
                        f"table, round {number + 1}, {count} backends: baseline"
                        f" {theirs[count][-1]:,.0f}/s, ours {ours[count][-1]:,.0f}/s"
                    )
        finally:
            side.remove()
        return [
            Figure(
                "rest_single_orders_per_second_by_backends", "orders/s", ours[count],
                f"baseline, {count} workers", theirs[count],
                {"backends": count, "prototype_reported": REPORTED[count]},
            )
            for count in BACKENDS
        ]  # fmt: skip


REPORTED = {1: 2653, 4: 3163, 8: 2689}  # orders/s in the prototype's report, on its own machine


def best_workers(database: BaselineDatabase, pace: Pace, say: Say) -> int:
    """With how many workers the baseline is fastest here: it is held at its best."""
    rates: dict[int, list[float]] = defaultdict(list)
    for number in range(min(pace.runs, CHOOSING_PASSES)):
        for count in BACKENDS:
            baseline = Baseline(database, count)
            baseline.workers.start()
            try:
                result = baseline.run(pace, 3000 + 10 * number + count)
            finally:
                baseline.workers.stop()
            rates[count].append(result.orders_per_second)
    found = {count: _median(values) for count, values in rates.items()}
    say("baseline by workers: " + ", ".join(f"{n}: {rate:,.0f}/s" for n, rate in found.items()))
    return max(found, key=lambda count: found[count])


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _median_rate(results: list[LoadResult]) -> float:
    return _median([result.orders_per_second for result in results])
