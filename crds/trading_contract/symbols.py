"""Symbols of a TradingCluster: their grid, their bounds, and ranges such as `A..H`."""

from __future__ import annotations

import re
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from trading_contract.model import ResourceModel

LOWEST = ""
HIGHEST = "~"  # above every symbol, as symbols are A-Z and 0-9
QUOTE_ASSETS = ("USDT", "USDC", "FDUSD", "BTC", "ETH", "BNB", "USD", "EUR", "GBP", "JPY", "TRY")
UNITS_MAX = 10**15  # ticks of a price, lots of a quantity

_RANGE = re.compile(r"^([A-Z0-9]{0,16})\.\.([A-Z0-9]{0,16})$")
DecimalText = Annotated[str, Field(max_length=37, pattern=r"^[0-9]{1,18}(\.[0-9]{1,18})?$")]


class SelfTradePrevention(StrEnum):
    """Who gives way when an account would trade with itself."""

    NONE = "NONE"
    EXPIRE_TAKER = "EXPIRE_TAKER"
    EXPIRE_MAKER = "EXPIRE_MAKER"
    EXPIRE_BOTH = "EXPIRE_BOTH"
    DECREMENT = "DECREMENT"


class SymbolPhase(StrEnum):
    """Whether new orders are taken."""

    TRADING = "TRADING"
    HALT = "HALT"


def parse_range(text: str) -> tuple[str, str]:
    """`A..H` -> ("A", "H"), half-open; `..H` and `P..` are open-ended.

    Raises ValueError that says what a range looks like.
    """
    match = _RANGE.match(text)
    if not match:
        raise ValueError(f"{text!r} is not a symbol range; write A..H, ..H or P..")
    first, past = match[1], match[2] or HIGHEST
    if first >= past:
        raise ValueError(f"{text!r} is empty: {first} does not come before {past}")
    return first, past


class SymbolSpec(ResourceModel):
    """One tradable symbol."""

    name: str = Field(
        pattern=r"^[A-Z0-9]{2,16}$", description="Name of the symbol, such as BTCUSDT."
    )
    base_asset: str | None = Field(
        default=None,
        pattern=r"^[A-Z0-9]{1,12}$",
        description="What is bought and sold. Default: the name without its quote asset.",
    )
    quote_asset: str | None = Field(
        default=None,
        pattern=r"^[A-Z0-9]{1,12}$",
        description="What prices are in. Default: the known asset that the name ends with.",
    )
    tick_size: DecimalText = Field(
        default="0.01", description="Smallest step of a price. Prices off this grid are refused."
    )
    lot_size: DecimalText = Field(
        default="0.0001", description="Smallest step of a quantity; also the smallest quantity."
    )
    min_notional: DecimalText = Field(
        default="0", description="Smallest price times quantity of an order."
    )
    max_quantity: DecimalText | None = Field(
        default=None, description="Largest quantity of one order. Default: no bound of its own."
    )
    price_band_percent: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="How far a limit price may lie from the last trade, in percent; 0 = anywhere.",
    )
    max_open_orders_per_account: int = Field(
        default=0, ge=0, le=1_000_000, description="Open orders of one account; 0 = no limit."
    )
    self_trade_prevention: SelfTradePrevention = Field(
        default=SelfTradePrevention.EXPIRE_TAKER,
        description="Mode of orders that name none themselves.",
    )
    status: SymbolPhase = Field(
        default=SymbolPhase.TRADING, description="HALT takes no new orders; cancels still work."
    )

    @field_validator("tick_size", "lot_size")
    @classmethod
    def _positive(cls, text: str) -> str:
        if Decimal(text) <= 0:
            raise ValueError("must be larger than 0")
        return text

    @model_validator(mode="after")
    def _assets_known(self) -> SymbolSpec:
        if (self.base_asset is None) != (self.quote_asset is None):
            raise ValueError("set baseAsset and quoteAsset both, or neither")
        if self.base_asset is None and not self._derived():
            raise ValueError(f"cannot tell the assets of {self.name}: set baseAsset and quoteAsset")
        if self.max_quantity is not None and Decimal(self.max_quantity) < Decimal(self.lot_size):
            raise ValueError("maxQuantity is smaller than lotSize")
        return self

    def _derived(self) -> tuple[str, str] | None:
        for quote in QUOTE_ASSETS:
            if self.name.endswith(quote) and len(self.name) > len(quote):
                return self.name[: -len(quote)], quote
        return None

    @property
    def assets(self) -> tuple[str, str]:
        """(base, quote), named or derived."""
        if self.base_asset and self.quote_asset:
            return self.base_asset, self.quote_asset
        derived = self._derived()
        assert derived is not None, "checked when the model was made"
        return derived


class PlacementSpec(ResourceModel):
    """Where a symbol range starts its life. Later, moves change it."""

    range: str = Field(
        max_length=34,
        json_schema_extra={"pattern": _RANGE.pattern},
        description="Half-open symbol range: A..H is A up to, not including, H; also ..H and P..",
    )
    shard: int | None = Field(
        default=None, ge=0, le=63, description="Index of the shard. Default: spread evenly."
    )
    partition: int | None = Field(
        default=None, ge=0, le=255, description="Index of the partition. Default: spread evenly."
    )

    @field_validator("range")
    @classmethod
    def _parses(cls, text: str) -> str:
        parse_range(text)
        return text

    @property
    def bounds(self) -> tuple[str, str]:
        """(first, past)."""
        return parse_range(self.range)
