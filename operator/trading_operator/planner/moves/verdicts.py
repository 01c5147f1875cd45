"""What a judgement says: nothing more to do, or wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from trading_contract.moves import MoveOrder
from trading_contract.symbolmove import MoveReason, MoveState, SymbolMoveStatus
from trading_operator.planner.moves.case import Case
from trading_operator.planner.moves.report import said
from trading_operator.planner.moves.times import told


@dataclass(frozen=True)
class Judgement:
    """What follows for one move."""

    status: SymbolMoveStatus
    orders: tuple[MoveOrder, ...] = ()
    places: Mapping[int, str] = field(default_factory=dict)  # slots of the dead, and who takes them


def ends(
    case: Case, state: MoveState, reason: MoveReason, message: str = "", **changes: object
) -> Judgement:
    """Nothing more is to be done."""
    finished = case.status.finished_time if case.status.state is state else ""
    changes.setdefault("finished_time", finished or told(case.world.now))
    return Judgement(said(case, state, reason, message, retry_time="", step="", **changes))


def waits(case: Case, reason: MoveReason, message: str, **changes: object) -> Judgement:
    """It goes on by itself."""
    state = MoveState.REVERSING if case.is_reversing else MoveState.WAITING
    return Judgement(said(case, state, reason, message, **changes))


def done(case: Case, state: MoveState) -> Judgement:
    """Everything is where it should be."""
    reason = MoveReason.COMPLETED if state is MoveState.DONE else MoveReason.REVERSED_BY_SPEC
    return ends(case, state, reason, percent=100, lag_commands=0, estimated_end_time="")
