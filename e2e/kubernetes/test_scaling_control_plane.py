"""Scaling by load on a real API server; who works and how much is told by stubs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from operator_process import Kubectl, OperatorProcess, until

pytestmark = pytest.mark.kubernetes
Start = Callable[..., OperatorProcess]
SYMBOLS = ("ADAUSDT", "BTCUSDT", "ETHUSDT", "LTCUSDT", "SOLUSDT", "XRPUSDT")
ON = {"mode": "on", "min": 1, "max": 2, "cooldownSeconds": 2}
CORE = {"resources": {"cpu": "1"}}
WAIT_SECONDS = 240.0


class Load:
    """What the stubs tell from now on."""

    def __init__(self, folder: Path, namespace: str) -> None:
        self._file = folder / f"{namespace}-demo.load"
        self._told: dict[str, list[tuple[float, float]]] = {
            role: [] for role in ("replica", "partition", "shard")
        }

    def set(self, **shares: float) -> None:
        """Shares of what one unit can do."""
        for role, share in shares.items():
            self._told[role].append((time.time(), share))
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(self._told))
        new.replace(self._file)


def apply(kubectl: Kubectl, namespace: str, **spec: Any) -> None:
    """A cluster that scales quickly."""
    autoscaling = {"scaleInAfterSeconds": 60, **spec.pop("autoscaling", {})}
    fields = {"backends": CORE, "partitions": CORE, "autoscaling": autoscaling, **spec}
    document = {
        "apiVersion": "hft.trading/v1alpha1", "kind": "TradingCluster",
        "metadata": {"name": "demo"},
        "spec": {"symbols": [{"name": name} for name in SYMBOLS], **fields},
    }  # fmt: skip
    kubectl("apply", "-n", namespace, "-f", "-", stdin=yaml.safe_dump(document))


def names(kubectl: Kubectl, namespace: str, kind: str) -> set[str]:
    """Of all objects of a kind."""
    return {each["metadata"]["name"] for each in kubectl.get(kind, namespace)["items"]}


def replicas(kubectl: Kubectl, namespace: str) -> int:
    """What the Deployment asks for."""
    return int(kubectl.get("deployment", namespace, "demo-backend")["spec"]["replicas"])


def spec_of(kubectl: Kubectl, namespace: str) -> Any:
    """As it is stored."""
    return kubectl.get("tradingclusters.hft.trading", namespace, "demo")["spec"]


def test_backends_partitions_and_a_shard_come_with_load_and_go_with_it(
    kubectl: Kubectl, namespace: str, start_operator: Start, tmp_path: Path
) -> None:
    load = Load(tmp_path, namespace)
    load.set(replica=0.1, partition=0.1, shard=0.1)
    operator = start_operator()
    apply(kubectl, namespace, autoscaling={"backends": ON, "partitions": ON, "shards": ON})
    kubectl.wait_condition(namespace, "demo", "Ready")
    before = spec_of(kubectl, namespace)
    load.set(replica=0.8, partition=0.8, shard=0.6)  # of 40,000 rows; it asks for 30,000
    more = {"demo-partition-1", "demo-shard-1"}
    until(lambda: more <= names(kubectl, namespace, "statefulset"), "they came", WAIT_SECONDS)
    until(lambda: replicas(kubectl, namespace) == 2, "a backend came", WAIT_SECONDS)
    assert spec_of(kubectl, namespace) == before
    operator.kill()
    start_operator("b")
    kubectl.wait_condition(namespace, "demo", "Ready")
    assert more <= names(kubectl, namespace, "statefulset")
    events = kubectl.get("events", namespace)["items"]
    notes = [each["message"] for each in events if each["reason"] == "ScalesByLoad"]
    assert any(note.startswith("partitions: 1 become 2, more") for note in notes)
    load.set(replica=0.05, partition=0.05, shard=0.05)
    until(
        lambda: not more & names(kubectl, namespace, "statefulset"), "they went", WAIT_SECONDS
    )  # fmt: skip
    until(lambda: replicas(kubectl, namespace) == 1, "a backend went", WAIT_SECONDS)


def test_backends_that_somebody_else_scales_are_left_alone(
    kubectl: Kubectl, namespace: str, start_operator: Start, tmp_path: Path
) -> None:
    load = Load(tmp_path, namespace)
    load.set(replica=0.1, partition=0.8, shard=0.1)
    start_operator()
    apply(
        kubectl, namespace, backends={**CORE, "managedBy": "External"},
        autoscaling={"backends": {"mode": "external"}, "partitions": ON},
    )  # fmt: skip
    kubectl.wait_condition(namespace, "demo", "Ready")
    kubectl("scale", "-n", namespace, "deployment/demo-backend", "--replicas=3")
    until(
        lambda: "demo-partition-1" in names(kubectl, namespace, "statefulset"),
        "a partition came", WAIT_SECONDS,
    )  # fmt: skip
    assert replicas(kubectl, namespace) == 3
