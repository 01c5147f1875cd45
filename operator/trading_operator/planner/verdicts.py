"""Facts -> what each condition says, one function for each. Claims no more than was observed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from trading_contract.autoscaling_status import AutoscalingStatus
from trading_contract.status import ClusterStatus, ConditionType
from trading_operator.planner.actions import Action, ForgetMove, MakeMove, PublishTopology
from trading_operator.planner.assessment import is_served, is_specified, serving
from trading_operator.planner.autoscale.limits import limit_of
from trading_operator.planner.child_actions import ApplyChild, TellPod
from trading_operator.planner.facts import Facts
from trading_operator.planner.moves.ownership import doubled_slots
from trading_operator.planner.observed import Observed, Reach, Role
from trading_operator.planner.redis_cluster import hash_slots_of

TELLING_MAX = 6


@dataclass(frozen=True)
class Verdict:
    """Status, reason and message of one condition, as its fields say."""

    status: str
    reason: str
    message: str = ""

    @property
    def is_true(self) -> bool:
        """Whether it holds for sure."""
        return self.status == "True"


def verdicts_of(
    facts: Facts, previous: ClusterStatus | None
) -> Iterator[tuple[ConditionType, Verdict]]:
    """Of every condition that this cluster has; `previous` is what was said before, if anything."""
    spec = facts.cluster.spec
    available = _available(facts, previous)
    stalled = _stalled(facts)
    ready = _ready(facts, available, stalled, previous)
    is_rest = spec.paused or spec.hibernated or facts.is_going_down
    yield ConditionType.AVAILABLE, available
    yield ConditionType.READY, ready
    yield ConditionType.RECONCILING, _reconciling(facts, ready, stalled)
    yield ConditionType.STALLED, stalled
    yield ConditionType.DEGRADED, _degraded(facts, is_rest)
    if spec.shards.members > 1:
        lifted = bool(facts.durability_lifted) and not is_rest
        verdict = _flag(lifted, "ReplicationLifted", facts.durability_lifted)
        yield ConditionType.DURABILITY_DEGRADED, verdict
    yield ConditionType.REBALANCING, _rebalancing(facts)
    yield ConditionType.TURNDOWN_BLOCKED, _turndown(facts)
    if facts.scaling is not None:
        yield ConditionType.AUTOSCALING_LIMITED, _limited(facts.scaling)
    yield ConditionType.PAUSED, _flag(spec.paused, "PausedBySpec", "the operator only looks")
    stopped = spec.hibernated and facts.is_stopped
    yield ConditionType.HIBERNATED, _flag(stopped, "HibernatedBySpec", "the data stays")


def _limited(scaling: AutoscalingStatus) -> Verdict:
    limit = limit_of(scaling)
    return Verdict("False", "Reconciled") if limit is None else Verdict("True", *limit)


def _rebalancing(facts: Facts) -> Verdict:
    told = []
    for move in facts.moves.under_way:
        if (status := move.status) is not None:
            text = f"{move.metadata.name}: {status.symbols[:80]} to {status.target}"
            told.append(f"{text}, {status.state.value} {status.percent} %")
    return _flag(bool(told), "MovingSlots", _list(told))


def _turndown(facts: Facts) -> Verdict:
    kept = facts.wanted.kept
    if not kept:
        return Verdict("False", "Reconciled")
    is_emptied = any(
        move.is_planned and not (move.status and move.status.is_finished)
        for move in facts.moves.moves
    )
    roles = (Role.PARTITION, Role.SHARD) if is_emptied or facts.moves.makes else ()
    moving = [
        text for name, text in kept.items()
        if name.startswith(roles) or hash_slots_of(name, facts.observed.nodes)
    ]  # fmt: skip
    staying = [text for text in kept.values() if text not in moving]
    told = [f"{_list(moving)}: they are being moved"] if moving else []
    if staying:
        told.append(f"{_list(staying)}: move them first, or put it back")
    return Verdict("True", "SlotsNotMoved" if staying else "MovingSlots", _list(told))


def _available(facts: Facts, previous: ClusterStatus | None) -> Verdict:
    observed = facts.observed
    if observed.processes is None or not observed.topology_known:
        return Verdict("Unknown", "WorldUnknown", "the processes or the topology cannot be read")
    problems = []
    reason = ""
    slots = observed.topology.slots if observed.topology else ()
    unserved = [slot for slot in slots if not is_served(slot, observed)]
    if unserved or not slots:
        reason = "SlotsWithoutOwner"
        names = sorted({serving(slot, observed) for slot in unserved})
        told = _list(names, ", ")
        problems.append(f"{len(unserved)} of {len(slots)} slots are not served ({told})")
    if not any(seen.reach >= Reach.SLOTS for seen in observed.replicas.values()):
        reason = reason or "WaitingForReplica"
        problems.append("no replica reaches the owners of all slots")
    if not observed.balancer_answers:
        reason = reason or "WaitingForLoadBalancer"
        problems.append("the load balancer does not answer")
    if not problems:
        return Verdict("True", "Reconciled")
    if facts.is_going_down or facts.cluster.spec.hibernated:
        return Verdict("False", "Stopped", "the cluster is stopped or stopping")
    # The first time it is being made; after it has been there, it is missing.
    old = {each.type: each for each in previous.conditions} if previous else {}
    before = old.get(ConditionType.AVAILABLE)
    is_new = before is None or before.reason in ("Creating", "Stopped", "WorldUnknown")
    return Verdict("False", "Creating" if is_new else reason, "; ".join(problems))


def _ready(
    facts: Facts, available: Verdict, stalled: Verdict, previous: ClusterStatus | None
) -> Verdict:
    if available.status == "Unknown":
        return available
    if facts.is_going_down or facts.cluster.spec.hibernated:
        return Verdict("False", "Stopped", "the cluster is stopped or stopping")
    if stalled.is_true:
        return Verdict("False", stalled.reason, stalled.message)
    if not available.is_true:
        return available
    problems = [each.note for each in facts.health.values() if not each.is_ready]
    if facts.wanted.kept:
        problems.append(_list([*facts.wanted.kept.values()]))
    if not facts.redis.is_ok:
        problems.append(f"Redis: {facts.redis.note}")
    if facts.spares_missing and not _was_ready(previous):
        problems.append(facts.spares_missing)  # once they were there, a dead one only degrades
    extra = set(facts.observed.processes or {}) - set(facts.health)
    if extra:
        problems.append(f"to be removed: {_list(sorted(extra), ', ')}")
    if not is_specified(facts.wanted, facts.observed) or facts.wanted.missing_ports:
        problems.append("the topology is being published")
    changes = [each for each in facts.actions if not _is_about_moves(each, facts, previous)]
    if changes and not problems:
        problems.append(changes[0].describe())
    if not problems:
        return Verdict("True", "Reconciled")
    return Verdict("False", "RollingOut", _list(problems))


def _is_about_moves(action: Action, facts: Facts, previous: ClusterStatus | None) -> bool:
    """Whether an action serves moves alone: these do not make a cluster unready."""
    match action:
        case MakeMove() | ForgetMove():
            return True
        case PublishTopology():
            return is_specified(facts.wanted, facts.observed)
        case ApplyChild(kind="ConfigMap", name=name) if name.endswith("-topology"):
            return is_specified(facts.wanted, facts.observed)
        case TellPod():
            told = previous.observed_generation if previous else 0
            return _was_ready(previous) and told == facts.cluster.metadata.generation
        case _:
            return False


def _was_ready(previous: ClusterStatus | None) -> bool:
    conditions = previous.conditions if previous else ()
    return any(c.type is ConditionType.READY and c.status == "True" for c in conditions)


def _stalled(facts: Facts) -> Verdict:
    observed = facts.observed
    if not observed.topology_known or (
        observed.topology is None and any(shard.has_data for shard in observed.shards.values())
    ):
        text = "topology.json is missing or unreadable while shards hold data: put it back"
        return Verdict("True", "UnsafeChange", text)
    for obstacle in facts.obstacles:
        return Verdict("True", obstacle.reason, obstacle.text)
    for _, failure in sorted(observed.failures.items()):
        if failure.needs_person:
            return Verdict("True", failure.reason, failure.text)
    if facts.is_disk_full:
        free = (observed.disk_free_bytes or 0) >> 20
        text = f"no disk space: {free} MiB free under the data folder; free some or move it"
        return Verdict("True", "StorageFull", text)
    return Verdict("False", "Reconciled")


def _reconciling(facts: Facts, ready: Verdict, stalled: Verdict) -> Verdict:
    spec = facts.cluster.spec
    if facts.is_going_down or spec.hibernated:
        return _flag(not facts.is_stopped, "Stopping", "components are being stopped")
    if spec.paused or ready.is_true or stalled.is_true or ready.status == "Unknown":
        return Verdict("False", "Reconciled")
    return Verdict("True", ready.reason, ready.message)


def _degraded(facts: Facts, is_rest: bool) -> Verdict:
    if facts.is_going_down or facts.cluster.spec.hibernated:
        return Verdict("False", "Stopped")
    failed = [
        health.note
        for name, health in facts.health.items()
        if not health.is_ready and name in facts.observed.failures
    ]
    orders = facts.observed.topology.moves if facts.observed.topology else ()
    if doubled := doubled_slots(facts.observed.shards, orders):
        told = [f"slot {slot} is active on {names}" for slot, names in doubled.items()]
        text = f"{_list(told)}: the higher epoch serves; nothing moves until a person has looked"
        return Verdict("True", "SlotsWithTwoOwners", text)
    found = [t for each in facts.observed.partitions.values() for t in each.differences]
    if found:
        text = f"{_list(found)}: the new side serves; look at what the old one kept"
        return Verdict("True", "MoveNotVerified", text)
    if facts.moves.unverified:
        told = [
            f"{m.metadata.name}: {m.status.evidence}" for m in facts.moves.unverified if m.status
        ]
        text = f"{_list(told)}: the source serves on; look at it, then delete the SymbolMove"
        return Verdict("True", "MoveNotVerified", text)
    nodes = [each.name for each in facts.wanted.components if each.role is Role.NODE]
    answering = [name for name in nodes if name in facts.observed.nodes]
    is_at_work = facts.redis.commands or facts.redis.transfers or _is_whole(facts.observed)
    if answering and not facts.redis.is_ok and not is_at_work:
        return Verdict("True", "RedisUnavailable", _list([*failed, facts.redis.note]))
    if failed:
        return Verdict("True", "ComponentFailed", _list(failed))
    if facts.spares_missing:
        return Verdict("True", "ComponentFailed", facts.spares_missing)
    return Verdict("False", "Reconciled" if not is_rest else "Paused")


def _is_whole(observed: Observed) -> bool:
    """Whether who has hash slots serves, and nobody known is missing: new ones are on their way."""
    told = observed.nodes.values()
    known = {peer.node_id for node in told for peer in node.peers}
    answered = {node.myself.node_id for node in told if node.myself}
    serve = (node.state_ok for node in told if node.myself and node.myself.hash_slots)
    return known <= answered and all(serve)


def _flag(holds: bool, reason: str, message: str) -> Verdict:
    return Verdict("True", reason, message) if holds else Verdict("False", "Reconciled")


def _list(items: list[str], between: str = "; ") -> str:
    shown = between.join(items[:TELLING_MAX])
    more = len(items) - TELLING_MAX
    return f"{shown}{between}and {more} more" if more > 0 else shown
