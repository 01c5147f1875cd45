"""One shard limits: a rule that sees only CPU adds backends, the planner of scale adds a shard.

Two cores cannot show a shard that saturates by its own work, so each shard gets a disk that takes
only so many commands a second: a trigger holds a lock of the shard for as long as that disk would
write, in the transaction of each commit that waits for the disk (a copy's bites do not). Every
shard gets one of the same kind as soon as it is there. Everything else is as always, `fsync` among
it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Self

import psycopg

from bench.cluster_side import ClusterSide, Shape, symbols_for
from bench.driver import LoadResult
from bench.figures import Figure
from bench.order_entry import Pace, check_ours, send_ours
from bench.processes import BenchError
from bench.watcher import Watcher
from trading_operator.substrates.processes.layout import Layout
from trading_operator.substrates.processes.store import Store

DISK_COMMANDS_PER_SECOND = 1_000
RESENDS = 3  # of an order whose answer is not clear
ROUNDS_MAX = 12
ROUNDS_COUNTED = 3
BACKENDS_FIRST, BACKENDS_MAX = 2, 8
BACKEND_CORES = 0.03
HPA_TARGET, HPA_TOLERANCE = 0.6, 0.1
LOOK_SECONDS = 0.5
CLEAN_SECONDS_MAX = 120.0
POLICIES: Mapping[str, Any] = {
    "autoscaling": {
        "backends": {"mode": "on", "min": BACKENDS_FIRST, "max": BACKENDS_MAX,
                     "cooldownSeconds": 15},
        "partitions": {"mode": "on", "min": 1, "max": 4, "cooldownSeconds": 15},
        "shards": {"mode": "on", "min": 1, "max": 2, "cooldownSeconds": 60},
    },
    "rebalancing": {"mode": "on"},
}  # fmt: skip
UNITS: Mapping[str, Any] = {
    "backends": {"resources": {"cpu": "30m"}},
    "partitions": {"resources": {"cpu": "250m"}},
    "shards": {"resources": {"cpu": "15m"}},
}
SLOW_DISK = f"""
CREATE FUNCTION bench_slow_disk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('synchronous_commit') = 'off' THEN RETURN NULL; END IF;
  PERFORM pg_catalog.pg_advisory_xact_lock(4711);
  PERFORM pg_catalog.pg_sleep((NEW.seq_hi - NEW.seq_lo + 1) / {DISK_COMMANDS_PER_SECOND}.0);
  RETURN NULL;
END $$;
CREATE TRIGGER bench_slow_disk AFTER INSERT ON slot_log
  FOR EACH ROW EXECUTE FUNCTION bench_slow_disk();
