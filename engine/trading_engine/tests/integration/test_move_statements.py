"""The model of PostgreSQL that the searches trust, and the real one, give the same answers.

Each test runs against both: the same statements, the same clients that wait, die and come late.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from trading_contract.move_protocol.rows import SlotRow, SlotState
from trading_contract.move_protocol.steps import (
    Place,
    RowStep,
    activate,
    follow,
    poison,
    seal,
    set_move,
    tomb,
    unseal,
)
from trading_contract.tests.move_world.statements import (
    EMPTY,
    Append,
    Collect,
    Commit,
    CopyPart,
    FinishCopy,
    Prepare,
    Take,
    Verified,
)
from trading_engine.tests.integration.move_shards import ModelShard, RealShard, Shard, run

A, B = uuid.UUID(int=1), uuid.UUID(int=2)
M, OTHER = uuid.UUID(int=11), uuid.UUID(int=12)


@pytest.fixture(params=["model", "real"])
def shard(request: pytest.FixtureRequest) -> Iterator[Shard]:
    """Both, in turn."""
    if request.param == "model":
        yield ModelShard()
        return
    real = RealShard(request.getfixturevalue("site"))
    yield real
    real.close()


def at(state: SlotState, chain: bytes = b"", **fields: Any) -> SlotRow:
    """A row of move M where that state needs one."""
    known = {"epoch": 4, "owner": A, "last_seq": len(chain), "chain": chain}
    if state is not SlotState.ACTIVE:
        known["move_id"] = M
    return SlotRow(state=state, **{**known, **fields})


ACTIVE = at(SlotState.ACTIVE, b"\1")
NAMED = at(SlotState.ACTIVE, b"\1", move_id=M)
SEALED = at(SlotState.SEALED, b"\1")
PREPARED = at(SlotState.PREPARED, b"\1", epoch=0)
BROKEN = at(SlotState.PREPARED, epoch=0, last_seq=-1)
FOLLOWER = at(SlotState.FOLLOWER, b"\1")
COMMIT = Commit(A, 4, 1, b"\2", b"\1\2")


def test_a_commit_of_the_owner_passes_and_any_other_is_fenced(shard: Shard) -> None:
    for commit, code in (
        (COMMIT, ""),
        (Commit(A, 3, 1, b"\2", b"\1\2"), "TC001"),
        (Commit(B, 4, 1, b"\2", b"\1\2"), "TC001"),
        (Commit(A, 4, 0, b"\2", b"\1\2"), "TC001"),
    ):
        shard.put(ACTIVE, b"\1")
        assert run(shard, commit) == code, commit
        assert shard.rows() == ([1, 2] if code == "" else [1])
    for row in (SEALED, FOLLOWER, PREPARED, None):
        shard.put(row, b"\1")
        assert run(shard, COMMIT) == "TC001", row
        assert shard.rows() == [1]


STEPS = [
    (ACTIVE, set_move(ACTIVE, M)),
    (NAMED, set_move(NAMED, None)),
    (NAMED, seal(NAMED, A, (1, b"\1"))),
    (PREPARED, activate(SEALED, PREPARED)),
    (PREPARED, poison(PREPARED)),
    (SEALED, unseal(SEALED)),
    (SEALED, follow(SEALED)),
    (at(SlotState.FOLLOWER, b"\1", verified=True), tomb(FOLLOWER)),
]


@pytest.mark.parametrize(("row", "step"), STEPS, ids=[step.name for _, step in STEPS])
def test_a_step_passes_once_and_only_on_the_row_it_expects(
    shard: Shard, row: SlotRow, step: RowStep
) -> None:
    shard.put(row, b"\1")
    assert run(shard, step) == ""
    done = shard.row()
    assert done is not None
    assert (done.state, done.epoch, done.move_id) == (step.to_state, step.to_epoch, step.to_move)
    again = run(shard, step)
    assert again == "TC002"
    assert shard.row() == done
    others = [
        at(SlotState.ACTIVE, b"\1", epoch=9, move_id=OTHER), at(SlotState.SEALED, epoch=9),
        at(SlotState.PREPARED, b"\1", epoch=0, move_id=OTHER),
        at(SlotState.PREPARED, b"\2", epoch=9), at(SlotState.FOLLOWER, b"\1", epoch=9), None,
    ]  # fmt: skip
    for other in others:
        shard.put(other)
        assert run(shard, step) == "TC002", other
        assert shard.row() == other


def test_an_activation_needs_exactly_the_end_of_the_source(shard: Shard) -> None:
    for chain in (b"", b"\2", b"\1\2"):
        shard.put(at(SlotState.PREPARED, chain, epoch=0))
        assert run(shard, activate(SEALED, PREPARED)) == "TC002", chain


def test_steps_that_no_move_makes_are_refused_whatever_the_row_is(shard: Shard) -> None:
    for change in (
        {"to_state": SlotState.FOLLOWER}, {"to_epoch": 5}, {"at": None}, {"to_move": OTHER},
    ):  # fmt: skip
        shard.put(NAMED)
        step = seal(NAMED, A, (1, b"\1"))
        wrong = RowStep(**{name: getattr(step, name) for name in step.__slots__} | change)
        assert run(shard, wrong) == "TC004", change
        assert shard.row() == NAMED
    shard.put(SEALED)
    by_one = RowStep(
        Place.SOURCE, "", SlotState.SEALED, 4, M, SlotState.ACTIVE, 5, M,
    )  # fmt: skip
    assert run(shard, by_one) == "TC004"


def test_a_step_that_fails_takes_its_batch_along(shard: Shard) -> None:
    shard.put(ACTIVE, b"\1")
    assert run(shard, COMMIT, seal(NAMED, A, (2, b"\1\2"))) == "TC002"
    assert (shard.row(), shard.rows()) == (ACTIVE, [1])
    shard.put(NAMED, b"\1")
    assert run(shard, COMMIT, seal(NAMED, A, (2, b"\1\2"))) == ""
    assert shard.row() == at(SlotState.SEALED, b"\1\2")


def test_a_step_that_waited_sees_the_row_as_it_is_by_then(shard: Shard) -> None:
    shard.put(NAMED, b"\1")
    holder = shard.hold()
    commit = shard.begin(COMMIT)
    assert commit.waits()
    take = shard.begin(Take(4, B))
    assert take.waits()
    assert shard.row() == NAMED  # a plain SELECT waits for nothing
    holder.die()
    assert commit.answer() == ""
    assert take.answer() == ""
    row = shard.row()
    assert row is not None
    assert (row.epoch, row.owner, row.last_seq) == (5, B, 2)
    assert run(shard, Commit(A, 4, 2, b"\3", b"\1\2\3")) == "TC001"


def test_a_dead_clients_transaction_lives_on(shard: Shard) -> None:
    shard.put(ACTIVE, b"\1")
    holder = shard.hold()
    commit = shard.begin(COMMIT)
    assert commit.waits()
    commit.die()
    taker = shard.begin(Take(4, B))
    assert taker.waits()
    holder.die()
    assert taker.answer() == ""  # it waited behind the dead one's commit
    row = shard.row()
    assert row is not None
    assert (row.epoch, row.last_seq, shard.rows()) == (5, 2, [1, 2])


def test_of_two_equal_batches_one_passes(shard: Shard) -> None:
    shard.put(ACTIVE, b"\1")
    holder = shard.hold()
    first, second = shard.begin(COMMIT), shard.begin(COMMIT)
    assert first.waits()
    assert second.waits()
    holder.die()
    assert sorted([first.answer(), second.answer()]) == ["", "TC001"]
    assert shard.rows() == [1, 2]


def test_a_target_is_prepared_once_and_only_on_what_was_read(shard: Shard) -> None:
    shard.put(None)
    assert run(shard, Prepare(M, A, None)) == ""
    assert shard.row() == BROKEN
    assert run(shard, Prepare(OTHER, A, None)) == "TC002"
    for state in (SlotState.ABORTED, SlotState.MOVED):
        row = at(state, b"\1")
        shard.put(row)
        assert run(shard, Prepare(OTHER, B, (state, 3, M))) == "TC002"
        assert run(shard, Prepare(OTHER, B, (state, 4, OTHER))) == "TC002"
        assert run(shard, Prepare(OTHER, B, (state, 4, M))) == ""
        assert shard.row() == at(SlotState.PREPARED, owner=B, last_seq=-1, move_id=OTHER)
    for row in (ACTIVE, SEALED, PREPARED):
        shard.put(row)
        assert run(shard, Prepare(OTHER, B, (row.state, row.epoch, row.move_id))) == "TC002"


def test_a_follower_is_prepared_where_it_is_and_anything_else_only_when_empty(
    shard: Shard,
) -> None:
    shard.put(FOLLOWER, b"\1")
    assert run(shard, Prepare(OTHER, A, (SlotState.FOLLOWER, 4, M))) == ""
    assert shard.row() == at(SlotState.PREPARED, b"\1", move_id=OTHER)
    assert shard.rows() == [1]
    shard.put(at(SlotState.ABORTED, b"\1"), b"\1")
    assert run(shard, Prepare(OTHER, A, (SlotState.ABORTED, 4, M))) == "TC006"


def test_a_copy_goes_only_into_the_target_of_its_move_until_it_is_whole(shard: Shard) -> None:
    part = CopyPart(M, 0, b"\1")
    for row in (None, ACTIVE, PREPARED, at(SlotState.PREPARED, last_seq=-1, move_id=OTHER)):
        shard.put(row)
        assert run(shard, part) == "TC002", row
        assert shard.rows() == []
    shard.put(BROKEN)
    assert run(shard, part) == ""
    assert run(shard, FinishCopy(OTHER, 1, b"\1")) == "TC002"
    assert run(shard, FinishCopy(M, 1, b"\1")) == ""
    assert run(shard, FinishCopy(M, 2, b"\1\2")) == "TC002"
    assert (shard.row(), shard.rows()) == (PREPARED, [1])


def test_the_shadow_takes_each_batch_once_and_in_order(shard: Shard) -> None:
    for row in (PREPARED, FOLLOWER):
        shard.put(row, b"\1")
        second = Append(M, 1, b"\2", b"\1\2")
        assert run(shard, Append(M, 2, b"\3", b"\1\2\3")) == "TC005"
        assert run(shard, Append(M, 1, b"\2", b"\3\2")) == "TC005"  # of another history
        assert run(shard, second) == ""
        assert run(shard, second) == ""
        assert run(shard, Append(OTHER, 2, b"\3", b"\1\2\3")) == "TC002"
        now = shard.row()
        assert now is not None
        assert (now.last_seq, now.chain, shard.rows()) == (2, b"\1\2", [1, 2])
    for other in (ACTIVE, SEALED, BROKEN, None):
        shard.put(other)
        assert run(shard, Append(M, 1, b"\2", b"\1\2")) == "TC002", other


def test_nothing_is_cleaned_up_without_a_verification(shard: Shard) -> None:
    shard.put(FOLLOWER, b"\1")
    assert run(shard, tomb(FOLLOWER)) == "TC002"
    assert run(shard, Verified(OTHER)) == "TC002"
    assert run(shard, Verified(M)) == ""
    assert run(shard, Collect(M)) == "TC002"
    assert run(shard, tomb(FOLLOWER)) == ""
    assert run(shard, Collect(OTHER)) == "TC002"
    assert shard.rows() == [1]
    assert run(shard, Collect(M)) == ""
    assert shard.rows() == []
    shard.put(at(SlotState.MOVED, b"\1"), b"\1")
    assert run(shard, Collect(M)) == "TC002"


def test_only_a_dead_target_is_collected(shard: Shard) -> None:
    for row in (ACTIVE, NAMED, SEALED, PREPARED, FOLLOWER):
        shard.put(row, b"\1")
        assert run(shard, Collect(M)) == "TC002", row
        assert shard.rows() == [1]
    shard.put(at(SlotState.ABORTED, b"\1"), b"\1")
    assert run(shard, Collect(M)) == ""
    assert shard.rows() == []
    assert EMPTY.seen == b""
