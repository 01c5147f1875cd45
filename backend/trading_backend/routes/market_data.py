"""Public market data: book, trades, tickers, candles."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request

from trading_backend.errors import ApiError
from trading_backend.replica import Replica, now_ms
from trading_backend.requests import Parameters
from trading_backend.store import UNTIL_MAX_US, Page
from trading_backend.symbol_formats import SymbolFormat
from trading_contract.codes import Refusal

LEVELS_DEFAULT = 100
LEVELS_MAX = 5000
LEVELS_STORED = 1000  # in Redis
DAY_US = 86_400_000_000
INTERVALS_US = {
    "1s": 1, "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "2h": 7200,
    "4h": 14_400, "6h": 21_600, "8h": 28_800, "12h": 43_200, "1d": 86_400,
}  # fmt: skip


async def book_of(replica: Replica, symbol: str, levels: int) -> dict[str, Any]:
    """{u, b, a} in ticks and lots: from Redis when deep enough, else from the engine."""
    if levels <= LEVELS_STORED:
        stored = await replica.channels.get(f"{{{symbol}}}:depth")
        if stored is not None:
            found: dict[str, Any] = msgspec.msgpack.decode(stored)
            return found
    depth = await replica.partitions.query_depth(symbol, levels)
    return {"u": depth.update_id, "b": depth.bids, "a": depth.asks, "lp": depth.last_price}


def _window(given: Parameters) -> tuple[int, int]:
    since = given.number("startTime", 0) * 1000
    until = given.number("endTime", UNTIL_MAX_US // 1000) * 1000
    if since > until:
        raise ApiError(Refusal.INVALID_PARAMETER, "endTime")
    return since, until


def market_data_routes(replica: Replica) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v3", tags=["market data"])

    @router.get("/depth", summary="The order book")
    async def depth(request: Request) -> dict[str, Any]:
        given = Parameters(request, ("symbol", "limit"))
        style = replica.format(given.symbol())
        limit = given.number("limit", LEVELS_DEFAULT, 1, LEVELS_MAX)
        book = await book_of(replica, given.symbol(), limit)
        return {
            "lastUpdateId": book["u"],
            "bids": [[style.price(p), style.quantity(q)] for p, q in book["b"][:limit]],
            "asks": [[style.price(p), style.quantity(q)] for p, q in book["a"][:limit]],
        }

    async def public_trades(request: Request) -> list[dict[str, Any]]:
        given = Parameters(request, ("symbol", "limit", "fromId"))
        style = replica.format(given.symbol())
        limit = given.number("limit", 500, 1, 1000)
        rows = await replica.store.trades(given.symbol(), Page(limit, given.number("fromId", 0)))
        return [
            {
                "id": r["trade_id"],
                "price": style.price(r["price"]),
                "qty": style.quantity(r["quantity"]),
                "quoteQty": style.notional(r["price"] * r["quantity"]),
                "time": r["time_us"] // 1000,
                "isBuyerMaker": r["taker_side"] == 1,
                "isBestMatch": True,
            }
            for r in rows
        ]

    router.add_api_route("/trades", public_trades, summary="Newest trades")
    router.add_api_route("/historicalTrades", public_trades, summary="Trades from an id on")

    @router.get("/aggTrades", summary="Trades in short form")
    async def aggregate_trades(request: Request) -> list[dict[str, Any]]:
        given = Parameters(request, ("symbol", "limit", "fromId", "startTime", "endTime"))
        style = replica.format(given.symbol())
        since, until = _window(given)
        limit = given.number("limit", 500, 1, 1000)
        rows = await replica.store.trades(
            given.symbol(), Page(limit, given.number("fromId", 0), since, until)
        )
        return [
            {
                "a": r["trade_id"], "p": style.price(r["price"]),
                "q": style.quantity(r["quantity"]), "f": r["trade_id"], "l": r["trade_id"],
                "T": r["time_us"] // 1000, "m": r["taker_side"] == 1, "M": True,
            }
            for r in rows
        ]  # fmt: skip

    @router.get("/klines", summary="Candles, computed from trades")
    async def klines(request: Request) -> list[list[Any]]:
        given = Parameters(request, ("symbol", "interval", "limit", "startTime", "endTime"))
        style = replica.format(given.symbol())
        if given.text("interval") not in INTERVALS_US:
            raise ApiError(Refusal.INVALID_PARAMETER, "interval")
        width = INTERVALS_US[given.text("interval")] * 1_000_000
        limit = given.number("limit", 500, 1, 1000)
        since, _ = _window(given)
        since = since or now_ms() * 1000 - width * limit
        rows = await replica.store.candles(given.symbol(), width, since, limit)
        return [_candle(style, width, row) for row in rows]

    _add_tickers(router, replica)
    return router


def _candle(style: SymbolFormat, width_us: int, r: Any) -> list[Any]:
    return [
        r["open_us"] // 1000, style.price(r["open"]), style.price(r["high"]), style.price(r["low"]),
        style.price(r["close"]), style.quantity(int(r["volume"])), (r["open_us"] + width_us) //
        1000 - 1,
        style.notional(int(r["quote"])), r["count"], style.quantity(int(r["taker_volume"])), "0",
        "0",
    ]  # fmt: skip


def _add_tickers(router: APIRouter, replica: Replica) -> None:
    def wanted(given: Parameters) -> list[SymbolFormat]:
        if given.text("symbol"):
            return [replica.format(given.symbol())]
        if given.text("symbols"):
            names = given.text("symbols").strip("[]").replace('"', "").split(",")
            return [replica.format(name) for name in names]
        return list(replica.formats.values())

    def shaped(given: Parameters, rows: list[dict[str, Any]]) -> Any:
        return rows[0] if given.text("symbol") else rows

    @router.get("/ticker/bookTicker", summary="Best bid and ask")
    async def book_ticker(request: Request) -> Any:
        given = Parameters(request, ("symbol", "symbols"))
        return shaped(given, [await _best(replica, style) for style in wanted(given)])

    @router.get("/ticker/price", summary="Last price")
    async def price(request: Request) -> Any:
        given = Parameters(request, ("symbol", "symbols"))
        rows = []
        for style in wanted(given):
            book = await book_of(replica, style.rules.name, 1)
            rows.append({"symbol": style.rules.name, "price": style.price(book["lp"])})
        return shaped(given, rows)

    @router.get("/ticker/24hr", summary="The last 24 hours")
    async def day(request: Request) -> Any:
        given = Parameters(request, ("symbol", "symbols", "type"))
        return shaped(given, [await _day(replica, style) for style in wanted(given)])


async def _best(replica: Replica, style: SymbolFormat) -> dict[str, Any]:
    book = await book_of(replica, style.rules.name, 1)
    bid = book["b"][0] if book["b"] else (0, 0)
    ask = book["a"][0] if book["a"] else (0, 0)
    return {
        "symbol": style.rules.name,
        "bidPrice": style.price(bid[0]),
        "bidQty": style.quantity(bid[1]),
        "askPrice": style.price(ask[0]),
        "askQty": style.quantity(ask[1]),
    }


async def _day(replica: Replica, style: SymbolFormat) -> dict[str, Any]:
    now_us = now_ms() * 1000
    name = style.rules.name
    # One interval that begins a day ago: width chosen so that all of it falls into one group.
    rows = await replica.store.candles(name, UNTIL_MAX_US, now_us - DAY_US, 1)
    best = await _best(replica, style)
    zero = style.price(0)
    out = {
        **best, "openTime": now_ms() - DAY_US // 1000, "closeTime": now_ms(),
        "openPrice": zero, "highPrice": zero, "lowPrice": zero, "lastPrice": zero,
        "prevClosePrice": zero, "weightedAvgPrice": zero, "priceChange": zero,
        "priceChangePercent": "0.000", "lastQty": style.quantity(0), "volume": style.quantity(0),
        "quoteVolume": style.notional(0), "firstId": -1, "lastId": -1, "count": 0,
    }  # fmt: skip
    if rows:
        r = rows[0]
        volume, quote = int(r["volume"]), int(r["quote"])
        change = 100 * (r["close"] - r["open"]) / r["open"]
        out |= {
            "openPrice": style.price(r["open"]), "highPrice": style.price(r["high"]),
            "lowPrice": style.price(r["low"]), "lastPrice": style.price(r["close"]),
            "prevClosePrice": style.price(r["open"]),
            "priceChange": style.price(r["close"] - r["open"]),
            "priceChangePercent": f"{change:.3f}", "weightedAvgPrice": style.price(quote // volume),
            "volume": style.quantity(volume), "quoteVolume": style.notional(quote),
            "firstId": r["first_id"], "lastId": r["last_id"], "count": r["count"],
        }  # fmt: skip
    return out
