"""Moves that load asks for become SymbolMoves; who is new gets its share by load."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import pytest

from trading_contract.symbolmove import MoveOrigin, MoveState, SymbolMove, SymbolMoveStatus
from trading_operator.planner.actions import MakeMove
from trading_operator.planner.autoscale.world import moves_seen
from trading_operator.planner.observed import Role
from trading_operator.planner.plan import Plan
from trading_operator.planner.scaling.layout import MoveSeen
from trading_operator.tests.builders import NOW
from trading_operator.tests.loaded import ON, LoadedScene, scaling
from trading_operator.tests.scenes import move


def uneven(rebalancing: str = "on") -> LoadedScene:
    """Two partitions of four slots each, one of them with three times the load."""
    scene = LoadedScene(scaling(rebalancing=rebalancing, partitions={"count": 2}))
    scene.used = {"partition-0": 0.6, "partition-1": 0.2}
    return scene


def made(plan: Plan) -> list[SymbolMove]:
    """What the planner asks for."""
    return [each.move for each in plan.actions if isinstance(each, MakeMove)]


def asked(scene: LoadedScene) -> Iterator[SymbolMove]:
    """All SymbolMoves that were made so far."""
    for each in scene.world.moves or ():
        assert each.spec.requested_by == "Planner"
        yield each


def load_of(scene: LoadedScene) -> dict[str, float]:
    """By partition, the load of its slots."""
    sums: defaultdict[str, float] = defaultdict(float)
    for slot in scene.world.topology.slots if scene.world.topology else ():
        sums[slot.partition] += scene.slots[slot.id]
    return dict(sums)


def test_the_fuller_partition_gives_a_range_to_the_other_and_says_why() -> None:
    scene = uneven()
    scene.looks(4)
    (wish,) = asked(scene)
    assert wish.spec.to_partition == "partition-1"
    assert wish.spec.reason.startswith("partition-0 is fuller than the others: 59% to ")
    assert wish.status is not None
    assert wish.status.state is MoveState.DONE
    owners = list(scene.owners().values())
    assert owners.count("partition-1") > owners.count("partition-0")


def test_a_dry_run_of_rebalancing_tells_the_move_and_asks_for_none() -> None:
    scene = uneven("dryRun")
    scene.looks(5)
    assert list(asked(scene)) == []
    balance = scene.told.balance
    assert balance is not None
    assert balance.reason == "MovesWanted"
    (wish,) = balance.moves
    assert (wish.source, wish.target) == ("partition-0", "partition-1")
    assert wish.source_after_percent < wish.source_before_percent == 59


def test_without_rebalancing_nothing_moves() -> None:
    scene = LoadedScene(scaling("backends", partitions={"count": 2}))
    scene.used = {"partition-0": 0.6, "partition-1": 0.2}
    scene.looks(5)
    assert list(asked(scene)) == []


def test_a_drained_partition_is_emptied_once_and_not_by_load_again() -> None:
    scene = uneven()
    scene.wanted = scaling(
        rebalancing="on", partitions={"count": 2, "drained": ["partition-0"]}
    )  # fmt: skip
    scene.looks(4)
    assert set(scene.owners().values()) == {"partition-1"}
    assert {each.spec.reason for each in asked(scene)} == {
        "its partition goes, is drained, or restarts"
    }


def test_whoever_goes_is_not_emptied_by_load_while_turning_over_waits() -> None:
    scene = LoadedScene(scaling(rebalancing="on", partitions={"count": 4}))
    spec = {"count": 4, "drained": ["partition-3"]}
    scene.wanted = scaling(rebalancing="on", partitions=spec)
    scene.used = dict.fromkeys((f"partition-{number}" for number in range(4)), 0.5)
    waiting = move("waiting", requestedBy="Planner", symbols="AUSDT", approval="Manual")
    scene.world = replace(scene.world, moves=(waiting,))
    scene.looks(4)
    assert [each.metadata.name for each in scene.world.moves or ()] == ["waiting"]
    assert "partition-3" in scene.owners().values()


def test_load_moves_nothing_to_a_partition_that_is_drained() -> None:
    scene = LoadedScene(scaling(partitions={"count": 3}))
    spec = {"count": 3, "drained": ["partition-2"]}
    scene.wanted = scaling(rebalancing="on", partitions=spec)
    for _ in range(3):
        scene.step(carry_out=True)
        for order in scene.orders():
            scene.carry_out(order)
    scene.settle()
    assert "partition-2" not in scene.owners().values()
    begun = len(scene.world.moves or ())
    scene.now += 300
    scene.used = {"partition-0": 0.8, "partition-1": 0.5, "partition-2": 0.0}
    scene.looks(6)
    targets = [each.spec.to_partition for each in (scene.world.moves or ())[begun:]]
    assert targets
    assert set(targets) == {"partition-1"}


def test_load_asks_for_nothing_while_the_planner_looks_for_a_person() -> None:
    scene = uneven()
    failed = move("bad", requestedBy="Planner", symbols="AUSDT")
    status = {
        "state": "Failed", "reason": "AttemptsExhausted", "observedGeneration": 1,
        "finishedTime": "2027-01-15T08:00:00Z",
    }  # fmt: skip
    document = failed.model_dump(by_alias=True, exclude={"status"}) | {"status": status}
    scene.world = replace(scene.world, moves=(SymbolMove.model_validate(document),))
    scene.looks(5)
    assert [each.metadata.name for each in scene.world.moves or ()] == ["bad"]


def test_a_new_partition_gets_its_share_of_the_load_and_not_of_the_slots() -> None:
    scene = LoadedScene(scaling("partitions", partitions={"count": 2}))
    assert scene.world.topology is not None
    slots = [slot.id for slot in scene.world.topology.slots]
    hot, *cold = slots
    scene.slots = {hot: 0.5, **dict.fromkeys(cold, 0.05)}
    scene.used = {"partition-0": 0.85, "partition-1": 0.85}
    scene.looks(4)
    loads = load_of(scene)
    assert len(loads) == 3
    assert min(loads.values()) == pytest.approx(0.15)
    (home,) = {slot.partition for slot in scene.world.topology.slots if slot.id == hot}
    assert home == "partition-0"


def test_loads_that_are_nearly_equal_are_halved() -> None:
    scene = LoadedScene(scaling("partitions"))
    assert scene.world.topology is not None
    slots = [slot.id for slot in scene.world.topology.slots]
    scene.slots = {slot: 0.2 + 0.003 * at for at, slot in enumerate(slots)}
    scene.used = {"partition-0": 0.8}
    scene.looks(4)
    owners = list(scene.owners().values())
    assert owners.count("partition-1") == len(owners) / 2


def test_a_partition_that_goes_gives_its_load_evenly() -> None:
    scene = LoadedScene(scaling(partitions={"count": 3}, rebalancing="dryRun"))
    assert scene.world.topology is not None
    mine = [slot.id for slot in scene.world.topology.slots if slot.partition == "partition-2"]
    scene.slots = {slot.id: 0.1 for slot in scene.world.topology.slots}
    scene.slots[mine[0]] = 0.3
    scene.look()
    scene.wanted = scaling(
        partitions={"count": 3, "drained": ["partition-2"]}, rebalancing="dryRun"
    )  # fmt: skip
    scene.looks(3)
    loads = load_of(scene)
    assert loads["partition-0"] == pytest.approx(loads["partition-1"], abs=0.11)
    counts = [list(scene.owners().values()).count(f"partition-{n}") for n in (0, 1)]
    assert counts[0] != counts[1]


def test_chance_does_not_decide_who_gets_what_where_nearly_nothing_is_done() -> None:
    scene = LoadedScene(scaling("partitions", policy={**ON, "min": 2}))
    assert scene.world.topology is not None
    scene.wanted = scaling("partitions", policy={**ON, "min": 4})
    scene.slots = {slot.id: 0.001 * at for at, slot in enumerate(scene.world.topology.slots)}
    scene.looks(4)
    owners = list(scene.owners().values())
    assert {owners.count(f"partition-{number}") for number in range(4)} == {6}


def test_a_warm_spare_owns_nothing() -> None:
    scene = LoadedScene(scaling("partitions", policy={**ON, "min": 3, "warmSpares": 1}))
    scene.wanted = scaling("partitions", policy={**ON, "min": 4, "warmSpares": 1})
    scene.looks(4)
    assert len(scene.running(Role.PARTITION)) == 4
    assert set(scene.owners().values()) == {"partition-0", "partition-1", "partition-2"}


def seen(**status: object) -> tuple[MoveSeen, ...]:
    """One move of A..H to partition-1, as the planner of scale sees it."""
    one = move("m", symbols="A..H", to="partition-1")
    one = one.model_copy(update={"status": SymbolMoveStatus.model_validate(status)})
    topology = LoadedScene(scaling(partitions={"count": 2})).world.topology
    assert topology is not None
    return tuple(moves_seen([one], topology.slots, NOW))


def test_a_move_that_has_not_begun_is_seen_at_its_present_owner() -> None:
    (one,) = seen(state="Waiting")
    assert (one.source, one.target, one.finished_at_seconds) == ("partition-0", "partition-1", None)


def test_a_move_that_has_begun_is_seen_where_it_began_once_for_each_that_gives() -> None:
    origins = [
        MoveOrigin(first="A", past="C", owner="partition-2"),
        MoveOrigin(first="C", past="H", owner="partition-3"),
    ]
    told = seen(state="Moving", origins=origins, startedTime="2027-01-15T07:59:00Z")
    assert [(each.source, each.ranges) for each in told] == [
        ("partition-2", (("A", "C"),)), ("partition-3", (("C", "H"),)),
    ]  # fmt: skip
    assert {each.started_at_seconds for each in told} == {NOW - 60}


@pytest.mark.parametrize(
    ("state", "reason", "has_failed"),
    [
        ("Done", "Completed", False),
        ("Reversed", "ReversedBySpec", False),
        ("Failed", "AttemptsExhausted", True),
        ("Refused", "TargetLeaving", False),
    ],
)
def test_how_a_move_ended_is_seen(state: str, reason: str, has_failed: bool) -> None:
    origins = [MoveOrigin(first="A", past="H", owner="partition-0")]
    (one,) = seen(
        state=state, reason=reason, origins=origins, finishedTime="2027-01-15T07:50:00Z"
    )  # fmt: skip
    assert (one.has_failed, one.finished_at_seconds) == (has_failed, NOW - 600)


def test_moves_of_more_than_an_hour_ago_and_those_that_never_began_are_not_seen() -> None:
    origins = [MoveOrigin(first="A", past="H", owner="partition-0")]
    assert seen(state="Done", origins=origins, finishedTime="2027-01-15T06:59:00Z") == ()
    assert seen(state="Refused", finishedTime="2027-01-15T07:59:00Z") == ()
