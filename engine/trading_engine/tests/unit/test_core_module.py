"""The binding: its surface, its record sizes, what it refuses."""

from __future__ import annotations

import ast
from array import array
from pathlib import Path

import pytest

from trading_engine import _core, core_records
from trading_engine.core_records import (
    Command,
    EventKind,
    OrderState,
    Side,
    pack_commands,
    pack_orders,
    unpack_events,
    unpack_orders,
)


def _public(names: list[str]) -> set[str]:
    return {name for name in names if not name.startswith("_") or name == "__init__"}


def _names(body: list[ast.stmt]) -> list[str]:
    """What these lines of a stub declare."""
    names = []
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.append(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.append(node.target.id)
    return names


def test_the_stub_names_exactly_what_the_module_has() -> None:
    stub = ast.parse((Path(core_records.__file__).parent / "_core.pyi").read_text())
    assert _public(_names(stub.body)) == _public(dir(_core))
    for node in stub.body:
        if isinstance(node, ast.ClassDef):
            members = [*_names(node.body), "__init__"]
            assert _public(members) == _public(dir(getattr(_core, node.name))), node.name


def test_the_records_have_the_same_size_on_both_sides() -> None:
    assert core_records.COMMAND_FORMAT.size == _core.COMMAND_BYTES
    assert core_records.EVENT_FORMAT.size == _core.EVENT_BYTES
    assert core_records.ORDER_STATE_FORMAT.size == _core.ORDER_STATE_BYTES


def test_every_field_of_a_record_arrives_in_its_place() -> None:
    engine = _core.MatchingEngine()
    engine.add_symbol()
    symbol = engine.add_symbol()
    order = OrderState(
        order_id=11,
        account=-12,
        price=13,
        quantity=15,
        remaining=14,
        priority=16,
        symbol=symbol,
        handle=0,
        side=1,
        type=2,
        self_trade=4,
        traded=True,
    )
    engine.restore(pack_orders([order]))
    assert unpack_orders(engine.orders(symbol)) == [order]
    assert engine.find(symbol, 11) == engine.orders_of_account(symbol, -12) == engine.orders(symbol)
    assert engine.find(symbol, 12) is None


def test_a_batch_that_is_no_whole_number_of_records_is_refused() -> None:
    engine = _core.MatchingEngine()
    with pytest.raises(ValueError, match="whole records of 64 bytes, got 65 bytes"):
        engine.apply(bytes(65))
    with pytest.raises(ValueError, match="contiguous"):
        engine.apply(memoryview(bytes(256))[::2])
    with pytest.raises(ValueError, match="aligned"):
        engine.apply(memoryview(bytes(72))[4:68])
    with pytest.raises(TypeError):
        engine.apply("text")  # type: ignore[arg-type]
    assert engine.apply(b"") == b""


def test_any_contiguous_buffer_is_a_batch() -> None:
    packed = pack_commands([Command(order_id=1, price=5, quantity=2)])
    for batch in (packed, bytearray(packed), memoryview(packed), array("q", packed)):
        engine = _core.MatchingEngine()
        engine.add_symbol()
        kinds = [event.kind for event in unpack_events(engine.apply(batch))]
        assert kinds == [EventKind.ACCEPTED, EventKind.RESTED]


def test_a_symbol_that_is_not_there_is_an_index_error() -> None:
    engine = _core.MatchingEngine()
    symbol = engine.add_symbol()
    engine.remove_symbol(symbol)
    for read in (engine.orders, engine.state_hash, engine.counters, engine.remove_symbol):
        with pytest.raises(IndexError, match="no symbol with index 0"):
            read(symbol)
    with pytest.raises(IndexError, match="no symbol with index 0"):
        engine.depth(symbol, sell=False, levels_max=5)


def test_a_refused_order_of_a_restore_is_named() -> None:
    engine = _core.MatchingEngine()
    engine.add_symbol()
    good = OrderState(order_id=1, account=1, price=5, quantity=2, remaining=2, priority=1)
    crossing = good._replace(order_id=2, side=Side.SELL, priority=2)
    with pytest.raises(ValueError, match=r"order record 1 \(id 2\) refused with code 4"):
        engine.restore(pack_orders([good, crossing]))


def test_memory_is_counted() -> None:
    engine = _core.MatchingEngine()
    engine.add_symbol()
    empty = engine.memory_bytes()
    orders = [
        OrderState(order_id=i, account=1, price=5, quantity=1, remaining=1, priority=i)
        for i in range(1, 20_001)
    ]
    engine.restore(pack_orders(orders))
    assert engine.open_orders() == len(orders)
    assert engine.memory_bytes() >= empty + 64 * len(orders)
