"""Slots: half-open symbol ranges `[first, past)` that tile the symbol space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trading_contract.errors import InvariantError
from trading_contract.symbols import HIGHEST, LOWEST


@dataclass(frozen=True, order=True)
class SymbolRange:
    """`[first, past)`; bounds compare as bytes. Raises ValueError when it is empty."""

    first: str
    past: str

    def __post_init__(self) -> None:
        if self.first >= self.past:
            raise ValueError(f"empty symbol range [{self.first!r}, {self.past!r})")

    def contains(self, symbol: str) -> bool:
        """Whether the symbol lies in the range."""
        return self.first <= symbol < self.past

    def split(self, at: str) -> tuple[SymbolRange, SymbolRange]:
        """Two neighbours; `at` becomes the first of the right one."""
        return SymbolRange(self.first, at), SymbolRange(at, self.past)

    def merge(self, right: SymbolRange) -> SymbolRange:
        """One range of two neighbours; raises ValueError when they are not."""
        if self.past != right.first:
            raise ValueError(f"{self} and {right} are not neighbours")
        return SymbolRange(self.first, right.past)

    def __str__(self) -> str:
        return f"{self.first}..{'' if self.past == HIGHEST else self.past}"


def check_tiles(ranges: Sequence[SymbolRange]) -> None:
    """Raise `InvariantError` unless the sorted ranges cover the symbol space exactly once."""
    reached = LOWEST
    for each in sorted(ranges):
        if each.first != reached:
            problem = "overlap" if each.first < reached else "leave a gap"
            raise InvariantError(f"symbol ranges {problem} at {each}")
        reached = each.past
    if reached != HIGHEST:
        raise InvariantError(f"symbol ranges end at {reached!r}")
