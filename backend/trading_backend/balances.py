"""What an account holds: the sum of its trades per asset, exact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from trading_backend.store import Store
from trading_backend.symbol_formats import SymbolFormat, fixed_point


class Balance(NamedTuple):
    """One asset. Negative when more was sold than bought, as there are no deposits."""

    asset: str
    amount: str
    is_zero: bool


async def balances_of(
    store: Store, formats: Mapping[str, SymbolFormat], account: int
) -> list[Balance]:
    """All assets of all symbols, by name; raises `WorldError` when a shard does not answer."""
    sums = await store.sums_of(account, list(formats))
    totals: dict[str, tuple[int, int]] = {}  # asset -> (units, digits)
    for name, style in formats.items():
        base, quote = sums.get(name, (0, 0))
        rules = style.rules
        _add(totals, rules.base_asset, base * style.lot, style.quantity_digits)
        _add(totals, rules.quote_asset, quote * style.tick * style.lot, style.notional_digits)
    return [
        Balance(asset, fixed_point(units, digits), units == 0)
        for asset, (units, digits) in sorted(totals.items())
    ]


def _add(totals: dict[str, tuple[int, int]], asset: str, units: int, digits: int) -> None:
    old_units, old_digits = totals.get(asset, (0, 0))
    most = max(digits, old_digits)
    totals[asset] = (
        old_units * 10 ** (most - old_digits) + units * 10 ** (most - digits),
        most,
    )
