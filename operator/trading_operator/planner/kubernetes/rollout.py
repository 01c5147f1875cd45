"""Who may change when: one tier after the other, one component at a time, and never when unwell.

Replicas go first: a Deployment keeps the old ones until new ones are ready, so an image that does
not exist or does not start is found out where it costs nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from trading_operator.planner.actions import Component
from trading_operator.planner.assessment import Health
from trading_operator.planner.child_actions import RollPod, SwitchPrimary
from trading_operator.planner.kubernetes.seen import KubernetesSeen, PodSeen
from trading_operator.planner.kubernetes.world import TEMPLATE
from trading_operator.planner.observed import Role
from trading_operator.planner.topology import WantedCluster

TIERS = (Role.REPLICA, Role.NODE, Role.PARTITION, Role.SHARD)
REASON = "its pods come from an older template"


@dataclass(frozen=True)
class Tiers:
    """How far the change of templates has come."""

    wanted: WantedCluster
    health: Mapping[str, Health]
    outdated: frozenset[str]  # components with pods, or an owner, of an older template

    def may_change(self, role: Role) -> bool:
        """Whether the templates of this tier may be replaced now.

        Only when all tiers before it are through and well; a tier that does not work as it is may
        be cured by the change, so it need not wait.
        """
        if any(self._is_unwell(each) and each.name in self.outdated for each in self._of(role)):
            return True
        earlier = [each for tier in TIERS[: TIERS.index(role)] for each in self._of(tier)]
        return not any(self._is_unwell(each) or each.name in self.outdated for each in earlier)

    def _of(self, role: Role) -> Iterator[Component]:
        return (each for each in self.wanted.components if each.role is role)

    def _is_unwell(self, component: Component) -> bool:
        return not self.health[component.name].is_serving


def rolls(
    wanted: WantedCluster,
    seen: KubernetesSeen,
    health: Mapping[str, Health],
    current: Mapping[str, str],
    held: Collection[str] = (),
) -> Iterator[RollPod | SwitchPrimary]:
    """The next pod to replace.

    `current` gives the hash of the template that each component's owner has now: a pod is outdated
    against that, not against what is wanted of a tier whose turn has not come. What does not work
    and is outdated is replaced at once; what works, one at a time and only when all else is well.
    Partitions that are `held` are emptied first, and shards wait for them.
    """
    unwell = {name for name, each in health.items() if not each.is_serving}
    has_rolled = False
    for role in TIERS:
        if role is Role.REPLICA:
            continue  # the Deployment's controller does that
        for component in (each for each in wanted.components if each.role is role):
            name = component.name
            pods = seen.pods_of(name)
            old = [pod for pod in pods if pod.template_hash != current.get(name, "")]
            if name not in current or not old:
                continue
            if name not in unwell and (name in held or (held and role is Role.SHARD)):
                continue
            if name in unwell:
                yield from (_roll(pod) for pod in old if not (pod.is_ready or pod.is_deleting))
            elif not has_rolled and not unwell and not any(pod.is_deleting for pod in pods):
                has_rolled = True
                yield from _next(name, pods, old, seen)


def _next(
    name: str, pods: tuple[PodSeen, ...], old: list[PodSeen], seen: KubernetesSeen
) -> Iterator[RollPod | SwitchPrimary]:
    members = {member.name: member for member in seen.members.get(name, ())}
    if len(pods) == 1:
        yield _roll(old[0])
        return
    if not all(
        pod.is_ready and pod.name in members  # who does not answer may be the primary
        and (members[pod.name].is_leader or members[pod.name].is_streaming)
        for pod in pods
    ):  # fmt: skip
        return
    standbys = [pod for pod in old if not members[pod.name].is_leader]
    if standbys:
        yield _roll(standbys[0])
        return
    ready = [pod.name for pod in pods if pod not in old and members[pod.name].is_streaming]
    best = sorted(ready, key=lambda each: (not members[each].is_synchronous, each))
    if best:
        reason = "the standbys are done, and the primary's pod is next"
        yield SwitchPrimary(name, old[0].name, best[0], reason)


def due_partitions(
    seen: KubernetesSeen, health: Mapping[str, Health], current: Mapping[str, str]
) -> frozenset[str]:
    """Partitions whose turn to be replaced has come."""
    if not all(each.is_serving for each in health.values()):
        return frozenset()
    return frozenset(
        pod.component for pod in seen.pods
        if pod.role == Role.PARTITION and pod.component in current
        and pod.template_hash != current[pod.component]
    )  # fmt: skip


def role_of_pod(action: RollPod | SwitchPrimary, seen: KubernetesSeen) -> str:
    """Which tier an action of a rollout is about."""
    if isinstance(action, SwitchPrimary):
        return Role.SHARD
    return next((pod.role for pod in seen.pods if pod.name == action.name), "")


def _roll(pod: PodSeen) -> RollPod:
    return RollPod(pod.name, pod.uid, REASON)


def outdated_components(wanted: WantedCluster, seen: KubernetesSeen) -> frozenset[str]:
    """Components with a pod that is not from the wanted template."""
    found = set()
    templates = {each.role: each.setting(TEMPLATE) for each in wanted.components}
    for pod in seen.pods:
        if pod.role == Role.REPLICA:
            if not pod.is_deleting and pod.template_hash != templates.get(Role.REPLICA):
                found.add(f"{Role.REPLICA}-0")
            continue
        component = wanted.component(pod.component)
        if component is not None and pod.template_hash != component.setting(TEMPLATE):
            found.add(pod.component)
    return frozenset(found)
