"""What is seen of a cluster that follows its load: parts, CPU of each partition, balance, moves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.figures import Figure
from bench.processes import cpu_seconds
from bench.watcher import Watcher
from trading_contract.costs import cores_of
from trading_contract.status import ClusterStatus
from trading_contract.tradingcluster import TradingCluster
from trading_operator.planner.moves.times import seconds_of
from trading_operator.planner.scaling.capacity import DEFAULTS
from trading_operator.planner.scaling.round_sums import BAND, BAND_MIN, band_of
from trading_operator.planner.scaling.signals import Tier
from trading_operator.simulation.picture import Line, Panel
from trading_operator.substrates.processes.layout import Layout
from trading_operator.substrates.processes.moves import MoveFiles
from trading_operator.substrates.processes.store import Store

SAMPLE_SECONDS = 1.0
WINDOW_SECONDS = 15.0  # over which a partition's CPU is averaged: the planner's fast window
HELD_SECONDS = 15.0  # so long it must stay inside the band to count as back
HOT_SHARE = 0.5  # of all calls go to the hot symbols
BUSY = ("up", "hot", "hotter")
CPU = "cpu_milliseconds_per_second"


@dataclass(frozen=True)
class Phase:
    """A time with one load; `hot` are positions of symbols in the list of all."""

    name: str
    factor: float
    hot: tuple[int, ...] = ()

    def weights(self, symbols: Sequence[str]) -> dict[str, float]:
        """By symbol; nothing said = all alike."""
        others = len(symbols) - len(self.hot)
        if not self.hot:
            return {}
        weight = HOT_SHARE / (1 - HOT_SHARE) * others / len(self.hot)
        return {symbols[at]: weight for at in self.hot}


PHASES = (
    Phase("low", 1), Phase("up", 10), Phase("hot", 10, (0, 1)), Phase("hotter", 10, (10, 11)),
    Phase("away", 1),
)  # fmt: skip


@dataclass(frozen=True)
class Breathing:
    """The data folder of the cluster."""

    root: Path

    def spec(self) -> TradingCluster:
        """As it was stored."""
        cluster = Store(Layout(self.root)).cluster()
        assert cluster is not None
        return cluster

    def status(self) -> ClusterStatus | None:
        """The supervisor's last report."""
        return Store(Layout(self.root)).status()

    def moves(self) -> list[tuple[float, str, float | None]]:
        """Begin (Unix), target and pause of each move that began."""
        found = []
        for move in MoveFiles(Layout(self.root)).read() or ():
            begun = seconds_of(move.status.started_time) if move.status else None
            if begun is not None and move.status is not None:
                found.append((begun, move.spec.target, move.status.pause_milliseconds))
        return sorted(found)


@dataclass(frozen=True)
class Sample:
    """One second. `cpu` is the CPU time of each partition so far, of those that own anything."""

    seconds: float
    acknowledged: int
    counts: Mapping[str, int]
    cpu: Mapping[str, float]


class Watch(Watcher):
    """Samples the cluster once a second, in a thread of its own. A context manager."""

    def __init__(self, cluster: Breathing, acknowledged: Callable[[], int]) -> None:
        super().__init__(self._sample, SAMPLE_SECONDS, "watch")
        self.cluster, self._acknowledged = cluster, acknowledged
        self.samples: list[Sample] = []
        self.begins: list[tuple[float, str]] = []
        self.moves: list[tuple[float, str, float | None]] = []
        self.unclear: list[str] = []
        self.errors: list[int] = []
        self._zero, self._zero_unix = time.monotonic(), time.time()
        self.capacity = _capacity(cluster.spec())
        self.least = _least(cluster.spec())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        super().__exit__(kind, error, trace)
        self.moves = [(at - self._zero_unix, *rest) for at, *rest in self.cluster.moves()]

    def begin(self, name: str) -> None:
        """A phase begins now."""
        self.begins.append((time.monotonic() - self._zero, name))

    @property
    def is_small_again(self) -> bool:
        """Whether every tier that scales is at its least, and only one partition owns anything."""
        last = self.samples[-1] if self.samples else None
        return last is not None and len(last.cpu) == self.least["partitions"] and all(
            last.counts.get(tier) == count for tier, count in self.least.items()
        )  # fmt: skip

    def _sample(self) -> None:
        status = self.cluster.status()
        if status is None or status.autoscaling is None:
            return
        owning = {slot.partition for slot in status.slots}
        cpu = {
            each.name: cpu_seconds(each.pid) for each in status.processes
            if each.name in owning and each.pid
        }  # fmt: skip
        counts = {tier.name: tier.count for tier in status.autoscaling.tiers}
        now = time.monotonic() - self._zero
        self.samples.append(Sample(now, self._acknowledged(), counts, cpu))
        self.errors = [
            each.error_percent for each in status.autoscaling.history
            if each.error_percent is not None
        ]  # fmt: skip


def _capacity(cluster: TradingCluster) -> float:
    """CPU seconds per second that one partition is made for."""
    cores = float(cores_of(cluster.spec.partitions.resources.cpu))
    return DEFAULTS[Tier.PARTITIONS][CPU] / 1000 * min(1.0, cores)


