"""The public streams by name: each made once, for all of its clients.

A topic (`btcusdt@depth@100ms`) listens to its symbol's feed as long as it has clients, and encodes
each event once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from trading_backend.market_books import DepthEvent, Level, MarketBook
from trading_backend.market_feed import Trade
from trading_backend.replica import Replica, now_ms
from trading_backend.stream_events import (
    agg_trade_event,
    book_ticker_event,
    depth_event,
    partial_depth_event,
    trade_event,
)
from trading_backend.symbol_formats import SymbolFormat
from trading_contract.errors import UserError

THROTTLE_SECONDS = 0.1
_TOPIC = re.compile(
    r"([a-z0-9]{2,16})@(?:(trade|aggTrade|bookTicker)|(depth(?:5|10|20)?)(?:@(0|100|1000)ms)?)"
)
_HELP = "write btcusdt@depth, btcusdt@trade or btcusdt@bookTicker"


class TopicClient(Protocol):
    """One connection."""

    def push(self, topic: str, event: bytes) -> None:
        """Take an event of the topic, as JSON."""


class Topics:
    """All streams that this replica's clients want."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._topics: dict[str, _Topic] = {}

    def check(self, name: str) -> None:
        """Raises `UserError` when there is no such stream."""
        match = _TOPIC.fullmatch(name)
        if match is None or match[1].upper() not in self._replica.formats:
            raise UserError(f"unknown stream {name[:40]!r}; {_HELP}")

    def join(self, name: str, client: TopicClient) -> Callable[[], None]:
        """Push the stream's events to the client; returns what ends it. Raises `UserError`."""
        self.check(name)
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = _Topic(self._replica, name)
        topic.clients.add(client)
        joined = topic

        def leave() -> None:
            joined.clients.discard(client)
            if not joined.clients and self._topics.get(name) is joined:
                del self._topics[name]
                joined.close()

        return leave


class _Topic:
    """One stream."""

    def __init__(self, replica: Replica, name: str) -> None:
        self.clients: set[TopicClient] = set()
        match = _TOPIC.fullmatch(name)
        assert match is not None, "checked before"
        symbol = match[1].upper()
        self._name = name
        self._style: SymbolFormat = replica.formats[symbol]
        self._kind = match[2] or match[3]
        self._pace = {None: THROTTLE_SECONDS, "0": 0.0, "100": 0.1, "1000": 1.0}[match[4]]
        self._pending: DepthEvent | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._best: tuple[list[Level], list[Level]] | None = None
        self._end = replica.feed.listen(symbol, self)

    def close(self) -> None:
        """Nobody wants it any more."""
        self._end()
        if self._timer is not None:
            self._timer.cancel()

    def _push(self, event: dict[str, Any]) -> None:
        data = msgspec.json.encode(event)
        for client in tuple(self.clients):
            client.push(self._name, data)

    def on_trades(self, trades: list[Trade]) -> None:
        """Trades of the symbol."""
        if self._kind in ("trade", "aggTrade"):
            make = trade_event if self._kind == "trade" else agg_trade_event
            for trade in trades:
                self._push(make(self._style, trade, now_ms()))

    def on_depth(self, book: MarketBook, event: DepthEvent) -> None:
        """Levels of the symbol."""
        if self._kind == "bookTicker":
            best = book.best(1)
            if best != self._best:
                self._best = best
                self._push(book_ticker_event(self._style, book.update_id, best))
        elif self._kind.startswith("depth"):
            if self._pending is None:
                self._pending = DepthEvent(
                    event.first, event.last, dict(event.bids), dict(event.asks), event.time_us
                )
            else:
                self._pending.merge(event)
            if self._timer is None:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(self._pace, self._flush, book)

    def _flush(self, book: MarketBook) -> None:
        self._timer = None
        event, self._pending = self._pending, None
        if event is None:
            return
        if self._kind == "depth":
            self._push(depth_event(self._style, event, book, now_ms()))
        else:
            self._push(partial_depth_event(self._style, book, int(self._kind[5:])))
