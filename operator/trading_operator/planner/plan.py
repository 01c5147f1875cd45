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
from trading_operator.planner.actions import (
    Action,
    AssignPorts,
    CommandNode,
    Component,
    PrepareShard,
    PublishTopology,
    ReplaceBalancer,
    StartComponent,
    StopComponent,
    prepare_task,
)
from trading_operator.planner.assessment import (
    Health,
    health_of,
    is_prepared,
    is_published,
    is_specified,
    shard_missing,
)
from trading_operator.planner.autoscale.counts import highest
from trading_operator.planner.autoscale.plan import ScaleMemory, in_effect, remembered, scale
from trading_operator.planner.autoscale.world import Sight
from trading_operator.planner.conditions import Facts, Obstacle, status_of
from trading_operator.planner.keeping import BALANCER
from trading_operator.planner.load_status import load_status
from trading_operator.planner.moves.facts import Look, moves_of
from trading_operator.planner.moves.ownership import is_emptied
from trading_operator.planner.moves.plan import MovesPlan, move_actions, publish_reason
from trading_operator.planner.observed import Observed, ProcessSeen, Role
from trading_operator.planner.redis_cluster import RedisPlan, plan_redis
from trading_operator.planner.scaling.signals import Tier
from trading_operator.planner.topology import (
    HOST,
    WantedCluster,
    shard_hash,
    wanted_cluster,
    with_orders,
)

DISK_FREE_BYTES_MIN = 256 << 20
SILENT_SECONDS_MAX = 30.0
GRACE_SECONDS: Mapping[str, float] = {Role.SHARD: 60.0, Role.NODE: 10.0, Role.BALANCER: 5.0}
GRACE_SECONDS_DEFAULT = 15.0
# Who must be gone before the next tier is stopped: orders drain from the front to the disk.
STOP_TIERS: tuple[tuple[Role, ...], ...] = (
    (Role.REPLICA,),
    (Role.BALANCER, Role.PARTITION),
    (Role.SHARD, Role.NODE),
)
MOVING_ROLES = (Role.PARTITION, Role.SHARD)  # whose restart would disturb a move
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
    memory = remembered(intent.cluster, intent.scale, said, _there(observed))
    intent = replace(intent, cluster=in_effect(intent.cluster, memory))
    wanted = wanted_cluster(intent.cluster, observed)
    health = {each.name: health_of(each, observed) for each in wanted.components}
    at_work = not intent.is_going_down
    scaled = scale(memory, Sight(intent.cluster.spec, observed, wanted, health, at_work), now)
    look = Look(observed, wanted, health, _due(wanted, health), scaled.asks)
    moves = moves_of(intent.cluster, look, now)
    wanted = with_orders(wanted, moves.orders, moves.places)
    redis = _redis(intent, wanted, observed)
    spec = intent.cluster.spec
    if observed.processes is None or (spec.paused and not intent.is_going_down):
        actions: tuple[Action, ...] = ()
    elif intent.is_going_down or spec.hibernated:
        actions = tuple(_stop_all(observed, now))
    else:
        actions = (
            *_converge(wanted, observed, health, moves, now), *redis.commands, *redis.transfers,
            *move_actions(moves),
        )  # fmt: skip
    facts = Facts(
        intent.cluster, intent.is_going_down, wanted, observed, health, redis, actions,
        _is_disk_full(observed),
        endpoints=_endpoints(wanted), obstacles=_obstacles(intent.cluster), moves=moves,
        scaling=scaled.status,
    )  # fmt: skip
    status = status_of(facts, intent.previous, now)
    if observed.load is not None:
        status = status.model_copy(update={"load": load_status(observed.load)})
    wake = _wake_after_seconds(actions, health, observed, moves)
    return Plan(actions, status, wake, moves, scaled.memory)


