"""The recovery table is total, its steps are legal, and applying it always comes to an end."""

from __future__ import annotations

import itertools
from uuid import UUID

import pytest

from trading_contract.move_protocol.recovery import TABLE, Action, Side, classify, recover
from trading_contract.move_protocol.rows import (
    RowError,
    RowPair,
    SlotRow,
    SlotState,
    orient,
    pair_at_one_moment,
    try_id,
)
from trading_contract.move_protocol.steps import RowStep, StepError, activate, is_legal, seal
from trading_contract.tests.move_world.operators_work import operations
from trading_contract.tests.move_world.statements import Refused, apply, rows_of
from trading_contract.tests.move_world.world import Core

A, M, OTHER = UUID(int=1), UUID(int=11), UUID(int=12)


def all_rows() -> list[SlotRow | None]:
    """Every row that the constructor takes, over small numbers."""
    made: list[SlotRow | None] = [None]
    for state, epoch, chain, move, verified in itertools.product(
        SlotState, (0, 1, 2), (None, b"", b"\1", b"\2", b"\1\2"), (None, M, OTHER), (False, True)
    ):
        last = -1 if chain is None else len(chain)
        try:
            made.append(SlotRow(epoch, A, state, last, chain or b"", move, verified))
        except RowError:
            continue
    return made


ROWS = all_rows()
PAIRS = [RowPair(source, target) for source in ROWS for target in ROWS]


def test_the_table_answers_every_pair() -> None:
    assert len(PAIRS) > 100_000
    for pair in PAIRS:
        assert isinstance(recover(pair).forward, Action)
    assert {classify(pair) for pair in PAIRS} >= set(TABLE)  # no line is dead


def test_before_the_decision_it_can_be_given_up_and_after_it_only_finished() -> None:
    for (source, target), plan in TABLE.items():
        decided = target is Side.ACTIVE or source is Side.MOVED
        if decided:
            assert plan.forward == plan.back, (source, target)
        if plan.forward is Action.ACTIVATE:
            assert (plan.back, target) == (Action.POISON, Side.EQUAL)
        if plan.back is Action.UNSEAL:
            assert target is not Side.ACTIVE


def test_a_source_is_unsealed_only_once_its_target_is_dead() -> None:
    for pair in PAIRS:
        if Action.UNSEAL in {recover(pair).forward, recover(pair).back}:
            assert pair.target is not None
            dead = pair.target.state is SlotState.ABORTED
            assert dead or not pair.same_move, pair


def test_whatever_the_rows_are_the_table_leads_to_rest_or_to_a_person() -> None:
    core = Core()
    seen = set()
    for start in PAIRS:
        source, target = start.source, start.target
        if source is None or target is None or classify(start) in seen:
            continue
        seen.add(classify(start))
        for give_up in (True, False):
            assert ends(RowPair(source, target), give_up, core), (start, give_up)


def ends(pair: RowPair, give_up: bool, core: Core) -> bool:
    """Apply the table until nothing changes."""
    for _ in range(12):
        plan = recover(pair)
        action = plan.back if give_up else plan.forward
        before = pair
        for on_source, program in operations(action, pair, core):
            row = pair.source if on_source else pair.target
            data = rows_of(row.chain if row else b"")
            for statement in program:
                try:
                    row, data = apply(statement, row, data)
                except Refused:
                    return False
            pair = RowPair(row, pair.target) if on_source else RowPair(pair.source, row)
        if pair == before:
            return True
    return False


def test_rows_that_no_step_writes_are_refused() -> None:
    for fields in (
        {"epoch": -1}, {"last_seq": -2}, {"last_seq": -1}, {"state": SlotState.SEALED},
    ):  # fmt: skip
        known: dict[str, object] = {"epoch": 1, "owner": A, "state": SlotState.ACTIVE}
        known |= {"last_seq": 0, "chain": b""} | fields
        with pytest.raises(RowError):
            SlotRow(**known)  # type: ignore[arg-type]


def test_steps_are_built_only_from_rows_that_they_fit_and_are_legal() -> None:
    active = SlotRow(1, A, SlotState.ACTIVE, 0, b"")
    with pytest.raises(StepError):
        seal(active, A, (0, b""))
    with pytest.raises(StepError):
        activate(active, active)
    core, built = Core(), set()
    for pair in PAIRS:
        plan = recover(pair)
        for action in {plan.forward, plan.back}:
            for _, program in operations(action, pair, core):
                for step in program:
                    if isinstance(step, RowStep):
                        built.add(step.name)
                        assert is_legal(step), step
    expected = {"poison", "unseal", "activate", "follow", "tomb", "clear_move"}
    assert built >= expected


def test_a_pair_that_moved_on_between_its_readings_is_no_pair() -> None:
    prepared = SlotRow(0, A, SlotState.PREPARED, 1, b"\1", M)
    active = SlotRow(2, A, SlotState.ACTIVE, 1, b"\1", M)
    source = SlotRow(1, A, SlotState.SEALED, 1, b"\1", M)
    assert pair_at_one_moment(prepared, source, prepared) == RowPair(source, prepared)
    assert pair_at_one_moment(prepared, source, active) is None
    assert pair_at_one_moment(None, source, prepared) is None
    further = SlotRow(0, A, SlotState.PREPARED, 2, b"\1\2", M)
    assert pair_at_one_moment(prepared, source, further) == RowPair(source, prepared)


def test_the_rows_themselves_tell_which_is_the_source() -> None:
    def row(state: SlotState, epoch: int, move: UUID | None = M) -> SlotRow:
        return SlotRow(epoch, A, state, 0, b"", move)

    for x, y, roles in (
        (row(SlotState.ACTIVE, 1, None), row(SlotState.ABORTED, 0), ("x", "y")),
        (row(SlotState.ACTIVE, 1), row(SlotState.PREPARED, 0), ("x", "y")),
        (row(SlotState.SEALED, 1), row(SlotState.PREPARED, 0), ("x", "y")),
        (row(SlotState.SEALED, 1), row(SlotState.ACTIVE, 2), ("x", "y")),
        (row(SlotState.FOLLOWER, 2), row(SlotState.ACTIVE, 2), ("x", "y")),
        (row(SlotState.MOVED, 2), row(SlotState.ACTIVE, 2, None), ("x", "y")),
        (row(SlotState.PREPARED, 2), row(SlotState.ACTIVE, 2), ("y", "x")),
    ):
        assert orient({"x": x, "y": y}) == roles, (x.state, y.state)
    old = row(SlotState.MOVED, 1, OTHER)
    both = {"x": old, "y": row(SlotState.ACTIVE, 5), "z": row(SlotState.PREPARED, 0)}
    assert orient(both) == ("y", "z")
    assert orient({"x": row(SlotState.ACTIVE, 1)}) == ("x", None)
    assert orient({}) == (None, None)


def test_each_try_has_an_id_of_its_own() -> None:
    ids = {try_id(order, who, n) for order in (M, OTHER) for who in (A, M) for n in range(3)}
    assert len(ids) == 12
