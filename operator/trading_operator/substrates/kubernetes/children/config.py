"""The topology, and the Secrets' metadata: their values are made once and never written again."""

from __future__ import annotations

from collections.abc import Iterator

from trading_contract.topology import Topology
from trading_contract.tradingcluster import TradingClusterSpec
from trading_operator.planner.topology import topology_text
from trading_operator.substrates.kubernetes.children.building import (
    ClusterIdentity,
    Object,
    goes_with_cluster,
)


def topology_map(identity: ClusterIdentity, spec: TradingClusterSpec, topology: Topology) -> Object:
    """What replicas and partitions read; under `retain` it stays with the disks."""
    name, is_owned = f"{identity.name}-topology", goes_with_cluster(spec)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": identity.metadata(name, is_owned=is_owned),
        "data": {"topology.json": topology_text(topology)},
    }


def secrets(identity: ClusterIdentity, spec: TradingClusterSpec) -> Iterator[Object]:
    """Labels and owner of the Secrets that are ours."""
    names = [f"{identity.name}-credentials"]
    if spec.access.api_keys_secret_ref is None:
        names.append(f"{identity.name}-api-keys")
    for name in names:
        yield {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": identity.metadata(name, is_owned=goes_with_cluster(spec)),
        }