def _there(observed: Observed) -> dict[Tier, int]:
    """How many units of each tier the world knows, for when the status was lost."""
    names = set(observed.processes or {})
    if topology := observed.topology:
        names |= {each.name for each in topology.partitions}
        names |= {each.name for each in topology.shards}
    return {tier: highest(names, tier) for tier in Tier}


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
    masters = intent.cluster.spec.redis.masters
    return plan_redis(wanted.nodes, masters, observed.nodes, silent, may_reshard=True)


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
    yield from _starts(wanted, observed, now)
    yield from prepares(wanted, observed, now)
    yield from _rolls(wanted, observed, health, moves, now)
    if observed.topology_known:
        yield from _removals(wanted, observed, now)


def is_unsafe_without_topology(observed: Observed) -> bool:
    """Whether shards hold data but the file that says which slots they own is gone."""
    has_data = any(shard.has_data for shard in observed.shards.values())
    return observed.topology is None and observed.topology_known and has_data


def _starts(wanted: WantedCluster, observed: Observed, now: float) -> Iterator[Action]:
    for component in wanted.components:
        name = component.name
        failure = observed.failures.get(name)
        if observed.process(name) or name in observed.busy:
            continue
        if failure is not None and now < failure.retry_at:
            continue
        if component.role is Role.PARTITION and not partition_may_start(component, observed):
            continue
        if component.role is Role.SHARD and _is_disk_full(observed):
            continue
        reason = f"it does not run; {failure.text}" if failure else "it does not run"
        yield StartComponent(component, reason)


def _is_disk_full(observed: Observed) -> bool:
    disk = observed.disk_free_bytes
    return disk is not None and disk < DISK_FREE_BYTES_MIN


def partition_may_start(component: Component, observed: Observed) -> bool:
    """A partition rebuilds its books from its shards, so these must serve first."""
    topology = observed.topology
    if topology is None or all(each.name != component.name for each in topology.partitions):
        return False
    shards = {slot.shard for slot in topology.slots if slot.partition == component.name}
    return not any(shard_missing(shard, topology, observed) for shard in shards)


def prepares(wanted: WantedCluster, observed: Observed, now: float) -> Iterator[Action]:
    """What shards that take writes still need before they serve their slots."""
    topology = observed.topology
    if topology is None or not is_specified(wanted, observed):
        return
    for shard in topology.shards:
        task = prepare_task(shard.name)
        seen, failure = observed.shards.get(shard.name), observed.failures.get(task)
        if (
            task in observed.busy
            or shard.name in observed.busy
            or seen is None
            or not seen.accepts_writes
        ):
            continue
        if is_prepared(shard.name, topology, observed):
            continue
        if failure is not None and now < failure.retry_at:
            continue
        reason = "its slots or the symbols differ from what it was prepared for"
        yield PrepareShard(shard.name, shard_hash(topology, shard.name), reason)


def _rolls(
    wanted: WantedCluster, observed: Observed, health: Mapping[str, Health],
    moves: MovesPlan, now: float,
) -> Iterator[Action]:  # fmt: skip
    """Restarts.

    Of what hangs at once, for changed settings one at a time and only in good health.
    """
    unwell = {name for name, each in health.items() if not each.is_serving} - {BALANCER}
    has_rolled, is_moving = False, _is_moving(wanted, observed, moves)
    for component in wanted.components:
        name = component.name
        process = observed.process(name)
        if process is None or name in observed.busy:
            continue
        if process.stopping_since is not None:
            yield from _force(process, now)
        elif observed.silent_seconds.get(name, 0.0) > SILENT_SECONDS_MAX:
            reason = f"it has not answered for {SILENT_SECONDS_MAX:.0f} s"
            yield StopComponent(name, process.role, process.pid, reason, force=True)
        elif process.settings_hash == component.settings_hash:
            continue
        elif component.role is Role.BALANCER:
            if _members_are_settled(health, wanted, observed):
                yield ReplaceBalancer(component, "its members or its port changed")
        elif name in moves.held or (component.role in MOVING_ROLES and is_moving):
            continue  # moves end first
        elif not has_rolled and unwell <= {name}:
            has_rolled = True
            yield StopComponent(name, process.role, process.pid, "its settings changed")


