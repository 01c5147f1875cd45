"""The C++ core and the naive book agree on every event and on the whole book."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from trading_engine import _core
from trading_engine.core_records import (
    NO_HANDLE,
    Command,
    Event,
    EventKind,
    OrderState,
    OrderType,
    pack_commands,
    pack_orders,
    unpack_events,
    unpack_orders,
)
from trading_engine.reference import ReferenceBook
from trading_engine.tests.core_commands import command_streams

CUTS = st.lists(st.integers(1, 20), min_size=1, max_size=8)


def _batches(commands: list[Command], cuts: list[int]) -> Iterator[list[Command]]:
    start = 0
    for turn in range(len(commands)):
        size = cuts[turn % len(cuts)]
        if start >= len(commands):
            return
        yield commands[start : start + size]
        start += size


def _without_handles(events: list[Event], first_command: int = 0) -> list[Event]:
    return [e._replace(handle=NO_HANDLE, command=e.command + first_command) for e in events]


def _l3(engine: _core.MatchingEngine, symbol: int) -> list[OrderState]:
    return [o._replace(handle=NO_HANDLE, symbol=0) for o in unpack_orders(engine.orders(symbol))]


def _run_in_batches(
    engine: _core.MatchingEngine, commands: list[Command], cuts: list[int]
) -> list[Event]:
    events: list[Event] = []
    first = 0
    for batch in _batches(commands, cuts):
        events += _without_handles(unpack_events(engine.apply(pack_commands(batch))), first)
        first += len(batch)
    return events


@settings(max_examples=400, deadline=None)
@given(commands=command_streams(), cuts=CUTS, limits=st.sampled_from([(2**28, 2**28), (8, 3)]))
def test_the_core_gives_the_events_and_the_book_of_the_reference(
    commands: list[Command], cuts: list[int], limits: tuple[int, int]
) -> None:
    engine = _core.MatchingEngine()
    engine.add_symbol(open_orders_max=limits[0], open_orders_per_account_max=limits[1])
    book = ReferenceBook(open_orders_max=limits[0], open_orders_per_account_max=limits[1])
    depth: dict[bool, dict[int, int]] = {False: {}, True: {}}
    for batch in _batches(commands, cuts):
        got = _without_handles(unpack_events(engine.apply(pack_commands(batch))))
        wanted = [
            event._replace(command=index)
            for index, command in enumerate(batch)
            for event in book.apply(command)
        ]
        assert got == wanted
        assert _l3(engine, 0) == book.l3()
        assert engine.state_hash(0) == book.state_hash()
        engine.check_invariants()
        _follow_depth(engine, depth)
        for sell in (False, True):
            assert engine.depth(0, sell, 1000) == book.depth(int(sell))
            assert depth[sell] == dict(book.depth(int(sell)))
        _assert_not_crossed(engine)


def _follow_depth(engine: _core.MatchingEngine, depth: dict[bool, dict[int, int]]) -> None:
    changes = engine.take_depth_changes(0)
    assert changes is not None
    assert len({(sell, price) for sell, price, _ in changes}) == len(changes)
    for sell, price, quantity in changes:
        if quantity == 0:
            depth[sell].pop(price, None)
        else:
            depth[sell][price] = quantity


def _assert_not_crossed(engine: _core.MatchingEngine) -> None:
    bids, asks = engine.depth(0, False, 1), engine.depth(0, True, 1)
    if bids and asks:
        assert bids[0][0] < asks[0][0]


@settings(max_examples=200, deadline=None)
@given(commands=command_streams(), cuts=CUTS)
def test_cutting_a_stream_into_other_batches_changes_nothing(
    commands: list[Command], cuts: list[int]
) -> None:
    whole, cut = _core.MatchingEngine(), _core.MatchingEngine()
    whole.add_symbol()
    cut.add_symbol()
    assert _run_in_batches(whole, commands, [len(commands)]) == _run_in_batches(cut, commands, cuts)
    assert whole.state_hash(0) == cut.state_hash(0)


@settings(max_examples=200, deadline=None)
@given(commands=command_streams(), data=st.data())
def test_export_and_restore_at_any_point_changes_nothing(
    commands: list[Command], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(commands)))
    first = _core.MatchingEngine()
    first.add_symbol()
    first.apply(pack_commands(commands[:at]))
    orders = data.draw(st.permutations(unpack_orders(first.orders(0))))

    second = _core.MatchingEngine()
    second.add_symbol()
    symbol = second.add_symbol()
    second.restore(pack_orders(order._replace(symbol=symbol) for order in orders))
    trade_id, prevented_id, priority, last_price = first.counters(0)
    second.set_counters(
        symbol,
        trade_id=trade_id,
        prevented_id=prevented_id,
        priority=priority,
        last_price=last_price,
    )
    second.set_halted(symbol, first.halted(0))
    second.check_invariants()
    assert second.state_hash(symbol) == first.state_hash(0)

    rest = commands[at:]
    moved = [command._replace(symbol=symbol) for command in rest]
    assert _run_in_batches(first, rest, [7]) == _run_in_batches(second, moved, [7])
    assert _l3(first, 0) == _l3(second, symbol)
    assert second.state_hash(symbol) == first.state_hash(0)


@settings(max_examples=200, deadline=None)
@given(commands=command_streams())
def test_every_accepted_lot_is_traded_prevented_reduced_lost_or_in_the_book(
    commands: list[Command],
) -> None:
    engine = _core.MatchingEngine()
    engine.add_symbol()
    lots_of_replacement: dict[int, int] = {}
    given_lots: dict[int, int] = defaultdict(int)
    used: dict[int, int] = defaultdict(int)
    ended: set[int] = set()
    by_quote: set[int] = set()

    def settle(order_id: int) -> None:
        if order_id not in by_quote:
            assert given_lots.pop(order_id) == used.pop(order_id, 0)
        ended.add(order_id)

    for event in unpack_events(engine.apply(pack_commands(commands))):
        if event.kind == EventKind.ACCEPTED:
            given_lots[event.order_id] = event.quantity
            used[event.order_id] = 0
            by_quote.discard(event.order_id)
            if event.number:
                by_quote.add(event.order_id)
        elif event.kind == EventKind.TRADE:
            assert event.quantity > 0
            used[event.order_id] += event.quantity
            used[event.other_id] += event.quantity
        elif event.kind == EventKind.PREVENTED:
            used[event.order_id] += event.quantity
            used[event.other_id] += event.remaining
        elif event.kind == EventKind.REDUCED:
            given_lots[event.order_id] -= event.number
        elif event.kind == EventKind.REPLACED:
            lots_of_replacement[event.order_id] = event.remaining
            given_lots[event.order_id] = event.quantity
            assert used[event.order_id] == event.quantity - event.remaining
        elif event.kind == EventKind.ENDED:
            used[event.order_id] += event.remaining
            settle(event.order_id)
    for order in unpack_orders(engine.orders(0)):
        assert given_lots[order.order_id] == order.quantity
        assert order.quantity - order.remaining == used[order.order_id]


@settings(max_examples=100, deadline=None)
@given(commands=command_streams(size_max=120))
def test_a_handle_names_one_order_from_rested_to_ended_within_a_batch(
    commands: list[Command],
) -> None:
    engine = _core.MatchingEngine()
    engine.add_symbol()
    for batch in _batches(commands, [30]):
        open_before = {o.handle: o.order_id for o in unpack_orders(engine.orders(0))}
        named = dict(open_before)
        for event in unpack_events(engine.apply(pack_commands(batch))):
            if event.handle == NO_HANDLE:
                continue
            meeting = event.kind in (EventKind.TRADE, EventKind.PREVENTED)
            order_id = event.other_id if meeting else event.order_id
            assert named.setdefault(event.handle, order_id) == order_id
        for order in unpack_orders(engine.orders(0)):
            assert named[order.handle] == order.order_id
            assert order.type != OrderType.MARKET
