"""Splits that outlive their moves are taken back, a pair at a time, when nothing moves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from trading_contract.symbolmove import MoveState
from trading_operator.planner.moves.merging import TRY_SECONDS
from trading_operator.tests.builders import cluster, verdict
from trading_operator.tests.scenes import LETTERS, Scene, move

WANTED = cluster(LETTERS, partitions={"count": 2})


def slots(scene: Scene) -> list[Any]:
    """As published."""
    topology = scene.world.topology
    assert topology is not None
    return list(topology.slots)


def split(scene: Scene) -> list[Any]:
    """BUSDT went to the other partition and came back: its slot is in three parts."""
    before = [(slot.first, slot.past) for slot in slots(scene)]
    for _ in range(40):
        scene.step(carry_out=True)
        if scene.status().is_finished and not scene.orders():
            break
    scene.edit(reverse=True)
    return before


def test_what_a_move_and_its_way_back_left_in_parts_becomes_one_again() -> None:
    scene = Scene(WANTED, move(symbols="BUSDT"))
    before = split(scene)
    assert len(slots(scene)) == len(before) + 2
    kinds = set()
    for _ in range(60):
        scene.step(carry_out=True)
        kinds |= {(order.kind, len(scene.orders())) for order in scene.orders()}
        scene.now += 1
    assert ("merge", 1) in kinds  # one at a time
    assert ("merge", 2) not in kinds
    assert [(slot.first, slot.past) for slot in slots(scene)] == before
    assert scene.orders() == ()
    assert scene.plan().actions == ()


def test_a_part_at_another_partition_stays_one() -> None:
    scene = Scene(WANTED, move(symbols="BUSDT"))
    scene.settle()
    assert scene.orders() == ()
    assert len(slots(scene)) == 10


def waiting() -> Scene:
    """The next merge is ordered and nobody does it."""
    scene = Scene(WANTED, move(symbols="BUSDT"))
    split(scene)
    for _ in range(40):
        scene.step(carry_out=not any(order.kind == "merge" for order in scene.plan().moves.orders))
        if any(order.kind == "merge" for order in scene.orders()):
            return scene
    raise AssertionError("nothing is merged")


def test_a_merge_stands_in_nobodys_way() -> None:
    scene = waiting()
    assert verdict(scene.plan().status, "Ready")[0] == "True"
    (merge,) = scene.orders()
    scene.world = replace(
        scene.world, moves=(*(scene.world.moves or ()), move("n", symbols="CUSDT"))
    )
    scene.step()
    assert merge not in scene.orders()
    assert [order.kind for order in scene.orders()] == ["engine"]


def test_one_that_is_refused_is_tried_again_once_a_minute() -> None:
    scene = waiting()
    (first,) = scene.orders()
    scene.step()
    assert scene.orders() == (first,)
    scene.now += TRY_SECONDS
    scene.step()
    (second,) = scene.orders()
    assert (second.id, second.attempt) == (first.id, first.attempt + 1)


def test_what_still_has_a_copy_on_another_shard_is_not_merged() -> None:
    scene = waiting()
    (merge,) = scene.orders()
    shards = scene.world.shards
    rows = tuple(replace(row, move_id="some") for row in shards["shard-0"].rows or ())
    scene.world = replace(scene.world, shards={"shard-0": replace(shards["shard-0"], rows=rows)})
    scene.step()
    assert merge not in scene.orders()


def test_small_slots_stay_while_there_are_few() -> None:
    scene = Scene(cluster(LETTERS, partitions={"count": 2}))
    scene.wanted = cluster(LETTERS, partitions={"count": 4})
    scene.settle()
    scene.world = replace(scene.world, moves=(move(symbols="BUSDT", to="partition-3"),))
    split(scene)
    scene.settle()
    assert scene.verdict()[0] is MoveState.REVERSED
    assert len(slots(scene)) == 10
