"""A client's book equals the exchange's, whatever messages are lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trading_backend.market_books import DepthEvent, GapError, Level, MarketBook

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

    def picture(self) -> tuple[int, list[Level], list[Level]]:
        """The whole book, best first."""
        bids = sorted(self.bids.items(), reverse=True)
        return self.update_id, bids, sorted(self.asks.items())


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
    book.reset(0, [], [])
    client = Client(book)
    for changes, fate in steps:
        message = exchange.change(changes)
        for _ in range({"told": 1, "lost": 0, "told twice": 2}[fate]):
            try:
                client.take(book.apply(message))
            except GapError:
                client.take(book.reset(*exchange.picture()))
    client.take(book.reset(*exchange.picture()))
    _, bids, asks = exchange.picture()
    assert book.best(100) == (bids, asks)
    assert (client.bids, client.asks) == (exchange.bids, exchange.asks)
    assert client.last == exchange.update_id


@given(st.lists(CHANGES, min_size=1, max_size=10))
def test_merged_events_are_one_event(steps: list[list[tuple[bool, int, int]]]) -> None:
    exchange, book = Exchange(), MarketBook()
    book.reset(0, [], [])
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


def test_what_lies_below_a_cut_off_picture_stays() -> None:
    book = MarketBook()
    book.reset(1, [(9, 1), (8, 1), (7, 1)], [(11, 1), (12, 1), (13, 1)])
    event = book.reset(2, [(9, 2), (6, 5)], [(11, 2), (14, 5)], levels_max=2)
    assert event is not None
    assert event.bids == {9: 2, 8: 0, 7: 0, 6: 5}
    assert event.asks == {11: 2, 12: 0, 13: 0, 14: 5}
    book.reset(3, [(9, 2)], [(11, 2)], levels_max=1)
    assert book.best(9) == ([(9, 2), (6, 5)], [(11, 2), (14, 5)])
