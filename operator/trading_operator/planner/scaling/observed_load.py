"""What the parts told of their load -> the readings that the planner of scale judges.

A part that did not answer gives no reading: it is missing, not idle.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from trading_contract.load import Load, NodeLoad, PartitionLoad, ReplicaLoad, ShardLoad
from trading_operator.planner.scaling.rates import LastReadings, fold
from trading_operator.planner.scaling.signals import (
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

ALL_REPLICAS = "replicas"
P50, P99 = 0.5, 0.99


@dataclass(frozen=True)
class LoadAnswer:
    """What one part told. `name` is the operator's for it, `at_seconds` (Unix) when it came."""

    name: str
    at_seconds: float
    load: Load


@dataclass(frozen=True)
class ReplicasSum:
    """What clients met since the first look, over all replicas that came and went."""

    orders: float = 0.0
    rejections: float = 0.0
    last: Mapping[str, ReplicaLoad] = field(default_factory=dict)


@dataclass(frozen=True)
class ClusterLoad:
    """One look: what was told, what it amounts to per second, and what the next look needs."""

    at_seconds: float
    answers: Mapping[str, LoadAnswer]
    readings: Readings
    rates: Rates
    last: LastReadings = field(default_factory=LastReadings)
    replicas: ReplicasSum = field(default_factory=ReplicasSum)


def look_at_load(
    before: ClusterLoad | None, answers: Iterable[LoadAnswer],
    expected: Mapping[Tier, Collection[str]], now_seconds: float,
) -> ClusterLoad:  # fmt: skip
    """The look after `before`. `expected` names every part that there should be."""
    answers = tuple(answers)
    summed = _add_replicas(before.replicas if before else ReplicasSum(), answers)
    readings = readings_of(answers, summed)
    last = before.last if before else LastReadings()
    rates, last = fold(last, readings, expected, now_seconds)
    by_name = {answer.name: answer for answer in answers}
    return ClusterLoad(now_seconds, by_name, readings, rates, last, summed)


def readings_of(answers: Iterable[LoadAnswer], replicas: ReplicasSum) -> Readings:
    """One reading for each answer, and one for what clients met."""
    answers = tuple(answers)
    commits = _slowest_commits(answers)
    return Readings(
        replicas=tuple(
            _replica(each, each.load) for each in answers if isinstance(each.load, ReplicaLoad)
        ),
        partitions=tuple(
            _partition(each, each.load) for each in answers if isinstance(each.load, PartitionLoad)
        ),
        shards=tuple(
            _shard(each, each.load, commits.get(each.name))
            for each in answers if isinstance(each.load, ShardLoad)
        ),
        nodes=tuple(_node(each, each.load) for each in answers if isinstance(each.load, NodeLoad)),
        end_to_end=tuple(_end_to_end(answers, replicas)),
    )  # fmt: skip


def _replica(answer: LoadAnswer, load: ReplicaLoad) -> ReplicaReading:
    return ReplicaReading(
        source=Source(answer.name, answer.at_seconds, load.replica, load.incarnation),
        requests_total=load.requests_total,
        cpu_seconds_total=load.cpu_seconds_total,
        rejections_total=load.busy_total + load.unknown_total,
        queued_requests=load.commands_queued,
        event_loop_lag_p99_milliseconds=load.event_loop_lag.recent_milliseconds(P99),
    )


def _partition(answer: LoadAnswer, load: PartitionLoad) -> PartitionReading:
    waits = [each.wait.recent_milliseconds(P99) for each in load.commits]
    commits = [each.commit.recent_milliseconds(P99) for each in load.commits]
    return PartitionReading(
        source=Source(answer.name, answer.at_seconds, load.partition, load.incarnation),
        cpu_seconds_total=load.cpu_seconds_total,
        commands_total=load.commands_total,
        batches_total=sum(each.batches_total for each in load.commits),
        queued_commands=load.commands_queued,
        queue_wait_p99_milliseconds=_largest(waits),
        commit_wait_p99_milliseconds=_largest(commits),
        slots=tuple(
            SlotReading(
                slot_id=slot.id,
                busy_seconds_total=slot.busy_seconds_total,
                commands_total=slot.commands_total,
                open_orders=slot.open_orders,
                hottest=tuple(
                    SymbolReading(hot.name, hot.busy_seconds_total) for hot in slot.hottest
                ),
            )
            for slot in load.slots
        ),
    )


