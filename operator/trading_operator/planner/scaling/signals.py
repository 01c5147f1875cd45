"""What the planner of scale takes: one reading per part, as the part itself tells it. Values only.

Fields that end in `_total` are counters since the start of the part; the others are what holds
now. None means that the part does not tell. `rates.py` judges readings and makes rates of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Tier(StrEnum):
    """What scales. The words are those of the specification and of `status.tiers`."""

    BACKENDS = "backends"
    PARTITIONS = "partitions"
    SHARDS = "shards"
    REDIS = "redis"


@dataclass(frozen=True)
class Source:
    """Which part a reading is about, who gave it, and when.

    `at_seconds` is the time of the operator's clock (Unix) at which the answer arrived;
    `reported_by` the name that the part gives itself, "" when it gives none; `incarnation` is
    another one after each start of the part, whose counters then begin at 0.
    """

    name: str
    at_seconds: float
    reported_by: str = ""
    incarnation: str = ""


@dataclass(frozen=True)
class ReplicaReading:
    """One FastAPI replica."""

    source: Source
    requests_total: float
    cpu_seconds_total: float
    rejections_total: float | None = None
    queued_requests: float | None = None
    event_loop_lag_p99_milliseconds: float | None = None


@dataclass(frozen=True)
class SymbolReading:
    """One of the hottest symbols of a slot."""

    name: str
    busy_seconds_total: float  # CPU time of the core for its commands


@dataclass(frozen=True)
class SlotReading:
    """One slot as its partition serves it."""

    slot_id: int
    busy_seconds_total: float  # CPU time of the core for its commands
    commands_total: float
    open_orders: float | None = None
    hottest: tuple[SymbolReading, ...] = ()


@dataclass(frozen=True)
class PartitionReading:
    """One engine partition with the slots that it serves.

    `cpu_seconds_total` is of the whole process; it is shared out to the slots by the CPU time that
    the core spent on each, or by their commands where the core does not tell.
    """

    source: Source
    cpu_seconds_total: float
    commands_total: float
    queued_commands: float | None = None
    queue_wait_p99_milliseconds: float | None = None
    commit_wait_p99_milliseconds: float | None = None
    slots: tuple[SlotReading, ...] = ()
    batches_total: float | None = None  # commits


@dataclass(frozen=True)
class ShardReading:
    """One PostgreSQL shard, by its primary."""

    source: Source
    rows_total: float  # rows that transactions of partitions have written
    wal_bytes_total: float
    commit_p99_milliseconds: float | None = None
    cpu_seconds_total: float | None = None
    connections: float | None = None
    connections_max: float | None = None
    disk_used_bytes: float | None = None
    disk_size_bytes: float | None = None


@dataclass(frozen=True)
class NodeReading:
    """One Redis node."""

    source: Source
    operations_total: float
    cpu_seconds_total: float | None = None
    memory_used_bytes: float | None = None
    memory_max_bytes: float | None = None
    replication_lag_milliseconds: float | None = None
    is_master: bool = True


@dataclass(frozen=True)
class EndToEndReading:
    """What clients meet, summed over the replicas or taken at the load balancer."""

    source: Source
    orders_total: float
    rejections_total: float | None = None
    latency_p50_milliseconds: float | None = None
    latency_p99_milliseconds: float | None = None


@dataclass(frozen=True)
class Readings:
    """All readings of one look; the order within a tuple says nothing."""

    replicas: tuple[ReplicaReading, ...] = ()
    partitions: tuple[PartitionReading, ...] = ()
    shards: tuple[ShardReading, ...] = ()
    nodes: tuple[NodeReading, ...] = ()
    end_to_end: tuple[EndToEndReading, ...] = ()


@dataclass(frozen=True)
class UnitLoad:
    """One unit of a tier with what it does per second.

    `loads` are set against the capacities of the same names (`capacity.py`), the largest share is
    the unit's utilisation. `shares` (0 to 1) are of what fills up: disk, connections, memory.
    """

    name: str
    at_seconds: float
    work_per_second: float  # requests, commands, rows or operations
    loads: dict[str, float] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    wait_milliseconds: float | None = None
    batches_per_second: float | None = None  # of a partition: commits
    is_follower: bool = False  # of Redis: it does again what its master does

    @property
    def batch(self) -> float | None:
        """Commands in a commit; None where there are none, or nobody tells."""
        made = self.batches_per_second
        return self.work_per_second / made if made else None


@dataclass(frozen=True)
class SymbolLoad:
    """One of the hottest symbols of a slot, in CPU milliseconds per second of its partition."""

    name: str
    cpu_milliseconds_per_second: float


@dataclass(frozen=True)
class SlotLoad:
    """One slot with the share of its partition's CPU time that it causes."""

    slot_id: int
    cpu_milliseconds_per_second: float
    open_orders: float = 0.0
    hottest: tuple[SymbolLoad, ...] = ()


class DropReason(StrEnum):
    """Why a reading does not count; a machine may compare them, so none is ever renamed."""

    MISSING = "Missing"
    FIRST = "FirstReading"
    STALE = "Stale"
    FROM_THE_FUTURE = "FromTheFuture"
    NOT_A_NUMBER = "NotANumber"
    NEGATIVE = "Negative"
    ABSURD = "Absurd"
    COUNTER_RESET = "CounterReset"
    SAME_TIME = "SameTime"
    REPORTED_BY_ANOTHER = "ReportedByAnother"
    TWICE = "Twice"
    UNEXPECTED = "Unexpected"


@dataclass(frozen=True)
class Dropped:
    """A reading that does not count."""

    tier: Tier | None  # None = end to end
    name: str
    reason: DropReason
    text: str


@dataclass(frozen=True)
class EndToEnd:
    """What clients meet, per second."""

    orders_per_second: float
    rejections_per_second: float = 0.0
    latency_p50_milliseconds: float | None = None
    latency_p99_milliseconds: float | None = None


@dataclass(frozen=True)
class Rates:
    """What the readings of one look say, without what does not count."""

    units: dict[Tier, tuple[UnitLoad, ...]] = field(default_factory=dict)
    slots: tuple[SlotLoad, ...] = ()
    end_to_end: EndToEnd | None = None
    dropped: tuple[Dropped, ...] = ()

    def unit_loads(self, tier: Tier) -> tuple[UnitLoad, ...]:
        """The units of the tier whose readings count."""
        return self.units.get(tier, ())
