"""The parameters of the reading routes for OpenAPI; `requests.py` checks them."""

from __future__ import annotations

from typing import Any

from trading_backend.routes.answers import REFUSED, content

_WORDS: dict[str, tuple[str, str]] = {
    "symbol": ("string", "for example BTCUSDT"),
    "symbols": ("string", 'a JSON array, for example ["BTCUSDT","ETHUSDT"]; instead of symbol'),
    "permissions": ("string", "SPOT, as all symbols are"),
    "showPermissionSets": ("string", "true or false"),
    "limit": ("integer", "how many at most"),
    "fromId": ("integer", "those from this trade id on, oldest first; else the newest"),
    "startTime": ("integer", "those from this millisecond on, oldest first"),
    "endTime": ("integer", "those up to this millisecond"),
    "interval": ("string", "1s, 1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 8h, 12h or 1d"),
    "type": ("string", "FULL or MINI"),
    "orderId": ("integer", "orders from this id on, or the trades of this order"),
    "omitZeroBalances": ("string", "true or false"),
    "recvWindow": ("integer", "milliseconds, 5000 if missing, 60000 at most"),
    "timestamp": ("integer", "milliseconds since 1970"),
    "signature": ("string", "HMAC-SHA256 in hex over query and body as sent"),
}
_SIGNED = ("recvWindow", "timestamp", "signature")
_MEANINGS = {
    "400": "`code` and `msg` say what is wrong with which parameter",
    "503": "a shard or a partition does not answer now; try again",
}
_SIGNED_MEANINGS = {"401": "bad key", "418": "going on after 429", "429": "see Retry-After"}


def documented(
    known: tuple[str, ...], *mandatory: str, answer: dict[str, Any], signed: bool = False
) -> dict[str, Any]:
    """The `openapi_extra` of a route with these parameters; `answer`: see `answers.content`."""
    names = (*known, *_SIGNED) if signed else known
    needed = {*mandatory, "timestamp", "signature"}
    parameters: list[dict[str, Any]] = [
        {
            "name": name, "in": "query", "required": name in needed,
            "schema": {"type": _WORDS[name][0]}, "description": _WORDS[name][1],
        }
        for name in names
    ]  # fmt: skip
    if signed:
        parameters.append(
            {"name": "X-MBX-APIKEY", "in": "header", "required": True, "schema": {"type": "string"}}
        )
    meanings = _MEANINGS | (_SIGNED_MEANINGS if signed else {})
    return {
        "parameters": parameters,
        "responses": {
            "200": {"description": "what was asked for", "content": answer},
            **{s: {"description": m, "content": content(REFUSED)} for s, m in meanings.items()},
        },
    }
