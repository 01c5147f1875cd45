"""What an account did and holds."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from trading_backend.balances import balances_of
from trading_backend.replica import Replica, now_ms
from trading_backend.requests import signed
from trading_backend.routes import answers
from trading_backend.routes.market_data import page_of
from trading_backend.routes.read_parameters import documented
from trading_backend.store import Page
from trading_backend.symbol_formats import SymbolFormat
from trading_contract.wire import EndReason, Reply

ORDERS = ("symbol", "orderId", "startTime", "endTime", "limit")
TRADES = ("symbol", "orderId", "startTime", "endTime", "fromId", "limit")
ACCOUNT = ("omitZeroBalances",)
# The words of the native order entry (`render.cpp`); a test compares its answers with ours.
EXPIRY_REASONS = {
    EndReason.IOC_UNFILLED: "UNFILLED_IOC_QUANTITY_EXPIRED",
    EndReason.FOK_UNFILLED: "UNFILLED_FOK_ORDER_EXPIRED",
    EndReason.NO_LIQUIDITY: "INSUFFICIENT_LIQUIDITY",
    EndReason.PRICE_BAND: "EXECUTION_RULE_PRICE_RANGE_EXCEEDED",
    EndReason.EXCHANGE: "EXCHANGE_CANCELED",
}


def _signed(known: tuple[str, ...], example: Any) -> dict[str, Any]:
    return documented(known, "symbol", answer=answers.content(example), signed=True)


def order_json(style: SymbolFormat, order: Reply) -> dict[str, Any]:
    """An order as GET order and allOrders show it."""
    shown = {
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
        "stopPrice": "0",
        "icebergQty": "0",
        "time": order.created_us // 1000,
        "updateTime": order.time_us // 1000,
        "isWorking": True,
        "workingTime": order.created_us // 1000,
        "selfTradePreventionMode": order.self_trade.name,
    }
    if order.prevented:
        shown["preventedQuantity"] = style.quantity(order.prevented)
    if order.end_reason in EXPIRY_REASONS:
        shown["expiryReason"] = EXPIRY_REASONS[order.end_reason]
    return shown


async def all_orders_of(replica: Replica, symbol: str, account: int, page: Page) -> list[Reply]:
    """Open ones as their engine knows them, ended ones from the shard; each once, by id.

    The engine is asked first: an order that ends in between is then in both, never in none.
    """
    least, since, until = page.bounds
    orders = {
        order.order_id: order
        for order in await replica.partitions.query_open(symbol, account)
        if order.order_id >= least and since <= order.created_us <= until
    }
    closed = await replica.store.closed_orders(symbol, account, page)
    orders |= {order.order_id: order for order in closed}
    found = [orders[number] for number in sorted(orders)]
    return found[: page.limit] if page.order == "ASC" else found[-page.limit :]


def account_routes(replica: Replica) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v3", tags=["account"])
    _add_lists(router, replica)
    _add_account(router, replica)
    return router


def _add_lists(router: APIRouter, replica: Replica) -> None:
    @router.get(
        "/allOrders", summary="All orders of a symbol",
        openapi_extra=_signed(ORDERS, [answers.ORDER]),
    )  # fmt: skip
    async def all_orders(request: Request) -> list[dict[str, Any]]:
        account, given = await signed(replica, request, ORDERS, 20)
        style = replica.format(given.symbol())
        page = page_of(given, "orderId")
        orders = await all_orders_of(replica, given.symbol(), account, page)
        return [order_json(style, order) for order in orders]

    @router.get(
        "/myTrades", summary="Your trades of a symbol",
        openapi_extra=_signed(TRADES, [answers.MY_TRADE]),
    )  # fmt: skip
    async def my_trades(request: Request) -> list[dict[str, Any]]:
        account, given = await signed(replica, request, TRADES, 20)
        style = replica.format(given.symbol())
        page = page_of(given, "fromId")
        rows = await replica.store.trades_of(
            given.symbol(), account, page, given.number("orderId", 0)
        )
        return [
            _trade_json(style, row, maker=maker)
            for row in rows
            for side, maker in (("taker_account", False), ("maker_account", True))
            if row[side] == account
        ]


def _add_account(router: APIRouter, replica: Replica) -> None:
    @router.get(
        "/account", summary="Positions: the sum of an account's trades per asset, maybe negative",
        openapi_extra=documented(ACCOUNT, answer=answers.content(answers.ACCOUNT), signed=True),
    )  # fmt: skip
    async def account(request: Request) -> dict[str, Any]:
        number, given = await signed(replica, request, ACCOUNT, 20)
        omit = given.chosen("omitZeroBalances", ("false", "true")) == "true"
        held = await balances_of(replica.store, replica.formats, number)
        return {
            "makerCommission": 0, "takerCommission": 0, "buyerCommission": 0, "sellerCommission": 0,
            "commissionRates": {"maker": "0", "taker": "0", "buyer": "0", "seller": "0"},
            "canTrade": True, "canWithdraw": False, "canDeposit": False, "brokered": False,
            "requireSelfTradePrevention": False, "preventSor": False, "updateTime": now_ms(),
            "accountType": "SPOT",
            "balances": [
                {"asset": each.asset, "free": each.amount, "locked": "0"}
                for each in held
                if not (omit and each.is_zero)
            ],
            "permissions": ["SPOT"], "uid": number,
        }  # fmt: skip

    @router.get(
        "/account/commission", summary="Commission rates: none",
        openapi_extra=_signed(("symbol",), answers.COMMISSION),
    )  # fmt: skip
    async def commission(request: Request) -> dict[str, Any]:
        _, given = await signed(replica, request, ("symbol",), 20)
        replica.format(given.symbol())
        none = {"maker": "0", "taker": "0", "buyer": "0", "seller": "0"}
        return {"symbol": given.symbol(), "standardCommission": none, "taxCommission": none}

    @router.get(
        "/rateLimit/order", summary="Orders counted against the limits",
        openapi_extra=documented(
            (), answer=answers.content([answers.ORDER_COUNT]), signed=True
        ),
    )  # fmt: skip
    async def order_counts(request: Request) -> list[dict[str, Any]]:
        number, _ = await signed(replica, request, (), 40)
        ten, day = replica.limits.order_counts(number)
        limits = replica.topology.limits
        rows = (
            ("SECOND", 10, limits.orders_per_10_seconds, ten),
            ("DAY", 1, limits.orders_per_day, day),
        )
        return [
            {"rateLimitType": "ORDERS", "interval": unit, "intervalNum": many, "limit": limit,
             "count": count}
            for unit, many, limit, count in rows
            if limit
        ]  # fmt: skip


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
