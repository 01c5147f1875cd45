"""The processes substrate against real PostgreSQL, Redis and load balancer."""

from __future__ import annotations

import os
import signal
from collections import Counter
from urllib.request import urlopen

from redis import Redis, RedisCluster

from trading_operator.substrates.processes.ports import read_ports
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
    segments = (control.parents[1] / "pg_wal").glob("0*")
    assert {segment.stat().st_size for segment in segments} == {4 << 20}
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
    assert not {key for key in before if before[key] != after[key]}
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


def hash_slots(running: Running) -> dict[int, int]:
    """How many hash slots the master at each port owns, as each of the others tells it, too."""
    nodes = [name for name in running.pids() if name.startswith("redis-")]
    ports = read_ports(running.layout)
    told = []
    for name in nodes:
        with Redis(port=ports[name]) as node:
            owned: Counter[int] = Counter()
            for first, last, master, *_ in node.execute_command("CLUSTER SLOTS"):
                owned[master[1]] += last - first + 1
            told.append(dict(owned))
    assert told.count(told[0]) == len(told)
    return {port: told[0].get(port, 0) for port in (ports[name] for name in nodes)}


def test_redis_masters_come_and_go_with_their_hash_slots(running: Running) -> None:
    generation = running.apply()
    running.start()
    running.wait_ready(generation)
    before = running.pids()
    with RedisCluster(port=read_ports(running.layout)["redis-0"], host="127.0.0.1") as client:
        for number in range(300):
            client.set(f"key-{number}", number)
    running.wait_ready(running.apply(redis={"masters": 5}))
    grown = hash_slots(running)
    assert len(grown) == 5
    assert all(0.9 * 16384 / 5 <= count <= 1.1 * 16384 / 5 for count in grown.values())
    assert {key for key in before if before[key] != running.pids()[key]} == set()
    with RedisCluster(port=read_ports(running.layout)["redis-0"], host="127.0.0.1") as client:
        kept = sum(client.get(f"key-{number}") is not None for number in range(300))
        assert 0 < kept < 300, "who gave a hash slot away deletes its keys; the others stay"
        for number in range(300):
            client.set(f"key-{number}", number)
    running.apply(redis={"masters": 3})
    running.kill_supervisor()  # in the middle, or near it: it goes on from what it sees
    running.start()
    running.wait_ready(running.apply())
    shrunk = hash_slots(running)
    assert sum(shrunk.values()) == 16384
    assert len(shrunk) == 3
    assert set(running.pids()) == set(before)
