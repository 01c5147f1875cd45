"""plan(intent, seen, now) -> actions and status, for a cluster on Kubernetes.

The rules are those of the plan for one machine. In addition: an object is only ever created where
none of its name is, updated where it differs from what is wanted, and deleted when it was seen to
own nothing; a hibernating or leaving cluster stops from the front to the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from trading_contract.status import ClusterStatus, Endpoints, TierStatus
from trading_contract.topology import Topology
from trading_contract.tradingcluster import (
    ReclaimPolicy,
    TradingCluster,
    TradingClusterSpec,
)
from trading_operator.planner.actions import Action
from trading_operator.planner.assessment import (
    Health,
    health_of,
    is_published,
    is_specified,
)
from trading_operator.planner.autoscale.counts import SCALABLE_ON_KUBERNETES
from trading_operator.planner.autoscale.plan import ScaleMemory, in_effect, remembered, scale
from trading_operator.planner.autoscale.world import Sight
from trading_operator.planner.child_actions import ConfigureShard, MakeSecret, Manifest, TellPod
from trading_operator.planner.conditions import status_of
from trading_operator.planner.facts import Facts
from trading_operator.planner.kubernetes.children import (
    COMPONENT_LABEL,
    Differences,
    Permissions,
    child_actions,
    key_of,
    role_of,
    template_hash_of,
    templates,
)
from trading_operator.planner.kubernetes.durability import config_changes
from trading_operator.planner.kubernetes.obstacles import has_data, losses, obstacles_of
from trading_operator.planner.kubernetes.rollout import (
    Tiers,
    due_partitions,
    outdated_components,
    role_of_pod,
    rolls,
)
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
from trading_operator.planner.moves.ownership import is_emptied
from trading_operator.planner.moves.plan import MovesPlan, move_actions
from trading_operator.planner.observed import Observed, Role
from trading_operator.planner.plan import Plan
from trading_operator.planner.redis_cluster import RedisPlan, plan_redis
from trading_operator.planner.starting import partition_may_start, prepares
from trading_operator.planner.stopping import MOVING_ROLES
from trading_operator.planner.topology import WantedCluster, asking_for

WAKE_SECONDS_ACTIVE = 0.5
WAKE_SECONDS_WAITING = 1.0
WAKE_SECONDS_IDLE = 10.0
WAKE_SECONDS_SCALING = 5.0  # as often as load is looked at
CREDENTIALS = ("postgres", "replication", "tc_engine", "tc_reader", "tc_operator", "patroni")
# Who must be gone before the next tier is stopped: orders drain from the front to the disk.
LOAD_SAID_SECONDS = 30.0
STOP_TIERS = ((Role.REPLICA,), (Role.PARTITION,), (Role.SHARD, Role.NODE))
Builder = Callable[[TradingClusterSpec, Topology], tuple[Manifest, ...]]


@dataclass(frozen=True)
class KubernetesIntent:
    """What a person wants, and how its objects are made from a topology."""

    cluster: TradingCluster
    namespace: str
    build: Builder
    differences: Differences
    is_deleting: bool = False
    previous: ClusterStatus | None = None
    scale: ScaleMemory | None = None  # of the visit before; None: the status tells enough


def make_kubernetes_plan(intent: KubernetesIntent, seen: KubernetesSeen, now: float) -> Plan:
    """The next bounded step towards what is wanted. `now` in Unix seconds."""
    said = intent.previous.autoscaling if intent.previous else None
    there = units_there(intent.cluster, seen)
    memory = remembered(intent.cluster, intent.scale, said, there, SCALABLE_ON_KUBERNETES)
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
    due = due_partitions(seen, health, _current(wanted, seen))
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
        world = _World(intent, seen, wanted, observed, health, children, moves)
        actions = tuple(_converge(world, topology, now))
        if not spec.hibernated:
            actions = (*actions, *redis.commands, *move_actions(moves))
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
    wake = _wake_after_seconds(actions, health, moves)
    if scaled.memory is not None:
        wake = min(wake, WAKE_SECONDS_SCALING)
    return Plan(actions, status, wake, moves, scaled.memory)


@dataclass(frozen=True)
class _World:
    """What the steps of a plan are made from."""

    intent: KubernetesIntent
    seen: KubernetesSeen
    wanted: WantedCluster
    observed: Observed
    health: Mapping[str, Health]
    children: tuple[Manifest, ...]
    moves: MovesPlan


def _converge(world: _World, topology: Topology, now: float) -> Iterator[Action]:
    seen, wanted, hibernated = world.seen, world.wanted, world.intent.cluster.spec.hibernated
    outdated = outdated_components(wanted, seen) | _waiting(world)
    tiers = Tiers(wanted, world.health, outdated)
    permissions = Permissions(
        may_create=lambda manifest: _may_create(manifest, world),
        may_change_template=lambda role: hibernated or tiers.may_change(role),
        may_delete=lambda key: _may_delete(key, world),
    )
    children = tuple(_scaled(world))
    yield from child_actions(children, seen, world.intent.differences, permissions)
    if hibernated:
        return
    yield from prepares(wanted, world.observed, now)
    yield from _configures(world)
    orders = (*topology.moves, *(seen.topology.moves if seen.topology else ()))
    rests = world.moves.are_done(orders)
    for roll in rolls(wanted, seen, world.health, _current(wanted, seen), world.moves.held):
        if rests or role_of_pod(roll, seen) not in MOVING_ROLES:
            yield roll
    if is_published(wanted, world.observed):
        yield from _tell(seen, topology)


def _configures(world: _World) -> Iterator[ConfigureShard]:
    for shard, live in sorted(world.seen.configs.items()):
        if changes := config_changes(world.intent.cluster.spec.shards, live):
            told = ", ".join(sorted(changes))
            yield ConfigureShard(shard, changes, f"Patroni's configuration differs at {told}")


def _waiting(world: _World) -> frozenset[str]:
    """Components whose owner has not got the wanted template yet."""
    have = templates([child.manifest for child in (world.seen.children or {}).values()])
    want = templates(world.children)
    late = {owner for owner, value in want.items() if owner in have and have[owner] != value}
    return frozenset(f"{each}-0" if each in ("redis", "replica") else each for each in late)


def _current(wanted: WantedCluster, seen: KubernetesSeen) -> dict[str, str]:
    """The hash of the template that each component's owner has now."""
    live = [child.manifest for child in (seen.children or {}).values() if child.is_ours]
    return _by_component(wanted, templates(live))