def _shard(answer: LoadAnswer, load: ShardLoad, commit: float | None) -> ShardReading:
    return ShardReading(
        source=Source(answer.name, answer.at_seconds, load.shard, load.incarnation),
        rows_total=load.rows_total,
        wal_bytes_total=load.wal_bytes_total,
        commit_p99_milliseconds=commit,
        cpu_seconds_total=load.cpu_seconds_total,
        connections=load.connections,
        connections_max=load.connections_max,
        disk_used_bytes=load.disk_used_bytes,
        disk_size_bytes=load.disk_size_bytes,
    )


def _node(answer: LoadAnswer, load: NodeLoad) -> NodeReading:
    lag = load.replication_lag_seconds
    return NodeReading(
        source=Source(answer.name, answer.at_seconds, load.node, load.incarnation),
        operations_total=load.operations_total,
        cpu_seconds_total=load.cpu_seconds_total,
        memory_used_bytes=load.memory_used_bytes,
        memory_max_bytes=load.memory_max_bytes,
        replication_lag_milliseconds=None if lag is None else lag * 1000,
        is_master=load.is_master,
    )


def _slowest_commits(answers: Iterable[LoadAnswer]) -> dict[str, float]:
    """By shard: the slowest partition's p99. Who writes knows best how long a commit takes."""
    slowest: dict[str, float] = {}
    for answer in answers:
        for commit in answer.load.commits if isinstance(answer.load, PartitionLoad) else ():
            milliseconds = commit.commit.recent_milliseconds(P99)
            if milliseconds is not None:
                slowest[commit.shard] = max(slowest.get(commit.shard, 0.0), milliseconds)
    return slowest


def _add_replicas(before: ReplicasSum, answers: Iterable[LoadAnswer]) -> ReplicasSum:
    """Replicas come and go, so their counters are summed by what each adds."""
    orders, rejections = before.orders, before.rejections
    last = dict(before.last)
    for answer in answers:
        load = answer.load
        if not isinstance(load, ReplicaLoad):
            continue
        old = last.get(answer.name)
        last[answer.name] = load
        if old is None or old.incarnation != load.incarnation:
            continue  # what it did before we knew it belongs to no interval
        orders += max(0, load.orders_total - old.orders_total)
        rejected = load.busy_total + load.unknown_total
        rejections += max(0, rejected - old.busy_total - old.unknown_total)
    present = {answer.name for answer in answers if isinstance(answer.load, ReplicaLoad)}
    return ReplicasSum(orders, rejections, {name: last[name] for name in present})


def _end_to_end(answers: Iterable[LoadAnswer], summed: ReplicasSum) -> Iterable[EndToEndReading]:
    replicas = [each for each in answers if isinstance(each.load, ReplicaLoad)]
    if not replicas:
        return
    latencies = [each.load.order_latency for each in replicas if isinstance(each.load, ReplicaLoad)]
    counts = tuple(map(sum, zip(*(each.recent_counts for each in latencies), strict=True)))
    merged = latencies[0].model_copy(update={"recent_counts": counts})
    yield EndToEndReading(
        source=Source(ALL_REPLICAS, max(each.at_seconds for each in replicas)),
        orders_total=summed.orders,
        rejections_total=summed.rejections,
        latency_p50_milliseconds=merged.recent_milliseconds(P50),
        latency_p99_milliseconds=merged.recent_milliseconds(P99),
    )


def _largest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
