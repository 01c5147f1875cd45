"""Specification and world -> names, addresses and topology of a cluster on Kubernetes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trading_contract.topology import SlotPlacement, Topology
from trading_contract.tradingcluster import TradingCluster
from trading_operator.planner.actions import Component
from trading_operator.planner.autoscale.counts import highest
from trading_operator.planner.keeping import kept_components, leaving_nodes, wanted_names
from trading_operator.planner.kubernetes.seen import KubernetesSeen
from trading_operator.planner.moves.ownership import folded_slots
from trading_operator.planner.observed import Observed, Role
from trading_operator.planner.placement import initial_slots
from trading_operator.planner.redis_cluster import NodeWanted, unheard_hash_slots
from trading_operator.planner.scaling.signals import Tier
from trading_operator.planner.topology import (
    WantedCluster,
    same_but_revision,
    wanted_topology,
)

POSTGRES_PORT = 5432
PARTITION_PORT = 9000
NODE_PORT = 6379
BUS_PORT = 16_379
REPLICA_PORT = 8080
PORTS: Mapping[Role, int] = {
    Role.SHARD: POSTGRES_PORT,
    Role.NODE: NODE_PORT,
    Role.PARTITION: PARTITION_PORT,
    Role.REPLICA: REPLICA_PORT,
}


@dataclass(frozen=True)
class PodAddresses:
    """The names that pods have in the DNS of their Kubernetes cluster; they outlive the pods."""

    cluster: str
    namespace: str
    members: int

    def shard(self, name: str) -> tuple[str, ...]:
        """host:port of each member."""
        domain = f"{self.cluster}-{name}-members.{self.namespace}.svc"
        return tuple(
            f"{self.cluster}-{name}-{index}.{domain}:{POSTGRES_PORT}"
            for index in range(self.members)
        )

    def partition(self, name: str) -> tuple[str, int]:
        """Host and port."""
        domain = f"{self.cluster}-partitions.{self.namespace}.svc"
        return f"{self.cluster}-{name}-0.{domain}", PARTITION_PORT

    def node(self, name: str) -> str:
        """host:port."""
        domain = f"{self.cluster}-redis.{self.namespace}.svc"
        return f"{self.cluster}-{name}.{domain}:{NODE_PORT}"


def as_scaled(cluster: TradingCluster, seen: KubernetesSeen) -> TradingCluster:
    """The cluster with as many replicas as somebody else's autoscaler asks for, if there is one."""
    backends = cluster.spec.backends
    live = seen.child("Deployment", f"{cluster.metadata.name}-backend")
    count = live.manifest.get("spec", {}).get("replicas") if live else None
    if backends.managed_by != "External" or not count:
        return cluster
    scaled = backends.model_copy(update={"replicas": count})
    spec = cluster.spec.model_copy(update={"backends": scaled})
    return cluster.model_copy(update={"spec": spec})


def units_there(cluster: TradingCluster, seen: KubernetesSeen) -> dict[Tier, int]:
    """How many units of each tier the objects tell, for when the status was lost."""
    topology, name = seen.topology, f"{cluster.metadata.name}-backend"
    live = seen.child("Deployment", name)
    counts = dict.fromkeys(Tier, 0)
    counts[Tier.BACKENDS] = (live.manifest.get("spec", {}).get("replicas") or 0) if live else 0
    if topology is not None:
        shards, partitions = topology.shards, topology.partitions
        counts[Tier.PARTITIONS] = highest((each.name for each in partitions), Tier.PARTITIONS)
        counts[Tier.SHARDS] = highest((each.name for each in shards), Tier.SHARDS)
        nodes_of_a_master = 1 + cluster.spec.redis.replicas_per_master
        counts[Tier.REDIS] = len(topology.redis_nodes) // nodes_of_a_master
    return counts


def wanted_on_kubernetes(
    cluster: TradingCluster,
    namespace: str,
    seen: KubernetesSeen,
    salvaged: tuple[SlotPlacement, ...] | None,
    now: float,
) -> tuple[WantedCluster, Topology]:
    """What should be, without the templates' hashes, and the topology with its next revision.

    `salvaged` are the slots of a topology that was lost; its revision is taken from the time, as
    that is above every number that was counted.
    """
    spec = cluster.spec
    slots = salvaged or initial_slots(spec)
    if seen.topology is not None:
        slots = folded_slots(seen.topology.slots, seen.shards)
    looked = Observed(nodes=seen.nodes, shards=seen.shards, topology=seen.topology)
    kept = kept_components(spec, slots, looked) | _unheard_of(cluster, seen)
    names = {role: _with_kept(role, wanted_names(spec, role), kept) for role in PORTS}
    addresses = PodAddresses(cluster.metadata.name, namespace, spec.shards.members)
    topology = wanted_topology(cluster, names, addresses, slots, seen.topology)
    if seen.topology is None and salvaged:
        topology = topology.model_copy(update={"revision": int(now)})
    else:
        topology = revised(topology, seen.topology)
    ips = {pod.component: pod.ip for pod in seen.pods if pod.role == Role.NODE and pod.ip}
    nodes = tuple(
        NodeWanted(name, ips.get(name, ""), NODE_PORT, BUS_PORT) for name in names[Role.NODE]
    )
    components = tuple(Component(name, role, PORTS[role]) for role in PORTS for name in names[role])
    return WantedCluster(components, topology, nodes, kept, (), {}, slots), topology


def revised(topology: Topology, published: Topology | None) -> Topology:
    """The topology with its next revision; the published one where it says the same."""
    if published is not None and same_but_revision(topology, published):
        return published
    before = published.revision if published is not None else topology.revision
    return topology.model_copy(update={"revision": before + 1})


def _unheard_of(cluster: TradingCluster, seen: KubernetesSeen) -> dict[str, str]:
    """Nodes that stay as it is not known whether they own hash slots.

    That of each node is known, be it silent, when those that answer own all hash slots.
    """
    live = seen.child("StatefulSet", f"{cluster.metadata.name}-redis")
    count = (live.manifest.get("spec", {}).get("replicas") or 0) if live else 0
    unheard = unheard_hash_slots(seen.nodes)
    if seen.nodes and not unheard:
        return {}
    why = f"{unheard} hash slots are of nodes that do not answer" if unheard else "no node answers"
    there = [f"{Role.NODE}-{index}" for index in range(count)]
    return {name: f"{name} stays as {why}" for name in sorted(leaving_nodes(cluster.spec, there))}


def _with_kept(role: Role, names: list[str], kept: Mapping[str, str]) -> list[str]:
    """The names and those still needed; nodes of one StatefulSet have no holes between them."""
    mine = [name for name in kept if name.startswith(f"{role}-")]
    if role is not Role.NODE or not mine:
        return [*names, *mine]
    highest = max(int(name.rpartition("-")[2]) for name in mine)
    return [f"{role}-{index}" for index in range(highest + 1)]
