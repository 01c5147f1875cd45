"""What one unit of a tier can do: learned from what is seen, from defaults on.

A unit at which latency meets its limit shows its capacity; one that carries more than thought
without waiting shows that it can. Slow both ways, and never further than fourfold from the default.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from trading_operator.planner.scaling.signals import Rates, Tier, UnitLoad

DEFAULTS: Mapping[Tier, Mapping[str, float]] = {
    Tier.BACKENDS: {"cpu_milliseconds_per_second": 850.0},
    Tier.PARTITIONS: {"cpu_milliseconds_per_second": 850.0},
    Tier.SHARDS: {"rows_per_second": 40_000.0, "wal_bytes_per_second": 60e6},
    Tier.REDIS: {"operations_per_second": 60_000.0, "cpu_milliseconds_per_second": 850.0},
}
# CPU cores that the default takes; one where nothing is said, as each of them has one thread.
CORES: Mapping[tuple[Tier, str], float] = {
    (Tier.SHARDS, "rows_per_second"): 0.33,  # 7 us a row, and what a commit costs beside
    (Tier.SHARDS, "wal_bytes_per_second"): 0.33,
}
CPU = "cpu_milliseconds_per_second"
# Measured: a replica without requests, with its health checks; a partition beside its commands, as
# soon as it has some (publishing goes by time: 15 to 24; without any it is 5).
IDLE: Mapping[Tier, float] = {Tier.BACKENDS: 15.0, Tier.PARTITIONS: 20.0}
# Waits above which a unit is saturated, whatever else it says.
WAIT_MILLISECONDS_MAX: Mapping[Tier, float] = {
    Tier.BACKENDS: 20.0,  # lag of the event loop, p99
    Tier.PARTITIONS: 25.0,  # in the queue, p99
    Tier.SHARDS: 15.0,  # a commit, p99
    Tier.REDIS: 1000.0,  # followers behind their master
}
# What fills up counts as utilisation from here on: a disk of 70 % is at the target.
FULL: Mapping[str, float] = {"disk": 0.85, "connections": 0.95, "memory": 0.9}
LEARNING_RATE = 0.05
RANGE = 4.0
SATURATED = 0.85


@dataclass(frozen=True)
class Capacities:
    """Capacity of one unit by tier and kind of load, and the `defaults` before it was learned.

    `idle` is the CPU that a unit needs beside its work, which no other unit can take over.
    """

    by_tier: Mapping[Tier, Mapping[str, float]]
    defaults: Mapping[Tier, Mapping[str, float]] = field(default_factory=lambda: DEFAULTS)
    idle: Mapping[Tier, float] = field(default_factory=dict)

    def utilisation(self, tier: Tier, unit: UnitLoad) -> float:
        """The largest share of any of its capacities that the unit uses; may be above 1."""
        of, most = self.by_tier[tier], 0.0
        for kind, load in unit.loads.items():
            if kind in of:
                idle = self.idle.get(tier, 0.0) if kind == CPU else 0.0
                most = max(most, (load - idle) / self.room(tier, kind))
        for kind, share in unit.shares.items():
            most = max(most, share / FULL.get(kind, 1.0))
        return most

    def room(self, tier: Tier, kind: str = CPU) -> float:
        """What is left of one capacity for work."""
        of, idle = self.by_tier[tier][kind], self.idle.get(tier, 0.0)
        return max(of - idle, of / 4) if kind == CPU else of

    def of(self, tier: Tier, kind: str = CPU) -> float:
        """One capacity."""
        return self.by_tier[tier][kind]


def default_capacities(
    defaults: Mapping[Tier, Mapping[str, float]] = DEFAULTS,
) -> Capacities:
    """What is assumed before anything was seen."""
    return Capacities({tier: dict(kinds) for tier, kinds in defaults.items()}, defaults)


def sized_capacities(cores: Mapping[Tier, float]) -> Capacities:
    """The same for units of other sizes: a process that asks for less CPU is taken to do less."""
    sized = default_capacities({
        tier: {
            kind: capacity * min(1.0, cores.get(tier, math.inf) / CORES.get((tier, kind), 1.0))
            for kind, capacity in kinds.items()
        }
        for tier, kinds in DEFAULTS.items()
    })  # fmt: skip
    return replace(sized, idle=IDLE)


def is_waiting(tier: Tier, unit: UnitLoad) -> bool:
    """Whether work queues at the unit beyond the limit of its tier."""
    return (unit.wait_milliseconds or 0.0) > WAIT_MILLISECONDS_MAX[tier]


def learn(before: Capacities, rates: Rates) -> Capacities:
    """The capacities after one more look; those without news stay as they are."""
    learned = {}
    for tier, kinds in before.by_tier.items():
        units = rates.unit_loads(tier)
        learned[tier] = {
            kind: _learn(capacity, before.defaults[tier][kind], tier, kind, units)
            for kind, capacity in kinds.items()
        }
    return Capacities(learned, before.defaults, before.idle)


def _learn(
    capacity: float, default: float, tier: Tier, kind: str, units: tuple[UnitLoad, ...]
) -> float:
    for unit in units:
        load = unit.loads.get(kind)
        if load is None or unit.wait_milliseconds is None:
            continue
        # Waiting teaches only about what is used up: an idle core beside a slow disk proves nought.
        is_shown = load > 0.5 * capacity if is_waiting(tier, unit) else load > capacity
        if is_shown:
            capacity += LEARNING_RATE * (load - capacity)
    return min(max(capacity, default / RANGE), default * RANGE)
