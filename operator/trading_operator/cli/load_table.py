"""The load of a cluster as tables for a person."""

from __future__ import annotations

from trading_contract.load_status import (
    BackendLoadStatus,
    ClusterLoadStatus,
    PartitionLoadStatus,
    PartLoadStatus,
    RedisLoadStatus,
    ShardLoadStatus,
)
from trading_operator.cli.tables import table

SLOTS_SHOWN = 10


def load_tables(load: ClusterLoadStatus) -> str:
    """Parts and the busiest slots; figures that are not known are shown as `?`."""
    parts: list[PartLoadStatus] = [*load.backends, *load.partitions, *load.shards, *load.redis]
    told = [
        table(
            ("LOAD", "PER SECOND", "CPU %", "WAIT", "MORE"),
            [
                (
                    part.name, _shown(part.per_second), _shown(part.cpu_percent), _wait(part),
                    part.unknown or _more(part),
                )
                for part in parts
            ],
        )
    ]  # fmt: skip
    if load.slots:
        told.append(
            table(
                ("FIRST", "PAST", "PARTITION", "CPU %", "OPEN ORDERS", "HOTTEST"),
                [
                    (
                        slot.first or "-", slot.past, slot.partition, str(slot.cpu_percent),
                        str(slot.open_orders), " ".join(slot.hottest),
                    )
                    for slot in load.slots[:SLOTS_SHOWN]
                ],
            )
        )  # fmt: skip
    told.append(f"load as of {load.observed_at}{_end_to_end(load)}")
    return "\n\n".join(told)


def _end_to_end(load: ClusterLoadStatus) -> str:
    met = load.end_to_end
    if met is None:
        return ""
    text = f": {met.orders_per_second} orders/s, {met.rejections_per_second} rejections/s"
    if met.latency_p99_microseconds is None:
        return text
    return f"{text}, p50 {met.latency_p50_microseconds} us, p99 {met.latency_p99_microseconds} us"


def _wait(part: PartLoadStatus) -> str:
    """What tells best that a part of this kind is at its limit."""
    match part:
        case BackendLoadStatus(loop_lag_p99_microseconds=microseconds):
            return _shown(microseconds, "us")
        case PartitionLoadStatus(commit_wait_p99_microseconds=microseconds):
            return _shown(microseconds, "us")
        case ShardLoadStatus(commit_p99_microseconds=microseconds):
            return _shown(microseconds, "us")
        case RedisLoadStatus(replication_lag_milliseconds=milliseconds):
            return _shown(milliseconds, "ms")
        case _:
            return "?"


def _more(part: PartLoadStatus) -> str:
    match part:
        case BackendLoadStatus():
            return f"queued {part.queued}"
        case PartitionLoadStatus():
            return f"queued {part.queued}, open orders {part.open_orders}"
        case ShardLoadStatus():
            full, wal = part.disk_used_percent, part.wal_bytes_per_second
            return f"WAL {_shown(wal)} B/s, connections {part.connections}, disk {_shown(full)} %"
        case RedisLoadStatus():
            return f"memory {part.memory_used_bytes} of {_shown(part.memory_max_bytes)} B"
        case _:
            return ""


def _shown(value: int | None, unit: str = "") -> str:
    return "?" if value is None else f"{value} {unit}".rstrip()
