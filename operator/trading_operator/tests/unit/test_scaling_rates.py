"""Readings become rates; what cannot be believed is dropped with the reason."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from trading_operator.planner.scaling.rates import LastReadings, fold
from trading_operator.planner.scaling.signals import (
    DropReason,
    EndToEndReading,
    NodeReading,
    PartitionReading,
    Rates,
    Readings,
    ReplicaReading,
    ShardReading,
    SlotReading,
    Source,
    SymbolReading,
    Tier,
)

EXPECTED = {
    Tier.BACKENDS: ("backend-0",),
    Tier.PARTITIONS: ("partition-0",),
    Tier.SHARDS: ("shard-0",),
    Tier.REDIS: ("redis-0",),
}


def look(at: float, seconds: float, incarnation: str = "a") -> Readings:
    """All parts after `seconds` of steady work."""

    def source(name: str) -> Source:
        return Source(name, at, name, incarnation)

    symbols = (SymbolReading("BTCUSDT", 0.02 * seconds), SymbolReading("ETHUSDT", 0.01 * seconds))
    slots = (
        SlotReading(1, 0.03 * seconds, 60 * seconds, 7, symbols),
        SlotReading(2, 0.01 * seconds, 40 * seconds, 3),
    )
    return Readings(
        (ReplicaReading(source("backend-0"), 100 * seconds, 0.3 * seconds, 0, 2, 1.5),),
        (
            PartitionReading(
                source("partition-0"), 0.4 * seconds, 100 * seconds, 1, 2.0, 4.0, slots
            ),
        ),
        (
            ShardReading(
                source("shard-0"), 90 * seconds, 5000 * seconds, 6.0, 0.2 * seconds, 10, 100, 5, 50
            ),
        ),
        (NodeReading(source("redis-0"), 200 * seconds, 0.1 * seconds, 1, 4, 0),),
        (EndToEndReading(source("front"), 95 * seconds, 5 * seconds, 3.0, 9.0),),
    )


def rates_of(*looks: tuple[Readings, float]) -> Rates:
    """The rates of the last look."""
    last, rates = LastReadings(), Rates()
    for readings, now in looks:
        rates, last = fold(last, readings, EXPECTED, now)
    return rates


def test_two_readings_make_rates() -> None:
    rates = rates_of((look(1000, 10), 1000), (look(1005, 15), 1006))
    assert rates.dropped == ()
    (backend,) = rates.unit_loads(Tier.BACKENDS)
    assert backend.work_per_second == pytest.approx(100)
    assert backend.loads == {"cpu_milliseconds_per_second": pytest.approx(300)}
    assert backend.wait_milliseconds == 1.5
    (shard,) = rates.unit_loads(Tier.SHARDS)
    assert shard.loads["wal_bytes_per_second"] == pytest.approx(5000)
    assert shard.shares == {"connections": 0.1, "disk": 0.1}
    (node,) = rates.unit_loads(Tier.REDIS)
    assert node.shares == {"memory": 0.25}
    assert rates.end_to_end is not None
    assert rates.end_to_end.orders_per_second == pytest.approx(95)
    assert rates.end_to_end.rejections_per_second == pytest.approx(5)


def test_the_time_of_a_partition_is_shared_out_to_its_slots_and_symbols() -> None:
    rates = rates_of((look(1000, 10), 1000), (look(1005, 15), 1005))
    one, two = rates.slots
    assert one.cpu_milliseconds_per_second == pytest.approx(300)
    assert two.cpu_milliseconds_per_second == pytest.approx(100)
    assert [each.cpu_milliseconds_per_second for each in one.hottest] == pytest.approx([200, 100])


def test_the_first_reading_makes_no_rate() -> None:
    rates = rates_of((look(1000, 10), 1000))
    assert {each.reason for each in rates.dropped} == {DropReason.FIRST}
    assert rates.slots == ()


def test_a_part_that_gives_no_reading_is_missing() -> None:
    rates = rates_of((look(1000, 10), 1000), (Readings(), 1005))
    assert {each.name for each in rates.dropped} == {name for (name,) in EXPECTED.values()}
    assert {each.reason for each in rates.dropped} == {DropReason.MISSING}


Change = Callable[[ReplicaReading], ReplicaReading]


def renamed(reading: ReplicaReading, **changes: str | float) -> ReplicaReading:
    """The reading with another source."""
    return replace(reading, source=replace(reading.source, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        (DropReason.NOT_A_NUMBER, lambda r: replace(r, cpu_seconds_total=math.nan)),
        (DropReason.NOT_A_NUMBER, lambda r: replace(r, requests_total=math.inf)),
        (DropReason.NEGATIVE, lambda r: replace(r, queued_requests=-1)),
        (DropReason.ABSURD, lambda r: replace(r, cpu_seconds_total=1e9)),
        (DropReason.COUNTER_RESET, lambda r: replace(r, requests_total=3)),
        (DropReason.COUNTER_RESET, lambda r: renamed(r, incarnation="b")),
        (DropReason.COUNTER_RESET, lambda r: renamed(r, at_seconds=990)),
        (DropReason.SAME_TIME, lambda r: renamed(r, at_seconds=1000)),
        (DropReason.FROM_THE_FUTURE, lambda r: renamed(r, at_seconds=1100)),
        (DropReason.STALE, lambda r: renamed(r, at_seconds=900)),
        (DropReason.NOT_A_NUMBER, lambda r: renamed(r, at_seconds=math.nan)),
        (DropReason.REPORTED_BY_ANOTHER, lambda r: renamed(r, reported_by="backend-1")),
        (DropReason.UNEXPECTED, lambda r: renamed(r, name="backend-9", reported_by="")),
    ],
)
def test_a_reading_that_lies_is_dropped_with_the_reason(reason: DropReason, change: Change) -> None:
    lying = look(1005, 15)
    (replica,) = lying.replicas
    rates = rates_of((look(1000, 10), 1000), (replace(lying, replicas=(change(replica),)), 1005))
    assert rates.unit_loads(Tier.BACKENDS) == ()
    assert reason in [each.reason for each in rates.dropped if each.tier is Tier.BACKENDS]
    assert rates.unit_loads(Tier.SHARDS), "the others count"


def test_two_readings_of_one_name_both_go() -> None:
    twice = look(1005, 15)
    rates = rates_of((look(1000, 10), 1000), (replace(twice, replicas=twice.replicas * 2), 1005))
    assert [each.reason for each in rates.dropped] == [DropReason.TWICE] * 2


def test_one_lie_costs_one_look() -> None:
    lying = look(1005, 15)
    (replica,) = lying.replicas
    for changed in (replace(replica, cpu_seconds_total=1e9), replace(replica, queued_requests=-1)):
        rates = rates_of(
            (look(1000, 10), 1000),
            (replace(lying, replicas=(changed,)), 1005),
            (look(1010, 20), 1010),
        )
        (backend,) = rates.unit_loads(Tier.BACKENDS)
        assert backend.work_per_second == pytest.approx(100)


def test_after_a_restart_rates_come_back_with_the_second_reading() -> None:
    rates = rates_of((look(1000, 10), 1000), (look(1005, 1, "b"), 1005), (look(1010, 6, "b"), 1010))
    assert rates.dropped == ()
    (backend,) = rates.unit_loads(Tier.BACKENDS)
    assert backend.work_per_second == pytest.approx(100)


def test_a_slot_that_came_or_came_back_has_no_rate_yet() -> None:
    before, after = look(1000, 10), look(1005, 15)
    (partition,) = after.partitions
    one, two = partition.slots
    slots = (one, replace(two, busy_seconds_total=0.0, commands_total=0.0), replace(two, slot_id=3))
    after = replace(after, partitions=(replace(partition, slots=slots),))
    rates = rates_of((before, 1000), (after, 1005))
    assert [slot.slot_id for slot in rates.slots] == [1]


def test_what_a_slot_that_came_or_went_took_is_not_counted_as_the_others() -> None:
    """Slot 2 had 40 of 100 commands a second, and went just before the second look."""
    before, after = look(1000, 10), look(1005, 15)
    (partition,) = after.partitions
    after = replace(after, partitions=(replace(partition, slots=partition.slots[:1]),))
    (one,) = rates_of((before, 1000), (after, 1005)).slots
    assert one.cpu_milliseconds_per_second == pytest.approx(240)
    assert [each.cpu_milliseconds_per_second for each in one.hottest] == pytest.approx([160, 80])


def test_without_times_of_the_core_commands_share_out() -> None:
    def idle(readings: Readings) -> Readings:
        (partition,) = readings.partitions
        slots = tuple(replace(slot, busy_seconds_total=0.0) for slot in partition.slots)
        return replace(readings, partitions=(replace(partition, slots=slots),))

    rates = rates_of((idle(look(1000, 10)), 1000), (idle(look(1005, 15)), 1005))
    shares = [slot.cpu_milliseconds_per_second for slot in rates.slots]
    assert shares == pytest.approx([240, 160])


def test_who_follows_in_redis_and_how_often_a_partition_commits_are_told_along() -> None:
    def readings(at_seconds: float) -> Readings:
        since = at_seconds - 1000
        partition = PartitionReading(
            Source("partition-0", at_seconds), since, 80 * since, batches_total=20 * since
        )
        node = NodeReading(Source("redis-0", at_seconds), 100 * since, is_master=False)
        return Readings(partitions=(partition,), nodes=(node,))

    rates = rates_of((readings(1000), 1000), (readings(1005), 1005))
    (partition,) = rates.unit_loads(Tier.PARTITIONS)
    assert partition.batches_per_second == pytest.approx(20)
    (node,) = rates.unit_loads(Tier.REDIS)
    assert node.is_follower
