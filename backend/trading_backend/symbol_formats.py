"""Ticks and lots to the decimal strings of the API, exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from trading_contract.topology import SymbolRules, Topology

PLAIN = Decimal(1)


def _digits(step: Decimal) -> int:
    return max(0, -int(step.normalize().as_tuple().exponent))


def _text(value: Decimal, digits: int) -> str:
    return f"{value:.{digits}f}"


@dataclass(frozen=True)
class SymbolFormat:
    """How one symbol's numbers are written."""

    rules: SymbolRules
    price_digits: int
    quantity_digits: int

    @classmethod
    def of(cls, rules: SymbolRules) -> SymbolFormat:
        """The format that the symbol's grid asks for."""
        return cls(rules, _digits(rules.tick_size), _digits(rules.lot_size))

    def price(self, ticks: int) -> str:
        """A price."""
        return _text(ticks * self.rules.tick_size, self.price_digits)

    def quantity(self, lots: int) -> str:
        """A quantity."""
        return _text(lots * self.rules.lot_size, self.quantity_digits)

    def notional(self, units: int) -> str:
        """An amount of the quote asset, from ticks times lots."""
        digits = self.price_digits + self.quantity_digits
        return _text(units * self.rules.tick_size * self.rules.lot_size, digits)


def formats_of(topology: Topology) -> Mapping[str, SymbolFormat]:
    """The formats of all listed symbols."""
    return {rules.name: SymbolFormat.of(rules) for rules in topology.symbols}
