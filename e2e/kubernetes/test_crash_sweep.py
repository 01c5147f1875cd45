"""The operator dies at every change it makes, before it and after it, and always converges.

Each process is let do one more change and no other; the next one looks at the world and goes on. So
a workload of N changes is done by N processes, and recovering is interrupted as well.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubernetes_cluster.control_plane import ControlPlane
from kubernetes_cluster.rights import created_and_deleted
from operator_process import SHORT_LEASE, Kubectl, OperatorProcess, until

pytestmark = pytest.mark.kubernetes
Start = Callable[..., OperatorProcess]
KINDS = (
    "statefulset,deployment,service,configmap,secret,serviceaccount,role,rolebinding,"
    "poddisruptionbudget,networkpolicy"
)
DEATHS_MAX = 150
# The process dies at once after its first change, or just before its second one.
MODES = ("after:1", "before:2")
SHORT = {("remove", "before:2")}  # the one for the gate
START: dict[str, Any] = {"symbols": [{"name": "BTCUSDT"}, {"name": "ETHUSDT"}]}
ON_ONE: dict[str, Any] = {**START, "placement": [{"range": "..", "partition": 0, "shard": 0}]}
# It gets no symbols, so that each run does the same: test_move_control_plane has those with moves.
EMPTY_SECOND: dict[str, Any] = {"count": 2, "drained": ["partition-1"]}
# Before and after. What is removed owns nothing: slots stay where they were placed.
WORKLOADS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "scale": (START, {**START, "backends": {"replicas": 3}, "partitions": EMPTY_SECOND}),
    "masters": (START, {**START, "redis": {"masters": 4}, "partitions": EMPTY_SECOND}),
    "fewer masters": (
        {**ON_ONE, "redis": {"masters": 4}, "partitions": EMPTY_SECOND},
        {**ON_ONE, "redis": {"masters": 3}, "partitions": {"count": 1}},
    ),
    "upgrade": (START, {**START, "image": "tradingcluster:0.1.0-next"}),
    "remove": (
        {**ON_ONE, "partitions": EMPTY_SECOND, "backends": {"replicas": 3}},
        {**ON_ONE, "partitions": {"count": 1}, "backends": {"replicas": 1}},
    ),
}


def _apply(kubectl: Kubectl, namespace: str, spec: dict[str, Any]) -> None:
    document = {
        "apiVersion": "hft.trading/v1alpha1", "kind": "TradingCluster",
        "metadata": {"name": "demo"}, "spec": spec,
    }  # fmt: skip
    kubectl("apply", "-n", namespace, "-f", "-", stdin=yaml.safe_dump(document))


def _state(kubectl: Kubectl, namespace: str) -> dict[str, Any]:
    """What there is, and how often the specification of each was changed."""
    items = kubectl.get(KINDS, namespace, selector="hft.trading/cluster=demo")["items"]
    return {
        f"{item['kind']}/{item['metadata']['name']}": item["metadata"].get("generation", 0)
        for item in items
    }


def _is_ready(kubectl: Kubectl, namespace: str) -> bool:
    body = kubectl.get("tradingclusters.hft.trading", namespace, "demo")
    conditions = {each["type"]: each for each in body.get("status", {}).get("conditions", ())}
    ready = conditions.get("Ready", {})
    fresh = ready.get("observedGeneration") == body["metadata"]["generation"]
    return bool(fresh and ready.get("status") == "True")


def _live_and_die(start: Start, kubectl: Kubectl, namespace: str, mode: str) -> int:
    """Processes one after the other until there is nothing left to change; how many died."""
    for deaths in range(DEATHS_MAX):
        process = start("a", mode, **SHORT_LEASE)
        died = False

        def has_ended(process: OperatorProcess = process) -> bool:
            nonlocal died
            died = process.wait_died(0.2)
            return died or _is_ready(kubectl, namespace)

        until(has_ended, "the operator dies or is done", 60)
        if not died and not process.wait_died(3.0):
            process.kill()
            return deaths
    raise AssertionError(f"it did not converge within {DEATHS_MAX} deaths")


def _count(plane: ControlPlane, namespace: str, since: int) -> Counter[str]:
    return created_and_deleted(plane.audit_log, "trading-operator", namespace, since)


def _reference(
    start: Start, plane: ControlPlane, kubectl: Kubectl, namespace: str, *specs: dict[str, Any]
) -> tuple[dict[str, Any], Counter[str]]:
    """What there is after these specifications, one after the other, without any death.

    Also how often each object was created and deleted for the last of them.
    """
    process = start("reference", **SHORT_LEASE)
    for spec in specs:
        since = plane.audit_log.stat().st_size
        _apply(kubectl, namespace, spec)
        kubectl.wait_condition(namespace, "demo", "Ready")
    process.stop()
    state, counts = _state(kubectl, namespace), _count(plane, namespace, since)
    kubectl("delete", "tradingcluster", "demo", "-n", namespace)
    kubectl("delete", "all,pvc,secret,configmap", "-n", namespace,
            "-l", "hft.trading/cluster=demo")  # fmt: skip
    until(lambda: not _state(kubectl, namespace), "everything is gone", 60)
    return state, counts


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
def test_making_a_cluster_survives_a_death_at_every_change(
    plane: ControlPlane,
    kubectl: Kubectl,
    namespace: str,
    start_operator: Start,
    tmp_path: Path,
    mode: str,
) -> None:
    wanted, counts = _reference(start_operator, plane, kubectl, namespace, START)
    assert len(counts) > 20
    _forget_stubs(tmp_path)
    since = plane.audit_log.stat().st_size
    _apply(kubectl, namespace, START)
    deaths = _live_and_die(start_operator, kubectl, namespace, mode)
    assert deaths > 20
    assert _is_ready(kubectl, namespace)
    assert _state(kubectl, namespace) == wanted
    assert _count(plane, namespace, since) == counts
    _stays_at_rest(start_operator, kubectl, namespace)


CHANGES = [
    pytest.param((each, mode), marks=() if (each, mode) in SHORT else pytest.mark.long)
    for each in WORKLOADS
    for mode in MODES
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change[0]}, {change[1]}")
def test_changing_a_cluster_survives_a_death_at_every_change(
    plane: ControlPlane,
    kubectl: Kubectl,
    namespace: str,
    start_operator: Start,
    tmp_path: Path,
    change: tuple[str, str],
) -> None:
    workload, mode = change
    before, after = WORKLOADS[workload]
    wanted, counts = _reference(start_operator, plane, kubectl, namespace, before, after)
    assert counts
    _forget_stubs(tmp_path)
    process = start_operator("b", **SHORT_LEASE)
    _apply(kubectl, namespace, before)
    kubectl.wait_condition(namespace, "demo", "Ready")
    process.stop()
    since = plane.audit_log.stat().st_size
    _apply(kubectl, namespace, after)
    assert _live_and_die(start_operator, kubectl, namespace, mode) > 2
    assert _is_ready(kubectl, namespace)
    assert _state(kubectl, namespace) == wanted
    assert _count(plane, namespace, since) == counts
    _stays_at_rest(start_operator, kubectl, namespace)


def _stays_at_rest(start: Start, kubectl: Kubectl, namespace: str) -> None:
    """Three full lists of a fresh process that leads change nothing."""
    process = start("c", **SHORT_LEASE)
    before = process.changes()

    def leads() -> bool:
        lease = kubectl.get("lease", namespace, "trading-operator")
        return bool(lease["spec"].get("holderIdentity") == "c")

    until(leads, "it leads", 60)
    time.sleep(8.0)
    assert process.changes() == before


def _forget_stubs(folder: Path) -> None:
    """The disks of the first cluster are gone, so are those of its stubs."""
    for file in folder.glob("*.world"):
        file.unlink()
