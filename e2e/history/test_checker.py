"""The checker finds nothing wrong with a true history, and each law catches its own lie."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from history.imagined import SYMBOL, World, busy_world, encoded
from history.laws import LAWS, Violation, check, describe
from history.lies import LIES
from history.records import Call, HistoryError, OrderKey, Recorder, pair, read_history
from history.replay import decode_payload
from history.rows import Dump
from trading_engine.core_records import Command


def broken_laws(calls: list[Call], dump: Dump) -> set[str]:
    return {violation.law for violation in check(calls, dump)}


def test_a_true_history_breaks_no_law() -> None:
    for seed in range(20):
        world = busy_world(seed)
        violations = check(world.calls, world.dump())
        assert violations == [], describe(violations)
    assert len(world.trades) > 10
    assert any(order.is_open for order in world.orders.values())


@pytest.mark.parametrize(("law", "lie"), LIES, ids=lambda value: getattr(value, "__name__", value))
def test_each_law_catches_its_own_lie(law: str, lie: Callable[[World], None]) -> None:
    world = busy_world()
    lie(world)
    assert law in broken_laws(world.calls, world.dump())


def test_only_h6_sees_a_book_that_serves_the_younger_order_first() -> None:
    world = World()
    older = world.place(1, 1, 10_000, 5)
    younger = world.place(2, 1, 10_000, 5)
    world.place(1, 0, 10_000, 5)
    world.trades[0] = replace(world.trades[0], maker_order_id=younger, maker_account=2)
    done = {"executed": 5, "executed_quote": 50_000, "status": "FILLED", "is_open": False}
    world.orders[younger] = replace(world.orders[younger], **done)  # type: ignore[arg-type]
    world.orders[older] = replace(
        world.orders[older], executed=0, executed_quote=0, status="NEW", is_open=True
    )
    assert broken_laws(world.calls, world.dump()) == {"H6"}


def test_every_law_has_a_lie_that_it_catches() -> None:
    assert {law for law, _ in LIES} == set(LAWS)


def test_an_unknown_order_may_be_there_or_not() -> None:
    world = World()
    world.place(1, 0, 10_000, 5, outcome="unknown", order_id=None)
    assert check(world.calls, world.dump()) == []
    world.calls[0] = replace(world.calls[0], key=OrderKey(1, SYMBOL, "another"))
    assert broken_laws(world.calls, world.dump()) == {"H3"}
    world.call("place", 1, "c-1", outcome="unknown")
    assert check(world.calls, world.dump()) == []


def test_calls_that_overlap_may_be_sequenced_either_way() -> None:
    world = World()
    world.place(1, 0, 10_000, 5, invoked_at=50.0, returned_at=60.0)
    world.place(1, 0, 10_000, 5, invoked_at=40.0, returned_at=51.0)
    assert check(world.calls, world.dump()) == []
    world.calls[1] = replace(world.calls[1], returned_at=49.0)
    assert broken_laws(world.calls, world.dump()) == {"H4"}


def test_a_recorded_history_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    recorder = Recorder(path)
    recorder.invoke("place", "KEY", SYMBOL, "a", side="BUY", price="100.00", quantity="1")
    recorder.finish("unknown", "place", "KEY", SYMBOL, "a")
    recorder.invoke("place", "KEY", SYMBOL, "a", side="BUY", price="100.00", quantity="1")
    recorder.finish("ok", "place", "KEY", SYMBOL, "a", order_id=9)
    recorder.invoke("cancel", "KEY", SYMBOL, "a")
    recorder.close()
    with path.open("a") as file:
        file.write('{"event": "ok", "oper')
    calls = read_history([path], {"KEY": 5})
    assert [(c.operation, c.outcome, c.order_id) for c in calls] == [
        ("place", "unknown", None),
        ("place", "ok", 9),
        ("cancel", "unknown", None),
    ]
    assert calls[0].key == OrderKey(5, SYMBOL, "a")
    assert calls[0].returned_at <= calls[1].invoked_at
    assert calls[2].returned_at == float("inf")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ({"event": "ok"}, "no invoke"),
        ({"event": "maybe"}, "unknown"),
        ({"event": "invoke", "account": "OTHER"}, "OTHER"),
    ],
)
def test_a_line_that_is_no_history_is_refused(line: dict[str, str], why: str) -> None:
    full = {
        "operation": "place", "time": 1.0, "account": "KEY", "symbol": SYMBOL,
        "client_order_id": "a", **line,
    }  # fmt: skip
    with pytest.raises(HistoryError, match=why):
        pair([full], {"KEY": 5})


def test_a_torn_line_in_the_middle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"event": "inv\n' + json.dumps({"event": "ok"}) + "\n")
    with pytest.raises(HistoryError, match=r"c\.jsonl:1"):
        read_history([path], {})


def test_a_payload_reads_back_and_a_short_one_is_refused() -> None:
    command = Command(order_id=300, account=7, side=1, price=2**40, quantity=5, time_in_force=1)
    payload = encoded(command, SYMBOL, "c-1")
    (logged,) = decode_payload(payload)
    assert (logged.symbol, logged.client_id, logged.command) == (SYMBOL, "c-1", command)
    for cut in range(2, len(payload)):
        with pytest.raises(ValueError, match="cut short"):
            list(decode_payload(payload[:cut]))
    with pytest.raises(ValueError, match="version"):
        list(decode_payload(b"\x07" + payload[1:]))
    (older,) = decode_payload(b"\x02" + payload[1:-8])
    assert older == logged


def test_a_description_counts_by_law() -> None:
    text = describe([Violation("H1", "a"), Violation("H1", "b"), Violation("H7", "c")])
    assert "3 violations {'H1': 2, 'H7': 1}" in text
    assert "H7: c" in text
