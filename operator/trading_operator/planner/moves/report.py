"""The status of a move, in words and numbers; rounded, so that it is not written all the time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from trading_contract.moves import MoveOrder, MoveProgress
from trading_contract.symbolmove import (
    FINISHED,
    MoveCondition,
    MoveConditionType,
    MoveReason,
    MoveState,
    SymbolMoveStatus,
)
from trading_operator.planner.moves.case import Case, symbols_text
from trading_operator.planner.moves.times import seconds_of, told

PERCENT_STEP = 5
PERCENT_TELLING_MIN = 10  # below, an estimated end would be a guess


def said(
    case: Case, state: MoveState, reason: MoveReason, message: str = "", **changes: object
) -> SymbolMoveStatus:
    """The status with these words; what is not named stays as it was told before."""
    before = case.status
    update: dict[str, object] = {
        "symbols": before.symbols if before.origins else symbols_text(case.move),
        "target": before.target if before.origins else case.move.spec.target,
        **_measured(case),
        **changes,
        "state": state,
        "reason": reason.value,
        "message": message[:2000],
        "observed_generation": case.move.metadata.generation,
    }
    status = before.model_copy(update=update)
    return status.model_copy(update={"conditions": _conditions(status, before, case.world.now)})


def reported(
    case: Case, orders: tuple[MoveOrder, ...], remaining: int, changes: Mapping[str, object]
) -> SymbolMoveStatus:
    """The status of a move that is on its way."""
    told_by = [each for order in orders for each in case.world.progress_of(order)]
    splits = all(order.kind == "split" for order in orders)
    state = MoveState.SPLITTING if splits else MoveState.MOVING
    if case.is_reversing:
        state = MoveState.REVERSING
    count = max(1, len(case.status.origins), remaining)
    targets = [case.world.told_by_target(order) for order in orders]
    percents = (max(each.percent for each in those) for those in targets if those)
    exact = (100 * (count - remaining) + sum(percents)) // count
    percent = min(99, exact) // PERCENT_STEP * PERCENT_STEP
    steps = sorted({each.state for each in told_by})
    news: dict[str, object] = {"percent": percent, "step": ",".join(steps)[:60]}
    if percent != case.status.percent or news["step"] != case.status.step:
        news |= {
            "bytes": sum(max(each.bytes for each in those) for those in targets if those),
            "lag_commands": max((each.lag_commands or 0 for each in told_by), default=0),
            "estimated_end_time": _estimate(case, percent, changes),
        }
    message = f"{count - remaining} of {count} ranges are there" if count > 1 else ""
    return said(case, state, MoveReason.IN_PROGRESS, message, **{**news, **changes})


def _estimate(case: Case, percent: int, changes: Mapping[str, object]) -> str:
    began = seconds_of(case.status.attempt_time)
    if began is None or "attempt_time" in changes or percent < PERCENT_TELLING_MIN:
        return ""
    passed = case.world.now - began
    return told(case.world.now + passed * (100 - percent) / percent)


def _measured(case: Case) -> dict[str, object]:
    """What the partitions measured, for as long as they tell it."""
    told_by = [each for order in case.orders for each in case.world.progress_of(order)]
    pauses = [each.pause_milliseconds for each in told_by if each.pause_milliseconds is not None]
    before = case.status.pause_milliseconds
    if pauses and (before is None or max(pauses) > before):
        return {"pause_milliseconds": round(max(pauses), 3), "verified": _verified(case, told_by)}
    return {"verified": _verified(case, told_by)}


def _verified(case: Case, told_by: Iterable[MoveProgress]) -> bool:
    return case.status.verified or any(each.verified for each in told_by)


def _conditions(
    status: SymbolMoveStatus, before: SymbolMoveStatus, now: float
) -> tuple[MoveCondition, ...]:
    old = {each.type: each for each in before.conditions}
    verdicts = {
        MoveConditionType.ACCEPTED: _flag(status.state is not MoveState.REFUSED, status),
        MoveConditionType.VERIFIED: _verified_verdict(status),
        MoveConditionType.COMPLETED: _completed_verdict(status),
    }
    conditions = []
    for kind, (value, reason, message) in verdicts.items():
        known = old.get(kind)
        since = known.last_transition_time if known and known.status == value else told(now)
        conditions.append(
            MoveCondition(
                type=kind, status=value, reason=reason, message=message,
                observed_generation=status.observed_generation, last_transition_time=since,
            )
        )  # fmt: skip
    return tuple(conditions)


def _flag(holds: bool, status: SymbolMoveStatus) -> tuple[str, str, str]:
    return ("True", "Accepted", "") if holds else ("False", status.reason, status.message)


def _verified_verdict(status: SymbolMoveStatus) -> tuple[str, str, str]:
    if status.evidence:
        return "False", MoveReason.NOT_VERIFIED.value, status.evidence
    if status.verified:
        return "True", "DigestsEqual", ""
    return "Unknown", "NotYet", ""


def _completed_verdict(status: SymbolMoveStatus) -> tuple[str, str, str]:
    is_done = status.state in (MoveState.DONE, MoveState.REVERSED)
    value = "True" if is_done else "False"
    if status.state in FINISHED or status.reason:
        return value, status.reason or "Unknown", status.message
    return "False", "Pending", ""
