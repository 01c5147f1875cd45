"""One SymbolMove and the world -> its status and the orders it needs now.

The states, and who leaves them:

    Pending, AwaitingApproval, Waiting    by themselves, or by cancel
    Splitting, Moving                     to Done when the rows say so; to Waiting, and after three
                                          attempts to Failed, when a partition tells a problem
    Cancelling                            to Cancelled once no order is left, or to Done: what the
                                          rows say wins over what was asked for too late
    Reversing                             to Reversed, like Moving with the targets turned round
    Done, Failed, Cancelled               to Reversing, on reverse
    Refused                               when the specification changes
"""

from __future__ import annotations

from trading_contract.symbolmove import (
    FINISHED,
    MoveReason,
    MoveState,
    SymbolMove,
    SymbolMoveStatus,
)
from trading_operator.planner.moves.case import Case, symbols_text, uid_of
from trading_operator.planner.moves.orders import belongs_to
from trading_operator.planner.moves.ownership import home_of, is_shard
from trading_operator.planner.moves.report import said
from trading_operator.planner.moves.reverse import reverse
from trading_operator.planner.moves.selection import Piece, SelectionError, select
from trading_operator.planner.moves.verdicts import Judgement, done, ends
from trading_operator.planner.moves.work import settling, work
from trading_operator.planner.moves.world import MovesWorld, Room


def judge(move: SymbolMove, world: MovesWorld, room: Room) -> Judgement:
    """The next bounded step of one move. Claims slots and ids of `room`."""
    status = move.status or SymbolMoveStatus()
    generation = move.metadata.generation
    if status.is_finished and status.observed_generation == generation:
        return Judgement(status)
    if status.state is MoveState.REFUSED:
        status = SymbolMoveStatus(
            origins=status.origins, attempts=status.attempts, started_time=status.started_time,
            symbols=status.symbols if status.origins else "",
            target=status.target if status.origins else "",
        )  # fmt: skip
    orders = tuple(each for each in world.orders if belongs_to(each, uid_of(move)))
    case = Case(move, status, world, room, orders)
    if move.spec.reverse:
        return reverse(case)
    if status.state in FINISHED:
        return Judgement(status.model_copy(update={"observed_generation": generation}))
    return _forward(case)


def _forward(case: Case) -> Judgement:
    move, status, world = case.move, case.status, case.world
    target = move.spec.target
    if move.spec.cancel and (not status.origins or _is_left(case)):
        return _cancelled(case)
    is_edited = (status.symbols, status.target) != (symbols_text(move), target)
    if status.origins and is_edited and not move.spec.cancel:
        text = (
            f"the move of {status.symbols} to {status.target} has begun: put that back, or cancel"
            " this one and make another"
        )
        return ends(case,
            MoveState.REFUSED, MoveReason.SPEC_EDITED, text, symbols=status.symbols,
            target=status.target,
        )  # fmt: skip
    try:
        pieces = select(move.spec.symbols, world.listed, world.slots)
    except SelectionError as problem:
        return ends(case, MoveState.REFUSED, problem.reason, str(problem))
    remaining = [piece for piece in pieces if home_of(piece.slot, target) != target]
    if refused := _refused(case, target, remaining):
        return refused
    if not remaining and not settling(case, {target}):
        return done(case, MoveState.DONE)
    if move.spec.approval == "Manual" and not move.spec.approved:
        text = "approval: Manual: set spec.approved, or spec.cancel"
        return Judgement(said(case, MoveState.AWAITING_APPROVAL, MoveReason.NOT_APPROVED, text))
    return work(case, [(piece, target) for piece in remaining], pieces)


def _refused(case: Case, target: str, remaining: list[Piece]) -> Judgement | None:
    world = case.world
    field = "toShard" if is_shard(target) else "toPartition"
    was_accepted = bool(case.status.origins) or case.status.state is MoveState.WAITING
    if not remaining and not was_accepted:
        text = f"{field}: {target} owns all of it already"
        return ends(case, MoveState.REFUSED, MoveReason.ALREADY_THERE, text)
    if not remaining:
        return None
    if target not in world.existing:
        alike = (name for name in world.existing if is_shard(name) == is_shard(target))
        text = f"{field}: {target} does not exist (there are: {', '.join(sorted(alike)) or 'none'})"
        return ends(case, MoveState.REFUSED, MoveReason.TARGET_MISSING, text)
    is_back_soon = target == world.relieved and not case.move.is_planned
    if target not in world.staying and not is_back_soon:
        text = f"{field}: {target} is being emptied; choose one that stays"
        return ends(case, MoveState.REFUSED, MoveReason.TARGET_LEAVING, text)
    if is_shard(target):
        sources = {piece.slot.partition for piece in remaining} & world.ready
        if unable := sorted(sources - world.movers):
            text = f"{field}: {', '.join(unable)} is of a version that moves nothing between shards"
            return ends(case, MoveState.REFUSED, MoveReason.SHARD_MOVES_UNSUPPORTED, text)
    return None


def _is_left(case: Case) -> bool:
    """Whether something of it is not at its target yet."""
    status = case.status
    return any(
        home_of(slot, status.target) != status.target
        for origin in status.origins for slot in case.world.slots
        if slot.first < origin.past and origin.first < slot.past
    )  # fmt: skip


def _cancelled(case: Case) -> Judgement:
    if case.orders:  # withdrawn by this pass; gone once the topology no longer has them
        return Judgement(said(case, MoveState.CANCELLING, MoveReason.CANCELLED_BY_SPEC))
    status = case.status
    moved = any(
        origin.first <= slot.first and slot.past <= origin.past
        and home_of(slot, status.target) == status.target
        for origin in status.origins for slot in case.world.slots
    )  # fmt: skip
    text = "what had moved already stays; set spec.reverse to bring it back" if moved else ""
    return ends(case, MoveState.CANCELLED, MoveReason.CANCELLED_BY_SPEC, text)
