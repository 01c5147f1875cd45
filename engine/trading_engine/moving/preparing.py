"""The first steps of a move to another shard: a row on the target, and its name on the source."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from trading_contract.errors import WorldError
from trading_contract.move_protocol.recovery import Action, recover
from trading_contract.move_protocol.rows import SlotState
from trading_contract.move_protocol.steps import set_move
from trading_engine.moving.rows import Found, ShardRows, SlotView, read_pair
from trading_engine.moving.settle import act
from trading_engine.shard_writer import FencedError

TURNS_MAX = 20


@dataclass(frozen=True)
class Prepared:
    """A target that takes a move. `kept`: it has all of the slot already, from the soak."""

    target_epoch: int
    kept: bool


@dataclass(frozen=True)
class Try:
    """One try of a move: its id, and the incarnation and partition that make it."""

    move: UUID
    incarnation: UUID
    partition: str


def prepare(
    source: ShardRows, target: ShardRows, id_: int, attempt: Try, *, warm: bool
) -> Prepared:  # fmt: skip
    """Tidy what an earlier try left, then make or take the target's row.

    `warm`: a follower there is kept equal. Raises `WorldError`, and `FencedError`.
    """
    move = attempt.move
    who = (attempt.incarnation, attempt.partition)
    found = _tidied(source, target, id_, attempt.incarnation)
    was = found.target
    kept = was is not None and was.row.state is SlotState.FOLLOWER
    if kept and not warm:
        raise WorldError(f"slot {id_}: the follower on {target.name} is cold")
    view = found.source
    assert view is not None
    row = None if was is None else was.row
    state = (None, None, None) if row is None else (row.state.value, row.epoch, row.move_id)
    target.execute(
        f"SELECT prepare_target({', '.join(['%s'] * 11)})",
        (id_, move, view.first, view.past, *who, source.name, view.born, *state),
    )
    if not source.take(id_, set_move(view.row, move)):
        raise WorldError(f"slot {id_} on {source.name} is not as expected")
    return Prepared(0 if row is None else row.epoch, kept)


def check_ours(view: SlotView | None, id_: int, incarnation: UUID) -> None:
    """Raise `FencedError` when somebody else serves by this row: their move is not ours to touch.

    One that was frozen and replaced hears of it by its next commit, and without clients has none.
    """
    if view is not None and view.row.state is SlotState.ACTIVE and view.row.owner != incarnation:
        raise FencedError(f"slot {id_} has another owner: {view.row.owner}")


def _tidied(source: ShardRows, target: ShardRows, id_: int, incarnation: UUID) -> Found:
    for _ in range(TURNS_MAX):
        found = read_pair(source, target, id_)
        check_ours(found.source, id_, incarnation)
        both = recover(found.pair)
        if both.forward is not Action.PREPARE:
            if both.back in {Action.CALL_PERSON, Action.VERIFY, Action.TOMB}:
                raise WorldError(f"slot {id_}: {both.back} comes first")
            act(both.back, id_, found, source, target)
            continue
        row = found.pair.target
        left = row is not None and row.state in {SlotState.ABORTED, SlotState.MOVED}
        if left and row is not None and row.move_id is not None:
            target.collect(id_, row.move_id)
        return found
    raise WorldError(f"slot {id_}: what was before does not come to rest")