"""


class SlowDisks(Watcher):
    """Gives each shard its slow disk, also those that come later. A context manager."""

    def __init__(self, side: ClusterSide) -> None:
        super().__init__(self._look_at_shards, LOOK_SECONDS, "slow-disks")
        self._side = side
        self._slow: set[str] = set()

    def __enter__(self) -> Self:
        self._look_at_shards()
        if not self._slow:
            raise BenchError("no shard took its slow disk")
        return super().__enter__()

    def _look_at_shards(self) -> None:
        for conninfo in self._side.conninfos():
            if conninfo in self._slow:
                continue
            with suppress(psycopg.Error):  # it has no tables yet: the next look
                with psycopg.connect(conninfo, autocommit=True) as connection:
                    connection.execute(SLOW_DISK)
                self._slow.add(conninfo)


@dataclass
class Side:
    """What one side did, round by round."""

    name: str
    rates: list[float] = field(default_factory=list)
    counts: list[dict[str, int]] = field(default_factory=list)

    @property
    def before(self) -> float:
        """Orders per second of the first round."""
        return self.rates[0]

    @property
    def after(self) -> list[float]:
        """Of the last rounds."""
        return self.rates[-ROUNDS_COUNTED:]


@dataclass
class Trap:
    """The same load on both sides, one after the other."""

    pace: Pace
    say: Callable[[str], None]

    def measure(self) -> list[Figure]:
        """Orders per second after either side has done what it does."""
        rule = self._side("HPA rule on CPU", UNITS, self._rule)
        ours = self._side("planner of scale", {**UNITS, **POLICIES}, None)
        for each in (rule, ours):
            change = median(each.after) / each.before - 1
            self.say(
                f"{each.name}: {each.before:,.0f} to {median(each.after):,.0f}/s, {change:+.0%}"
            )
        return [
            Figure(
                "bottleneck_aware_orders_per_second", "orders/s", ours.after,
                f"{rule.name}, from {BACKENDS_FIRST} backends on", rule.after,
                details={
                    "rounds": [
                        {"side": each.name, "orders_per_second": round(rate), **counts}
                        for each in (rule, ours)
                        for rate, counts in zip(each.rates, each.counts, strict=True)
                    ],
                    "shards_limited_to_commands_per_second": DISK_COMMANDS_PER_SECOND,
                    "how": "a trigger that holds a lock for as long as such a disk would write",
                },
            )
        ]  # fmt: skip

    def _side(
        self, name: str, more: Mapping[str, Any],
        react: Callable[[ClusterSide, float, int], int] | None,
    ) -> Side:  # fmt: skip
        """All rounds; without `react` the operator itself does what is to be done."""
        purposes = [f"R{number:02}" for number in range(ROUNDS_MAX)]
        side = ClusterSide(Shape(1, 1, BACKENDS_FIRST), purposes, "trap", more)
        told, results = Side(name), dict[str, LoadResult]()
        try:
            side.up()
            with SlowDisks(side):
                settled = 0
                for purpose in purposes:
                    before = side.cpu_seconds_by_process()
                    counts = _counts(side)
                    result = send_ours(side, self.pace, "rest", purpose, resends=RESENDS)
                    results[purpose] = result
                    used = _backend_share(before, side.cpu_seconds_by_process(), self._seconds)
                    told.rates.append(result.orders_per_second)
                    told.counts.append(counts)
                    self.say(
                        f"{name}: {counts}, {result.orders_per_second:,.0f}/s, backends at "
                        f"{used:.0%} of what they ask for"
                    )
                    wanted = react(side, used, counts["backends"]) if react else None
                    is_same = counts == _counts(side) and wanted in {None, counts["backends"]}
                    settled = settled + 1 if is_same and len(told.rates) > 1 else 0
                    if settled >= ROUNDS_COUNTED and _has_reacted(counts, react):
                        break
            _check(side, results)
        finally:
            side.remove()
        return told

    @property
    def _seconds(self) -> float:
        return self.pace.duration_seconds + self.pace.warmup_seconds

    def _rule(self, side: ClusterSide, used: float, present: int) -> int:
        """The formula of the HorizontalPodAutoscaler: no other signal than CPU."""
        ratio = used / HPA_TARGET
        if abs(ratio - 1) <= HPA_TOLERANCE:
            return present
        wanted = min(max(math.ceil(present * ratio), BACKENDS_FIRST), BACKENDS_MAX)
        if wanted > present:  # it shrinks only after minutes of less
            side.scale(wanted)
            return wanted
        return present


def _check(side: ClusterSide, results: Mapping[str, LoadResult]) -> None:
    """Every acknowledged order is stored, once what moves leave behind has been cleaned up."""
    deadline = time.monotonic() + CLEAN_SECONDS_MAX
    for purpose, result in results.items():
        while side.count(symbols_for(purpose)) != result.acknowledged:
            if time.monotonic() > deadline:
                break
            time.sleep(1)
        check_ours(side, result, "rest", purpose)


def _has_reacted(counts: Mapping[str, int], react: object) -> bool:
    """Whether the rule has added backends, or the planner a shard."""
    return counts["backends"] > BACKENDS_FIRST if react else counts["shards"] > 1


def _counts(side: ClusterSide) -> dict[str, int]:
    """Backends that run, and partitions and shards that own anything."""
    status = Store(Layout(side.home / side.name)).status()
    if status is None:
        raise BenchError("the cluster tells no status")
    return {
        "backends": sum(each.role == "replica" and each.pid > 0 for each in status.processes),
        "partitions": len({slot.partition for slot in status.slots}),
        "shards": len({slot.shard for slot in status.slots}),
    }


def _backend_share(
    before: Mapping[str, float], after: Mapping[str, float], seconds: float
) -> float:
    """Mean CPU of the backends over what they ask for."""
    used = [value - before.get(name, 0.0) for name, value in after.items()
            if name.startswith("replica-")]  # fmt: skip
    return sum(used) / len(used) / seconds / BACKEND_CORES
