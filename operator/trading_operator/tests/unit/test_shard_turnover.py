"""Shards come and go: filled when they are new, emptied and seen to be empty before they go."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from trading_contract.symbolmove import MoveState, SymbolMove
from trading_contract.tradingcluster import TradingCluster
from trading_operator.planner.actions import MakeMove, PublishTopology, StopComponent
from trading_operator.planner.child_actions import DeleteChild
from trading_operator.planner.moves.work import LOST_SECONDS
from trading_operator.planner.observed import Observed, PartitionSeen, ShardSeen
from trading_operator.tests.builders import cluster, converged, planned, steps, verdict
from trading_operator.tests.imagined import Imagined
from trading_operator.tests.imagined import cluster as demo
from trading_operator.tests.scenes import LETTERS, Scene, move


def of(shards: int, **spec: Any) -> TradingCluster:
    """A cluster of that many shards and two dozen symbols."""
    return cluster(LETTERS, shards={"count": shards}, **{"partitions": {"count": 2}, **spec})


def slots_of(world: Observed) -> Counter[str]:
    """How many slots each shard has, as published."""
    assert world.topology is not None
    return Counter(slot.shard for slot in world.topology.slots)


def wishes(world: Observed) -> list[SymbolMove]:
    """The planner's own."""
    return [each for each in world.moves or () if each.is_planned]


@pytest.mark.parametrize(("before", "after"), [(1, 2), (1, 3), (3, 2), (2, 1), (3, 1), (2, 4)])
def test_shards_come_and_go_with_their_slots(before: int, after: int) -> None:
    start = converged(of(before))
    partitions = Counter(slot.partition for slot in _slots(start))
    world = converged(of(after), start)
    counts = slots_of(world)
    assert set(counts) == {f"shard-{index}" for index in range(after)}
    assert min(counts.values()) >= len(_slots(start)) // (2 * after)
    assert Counter(slot.partition for slot in _slots(world)) == partitions  # no engine moved
    assert world.topology is not None
    assert world.topology.moves == ()
    assert {each.name for each in world.topology.shards} == set(counts)
    assert {name for name in world.processes or {} if name.startswith("shard")} == set(counts)
    plan = planned(of(after), world)
    assert plan.actions == ()
    assert verdict(plan.status, "Ready") == ("True", "Reconciled")
    assert verdict(plan.status, "TurndownBlocked") == ("False", "Reconciled")


def _slots(world: Observed) -> Any:
    assert world.topology is not None
    return world.topology.slots


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1)])
def test_an_operator_that_dies_after_each_action_goes_on_where_it_was(
    before: int, after: int
) -> None:
    start = converged(of(before))
    whole = [action.describe() for action, _ in steps(of(after), start)]
    for at, (_, world) in enumerate(list(steps(of(after), start))):
        tail = [action.describe() for action, _ in steps(of(after), world)]
        assert tail == whole[at + 1 :], whole[at]


def test_a_shard_is_stopped_only_after_it_said_that_it_has_tombstones_only() -> None:
    for action, world in steps(of(1), converged(of(2))):
        if isinstance(action, StopComponent) and action.name == "shard-1":
            rows = world.shards["shard-1"].rows
            assert rows
            assert {row.state for row in rows} == {"MOVED"}
            assert slots_of(world)["shard-1"] == 0
            break
    else:
        raise AssertionError("it was never removed")


def emptied(*states: str, **changes: Any) -> Scene:
    """shard-1 of two should go and owns nothing any more; its rows are in these states."""
    scene = Scene(of(2))
    scene.wanted = of(1)
    for _ in range(60):
        scene.step(carry_out=True)
        if "shard-1" not in slots_of(scene.world):
            break
    seen = scene.world.shards["shard-1"]
    rows = tuple(
        replace(row, state=states[at % len(states)]) for at, row in enumerate(seen.rows or ())
    )
    odd = replace(seen, **{"rows": rows, **changes})
    scene.world = replace(scene.world, shards={**scene.world.shards, "shard-1": odd})
    return scene


@pytest.mark.parametrize("state", ["FOLLOWER", "PREPARED", "SEALED"])
def test_a_shard_with_a_copy_of_anything_is_kept_and_says_so(state: str) -> None:
    scene = emptied("MOVED", state)
    for _ in range(5):
        plan = scene.plan()
        assert not [a for a in plan.actions if isinstance(a, StopComponent)]
        assert verdict(plan.status, "TurndownBlocked")[0] == "True"
        published = [a.topology for a in plan.actions if isinstance(a, PublishTopology)]
        assert all("shard-1" in {s.name for s in each.shards} for each in published)


