"""What waits of a slot for the shard it moves to: in order, nothing twice, and bounded."""

from __future__ import annotations

import uuid
from typing import Any

from trading_engine.moving.shadow import Shadow


def given(shadow: Shadow, *sequences: int) -> None:
    """One batch of one command each, of 100 bytes."""
    for sequence in sequences:
        batch: Any = f"batch {sequence}"
        shadow.give(sequence - 1, sequence, 100, batch)


def state(shadow: Shadow) -> tuple[str, int | None, int]:
    """What comes next, the lag, and the bytes that wait."""
    return str(shadow.next()), shadow.lag, shadow.waiting_bytes


def test_nothing_is_appended_before_the_copy_is_whole_nor_what_it_has_already() -> None:
    shadow = Shadow(2, uuid.uuid4())
    given(shadow, 1, 2, 3)
    assert shadow.next() is None
    assert state(shadow) == ("None", None, 300)
    shadow.open(2)
    assert state(shadow) == ("batch 3", 1, 100)
    shadow.appended()
    assert state(shadow) == ("None", 0, 0)


def test_it_stops_where_it_is_told_to() -> None:
    shadow = Shadow(2, uuid.uuid4(), until=1)
    shadow.open(0)
    given(shadow, 1, 2)
    assert str(shadow.next()) == "batch 1"
    shadow.appended()
    assert shadow.next() is None
    shadow.until = None
    assert str(shadow.next()) == "batch 2"


def test_what_does_not_fit_breaks_the_shadow_and_frees_what_waited() -> None:
    shadow = Shadow(2, uuid.uuid4(), bytes_max=250)
    shadow.open(0)
    given(shadow, 1, 2)
    assert not shadow.problem
    given(shadow, 3, 4)
    assert (shadow.code, shadow.waiting_bytes, len(shadow.waiting)) == ("overflow", 0, 0)
    assert shadow.next() is None
