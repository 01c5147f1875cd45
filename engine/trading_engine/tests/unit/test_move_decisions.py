"""What comes next in a move, for everything that may be known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from trading_contract.move_protocol.rows import SlotState
from trading_contract.moves import MoveOrder
from trading_engine.moving.decide import (
    LAG_COMMANDS_MAX,
    Checked,
    Course,
    Following,
    HandOver,
    Held,
    LogDigest,
    Merge,
    Row,
    Split,
    Stop,
    Wait,
    may_take,
    must_leave,
    next_course,
    next_step,
)

ID = "11111111-1111-1111-1111-111111111111"
MINE = UUID(int=2)
HELD = Held(3, "A", "M", 5, 100)
THERE = Following("p1", "b", 100, (100, "M"), "", fresh=True)
EQUAL = Checked("b", 100, "M")


def order(**changed: Any) -> MoveOrder:
    """An engine move of slot 3 from p0 to p1, with changes; None leaves a field out."""
    given = {
        "id": ID, "kind": "engine", "slots": (3,), "source_partition": "p0",
        "target_partition": "p1", "source_shard": "s",
    } | changed  # fmt: skip
    return MoveOrder(**{name: value for name, value in given.items() if value is not None})


@pytest.mark.parametrize(
    ("held", "following", "checked", "wanted"),
    [
        (None, THERE, EQUAL, Wait("Waiting")),
        (HELD, None, EQUAL, Wait("Waiting")),
        (HELD, replace(THERE, fresh=False), EQUAL, Wait("Waiting")),
        (HELD, replace(THERE, partition="p2"), EQUAL, Wait("Waiting")),
        (HELD, replace(THERE, problem="bad"), EQUAL, Stop("bad")),
        (HELD, replace(THERE, problem="of before", fresh=False), EQUAL, Wait("Waiting")),
        (HELD, THERE, None, LogDigest(3, "A", "b")),
        (HELD, THERE, replace(EQUAL, incarnation="a"), LogDigest(3, "A", "b")),
        (HELD, replace(THERE, verified=(-1, "")), EQUAL, Wait("Verifying")),
        (HELD, replace(THERE, verified=(99, "M")), EQUAL, Wait("Verifying")),
        # It has read the slot anew, beyond the digest: nothing of it was compared.
        (HELD, replace(THERE, at=101, verified=(-1, "")), EQUAL, LogDigest(3, "A", "b")),
        (
            HELD, replace(THERE, at=101, verified=(-1, "")), replace(EQUAL, past="G"),
            LogDigest(3, "A", "b"),
        ),
        (HELD, replace(THERE, verified=(100, "G")), EQUAL, Wait("Verifying")),
        (
            HELD, replace(THERE, verified=(100, "G")), replace(EQUAL, past="G"),
            LogDigest(3, "G", "b"),
        ),
        (replace(HELD, sequence=101 + LAG_COMMANDS_MAX), THERE, EQUAL, Wait("Following")),
        (replace(HELD, sequence=100 + LAG_COMMANDS_MAX), THERE, EQUAL, HandOver("b", "p1")),
        (HELD, THERE, EQUAL, HandOver("b", "p1")),
    ],
)  # fmt: skip
def test_a_slot_is_handed_over_to_who_follows_it_closely_and_was_found_equal(
    held: Held | None, following: Following | None, checked: Checked | None, wanted: object
) -> None:
    assert next_step(
        order(),
        {3: held} if held else {},
        {3: following} if following else {},
        {3: checked} if checked else {},
    ) == wanted  # fmt: skip


def test_all_slots_of_an_order_go_to_one_incarnation_or_none_does() -> None:
    both = order(slots=(3, 4))
    held = {3: HELD, 4: replace(HELD, slot=4)}
    checked = {3: EQUAL, 4: EQUAL}
    assert next_step(both, held, {3: THERE, 4: THERE}, checked) == HandOver("b", "p1")
    assert next_step(both, held, {3: THERE}, checked) == Wait("Waiting")
    other = {3: THERE, 4: replace(THERE, incarnation="c")}
    assert next_step(both, held, other, checked) == Wait("Waiting")
    stale = {3: THERE, 4: replace(THERE, fresh=False)}
    assert next_step(both, held, stale, checked) == Wait("Waiting")
    assert next_step(both, {3: HELD}, {3: THERE, 4: THERE}, checked) == Wait("Waiting")
    assert next_step(both, held, {3: THERE, 4: THERE}, {3: EQUAL}) == LogDigest(4, "A", "b")


def test_a_split_is_done_once_and_only_inside_the_slot() -> None:
    def split(at: str) -> MoveOrder:
        return order(kind="split", target_partition=None, split_at=at, new_slot=9)

    assert next_step(split("G"), {3: HELD}, {}, {}) == Split()
    assert next_step(split("M"), {3: HELD}, {}, {}) == Wait("Done")
    for outside in ("A", "Z", "0"):
        assert isinstance(next_step(split(outside), {3: HELD}, {}, {}), Stop)
    assert next_step(split("G"), {}, {}, {}) == Wait("Waiting")


def test_only_neighbours_are_merged() -> None:
    merge = order(kind="merge", target_partition=None, slots=(3, 4))
    right = Held(4, "M", "~", 1, 7)
    assert next_step(merge, {3: HELD, 4: right}, {}, {}) == Merge()
    assert isinstance(next_step(merge, {3: HELD, 4: replace(right, first="N")}, {}, {}), Stop)
    assert next_step(merge, {3: HELD}, {}, {}) == Wait("Waiting")


@pytest.mark.parametrize(
    ("changed", "course"),
    [
        ({}, Course.FOLLOW),
        ({"owner": MINE, "partition": "p1"}, Course.OPEN),
        ({"owner": MINE, "partition": "p1", "last_seq": 101}, Course.FOLLOW),
        ({"owner": MINE, "partition": "p1", "chain": b"other"}, Course.FOLLOW),
        ({"owner": UUID(int=7), "partition": "p1"}, Course.TAKE),
        ({"owner": UUID(int=8)}, Course.FOLLOW),
        ({"partition": None}, Course.FOLLOW),
        ({"state": SlotState.MOVED}, Course.LEAVE),
        ({"state": SlotState.SEALED, "owner": MINE}, Course.LEAVE),
    ],
)
def test_a_follower_opens_only_what_it_has_read_to_be_its_own_at_that_very_point(
    changed: dict[str, Any], course: Course
) -> None:
    row = replace(Row(3, 5, UUID(int=1), "p0", SlotState.ACTIVE, 100, b"chain"), **changed)
    assert next_course(row, "p1", MINE, 100, b"chain") is course


@pytest.mark.parametrize(
    ("partition", "placed_on", "placed_epoch", "takes"),
    [
        ("me", "me", 0, True), ("me", None, 0, True), ("me", "other", 4, True),
        ("me", "other", 5, False),  # the operator knows this owner and wants another
        (None, "me", 0, True), (None, None, 0, False), (None, "other", 0, False),
        ("other", "me", 4, False),  # a topology from before a hand-over
        ("other", "me", 5, True), ("other", "me", 6, True),
        ("other", None, 0, False), ("other", "third", 9, False),
    ],
)  # fmt: skip
def test_who_may_take_a_slot_of_epoch_5(
    partition: str | None, placed_on: str | None, placed_epoch: int, takes: bool
) -> None:
    assert may_take("me", partition, 5, placed_on, placed_epoch) is takes


@pytest.mark.parametrize(
    ("placed_on", "placed_epoch", "leaves"),
    [("me", 9, False), (None, 0, False), ("other", 4, False), ("other", 5, True)],
)
def test_who_must_leave_a_slot_of_epoch_5(
    placed_on: str | None, placed_epoch: int, leaves: bool
) -> None:
    assert must_leave("me", 5, placed_on, placed_epoch) is leaves
