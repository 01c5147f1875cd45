"""Ticks and lots to the decimal strings of the API, exactly: integers in, text out, no rounding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trading_backend.symbol_rows import step_of
from trading_contract.topology import SymbolRules, Topology


def fixed_point(units: int, digits: int) -> str:
    """`units` / 10**`digits` with all its digits."""
    if not digits:
        return str(units)
    text = str(abs(units)).rjust(digits + 1, "0")
    return f"{'-' if units < 0 else ''}{text[:-digits]}.{text[-digits:]}"


@dataclass(frozen=True, slots=True)
class SymbolFormat:
    """How one symbol's numbers are written. A tick is `tick` / 10**`price_digits`, a lot alike."""

    rules: SymbolRules
    tick: int
    lot: int
    price_digits: int
    quantity_digits: int

    @classmethod
    def of(cls, rules: SymbolRules) -> SymbolFormat:
        """The format that the symbol's grid asks for; raises `UserError` for a grid too fine."""
        tick, price_digits = step_of(rules.tick_size, f"{rules.name}.tickSize")
        lot, quantity_digits = step_of(rules.lot_size, f"{rules.name}.lotSize")
        return cls(rules, tick, lot, price_digits, quantity_digits)

    @property
    def notional_digits(self) -> int:
        """Decimals of amounts of the quote asset."""
        return self.price_digits + self.quantity_digits

    def price(self, ticks: int) -> str:
        """A price."""
        return fixed_point(ticks * self.tick, self.price_digits)

    def quantity(self, lots: int) -> str:
        """A quantity."""
        return fixed_point(lots * self.lot, self.quantity_digits)

    def notional(self, units: int) -> str:
        """An amount of the quote asset, from ticks times lots."""
        return fixed_point(units * self.tick * self.lot, self.notional_digits)


def formats_of(topology: Topology) -> Mapping[str, SymbolFormat]:
    """The formats of all listed symbols; raises `UserError`."""
    return {rules.name: SymbolFormat.of(rules) for rules in topology.symbols}
