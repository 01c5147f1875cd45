"""What the routes answer, for OpenAPI: an example of each answer, and the schema that it has.

A test asks a running exchange and holds each answer against its schema.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_ID, _NAME, _TIME = 28, "my-order-1", 1_767_225_600_000
_START = {"symbol": "BTCUSDT", "orderId": _ID, "orderListId": -1}
_AMOUNTS = {
    "price": "50000.00", "origQty": "0.00100", "executedQty": "0.00050",
    "origQuoteOrderQty": "0.0000000", "cummulativeQuoteQty": "25.0000000",
}  # fmt: skip
_WORDS = {
    "status": "PARTIALLY_FILLED", "timeInForce": "GTC", "type": "LIMIT", "side": "BUY",
}  # fmt: skip
_PREVENTION = {"selfTradePreventionMode": "EXPIRE_TAKER"}
_FILL = {
    "price": "50000.00", "qty": "0.00050", "commission": "0", "commissionAsset": "BTC",
    "tradeId": 7,
}  # fmt: skip
# Left out where there is nothing to say, and by the shorter newOrderRespTypes.
_SOMETIMES = {"preventedQuantity": "0.00050", "expiryReason": "UNFILLED_IOC_QUANTITY_EXPIRED"}
_LONGER = (*_AMOUNTS, *_WORDS, *_PREVENTION, "workingTime", "fills")

PLACED = {
    **_START, "clientOrderId": _NAME, "transactTime": _TIME, **_AMOUNTS, **_WORDS,
    "workingTime": _TIME, **_PREVENTION, "fills": [_FILL],
}  # fmt: skip
CANCELLED = {
    **_START, "origClientOrderId": _NAME, "clientOrderId": "my-cancel-1", "transactTime": _TIME,
    **_AMOUNTS, **_WORDS, "status": "CANCELED", **_PREVENTION,
}  # fmt: skip
ORDER = {
    **_START, "clientOrderId": _NAME, **_AMOUNTS, **_WORDS, "stopPrice": "0", "icebergQty": "0",
    "time": _TIME, "updateTime": _TIME, "isWorking": True, "workingTime": _TIME, **_PREVENTION,
}  # fmt: skip
REPLACED = {
    "cancelResult": "SUCCESS", "newOrderResult": "SUCCESS", "cancelResponse": CANCELLED,
    "newOrderResponse": PLACED,
}  # fmt: skip
AMENDED = {
    "transactTime": _TIME, "executionId": 31,
    "amendedOrder": {
        **_START, "origClientOrderId": _NAME, "clientOrderId": _NAME, "price": "50000.00",
        "qty": "0.00090", "executedQty": "0.00050", "preventedQty": "0.00000",
        "quoteOrderQty": "0.0000000", "cumulativeQuoteQty": "25.0000000", **_WORDS,
        "workingTime": _TIME, **_PREVENTION,
    },
}  # fmt: skip
REFUSED = {"code": -1013, "msg": "Filter failure: PRICE_FILTER"}
MY_TRADE = {
    **_START, "id": 7, "price": "50000.00", "qty": "0.00050", "quoteQty": "25.0000000",
    "commission": "0", "commissionAsset": "BTC", "time": _TIME, "isBuyer": True, "isMaker": False,
    "isBestMatch": True,
}  # fmt: skip
_RATES = {"maker": "0", "taker": "0", "buyer": "0", "seller": "0"}
ACCOUNT = {
    "makerCommission": 0, "takerCommission": 0, "buyerCommission": 0, "sellerCommission": 0,
    "commissionRates": _RATES, "canTrade": True, "canWithdraw": False, "canDeposit": False,
    "brokered": False, "requireSelfTradePrevention": False, "preventSor": False,
    "updateTime": _TIME, "accountType": "SPOT",
    "balances": [{"asset": "BTC", "free": "0.00050", "locked": "0"}],
    "permissions": ["SPOT"], "uid": 2,
}  # fmt: skip
COMMISSION = {"symbol": "BTCUSDT", "standardCommission": _RATES, "taxCommission": _RATES}
_LIMIT = {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 1000}
ORDER_COUNT = {**_LIMIT, "count": 12}

TIME = {"serverTime": _TIME}
EXCHANGE_INFO = {
    "timezone": "UTC", "serverTime": _TIME, "rateLimits": [_LIMIT], "exchangeFilters": [],
    "symbols": [{
        "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "baseAssetPrecision": 5,
        "quoteAsset": "USDT", "quotePrecision": 2, "quoteAssetPrecision": 2,
        "baseCommissionPrecision": 8, "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"], "icebergAllowed": False,
        "ocoAllowed": False, "otoAllowed": False, "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False, "cancelReplaceAllowed": True, "amendAllowed": True,
        "isSpotTradingAllowed": True, "isMarginTradingAllowed": False,
        "filters": [{"filterType": "PRICE_FILTER"}], "permissions": ["SPOT"],
        "permissionSets": [["SPOT"]], "defaultSelfTradePreventionMode": "EXPIRE_TAKER",
        "allowedSelfTradePreventionModes": ["NONE", "EXPIRE_TAKER"],
    }],
}  # fmt: skip
DEPTH = {
    "lastUpdateId": 6, "bids": [["50000.00", "0.00100"]], "asks": [["50010.00", "0.00200"]],
    "c": 3_884_571_013,
}  # fmt: skip
TRADE = {
    "id": 7, "price": "50000.00", "qty": "0.00050", "quoteQty": "25.0000000", "time": _TIME,
    "isBuyerMaker": True, "isBestMatch": True,
}  # fmt: skip
AGGREGATE = {
    "a": 7, "p": "50000.00", "q": "0.00050", "f": 7, "l": 7, "T": _TIME, "m": True, "M": True,
}  # fmt: skip
CANDLE = [
    _TIME, "50000.00", "50010.00", "49990.00", "50005.00", "0.10000", _TIME + 59_999,
    "5000.0000000", 12, "0.06000", "3000.0000000", "0",
]  # fmt: skip
PRICE = {"symbol": "BTCUSDT", "price": "50000.00"}
BEST = {
    "symbol": "BTCUSDT", "bidPrice": "50000.00", "bidQty": "0.00100", "askPrice": "50010.00",
    "askQty": "0.00200",
}  # fmt: skip
MINI = {
    "symbol": "BTCUSDT", "openTime": _TIME, "closeTime": _TIME + 86_400_000,
    "openPrice": "50000.00", "highPrice": "50010.00", "lowPrice": "49990.00",
    "lastPrice": "50005.00", "volume": "0.10000", "quoteVolume": "5000.0000000", "firstId": 1,
    "lastId": 12, "count": 12,
}  # fmt: skip
DAY = {
    **BEST, **MINI, "prevClosePrice": "50000.00", "weightedAvgPrice": "50001.00",
    "priceChange": "5.00", "priceChangePercent": "0.010", "lastQty": "0.00050",
}  # fmt: skip

_OPTIONAL = {
    id(PLACED): (_LONGER, _SOMETIMES),
    id(CANCELLED): ((), _SOMETIMES),
    id(ORDER): ((), _SOMETIMES),
    id(DAY): (tuple(set(DAY) - set(MINI)), {}),
}


def schema_of(example: Any) -> Schema:
    """The schema of all answers of which this is one."""
    if isinstance(example, dict):
        left_out, sometimes = _OPTIONAL.get(id(example), ((), {}))
        return {
            "type": "object",
            "properties": {k: schema_of(v) for k, v in {**example, **sometimes}.items()},
            "required": [name for name in example if name not in left_out],
        }
    if isinstance(example, list):
        kinds = {type(each) for each in example}
        return {"type": "array", "items": schema_of(example[0]) if len(kinds) == 1 else {}}
    words = {bool: "boolean", int: "integer", str: "string"}
    return {"type": words[type(example)]}


def content(example: Any, schema: Schema | None = None) -> dict[str, Any]:
    """The `content` of a response."""
    return {
        "application/json": {"schema": schema or schema_of(example), "example": example},
    }


def one_or_many(example: dict[str, Any]) -> dict[str, Any]:
    """An object for `symbol`, else an array of them."""
    one = schema_of(example)
    return content(example, {"oneOf": [one, {"type": "array", "items": one}]})


def each_or_refused(example: dict[str, Any]) -> dict[str, Any]:
    """An array whose items are answers or errors."""
    items = {"anyOf": [schema_of(example), schema_of(REFUSED)]}
    return content([example, REFUSED], {"type": "array", "items": items})
