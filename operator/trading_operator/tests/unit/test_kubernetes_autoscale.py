"""Deployments and StatefulSets follow the counts that load asks for."""

from __future__ import annotations

from typing import Any

import pytest

from trading_contract.tradingcluster import TradingCluster
from trading_operator.planner.autoscale.plan import news
from trading_operator.planner.child_actions import ApplyChild
from trading_operator.planner.kubernetes.seen import ChildKey
from trading_operator.planner.observed import Role
from trading_operator.planner.plan import Plan
from trading_operator.planner.redis_cluster import hash_slots_of
from trading_operator.planner.scaling.observed_load import ClusterLoad
from trading_operator.planner.scaling.signals import Rates, Readings, SlotLoad, Tier, UnitLoad
from trading_operator.tests.imagined import Imagined, cluster
from trading_operator.tests.loaded import CORE, ON

LOOK_SECONDS = 5.0
SHORT = {"scaleInAfterSeconds": 60}


def scaled(*tiers: str, **spec: Any) -> TradingCluster:
    """A cluster of which these tiers scale; each unit has a whole core."""
    autoscaling = {tier: {**ON, "cooldownSeconds": 10} for tier in tiers}
    autoscaling |= spec.pop("autoscaling", {})
    for tier in ("backends", "partitions"):
        spec[tier] = {"resources": {"cpu": "1"}, **spec.get(tier, {})}
    return cluster(autoscaling=autoscaling, **spec)


def looks(world: Imagined, wanted: TradingCluster, used: float, count: int) -> Plan:
    """So many looks at units of the tiers that scale, all used alike; each is acted upon."""
    assert count > 0
    for _ in range(count):
        world.now += LOOK_SECONDS
        plan = world.plan(wanted, load=load_of(world, wanted, used))
        for action in plan.actions:
            world.apply(action)
        world.settle(wanted)
    return plan


def load_of(world: Imagined, wanted: TradingCluster, used: float) -> ClusterLoad:
    """What pods would tell; those of tiers that do not scale have little to do."""
    seen = world.seen()
    assert seen.topology is not None
    names = {
        Tier.BACKENDS: [pod.name for pod in seen.pods if pod.role == "replica"],
        Tier.PARTITIONS: [each.name for each in seen.topology.partitions],
        Tier.SHARDS: [each.name for each in seen.topology.shards],
        Tier.REDIS: [pod.component for pod in seen.pods if pod.role == Role.NODE],
    }
    units, slots = {}, []
    for tier, those in names.items():
        share = used if getattr(wanted.spec.autoscaling, tier).mode.value == "on" else 0.1
        load = {"cpu_milliseconds_per_second": CORE * share}
        if tier is Tier.SHARDS:
            load = {"rows_per_second": 40_000 * share}
        units[tier] = tuple(UnitLoad(n, world.now, 100.0, load, {}, 1.0) for n in those)
        if tier is Tier.PARTITIONS:
            slots = [SlotLoad(slot.id, CORE * share / 2) for slot in seen.topology.slots]
    return ClusterLoad(world.now, {}, Readings(), Rates(units, tuple(slots)))


def ready(wanted: TradingCluster) -> Imagined:
    """It is up; from now on each visit remembers what the one before said."""
    world = Imagined()
    world.settle(wanted)
    world.remembers = True
    world.done.clear()
    return world


def replicas(world: Imagined) -> int:
    """What the Deployment asks for."""
    return int(world.children[ChildKey("Deployment", "demo-backend")]["spec"]["replicas"])


def owners(world: Imagined) -> set[str]:
    """Redis nodes that own hash slots."""
    return {name for name in world.nodes if hash_slots_of(name, world.nodes)}


def has(world: Imagined, name: str) -> bool:
    """Whether there is such a StatefulSet."""
    return ChildKey("StatefulSet", f"demo-{name}") in world.children


def test_the_deployment_follows_its_load_up_and_down() -> None:
    wanted = scaled("backends", autoscaling=SHORT)
    world = ready(wanted)
    looks(world, wanted, 0.8, 3)
    assert replicas(world) == 2
    looks(world, wanted, 0.1, 40)
    assert replicas(world) == 1