def _due(wanted: WantedCluster, health: Mapping[str, Health]) -> frozenset[str]:
    """Partitions whose turn to be restarted has come: shards go first, and all must be well."""
    is_well = all(each.is_serving for name, each in health.items() if name != BALANCER)
    old = [each for each in wanted.components if health[each.name].is_outdated]
    if not is_well or any(each.role is Role.SHARD for each in old):
        return frozenset()
    return frozenset(each.name for each in old if each.role is Role.PARTITION)


def _is_moving(wanted: WantedCluster, observed: Observed, moves: MovesPlan) -> bool:
    topologies = (wanted.topology, observed.topology)
    return any(each is not None and not moves.are_done(each.moves) for each in topologies)


def _members_are_settled(
    health: Mapping[str, Health], wanted: WantedCluster, observed: Observed
) -> bool:
    """New replicas get traffic when they are ready; one that failed holds nobody up."""
    replicas = [each.name for each in wanted.components if each.role is Role.REPLICA]
    return all(health[name].is_serving or name in observed.failures for name in replicas)


def _removals(wanted: WantedCluster, observed: Observed, now: float) -> Iterator[Action]:
    balancer, running = wanted.component(BALANCER), observed.process(BALANCER)
    is_rerouted = (
        running is None or balancer is None or running.settings_hash == balancer.settings_hash
    )
    published, specified = is_published(wanted, observed), is_specified(wanted, observed)
    for name, process in sorted((observed.processes or {}).items()):
        if wanted.component(name) is not None or name in observed.busy or not specified:
            continue
        if process.role == Role.PARTITION and not published:
            continue  # others are still told that it owns something
        if process.role == Role.REPLICA and not is_rerouted:
            continue
        if process.role == Role.NODE and name not in observed.nodes:
            continue  # it does not answer: unknown whether it owns hash slots
        if process.role == Role.SHARD and not _may_go(name, process, published, observed):
            continue
        if process.stopping_since is None:
            reason = "the specification no longer asks for it and it owns nothing"
            yield StopComponent(name, process.role, process.pid, reason)
        else:
            yield from _force(process, now)


def _may_go(name: str, process: ProcessSeen, published: bool, observed: Observed) -> bool:
    """A shard goes once everybody was told that it has nothing, and it says so itself."""
    is_empty = is_emptied(observed.shards.get(name))
    return published and (is_empty or process.stopping_since is not None)


def _stop_all(observed: Observed, now: float) -> Iterator[Action]:
    for tier in STOP_TIERS:
        running = [p for p in (observed.processes or {}).values() if p.role in tier]
        for process in sorted(running, key=lambda each: each.name):
            if process.stopping_since is None:
                reason = "the cluster goes down or hibernates"
                yield StopComponent(process.name, process.role, process.pid, reason)
            else:
                yield from _force(process, now)
        if running or observed.busy:
            return


def _force(process: ProcessSeen, now: float) -> Iterator[Action]:
    grace = GRACE_SECONDS.get(process.role, GRACE_SECONDS_DEFAULT)
    if process.stopping_since is not None and now - process.stopping_since > grace:
        reason = f"it did not stop within {grace:.0f} s"
        yield StopComponent(process.name, process.role, process.pid, reason, force=True)


def _wake_after_seconds(
    actions: tuple[Action, ...], health: Mapping[str, Health], observed: Observed, moves: MovesPlan
) -> float:
    if actions or observed.busy or not moves.are_done(moves.orders):
        return WAKE_SECONDS_ACTIVE
    waiting = any(not each.is_ready for each in health.values())
    return WAKE_SECONDS_WAITING if waiting else WAKE_SECONDS_IDLE


__all__ = ["CommandNode", "Intent", "Plan", "make_plan"]