@pytest.mark.parametrize(
    "changes",
    [
        {"accepts_writes": None, "rows": None},
        {"accepts_writes": False},
        {"has_orders": True},
    ],
)
def test_a_shard_that_does_not_say_that_it_is_empty_is_kept(changes: dict[str, Any]) -> None:
    scene = emptied("MOVED", **changes)
    plan = scene.plan()
    assert not [a for a in plan.actions if isinstance(a, StopComponent)]
    assert verdict(plan.status, "TurndownBlocked")[0] == "True"


def test_a_shard_is_kept_while_a_slot_that_left_it_still_names_the_move() -> None:
    scene = emptied("MOVED")
    seen = scene.world.shards["shard-0"]
    bound = replace(seen, rows=tuple(replace(row, move_id="some") for row in seen.rows or ()))
    free = scene.world.shards
    scene.world = replace(scene.world, shards={**free, "shard-0": bound})
    assert verdict(scene.plan().status, "TurndownBlocked")[0] == "True"
    scene.world = replace(scene.world, shards=free)
    assert verdict(scene.plan().status, "TurndownBlocked")[0] == "False"


def test_tombstones_of_moves_and_of_tries_that_ended_keep_nothing() -> None:
    scene = emptied("MOVED", "ABORTED")
    stopped: list[str] = []
    for _ in range(10):
        stopped += [a.name for a in scene.step().actions if isinstance(a, StopComponent)]
    assert stopped == ["shard-1"]


def test_a_new_shard_that_was_never_prepared_goes_again() -> None:
    scene = Scene(of(1))
    scene.wanted = of(2)
    bare = ShardSeen(has_data=True, accepts_writes=True)
    for _ in range(4):
        scene.step()
    scene.world = replace(scene.world, shards={**scene.world.shards, "shard-1": bare})
    scene.wanted = of(1)
    scene.settle()
    assert "shard-1" not in (scene.world.processes or {})


def test_draining_on_request_empties_a_shard_and_keeps_it_running() -> None:
    drained = cluster(LETTERS, shards={"count": 3, "drained": ["shard-1"]}, partitions={"count": 2})
    world = converged(drained, converged(of(3)))
    assert set(slots_of(world)) == {"shard-0", "shard-2"}
    assert "shard-1" in (world.processes or {})
    assert verdict(planned(drained, world).status, "Ready") == ("True", "Reconciled")
    assert slots_of(converged(of(3), world))["shard-1"] > 0


def test_partitions_of_an_older_version_leave_shards_as_they_are_and_say_so() -> None:
    scene = Scene(of(2))
    old = {
        name: replace(each, move_kinds=frozenset({"engine", "split", "merge"}))
        for name, each in scene.world.partitions.items()
    }
    scene.world = replace(scene.world, partitions=old)
    scene.wanted = of(1)
    for _ in range(3):
        plan = scene.step()
        assert not [a for a in plan.actions if isinstance(a, MakeMove | StopComponent)]
    assert verdict(plan.status, "TurndownBlocked") == ("True", "SlotsNotMoved")
    assert verdict(plan.status, "Available")[0] == "True"


def test_both_tiers_change_one_after_the_other() -> None:
    start = converged(of(1))
    wanted = of(2, partitions={"count": 3})
    kinds = [
        "shard" if action.move.spec.to_shard else "partition"
        for action, _ in steps(wanted, start) if isinstance(action, MakeMove)
    ]  # fmt: skip
    assert kinds == ["partition", "shard"]


def test_the_planners_own_moves_have_no_soak() -> None:
    scene = Scene(of(1))
    scene.wanted = of(2)
    scene.settle()
    assert {each.status.state for each in wishes(scene.world) if each.status} == {MoveState.DONE}
    assert scene.orders() == ()


def test_a_difference_that_is_found_after_a_move_is_told_and_stops_the_planner() -> None:
    scene = Scene(of(1))
    odd = replace(scene.world.partitions["partition-0"], differences=("slot 1000001: trades",))
    well = scene.world.partitions
    scene.wanted = of(2)
    for _ in range(10):
        scene.world = replace(scene.world, partitions={**well, "partition-0": odd})
        plan = scene.step()
        assert not [a for a in plan.actions if isinstance(a, MakeMove)]
    assert verdict(plan.status, "Degraded") == ("True", "MoveNotVerified")
    scene.world = replace(scene.world, partitions=well)
    scene.settle()
    assert slots_of(scene.world)["shard-1"] > 0


def lost(scene: Scene, name: str) -> None:
    """The partition answers nothing any more."""
    scene.world = replace(scene.world, partitions={**scene.world.partitions, name: PartitionSeen()})


