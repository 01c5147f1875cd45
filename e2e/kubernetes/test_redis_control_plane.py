"""Another number of Redis masters on a real API server; the nodes are stubs that do as told."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import yaml
from stub_components import StubComponents

from operator_process import Kubectl, OperatorProcess, until
from trading_operator.substrates.kubernetes.mirror import ClusterKey

pytestmark = pytest.mark.kubernetes
Start = Callable[..., OperatorProcess]
HASH_SLOTS = 16_384
WAIT_SECONDS = 120.0


def apply(kubectl: Kubectl, namespace: str, masters: int) -> None:
    """A cluster with so many, each with a follower."""
    document = {
        "apiVersion": "hft.trading/v1alpha1", "kind": "TradingCluster",
        "metadata": {"name": "demo"},
        "spec": {
            "symbols": [{"name": "BTCUSDT"}],
            "redis": {"masters": masters, "replicasPerMaster": 1},
        },
    }  # fmt: skip
    kubectl("apply", "-n", namespace, "-f", "-", stdin=yaml.safe_dump(document))


def is_ready(kubectl: Kubectl, namespace: str) -> bool:
    """Whether it is as the specification says now."""
    body = kubectl.get("tradingclusters.hft.trading", namespace, "demo")
    conditions = {each["type"]: each for each in body.get("status", {}).get("conditions", ())}
    ready = conditions.get("Ready", {})
    is_told = ready.get("observedGeneration") == body["metadata"]["generation"]
    return bool(is_told and ready.get("status") == "True")


def has_changed(redis: StubComponents, before: dict[str, int]) -> bool:
    """Whether hash slots have changed hands."""
    return redis.hash_slots() != before


def nodes(kubectl: Kubectl, namespace: str) -> int:
    """How many the StatefulSet asks for."""
    return int(kubectl.get("statefulset", namespace, "demo-redis")["spec"]["replicas"])


def test_masters_come_and_go_though_the_operator_dies_among_their_hash_slots(
    kubectl: Kubectl, namespace: str, start_operator: Start, tmp_path: Path
) -> None:
    redis = StubComponents(tmp_path, ClusterKey(namespace, "demo"))
    operator = start_operator()
    apply(kubectl, namespace, 3)
    until(lambda: is_ready(kubectl, namespace), "three masters", WAIT_SECONDS)
    for name, masters in (("b", 4), ("c", 3)):
        before = redis.hash_slots()
        apply(kubectl, namespace, masters)
        until(partial(has_changed, redis, before), "some move", WAIT_SECONDS)
        operator.kill()
        assert sum(redis.hash_slots().values()) == HASH_SLOTS
        operator = start_operator(name)
        until(lambda: is_ready(kubectl, namespace), f"{masters} masters", WAIT_SECONDS)
        assert nodes(kubectl, namespace) == 2 * masters
        counts = redis.hash_slots()
        assert (len(counts), sum(counts.values())) == (masters, HASH_SLOTS)
    events = kubectl.get("events", namespace)["items"]
    assert "TakeHashSlots" in {each["reason"] for each in events}
