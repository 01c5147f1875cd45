"""Ping, time, exchangeInfo."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from trading_backend.replica import Replica, now_ms
from trading_backend.requests import Parameters
from trading_backend.symbol_formats import SymbolFormat

STP_MODES = ["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT"]
_NO_BOUND = "9000000000.00000000"


def general_routes(replica: Replica) -> APIRouter:
    """The public routes about the exchange itself."""
    router = APIRouter(prefix="/api/v3", tags=["general"])

    @router.get("/ping", summary="Is somebody there")
    async def ping() -> dict[str, Any]:
        return {}

    @router.get("/time", summary="The server's clock")
    async def time() -> dict[str, Any]:
        return {"serverTime": now_ms()}

    @router.get("/exchangeInfo", summary="Symbols with their filters, limits")
    async def exchange_info(request: Request) -> dict[str, Any]:
        given = Parameters(request, ("symbol", "symbols", "permissions", "showPermissionSets"))
        wanted = replica.formats
        if given.text("symbol"):
            wanted = {given.symbol(): replica.format(given.symbol())}
        elif given.text("symbols"):
            names = given.text("symbols").strip("[]").replace('"', "").split(",")
            wanted = {name: replica.format(name) for name in names}
        return {
            "timezone": "UTC",
            "serverTime": now_ms(),
            "rateLimits": _limits(replica),
            "exchangeFilters": [],
            "symbols": [_symbol(each) for each in wanted.values()],
        }

    return router


def _limits(replica: Replica) -> list[dict[str, Any]]:
    limits = replica.topology.limits
    rows = (
        ("REQUEST_WEIGHT", "MINUTE", 1, limits.request_weight_per_minute),
        ("ORDERS", "SECOND", 10, limits.orders_per_10_seconds),
        ("ORDERS", "DAY", 1, limits.orders_per_day),
    )
    return [
        {"rateLimitType": kind, "interval": unit, "intervalNum": number, "limit": limit}
        for kind, unit, number, limit in rows
        if limit
    ]


def _symbol(each: SymbolFormat) -> dict[str, Any]:
    rules = each.rules
    most = str(rules.max_quantity) if rules.max_quantity is not None else _NO_BOUND
    least = each.quantity(1) if rules.min_quantity is None else str(rules.min_quantity)
    filters: list[dict[str, Any]] = [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": each.price(1),
            "maxPrice": str(rules.max_price) if rules.max_price is not None else _NO_BOUND,
            "tickSize": each.price(1),
        },
        {"filterType": "LOT_SIZE", "minQty": least, "maxQty": most, "stepSize": each.quantity(1)},
        {
            "filterType": "NOTIONAL",
            "minNotional": str(rules.min_notional),
            "applyMinToMarket": False,
            "maxNotional": _NO_BOUND,
            "applyMaxToMarket": False,
            "avgPriceMins": 0,
        },
    ]
    if rules.price_band_percent:
        up, down = 1 + rules.price_band_percent / 100, max(0.0, 1 - rules.price_band_percent / 100)
        filters.append(
            {
                "filterType": "PERCENT_PRICE_BY_SIDE",
                "bidMultiplierUp": f"{up:g}",
                "bidMultiplierDown": f"{down:g}",
                "askMultiplierUp": f"{up:g}",
                "askMultiplierDown": f"{down:g}",
                "avgPriceMins": 0,
            }
        )
    return {
        "symbol": rules.name,
        "status": "TRADING" if rules.status == "TRADING" else "HALT",
        "baseAsset": rules.base_asset,
        "baseAssetPrecision": each.quantity_digits,
        "quoteAsset": rules.quote_asset,
        "quotePrecision": each.price_digits,
        "quoteAssetPrecision": each.price_digits,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": filters,
        "permissions": ["SPOT"],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": rules.self_trade_prevention,
        "allowedSelfTradePreventionModes": STP_MODES,
    }
