"""A Kubernetes that does at once what it is told: for tests of the plan alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from trading_contract.manifest import load_cluster
from trading_contract.status import ClusterStatus
from trading_contract.symbolmove import SymbolMove
from trading_contract.tradingcluster import TradingCluster
from trading_operator.planner.actions import (
    Action,
    CommandNode,
    ForgetMove,
    MakeMove,
    PrepareShard,
    TakeHashSlots,
)
from trading_operator.planner.autoscale.plan import ScaleMemory
from trading_operator.planner.child_actions import (
    ApplyChild,
    ConfigureShard,
    DeleteChild,
    MakeSecret,
    Manifest,
    RollPod,
    SwitchPrimary,
    TellPod,
)
from trading_operator.planner.imagined_moves import at_rest, carried_out
from trading_operator.planner.kubernetes.children import CHILD_MANAGER, template_hash_of
from trading_operator.planner.kubernetes.intent import KubernetesIntent
from trading_operator.planner.kubernetes.plan import make_kubernetes_plan
from trading_operator.planner.kubernetes.seen import ChildKey, ChildSeen, KubernetesSeen, PodSeen
from trading_operator.planner.observed import (
    NodeSeen,
    PartitionSeen,
    PartitionSlot,
    PeerSeen,
    Reach,
    ReplicaSeen,
    Role,
    ShardSeen,
    SlotRow,
)
from trading_operator.planner.plan import Plan
from trading_operator.planner.preview import ALL_KINDS, imagine_command, imagine_taken
from trading_operator.planner.topology import shard_hash
from trading_operator.substrates.kubernetes.children.all import wanted_children
from trading_operator.substrates.kubernetes.children.building import ClusterIdentity
from trading_operator.substrates.kubernetes.children.differences import differences
from trading_operator.substrates.kubernetes.observe import read_topology

NOW = 1_700_000_000.0
ROUNDS_MAX = 80
UID = "11111111-2222-3333-4444-555555555555"


def cluster(**spec: Any) -> TradingCluster:
    """A cluster of two symbols."""
    document = {
        "apiVersion": "hft.trading/v1alpha1",
        "kind": "TradingCluster",
        "metadata": {"name": "demo"},
        "spec": {"symbols": [{"name": "BTCUSDT"}, {"name": "ETHUSDT"}], **spec},
    }
    return load_cluster(yaml.safe_dump(document))


@dataclass
class Imagined:
    """Objects, pods and what lies on disks. `is_sick` names pods that do not come up."""

    children: dict[ChildKey, Manifest] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)  # how often a pod was made
    templates: dict[str, str] = field(default_factory=dict)  # what each pod was made from
    rows: dict[str, dict[int, SlotRow]] = field(default_factory=dict)
    prepared: dict[str, str] = field(default_factory=dict)
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)
    nodes: dict[str, NodeSeen] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)
    owners: dict[int, str] = field(default_factory=dict)  # which partition serves a slot
    moves: dict[str, SymbolMove] = field(default_factory=dict)
    move_kinds: frozenset[str] = ALL_KINDS
    carries_out: bool = True
    is_sick: Callable[[str, str], bool] = lambda _pod, _template: False
    done: list[Action] = field(default_factory=list)
    remembers: bool = False  # each plan's status and averages are those of the next one
    said: ClusterStatus | None = None
    memory: ScaleMemory | None = None
    now: float = NOW

    def plan(self, wanted: TradingCluster, **changes: Any) -> Plan:
        """What is planned for it now."""
        identity = ClusterIdentity("demo", "trade", UID)
        intent = KubernetesIntent(
            wanted,
            "trade",
            lambda spec, topology: wanted_children(identity, spec, topology),
            differences,
            previous=self.said,
            scale=self.memory,
        )
        plan = make_kubernetes_plan(intent, replace(self.seen(), **changes), self.now)
        if self.remembers:
            self.said, self.memory = plan.status, plan.scale
        return plan

    def settle(self, wanted: TradingCluster) -> Plan:
        """Do what is planned until nothing is; returns the last plan."""
        for _ in range(ROUNDS_MAX):
            plan = self.plan(wanted)
            for name, status in plan.moves.statuses.items():
                self.moves[name] = self.moves[name].model_copy(update={"status": status})
            if not plan.actions:
                return plan
            for action in plan.actions:
                self.apply(action)
        raise AssertionError(f"it does not come to rest: {[a.describe() for a in plan.actions]}")

    def seen(self) -> KubernetesSeen:
        """One look at it."""
        topology, known, _ = read_topology(
            [dict(manifest) for manifest in self.children.values()], "demo"
        )
        for slot in topology.slots if topology else ():
            self.owners[slot.id] = slot.partition
        orders = topology.moves if topology and self.carries_out else ()
        rows = {shard: tuple(those.values()) for shard, those in self.rows.items()}
        for order in orders:
            rows = dict(carried_out(rows, order))
        for shard, those in at_rest(rows, orders).items():
            self.rows[shard] = {row.slot_id: row for row in those}
        for row in (row for rows in self.rows.values() for row in rows.values()):
            self.owners[row.slot_id] = row.partition or self.owners[row.slot_id]
        pods = tuple(self._pods())
        self._bury({pod.component for pod in pods})
        ready = {pod.component for pod in pods if pod.is_ready}
        shards = {
            name: ShardSeen(
                accepts_writes=True,
                prepared_hash=self.prepared.get(name),
                rows=tuple(self.rows[name].values()) if name in self.rows else None,
            )
            for name in ready
            if name.startswith("shard-")
        }
        return KubernetesSeen(
            children={
                key: ChildSeen(f"uid-{key.kind}-{key.name}", "1", manifest)
                for key, manifest in self.children.items()
            },
            pods=pods,
            claims=frozenset(pod.component for pod in pods if pod.role == Role.SHARD),
            topology=topology,
            topology_known=known,
            has_credentials=ChildKey("Secret", "demo-credentials") in self.children,
            shards=shards,
            configs={name: self.configs.get(name, {}) for name in shards},
            partitions={
                pod.component: PartitionSeen(
                    "ready", pod.uid, self._slots(pod.component), move_kinds=self.move_kinds
                )
                for pod in pods
                if pod.role == Role.PARTITION and pod.is_ready
            },
            nodes={name: self._node(name) for name in sorted(ready) if name.startswith("redis-")},
            replicas={
                pod.name: ReplicaSeen(Reach.PARTITIONS if pod.is_ready else Reach.NOTHING)
                for pod in pods
                if pod.role == Role.REPLICA
            },
            moves=tuple(self.moves.values()),
        )

    def apply(self, action: Action) -> None:
        """Do it."""
        self.done.append(action)
        match action:
            case MakeSecret(name=name):
                body = {"kind": "Secret", "metadata": {"name": name}}
                self.children[ChildKey("Secret", name)] = body
            case ApplyChild(kind=kind, name=name, manifest=manifest):
                key = ChildKey(kind, name)
                self.children[key] = _stored(manifest, self.children.get(key))
            case DeleteChild(kind=kind, name=name):
                del self.children[ChildKey(kind, name)]
            case RollPod(name=name):
                self.versions[name] += 1
                del self.templates[name]
            case TellPod(name=name, revision=revision):
                self.told[name] = revision
            case PrepareShard(shard=shard):
                topology = self.seen().topology
                assert topology is not None
                self.prepared[shard] = shard_hash(topology, shard)
                rows = self.rows.setdefault(shard, {})
                for slot in topology.slots:
                    if slot.shard == shard:
                        row = SlotRow(slot.id, 1, "ACTIVE", "", slot.first, slot.past)
                        rows.setdefault(slot.id, row)
            case ConfigureShard(shard=shard, config=config):
                self.configs[shard] = {**self.configs.get(shard, {}), **config}
            case CommandNode():
                ips = {pod.ip: pod.component for pod in self._pods()}
                self.nodes = imagine_command(self.nodes, action, lambda words: ips[words[2]])
            case TakeHashSlots():
                self.nodes = imagine_taken(self.nodes, action)
            case SwitchPrimary():
                pass
            case MakeMove(move=move):
                self.moves[move.metadata.name] = move
            case ForgetMove(name=name):
                del self.moves[name]
            case _:
                raise AssertionError(action.describe())

    def _pods(self) -> list[PodSeen]:
        pods: list[PodSeen] = []
        for key, manifest in sorted(self.children.items()):
            if key.kind not in ("StatefulSet", "Deployment"):
                continue
            labels = manifest["metadata"]["labels"]
            role = labels["hft.trading/role"]
            for index in range(manifest["spec"]["replicas"]):
                name = f"{key.name}-{index}"
                wanted = template_hash_of(manifest)
                keeps = key.kind == "StatefulSet"  # only replaced when its pod is rolled
                if not keeps and not self.is_sick(name, wanted):
                    self.templates[name] = wanted
                template = self.templates.setdefault(name, wanted)
                version = self.versions.setdefault(name, 1)
                component = labels.get("hft.trading/component", "")
                component = f"redis-{index}" if role == Role.NODE else component
                pods.append(
                    PodSeen(
                        name, f"{name}-{version}", role, component, template,
                        ip=f"10.0.0.{len(pods)}", is_ready=not self.is_sick(name, template),
                        told_revision=self.told.get(name, 0),
                    )
                )  # fmt: skip
        return pods

    def _slots(self, partition: str) -> tuple[PartitionSlot, ...]:
        owned = sorted(slot for slot, owner in self.owners.items() if owner == partition)
        rows = [row for rows in self.rows.values() for row in rows.values()]
        epochs = {row.slot_id: row.epoch for row in rows if row.state == "ACTIVE"}
        return tuple(PartitionSlot(slot, epochs.get(slot, 1)) for slot in owned)

    def _bury(self, living: set[str]) -> None:
        """Nodes without a pod are gone with their disks, and all others know that they failed."""
        self.nodes = {
            name: replace(node, peers=tuple(
                replace(peer, failed=peer.node_id not in living) for peer in node.peers
            ))
            for name, node in self.nodes.items() if name in living
        }  # fmt: skip

    def _node(self, name: str) -> NodeSeen:
        if name not in self.nodes:
            me = PeerSeen(name, 6379, True, True, "", False, True, frozenset())
            self.nodes[name] = NodeSeen(False, (me,))
        return self.nodes[name]


def _stored(manifest: Manifest, before: Manifest | None) -> Manifest:
    """Who applied a Deployment's number of pods owns it; dropped by its owner it is one again."""
    if manifest["kind"] != "Deployment":
        return manifest
    fields: Manifest = {"f:replicas": {}} if "replicas" in manifest["spec"] else {}
    entry = {"manager": CHILD_MANAGER, "fieldsV1": {"f:spec": fields}}
    count = 1
    if before is not None and not _is_own(before):
        count = before["spec"]["replicas"]
    return {
        **manifest,
        "metadata": {**manifest["metadata"], "managedFields": [entry]},
        "spec": {"replicas": count, **manifest["spec"]},
    }


def _is_own(manifest: Manifest) -> bool:
    entry = manifest["metadata"]["managedFields"][0]
    return entry["manager"] == CHILD_MANAGER and "f:replicas" in entry["fieldsV1"]["f:spec"]


def scale(world: Imagined, count: int) -> None:
    """What somebody else's autoscaler does to the replicas."""
    key = ChildKey("Deployment", "demo-backend")
    live = world.children[key]
    entry = {"manager": "autoscaler", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    metadata = {**live["metadata"], "managedFields": [entry]}
    spec = {**live["spec"], "replicas": count}
    world.children[key] = {**live, "metadata": metadata, "spec": spec}
