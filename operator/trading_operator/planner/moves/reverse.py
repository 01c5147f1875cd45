"""The way back: what a move brought to its target goes where it came from."""

from __future__ import annotations

from dataclasses import replace

from trading_contract.symbolmove import FINISHED, MoveReason, MoveState
from trading_operator.planner.moves.case import Case
from trading_operator.planner.moves.ownership import home_of
from trading_operator.planner.moves.report import said
from trading_operator.planner.moves.selection import Piece
from trading_operator.planner.moves.soak import SOAK_SECONDS
from trading_operator.planner.moves.times import seconds_of
from trading_operator.planner.moves.verdicts import Judgement, done, ends
from trading_operator.planner.moves.work import settling, work


def reverse(case: Case) -> Judgement:
    """The next step of a move whose specification says reverse."""
    status, world = case.status, case.world
    if not status.origins:
        if case.orders:
            return Judgement(said(case, MoveState.CANCELLING, MoveReason.REVERSED_BY_SPEC))
        text = "reverse: nothing had moved yet"
        return ends(case, MoveState.CANCELLED, MoveReason.REVERSED_BY_SPEC, text)
    if status.state is MoveState.REVERSED:
        return ends(case, MoveState.REVERSED, MoveReason.REVERSED_BY_SPEC)
    ended = seconds_of(status.finished_time)
    is_fresh = status.state in FINISHED
    if is_fresh and ended is not None and world.now - ended > SOAK_SECONDS:
        text = (
            f"reverse: it ended {(world.now - ended) / 60:.0f} minutes ago, and only"
            f" {SOAK_SECONDS / 60:.0f} are given; make a move the other way instead"
        )
        return ends(case, status.state, MoveReason.REVERSE_TOO_LATE, text)
    back = [
        (Piece(slot, slot.first, slot.past), origin.owner)
        for origin in status.origins for slot in world.slots
        if origin.first <= slot.first and slot.past <= origin.past
        and home_of(slot, status.target) == status.target
    ]  # fmt: skip
    owners = {origin.owner for origin in status.origins}
    forward = [each for each in case.orders if each.target == status.target]
    if not back and not forward and not settling(case, owners):
        if is_fresh:
            text = f"reverse: {status.target} owns nothing of it any more"
            return ends(case, status.state, MoveReason.NOTHING_TO_REVERSE, text)
        return done(case, MoveState.REVERSED)
    missing = sorted({owner for _, owner in back if owner not in (*world.staying, world.relieved)})
    if missing:
        reason = MoveReason.TARGET_MISSING
        if world.existing.intersection(missing):
            reason = MoveReason.TARGET_LEAVING
        text = f"reverse: {', '.join(missing)} takes no symbols; make a move to another partition"
        state = status.state if is_fresh else MoveState.FAILED
        return ends(case, state, reason, text)
    if not back and forward:  # orders that are on their way are withdrawn first
        return Judgement(said(case, MoveState.REVERSING, MoveReason.REVERSED_BY_SPEC))
    if status.state is not MoveState.REVERSING:  # its attempts are counted anew
        status = status.model_copy(
            update={"finished_time": "", "retry_time": "", "attempts": 0, "percent": 0}
        )
        case = replace(case, status=status)
    return work(case, back, [piece for piece, _ in back])
