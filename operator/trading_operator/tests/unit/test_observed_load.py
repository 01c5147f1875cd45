"""From what parts tell to readings and rates: nothing is invented, nothing is told as idle."""

from __future__ import annotations

import math

import pytest

from trading_operator.planner.scaling.observed_load import ClusterLoad, LoadAnswer, look_at_load
from trading_operator.planner.scaling.signals import DropReason, Tier
from trading_operator.tests import loads

EXPECTED = {
    Tier.BACKENDS: {"replica-0"}, Tier.PARTITIONS: {"partition-0"}, Tier.SHARDS: {"shard-0"},
    Tier.REDIS: {"redis-0"},
}  # fmt: skip


def look(before: ClusterLoad | None, now: float, *answers: LoadAnswer) -> ClusterLoad:
    """The next look."""
    return look_at_load(before, answers, EXPECTED, now)


def quiet(now: float) -> ClusterLoad:
    """A first look at a cluster in which nothing happened."""
    return look(None, now, *loads.at(
        now, replica_0=loads.replica("replica-0"), shard_0=loads.shard("shard-0"),
        partition_0=loads.partition(
            "partition-0", commits=(loads.commits("shard-0"),), slots=(loads.slot(1),)
        ),
        redis_0=loads.node("redis-0"),
    ))  # fmt: skip


def busy(now: float) -> list[LoadAnswer]:
    """What the same parts tell after ten seconds of work."""
    return loads.at(
        now,
        replica_0=loads.replica(
            "replica-0", requests_total=500, orders_total=1000, busy_total=20, unknown_total=10,
            refusals_total=7, cpu_seconds_total=4.0, order_latency=loads.durations(2, 2, 2, 40),
        ),
        partition_0=loads.partition(
            "partition-0", cpu_seconds_total=5.0,
            commits=(loads.commits(
                "shard-0", commands_total=1000, commands_queued=3, commit=loads.durations(4, 4),
                wait=loads.durations(1.5),
            ),),
            slots=(loads.slot(
                1, busy_seconds_total=2.0, commands_total=1000, open_orders=9,
                hottest=(loads.hot("BTCUSDT", 1.5),),
            ),),
        ),
        shard_0=loads.shard("shard-0", rows_total=3000, wal_bytes_total=10_000_000),
        redis_0=loads.node("redis-0", operations_total=70, replication_lag_seconds=0.5),
    )  # fmt: skip


def test_what_was_done_between_two_looks_becomes_rates() -> None:
    after = look(quiet(100), 110, *busy(110))
    rates = after.rates
    assert not rates.dropped
    (replica,) = rates.unit_loads(Tier.BACKENDS)
    assert replica.work_per_second == 50
    assert replica.loads["cpu_milliseconds_per_second"] == 400
    (partition,) = rates.unit_loads(Tier.PARTITIONS)
    assert partition.work_per_second == 100
    assert 1.0 < (partition.wait_milliseconds or 0) <= 1.5
    (shard,) = rates.unit_loads(Tier.SHARDS)
    assert (shard.work_per_second, shard.loads["wal_bytes_per_second"]) == (300, 1_000_000)
    assert 3.0 < (shard.wait_milliseconds or 0) <= 5.0  # as the partition that writes sees it
    assert shard.shares == {"connections": 0.05, "disk": 0.1}
    (node,) = rates.unit_loads(Tier.REDIS)
    assert (node.work_per_second, node.wait_milliseconds) == (7, 500)
    (slot,) = rates.slots
    assert (slot.cpu_milliseconds_per_second, slot.open_orders) == (500, 9)
    assert rates.end_to_end is not None
    assert rates.end_to_end.orders_per_second == 100
    assert rates.end_to_end.rejections_per_second == 3  # refusals are the clients' own affair
    assert 1.5 < (rates.end_to_end.latency_p50_milliseconds or 0) <= 2
    assert 30 < (rates.end_to_end.latency_p99_milliseconds or 0) <= 50


def test_who_does_not_answer_is_missing_and_not_idle() -> None:
    answers = [each for each in busy(110) if each.name != "shard-0"]
    after = look(quiet(100), 110, *answers)
    assert after.rates.unit_loads(Tier.SHARDS) == ()
    (dropped,) = after.rates.dropped
    assert (dropped.tier, dropped.name, dropped.reason) == (
        Tier.SHARDS, "shard-0", DropReason.MISSING,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cpu_seconds_total": -1.0}, DropReason.NEGATIVE),
        ({"cpu_seconds_total": math.nan}, DropReason.NOT_A_NUMBER),
        ({"cpu_seconds_total": 1e9}, DropReason.ABSURD),
        ({"partition": "partition-7"}, DropReason.REPORTED_BY_ANOTHER),
        ({"incarnation": "partition-0-second"}, DropReason.COUNTER_RESET),
    ],
)
def test_what_lies_is_dropped_with_the_reason(
    changes: dict[str, object], reason: DropReason
) -> None:
    answers = [
        LoadAnswer(each.name, each.at_seconds, each.load.model_copy(update=changes))
        if each.name == "partition-0" else each
        for each in busy(110)
    ]  # fmt: skip
    after = look(quiet(100), 110, *answers)
    assert [(each.name, each.reason) for each in after.rates.dropped] == [("partition-0", reason)]
    assert after.rates.slots == ()


def test_replicas_that_come_and_go_neither_add_nor_take_orders() -> None:
    first = look(None, 100, *loads.at(
        100, replica_0=loads.replica("replica-0", orders_total=10_000),
        replica_1=loads.replica("replica-1", orders_total=50_000),
    ))  # fmt: skip
    second = look(first, 110, *loads.at(
        110, replica_0=loads.replica("replica-0", orders_total=10_100),
        replica_2=loads.replica("replica-2", orders_total=70_000),
    ))  # fmt: skip
    assert second.rates.end_to_end is not None
    assert second.rates.end_to_end.orders_per_second == 10
    third = look(second, 120, *loads.at(
        120, replica_0=loads.replica("replica-0", incarnation="new", orders_total=20_000),
        replica_2=loads.replica("replica-2", orders_total=70_200),
    ))  # fmt: skip
    assert third.rates.end_to_end is not None
    assert third.rates.end_to_end.orders_per_second == 20


def test_without_a_replica_nobody_knows_what_clients_meet() -> None:
    after = look(quiet(100), 110, *[each for each in busy(110) if each.name != "replica-0"])
    assert (after.readings.end_to_end, after.rates.end_to_end) == ((), None)
