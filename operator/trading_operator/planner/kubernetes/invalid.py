"""The status of a specification that admission let through and that makes no cluster."""

from __future__ import annotations

from datetime import UTC, datetime

from trading_contract.status import ClusterStatus, Condition, ConditionType, Phase


def status_of_invalid(
    problem: str, generation: int, previous: ClusterStatus | None, now: float
) -> ClusterStatus:
    """Stalled for this generation; what runs goes on, so what was said of it stays."""
    at = datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    before = {each.type: each for each in previous.conditions} if previous else {}
    verdicts = {
        ConditionType.READY: ("False", "InvalidSpec", problem),
        ConditionType.STALLED: ("True", "InvalidSpec", problem),
        ConditionType.RECONCILING: ("False", "InvalidSpec", ""),
    }
    conditions = []
    for kind, (status, reason, message) in verdicts.items():
        old = before.pop(kind, None)
        since = old.last_transition_time if old is not None and old.status == status else at
        conditions.append(
            Condition(
                type=kind, status=status, reason=reason, message=message[:2000],
                observed_generation=generation, last_transition_time=since,
            )
        )  # fmt: skip
    kept = tuple(each.model_copy(update={"observed_generation": generation})
                 for each in before.values())  # fmt: skip
    base = previous or ClusterStatus()
    return base.model_copy(
        update={
            "phase": Phase.STALLED,
            "observed_generation": generation,
            "conditions": (*conditions, *kept),
        }
    )
