"""The changes of one pass: objects, settings, rollouts, in the order in which they may come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from trading_contract.topology import Topology
from trading_operator.planner.actions import Action
from trading_operator.planner.assessment import Health, is_published, is_specified
from trading_operator.planner.child_actions import ConfigureShard, Manifest, TellPod
from trading_operator.planner.kubernetes.children import (
    COMPONENT_LABEL,
    Permissions,
    child_actions,
    key_of,
    role_of,
    templates,
)
from trading_operator.planner.kubernetes.durability import config_changes
from trading_operator.planner.kubernetes.intent import KubernetesIntent
from trading_operator.planner.kubernetes.reviving import revivals
from trading_operator.planner.kubernetes.rollout import (
    Tiers,
    outdated_components,
    role_of_pod,
    rolls,
)
from trading_operator.planner.kubernetes.seen import ChildKey, KubernetesSeen
from trading_operator.planner.kubernetes.world import with_templates
from trading_operator.planner.moves.ownership import is_emptied
from trading_operator.planner.moves.plan import MovesPlan
from trading_operator.planner.observed import Observed, Role
from trading_operator.planner.starting import partition_may_start, prepares
from trading_operator.planner.stopping import MOVING_ROLES
from trading_operator.planner.topology import WantedCluster

# Who must be gone before the next tier is stopped: orders drain from the front to the disk.
STOP_TIERS = ((Role.REPLICA,), (Role.PARTITION,), (Role.SHARD, Role.NODE))


@dataclass(frozen=True)
class World:
    """What the steps of a plan are made from."""

    intent: KubernetesIntent
    seen: KubernetesSeen
    wanted: WantedCluster
    observed: Observed
    health: Mapping[str, Health]
    children: tuple[Manifest, ...]
    moves: MovesPlan


def converge(world: World, topology: Topology, now: float) -> Iterator[Action]:
    """What to change now so that the cluster comes nearer to what is wanted, or goes to sleep."""
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
    yield from revivals(seen, now)
    orders = (*topology.moves, *(seen.topology.moves if seen.topology else ()))
    rests = world.moves.are_done(orders)
    for roll in rolls(
        wanted, seen, world.health, current_templates(wanted, seen), world.moves.held
    ):
        if rests or role_of_pod(roll, seen) not in MOVING_ROLES:
            yield roll
    if is_published(wanted, world.observed):
        yield from _tell(seen, topology)


def _configures(world: World) -> Iterator[ConfigureShard]:
    for shard, live in sorted(world.seen.configs.items()):
        if changes := config_changes(world.intent.cluster.spec.shards, live):
            told = ", ".join(sorted(changes))
            yield ConfigureShard(shard, changes, f"Patroni's configuration differs at {told}")


def _waiting(world: World) -> frozenset[str]:
    """Components whose owner has not got the wanted template yet."""
    have = templates([child.manifest for child in (world.seen.children or {}).values()])
    want = templates(world.children)
    late = {owner for owner, value in want.items() if owner in have and have[owner] != value}
    return frozenset(f"{each}-0" if each in ("redis", "replica") else each for each in late)


def current_templates(wanted: WantedCluster, seen: KubernetesSeen) -> dict[str, str]:
    """The hash of the template that each component's owner has now."""
    live = [child.manifest for child in (seen.children or {}).values() if child.is_ours]
    return _by_component(wanted, templates(live))


def _by_component(wanted: WantedCluster, hashes: Mapping[str, str]) -> dict[str, str]:
    components = with_templates(wanted, hashes).components
    return {each.name: dict(each.settings)["template"] for each in components if each.settings}


def _may_create(manifest: Manifest, world: World) -> bool:
    """A partition rebuilds its books from its shards, so these must serve first.

    Secrets are made with their values or not at all.
    """
    if role_of(manifest) is not Role.PARTITION:
        return bool(manifest["kind"] != "Secret")
    component = world.wanted.component(manifest["metadata"]["labels"][COMPONENT_LABEL])
    return component is None or partition_may_start(component, world.observed)


def _may_delete(key: ChildKey, world: World) -> bool:
    """A partition goes after everybody was told that it owns nothing."""
    is_workload = key.kind == "StatefulSet"
    is_told = is_published if is_workload else is_specified
    return is_told(world.wanted, world.observed) and _owns_nothing(key, world)


def _owns_nothing(key: ChildKey, world: World) -> bool:
    """Whether it is free: a shard says so itself, nodes of one StatefulSet go by its scale."""
    live = world.seen.child(*key)
    if live is not None and role_of(live.manifest) is Role.SHARD:
        name = live.manifest["metadata"]["labels"].get(COMPONENT_LABEL, "")
        return is_emptied(world.seen.shards.get(name))
    return key.kind != "StatefulSet" or all(
        node in world.seen.nodes for node in _pods_of(key.name, world) if node.startswith("redis-")
    )


def _pods_of(name: str, world: World) -> Iterator[str]:
    return (pod.component for pod in world.seen.pods if pod.name.startswith(f"{name}-"))


def _scaled(world: World) -> Iterator[Manifest]:
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
