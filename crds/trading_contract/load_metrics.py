"""Load as Prometheus reads it: the one place where the metrics get their names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from trading_contract.durations import BOUNDS_SECONDS
from trading_contract.load import DurationsTold, NodeLoad, PartitionLoad, ReplicaLoad, ShardLoad

CONTENT_TYPE = CONTENT_TYPE_LATEST
Values = Sequence[tuple[tuple[str, ...], float | None]]


def exposition(metrics: Iterable[Metric]) -> bytes:
    """The text that `GET /metrics` answers, of type `CONTENT_TYPE`."""
    registry = CollectorRegistry()
    registry.register(_Given(tuple(metrics)))
    return generate_latest(registry)


class _Given(Collector):
    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics


def replica_metrics(load: ReplicaLoad) -> Iterator[Metric]:
    """Of one replica."""
    labels, who = ("replica",), (load.replica,)
    rejections = [
        ((*who, kind), float(count))
        for kind, count in (
            ("busy", load.busy_total), ("unknown", load.unknown_total),
            ("refused", load.refusals_total),
        )
    ]  # fmt: skip
    prefix = "trading_replica"
    yield _counter(f"{prefix}_requests", "Requests that were answered, over HTTP and streams.",
                   labels, [(who, load.requests_total)])  # fmt: skip
    yield _counter(f"{prefix}_orders", "Commands of orders that were answered.",
                   labels, [(who, load.orders_total)])  # fmt: skip
    yield _counter(f"{prefix}_rejections", "Answers that were none of success, by kind.",
                   (*labels, "kind"), rejections)  # fmt: skip
    yield _counter(f"{prefix}_cpu_seconds", "CPU time.", labels, [(who, load.cpu_seconds_total)])
    yield _gauge(f"{prefix}_memory_bytes", "Resident memory.", labels, [(who, load.memory_bytes)])
    yield _gauge(f"{prefix}_commands_queued", "Commands not yet sent to their partition.",
                 labels, [(who, load.commands_queued)])  # fmt: skip
    yield _gauge(f"{prefix}_commands_in_flight", "Commands without an answer.",
                 labels, [(who, load.commands_in_flight)])  # fmt: skip
    yield _gauge(f"{prefix}_connections", "Connections of clients.",
                 labels, [(who, load.connections)])  # fmt: skip
    yield _histogram(f"{prefix}_event_loop_lag_seconds", "How late the event loop comes.",
                     labels, [(who, load.event_loop_lag)])  # fmt: skip
    yield _histogram(f"{prefix}_order_latency_seconds", "From a request of orders to its answer.",
                     labels, [(who, load.order_latency)])  # fmt: skip


def partition_metrics(load: PartitionLoad) -> Iterator[Metric]:
    """Of one partition, its slots, and their hottest symbols."""
    labels, who = ("partition",), (load.partition,)
    prefix = "trading_partition"
    yield _counter(f"{prefix}_refusals", "Commands that were refused.",
                   labels, [(who, load.refusals_total)])  # fmt: skip
    yield _counter(f"{prefix}_cpu_seconds", "CPU time.", labels, [(who, load.cpu_seconds_total)])
    yield _gauge(f"{prefix}_memory_bytes", "Resident memory.", labels, [(who, load.memory_bytes)])
    yield _gauge(f"{prefix}_open_orders", "Orders in the books.",
                 labels, [(who, load.open_orders)])  # fmt: skip
    yield _gauge(f"{prefix}_connections", "Connections of replicas and of who asks.",
                 labels, [(who, load.connections)])  # fmt: skip
    yield _histogram(f"{prefix}_event_loop_lag_seconds", "How late the event loop comes.",
                     labels, [(who, load.event_loop_lag)])  # fmt: skip
    yield from _commit_metrics(load)
    yield from _slot_metrics(load)


def _commit_metrics(load: PartitionLoad) -> Iterator[Metric]:
    labels = ("partition", "shard")
    of = [((load.partition, each.shard), each) for each in load.commits]
    prefix = "trading_partition"
    yield _counter(f"{prefix}_commands", "Commands that were sequenced, by shard.",
                   labels, [(who, each.commands_total) for who, each in of])  # fmt: skip
    yield _counter(f"{prefix}_batches", "Commits, by shard.",
                   labels, [(who, each.batches_total) for who, each in of])  # fmt: skip
    yield _gauge(f"{prefix}_commands_queued", "Commands that wait to be sequenced, by shard.",
                 labels, [(who, each.commands_queued) for who, each in of])  # fmt: skip
    yield _histogram(f"{prefix}_commit_seconds", "How long a commit takes, by shard.",
                     labels, [(who, each.commit) for who, each in of])  # fmt: skip
    yield _histogram(f"{prefix}_commit_wait_seconds",
                     "From the first command of a batch to the beginning of its commit, by shard.",
                     labels, [(who, each.wait) for who, each in of])  # fmt: skip


def _slot_metrics(load: PartitionLoad) -> Iterator[Metric]:
    labels = ("partition", "slot")
    of = [((load.partition, str(each.id)), each) for each in load.slots]
    yield _counter("trading_slot_commands", "Commands, by slot.",
                   labels, [(who, each.commands_total) for who, each in of])  # fmt: skip
    yield _counter("trading_slot_orders", "Orders that were accepted, by slot.",
                   labels, [(who, each.orders_total) for who, each in of])  # fmt: skip
    yield _counter("trading_slot_trades", "Trades, by slot.",
                   labels, [(who, each.trades_total) for who, each in of])  # fmt: skip
    yield _counter("trading_slot_busy_seconds", "Time of sequencing and matching, by slot.",
                   labels, [(who, each.busy_seconds_total) for who, each in of])  # fmt: skip
    yield _gauge("trading_slot_open_orders", "Orders in the books, by slot.",
                 labels, [(who, each.open_orders) for who, each in of])  # fmt: skip
    yield _counter(
        "trading_symbol_busy_seconds", "The same time, by symbol; only the hottest of each slot.",
        (*labels, "symbol"),
        [((*who, hot.name), hot.busy_seconds_total) for who, each in of for hot in each.hottest],
    )  # fmt: skip


def shard_metrics(loads: Sequence[tuple[tuple[str, str], ShardLoad]]) -> Iterator[Metric]:
    """Of shards, each with the namespace and the name of its cluster; told by the operator."""
    labels = ("namespace", "cluster", "shard")
    of = [((*where, load.shard), load) for where, load in loads]
    yield _counter("trading_shard_rows", "Rows that were inserted, updated or deleted.",
                   labels, [(who, load.rows_total) for who, load in of])  # fmt: skip
    yield _counter("trading_shard_commits", "Transactions that were committed.",
                   labels, [(who, load.commits_total) for who, load in of])  # fmt: skip
    yield _counter("trading_shard_wal_bytes", "Bytes of WAL that were written.",
                   labels, [(who, load.wal_bytes_total) for who, load in of])  # fmt: skip
    yield _gauge("trading_shard_connections", "Connections.",
                 labels, [(who, load.connections) for who, load in of])  # fmt: skip
    yield _gauge("trading_shard_connections_max", "Connections that it takes at most.",
                 labels, [(who, load.connections_max) for who, load in of])  # fmt: skip
    yield _gauge("trading_shard_database_bytes", "Size of the database.",
                 labels, [(who, load.database_bytes) for who, load in of])  # fmt: skip
    yield _gauge("trading_shard_disk_used_bytes", "Size of all databases and of the WAL.",
                 labels, [(who, load.disk_used_bytes) for who, load in of])  # fmt: skip
    yield _gauge("trading_shard_disk_size_bytes", "Size of the disk.",
                 labels, [(who, load.disk_size_bytes) for who, load in of])  # fmt: skip


def node_metrics(loads: Sequence[tuple[tuple[str, str], NodeLoad]]) -> Iterator[Metric]:
    """Of Redis nodes, likewise."""
    labels = ("namespace", "cluster", "node")
    of = [((*where, load.node), load) for where, load in loads]
    yield _counter("trading_redis_operations", "Commands that were processed.",
                   labels, [(who, load.operations_total) for who, load in of])  # fmt: skip
    yield _counter("trading_redis_cpu_seconds", "CPU time.",
                   labels, [(who, load.cpu_seconds_total) for who, load in of])  # fmt: skip
    yield _gauge("trading_redis_memory_used_bytes", "Memory of its data and buffers.",
                 labels, [(who, load.memory_used_bytes) for who, load in of])  # fmt: skip
    yield _gauge("trading_redis_memory_max_bytes", "Memory that it may use for them.",
                 labels, [(who, load.memory_max_bytes) for who, load in of])  # fmt: skip
    yield _gauge("trading_redis_replication_lag_seconds", "How far a replica is behind.",
                 labels, [(who, load.replication_lag_seconds) for who, load in of])  # fmt: skip


def _counter(name: str, text: str, labels: Sequence[str], values: Values) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for who, value in values:
        if value is not None:
            family.add_metric(who, value)
    return family


def _gauge(name: str, text: str, labels: Sequence[str], values: Values) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for who, value in values:
        if value is not None:  # what is not known is left out: a zero would be a claim
            family.add_metric(who, value)
    return family


def _histogram(
    name: str, text: str, labels: Sequence[str],
    values: Sequence[tuple[tuple[str, ...], DurationsTold]],
) -> Metric:  # fmt: skip
    family = HistogramMetricFamily(name, text, labels=labels)
    for who, told in values:
        below, buckets = 0, []
        bounds = (*(f"{bound:g}" for bound in BOUNDS_SECONDS), "+Inf")
        for bound, count in zip(bounds, told.counts, strict=True):
            below += count
            buckets.append((bound, float(below)))
        family.add_metric(who, buckets, told.sum_seconds)
    return family