def _by_component(wanted: WantedCluster, hashes: Mapping[str, str]) -> dict[str, str]:
    components = with_templates(wanted, hashes).components
    return {each.name: dict(each.settings)["template"] for each in components if each.settings}


def _may_create(manifest: Manifest, world: _World) -> bool:
    """A partition rebuilds its books from its shards, so these must serve first.

    Secrets are made with their values or not at all.
    """
    if role_of(manifest) is not Role.PARTITION:
        return bool(manifest["kind"] != "Secret")
    component = world.wanted.component(manifest["metadata"]["labels"][COMPONENT_LABEL])
    return component is None or partition_may_start(component, world.observed)


def _may_delete(key: ChildKey, world: _World) -> bool:
    """A partition goes after everybody was told that it owns nothing."""
    is_workload = key.kind == "StatefulSet"
    is_told = is_published if is_workload else is_specified
    return is_told(world.wanted, world.observed) and _owns_nothing(key, world)


def _owns_nothing(key: ChildKey, world: _World) -> bool:
    """Whether it is free: a shard says so itself, nodes of one StatefulSet go by its scale."""
    live = world.seen.child(*key)
    if live is not None and role_of(live.manifest) is Role.SHARD:
        name = live.manifest["metadata"]["labels"].get(COMPONENT_LABEL, "")
        return is_emptied(world.seen.shards.get(name))
    return key.kind != "StatefulSet" or all(
        node in world.seen.nodes for node in _pods_of(key.name, world) if node.startswith("redis-")
    )


def _pods_of(name: str, world: _World) -> Iterator[str]:
    return (pod.component for pod in world.seen.pods if pod.name.startswith(f"{name}-"))


def _scaled(world: _World) -> Iterator[Manifest]:
    """The wanted objects with the number of pods that may run now.

    Going to sleep, a tier stops when those before it are gone; waking up, partitions wait for
    their shards.
    """
    hibernated = world.intent.cluster.spec.hibernated
    running = {pod.role for pod in world.seen.pods}
    allowed: set[Role] = set()
    for tier in STOP_TIERS:
        allowed.update(tier)
        if running & set(tier):
            break
    for manifest in world.children:
        role = role_of(manifest)
        live = world.seen.child(*key_of(manifest))
        spec = live.manifest.get("spec", {}) if live else {}
        if role is None:
            yield manifest
        elif hibernated:
            count = 0 if role in allowed or live is None else spec.get("replicas", 0)
            yield _with_replicas(manifest, count)
        elif "replicas" not in manifest["spec"]:  # somebody else's, who does not wake it up
            least = world.intent.cluster.spec.backends.replicas
            yield _with_replicas(manifest, least) if spec.get("replicas") == 0 else manifest
        elif role is Role.PARTITION and spec.get("replicas") == 0:
            count = manifest["spec"]["replicas"] if _may_create(manifest, world) else 0
            yield _with_replicas(manifest, count)
        else:
            yield manifest


def _with_replicas(manifest: Manifest, count: int) -> Manifest:
    return {**manifest, "spec": {**manifest["spec"], "replicas": count}}


def _tell(seen: KubernetesSeen, topology: Topology) -> Iterator[TellPod]:
    revision = topology.revision
    for pod in seen.pods:
        is_reader = pod.role in (Role.PARTITION, Role.REPLICA)
        if not is_reader or pod.is_deleting or not pod.is_older_than_topology:
            continue
        if pod.told_revision != revision:
            reason = "kubelets bring a changed file late unless the pod changes too"
            yield TellPod(pod.name, pod.uid, revision, reason)


def _redis(intent: KubernetesIntent, wanted: WantedCluster, seen: KubernetesSeen) -> RedisPlan:
    there = [pod.component for pod in seen.pods if pod.role == Role.NODE and pod.ip]
    silent = [name for name in there if name not in seen.nodes]
    reachable = [node for node in wanted.nodes if node.host]
    plan = plan_redis(wanted.nodes, intent.cluster.spec.redis.masters, seen.nodes, silent)
    if len(reachable) == len(wanted.nodes):
        return plan
    kept = tuple(each for each in plan.commands if "" not in each.command)
    return replace(plan, commands=kept)


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
    actions: tuple[Action, ...], health: Mapping[str, Health], moves: MovesPlan
) -> float:
    if actions or not moves.are_done(moves.orders):
        return WAKE_SECONDS_ACTIVE
    if any(not each.is_ready for each in health.values()):
        return WAKE_SECONDS_WAITING
    return WAKE_SECONDS_IDLE


__all__ = ["KubernetesIntent", "make_kubernetes_plan", "template_hash_of"]
