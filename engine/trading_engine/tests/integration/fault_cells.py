"""A matrix of faults: where a move stops, on which side of the write, and what hits it then."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from trading_engine.tests.integration.gate_proxy import Moment

FREEZE_SECONDS = 5.0


@dataclass(frozen=True)
class Cell:
    """One of the matrix."""

    point: str
    moment: Moment
    fault: str

    def __str__(self) -> str:
        return f"{self.fault} {self.moment} {self.point}"


def every_cell(points: Iterable[str], faults: Iterable[str]) -> list[Cell]:
    """Each fault before and after each write, in the order of these."""
    names = tuple(faults)
    return [Cell(p, m, f) for p in points for m in ("before", "after") for f in names]
