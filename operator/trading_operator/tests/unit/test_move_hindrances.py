"""What a move waits for, and that it goes on by itself after that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trading_contract.symbolmove import MoveReason, MoveState
from trading_operator.planner.observed import Reach, ReplicaSeen
from trading_operator.tests.scenes import TWO, Scene, move


@pytest.mark.parametrize("name", ["partition-0", "partition-1", "shard-0"])
def test_it_waits_for_those_who_are_not_ready(name: str) -> None:
    scene = Scene(TWO, move(symbols="ADAUSDT"))
    well = scene.world
    if name == "shard-0":
        shard = replace(well.shards[name], accepts_writes=False)
        scene.world = replace(well, shards={name: shard})
    else:
        sick = replace(well.partitions[name], state="loading")
        scene.world = replace(well, partitions={**well.partitions, name: sick})
    scene.step()
    reason = scene.status().reason
    assert scene.verdict()[0] is MoveState.WAITING
    is_target = name == "partition-1"
    assert reason == (MoveReason.TARGET_NOT_READY if is_target else MoveReason.SOURCE_NOT_READY)
    assert name in scene.status().message
    scene.world = replace(well, moves=scene.world.moves)
    scene.settle()
    assert scene.verdict()[0] is MoveState.DONE


def test_it_waits_for_replicas_that_would_lose_what_moves() -> None:
    scene = Scene(TWO, move(symbols="ADAUSDT"))
    well = scene.world
    source, target = frozenset({"partition-0"}), frozenset({"partition-1"})
    scene.world = replace(well, replicas={
        "replica-0": ReplicaSeen(Reach.PARTITIONS, source),
        "replica-1": ReplicaSeen(Reach.PARTITIONS, source | target),
    })  # fmt: skip
    assert scene.step().actions == ()
    assert scene.verdict() == (MoveState.WAITING, MoveReason.TARGET_NOT_READY)
    assert "partition-1 is not connected to replica-0" in scene.status().message
    for others in (target, frozenset[str](), None):  # lose nothing, or do not tell
        lone = Scene(TWO, move(symbols="ADAUSDT"))
        seen = ReplicaSeen(Reach.REPLICA, others)
        lone.world = replace(lone.world, replicas={"replica-0": seen})
        assert lone.step().actions != ()
    scene.world = replace(well, moves=scene.world.moves)
    scene.settle()
    assert scene.verdict()[0] is MoveState.DONE


def test_partitions_of_a_version_before_moves_are_not_asked() -> None:
    scene = Scene(TWO, move(symbols="ADAUSDT"))
    old = {n: replace(p, move_kinds=frozenset()) for n, p in scene.world.partitions.items()}
    scene.world = replace(scene.world, partitions=old)
    assert scene.step().actions == ()
    assert scene.verdict() == (MoveState.WAITING, MoveReason.TARGET_NOT_READY)
