"""The operator on a real API server: real process, real watches, real admission; stubbed pods."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubernetes_cluster.control_plane import ControlPlane
from kubernetes_cluster.rights import calls
from operator_process import ROOT, SHORT_LEASE, Kubectl, OperatorProcess, until

pytestmark = pytest.mark.kubernetes
Start = Callable[..., OperatorProcess]
MINIMAL = ROOT / "examples" / "01-minimal" / "cluster.yaml"


def _cluster(**spec: Any) -> str:
    document = {
        "apiVersion": "hft.trading/v1alpha1",
        "kind": "TradingCluster",
        "metadata": {"name": "demo"},
        "spec": {"symbols": [{"name": "BTCUSDT"}, {"name": "ETHUSDT"}], **spec},
    }
    return yaml.safe_dump(document)


def _apply(kubectl: Kubectl, namespace: str, **spec: Any) -> str:
    return kubectl("apply", "-n", namespace, "-f", "-", stdin=_cluster(**spec))


def _settle(operator: OperatorProcess, quiet_seconds: float = 3.0) -> list[str]:
    """The changes, once there were none for a while."""
    seen, since = operator.changes(), time.monotonic()
    while time.monotonic() - since < quiet_seconds:
        time.sleep(0.2)
        if (now := operator.changes()) != seen:
            seen, since = now, time.monotonic()
    return seen


def test_a_cluster_comes_ready_and_then_nothing_is_changed_any_more(
    plane: ControlPlane, kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    operator = start_operator()
    _apply(kubectl, namespace)
    kubectl.wait_condition(namespace, "demo", "Ready")
    before, since = _settle(operator), plane.audit_log.stat().st_size
    time.sleep(7.0)  # three full lists
    assert operator.changes() == before
    asked = calls(plane.audit_log, "trading-operator", namespace, since)
    assert asked["update leases"] > 1
    assert asked["get leases"] == 0  # who wrote it last knows it


def test_applying_twice_says_unchanged_and_a_diff_is_empty(
    kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    start_operator()
    kubectl("apply", "-n", namespace, "-f", str(MINIMAL))
    kubectl.wait_condition(namespace, "minimal", "Ready")
    assert "unchanged" in kubectl("apply", "-n", namespace, "-f", str(MINIMAL))
    assert kubectl("diff", "-n", namespace, "-f", str(MINIMAL)) == ""


def test_ready_is_never_told_before_the_edit_is_in_place(
    kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    start_operator()
    _apply(kubectl, namespace)
    kubectl.wait_condition(namespace, "demo", "Ready")
    for replicas in (3, 1, 2):
        _apply(kubectl, namespace, backends={"replicas": replicas})
        kubectl(
            "wait", "-n", namespace, "--for=condition=Ready", "tradingcluster/demo",
            "--timeout=60s",
        )  # fmt: skip
        pods = kubectl.get("pods", namespace, selector="hft.trading/role=replica")["items"]
        ready = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        assert len(ready) == replicas


@pytest.mark.parametrize(
    "thing",
    ["service/demo", "statefulset/demo-partition-0", "deployment/demo-backend",
     "configmap/demo-topology", "networkpolicy/demo-shard", "poddisruptionbudget/demo-redis"],
)  # fmt: skip
def test_what_is_deleted_by_hand_comes_back(
    kubectl: Kubectl, namespace: str, start_operator: Start, thing: str
) -> None:
    start_operator()
    _apply(kubectl, namespace)
    kubectl.wait_condition(namespace, "demo", "Ready")
    kind, _, name = thing.partition("/")
    before = kubectl.get(kind, namespace, name)["metadata"]["uid"]
    kubectl("delete", "-n", namespace, thing, "--wait=false")

    def is_back() -> bool:
        answer = kubectl("get", "-n", namespace, thing, "-o", "json", check=False)
        try:
            return bool(json.loads(answer)["metadata"]["uid"] != before)
        except ValueError:
            return False

    until(is_back, f"{thing} is back")
    kubectl.wait_condition(namespace, "demo", "Ready")


def test_what_is_edited_by_hand_is_put_right_and_what_others_add_stays(
    kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    start_operator()
    _apply(kubectl, namespace)
    kubectl.wait_condition(namespace, "demo", "Ready")
    patch = {
        "metadata": {"annotations": {"somebody": "else"}, "labels": {"hft.trading/role": "x"}},
        "spec": {"replicas": 7},
    }
    kubectl("patch", "-n", namespace, "deployment/demo-backend", "-p", json.dumps(patch))

    def is_right() -> bool:
        body = kubectl.get("deployment", namespace, "demo-backend")
        labels = body["metadata"]["labels"]
        return body["spec"]["replicas"] == 1 and labels["hft.trading/role"] == "replica"

    until(is_right, "the edit is put right")
    annotations = kubectl.get("deployment", namespace, "demo-backend")["metadata"]["annotations"]
    assert annotations["somebody"] == "else"


def test_a_foreign_object_is_left_alone_and_reported_until_it_is_gone(
    kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    kubectl("create", "service", "clusterip", "demo", "-n", namespace, "--tcp=1234")
    start_operator()
    _apply(kubectl, namespace)
    stalled = kubectl.wait_condition(namespace, "demo", "Stalled")
    assert stalled["reason"] == "NameCollision"
    assert "Service demo" in stalled["message"]
    assert kubectl.get("service", namespace, "demo")["spec"]["ports"][0]["port"] == 1234
    kubectl("delete", "service", "demo", "-n", namespace)
    kubectl.wait_condition(namespace, "demo", "Ready", timeout_seconds=90)


def test_an_image_that_does_not_exist_stops_nothing_and_is_healed_by_putting_it_back(
    kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    start_operator()
    _apply(kubectl, namespace)
    kubectl.wait_condition(namespace, "demo", "Ready")
    partition = kubectl.get("pod", namespace, "demo-partition-0-0")["metadata"]["uid"]
    _apply(kubectl, namespace, image="does-not-exist:1")
    stalled = kubectl.wait_condition(namespace, "demo", "Stalled", timeout_seconds=90)
    assert stalled["reason"] == "ImageUnavailable"
    assert "spec.image" in stalled["message"]
    assert kubectl.condition(namespace, "demo", "Available")["status"] == "True"
    assert kubectl.get("pod", namespace, "demo-partition-0-0")["metadata"]["uid"] == partition
    _apply(kubectl, namespace)
    kubectl.wait_condition(namespace, "demo", "Ready")
    assert kubectl.get("pod", namespace, "demo-partition-0-0")["metadata"]["uid"] == partition


def test_a_partition_that_owns_slots_stays_when_it_is_taken_out_of_the_specification(
    kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    start_operator()
    _apply(kubectl, namespace, partitions={"count": 2})
    kubectl.wait_condition(namespace, "demo", "Ready")
    # Paused, nobody moves anything; gone on, it is emptied (see test_move_control_plane).
    _apply(kubectl, namespace, partitions={"count": 1}, paused=True)
    blocked = kubectl.wait_condition(namespace, "demo", "TurndownBlocked")
    assert "partition-1 still owns" in blocked["message"]
    time.sleep(3)
    kubectl.get("statefulset", namespace, "demo-partition-1")


def test_a_secret_that_is_not_there_is_named_and_trading_goes_on(
    kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    start_operator()
    _apply(kubectl, namespace)
    kubectl.wait_condition(namespace, "demo", "Ready")
    _apply(kubectl, namespace, access={"apiKeysSecretRef": "mine"})
    stalled = kubectl.wait_condition(namespace, "demo", "Stalled")
    assert stalled["reason"] == "SecretMissing"
    assert "spec.access.apiKeysSecretRef" in stalled["message"]
    kubectl("create", "secret", "generic", "mine", "-n", namespace, "--from-literal=x=y")
    until(
        lambda: "no key" in kubectl.condition(namespace, "demo", "Stalled")["message"],
        "the malformed Secret is told", 30,
    )  # fmt: skip
    kubectl("delete", "secret", "mine", "-n", namespace)
    kubectl(
        "create", "secret", "generic", "mine", "-n", namespace, "--from-literal=api-keys.json={}"
    )
    kubectl.wait_condition(namespace, "demo", "Ready", timeout_seconds=60)


def test_everything_of_a_cluster_goes_with_its_namespace_though_no_operator_is_there(
    kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    operator = start_operator()
    _apply(kubectl, namespace)
    kubectl.wait_condition(namespace, "demo", "Ready")
    operator.kill()
    begun = time.monotonic()
    kubectl("delete", "namespace", namespace, "--timeout=60s")
    assert time.monotonic() - begun < 60
    kubectl("create", "namespace", namespace)


def test_a_deleted_cluster_leaves_what_its_disks_need_and_a_new_one_takes_it_up(
    kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    start_operator()
    _apply(kubectl, namespace)
    kubectl.wait_condition(namespace, "demo", "Ready")
    password = kubectl.get("secret", namespace, "demo-credentials")["data"]
    kubectl("delete", "tradingcluster", "demo", "-n", namespace)
    until(
        lambda: not kubectl.get("pods", namespace)["items"], "the pods are gone", 60
    )  # fmt: skip
    kept = kubectl("get", "secret,configmap,service,pvc", "-n", namespace, "-o", "name").split()
    names = {name.partition("/")[2] for name in kept} - {"kube-root-ca.crt"}
    assert names == {
        "demo-credentials", "demo-api-keys", "demo-topology", "demo-shard-0",
        "demo-shard-0-config", "demo-shard-0-sync", "demo-shard-0-failover",
        "data-demo-shard-0-0",
    }  # fmt: skip
    _apply(kubectl, namespace)
    kubectl.wait_condition(namespace, "demo", "Ready")
    assert kubectl.get("secret", namespace, "demo-credentials")["data"] == password


def test_a_cluster_whose_disks_lost_their_topology_is_not_made_up_anew(
    kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    start_operator()
    _apply(kubectl, namespace)
    kubectl.wait_condition(namespace, "demo", "Ready")
    kubectl("delete", "tradingcluster", "demo", "-n", namespace)
    until(lambda: not kubectl.get("pods", namespace)["items"], "the pods are gone", 60)
    kubectl("delete", "configmap", "demo-topology", "-n", namespace)
    _apply(kubectl, namespace)
    stalled = kubectl.wait_condition(namespace, "demo", "Stalled")
    assert stalled["reason"] == "UnsafeChange"
    assert "demo-topology" in stalled["message"]
    assert not kubectl.get("pods", namespace)["items"]


def test_a_hibernating_cluster_stops_and_wakes_up(
    kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    start_operator()
    _apply(kubectl, namespace)
    kubectl.wait_condition(namespace, "demo", "Ready")
    _apply(kubectl, namespace, hibernated=True)
    kubectl.wait_condition(namespace, "demo", "Hibernated")
    assert not kubectl.get("pods", namespace)["items"]
    _apply(kubectl, namespace)
    kubectl.wait_condition(namespace, "demo", "Ready")


def test_another_operator_takes_over_at_once_when_asked_and_soon_when_killed(
    kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    first = start_operator("a", **SHORT_LEASE)
    _apply(kubectl, namespace)
    kubectl.wait_condition(namespace, "demo", "Ready")
    second = start_operator("b", **SHORT_LEASE)

    def holder() -> str:
        lease = kubectl.get("lease", namespace, "trading-operator")
        return str(lease["spec"].get("holderIdentity", ""))

    time.sleep(4)
    assert holder() == "a"
    first.stop()
    until(lambda: holder() == "b", "the second one leads", 6)
    third = start_operator("c", **SHORT_LEASE)
    time.sleep(4)
    second.kill()
    until(lambda: holder() == "c", "the third one leads", 20)
    _apply(kubectl, namespace, backends={"replicas": 2})
    kubectl.wait_condition(namespace, "demo", "Ready")
    assert third.process is not None


def test_an_operator_that_loses_its_lease_ends(
    kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    operator = start_operator("a", **SHORT_LEASE)
    _apply(kubectl, namespace)
    kubectl.wait_condition(namespace, "demo", "Ready")
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
    spec = {"holderIdentity": "somebody", "leaseDurationSeconds": 3600, "renewTime": now}
    for _ in range(20):
        kubectl(
            "patch", "lease", "trading-operator", "-n", namespace, "--type=merge", "-p",
            json.dumps({"spec": spec}),
        )  # fmt: skip
        if operator.wait_died(1.0):
            break
    assert operator.process is None


def test_the_api_server_may_go_away_and_come_back(
    plane: ControlPlane, kubectl: Kubectl, namespace: str, start_operator: Start
) -> None:
    operator = start_operator(TRADING_OPERATOR_LEASE_SECONDS="30")
    _apply(kubectl, namespace)
    kubectl.wait_condition(namespace, "demo", "Ready")
    plane.stop_api_server()
    time.sleep(8)
    plane.start_api_server()
    _apply(kubectl, namespace, backends={"replicas": 2})
    kubectl.wait_condition(namespace, "demo", "Ready", timeout_seconds=60)
    assert operator.process is not None
    assert operator.process.poll() is None


def test_a_missing_definition_is_said_at_the_start(tmp_path: Path, plane: ControlPlane) -> None:
    plane.kubectl("get", "crd", "tradingclusters.hft.trading")
    other = tmp_path / "broken.kubeconfig"
    other.write_text("apiVersion: v1\nkind: Config\n")
    operator = OperatorProcess(other, tmp_path).start()
    assert operator.wait_died(20)
    assert "KUBECONFIG" in operator.log.read_text()
