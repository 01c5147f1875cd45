"""All objects of a cluster, in the order in which they are made."""

from __future__ import annotations

from collections.abc import Iterator

from trading_contract.topology import Topology
from trading_contract.tradingcluster import TradingClusterSpec
from trading_operator.substrates.kubernetes.children import (
    access,
    backends,
    budgets,
    config,
    exposure,
    network,
    partitions,
    redis,
    shards,
)
from trading_operator.substrates.kubernetes.children.building import ClusterIdentity, Object


def wanted_children(
    identity: ClusterIdentity, spec: TradingClusterSpec, topology: Topology
) -> tuple[Object, ...]:
    """Everything the cluster consists of.

    The topology says which shards, partitions and nodes there are, those too that the specification
    no longer asks for but that still own something.
    """
    return tuple(_objects(identity, spec, topology))


def _objects(
    identity: ClusterIdentity, spec: TradingClusterSpec, topology: Topology
) -> Iterator[Object]:
    shard_names = [shard.name for shard in topology.shards]
    yield from config.secrets(identity, spec)
    yield config.topology_map(identity, spec, topology)
    yield from access.objects(identity)
    yield from network.policies(identity)
    for name in shard_names:
        yield from shards.services(identity, spec, name)
        yield shards.stateful_set(identity, spec, name)
    yield redis.service(identity)
    yield redis.stateful_set(identity, spec, len(topology.redis_nodes))
    yield partitions.service(identity)
    for partition in topology.partitions:
        yield partitions.stateful_set(identity, spec, partition.name)
    yield backends.deployment(identity, spec)
    yield from exposure.objects(identity, spec)
    yield from budgets.budgets(identity, shard_names)
