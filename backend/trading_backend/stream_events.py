"""Events of the public streams, as clients of this API expect them."""

from __future__ import annotations

import heapq
import zlib
from typing import Any

from trading_backend.market_books import DepthEvent, Levels, MarketBook
from trading_backend.symbol_formats import SymbolFormat

Best = tuple[tuple[int, int] | None, tuple[int, int] | None]
CHECKED_LEVELS = 10


def trade_event(style: SymbolFormat, trade: tuple[int, ...], now_ms: int) -> dict[str, Any]:
    """One trade."""
    number, price, quantity, maker, taker, taker_side, time_us = trade
    buyer, seller = (taker, maker) if taker_side == 0 else (maker, taker)
    return {
        "e": "trade", "E": now_ms, "s": style.rules.name, "t": number, "p": style.price(price),
        "q": style.quantity(quantity), "b": buyer, "a": seller, "T": time_us // 1000,
        "m": taker_side == 1, "M": True,
    }  # fmt: skip


def agg_trade_event(style: SymbolFormat, trade: tuple[int, ...], now_ms: int) -> dict[str, Any]:
    """One trade in the aggregate shape."""
    number, price, quantity, _, _, taker_side, time_us = trade
    return {
        "e": "aggTrade", "E": now_ms, "s": style.rules.name, "a": number,
        "p": style.price(price), "q": style.quantity(quantity), "f": number, "l": number,
        "T": time_us // 1000, "m": taker_side == 1, "M": True,
    }  # fmt: skip


def book_ticker_event(style: SymbolFormat, update_id: int, best: Best) -> dict[str, Any]:
    """Best bid and ask."""
    bid, ask = best[0] or (0, 0), best[1] or (0, 0)
    return {
        "u": update_id, "s": style.rules.name, "b": style.price(bid[0]),
        "B": style.quantity(bid[1]), "a": style.price(ask[0]), "A": style.quantity(ask[1]),
    }  # fmt: skip


def depth_event(
    style: SymbolFormat, event: DepthEvent, book: MarketBook, now_ms: int
) -> dict[str, Any]:
    """Levels that changed, with the checksum of the book after it."""
    return {
        "e": "depthUpdate", "E": now_ms, "s": style.rules.name, "U": event.first, "u": event.last,
        "b": _levels(style, event.bids.items()), "a": _levels(style, event.asks.items()),
        "c": checksum(style, book),
    }  # fmt: skip


def partial_depth_event(style: SymbolFormat, book: MarketBook, count: int) -> dict[str, Any]:
    """The best levels."""
    bids, asks = _best(book.bids, count, highest=True), _best(book.asks, count, highest=False)
    return {
        "lastUpdateId": book.update_id,
        "bids": _levels(style, bids),
        "asks": _levels(style, asks),
    }


def checksum(style: SymbolFormat, book: MarketBook) -> int:
    """CRC32 over the ten best asks, then the ten best bids.

    Price and quantity as published, without the point and leading zeros (the rule of Kraken's
    book checksum).
    """
    parts = []
    for price, quantity in [
        *_best(book.asks, CHECKED_LEVELS, highest=False),
        *_best(book.bids, CHECKED_LEVELS, highest=True),
    ]:
        texts = (style.price(price), style.quantity(quantity))
        parts += [text.replace(".", "").lstrip("0") for text in texts]
    return zlib.crc32("".join(parts).encode())


def _best(levels: Levels, count: int, *, highest: bool) -> list[tuple[int, int]]:
    pick = heapq.nlargest if highest else heapq.nsmallest
    return [(price, levels[price]) for price in pick(count, levels)]


def _levels(style: SymbolFormat, levels: Any) -> list[list[str]]:
    return [[style.price(price), style.quantity(quantity)] for price, quantity in levels]
