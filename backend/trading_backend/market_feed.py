"""Market data of the symbols that somebody listens to: continuous books, events for all."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from trading_backend.background import BackgroundLoop, end_tasks
from trading_backend.channels import Channels
from trading_backend.market_books import DepthEvent, GapError, MarketBook
from trading_backend.store import Page
from trading_contract.errors import WorldError
from trading_contract.wire import Depth

logger = logging.getLogger(__name__)

SNAPSHOT_LEVELS = 5000  # the most that a partition tells
SNAPSHOT_RETRY_SECONDS = 0.1
BUFFERED_MAX = 1000
TRADES_PER_READ = 1000
CHECK_SECONDS = 1.0

Trade = tuple[int, ...]


class StoredBook(msgspec.Struct):
    """What of `{SYMBOL}:depth` tells whether a book is behind."""

    u: int


class BookSource(Protocol):
    """Where whole books come from: the partition, after a barrier."""

    async def query_depth(self, symbol: str, levels: int) -> Depth:
        """The book's best levels; raises `WorldError`."""


class TradeSource(Protocol):
    """Where trades come from that were missed."""

    async def trades(self, symbol: str, page: Page) -> list[Any]:
        """Trades by id; raises `WorldError`."""


class FeedListener(Protocol):
    """Somebody who wants to know."""

    def on_depth(self, book: MarketBook, event: DepthEvent) -> None:
        """The book has changed."""

    def on_trades(self, trades: list[Trade]) -> None:
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
        self._again = False
        self._closed = False
        self._behind = -1  # the stored update id that the book had not reached when checked
        self._end = channels.subscribe(f"{{{symbol}}}:market", self._on_message, self.reset)
        self.reset()

    def close(self) -> None:
        """Nobody listens any more."""
        self._closed = True
        self._end()
        if self._resetting is not None:
            self._resetting.cancel()

    async def ended(self) -> None:
        """Wait, for a bounded time, until nothing runs any more. After `close`."""
        if self._resetting is not None:
            await end_tasks((self._resetting,), f"the snapshot of {self.symbol}")

    def check(self, stored_update_id: int) -> None:
        """Begin anew when the book stays behind what is stored: its last message was lost."""
        if self._resetting is None and self._behind >= 0 and self.book.update_id < self._behind:
            logger.info("%s: at %d, behind %d", self.symbol, self.book.update_id, self._behind)
            self.reset()
        self._behind = stored_update_id if stored_update_id > self.book.update_id else -1

    def _on_message(self, data: bytes) -> None:
        message = msgspec.msgpack.decode(data)
        if self._resetting is None:
            self._apply(message)
        elif len(self._buffered) < BUFFERED_MAX:  # what is lost here is found by its gap
            self._buffered.append(message)

    def _apply(self, message: dict[str, Any]) -> None:
        try:
            event = self.book.apply(message)
        except GapError:
            self._buffered.append(message)
            self.reset()
            return
        trades = [tuple(t) for t in message["t"] if t[0] > self._last_trade]
        if trades and self._last_trade >= 0 and trades[0][0] != self._last_trade + 1:
            trades = []  # all of them are read from the shard, in order
            self.reset()
        self._tell(event, trades)

    def _tell(self, event: DepthEvent | None, trades: list[Trade]) -> None:
        if trades:
            self._last_trade = trades[-1][0]
        for listener in tuple(self.listeners):
            try:
                if trades:
                    listener.on_trades(trades)
                if event is not None:
                    listener.on_depth(self.book, event)
            except Exception:  # one that fails must not silence the others
                logger.exception("%s: a listener failed", self.symbol)

    def reset(self) -> None:
        """Take a whole picture as soon as one can be had; once more when one is being taken."""
        self._again = True
        if self._resetting is None:
            self._resetting = asyncio.get_running_loop().create_task(self._reset())

    async def _reset(self) -> None:
        while self._again and not self._closed:
            self._again = False
            try:
                depth = await self._books.query_depth(self.symbol, SNAPSHOT_LEVELS)
                missed = await self._missed_trades()
            except WorldError as problem:
                logger.info("%s: no snapshot yet: %s", self.symbol, problem)
                self._again = True
            except Exception:
                logger.exception("%s: no snapshot", self.symbol)
                self._again = True
            else:
                event = self.book.reset(
                    depth.update_id, list(depth.bids), list(depth.asks), SNAPSHOT_LEVELS
                )
                if event is not None:
                    event.time_us = time.time_ns() // 1000
                self._tell(event, missed)
                # A full page of trades may not be all of them.
                self._again = self._again or len(missed) >= TRADES_PER_READ
                continue
            if not self._closed:
                await asyncio.sleep(SNAPSHOT_RETRY_SECONDS)
        self._resetting = None
        waiting, self._buffered = self._buffered, []
        for at, message in enumerate(waiting):
            self._apply(message)
            if self._is_resetting():
                self._buffered += waiting[at + 1 :]
                return

    def _is_resetting(self) -> bool:
        return self._resetting is not None

    async def _missed_trades(self) -> list[Trade]:
        if self._last_trade < 0:
            newest = await self._trades.trades(self.symbol, Page(1))
            self._last_trade = newest[-1]["trade_id"] if newest else 0
            return []
        page = Page(TRADES_PER_READ, self._last_trade + 1)
        rows = await self._trades.trades(self.symbol, page)
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
        self._checking = BackgroundLoop("books", self._check)

    def listen(self, symbol: str, listener: FeedListener) -> Callable[[], None]:
        """Tell the listener of the symbol's events; returns what ends it."""
        feed = self._feeds.get(symbol)
        if feed is None:
            feed = SymbolFeed(symbol, self._channels, self._books, self._trades)
            self._feeds[symbol] = feed
        feed.listeners.append(listener)
        self._checking.start()
        kept = feed

        def end() -> None:
            if listener in kept.listeners:
                kept.listeners.remove(listener)
            if not kept.listeners and self._feeds.get(symbol) is kept:
                del self._feeds[symbol]
                kept.close()

        return end

    async def close(self) -> None:
        """End all feeds."""
        feeds = list(self._feeds.values())
        self._feeds.clear()
        for feed in feeds:
            feed.close()
        await self._checking.close()
        await asyncio.gather(*(feed.ended() for feed in feeds))

    async def _check(self) -> None:
        """Compare with the stored books: a lost message with nothing after it leaves no gap."""
        await asyncio.sleep(CHECK_SECONDS)
        for symbol, feed in tuple(self._feeds.items()):
            if self._checking.ending:
                return
            stored = await self._channels.get(f"{{{symbol}}}:depth")
            if stored is not None:
                feed.check(msgspec.msgpack.decode(stored, type=StoredBook).u)
