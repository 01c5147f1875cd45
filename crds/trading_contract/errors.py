"""The error tree: three children, by who must act."""

from __future__ import annotations


class TradingError(Exception):
    """Something went wrong in the trading cluster."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().split("\n")[0])


class UserError(TradingError):
    """The request or the specification is wrong; repeating it unchanged will not help."""


class WorldError(TradingError):
    """Something outside is not as it should be right now; trying again later may help."""


class InvariantError(TradingError):
    """A promise of our own code is broken; stop rather than go on."""
