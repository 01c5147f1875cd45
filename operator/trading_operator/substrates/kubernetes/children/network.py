"""Who may talk to whom: each tier only to those that need it, and to the operator."""

from __future__ import annotations

from collections.abc import Iterator

from trading_operator.substrates.kubernetes.children import backends, partitions, redis, shards
from trading_operator.substrates.kubernetes.children.building import ClusterIdentity, Object

OPERATOR = {"app.kubernetes.io/name": "trading-operator"}
PROMETHEUS = {"app.kubernetes.io/name": "prometheus"}


def policies(identity: ClusterIdentity) -> Iterator[Object]:
    """One NetworkPolicy per tier."""
    shard, node = identity.selector(shards.ROLE), identity.selector(redis.ROLE)
    partition, replica = identity.selector(partitions.ROLE), identity.selector(backends.ROLE)
    yield _policy(
        identity,
        shards.ROLE,
        (_from([shard, partition, replica], [shards.PORT]), _from([shard], [shards.PATRONI_PORT])),
        [shards.PORT, shards.PATRONI_PORT],
    )
    yield _policy(
        identity,
        redis.ROLE,
        (_from([node, partition, replica], [redis.PORT]), _from([node], [redis.BUS_PORT])),
        [redis.PORT],
    )
    yield _policy(
        identity, partitions.ROLE,
        (_from([partition, replica], [partitions.PORT]),
         _from_anywhere(PROMETHEUS, [partitions.HEALTH_PORT])),
        [partitions.PORT],
    )  # fmt: skip
    yield _policy(identity, backends.ROLE, (_from_all([backends.PORT]),), [])


def _policy(
    identity: ClusterIdentity, role: str, rules: tuple[Object, ...], operator_ports: list[int]
) -> Object:
    ingress = list(rules)
    if operator_ports:
        ingress.append(_from_anywhere(OPERATOR, operator_ports))
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": identity.metadata(f"{identity.name}-{role}"),
        "spec": {
            "podSelector": {"matchLabels": identity.selector(role)},
            "policyTypes": ["Ingress"],
            "ingress": ingress,
        },
    }


def _from(selectors: list[dict[str, str]], ports: list[int]) -> Object:
    peers = [{"podSelector": {"matchLabels": selector}} for selector in selectors]
    return {"from": peers, "ports": _ports(ports)}


def _from_anywhere(labels: dict[str, str], ports: list[int]) -> Object:
    """Pods of these labels in any namespace."""
    peer = {"namespaceSelector": {}, "podSelector": {"matchLabels": labels}}
    return {"from": [peer], "ports": _ports(ports)}


def _from_all(ports: list[int]) -> Object:
    return {"ports": _ports(ports)}


def _ports(ports: list[int]) -> list[Object]:
    return [{"port": port, "protocol": "TCP"} for port in ports]
