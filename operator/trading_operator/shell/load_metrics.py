"""Load of what has no metrics of its own, shards and Redis nodes, for the operator's `/metrics`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from trading_contract.load import NodeLoad, ShardLoad
from trading_contract.load_metrics import node_metrics, shard_metrics
from trading_operator.planner.scaling.observed_load import ClusterLoad, LoadAnswer
from trading_operator.substrates.kubernetes.mirror import ClusterKey

AGE_SECONDS_MAX = 60.0  # what is older is not told: a gap says more than a line that lies
Looks = Callable[[], Iterable[tuple[ClusterKey, ClusterLoad]]]


class LoadCollector(Collector):
    """The newest look at each cluster."""

    def __init__(self, looks: Looks, now: Callable[[], float]) -> None:
        self._looks = looks
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """Every metric, with no values where nothing is known."""
        told = [((key.namespace, key.name), answer) for key, answer in self._answers()]
        yield from shard_metrics([
            (where, answer.load) for where, answer in told if isinstance(answer.load, ShardLoad)
        ])  # fmt: skip
        yield from node_metrics([
            (where, answer.load) for where, answer in told if isinstance(answer.load, NodeLoad)
        ])  # fmt: skip

    def _answers(self) -> Iterator[tuple[ClusterKey, LoadAnswer]]:
        now = self._now()
        for key, look in self._looks():
            for answer in look.answers.values():
                if now - answer.at_seconds <= AGE_SECONDS_MAX:
                    yield key, answer
