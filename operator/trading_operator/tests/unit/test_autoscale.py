"""A live cluster follows its load: counts in effect, what the status says, what a restart keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from trading_contract.autoscaling_status import DECISIONS_MAX, AutoscalingStatus
from trading_contract.status import ClusterStatus
from trading_operator.planner.autoscale.counts import counts_in_effect, most, with_counts
from trading_operator.planner.autoscale.told import (
    decision_read,
    decision_told,
    history_read,
    history_told,
)
from trading_operator.planner.observed import Role
from trading_operator.planner.scaling.decisions import Action, Blocker, History, Obstacle
from trading_operator.planner.scaling.signals import Tier
from trading_operator.planner.topology import shard_settings
from trading_operator.tests.builders import converged
from trading_operator.tests.loaded import ON, LoadedScene, scaling

BUSY = 0.9


def busy(*tiers: str, **spec: object) -> LoadedScene:
    """A cluster whose only partition is nearly full."""
    scene = LoadedScene(scaling(*tiers, **spec))  # type: ignore[arg-type]
    scene.used["partition-0"] = BUSY
    return scene


def test_a_partition_that_is_full_gets_another_one_beside_it_and_the_specification_stays() -> None:
    scene = busy("partitions")
    scene.looks(3)
    assert scene.running(Role.PARTITION) == ["partition-0", "partition-1"]
    assert scene.told.count("partitions") == 2
    assert scene.wanted.spec.partitions.count == 1
    assert set(scene.owners().values()) == {"partition-0", "partition-1"}


def test_a_backend_that_is_full_gets_another_one() -> None:
    scene = LoadedScene(scaling("backends"))
    scene.used["replica-0"] = BUSY
    scene.looks(3)
    assert scene.running(Role.REPLICA) == ["replica-0", "replica-1"]


def test_a_shard_that_is_full_gets_another_one_and_gives_it_half_of_its_ranges() -> None:
    scene = LoadedScene(scaling("shards"))
    scene.used["shard-0"] = BUSY
    scene.looks(5)
    assert scene.running(Role.SHARD) == ["shard-0", "shard-1"]
    assert set(scene.shards().values()) == {"shard-0", "shard-1"}


def test_nothing_is_decided_or_said_where_nothing_scales() -> None:
    scene = busy()
    scene.looks(3)
    assert scene.memory is None
    assert scene.previous is not None
    assert scene.previous.autoscaling is None
    assert scene.running(Role.PARTITION) == ["partition-0"]


def test_a_dry_run_tells_what_it_would_do_and_does_nothing() -> None:
    scene = busy("partitions", policy={**ON, "mode": "dryRun"})
    scene.looks(4)
    assert scene.running(Role.PARTITION) == ["partition-0"]
    assert scene.told.count("partitions") == 1
    decision = next(t.decision for t in scene.told.tiers if t.name == "partitions")
    assert decision is not None
    assert (decision.action, decision.to_count) == (Action.GROW.value, 2)
    assert Blocker.DRY_RUN.value in {each.reason for each in decision.blocked_by}


def test_redis_masters_come_and_go_with_what_they_have_to_do() -> None:
    policy = {"mode": "on", "min": 3, "max": 8, "cooldownSeconds": 10}
    scene = LoadedScene(scaling("redis", policy=policy, autoscaling={"scaleInAfterSeconds": 60}))
    scene.used = {f"redis-{at}": BUSY for at in range(3)}
    scene.looks(3)
    assert scene.running(Role.NODE) == [f"redis-{at}" for at in range(5)]
    assert scene.told.count("redis") == 5
    assert scene.wanted.spec.redis.masters == 3
    scene.looks(5)
    assert set(hash_slots(scene)) == set(scene.running(Role.NODE))
    scene.restart(loses_status=True)
    scene.used = {}
    scene.looks(1)
    assert scene.told.count("redis") == 5
    scene.looks(60)
    assert scene.running(Role.NODE) == [f"redis-{at}" for at in range(3)]
    assert sum(hash_slots(scene).values()) == 16_384


def hash_slots(scene: LoadedScene) -> dict[str, int]:
    """Of each node that has any."""
    views = {name: node.myself for name, node in scene.world.nodes.items()}
    return {name: len(view.hash_slots) for name, view in views.items() if view and view.hash_slots}


def test_one_look_is_decided_about_once() -> None:
    scene = busy("partitions")
    scene.look(passes=1)
    before = scene.memory
    assert before is not None
    scene.step()
    assert scene.memory is not None
    assert scene.memory.planner is before.planner


@pytest.mark.parametrize("rest", ["paused", "hibernated"])
def test_a_cluster_at_rest_decides_nothing(rest: str) -> None:
    scene = busy("partitions")
    at_rest: dict[str, Any] = {rest: True}
    scene.wanted = scaling("partitions", **at_rest)
    scene.looks(4)
    assert scene.memory is not None
    assert scene.memory.planner.history.decisions == ()


def test_an_operator_that_begins_anew_keeps_the_counts() -> None:
    scene = busy("partitions")
    scene.looks(4)  # the last one brings nothing new
    scene.restart()
    scene.used.clear()
    assert scene.step().actions == ()
    scene.looks(5)
    assert scene.told.count("partitions") == 2


def test_an_operator_that_begins_anew_knows_what_was_decided_and_when() -> None:
    scene = busy("partitions", policy={**ON, "cooldownSeconds": 600})
    scene.looks(3)
    before = scene.told.history
    scene.restart()
    scene.step()
    assert scene.told.history == before
    scene.used["partition-1"] = scene.used["partition-0"] = 0.95
    scene.looks(4)
    decision = next(t.decision for t in scene.told.tiers if t.name == "partitions")
    assert decision is not None
    assert Blocker.COOLDOWN.value in {each.reason for each in decision.blocked_by}
    assert scene.told.count("partitions") == 2


def test_a_lost_status_loses_no_count() -> None:
    scene = busy("partitions", "backends")
    scene.used["replica-0"] = BUSY
    scene.looks(3)
    scene.restart(loses_status=True)
    scene.step()
    assert (scene.told.count("partitions"), scene.told.count("backends")) == (2, 2)


def test_an_operator_that_begins_anew_shrinks_nothing_before_it_has_seen_enough() -> None:
    short = {"scaleInAfterSeconds": 120}
    scene = LoadedScene(scaling("partitions", autoscaling=short, partitions={"count": 2}))
    scene.looks(7)
    scene.restart()
    scene.looks(7)  # together as long as is needed in one piece
    assert scene.told.count("partitions") == 2
    scene.looks(10)
    assert scene.told.count("partitions") == 1


def test_what_was_added_goes_again_when_the_load_has_gone_and_is_emptied_first() -> None:
    scene = busy("partitions", autoscaling={"scaleInAfterSeconds": 120})
    scene.looks(3)
    scene.used["partition-0"] = 0.05
    scene.used["partition-1"] = 0.05
    scene.looks(40)
    assert scene.told.count("partitions") == 1
    assert scene.running(Role.PARTITION) == ["partition-0"]
    assert set(scene.owners().values()) == {"partition-0"}


def test_nothing_shrinks_within_half_an_hour_unless_the_specification_says_so() -> None:
    scene = busy("partitions")
    scene.looks(3)
    scene.used.clear()
    scene.looks(120)
    assert scene.told.count("partitions") == 2


def test_a_new_count_in_the_file_counts_only_where_load_does_not_set_it() -> None:
    spec = scaling("partitions", backends={"replicas": 5}, partitions={"count": 4}).spec
    decided = {Tier.PARTITIONS: 2, Tier.BACKENDS: 3}
    counts = counts_in_effect(spec, decided, {})
    assert (counts[Tier.PARTITIONS], counts[Tier.BACKENDS]) == (2, 5)


@pytest.mark.parametrize(("count", "first"), [(1, 3), (4, 4), (9, 6)])
def test_a_new_cluster_begins_with_the_count_of_its_file_within_min_and_max(
    count: int, first: int
) -> None:
    policy = {"mode": "on", "min": 3, "max": 6}
    spec = scaling("partitions", policy=policy, partitions={"count": count}).spec
    assert counts_in_effect(spec, {}, {})[Tier.PARTITIONS] == first


def test_somebody_who_is_not_drained_always_stays() -> None:
    drained = ["partition-0", "partition-1"]
    spec = scaling("partitions", partitions={"count": 3, "drained": drained}).spec
    assert counts_in_effect(spec, {Tier.PARTITIONS: 1}, {})[Tier.PARTITIONS] == 3


def test_counts_that_are_those_of_the_file_leave_the_cluster_as_it_is() -> None:
    wanted = scaling("partitions")
    assert with_counts(wanted, counts_in_effect(wanted.spec, {}, {})) is wanted


def test_shards_are_set_up_for_as_many_as_there_may_be_so_that_none_restarts() -> None:
    wanted = scaling("partitions", "backends", policy={"mode": "on", "max": 20})
    grown = with_counts(wanted, dict.fromkeys(Tier, 20))
    assert most(wanted.spec, Tier.BACKENDS) == 20
    assert shard_settings(grown.spec) == shard_settings(wanted.spec)
    assert shard_settings(scaling().spec) != shard_settings(wanted.spec)


def test_decisions_survive_the_status() -> None:
    scene = busy("partitions", "backends", prices={"cpuCore": "20", "memoryGibibyte": "3",
                                                   "storageGibibyte": "0.1"})  # fmt: skip
    scene.looks(60)
    assert scene.memory is not None
    decisions = scene.memory.planner.history.decisions
    assert any(each.observed is not None for each in decisions)
    for each in decisions:
        told = decision_told(each)
        again = decision_told(decision_read(told))
        assert (again.error_percent is None) is (told.error_percent is None)
        # It is of the exact figures, and these are told in whole percents.
        assert again == told.model_copy(update={"error_percent": again.error_percent})
        assert decision_read(told).kind == each.kind


def test_what_another_version_said_is_left_out() -> None:
    scene = busy("partitions")
    scene.looks(3)
    (first, *_) = scene.told.history
    strange = first.model_copy(update={"reason": "OfALaterVersion"})
    timeless = first.model_copy(update={"at": "soon"})
    assert history_read((strange, timeless, first)).decisions == (decision_read(first),)


def test_the_status_stays_small_whatever_happens() -> None:
    scene = busy("partitions", "backends", rebalancing="on")
    scene.looks(3)
    assert scene.memory is not None
    (*_, last) = scene.memory.planner.history.decisions
    text = "x" * 10_000
    long = replace(last, blocked_by=tuple(Obstacle(blocker, text) for blocker in Blocker))
    told = history_told(History((last, *[long] * 200)))
    assert len(told) == DECISIONS_MAX
    assert decision_told(last) not in told
    assert sum(len(each.model_dump_json(by_alias=True)) for each in told) < 256 << 10


def test_without_news_the_status_stays_as_it_was() -> None:
    scene = busy("partitions", rebalancing="on", policy={**ON, "max": 1})
    scene.looks(5)
    before = scene.told
    scene.used["partition-0"] = BUSY + 0.05
    scene.look()
    assert scene.told == before
    scene.looks(6)
    assert scene.told.history == before.history
    figures = [t.decision.inputs for t in scene.told.tiers if t.decision and t.name == "partitions"]
    assert figures[0] is not None
    assert figures[0].highest_percent == 95


def test_a_status_can_be_read_again() -> None:
    scene = busy("partitions", rebalancing="on")
    scene.looks(5)
    text = ClusterStatus(autoscaling=scene.told).model_dump_json(by_alias=True)
    again = ClusterStatus.model_validate_json(text).autoscaling
    assert isinstance(again, AutoscalingStatus)
    assert again == scene.told


def test_a_cluster_that_comes_up_has_all_of_its_first_counts() -> None:
    policy = {"mode": "on", "min": 2, "max": 4}
    world = converged(scaling("partitions", "backends", policy=policy))
    names = set(world.processes or {})
    assert {"partition-1", "replica-1"} <= names
    assert "partition-2" not in names


def test_units_of_another_size_are_learned_about_anew() -> None:
    scene = busy("partitions")
    scene.looks(1)
    assert scene.memory is not None
    assert scene.memory.planner.capacities.of(Tier.PARTITIONS) == pytest.approx(850.0)
    scene.wanted = scaling("partitions", partitions={"resources": {"cpu": "200m"}})
    scene.memory = replace(scene.memory)
    scene.step()
    assert scene.memory is not None
    assert scene.memory.planner.capacities.of(Tier.PARTITIONS) == pytest.approx(170.0)
