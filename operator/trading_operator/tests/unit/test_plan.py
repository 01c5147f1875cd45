"""Promises of plan(): converges, stays quiet, survives interruption, never acts on a guess."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from trading_contract.status import Phase
from trading_operator.planner.actions import (
    AssignPorts,
    PrepareShard,
    PublishTopology,
    ReplaceBalancer,
    StartComponent,
    StopComponent,
    subject,
)
from trading_operator.planner.observed import Failure, Observed, PartitionSeen, Role, ShardSeen
from trading_operator.planner.preview import imagine
from trading_operator.tests.builders import (
    NOW,
    TOPOLOGIES,
    cluster,
    converged,
    planned,
    steps,
    verdict,
)


@pytest.mark.parametrize("spec", TOPOLOGIES)
def test_a_converged_world_gives_an_empty_plan_and_is_ready(spec: Mapping[str, Any]) -> None:
    wanted = cluster(**spec)
    world = converged(wanted)
    plan = planned(wanted, world)
    assert plan.actions == ()
    assert verdict(plan.status, "Ready") == ("True", "Reconciled")
    assert plan.status.phase is Phase.RUNNING
    assert planned(wanted, world) == plan


@pytest.mark.parametrize("spec", TOPOLOGIES)
def test_an_operator_that_dies_after_each_action_ends_in_the_same_world(
    spec: Mapping[str, Any],
) -> None:
    wanted = cluster(**spec)
    worlds = [world for _, world in steps(wanted, Observed(processes={}))]
    uninterrupted = converged(wanted)
    assert worlds[-1].topology == uninterrupted.topology
    assert set(worlds[-1].processes or {}) == set(uninterrupted.processes or {})
    assert verdict(planned(wanted, worlds[-1]).status, "Ready")[0] == "True"


def test_no_shard_is_started_before_the_topology_is_published() -> None:
    for action, world in steps(cluster(), Observed(processes={})):
        if isinstance(action, StartComponent):
            assert world.topology is not None


def test_a_partition_waits_for_the_shards_of_its_slots() -> None:
    wanted = cluster(shards={"count": 2}, partitions={"count": 2})
    prepared: set[str] = set()
    for action, world in steps(wanted, Observed(processes={})):
        if isinstance(action, PrepareShard):
            prepared.add(action.shard)
        if isinstance(action, StartComponent) and action.component.role == "partition":
            assert world.topology is not None
            name = action.component.name
            assert prepared >= {s.shard for s in world.topology.slots if s.partition == name}


@pytest.mark.parametrize("spec", TOPOLOGIES)
def test_whatever_dies_is_started_again_and_nothing_else_happens(spec: Mapping[str, Any]) -> None:
    wanted = cluster(**spec)
    world = converged(wanted)
    for name in world.processes or {}:
        dead = imagine(world, StopComponent(name, "", 0, ""))
        plan = planned(wanted, dead)
        assert verdict(plan.status, "Ready")[0] == "False"
        started = [a for a in plan.actions if isinstance(a, StartComponent)]
        assert [action.component.name for action in started] == [name]
        assert not [a for a in plan.actions if isinstance(a, StopComponent | PublishTopology)]


def test_unknown_processes_lead_to_no_action_at_all() -> None:
    world = replace(converged(cluster()), processes=None)
    plan = planned(cluster(partitions={"count": 3}), world)
    assert plan.actions == ()
    assert verdict(plan.status, "Ready") == ("Unknown", "WorldUnknown")


def test_an_unreadable_topology_stops_nothing_and_publishes_nothing() -> None:
    world = replace(
        converged(cluster(backends={"replicas": 3})), topology=None, topology_known=False
    )
    plan = planned(cluster(backends={"replicas": 1}), world)
    assert not [a for a in plan.actions if isinstance(a, StopComponent | PublishTopology)]
    assert verdict(plan.status, "Stalled") == ("True", "UnsafeChange")


def test_a_lost_topology_beside_full_shards_is_never_made_up_anew() -> None:
    world = replace(converged(cluster()), topology=None)
    plan = planned(cluster(), world)
    assert plan.actions == ()
    assert verdict(plan.status, "Stalled") == ("True", "UnsafeChange")


def test_probes_that_fail_stop_nothing() -> None:
    world = converged(cluster(shards={"count": 2}))
    silent = replace(
        world,
        shards={name: ShardSeen(has_data=True) for name in world.shards},
        partitions={name: PartitionSeen() for name in world.partitions},
        nodes={},
        replicas={},
        balancer_answers=False,
    )
    plan = planned(cluster(shards={"count": 2}), silent)
    assert plan.actions == ()
    assert plan.status.phase is not Phase.RUNNING


def _ranges(world: Observed) -> list[tuple[int, str, str, str]]:
    assert world.topology is not None
    return [(slot.id, slot.first, slot.past, slot.shard) for slot in world.topology.slots]


def test_the_ranges_of_slots_never_change_with_the_specification() -> None:
    world = converged(cluster())
    bigger = cluster(
        ("AAAUSDT", *(s.name for s in cluster().spec.symbols)), partitions={"count": 4}
    )
    after = converged(bigger, world)
    assert world.topology is not None
    assert after.topology is not None
    assert _ranges(after) == _ranges(world)
    assert "AAAUSDT" in {symbol.name for symbol in after.topology.symbols}
    assert after.topology.revision > world.topology.revision


def test_new_symbols_make_the_shards_be_prepared_again() -> None:
    world = converged(cluster())
    more = cluster(("AAAUSDT", *(s.name for s in cluster().spec.symbols)))
    actions = [action for action, _ in steps(more, world)]
    assert [type(action) for action in actions] == [PublishTopology, PrepareShard]


def test_added_shards_get_their_share_and_are_emptied_and_removed_again() -> None:
    small, big = cluster(), cluster(shards={"count": 2})
    grown = converged(big, converged(small))
    assert grown.topology is not None
    assert {slot.shard for slot in grown.topology.slots} == {"shard-0", "shard-1"}
    shrunk = converged(small, grown)
    assert shrunk.topology is not None
    assert {slot.shard for slot in shrunk.topology.slots} == {"shard-0"}
    assert set(shrunk.processes or {}) == set(converged(small).processes or {})


def test_what_owns_slots_is_kept_and_reported() -> None:
    world = converged(cluster(partitions={"count": 2}, shards={"count": 2}))
    plan = planned(cluster(), world)
    assert not [a for a in plan.actions if isinstance(a, StopComponent)]
    assert verdict(plan.status, "TurndownBlocked") == ("True", "MovingSlots")
    assert verdict(plan.status, "Available")[0] == "True"
    assert verdict(plan.status, "Ready")[0] == "False"
    assert verdict(planned(cluster(), converged(cluster(), world)).status, "Available")[0] == "True"


def test_replicas_come_and_go_without_another_load_balancer() -> None:
    """They ask the one that runs for connections, and give them back before they end."""
    world = converged(cluster(backends={"replicas": 3}))
    gone = [(type(action), subject(action)) for action, _ in steps(cluster(), world)]
    assert gone == [(StopComponent, "replica-1"), (StopComponent, "replica-2")]
    order = [type(action) for action, _ in steps(cluster(backends={"replicas": 2}), world)]
    assert order == [StopComponent]
    come = steps(cluster(backends={"replicas": 2}), converged(cluster()))
    assert [type(action) for action, _ in come] == [AssignPorts, StartComponent]


def test_another_load_balancer_waits_for_replicas_of_the_present_form() -> None:
    wanted = cluster(backends={"replicas": 2})
    world = converged(wanted)
    older = {
        name: replace(each, settings_hash="older")
        for name, each in (world.processes or {}).items()
        if each.role in (Role.REPLICA, Role.BALANCER)
    }
    world = replace(world, processes={**(world.processes or {}), **older})
    order = [(type(action), subject(action)) for action, _ in steps(wanted, world)]
    restarts = [
        (kind, f"replica-{i}") for i in range(2) for kind in (StopComponent, StartComponent)
    ]
    assert order == [*restarts, (ReplaceBalancer, "load-balancer")]


def test_changed_settings_restart_one_shard_at_a_time() -> None:
    world = converged(cluster(shards={"count": 3}))
    wanted = cluster(shards={"count": 3, "resources": {"memory": "2Gi"}})
    order = [(type(action), subject(action)) for action, _ in steps(wanted, world)]
    restarts = [(kind, f"shard-{i}") for i in range(3) for kind in (StopComponent, StartComponent)]
    assert order == restarts
    assert len(planned(wanted, world).actions) == 1


def test_no_roll_begins_while_another_component_is_down() -> None:
    world = converged(cluster(shards={"count": 2}))
    wanted = cluster(shards={"count": 2, "resources": {"memory": "2Gi"}})
    broken = imagine(world, StopComponent("redis-0", "", 0, ""))
    assert not [a for a in planned(wanted, broken).actions if isinstance(a, StopComponent)]


def test_a_crash_loop_is_waited_for() -> None:
    world = imagine(converged(cluster()), StopComponent("replica-0", "", 0, ""))
    waiting = replace(world, failures={"replica-0": Failure("it fell", 3, NOW + 1)})
    assert planned(cluster(), waiting).actions == ()
    assert verdict(planned(cluster(), waiting).status, "Degraded") == ("True", "ComponentFailed")
    due = replace(world, failures={"replica-0": Failure("it fell", 3, NOW - 1)})
    assert [subject(action) for action in planned(cluster(), due).actions] == ["replica-0"]


def test_a_silent_partition_is_ended_only_after_half_a_minute() -> None:
    world = converged(cluster())
    assert planned(cluster(), replace(world, silent_seconds={"partition-0": 29})).actions == ()
    (action,) = planned(cluster(), replace(world, silent_seconds={"partition-0": 31})).actions
    assert isinstance(action, StopComponent)
    assert action.force


def test_paused_changes_nothing_but_reports() -> None:
    world = imagine(converged(cluster()), StopComponent("replica-0", "", 0, ""))
    plan = planned(cluster(paused=True), world)
    assert plan.actions == ()
    assert plan.status.phase is Phase.PAUSED


def test_hibernation_stops_from_the_front_to_the_disk_and_keeps_the_topology() -> None:
    wanted = cluster(hibernated=True, backends={"replicas": 2})
    world = converged(cluster(backends={"replicas": 2}))
    order = [subject(action) for action, _ in steps(wanted, world)]
    assert order[:2] == ["replica-0", "replica-1"]
    assert order.index("partition-0") < order.index("shard-0")
    asleep = converged(wanted, world)
    assert asleep.topology == world.topology
    assert planned(wanted, asleep).status.phase is Phase.HIBERNATED
    awake = converged(cluster(backends={"replicas": 2}), asleep)
    assert verdict(planned(cluster(backends={"replicas": 2}), awake).status, "Ready")[0] == "True"


def test_what_does_not_stop_is_forced_after_its_grace() -> None:
    world = converged(cluster())
    assert world.processes is not None
    since = NOW - 20
    stopping = {n: replace(p, stopping_since=since) for n, p in world.processes.items()}
    plan = planned(cluster(), replace(world, processes=stopping), is_going_down=True)
    assert [(subject(a), getattr(a, "force", None)) for a in plan.actions] == [("replica-0", True)]


@pytest.mark.parametrize("free_bytes", [0, 1 << 20])
def test_no_disk_space_starts_no_shard_and_says_so(free_bytes: int) -> None:
    world = imagine(converged(cluster()), StopComponent("shard-0", "", 0, ""))
    plan = planned(cluster(), replace(world, disk_free_bytes=free_bytes))
    assert plan.actions == ()
    assert verdict(plan.status, "Stalled") == ("True", "StorageFull")


def test_the_port_of_the_specification_wins() -> None:
    world = converged(cluster())
    moved = converged(cluster(exposure={"port": 8080}), world)
    assert moved.ports["load-balancer"] == 8080
    assert planned(cluster(exposure={"port": 8080}), moved).status.endpoints.rest.endswith(":8080")
    unpinned = converged(cluster(), moved)
    assert unpinned.ports["load-balancer"] == 8080
