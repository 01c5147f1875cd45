"""Another number of Redis masters on Kubernetes: where it leads, and what it never does."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from trading_contract.status import ConditionType
from trading_contract.tradingcluster import TradingCluster
from trading_operator.planner.actions import TakeHashSlots
from trading_operator.planner.kubernetes.seen import ChildKey
from trading_operator.planner.observed import NodeSeen, PeerSeen
from trading_operator.planner.plan import Plan
from trading_operator.planner.redis_cluster import HASH_SLOTS, hash_slots_of
from trading_operator.tests.imagined import Imagined, cluster

REDIS = ChildKey("StatefulSet", "demo-redis")
PASSES_MAX = 300


def of(masters: int, followers: int = 1) -> TradingCluster:
    """A cluster with so many."""
    return cluster(redis={"masters": masters, "replicasPerMaster": followers})


def ready(masters: int, followers: int = 1) -> Imagined:
    """It is up."""
    world = Imagined()
    world.settle(of(masters, followers))
    world.done.clear()
    return world


def pods(world: Imagined) -> int:
    """What the StatefulSet asks for."""
    return int(world.children[REDIS]["spec"]["replicas"])


def owned(world: Imagined) -> dict[str, int]:
    """Hash slots by owner."""
    counts = {name: hash_slots_of(name, world.nodes) for name in world.nodes}
    return {name: count for name, count in counts.items() if count}


def followers(world: Imagined) -> Counter[str]:
    """How many each master has."""
    views = [node.myself for node in world.nodes.values()]
    return Counter(view.master_id for view in views if view and view.master_id)


def told(plan: Plan, kind: ConditionType) -> tuple[str, str, str]:
    """Status, reason and message of a condition."""
    (found,) = [each for each in plan.status.conditions if each.type is kind]
    return found.status, found.reason, found.message


def step(world: Imagined, wanted: TradingCluster, most: int = 1000) -> bool:
    """One pass, of whose actions so many are done; whether there were any.

    No pod ever goes that owns hash slots, and none of these is lost.
    """
    plan = world.plan(wanted)
    for action in plan.actions[:most]:
        holders = owned(world)
        world.apply(action)
        world.seen()
        assert set(holders) <= set(world.nodes), action.describe()
        assert sum(owned(world).values()) == HASH_SLOTS
    return bool(plan.actions)


@pytest.mark.parametrize("followers_each", [0, 1, 2])
@pytest.mark.parametrize(("before", "after"), [(3, 4), (4, 3), (3, 7), (6, 3)])
def test_masters_come_and_go_with_their_hash_slots_and_followers(
    before: int, after: int, followers_each: int
) -> None:
    world, wanted = ready(before, followers_each), of(after, followers_each)
    for _ in range(PASSES_MAX):
        if not step(world, wanted):
            break
    assert pods(world) == after * (1 + followers_each)
    assert len(owned(world)) == after
    assert max(owned(world).values()) - min(owned(world).values()) <= 0.2 * HASH_SLOTS / after
    if followers_each:
        assert set(followers(world)) == set(owned(world))
    plan = world.plan(wanted)
    assert (plan.actions, told(plan, ConditionType.READY)[0]) == ((), "True")


@pytest.mark.parametrize(("before", "after"), [(3, 4), (5, 3)])
def test_an_operator_that_dies_after_each_action_comes_to_the_same_end(
    before: int, after: int
) -> None:
    world, wanted = ready(before), of(after)
    for _ in range(PASSES_MAX):
        if not step(world, wanted, most=1):
            break
    assert (pods(world), len(owned(world))) == (2 * after, after)


def test_a_change_taken_back_in_the_middle_ends_where_it_began() -> None:
    world = ready(3)
    while not any(isinstance(action, TakeHashSlots) for action in world.done):
        step(world, of(4))
    while step(world, of(3)):
        pass
    assert (pods(world), len(owned(world))) == (6, 3)


def test_what_goes_on_is_told_and_the_cluster_is_not_degraded_by_it() -> None:
    world = ready(4, 0)
    plan = world.plan(of(3, 0))
    assert told(plan, ConditionType.READY)[1] == "RollingOut"
    status, reason, message = told(plan, ConditionType.TURNDOWN_BLOCKED)
    assert (status, reason) == ("True", "MovingSlots")
    assert message == "redis-3 still owns 4096 hash slots: they are being moved"
    assert told(plan, ConditionType.DEGRADED)[0] == "False"
    assert any(isinstance(action, TakeHashSlots) for action in plan.actions)


def silent(world: Imagined, *names: str) -> dict[str, Any]:
    """A look at it in which these do not answer."""
    nodes = world.seen().nodes
    return {"nodes": {name: node for name, node in nodes.items() if name not in names}}


def test_nobody_goes_while_an_owner_is_silent() -> None:
    world = ready(4, 0)
    plan = world.plan(of(3, 0), **silent(world, "redis-3"))
    assert plan.actions == ()
    status, reason, message = told(plan, ConditionType.TURNDOWN_BLOCKED)
    assert (status, reason) == ("True", "SlotsNotMoved")
    assert "redis-3 stays as 4096 hash slots are of nodes that do not answer" in message
    plan = world.plan(of(3, 0), nodes={})
    assert plan.actions == ()
    assert "no node answers" in told(plan, ConditionType.TURNDOWN_BLOCKED)[2]


def test_a_silent_node_that_owns_nothing_may_go() -> None:
    world = ready(3)
    plan = world.plan(of(3, 0), **silent(world, "redis-5"))
    for action in plan.actions:
        world.apply(action)
    assert pods(world) == 3


def test_a_follower_that_stays_takes_over_from_a_master_that_goes() -> None:
    world = ready(3)
    hand_over(world, "redis-0", "redis-3")
    assert "redis-3" in owned(world)
    for _ in range(PASSES_MAX):
        if not step(world, of(3, 0)):
            break
    assert set(owned(world)) == {"redis-0", "redis-1", "redis-2"}
    assert pods(world) == 3
    assert not any(isinstance(action, TakeHashSlots) for action in world.done)


def hand_over(world: Imagined, master: str, heir: str) -> None:
    """As a failover does."""
    slots = next(p for p in world.nodes[master].peers if p.node_id == master).hash_slots
    roles = {
        master: {"is_master": False, "master_id": heir, "hash_slots": frozenset[int]()},
        heir: {"is_master": True, "master_id": "", "hash_slots": slots},
    }

    def after(peer: PeerSeen) -> PeerSeen:
        return replace(peer, **roles.get(peer.node_id, {}))  # type: ignore[arg-type]

    world.nodes = {
        name: NodeSeen(node.state_ok, tuple(map(after, node.peers)))
        for name, node in world.nodes.items()
    }