def test_slots_of_a_partition_that_is_gone_for_good_are_placed_elsewhere() -> None:
    scene = Scene(of(1))
    mine = [slot.id for slot in _slots(scene.world) if slot.partition == "partition-1"]
    scene.wanted = of(1, partitions={"count": 1})
    lost(scene, "partition-1")
    scene.step()
    (wish,) = wishes(scene.world)
    made = replace_time(wish, "2027-01-15T08:00:00Z")
    scene.world = replace(scene.world, moves=(made,))
    scene.now += LOST_SECONDS - 1
    scene.step()
    assert {s.partition for s in _slots(scene.world) if s.id in mine} == {"partition-1"}
    scene.now += 1
    scene.step()
    assert scene.orders() == ()
    placed = [slot for slot in _slots(scene.world) if slot.id in mine]
    assert {slot.partition for slot in placed} == {"partition-0"}
    assert {slot.epoch for slot in placed} == {1}  # placed by one who knows the owner
    assert scene.status(wish.metadata.name).state is MoveState.WAITING  # until it is taken
    assert verdict(scene.plan().status, "Available")[0] == "False"


def replace_time(made: SymbolMove, at: str) -> SymbolMove:
    """The move, as created at that time."""
    metadata = made.metadata.model_copy(update={"creation_timestamp": at})
    return made.model_copy(update={"metadata": metadata})


def test_a_partition_that_comes_back_in_time_hands_its_slots_over() -> None:
    scene = Scene(of(1), move(symbols="XUSDT", to="partition-0"))
    well = scene.world.partitions
    lost(scene, "partition-1")
    scene.step()
    assert scene.orders() == ()
    scene.world = replace(scene.world, partitions=well)
    scene.now += LOST_SECONDS + 1
    scene.settle()
    assert scene.owners()["XUSDT"] == "partition-0"
    assert scene.verdict()[0] is MoveState.DONE


def test_a_statefulset_of_a_shard_goes_only_after_the_drain() -> None:
    world = Imagined()
    two, one = (demo(shards={"count": n}) for n in (2, 1))
    world.settle(two)
    world.done.clear()
    plan = world.settle(one)
    kinds = [type(action).__name__ for action in world.done]
    assert kinds.index("MakeMove") < kinds.index("DeleteChild")
    gone = {a.name for a in world.done if isinstance(a, DeleteChild) and a.kind == "StatefulSet"}
    assert gone == {"demo-shard-1"}
    assert {row.state for row in world.rows["shard-1"].values()} == {"MOVED"}
    assert verdict(plan.status, "Ready")[0] == "True"
    assert world.plan(one).actions == ()


def test_a_statefulset_of_a_shard_that_is_not_emptied_is_kept() -> None:
    world = Imagined()
    world.settle(demo(shards={"count": 2}))
    world.carries_out = False
    world.done.clear()
    one = demo(shards={"count": 1})
    for _ in range(5):
        for action in world.plan(one).actions:
            world.apply(action)
    assert not [a for a in world.done if isinstance(a, DeleteChild)]
    assert verdict(world.plan(one).status, "TurndownBlocked")[0] == "True"


@pytest.mark.parametrize("seen", [ShardSeen(), ShardSeen(accepts_writes=False, rows=())])
def test_a_shard_that_nobody_knows_any_more_is_stopped_only_when_it_says_that_it_is_empty(
    seen: ShardSeen,
) -> None:
    scene = Scene(of(2))
    scene.wanted = of(1)
    for _ in range(100):
        plan = scene.plan()
        if any(isinstance(a, StopComponent) for a in plan.actions):
            break
        scene.step(carry_out=True)
    topology = scene.world.topology
    assert topology is not None
    assert "shard-1" not in {shard.name for shard in topology.shards}
    scene.world = replace(scene.world, shards={**scene.world.shards, "shard-1": seen})
    assert not [a for a in scene.plan().actions if isinstance(a, StopComponent)]


def test_a_statefulset_of_a_shard_that_does_not_answer_is_kept() -> None:
    world = Imagined()
    world.settle(demo(shards={"count": 2}))
    one = demo(shards={"count": 1})
    for _ in range(100):
        actions = world.plan(one).actions
        if any(isinstance(each, DeleteChild) for each in actions):
            break
        for action in actions:
            world.apply(action)
        for name, status in world.plan(one).moves.statuses.items():
            world.moves[name] = world.moves[name].model_copy(update={"status": status})
    answering = {"shard-0": world.seen().shards["shard-0"]}
    kinds = {
        a.kind for a in world.plan(one, shards=answering).actions if isinstance(a, DeleteChild)
    }
    assert "StatefulSet" not in kinds


def test_a_partition_that_is_only_slow_keeps_its_slots() -> None:
    scene = Scene(of(1), move(symbols="XUSDT..", to="partition-0"))
    loading = replace(scene.world.partitions["partition-1"], state="loading", slots=())
    scene.world = replace(
        scene.world, partitions={**scene.world.partitions, "partition-1": loading}
    )
    scene.now += LOST_SECONDS * 10
    scene.step()
    assert {slot.partition for slot in _slots(scene.world) if slot.first >= "VUSDT"} == {
        "partition-1"
    }
    assert scene.verdict()[1] == "SourceNotReady"
