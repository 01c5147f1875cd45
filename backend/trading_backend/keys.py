"""API keys: the file `api-keys.json`, and who signed a request."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from trading_backend.errors import ApiError
from trading_backend.order_entry import ApiKey
from trading_contract.api_keys import ApiKeys
from trading_contract.codes import Refusal
from trading_contract.errors import UserError

logger = logging.getLogger(__name__)

RECEIVE_WINDOW_DEFAULT_MS = 5000
RECEIVE_WINDOW_MAX_MS = 60_000
AHEAD_MAX_MS = 1000


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """All keys of the file; none when there is no file. Raises `UserError` when it is malformed."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return ()
    try:
        entries = ApiKeys.model_validate_json(text).keys
    except ValidationError as problem:
        raise UserError(f"{path.name}: {problem.errors()[0]['msg']}") from None
    return tuple(
        ApiKey(e.api_key, e.secret, e.account, frozenset(str(s) for s in e.scopes)) for e in entries
    )


class KeyRing:
    """Keys by name, and the rules of a signed request."""

    def __init__(self) -> None:
        self._keys: Mapping[str, ApiKey] = {}

    def replace(self, keys: tuple[ApiKey, ...]) -> None:
        """Use these from now on."""
        self._keys = {key.key: key for key in keys}

    def key(self, name: str) -> ApiKey:
        """The key of that name; raises `ApiError` -2014 or -2015."""
        if not name:
            raise ApiError(Refusal.KEY_FORMAT)
        key = self._keys.get(name)
        if key is None:
            raise ApiError(Refusal.KEY_REJECTED)
        return key

    def signed(
        self, name: str, payload: bytes, fields: Mapping[str, str], scope: str, now_ms: int
    ) -> int:
        """The account of a signed request; `payload` is what was signed. Raises `ApiError`."""
        key = self.key(name)
        given = fields.get("signature", "")
        if not given:
            raise ApiError(Refusal.MISSING_PARAMETER, "signature")
        wanted = hmac.new(key.secret.encode(), payload, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(wanted.encode(), given.lower().encode(errors="replace")):
            raise ApiError(Refusal.SIGNATURE)
        check_time(fields, now_ms)
        if scope not in key.scopes:
            raise ApiError(Refusal.KEY_REJECTED)
        return key.account


def check_time(fields: Mapping[str, str], now_ms: int) -> None:
    """Refuse a request from another time; raises `ApiError` -1021, -1102, -1100, -1131."""
    stamp = fields.get("timestamp", "")
    if not stamp:
        raise ApiError(Refusal.MISSING_PARAMETER, "timestamp")
    window = fields.get("recvWindow", str(RECEIVE_WINDOW_DEFAULT_MS))
    for name, text in (("timestamp", stamp), ("recvWindow", window)):
        if not text.isascii() or not text.isdigit() or len(text) > 19:
            raise ApiError(Refusal.ILLEGAL_INTEGER, name)
    if int(window) > RECEIVE_WINDOW_MAX_MS:
        raise ApiError(Refusal.RECV_WINDOW)
    if int(stamp) >= now_ms + AHEAD_MAX_MS:
        raise ApiError(Refusal.TIMESTAMP_AHEAD)
    if now_ms - int(stamp) > int(window):
        raise ApiError(Refusal.TIMESTAMP_OUTSIDE)
