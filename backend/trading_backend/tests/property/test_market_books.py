"""A client's book equals the exchange's, whatever messages are lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trading_backend.market_books import DepthEvent, GapError, MarketBook

CHANGES = st.lists(
    st.tuples(st.booleans(), st.integers(1, 6), st.integers(0, 3)), min_size=1, max_size=4
)
STEPS = st.lists(st.tuples(CHANGES, st.sampled_from(["told", "lost", "told twice"])), max_size=40)


class Exchange:
    """The true book, with messages as a partition makes them."""

    def __init__(self) -> None:
        self.update_id = 0
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}

    def change(self, changes: list[tuple[bool, int, int]]) -> dict[str, object]:
        """One update."""
        self.update_id += 1
        told: dict[str, dict[int, int]] = {"b": {}, "a": {}}
        for is_bid, price, quantity in changes:
            side, name = (self.bids, "b") if is_bid else (self.asks, "a")
            if quantity:
                side[price] = quantity
            else:
                side.pop(price, None)
            told[name][price] = quantity
        return {
            "U": self.update_id,
            "u": self.update_id,
            **{name: list(levels.items()) for name, levels in told.items()},
        }


class Client:
    """Applies events as the rule of the API says."""

    def __init__(self, book: MarketBook) -> None:
        self.last = book.update_id
        self.bids, self.asks = dict(book.bids), dict(book.asks)

    def take(self, event: DepthEvent | None) -> None:
        """One event; it must follow the one before."""
        if event is None:
            return
        assert event.first == self.last + 1
        self.last = event.last
        for side, levels in ((self.bids, event.bids), (self.asks, event.asks)):
            for price, quantity in levels.items():
                if quantity:
                    side[price] = quantity
                else:
                    side.pop(price, None)


@given(STEPS)
def test_events_never_have_a_gap_and_give_the_same_book(
    steps: list[tuple[list[tuple[bool, int, int]], str]],
) -> None:
    exchange, book = Exchange(), MarketBook()
    book.reset(0, (), ())
    client = Client(book)
    for changes, fate in steps:
        message = exchange.change(changes)
        for _ in range({"told": 1, "lost": 0, "told twice": 2}[fate]):
            try:
                client.take(book.apply(message))
            except GapError:
                client.take(
                    book.reset(exchange.update_id, exchange.bids.items(), exchange.asks.items())
                )
    client.take(book.reset(exchange.update_id, exchange.bids.items(), exchange.asks.items()))
    assert (client.bids, client.asks) == (exchange.bids, exchange.asks)
    assert client.last == exchange.update_id


@given(st.lists(CHANGES, min_size=1, max_size=10))
def test_merged_events_are_one_event(steps: list[list[tuple[bool, int, int]]]) -> None:
    exchange, book = Exchange(), MarketBook()
    book.reset(0, (), ())
    client = Client(book)
    merged: DepthEvent | None = None
    for changes in steps:
        event = book.apply(exchange.change(changes))
        assert event is not None
        if merged is None:
            merged = event
        else:
            merged.merge(event)
    client.take(merged)
    assert (client.bids, client.asks) == (exchange.bids, exchange.asks)
