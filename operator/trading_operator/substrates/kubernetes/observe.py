"""One look at a cluster: its objects from the mirror, and an answer from each part that runs."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from kubernetes.utils.quantity import parse_quantity
from pydantic import ValidationError

from trading_contract.errors import UserError
from trading_contract.load import ShardLoad
from trading_contract.manifest import parse_move
from trading_contract.symbolmove import FINISHED, SymbolMove
from trading_contract.topology import Topology
from trading_operator.planner.kubernetes.children import COMPONENT_LABEL
from trading_operator.planner.kubernetes.plan import CREDENTIALS
from trading_operator.planner.kubernetes.seen import (
    PREPARED_ANNOTATION,
    ChildKey,
    ChildSeen,
    KubernetesSeen,
    MemberSeen,
    PodSeen,
)
from trading_operator.planner.observed import (
    NodeSeen,
    PartitionSeen,
    ReplicaSeen,
    Role,
    ShardSeen,
)
from trading_operator.planner.scaling.signals import Tier
from trading_operator.substrates.kubernetes.api import CHILDREN, CLAIM, MOVE, POD, Body
from trading_operator.substrates.kubernetes.components import Components
from trading_operator.substrates.kubernetes.mirror import ClusterKey, Mirror
from trading_operator.substrates.kubernetes.pods import pod_seen, unix_seconds
from trading_operator.substrates.load_watch import LoadWatch

Credentials = Mapping[str, str]


def children_seen(members: Iterable[Body], uid: str) -> dict[ChildKey, ChildSeen]:
    """The objects of a cluster, pods and disks left out; `uid` = the TradingCluster's."""
    return {
        ChildKey(body["kind"], body["metadata"]["name"]): ChildSeen(
            uid=body["metadata"].get("uid", ""),
            resource_version=body["metadata"].get("resourceVersion", ""),
            manifest=body,
            is_ours=is_ours(body, uid),
            is_deleting="deletionTimestamp" in body["metadata"],
        )
        for body in members
        if body["kind"] in CHILDREN
    }


def is_ours(body: Body, uid: str) -> bool:
    """Whether nobody else controls an object with our labels."""
    owners = body["metadata"].get("ownerReferences") or ()
    controllers = [owner["uid"] for owner in owners if owner.get("controller")]
    return all(controller == uid for controller in controllers)


def read_topology(members: Iterable[Body], name: str) -> tuple[Topology | None, bool, float]:
    """The published topology, whether that is known, and when it last changed in Unix seconds."""
    for body in members:
        if body["kind"] == "ConfigMap" and body["metadata"]["name"] == f"{name}-topology":
            times: list[dict[str, str]] = body["metadata"].get("managedFields") or [{}]
            changed_at = unix_seconds(times[0].get("time", ""))
            try:
                text = (body.get("data") or {})["topology.json"]
                return Topology.model_validate_json(text), True, changed_at
            except (KeyError, ValidationError):
                return None, False, changed_at
    return None, True, 0.0


def read_secret(
    members: Iterable[Body], name: str, keys: Iterable[str]
) -> tuple[dict[str, str] | None, str]:
    """The values of one of our Secrets and what is wrong with it; None when it is not there."""
    for body in members:
        if body["kind"] == "Secret" and body["metadata"]["name"] == name:
            values, bad = {}, []
            data = body.get("data") or {}
            for key in keys:
                try:
                    values[key] = base64.b64decode(data[key]).decode("ascii")
                except (KeyError, ValueError):
                    bad.append(key)
            return values, f"lacks {', '.join(bad)}: put back what was there" if bad else ""
    return None, ""


def look(key: ClusterKey, uid: str, mirror: Mirror) -> tuple[KubernetesSeen, Credentials | None]:
    """What the API server's objects say, before any component is asked."""
    members = mirror.members(key)
    topology, known, changed_at = read_topology(members, key.name)
    credentials, problem = read_secret(members, f"{key.name}-credentials", CREDENTIALS)
    pods = [pod_seen(body, changed_at) for body in members if body["kind"] == POD.name]
    claims = [body for body in members if body["kind"] == CLAIM.name]
    seen = KubernetesSeen(
        children=children_seen(members, uid),
        pods=tuple(sorted(pods, key=lambda pod: pod.name)),
        claims=frozenset(_label(body, COMPONENT_LABEL) for body in claims),
        disks=_disks(claims),
        topology=topology,
        topology_known=known,
        moves=moves_seen(members),
        has_credentials=credentials is not None,
        credentials_problem=problem,
    )
    return seen, credentials


def moves_seen(members: Iterable[Body]) -> tuple[SymbolMove, ...]:
    """The SymbolMoves of a cluster that make sense; `broken_moves` are the others."""
    found = []
    for body in members:
        if body["kind"] == MOVE.name and "deletionTimestamp" not in body["metadata"]:
            with suppress(UserError):
                found.append(_parsed(body))
    return tuple(sorted(found, key=lambda move: move.metadata.name))


