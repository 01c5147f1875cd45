"""Facts -> the whole status: conditions, phase, processes, slots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from trading_contract.status import (
    ClusterStatus,
    Condition,
    ConditionType,
    Phase,
    ProcessStatus,
    SlotStatus,
)
from trading_operator.planner.assessment import serving, shard_of, slot_row
from trading_operator.planner.facts import Facts
from trading_operator.planner.verdicts import Verdict, verdicts_of

MESSAGE_CHARACTERS_MAX = 600


def status_of(facts: Facts, previous: ClusterStatus | None, now: float) -> ClusterStatus:
    """The whole status for this generation, in one value."""
    verdicts = dict(verdicts_of(facts, previous))
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


def phase_of(facts: Facts, verdicts: Mapping[ConditionType, Verdict]) -> Phase:
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
