"""What the SQL functions of a shard do to one slot, as pure functions.

The conformance suite runs these and the real ones side by side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple
from uuid import UUID

from trading_contract.move_protocol.rows import COPY_INCOMPLETE, SlotRow, SlotState
from trading_contract.move_protocol.steps import RowStep, is_legal

FENCED, LOST_RACE, NO_SUCH_STEP, GAP, LEFT_OVER = "TC001", "TC002", "TC004", "TC005", "TC006"

# A command is a byte, and a chain all commands so far: equal exactly when the histories are.
PARTS = 2


class Data(NamedTuple):
    """A slot's rows on a shard: two parts that are copied apart, and the client ids seen."""

    parts: tuple[bytes, ...] = (b"",) * PARTS
    seen: bytes = b""


EMPTY = Data()


def rows_of(chain: bytes) -> Data:
    """The rows after these commands."""
    parts = tuple(bytes(c for c in chain if (c - 1) % PARTS == n) for n in range(PARTS))
    return Data(parts, bytes(sorted(set(chain))))


def added(data: Data, commands: bytes) -> Data:
    """The rows after some more commands."""
    more = rows_of(commands)
    parts = tuple(a + b for a, b in zip(data.parts, more.parts, strict=True))
    return Data(parts, bytes(sorted({*data.seen, *commands})))


class Refused(Exception):
    """The statement raised this SQLSTATE; its transaction is rolled back."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Commit:
    """`commit_batch` of one slot: the fence, then the rows."""

    me: UUID
    epoch: int
    previous: int
    commands: bytes
    chain: bytes  # after it


@dataclass(frozen=True, slots=True)
class Take:
    """`take_slot`."""

    epoch: int
    me: UUID


@dataclass(frozen=True, slots=True)
class Prepare:
    """`prepare_target`; `found` as it was read: state, epoch, move. None: there was no row."""

    move: UUID
    owner: UUID
    found: tuple[SlotState, int, UUID | None] | None


@dataclass(frozen=True, slots=True)
class CopyPart:
    """Rows of the hot copy, behind `copy_fence`."""

    move: UUID
    part: int
    content: bytes
    seen: bytes = b""


@dataclass(frozen=True, slots=True)
class FinishCopy:
    """`finish_copy`: the hot state is whole up to here."""

    move: UUID
    sequence: int
    chain: bytes


@dataclass(frozen=True, slots=True)
class Append:
    """`shadow_fence` and its rows: committed records, in order, each once."""

    move: UUID
    previous: int
    commands: bytes
    chain: bytes  # after it


@dataclass(frozen=True, slots=True)
class Verified:
    """`store_verification`."""

    move: UUID


@dataclass(frozen=True, slots=True)
class Collect:
    """`collect_rows`, until nothing is left."""

    move: UUID


Statement = Commit | RowStep | Take | Prepare | CopyPart | FinishCopy | Append | Verified | Collect
Slot = tuple[SlotRow | None, Data]

_PREPARABLE = {SlotState.ABORTED, SlotState.MOVED, SlotState.FOLLOWER}
_SHADOWED = {SlotState.PREPARED, SlotState.FOLLOWER}


def apply(statement: Statement, row: SlotRow | None, data: Data) -> Slot:
    """What the statement makes of a slot. Raises `Refused`."""
    match statement:
        case Prepare():
            return _prepare(statement, row, data)
        case Commit():
            return _commit(statement, row, data)
        case _ if row is None:
            raise Refused(LOST_RACE)
        case RowStep():
            return row_step(statement, row), data
        case Take(epoch, me):
            if (row.epoch, row.state) != (epoch, SlotState.ACTIVE):
                raise Refused(LOST_RACE)
            return replace(row, epoch=epoch + 1, owner=me), data
        case CopyPart(move, part, content, seen):
            _check_copying(row, move)
            parts = tuple(content if n == part else p for n, p in enumerate(data.parts))
            return row, Data(parts, seen or data.seen)
        case FinishCopy(move, sequence, chain):
            _check_copying(row, move)
            return replace(row, last_seq=sequence, chain=chain), data
        case Append():
            return _append(statement, row, data)
        case Verified(move):
            if row.state is not SlotState.FOLLOWER or row.move_id != move:
                raise Refused(LOST_RACE)
            return replace(row, verified=True), data
        case Collect(move):
            ended = row.state is SlotState.ABORTED or (
                row.state is SlotState.MOVED and row.verified
            )
            if not ended or row.move_id != move:
                raise Refused(LOST_RACE)
            return row, EMPTY


def row_step(step: RowStep, row: SlotRow) -> SlotRow:
    """`slot_step`: one compare-and-set. Raises `Refused`."""
    if not is_legal(step) and step.name != "hand_over":
        raise Refused(NO_SUCH_STEP)
    expected = (step.from_state, step.from_epoch, step.from_move)
    if (row.state, row.epoch, row.move_id) != expected:
        raise Refused(LOST_RACE)
    if step.at is not None and (row.last_seq, row.chain) != step.at:
        raise Refused(LOST_RACE)
    if step.from_owner not in {None, row.owner}:
        raise Refused(LOST_RACE)
    if step.to_state is SlotState.MOVED and not row.verified:
        raise Refused(LOST_RACE)
    return replace(
        row, state=step.to_state, epoch=step.to_epoch, move_id=step.to_move,
        owner=step.to_owner or row.owner,
        verified=row.verified and step.to_state is SlotState.MOVED,
    )  # fmt: skip


def _commit(statement: Commit, row: SlotRow | None, data: Data) -> Slot:
    mine = row is not None and (row.epoch, row.owner, row.state, row.last_seq) == (
        statement.epoch, statement.me, SlotState.ACTIVE, statement.previous,
    )  # fmt: skip
    if row is None or not mine:
        raise Refused(FENCED)
    after = replace(row, last_seq=row.last_seq + len(statement.commands), chain=statement.chain)
    return after, added(data, statement.commands)


def _prepare(statement: Prepare, row: SlotRow | None, data: Data) -> Slot:
    found = None if row is None else (row.state, row.epoch, row.move_id)
    if found != statement.found:
        raise Refused(LOST_RACE)
    if row is not None and row.state is SlotState.FOLLOWER:
        return replace(row, state=SlotState.PREPARED, move_id=statement.move, verified=False), data
    if row is not None and row.state not in _PREPARABLE:
        raise Refused(LOST_RACE)
    if data != EMPTY:
        raise Refused(LEFT_OVER)
    epoch = 0 if row is None else row.epoch
    made = SlotRow(epoch, statement.owner, SlotState.PREPARED, COPY_INCOMPLETE, b"", statement.move)
    return made, EMPTY


def _check_copying(row: SlotRow, move: UUID) -> None:
    if row.state is not SlotState.PREPARED or row.move_id != move or row.is_copied:
        raise Refused(LOST_RACE)


def _append(statement: Append, row: SlotRow, data: Data) -> Slot:
    if row.state not in _SHADOWED or row.move_id != statement.move or not row.is_copied:
        raise Refused(LOST_RACE)
    sequence = statement.previous + len(statement.commands)
    if row.last_seq >= sequence:
        return row, data  # it was there before
    before = statement.chain[: len(statement.chain) - len(statement.commands)]
    if (row.last_seq, row.chain) != (statement.previous, before):
        raise Refused(GAP)
    return replace(row, last_seq=sequence, chain=statement.chain), added(data, statement.commands)
