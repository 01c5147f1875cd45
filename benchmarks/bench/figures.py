"""Figures: medians with their ranges, against what they are held."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One figure: the median of `values`, beside that of the other side when there is one."""

    name: str
    unit: str
    values: Sequence[float]
    against: str = ""
    against_values: Sequence[float] = ()
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """Our median."""
        return statistics.median(self.values)

    @property
    def against_value(self) -> float | None:
        """Their median."""
        return statistics.median(self.against_values) if self.against_values else None

    @property
    def ratio(self) -> float | None:
        """Ours by theirs: above 1 is good for rates, below 1 for times."""
        other = self.against_value
        return self.value / other if other else None

    def as_json(self) -> dict[str, Any]:
        """The fixed fields, then what else is worth knowing."""
        ratio, other = self.ratio, self.against_value
        shown = {
            "name": self.name,
            "value": _rounded(self.value),
            "unit": self.unit,
            "against": self.against,
            "against_value": None if other is None else _rounded(other),
            "ratio": None if ratio is None else _rounded(ratio),
            "runs": len(self.values),
            "values": [_rounded(value) for value in self.values],
        }
        if self.against_values:
            shown["against_values"] = [_rounded(value) for value in self.against_values]
        return {**shown, **self.details}


def write(path: Path, machine: dict[str, Any], commit: str, figures: Sequence[Figure]) -> None:
    """The result file. What it tells of other names stays, each with its commit and machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(path.read_text()) if path.exists() else {"figures": []}
    fresh = [figure.as_json() | {"commit": commit} for figure in figures]
    result = {
        "machine": machine,
        "commit": commit,
        "figures": [*fresh, *_kept(before, {each["name"] for each in fresh}, machine)],
    }
    path.write_text(json.dumps(result, indent=1) + "\n")


def _kept(
    before: dict[str, Any], measured: set[str], machine: dict[str, Any]
) -> list[dict[str, Any]]:
    """The figures of a former result that were not measured again."""
    kept = []
    for figure in before["figures"]:
        if figure["name"] in measured:
            continue
        other = figure.get("machine", before.get("machine", {}))
        kept.append({"commit": before.get("commit", "unknown")} | figure)
        if other.get("cpu") != machine.get("cpu"):
            kept[-1]["machine"] = other
    return kept


def table(figures: Sequence[Figure]) -> str:
    """For people: name, median, range, the other side, the ratio."""
    head = ("figure", "median", "range", "unit", "against", "median", "range", "ratio", "runs")
    rows = [head]
    for each in figures:
        name = each.name
        for key, word in (("topology", ""), ("backends", " backends"), ("open_orders", " open")):
            if note := each.details.get(key):
                name += f" [{note}{word}]"
        other = each.against_value
        rows.append(
            (
                name, _text(each.value), _range(each.values), each.unit, each.against,
                "" if other is None else _text(other), _range(each.against_values),
                "" if each.ratio is None else f"{each.ratio:.2f}", str(len(each.values)),
            )
        )  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _range(values: Sequence[float]) -> str:
    return f"{_text(min(values))}..{_text(max(values))}" if values else ""


def _text(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _rounded(value: float) -> float:
    return round(value, 1) if abs(value) >= 1000 else float(f"{value:.4g}")
