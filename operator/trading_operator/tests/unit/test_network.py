"""Who reaches whom, by evaluating the NetworkPolicies as Kubernetes defines them.

The network of the tests' node does not enforce policies, so this is where they are shown to be
right: that what must talk can, and that nobody else gets in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from trading_operator.substrates.kubernetes.children.building import ClusterIdentity
from trading_operator.substrates.kubernetes.children.network import policies

IDENTITY = ClusterIdentity("demo", "trade", "uid")
Policy = Mapping[str, Any]


@dataclass(frozen=True)
class Peer:
    """A pod, or somebody outside of Kubernetes, who has no labels."""

    labels: Mapping[str, str] = field(default_factory=dict)
    namespace: str = ""


def _of(role: str, cluster: str = "demo", namespace: str = "trade") -> Peer:
    return Peer(ClusterIdentity(cluster, namespace, "uid").labels(role), namespace)


REPLICA, PARTITION, SHARD, NODE = map(_of, ("replica", "partition", "shard", "redis"))
OPERATOR = Peer({"app.kubernetes.io/name": "trading-operator"}, "trading-system")
PROMETHEUS = Peer({"app.kubernetes.io/name": "prometheus"}, "monitoring")
BOT = Peer({"app": "bot"}, "trade")
OUTSIDER = Peer()
OTHER_PARTITION = _of("partition", cluster="other")
ELSEWHERE = _of("partition", namespace="elsewhere")
ALL = {
    "replica": REPLICA, "partition": PARTITION, "shard": SHARD, "redis": NODE,
    "operator": OPERATOR, "prometheus": PROMETHEUS, "bot": BOT, "outside": OUTSIDER,
    "other cluster": OTHER_PARTITION, "other namespace": ELSEWHERE,
}  # fmt: skip
# Who gets in at which port of which tier; nobody else does.
REACHES = {
    ("replica", 8080): set(ALL),
    ("partition", 9000): {"replica", "partition", "operator"},
    ("shard", 5432): {"replica", "partition", "shard", "operator"},
    ("shard", 8008): {"shard", "operator"},
    ("redis", 6379): {"replica", "partition", "redis", "operator"},
    ("redis", 16379): {"redis"},
    ("partition", 9001): {"prometheus"},  # and kubelets, whom no policy stops
    ("replica", 22): set(),
}


def _matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """An empty selector takes all; expressions are not used by us."""
    assert set(selector) <= {"matchLabels"}
    return bool(selector.get("matchLabels", {}).items() <= labels.items())


def _lets_in(rule: Mapping[str, Any], policy: Policy, source: Peer, port: int) -> bool:
    ports = rule.get("ports")
    if ports is not None and not any(each["port"] == port for each in ports):
        return False
    return "from" not in rule or any(_is_peer(each, policy, source) for each in rule["from"])


def _is_peer(peer: Mapping[str, Any], policy: Policy, source: Peer) -> bool:
    """A peer without a namespaceSelector means pods of the policy's own namespace."""
    assert set(peer) <= {"podSelector", "namespaceSelector"}
    if not source.namespace:
        return False
    if "namespaceSelector" in peer:
        assert peer["namespaceSelector"] == {}
    elif source.namespace != policy["metadata"]["namespace"]:
        return False
    return _matches(peer.get("podSelector", {}), source.labels)


def _may_reach(source: Peer, target: Peer, port: int) -> bool:
    """The union of all policies that select the target; without any, everybody may."""
    selecting = [
        policy for policy in policies(IDENTITY)
        if policy["metadata"]["namespace"] == target.namespace
        and _matches(policy["spec"]["podSelector"], target.labels)
    ]  # fmt: skip
    if not selecting:
        return True
    return any(
        _lets_in(rule, policy, source, port)
        for policy in selecting
        for rule in policy["spec"]["ingress"]
    )


@pytest.mark.parametrize("target", REACHES, ids=lambda target: f"{target[0]}:{target[1]}")
def test_only_those_who_need_it_get_in(target: tuple[str, int]) -> None:
    tier, port = target
    found = {name for name, peer in ALL.items() if _may_reach(peer, ALL[tier], port)}
    assert found == REACHES[target]


def test_nobody_is_kept_from_calling_out() -> None:
    """Shards call the API server and all ask the DNS, whose addresses a policy cannot know."""
    assert all(policy["spec"]["policyTypes"] == ["Ingress"] for policy in policies(IDENTITY))


def test_other_clusters_are_left_alone() -> None:
    assert _may_reach(OUTSIDER, OTHER_PARTITION, 9000)
