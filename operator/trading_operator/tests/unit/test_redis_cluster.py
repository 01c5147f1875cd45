"""Promises of forming and mending the Redis Cluster."""

from __future__ import annotations

from dataclasses import replace

from trading_operator.planner.observed import NodeSeen, PeerSeen
from trading_operator.planner.redis_cluster import NodeWanted, parse_nodes, plan_redis

LINES = """\
07c3 127.0.0.1:30004@31004,host slave e7d1 0 1426238317239 4 connected
67ed 127.0.0.1:30002@31002 master - 0 1426238316232 2 connected 5461-10922 [77->-e7d1]
292f 127.0.0.1:30003@31003 master,fail - 0 1426238318243 3 disconnected 10923-16381 16383
a111 :0@0 master,fail,noaddr - 0 1426238318243 9 disconnected
b222 127.0.0.1:30009@31009 handshake - 0 0 0 disconnected
e7d1 127.0.0.1:30001@31001 myself,master - 0 0 1 connected 0-5460
"""
WANTED = [NodeWanted(f"redis-{i}", "127.0.0.1", 7000 + i, 17000 + i) for i in range(3)]
THIRDS = [range(5461), range(5461, 10922), range(10922, 16384)]


def peer(index: int, slots: range = range(0), **more: object) -> PeerSeen:
    plain = PeerSeen(f"id-{index}", 7000 + index, False, True, "", False, True, frozenset(slots))
    return replace(plain, **more)  # type: ignore[arg-type]


def world(peers: list[PeerSeen], viewers: list[int], *, ok: bool = True) -> dict[str, NodeSeen]:
    """Every viewer sees the same peers."""
    return {
        f"redis-{index}": NodeSeen(
            ok, tuple(replace(p, is_myself=p.node_id == f"id-{index}") for p in peers)
        )
        for index in viewers
    }


def formed() -> list[PeerSeen]:
    return [peer(index, THIRDS[index]) for index in range(3)]


def test_the_lines_of_cluster_nodes_are_understood() -> None:
    peers = {each.node_id: each for each in parse_nodes(LINES)}
    assert set(peers) == {"07c3", "67ed", "292f", "e7d1"}
    assert peers["e7d1"].is_myself
    assert peers["07c3"].master_id == "e7d1"
    assert peers["292f"].failed
    assert peers["67ed"].hash_slots == frozenset(range(5461, 10923))
    assert 16383 in peers["292f"].hash_slots
    assert 16382 not in peers["292f"].hash_slots


def test_a_whole_cluster_is_left_alone() -> None:
    plan = plan_redis(WANTED, 3, world(formed(), [0, 1, 2]))
    assert plan.is_ok
    assert plan.commands == ()


def test_nothing_is_given_out_or_forgotten_while_a_node_is_silent() -> None:
    peers = [*formed()[:2], peer(2, failed=True), peer(9, failed=True)]
    plan = plan_redis(WANTED, 3, world(peers, [0, 1]), silent=["redis-2"])
    assert not plan.is_ok
    assert plan.commands == ()


def test_a_node_nobody_knows_is_introduced_first() -> None:
    views = world(formed()[:2], [0, 1]) | world([peer(2)], [2])
    plan = plan_redis(WANTED, 3, views)
    assert [each.command[:2] for each in plan.commands] == [("CLUSTER", "MEET")]
    assert plan.commands[0].command[2:] == ("127.0.0.1", "7002", "17002")


def test_an_emptied_disk_gets_the_hash_slots_of_its_former_self() -> None:
    dead = peer(8, THIRDS[2], failed=True)
    peers = [*formed()[:2], peer(2), dead]
    plan = plan_redis(WANTED, 3, world(peers, [0, 1, 2], ok=False))
    assert {each.command for each in plan.commands} == {("CLUSTER", "FORGET", "id-8")}
    assert len(plan.commands) == 3
    after = plan_redis(WANTED, 3, world(peers[:3], [0, 1, 2], ok=False))
    (command,) = after.commands
    assert command.node == "redis-2"
    assert command.command == ("CLUSTER", "ADDSLOTSRANGE", "10922", "16383")


def test_a_dead_master_with_a_follower_is_left_to_redis() -> None:
    follower = peer(2, is_master=False, master_id="id-8")
    peers = [*formed()[:2], follower, peer(8, THIRDS[2], failed=True)]
    assert plan_redis(WANTED, 3, world(peers, [0, 1, 2], ok=False)).commands == ()


def test_one_voice_does_not_make_a_node_dead() -> None:
    views = world([*formed(), peer(8, failed=True)], [0])
    views |= world([*formed(), peer(8)], [1, 2])
    assert plan_redis(WANTED, 3, views).commands == ()


def test_a_claimed_hash_slot_is_never_given_to_another() -> None:
    peers = [peer(0, range(16000)), peer(1), peer(2)]
    plan = plan_redis(WANTED, 3, world(peers, [0, 1, 2]))
    given = [each.command[2:] for each in plan.commands]
    assert given == [("16000", "16383")]


def test_empty_nodes_follow_the_masters_with_the_fewest_followers() -> None:
    wanted = [NodeWanted(f"redis-{i}", "127.0.0.1", 7000 + i, 17000 + i) for i in range(6)]
    peers = [*formed(), peer(3, is_master=False, master_id="id-1"), peer(4), peer(5)]
    plan = plan_redis(wanted, 3, world(peers, list(range(6))))
    assert [(each.node, each.command[2]) for each in plan.commands] == [
        ("redis-4", "id-0"),
        ("redis-5", "id-2"),
    ]


def test_a_master_whose_followers_went_gets_one_from_who_has_several() -> None:
    wanted = [NodeWanted(f"redis-{i}", "127.0.0.1", 7000 + i, 17000 + i) for i in range(6)]
    peers = [
        *formed(),
        peer(3, is_master=False, master_id="id-0"),
        peer(4, is_master=False, master_id="id-0"),
        peer(5, is_master=False, master_id="id-1"),
    ]
    plan = plan_redis(wanted, 3, world(peers, list(range(6))))
    assert [(each.node, each.command) for each in plan.commands] == [
        ("redis-4", ("CLUSTER", "REPLICATE", "id-2"))
    ]
    assert plan_redis(wanted[:5], 3, world(peers[:5], list(range(5)))).commands != ()
    one_each = [*formed(), peer(3, is_master=False, master_id="id-0")]
    assert plan_redis(wanted[:4], 3, world(one_each, list(range(4)))).is_ok


def test_nothing_changes_hands_while_somebody_who_owns_something_is_not_heard() -> None:
    silent = peer(8, range(10922, 13000))
    peers = [*formed()[:2], peer(2, range(13000, 16384)), peer(3), silent]
    wanted = [NodeWanted(f"redis-{i}", "127.0.0.1", 7000 + i, 17000 + i) for i in range(4)]
    plan = plan_redis(wanted, 4, world(peers, [0, 1, 2, 3]))
    assert (plan.transfers, plan.is_ok) == ((), False)
    assert plan_redis(wanted, 4, world([*formed(), peer(3)], [0, 1, 2, 3])).transfers
