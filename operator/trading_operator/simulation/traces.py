"""Loads over time: named ones, and those that a person brings as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from trading_contract.errors import UserError

DAY_SECONDS = 86_400.0
HOUR_SECONDS = 3600.0
LINES_MAX = 1_000_000


@dataclass(frozen=True)
class Trace:
    """What clients do, by seconds since the beginning.

    `demand(t)` is a factor of the base load; `hot(t)` gives factors of single symbols by their rank
    (0 = the busiest); `missing(t)` is the share of parts whose metrics are lost. `zipf` is the
    exponent by which symbols differ, 0 = not at all.
    """

    name: str
    seconds: float
    demand: Callable[[float], float] = field(default=lambda _t: 1.0)
    hot: Callable[[float], Mapping[int, float]] = field(default=lambda _t: {})
    missing: Callable[[float], float] = field(default=lambda _t: 0.0)
    zipf: float = 1.1


def _between(value: float, begin: float, end: float, t: float) -> float:
    return value if begin <= t < end else 1.0


def _opening(t: float) -> float:
    """Quiet, a spike of sixfold at 09:00 that dies away, a smaller one at the close."""
    hour = t % DAY_SECONDS / HOUR_SECONDS
    if hour < 9 or hour >= 17.5:
        return 0.25
    since = (hour - 9) * HOUR_SECONDS
    closing = 1.5 * math.exp(-((hour - 17.2) ** 2) / 0.02)
    return 0.8 + 5.0 * math.exp(-since / 600.0) + closing


def _day(t: float) -> float:
    """A wave with its top at noon."""
    return 1.0 - 0.7 * math.cos(2 * math.pi * t / DAY_SECONDS)


def _shifting(t: float) -> Mapping[int, float]:
    """A hot symbol that becomes another one twice, then none."""
    if 1200 <= t < 2400:
        return {5: 12.0}
    return {9: 16.0} if 2400 <= t < 3600 else {}


def _alternating(t: float) -> Mapping[int, float]:
    """Two symbols that take turns, at the cooldown of a slot."""
    return {1: 4.0} if int(t // 600) % 2 else {2: 4.0}


TRACES: Mapping[str, Trace] = {
    each.name: each
    for each in (
        Trace("constant", 2 * HOUR_SECONDS, zipf=0.0),
        Trace("zipf", 2 * HOUR_SECONDS),
        Trace("step", 2 * HOUR_SECONDS, demand=lambda t: _between(4.0, 1800, 3600, t), zipf=0.5),
        Trace("opening", 2 * DAY_SECONDS, demand=_opening),
        Trace("diurnal", 2 * DAY_SECONDS, demand=_day),
        Trace("hot-symbol", 2 * HOUR_SECONDS, hot=_shifting),
        Trace("alternation", 3 * HOUR_SECONDS, hot=_alternating),
        Trace(
            "dropout",
            2 * HOUR_SECONDS,
            demand=lambda t: _between(0.3, 1800, 5400, t),
            missing=lambda t: 0.3 if 1800 <= t < 5400 else 0.0,
        ),
    )
}


def trace_from_csv(text: str, name: str) -> Trace:
    """A trace of `seconds,factor[,rank,factor_of_symbol]`, one header line, at a constant step.

    `factor` is of the base load; the last two make one symbol hot in that line. Raises UserError
    with the line where something is missing, is no number, or where the times have a hole.
    """
    rows: list[tuple[float, float, int | None, float]] = []
    for number, row in enumerate(csv.reader(io.StringIO(text)), 1):
        if number > LINES_MAX:
            raise UserError(f"{name}: more than {LINES_MAX:,} lines; make the steps longer")
        if number == 1:
            if [cell.strip() for cell in row[:2]] != ["seconds", "factor"]:
                raise UserError(
                    f"{name}:1: begin with the line seconds,factor or "
                    "seconds,factor,rank,factor_of_symbol"
                )
            continue
        rows.append(_row(row, f"{name}:{number}"))
        _check_step(rows, f"{name}:{number}")
    if len(rows) < 2:
        raise UserError(f"{name}: at least two lines of load are needed")
    step = rows[1][0] - rows[0][0]

    def at(t: float) -> tuple[float, float, int | None, float]:
        return rows[min(len(rows) - 1, max(0, int(t // step)))]

    def hot(t: float) -> Mapping[int, float]:
        _, _, rank, factor = at(t)
        return {} if rank is None else {rank: factor}

    return Trace(name, len(rows) * step, demand=lambda t: at(t)[1], hot=hot)


def _row(row: list[str], where: str) -> tuple[float, float, int | None, float]:
    cells = [cell.strip() for cell in row]
    if len(cells) not in {2, 4} or not all(cells[:2]):
        raise UserError(f"{where}: a hole: give seconds and factor, or all four columns")
    try:
        numbers = [float(cell) for cell in cells if cell]
    except ValueError:
        raise UserError(f"{where}: {', '.join(cells)}: not all of these are numbers") from None
    if not all(math.isfinite(each) and each >= 0 for each in numbers):
        raise UserError(f"{where}: numbers must be finite and not negative")
    if len(numbers) == 2:
        return numbers[0], numbers[1], None, 1.0
    if len(numbers) != 4 or numbers[2] != int(numbers[2]):
        raise UserError(f"{where}: rank (a whole number) and factor_of_symbol go together")
    return numbers[0], numbers[1], int(numbers[2]), numbers[3]


def _check_step(rows: list[tuple[float, float, int | None, float]], where: str) -> None:
    if len(rows) == 1:
        if rows[0][0] != 0:
            raise UserError(f"{where}: the first line must be of second 0")
        return
    step, last = rows[1][0] - rows[0][0], rows[-1][0] - rows[-2][0]
    if step <= 0:
        raise UserError(f"{where}: times must rise")
    if abs(last - step) > 1e-6 * step:
        raise UserError(
            f"{where}: a hole: {last:g} s after the line before, where the first two are "
            f"{step:g} s apart"
        )
