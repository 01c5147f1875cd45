"""What Kubernetes and the components behind it look like, as values. None means unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from trading_contract.symbolmove import SymbolMove
from trading_contract.topology import Topology
from trading_operator.planner.child_actions import Manifest
from trading_operator.planner.observed import (
    Failure,
    NodeSeen,
    PartitionSeen,
    ReplicaSeen,
    ShardSeen,
)
from trading_operator.planner.scaling.observed_load import ClusterLoad

PREPARED_ANNOTATION = "hft.trading/prepared-hash"
TEMPLATE_ANNOTATION = "hft.trading/template-hash"
REVISION_ANNOTATION = "hft.trading/topology-revision"


class ChildKey(NamedTuple):
    """Which object of the cluster's namespace."""

    kind: str
    name: str


@dataclass(frozen=True)
class ChildSeen:
    """One object that carries the cluster's labels.

    `is_ours` is False when another cluster, or another object of this name, controls it.
    """

    uid: str
    resource_version: str
    manifest: Manifest = field(repr=False)
    is_ours: bool = True
    is_deleting: bool = False


@dataclass(frozen=True)
class PodProblem:
    """Why a pod does not come up."""

    reason: str  # of the closed set of condition reasons
    text: str
    needs_person: bool
    since: float  # Unix seconds; 0 = unknown


@dataclass(frozen=True)
class PodSeen:
    """One pod of the cluster. `template_hash` is that of the template it was made from."""

    name: str
    uid: str
    role: str
    component: str  # such as shard-0; "" for replicas
    template_hash: str
    ip: str = ""
    is_ready: bool = False
    unready_since: float = 0.0  # Unix seconds; 0 = it is ready, or that is unknown
    is_deleting: bool = False
    is_older_than_topology: bool = False
    told_revision: int = 0
    problem: PodProblem | None = None


@dataclass(frozen=True)
class MemberSeen:
    """One PostgreSQL of a shard, as Patroni tells it."""

    name: str
    is_leader: bool
    is_streaming: bool
    is_synchronous: bool = False
    follows_nobody: bool = False  # a standby that serves and gets nothing from a primary


@dataclass(frozen=True)
class KubernetesSeen:
    """One look at a cluster. `claims` are the components whose disks exist."""

    children: Mapping[ChildKey, ChildSeen] | None = None
    pods: tuple[PodSeen, ...] = ()
    claims: frozenset[str] = frozenset()
    disks: Mapping[str, int] = field(default_factory=dict)  # bytes of a component's smallest
    topology: Topology | None = None
    topology_known: bool = True
    has_credentials: bool = False
    credentials_problem: str = ""
    api_keys_problem: str = ""
    shards: Mapping[str, ShardSeen] = field(default_factory=dict)
    members: Mapping[str, tuple[MemberSeen, ...]] = field(default_factory=dict)
    configs: Mapping[str, Manifest] = field(default_factory=dict)  # Patroni's, by shard
    partitions: Mapping[str, PartitionSeen] = field(default_factory=dict)
    nodes: Mapping[str, NodeSeen] = field(default_factory=dict)
    replicas: Mapping[str, ReplicaSeen] = field(default_factory=dict)  # by pod
    failures: Mapping[str, Failure] = field(default_factory=dict)
    busy: Mapping[str, str] = field(default_factory=dict)
    moves: tuple[SymbolMove, ...] = ()
    collisions: Mapping[ChildKey, str] = field(default_factory=dict)
    load: ClusterLoad | None = None
    unserved: frozenset[ChildKey] = frozenset()  # of kinds that the API server does not know

    def child(self, kind: str, name: str) -> ChildSeen | None:
        """The object of that kind and name, if it was seen."""
        return (self.children or {}).get(ChildKey(kind, name))

    def pods_of(self, component: str) -> tuple[PodSeen, ...]:
        """The pods of one component, by name."""
        return tuple(pod for pod in self.pods if pod.component == component)
