"""The plan for a cluster on Kubernetes: where it leads, in which order, and what it never does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from trading_contract.status import ClusterStatus, ConditionType, Phase
from trading_contract.symbolmove import MoveState
from trading_operator.planner.child_actions import ApplyChild, DeleteChild, RollPod
from trading_operator.planner.kubernetes.seen import ChildKey
from trading_operator.tests import scenes
from trading_operator.tests.imagined import Imagined, cluster, scale


def _condition(status: ClusterStatus, kind: ConditionType) -> tuple[str, str]:
    found = next(each for each in status.conditions if each.type is kind)
    return found.status, found.reason


def _ready(**spec: Any) -> Imagined:
    world = Imagined()
    plan = world.settle(cluster(**spec))
    assert _condition(plan.status, ConditionType.READY) == ("True", "Reconciled")
    world.done.clear()
    return world


def test_a_cluster_is_made_and_then_there_is_nothing_to_do() -> None:
    world = Imagined()
    plan = world.settle(cluster())
    assert plan.status.phase is Phase.RUNNING
    assert world.plan(cluster()).actions == ()
    kinds = [action.kind for action in world.done if isinstance(action, ApplyChild)]
    assert kinds.index("ConfigMap") < kinds.index("StatefulSet")


def test_partitions_are_made_only_when_their_shards_serve() -> None:
    world = Imagined()
    first = world.plan(cluster())
    for action in first.actions:
        world.apply(action)
    made = [action.describe() for action in world.plan(cluster()).actions]
    assert "create StatefulSet demo-shard-0" in made
    assert not any("demo-partition-0" in each and "StatefulSet" in each for each in made)


def test_the_same_world_gives_the_same_plan() -> None:
    world = Imagined()
    assert world.plan(cluster()) == world.plan(cluster())


def test_from_an_unknown_world_follows_nothing() -> None:
    world = _ready()
    plan = world.plan(cluster(), children=None)
    assert plan.actions == ()
    assert _condition(plan.status, ConditionType.READY)[0] == "Unknown"


def test_a_new_image_goes_tier_by_tier_and_pod_by_pod() -> None:
    partitions = {"count": 2, "update": "Restart"}
    world = _ready(partitions=partitions)
    world.settle(cluster(partitions=partitions, image="next:1"))
    told = [a.name for a in world.done if isinstance(a, ApplyChild | RollPod)]
    assert told == [
        "demo-backend",
        "demo-redis", "demo-redis-0", "demo-redis-1", "demo-redis-2",
        "demo-partition-0", "demo-partition-1", "demo-partition-0-0", "demo-partition-1-0",
        "demo-shard-0", "demo-shard-0-0",
    ]  # fmt: skip


def test_an_image_that_does_not_start_stops_at_the_replicas() -> None:
    world = _ready()
    before = set(world.templates.values())
    world.is_sick = lambda _name, template: template not in before
    for _ in range(5):
        for action in world.plan(cluster(image="broken:1")).actions:
            world.apply(action)
    changed = {a.name for a in world.done if isinstance(a, ApplyChild)}
    assert changed == {"demo-backend"}
    assert not any(isinstance(action, RollPod) for action in world.done)


def test_a_pod_that_hangs_is_replaced_at_once_when_the_edit_is_taken_back() -> None:
    world = _ready()
    good = cluster()
    name = "demo-partition-0"
    manifest = world.children[ChildKey("StatefulSet", name)]
    template = {
        **manifest["spec"]["template"],
        "metadata": {
            **manifest["spec"]["template"]["metadata"],
            "annotations": {"hft.trading/template-hash": "bad"},
        },
    }
    spec = {**manifest["spec"], "template": template}
    world.children[ChildKey("StatefulSet", name)] = {**manifest, "spec": spec}
    world.templates["demo-partition-0-0"] = "bad"
    world.is_sick = lambda _name, template: template == "bad"
    plan = world.settle(good)
    assert plan.status.phase is Phase.RUNNING
    assert [a.name for a in world.done if isinstance(a, RollPod)] == ["demo-partition-0-0"]


def test_more_of_a_tier_needs_no_restart_of_another() -> None:
    world = _ready()
    world.settle(cluster(backends={"replicas": 3}, partitions={"count": 2}))
    assert not any(isinstance(action, RollPod) for action in world.done)


def test_a_partition_that_owns_slots_is_kept_and_reported() -> None:
    world = _ready(partitions={"count": 2})
    world.move_kinds = frozenset()
    plan = world.settle(cluster(partitions={"count": 1}))
    assert not any(isinstance(action, DeleteChild) for action in world.done)
    blocked = _condition(plan.status, ConditionType.TURNDOWN_BLOCKED)
    assert blocked == ("True", "SlotsNotMoved")


def test_a_partition_is_emptied_by_moves_and_then_deleted() -> None:
    world = _ready(partitions={"count": 2})
    wanted = cluster(partitions={"count": 1})
    plan = world.plan(wanted)
    blocked = _condition(plan.status, ConditionType.TURNDOWN_BLOCKED)
    assert blocked == ("True", "MovingSlots")
    world.done.clear()
    plan = world.settle(wanted)
    kinds = [type(action).__name__ for action in world.done]
    assert kinds.index("MakeMove") < kinds.index("DeleteChild")
    gone = [(a.kind, a.name) for a in world.done if isinstance(a, DeleteChild)]
    assert gone == [("StatefulSet", "demo-partition-1")]
    assert set(world.owners.values()) == {"partition-0"}
    assert _condition(plan.status, ConditionType.READY)[0] == "True"
    assert world.plan(wanted).actions == ()


def test_a_new_partition_gets_its_share_and_no_pod_restarts() -> None:
    world = _ready()
    plan = world.settle(cluster(partitions={"count": 2}))
    assert sorted(world.owners.values()) == ["partition-0", "partition-1"]
    assert not any(isinstance(action, RollPod) for action in world.done)
    assert _condition(plan.status, ConditionType.READY)[0] == "True"
    (move,) = world.moves.values()
    assert move.is_planned
    assert move.status is not None
    assert move.status.state is MoveState.DONE


def test_pods_are_told_of_an_order_and_the_cluster_stays_ready() -> None:
    world = _ready(partitions={"count": 2})
    wanted = cluster(partitions={"count": 2})
    world.settle(wanted)
    world.moves["mine"] = scenes.move("mine", symbols="BTCUSDT", to="partition-1")
    first = world.plan(wanted)
    (applied,) = [a for a in first.actions if isinstance(a, ApplyChild)]
    assert applied.name == "demo-topology"
    assert _condition(first.status, ConditionType.READY)[0] == "True"
    world.settle(wanted)
    assert set(world.owners.values()) == {"partition-1"}


def test_a_new_image_finds_every_partition_empty_and_ends_with_all_of_them_in_use() -> None:
    world = _ready(partitions={"count": 2})
    newer = cluster(partitions={"count": 2}, image="next:1")
    order = []
    for _ in range(60):
        plan = world.plan(newer)
        for name, status in plan.moves.statuses.items():
            world.moves[name] = world.moves[name].model_copy(update={"status": status})
        for action in plan.actions:
            if isinstance(action, RollPod) and "partition" in action.name:
                component = action.name.removeprefix("demo-").removesuffix("-0")
                assert component not in world.owners.values(), action.name
            if isinstance(action, RollPod):
                order.append(action.name)
            world.apply(action)
    assert plan.actions == ()
    assert [name for name in order if "redis" not in name] == [
        "demo-partition-0-0", "demo-partition-1-0", "demo-shard-0-0",
    ]  # fmt: skip
    assert sorted(world.owners.values()) == ["partition-0", "partition-1"]
    assert _condition(plan.status, ConditionType.READY)[0] == "True"


def test_an_image_with_which_partitions_do_not_start_costs_no_symbol() -> None:
    world = _ready(partitions={"count": 2})
    world.is_sick = lambda pod, template: "partition" in pod and template not in old
    old = {world.templates[name] for name in world.templates if "partition" in name}
    newer = cluster(partitions={"count": 2}, image="next:1")
    for _ in range(60):
        plan = world.plan(newer)
        for name, status in plan.moves.statuses.items():
            world.moves[name] = world.moves[name].model_copy(update={"status": status})
        for action in plan.actions:
            world.apply(action)
    assert _condition(plan.status, ConditionType.AVAILABLE)[0] == "True"
    assert set(world.owners.values()) == {"partition-1"}


def test_partitions_roll_only_when_no_slot_is_on_its_way() -> None:
    world = _ready(partitions={"count": 2})
    wanted = cluster(partitions={"count": 2})
    world.moves["mine"] = scenes.move("mine", symbols="BTCUSDT", to="partition-1")
    world.carries_out = False
    for _ in range(4):
        plan = world.plan(wanted)
        world.moves["mine"] = world.moves["mine"].model_copy(
            update={"status": plan.moves.statuses["mine"]}
        )
        for action in plan.actions:
            world.apply(action)
    newer = cluster(partitions={"count": 2}, image="next:1")
    for _ in range(20):
        for action in world.plan(newer).actions:
            world.apply(action)
    rolled = [a.name for a in world.done if isinstance(a, RollPod)]
    assert not [name for name in rolled if "partition" in name or "shard" in name]
    world.carries_out = True
    world.settle(newer)
    assert [a.name for a in world.done if isinstance(a, RollPod) and "partition" in a.name]
    assert set(world.owners.values()) == {"partition-1"}


def test_a_partition_that_owns_nothing_goes() -> None:
    world = _ready(partitions={"count": 2})
    world.settle(cluster(partitions={"count": 3}))
    world.done.clear()
    world.settle(cluster(partitions={"count": 2}))
    gone = [(a.kind, a.name) for a in world.done if isinstance(a, DeleteChild)]
    assert gone == [("StatefulSet", "demo-partition-2")]


def test_hibernating_stops_from_the_front_to_the_disk() -> None:
    world = _ready()
    world.settle(cluster(hibernated=True))
    scaled = [a.name for a in world.done if isinstance(a, ApplyChild)]
    assert scaled.index("demo-backend") < scaled.index("demo-partition-0")
    assert scaled.index("demo-partition-0") < scaled.index("demo-shard-0")
    assert world.seen().pods == ()
    plan = world.settle(cluster())
    assert plan.status.phase is Phase.RUNNING


def test_a_paused_cluster_is_only_looked_at() -> None:
    world = _ready()
    del world.children[ChildKey("Service", "demo")]
    plan = world.plan(cluster(paused=True))
    assert plan.actions == ()
    assert _condition(plan.status, ConditionType.PAUSED)[0] == "True"


def test_an_object_of_somebody_else_is_left_alone_and_named() -> None:
    world = _ready()
    key = ChildKey("Service", "demo")
    children = dict(world.seen().children or {})
    children[key] = replace(children[key], is_ours=False)
    plan = world.plan(cluster(image="next:1"), children=children)
    assert not any(getattr(action, "name", "") == "demo" for action in plan.actions)
    assert _condition(plan.status, ConditionType.STALLED) == ("True", "NameCollision")


def test_a_lost_topology_is_salvaged_from_shards_that_run() -> None:
    world = _ready(partitions={"count": 2})
    before = world.seen().topology
    assert before is not None
    del world.children[ChildKey("ConfigMap", "demo-topology")]
    world.settle(cluster(partitions={"count": 2}))
    after = world.seen().topology
    assert after is not None
    assert after.slots == before.slots
    assert after.revision > before.revision


def test_a_lost_topology_is_salvaged_though_slots_changed_their_shard() -> None:
    world = _ready()
    grown = cluster(shards={"count": 2})
    world.settle(grown)

    def places() -> list[tuple[object, ...]]:
        topology = world.seen().topology
        assert topology is not None
        return [(s.id, s.first, s.past, s.partition, s.shard) for s in topology.slots]

    before = places()
    assert {place[-1] for place in before} == {"shard-0", "shard-1"}
    del world.children[ChildKey("ConfigMap", "demo-topology")]
    world.settle(grown)
    assert places() == before


def test_a_lost_topology_stays_lost_while_a_shard_is_silent() -> None:
    world = _ready()
    del world.children[ChildKey("ConfigMap", "demo-topology")]
    plan = world.plan(cluster(), shards={})
    assert plan.actions == ()
    assert _condition(plan.status, ConditionType.STALLED) == ("True", "UnsafeChange")


def test_lost_credentials_are_never_made_anew_over_data() -> None:
    world = _ready()
    del world.children[ChildKey("Secret", "demo-credentials")]
    plan = world.plan(cluster())
    assert plan.actions == ()
    assert _condition(plan.status, ConditionType.STALLED) == ("True", "UnsafeChange")


EXTERNAL = {"managedBy": "External", "replicas": 2}
BACKEND = ChildKey("Deployment", "demo-backend")


def _replicas(world: Imagined) -> int:
    count: int = world.children[BACKEND]["spec"]["replicas"]
    return count


def _backends(status: ClusterStatus) -> str:
    return next(tier.shown for tier in status.tiers if tier.name == "backends")


def test_the_number_of_somebody_elses_autoscaler_is_left_alone_and_reported() -> None:
    world = _ready(backends=EXTERNAL)
    scale(world, 5)
    plan = world.settle(cluster(backends=EXTERNAL, image="next:1"))
    assert _replicas(world) == 5
    assert _backends(plan.status) == "5/5"


def test_handing_the_number_over_does_not_fall_back_to_one_pod() -> None:
    world = _ready(backends={"replicas": 3})
    world.settle(cluster(backends=EXTERNAL, image="next:1"))
    assert _replicas(world) == 3


def test_a_cluster_that_slept_wakes_with_the_least_number_of_replicas() -> None:
    world = _ready(backends=EXTERNAL)
    scale(world, 5)
    world.settle(cluster(backends=EXTERNAL, hibernated=True))
    assert _replicas(world) == 0
    plan = world.settle(cluster(backends=EXTERNAL))
    assert _replicas(world) == 2
    assert _condition(plan.status, ConditionType.READY)[0] == "True"
