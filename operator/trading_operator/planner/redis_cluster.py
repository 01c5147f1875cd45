"""Forms and mends the Redis Cluster: a pure function of every node's CLUSTER NODES.

Invariant: a hash slot that any node claims for a living node is never given to another, so a
cluster that holds data is never created anew. Order: meet, forget the dead, give out unclaimed hash
slots, attach replicas. Creating is nothing but mending from the empty state; failover is Redis's
own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from trading_operator.planner.actions import CommandNode, TakeHashSlots
from trading_operator.planner.observed import NodeSeen, PeerSeen
from trading_operator.planner.redis_resharding import Steps, reshard

HASH_SLOTS = 16_384


@dataclass(frozen=True)
class NodeWanted:
    """One node of the wanted cluster; on this machine all share one address."""

    name: str
    host: str
    port: int
    bus_port: int


@dataclass(frozen=True)
class RedisPlan:
    """The next bounded step, whether the cluster serves as wanted, and if not, why."""

    commands: tuple[CommandNode, ...]
    is_ok: bool
    note: str = ""
    transfers: tuple[TakeHashSlots, ...] = ()


def plan_redis(
    wanted: Sequence[NodeWanted],
    masters: int,
    seen: Mapping[str, NodeSeen],
    silent: Iterable[str] = (),
    leaving: Collection[str] = (),
) -> RedisPlan:
    """What to say to which node next, until `masters` of the nodes share all hash slots.

    `seen` holds the nodes that answered (also such that are about to be removed), `silent` names
    running ones that did not: while there are any, nothing is forgotten and no hash slot is given
    out or changes hands. `leaving` are those of `wanted` that are there only until they own
    nothing.
    """
    missing = [node.name for node in wanted if node.name not in seen or not seen[node.name].myself]
    commands = tuple(_meet(wanted, seen))
    if missing:
        return RedisPlan(commands, False, f"{', '.join(missing)} does not answer")
    if commands:
        return RedisPlan(commands, False, "nodes are being introduced to each other")
    if not set(silent):
        commands = tuple(_forget(seen)) or tuple(_claim(wanted, masters, seen))
        if commands:
            return RedisPlan(commands, False, "hash slots are being given out")
        staying = [node.name for node in wanted if node.name not in leaving]
        steps = Steps() if unheard_hash_slots(seen) else reshard(staying, masters, seen)
        if steps.promotions or steps.transfers:
            note = "hash slots go to other masters"
            return RedisPlan(steps.promotions, False, note, steps.transfers)
        if steps.waits_for:
            return RedisPlan((), False, f"waiting for {steps.waits_for}")
        commands = tuple(_replicate(wanted, masters, seen))
        if commands:
            return RedisPlan(commands, False, "replicas are being attached")
    not_ok = [node.name for node in wanted if not seen[node.name].state_ok]
    if not_ok:
        return RedisPlan((), False, f"cluster_state is not ok on {', '.join(not_ok)}")
    if unheard := unheard_hash_slots(seen):
        return RedisPlan((), False, f"{unheard} hash slots are of nodes that do not answer")
    owners = {p.node_id for node in seen.values() for p in node.peers if p.hash_slots}
    if len(owners) < masters:
        return RedisPlan((), False, f"{len(owners)} of {masters} masters own hash slots")
    return RedisPlan((), True)


def parse_nodes(text: str) -> tuple[PeerSeen, ...]:
    """The answer of CLUSTER NODES; nodes still in handshake or without address are left out."""
    peers = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 8:
            continue
        flags = fields[2].split(",")
        address = fields[1].split("@")[0]
        if "handshake" in flags or ("noaddr" in flags and "myself" not in flags):
            continue
        peers.append(
            PeerSeen(
                node_id=fields[0],
                port=int(address.rpartition(":")[2] or 0),
                is_myself="myself" in flags,
                is_master="master" in flags,
                master_id="" if fields[3] == "-" else fields[3],
                failed="fail" in flags,
                connected="myself" in flags or fields[7] == "connected",
                hash_slots=_parse_hash_slots(tuple(fields[8:])),
                epoch=int(fields[6]),
            )
        )
    return tuple(peers)


@lru_cache(maxsize=512)
def _parse_hash_slots(parts: tuple[str, ...]) -> frozenset[int]:
    """`0-5460 7` -> numbers. Cached: every node tells the same ranges again, every second."""
    hash_slots: set[int] = set()
    for part in parts:
        if not part.startswith("["):
            first, _, last = part.partition("-")
            hash_slots.update(range(int(first), int(last or first) + 1))
    return frozenset(hash_slots)


def hash_slots_of(name: str, seen: Mapping[str, NodeSeen]) -> int:
    """How many hash slots a node owns by its own account; 0 when it does not answer."""
    node = seen.get(name)
    return len(node.myself.hash_slots) if node and node.myself else 0


def unheard_hash_slots(seen: Mapping[str, NodeSeen]) -> int:
    """How many hash slots nobody who answered owns, but somebody says that another one does."""
    own = frozenset(node.myself.hash_slots for node in seen.values() if node.myself)
    claimed = _distinct(seen)
    return 0 if claimed == own else len(_union(claimed) - _union(own))


def _ids(seen: Mapping[str, NodeSeen]) -> dict[str, str]:
    return {name: node.myself.node_id for name, node in seen.items() if node.myself}


def _meet(wanted: Sequence[NodeWanted], seen: Mapping[str, NodeSeen]) -> Iterable[CommandNode]:
    ids = _ids(seen)
    present = [node for node in wanted if node.name in ids]
    for anchor in present[:1]:
        known = {peer.node_id: peer for peer in seen[anchor.name].peers}
        for other in present[1:]:
            peer = known.get(ids[other.name])
            back = {p.node_id for p in seen[other.name].peers}
            if peer is None or not peer.connected or ids[anchor.name] not in back:
                command = ("CLUSTER", "MEET", other.host, str(other.port), str(other.bus_port))
                yield CommandNode(anchor.name, command, f"it does not see {other.name}")


def _forget(seen: Mapping[str, NodeSeen]) -> Iterable[CommandNode]:
    alive = set(_ids(seen).values())
    votes: Counter[str] = Counter()
    followed = {node.myself.master_id for node in seen.values() if node.myself}
    for node in seen.values():
        votes.update(peer.node_id for peer in node.peers if peer.failed)
    for dead, count in sorted(votes.items()):
        # A dead master that still has a follower: Redis promotes it, nothing to do for us.
        if dead in alive or dead in followed or 2 * count <= len(seen):
            continue
        for name, node in sorted(seen.items()):
            if any(peer.node_id == dead for peer in node.peers):
                reason = f"node {dead[:8]} is dead and belongs to no running process"
                yield CommandNode(name, ("CLUSTER", "FORGET", dead), reason)


def _claimed(seen: Mapping[str, NodeSeen]) -> frozenset[int]:
    """Hash slots that any node claims for any other."""
    return _union(_distinct(seen))


def _distinct(seen: Mapping[str, NodeSeen]) -> frozenset[frozenset[int]]:
    return frozenset(peer.hash_slots for node in seen.values() for peer in node.peers)


@lru_cache(maxsize=16)
def _union(sets: frozenset[frozenset[int]]) -> frozenset[int]:
    """Cached, as the numbers are: such a set knows its hash."""
    return frozenset[int]().union(*sets)


def _claim(
    wanted: Sequence[NodeWanted], masters: int, seen: Mapping[str, NodeSeen]
) -> Iterable[CommandNode]:
    claimed = _claimed(seen)
    if len(claimed) == HASH_SLOTS:
        return
    views = {name: node.myself for name, node in seen.items() if node.myself}
    for index, node in enumerate(wanted[:masters]):
        first, past = HASH_SLOTS * index // masters, HASH_SLOTS * (index + 1) // masters
        free = [number for number in range(first, past) if number not in claimed]
        if not free:
            continue
        taker = node.name
        if not views[taker].is_master:  # after a failover another one is master here
            ranked = [name for name in sorted(views) if views[name].is_master]
            taker = min(ranked, key=lambda name: len(views[name].hash_slots))
        if not views[taker].hash_slots and len(seen[taker].peers) == 1:
            yield CommandNode(
                taker,
                ("CLUSTER", "SET-CONFIG-EPOCH", str(index + 1)),
                "distinct epochs from the start",
            )
        bounds = tuple(str(bound) for pair in _ranges(free) for bound in pair)
        reason = f"nobody claims {len(free)} hash slots"
        yield CommandNode(taker, ("CLUSTER", "ADDSLOTSRANGE", *bounds), reason)


def _ranges(numbers: Sequence[int]) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges


def _replicate(
    wanted: Sequence[NodeWanted], masters: int, seen: Mapping[str, NodeSeen]
) -> Iterable[CommandNode]:
    views = {node.name: seen[node.name].myself for node in wanted}
    owners = {view.node_id: name for name, view in views.items() if view and view.hash_slots}
    if len(owners) < masters:
        return
    followers: Counter[str] = Counter(dict.fromkeys(owners, 0))
    followers.update(v.master_id for v in views.values() if v and v.master_id in owners)
    for name, view in sorted(views.items()):
        if view is None or view.hash_slots or view.master_id in owners:
            continue
        target = min(followers, key=lambda owner: (followers[owner], owners[owner]))
        if any(peer.node_id == target for peer in seen[name].peers):
            followers[target] += 1
            reason = f"it owns nothing; {owners[target]} has the fewest replicas"
            yield CommandNode(name, ("CLUSTER", "REPLICATE", target), reason)
    yield from _spread(owners, followers, views, seen)


def _spread(
    owners: Mapping[str, str], followers: Counter[str], views: Mapping[str, PeerSeen | None],
    seen: Mapping[str, NodeSeen],
) -> Iterable[CommandNode]:  # fmt: skip
    """Masters whose followers went with others get one from who has several."""
    for bare in sorted((each for each in owners if not followers[each]), key=lambda e: owners[e]):
        crowded = max(owners, key=lambda owner: (followers[owner], owners[owner]))
        if followers[crowded] < 2:
            return
        name = max(name for name, view in views.items() if view and view.master_id == crowded)
        if any(peer.node_id == bare for peer in seen[name].peers):
            reason = f"{owners[bare]} has no replica, {owners[crowded]} {followers[crowded]}"
            followers[crowded] -= 1
            followers[bare] += 1
            yield CommandNode(name, ("CLUSTER", "REPLICATE", bare), reason)
            views = {**views, name: None}
