"""The processes substrate against real PostgreSQL, Redis and haproxy."""

from __future__ import annotations

import os
import signal
from urllib.request import urlopen

from trading_operator.tests.integration.conftest import Running


def test_whatever_is_killed_comes_back_and_nothing_else_is_touched(running: Running) -> None:
    generation = running.apply(backends={"replicas": 2})
    running.start()
    running.wait_ready(generation)
    for name in ("shard-0", "redis-1", "partition-0", "replica-1", "load-balancer"):
        before = running.pids()
        os.kill(before[name], signal.SIGKILL)
        running.wait_for_another(name, before[name])
        running.wait_ready(generation)
        after = running.pids()
        assert {key for key in before if before[key] != after[key]} == {name}


def test_a_new_supervisor_adopts_what_runs(running: Running) -> None:
    generation = running.apply()
    running.start()
    running.wait_ready(generation)
    before = running.pids()
    running.kill_supervisor()
    dead = before["replica-0"]
    os.kill(dead, signal.SIGKILL)
    running.start()
    running.wait_for_another("replica-0", dead)
    running.wait_ready(generation)
    after = running.pids()
    assert {key for key in before if before[key] != after[key]} == {"replica-0"}


def test_down_stops_everything_and_up_finds_the_data_and_the_ports_again(running: Running) -> None:
    generation = running.apply()
    running.start()
    first = running.wait_ready(generation)
    control = running.layout.shard_data("shard-0") / "global" / "pg_control"
    identity = control.stat().st_ino
    running.stop()
    assert running.pids() == {}
    running.start()
    second = running.wait_ready(generation)
    assert second.endpoints == first.endpoints
    assert [slot.first for slot in second.slots] == [slot.first for slot in first.slots]
    assert (
        running.layout.shard_data("shard-0") / "global" / "pg_control"
    ).stat().st_ino == identity


def test_an_edited_file_grows_and_shrinks_the_cluster(running: Running) -> None:
    running.apply()
    running.start()
    running.wait_ready()
    before = running.pids()
    generation = running.apply(
        backends={"replicas": 2}, partitions={"count": 2}, shards={"count": 2},
        redis={"replicasPerMaster": 1},
    )  # fmt: skip
    grown = running.wait_ready(generation)
    after = running.pids()
    added = {"replica-1", "partition-1", "shard-1", "redis-3", "redis-4", "redis-5"}
    assert set(after) - set(before) == added
    assert {key for key in before if before[key] != after[key]} == {"load-balancer"}
    seen = set()
    for _ in range(20):
        with urlopen(f"{grown.endpoints.rest}/", timeout=5) as answer:
            seen.add(answer.read())
    assert seen == {b"replica-0", b"replica-1"}
    running.wait_ready(running.apply())
    assert set(running.pids()) == set(before)


def test_a_node_that_lost_its_identity_gets_its_hash_slots_back(running: Running) -> None:
    generation = running.apply()
    running.start()
    running.wait_ready(generation)
    before = running.pids()["redis-2"]
    (running.layout.node_folder("redis-2") / "nodes.conf").unlink()
    os.kill(before, signal.SIGKILL)
    running.wait_for_another("redis-2", before)
    running.wait_ready(generation)


def test_a_component_that_hangs_is_ended_and_started_anew(running: Running) -> None:
    generation = running.apply()
    running.start()
    running.wait_ready(generation)
    before = running.pids()
    os.kill(before["replica-0"], signal.SIGSTOP)
    running.wait_for_another("replica-0", before["replica-0"])
    running.wait_ready(generation)
    after = running.pids()
    assert {key for key in before if before[key] != after[key]} == {"replica-0"}
