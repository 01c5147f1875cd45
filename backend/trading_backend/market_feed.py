"""Market data of the symbols that somebody listens to: continuous books, events for all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from trading_backend.channels import Channels
from trading_backend.market_books import DepthEvent, GapError, MarketBook
from trading_backend.store import Page
from trading_contract.errors import WorldError
from trading_contract.wire import Depth

logger = logging.getLogger(__name__)

SNAPSHOT_LEVELS = 5000
SNAPSHOT_RETRY_SECONDS = 0.1
BUFFERED_MAX = 1000


class BookSource(Protocol):
    """Where whole books come from: the partition, after a barrier."""

    async def query_depth(self, symbol: str, levels: int) -> Depth:
        """The book's best levels; raises `WorldError`."""


class TradeSource(Protocol):
    """Where trades come from that were missed."""

    async def trades(self, symbol: str, page: Page) -> list[Any]:
        """Trades by id."""


class FeedListener(Protocol):
    """Somebody who wants to know."""

    def on_depth(self, symbol: str, book: MarketBook, event: DepthEvent) -> None:
        """The book has changed."""

    def on_trades(self, symbol: str, trades: list[tuple[int, ...]]) -> None:
        """By id: (trade id, price, quantity, maker order, taker order, taker side, time_us)."""


class SymbolFeed:
    """One symbol, as long as it has listeners."""

    def __init__(
        self, symbol: str, channels: Channels, books: BookSource, trades: TradeSource
    ) -> None:
        self.symbol = symbol
        self.book = MarketBook()
        self.listeners: list[FeedListener] = []
        self._books = books
        self._trades = trades
        self._last_trade = -1
        self._buffered: list[dict[str, Any]] = []
        self._resetting: asyncio.Task[None] | None = None
        self._end = channels.subscribe(f"{{{symbol}}}:market", self._on_message)
        self.reset()

    def close(self) -> None:
        """Nobody listens any more."""
        self._end()
        if self._resetting is not None:
            self._resetting.cancel()

    def _on_message(self, data: bytes) -> None:
        message = msgspec.msgpack.decode(data)
        if self._resetting is not None:
            if len(self._buffered) < BUFFERED_MAX:
                self._buffered.append(message)
            return
        self._apply(message)

    def _apply(self, message: dict[str, Any]) -> None:
        try:
            event = self.book.apply(message)
        except GapError:
            self._buffered = [message]
            self.reset()
            return
        trades = [tuple(t) for t in message["t"] if t[0] > self._last_trade]
        if trades and self._last_trade >= 0 and trades[0][0] != self._last_trade + 1:
            self._buffered = [message]
            self.reset()
            return
        self._tell(event, trades)

    def _tell(self, event: DepthEvent | None, trades: list[tuple[int, ...]]) -> None:
        if trades:
            self._last_trade = trades[-1][0]
            for listener in tuple(self.listeners):
                listener.on_trades(self.symbol, trades)
        if event is not None:
            for listener in tuple(self.listeners):
                listener.on_depth(self.symbol, self.book, event)

    def reset(self) -> None:
        """Take a whole picture as soon as one can be had."""
        if self._resetting is None:
            self._resetting = asyncio.get_running_loop().create_task(self._reset())

    async def _reset(self) -> None:
        while True:
            try:
                depth = await self._books.query_depth(self.symbol, SNAPSHOT_LEVELS)
                missed = await self._missed_trades()
                break
            except WorldError as problem:
                logger.info("%s: no snapshot yet: %s", self.symbol, problem)
                await asyncio.sleep(SNAPSHOT_RETRY_SECONDS)
        event = self.book.reset(depth.update_id, depth.bids, depth.asks)
        self._resetting = None
        self._tell(event, missed)
        waiting, self._buffered = self._buffered, []
        for message in waiting:
            if int(message["u"]) > self.book.update_id or message["t"]:
                self._apply(message)

    async def _missed_trades(self) -> list[tuple[int, ...]]:
        if self._last_trade < 0:
            newest = await self._trades.trades(self.symbol, Page(1))
            self._last_trade = newest[-1]["trade_id"] if newest else 0
            return []
        rows = await self._trades.trades(self.symbol, Page(1000, self._last_trade + 1))
        return [
            (
                r["trade_id"], r["price"], r["quantity"], r["maker_order_id"], r["taker_order_id"],
                r["taker_side"], r["time_us"],
            )
            for r in rows
        ]  # fmt: skip


class MarketFeed:
    """All symbol feeds of this replica."""

    def __init__(self, channels: Channels, books: BookSource, trades: TradeSource) -> None:
        self._channels = channels
        self._books = books
        self._trades = trades
        self._feeds: dict[str, SymbolFeed] = {}
        channels.restarted = self._restarted

    def listen(self, symbol: str, listener: FeedListener) -> Callable[[], None]:
        """Tell the listener of the symbol's events; returns what ends it."""
        feed = self._feeds.get(symbol)
        if feed is None:
            feed = SymbolFeed(symbol, self._channels, self._books, self._trades)
            self._feeds[symbol] = feed
        feed.listeners.append(listener)
        kept = feed

        def end() -> None:
            if listener in kept.listeners:
                kept.listeners.remove(listener)
            if not kept.listeners and self._feeds.get(symbol) is kept:
                del self._feeds[symbol]
                kept.close()

        return end

    def _restarted(self, channel: str) -> None:
        feed = self._feeds.get(channel[1 : channel.find("}")])
        if feed is not None:
            feed.reset()
