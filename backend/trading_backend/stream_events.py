"""Events of the streams, as clients of this API expect them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

from trading_backend.balances import Balance
from trading_backend.market_books import DepthEvent, Level, MarketBook
from trading_backend.symbol_formats import SymbolFormat
from trading_contract.wire import EndReason, OrderStatus, OrderType, Side, TimeInForce

Sides = tuple[list[Level], list[Level]]  # (bids, asks), best first
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


def book_ticker_event(style: SymbolFormat, update_id: int, best: Sides) -> dict[str, Any]:
    """Best bid and ask."""
    (bid, *_), (ask, *_) = best[0] or [(0, 0)], best[1] or [(0, 0)]
    return {
        "u": update_id, "s": style.rules.name, "b": style.price(bid[0]),
        "B": style.quantity(bid[1]), "a": style.price(ask[0]), "A": style.quantity(ask[1]),
    }  # fmt: skip


def depth_event(
    style: SymbolFormat, event: DepthEvent, book: MarketBook, now_ms: int
) -> dict[str, Any]:
    """Levels that changed, with the checksum of the book after it."""
    return {
        "e": "depthUpdate", "E": now_ms, "T": event.time_us // 1000, "s": style.rules.name,
        "U": event.first, "u": event.last,
        "b": levels_json(style, event.bids.items()), "a": levels_json(style, event.asks.items()),
        "c": checksum(style, book.best(CHECKED_LEVELS)),
    }  # fmt: skip


def partial_depth_event(style: SymbolFormat, book: MarketBook, count: int) -> dict[str, Any]:
    """The best levels."""
    bids, asks = book.best(count)
    return {
        "lastUpdateId": book.update_id,
        "bids": levels_json(style, bids),
        "asks": levels_json(style, asks),
    }


def checksum(style: SymbolFormat, sides: Sides) -> int:
    """CRC32 over the ten best asks, then the ten best bids.

    Price and quantity as published, without the point and leading zeros (the rule of Kraken's
    book checksum).
    """
    bids, asks = sides
    parts = []
    for price, quantity in [*asks[:CHECKED_LEVELS], *bids[:CHECKED_LEVELS]]:
        texts = (style.price(price), style.quantity(quantity))
        parts += [text.replace(".", "").lstrip("0") for text in texts]
    return zlib.crc32("".join(parts).encode())


def levels_json(style: SymbolFormat, levels: Iterable[Level]) -> list[list[str]]:
    """Levels as [price, quantity]."""
    return [[style.price(price), style.quantity(quantity)] for price, quantity in levels]


def execution_report(style: SymbolFormat, x: dict[str, Any], now_ms: int) -> dict[str, Any]:
    """An `executionReport` of one execution, as partitions publish it."""
    status = OrderStatus(x["status"])
    kind = "TRADE_PREVENTION" if x["end_reason"] == EndReason.SELF_TRADE else x["kind"]
    client_id, original = x["client_id"], ""
    if x["kind"] == "CANCELED":
        original, client_id = client_id, x["target_client_id"] or client_id
    return {
        "e": "executionReport", "E": now_ms, "s": style.rules.name, "c": client_id, "C": original,
        "S": Side(x["side"]).name, "o": OrderType(x["type"]).name,
        "f": TimeInForce(x["time_in_force"]).name, "q": style.quantity(x["quantity"]),
        "p": style.price(x["price"]), "P": style.price(0), "F": style.quantity(0), "g": -1,
        "x": "REPLACED" if kind == "REDUCED" else kind, "X": status.name, "r": "NONE",
        "i": x["order_id"], "l": style.quantity(x["last_quantity"]),
        "z": style.quantity(x["executed"]), "L": style.price(x["last_price"]), "n": "0", "N": None,
        "T": x["time_us"] // 1000, "t": x["trade_id"] or -1,
        "w": status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED), "m": x["maker"], "M": False,
        "O": x["created_us"] // 1000, "Z": style.notional(x["executed_quote"]),
        "Y": style.notional(x["last_price"] * x["last_quantity"]), "Q": style.notional(0),
        "W": x["created_us"] // 1000,
    }  # fmt: skip


def position_event(held: list[Balance], now_ms: int) -> dict[str, Any]:
    """An `outboundAccountPosition`: all assets of the account."""
    return {
        "e": "outboundAccountPosition", "E": now_ms, "u": now_ms,
        "B": [{"a": each.asset, "f": each.amount, "l": "0"} for each in held],
    }  # fmt: skip
