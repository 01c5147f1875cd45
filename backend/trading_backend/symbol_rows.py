"""Symbol rules as integers for the native order entry: exact, or refused by name."""

from __future__ import annotations

from decimal import Decimal

from trading_contract.errors import UserError
from trading_contract.topology import SymbolRules
from trading_contract.wire import SelfTrade

SymbolRow = tuple[str, str, str, int, int, int, int, int, int, int, int, int]
INT64_MAX = (1 << 63) - 1


def step_of(value: Decimal, field: str) -> tuple[int, int]:
    """(mantissa, scale) with value = mantissa / 10**scale and the smallest scale >= 0."""
    if not value.is_finite() or value <= 0:
        raise UserError(f"{field}: must be above zero, not {value}")
    scale = max(0, -int(value.normalize().as_tuple().exponent))
    mantissa = int(value.scaleb(scale))
    if scale > 18 or mantissa > INT64_MAX:
        raise UserError(f"{field}: {value} is outside what 64 bits can count")
    return mantissa, scale


def _steps(value: Decimal, step: Decimal, field: str, *, up: bool) -> int:
    """How many steps a bound is, rounded inwards: up for a minimum, down for a maximum."""
    quotient, rest = divmod(value, step)
    steps = int(quotient) + (1 if up and rest else 0)
    if not 0 <= steps <= INT64_MAX:
        raise UserError(f"{field}: {value} is outside what 64 bits can count")
    return steps


def symbol_row(rules: SymbolRules) -> SymbolRow:
    """The row of a symbol; raises `UserError` naming the field that does not fit."""
    name = rules.name
    tick = step_of(rules.tick_size, f"{name}.tickSize")
    lot = step_of(rules.lot_size, f"{name}.lotSize")
    if tick[1] + lot[1] > 18 or tick[0] * lot[0] > INT64_MAX:
        raise UserError(f"{name}: tickSize and lotSize together are finer than 18 decimals")
    least = 1
    if rules.min_quantity is not None:
        least = max(1, _steps(rules.min_quantity, rules.lot_size, f"{name}.minQuantity", up=True))
    quantity_max = price_max = 0
    if rules.max_quantity is not None:
        quantity_max = _steps(rules.max_quantity, rules.lot_size, f"{name}.maxQuantity", up=False)
    if rules.max_price is not None:
        price_max = _steps(rules.max_price, rules.tick_size, f"{name}.maxPrice", up=False)
    unit = rules.tick_size * rules.lot_size
    notional = _steps(rules.min_notional, unit, f"{name}.minNotional", up=True)
    mode = SelfTrade[rules.self_trade_prevention].value
    return (
        name, rules.base_asset, rules.quote_asset, *tick, *lot, least, quantity_max, price_max,
        notional, mode,
    )  # fmt: skip
