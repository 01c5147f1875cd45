"""Averages of load over a fast and a slow window, their usual deviation, and recent peaks.

Kept as columns, one row per id, so that a hundred thousand rows fold in a few hundredths of a
second without a library for it.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import add

WINDOW_SECONDS = 1800.0  # the default of autoscaling.scaleInAfterSeconds
FAST_SECONDS = 15.0
SLOW_SECONDS = 300.0
JUMP_SECONDS = 5.0  # of the fast one where a look says clearly another thing
JUMP = 1.25
PEAK_WINDOWS = 7  # each as long as the slow one; the newest one has just begun
PEAK_WINDOWS_FULL = PEAK_WINDOWS - 1
STEP_SECONDS_MAX = 60.0  # a gap in the readings is no proof that the load was steady in it
Column = tuple[float, ...]


@dataclass(frozen=True)
class Averages:
    """Averages by id. Ids are sorted; columns have one value for each of them.

    `is_warm` is False until a slow window's worth of looks went in: then less load than before
    proves nothing yet. `slow_seconds` is the slow window, and how long each one of the peaks is.
    """

    ids: tuple[int, ...] = ()
    fast: Column = ()
    slow: Column = ()
    deviation: Column = ()
    peaks: tuple[Column, ...] = ()  # by window, the newest last
    at_seconds: float | None = None
    window_from_seconds: float = 0.0
    warm_seconds: float = 0.0
    slow_seconds: float = SLOW_SECONDS

    @property
    def is_warm(self) -> bool:
        """Whether they have seen enough to be believed when less is to be done."""
        return self.warm_seconds >= self.slow_seconds

    def steady(self, *, emergency: bool = False) -> list[float]:
        """What to plan for, by id: the slow average and its deviation.

        It is the fast average where that has jumped clear above them (a symbol that became hot
        would else be moved as if it were cold), in an emergency wherever it is more.
        """
        return self._urgent if emergency else self._calm

    def present(self) -> list[float]:
        """What to balance by: the slow average, or the fast one where that is clearly another.

        Without deviations: these are large while loads change, and would fill what has become free.
        """
        return [
            fast if max(fast, slow) > JUMP * min(fast, slow) else slow
            for fast, slow in zip(self.fast, self.slow, strict=True)
        ]

    # One look needs these several times over; they are no fields, so they do not count in `==`.

    @cached_property
    def usual(self) -> list[float]:
        """The slow average and its deviation, whatever holds now."""
        return list(map(add, self.slow, self.deviation))

    @cached_property
    def _calm(self) -> list[float]:
        return [f if f > JUMP * u else u for u, f in zip(self.usual, self.fast, strict=True)]

    @cached_property
    def _urgent(self) -> list[float]:
        return list(map(max, self.usual, self.fast))

    def peak(self) -> Sequence[float]:
        """The highest that was seen within about half an hour, by id."""
        return self._peak

    @cached_property
    def _peak(self) -> Sequence[float]:
        if len(self.peaks) < 2:
            return self.peaks[0] if self.peaks else self.fast
        return list(map(max, *self.peaks))

    def position(self, key: int) -> int | None:
        """Where the row of this id is."""
        at = bisect_left(self.ids, key)
        return at if at < len(self.ids) and self.ids[at] == key else None


@dataclass(frozen=True)
class Changes:
    """Ids of which it is known why their loads change.

    Those `anew` are not what they were, and begin as new ones do. The averages of the `known` ones
    follow quickly; their peaks stay.
    """

    anew: Collection[int] = ()
    known: Collection[int] = ()


NO_CHANGES = Changes()


def fold_loads(
    before: Averages, loads: Mapping[int, float], known: Sequence[int], now_seconds: float,
    changes: Changes = NO_CHANGES,
) -> Averages:  # fmt: skip
    """The averages with one more look. `known` (sorted) are the ids that exist.

    An id without a load keeps its averages: not to be told of is not to be idle. A new one begins
    with what is told of it. A clock that goes back makes a step of no time.
    """
    step = 0.0 if before.at_seconds is None else now_seconds - before.at_seconds
    step = min(max(step, 0.0), STEP_SECONDS_MAX)
    ids, slow_seconds = tuple(known), before.slow_seconds
    if changes.anew or ids != before.ids:
        before = _with_ids(before, loads, ids, set(changes.anew))
    if tuple(loads) == ids:
        now = list(loads.values())
    else:
        now = [loads.get(key, old) for key, old in zip(ids, before.fast, strict=True)]
    by_fast, by_slow = -math.expm1(-step / FAST_SECONDS), -math.expm1(-step / slow_seconds)
    by_jump = -math.expm1(-step / JUMP_SECONDS)
    fast = tuple([
        old + (by_jump if x > JUMP * old or old > JUMP * x else by_fast) * (x - old)
        for old, x in zip(before.fast, now, strict=True)
    ])  # fmt: skip
    slow = tuple([old + by_slow * (x - old) for old, x in zip(before.slow, now, strict=True)])
    if changes.known:
        at = [here for here, key in enumerate(ids) if key in changes.known]
        fast = _quick(fast, before.fast, now, at, by_jump)
        slow = _quick(slow, before.slow, now, at, by_jump)
    rows = zip(before.deviation, now, slow, strict=True)
    deviation = tuple([old + by_slow * (abs(x - mean) - old) for old, x, mean in rows])
    peaks, begun = before.peaks or (fast,), before.window_from_seconds
    if before.at_seconds is None or abs(now_seconds - begun) >= slow_seconds:
        peaks, begun = (*peaks, fast)[-PEAK_WINDOWS:], now_seconds
    newest = tuple(map(max, peaks[-1], fast))
    warm = min(before.warm_seconds + step, 2 * slow_seconds)
    return Averages(ids, fast, slow, deviation, (*peaks[:-1], newest), now_seconds, begun, warm,
                    slow_seconds)  # fmt: skip


def _quick(
    column: Column, before: Column, now: Sequence[float], rows: Sequence[int], by: float
) -> Column:
    """The column, of which these rows follow at another pace."""
    quick = list(column)
    for row in rows:
        quick[row] = before[row] + by * (now[row] - before[row])
    return tuple(quick)


def _with_ids(
    before: Averages, loads: Mapping[int, float], ids: tuple[int, ...], anew: set[int]
) -> Averages:
    """The same averages for other ids; new ones begin with their load."""
    rows = {key: at for at, key in enumerate(before.ids) if key not in anew}
    at = [rows.get(key, -1) for key in ids]
    new = [here for here, row in enumerate(at) if row < 0]
    first = [loads.get(key, 0.0) for key in ids]

    def column(old: Column, begin: Sequence[float]) -> Column:
        kept = list(map((*old, 0.0).__getitem__, at))  # -1 is the one that was added
        for here in new:
            kept[here] = begin[here]
        return tuple(kept)

    nothing = [0.0] * len(ids)
    return Averages(
        ids,
        column(before.fast, first),
        column(before.slow, first),
        column(before.deviation, nothing),
        tuple(column(window, first) for window in before.peaks),
        before.at_seconds,
        before.window_from_seconds,
        before.warm_seconds,
    )
