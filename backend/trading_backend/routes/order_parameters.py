"""The parameters of the order routes for OpenAPI: documentation only, the native parser checks."""

from __future__ import annotations

from typing import Any

from trading_backend.routes.answers import REFUSED, content

_WORDS: dict[str, tuple[str, str]] = {
    "symbol": ("string", "for example BTCUSDT"),
    "side": ("string", "BUY or SELL"),
    "type": ("string", "LIMIT, MARKET or LIMIT_MAKER (post-only)"),
    "timeInForce": ("string", "GTC, IOC or FOK; LIMIT only, and mandatory there"),
    "quantity": ("string", "a multiple of the symbol's stepSize"),
    "quoteOrderQty": ("string", "MARKET only, instead of quantity: spend at most this much"),
    "price": ("string", "a multiple of the symbol's tickSize; not for MARKET"),
    "newClientOrderId": (
        "string",
        "^[a-zA-Z0-9-_]{1,36}$, made by the server if missing; sent twice: first answer or 409",
    ),
    "newOrderRespType": ("string", "ACK, RESULT or FULL: the size of the answer only"),
    "selfTradePreventionMode": (
        "string", "NONE, EXPIRE_TAKER, EXPIRE_MAKER, EXPIRE_BOTH or DECREMENT",
    ),
    "orderId": ("integer", "this or origClientOrderId"),
    "origClientOrderId": ("string", "this or orderId"),
    "newQty": ("string", "above what is executed and below the present quantity"),
    "cancelReplaceMode": ("string", "STOP_ON_FAILURE or ALLOW_FAILURE"),
    "cancelOrderId": ("integer", "this or cancelOrigClientOrderId"),
    "cancelOrigClientOrderId": ("string", "this or cancelOrderId"),
    "cancelNewClientOrderId": ("string", "a name for the cancel itself"),
    "computeCommissionRates": ("boolean", "accepted, without effect"),
    "batchOrders": ("string", "a JSON array of orders, each with the parameters of POST /order"),
    "recvWindow": ("integer", "milliseconds, 5000 if missing, 60000 at most"),
    "timestamp": ("integer", "milliseconds since 1970"),
    "signature": ("string", "HMAC-SHA256 in hex over query and body as sent; the last parameter"),
}  # fmt: skip

SIGNED = ("recvWindow", "timestamp", "signature")
MANDATORY = {"symbol", "side", "type", "timestamp", "signature", "newQty", "cancelReplaceMode"}
ORDER = (
    "symbol", "side", "type", "timeInForce", "quantity", "quoteOrderQty", "price",
    "newClientOrderId", "newOrderRespType", "selfTradePreventionMode",
)  # fmt: skip
TARGET = ("symbol", "orderId", "origClientOrderId")

_MEANINGS = {
    "200": "committed on the shard",
    "400": "surely not applied; `code` and `msg` say why",
    "401": "bad key or signature",
    "409": "client order id seen with another order, or half of a cancelReplace done",
    "429": "rate limit; see Retry-After",
    "503": "surely not applied; retry with the same client order id",
    "504": "UNKNOWN: ask GET order by origClientOrderId, or send the same order again",
}


def documented(
    names: tuple[str, ...], answer: dict[str, Any], *, optional: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """The `openapi_extra` of a signed route with these parameters.

    `answer`: see `answers.content`.
    """
    parameters: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "query",
            "required": name in MANDATORY and name not in optional,
            "schema": {"type": _WORDS[name][0]},
            "description": _WORDS[name][1],
        }
        for name in (*names, *SIGNED)
    ]
    parameters.append(
        {"name": "X-MBX-APIKEY", "in": "header", "required": True, "schema": {"type": "string"}}
    )
    responses = {
        status: {
            "description": meaning,
            "content": answer if status == "200" else content(REFUSED),
        }
        for status, meaning in _MEANINGS.items()
    }
    return {"parameters": parameters, "responses": responses}
