"""Masters come and go in a real Redis Cluster as the plan and the shell for Kubernetes do it.

The StatefulSet is imagined, its pods are servers with an address of their own on this machine.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from trading_contract.status import ConditionType
from trading_contract.tradingcluster import TradingCluster
from trading_operator.planner.actions import CommandNode, TakeHashSlots
from trading_operator.planner.kubernetes.seen import KubernetesSeen, PodSeen
from trading_operator.planner.observed import NodeSeen, Role
from trading_operator.planner.redis_cluster import HASH_SLOTS
from trading_operator.substrates.kubernetes.components import PodComponents
from trading_operator.tests.imagined import Imagined, cluster

SECONDS_MAX = 90
PASS_SECONDS = 0.2


@dataclass
class Pods(Imagined):
    """All is imagined but the Redis nodes. `folder` holds their disks."""

    folder: Path = Path()
    servers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def address(self, name: str) -> str:
        """Each run has a network of its own."""
        number = os.getpid()
        return f"127.{number >> 8 & 127 | 64}.{number & 255}.{10 + int(name.rpartition('-')[2])}"

    def seen(self) -> KubernetesSeen:
        """With what the nodes told last."""
        seen = super().seen()
        pods = tuple(
            replace(pod, ip=self.address(pod.component)) if pod.role == Role.NODE else pod
            for pod in seen.pods
        )
        return replace(seen, pods=pods, nodes=dict(self.nodes))

    def _bury(self, living: set[str]) -> None:
        """The nodes find out by themselves who is dead."""

    def nodes_wanted(self) -> list[PodSeen]:
        """The pods of the StatefulSet."""
        return [pod for pod in self.seen().pods if pod.role == Role.NODE]

    def run(self) -> None:
        """What kubelets do: a pod that goes has its disk removed."""
        wanted = {pod.component for pod in self.nodes_wanted()}
        for name in sorted(self.servers.keys() - wanted):
            self.end(name)
        for name in sorted(wanted - self.servers.keys()):
            folder = self.folder / name
            folder.mkdir()
            address = self.address(name)
            command = ["redis-server", "--port", "6379", "--bind", address,
                       "--bind-source-addr", address, "--cluster-announce-ip", address,
                       "--cluster-enabled", "yes", "--cluster-node-timeout", "2000",
                       "--save", "", "--dir", str(folder)]  # fmt: skip
            self.servers[name] = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            with self.client(name) as client:
                client.ping()

    def end(self, name: str) -> None:
        """A pod and its disk."""
        process = self.servers.pop(name)
        process.terminate()
        process.wait()
        shutil.rmtree(self.folder / name)

    def client(self, name: str) -> Redis:
        """To look past the plan."""
        return Redis(host=self.address(name), retry=Retry(ConstantBackoff(0.1), 100))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Pods]:
    """Nothing is there yet."""
    made = Pods(folder=tmp_path)
    yield made
    for name in list(made.servers):
        made.end(name)


async def settle(world: Pods, masters: int) -> None:
    """Passes until it is ready; each is done by another operator, which knows nothing before."""
    wanted = cluster(redis={"masters": masters, "replicasPerMaster": 1})
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            components = PodComponents()
            try:
                if await one_pass(world, wanted, components) and is_whole(world, masters):
                    return
            finally:
                await components.forget(set())
            await asyncio.sleep(PASS_SECONDS)


async def one_pass(world: Pods, wanted: TradingCluster, components: PodComponents) -> bool:
    """Look, plan, act; whether it is ready."""
    there = {pod.component: pod for pod in world.nodes_wanted()}
    told = {name: await components.node(pod) for name, pod in there.items()}
    world.nodes = {name: node for name, node in told.items() if node}
    plan = world.plan(wanted)
    for action in plan.actions:
        match action:
            case CommandNode():
                await components.tell_node(there[action.node], action.command)
            case TakeHashSlots():
                await components.take_hash_slots(there[action.node], action)
            case _:
                world.apply(action)
    before = world.servers.keys() - {pod.component for pod in world.nodes_wanted()}
    assert [name for name in before if owned(world.nodes).get(name)] == []
    world.run()
    (ready,) = [each for each in plan.status.conditions if each.type is ConditionType.READY]
    return ready.status == "True"


def owned(nodes: dict[str, NodeSeen]) -> dict[str, int]:
    """Hash slots by owner."""
    views = {name: node.myself for name, node in nodes.items()}
    return {name: len(view.hash_slots) for name, view in views.items() if view and view.hash_slots}


def is_whole(world: Pods, masters: int) -> bool:
    """Whether each master has a follower, and nobody knows of any other node."""
    assert len(owned(world.nodes)) == masters
    assert sum(owned(world.nodes).values()) == HASH_SLOTS
    views = [node.myself for node in world.nodes.values()]
    crowds = Counter(view.master_id for view in views if view and view.master_id)
    owners = {view.node_id for view in views if view and view.hash_slots}
    known = {len(node.peers) for node in world.nodes.values()}
    return set(crowds) == owners and known == {2 * masters}


def test_masters_come_and_go_with_their_hash_slots_and_followers(world: Pods) -> None:
    asyncio.run(settle(world, 3))
    asyncio.run(settle(world, 4))
    assert min(owned(world.nodes).values()) >= 0.9 * HASH_SLOTS / 4
    asyncio.run(settle(world, 3))
    assert len(world.servers) == 6
