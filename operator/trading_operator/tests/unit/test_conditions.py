"""What the status may claim, and when."""

from __future__ import annotations

from dataclasses import replace

from trading_contract.status import Phase
from trading_operator.planner.actions import StopComponent
from trading_operator.planner.observed import Failure, NodeSeen, Observed, Reach, ReplicaSeen
from trading_operator.planner.preview import imagine
from trading_operator.tests.builders import cluster, converged, planned, verdict


def test_a_new_cluster_is_creating_and_a_broken_one_unavailable() -> None:
    new = planned(cluster(), Observed(processes={})).status
    assert new.phase is Phase.CREATING
    assert verdict(new, "Ready") == ("False", "Creating")
    running = planned(cluster(), converged(cluster())).status
    dead = imagine(converged(cluster()), StopComponent("partition-0", "", 0, ""))
    broken = planned(cluster(), dead, previous=running).status
    assert broken.phase is Phase.UNAVAILABLE
    assert verdict(broken, "Available") == ("False", "SlotsWithoutOwner")


def test_redis_away_is_degraded_but_available() -> None:
    world = converged(cluster())
    down = {name: NodeSeen(False, node.peers) for name, node in world.nodes.items()}
    status = planned(cluster(), replace(world, nodes=down)).status
    assert verdict(status, "Available") == ("True", "Reconciled")
    assert verdict(status, "Degraded") == ("True", "RedisUnavailable")
    assert status.phase is Phase.DEGRADED


def test_available_wants_one_replica_that_reaches_all_slots_and_ready_every_partition() -> None:
    wanted = cluster(backends={"replicas": 2})
    world = converged(wanted)
    running, told = planned(wanted, world).status, {}
    for reach in Reach:
        replicas = {"replica-0": ReplicaSeen(), "replica-1": ReplicaSeen(reach)}
        status = planned(wanted, replace(world, replicas=replicas), previous=running).status
        told[reach] = verdict(status, "Available")
        assert verdict(status, "Ready")[0] == "False"
    assert told == {
        Reach.NOTHING: ("False", "WaitingForReplica"),
        Reach.REPLICA: ("False", "WaitingForReplica"),
        Reach.SLOTS: ("True", "Reconciled"),
        Reach.PARTITIONS: ("True", "Reconciled"),
    }
    slots_only = dict.fromkeys(world.replicas, ReplicaSeen(Reach.SLOTS))
    status = planned(wanted, replace(world, replicas=slots_only)).status
    assert verdict(status, "Ready") == ("False", "RollingOut")


def test_a_slot_whose_partition_serves_an_older_epoch_is_not_available() -> None:
    world = converged(cluster())
    shard = world.shards["shard-0"]
    assert shard.rows is not None
    rows = tuple(replace(row, epoch=row.epoch + 1) for row in shard.rows)
    fenced = replace(world, shards={"shard-0": replace(shard, rows=rows)})
    assert verdict(planned(cluster(), fenced).status, "Available")[0] == "False"


def test_every_condition_carries_the_generation_it_speaks_of() -> None:
    status = planned(cluster(generation=7), Observed(processes={})).status
    assert status.observed_generation == 7
    assert {each.observed_generation for each in status.conditions} == {7}


def test_the_transition_time_moves_with_the_status_only() -> None:
    world = converged(cluster())
    first = planned(cluster(), world).status
    aged = first.model_copy(
        update={
            "conditions": tuple(
                each.model_copy(update={"last_transition_time": "2001-01-01T00:00:00Z"})
                for each in first.conditions
            )
        }
    )
    dead = imagine(world, StopComponent("partition-0", "", 0, ""))
    second = planned(cluster(), dead, previous=aged).status
    moved = {
        each.type.value
        for each in second.conditions
        if each.last_transition_time != "2001-01-01T00:00:00Z"
    }
    assert moved == {"Available", "Ready", "Reconciling"}


def test_only_a_person_can_help_means_stalled_with_the_way_out() -> None:
    text = "spec.exposure.port: port 80 is in use by another program"
    failure = Failure(text, 1, 0, "PortInUse", needs_person=True)
    dead = imagine(converged(cluster()), StopComponent("load-balancer", "", 0, ""))
    dead = replace(dead, balancer_answers=None, failures={"load-balancer": failure})
    status = planned(cluster(), dead).status
    assert verdict(status, "Stalled") == ("True", "PortInUse")
    assert status.phase is Phase.STALLED
    assert verdict(status, "Ready") == ("False", "PortInUse")


def test_the_status_lists_every_process_and_every_slot() -> None:
    status = planned(cluster(), converged(cluster())).status
    assert {each.role for each in status.processes} == {
        "shard", "redis", "partition", "replica", "load-balancer",
    }  # fmt: skip
    assert all(each.pid and each.port and each.state == "ready" for each in status.processes)
    assert status.slots[0].first == ""
    assert status.slots[-1].past == "~"
    assert all(slot.epoch == 1 for slot in status.slots)
    assert status.endpoints.rest.startswith("http://127.0.0.1:")
