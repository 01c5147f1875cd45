"""Errors of the API: a row of the one table of refusals, with the parameter it is about."""

from __future__ import annotations

from trading_contract.codes import Refusal
from trading_contract.errors import TradingError

INSISTENT = 418  # for who goes on after 429


class ApiError(TradingError):
    """A request that is answered with `{"code", "msg"}`."""

    def __init__(
        self, refusal: Refusal, parameter: str = "", retry_after_seconds: int = 0, status: int = 0
    ) -> None:
        self.status, self.code = status or refusal.http, refusal.code
        self.message = refusal.message(parameter)
        self.retry_after_seconds = retry_after_seconds
        super().__init__(self.message)
