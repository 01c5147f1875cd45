"""Order books as clients of a stream see them: contiguous, whatever was lost on the way.

Pure: messages in, events out. Publications may be lost (restart of a partition, an emptied Redis,
a broken connection). The next whole picture then becomes one event with the difference of the two
books, so update ids never have a gap for a client.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Levels = dict[int, int]
Level = tuple[int, int]


@dataclass
class DepthEvent:
    """Levels changed by updates `first` to `last`, in ticks and lots; quantity 0 removes."""

    first: int
    last: int
    bids: Levels = field(default_factory=dict)
    asks: Levels = field(default_factory=dict)
    time_us: int = 0  # of the newest update in it

    def merge(self, later: DepthEvent) -> None:
        """Append the event that follows directly."""
        assert later.first == self.last + 1, "events do not follow each other"
        self.last, self.time_us = later.last, later.time_us
        self.bids.update(later.bids)
        self.asks.update(later.asks)


class GapError(Exception):
    """A message does not continue the book: a snapshot is needed."""


class BookSide:
    """Quantities by price, and the prices in order."""

    def __init__(self, levels: Iterable[Level] = ()) -> None:
        self.levels: Levels = dict(levels)
        self.prices: list[int] = sorted(self.levels)

    def put(self, changes: Levels) -> None:
        """Set absolute quantities."""
        for price, quantity in changes.items():
            if quantity:
                if price not in self.levels:
                    insort(self.prices, price)
                self.levels[price] = quantity
            elif self.levels.pop(price, None) is not None:
                del self.prices[bisect_left(self.prices, price)]

    def lowest(self, count: int) -> list[Level]:
        """The best asks, best first."""
        return [(price, self.levels[price]) for price in self.prices[:count]]

    def highest(self, count: int) -> list[Level]:
        """The best bids, best first."""
        return [(price, self.levels[price]) for price in self.prices[: -count - 1 : -1]]


class MarketBook:
    """One symbol's book, kept from publications."""

    def __init__(self) -> None:
        self.update_id = -1  # nothing is known yet
        self._bids = BookSide()
        self._asks = BookSide()

    @property
    def bids(self) -> Levels:
        """Quantities of the bids by price; not to be changed."""
        return self._bids.levels

    @property
    def asks(self) -> Levels:
        """Quantities of the asks by price; not to be changed."""
        return self._asks.levels

    def best(self, count: int) -> tuple[list[Level], list[Level]]:
        """(bids, asks), best first, at most `count` a side."""
        return self._bids.highest(count), self._asks.lowest(count)

    def apply(self, message: Mapping[str, Any]) -> DepthEvent | None:
        """The event of one market message; None when it tells nothing new. Raises `GapError`."""
        first, last = int(message["U"]), int(message["u"])
        if self.update_id < 0 or first > self.update_id + 1:
            raise GapError(f"{first} does not follow {self.update_id}")
        if last <= self.update_id:
            return None
        event = DepthEvent(
            self.update_id + 1,
            last,
            {int(p): int(q) for p, q in message["b"]},
            {int(p): int(q) for p, q in message["a"]},
            int(message.get("T", 0)),
        )
        self._bids.put(event.bids)
        self._asks.put(event.asks)
        self.update_id = last
        return event

    def reset(
        self, update_id: int, bids: list[Level], asks: list[Level], levels_max: int = 0
    ) -> DepthEvent | None:
        """Take a whole picture; the event is the difference, None at first or when it is older.

        Sides are best first. One with `levels_max` levels (0: no bound) was cut off there: what
        was known below stays.
        """
        if update_id <= self.update_id:
            return None
        new_bids, new_asks = dict(bids), dict(asks)
        if levels_max and len(bids) >= levels_max:
            worst = bids[-1][0]
            new_bids |= {p: q for p, q in self.bids.items() if p < worst}
        if levels_max and len(asks) >= levels_max:
            worst = asks[-1][0]
            new_asks |= {p: q for p, q in self.asks.items() if p > worst}
        before, self.update_id = self.update_id, update_id
        event = DepthEvent(
            before + 1,
            update_id,
            _difference(self.bids, new_bids),
            _difference(self.asks, new_asks),
        )
        self._bids, self._asks = BookSide(new_bids.items()), BookSide(new_asks.items())
        return event if before >= 0 else None


def _difference(old: Levels, new: Levels) -> Levels:
    changed = {price: quantity for price, quantity in new.items() if old.get(price) != quantity}
    changed.update(dict.fromkeys(old.keys() - new.keys(), 0))
    return changed
