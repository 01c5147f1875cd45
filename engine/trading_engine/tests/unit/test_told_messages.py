"""What was told is told again: in order, within bounds, the newest longest."""

from __future__ import annotations

import pytest

from trading_engine import told_messages
from trading_engine.told_messages import ToldMessages


def test_messages_after_a_number_come_in_their_order() -> None:
    told = ToldMessages()
    for number in range(1, 6):
        told.add("a", b"a%d" % number)
        told.add("b", b"b%d" % number)
    assert told.newest("a") == 5
    assert told.after("a", 3) == [b"a4", b"a5"]
    assert told.after("b", 0) == [b"b%d" % n for n in range(1, 6)]
    assert told.after("a", 5) == told.after("a", 99) == told.after("c", 0) == []
    assert told.newest("c") == 0


def test_old_messages_go_and_their_numbers_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told_messages, "KEPT_BYTES_MAX", 10)
    told = ToldMessages()
    for number in range(8):
        told.add("ab"[number % 2], b"xx")
    assert (told.newest("a"), told.newest("b")) == (4, 4)
    assert len(told.after("a", 0)) + len(told.after("b", 0)) == 5


def test_an_answer_is_bounded_but_never_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told_messages, "ANSWER_BYTES_MAX", 5)
    told = ToldMessages()
    for _ in range(4):
        told.add("a", b"xxx")
    assert len(told.after("a", 0)) == 1
    monkeypatch.setattr(told_messages, "ANSWER_BYTES_MAX", 1)
    assert len(told.after("a", 1)) == 1
