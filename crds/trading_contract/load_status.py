"""Load as the status of a TradingCluster tells it: rounded, bounded, with the time of the look.

A figure that is left out is not known. `unknown` says why; such a part is never told as idle.
"""

from __future__ import annotations

from pydantic import Field

from trading_contract.model import ResourceModel

PARTS_MAX = 64  # of each kind: those without figures first, then the busiest
HOTTEST_MAX = 3

_RATE = "Requests, commands, rows or operations each second."
_UNKNOWN = "Why there are no figures, such as Missing; empty = there are."


class PartLoadStatus(ResourceModel):
    """What all parts tell."""

    name: str = Field(description="Name of the part, such as partition-0.")
    unknown: str = Field(default="", description=_UNKNOWN)
    per_second: int | None = Field(default=None, description=_RATE)
    cpu_percent: int | None = Field(default=None, description="CPU time, in percent of one core.")


class BackendLoadStatus(PartLoadStatus):
    """One replica of the backends."""

    queued: int | None = Field(default=None, description="Commands not yet sent to a partition.")
    loop_lag_p99_microseconds: int | None = Field(
        default=None, description="How late its event loop comes."
    )


class PartitionLoadStatus(PartLoadStatus):
    """One partition."""

    slots: int | None = Field(default=None, description="Slots that it serves.")
    open_orders: int | None = Field(default=None, description="Orders in its books.")
    queued: int | None = Field(default=None, description="Commands that wait for a batch.")
    commit_wait_p99_microseconds: int | None = Field(
        default=None, description="From a batch's first command to the beginning of its commit."
    )
    memory_bytes: int | None = Field(default=None, description="Resident memory.")


class ShardLoadStatus(PartLoadStatus):
    """One shard."""

    commit_p99_microseconds: int | None = Field(
        default=None, description="A commit, as the slowest of its partitions sees it."
    )
    wal_bytes_per_second: int | None = Field(default=None, description="WAL that is written.")
    connections: int | None = Field(default=None, description="Connections.")
    database_bytes: int | None = Field(default=None, description="Size of the database.")
    disk_used_percent: int | None = Field(default=None, description="How full its disk is.")


class RedisLoadStatus(PartLoadStatus):
    """One Redis node."""

    memory_used_bytes: int | None = Field(default=None, description="Memory that is used.")
    memory_max_bytes: int | None = Field(default=None, description="Memory that may be used.")
    replication_lag_milliseconds: int | None = Field(
        default=None, description="How far a replica is behind."
    )


class SlotLoadStatus(ResourceModel):
    """One slot."""

    first: str = Field(description="Lowest symbol; empty = from the beginning.")
    past: str = Field(description="Bound above the highest symbol; ~ = to the end.")
    partition: str = Field(description="The partition that serves it.")
    cpu_percent: int = Field(description="What it costs its partition, in percent of one core.")
    open_orders: int = Field(description="Orders in its books.")
    hottest: tuple[str, ...] = Field(default=(), description="Its busiest symbols, busiest first.")


class EndToEndStatus(ResourceModel):
    """What clients meet, over all replicas."""

    orders_per_second: int = Field(description="Commands of orders that were answered.")
    rejections_per_second: int = Field(description="Answers of 429, 503 or 504.")
    latency_p50_microseconds: int | None = Field(default=None, description="Half are faster.")
    latency_p99_microseconds: int | None = Field(default=None, description="1 % are slower.")


class ClusterLoadStatus(ResourceModel):
    """Load at one time."""

    observed_at: str = Field(description="When it was looked, RFC 3339, UTC.")
    end_to_end: EndToEndStatus | None = Field(default=None, description="What clients meet.")
    backends: tuple[BackendLoadStatus, ...] = Field(default=(), description="The busiest.")
    partitions: tuple[PartitionLoadStatus, ...] = Field(default=(), description="The busiest.")
    shards: tuple[ShardLoadStatus, ...] = Field(default=(), description="The busiest.")
    redis: tuple[RedisLoadStatus, ...] = Field(default=(), description="The busiest nodes.")
    slots: tuple[SlotLoadStatus, ...] = Field(default=(), description="The busiest.")
