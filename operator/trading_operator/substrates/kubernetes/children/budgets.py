"""How many pods of each tier may be away for a drain of their machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from trading_operator.substrates.kubernetes.children import backends, partitions, redis, shards
from trading_operator.substrates.kubernetes.children.building import ClusterIdentity, Object


def budgets(identity: ClusterIdentity, shard_names: Sequence[str]) -> Iterator[Object]:
    """One at a time: per tier, and for the shards per shard."""
    for role in (backends.ROLE, partitions.ROLE, redis.ROLE):
        yield _budget(identity, f"{identity.name}-{role}", role, "")
    for component in shard_names:
        yield _budget(identity, f"{identity.name}-{component}", shards.ROLE, component)


def _budget(identity: ClusterIdentity, name: str, role: str, component: str) -> Object:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": identity.metadata(name, role, component),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": identity.selector(role, component)},
        },
    }
