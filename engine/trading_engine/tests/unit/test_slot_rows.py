"""Rows on their way into memory: cut between any rows, refused when malformed, loaded twice."""

from __future__ import annotations

import pytest

from trading_contract.wire import Code, Command, Kind, Side
from trading_engine._core import Sequencer, SlotRows
from trading_engine.tests.sequenced import (
    ENDED_COLUMNS,
    ORDER_COLUMNS,
    STATE_COLUMNS,
    Harness,
    Row,
    copy_of,
)

HEAD_BYTES, TAIL_BYTES = 19, 2


def traded() -> Harness:
    """Two symbols with open and ended orders."""
    world = Harness("AA", "BB")
    for number in range(6):
        symbol, side = ("AA", "BB")[number % 2], (Side.BUY, Side.SELL)[number % 3 % 2]
        world.one(
            Command(
                0, Kind.PLACE, symbol, account=1 + number % 2, side=side, price=100 + number % 3,
                quantity=2 + number, client_id=f"c{number}",
            )
        )  # fmt: skip
    return world


def parts(columns: tuple[str, ...], rows: list[Row]) -> list[bytes]:
    """Head, each row and the end by themselves."""
    single = [copy_of(columns, [row])[HEAD_BYTES:-TAIL_BYTES] for row in rows]
    whole = copy_of(columns, [])
    return [whole[:HEAD_BYTES], *single, whole[HEAD_BYTES:]]


def rows_of(world: Harness) -> SlotRows:
    """All of its tables, row by row."""
    rows = SlotRows()
    tables = world.tables
    for part in parts(STATE_COLUMNS, list(tables.states.values())):
        assert rows.add_states(part)
    for part in parts(ORDER_COLUMNS, list(tables.open_orders.values())):
        assert rows.add_open_orders(part)
    for part in parts(ENDED_COLUMNS, list(tables.closed_orders.values())):
        assert rows.add_closed_orders(part)
    return rows


def fresh() -> Sequencer:
    """Knows its slot, not yet its rows."""
    sequencer = Sequencer(1000, 10**12)
    for name in ("AA", "BB"):
        sequencer.set_symbol(name)
    return sequencer


def asked(world: Harness, sequencer: Sequencer) -> object:
    """Open orders, books and what client ids are taken, as told by the sequencer."""
    commands = [
        Command(n, Kind.QUERY_OPEN, symbol, account=account)
        for n, (symbol, account) in enumerate((s, a) for s in ("AA", "BB") for a in (1, 2))
    ] + [
        Command(
            90 + n, Kind.PLACE, ("AA", "BB")[n % 2], account=1 + n % 2, side=Side.BUY, price=1,
            quantity=1, client_id=f"c{n}",
        )
        for n in range(6)
    ]  # fmt: skip
    assert sequencer.enqueue(7, b"".join(c.pack() for c in commands))
    batch = sequencer.sequence(0, world.now_us, len(commands))
    replies = world.replies(batch, [c.request_id for c in commands])
    return [(r.order_id, r.code, r.price, r.executed) for each in replies for r in each]


def test_rows_may_come_one_by_one() -> None:
    world, sequencer = traded(), fresh()
    rows = rows_of(world)
    assert rows.finish()
    assert rows.open_orders == len(world.tables.open_orders)
    assert sequencer.adopt(rows, 1 << 20) == 0
    sequencer.set_slot(1, "", "~", 0, 1, 6, bytes(32))
    assert asked(world, sequencer) == asked(world, world.sequencer)


def test_a_forgotten_slot_leaves_nothing_and_may_be_loaded_again() -> None:
    world, sequencer = traded(), fresh()
    wanted = asked(world, world.sequencer)
    for _ in range(3):
        rows = rows_of(world)
        assert rows.finish()
        assert sequencer.adopt(rows, 1 << 20) == 0
        sequencer.set_slot(1, "", "~", 0, 1, 6, bytes(32))
        assert asked(world, sequencer) == wanted
        sequencer.forget_slot(1)  # not dropped: nothing happens
        assert sequencer.open_orders == len(world.tables.open_orders)
        sequencer.drop_slot(1)
        sequencer.forget_slot(1)
        assert sequencer.open_orders == 0


def test_a_dropped_slot_still_seals_what_was_applied() -> None:
    world = Harness()
    place = Command(1, Kind.PLACE, "BTC", account=1, price=5, quantity=1, client_id="a")
    assert world.sequencer.enqueue(7, place.pack() + place.pack())
    assert world.sequencer.advance(0, world.now_us, 1) == 1
    world.sequencer.drop_slot(1)
    assert world.sequencer.advance(0, world.now_us, 9) == 2
    batch = world.sequencer.seal(0)
    world.tables.commit(batch)
    assert len(world.tables.open_orders) == 1
    (replies,) = world.replies(batch, [1])
    assert [reply.code for reply in replies] == [Code.OK, Code.WRONG_OWNER]


@pytest.mark.parametrize("cut", [0, 5, HEAD_BYTES + 1, HEAD_BYTES + 40, -1, -TAIL_BYTES])
def test_malformed_or_unfinished_rows_are_refused(cut: int) -> None:
    world = traded()
    rows = SlotRows()
    whole = copy_of(ORDER_COLUMNS, list(world.tables.open_orders.values()))
    good = rows.add_open_orders(whole[:cut])
    assert not (good and rows.add_open_orders(whole[cut:]) and rows.finish())
    assert not rows.finish()
    assert fresh().adopt(rows, 10) == -1


def test_an_order_that_would_cross_the_book_makes_no_book() -> None:
    world = traded()
    (first, *_) = world.tables.open_orders.values()
    twice = {**first, "order_id": 99, "client_id": "other", "side": 1}
    twice["attributes"] ^= 1  # the other side, at the same price
    world.tables.open_orders["AA", 99] = twice
    rows = rows_of(world)
    assert rows.finish()
    assert fresh().adopt(rows, 1 << 20) == -1


def test_rows_of_several_readers_are_merged() -> None:
    world = traded()
    rows, others = SlotRows(), [SlotRows(), SlotRows()]
    tables = world.tables
    assert rows.add_states(copy_of(STATE_COLUMNS, list(tables.states.values())))
    assert rows.add_closed_orders(copy_of(ENDED_COLUMNS, list(tables.closed_orders.values())))
    opened = list(tables.open_orders.values())[::-1]
    for other, part in zip(others, (opened[:1], opened[1:]), strict=True):
        assert other.add_open_orders(copy_of(ORDER_COLUMNS, part))
        assert rows.merge(other)
    assert not rows.merge(rows)
    assert rows.finish() and rows.open_orders == len(opened)
    assert others[0].open_orders == 0
    sequencer = fresh()
    assert sequencer.adopt(rows, 1 << 20) == 0
    sequencer.set_slot(1, "", "~", 0, 1, 6, bytes(32))
    assert asked(world, sequencer) == asked(world, world.sequencer)


def test_a_reader_whose_rows_have_no_end_is_noticed() -> None:
    world = traded()
    rows, other = SlotRows(), SlotRows()
    whole = copy_of(ORDER_COLUMNS, list(world.tables.open_orders.values()))
    assert other.add_open_orders(whole[:-TAIL_BYTES])
    assert not rows.merge(other)
    assert not rows.finish()