def broken_moves(members: Iterable[Body]) -> Iterator[tuple[Body, str]]:
    """What the API server let through and the models refuse, and why."""
    for body in members:
        if body["kind"] == MOVE.name:
            try:
                _parsed(body)
            except UserError as error:
                yield body, str(error)


def is_ended(body: Body) -> bool:
    """Whether a SymbolMove's own status says that nothing more happens."""
    return str((body.get("status") or {}).get("state")) in set(FINISHED)


def _parsed(body: Body) -> SymbolMove:
    """A status of a version that said it otherwise counts as none."""
    try:
        return parse_move(body)
    except UserError:
        return parse_move({key: value for key, value in body.items() if key != "status"})


def _label(body: dict[str, Any], label: str) -> str:
    return str((body["metadata"].get("labels") or {}).get(label, ""))


def _disks(claims: Iterable[Body]) -> dict[str, int]:
    """By component: the size of its smallest disk that is there."""
    disks: dict[str, int] = {}
    for body in claims:
        component = _label(body, COMPONENT_LABEL)
        with suppress(KeyError, TypeError, ValueError, ArithmeticError):
            text = body["status"]["capacity"]["storage"]
            size = int(parse_quantity(text))  # type: ignore[no-untyped-call]
            disks[component] = min(size, disks.get(component, size))
    return disks


def _on_disk(load: ShardLoad, size_bytes: int | None) -> ShardLoad:
    """Some storage lets more onto a disk than was asked for: its size is not known then."""
    is_larger = size_bytes is not None and (load.disk_used_bytes or 0) <= size_bytes
    return load.model_copy(update={"disk_size_bytes": size_bytes if is_larger else None})


async def ask(
    seen: KubernetesSeen, credentials: Credentials, components: Components, loads: LoadWatch
) -> KubernetesSeen:
    """Complete a look with the answers of the components; at most a few seconds long."""
    shards: dict[str, ShardSeen] = {}
    members: dict[str, tuple[MemberSeen, ...]] = {}
    partitions: dict[str, PartitionSeen] = {}
    nodes: dict[str, NodeSeen] = {}
    replicas: dict[str, ReplicaSeen] = {}
    configs: dict[str, Mapping[str, Any]] = {}
    look = loads.begin()

    async def ask_shard(name: str, pods: list[PodSeen]) -> None:
        answer = await components.shard(pods, credentials.get("postgres", ""))
        child = _owner(seen, name)
        annotations = child.manifest["metadata"].get("annotations") or {} if child else {}
        prepared = annotations.get(PREPARED_ANNOTATION)
        shards[name] = replace(answer, prepared_hash=prepared)
        if answer.accepts_writes and (config := await components.config(pods)) is not None:
            configs[name] = config
        if len(pods) > 1:
            members[name] = await components.members(pods)
        if look:
            await look.ask(Tier.SHARDS, name, lambda: shard_load(name, pods))

    async def shard_load(name: str, pods: list[PodSeen]) -> ShardLoad | None:
        load = await components.shard_load(name, pods, credentials.get("postgres", ""))
        return load and _on_disk(load, seen.disks.get(name))

    async def ask_partition(pod: PodSeen) -> None:
        partitions[pod.component] = await components.partition(pod)
        if look:
            name = pod.component
            await look.ask(Tier.PARTITIONS, name, lambda: components.partition_load(pod))

    async def ask_node(pod: PodSeen) -> None:
        if (answer := await components.node(pod)) is not None:
            nodes[pod.component] = answer
        if look:
            await look.ask(Tier.REDIS, pod.component, lambda: components.node_load(pod))

    async def ask_replica(pod: PodSeen) -> None:
        replicas[pod.name] = await components.replica(pod)
        if look:
            await look.ask(Tier.BACKENDS, pod.name, lambda: components.replica_load(pod))

    by_shard: dict[str, list[PodSeen]] = {}
    questions = []
    for pod in seen.pods:
        if pod.role == Role.SHARD:
            by_shard.setdefault(pod.component, []).append(pod)
        elif pod.role == Role.PARTITION and pod.ip and not pod.is_deleting:
            questions.append(ask_partition(pod))
        elif pod.role == Role.NODE and pod.ip:
            questions.append(ask_node(pod))
        elif pod.role == Role.REPLICA and pod.is_ready and not pod.is_deleting:
            questions.append(ask_replica(pod))
    questions += [ask_shard(name, pods) for name, pods in by_shard.items()]
    await asyncio.gather(*questions)
    loads.end(look, seen.topology)
    return replace(
        seen,
        load=loads.newest,
        shards=shards,
        members=members,
        configs=configs,
        partitions=partitions,
        nodes=nodes,
        replicas=replicas,
    )


def _owner(seen: KubernetesSeen, component: str) -> ChildSeen | None:
    for key, child in (seen.children or {}).items():
        if key.kind == "StatefulSet" and _label(dict(child.manifest), COMPONENT_LABEL) == component:
            return child
    return None
