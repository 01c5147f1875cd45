"""Facts -> conditions -> phase. Claims no more than was observed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from trading_contract.autoscaling_status import AutoscalingStatus
from trading_contract.status import (
    ClusterStatus,
    Condition,
    ConditionType,
    Endpoints,
    Phase,
    ProcessStatus,
    SlotStatus,
    TierStatus,
)
from trading_contract.tradingcluster import TradingCluster
from trading_operator.planner.actions import Action, ForgetMove, MakeMove, PublishTopology
from trading_operator.planner.assessment import (
    Health,
    is_served,
    is_specified,
    serving,
    shard_of,
    slot_row,
)
from trading_operator.planner.autoscale.limits import limit_of
from trading_operator.planner.child_actions import ApplyChild, TellPod
from trading_operator.planner.moves.ownership import doubled_slots
from trading_operator.planner.moves.plan import MovesPlan
from trading_operator.planner.observed import Observed, Reach, Role
from trading_operator.planner.redis_cluster import RedisPlan
from trading_operator.planner.topology import WantedCluster

MESSAGE_CHARACTERS_MAX = 600
TELLING_MAX = 6


@dataclass(frozen=True)
class Obstacle:
    """What only a person can clear: a reason of the closed set, and the field with the way out."""

    reason: str
    text: str


@dataclass(frozen=True)
class Facts:
    """All that the conditions follow from.

    `obstacles` are those that the substrate knows of, `durability_lifted` says on which shards an
    acknowledged order rests on one copy although more were asked for, `spares_missing` which
    standbys are away.
    """

    cluster: TradingCluster
    is_going_down: bool
    wanted: WantedCluster
    observed: Observed
    health: Mapping[str, Health]
    redis: RedisPlan
    actions: tuple[Action, ...]
    is_disk_full: bool
    endpoints: Endpoints = field(default_factory=Endpoints)
    tiers: tuple[TierStatus, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()
    durability_lifted: str = ""
    spares_missing: str = ""
    moves: MovesPlan = field(default_factory=MovesPlan)
    scaling: AutoscalingStatus | None = None

    @property
    def is_stopped(self) -> bool:
        """Whether nothing of the cluster runs any more."""
        return self.observed.processes is not None and not self.observed.processes


@dataclass(frozen=True)
class _Verdict:
    status: str
    reason: str
    message: str = ""

    @property
    def is_true(self) -> bool:
        return self.status == "True"


def status_of(facts: Facts, previous: ClusterStatus | None, now: float) -> ClusterStatus:
    """The whole status for this generation, in one value."""
    verdicts = dict(_verdicts(facts, previous))
    generation = facts.cluster.metadata.generation
    before = {each.type: each for each in previous.conditions} if previous else {}
    at = datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = []
    for kind, verdict in verdicts.items():
        old = before.get(kind)
        unchanged = old is not None and old.status == verdict.status
        conditions.append(
            Condition(
                type=kind,
                status=verdict.status,
                reason=verdict.reason,
                message=verdict.message[:MESSAGE_CHARACTERS_MAX],
                observed_generation=generation,
                last_transition_time=old.last_transition_time if old and unchanged else at,
            )
        )
    return ClusterStatus(
        phase=phase_of(facts, verdicts),
        observed_generation=generation,
        conditions=tuple(conditions),
        endpoints=facts.endpoints,
        tiers=facts.tiers,
        processes=tuple(_processes(facts)),
        slots=tuple(_slots(facts)),
        autoscaling=facts.scaling,
    )


def phase_of(facts: Facts, verdicts: Mapping[ConditionType, _Verdict]) -> Phase:
    """One word for people; the first that fits."""
    available = verdicts[ConditionType.AVAILABLE]
    order = (
        (facts.is_going_down, Phase.DELETING),
        (verdicts[ConditionType.HIBERNATED].is_true, Phase.HIBERNATED),
        (verdicts[ConditionType.PAUSED].is_true, Phase.PAUSED),
        (verdicts[ConditionType.STALLED].is_true, Phase.STALLED),
        (verdicts[ConditionType.READY].is_true, Phase.RUNNING),
        (available.reason == "Creating", Phase.CREATING),
        (available.status == "Unknown", Phase.PENDING),
        (not available.is_true, Phase.UNAVAILABLE),
        (verdicts[ConditionType.DEGRADED].is_true, Phase.DEGRADED),
    )
    return next((phase for holds, phase in order if holds), Phase.UPDATING)


def _verdicts(
    facts: Facts, previous: ClusterStatus | None
) -> Iterator[tuple[ConditionType, _Verdict]]:
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


def _limited(scaling: AutoscalingStatus) -> _Verdict:
    limit = limit_of(scaling)
    return _Verdict("False", "Reconciled") if limit is None else _Verdict("True", *limit)


def _rebalancing(facts: Facts) -> _Verdict:
    told = []
    for move in facts.moves.under_way:
        if (status := move.status) is not None:
            text = f"{move.metadata.name}: {status.symbols[:80]} to {status.target}"
            told.append(f"{text}, {status.state.value} {status.percent} %")
    return _flag(bool(told), "MovingSlots", _list(told))


def _turndown(facts: Facts) -> _Verdict:
    kept = facts.wanted.kept
    if not kept:
        return _Verdict("False", "Reconciled")
    is_emptied = any(
        move.is_planned and not (move.status and move.status.is_finished)
        for move in facts.moves.moves
    )
    moving = [] if not (is_emptied or facts.moves.makes) else [
        text for name, text in kept.items() if name.startswith((Role.PARTITION, Role.SHARD))
    ]  # fmt: skip
    staying = [text for text in kept.values() if text not in moving]
    told = [f"{_list(moving)}: they are being moved"] if moving else []
    if staying:
        told.append(f"{_list(staying)}: move them first, or put it back")
    return _Verdict("True", "SlotsNotMoved" if staying else "MovingSlots", _list(told))


def _available(facts: Facts, previous: ClusterStatus | None) -> _Verdict:
    observed = facts.observed
    if observed.processes is None or not observed.topology_known:
        return _Verdict("Unknown", "WorldUnknown", "the processes or the topology cannot be read")
    problems = []
    reason = ""
    slots = observed.topology.slots if observed.topology else ()
    unserved = [slot for slot in slots if not is_served(slot, observed)]
    if unserved or not slots:
        reason = "SlotsWithoutOwner"
        names = sorted({serving(slot, observed) for slot in unserved})
        told = _list(names, ", ")
        problems.append(f"{len(unserved)} of {len(slots)} slots are not served ({told})")
    if not any(reach >= Reach.SLOTS for reach in observed.replicas.values()):
        reason = reason or "WaitingForReplica"
        problems.append("no replica reaches the owners of all slots")
    if not observed.balancer_answers:
        reason = reason or "WaitingForLoadBalancer"
        problems.append("the load balancer does not answer")
    if not problems:
        return _Verdict("True", "Reconciled")
    if facts.is_going_down or facts.cluster.spec.hibernated:
        return _Verdict("False", "Stopped", "the cluster is stopped or stopping")
    # The first time it is being made; after it has been there, it is missing.
    old = {each.type: each for each in previous.conditions} if previous else {}
    before = old.get(ConditionType.AVAILABLE)
    is_new = before is None or before.reason in ("Creating", "Stopped", "WorldUnknown")
    return _Verdict("False", "Creating" if is_new else reason, "; ".join(problems))


def _ready(
    facts: Facts, available: _Verdict, stalled: _Verdict, previous: ClusterStatus | None
) -> _Verdict:
    if available.status == "Unknown":
        return available
    if facts.is_going_down or facts.cluster.spec.hibernated:
        return _Verdict("False", "Stopped", "the cluster is stopped or stopping")
    if stalled.is_true:
        return _Verdict("False", stalled.reason, stalled.message)
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
        return _Verdict("True", "Reconciled")
    return _Verdict("False", "RollingOut", _list(problems))


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


def _stalled(facts: Facts) -> _Verdict:
    observed = facts.observed
    if not observed.topology_known or (
        observed.topology is None and any(shard.has_data for shard in observed.shards.values())
    ):
        text = "topology.json is missing or unreadable while shards hold data: put it back"
        return _Verdict("True", "UnsafeChange", text)
    for obstacle in facts.obstacles:
        return _Verdict("True", obstacle.reason, obstacle.text)
    for _, failure in sorted(observed.failures.items()):
        if failure.needs_person:
            return _Verdict("True", failure.reason, failure.text)
    if facts.is_disk_full:
        free = (observed.disk_free_bytes or 0) >> 20
        text = f"no disk space: {free} MiB free under the data folder; free some or move it"
        return _Verdict("True", "StorageFull", text)
    return _Verdict("False", "Reconciled")


def _reconciling(facts: Facts, ready: _Verdict, stalled: _Verdict) -> _Verdict:
    spec = facts.cluster.spec
    if facts.is_going_down or spec.hibernated:
        return _flag(not facts.is_stopped, "Stopping", "components are being stopped")
    if spec.paused or ready.is_true or stalled.is_true or ready.status == "Unknown":
        return _Verdict("False", "Reconciled")
    return _Verdict("True", ready.reason, ready.message)


def _degraded(facts: Facts, is_rest: bool) -> _Verdict:
    if facts.is_going_down or facts.cluster.spec.hibernated:
        return _Verdict("False", "Stopped")
    failed = [
        health.note
        for name, health in facts.health.items()
        if not health.is_ready and name in facts.observed.failures
    ]
    orders = facts.observed.topology.moves if facts.observed.topology else ()
    if doubled := doubled_slots(facts.observed.shards, orders):
        told = [f"slot {slot} is active on {names}" for slot, names in doubled.items()]
        text = f"{_list(told)}: the higher epoch serves; nothing moves until a person has looked"
        return _Verdict("True", "SlotsWithTwoOwners", text)
    found = [t for each in facts.observed.partitions.values() for t in each.differences]
    if found:
        text = f"{_list(found)}: the new side serves; look at what the old one kept"
        return _Verdict("True", "MoveNotVerified", text)
    if facts.moves.unverified:
        told = [
            f"{m.metadata.name}: {m.status.evidence}" for m in facts.moves.unverified if m.status
        ]
        text = f"{_list(told)}: the source serves on; look at it, then delete the SymbolMove"
        return _Verdict("True", "MoveNotVerified", text)
    nodes = [each.name for each in facts.wanted.components if each.role is Role.NODE]
    answering = [name for name in nodes if name in facts.observed.nodes]
    if answering and not facts.redis.is_ok and not facts.redis.commands:
        return _Verdict("True", "RedisUnavailable", _list([*failed, facts.redis.note]))
    if failed:
        return _Verdict("True", "ComponentFailed", _list(failed))
    if facts.spares_missing:
        return _Verdict("True", "ComponentFailed", facts.spares_missing)
    return _Verdict("False", "Reconciled" if not is_rest else "Paused")


def _processes(facts: Facts) -> Iterator[ProcessStatus]:
    observed = facts.observed
    running = dict(observed.processes or {})
    for component in facts.wanted.components:
        process = running.pop(component.name, None)
        yield ProcessStatus(
            name=component.name,
            role=component.role.value,
            pid=process.pid if process else 0,
            port=component.port,
            state=facts.health[component.name].state,
        )
    for name, process in sorted(running.items()):
        port = observed.ports.get(name, 0)
        state = "stopping" if process.stopping_since is not None else "removing"
        yield ProcessStatus(name=name, role=process.role, pid=process.pid, port=port, state=state)
    for keeper in observed.keepers:
        yield ProcessStatus(
            name=keeper.name, role=keeper.role, pid=keeper.pid, port=0, state="ready"
        )


def _slots(facts: Facts) -> Iterator[SlotStatus]:
    for slot in facts.observed.topology.slots if facts.observed.topology else ():
        row = slot_row(slot, facts.observed)
        yield SlotStatus(
            first=slot.first,
            past=slot.past,
            partition=serving(slot, facts.observed),
            shard=shard_of(slot, facts.observed),
            epoch=row.epoch if row else 0,
        )


def _flag(holds: bool, reason: str, message: str) -> _Verdict:
    return _Verdict("True", reason, message) if holds else _Verdict("False", "Reconciled")


def _list(items: list[str], between: str = "; ") -> str:
    shown = between.join(items[:TELLING_MAX])
    more = len(items) - TELLING_MAX
    return f"{shown}{between}and {more} more" if more > 0 else shown
