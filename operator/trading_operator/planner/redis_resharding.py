"""Gives hash slots to another number of masters, or evens them out. Pure.

What is next follows from who owns what, so it may be interrupted anywhere. Keys are not carried
along: whatever Redis holds here is derived, and a master that loses a hash slot deletes its keys.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from trading_operator.planner.actions import CommandNode, TakeHashSlots
from trading_operator.planner.observed import NodeSeen, PeerSeen

HASH_SLOTS_PER_STEP = 512
UNEVEN = 0.10  # of a fair share: less is left as it is


@dataclass(frozen=True)
class Steps:
    """What to do next: followers that become masters first, then hash slots that change hands.

    `waits_for` says what Redis has to settle by itself before there is a next step.
    """

    promotions: tuple[CommandNode, ...] = ()
    transfers: tuple[TakeHashSlots, ...] = ()
    waits_for: str = ""


def reshard(wanted: Sequence[str], masters: int, seen: Mapping[str, NodeSeen]) -> Steps:
    """The next bounded steps towards `masters` of the `wanted` nodes sharing all hash slots.

    To be asked only when every hash slot has an owner and every running node answers.
    """
    views = {name: node.myself for name, node in seen.items() if node.myself}
    owned = _owned(views)
    keepers = _keepers(wanted, masters, views, owned)
    total = sum(map(len, owned.values()))
    fair = total / masters
    if (
        len(keepers) == masters
        and set(owned) <= set(keepers)
        and all(abs(len(owned.get(name, ())) - fair) <= UNEVEN * fair for name in keepers)
    ):
        return Steps()
    if waits_for := _unsettled(views, seen):
        return Steps(waits_for=waits_for)
    if len(keepers) < masters:
        return Steps(promotions=tuple(_promotions(wanted, masters - len(keepers), views, owned)))
    goals = {
        name: total * (at + 1) // masters - total * at // masters for at, name in enumerate(keepers)
    }
    return Steps(transfers=tuple(_transfers(goals, views, owned)))


def _unsettled(views: Mapping[str, PeerSeen], seen: Mapping[str, NodeSeen]) -> str:
    """What keeps hash slots from changing hands for now; empty: nothing does."""
    epochs = [v.epoch for v in views.values() if v.is_master and v.epoch is not None]
    if len(set(epochs)) < len(epochs):
        # Redis is about to raise one of two equal epochs. Were it the giver's, the giver would win
        # back what it gave, and make a follower of a taker that has nothing else.
        return "two masters to get different epochs"
    everybody = {view.node_id for view in views.values()}
    for name in sorted(views):
        # It would refuse to take from whom it has not met, and drop what a stranger claims.
        if not everybody <= {peer.node_id for peer in seen[name].peers}:
            return f"{name} to meet all others"
    return ""


def _owned(views: Mapping[str, PeerSeen]) -> Mapping[str, tuple[int, ...]]:
    """Hash slots by owner, by their own accounts; one that two claim is on its way: not counted."""
    return _counted(tuple((name, v.hash_slots) for name, v in sorted(views.items())))


@lru_cache(maxsize=16)
def _counted(accounts: tuple[tuple[str, frozenset[int]], ...]) -> Mapping[str, tuple[int, ...]]:
    """Cached: the nodes say the same again, every second; such a set knows its hash."""
    claims = Counter(number for _, numbers in accounts for number in numbers)
    return {
        name: tuple(number for number in sorted(numbers) if claims[number] == 1)
        for name, numbers in accounts if numbers
    }  # fmt: skip


def _keepers(
    wanted: Sequence[str], masters: int, views: Mapping[str, PeerSeen],
    owned: Mapping[str, Sequence[int]],
) -> list[str]:  # fmt: skip
    """Who shall own hash slots: those who do, the first ones first, then masters without any."""
    present = [name for name in wanted if name in views]
    owners = [name for name in present if name in owned]
    empty = [name for name in present if name not in owned and views[name].is_master]
    return [*owners, *empty][:masters]


def _promotions(
    wanted: Sequence[str], missing: int, views: Mapping[str, PeerSeen],
    owned: Mapping[str, Sequence[int]],
) -> Iterator[CommandNode]:  # fmt: skip
    """Followers that stay become masters where too few stay: first those whose master goes."""
    going = {views[name].node_id: name for name in owned if name not in set(wanted)}
    followers = [(name, views[name]) for name in wanted if name in views and views[name].master_id]
    heirs = [(name, view) for name, view in followers if view.master_id in going]
    for name, view in heirs:
        if missing and (master := going.pop(view.master_id, "")):
            missing -= 1
            yield CommandNode(name, ("CLUSTER", "FAILOVER"), f"its master {master} goes")
    crowds = Counter(view.master_id for _, view in followers)
    for name, view in sorted(followers, key=lambda each: -crowds[each[1].master_id]):
        if missing and (name, view) not in heirs:
            missing -= 1
            yield CommandNode(name, ("CLUSTER", "RESET", "SOFT"), "too few masters")


def _transfers(
    goals: Mapping[str, int], views: Mapping[str, PeerSeen], owned: Mapping[str, Sequence[int]]
) -> Iterator[TakeHashSlots]:
    spare = {
        name: list(numbers[goals.get(name, 0):]) for name, numbers in owned.items()
        if len(numbers) > goals.get(name, 0)
    }  # fmt: skip
    left = HASH_SLOTS_PER_STEP
    for taker, goal in goals.items():
        lacking = goal - len(owned.get(taker, ()))
        for giver, numbers in spare.items():
            count = min(lacking, len(numbers), left)
            if count <= 0:
                continue
            taken, spare[giver] = numbers[:count], numbers[count:]
            lacking, left = lacking - count, left - count
            yield TakeHashSlots(
                taker, views[taker].node_id, giver, views[giver].node_id, tuple(taken),
                f"it has {len(owned.get(taker, ()))} of {goal} hash slots",
            )  # fmt: skip
