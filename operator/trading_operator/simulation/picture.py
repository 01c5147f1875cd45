"""A picture of a run as SVG: load, parts, balance, moves with their pauses."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from trading_operator.planner.scaling.signals import Tier
from trading_operator.simulation.run import Outcome, Sample

WIDTH, LEFT, RIGHT, HEIGHT, GAP, TOP = 960, 70, 130, 120, 34, 40
POINTS_MAX = 600
COLOURS = ("#0b6e99", "#c0392b", "#2e7d32", "#8e5ea2")
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """Points (second, value), as a curve, as steps or as dots."""

    name: str
    points: Points
    is_step: bool = False
    is_dots: bool = False


@dataclass(frozen=True)
class Panel:
    """Lines over one scale; `form` writes its values."""

    title: str
    lines: Sequence[Line]
    form: Callable[[float], str] = lambda value: f"{value:,.0f}"


def picture(outcome: Outcome, title: str) -> str:
    """The whole SVG. Long runs are thinned; what is shown of a bucket is its highest."""
    seconds = max((each.seconds for each in outcome.samples), default=1.0)
    return drawn(title, _panels(outcome), seconds)


def drawn(title: str, panels: Sequence[Panel], seconds: float) -> str:
    """An SVG of panels, one below the other, over so many seconds."""
    seconds = seconds or 1.0
    height = TOP + len(panels) * (HEIGHT + GAP) + 24
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">'
        ),
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="20" font-size="15">{escape(title)}</text>',
    ]
    for at, panel in enumerate(panels):
        parts += _drawn(panel, TOP + at * (HEIGHT + GAP), seconds)
    parts += _hours(seconds, height - 10)
    return "\n".join([*parts, "</svg>", ""])


def _panels(outcome: Outcome) -> list[Panel]:
    samples = outcome.samples

    def line(name: str, of: Callable[[Sample], float], *, is_step: bool = False) -> Line:
        return Line(name, [(each.seconds, of(each)) for each in samples], is_step)

    def ready(tier: Tier) -> Callable[[Sample], float]:
        return lambda each: each.ready[tier]

    begun = [(at, float(len(move.ranges))) for at, move in outcome.moves]
    return [
        Panel("orders per second", [line("wanted", lambda each: each.demand),
                                     line("served", lambda each: each.demand * each.served)]),
        Panel("parts that are ready", [line(t.value, ready(t), is_step=True) for t in Tier]),
        Panel("utilisation of partitions", [line("highest", lambda each: each.highest),
                                             line("mean", lambda each: each.mean)],
               lambda value: f"{value:.0%}"),
        Panel("ranges of each move", [Line("moves", begun, is_dots=True)]),
        Panel("pause of each move, ms", [Line("pauses", outcome.pauses, is_dots=True)]),
    ]  # fmt: skip


def _drawn(panel: Panel, top: float, seconds: float) -> Iterator[str]:
    highest = max((value for line in panel.lines for _, value in line.points), default=0.0)
    highest = _round_up(highest)
    right = WIDTH - RIGHT

    def x(at: float) -> float:
        return LEFT + (right - LEFT) * at / seconds

    def y(value: float) -> float:
        return top + HEIGHT - HEIGHT * value / highest

    yield f'<text x="{LEFT}" y="{top - 6}" fill="#333">{escape(panel.title)}</text>'
    for value in (0.0, highest / 2, highest):
        yield (
            f'<line x1="{LEFT}" y1="{y(value):.1f}" x2="{right}" y2="{y(value):.1f}" '
            f'stroke="#ddd"/><text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end" '
            f'fill="#666">{escape(panel.form(value))}</text>'
        )
    for at, line in enumerate(panel.lines):
        colour = COLOURS[at % len(COLOURS)]
        yield (
            f'<text x="{right + 8}" y="{top + 12 + 16 * at}" fill="{colour}">'
            f"{escape(line.name)}</text>"
        )
        if line.is_dots:
            yield from (
                f'<circle cx="{x(t):.1f}" cy="{y(value):.1f}" r="2.5" fill="{colour}"/>'
                for t, value in line.points
            )
            continue
        points: list[str] = []
        before = None
        for t, value in _thinned(line.points, seconds):
            if line.is_step and before is not None:
                points.append(f"{x(t):.1f},{y(before):.1f}")
            points.append(f"{x(t):.1f},{y(value):.1f}")
            before = value
        yield (
            f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" '
            'stroke-width="1.5"/>'
        )


def _thinned(points: Points, seconds: float) -> Iterator[tuple[float, float]]:
    step = seconds / POINTS_MAX
    bucket, best = -1, 0.0
    for at, value in points:
        if int(at // step) != bucket:
            if bucket >= 0:
                yield bucket * step, best
            bucket, best = int(at // step), value
        best = max(best, value)
    if bucket >= 0:
        yield bucket * step, best


def _round_up(value: float) -> float:
    if value <= 0:
        return 1.0
    magnitude = 10.0 ** math.floor(math.log10(value))
    return next(m * magnitude for m in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if m * magnitude >= value)


def _hours(seconds: float, y: float) -> Iterator[str]:
    step = next(s for s in (60, 300, 900, 1800, 3600, 14_400, 43_200, 864_000) if seconds / s <= 13)
    for at in range(0, int(seconds) + 1, step):
        x = LEFT + (WIDTH - RIGHT - LEFT) * at / seconds
        yield (
            f'<text x="{x:.1f}" y="{y}" text-anchor="middle" fill="#666">'
            f"{at // 3600}:{at % 3600 // 60:02d}</text>"
        )
