"""What a person wants of a cluster on Kubernetes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trading_contract.status import ClusterStatus
from trading_contract.topology import Topology
from trading_contract.tradingcluster import TradingCluster, TradingClusterSpec
from trading_operator.planner.autoscale.plan import ScaleMemory
from trading_operator.planner.child_actions import Manifest
from trading_operator.planner.kubernetes.children import Differences

Builder = Callable[[TradingClusterSpec, Topology], tuple[Manifest, ...]]


@dataclass(frozen=True)
class KubernetesIntent:
    """What a person wants, and how its objects are made from a topology."""

    cluster: TradingCluster
    namespace: str
    build: Builder
    differences: Differences
    is_deleting: bool = False
    previous: ClusterStatus | None = None
    scale: ScaleMemory | None = None  # of the visit before; None: the status tells enough
