"""Wrong protocols: each one drops a guard, and the search must find what breaks.

Guards that cover for each other are dropped together, or the mutant is none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from trading_contract.move_protocol import engine_move, owner, recovery, steps
from trading_contract.move_protocol.owner import Answer, Owner, Phase, Told, Transaction
from trading_contract.move_protocol.recovery import Action, Recovery
from trading_contract.move_protocol.rows import RowPair, SlotRow, SlotState
from trading_contract.tests.move_world import statements
from trading_contract.tests.move_world.server import Rules
from trading_contract.tests.move_world.statements import (
    Commit,
    CopyPart,
    Data,
    FinishCopy,
    Refused,
    Slot,
    Statement,
    Take,
)
from trading_contract.tests.move_world.world import Core, Limits

SHARD_MOVE = Limits(commands=1, incarnations=0)
TWO_MOVES = Limits(commands=0, incarnations=0, moves=2, strangers=2)
TAKEOVER = Limits(commands=2, shard_moves=False)
ENGINE_MOVE = Limits(commands=1, shard_moves=False, engine_moves=True)


@dataclass(frozen=True)
class Mutant:
    """`laws`: which must break, one of them."""

    name: str
    laws: tuple[str, ...]
    core: Core
    limits: Limits = SHARD_MOVE


def _no_epoch_no_owner(statement: Statement, row: SlotRow | None, data: Data) -> Slot:
    if isinstance(statement, Commit) and row is not None and row.state is SlotState.ACTIVE:
        statement = replace(statement, me=row.owner, epoch=row.epoch)
    return statements.apply(statement, row, data)


def _nothing_but_sequence(statement: Statement, row: SlotRow | None, data: Data) -> Slot:
    if isinstance(statement, Commit) and row is not None and row.last_seq == statement.previous:
        chain = row.chain + statement.commands
        after = replace(row, last_seq=len(chain), chain=chain)
        return after, statements.added(data, statement.commands)
    return statements.apply(statement, row, data)


def _no_sequence(statement: Statement, row: SlotRow | None, data: Data) -> Slot:
    if isinstance(statement, Commit) and row is not None:
        chain = row.chain + statement.commands
        statement = replace(statement, previous=row.last_seq, chain=chain)
    return statements.apply(statement, row, data)


def _takes_sealed(statement: Statement, row: SlotRow | None, data: Data) -> Slot:
    if isinstance(statement, Take) and row is not None and row.state is SlotState.SEALED:
        taken = replace(row, state=SlotState.ACTIVE, epoch=row.epoch + 1, owner=statement.me)
        return taken, data
    return statements.apply(statement, row, data)


def _step_with(statement: Statement, row: SlotRow | None, data: Data, change: str) -> Slot:
    """A step whose guards are taken off: the row is made to be what the step expects."""
    if isinstance(statement, steps.RowStep) and row is not None and statement.name == "activate":
        if change == "at" and row.move_id == statement.from_move:
            statement = replace(statement, at=(row.last_seq, row.chain))
        if change == "move":
            statement = replace(statement, from_move=row.move_id, to_move=row.move_id)
    return statements.apply(statement, row, data)


def _activates_anywhere(statement: Statement, row: SlotRow | None, data: Data) -> Slot:
    return _step_with(statement, row, data, "at")


def _activates_any_move(statement: Statement, row: SlotRow | None, data: Data) -> Slot:
    return _step_with(statement, row, data, "move")


def _seals_any_move(statement: Statement, row: SlotRow | None, data: Data) -> Slot:
    seals = isinstance(statement, steps.RowStep) and statement.name == "seal"
    if isinstance(statement, steps.RowStep) and seals and row is not None:
        if (row.state, row.epoch) != (SlotState.ACTIVE, statement.from_epoch):
            raise Refused(statements.LOST_RACE)
        return replace(row, state=SlotState.SEALED, move_id=statement.to_move), data
    return statements.apply(statement, row, data)


def _collects_unverified(statement: Statement, row: SlotRow | None, data: Data) -> Slot:
    if isinstance(statement, steps.RowStep) and row is not None and statement.name == "tomb":
        return statements.row_step(statement, replace(row, verified=True)), data
    return statements.apply(statement, row, data)


def _tombs_unverified(statement: Statement, row: SlotRow | None, data: Data) -> Slot:
    after, rows = _collects_unverified(statement, row, data)
    if isinstance(statement, steps.RowStep) and statement.name == "tomb" and after is not None:
        after = replace(after, verified=False)
    return after, rows


def _finishes_any_copy(statement: Statement, row: SlotRow | None, data: Data) -> Slot:
    if isinstance(statement, FinishCopy | CopyPart) and row is not None and row.move_id is not None:
        statement = replace(statement, move=row.move_id)
    return statements.apply(statement, row, data)


def _unseals_first(pair: RowPair) -> Recovery:
    plan = recovery.recover(pair)
    sealed = pair.source is not None and pair.source.state is SlotState.SEALED
    return Recovery(plan.forward, Action.UNSEAL) if sealed else plan


def _activates_behind(pair: RowPair) -> Recovery:
    plan = recovery.recover(pair)
    sealed = pair.source is not None and pair.source.state is SlotState.SEALED
    return (
        Recovery(Action.ACTIVATE, plan.back) if sealed and plan.forward is Action.SHADOW else plan
    )


def _without_verification(pair: RowPair) -> Recovery:
    plan = recovery.recover(pair)
    return Recovery(Action.TOMB, Action.TOMB) if plan.forward is Action.VERIFY else plan


def _activates_at_old_end(source: SlotRow, target: SlotRow) -> steps.RowStep:
    return replace(steps.activate(source, target), at=(target.last_seq, target.chain))


Result = tuple[Owner, Told, Transaction | None]


def _trusts_warnings(mine: Owner, answer: Answer) -> Result:
    return owner.answered(mine, Answer.DONE if answer is Answer.WARNING else answer)


def _rejects_after_one_read(mine: Owner, row: SlotRow | None, there: bytes | None) -> Result:
    after, told, again = owner.resolved(mine, row, there)
    if again is None:
        return after, told, again
    return replace(mine, phase=Phase.SERVING, sent=None), Told(rejected=again.commands), None


def _forgets_steps(mine: Owner, row: SlotRow | None, there: bytes | None) -> Result:
    """Goes on after a step in doubt: then only the move in the step fends off a late copy."""
    after, told, again = owner.resolved(mine, row, there)
    if again is None or again.commands:
        return after, told, again
    return replace(mine, phase=Phase.SERVING, sent=None), Told(), None


def _opens_by_hearsay(row: SlotRow | None, me: UUID, replayed: tuple[int, bytes]) -> bool:
    return True


def _looks_away(mine: Owner, shard: str, row: SlotRow | None) -> Owner:
    """Serves the next epoch before it has read that it is its own."""
    if row is None or mine.chain is not None or row.owner == mine.me:
        return owner.looked(mine, shard, row)
    return owner.looked(mine, shard, replace(row, owner=mine.me, epoch=row.epoch + 1))


def _hands_over_anywhere(
    source: SlotRow, me: UUID, to: UUID, at: tuple[int, bytes]
) -> steps.RowStep:
    """Both would be the owner at one epoch."""
    return replace(engine_move.hand_over(source, me, to, at), to_epoch=source.epoch)


MUTANTS = (
    Mutant(
        "no epoch and no owner in the fence", ("S3",), Core(sql=Rules(_no_epoch_no_owner)),
        replace(TAKEOVER, commands=1),
    ),
    Mutant(
        "no sequence in the fence", ("S4", "S5", "S6", "S11"), Core(sql=Rules(_no_sequence)),
        TAKEOVER,
    ),
    Mutant(
        "the fence returns 0 rows instead of raising", ("S3", "S4", "S10"),
        Core(sql=Rules(raises=False)), TAKEOVER,
    ),
    Mutant(
        "the fence reads the epoch without locking the row", ("S2", "S3", "S4"),
        Core(sql=Rules(locks=False)), replace(TAKEOVER, locks_apart=True),
    ),
    Mutant("X is unsealed before Y is poisoned", ("S1",), Core(recover=_unseals_first)),
    Mutant(
        "the source resumes by a clock", ("S1", "S3"),
        Core(resumes_by_clock=True, sql=Rules(_nothing_but_sequence)),
    ),
    Mutant(
        "takeover of a SEALED row", ("S1", "S2"),
        Core(takes_sealed=True, sql=Rules(_takes_sealed)),
        replace(SHARD_MOVE, commands=0, incarnations=1, strangers=2),
    ),
    Mutant(
        "activation at any sequence", ("S4", "S5", "S11"),
        Core(recover=_activates_behind, sql=Rules(_activates_anywhere)),
    ),
    Mutant(
        "activation of any move", ("S1", "S18"), Core(sql=Rules(_activates_any_move)),
        TWO_MOVES,
    ),
    Mutant(
        "seal of any move", ("L1", "S18"),
        Core(resolved=_forgets_steps, sql=Rules(_seals_any_move)),
        TWO_MOVES,
    ),
    Mutant(
        "a lag from before the stop decides", ("S4", "S5", "S11"),
        Core(recover=_activates_behind, activate=_activates_at_old_end),
    ),
    Mutant(
        "acknowledged although COMMIT warned", ("S5", "S11"), Core(answered=_trusts_warnings),
        replace(TAKEOVER, commands=1, incarnations=0, failovers=1),
    ),
    Mutant(
        "doubt resolved by a plain SELECT", ("S5", "S11"), Core(barrier=False),
        replace(TAKEOVER, commands=1, incarnations=0, failovers=1),
    ),
    Mutant(
        "called rejected after one read", ("S6", "S11"), Core(resolved=_rejects_after_one_read),
        replace(TAKEOVER, incarnations=0),
    ),
    Mutant(
        "told before the commit", ("S5", "S14"), Core(told_at_send=True),
        replace(TAKEOVER, incarnations=0),
    ),
    Mutant("client ids are not copied", ("S10", "S8"), Core(copies_seen=False)),
    Mutant("a broken hot copy is resumed", ("S10", "S11"), Core(resumes_copies=True)),
    Mutant(
        "a copy of another move is finished", ("S10", "S18"), Core(sql=Rules(_finishes_any_copy)),
        replace(TWO_MOVES, commands=1),
    ),
    Mutant(
        "cleaned up without a verification", ("S19",),
        Core(recover=_without_verification, sql=Rules(_tombs_unverified)),
    ),
    Mutant(
        "B opens before it has read its row", ("S1",), Core(looked=_looks_away), ENGINE_MOVE
    ),
    Mutant(
        "B opens before it has replayed all", ("S11",), Core(may_open=_opens_by_hearsay),
        ENGINE_MOVE,
    ),
    Mutant(
        "a hand-over that keeps the epoch", ("S2",), Core(hand_over=_hands_over_anywhere),
        ENGINE_MOVE,
    ),
)  # fmt: skip
