"""Parameters of the reading routes: named, bounded, and never silently ignored."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request

from trading_backend.bodies import read_body
from trading_backend.errors import INSISTENT, ApiError
from trading_backend.replica import Replica, now_ms
from trading_contract.codes import Refusal

SIGNED = ("timestamp", "recvWindow", "signature")
BODY_BYTES_MAX = 1 << 16
SYMBOLS_MAX = 1000
_SYMBOL = re.compile(r"[A-Z0-9]{2,16}")
INT64_MAX = (1 << 63) - 1


class Parameters:
    """Query and form body of a request; raises `ApiError` for what is unknown or comes twice."""

    def __init__(self, known: tuple[str, ...], *texts: str) -> None:
        self.values: dict[str, str] = {}
        for name, value in (pair for t in texts for pair in parse_qsl(t, keep_blank_values=True)):
            if name in self.values:
                raise ApiError(Refusal.DUPLICATE_PARAMETER, name)
            if name not in known:
                raise ApiError(Refusal.UNKNOWN_PARAMETER, name[:40])
            self.values[name] = value

    def symbol(self) -> str:
        """The mandatory symbol."""
        found = self.values.get("symbol", "")
        if not found:
            raise ApiError(Refusal.MISSING_PARAMETER, "symbol")
        if not _SYMBOL.fullmatch(found):
            raise ApiError(Refusal.ILLEGAL_SYMBOL, "symbol")
        return found

    def symbols(self) -> list[str] | None:
        """What `symbol` or `symbols` (a JSON array) asks for; None: all."""
        if "symbol" in self.values:
            if "symbols" in self.values:
                raise ApiError(Refusal.COMBINATION, "symbol and symbols")
            return [self.symbol()]
        if "symbols" not in self.values:
            return None
        try:
            names = msgspec.json.decode(self.values["symbols"], type=list[str])
        except (msgspec.DecodeError, RecursionError):
            raise ApiError(Refusal.MALFORMED_JSON, "symbols") from None
        if not 1 <= len(names) <= SYMBOLS_MAX or len(set(names)) < len(names):
            raise ApiError(Refusal.INVALID_PARAMETER, "symbols")
        return names

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

    def chosen(self, name: str, choices: tuple[str, ...]) -> str:
        """One of these words; the first when it was not sent."""
        text = self.values.get(name, choices[0])
        if text not in choices:
            raise ApiError(Refusal.INVALID_PARAMETER, name)
        return text


def public(request: Request, known: tuple[str, ...]) -> Parameters:
    """The parameters of a public request. Raises `ApiError`."""
    return Parameters(known, request.scope["query_string"].decode("latin-1"))


async def signed(
    replica: Replica, request: Request, known: tuple[str, ...], weight: int
) -> tuple[int, Parameters]:
    """(account, parameters) of a signed reading request. Raises `ApiError`."""
    query, body = request.scope["query_string"].decode("latin-1"), await _body(request)
    parameters = Parameters((*known, *SIGNED), query, body)
    account = replica.keys.signed(
        request.headers.get("x-mbx-apikey", ""),
        (_unsigned(query) + _unsigned(body)).encode("latin-1"),
        parameters.values,
        "read",
        now_ms(),
    )
    verdict = replica.limits.take_weight(account, weight)
    request.state.used_weight = max(0, verdict.used_weight_1m)
    if not verdict.allowed:
        status = INSISTENT if replica.limits.is_insistent(account) else 0
        raise ApiError(Refusal.TOO_MUCH_WEIGHT, "", verdict.retry_after_seconds, status)
    return account, parameters


async def _body(request: Request) -> str:
    body = await read_body(request, BODY_BYTES_MAX)
    if body is None:
        raise ApiError(Refusal.BODY_TOO_LARGE)
    return body.decode("latin-1")


def _unsigned(text: str) -> str:
    """What was signed: everything as it was sent but the signature itself."""
    return "&".join(part for part in text.split("&") if not part.startswith("signature="))
