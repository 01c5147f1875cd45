"""A look at the load -> what the status says of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

from trading_contract.load import Load, NodeLoad, PartitionLoad, ReplicaLoad, ShardLoad
from trading_contract.load_status import (
    HOTTEST_MAX,
    PARTS_MAX,
    BackendLoadStatus,
    ClusterLoadStatus,
    EndToEndStatus,
    PartitionLoadStatus,
    PartLoadStatus,
    RedisLoadStatus,
    ShardLoadStatus,
    SlotLoadStatus,
)
from trading_operator.planner.scaling.observed_load import P99, ClusterLoad
from trading_operator.planner.scaling.signals import SlotLoad, Tier, UnitLoad

FIGURES = 2  # significant ones: what a person reads, and no news every time
SAME_SECONDS_MAX = 300.0
AnyPart = TypeVar("AnyPart", bound=PartLoadStatus)


def load_status(load: ClusterLoad) -> ClusterLoadStatus:
    """The newest look."""
    return ClusterLoadStatus(
        observed_at=_text_of(load.at_seconds),
        end_to_end=_end_to_end(load),
        backends=_parts(load, Tier.BACKENDS, BackendLoadStatus),
        partitions=_parts(load, Tier.PARTITIONS, PartitionLoadStatus),
        shards=_parts(load, Tier.SHARDS, ShardLoadStatus),
        redis=_parts(load, Tier.REDIS, RedisLoadStatus),
        slots=tuple(_slots(load)),
    )


def seldom(
    load: ClusterLoad | None, previous: ClusterLoadStatus | None, now_seconds: float,
    every_seconds: float,
) -> ClusterLoadStatus | None:  # fmt: skip
    """The same where each write costs: what was said holds for a while, longer while it is so."""
    age = _age_seconds(previous, now_seconds)
    if load is None or not load.answers or 0 <= age < every_seconds:
        return previous  # its time tells how old it is
    fresh = load_status(load)
    if previous is None or not 0 <= age < SAME_SECONDS_MAX:
        return fresh
    is_so = fresh == previous.model_copy(update={"observed_at": fresh.observed_at})
    return previous if is_so else fresh


def _age_seconds(status: ClusterLoadStatus | None, now_seconds: float) -> float:
    if status is None:
        return math.inf
    try:
        return now_seconds - datetime.fromisoformat(status.observed_at).timestamp()
    except ValueError:
        return math.inf


def _text_of(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _end_to_end(load: ClusterLoad) -> EndToEndStatus | None:
    told = load.rates.end_to_end
    if told is None:
        return None
    return EndToEndStatus(
        orders_per_second=_rounded(told.orders_per_second) or 0,
        rejections_per_second=_rounded(told.rejections_per_second) or 0,
        latency_p50_microseconds=_thousandfold(told.latency_p50_milliseconds),
        latency_p99_microseconds=_thousandfold(told.latency_p99_milliseconds),
    )


def _parts(load: ClusterLoad, tier: Tier, kind: type[AnyPart]) -> tuple[AnyPart, ...]:
    """Those without figures, which are worth a look, then the busiest."""
    unknown = {
        each.name: kind(name=each.name, unknown=f"{each.reason}: {each.text}"[:200])
        for each in load.rates.dropped if each.tier is tier
    }  # fmt: skip
    known = [
        kind(
            name=unit.name,
            per_second=_rounded(unit.work_per_second),
            cpu_percent=_cpu_percent(unit),
            **_more(unit, load.answers[unit.name].load if unit.name in load.answers else None),
        )
        for unit in sorted(load.rates.unit_loads(tier), key=_by_cost)
    ]
    parts = (*sorted(unknown.values(), key=lambda part: part.name), *known)[:PARTS_MAX]
    return tuple(parts)


def _by_cost(unit: UnitLoad) -> tuple[float, float, str]:
    cpu = unit.loads.get("cpu_milliseconds_per_second", 0.0)
    return -cpu, -unit.work_per_second, unit.name


def _more(unit: UnitLoad, told: Load | None) -> dict[str, Any]:
    """What only parts of this kind tell."""
    match told:
        case ReplicaLoad():
            lag = told.event_loop_lag.recent_milliseconds(P99)
            return {
                "queued": told.commands_queued, "loop_lag_p99_microseconds": _thousandfold(lag),
            }  # fmt: skip
        case PartitionLoad():
            return {
                "slots": len(told.slots),
                "open_orders": _rounded(told.open_orders),
                "queued": told.commands_queued,
                "commit_wait_p99_microseconds": _thousandfold(unit.wait_milliseconds),
                "memory_bytes": _rounded(told.memory_bytes),
            }
        case ShardLoad():
            full = unit.shares.get("disk")
            return {
                "commit_p99_microseconds": _thousandfold(unit.wait_milliseconds),
                "wal_bytes_per_second": _rounded(unit.loads.get("wal_bytes_per_second")),
                "connections": told.connections,
                "database_bytes": _rounded(told.database_bytes),
                "disk_used_percent": None if full is None else math.ceil(full * 100),
            }
        case NodeLoad():
            lag = told.replication_lag_seconds
            return {
                "memory_used_bytes": _rounded(told.memory_used_bytes),
                "memory_max_bytes": told.memory_max_bytes,
                "replication_lag_milliseconds": None if lag is None else round(lag * 1000),
            }
        case _:
            return {}


def _slots(load: ClusterLoad) -> Iterable[SlotLoadStatus]:
    where = {
        slot.id: (slot, answer.name)
        for answer in load.answers.values() if isinstance(answer.load, PartitionLoad)
        for slot in answer.load.slots
    }  # fmt: skip

    def by_cost(slot: SlotLoad) -> tuple[float, int]:
        return -slot.cpu_milliseconds_per_second, slot.slot_id

    busiest = sorted(load.rates.slots, key=by_cost)[:PARTS_MAX]
    for each in busiest:
        if each.slot_id not in where:
            continue
        slot, partition = where[each.slot_id]
        hottest = sorted(each.hottest, key=lambda hot: -hot.cpu_milliseconds_per_second)
        yield SlotLoadStatus(
            first=slot.first,
            past=slot.past,
            partition=partition,
            cpu_percent=_rounded(each.cpu_milliseconds_per_second / 10) or 0,
            open_orders=_rounded(each.open_orders) or 0,
            hottest=tuple(
                hot.name for hot in hottest if hot.cpu_milliseconds_per_second > 0
            )[:HOTTEST_MAX],
        )  # fmt: skip


def _cpu_percent(unit: UnitLoad) -> int | None:
    cpu = unit.loads.get("cpu_milliseconds_per_second")
    return None if cpu is None else _rounded(cpu / 10)


def _thousandfold(value: float | None) -> int | None:
    return None if value is None else _rounded(value * 1000)


def _rounded(value: float | None) -> int | None:
    """A whole number with few significant figures."""
    if value is None:
        return None
    whole = round(value)
    digits = FIGURES - len(str(abs(whole)))
    return round(whole, min(0, digits))
