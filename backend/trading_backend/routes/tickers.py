"""Tickers: best prices, last price, the last 24 hours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request

from trading_backend.replica import Replica, now_ms
from trading_backend.requests import public
from trading_backend.routes.answers import BEST, PRICE, one_or_many
from trading_backend.routes.answers import DAY as DAY_ANSWER
from trading_backend.routes.general import wanted_symbols
from trading_backend.routes.market_data import book_of
from trading_backend.routes.read_parameters import documented
from trading_backend.store import UNTIL_MAX_US
from trading_backend.symbol_formats import SymbolFormat

DAY_MS = 86_400_000
AT_ONCE_MAX = 8  # symbols of one request
TICKER = ("symbol", "symbols")
DAY = ("symbol", "symbols", "type")
MINI = frozenset(
    ("symbol", "openPrice", "highPrice", "lowPrice", "lastPrice", "volume", "quoteVolume")
) | {"openTime", "closeTime", "firstId", "lastId", "count"}

Row = dict[str, Any]
Maker = Callable[[SymbolFormat], Awaitable[Row]]


def ticker_routes(replica: Replica) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v3/ticker", tags=["market data"])

    async def answer(request: Request, known: tuple[str, ...], make: Maker) -> Any:
        given = public(request, known)
        is_mini = given.chosen("type", ("FULL", "MINI")) == "MINI"
        slots = asyncio.Semaphore(AT_ONCE_MAX)

        async def one(style: SymbolFormat) -> Row:
            async with slots:
                row = await make(style)
            return {k: v for k, v in row.items() if k in MINI} if is_mini else row

        rows = await asyncio.gather(*(one(style) for style in wanted_symbols(replica, given)))
        return rows[0] if "symbol" in given.values else rows

    @router.get(
        "/bookTicker", summary="Best bid and ask",
        openapi_extra=documented(TICKER, answer=one_or_many(BEST)),
    )  # fmt: skip
    async def book_ticker(request: Request) -> Any:
        return await answer(request, TICKER, lambda style: _best(replica, style))

    @router.get(
        "/price", summary="Last price",
        openapi_extra=documented(TICKER, answer=one_or_many(PRICE)),
    )  # fmt: skip
    async def price(request: Request) -> Any:
        return await answer(request, TICKER, lambda style: _price(replica, style))

    @router.get(
        "/24hr", summary="The last 24 hours",
        openapi_extra=documented(DAY, answer=one_or_many(DAY_ANSWER)),
    )  # fmt: skip
    async def day(request: Request) -> Any:
        return await answer(request, DAY, lambda style: _day(replica, style))

    return router


async def _price(replica: Replica, style: SymbolFormat) -> Row:
    book = await book_of(replica, style.rules.name, 1)
    return {"symbol": style.rules.name, "price": style.price(book.lp)}


async def _best(replica: Replica, style: SymbolFormat) -> Row:
    book = await book_of(replica, style.rules.name, 1)
    (bid, *_), (ask, *_) = book.b or [(0, 0)], book.a or [(0, 0)]
    return {
        "symbol": style.rules.name,
        "bidPrice": style.price(bid[0]),
        "bidQty": style.quantity(bid[1]),
        "askPrice": style.price(ask[0]),
        "askQty": style.quantity(ask[1]),
    }


async def _day(replica: Replica, style: SymbolFormat) -> Row:
    now = now_ms()
    begin = now - DAY_MS
    # One interval as wide as all time holds all trades of the window.
    rows = await replica.store.candles(
        style.rules.name, UNTIL_MAX_US, (begin * 1000, now * 1000), 1
    )
    times = {"openTime": begin, "closeTime": now}
    traded = _traded(style, rows[0]) if rows else _untraded(style)
    return {**await _best(replica, style), **times, **traded}


def _untraded(style: SymbolFormat) -> Row:
    zero, none = style.price(0), style.quantity(0)
    prices = (
        "openPrice", "highPrice", "lowPrice", "lastPrice", "prevClosePrice", "weightedAvgPrice",
        "priceChange",
    )  # fmt: skip
    return {
        **dict.fromkeys(prices, zero), "priceChangePercent": "0.000", "lastQty": none,
        "volume": none, "quoteVolume": style.notional(0), "firstId": -1, "lastId": -1, "count": 0,
    }  # fmt: skip


def _traded(style: SymbolFormat, r: Any) -> Row:
    volume, quote = int(r["volume"]), int(r["quote"])
    change = 100 * (r["close"] - r["open"]) / r["open"]
    return {
        "openPrice": style.price(r["open"]), "highPrice": style.price(r["high"]),
        "lowPrice": style.price(r["low"]), "lastPrice": style.price(r["close"]),
        "prevClosePrice": style.price(r["open"]), "weightedAvgPrice": style.price(quote // volume),
        "priceChange": style.price(r["close"] - r["open"]), "priceChangePercent": f"{change:.3f}",
        "lastQty": style.quantity(r["last_quantity"]), "volume": style.quantity(volume),
        "quoteVolume": style.notional(quote), "firstId": r["first_id"], "lastId": r["last_id"],
        "count": r["count"],
    }  # fmt: skip
