"""Public market data: book, trades, candles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import APIRouter, Request

from trading_backend.errors import ApiError
from trading_backend.replica import Replica, now_ms
from trading_backend.requests import Parameters, public
from trading_backend.routes import answers
from trading_backend.routes.read_parameters import documented
from trading_backend.shard_pools import Row
from trading_backend.store import UNTIL_MAX_US, Page
from trading_backend.stream_events import checksum, levels_json
from trading_backend.symbol_formats import SymbolFormat
from trading_contract.codes import Refusal

LEVELS_DEFAULT = 100
LEVELS_MAX = 5000
LEVELS_STORED = 1000  # in Redis
LATEST_MS = UNTIL_MAX_US // 1000
INTERVALS_US = {
    name: seconds * 1_000_000
    for name, seconds in {
        "1s": 1, "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "2h": 7200,
        "4h": 14_400, "6h": 21_600, "8h": 28_800, "12h": 43_200, "1d": 86_400,
    }.items()
}  # fmt: skip
DEPTH = ("symbol", "limit")
TRADES = ("symbol", "limit", "fromId")
AGGREGATES = ("symbol", "limit", "fromId", "startTime", "endTime")
KLINES = ("symbol", "interval", "limit", "startTime", "endTime")


class Book(msgspec.Struct):
    """A book in ticks and lots, best first; as partitions store it in Redis."""

    u: int
    b: list[tuple[int, int]]
    a: list[tuple[int, int]]
    lp: int


async def book_of(replica: Replica, symbol: str, levels: int) -> Book:
    """From Redis when deep enough, else from the engine. Raises `WorldError`."""
    if levels <= LEVELS_STORED:
        stored = await replica.channels.get(f"{{{symbol}}}:depth")
        if stored is not None:
            return msgspec.msgpack.decode(stored, type=Book)
    depth = await replica.partitions.query_depth(symbol, levels)
    return Book(depth.update_id, list(depth.bids), list(depth.asks), depth.last_price)


def page_of(given: Parameters, from_name: str) -> Page:
    """The part of a list that the request asks for."""
    since, until = window_of(given)
    known = given.values
    return Page(
        given.number("limit", 500, 1, 1000),
        given.number(from_name, 0) if from_name in known else None,
        since * 1000 if "startTime" in known else None,
        until * 1000,
    )


def window_of(given: Parameters) -> tuple[int, int]:
    """(startTime, endTime) in milliseconds; raises `ApiError` when there is nothing between."""
    since = given.number("startTime", 0, 0, LATEST_MS)
    until = given.number("endTime", LATEST_MS, 0, LATEST_MS)
    if since > until:
        raise ApiError(Refusal.INVALID_PARAMETER, "endTime")
    return since, until


def market_data_routes(replica: Replica) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v3", tags=["market data"])

    @router.get(
        "/depth", summary="The order book",
        openapi_extra=documented(DEPTH, "symbol", answer=answers.content(answers.DEPTH)),
    )  # fmt: skip
    async def depth(request: Request) -> dict[str, Any]:
        given = public(request, DEPTH)
        style = replica.format(given.symbol())
        limit = given.number("limit", LEVELS_DEFAULT, 1, LEVELS_MAX)
        book = await book_of(replica, given.symbol(), limit)
        return {
            "lastUpdateId": book.u,
            "bids": levels_json(style, book.b[:limit]),
            "asks": levels_json(style, book.a[:limit]),
            "c": checksum(style, (book.b, book.a)),
        }

    async def public_trades(request: Request) -> list[dict[str, Any]]:
        style, rows = await _trades_of(replica, request, TRADES)
        return [_trade(style, row) for row in rows]

    for path, summary in (
        ("/trades", "Newest trades"),
        ("/historicalTrades", "Trades from an id on"),
    ):
        router.add_api_route(
            path, public_trades, summary=summary, operation_id=f"get_{path[1:]}",
            openapi_extra=documented(TRADES, "symbol", answer=answers.content([answers.TRADE])),
        )  # fmt: skip

    @router.get(
        "/aggTrades", summary="Trades in short form, each by itself",
        openapi_extra=documented(
            AGGREGATES, "symbol", answer=answers.content([answers.AGGREGATE])
        ),
    )  # fmt: skip
    async def aggregate_trades(request: Request) -> list[dict[str, Any]]:
        style, rows = await _trades_of(replica, request, AGGREGATES)
        return [_aggregate(style, row) for row in rows]

    @router.get(
        "/klines", summary="Candles, computed from trades; intervals without any are left out",
        openapi_extra=documented(
            KLINES, "symbol", "interval", answer=answers.content([answers.CANDLE])
        ),
    )  # fmt: skip
    async def klines(request: Request) -> list[list[Any]]:
        given = public(request, KLINES)
        style = replica.format(given.symbol())
        width = INTERVALS_US.get(given.values.get("interval", ""))
        if width is None:
            raise ApiError(Refusal.INVALID_PARAMETER, "interval")
        limit = given.number("limit", 500, 1, 1000)
        since, until = (1000 * each for each in window_of(given))
        until = min(until, now_ms() * 1000)
        if "startTime" not in given.values:
            since = max(0, until - width * (limit - 1))
        first = (
            -(-since // width) * width if "startTime" in given.values else since // width * width
        )
        window = (first, until)
        rows = await replica.store.candles(given.symbol(), width, window, limit)
        return [_candle(style, width, row) for row in rows]

    return router


async def _trades_of(
    replica: Replica, request: Request, known: tuple[str, ...]
) -> tuple[SymbolFormat, Sequence[Row]]:
    """The grid of the symbol that was asked for, and its trades. Raises `ApiError`."""
    given = public(request, known)
    style = replica.format(given.symbol())
    return style, await replica.store.trades(given.symbol(), page_of(given, "fromId"))


def _trade(style: SymbolFormat, r: Any) -> dict[str, Any]:
    return {
        "id": r["trade_id"],
        "price": style.price(r["price"]),
        "qty": style.quantity(r["quantity"]),
        "quoteQty": style.notional(r["price"] * r["quantity"]),
        "time": r["time_us"] // 1000,
        "isBuyerMaker": r["taker_side"] == 1,
        "isBestMatch": True,
    }


def _aggregate(style: SymbolFormat, r: Any) -> dict[str, Any]:
    number = r["trade_id"]
    return {
        "a": number, "p": style.price(r["price"]), "q": style.quantity(r["quantity"]),
        "f": number, "l": number, "T": r["time_us"] // 1000, "m": r["taker_side"] == 1, "M": True,
    }  # fmt: skip


def _candle(style: SymbolFormat, width_us: int, r: Any) -> list[Any]:
    return [
        r["open_us"] // 1000, style.price(r["open"]), style.price(r["high"]), style.price(r["low"]),
        style.price(r["close"]), style.quantity(int(r["volume"])),
        (r["open_us"] + width_us) // 1000 - 1, style.notional(int(r["quote"])), r["count"],
        style.quantity(int(r["taker_volume"])), style.notional(int(r["taker_quote"])), "0",
    ]  # fmt: skip
