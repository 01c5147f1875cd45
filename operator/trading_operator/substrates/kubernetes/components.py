"""The components in their pods: what is asked of them and told to them, over kept connections."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from redis.exceptions import RedisError

from trading_contract.errors import WorldError
from trading_contract.load import NodeLoad, PartitionLoad, ReplicaLoad, ShardLoad
from trading_contract.topology import Topology
from trading_operator.planner.actions import TakeHashSlots
from trading_operator.planner.kubernetes.seen import MemberSeen, PodSeen
from trading_operator.planner.kubernetes.wanted import (
    NODE_PORT,
    PARTITION_PORT,
    POSTGRES_PORT,
    REPLICA_PORT,
)
from trading_operator.planner.observed import NodeSeen, PartitionSeen, ReplicaSeen, ShardSeen
from trading_operator.probes.loads import read_replica_load
from trading_operator.probes.partition import PartitionProbe
from trading_operator.probes.patroni import read_config, read_member
from trading_operator.probes.patroni_commands import configure, switch_over
from trading_operator.probes.postgres import ShardProbe
from trading_operator.probes.redis import NodeProbe
from trading_operator.probes.replica import ask_replica
from trading_operator.substrates.kubernetes.preparing import run_prepare

Credentials = Mapping[str, str]


class Components(Protocol):
    """The components of one cluster. Tests of the control plane put stubs in their place."""

    async def shard(self, pods: Sequence[PodSeen], password: str) -> ShardSeen:
        """What the member that takes writes says, else any."""
        ...

    async def members(self, pods: Sequence[PodSeen]) -> tuple[MemberSeen, ...]:
        """Those of the shard's members that answer, as each tells itself."""
        ...

    async def config(self, pods: Sequence[PodSeen]) -> Mapping[str, Any] | None:
        """Patroni's configuration of a shard; None = unknown."""
        ...

    async def configure(
        self, pods: Sequence[PodSeen], changes: Mapping[str, Any], credentials: Credentials
    ) -> None:
        """Change it. Raises WorldError."""
        ...

    async def partition(self, pod: PodSeen) -> PartitionSeen:
        """A partition's own answer."""
        ...

    async def node(self, pod: PodSeen) -> NodeSeen | None:
        """A Redis node's view; None when it does not answer."""
        ...

    async def replica(self, pod: PodSeen) -> ReplicaSeen:
        """How far a replica reaches."""
        ...

    async def shard_load(
        self, shard: str, pods: Sequence[PodSeen], password: str
    ) -> ShardLoad | None:
        """The load of the member that takes writes; None = unknown. Not beside `shard`."""
        ...

    async def partition_load(self, pod: PodSeen) -> PartitionLoad | None:
        """A partition's load; None = unknown. Not beside `partition`."""
        ...

    async def node_load(self, pod: PodSeen) -> NodeLoad | None:
        """A Redis node's load; None = unknown. Not beside `node`."""
        ...

    async def replica_load(self, pod: PodSeen) -> ReplicaLoad | None:
        """A replica's load; None = unknown."""
        ...

    async def tell_node(self, pod: PodSeen, command: tuple[str, ...]) -> None:
        """Say one command to a Redis node. Raises WorldError."""
        ...

    async def take_hash_slots(self, pod: PodSeen, action: TakeHashSlots) -> None:
        """Make a Redis node the owner of hash slots of another one. Raises WorldError."""
        ...

    async def prepare(
        self, shard: str, pods: Sequence[PodSeen], topology: Topology, credentials: Credentials
    ) -> None:
        """Bring a shard's schema, roles and slot rows up to the topology. Raises WorldError."""
        ...

    async def switch_over(
        self, pods: Sequence[PodSeen], leader: str, candidate: str, credentials: Credentials
    ) -> None:
        """Hand the primary's part of a shard over. Raises WorldError."""
        ...


