"""Readings become rates. What cannot be believed is dropped with the reason, never mended.

A dropped reading is as a missing one: its tier holds (`counts.py`). The next reading is judged
against the newest one that was sound, so one lie costs one look.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from trading_operator.planner.scaling.signals import (
    Dropped,
    DropReason,
    EndToEnd,
    EndToEndReading,
    NodeReading,
    PartitionReading,
    Rates,
    Readings,
    ReplicaReading,
    ShardReading,
    SlotLoad,
    SlotReading,
    SymbolLoad,
    Tier,
    UnitLoad,
)

AGE_SECONDS_MAX = 20.0
AHEAD_SECONDS_MAX = 1.0
CPU_CORES_MAX = 256.0
AnyReading = ReplicaReading | PartitionReading | ShardReading | NodeReading | EndToEndReading


@dataclass(frozen=True)
class LastReadings:
    """The newest sound reading of each part; what the next ones are set against."""

    by_part: Mapping[tuple[Tier | None, str], AnyReading] = field(default_factory=dict)


def fold(
    last: LastReadings, readings: Readings, expected: Mapping[Tier, Collection[str]],
    now_seconds: float,
) -> tuple[Rates, LastReadings]:  # fmt: skip
    """Rates since the last sound readings, and what to remember. `expected` names every part.

    A part that is expected and has no sound reading is among `dropped`.
    """
    kept = dict(last.by_part)
    dropped: list[Dropped] = []
    units: dict[Tier, tuple[UnitLoad, ...]] = {}
    slots: list[SlotLoad] = []
    end_to_end = None
    for tier, of_tier in _by_tier(readings):
        loads: list[UnitLoad] = []
        names = Counter(each.source.name for each in of_tier)
        wanted = set(expected.get(tier, ())) if tier else set(names)
        for reading in of_tier:
            name = reading.source.name
            before = kept.get((tier, name))
            fault = (
                _fault(reading, names, wanted, now_seconds)
                or _fault_since(before, reading)
                or _absurd(before, reading)
            )
            if fault is None or fault[0] in {DropReason.FIRST, DropReason.COUNTER_RESET}:
                kept[tier, name] = reading
            if fault is not None:
                dropped.append(Dropped(tier, name, *fault))
            elif isinstance(reading, EndToEndReading):
                assert isinstance(before, EndToEndReading)
                end_to_end = _end_to_end(before, reading)
            else:
                assert before is not None
                load = _unit_load(before, reading)
                loads.append(load)
                if isinstance(reading, PartitionReading):
                    assert isinstance(before, PartitionReading)
                    slots.extend(_slot_loads(before, reading, load))
        if tier:
            units[tier] = tuple(sorted(loads, key=lambda each: each.name))
            dropped.extend(_missing(tier, wanted - set(names)))
            for key in [key for key in kept if key[0] is tier and key[1] not in wanted]:
                del kept[key]
    slots.sort(key=lambda each: each.slot_id)
    rates = Rates(units, tuple(_once(slots)), end_to_end, tuple(dropped))
    return rates, LastReadings(kept)


def _by_tier(readings: Readings) -> Iterator[tuple[Tier | None, tuple[AnyReading, ...]]]:
    yield Tier.BACKENDS, readings.replicas
    yield Tier.PARTITIONS, readings.partitions
    yield Tier.SHARDS, readings.shards
    yield Tier.REDIS, readings.nodes
    yield None, readings.end_to_end


def _missing(tier: Tier, names: Collection[str]) -> Iterator[Dropped]:
    for name in sorted(names):
        yield Dropped(tier, name, DropReason.MISSING, "it gave no reading")


def _fault(
    reading: AnyReading, names: Counter[str], wanted: Collection[str], now_seconds: float
) -> tuple[DropReason, str] | None:
    source = reading.source
    if source.name not in wanted:
        return DropReason.UNEXPECTED, "nobody knows a part of this name"
    if names[source.name] > 1:
        return DropReason.TWICE, f"{names[source.name]} readings carry this name"
    if source.reported_by not in {"", source.name}:
        return DropReason.REPORTED_BY_ANOTHER, f"{source.reported_by} gave it"
    for name, value in _numbers(reading):
        if not math.isfinite(value):
            return DropReason.NOT_A_NUMBER, f"{name} is {value}"
        if value < 0:
            return DropReason.NEGATIVE, f"{name} is {value:g}"
    age = now_seconds - source.at_seconds
    if age < -AHEAD_SECONDS_MAX:
        return DropReason.FROM_THE_FUTURE, f"it is from {-age:.0f} s ahead"
    if not age <= AGE_SECONDS_MAX:  # as a time of day that is no number is no time, either
        return DropReason.STALE, f"it is {age:.0f} s old"
    return None


def _fault_since(before: AnyReading | None, reading: AnyReading) -> tuple[DropReason, str] | None:
    if before is None:
        return DropReason.FIRST, "rates need a second one"
    if before.source.incarnation != reading.source.incarnation:
        return DropReason.COUNTER_RESET, "it was started again"
    old = dict(_plain_numbers(before, ""))
    for name, value in _plain_numbers(reading, ""):
        if name.endswith("_total") and value < old.get(name, 0.0):
            return DropReason.COUNTER_RESET, f"{name} fell from {old[name]:g} to {value:g}"
    seconds = reading.source.at_seconds - before.source.at_seconds
    if seconds < 0:  # the clock went back: begin anew from here
        return DropReason.COUNTER_RESET, f"it is {-seconds:.0f} s older than the last one"
    if seconds == 0:
        return DropReason.SAME_TIME, "it has the time of the last one"
    return None


def _numbers(reading: AnyReading) -> Iterator[tuple[str, float]]:
    yield "at_seconds", abs(reading.source.at_seconds)
    yield from _plain_numbers(reading, "")
    if isinstance(reading, PartitionReading):
        for slot in reading.slots:
            yield from _plain_numbers(slot, f"slot {slot.slot_id} ")
            for symbol in slot.hottest:
                yield from _plain_numbers(symbol, f"{slot.slot_id} {symbol.name} ")


def _plain_numbers(value: Any, prefix: str) -> Iterator[tuple[str, float]]:
    for each in fields(value):
        number = getattr(value, each.name)
        if isinstance(number, int | float) and each.name != "slot_id":
            yield prefix + each.name, number


def _absurd(before: AnyReading | None, reading: AnyReading) -> tuple[DropReason, str] | None:
    """More than there can be: a full disk is a fact, one that is more than full is a lie."""
    if before is None or isinstance(reading, EndToEndReading):
        return None
    load = _unit_load(before, reading)
    for name, share in load.shares.items():
        if share > 1:
            return DropReason.ABSURD, f"{name} is {share:.0%} of what there is"
    if not all(map(math.isfinite, (load.work_per_second, *load.loads.values()))):
        return DropReason.ABSURD, "more per second than can be told"
    cpu = load.loads.get("cpu_milliseconds_per_second", 0.0)
    if cpu > CPU_CORES_MAX * 1000:
        return DropReason.ABSURD, f"it used {cpu / 1000:.0f} cores"
    return None


def _unit_load(before: AnyReading, reading: AnyReading) -> UnitLoad:
    seconds = reading.source.at_seconds - before.source.at_seconds

    def rate(name: str) -> float | None:
        old, new = getattr(before, name), getattr(reading, name)
        return None if old is None or new is None else (new - old) / seconds

    cpu = rate("cpu_seconds_total")
    loads = {} if cpu is None else {"cpu_milliseconds_per_second": cpu * 1000}
    shares: dict[str, float] = {}
    batches = rate("batches_total") if isinstance(reading, PartitionReading) else None
    follows = isinstance(reading, NodeReading) and not reading.is_master
    match reading:
        case ReplicaReading():
            work, wait = rate("requests_total"), reading.event_loop_lag_p99_milliseconds
        case PartitionReading():
            work, wait = rate("commands_total"), reading.queue_wait_p99_milliseconds
        case ShardReading():
            work, wait = rate("rows_total"), reading.commit_p99_milliseconds
            loads |= {"rows_per_second": work or 0, "wal_bytes_per_second": rate("wal_bytes_total")
                      or 0}  # fmt: skip
            shares |= _share("connections", reading.connections, reading.connections_max)
            shares |= _share("disk", reading.disk_used_bytes, reading.disk_size_bytes)
        case NodeReading():
            work, wait = rate("operations_total"), reading.replication_lag_milliseconds
            loads["operations_per_second"] = work or 0
            shares |= _share("memory", reading.memory_used_bytes, reading.memory_max_bytes)
        case _:
            raise AssertionError(reading)
    source = reading.source
    return UnitLoad(source.name, source.at_seconds, work or 0.0, loads, shares, wait,
                    batches, follows)  # fmt: skip


def _share(name: str, used: float | None, of: float | None) -> dict[str, float]:
    return {name: used / of} if used is not None and of else {}


def _end_to_end(before: EndToEndReading, reading: EndToEndReading) -> EndToEnd:
    seconds = reading.source.at_seconds - before.source.at_seconds
    rejections = (reading.rejections_total or 0) - (before.rejections_total or 0)
    return EndToEnd(
        (reading.orders_total - before.orders_total) / seconds,
        max(0.0, rejections) / seconds,
        reading.latency_p50_milliseconds,
        reading.latency_p99_milliseconds,
    )


def _slot_loads(
    before: PartitionReading, reading: PartitionReading, load: UnitLoad
) -> Iterator[SlotLoad]:
    """The partition's CPU time, shared out: by the core's time, else by commands.

    A slot that came, or came back, since the last reading has no rate yet: it is left out. What
    such slots and those that went took is nobody's: by the commands that no known slot had.
    """
    old = {slot.slot_id: slot for slot in before.slots}
    known = [
        (was, slot)
        for slot in reading.slots
        if (was := old.get(slot.slot_id)) is not None
        and slot.busy_seconds_total >= was.busy_seconds_total
        and slot.commands_total >= was.commands_total
    ]
    busy = {new.slot_id: new.busy_seconds_total - was.busy_seconds_total for was, new in known}
    commands = {new.slot_id: new.commands_total - was.commands_total for was, new in known}
    parts = busy if sum(busy.values()) > 0 else commands
    whole = sum(parts.values())
    done = reading.commands_total - before.commands_total
    of_known = min(1.0, sum(commands.values()) / done) if done > 0 else 1.0
    cpu = load.loads["cpu_milliseconds_per_second"] * of_known
    for was, new in known:
        mine = cpu * parts[new.slot_id] / whole if whole > 0 else 0.0
        hottest = tuple(_hottest(was, new, mine, busy[new.slot_id]))
        yield SlotLoad(new.slot_id, mine, new.open_orders or 0.0, hottest)


def _hottest(
    was: SlotReading, new: SlotReading, of_slot: float, busy_seconds: float
) -> Iterator[SymbolLoad]:
    before = {symbol.name: symbol.busy_seconds_total for symbol in was.hottest}
    for symbol in new.hottest:
        spent = symbol.busy_seconds_total - before.get(symbol.name, math.inf)
        if spent >= 0 and busy_seconds > 0:
            yield SymbolLoad(symbol.name, of_slot * min(1.0, spent / busy_seconds))


def _once(slots: list[SlotLoad]) -> Iterator[SlotLoad]:
    """A slot that two partitions tell of, around a move, counts once: for whom it is busier."""
    best: dict[int, SlotLoad] = {}
    for slot in slots:
        seen = best.get(slot.slot_id)
        if seen is None or slot.cpu_milliseconds_per_second > seen.cpu_milliseconds_per_second:
            best[slot.slot_id] = slot
    return iter(best.values())
