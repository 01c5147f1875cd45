"""The owner's side of a slot: one transaction at a time, and never a guess about its outcome.

`tell` takes one event and gives the new memory and what to do. The owner may hold a slot only
after it has read itself in an ACTIVE row, and goes on only while it knows how its last commit
ended. It learns of a move's decision from the rows, never from a clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from trading_contract.move_protocol.rows import SlotRow, SlotState
from trading_contract.move_protocol.steps import RowStep


class Phase(StrEnum):
    """What an owner may do."""

    LOOKING = "looking"  # reads the rows: is the slot its own, and where?
    SERVING = "serving"  # sequences commands, commits them
    WAITING = "waiting"  # a transaction is under way; commands are set aside
    DOUBT = "doubt"  # the outcome of the last transaction is not known
    GONE = "gone"  # somebody else's


@dataclass(frozen=True, slots=True)
class Transaction:
    """One commit: a batch of commands, or none, and at most one step."""

    shard: str
    epoch: int
    previous: int
    sequence: int
    chain: bytes  # after it
    commands: tuple[int, ...] = ()
    step: RowStep | None = None


@dataclass(frozen=True, slots=True)
class Owner:
    """What one incarnation remembers of one slot."""

    me: UUID
    phase: Phase = Phase.LOOKING
    shard: str = ""
    epoch: int = 0
    sequence: int = 0
    chain: bytes | None = None  # None: nothing loaded
    sent: Transaction | None = None


class Answer(StrEnum):
    """How the shard answered a transaction."""

    DONE = "done"
    WARNING = "warning"  # committed on one disk perhaps: no promise
    FENCED = "fenced"  # not the owner any more, or a copy of this was first
    STEP_REFUSED = "step refused"  # all rolled back; without the step it may pass
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Told:
    """What clients hear of commands."""

    acknowledged: tuple[int, ...] = ()
    rejected: tuple[int, ...] = ()  # surely not applied, now and for ever
    unknown: tuple[int, ...] = ()


NOTHING = Told()


def send(owner: Owner, transaction: Transaction) -> Owner:
    """The transaction is on its way."""
    if owner.phase is not Phase.SERVING:
        raise ValueError(f"an owner that is {owner.phase} commits nothing")
    return replace(owner, phase=Phase.WAITING, sent=transaction)


def answered(owner: Owner, answer: Answer) -> tuple[Owner, Told, Transaction | None]:
    """What the answer means; the third is to be sent at once."""
    sent = owner.sent
    assert sent is not None
    if answer is Answer.DONE:
        return *_committed(owner, sent), None
    if answer is Answer.STEP_REFUSED:
        again = replace(sent, step=None)
        if not again.commands:
            return replace(owner, phase=Phase.SERVING, sent=None), NOTHING, None
        return replace(owner, sent=again), NOTHING, again
    return replace(owner, phase=Phase.DOUBT), NOTHING, None


def resolved(
    owner: Owner, row: SlotRow | None, chain_there: bytes | None
) -> tuple[Owner, Told, Transaction | None]:
    """The row of the transaction's shard, locked and committed: it waited for what was in flight.

    `chain_there` is the chain of the log at the transaction's sequence, None where there is none.
    """
    sent = owner.sent
    assert sent is not None
    if row is not None and row.last_seq >= sent.sequence and chain_there == sent.chain:
        unstepped = row.state is SlotState.ACTIVE and row.epoch == sent.epoch
        if sent.commands or sent.step is None or not unstepped:
            return *_committed(owner, replace(sent, step=None if unstepped else sent.step)), None
    mine = (
        row is not None
        and row.state is SlotState.ACTIVE
        and (row.epoch, row.owner) == (sent.epoch, owner.me)
    )
    if mine and row is not None and row.last_seq == sent.previous:
        # Absent is not yet never: an old copy may still come. Of equal ones one can pass.
        return replace(owner, phase=Phase.WAITING), NOTHING, sent
    lost = replace(owner, phase=Phase.LOOKING, sent=None)
    if row is not None and row.epoch > sent.epoch and chain_there is not None:
        return lost, Told(rejected=sent.commands), None  # another history passed that sequence
    return lost, Told(unknown=sent.commands), None


def _committed(owner: Owner, sent: Transaction) -> tuple[Owner, Told]:
    # After a step that may have ended our hold on this shard, the rows tell what we own.
    keeps = sent.step is None or sent.step.to_state is SlotState.ACTIVE
    keeps = keeps and (sent.step is None or sent.step.to_owner in {None, owner.me})
    after = replace(
        owner,
        phase=Phase.SERVING if keeps else Phase.LOOKING,
        sequence=sent.sequence,
        chain=sent.chain,
        sent=None,
    )
    return after, Told(acknowledged=sent.commands)


def looked(owner: Owner, shard: str, row: SlotRow | None) -> Owner:
    """The rows as they stand at one moment: `row` is the slot's ACTIVE one, on `shard`.

    None: undecided, look again. An owner without memory loads what it took; one with memory goes on
    only where its own history ended.
    """
    if owner.phase is not Phase.LOOKING or row is None:
        return owner
    if row.state is not SlotState.ACTIVE or row.owner != owner.me:
        return replace(owner, phase=Phase.GONE) if owner.chain is not None else owner
    if owner.chain is not None and (owner.sequence, owner.chain) != (row.last_seq, row.chain):
        return replace(owner, phase=Phase.GONE)
    return replace(
        owner, phase=Phase.SERVING, shard=shard, epoch=row.epoch, sequence=row.last_seq,
        chain=row.chain,
    )  # fmt: skip