def test_partitions_and_shards_get_stateful_sets_and_lose_them_again_when_empty() -> None:
    wanted = scaled("partitions", "shards", autoscaling=SHORT)
    world = ready(wanted)
    looks(world, wanted, 0.97, 6)
    assert has(world, "partition-1")
    looks(world, wanted, 0.97, 12)
    assert has(world, "shard-1")
    looks(world, wanted, 0.05, 100)
    assert not has(world, "partition-1")
    assert not has(world, "shard-1")


def test_the_balance_of_shards_is_judged_in_pods_too() -> None:
    two = {"mode": "on", "min": 2, "max": 2}
    wanted = scaled(
        autoscaling={**SHORT, "shards": two}, shards={"count": 2}, rebalancing={"mode": "on"}
    )
    told = looks(ready(wanted), wanted, 0.4, 30).status.autoscaling
    assert told is not None
    assert told.shard_balance is not None
    assert (told.shard_balance.reason, told.shard_balance.moves) == ("Balanced", ())


def test_a_new_operator_reads_the_counts_from_the_status_else_from_the_objects() -> None:
    wanted = scaled("backends", "partitions")
    world = ready(wanted)
    looks(world, wanted, 0.8, 3)
    world.memory = None
    world.plan(wanted)
    assert (replicas(world), has(world, "partition-1")) == (2, True)
    world.memory, world.said = None, None
    plan = world.plan(wanted)
    assert plan.actions == ()
    assert plan.status.autoscaling is not None
    assert plan.status.autoscaling.count("partitions") == 2


def test_replicas_that_somebody_else_sets_are_left_alone_and_told() -> None:
    wanted = scaled(
        "partitions", backends={"managedBy": "External"},
        autoscaling={"backends": {"mode": "external"}},
    )  # fmt: skip
    world = ready(wanted)
    plan = looks(world, wanted, 0.9, 6)
    assert has(world, "partition-1")
    assert replicas(world) == 1
    applied = [each.name for each in world.done if isinstance(each, ApplyChild)]
    assert "demo-backend" not in applied
    assert plan.status.autoscaling is not None
    decision = plan.status.autoscaling.tiers[0].decision
    assert decision is not None
    assert decision.reason == "ScaledByAnother"
    world.children[ChildKey("Deployment", "demo-backend")]["spec"]["replicas"] = 3
    told = world.plan(wanted).status.autoscaling
    assert told is not None
    assert told.count("backends") == 3


def test_redis_gets_as_many_masters_as_load_asks_for_and_loses_them_again() -> None:
    few = {**ON, "min": 3, "max": 4, "cooldownSeconds": 10}
    wanted = scaled(autoscaling={**SHORT, "redis": few})
    world = ready(wanted)
    looks(world, wanted, 0.9, 6)
    plan = looks(world, wanted, 0.5, 1)
    assert plan.status.autoscaling is not None
    assert plan.status.autoscaling.count("redis") == 4
    assert owners(world) == {f"redis-{at}" for at in range(4)}
    world.memory, world.said = None, None  # the status was lost
    assert world.plan(wanted).actions == ()
    looks(world, wanted, 0.02, 60)
    assert owners(world) == {f"redis-{at}" for at in range(3)}
    assert len([pod for pod in world.seen().pods if pod.role == Role.NODE]) == 3


def test_each_change_is_news_once() -> None:
    wanted = scaled("backends")
    world = ready(wanted)
    quiet = looks(world, wanted, 0.1, 1).status.autoscaling
    told = looks(world, wanted, 0.8, 4).status.autoscaling
    (text,) = news(quiet, told)
    assert text.startswith("backends: 1 become 2, more")
    assert news(told, told) == []
    assert news(told, None) == []


@pytest.mark.parametrize(("tier", "wake"), [("backends", 5.0), (None, 10.0)])
def test_only_who_scales_is_visited_more_often(tier: str | None, wake: float) -> None:
    wanted = scaled(*([tier] if tier else []))
    world = ready(wanted)
    assert world.plan(wanted).wake_after_seconds == wake
