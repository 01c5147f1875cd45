"""Who is to be stopped: for other settings, as it hangs, as it is asked for no more, or all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from trading_operator.planner.actions import Action, ReplaceBalancer, StopComponent
from trading_operator.planner.assessment import Health, is_published, is_specified
from trading_operator.planner.keeping import BALANCER
from trading_operator.planner.moves.ownership import is_emptied
from trading_operator.planner.moves.plan import MovesPlan
from trading_operator.planner.observed import Observed, ProcessSeen, Role
from trading_operator.planner.topology import WantedCluster

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


def rolls(
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
            if _replicas_are_current(wanted, observed):
                yield ReplaceBalancer(component, "its port or its form changed")
        elif name in moves.held or (component.role in MOVING_ROLES and is_moving):
            continue  # moves end first
        elif not has_rolled and unwell <= {name}:
            has_rolled = True
            yield StopComponent(name, process.role, process.pid, "its settings changed")


def due(wanted: WantedCluster, health: Mapping[str, Health]) -> frozenset[str]:
    """Partitions whose turn to be restarted has come: shards go first, and all must be well."""
    is_well = all(each.is_serving for name, each in health.items() if name != BALANCER)
    old = [each for each in wanted.components if health[each.name].is_outdated]
    if not is_well or any(each.role is Role.SHARD for each in old):
        return frozenset()
    return frozenset(each.name for each in old if each.role is Role.PARTITION)


def _is_moving(wanted: WantedCluster, observed: Observed, moves: MovesPlan) -> bool:
    topologies = (wanted.topology, observed.topology)
    return any(each is not None and not moves.are_done(each.moves) for each in topologies)


def _replicas_are_current(wanted: WantedCluster, observed: Observed) -> bool:
    """One of an earlier version may not know how to get connections from the new balancer."""
    running = ((each, observed.process(each.name)) for each in wanted.components)
    return all(
        process is None or process.settings_hash == each.settings_hash
        for each, process in running
        if each.role is Role.REPLICA
    )


def removals(wanted: WantedCluster, observed: Observed, now: float) -> Iterator[Action]:
    """What is asked for no more, when nobody needs it and everybody knows."""
    published, specified = is_published(wanted, observed), is_specified(wanted, observed)
    for name, process in sorted((observed.processes or {}).items()):
        if wanted.component(name) is not None or name in observed.busy or not specified:
            continue
        if process.role == Role.PARTITION and not published:
            continue  # others are still told that it owns something
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


def stop_all(observed: Observed, now: float) -> Iterator[Action]:
    """Tier by tier; the next one when nothing of the one before is left."""
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
