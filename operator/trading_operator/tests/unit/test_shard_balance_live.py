"""Balance of shards on a whole cluster: the SymbolMove that load asks for, and what is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from trading_contract.symbolmove import MoveState, SymbolMove
from trading_operator.cli.explain import text
from trading_operator.planner.scaling.signals import Tier
from trading_operator.tests.loaded import ON, LoadedScene, scaling

THREE = {**ON, "min": 3, "max": 3}
SHARDS: dict[str, Any] = {"count": 3, "resources": {"cpu": "1"}}
QUICK = 60  # seconds: a shard is watched for ten, then above the band for twenty
LOOKS = 8


def uneven(mode: str = "on", rebalancing: str = "on", **spec: Any) -> LoadedScene:
    """Three shards of eight slots each, one of them with much more to do."""
    shards = {**THREE, "mode": mode}
    scene = LoadedScene(
        scaling(
            rebalancing=rebalancing, shards=SHARDS, partitions={"count": 2},
            autoscaling={"shards": shards, "scaleInAfterSeconds": QUICK}, **spec,
        )
    )  # fmt: skip
    scene.used = {"shard-0": 0.7, "shard-1": 0.3, "shard-2": 0.35}
    return scene


def asked(scene: LoadedScene) -> list[SymbolMove]:
    """All SymbolMoves that were made so far."""
    return list(scene.world.moves or ())


def homes(scene: LoadedScene) -> list[str]:
    """The shard of each slot."""
    assert scene.world.topology is not None
    return [slot.shard for slot in scene.world.topology.slots]


def test_the_fuller_shard_gives_slots_to_the_emptiest_and_says_why() -> None:
    scene = uneven()
    before = homes(scene).count("shard-0")
    scene.looks(LOOKS - 2)
    assert asked(scene) == []
    scene.looks(3)
    (wish,) = asked(scene)
    assert wish.spec.to_shard == "shard-1"
    assert wish.spec.reason.startswith("shard-0 is fuller than the others: 70% to ")
    assert wish.status is not None
    assert wish.status.state is MoveState.DONE
    assert homes(scene).count("shard-0") == before - len(wish.spec.symbols)
    told = scene.told.shard_balance
    assert told is not None
    assert told.reason in {"MovesUnderWay", "MovedLately"}


def test_nothing_else_moves_while_both_rest() -> None:
    scene = uneven()
    scene.looks(LOOKS + 4)
    assert len(asked(scene)) == 1
    lines = "\n".join(text(scene.told, [Tier.SHARDS]))
    assert "rebalancing of shards: a shard is above the band, but a move has just" in lines


def test_a_dry_run_of_either_tells_the_move_and_asks_for_none() -> None:
    for scene in (uneven(mode="dryRun"), uneven(rebalancing="dryRun")):
        scene.looks(LOOKS + 2)
        assert asked(scene) == []
        told = scene.told.shard_balance
        assert told is not None
        assert told.reason == "MovesWanted"
        (wish,) = told.moves
        assert (wish.source, wish.target) == ("shard-0", "shard-1")
        lines = "\n".join(text(scene.told, [Tier.SHARDS]))
        assert "Shards use 45% on average, the fullest 70%" in lines


def test_with_the_mode_off_nothing_moves_and_it_is_told() -> None:
    scene = uneven(mode="off")
    scene.looks(LOOKS + 2)
    assert asked(scene) == []
    assert scene.told.shard_balance is not None
    assert scene.told.shard_balance.reason == "TierSwitchedOff"


def test_what_is_told_stays_over_a_restart_and_watching_begins_anew() -> None:
    scene = uneven()
    scene.looks(LOOKS - 2)
    scene.restart()
    scene.looks(LOOKS - 2)
    assert asked(scene) == []
    scene.looks(3)
    assert len(asked(scene)) == 1


def test_a_drained_shard_is_emptied_once_and_given_nothing_by_load() -> None:
    scene = uneven()
    drained = scaling(
        rebalancing="on", shards={**SHARDS, "drained": ["shard-1"]}, partitions={"count": 2},
        autoscaling={"shards": THREE, "scaleInAfterSeconds": QUICK},
    )  # fmt: skip
    scene.wanted = drained
    scene.looks(4)
    assert "shard-1" not in homes(scene)
    begun = len(asked(scene))
    scene.looks(LOOKS + 8)
    targets = [each.spec.to_shard for each in asked(scene)[begun:]]
    assert targets == ["shard-2"]


def test_no_move_is_asked_for_that_no_partition_can_do() -> None:
    scene = uneven()
    partitions = scene.world.partitions
    unable = {name: replace(each, move_kinds=frozenset()) for name, each in partitions.items()}
    scene.world = replace(scene.world, partitions=unable)
    scene.looks(LOOKS + 2)
    assert asked(scene) == []


def test_no_move_is_asked_for_that_the_disk_has_no_room_for() -> None:
    scene = uneven()
    shards = {
        name: replace(each, database_bytes=1 << 40) for name, each in scene.world.shards.items()
    }
    scene.world = replace(scene.world, shards=shards, disk_free_bytes=1 << 35)
    scene.looks(LOOKS + 2)
    assert asked(scene) == []
    scene.world = replace(scene.world, disk_free_bytes=1 << 42)
    scene.looks(1)
    assert len(asked(scene)) == 1
