"""What each part tells of its own load: counters since its start, and what holds now.

Names end in their units, counters in `_total`. None means that the part does not know: never zero.
Only the form is checked here. Whether a number can be believed is judged where rates are made of
it, in one place for all (`planner/scaling/rates.py`), so that it is dropped with the reason.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from trading_contract.durations import CLASSES, Durations, quantile_seconds

SLOTS_MAX = 4096
HOTTEST_MAX = 16  # symbols of a slot: those of this round and of the one before
SHARDS_MAX = 1024
NAME_CHARACTERS_MAX = 253
LOAD_BYTES_MAX = 4 << 20

Name = Field(max_length=NAME_CHARACTERS_MAX)


class LoadModel(BaseModel):
    """What a newer part tells besides is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class DurationsTold(LoadModel):
    """Durations in the classes of `durations.py`; the quantiles are of the last seconds."""

    counts: tuple[int, ...] = Field(min_length=CLASSES, max_length=CLASSES)
    sum_seconds: float
    recent_counts: tuple[int, ...] = Field(min_length=CLASSES, max_length=CLASSES)

    @staticmethod
    def of(durations: Durations) -> DurationsTold:
        """As they are now."""
        return DurationsTold(
            counts=tuple(durations.counts),
            sum_seconds=durations.sum_seconds,
            recent_counts=tuple(durations.recent()),
        )

    def recent_milliseconds(self, share: float) -> float | None:
        """The quantile of the last seconds; None when nothing happened in them."""
        seconds = quantile_seconds(self.recent_counts, share)
        return None if seconds is None else seconds * 1000


class ReplicaLoad(LoadModel):
    """One FastAPI replica. Rejections: 503 and 429 (busy), 504 (unknown), all other refusals."""

    replica: str = Name
    incarnation: str = Name
    requests_total: int
    orders_total: int
    busy_total: int
    unknown_total: int
    refusals_total: int
    cpu_seconds_total: float
    memory_bytes: int | None = None
    commands_queued: int
    commands_in_flight: int
    connections: int
    event_loop_lag: DurationsTold
    order_latency: DurationsTold


class HotSymbol(LoadModel):
    """One of the hottest symbols of a slot."""

    name: str = Name
    busy_seconds_total: float


class SlotLoad(LoadModel):
    """One slot as its partition serves it. Busy: time of the C++ side, shared out by work."""

    id: int
    first: str = Name
    past: str = Name
    commands_total: int
    orders_total: int
    trades_total: int
    busy_seconds_total: float
    open_orders: int
    hottest: tuple[HotSymbol, ...] = Field(default=(), max_length=HOTTEST_MAX)


class CommitLoad(LoadModel):
    """A partition's commits to one shard. Wait: from a batch's first command to its commit."""

    shard: str = Name
    batches_total: int
    commands_total: int
    commands_queued: int
    commit: DurationsTold
    wait: DurationsTold


class PartitionLoad(LoadModel):
    """One engine partition."""

    partition: str = Name
    incarnation: str = Name
    refusals_total: int
    cpu_seconds_total: float
    memory_bytes: int | None = None
    open_orders: int
    connections: int
    event_loop_lag: DurationsTold
    commits: tuple[CommitLoad, ...] = Field(default=(), max_length=SHARDS_MAX)
    slots: tuple[SlotLoad, ...] = Field(default=(), max_length=SLOTS_MAX)

    @property
    def commands_total(self) -> int:
        """Of all shards."""
        return sum(each.commands_total for each in self.commits)

    @property
    def commands_queued(self) -> int:
        """Of all shards."""
        return sum(each.commands_queued for each in self.commits)


class ShardLoad(LoadModel):
    """One PostgreSQL shard, by its primary. Used: all databases and the WAL."""

    shard: str = Name
    incarnation: str = Name
    rows_total: int
    commits_total: int
    wal_bytes_total: int
    connections: int
    connections_max: int
    database_bytes: int
    disk_used_bytes: int | None = None
    disk_size_bytes: int | None = None
    cpu_seconds_total: float | None = None


class NodeLoad(LoadModel):
    """One Redis node. Lag: of a replica behind its master; of a master, of its slowest replica."""

    node: str = Name
    incarnation: str = Name
    operations_total: int
    cpu_seconds_total: float | None = None
    memory_used_bytes: int
    memory_max_bytes: int | None = None
    replication_lag_seconds: float | None = None
    connections: int | None = None
    is_master: bool


Load = ReplicaLoad | PartitionLoad | ShardLoad | NodeLoad
