"""Partitions come and go: the planner's own moves."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from trading_contract.symbolmove import MoveState
from trading_contract.tradingcluster import TradingCluster
from trading_operator.planner.actions import (
    ForgetMove,
    MakeMove,
    PublishTopology,
    StartComponent,
    StopComponent,
)
from trading_operator.planner.moves.plan import HISTORY_MAX
from trading_operator.planner.moves.turnover import RETRY_SECONDS
from trading_operator.planner.observed import Observed
from trading_operator.planner.placement import slot_count
from trading_operator.tests.builders import cluster, converged, planned, steps, verdict
from trading_operator.tests.scenes import LETTERS, Scene, move


def of(count: int, **spec: Any) -> TradingCluster:
    """A cluster of that many partitions and two dozen symbols."""
    return cluster(LETTERS, partitions={"count": count}, **spec)


def slots_of(world: Observed) -> Counter[str]:
    """How many slots each partition owns, as published."""
    assert world.topology is not None
    return Counter(slot.partition for slot in world.topology.slots)


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 4), (4, 2), (4, 1), (3, 5), (5, 3)])
def test_partitions_come_and_go_with_their_slots(before: int, after: int) -> None:
    start = converged(of(before))
    world = converged(of(after), start)
    counts = slots_of(world)
    assert set(counts) == {f"partition-{index}" for index in range(after)}
    had = slots_of(start).total()
    assert counts.total() <= had  # neighbours at one partition may have been merged, not too many
    assert counts.total() >= min(had, slot_count(len(LETTERS), after, 1))
    assert min(counts.values()) >= sum(counts.values()) // (2 * after)
    assert world.topology is not None
    assert world.topology.moves == ()
    assert {each.name for each in world.topology.partitions} == set(counts)
    plan = planned(of(after), world)
    assert plan.actions == ()
    assert verdict(plan.status, "Ready") == ("True", "Reconciled")
    assert verdict(plan.status, "TurndownBlocked") == ("False", "Reconciled")


@pytest.mark.parametrize(("before", "after"), [(2, 4), (4, 2)])
def test_an_operator_that_dies_after_each_action_goes_on_where_it_was(
    before: int, after: int
) -> None:
    """Interruption after each action leaves the tail of the plan, with the same end."""
    start = converged(of(before))
    whole = [action.describe() for action, _ in steps(of(after), start)]
    worlds = [world for _, world in steps(of(after), start)]
    for at, world in enumerate(worlds):
        tail = [action.describe() for action, _ in steps(of(after), world)]
        assert tail == whole[at + 1 :], whole[at]
    revisions = [w.topology.revision for w in worlds if w.topology is not None]
    assert all(earlier <= later for earlier, later in pairwise(revisions))


def test_a_partition_is_removed_only_after_the_last_slot_left_and_all_were_told() -> None:
    for action, world in steps(of(1), converged(of(2))):
        if isinstance(action, StopComponent) and action.name == "partition-1":
            assert slots_of(world)["partition-1"] == 0
            break
    else:
        raise AssertionError("it was never removed")


def test_a_new_partition_gets_slots_only_when_it_is_ready() -> None:
    seen = []
    for action, world in steps(of(2), converged(of(1))):
        seen.append(type(action))
        if isinstance(action, MakeMove):
            assert world.partitions["partition-1"].state == "ready"
    assert seen.index(StartComponent) < seen.index(MakeMove) < len(seen) - 1
    assert seen[-1] is PublishTopology


def test_orders_at_a_time_are_bounded() -> None:
    wanted = of(1, rebalancing={"parallelMovesMax": 3})
    sizes = {
        len(action.topology.moves)
        for action, _ in steps(wanted, converged(of(4)))
        if isinstance(action, PublishTopology)
    }
    assert max(sizes) == 3


def test_fewer_slots_than_partitions_are_split() -> None:
    wanted = cluster(("AUSDT", "BUSDT", "CUSDT", "DUSDT"), placement=[{"range": ".."}])
    start = Scene(wanted)
    start.wanted = cluster(
        ("AUSDT", "BUSDT", "CUSDT", "DUSDT"), placement=[{"range": ".."}], partitions={"count": 8}
    )
    start.settle()
    counts = slots_of(start.world)
    assert counts == {f"partition-{index}": 1 for index in range(4)}  # one symbol each: no more


def test_one_slot_of_many_symbols_is_halved_for_a_new_partition() -> None:
    scene = Scene(cluster(LETTERS[:4], placement=[{"range": ".."}]))
    topology = scene.world.topology
    assert topology is not None
    whole = topology.slots[0].model_copy(update={"first": "", "past": "~"})
    seen = scene.world.shards["shard-0"]
    row = replace((seen.rows or ())[0], first="", past="~")
    scene.world = replace(
        scene.world,
        topology=topology.model_copy(update={"slots": (whole,)}),
        shards={"shard-0": replace(seen, rows=(row,))},
    )
    scene.wanted = cluster(LETTERS[:4], placement=[{"range": ".."}], partitions={"count": 2})
    scene.settle()
    assert scene.owners() == {
        "AUSDT": "partition-0", "BUSDT": "partition-0", "CUSDT": "partition-1",
        "DUSDT": "partition-1",
    }  # fmt: skip


def test_draining_on_request_empties_a_partition_and_keeps_it_running() -> None:
    drained = cluster(LETTERS, partitions={"count": 3, "drained": ["partition-1"]})
    world = converged(drained, converged(of(3)))
    assert set(slots_of(world)) == {"partition-0", "partition-2"}
    assert "partition-1" in (world.processes or {})
    assert verdict(planned(drained, world).status, "Ready") == ("True", "Reconciled")
    back = converged(of(3), world)
    assert slots_of(back)["partition-1"] == sum(slots_of(back).values()) // 3


def test_what_a_person_emptied_stays_empty() -> None:
    scene = Scene(of(2), move(symbols="..", to="partition-0"))
    scene.settle()
    assert set(slots_of(scene.world)) == {"partition-0"}
    assert all(not each.is_planned for each in scene.world.moves or ())


def test_a_partition_that_a_person_moved_something_from_is_filled_again_after_a_restart() -> None:
    scene = Scene(of(2), move(symbols="AUSDT", to="partition-1"))
    scene.settle()
    scene.now += 60
    back = move("back", symbols="AUSDT", to="partition-0")
    scene.world = replace(scene.world, moves=(*(scene.world.moves or ()), back))
    scene.settle()
    scene.now += 60
    scene.wanted = of(2, observability={"logLevel": "debug"})
    scene.settle()
    assert set(slots_of(scene.world)) == {"partition-0", "partition-1"}


def test_slots_that_a_person_placed_are_not_evened_out() -> None:
    scene = Scene(of(3), move(symbols="..S", to="partition-0"))
    scene.settle()
    counts = slots_of(scene.world)
    assert counts["partition-0"] > counts["partition-2"] > 0
    assert all(not each.is_planned for each in scene.world.moves or ())


def test_a_change_of_mind_turns_round_at_once() -> None:
    scene = Scene(of(2))
    scene.wanted = of(4)
    for _ in range(20):
        scene.step()
        if scene.orders():
            break
    scene.wanted = of(2)
    plan = scene.settle()
    assert set(slots_of(scene.world)) == {"partition-0", "partition-1"}
    assert verdict(plan.status, "Ready") == ("True", "Reconciled")


def restarts(world: Observed, wanted: TradingCluster) -> list[tuple[str, int]]:
    """Partitions that are stopped on the way there, and how many slots they own then."""
    found = []
    for action, after in steps(wanted, world):
        if isinstance(action, StopComponent) and action.name.startswith("partition-"):
            found.append((action.name, slots_of(after)[action.name]))
    return found


@pytest.mark.parametrize("count", [2, 3])
def test_partitions_are_empty_when_they_restart_for_other_settings(count: int) -> None:
    wanted = of(count, observability={"logLevel": "debug"})
    start = converged(of(count))
    assert restarts(start, wanted) == [(f"partition-{index}", 0) for index in range(count)]
    world = converged(wanted, start)
    assert len(slots_of(world)) == count
    assert verdict(planned(wanted, world).status, "Ready") == ("True", "Reconciled")


def test_they_restart_with_their_symbols_when_that_was_asked_for_or_nobody_can_take_them() -> None:
    for count, partitions in ((2, {"count": 2, "update": "Restart"}), (1, {"count": 1})):
        start = converged(cluster(LETTERS, partitions=partitions))
        wanted = cluster(LETTERS, partitions=partitions, observability={"logLevel": "debug"})
        assert [slots > 0 for _, slots in restarts(start, wanted)] == [True] * count


def test_after_a_failed_move_a_partition_restarts_with_its_symbols() -> None:
    scene = Scene(of(2))
    scene.wanted = of(2, observability={"logLevel": "debug"})
    stopped: list[str] = []
    for _ in range(40):
        for order in scene.orders():
            scene.tell(order, state="Failed", problem="no")
        actions = scene.step().actions
        stopped += [a.name for a in actions if isinstance(a, StopComponent)]
        scene.now += 5
    assert {"partition-0", "partition-1"} <= set(stopped)


def test_a_move_to_a_partition_that_restarts_waits_for_it() -> None:
    scene = Scene(of(2), move("mine", symbols="XUSDT", to="partition-0", approval="Manual"))
    scene.step()
    scene.wanted = of(2, observability={"logLevel": "debug"})
    scene.step()
    scene.edit("mine", approved=True)
    scene.step()
    assert scene.status("mine").state is MoveState.WAITING
    scene.settle()
    assert scene.status("mine").state is MoveState.DONE


def test_after_one_of_our_moves_failed_there_is_a_pause() -> None:
    scene = Scene(of(2))
    scene.wanted = of(1)
    while not scene.orders():
        scene.step()
    while not any(m.status and m.status.is_finished for m in scene.world.moves or ()):
        for order in scene.orders():
            scene.tell(order, state="Failed", problem="no")
        scene.step()
        scene.now += 5
    (failed,) = scene.world.moves or ()
    assert failed.status is not None
    assert failed.status.state is MoveState.FAILED
    plan = scene.plan()
    assert not [action for action in plan.actions if isinstance(action, MakeMove)]
    assert verdict(plan.status, "TurndownBlocked") == ("True", "SlotsNotMoved")
    scene.now += RETRY_SECONDS
    assert [action for action in scene.plan().actions if isinstance(action, MakeMove)]


def test_a_partition_that_is_down_is_not_emptied_and_says_so() -> None:
    scene = Scene(of(2))
    partitions = dict(scene.world.partitions)
    partitions["partition-1"] = replace(partitions["partition-1"], state="loading")
    scene.world = replace(scene.world, partitions=partitions)
    scene.wanted = of(1)
    plan = scene.step()
    assert not [action for action in plan.actions if isinstance(action, MakeMove)]
    assert verdict(plan.status, "TurndownBlocked") == ("True", "SlotsNotMoved")


@pytest.mark.parametrize(("hour", "are_forgotten"), [("06", True), ("07", False)])
def test_only_the_newest_of_our_finished_moves_are_kept_and_those_of_people_always(
    hour: str, are_forgotten: bool
) -> None:
    scene = Scene(of(2))  # it is 08:00, and those of an hour still count
    old = []
    for number in range(HISTORY_MAX + 3):
        for by in ("Planner", "Person"):
            made = move(f"{by.lower()}-{number:02}", symbols="AUSDT", requestedBy=by)
            status = {"state": "Done", "observedGeneration": 1}
            status["finishedTime"] = f"2027-01-15T{hour}:{number:02}:00Z"
            document = made.model_dump(by_alias=True, exclude={"status"}) | {"status": status}
            old.append(type(made).model_validate(document))
    scene.world = replace(scene.world, moves=tuple(old))
    forgotten = [a.name for a in scene.step().actions if isinstance(a, ForgetMove)]
    oldest = ["planner-00", "planner-01", "planner-02"]
    assert forgotten == (oldest if are_forgotten else [])
    assert scene.step().actions == ()


def test_unknown_moves_change_nothing() -> None:
    scene = Scene(of(2))
    scene.wanted = of(3)
    scene.world = replace(scene.world, moves=None)
    for _ in range(20):
        plan = scene.step()
    assert not [action for action in plan.actions if isinstance(action, MakeMove)]
