"""What would follow if every action succeeded: the plan to its end, without a world.

`imagine` is the happy world as a pure function. `tradingctl plan` shows what follows from it; tests
of the planner run against it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from trading_contract.status import ClusterStatus
from trading_contract.tradingcluster import TradingCluster
from trading_operator.planner.actions import (
    Action,
    AssignPorts,
    CommandNode,
    Component,
    ForgetMove,
    MakeMove,
    PrepareShard,
    PublishTopology,
    ReplaceBalancer,
    StartComponent,
    StopComponent,
    TakeHashSlots,
)
from trading_operator.planner.imagined_moves import at_rest, carried_out, rows_of, with_rows
from trading_operator.planner.moves.ownership import living_rows, owner_of
from trading_operator.planner.observed import (
    NodeSeen,
    Observed,
    PartitionSeen,
    PartitionSlot,
    PeerSeen,
    ProcessSeen,
    Reach,
    ReplicaSeen,
    Role,
    ShardSeen,
    SlotRow,
)
from trading_operator.planner.plan import Intent, Plan, make_plan
from trading_operator.planner.redis_cluster import HASH_SLOTS

ROUNDS_MAX = 200
Value = TypeVar("Value")
FIRST_PORT = 20_000
ALL_KINDS = frozenset({"engine", "shard", "split", "merge"})


def preview(
    cluster: TradingCluster, observed: Observed, now: float, previous: ClusterStatus | None = None
) -> tuple[Action, ...]:
    """All actions until the world is as wanted; bounded, in case the imagination falls short.

    Of the `previous` status only the counts in effect matter; nothing is decided about loads.
    """
    if previous is not None:
        previous = ClusterStatus(autoscaling=previous.autoscaling)
    world = replace(observed, failures={}, busy={}, silent_seconds={}, keepers=())
    world = replace(world, topology_known=True, disk_free_bytes=None, load=None)
    actions: list[Action] = []
    for _ in range(ROUNDS_MAX):
        plan = make_plan(Intent(cluster, previous=previous), world, now)
        world = with_statuses(world, plan)
        if not plan.actions:
            break
        for action in plan.actions:
            world = imagine(world, action)
        actions.extend(plan.actions)
    return tuple(actions)


def with_statuses(world: Observed, plan: Plan) -> Observed:
    """The world after the statuses of the moves were written."""
    return world if world.moves is None else replace(world, moves=plan.moves.moves or world.moves)


def imagine(world: Observed, action: Action) -> Observed:
    """The world after the action succeeded and everything has settled."""
    match action:
        case AssignPorts(names=names, fixed=fixed):
            ports = dict(world.ports)
            for name in names:
                chosen = dict(fixed).get(name, max([FIRST_PORT, *ports.values()]) + 1)
                ports[name] = chosen
            return replace(world, ports=ports)
        case PublishTopology(topology=topology):
            return settle(_moved(replace(world, topology=topology)))
        case StartComponent(component=component) | ReplaceBalancer(component=component):
            return settle(_started(world, component))
        case StopComponent(name=name):
            return _stopped(world, name)
        case PrepareShard(shard=shard, wanted_hash=wanted):
            return settle(_prepared(world, shard, wanted))
        case CommandNode():
            by_port = {str(port): name for name, port in world.ports.items()}
            nodes = imagine_command(world.nodes, action, lambda words: by_port[words[3]])
            return replace(world, nodes=nodes)
        case TakeHashSlots():
            return replace(world, nodes=imagine_taken(world.nodes, action))
        case MakeMove(move=move):
            return replace(world, moves=(*(world.moves or ()), move))
        case ForgetMove(name=name):
            kept = tuple(each for each in world.moves or () if each.metadata.name != name)
            return replace(world, moves=kept)
        case _:
            return world  # actions of another substrate


def _started(world: Observed, component: Component) -> Observed:
    name = component.name
    pid = 1000 + len(world.processes or {})
    seen = ProcessSeen(name, component.role, pid, component.settings_hash)
    world = replace(world, processes={**(world.processes or {}), name: seen})
    if component.role is Role.SHARD:
        before = world.shards.get(name, ShardSeen())
        shard = replace(before, has_data=True, accepts_writes=True)
        return replace(world, shards={**world.shards, name: shard})
    if component.role is Role.NODE:
        peer = PeerSeen(name, component.port, True, True, "", False, True, frozenset())
        return replace(world, nodes={**world.nodes, name: NodeSeen(False, (peer,))})
    if component.role is Role.REPLICA:
        return replace(world, replicas={**world.replicas, name: ReplicaSeen(Reach.PARTITIONS)})
    if component.role is Role.BALANCER:
        return replace(world, balancer_answers=True)
    return world


def _without(values: Mapping[str, Value], name: str) -> dict[str, Value]:
    return {key: value for key, value in values.items() if key != name}


def _stopped(world: Observed, name: str) -> Observed:
    shards = dict(world.shards)
    if name in shards:
        shards[name] = replace(shards[name], accepts_writes=None)  # its rows stay on the disk
    return replace(
        world,
        processes=_without(world.processes or {}, name),
        shards=shards,
        partitions=_without(world.partitions, name),
        nodes=_without(world.nodes, name),
        replicas=_without(world.replicas, name),
    )


def _prepared(world: Observed, shard: str, wanted: str) -> Observed:
    assert world.topology is not None
    before = world.shards[shard]
    rows = {row.slot_id: row for row in before.rows or ()}
    for slot in world.topology.slots:
        if slot.shard == shard and slot.id not in rows:
            rows[slot.id] = SlotRow(slot.id, 1, "ACTIVE", "", slot.first, slot.past)
    after = replace(before, prepared_hash=wanted, rows=tuple(rows.values()))
    return replace(world, shards={**world.shards, shard: after})


def _moved(world: Observed) -> Observed:
    """Every move that the topology asks for is done at once."""
    orders = world.topology.moves if world.topology else ()
    rows = rows_of(world.shards)
    for order in orders:
        rows = carried_out(rows, order)
    return replace(world, shards=with_rows(world.shards, at_rest(rows, orders)))


def settle(world: Observed) -> Observed:
    """Running partitions serve all slots that the topology gives them."""
    if world.topology is None:
        return world
    living = living_rows(world.shards)
    partitions = {}
    for name, process in (world.processes or {}).items():
        if process.role != Role.PARTITION:
            continue
        slots = tuple(
            PartitionSlot(slot.id, living[slot.id][0].epoch) for slot in world.topology.slots
            if slot.id in living and owner_of(slot, living[slot.id][0]) == name
        )  # fmt: skip
        partitions[name] = PartitionSeen("ready", name, slots, move_kinds=ALL_KINDS)
    return replace(world, partitions=partitions)


def imagine_taken(before: Mapping[str, NodeSeen], action: TakeHashSlots) -> dict[str, NodeSeen]:
    """The nodes once all have heard; a master that lost everything follows who took the rest."""
    taken = frozenset(action.hash_slots)

    def after(peer: PeerSeen) -> PeerSeen:
        if peer.node_id == action.node_id:
            return replace(peer, hash_slots=peer.hash_slots | taken)
        if peer.node_id != action.source_id:
            return peer
        left = peer.hash_slots - taken
        master_id = "" if left else action.node_id
        return replace(peer, hash_slots=left, is_master=bool(left), master_id=master_id)

    return {
        name: replace(node, peers=tuple(map(after, node.peers))) for name, node in before.items()
    }


def _handed_over(view: Mapping[str, PeerSeen], heir: PeerSeen) -> dict[str, PeerSeen]:
    """One view after a follower has taken over from its master, whom all others leave, too."""
    before = view[heir.master_id]
    after = {
        node_id: replace(peer, master_id=heir.node_id) if peer.master_id == before.node_id else peer
        for node_id, peer in view.items()
    }
    known = view.get(heir.node_id, heir)
    after[heir.node_id] = replace(known, is_master=True, master_id="", hash_slots=before.hash_slots)
    after[before.node_id] = replace(
        before, is_master=False, master_id=heir.node_id, hash_slots=frozenset()
    )
    return after


def imagine_command(
    before: Mapping[str, NodeSeen],
    action: CommandNode,
    met: Callable[[tuple[str, ...]], str],
) -> dict[str, NodeSeen]:
    """The nodes after a command; `met` names the node that the words of a MEET are about."""
    nodes = dict(before)
    words = action.command
    views = {name: {peer.node_id: peer for peer in node.peers} for name, node in nodes.items()}
    own = {name: node.myself for name, node in nodes.items()}
    mine = own[action.node]
    assert mine is not None
    if words[1] == "MEET":
        other = met(words)
        known = {**views[action.node], **views.get(other, {})}
        for view in views.values():
            if set(view) & set(known):
                view.update({key: replace(peer, is_myself=False) for key, peer in known.items()})
    elif words[1] == "ADDSLOTSRANGE":
        bounds = [int(word) for word in words[2:]]
        slots = {
            n for lo, hi in zip(bounds[::2], bounds[1::2], strict=True) for n in range(lo, hi + 1)
        }
        mine = replace(mine, hash_slots=mine.hash_slots | slots)
    elif words[1] == "REPLICATE":
        mine = replace(mine, is_master=False, master_id=words[2])
    elif words[1] == "FAILOVER":
        views = {name: _handed_over(view, mine) for name, view in views.items()}
        own = {name: views[name][peer.node_id] for name, peer in own.items() if peer is not None}
        mine = views[action.node][mine.node_id]
    elif words[1] == "RESET":
        mine = replace(mine, is_master=True, master_id="")
        views[action.node] = {mine.node_id: mine}
    elif words[1] == "FORGET":
        views[action.node].pop(words[2], None)
    own[action.node] = mine
    for name, view in views.items():
        for peer in own.values():
            if peer is not None and peer.node_id in view:
                is_self = peer is own[name]
                view[peer.node_id] = replace(peer, is_myself=is_self)
        claimed = sum(len(peer.hash_slots) for peer in view.values())
        nodes[name] = NodeSeen(claimed == HASH_SLOTS, tuple(view.values()))
    return nodes
