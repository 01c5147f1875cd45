"""Answers of parts about their load, as tests want them."""

from __future__ import annotations

from typing import Any

from trading_contract.durations import Durations
from trading_contract.load import (
    CommitLoad,
    DurationsTold,
    HotSymbol,
    Load,
    NodeLoad,
    PartitionLoad,
    ReplicaLoad,
    ShardLoad,
    SlotLoad,
)
from trading_operator.planner.scaling.observed_load import LoadAnswer

FULL = 0.85  # CPU seconds per second of a unit that has a core and is full


def durations(*milliseconds: float) -> DurationsTold:
    """What was just counted."""
    counted = Durations()
    for each in milliseconds:
        counted.add(each / 1000)
    return DurationsTold.of(counted)


def replica(name: str, **changes: Any) -> ReplicaLoad:
    """A replica that did nothing yet."""
    return ReplicaLoad.model_validate({
        "replica": name, "incarnation": f"{name}-first", "requests_total": 0, "orders_total": 0,
        "busy_total": 0, "unknown_total": 0, "refusals_total": 0, "cpu_seconds_total": 0.0,
        "memory_bytes": 1 << 26, "commands_queued": 0, "commands_in_flight": 0, "connections": 0,
        "event_loop_lag": durations(), "order_latency": durations(), **changes,
    })  # fmt: skip


def slot(slot_id: int, **changes: Any) -> SlotLoad:
    """A slot `[A, M)` in which nothing happened yet."""
    return SlotLoad.model_validate({
        "id": slot_id, "first": "A", "past": "M", "commands_total": 0, "orders_total": 0,
        "trades_total": 0, "busy_seconds_total": 0.0, "open_orders": 0, **changes,
    })  # fmt: skip


def commits(shard: str, **changes: Any) -> CommitLoad:
    """Commits to a shard of which there were none yet."""
    return CommitLoad.model_validate({
        "shard": shard, "batches_total": 0, "commands_total": 0, "commands_queued": 0,
        "commit": durations(), "wait": durations(), **changes,
    })  # fmt: skip


def partition(name: str, **changes: Any) -> PartitionLoad:
    """A partition that did nothing yet."""
    return PartitionLoad.model_validate({
        "partition": name, "incarnation": f"{name}-first", "refusals_total": 0,
        "cpu_seconds_total": 0.0, "memory_bytes": 1 << 27, "open_orders": 0, "connections": 0,
        "event_loop_lag": durations(), **changes,
    })  # fmt: skip


def shard(name: str, **changes: Any) -> ShardLoad:
    """A shard that did nothing yet."""
    return ShardLoad.model_validate({
        "shard": name, "incarnation": "1", "rows_total": 0, "commits_total": 0,
        "wal_bytes_total": 0, "connections": 5, "connections_max": 100, "database_bytes": 1 << 20,
        "disk_used_bytes": 1 << 30, "disk_size_bytes": 10 << 30, **changes,
    })  # fmt: skip


def node(name: str, **changes: Any) -> NodeLoad:
    """A master without a replica that did nothing yet."""
    return NodeLoad.model_validate({
        "node": name, "incarnation": "run", "operations_total": 0, "cpu_seconds_total": 0.0,
        "memory_used_bytes": 1 << 20, "memory_max_bytes": 1 << 28, "is_master": True, **changes,
    })  # fmt: skip


def hot(name: str, seconds: float) -> HotSymbol:
    """A hot symbol."""
    return HotSymbol(name=name, busy_seconds_total=seconds)


def at(seconds: float, **loads: Load) -> list[LoadAnswer]:
    """Answers of one time; a name such as `partition_0` is that of partition-0."""
    return [LoadAnswer(name.replace("_", "-"), seconds, load) for name, load in loads.items()]
