"""The objects of a cluster: as agreed, restricted, labelled, owned as the disks are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from trading_contract.manifest import load_cluster
from trading_contract.tradingcluster import TradingCluster
from trading_operator.planner.kubernetes.children import template_hash_of
from trading_operator.planner.kubernetes.seen import KubernetesSeen
from trading_operator.planner.kubernetes.wanted import wanted_on_kubernetes
from trading_operator.substrates.kubernetes.children.all import wanted_children
from trading_operator.substrates.kubernetes.children.building import ClusterIdentity

ROOT = Path(__file__).resolve().parents[4]
GOLDEN = Path(__file__).resolve().parents[1] / "golden"
EXAMPLES = ("01-minimal", "02-three-shards", "03-redis-cluster-and-partitions")
IDENTITY_UID = "11111111-2222-3333-4444-555555555555"


def _cluster(example: str) -> TradingCluster:
    (path,) = (ROOT / "examples" / example).glob("*.yaml")
    return load_cluster(path.read_text())


def _children(cluster: TradingCluster) -> tuple[dict[str, Any], ...]:
    _, topology = wanted_on_kubernetes(cluster, "trade", KubernetesSeen(), None, 0.0)
    identity = ClusterIdentity(cluster.metadata.name, "trade", IDENTITY_UID)
    return wanted_children(identity, cluster.spec, topology)


def _changed(**spec: Any) -> TradingCluster:
    document = {
        "apiVersion": "hft.trading/v1alpha1",
        "kind": "TradingCluster",
        "metadata": {"name": "demo"},
        "spec": {"symbols": [{"name": "BTCUSDT"}], **spec},
    }
    return load_cluster(yaml.safe_dump(document))


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_objects_are_as_agreed(example: str) -> None:
    """`REWRITE=1 pytest ...` writes the files anew: review the difference."""
    text = yaml.safe_dump_all(_children(_cluster(example)), sort_keys=False, width=100)
    path = GOLDEN / f"{example}.yaml"
    if os.environ.get("REWRITE"):
        path.write_text(text)
    assert path.read_text() == text


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_pod_passes_pod_security_restricted(example: str) -> None:
    """The rules of the profile: kubernetes.io/docs/concepts/security/pod-security-standards."""
    templates = [c["spec"]["template"] for c in _children(_cluster(example)) if _is_workload(c)]
    assert templates
    for template in templates:
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        kinds = {next(key for key in volume if key != "name") for volume in pod["volumes"]}
        assert kinds <= {"configMap", "emptyDir", "projected", "secret", "persistentVolumeClaim"}
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"]["drop"] == ["ALL"]
            assert security["readOnlyRootFilesystem"] is True
            assert not any("hostPort" in port for port in container["ports"])


@pytest.mark.parametrize(("reclaim", "is_owned"), [("retain", False), ("delete", True)])
def test_what_the_disks_need_is_owned_only_if_the_disks_go_too(
    reclaim: str, is_owned: bool
) -> None:
    children = _children(_changed(shards={"storage": {"reclaim": reclaim}}))
    kept = {
        "demo-credentials", "demo-api-keys", "demo-topology", "demo-shard-0",
        "demo-shard-0-config", "demo-shard-0-sync", "demo-shard-0-failover",
    }  # fmt: skip
    for child in children:
        name = child["metadata"]["name"]
        is_kept = name in kept and child["kind"] in ("Secret", "ConfigMap", "Service")
        owners = child["metadata"].get("ownerReferences", [])
        assert bool(owners) == (is_owned or not is_kept), f"{child['kind']} {name}"
    sets = [c for c in children if c["metadata"]["name"] == "demo-shard-0" and _is_workload(c)]
    policy = sets[0]["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"]
    assert policy == {"retain": "Retain", "delete": "Delete"}[reclaim]


@pytest.mark.parametrize("example", EXAMPLES)
def test_everything_carries_the_labels_that_the_operator_looks_for(example: str) -> None:
    cluster = _cluster(example)
    for child in _children(cluster):
        labels = child["metadata"]["labels"]
        assert labels["hft.trading/cluster"] == cluster.metadata.name
        assert labels["app.kubernetes.io/managed-by"] == "trading-operator"
        if _is_workload(child):
            selector = child["spec"]["selector"]["matchLabels"].items()
            assert selector <= child["spec"]["template"]["metadata"]["labels"].items()
            for claim in child["spec"].get("volumeClaimTemplates", ()):
                assert claim["metadata"]["labels"]["hft.trading/cluster"] == cluster.metadata.name


def test_only_what_changes_a_pod_changes_its_template() -> None:
    before = _templates(_changed())
    assert _templates(_changed(backends={"replicas": 5}))["demo-backend"] == before["demo-backend"]
    more = _templates(_changed(symbols=[{"name": "BTCUSDT"}, {"name": "ETHUSDT"}]))
    assert more == before
    other = _templates(_changed(image="another:1"))
    assert all(other[name] != value for name, value in before.items())


def _templates(cluster: TradingCluster) -> dict[str, str]:
    return {
        child["metadata"]["name"]: template_hash_of(child)
        for child in _children(cluster)
        if _is_workload(child)
    }


def _is_workload(child: dict[str, Any]) -> bool:
    return child["kind"] in ("StatefulSet", "Deployment")
