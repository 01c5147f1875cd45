"""plan(intent, seen, now) -> actions and status, for a cluster on Kubernetes.

The rules are those of the plan for one machine. In addition: an object is only ever created where
none of its name is, updated where it differs from what is wanted, and deleted when it was seen to
own nothing; a hibernating or leaving cluster stops from the front to the disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from trading_contract.status import Endpoints, TierStatus
from trading_contract.tradingcluster import ReclaimPolicy
from trading_operator.planner.actions import Action
from trading_operator.planner.assessment import Health, health_of
from trading_operator.planner.autoscale.plan import in_effect, remembered, scale
from trading_operator.planner.autoscale.world import Sight
from trading_operator.planner.child_actions import MakeSecret
from trading_operator.planner.conditions import status_of
from trading_operator.planner.facts import Facts
from trading_operator.planner.keeping import leaving_nodes
from trading_operator.planner.kubernetes.children import templates
from trading_operator.planner.kubernetes.converging import World, converge, current_templates
from trading_operator.planner.kubernetes.intent import KubernetesIntent
from trading_operator.planner.kubernetes.obstacles import has_data, losses, obstacles_of
from trading_operator.planner.kubernetes.rollout import due_partitions
from trading_operator.planner.kubernetes.salvage import salvaged_slots
from trading_operator.planner.kubernetes.seen import ChildKey, KubernetesSeen
from trading_operator.planner.kubernetes.wanted import (
    as_scaled,
    revised,
    units_there,
    wanted_on_kubernetes,
)
from trading_operator.planner.kubernetes.world import observed_of, with_templates
from trading_operator.planner.load_status import seldom
from trading_operator.planner.moves.facts import Look, moves_of
from trading_operator.planner.moves.plan import MovesPlan, move_actions
from trading_operator.planner.observed import Role
from trading_operator.planner.plan import Plan
from trading_operator.planner.redis_cluster import RedisPlan, plan_redis
from trading_operator.planner.topology import WantedCluster, asking_for

WAKE_SECONDS_ACTIVE = 0.5
WAKE_SECONDS_WAITING = 1.0
WAKE_SECONDS_IDLE = 10.0
WAKE_SECONDS_SCALING = 5.0  # as often as load is looked at
CREDENTIALS = ("postgres", "replication", "tc_engine", "tc_reader", "tc_operator", "patroni")
LOAD_SAID_SECONDS = 30.0


def make_kubernetes_plan(intent: KubernetesIntent, seen: KubernetesSeen, now: float) -> Plan:
    """The next bounded step towards what is wanted. `now` in Unix seconds."""
    said = intent.previous.autoscaling if intent.previous else None
    there = units_there(intent.cluster, seen)
    memory = remembered(intent.cluster, intent.scale, said, there)
    intent = replace(intent, cluster=as_scaled(in_effect(intent.cluster, memory), seen))
    spec, name = intent.cluster.spec, intent.cluster.metadata.name
    salvaged = None
    if seen.topology is None and seen.topology_known and has_data(seen):
        salvaged = salvaged_slots(spec, seen, intent.previous)
    bare, topology = wanted_on_kubernetes(intent.cluster, intent.namespace, seen, salvaged, now)
    children = intent.build(spec, topology)
    wanted = with_templates(bare, templates(children))
    observed = observed_of(seen, wanted, now)
    health = {each.name: health_of(each, observed) for each in wanted.components}
    due = due_partitions(seen, health, current_templates(wanted, seen))
    at_work = not intent.is_deleting
    scaled = scale(memory, Sight(spec, observed, wanted, health, at_work), now)
    moves = moves_of(intent.cluster, Look(observed, wanted, health, due, scaled.asks), now)
    asking = asking_for(topology, moves.orders, moves.places)
    if asking != topology:
        topology = revised(asking, seen.topology)
        wanted, children = replace(wanted, topology=topology), intent.build(spec, topology)
    redis = _redis(intent, wanted, seen)
    lost = tuple(losses(name, seen, has_slots=salvaged is not None))
    obstacles = (*lost, *obstacles_of(name, children, seen))
    if seen.children is None or spec.paused or intent.is_deleting or lost:
        actions: tuple[Action, ...] = ()
    elif secrets := tuple(_missing_secrets(intent, seen)):
        actions = secrets
    else:
        world = World(intent, seen, wanted, observed, health, children, moves)
        actions = tuple(converge(world, topology, now))
        if not spec.hibernated:
            actions = (*actions, *redis.commands, *redis.transfers, *move_actions(moves))
    facts = Facts(
        intent.cluster, intent.is_deleting, wanted, observed, health, redis, actions, False,
        endpoints=_endpoints(intent), tiers=_tiers(intent, wanted, health, redis),
        obstacles=obstacles, durability_lifted=_durability_lifted(intent, seen),
        spares_missing=_spares_missing(intent, seen), moves=moves,
        scaling=scaled.status,
    )  # fmt: skip
    status = status_of(facts, intent.previous, now)
    load_said = intent.previous.load if intent.previous else None
    load = seldom(seen.load, load_said, now, LOAD_SAID_SECONDS)
    status = status.model_copy(update={"load": load})
    wake = _wake_after_seconds(actions, health, redis, moves)
    if scaled.memory is not None:
        wake = min(wake, WAKE_SECONDS_SCALING)
    return Plan(actions, status, wake, moves, scaled.memory)


def _redis(intent: KubernetesIntent, wanted: WantedCluster, seen: KubernetesSeen) -> RedisPlan:
    there = [pod.component for pod in seen.pods if pod.role == Role.NODE and pod.ip]
    silent = [name for name in there if name not in seen.nodes]
    spec = intent.cluster.spec
    names = {node.name for node in wanted.nodes}
    leaving = leaving_nodes(spec, names)
    plan = plan_redis(wanted.nodes, spec.redis.masters, seen.nodes, silent, leaving)
    # To those that are there and stay: who has no address yet, or goes in this pass, hears nothing.
    commands = (each for each in plan.commands if each.node in names and "" not in each.command)
    return replace(plan, commands=tuple(commands))


def _missing_secrets(intent: KubernetesIntent, seen: KubernetesSeen) -> Iterator[MakeSecret]:
    spec, name = intent.cluster.spec, intent.cluster.metadata.name
    goes = spec.shards.storage.reclaim is ReclaimPolicy.DELETE
    reason = "it is not there"
    wanted = [MakeSecret(f"{name}-credentials", CREDENTIALS, reason, is_owned=goes)]
    if spec.access.api_keys_secret_ref is None:
        empty = (("api-keys.json", "{}"),)
        wanted.append(MakeSecret(f"{name}-api-keys", (), reason, empty, is_owned=goes))
    for each in wanted:
        key = ChildKey("Secret", each.name)
        if seen.child(*key) is None and key not in seen.collisions:
            yield each


def _endpoints(intent: KubernetesIntent) -> Endpoints:
    port = intent.cluster.spec.exposure.port or 80
    address = f"{intent.cluster.metadata.name}.{intent.namespace}.svc:{port}"
    return Endpoints(rest=f"http://{address}", websocket=f"ws://{address}")


def _tiers(
    intent: KubernetesIntent,
    wanted: WantedCluster,
    health: Mapping[str, Health],
    redis: RedisPlan,
) -> tuple[TierStatus, ...]:
    words = {
        Role.REPLICA: "backends", Role.PARTITION: "partitions", Role.SHARD: "shards",
        Role.NODE: "redis",
    }  # fmt: skip
    asleep = intent.cluster.spec.hibernated
    tiers = []
    for role, word in words.items():
        names = [each.name for each in wanted.components if each.role is role]
        ready = sum(health[name].is_serving for name in names)
        tiers.append(TierStatus(name=word, wanted=0 if asleep else len(names), ready=ready))
    return tuple(tiers)


def _durability_lifted(intent: KubernetesIntent, seen: KubernetesSeen) -> str:
    if intent.cluster.spec.shards.members == 1:
        return ""
    lifted = [
        shard
        for shard, members in sorted(seen.members.items())
        if any(each.is_leader for each in members)
        and not any(each.is_synchronous for each in members)
    ]
    return f"no synchronous standby: {', '.join(lifted)}" if lifted else ""


def _spares_missing(intent: KubernetesIntent, seen: KubernetesSeen) -> str:
    members = intent.cluster.spec.shards.members
    if members == 1 or intent.cluster.spec.hibernated:
        return ""
    short = []
    for shard, told in sorted(seen.members.items()):
        well = sum(each.is_leader or each.is_streaming for each in told)
        if well < members:
            short.append(f"{shard} has {well} of {members} members")
    return "; ".join(short)


def _wake_after_seconds(
    actions: tuple[Action, ...], health: Mapping[str, Health], redis: RedisPlan, moves: MovesPlan
) -> float:
    if actions or not moves.are_done(moves.orders):
        return WAKE_SECONDS_ACTIVE
    if not redis.is_ok or any(not each.is_ready for each in health.values()):
        return WAKE_SECONDS_WAITING
    return WAKE_SECONDS_IDLE
