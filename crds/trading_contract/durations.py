"""How long things take: counts in fixed classes. Knows no clock; whoever counts says when to turn.

Counters are since the start, so that anybody can make rates of them. Quantiles are of the last one
to two turns: the state of now, which counters do not show to one who looks for the first time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

# Upper bounds of the classes, in microseconds; the last class has none. The native order entry has
# the same table.
BOUNDS_MICROSECONDS = (
    50, 100, 200, 300, 500, 750, 1_000, 1_500, 2_000, 3_000, 5_000, 7_500, 10_000, 15_000, 20_000,
    30_000, 50_000, 75_000, 100_000, 150_000, 200_000, 300_000, 500_000, 1_000_000, 2_000_000,
    5_000_000, 10_000_000,
)  # fmt: skip
BOUNDS_SECONDS = tuple(bound / 1e6 for bound in BOUNDS_MICROSECONDS)
CLASSES = len(BOUNDS_SECONDS) + 1


def quantile_seconds(counts: Sequence[float], share: float) -> float | None:
    """The duration that this share (0 to 1) stays below, within its class by proportion.

    None when nothing was counted. What lies above all bounds counts as the highest bound.
    """
    wanted = sum(counts) * share
    if wanted <= 0:
        return None
    below = 0.0
    for (low, high), count in zip(pairwise((0.0, *BOUNDS_SECONDS)), counts, strict=False):
        if below + count >= wanted:
            return low + (high - low) * (wanted - below) / count
        below += count
    return BOUNDS_SECONDS[-1]


class Durations:
    """Counts durations. Cheap enough for once per batch."""

    def __init__(self) -> None:
        self.counts = [0] * CLASSES
        self.sum_seconds = 0.0
        self._turned = list(self.counts)
        self._turned_before = list(self.counts)

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BOUNDS_SECONDS, seconds)] += 1
        self.sum_seconds += seconds

    def turn(self) -> None:
        """Begin a new turn; to be called every few seconds."""
        self._turned_before = self._turned
        self._turned = list(self.counts)

    def recent(self) -> list[int]:
        """The counts of this turn and of the one before."""
        return [now - then for now, then in zip(self.counts, self._turned_before, strict=True)]

    def replace(self, counts: Sequence[int], sum_seconds: float) -> None:
        """Take over what was counted elsewhere in the same classes."""
        self.counts = list(counts)
        self.sum_seconds = sum_seconds
