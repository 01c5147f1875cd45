"""What an account did and holds."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from decimal import Decimal
from typing import Any

from fastapi import APIRouter, Request

from trading_backend.replica import Replica, now_ms
from trading_backend.requests import Parameters, signed
from trading_backend.store import UNTIL_MAX_US, Page
from trading_backend.symbol_formats import SymbolFormat
from trading_contract.wire import OrderStatus, Reply


def order_json(style: SymbolFormat, order: Reply) -> dict[str, Any]:
    """An order as GET order and allOrders show it."""
    working = order.status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_id,
        "price": style.price(order.price),
        "origQty": style.quantity(order.quantity),
        "executedQty": style.quantity(order.executed),
        "origQuoteOrderQty": style.notional(0),
        "cummulativeQuoteQty": style.notional(order.executed_quote),
        "status": order.status.name,
        "timeInForce": order.time_in_force.name,
        "type": order.type.name,
        "side": order.side.name,
        "stopPrice": style.price(0),
        "icebergQty": style.quantity(0),
        "time": order.created_us // 1000,
        "updateTime": order.time_us // 1000,
        "isWorking": working,
        "workingTime": order.created_us // 1000,
        "selfTradePreventionMode": order.self_trade.name,
    }


def page_of(given: Parameters, from_name: str) -> Page:
    """The part of a list that the request asks for."""
    latest = UNTIL_MAX_US // 1000
    return Page(
        given.number("limit", 500, 1, 1000),
        given.number(from_name, 0),
        given.number("startTime", 0, 0, latest) * 1000,
        given.number("endTime", latest, 0, latest) * 1000,
    )


def account_routes(replica: Replica) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v3", tags=["account"])

    @router.get("/allOrders", summary="All orders of a symbol")
    async def all_orders(request: Request) -> list[dict[str, Any]]:
        known = ("symbol", "orderId", "startTime", "endTime", "limit")
        account, given = await signed(replica, request, known, 20)
        style = replica.format(given.symbol())
        orders = await replica.store.all_orders(given.symbol(), account, page_of(given, "orderId"))
        return [order_json(style, order) for order in orders]

    @router.get("/myTrades", summary="An account's trades of a symbol")
    async def my_trades(request: Request) -> list[dict[str, Any]]:
        known = ("symbol", "orderId", "startTime", "endTime", "fromId", "limit")
        account, given = await signed(replica, request, known, 20)
        style = replica.format(given.symbol())
        rows = await replica.store.trades_of(
            given.symbol(), account, page_of(given, "fromId"), given.number("orderId", 0)
        )
        out: list[dict[str, Any]] = []
        for row in rows:
            if row["taker_account"] == account:
                out.append(_trade_json(style, row, maker=False))
            if row["maker_account"] == account:
                out.append(_trade_json(style, row, maker=True))
        return out

    @router.get("/myPreventedMatches", summary="Matches with oneself that were prevented")
    async def my_prevented_matches(request: Request) -> list[dict[str, Any]]:
        known = ("symbol", "preventedMatchId", "orderId", "fromPreventedMatchId", "limit")
        await signed(replica, request, known, 10)
        return []

    @router.get("/account", summary="Positions: the sum of an account's trades per asset")
    async def account(request: Request) -> dict[str, Any]:
        number, _ = await signed(replica, request, ("omitZeroBalances",), 20)
        return {
            "makerCommission": 0, "takerCommission": 0, "buyerCommission": 0, "sellerCommission": 0,
            "commissionRates": {"maker": "0", "taker": "0", "buyer": "0", "seller": "0"},
            "canTrade": True, "canWithdraw": False, "canDeposit": False, "brokered": False,
            "requireSelfTradePrevention": False, "preventSor": False, "updateTime": now_ms(),
            "accountType": "SPOT", "balances": await _balances(replica, number),
            "permissions": ["SPOT"], "uid": number,
        }  # fmt: skip

    @router.get("/account/commission", summary="Commission rates: none")
    async def commission(request: Request) -> dict[str, Any]:
        _, given = await signed(replica, request, ("symbol",), 20)
        replica.format(given.symbol())
        none = {"maker": "0", "taker": "0", "buyer": "0", "seller": "0"}
        return {"symbol": given.symbol(), "standardCommission": none, "taxCommission": none}

    @router.get("/rateLimit/order", summary="Orders counted against the limits")
    async def order_counts(request: Request) -> list[dict[str, Any]]:
        number, _ = await signed(replica, request, (), 40)
        verdict = replica.limits.take_orders(number, 0)
        limits = replica.topology.limits
        rows = (
            ("SECOND", 10, limits.orders_per_10_seconds, verdict.order_count_10s),
            ("DAY", 1, limits.orders_per_day, verdict.order_count_1d),
        )
        return [
            {"rateLimitType": "ORDERS", "interval": unit, "intervalNum": many, "limit": limit,
             "count": max(0, count)}
            for unit, many, limit, count in rows
            if limit
        ]  # fmt: skip

    return router


def _trade_json(style: SymbolFormat, row: Any, *, maker: bool) -> dict[str, Any]:
    buyer = (row["taker_side"] == 0) != maker
    return {
        "symbol": row["symbol"],
        "id": row["trade_id"],
        "orderId": row["maker_order_id"] if maker else row["taker_order_id"],
        "orderListId": -1,
        "price": style.price(row["price"]),
        "qty": style.quantity(row["quantity"]),
        "quoteQty": style.notional(row["price"] * row["quantity"]),
        "commission": "0",
        "commissionAsset": style.rules.base_asset if buyer else style.rules.quote_asset,
        "time": row["time_us"] // 1000,
        "isBuyer": buyer,
        "isMaker": maker,
        "isBestMatch": True,
    }


async def _balances(replica: Replica, account: int) -> list[dict[str, Any]]:
    """Per asset; may be negative, as there are no deposits."""
    styles = list(replica.formats.values())
    sums = await asyncio.gather(*(replica.store.sums_of(s.rules.name, account) for s in styles))
    totals: defaultdict[str, Decimal] = defaultdict(Decimal)
    for style, (base, quote) in zip(styles, sums, strict=True):
        totals[style.rules.base_asset] += Decimal(style.quantity(base))
        totals[style.rules.quote_asset] += Decimal(style.notional(quote))
    return [
        {"asset": asset, "free": f"{total:f}", "locked": "0"} for asset, total in totals.items()
    ]