class PodComponents:
    """The real ones, over the pods' network."""

    def __init__(self) -> None:
        self._shards: dict[tuple[str, str], ShardProbe] = {}
        self._partitions: dict[str, PartitionProbe] = {}
        self._nodes: dict[str, NodeProbe] = {}

    async def shard(self, pods: Sequence[PodSeen], password: str) -> ShardSeen:
        """Every member is asked: whoever takes writes is the primary, whatever a name says."""
        answers = await asyncio.gather(*(self._member(pod, password) for pod in pods if pod.ip))
        best = [answer for answer in answers if answer.accepts_writes]
        best += [answer for answer in answers if answer.accepts_writes is not None]
        return (best or [*answers, ShardSeen(note="does not run")])[0]

    async def _member(self, pod: PodSeen, password: str) -> ShardSeen:
        return await self._shard(pod, password).ask()

    async def shard_load(
        self, shard: str, pods: Sequence[PodSeen], password: str
    ) -> ShardLoad | None:
        """Every member is asked; only the primary has an answer."""
        probes = [self._shard(pod, password) for pod in pods if pod.ip]
        answers = await asyncio.gather(*(probe.load(shard) for probe in probes))
        return next((answer for answer in answers if answer is not None), None)

    async def partition_load(self, pod: PodSeen) -> PartitionLoad | None:
        """A partition's own answer."""
        return await self._partition(pod).load()

    async def node_load(self, pod: PodSeen) -> NodeLoad | None:
        """A Redis node's own answer."""
        return await self._node(pod).load(pod.component)

    async def replica_load(self, pod: PodSeen) -> ReplicaLoad | None:
        """Asks its /load."""
        return await read_replica_load(pod.ip, REPLICA_PORT)

    async def members(self, pods: Sequence[PodSeen]) -> tuple[MemberSeen, ...]:
        """Asks each for itself."""
        told = await asyncio.gather(*(read_member(pod.name, pod.ip) for pod in pods if pod.ip))
        return tuple(member for member in told if member is not None)

    async def config(self, pods: Sequence[PodSeen]) -> Mapping[str, Any] | None:
        """Asks one after the other until one knows."""
        for pod in pods:
            if pod.ip and (config := await read_config(pod.ip)) is not None:
                return config
        return None

    async def configure(
        self, pods: Sequence[PodSeen], changes: Mapping[str, Any], credentials: Credentials
    ) -> None:
        """Asks Patroni on any member."""
        hosts = [pod.ip for pod in pods if pod.ip]
        await configure(hosts, changes, credentials.get("patroni", ""))

    async def partition(self, pod: PodSeen) -> PartitionSeen:
        """A partition's own answer."""
        return await self._partition(pod).ask()

    async def node(self, pod: PodSeen) -> NodeSeen | None:
        """A Redis node's view."""
        return await self._node(pod).ask()

    async def replica(self, pod: PodSeen) -> ReplicaSeen:
        """A replica's own answer."""
        return await ask_replica(pod.ip, REPLICA_PORT)

    async def tell_node(self, pod: PodSeen, command: tuple[str, ...]) -> None:
        """Say one command to a Redis node."""
        try:
            await self._node(pod).tell(command)
        except (OSError, TimeoutError, RedisError) as error:
            text = f"{pod.component}: {' '.join(command[:2])}: {error}"
            raise WorldError(text) from error

    async def take_hash_slots(self, pod: PodSeen, action: TakeHashSlots) -> None:
        """Tells the taker alone: what it claims wins wherever it is heard."""
        node, numbers = self._node(pod), action.hash_slots
        try:
            await node.take_hash_slots(numbers, action.node_id, action.source_id)
        except (OSError, TimeoutError, RedisError) as error:
            raise WorldError(f"{action.describe()}: {error}") from error

    async def prepare(
        self, shard: str, pods: Sequence[PodSeen], topology: Topology, credentials: Credentials
    ) -> None:
        """Runs the engine's own command; every member is named, libpq finds the primary."""
        hosts = tuple(f"{pod.ip}:{POSTGRES_PORT}" for pod in pods if pod.ip)
        await run_prepare(shard, topology, hosts, credentials)

    async def switch_over(
        self, pods: Sequence[PodSeen], leader: str, candidate: str, credentials: Credentials
    ) -> None:
        """Asks Patroni on any member."""
        hosts = [pod.ip for pod in pods if pod.ip]
        await switch_over(hosts, leader, candidate, credentials.get("patroni", ""))

    def _shard(self, pod: PodSeen, password: str) -> ShardProbe:
        key = (pod.ip, password)
        if key not in self._shards:
            self._shards[key] = ShardProbe(POSTGRES_PORT, lambda: password, host=pod.ip)
        return self._shards[key]

    def _partition(self, pod: PodSeen) -> PartitionProbe:
        if pod.ip not in self._partitions:
            self._partitions[pod.ip] = PartitionProbe(pod.ip, PARTITION_PORT)
        return self._partitions[pod.ip]

    def _node(self, pod: PodSeen) -> NodeProbe:
        if pod.ip not in self._nodes:
            self._nodes[pod.ip] = NodeProbe(NODE_PORT, pod.ip)
        return self._nodes[pod.ip]

    async def forget(self, known: set[str]) -> None:
        """Drop the connections to addresses that no pod has any more."""
        for key in [key for key in self._shards if key[0] not in known]:
            await self._shards.pop(key).close()
        for ip in [ip for ip in self._partitions if ip not in known]:
            self._partitions.pop(ip).close()
        for ip in [ip for ip in self._nodes if ip not in known]:
            await self._nodes.pop(ip).close()
