"""A data plane made of one file: it answers as components would, and survives the operator.

For tests of the control plane alone, whose operators are killed at every step. What the real
components answer is covered by the tests that run them.
"""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from trading_contract.load import NodeLoad, PartitionLoad, ReplicaLoad, ShardLoad
from trading_contract.topology import Topology
from trading_operator.planner.actions import CommandNode, TakeHashSlots
from trading_operator.planner.imagined_moves import Rows, at_rest, carried_out
from trading_operator.planner.kubernetes.seen import MemberSeen, PodSeen
from trading_operator.planner.moves.ownership import ACTIVE
from trading_operator.planner.observed import (
    NodeSeen,
    PartitionSeen,
    PartitionSlot,
    PeerSeen,
    Reach,
    ReplicaSeen,
    ShardSeen,
    SlotRow,
)
from trading_operator.planner.preview import ALL_KINDS, imagine_command, imagine_taken
from trading_operator.planner.redis_cluster import hash_slots_of
from trading_operator.substrates.kubernetes.api import CHILDREN, KubernetesApi
from trading_operator.substrates.kubernetes.mirror import ClusterKey
from trading_operator.tests import loads

EPOCH = 1


@dataclass
class World:
    """What lies on the disks of one cluster's components."""

    rows: dict[str, dict[int, SlotRow]] = field(default_factory=dict)
    nodes: dict[str, NodeSeen] = field(default_factory=dict)
    ips: dict[str, str] = field(default_factory=dict)
    primaries: dict[str, str] = field(default_factory=dict)
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)


@lru_cache(maxsize=512)
def _once(hash_slots: frozenset[int]) -> frozenset[int]:
    """The same object for the same numbers, as the real probe has them: they are the largest."""
    return hash_slots


