"""plan(intent, observed, now) -> actions and status. The only module that orders concerns.

Rules: same inputs, same plan; a converged world gives an empty plan; from "unknown" follows nothing
that stops or removes; the topology is published before the first shard has data; at most one
healthy component is restarted at a time; nothing that owns slots is ever stopped for being removed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from trading_contract.status import ClusterStatus, Endpoints
from trading_contract.tradingcluster import TradingCluster
from trading_operator.planner.actions import Action, AssignPorts, CommandNode, PublishTopology
from trading_operator.planner.assessment import Health, health_of, is_published
from trading_operator.planner.autoscale.counts import highest
from trading_operator.planner.autoscale.plan import ScaleMemory, in_effect, remembered, scale
from trading_operator.planner.autoscale.world import Sight
from trading_operator.planner.conditions import status_of
from trading_operator.planner.facts import Facts, Obstacle
from trading_operator.planner.keeping import BALANCER, leaving_nodes
from trading_operator.planner.load_status import load_status
from trading_operator.planner.moves.facts import Look, moves_of
from trading_operator.planner.moves.plan import MovesPlan, move_actions, publish_reason
from trading_operator.planner.observed import Observed, Role
from trading_operator.planner.redis_cluster import RedisPlan, plan_redis
from trading_operator.planner.scaling.signals import Tier
from trading_operator.planner.starting import (
    is_disk_full,
    is_unsafe_without_topology,
    prepares,
    starts,
)
from trading_operator.planner.stopping import due, removals, rolls, stop_all
from trading_operator.planner.topology import HOST, WantedCluster, wanted_cluster, with_orders

WAKE_SECONDS_IDLE = 1.0
WAKE_SECONDS_WAITING = 0.5
WAKE_SECONDS_ACTIVE = 0.2


@dataclass(frozen=True)
class Intent:
    """What a person wants: the stored cluster (with its generation), or that it goes down."""

    cluster: TradingCluster
    is_going_down: bool = False
    previous: ClusterStatus | None = None
    scale: ScaleMemory | None = None  # of the pass before; None: the status tells enough


@dataclass(frozen=True)
class Plan:
    """What to do now, what to say, and when to look again at the latest."""

    actions: tuple[Action, ...]
    status: ClusterStatus
    wake_after_seconds: float
    moves: MovesPlan = field(default_factory=MovesPlan)
    scale: ScaleMemory | None = None


def make_plan(intent: Intent, observed: Observed, now: float) -> Plan:
    """The next bounded step towards what is wanted. `now` in Unix seconds."""
    said = intent.previous.autoscaling if intent.previous else None
    memory = remembered(intent.cluster, intent.scale, said, _there(intent.cluster, observed))
    intent = replace(intent, cluster=in_effect(intent.cluster, memory))
    wanted = wanted_cluster(intent.cluster, observed)
    health = {each.name: health_of(each, observed) for each in wanted.components}
    at_work = not intent.is_going_down
    scaled = scale(memory, Sight(intent.cluster.spec, observed, wanted, health, at_work), now)
    look = Look(observed, wanted, health, due(wanted, health), scaled.asks)
    moves = moves_of(intent.cluster, look, now)
    wanted = with_orders(wanted, moves.orders, moves.places)
    redis = _redis(intent, wanted, observed)
    spec = intent.cluster.spec
    if observed.processes is None or (spec.paused and not intent.is_going_down):
        actions: tuple[Action, ...] = ()
    elif intent.is_going_down or spec.hibernated:
        actions = tuple(stop_all(observed, now))
    else:
        actions = (
            *_converge(wanted, observed, health, moves, now), *redis.commands, *redis.transfers,
            *move_actions(moves),
        )  # fmt: skip
    facts = Facts(
        intent.cluster, intent.is_going_down, wanted, observed, health, redis, actions,
        is_disk_full(observed),
        endpoints=_endpoints(wanted), obstacles=_obstacles(intent.cluster), moves=moves,
        scaling=scaled.status,
    )  # fmt: skip
    status = status_of(facts, intent.previous, now)
    if observed.load is not None:
        status = status.model_copy(update={"load": load_status(observed.load)})
    wake = _wake_after_seconds(actions, health, observed, moves)
    return Plan(actions, status, wake, moves, scaled.memory)


def _there(cluster: TradingCluster, observed: Observed) -> dict[Tier, int]:
    """How many units of each tier the world knows, for when the status was lost."""
    nodes_of = {Tier.REDIS: 1 + cluster.spec.redis.replicas_per_master}
    names = set(observed.processes or {})
    if topology := observed.topology:
        names |= {each.name for each in topology.partitions}
        names |= {each.name for each in topology.shards}
    return {tier: highest(names, tier) // nodes_of.get(tier, 1) for tier in Tier}


def _endpoints(wanted: WantedCluster) -> Endpoints:
    balancer = wanted.component(BALANCER)
    if balancer is None:
        return Endpoints()
    address = f"{HOST}:{balancer.port}"
    return Endpoints(rest=f"http://{address}", websocket=f"ws://{address}")


def _obstacles(cluster: TradingCluster) -> tuple[Obstacle, ...]:
    if cluster.spec.shards.members == 1:
        return ()
    text = "spec.shards.members: more than 1 needs Patroni, which lives on Kubernetes; set it to 1"
    return (Obstacle("InvalidSpec", text),)


def _redis(intent: Intent, wanted: WantedCluster, observed: Observed) -> RedisPlan:
    running = [p.name for p in (observed.processes or {}).values() if p.role == Role.NODE]
    silent = [name for name in running if name not in observed.nodes]
    spec = intent.cluster.spec
    leaving = leaving_nodes(spec, (node.name for node in wanted.nodes))
    return plan_redis(wanted.nodes, spec.redis.masters, observed.nodes, silent, leaving)


def _converge(
    wanted: WantedCluster, observed: Observed, health: Mapping[str, Health],
    moves: MovesPlan, now: float,
) -> Iterator[Action]:  # fmt: skip
    if wanted.missing_ports:
        reason = "they have none yet, or the specification names another"
        yield AssignPorts(wanted.missing_ports, tuple(sorted(wanted.fixed_ports.items())), reason)
        return
    if is_unsafe_without_topology(observed):
        return
    if observed.topology_known and not is_published(wanted, observed):
        assert wanted.topology is not None
        before = observed.topology
        topology = wanted.topology.model_copy(
            update={"revision": before.revision + 1 if before else 1}
        )
        yield PublishTopology(topology, publish_reason(topology, before))
    yield from starts(wanted, observed, now)
    yield from prepares(wanted, observed, now)
    yield from rolls(wanted, observed, health, moves, now)
    if observed.topology_known:
        yield from removals(wanted, observed, now)


def _wake_after_seconds(
    actions: tuple[Action, ...], health: Mapping[str, Health], observed: Observed, moves: MovesPlan
) -> float:
    if actions or observed.busy:
        return WAKE_SECONDS_ACTIVE
    # Partitions do not wait for us while they move slots, and a pass takes the processor from them.
    # Those between shards take seconds at least: their end may be seen a little later.
    none_short = moves.are_done(order for order in moves.orders if order.kind != "shard")
    waiting = any(not each.is_ready for each in health.values()) or not none_short
    return WAKE_SECONDS_WAITING if waiting else WAKE_SECONDS_IDLE


__all__ = ["CommandNode", "Intent", "Plan", "make_plan"]
