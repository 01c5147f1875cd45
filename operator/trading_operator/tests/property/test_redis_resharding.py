"""Another number of Redis masters: every hash slot keeps one owner, and it comes to an end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from trading_operator.planner.observed import NodeSeen, PeerSeen
from trading_operator.planner.preview import imagine_taken
from trading_operator.planner.redis_cluster import HASH_SLOTS
from trading_operator.planner.redis_resharding import HASH_SLOTS_PER_STEP, Steps, reshard

Nodes = Mapping[str, NodeSeen]


def nodes_of(owned: Mapping[str, frozenset[int]], followers: Mapping[str, str]) -> Nodes:
    """Nodes that all see the same."""
    peers = [
        PeerSeen(f"id-{name}", 7000, False, True, "", False, True, slots)
        for name, slots in owned.items()
    ] + [
        PeerSeen(f"id-{name}", 7000, False, False, f"id-{master}", False, True, frozenset())
        for name, master in followers.items()
    ]
    return {
        name: NodeSeen(True, tuple(_own_line(peer, peer.node_id == f"id-{name}") for peer in peers))
        for name in [*owned, *followers]
    }


def _own_line(peer: PeerSeen, is_myself: bool) -> PeerSeen:
    return PeerSeen(
        peer.node_id, peer.port, is_myself, peer.is_master, peer.master_id, peer.failed,
        peer.connected, peer.hash_slots,
    )  # fmt: skip


def owned_by(nodes: Nodes) -> dict[str, int]:
    """How many hash slots each owns by its own account; each has exactly one owner."""
    views = {name: node.myself for name, node in nodes.items()}
    claims = Counter(number for view in views.values() if view for number in view.hash_slots)
    assert set(claims.values()) == {1}
    assert len(claims) == HASH_SLOTS
    return {name: len(view.hash_slots) for name, view in views.items() if view and view.hash_slots}


def done(nodes: Nodes, steps: Steps, doing: int) -> Nodes:
    """After the first so many of them; then whoever did them died."""
    for action in steps.transfers[:doing]:
        nodes = imagine_taken(nodes, action)
    return nodes


@settings(max_examples=10, deadline=None)
@given(st.integers(3, 8), st.integers(3, 8), st.lists(st.integers(1, 3), max_size=20), st.randoms())
def test_any_number_of_masters_becomes_any_other(
    before: int, masters: int, interrupted: list[int], chance: st.DrawFn
) -> None:
    cuts = sorted(chance.sample(range(1, HASH_SLOTS), before - 1))  # type: ignore[attr-defined]
    bounds = [0, *cuts, HASH_SLOTS]
    names = [f"redis-{at}" for at in range(max(before, masters))]
    owned = {
        name: frozenset(range(bounds[at], bounds[at + 1])) if at < before else frozenset[int]()
        for at, name in enumerate(names)
    }
    nodes = nodes_of(owned, {})
    wanted = names[:masters]
    for number in range(200):
        steps = reshard(wanted, masters, nodes)
        assert sum(len(each.hash_slots) for each in steps.transfers) <= HASH_SLOTS_PER_STEP
        if not steps.transfers:
            break
        nodes = done(nodes, steps, interrupted[number] if number < len(interrupted) else 100)
    counts = owned_by(nodes)
    assert set(counts) == set(wanted)
    fair = HASH_SLOTS / masters
    assert all(abs(count - fair) <= 0.1 * fair for count in counts.values())


def thirds() -> dict[str, frozenset[int]]:
    bounds = [HASH_SLOTS * at // 3 for at in range(4)]
    return {f"redis-{at}": frozenset(range(bounds[at], bounds[at + 1])) for at in range(3)}


def test_an_even_cluster_is_left_alone() -> None:
    assert reshard(list(thirds()), 3, nodes_of(thirds(), {})) == Steps()


def test_a_follower_that_stays_takes_over_from_a_master_that_goes() -> None:
    owned = {("redis-3" if name == "redis-2" else name): slots for name, slots in thirds().items()}
    nodes = nodes_of(owned, {"redis-2": "redis-3"})
    steps = reshard(["redis-0", "redis-1", "redis-2"], 3, nodes)
    assert [(each.node, each.command) for each in steps.promotions] == [
        ("redis-2", ("CLUSTER", "FAILOVER"))
    ]
    assert steps.transfers == ()


def test_a_hash_slot_that_two_claim_is_on_its_way_and_not_moved_again() -> None:
    both = frozenset(range(4200, 4300))
    owned = thirds() | {"redis-3": both}
    steps = reshard([*owned], 4, nodes_of(owned, {}))
    moved = {number for each in steps.transfers for number in each.hash_slots}
    assert moved
    assert not moved & both


def test_while_two_masters_have_the_same_epoch_nothing_is_given_away() -> None:
    nodes = nodes_of(thirds() | {"redis-3": frozenset()}, {})
    wanted = [*nodes]
    epochs = {"id-redis-0": 1, "id-redis-1": 2, "id-redis-2": 0, "id-redis-3": 0}

    def told(nodes: Nodes) -> Nodes:
        return {
            name: replace(
                node, peers=tuple(replace(p, epoch=epochs[p.node_id]) for p in node.peers)
            )
            for name, node in nodes.items()
        }

    assert reshard(wanted, 4, told(nodes)) == Steps(waits_for="two masters to get different epochs")
    epochs["id-redis-2"] = 3
    assert reshard(wanted, 4, told(nodes)).transfers


def test_who_has_not_met_the_giver_takes_nothing_from_it() -> None:
    nodes = dict(nodes_of(thirds() | {"redis-3": frozenset()}, {}))
    known = tuple(peer for peer in nodes["redis-3"].peers if peer.node_id != "id-redis-1")
    nodes["redis-3"] = replace(nodes["redis-3"], peers=known)
    assert reshard([*nodes], 4, nodes) == Steps(waits_for="redis-3 to meet all others")


def test_what_needs_no_step_waits_for_nothing() -> None:
    nodes = {
        name: replace(node, peers=tuple(replace(peer, epoch=7) for peer in node.peers))
        for name, node in nodes_of(thirds(), {}).items()
    }
    assert reshard([*nodes], 3, nodes) == Steps()


def test_a_follower_that_is_to_be_a_master_begins_anew_as_an_empty_one() -> None:
    nodes = nodes_of(thirds(), {"redis-3": "redis-0"})
    steps = reshard([*nodes], 4, nodes)
    assert [(each.node, each.command) for each in steps.promotions] == [
        ("redis-3", ("CLUSTER", "RESET", "SOFT"))
    ]
