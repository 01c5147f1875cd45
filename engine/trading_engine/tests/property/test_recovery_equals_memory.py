"""A sequencer that was rebuilt from what was committed goes on exactly as the one that was lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from trading_contract.wire import Command, Kind, OrderType, SelfTrade, Side, TimeInForce
from trading_engine.tests.sequenced import Harness

SYMBOLS = ("AA", "BB")
ids = st.integers(0, 12)


@st.composite
def commands(draw: st.DrawFn) -> Command:
    """A command near a small book, now and then one that must be refused."""
    kind = draw(
        st.sampled_from(
            [Kind.PLACE] * 6
            + [Kind.CANCEL, Kind.REDUCE, Kind.AMEND, Kind.REPLACE, Kind.CANCEL_REPLACE]
            + [Kind.CANCEL_ALL, Kind.QUERY_ORDER, Kind.QUERY_OPEN]
        )
    )
    places = kind in (Kind.PLACE, Kind.CANCEL_REPLACE)
    by_client = draw(st.booleans())
    return Command(
        0,
        kind,
        draw(st.sampled_from(SYMBOLS)),
        account=draw(st.integers(1, 3)),
        side=draw(st.sampled_from(Side)),
        type=draw(st.sampled_from([OrderType.LIMIT] * 3 + [OrderType.LIMIT_MAKER])),
        time_in_force=draw(st.sampled_from([TimeInForce.GTC] * 3 + [TimeInForce.IOC])),
        self_trade=draw(st.sampled_from(SelfTrade)),
        price=draw(st.integers(95, 105)),
        quantity=draw(st.integers(0, 9)),
        order_id=0 if by_client or kind is Kind.PLACE else draw(ids),
        client_id=f"c{draw(st.integers(0, 40))}" if places else "",
        target_client_id=f"c{draw(ids)}" if by_client and kind is not Kind.PLACE else "",
        flags=draw(st.integers(0, 1)),
    )


def _asked(world: Harness, batch: list[Command], sequencer: Any) -> list[Any]:
    """Replies of one batch, but nothing is committed."""
    numbered = [replace(c, request_id=n) for n, c in enumerate(batch, 1)]
    assert sequencer.enqueue(7, b"".join(c.pack() for c in numbered))
    done = sequencer.sequence(0, world.now_us, len(numbered))
    replies = world.replies(done, [c.request_id for c in numbered])
    return [[replace(reply, epoch=0) for reply in each] for each in replies]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.lists(commands(), min_size=1, max_size=8), min_size=1, max_size=12))
def test_what_was_committed_is_all_that_is_needed_to_go_on(batches: list[list[Command]]) -> None:
    world = Harness(*SYMBOLS)
    for batch in batches[:-1]:
        world.now_us += 1000
        world.ask(*batch)
    rebuilt = world.recovered()
    assert rebuilt.open_orders == world.sequencer.open_orders == len(world.tables.open_orders)
    assert rebuilt.idempotency_entries == world.sequencer.idempotency_entries
    books = [
        Command(0, Kind.QUERY_OPEN, symbol, account=account)
        for symbol in SYMBOLS
        for account in (1, 2, 3)
    ]
    depths = [Command(0, Kind.QUERY_DEPTH, symbol, quantity=50) for symbol in SYMBOLS]
    questions = [*books, *depths, *batches[-1], *books]
    wanted = _asked(world, questions, world.sequencer)
    wanted_depths, world.frames = [frame[2] for frame in world.frames], []
    actual = _asked(world, questions, rebuilt)
    actual_depths = [frame[2] for frame in world.frames]
    assert actual == wanted
    assert (
        [raw[:40] + raw[48:] for raw in actual_depths]
        == [  # all but the epoch
            raw[:40] + raw[48:] for raw in wanted_depths
        ]
    )


def _counters(world: Harness) -> dict[str, Any]:
    """symbol_state without `seq`, which is that of the batch's end."""
    return {
        symbol: {name: value for name, value in row.items() if name != "seq"}
        for symbol, row in world.tables.states.items()
    }


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(commands(), min_size=1, max_size=40), st.integers(1, 7))
def test_how_commands_are_cut_into_batches_does_not_matter(sent: list[Command], size: int) -> None:
    whole, cut = Harness(*SYMBOLS), Harness(*SYMBOLS)
    wanted = whole.ask(*sent)
    actual = []
    for at in range(0, len(sent), size):
        actual += cut.ask(*sent[at : at + size])
    assert actual == wanted
    assert cut.tables.open_orders == whole.tables.open_orders
    assert cut.tables.closed_orders == whole.tables.closed_orders
    assert cut.tables.trades == whole.tables.trades
    assert _counters(cut) == _counters(whole)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(commands(), min_size=1, max_size=60))
def test_rows_add_up(sent: list[Command]) -> None:
    world = Harness(*SYMBOLS)
    world.ask(*sent)
    orders = {**world.tables.open_orders, **world.tables.closed_orders}
    for key, order in orders.items():
        mine = [
            t
            for (symbol, _), t in world.tables.trades.items()
            if symbol == key[0] and key[1] in (t["maker_order_id"], t["taker_order_id"])
        ]
        sides = [
            (t["quantity"], t["price"] * t["quantity"])
            for t in mine
            for side in ("maker_order_id", "taker_order_id")
            if t[side] == key[1]
        ]
        assert order["executed"] == sum(quantity for quantity, _ in sides)
        assert order["executed_quote"] == sum(quote for _, quote in sides)
        if key in world.tables.open_orders:
            assert order["executed"] + order["prevented"] < order["quantity"]
    for symbol in SYMBOLS:
        numbers = sorted(number for name, number in world.tables.trades if name == symbol)
        assert numbers == list(range(1, len(numbers) + 1))
        placed = sorted(number for name, number in orders if name == symbol)
        assert placed == list(range(1, len(placed) + 1))
