"""What was seen of pods and objects -> the same facts about components as on one machine."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from trading_operator.planner.actions import Component
from trading_operator.planner.kubernetes.seen import KubernetesSeen, PodSeen
from trading_operator.planner.observed import Failure, Observed, ProcessSeen, ReplicaSeen, Role
from trading_operator.planner.topology import WantedCluster

# How long a pod may be stuck before only a person can help: schedulers and registries get a chance.
STUCK_SECONDS = 30.0
OUTDATED = "outdated"
TEMPLATE = "template"


def with_templates(wanted: WantedCluster, hashes: Mapping[str, str]) -> WantedCluster:
    """The components with the hash of the template that each should be made from."""
    components = tuple(
        replace(each, settings=((TEMPLATE, hashes.get(_owner(each), "")),))
        for each in wanted.components
    )
    return replace(wanted, components=components)


def _owner(component: Component) -> str:
    """Which template a component comes from: nodes share one, and so do replicas."""
    if component.role in (Role.NODE, Role.REPLICA):
        return component.role.value
    return component.name


def observed_of(seen: KubernetesSeen, wanted: WantedCluster, now: float) -> Observed:
    """Components as processes: a component runs when a pod of it is there."""
    pods = pods_by_component(seen, wanted)
    processes: dict[str, ProcessSeen] = {}
    failures: dict[str, Failure] = dict(seen.failures)
    for component in wanted.components:
        mine = pods.get(component.name, ())
        if not mine:
            continue
        processes[component.name] = _process(component, mine)
        # The problem of a standby is not the shard's: it serves all the same.
        serving = seen.shards.get(component.name)
        if serving is not None and serving.accepts_writes:
            continue
        for pod in mine:
            if pod.problem is not None:
                failures.setdefault(component.name, _failure(pod, now))
    # A new pod that does not come up stands beside the old one, which still serves.
    for pod in seen.pods:
        if pod.role == Role.REPLICA and pod.problem is not None and not pod.is_deleting:
            failures.setdefault(f"{Role.REPLICA}-0", _failure(pod, now))
    _add_leftovers(seen, wanted, processes)
    return Observed(
        processes=None if seen.children is None else processes,
        topology=seen.topology,
        topology_known=seen.topology_known,
        shards=seen.shards,
        partitions=seen.partitions,
        nodes=seen.nodes,
        replicas={
            name: _seen_together(
                [seen.replicas.get(pod.name, ReplicaSeen()) for pod in mine if pod.is_ready]
            )
            for name, mine in pods.items()
            if name.startswith(f"{Role.REPLICA}-")
        },
        balancer_answers=True,
        failures=failures,
        busy=seen.busy,
        moves=seen.moves,
        load=seen.load,
    )


def _seen_together(seen: Collection[ReplicaSeen]) -> ReplicaSeen:
    """As far as the best of them reaches; the partitions that each one reaches who tells."""
    best = max(seen, key=lambda each: each.reach, default=ReplicaSeen())
    told = [each.partitions for each in seen if each.partitions]
    return replace(best, partitions=frozenset.intersection(*told) if told else None)


def pods_by_component(
    seen: KubernetesSeen, wanted: WantedCluster
) -> Mapping[str, tuple[PodSeen, ...]]:
    """Which pods stand for which component. Pods of replicas are given out, the best ones first."""
    found: dict[str, tuple[PodSeen, ...]] = {}
    template = next((c.setting(TEMPLATE) for c in wanted.components if c.role is Role.REPLICA), "")
    replicas = sorted(
        (pod for pod in seen.pods if pod.role == Role.REPLICA and not pod.is_deleting),
        key=lambda pod: (not pod.is_ready, pod.template_hash != template, pod.name),
    )
    names = [each.name for each in wanted.components if each.role is Role.REPLICA]
    for name, pod in zip(names, replicas, strict=False):
        found[name] = (pod,)
    for pod in seen.pods:
        if pod.role != Role.REPLICA:
            found[pod.component] = (*found.get(pod.component, ()), pod)
    return found


def _process(component: Component, pods: Sequence[PodSeen]) -> ProcessSeen:
    template = component.setting(TEMPLATE)
    is_current = all(pod.template_hash == template for pod in pods)
    is_going = all(pod.is_deleting for pod in pods)
    settings_hash = component.settings_hash if is_current else OUTDATED
    return ProcessSeen(component.name, component.role, 0, settings_hash, 0.0 if is_going else None)


def _failure(pod: PodSeen, now: float) -> Failure:
    problem = pod.problem
    assert problem is not None
    is_stuck = problem.needs_person and now - problem.since > STUCK_SECONDS
    return Failure(f"{pod.name}: {problem.text}", 1, 0.0, problem.reason, is_stuck)


def _add_leftovers(
    seen: KubernetesSeen, wanted: WantedCluster, processes: dict[str, ProcessSeen]
) -> None:
    """Pods of components that are no longer wanted."""
    for pod in seen.pods:
        if pod.role != Role.REPLICA and wanted.component(pod.component) is None:
            since = 0.0 if pod.is_deleting else None
            processes[pod.component] = ProcessSeen(pod.component, pod.role, 0, OUTDATED, since)