class StubComponents:
    """The components of one cluster, all of them well as long as their pods are."""

    def __init__(self, folder: Path, key: ClusterKey, api: KubernetesApi | None = None) -> None:
        self._file = folder / f"{key.namespace}-{key.name}.world"
        self._key = key
        self._api = api

    def _load(self) -> World:
        try:
            world: World = pickle.loads(self._file.read_bytes())
        except FileNotFoundError:
            return World()
        return world

    def _save(self, world: World) -> None:
        new = self._file.with_suffix(".new")
        new.write_bytes(pickle.dumps(world))
        new.replace(self._file)

    def hash_slots(self) -> dict[str, int]:
        """Of each Redis node that owns any."""
        nodes = self._load().nodes
        counts = {name: hash_slots_of(name, nodes) for name in nodes}
        return {name: count for name, count in counts.items() if count}

    async def shard(self, pods: Sequence[PodSeen], password: str) -> ShardSeen:
        """Takes writes as soon as a pod is ready."""
        if not password or not any(pod.is_ready for pod in pods):
            return ShardSeen(note="does not answer")
        await self._carry_out()
        rows = self._load().rows.get(pods[0].component)
        told = None if rows is None else tuple(rows.values())
        return ShardSeen(accepts_writes=True, rows=told)

    async def members(self, pods: Sequence[PodSeen]) -> tuple[MemberSeen, ...]:
        """The first ready pod leads until it is told otherwise."""
        world = self._load()
        ready = [pod for pod in pods if pod.is_ready]
        shard = pods[0].component
        names = {pod.name for pod in ready}
        if world.primaries.get(shard) not in names and ready:
            world.primaries[shard] = ready[0].name
            self._save(world)
        leader = world.primaries.get(shard)
        return tuple(
            MemberSeen(pod.name, pod.name == leader, pod.name != leader, pod.name != leader)
            for pod in ready
        )

    async def config(self, pods: Sequence[PodSeen]) -> Mapping[str, Any] | None:
        """What it was told; a new shard knows nothing yet."""
        return self._load().configs.get(pods[0].component, {})

    async def configure(
        self, pods: Sequence[PodSeen], changes: Mapping[str, Any], credentials: Mapping[str, str]
    ) -> None:
        """Obeys."""
        assert credentials
        world = self._load()
        shard = pods[0].component
        world.configs[shard] = {**world.configs.get(shard, {}), **changes}
        self._save(world)

    async def partition(self, pod: PodSeen) -> PartitionSeen:
        """Serves every slot that a prepared shard gives it."""
        if not pod.is_ready:
            return PartitionSeen()
        rows = [row for rows in self._load().rows.values() for row in rows.values()]
        slots = tuple(
            PartitionSlot(row.slot_id, row.epoch)
            for row in sorted(rows, key=lambda each: each.slot_id)
            if row.partition == pod.component and row.state == ACTIVE
        )
        return PartitionSeen("ready", pod.uid, slots, move_kinds=ALL_KINDS)

    async def _carry_out(self) -> None:
        """What the published topology asks for happens at once, as partitions would do it."""
        if self._api is None:
            return
        name = f"{self._key.name}-topology"
        body = await self._api.get(CHILDREN["ConfigMap"], self._key.namespace, name)
        if body is None:
            return
        topology = Topology.model_validate_json(body["data"]["topology.json"])
        world = self._load()
        before: Rows = {shard: tuple(those.values()) for shard, those in world.rows.items()}
        rows = before
        for order in topology.moves:
            rows = carried_out(rows, order)
        rows = at_rest(rows, topology.moves)
        if rows != before:
            world.rows = {shard: {r.slot_id: r for r in those} for shard, those in rows.items()}
            self._save(world)

    async def node(self, pod: PodSeen) -> NodeSeen | None:
        """A node's view; its identity is on its disk, its address is its pod's."""
        if not pod.is_ready:
            return None
        world = self._load()
        if pod.component not in world.nodes:
            me = PeerSeen(pod.component, 6379, True, True, "", False, True, frozenset())
            world.nodes[pod.component] = NodeSeen(False, (me,))
        if world.ips.get(pod.component) != pod.ip:
            world.ips[pod.component] = pod.ip
            self._save(world)
        node = world.nodes[pod.component]
        peers = (replace(peer, hash_slots=_once(peer.hash_slots)) for peer in node.peers)
        return replace(node, peers=tuple(peers))

    async def replica(self, pod: PodSeen) -> ReplicaSeen:
        """Reaches everything."""
        return ReplicaSeen(Reach.PARTITIONS if pod.is_ready else Reach.NOTHING)

    def work(self, role: str) -> float | None:
        """Seconds that one unit of a role was as busy as can be so far; None: it tells nothing.

        The file beside the world holds, by role, from when on (Unix) which share of it is used.
        """
        try:
            told = json.loads(self._file.with_suffix(".load").read_text())
        except FileNotFoundError:
            return None
        steps = [*told[role], (time.time(), 0.0)]
        return sum(float(used) * (b - a) for (a, used), (b, _) in pairwise(steps))

    async def shard_load(
        self, shard: str, pods: Sequence[PodSeen], password: str
    ) -> ShardLoad | None:
        """As busy as the file says: 40,000 rows a second are all it can."""
        if (work := self.work("shard")) is None:
            return None
        return loads.shard(shard, rows_total=int(40_000 * work))

    async def partition_load(self, pod: PodSeen) -> PartitionLoad | None:
        """As busy as the file says, each slot alike."""
        if (work := self.work("partition")) is None:
            return None
        seen = await self.partition(pod)
        slots = tuple(
            loads.slot(each.slot_id, busy_seconds_total=work, commands_total=int(1000 * work))
            for each in seen.slots
        )
        told = {"cpu_seconds_total": loads.FULL * work, "slots": slots}
        return loads.partition(pod.component, incarnation=pod.uid, **told)

    async def node_load(self, pod: PodSeen) -> NodeLoad | None:
        """Nobody works here."""
        return None

    async def replica_load(self, pod: PodSeen) -> ReplicaLoad | None:
        """As busy as the file says."""
        if (work := self.work("replica")) is None:
            return None
        told = {"cpu_seconds_total": loads.FULL * work, "requests_total": int(1000 * work)}
        return loads.replica(pod.name, incarnation=pod.uid, **told)

    async def tell_node(self, pod: PodSeen, command: tuple[str, ...]) -> None:
        """Obeys."""
        world = self._load()
        names = {ip: name for name, ip in world.ips.items()}
        action = CommandNode(pod.component, command, "")
        world.nodes = imagine_command(world.nodes, action, lambda words: names[words[2]])
        self._save(world)

    async def take_hash_slots(self, pod: PodSeen, action: TakeHashSlots) -> None:
        """Obeys; all others hear of it at once."""
        world = self._load()
        assert pod.component == action.node
        world.nodes = imagine_taken(world.nodes, action)
        self._save(world)

    async def prepare(
        self, shard: str, pods: Sequence[PodSeen], topology: Topology,
        credentials: Mapping[str, str],
    ) -> None:  # fmt: skip
        """Writes the rows that are missing."""
        assert pods and credentials
        world = self._load()
        rows = world.rows.setdefault(shard, {})
        for slot in topology.slots:
            if slot.shard == shard:
                row = SlotRow(slot.id, EPOCH, "ACTIVE", "", slot.first, slot.past, slot.partition)
                rows.setdefault(slot.id, row)
        self._save(world)

    async def switch_over(
        self, pods: Sequence[PodSeen], leader: str, candidate: str,
        credentials: Mapping[str, str],
    ) -> None:  # fmt: skip
        """Obeys."""
        assert leader and credentials
        world = self._load()
        world.primaries[pods[0].component] = candidate
        self._save(world)
