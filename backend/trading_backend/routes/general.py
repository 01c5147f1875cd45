"""Ping, time, exchangeInfo."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from fastapi import APIRouter, Request

from trading_backend.errors import ApiError
from trading_backend.replica import Replica, now_ms
from trading_backend.requests import INT64_MAX, Parameters, public
from trading_backend.routes.answers import EXCHANGE_INFO, TIME, content
from trading_backend.routes.read_parameters import documented
from trading_backend.symbol_formats import SymbolFormat
from trading_contract.codes import Refusal

STP_MODES = ["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT"]
INFO = ("symbol", "symbols", "permissions", "showPermissionSets")


def wanted_symbols(replica: Replica, given: Parameters) -> list[SymbolFormat]:
    """The symbols that `symbol` or `symbols` names, or all. Raises `ApiError`."""
    names: Iterable[str] | None = given.symbols()
    return [replica.format(name) for name in (replica.formats if names is None else names)]


def general_routes(replica: Replica) -> APIRouter:
    """The public routes about the exchange itself."""
    router = APIRouter(prefix="/api/v3", tags=["general"])

    @router.get(
        "/ping", summary="Is somebody there", openapi_extra=documented((), answer=content({}))
    )
    async def ping(request: Request) -> dict[str, Any]:
        public(request, ())
        return {}

    @router.get(
        "/time", summary="The server's clock", openapi_extra=documented((), answer=content(TIME))
    )
    async def time(request: Request) -> dict[str, Any]:
        public(request, ())
        return {"serverTime": now_ms()}

    @router.get(
        "/exchangeInfo", summary="Symbols with their filters, limits",
        openapi_extra=documented(INFO, answer=content(EXCHANGE_INFO)),
    )  # fmt: skip
    async def exchange_info(request: Request) -> dict[str, Any]:
        given = public(request, INFO)
        given.chosen("showPermissionSets", ("true", "false"))
        if given.values.get("permissions", "SPOT").strip('[]"') != "SPOT":
            raise ApiError(Refusal.INVALID_PARAMETER, "permissions")
        return {
            "timezone": "UTC",
            "serverTime": now_ms(),
            "rateLimits": _limits(replica),
            "exchangeFilters": [],
            "symbols": [_symbol(each) for each in wanted_symbols(replica, given)],
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


def _plain(value: Decimal | None, default: str) -> str:
    """A bound without an exponent; `default` when there is none."""
    return default if value is None else f"{value:f}"


def _filters(each: SymbolFormat) -> list[dict[str, Any]]:
    rules = each.rules
    least, most = each.quantity(1), each.quantity(INT64_MAX // each.lot)
    filters: list[dict[str, Any]] = [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": each.price(1),
            "maxPrice": _plain(rules.max_price, each.price(INT64_MAX // each.tick)),
            "tickSize": each.price(1),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": _plain(rules.min_quantity, least),
            "maxQty": _plain(rules.max_quantity, most),
            "stepSize": least,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": _plain(rules.min_notional, "0"),
            "applyMinToMarket": False,
            "maxNotional": each.notional(INT64_MAX // (each.tick * each.lot)),
            "applyMaxToMarket": False,
            "avgPriceMins": 0,
        },
    ]
    if rules.price_band_percent:
        band = Decimal(rules.price_band_percent) / 100
        up, down = f"{1 + band:f}", f"{max(Decimal(0), 1 - band):f}"
        filters.append(
            {
                "filterType": "PERCENT_PRICE_BY_SIDE",
                "bidMultiplierUp": up,
                "bidMultiplierDown": down,
                "askMultiplierUp": up,
                "askMultiplierDown": down,
                "avgPriceMins": 0,
            }
        )
    if rules.max_open_orders_per_account:
        most_orders = rules.max_open_orders_per_account
        filters.append({"filterType": "MAX_NUM_ORDERS", "maxNumOrders": most_orders})
    return filters


def _symbol(each: SymbolFormat) -> dict[str, Any]:
    rules = each.rules
    return {
        "symbol": rules.name,
        "status": rules.status,
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
        "filters": _filters(each),
        "permissions": ["SPOT"],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": rules.self_trade_prevention,
        "allowedSelfTradePreventionModes": STP_MODES,
    }
