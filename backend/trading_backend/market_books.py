"""Order books as clients of a stream see them: contiguous, whatever was lost on the way.

Pure: messages in, events out. Publications may be lost (restart of a partition, an emptied Redis,
a broken
connection). The next whole picture then becomes one event with the difference of the two books, so
update ids never have a gap for a client.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Levels = dict[int, int]


@dataclass
class DepthEvent:
    """Levels changed by updates `first` to `last`, in ticks and lots; quantity 0 removes."""

    first: int
    last: int
    bids: Levels = field(default_factory=dict)
    asks: Levels = field(default_factory=dict)

    def merge(self, later: DepthEvent) -> None:
        """Append the event that follows directly."""
        assert later.first == self.last + 1, "events do not follow each other"
        self.last = later.last
        self.bids.update(later.bids)
        self.asks.update(later.asks)


class GapError(Exception):
    """A message does not continue the book: a snapshot is needed."""


class MarketBook:
    """One symbol's book, kept from publications."""

    def __init__(self) -> None:
        self.update_id = -1  # nothing is known yet
        self.bids: Levels = {}
        self.asks: Levels = {}

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
        )
        _put(self.bids, event.bids)
        _put(self.asks, event.asks)
        self.update_id = last
        return event

    def reset(
        self,
        update_id: int,
        bids: Iterable[tuple[int, int]],
        asks: Iterable[tuple[int, int]],
    ) -> DepthEvent | None:
        """Take a whole picture; the event is the difference, None at first or when it is older."""
        if update_id <= self.update_id:
            return None
        before = self.update_id
        new_bids, new_asks = dict(bids), dict(asks)
        event = DepthEvent(
            before + 1,
            update_id,
            _difference(self.bids, new_bids),
            _difference(self.asks, new_asks),
        )
        self.update_id, self.bids, self.asks = update_id, new_bids, new_asks
        return event if before >= 0 else None

    def best(self) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
        """(best bid, best ask) as (price, quantity)."""
        bid = max(self.bids, default=None)
        ask = min(self.asks, default=None)
        return (
            None if bid is None else (bid, self.bids[bid]),
            None if ask is None else (ask, self.asks[ask]),
        )


def _put(levels: Levels, changes: Levels) -> None:
    for price, quantity in changes.items():
        if quantity:
            levels[price] = quantity
        else:
            levels.pop(price, None)


def _difference(old: Levels, new: Levels) -> Levels:
    changed = {price: quantity for price, quantity in new.items() if old.get(price) != quantity}
    changed.update(dict.fromkeys(old.keys() - new.keys(), 0))
    return changed