def _least(cluster: TradingCluster) -> dict[str, int]:
    policies = cluster.spec.autoscaling
    tiers = ("backends", "partitions", "shards")
    return {tier: getattr(policies, tier).min for tier in tiers}


@dataclass(frozen=True)
class Balance:
    """Utilisation of partitions at one time, averaged over the window."""

    seconds: float
    highest: float
    mean: float
    is_inside: bool


def balances(watch: Watch) -> Iterator[Balance]:
    """Over time; a partition that did not own anything all through the window is left out."""
    first = 0
    for sample in watch.samples:
        while watch.samples[first].seconds < sample.seconds - WINDOW_SECONDS:
            first += 1
        begin = watch.samples[first]
        length = sample.seconds - begin.seconds
        if length < WINDOW_SECONDS / 2:
            continue
        used = [
            (cpu - begin.cpu[name]) / length / watch.capacity
            for name, cpu in sample.cpu.items() if name in begin.cpu
        ]  # fmt: skip
        if not used:
            continue
        mean, highest = sum(used) / len(used), max(used)
        is_inside = highest <= mean + band_of(mean) and len(used) == len(sample.cpu)
        yield Balance(sample.seconds, highest, mean, is_inside)


def seconds_into_band(watch: Watch) -> dict[str, float | None]:
    """From the beginning of each busy phase to the time from which it stayed inside the band.

    What is outside for less than `HELD_SECONDS` in one piece, one window of the average, does not
    count; None = it was outside for longer at the end of the phase.
    """
    told, found = list(balances(watch)), {}
    for name, begin, end in _phases(watch):
        if name in BUSY:
            inside = [each for each in told if begin <= each.seconds < end]
            outside = [each for each in _outside(inside) if each[1] - each[0] >= HELD_SECONDS]
            last = outside[-1][1] if outside else begin
            found[name] = None if inside and last == inside[-1].seconds else last - begin
    return found


def _phases(watch: Watch) -> Iterator[tuple[str, float, float]]:
    """Name, begin and end of each."""
    ends = [at for at, _ in watch.begins[1:]] + [watch.samples[-1].seconds]
    for (begin, name), end in zip(watch.begins, ends, strict=True):
        yield name, begin, end


def _outside(told: Sequence[Balance]) -> Iterator[tuple[float, float]]:
    """Stretches outside the band, from and to."""
    since: float | None = None
    for each in told:
        if not each.is_inside and since is None:
            since = each.seconds
        if each.is_inside and since is not None:
            yield since, each.seconds
            since = None
    if since is not None:
        yield since, told[-1].seconds


def figures_of(watch: Watch) -> list[Figure]:
    """Seconds into the band by change; what else happened is in the details.

    A change that stayed outside counts with the whole of its phase, which is the least it took.
    """
    times = seconds_into_band(watch)
    lengths = {name: end - begin for name, begin, end in _phases(watch)}
    known = [round(lengths[name] if value is None else value, 1) for name, value in times.items()]
    pauses = [pause for _, _, pause in watch.moves if pause is not None]
    peak = {
        tier: max(sample.counts.get(tier, 0) for sample in watch.samples) for tier in watch.least
    }
    details: dict[str, Any] = {
        "after": {name: None if v is None else round(v, 1) for name, v in times.items()},
        "changes_that_stayed_outside": sum(value is None for value in times.values()),
        "band": f"highest <= mean + max({BAND:.0%} of it, {BAND_MIN:.0%} of a partition), 15 s",
        "moves": len(watch.moves),
        "pause_max_milliseconds": max(pauses, default=None),
        "calls_acknowledged": watch.samples[-1].acknowledged,
        "calls_unclear_after_one_retry": len(watch.unclear),
        "counts_at_most": peak,
        "counts_at_the_end": dict(watch.samples[-1].counts),
        "seconds_until_small_again": round(watch.samples[-1].seconds - watch.begins[-1][0], 1),
        "prediction_errors_percent": watch.errors,
    }
    return [Figure("rebalance_into_band_seconds", "s", known or [float("nan")], details=details)]


def panels_of(watch: Watch) -> list[Panel]:
    """Orders, parts, balance and moves over time."""
    rates = [
        (new.seconds, (new.acknowledged - old.acknowledged) / (new.seconds - old.seconds))
        for old, new in zip(watch.samples, watch.samples[5:], strict=False)
    ]
    told = list(balances(watch))
    counts = [
        Line(tier, [(s.seconds, float(s.counts.get(tier, 0))) for s in watch.samples], True)
        for tier in watch.least
    ]
    moves = [(at, pause or 0.0) for at, _, pause in watch.moves if at >= 0]
    return [
        Panel("calls acknowledged per second", [Line("acknowledged", rates)]),
        Panel("parts in effect", counts),
        Panel(
            "utilisation of partitions, over 15 s",
            [
                Line("highest", [(each.seconds, each.highest) for each in told]),
                Line("mean", [(each.seconds, each.mean) for each in told]),
            ],
            lambda value: f"{value:.0%}",
        ),
        Panel("pause of each move, ms", [Line("moves", moves, is_dots=True)]),
    ]
