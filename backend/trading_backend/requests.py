"""Parameters of the reading routes: named, bounded, and never silently ignored."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from starlette.requests import Request

from trading_backend.errors import ApiError
from trading_backend.replica import Replica, now_ms
from trading_contract.codes import Refusal

SIGNED = ("timestamp", "recvWindow", "signature")
_SYMBOL = re.compile(r"^[A-Z0-9]{2,16}$")
INT64_MAX = (1 << 63) - 1


class Parameters:
    """The query of one request. Raises `ApiError` for what it does not know or that comes twice."""

    def __init__(self, request: Request, known: tuple[str, ...]) -> None:
        self.raw = request.scope["query_string"].decode("latin-1")
        self.values: dict[str, str] = {}
        for name, value in parse_qsl(self.raw, keep_blank_values=True):
            if name in self.values:
                raise ApiError(Refusal.DUPLICATE_PARAMETER, name)
            if name not in known and name not in SIGNED:
                raise ApiError(Refusal.UNKNOWN_PARAMETER, name[:40])
            self.values[name] = value

    def symbol(self) -> str:
        """The mandatory symbol."""
        found = self.values.get("symbol", "")
        if not found:
            raise ApiError(Refusal.MISSING_PARAMETER, "symbol")
        if not _SYMBOL.match(found):
            raise ApiError(Refusal.ILLEGAL_SYMBOL, "symbol")
        return found

    def number(self, name: str, default: int, least: int = 0, most: int = INT64_MAX) -> int:
        """An integer parameter within bounds."""
        text = self.values.get(name)
        if text is None:
            return default
        if not text.isascii() or not text.isdigit() or len(text) > 19:
            raise ApiError(Refusal.ILLEGAL_INTEGER, name)
        value = int(text)
        if not least <= value <= most:
            raise ApiError(Refusal.INVALID_PARAMETER, name)
        return value

    def text(self, name: str, default: str = "") -> str:
        """A text parameter."""
        return self.values.get(name, default)


async def signed(
    replica: Replica, request: Request, known: tuple[str, ...], weight: int
) -> tuple[int, Parameters]:
    """(account, parameters) of a signed reading request. Raises `ApiError`."""
    parameters = Parameters(request, known)
    payload, body = parameters.raw, (await request.body()).decode("latin-1")
    at = payload.rfind("signature=")
    unsigned = payload[:at].rstrip("&") if at >= 0 else payload
    account = replica.keys.signed(
        request.headers.get("x-mbx-apikey", ""),
        unsigned + body,
        parameters.values,
        "read",
        now_ms(),
    )
    verdict = replica.limits.take_weight(account, weight)
    if not verdict.allowed:
        raise ApiError(Refusal.TOO_MUCH_WEIGHT, "", verdict.retry_after_seconds)
    return account, parameters
