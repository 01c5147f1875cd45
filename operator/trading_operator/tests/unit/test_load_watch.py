"""Looks at the load of a cluster: when, how many questions at once, who is missing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from trading_contract.load import NodeLoad, PartitionLoad, ReplicaLoad, ShardLoad
from trading_contract.topology import PartitionAddress, ShardAddress, Topology
from trading_operator.planner.kubernetes.seen import KubernetesSeen, PodSeen
from trading_operator.planner.observed import NodeSeen, PartitionSeen, Reach, ReplicaSeen, ShardSeen
from trading_operator.planner.scaling.signals import DropReason, Tier
from trading_operator.substrates.kubernetes.components import PodComponents
from trading_operator.substrates.kubernetes.observe import ask
from trading_operator.substrates.load_watch import LOOK_SECONDS, QUESTIONS_MAX, LoadWatch
from trading_operator.tests import loads


@dataclass
class Clock:
    """Stands until it is moved."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_a_look_is_taken_every_few_seconds_and_again_after_the_clock_went_back() -> None:
    clock = Clock()
    watch = LoadWatch(clock)
    watch.end(watch.begin(), None)
    assert watch.newest is not None
    assert watch.begin() is None
    clock.seconds += LOOK_SECONDS
    watch.end(watch.begin(), None)
    assert watch.newest.at_seconds == clock.seconds
    clock.seconds -= 3600
    assert watch.begin() is not None


def test_so_many_are_asked_at_a_time_and_no_more() -> None:
    watch = LoadWatch(Clock())
    look = watch.begin()
    assert look is not None
    asked: list[int] = []
    most = 0

    async def question() -> None:
        nonlocal most
        asked.append(1)
        most = max(most, len(asked))
        await asyncio.sleep(0)
        asked.pop()

    async def all_at_once() -> None:
        await asyncio.gather(
            *(look.ask(Tier.BACKENDS, f"r{n}", question) for n in range(3 * QUESTIONS_MAX))
        )

    asyncio.run(all_at_once())
    assert most == QUESTIONS_MAX
    watch.end(look, None)
    assert watch.newest is not None
    assert len(watch.newest.rates.dropped) == 3 * QUESTIONS_MAX  # nobody answered


def test_who_is_in_the_topology_and_was_not_asked_is_missing() -> None:
    watch = LoadWatch(Clock())
    watch.end(watch.begin(), topology())
    assert watch.newest is not None
    assert {(each.tier, each.name) for each in watch.newest.rates.dropped} == {
        (Tier.PARTITIONS, "p0"), (Tier.SHARDS, "shard-0"),
    }  # fmt: skip


def topology() -> Topology:
    """One partition and one shard."""
    return Topology(
        cluster="demo", revision=1, symbols=(),
        shards=(ShardAddress(name="shard-0", hosts=("h:1",)),),
        partitions=(PartitionAddress(name="p0", host="h", port=1),),
        redis_nodes=(), slots=(),
    )  # fmt: skip


def pod(name: str, role: str, component: str = "") -> PodSeen:
    """A ready pod."""
    return PodSeen(
        name=name, uid=name, component=component or name, role=role, ip=f"ip-of-{name}",
        is_ready=True, is_deleting=False, template_hash="",
    )  # fmt: skip


@dataclass
class Answering(PodComponents):
    """Components whose load rises with each question; one of the replicas is silent."""

    done: int = 0
    shard_size: int = 1 << 30
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    async def shard(self, pods: object, password: str) -> ShardSeen:
        return ShardSeen()

    async def partition(self, pod: PodSeen) -> PartitionSeen:
        return PartitionSeen()

    async def node(self, pod: PodSeen) -> NodeSeen | None:
        return None

    async def replica(self, pod: PodSeen) -> ReplicaSeen:
        return ReplicaSeen(Reach.PARTITIONS)

    async def shard_load(self, shard: str, pods: object, password: str) -> ShardLoad | None:
        return loads.shard(shard, rows_total=self.done, disk_used_bytes=self.shard_size)

    async def partition_load(self, pod: PodSeen) -> PartitionLoad | None:
        return loads.partition(
            pod.component, commits=(loads.commits("shard-0", commands_total=self.done),)
        )

    async def node_load(self, pod: PodSeen) -> NodeLoad | None:
        return loads.node(pod.component, operations_total=self.done)

    async def replica_load(self, pod: PodSeen) -> ReplicaLoad | None:
        silent = pod.name.endswith("silent")
        return None if silent else loads.replica(pod.name, requests_total=self.done)


def look_twice(components: Answering, disks: dict[str, int]) -> KubernetesSeen:
    """Two looks, ten seconds apart, a hundred pieces of work between them."""
    clock = Clock()
    watch = LoadWatch(clock)
    seen = KubernetesSeen(
        pods=(
            pod("demo-backend-abc", "replica", "backend"),
            pod("demo-backend-silent", "replica", "backend"),
            pod("demo-partition-0-0", "partition", "partition-0"),
            pod("demo-shard-0-0", "shard", "shard-0"), pod("demo-redis-0", "redis", "redis-0"),
        ),
        disks=disks,
    )  # fmt: skip

    async def look() -> KubernetesSeen:
        first = await ask(seen, {}, components, watch)
        clock.seconds += 10
        components.done += 100
        assert first.load is not None
        return await ask(seen, {}, components, watch)

    return asyncio.run(look())


def test_on_kubernetes_replicas_are_told_by_pod_and_others_by_component() -> None:
    load = look_twice(Answering(), {"shard-0": 4 << 30}).load
    assert load is not None
    found = {
        tier: [(unit.name, unit.work_per_second) for unit in load.rates.unit_loads(tier)]
        for tier in Tier
    }
    assert found == {
        Tier.BACKENDS: [("demo-backend-abc", 10)], Tier.PARTITIONS: [("partition-0", 10)],
        Tier.SHARDS: [("shard-0", 10)], Tier.REDIS: [("redis-0", 10)],
    }  # fmt: skip
    (missing,) = load.rates.dropped
    assert (missing.name, missing.reason) == ("demo-backend-silent", DropReason.MISSING)
    assert load.rates.unit_loads(Tier.SHARDS)[0].shares["disk"] == 0.25


def test_a_disk_that_holds_more_than_its_size_has_no_known_size() -> None:
    load = look_twice(Answering(shard_size=5 << 30), {"shard-0": 4 << 30}).load
    assert load is not None
    (shard,) = load.rates.unit_loads(Tier.SHARDS)
    assert "disk" not in shard.shares
